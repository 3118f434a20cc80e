//! The rig of `cargo xtask bench restarts`: `restarts-rig KILLS`, as root, in a lab that is up.
//!
//! Out: for each kill one line of JSON, a [`Window`](resolver_tests::restarts::Window).

use std::process::ExitCode;

use resolver_tests::{lab, restarts};

fn main() -> ExitCode {
    let Some(kills) = std::env::args().nth(1).and_then(|word| word.parse().ok()) else {
        eprintln!("restarts-rig KILLS");
        return ExitCode::FAILURE;
    };
    restarts::run(&lab::facts(), "", kills, |window| println!("{}", window.json()));
    ExitCode::SUCCESS
}
