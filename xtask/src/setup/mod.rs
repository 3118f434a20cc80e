//! `cargo xtask setup`: everything that the build, the lab and the tests need.
//!
//! In: a Debian machine in any state. Out: a [`BpfToolchain`], the packages, and bpffs on its mount point; or the exact
//! list of what to do where we lack the rights. Each step looks before it acts, so a second run changes nothing.
//! Refuses to start system services: a server package installed here stays off, now and at the next boot.

mod compiler;
mod linker;
mod packages;
mod rights;

use std::path::{Path, PathBuf};

use crate::command::{Failure, Tool};
pub use compiler::BpfCompiler;
pub use linker::VERSION as BPF_LINKER_VERSION;
pub use rights::{Rights, require_root};

/// What builds the BPF half.
pub struct BpfToolchain {
    /// The compiler, with the source of its own `core`.
    pub compiler: BpfCompiler,
    /// Folder that holds `bpf-linker`, to be put first in `PATH`.
    pub linker_folder: PathBuf,
}

/// Words of the verb.
#[derive(clap::Args)]
pub struct Options {
    /// Also what only `bench peers` needs
    #[arg(long)]
    with_peers: bool,
}

/// Runs the verb: all needs at once.
///
/// # Errors
/// Something is missing and could not be repaired.
pub fn run(options: &Options) -> Result<(), Failure> {
    let rights = Rights::found();
    let mut remedies = Vec::new();
    let mut lab = for_lab_with(&rights, &mut remedies);
    if options.with_peers {
        lab = lab.and_then(|()| packages::ensure_peers(&rights, &mut remedies));
    }
    let toolchain = for_build_with(&rights, &mut remedies);
    lab?;
    let toolchain = toolchain?;
    if !remedies.is_empty() {
        return Err(Failure::Incomplete { remedies });
    }
    if let Some(toolchain) = toolchain {
        println!("setup: complete; BPF half: {}, bpf-linker {}", toolchain.compiler.title(), linker::VERSION);
    }
    Ok(())
}

/// Makes sure of what plain cargo needs for the daemon and the tests, before anything is compiled.
///
/// # Errors
/// Something is missing and could not be repaired.
pub fn for_cargo() -> Result<(), Failure> {
    let mut remedies = Vec::new();
    packages::ensure_build(&Rights::found(), &mut remedies)?;
    if remedies.is_empty() { Ok(()) } else { Err(Failure::Incomplete { remedies }) }
}

/// Makes sure of what `cargo xtask build` needs.
///
/// # Errors
/// Something is missing and could not be repaired.
pub fn for_build() -> Result<BpfToolchain, Failure> {
    let mut remedies = Vec::new();
    let toolchain = for_build_with(&Rights::found(), &mut remedies)?;
    toolchain.filter(|_| remedies.is_empty()).ok_or(Failure::Incomplete { remedies })
}

/// Makes sure of what the lab needs.
///
/// # Errors
/// Something is missing and could not be repaired.
pub fn for_lab() -> Result<(), Failure> {
    let mut remedies = Vec::new();
    for_lab_with(&Rights::found(), &mut remedies)?;
    if remedies.is_empty() { Ok(()) } else { Err(Failure::Incomplete { remedies }) }
}

/// Makes sure that the resolvers of `bench peers` are installed. Refuses to install them unasked.
///
/// # Errors
/// [`Failure::Incomplete`].
pub fn peers_are_there() -> Result<(), Failure> {
    let missing = packages::missing_peers();
    if missing.is_empty() {
        return Ok(());
    }
    let remedy = format!("cargo xtask setup --with-peers    # for {}", missing.join(", "));
    Err(Failure::Incomplete { remedies: vec![remedy] })
}

/// Makes sure of what `cargo xtask dist` needs besides a build. Returns the folder that holds cargo-deb.
///
/// # Errors
/// cargo-deb cannot be built.
pub fn for_dist() -> Result<PathBuf, Failure> {
    let folder = crate::paths::tools().join("bin");
    let said = look(Tool::new(folder.join("cargo-deb")).arg("--version")).unwrap_or_default();
    if said.split_whitespace().last() != Some(CARGO_DEB_VERSION) {
        let build_folder = crate::paths::tools().join("build-deb");
        Tool::cargo()
            .args(["install", "cargo-deb", "--version", CARGO_DEB_VERSION, "--locked", "--force", "--root"])
            .arg(crate::paths::tools())
            .arg("--target-dir")
            .arg(&build_folder)
            .run()?;
        crate::command::remove(&build_folder)?;
    }
    Ok(folder)
}

/// Version of cargo-deb.
const CARGO_DEB_VERSION: &str = "3.8.0";

/// The needs of both halves. `None` when what is missing has been added to `remedies`.
fn for_build_with(rights: &Rights, remedies: &mut Vec<String>) -> Result<Option<BpfToolchain>, Failure> {
    packages::ensure_build(rights, remedies)?;
    let Some(compiler) = compiler::ensure(rights, remedies)? else {
        return Ok(None);
    };
    let linker_folder = linker::ensure(&compiler)?;
    Ok(Some(BpfToolchain { compiler, linker_folder }))
}

/// The lab's needs. What cannot be repaired is added to `remedies`.
fn for_lab_with(rights: &Rights, remedies: &mut Vec<String>) -> Result<(), Failure> {
    packages::ensure(rights, remedies)?;
    ensure_bpffs(rights, remedies)
}

/// Mounts bpffs where programs and maps are pinned.
fn ensure_bpffs(rights: &Rights, remedies: &mut Vec<String>) -> Result<(), Failure> {
    let mounts = crate::command::read(Path::new("/proc/self/mounts"))?;
    let mounted = mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some(BPFFS) && words.next() == Some("bpf")
    });
    if mounted {
        return Ok(());
    }
    let words = ["mount", "-t", "bpf", "bpf", BPFFS];
    match rights.tool(words[0]) {
        Some(tool) => tool.args(&words[1..]).run(),
        None => {
            remedies.push(words.join(" "));
            Ok(())
        }
    }
}

/// Whether a program is in `PATH` or in the folders of system programs, which are not in everybody's.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Output of a program that only looks; `None` when it is not there or fails.
fn look(tool: Tool) -> Option<String> {
    tool.quiet_output().ok()
}

/// Mount point of bpffs.
const BPFFS: &str = "/sys/fs/bpf";
