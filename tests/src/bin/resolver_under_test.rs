//! The `resolver` program, for tests: the same, but that a variable can make RFC 5011 wait seconds instead of a month.

use std::process::ExitCode;

use resolver_tests::daemon::HOLD_DOWN_VARIABLE;
use resolver_user::cli;
use resolver_user::trust::Timing;

fn main() -> ExitCode {
    let Ok(seconds) = std::env::var(HOLD_DOWN_VARIABLE) else { return cli::main() };
    let hold_down_s = seconds.parse().expect("seconds");
    cli::main_with(Timing {
        add_hold_down_s: hold_down_s,
        remove_hold_down_s: hold_down_s,
        interval_s_min: 1,
        refresh_s_max: 1,
        retry_s_max: 1,
    })
}
