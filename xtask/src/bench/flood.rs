//! What others get beside floods of one client, or of clients that are made up.
//!
//! In: nothing but a machine with two CPUs. Out: tables, line by line as runs end. Hits of XDP, and the daemon's memory, beside
//! random names, made-up sources and malformed packets: by the rig whose frames are made in the kernel. Misses of others beside
//! random names below a signed zone: in the lab, see `beside`.

use std::{fmt::Write as _, net::Ipv4Addr};

use clap::{Args, builder::PossibleValuesParser};

use super::{
    Common,
    beside::{self, Case, Rates},
    cold::Mode,
    fastpath::LOAD_TOOL,
    kernel_rig::{self, Told},
    misses::{Rig, ZONE, tools},
    report::{Figure, Machine, Measured},
};
use crate::{
    build,
    command::Failure,
    lab::{self, facts::Facts},
    setup,
};

/// Words of the verb.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Random names per second beside misses of others
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    names_per_s: u32,
    /// Only these: hits and memory, or misses by one way to answers
    #[arg(value_name = "CASE", value_parser = PossibleValuesParser::new([HITS, CASES[0].name, CASES[1].name]))]
    cases: Vec<String>,
}

impl Options {
    fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|wanted| wanted == case)
    }
}

/// The case of hits beside all floods, and of the daemon's memory after them.
const HITS: &str = "hits";

/// Each way to answers.
const CASES: [Case; 2] = [
    Case { name: "random-names-forward", mode: Mode::Forward, names: random_names },
    Case { name: "random-names-iterate", mode: Mode::Iterate, names: random_names },
];

/// Runs the verb.
///
/// # Errors
/// Something could not be built, raised or written, or nothing but void runs came.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::require_root("cargo xtask bench flood")?;
    let then = options.common.output.earlier()?;
    if options.wants(HITS) {
        kernel_rig::build()?;
    } else {
        build::run()?;
    }
    let mut machine = Machine::of_veth(LOAD_TOOL)?;
    machine.tools.push(tools());
    let (mut told, mut ended) = (Told::default(), Ok(()));
    if options.wants(HITS) {
        (told, ended) = kernel_rig::run(RIG, [options.common.runs.to_string()], |_| ());
        println!("\n{}", kernel_rig::HEAD);
        told.measured.iter().for_each(|case| println!("{}", kernel_rig::row(case, RIG)));
    }
    let misses = measure_misses(options)?;
    let results: Vec<Figure> = misses.iter().filter_map(|case| case.figure(RIG)).collect();
    beside::tell(&results);
    println!("\n{} runs each; {}; {} random names/s", options.common.runs, machine.cpu, options.names_per_s);
    told.measured.extend(misses);
    options.common.output.finish(&told.report(RIG, machine), then.as_ref())?;
    ended?;
    super::given_up(&told.measured)
}

/// Misses of others, without and with random names from an address of its own.
fn measure_misses(options: &Options) -> Result<Vec<Measured>, Failure> {
    let wanted: Vec<&Case> = CASES.iter().filter(|case| options.wants(case.name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let lab = lab::Guard::up(lab::Switch::On)?;
    let rig = Rig::new(&lab.facts)?;
    let source = add_source(&lab.facts)?;
    let rates = Rates { attack_per_s: options.names_per_s, source: Some(source) };
    println!("\n{}", beside::HEAD);
    let mut measured = Vec::new();
    for case in wanted {
        measured.extend(beside::measure(&rig, case, rates, options.common.runs)?);
    }
    lab.down()?;
    Ok(measured)
}

/// Gives the client's interface an address more; it goes with the lab.
fn add_source(facts: &Facts) -> Result<Ipv4Addr, Failure> {
    let interface = &facts.client.interfaces[0];
    let source = Ipv4Addr::from_bits(interface.ipv4.to_bits() + 100);
    let address = format!("{source}/32");
    lab::inside_namespace(&facts.client).args(["ip", "address", "add", &address, "dev", &interface.name]).output()?;
    Ok(source)
}

/// Names that do not exist, spread over the whole of a signed zone, so that each proof denies few of them.
fn random_names(facts: &Facts, count: u32) -> String {
    let hosts = facts.zones.iter().find(|zone| zone.name == ZONE).map_or(1, |zone| zone.generated_hosts.max(1));
    let run = beside::run_number();
    let mut text = String::new();
    for number in 0..count {
        // A step that is prime to their number meets all of them. A `String` takes everything.
        let _ = writeln!(text, "h{:04}x{run}x{number}.{ZONE} A", u64::from(number) * 2617 % u64::from(hosts));
    }
    text
}

const RIG: &str = "flood";
