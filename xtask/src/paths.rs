//! Where things lie in the checkout. Everything a verb makes is below `target/`.

use std::path::{Path, PathBuf};

/// The folder that holds the workspace's `Cargo.toml`, absolute.
pub fn workspace() -> &'static Path {
    // The manifest of this very package is one folder below the workspace, and a checkout that moved is rebuilt.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// The build folder. Choice: `CARGO_TARGET_DIR` is not honoured, so that every tool finds the objects in one place.
pub fn target() -> PathBuf {
    workspace().join("target")
}

/// Tools that setup builds for us, and its notes about them.
pub fn tools() -> PathBuf {
    target().join("tools")
}

/// Folder of the BPF build: kept apart, because it may be another compiler's.
pub fn bpf_target() -> PathBuf {
    target().join("bpf")
}

/// A BPF object by the name of its binary: `xdp` or `bench`.
pub fn bpf_object(binary: &str) -> PathBuf {
    bpf_target().join("bpfel-unknown-none/bpf").join(binary)
}

/// The daemon.
pub fn resolver() -> PathBuf {
    target().join("release/resolver")
}

/// State, configurations, keys, zones and logs of the lab.
pub fn lab() -> PathBuf {
    target().join("lab")
}

/// What tests and the demo read about the lab.
pub fn lab_facts() -> PathBuf {
    lab().join("lab.json")
}
