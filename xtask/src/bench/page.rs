//! Makes one page of the figures of several runs.
//!
//! In: files that `--json` wrote. Out: the page.

use std::path::PathBuf;

use clap::Args;

use super::{html, report_of};
use crate::command::{Failure, write};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    /// Where to write the page
    #[arg(long, value_name = "FILE", default_value = "target/bench.html")]
    html: PathBuf,
    /// Files that --json wrote
    #[arg(value_name = "JSON", required = true)]
    files: Vec<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// A file cannot be read or written.
pub fn run(options: &Options) -> Result<(), Failure> {
    let reports = options.files.iter().map(|path| report_of(path)).collect::<Result<Vec<_>, _>>()?;
    write(&options.html, html::page(&reports))?;
    println!("{}", options.html.display());
    Ok(())
}
