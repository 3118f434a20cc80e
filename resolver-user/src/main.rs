//! The `resolver` program. Everything is in the library, so that tests can run it too.
//!
//! Choice: jemalloc. What is kept lies among the short-lived memory of the search that found it. With the C library's
//! allocator that leaves holes which take as much room as what is kept.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    resolver_user::cli::main()
}
