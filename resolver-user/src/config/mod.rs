//! Option text becomes a checked [`Config`].
//!
//! In: config files in dnsmasq's language and the same words as flags. Out: a [`Config`], or every [`ConfigError`] of the
//! whole set at once, each with file, line, option, value and legal range. Rooms: `syntax` cuts lines into options,
//! `options` is the one table of them for files and flags, `anchors` reads trust anchors, `limits` limits of validation, `load` follows files,
//! `written` writes options of validation back.
//! Refuses: sockets, tasks, and options that dnsmasq has but that have no place here; none is silently ignored.

mod anchors;
mod limits;
mod load;
mod options;
mod syntax;
mod written;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::validator::{DsAnchor, Policy};
use crate::wire::Name;

pub use load::load;
pub use options::{OPTIONS, OptionSpec, Takes};
pub use written::dnssec_options;

/// Port that is listened on, and asked at servers, unless told otherwise.
pub const PORT: u16 = 53;
/// Answers kept by the daemon unless told otherwise.
/// Differs: dnsmasq keeps 150; its manual calls 10 000 a sane ceiling, and an entry costs about 1 kB.
pub const CACHE_SIZE: usize = 10_000;
/// Most answers that may be asked to be kept.
pub const CACHE_SIZE_MAX: usize = 10_000_000;
/// Answers kept in the kernel map unless told otherwise.
pub const XDP_CACHE_SIZE: u32 = 100_000;
/// Most answers that the kernel map may be asked to keep: about 8 GiB of locked memory.
pub const XDP_CACHE_SIZE_MAX: u32 = 16_000_000;
/// Most listener threads that may be asked for.
pub const THREADS_MAX: usize = 256;
/// Where `resolver status` and its like reach the daemon unless told otherwise.
pub const CONTROL_SOCKET: &str = "/run/resolver/control.sock";
/// Where maps and link are pinned unless told otherwise.
pub const XDP_PIN_DIR: &str = "/sys/fs/bpf/resolver";
/// Where nameservers are read from without `no-resolv` and `server`.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// Native, else generic, else not at all with a warning.
    Auto,
    /// In the driver, or not at all: failing that stops the start.
    Native,
    /// In the stack (slower, works everywhere), or not at all: failing that stops the start.
    Generic,
    /// Not.
    Off,
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Off => "off",
        })
    }
}

/// Everything the operator decides, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `server`: recursive servers to forward to, in order; at least one.
    pub servers: Vec<SocketAddr>,
    /// `listen-address`.
    pub listen_addresses: Vec<IpAddr>,
    /// `interface`.
    pub interfaces: Vec<String>,
    /// `port`: 1..=65 535.
    pub port: u16,
    /// `cache-size`, in answers: 0..=10 000 000; 0 keeps none.
    pub cache_size: usize,
    /// Everything about validation; none if `dnssec` is off.
    pub dnssec: Option<DnssecConfig>,
    /// `log-queries`.
    pub log_queries: bool,
    /// `xdp`.
    pub xdp: XdpMode,
    /// `xdp-interface`; empty: those of `interface`, else those that carry the listening addresses.
    pub xdp_interfaces: Vec<String>,
    /// `xdp-cache-size`, in answers: 0..=16 000 000.
    pub xdp_cache_size: u32,
    /// `xdp-log`.
    pub xdp_log: bool,
    /// `xdp-pin-dir`.
    pub xdp_pin_dir: PathBuf,
    /// `threads`: 1..=256.
    pub threads: usize,
    /// `control-socket`.
    pub control_socket: PathBuf,
    /// `pid-file`.
    pub pid_file: Option<PathBuf>,
    /// What is legal but probably not meant; logged at start.
    pub warnings: Vec<String>,
}

/// What the operator decides about validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnssecConfig {
    /// `trust-anchor` with a key: where validation starts; those built in, if there is none for the root.
    pub anchors: Vec<DsAnchor>,
    /// `trust-anchor` without a key: names at and below which nothing is validated.
    pub negative_anchors: Vec<Name>,
    /// `dnssec-limits`, `dnssec-limit`, `dnssec-allow-sha1`, `dnssec-no-timecheck`, `dnssec-check-unsigned`.
    pub policy: Policy,
    /// `dnssec-timestamp`: a file whose time of change is the earliest that the clock may show.
    pub timestamp: Option<PathBuf>,
    /// `dnssec-debug`: bogus data are given to clients, without AD.
    pub debug: bool,
    /// `log-dnssec`: the chain of each validation is logged.
    pub log: bool,
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
    /// A quote is not closed.
    OpenQuote,
    /// A file cannot be read.
    Unreadable {
        /// The system's reason.
        reason: String,
    },
    /// `conf-file` leads back to a file that is being read, or too deep.
    Nesting,
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
            Problem::OpenQuote => f.write_str("missing \""),
            Problem::Unreadable { reason } => write!(f, "cannot read file: {reason}"),
            Problem::Nesting => f.write_str("files include each other, or are nested more than 16 deep"),
            Problem::Together { what } => f.write_str(what),
        }
    }
}

impl std::error::Error for ConfigError {}
