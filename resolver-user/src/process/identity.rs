//! Becomes another user, with as few capabilities as the daemon needs.
//!
//! To be done while the process has one thread: capabilities belong to threads, and later ones inherit them.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::lchown;
use std::path::Path;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::prctl::set_keepcaps;
use nix::unistd::{Gid, Group, Uid, User, fchownat, getgid, getuid, setgroups, setresgid, setresuid};
use thiserror::Error;

use crate::config::ProcessConfig;

/// Whom to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    uid: Uid,
    gid: Gid,
}

/// Why the process cannot become what is wanted.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// There is no such user or group.
    #[error("{option}: there is no \"{name}\" on this machine")]
    Unknown {
        /// `user` or `group`.
        option: &'static str,
        /// Its value.
        name: String,
    },
    /// The list of users could not be read.
    #[error("{option}: cannot look \"{name}\" up: {errno}")]
    LookUp {
        /// `user` or `group`.
        option: &'static str,
        /// Its value.
        name: String,
        /// The system's reason.
        errno: Errno,
    },
    /// The system refused the change.
    #[error("cannot change to user {uid} and group {gid}: {errno}")]
    Change {
        /// The user.
        uid: Uid,
        /// The group.
        gid: Gid,
        /// The system's reason.
        errno: Errno,
    },
    /// Capabilities could not be given up or kept.
    #[error("cannot set capabilities: {0}")]
    Capabilities(#[from] CapsError),
    /// A file could not be handed over.
    #[error("cannot hand {} over: {source}", path.display())]
    HandOver {
        /// The file.
        path: std::path::PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Identity {
    /// Whom the configuration wants. None: nobody is named, or we are not root and stay who we are, as dnsmasq does.
    ///
    /// # Errors
    /// A name that this machine does not have.
    pub fn wanted(config: &ProcessConfig) -> Result<Option<Self>, IdentityError> {
        if config.no_daemon || !getuid().is_root() || config.user.is_none() && config.group.is_none() {
            return Ok(None);
        }
        let user = config.user.as_deref().map(user).transpose()?;
        let group = config.group.as_deref().map(group).transpose()?;
        let uid = user.as_ref().map_or_else(getuid, |user| user.uid);
        let gid = group.or(user.map(|user| user.gid)).unwrap_or_else(getgid);
        Ok(Some(Self { uid, gid }))
    }

    /// Makes this identity the owner of a file or directory, which must not be a link: in a directory that was handed over
    /// earlier, a link may lead to what is nobody's but root's.
    ///
    /// # Errors
    /// [`IdentityError::HandOver`].
    pub fn own(&self, path: &Path) -> Result<(), IdentityError> {
        lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .map_err(|source| IdentityError::HandOver { path: path.to_owned(), source })
    }

    /// The same for what has this name in an open directory.
    ///
    /// # Errors
    /// The system's reason.
    pub fn own_in(&self, directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        Ok(fchownat(directory, name, Some(self.uid), Some(self.gid), AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Becomes this identity for good, keeping nothing but `kept`.
    ///
    /// # Errors
    /// [`IdentityError::Change`], [`IdentityError::Capabilities`].
    pub fn assume(&self, kept: &[Capability]) -> Result<(), IdentityError> {
        let Self { uid, gid } = *self;
        let refused = |errno| IdentityError::Change { uid, gid, errno };
        for capability in caps::runtime::thread_all_supported() {
            if !kept.contains(&capability) {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
        set_keepcaps(true).map_err(refused)?;
        setgroups(&[gid]).map_err(refused)?;
        setresgid(gid, gid, gid).map_err(refused)?;
        setresuid(uid, uid, uid).map_err(refused)?;
        keep_capabilities(kept)
    }
}

/// Gives up every capability but `kept`; those of them that the process has not got stay away.
///
/// # Errors
/// [`IdentityError::Capabilities`].
pub fn keep_capabilities(kept: &[Capability]) -> Result<(), IdentityError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = kept.iter().copied().filter(|capability| permitted.contains(capability)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::clear(None, CapSet::Inheritable)?;
    Ok(())
}

fn user(name: &str) -> Result<User, IdentityError> {
    let found = match name.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    account(found, "user", name)
}

fn group(name: &str) -> Result<Gid, IdentityError> {
    let found = match name.parse() {
        Ok(number) => return Ok(Gid::from_raw(number)),
        Err(_) => Group::from_name(name),
    };
    account(found, "group", name).map(|group| group.gid)
}

fn account<T>(found: Result<Option<T>, Errno>, option: &'static str, name: &str) -> Result<T, IdentityError> {
    let name = name.to_owned();
    match found {
        Ok(Some(account)) => Ok(account),
        Ok(None) => Err(IdentityError::Unknown { option, name }),
        Err(errno) => Err(IdentityError::LookUp { option, name, errno }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_machine_does_not_have_is_told_with_its_option() {
        assert_eq!(user("root").unwrap().uid, Uid::from_raw(0));
        assert_eq!(user("0").unwrap().name, "root");
        let error = user("nobody-of-that-name").unwrap_err().to_string();
        assert_eq!(error, "user: there is no \"nobody-of-that-name\" on this machine");
        assert!(group("no-group-of-that-name").unwrap_err().to_string().starts_with("group: there is no"));
    }
}
