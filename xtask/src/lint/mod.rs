//! `cargo xtask lint`: formatting, the architecture rules, clippy, documentation.
//!
//! In: the checkout. Out: nothing, or each finding with file, line and rule. The rules that no tool knows are in
//! `rules`; they are checked on the text of the source, with comments and strings taken out.

mod rules;
mod source;

use std::path::{Path, PathBuf};

use crate::{
    command::{Failure, Tool, read},
    paths, setup,
};
use rules::Finding;
use source::Source;

/// Runs the verb.
///
/// # Errors
/// A tool found something, or a rule is broken.
pub fn run() -> Result<(), Failure> {
    Tool::cargo().args(["fmt", "--all", "--check"]).run()?;
    Tool::cargo().args(["fmt", "--manifest-path", "tests/fuzz/Cargo.toml", "--", "--check"]).run()?;
    scan()?;
    setup::for_cargo()?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet"];
    Tool::cargo().args(clippy).args(["--", "-D", "warnings"]).run()?;
    let lab = ["clippy", "--package", "resolver-tests", "--features", "lab", "--all-targets", "--quiet"];
    Tool::cargo().args(lab).args(["--", "-D", "warnings"]).run()?;
    let doc = ["doc", "--workspace", "--no-deps", "--quiet"];
    Tool::cargo().env("RUSTDOCFLAGS", "-D warnings").args(doc).run()
}

/// Reads every Rust file of ours and holds it against the rules.
fn scan() -> Result<(), Failure> {
    eprintln!("+ scan of the source");
    let mut files = Vec::new();
    for member in MEMBERS {
        find_rust_files(&paths::workspace().join(member), &mut files);
    }
    files.sort();
    let mut count = 0;
    for file in files {
        let relative = file.strip_prefix(paths::workspace()).unwrap_or(&file).display().to_string();
        for Finding { line, rule } in rules::check(&Source::new(&relative, &read(&file)?)) {
            println!("{relative}:{line}: {rule}");
            count += 1;
        }
    }
    if count == 0 { Ok(()) } else { Err(Failure::Findings { findings: count }) }
}

/// Adds the Rust files below a folder.
fn find_rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            find_rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The members of the workspace.
const MEMBERS: &[&str] = &["resolver-ebpf", "resolver-user", "xtask", "tests"];
