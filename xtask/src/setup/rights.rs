//! What we may do on this machine: as root, through sudo, or not at all.

use std::io::IsTerminal;

use super::{find_program, look};
use crate::command::{Failure, Tool};

/// How a command that needs root can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// We are root.
    Root,
    /// sudo answers without a password, or can ask for it on the terminal.
    Sudo,
    /// Neither.
    None,
}

impl Rights {
    /// Finds out, without asking for a password.
    pub fn found() -> Self {
        if nix::unistd::geteuid().is_root() {
            Self::Root
        } else if find_program("sudo").is_none() {
            Self::None
        } else if std::io::stdin().is_terminal() || look(Tool::new("sudo").args(["-n", "true"])).is_some() {
            Self::Sudo
        } else {
            Self::None
        }
    }

    /// A command that will run as root, or `None` where we lack the rights.
    pub fn tool(self, program: &str) -> Option<Tool> {
        match self {
            Self::Root => Some(Tool::new(program)),
            Self::Sudo => Some(Tool::new("sudo").arg(program)),
            Self::None => None,
        }
    }
}

/// Goes on as root: returns if we are, becomes `sudo xtask …` if we may, fails if not.
///
/// # Errors
/// We are not root and sudo is not to be had.
pub fn require_root(verb: &str) -> Result<(), Failure> {
    match Rights::found() {
        Rights::Root => Ok(()),
        Rights::None => Err(Failure::NotRoot { verb: verb.to_owned() }),
        Rights::Sudo => {
            let us = std::env::current_exe()
                .map_err(|source| Failure::Start { command: "cargo xtask".to_owned(), source })?;
            Err(Tool::new("sudo").arg("--preserve-env").arg(us).args(std::env::args_os().skip(1)).replace_us())
        }
    }
}
