//! Replaces a file as a whole, or not at all: whoever reads it sees the old one or the new one, also after a power cut.
//!
//! In: a path and the new content. Out: the file, with the mode and owner that it had.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Mode of a file that was not there before.
const MODE: u32 = 0o644;

/// Writes `content` beside the file and puts it in its place. A symbolic link stays, and what it leads to is replaced.
///
/// # Errors
/// The system's. The old file is then as it was.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(path.to_owned()),
        _ => Err(error),
    })?;
    put(&path, |draft| write(draft, &path, content))
}

/// The same for a file that is ours alone: whatever stood there, link or file, the new one is ours and for our eyes only.
///
/// # Errors
/// The system's. The old file is then as it was.
pub fn replace_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    put(path, |draft| {
        let mut file = create(draft)?;
        file.write_all(content)?;
        file.sync_all()
    })
}

/// Has a draft written beside the file and puts it in its place.
fn put(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let draft = draft(path);
    let written = write(&draft).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // The first failure is the one to tell.
        let _gone = fs::remove_file(&draft);
    }
    written?;
    // The rename itself must reach the disk.
    File::open(parent(path))?.sync_all()
}

/// Makes a draft that nobody else can read.
fn create(draft: &Path) -> io::Result<File> {
    // Left behind by a process of our number that was killed.
    let _stale = fs::remove_file(draft);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)
}

/// Copies a file to a name beside it, in the same way.
///
/// # Errors
/// The system's.
pub fn back_up(path: &Path, copy: &Path) -> io::Result<()> {
    let content = fs::read(path)?;
    replace_file(copy, &content)?;
    fs::set_permissions(copy, fs::metadata(path)?.permissions())
}

fn write(draft: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = create(draft)?;
    file.write_all(content)?;
    match fs::metadata(path) {
        Ok(old) => {
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            file.set_permissions(old.permissions())?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            file.set_permissions(fs::Permissions::from_mode(MODE))?;
        }
        Err(error) => return Err(error),
    }
    file.sync_all()
}

fn draft(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_failure_leaves_the_old_one() {
        let directory = std::env::temp_dir().join(format!("resolver-replace-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("file");
        replace_file(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace_file(&link, b"two").unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mode() & 0o777), (b"two".to_vec(), 0o640));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // A directory is in the way of the draft's rename.
        let taken = directory.join("taken");
        fs::create_dir(&taken).unwrap();
        replace_file(&taken, b"three").unwrap_err();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 3, "no draft is left");
        back_up(&path, &directory.join("copy")).unwrap();
        assert_eq!(fs::read(directory.join("copy")).unwrap(), b"two");
        fs::remove_dir_all(&directory).unwrap();
    }
}
