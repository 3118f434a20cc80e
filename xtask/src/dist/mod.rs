//! `cargo xtask dist`: what users install.
//!
//! In: the release build, which is made if it is not there, and `resolver-user/packaging`. Out, in `target/dist`: a `.deb` made
//! by cargo-deb, a `.tar.gz` with the same files for other systems, and the score that systemd gives to the unit.
//! The package's table of contents is in `resolver-user/Cargo.toml`; here is only put together what has to be made first.

mod licences;

use std::path::{Path, PathBuf};

use crate::{
    build::{self, Built},
    command::{Failure, Tool, read, remove, write},
    paths, setup,
};

/// What the verb leaves behind.
pub struct Packages {
    /// For Debian and its children.
    pub deb: PathBuf,
    /// The same files for others.
    pub tarball: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// Setup is incomplete, or a step failed.
pub fn run() -> Result<Packages, Failure> {
    let built = build::run()?;
    let packages = package(&built)?;
    unit_score()?;
    println!("dist: {}\ndist: {}", packages.deb.display(), packages.tarball.display());
    Ok(packages)
}

/// Packs a build.
///
/// # Errors
/// cargo-deb is missing and cannot be built, or a step failed.
pub fn package(built: &Built) -> Result<Packages, Failure> {
    let cargo_deb = setup::for_dist()?;
    let folder = folder();
    remove(&folder)?;
    stage(built, &folder.join("stage"))?;
    Tool::cargo()
        .path_first(&cargo_deb)
        .env("CARGO_TARGET_DIR", paths::target())
        .args(["deb", "--package", "resolver-user", "--no-build", "--strip", "--output"])
        .arg(&folder)
        .run()?;
    let deb = only_deb(&folder)?;
    let name = format!("resolver-{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let tarball = tarball(&deb, &folder, &name)?;
    Tool::new("dpkg-deb").arg("--contents").arg(&deb).run()?;
    Ok(Packages { deb, tarball })
}

/// The package that cargo-deb has named and made.
fn only_deb(folder: &Path) -> Result<PathBuf, Failure> {
    let files = std::fs::read_dir(folder).map_err(|source| Failure::File { path: folder.to_path_buf(), source })?;
    let is_deb = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let missing = || Failure::File { path: folder.join("*.deb"), source: std::io::ErrorKind::NotFound.into() };
    files.flatten().map(|entry| entry.path()).find(is_deb).ok_or_else(missing)
}

/// Puts together what the package holds besides program and configuration.
fn stage(built: &Built, stage: &Path) -> Result<(), Failure> {
    Tool::new(&built.resolver).arg("documents").arg(stage).run()?;
    let doc = stage.join("doc");
    write(&doc.join("THIRD-PARTY-LICENCES"), licences::text()?)?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
        write(&doc.join(licence), read(&paths::workspace().join(licence))?)?;
    }
    let packaging = packaging();
    let examples = stage.join("examples");
    write(&examples.join("resolver.conf"), read(&packaging.join("resolver.conf"))?)?;
    let entries = std::fs::read_dir(&packaging).map_err(|source| Failure::File { path: packaging.clone(), source })?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_example = path.extension().is_some_and(|extension| EXAMPLES.iter().any(|known| extension == *known));
        if let Some(name) = path.file_name().filter(|_| is_example) {
            write(&examples.join(name), read(&path)?)?;
        }
    }
    Ok(())
}

/// The package's files below one folder, without Debian's own scripts.
fn tarball(deb: &Path, folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let tree = folder.join(name);
    let tarball = folder.join(format!("{name}.tar.gz"));
    Tool::new("dpkg-deb").arg("--extract").arg(deb).arg(&tree).run()?;
    Tool::new("tar")
        .args(["--create", "--gzip", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--file"])
        .arg(&tarball)
        .arg("--directory")
        .arg(folder)
        .arg(name)
        .run()?;
    remove(&tree)?;
    Ok(tarball)
}

/// Prints how much systemd thinks the unit leaves open, with what it lacks, and fails above the limit.
fn unit_score() -> Result<(), Failure> {
    let unit = packaging().join("resolver.service");
    if setup::find_program("systemd-analyze").is_none() {
        println!("dist: no systemd-analyze here: the unit's score is not known");
        return Ok(());
    }
    let words = ["security", "--offline=true", "--no-pager", &format!("--threshold={SCORE_MAX}")];
    let told = Tool::new("systemd-analyze").args(words).arg(unit).output()?;
    for line in told.lines().filter(|line| line.starts_with(['✗', '→'])) {
        println!("{line}");
    }
    Ok(())
}

/// What everything is made in.
fn folder() -> PathBuf {
    paths::target().join("dist")
}

/// What the package holds that nobody has to make.
fn packaging() -> PathBuf {
    paths::workspace().join("resolver-user/packaging")
}

/// Worst score of the unit, times ten: what is left is sockets, netlink, and the capabilities of XDP.
const SCORE_MAX: u32 = 17;

/// Endings of files in `packaging` that go into the package as examples: dashboards, firewall rules, alerts.
const EXAMPLES: &[&str] = &["json", "md", "nft", "rules", "yml", "yaml", "timer"];
