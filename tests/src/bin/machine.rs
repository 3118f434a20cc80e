//! The steps by which a throw-away machine comes up; see `resolver_tests::machine`.

use std::path::PathBuf;

use resolver_tests::machine::{boot, enter};

fn main() {
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match words.iter().map(|word| word.as_path()).collect::<Vec<_>>()[..] {
        [verb, folder, cgroup] if verb.as_os_str() == "enter" => enter(folder, cgroup),
        [verb, folder] if verb.as_os_str() == "boot" => boot(folder),
        _ => panic!("enter FOLDER CGROUP, or boot FOLDER"),
    }
}
