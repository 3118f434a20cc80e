//! Every file that the fuzzer starts from, and every one that it found, keeps its claim.
//!
//! `corpus/CLAIM/*` are the seeds, `regressions/CLAIM-WHAT` the finds: named for what they broke.

use std::fs;
use std::path::{Path, PathBuf};

use resolver_tests::fuzz::{CLAIMS, Claim};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn check(claim: Claim, file: &Path) {
    println!("{}", file.display());
    claim(&fs::read(file).unwrap());
}

#[test]
fn every_seed_keeps_its_claim() {
    for (name, claim) in CLAIMS {
        let seeds = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name));
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.iter().for_each(|seed| check(*claim, seed));
    }
}

#[test]
fn every_find_keeps_its_claim() {
    for find in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions")) {
        let file_name = find.file_name().unwrap().to_string_lossy();
        if file_name == "README.md" {
            continue;
        }
        let claim = CLAIMS.iter().find(|(name, _)| file_name.starts_with(&format!("{name}-")));
        check(claim.unwrap_or_else(|| panic!("{file_name} names no claim")).1, &find);
    }
}
