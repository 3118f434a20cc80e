//! `cargo xtask build`: both halves. The BPF objects come first, because the daemon carries the XDP one inside itself.
//!
//! Out: `target/bpf/bpfel-unknown-none/bpf/{xdp,bench}` and `target/release/resolver`.

use std::path::PathBuf;

use crate::{
    command::{Failure, Tool},
    paths,
    setup::{self, BpfToolchain},
};

/// What a build leaves behind.
pub struct Built {
    /// The daemon.
    pub resolver: PathBuf,
    /// The object with the XDP program, which the daemon carries too.
    pub xdp_object: PathBuf,
    /// The object with the programs of the benchmark rig.
    pub bench_object: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// Setup is incomplete, or something does not compile.
pub fn run() -> Result<Built, Failure> {
    let toolchain = setup::for_build()?;
    bpf_objects(&toolchain)?;
    let built = Built {
        resolver: paths::resolver(),
        xdp_object: paths::bpf_object("xdp"),
        bench_object: paths::bpf_object("bench"),
    };
    Tool::cargo()
        .env("RESOLVER_BPF_OBJECT", &built.xdp_object)
        .args(["build", "--release", "--package", "resolver-user", "--target-dir"])
        .arg(paths::target())
        .run()?;
    Ok(built)
}

/// Builds the kernel half for BPF, with `core` from source.
fn bpf_objects(toolchain: &BpfToolchain) -> Result<(), Failure> {
    let compiler = &toolchain.compiler;
    Tool::new(&compiler.cargo)
        .without_cargo_variables()
        .path_first(&toolchain.linker_folder)
        .env("RUSTC", &compiler.rustc)
        // Lets a stable compiler build `core`, which is what `-Z build-std` asks for.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", bpf_flags())
        .args(["build", "--package", "resolver-ebpf", "--features", "bpf", "--bins"])
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core", "--profile", "bpf", "--target-dir"])
        .arg(paths::bpf_target())
        .run()
}

/// Flags of the BPF half: the architecture whose kernel structures are meant, type information for the maps and the
/// verifier, unaligned loads as one instruction, and the instructions of Linux 5.1 (arithmetic and jumps of 32 bits).
fn bpf_flags() -> String {
    let architecture = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
    let flags = [
        architecture.as_str(),
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        "-Clinker=bpf-linker",
        "-Ctarget-feature=+allows-misaligned-mem-access",
        "-Ctarget-cpu=v3",
    ];
    flags.join(ENCODED_FLAG_SEPARATOR)
}

/// What stands between flags in `CARGO_ENCODED_RUSTFLAGS`.
const ENCODED_FLAG_SEPARATOR: &str = "\x1f";
