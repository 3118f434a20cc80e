//! Reads hosts files: an address and its names on each line, `#` begins a comment.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::domains::name;
use crate::local::HostLine;

/// Most files of a directory that are read.
const FILES_MAX: usize = 1000;

/// What came of reading hosts files.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Lines.
    pub(super) hosts: Vec<HostLine>,
    /// What is to be told.
    pub(super) warnings: Vec<String>,
    /// Files and directories that could not be read.
    pub(super) unreadable: Vec<PathBuf>,
}

impl Read {
    fn leave_out(&mut self, what: &str, path: &Path, error: &io::Error) {
        self.warnings.push(format!("{what} {}: {error}", path.display()));
        self.unreadable.push(path.to_owned());
    }
}

/// Adds the lines of a file, or of the files of a directory, by name. What cannot be read is left out and warned of, once
/// for each file: hosts files come from many hands, and names that are there must be served.
pub(super) fn read(path: &Path, read: &mut Read) {
    if !path.is_dir() {
        return read_file(path, read);
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return read.leave_out("hosts directory", path, &error),
    };
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_wanted(path)).collect();
    files.sort();
    if files.len() > FILES_MAX {
        read.warnings.push(format!("hosts directory {}: only {FILES_MAX} files are read", path.display()));
        files.truncate(FILES_MAX);
    }
    for file in &files {
        read_file(file, read);
    }
}

/// Files but those that editors leave behind.
fn is_wanted(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let left_behind = name.ends_with('~') || name.starts_with('.') || name.starts_with('#') && name.ends_with('#');
    path.is_file() && !left_behind
}

fn read_file(path: &Path, read: &mut Read) {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return read.leave_out("hosts file", path, &error),
    };
    let mut bad = Vec::new();
    for (line, number) in text.lines().zip(1u64..) {
        match read_line(line) {
            Ok(None) => {}
            Ok(Some(host)) => read.hosts.push(host),
            Err(what) => bad.push((number, what)),
        }
    }
    if let Some((number, what)) = bad.first() {
        let others = bad.len() - 1;
        let more = if others == 0 { String::new() } else { format!(", and {others} more lines") };
        read.warnings.push(format!("{}:{number}: line left out: {what}{more}", path.display()));
    }
}

/// Reads one line; none if there is nothing on it.
fn read_line(line: &str) -> Result<Option<HostLine>, String> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let Some(address) = words.next() else { return Ok(None) };
    // A scope says on which link an address holds; it is no part of it.
    let plain = address.split('%').next().unwrap_or_default();
    let address: IpAddr = plain.parse().map_err(|_| format!("\"{address}\" is no IP address"))?;
    let names: Vec<_> = words.map(name).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err("no name".to_owned());
    }
    Ok(Some(HostLine { names, addresses: vec![address], ttl_s: None, from_file: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_in_etc_hosts() {
        let names = |line: &str| {
            let host = read_line(line).unwrap().unwrap();
            (host.addresses[0].to_string(), host.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names("192.168.7.1\tgw gw.lan  # router"), ("192.168.7.1".into(), "gw. gw.lan.".into()));
        assert_eq!(names("fe80::1%lo0 local"), ("fe80::1".into(), "local.".into()));
        assert_eq!(read_line("   # comment"), Ok(None));
        assert_eq!(read_line(""), Ok(None));
        for (line, what) in [("badline", "no IP address"), ("1.2.3.4", "no name"), ("1.2.3.4 a..b", "a..b")] {
            assert!(read_line(line).unwrap_err().contains(what), "{line}");
        }
    }
}
