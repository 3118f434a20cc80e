//! Takes the XDP program into the binary, if `cargo xtask build` made one: the file that `RESOLVER_BPF_OBJECT` names.
//! Writes `bpf_object.rs`, an expression of type `Option<&[u8]>`.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=RESOLVER_BPF_OBJECT");
    let out_dir = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let expression = match env::var("RESOLVER_BPF_OBJECT").ok().filter(|path| !path.is_empty()) {
        None => "None",
        Some(path) => {
            println!("cargo::rerun-if-changed={path}");
            let copy = Path::new(&out_dir).join("xdp.o");
            fs::copy(&path, &copy).unwrap_or_else(|error| panic!("RESOLVER_BPF_OBJECT={path}: {error}"));
            // Aligned, because ELF readers look at 8-byte fields in place.
            "{ #[repr(C, align(64))] struct Aligned<T: ?Sized>(T); \
             const OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!(\"OUT_DIR\"), \"/xdp.o\"))); \
             Some(&OBJECT.0) }"
        }
    };
    fs::write(Path::new(&out_dir).join("bpf_object.rs"), expression).expect("OUT_DIR is writable");
}
