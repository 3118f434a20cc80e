//! The `resolver` program, for tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    resolver_user::cli::main()
}
