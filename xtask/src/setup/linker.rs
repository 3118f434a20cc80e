//! Builds `bpf-linker` against the very LLVM of the BPF compiler, whose bitcode it has to read.
//!
//! In: a [`BpfCompiler`]. Out: the folder with `bpf-linker`. LLVM's development packages are not needed: a folder with
//! `lib/libLLVM.so` pointing at the compiler's own library is enough. Kept below `target/tools` and reused as long as
//! version and library are the same.

use std::{
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
};

use super::{BpfCompiler, look};
use crate::{
    command::{Failure, Tool, make_folder, read, remove, write},
    paths,
};

/// Version of bpf-linker: the newest that today's stable compiler builds.
pub const VERSION: &str = "0.13.0";

/// LLVM versions that this bpf-linker can be built against.
pub const LLVM_MAJORS: &[u32] = &[21, 22, 23];

/// Builds the linker unless the right one is there. Returns the folder to put into `PATH`.
pub fn ensure(compiler: &BpfCompiler) -> Result<PathBuf, Failure> {
    let folder = paths::tools().join("bin");
    let note = paths::tools().join("bpf-linker.llvm");
    let library = compiler.llvm_library.as_os_str().as_bytes();
    let same_library = read(&note).is_ok_and(|noted| noted.as_bytes() == library);
    let said = look(Tool::new(folder.join("bpf-linker")).arg("--version")).unwrap_or_default();
    if same_library && said.split_whitespace().nth(1) == Some(VERSION) {
        return Ok(folder);
    }
    build(compiler)?;
    write(&note, library)?;
    Ok(folder)
}

/// Builds and installs the linker below `target/tools`.
fn build(compiler: &BpfCompiler) -> Result<(), Failure> {
    let prefix = llvm_prefix(&compiler.llvm_library)?;
    let build_folder = paths::tools().join("build");
    let library_folder = compiler.llvm_library.parent().unwrap_or(Path::new("/"));
    Tool::new(&compiler.cargo)
        .without_cargo_variables()
        .env("RUSTC", &compiler.rustc)
        .env("LLVM_PREFIX", &prefix)
        // The library of a rustup toolchain is not where the dynamic loader looks.
        .env("CARGO_ENCODED_RUSTFLAGS", format!("-Clink-arg=-Wl,-rpath,{}", library_folder.display()))
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force", "--no-default-features"])
        .args(["--features", &format!("llvm-{}", compiler.llvm_major), "--root"])
        .arg(paths::tools())
        .arg("--target-dir")
        .arg(&build_folder)
        .run()?;
    remove(&build_folder)
}

/// A folder that looks like an installation of LLVM to those who link with it.
fn llvm_prefix(library: &Path) -> Result<PathBuf, Failure> {
    let prefix = paths::tools().join("llvm");
    let link = prefix.join("lib/libLLVM.so");
    remove(&prefix)?;
    make_folder(&prefix.join("lib"))?;
    symlink(library, &link).map_err(|source| Failure::File { path: link, source })?;
    Ok(prefix)
}
