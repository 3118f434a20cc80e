//! The folder of pins: what of the kernel half outlives the daemon, and which daemon may touch it.
//!
//! In: a path below a BPF file system. Out: a [`PinDir`] that no other daemon has at the same time, held open, so that it is
//! reached whatever becomes of the path, the user or the root directory. In it are three folders: `maps`, `programs`, `links`.
//! A pin is replaced as a whole, by renaming: whoever looks finds the old one or the new one.
//! Refuses: a folder that a living daemon has, links that lead out of it, and to judge what is pinned (see [`super::predecessor`]).

use std::ffi::{CStr, CString, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::libc::O_DIRECTORY;
use nix::sys::stat::{Mode, fstatat};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::program::FastPathError;
use super::{links, predecessor};

/// The folders, in the order in which they are taken away: with the links the program leaves the interfaces.
const FOLDERS: [&str; 3] = ["links", "programs", "maps"];
/// Tries to get hold of a folder that others remove. Choice: each try means that another daemon ended at this very moment.
const TRIES: usize = 8;
/// Ends the name of a pin that is about to replace the one without it. BPF file systems know no dots.
const NEW: &str = "_new";

/// A folder for pins that is ours until this is dropped, or until we die.
#[derive(Debug)]
pub struct PinDir {
    /// As configured.
    path: PathBuf,
    /// Open and locked.
    held: File,
}

impl PinDir {
    /// Takes hold of a folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`FastPathError::NoBpfFs`], [`FastPathError::Held`], [`FastPathError::PinDir`].
    pub fn claim(path: &Path) -> Result<Self, FastPathError> {
        let system = statfs(existing(path));
        if system.map(|system| system.filesystem_type()).ok() != Some(BPF_FS_MAGIC) {
            return Err(FastPathError::NoBpfFs { path: existing(path).to_owned() });
        }
        let failed = |source| FastPathError::PinDir { path: path.to_owned(), source };
        for _ in 0..TRIES {
            fs::create_dir_all(path).map_err(failed)?;
            let held = OpenOptions::new().read(true).custom_flags(O_DIRECTORY).open(path).map_err(failed)?;
            match held.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let holder = predecessor::daemon_pid(&path.join("maps"));
                    return Err(FastPathError::Held { path: path.to_owned(), holder });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // Whoever had it may have removed it on its way out; then the path leads elsewhere, or nowhere.
            let same = |now: fs::Metadata| Some((now.dev(), now.ino()));
            if fs::metadata(path).ok().and_then(same) == held.metadata().ok().and_then(same) {
                return Ok(Self { path: path.to_owned(), held });
            }
        }
        Err(failed(io::ErrorKind::NotFound.into()))
    }

    /// Takes off what a daemon has left on the interfaces, where XDP is not wanted any more. Nothing is done where there is
    /// nothing.
    ///
    /// # Errors
    /// As for [`Self::claim`]; the last one also if something cannot be removed.
    pub fn sweep(path: &Path) -> Result<(), FastPathError> {
        if !path.join("links").exists() {
            return Ok(());
        }
        let dir = Self::claim(path)?;
        tracing::info!(dir = %path.display(), "XDP is off: what an earlier daemon left on interfaces is taken off");
        for name in dir.names("links")? {
            links::detach(&dir, &name)?;
        }
        dir.remove().map_err(|source| FastPathError::PinDir { path: path.to_owned(), source })
    }

    /// The path of something in the folder. It needs no rights on the folders above, but the old root directory.
    pub fn at(&self, folder: &str, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.held.as_raw_fd())).join(folder).join(name)
    }

    /// Makes the three folders.
    ///
    /// # Errors
    /// [`FastPathError::PinDir`].
    pub fn make_folders(&self) -> Result<(), FastPathError> {
        for folder in FOLDERS {
            let opened = open_folder(self.held.as_fd(), folder).map_err(|source| self.failed(folder, source))?;
            if opened.is_none() {
                fs::create_dir(self.at("", folder)).map_err(|source| self.failed(folder, source))?;
            }
        }
        Ok(())
    }

    /// Pins something under a name, in place of what has it now: `pin` is given the path to pin it at.
    ///
    /// # Errors
    /// [`FastPathError::PinDir`].
    pub fn replace<E: std::error::Error + Send + Sync + 'static>(
        &self,
        folder: &str,
        name: &str,
        pin: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), FastPathError> {
        let (path, new) = (self.at(folder, name), self.at(folder, &format!("{name}{NEW}")));
        let failed = |source| self.failed(folder, source);
        // One that a daemon was about to pin when it died.
        let _none = fs::remove_file(&new);
        pin(&new).map_err(|error| failed(io::Error::other(error)))?;
        fs::rename(&new, &path).map_err(failed)
    }

    /// Names in one of the folders; none if there is no such folder.
    ///
    /// # Errors
    /// [`FastPathError::PinDir`].
    pub fn names(&self, folder: &str) -> Result<Vec<String>, FastPathError> {
        let failed = |source| self.failed(folder, source);
        let Some(opened) = open_folder(self.held.as_fd(), folder).map_err(failed)? else { return Ok(Vec::new()) };
        let names = names(opened).map_err(failed)?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Removes a pin, if it is there.
    ///
    /// # Errors
    /// [`FastPathError::PinDir`].
    pub fn unpin(&self, folder: &str, name: &str) -> Result<(), FastPathError> {
        // Not by its path: the root may have changed.
        let Some(opened) = open_folder(self.held.as_fd(), folder).map_err(|source| self.failed(folder, source))? else {
            return Ok(());
        };
        match unlinkat(&opened, name, UnlinkatFlags::NoRemoveDir) {
            Err(error) if error != Errno::ENOENT => Err(self.failed(folder, error.into())),
            _ => Ok(()),
        }
    }

    /// Gives the folder and all pins in it to somebody else: `own` is told names, and the folders that they are in.
    /// What has a second name is left as it is: it may be somebody else's, too.
    ///
    /// # Errors
    /// The system's reason.
    pub fn hand_over(&self, own: impl Fn(BorrowedFd<'_>, &CStr) -> io::Result<()>) -> io::Result<()> {
        for folder in FOLDERS {
            let Some(mut opened) = open_folder(self.held.as_fd(), folder)? else { continue };
            for name in names_of(&mut opened)? {
                let stat = fstatat(&opened, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
                if stat.st_nlink == 1 {
                    own(opened.as_fd(), &name)?;
                }
            }
            own(opened.as_fd(), c".")?;
        }
        own(self.held.as_fd(), c".")
    }

    /// Removes our three folders, other things stay; and then the folder itself, if nothing is left.
    ///
    /// # Errors
    /// The system's reason.
    pub fn remove(&self) -> io::Result<()> {
        for folder in FOLDERS {
            let Some(mut opened) = open_folder(self.held.as_fd(), folder)? else { continue };
            for name in names_of(&mut opened)? {
                unlinkat(&opened, name.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
            }
            unlinkat(&self.held, folder, UnlinkatFlags::RemoveDir)?;
        }
        if let Err(error) = fs::remove_dir(&self.path) {
            tracing::debug!(dir = %self.path.display(), %error, "pin directory kept");
        }
        Ok(())
    }

    fn failed(&self, folder: &str, source: io::Error) -> FastPathError {
        FastPathError::PinDir { path: self.path.join(folder), source }
    }
}

/// The path, or the closest one above it that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

/// Opens one of our folders; none if it is not there. The directory may have been handed over: a link that its owner put in the
/// folder's place leads us nowhere, and goes.
fn open_folder(directory: BorrowedFd<'_>, folder: &str) -> io::Result<Option<Dir>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match Dir::openat(directory, folder, flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ELOOP | Errno::ENOTDIR) => {
            unlinkat(directory, folder, UnlinkatFlags::NoRemoveDir)?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn names_of(folder: &mut Dir) -> io::Result<Vec<CString>> {
    let names = folder.iter().map(|entry| entry.map(|entry| entry.file_name().to_owned()));
    let names: Vec<CString> = names.collect::<Result<_, _>>()?;
    Ok(names.into_iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")).collect())
}

fn names(mut folder: Dir) -> io::Result<Vec<OsString>> {
    Ok(names_of(&mut folder)?.into_iter().map(|name| OsString::from_vec(name.into_bytes())).collect())
}
