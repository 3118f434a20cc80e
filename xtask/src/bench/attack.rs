//! What others wait for an answer while zones are asked that are made to cost a validator much.
//!
//! In: nothing but a machine with two CPUs. Out: a table, line by line as runs end; see `beside`.

use std::fmt::Write as _;

use clap::Args;

use super::{
    Common,
    beside::{self, Case, Rates},
    cold::Mode,
    misses::{Rig, tools},
    report::{Figure, Machine, Report},
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
}

/// The keys and signatures of KeyTrap (CVE-2023-50387), the hashes of NSEC3 (CVE-2023-50868), and for comparison as many
/// names that cost no more than others: what the load alone does, to us and to the servers that share a CPU with it.
const CASES: [Case; 3] = [
    case("keys", |facts, count| names(facts, count, lab::ATTACKS, |zone| !zone.starts_with("nsec3-"))),
    case("nsec3", |facts, count| names(facts, count, lab::ATTACKS, |zone| zone.starts_with("nsec3-"))),
    case("harmless", |facts, count| names(facts, count, lab::ZOO, |zone| zone == "wildcard.zoo.test.")),
];

const fn case(name: &'static str, names: fn(&Facts, u32) -> String) -> Case {
    Case { name, mode: Mode::Forward, names }
}

/// Runs the verb.
///
/// # Errors
/// Something could not be built, raised or written, or nothing but void runs came.
pub fn run(options: &Options) -> Result<(), Failure> {
    setup::require_root("cargo xtask bench attack")?;
    let then = options.common.output.earlier()?;
    build::run()?;
    let lab = lab::Guard::up(lab::Switch::On)?;
    let rig = Rig::new(&lab.facts)?;
    let machine = Machine { xdp_mode: "off".to_owned(), ..Machine::of_veth(&tools())? };
    println!("\n{}", beside::HEAD);
    let mut measured = Vec::new();
    for case in &CASES {
        let rates = Rates { attack_per_s: ATTACK_PER_S, source: None };
        measured.extend(beside::measure(&rig, case, rates, options.common.runs)?);
    }
    lab.down()?;
    let results: Vec<Figure> = measured.iter().filter_map(|case| case.figure(RIG)).collect();
    beside::tell(&results);
    let report = Report { machine, results, curves: Vec::new() };
    println!("\n{} pairs of runs; {}; {ATTACK_PER_S}/s of the attack", options.common.runs, report.machine.cpu);
    options.common.output.finish(&report, then.as_ref())?;
    super::given_up(&measured)
}

/// Names that nobody has asked for, in turn from each zone of a group that takes part.
fn names(facts: &Facts, count: u32, group: &str, takes: fn(&str) -> bool) -> String {
    let zones = facts.zones.iter().filter(|zone| zone.group == group && takes(&zone.name));
    // Each question of its own of such a zone lies below a wildcard, or below nothing.
    let below: Vec<&str> = zones.filter_map(|zone| Some(zone.questions.last()?.qname.as_str())).collect();
    let run = beside::run_number();
    let mut text = String::new();
    for (number, qname) in (0..count).zip(below.iter().cycle()) {
        // A `String` takes everything.
        let _ = writeln!(text, "r{run}x{number}.{qname} A");
    }
    text
}

const RIG: &str = "attack";
/// Questions of the attack, per second.
const ATTACK_PER_S: u32 = 300;
