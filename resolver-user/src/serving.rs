//! What XDP does with queries that it could answer: a word of the configuration, of the control socket, and of the settings
//! that the kernel half reads.

use std::fmt;
use std::str::FromStr;

use resolver_ebpf::abi::{MODE_DRY_RUN, MODE_OFF, MODE_SERVE};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What XDP does with a query that it could answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serving {
    /// It answers.
    #[default]
    On,
    /// It passes everything.
    Off,
    /// It counts the query and passes it; the daemon compares its own answer with what XDP would have sent.
    DryRun,
}

/// A word that is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("neither on, off nor dry-run")]
pub struct NotServing;

impl Serving {
    /// The same as a mode of the kernel half's settings.
    pub const fn kernel_mode(self) -> u32 {
        match self {
            Self::On => MODE_SERVE,
            Self::Off => MODE_OFF,
            Self::DryRun => MODE_DRY_RUN,
        }
    }
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::DryRun => "dry-run",
        })
    }
}

impl FromStr for Serving {
    type Err = NotServing;

    fn from_str(text: &str) -> Result<Self, NotServing> {
        [Self::On, Self::Off, Self::DryRun].into_iter().find(|serving| serving.to_string() == text).ok_or(NotServing)
    }
}
