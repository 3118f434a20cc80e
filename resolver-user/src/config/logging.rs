//! What is logged.

use super::option::{OptionSpec, flag};

/// What is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggingConfig {
    /// `log-queries`: each answer of the daemon.
    pub queries: bool,
    /// `log-dnssec`: the chain of each validation.
    pub dnssec: bool,
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("log-queries", "log each answer", |config| config.logging.queries = true).letter('q'),
    flag("log-dnssec", "log the chain of each validation, step by step", |config| config.logging.dnssec = true),
];
