//! Developer's commands: one file per verb.
fn main() {}
