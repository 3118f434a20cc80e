//! x
#![allow(missing_docs, clippy::allow_attributes)]
use aya::{EbpfLoader, VerifierLogLevel, programs::Xdp};
#[test]
fn load() {
    let mut e = EbpfLoader::new()
        .override_global("XDP_LOG", &0u8, true)
        .verifier_log_level(VerifierLogLevel::STATS)
        .map_max_entries("BUCKETS", 64)
        .load_file("/work/wt/kernel/target/bpf/bpfel-unknown-none/bpf/xdp")
        .unwrap();
    for n in ["clock", "pass", "resolver"] {
        let t = std::time::Instant::now();
        let p: &mut Xdp = e.program_mut(n).unwrap().try_into().unwrap();
        match p.load() {
            Ok(()) => {}
            Err(x) => {
                let s = format!("{x:#?}");
                std::fs::write("/tmp/kdev-verifier.log", s.replace("\\n", "\n").replace("\\t", " ")).unwrap();
                panic!("refused")
            }
        }
        println!(
            "{n} {:?} {:?} verified {:?} xlated {:?} jited {:?}",
            t.elapsed(),
            p.info().unwrap().name_as_str(),
            p.info().unwrap().verified_instruction_count(),
            p.info().unwrap().size_translated(),
            p.info().unwrap().size_jitted()
        );
    }
}
