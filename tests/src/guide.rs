//! The guide that our users follow, cut into its config blocks.
//!
//! The guide is no part of this repository: it is where `RESOLVER_GUIDE` says, or in `shared/guide` beside the checkout.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What a block is a file of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Options of dnsmasq.
    Options,
    /// Trust anchors.
    Anchors,
    /// A unit of systemd.
    Unit,
}

/// One block of the guide.
#[derive(Clone, Debug)]
pub struct Block {
    /// Line of the guide on which it begins.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
    /// Its text, as written but for the indentation of the list that it may stand in.
    pub text: String,
}

/// Where the guide is looked for.
pub fn path() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/guide");
    env::var_os("RESOLVER_GUIDE").map_or_else(beside, PathBuf::from)
}

/// The guide's blocks; `None` where there is no guide.
///
/// # Panics
/// If there is a guide that cannot be read, or one without blocks.
pub fn blocks() -> Option<Vec<Block>> {
    let place = path();
    let mut files = vec![place.clone()];
    if place.is_dir() {
        let entries = fs::read_dir(&place).expect("the guide's directory").map(|entry| entry.expect("an entry").path());
        files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    }
    let [file] = &files[..] else { return None };
    if !file.exists() {
        return None;
    }
    let blocks = cut(&fs::read_to_string(file).expect("the guide"));
    assert!(blocks.len() >= 3, "{} blocks in {}", blocks.len(), file.display());
    Some(blocks)
}

/// Cuts the `ini` blocks out of Markdown.
fn cut(guide: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = guide.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if line.trim() != "```ini" {
            continue;
        }
        let indentation = line.len() - line.trim_start().len();
        let inside = lines.by_ref().map(|(line, _)| line).take_while(|line| line.trim() != "```");
        let text: String = inside.map(|line| format!("{}\n", line.get(indentation..).unwrap_or_default())).collect();
        blocks.push(Block { line: number, kind: Kind::of(&text), text });
    }
    blocks
}

impl Kind {
    fn of(text: &str) -> Self {
        match statements(text).next() {
            Some(first) if first.starts_with('[') => Self::Unit,
            Some(first) if first.starts_with('.') => Self::Anchors,
            _ => Self::Options,
        }
    }
}

/// Lines that are neither empty nor comments.
pub fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

impl Block {
    /// Writes the block as a file of `directory`, with all that it names: paths are moved into the directory, the
    /// anchors are `anchors`. Returns its path.
    ///
    /// # Panics
    /// If the directory is not to be written.
    pub fn write(&self, directory: &Path, anchors: &str) -> PathBuf {
        let mut text = self.text.clone();
        for (folder, of_ours) in [("/etc/dnsmasq.d/", "etc/"), ("/var/lib/dnsmasq/", "lib/"), ("/var/log/", "log/")] {
            let moved = directory.join(of_ours);
            fs::create_dir_all(moved.join("dnsmasq")).expect("a directory");
            text = text.replace(&format!("={folder}"), &format!("={}/", moved.display()));
        }
        fs::write(directory.join("etc/trust-anchors.conf"), anchors).expect("a file");
        let path = directory.join("etc/block.conf");
        fs::write(&path, text).expect("a file");
        path
    }

    /// Whether it names a server for all domains.
    pub fn names_a_server(&self) -> bool {
        statements(&self.text).any(|line| line.starts_with("server=") && !line.starts_with("server=/"))
    }

    /// Whether it has a flag.
    pub fn has(&self, flag: &str) -> bool {
        statements(&self.text).any(|line| line == flag)
    }
}
