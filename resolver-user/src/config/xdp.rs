//! How the kernel half is used.

use std::fmt;
use std::path::PathBuf;

use super::listening::{PATTERNS, patterns};
use super::option::{OptionSpec, flag, number, path, value};
use crate::serving::Serving;

/// Answers kept in the kernel map unless told otherwise.
pub const XDP_CACHE_SIZE: u32 = 100_000;
/// Most answers that the kernel map may be asked to keep: about 8 GiB of locked memory.
pub const XDP_CACHE_SIZE_MAX: u32 = 16_000_000;
/// Where maps and link are pinned unless told otherwise.
pub const XDP_PIN_DIR: &str = "/sys/fs/bpf/resolver";

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

/// How the kernel half is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpConfig {
    /// `xdp`.
    pub mode: XdpMode,
    /// `xdp-mode`: what it does at the start.
    pub serving: Serving,
    /// `xdp-interface`: names, or beginnings of names with a final `*`; empty: those of `interface`, else those that carry the listening addresses.
    pub interfaces: Vec<String>,
    /// `xdp-force`: other XDP programs on them are replaced.
    pub force: bool,
    /// `xdp-cache-size`, in answers: 0..=16 000 000.
    pub cache_size: u32,
    /// `xdp-log`.
    pub log: bool,
    /// `xdp-pin-dir`.
    pub pin_dir: PathBuf,
}

impl Default for XdpConfig {
    fn default() -> Self {
        Self {
            mode: XdpMode::Auto,
            serving: Serving::On,
            interfaces: Vec::new(),
            force: false,
            cache_size: XDP_CACHE_SIZE,
            log: false,
            pin_dir: XDP_PIN_DIR.into(),
        }
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    value("xdp", "auto, native, generic, off", "how XDP answers (auto)", |config, value| {
        config.xdp.mode = match value {
            "auto" => XdpMode::Auto,
            "native" => XdpMode::Native,
            "generic" => XdpMode::Generic,
            "off" => XdpMode::Off,
            _ => return Err("no such mode".to_owned()),
        };
        Ok(())
    }),
    value("xdp-interface", PATTERNS, "let XDP answer on these interfaces", |config, value| {
        patterns(value, &mut config.xdp.interfaces)
    }),
    value(
        "xdp-mode",
        "on, off, dry-run",
        "whether XDP answers, or only counts what it would answer (on)",
        |config, value| {
            config.xdp.serving = value.parse().map_err(|_| "no such mode".to_owned())?;
            Ok(())
        },
    ),
    flag("xdp-force", "replace other XDP programs", |config| config.xdp.force = true),
    value("xdp-cache-size", "0..=16000000", "answers kept in the kernel (100000)", |config, value| {
        config.xdp.cache_size = number(value, 0, XDP_CACHE_SIZE_MAX)?;
        Ok(())
    }),
    flag("xdp-log", "let XDP log why it passed queries on (sampled)", |config| config.xdp.log = true),
    value("xdp-pin-dir", "a path below a bpf file system", "pin maps there (/sys/fs/bpf/resolver)", |config, value| {
        config.xdp.pin_dir = path(value)?;
        Ok(())
    }),
];
