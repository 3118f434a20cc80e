//! Finds the compiler of the BPF half: one that has the source of its own `core`, which is built for the BPF target.
//!
//! In: what is installed. Out: a [`BpfCompiler`]. In this order: the active toolchain with its `rust-src`; Debian's own
//! compiler with its source; `rustup component add rust-src`; Debian's matched packages. The other half of the product
//! is always built by the active toolchain.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{find_program, linker, look, packages, rights::Rights};
use crate::command::{Failure, Tool};

/// A compiler that can build `core` for BPF.
#[derive(Clone, Debug)]
pub struct BpfCompiler {
    /// Its cargo.
    pub cargo: PathBuf,
    /// The compiler itself, not a proxy.
    pub rustc: PathBuf,
    /// The LLVM library it is linked with, which the linker must use too.
    pub llvm_library: PathBuf,
    /// Major version of that LLVM.
    pub llvm_major: u32,
    /// All that `rustc -vV` says: the same text is the same compiler.
    pub version: String,
}

impl BpfCompiler {
    /// The first line of its version.
    pub fn title(&self) -> &str {
        self.version.lines().next().unwrap_or_default()
    }

    /// Reads what a compiler says of itself. `Err` is the reason against it.
    fn examine(rustc: PathBuf, cargo: PathBuf) -> Result<Self, String> {
        let Some(version) = look(Tool::new(&rustc).arg("-vV")) else {
            return Err(format!("{}: not there", rustc.display()));
        };
        let against = |reason: String| Err(format!("{}: {reason}", rustc.display()));
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        if numbers(field("release:")) < OLDEST_RELEASE.to_vec() {
            return against(format!("version {} is older than {OLDEST_RELEASE:?}", field("release:")));
        }
        let Some(sysroot) = look(Tool::new(&rustc).args(["--print", "sysroot"])) else {
            return against("does not name its sysroot".to_owned());
        };
        if !Path::new(sysroot.trim()).join(CORE_SOURCE).is_file() {
            return against("has no source of its library".to_owned());
        }
        if !cargo.is_file() {
            return against(format!("{} is missing", cargo.display()));
        }
        let llvm_major = numbers(field("LLVM version:")).first().copied().unwrap_or_default();
        if !linker::LLVM_MAJORS.contains(&llvm_major) {
            return against(format!("LLVM {llvm_major} is none of bpf-linker's: {:?}", linker::LLVM_MAJORS));
        }
        match llvm_library(&rustc) {
            Some(llvm_library) => Ok(Self { cargo, rustc, llvm_library, llvm_major, version }),
            None => against("is not linked with a shared LLVM library".to_owned()),
        }
    }
}

/// Finds or installs a compiler. `None` when what is missing has been added to `remedies`.
pub fn ensure(rights: &Rights, remedies: &mut Vec<String>) -> Result<Option<BpfCompiler>, Failure> {
    let mut tried = Vec::new();
    if let Some(compiler) = installed(&mut tried) {
        return Ok(Some(compiler));
    }
    if find_program("rustup").is_some() {
        let added = Tool::new("rustup").args(["component", "add", "rust-src"]).run_within(RUSTUP_LIMIT);
        match added.map_err(|failure| failure.to_string()).and_then(|()| active()) {
            Ok(compiler) => return Ok(Some(compiler)),
            Err(reason) => tried.push(reason),
        }
    }
    let remedies_before = remedies.len();
    packages::install(rights, remedies, DEBIAN_PACKAGES, &[])?;
    if remedies.len() > remedies_before {
        return Ok(None);
    }
    match debian() {
        Ok(compiler) => Ok(Some(compiler)),
        Err(reason) => {
            tried.push(reason);
            Err(Failure::NoBpfCompiler { tried })
        }
    }
}

/// A compiler that is there already. The reasons against the others go to `tried`.
fn installed(tried: &mut Vec<String>) -> Option<BpfCompiler> {
    for candidate in [active, debian] {
        match candidate() {
            Ok(compiler) => return Some(compiler),
            Err(reason) => tried.push(reason),
        }
    }
    None
}

/// The toolchain that builds everything else, without rustup's proxies.
fn active() -> Result<BpfCompiler, String> {
    let sysroot = look(Tool::new("rustc").args(["--print", "sysroot"]));
    let programs = Path::new(sysroot.as_deref().unwrap_or("/").trim()).join("bin");
    BpfCompiler::examine(programs.join("rustc"), programs.join("cargo"))
}

/// Debian's compiler, which stands beside rustup without disturbing it.
fn debian() -> Result<BpfCompiler, String> {
    BpfCompiler::examine("/usr/bin/rustc".into(), "/usr/bin/cargo".into())
}

/// The LLVM library that a compiler is linked with, as the dynamic loader finds it.
fn llvm_library(rustc: &Path) -> Option<PathBuf> {
    let libraries = look(Tool::new("ldd").arg(rustc))?;
    libraries.lines().find_map(|line| {
        let (name, place) = line.trim().split_once(" => ")?;
        let path = place.split(" (").next()?;
        name.starts_with("libLLVM").then(|| std::fs::canonicalize(path).ok()).flatten()
    })
}

/// The numbers of a version, for comparing.
fn numbers(version: &str) -> Vec<u32> {
    version.split(['.', '-', ' ']).map_while(|part| part.parse().ok()).collect()
}

/// Where a compiler keeps the source of `core`, below its sysroot.
const CORE_SOURCE: &str = "lib/rustlib/src/rust/library/core/Cargo.toml";

/// Oldest compiler that the workspace and its BPF crates can be built with.
const OLDEST_RELEASE: [u32; 2] = [1, 95];

/// Debian's compiler for web browsers and its source: newer than the ordinary one, and always of one version.
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// How long rustup may take. It retries for minutes where it has no network.
const RUSTUP_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("1.100.0") > numbers("1.95.0"));
        assert!(numbers("1.95.0") >= OLDEST_RELEASE.to_vec());
        assert_eq!(numbers("1.97.0-nightly"), [1, 97, 0]);
    }
}
