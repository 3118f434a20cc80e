//! What clients get while a daemon is killed and started again, over and over, under load.
//!
//! In: how often. Out: a line for each kill, and what they come to. The lab is raised for it and taken down again.
//! Unlike other rigs this one judges: a wrong answer or a lost one, a kill after which XDP answered nothing until there was a
//! daemon again, and a question that is open longer than a second after that, are failures.

use clap::Args;

use super::{Output, kernel_rig, report::Machine};
use crate::{command::Failure, lab, setup};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    output: Output,
    /// How often the daemon is killed
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    kills: u16,
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, raised or written, or a client did not get what it must.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::require_root("cargo xtask bench restarts")?;
    let then = options.output.earlier()?;
    kernel_rig::build()?;
    let machine = Machine::of_veth(LOAD)?;
    let lab = lab::Guard::up(lab::Switch::On)?;
    let (told, ended) = kernel_rig::run(RIG, [options.kills.to_string()], |_| ());
    lab.down()?;
    println!("\n{}", kernel_rig::HEAD);
    told.measured.iter().for_each(|case| println!("{}", kernel_rig::row(case, RIG)));
    options.output.finish(&told.report(RIG, machine), then.as_ref())?;
    ended
}

/// What the load comes from.
const LOAD: &str = "three clients, each with one question open";
const RIG: &str = "restarts";
