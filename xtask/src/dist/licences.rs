//! The licences of everything that the program is made of.
//!
//! In: what cargo says about the dependencies of both halves, and the licence files in their sources. Out: one text with
//! each package, its licence and where it comes from, and each distinct licence text once. Build scripts and macros are left
//! out, as nothing of them is in the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;

use crate::command::{Failure, Tool};

/// What cargo says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    /// None for our own.
    source: Option<String>,
    manifest_path: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// None for an ordinary one.
    kind: Option<String>,
}

/// The whole text.
///
/// # Errors
/// cargo does not tell, or a package has neither licence nor licence file.
pub fn text() -> Result<String, Failure> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let words = ["metadata", "--format-version", "1", "--all-features", "--filter-platform", &platform];
    let told = Tool::cargo().args(words).quiet_output()?;
    let unreadable = |error: serde_json::Error| Failure::Unreadable { tool: "cargo metadata", said: error.to_string() };
    let metadata: Metadata = serde_json::from_str(&told).map_err(unreadable)?;
    Ok(render(&metadata))
}

fn render(metadata: &Metadata) -> String {
    let mut list = String::new();
    // Who has which text.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in parts(metadata) {
        let title = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("see its licence file below");
        list += &format!("{title}: {licence}; {}\n", package.repository.as_deref().unwrap_or("crates.io"));
        for text in licence_files(Path::new(&package.manifest_path)) {
            texts.entry(text).or_default().push(title.clone());
        }
    }
    let mut whole = format!("The program holds, besides its own code:\n\n{list}\nTheir licence files:\n");
    for (text, owners) in texts {
        whole += &format!("\n{}\n{}\n\n{}\n", "-".repeat(80), owners.join(", "), text.trim_end());
    }
    whole
}

/// Packages of others in the program, by name.
fn parts(metadata: &Metadata) -> Vec<&Package> {
    let package = |id: &str| metadata.packages.iter().find(|package| package.id == id);
    let is_macro =
        |package: &Package| package.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"));
    let ours = ["resolver-user", "resolver-ebpf"];
    let mut open: Vec<&str> = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_none() && ours.contains(&package.name.as_str()))
        .map(|package| package.id.as_str())
        .collect();
    let mut seen: BTreeSet<&str> = open.iter().copied().collect();
    // Each package is opened once.
    while let Some(id) = open.pop() {
        let node = metadata.resolve.nodes.iter().find(|node| node.id == id);
        for dependency in node.into_iter().flat_map(|node| &node.deps) {
            let is_ordinary = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
            if is_ordinary
                && package(&dependency.pkg).is_some_and(|package| !is_macro(package))
                && seen.insert(&dependency.pkg)
            {
                open.push(&dependency.pkg);
            }
        }
    }
    let mut parts: Vec<&Package> =
        seen.into_iter().filter_map(package).filter(|package| package.source.is_some()).collect();
    parts.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    parts
}

/// Texts of the licence files that stand beside a manifest.
fn licence_files(manifest: &Path) -> Vec<String> {
    let folder = manifest.parent().unwrap_or(Path::new("/"));
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"].iter().any(|start| name.starts_with(start))
    });
    files.sort_unstable();
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_program_is_listed_and_nothing_that_only_builds_it() {
        let text = text().unwrap();
        let has = |name: &str| text.lines().any(|line| line.starts_with(&format!("{name} ")) && line.contains(": "));
        for part in ["aya", "ring", "tokio", "hickory-proto", "aya-ebpf"] {
            assert!(has(part), "{part}");
        }
        for other in ["libtest-mimic", "serde_derive", "cc", "resolver-user"] {
            assert!(!has(other), "{other}");
        }
        assert!(text.contains("Permission is hereby granted"));
        assert!(!text.contains("see its licence file below"), "every package declares its licence");
    }
}
