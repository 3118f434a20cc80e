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

/// The claims, their programs, and the names that `cargo xtask fuzz` takes.
#[test]
fn every_claim_has_its_program() {
    let mut claims: Vec<String> = CLAIMS.iter().map(|(name, _)| (*name).to_owned()).collect();
    claims.sort();
    let mut targets = xtask::fuzz::TARGETS.map(str::to_owned).to_vec();
    targets.sort();
    assert_eq!(claims, targets);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let sources = files(&folder.join("fuzz_targets"));
    let stems: Vec<String> =
        sources.iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(claims, stems);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for (claim, source) in claims.iter().zip(&sources) {
        assert!(manifest.contains(&format!("name = \"{claim}\"\npath = \"fuzz_targets/{claim}.rs\"")), "{claim}");
        assert!(
            fs::read_to_string(source).unwrap().contains(&format!("resolver_tests::fuzz::{claim}(bytes)")),
            "{claim}"
        );
    }
}
