//! What is logged, and where to.

use std::path::PathBuf;

use super::option::{OptionSpec, flag, number, path, perhaps, value};

/// Lines that `log-async` queues unless told otherwise, as dnsmasq has it.
const QUEUE_LEN: usize = 5;
/// Most lines that it may be told to queue, as dnsmasq has it.
const QUEUE_LEN_MAX: usize = 100;

/// Most answers of XDP of which one may be logged.
const XDP_ONE_IN_MAX: u32 = 1_000_000;

/// What is logged, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingConfig {
    /// `log-queries`: the daemon's answers.
    pub queries: QueryLog,
    /// `log-queries=extra`: each such line has a number of its own.
    pub query_numbers: bool,
    /// `xdp-log-queries`: one of so many answers of XDP; 0: none. Holds while all answers are logged.
    pub xdp_one_in: u32,
    /// `log-queries=proto`: each such line names the transport.
    pub query_transport: bool,
    /// `log-dnssec`: the chain of each validation.
    pub dnssec: bool,
    /// `log-facility`.
    pub target: LogTarget,
    /// `log-async`, in lines: 1..=100; none: whoever logs waits until the line is written.
    pub queue_len: Option<usize>,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            queries: QueryLog::Off,
            query_numbers: false,
            xdp_one_in: 1,
            query_transport: false,
            dnssec: false,
            target: LogTarget::StandardError,
            queue_len: None,
        }
    }
}

/// Which answers are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryLog {
    /// None.
    #[default]
    Off,
    /// Those that are no answer: bogus, failed, refused.
    Failed,
    /// All.
    All,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error, which a service manager takes to its journal.
    #[default]
    StandardError,
    /// The system's log, with this facility: its number, 0..=23 (RFC 5424 §6.2.1).
    Syslog(u8),
    /// A file, to which lines are appended.
    File(PathBuf),
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    perhaps(
        "log-queries",
        "nothing, extra, proto, auth, only_failed",
        "log each answer, of both halves",
        |config, value| {
            let logging = &mut config.logging;
            match value {
                // We answer for no zones, so `auth` has nothing to add.
                None | Some("auth") => {}
                Some("extra") => logging.query_numbers = true,
                Some("proto") => (logging.query_numbers, logging.query_transport) = (true, true),
                Some("only_failed") => {
                    logging.queries = QueryLog::Failed;
                    return Ok(());
                }
                Some(_) => return Err("no such form".to_owned()),
            }
            logging.queries = QueryLog::All;
            Ok(())
        },
    )
    .letter('q'),
    value(
        "xdp-log-queries",
        "0..=1000000",
        "with log-queries, one of so many answers of XDP; 0: none (1)",
        |config, value| {
            config.logging.xdp_one_in = number(value, 0, XDP_ONE_IN_MAX)?;
            Ok(())
        },
    ),
    flag("log-dnssec", "log the chain of each validation, step by step", |config| config.logging.dnssec = true),
    value("log-facility", TARGETS, "where lines go (standard error)", |config, value| {
        config.logging.target = target(value)?;
        Ok(())
    })
    .letter('8'),
    perhaps(
        "log-async",
        "nothing, or 1..=100",
        "queue so many lines instead of waiting for the log (5)",
        |config, value| {
            let queue_len = value.map_or(Ok(QUEUE_LEN), |value| number(value, 1, QUEUE_LEN_MAX))?;
            config.logging.queue_len = Some(queue_len);
            Ok(())
        },
    ),
];

/// What `log-facility` may be.
const TARGETS: &str = "a path with a slash in it, - for standard error, or one of kern user mail daemon auth syslog lpr \
                       news uucp cron authpriv ftp local0 … local7";

/// Names of syslog's facilities, by number (RFC 5424 §6.2.1); numbers without a name in syslog.h are left out.
const FACILITIES: &[(&str, u8)] = &[
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

fn target(value: &str) -> Result<LogTarget, String> {
    if value == "-" {
        return Ok(LogTarget::StandardError);
    }
    let path = path(value)?;
    if path.components().count() > 1 {
        return Ok(LogTarget::File(path));
    }
    let name = path.to_string_lossy().to_lowercase();
    let known = FACILITIES.iter().find(|(facility, _)| *facility == name);
    known.map(|(_, number)| LogTarget::Syslog(*number)).ok_or_else(|| "no such facility, and no path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facility_a_path_and_a_dash_are_told_apart() {
        for (value, expected) in [
            ("-", LogTarget::StandardError),
            ("daemon", LogTarget::Syslog(3)),
            ("LOCAL7", LogTarget::Syslog(23)),
            ("/var/log/dnsmasq.log", LogTarget::File("/var/log/dnsmasq.log".into())),
            ("./log", LogTarget::File("./log".into())),
        ] {
            assert_eq!(target(value), Ok(expected), "{value}");
        }
        assert!(target("local8").is_err());
    }
}
