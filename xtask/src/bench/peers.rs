//! Rig 2: cached answers of established resolvers and of ours, under the same load, as ratios to Unbound.
//!
//! In: names of peers, and for how many names the memory is to be measured. Out: a table, and how long answers take as curves.
//! Each is a validating forwarder with one thread on the second CPU; the load comes from the first.

use clap::Args;

use super::{Output, fastpath::LOAD_TOOL, kernel_rig, report::Machine};
use crate::{
    command::{Failure, Tool},
    setup,
};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    output: Output,
    /// Counted runs of each case, and as many of its baseline; 0: only memory is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    runs: u16,
    /// Measure memory with so many names in the cache. A million takes a peer four minutes to fetch
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "10000,100000", value_parser = clap::value_parser!(u32).range(1..))]
    names: Vec<u32>,
    /// Names of peers, or how they begin: unbound, bind, knot-resolver, dnsmasq, ours-user, ours-xdp; all without any
    #[arg(value_name = "PEER")]
    peers: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, run or written, or a peer could not be measured.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::require_root("cargo xtask bench peers")?;
    setup::peers_are_there()?;
    let then = options.output.earlier()?;
    kernel_rig::build()?;
    let mut machine = Machine::of_veth(LOAD_TOOL)?;
    machine.tools.extend(versions());
    let names: Vec<String> = options.names.iter().map(u32::to_string).collect();
    let words = [options.runs.to_string(), names.join(",")];
    let (told, ended) = kernel_rig::run(RIG, words.iter().chain(&options.peers), |_| ());
    println!("\n{}", kernel_rig::HEAD);
    told.measured.iter().for_each(|case| println!("{}", kernel_rig::row(case, RIG)));
    let report = told.report(RIG, machine);
    println!("\n{} runs each; {}; {}", options.runs, report.machine.cpu, report.machine.tools.join(", "));
    options.output.finish(&report, then.as_ref())?;
    ended?;
    super::given_up(&told.measured)
}

/// What the peers say about themselves.
fn versions() -> impl Iterator<Item = String> {
    [("unbound", "-V"), ("named", "-v"), ("kresd", "-V"), ("dnsmasq", "-v")].into_iter().filter_map(
        |(program, word)| {
            let said = Tool::new(setup::find_program(program)?).arg(word).quiet_output().ok()?;
            Some(format!("{program}: {}", said.lines().next()?.trim()))
        },
    )
}

const RIG: &str = "peers";
