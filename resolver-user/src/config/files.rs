//! Options that bring in other files.

use super::option::{FileKind, OptionSpec, file};

/// The options.
pub(super) const OPTIONS: &[OptionSpec] =
    &[file("conf-file", "read options from this file too", FileKind::Options).letter('C')];
