//! Option text becomes a checked [`Config`].
//!
//! In: config files in dnsmasq's language and the same words as flags. Out: a [`Config`], or every [`ConfigError`] of the
//! whole set at once, each with file, line, option, value and legal range. Rooms: `syntax` cuts lines into options,
//! `arguments` a command line, `sources` finds and reads files, `load` follows them and applies options, `option` is what one
//! is and the table of all, `repeated` what may stand once. Each topic (`listening`, `access`, `rate_limit`, `cookies`, `upstream`, `cache`, `local`,
//! `filter`, `dnssec`, `xdp`, `logging`, `observing`, `process`, `files`) has a part of the [`Config`] with its defaults, the
//! options that fill it, and the check of the whole part. `hosts` reads hosts files, `records` records, `domains` names and
//! domains, `anchors` trust anchors, `limits` limits of validation, `servers` (with `reverse`) lines about servers, `iterating`
//! resolution from the root; `written`
//! writes options of validation back.
//! Refuses: sockets, tasks, and options that dnsmasq has but that have no place here; none is silently ignored.

mod access;
mod anchors;
mod arguments;
mod cache;
mod cookies;
mod dnssec;
mod domains;
mod files;
mod filter;
mod hosts;
mod iterating;
mod limits;
mod listening;
mod load;
mod local;
mod logging;
mod observing;
mod option;
mod process;
mod rate_limit;
mod records;
mod repeated;
mod reverse;
mod servers;
mod sources;
mod syntax;
mod upstream;
mod written;
mod xdp;

use std::fmt;
use std::path::PathBuf;

use crate::local::BuildError;

pub use access::AccessConfig;
pub use anchors::is_root_anchor;
pub use cache::{CACHE_SIZE, CacheConfig};
pub use cookies::CookiesConfig;
pub use dnssec::{ConfiguredAnchor, DnssecConfig};
pub use files::FilesConfig;
pub use filter::FilterConfig;
pub use iterating::{Families, IteratingConfig, RootHints};
pub use listening::{ListeningConfig, LocalService};
pub use load::{CONF_FILE, load, load_again, load_for_daemon};
pub use local::LocalConfig;
pub use logging::{LogTarget, LoggingConfig, QueryLog};
pub use observing::{METRICS_PORT, ObservingConfig};
pub use option::{NOT_SUPPORTED, OptionSpec, TOPICS, Takes, Topic};
pub use process::{CONTROL_SOCKET, ProcessConfig};
pub use rate_limit::{PrefixLengths, RateLimitConfig};
pub use servers::{ServerEntry, ServerHost, ServerSpec, ServerTarget, Targets};
pub use upstream::{EDNS_PACKET_MAX, UpstreamConfig};
pub use written::{anchor_line, dnssec_options};
pub use xdp::{XDP_CACHE_SIZE, XDP_PIN_DIR, XdpConfig, XdpMode};

/// Port that is listened on, and asked at servers, unless told otherwise.
pub const PORT: u16 = 53;
/// Where nameservers are read from without `no-resolv` and `resolv-file`.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Everything the operator decides, checked. Its default is what holds where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Where clients are listened to.
    pub listening: ListeningConfig,
    /// Who may ask.
    pub access: AccessConfig,
    /// How many answers a client gets.
    pub rate_limit: RateLimitConfig,
    /// DNS cookies for clients.
    pub cookies: CookiesConfig,
    /// Who is asked.
    pub upstream: UpstreamConfig,
    /// What the daemon keeps, and for how long.
    pub cache: CacheConfig,
    /// What the operator says about names.
    pub local: LocalConfig,
    /// What clients do not get to see.
    pub filter: FilterConfig,
    /// What is validated.
    pub dnssec: DnssecConfig,
    /// How the kernel half is used.
    pub xdp: XdpConfig,
    /// What is logged.
    pub logging: LoggingConfig,
    /// What is told about the daemon, and to whom.
    pub observing: ObservingConfig,
    /// The process itself.
    pub process: ProcessConfig,
    /// What the files are read for.
    pub files: FilesConfig,
    /// What is legal but probably not meant; logged at start.
    pub warnings: Vec<String>,
}

/// Where an option stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File {
        /// Its path.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// On the command line.
    CommandLine,
    /// In this program.
    BuiltIn,
    /// Nowhere: the options taken together are wrong.
    Whole,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub origin: Origin,
    /// Name of the option; empty if there is none.
    pub option: String,
    /// Its value, if it has one.
    pub value: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is no such option.
    Unknown,
    /// dnsmasq has it, we have not.
    NotSupported {
        /// Why.
        reason: &'static str,
    },
    /// It needs a value.
    ValueMissing {
        /// What it may be.
        legal: &'static str,
    },
    /// It takes none.
    ValueUnwanted,
    /// The value is not legal.
    BadValue {
        /// What is wrong with it.
        what: String,
        /// What it may be.
        legal: &'static str,
    },
    /// It may stand only once, in all files together and on the command line.
    Repeated,
    /// It may not stand in a `servers-file`.
    NotHere,
    /// A quote is not closed.
    OpenQuote,
    /// A line is not UTF-8.
    NotText,
    /// A file cannot be read.
    Unreadable {
        /// The system's reason.
        reason: String,
    },
    /// Files are nested too deep.
    Nesting,
    /// What is said about names does not hold together.
    Local(BuildError),
    /// The options taken together are wrong.
    Together {
        /// What is wrong.
        what: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine => f.write_str("command line"),
            Self::BuiltIn => f.write_str("built in"),
            Self::Whole => f.write_str("configuration"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.option.is_empty() {
            write!(f, "option \"{}\"", self.option)?;
            if let Some(value) = &self.value {
                write!(f, ", value \"{value}\"")?;
            }
            f.write_str(": ")?;
        }
        match &self.problem {
            Problem::Unknown => f.write_str("unknown option"),
            Problem::NotSupported { reason } => write!(f, "not supported: {reason}"),
            Problem::ValueMissing { legal } => write!(f, "needs a value; legal: {legal}"),
            Problem::ValueUnwanted => f.write_str("takes no value"),
            Problem::BadValue { what, legal } => write!(f, "{what}; legal: {legal}"),
            Problem::Repeated => {
                f.write_str("repeated; it may stand once in all files together, and once on the command line")
            }
            Problem::NotHere => f.write_str("not legal in a servers-file; legal: server, rev-server"),
            Problem::OpenQuote => f.write_str("missing \""),
            Problem::NotText => f.write_str("not UTF-8 text"),
            Problem::Unreadable { reason } => write!(f, "cannot read file: {reason}"),
            Problem::Nesting => f.write_str("files are nested more than 16 deep"),
            Problem::Local(error) => write!(f, "{error}"),
            Problem::Together { what } => f.write_str(what),
        }
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// Something that only the options together show.
    fn of_the_whole(option: &str, what: &'static str) -> Self {
        Self { origin: Origin::Whole, option: option.to_owned(), value: None, problem: Problem::Together { what } }
    }
}
