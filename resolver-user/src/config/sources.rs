//! Where options are read from: files, standard input, and the files of a directory.
//!
//! In: paths as written. Out: bytes, or the paths of a directory in the order in which they count. Does not know what a line
//! means.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::syntax::reveal;

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";
/// Longest file that is read, in bytes. Choice: larger than any block list, smaller than what a mistaken device gives.
const FILE_LEN_MAX: u64 = 256 << 20;

/// Reads a whole file; `-` is standard input, which is kept, so that a reload reads the same again.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new(STANDARD_INPUT) {
        return read_limited(File::open(path)?);
    }
    static KEPT: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(kept) = KEPT.get() {
        return Ok(kept.clone());
    }
    let text = read_limited(io::stdin())?;
    Ok(KEPT.get_or_init(|| text).clone())
}

fn read_limited(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let len = source.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if len as u64 > FILE_LEN_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Whether anybody may read a file.
pub(super) fn is_readable_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// What tells that two paths are one file.
pub(super) fn identity(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The files that `<directory>[,<ending>…|,*<ending>…]` names, sorted by the bytes of their names.
///
/// A name that ends in an `<ending>` is left out; with any `*<ending>` only names with one of those are taken. Left out are
/// also names that start with `.`, end with `~`, or do both with `#`, and what is no file. The path of one that cannot be
/// examined comes with the error.
pub(super) fn list(value: &str) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut words = value.split(',').map(|word| reveal(word.trim()));
    let directory = PathBuf::from(words.next().unwrap_or_default());
    let endings: Vec<String> = words.filter(|ending| !ending.is_empty() && ending != "*").collect();
    let of_directory = |error| (directory.clone(), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).map_err(of_directory)? {
        let entry = entry.map_err(of_directory)?;
        if is_wanted(&entry.file_name().to_string_lossy(), &endings) {
            let path = entry.path();
            // Not the entry's own type: a link to a file is a file.
            let kind = fs::metadata(&path).map_err(|error| (path.clone(), error))?;
            files.extend(kind.is_file().then_some(path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn is_wanted(name: &str, endings: &[String]) -> bool {
    // A name that is nothing but the ending does not have it, as in dnsmasq.
    let ends_with = |ending: &str| name.len() > ending.len() && name.ends_with(ending);
    let mut demanded = endings.iter().filter_map(|ending| ending.strip_prefix('*')).peekable();
    let is_demanded = demanded.peek().is_none() || demanded.any(ends_with);
    let is_excluded = endings.iter().filter(|ending| !ending.starts_with('*')).any(|ending| ends_with(ending));
    let is_scratch = name.starts_with('.') || name.ends_with('~') || name.starts_with('#') && name.ends_with('#');
    is_demanded && !is_excluded && !is_scratch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_directory_are_chosen_as_dnsmasq_chooses_them() {
        let names = ["a.conf", "b.conf~", ".hid.conf", "#c#", "#d", "#", "d.txt", "e.conf.dpkg-old", "F.conf"];
        for (endings, expected) in [
            (&[][..], "a.conf #d d.txt e.conf.dpkg-old F.conf"),
            (&[".conf", ".txt"], "#d e.conf.dpkg-old"),
            (&["*.conf"], "a.conf F.conf"),
            (&["*.conf", "F.conf", ".dpkg-old"], "a.conf F.conf"),
            (&["*.conf", "*.txt", ".txt"], "a.conf F.conf"),
            (&["a.conf"], "a.conf #d d.txt e.conf.dpkg-old F.conf"),
        ] {
            let endings: Vec<String> = endings.iter().map(|ending| (*ending).to_owned()).collect();
            let wanted: Vec<&str> = names.into_iter().filter(|name| is_wanted(name, &endings)).collect();
            assert_eq!(wanted.join(" "), expected, "{endings:?}");
        }
    }
}
