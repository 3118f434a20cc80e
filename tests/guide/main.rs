//! Each config block of the guide that our users follow loads as written.
//!
//! The tests are made from the guide as it is at this moment, one for each block; where it is not there, one test is named
//! that was skipped for it. The lab tier also starts a daemon on each.

use std::collections::BTreeSet;
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use resolver_tests::daemon::TestDirectory;
use resolver_tests::guide::{Block, Kind, blocks, path, statements};

/// The program under test.
const RESOLVER: &str = env!("CARGO_BIN_EXE_resolver-under-test");
/// Our unit, which has the guide's as its model.
const UNIT: &str = include_str!("../../resolver-user/packaging/resolver.service");

fn main() {
    let arguments = Arguments::from_args();
    let trials = match blocks() {
        Some(blocks) => {
            let whole = blocks.clone();
            let table = Trial::test("every_option_of_the_guide_is_in_our_table", move || are_in_the_table(&whole));
            blocks.into_iter().map(trial).chain([table]).collect()
        }
        None => {
            let name = format!("every_block_of_the_guide_loads (no guide at {}; see RESOLVER_GUIDE)", path().display());
            vec![Trial::test(name, || Err("not run".into())).with_ignored_flag(true)]
        }
    };
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(block: Block) -> Trial {
    let claim = match block.kind {
        Kind::Options => "passes_test_as_written",
        Kind::Anchors => "is_read_as_anchors",
        Kind::Unit => "is_no_stricter_than_our_unit",
    };
    let name = format!("block_of_line_{}_{claim}", block.line);
    let check = move || match block.kind {
        Kind::Options => passes(&block, &[]),
        Kind::Anchors => passes_as_anchors(&block),
        Kind::Unit => is_covered(&block),
    };
    Trial::test(name, check)
}

/// Runs `resolver --test` on the block.
fn passes(block: &Block, more: &[String]) -> Result<(), Failed> {
    let directory = TestDirectory::new();
    let file = block.write(directory.path(), ANCHORS);
    let mut command = Command::new(RESOLVER);
    command.arg("--test").arg("--conf-file").arg(file).args(more);
    // A fragment is read together with others, of which one names servers.
    if !block.names_a_server() {
        command.arg("--server=192.0.2.53");
    }
    let output = command.output()?;
    let (told, said) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    if output.status.success() && said == "syntax check OK.\n" { Ok(()) } else { Err(format!("{told}{said}").into()) }
}

/// The block as the file that `trust-anchors-file` names: it must bring an anchor, and all its lines must be right.
fn passes_as_anchors(block: &Block) -> Result<(), Failed> {
    let directory = TestDirectory::new();
    let anchors = directory.file("anchors", &block.text);
    let options =
        Block { line: block.line, kind: Kind::Options, text: format!("dnssec\ntrust-anchors-file={anchors}\n") };
    passes(&options, &["--xdp=off".to_owned()])
}

/// Everything by which the guide's unit restricts its service must stand in ours.
fn is_covered(block: &Block) -> Result<(), Failed> {
    let ours: Vec<(&str, &str)> = statements(UNIT).filter_map(|line| line.split_once('=')).collect();
    let mut missing = Vec::new();
    for (name, value) in statements(&block.text).filter_map(|line| line.split_once('=')) {
        let is_restriction = ["Protect", "Private", "Restrict", "NoNew"].iter().any(|start| name.starts_with(start));
        // A list of ours may be shorter, not longer.
        let words: Vec<&str> = value.split(' ').collect();
        let is_ours = |&&(our_name, our_value): &&(&str, &str)| {
            our_name == name && our_value.split(' ').all(|word| words.contains(&word))
        };
        if is_restriction && ours.iter().find(is_ours).is_none() {
            missing.push(format!("{name}={value}"));
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n").into()) }
}

/// Every option of every block, those that are commented out included, has a row in `options.md`.
fn are_in_the_table(blocks: &[Block]) -> Result<(), Failed> {
    let table = include_str!("options.md");
    let of_options = blocks.iter().filter(|block| block.kind == Kind::Options);
    let lines = of_options.flat_map(|block| block.text.lines()).map(str::trim);
    // A comment is an option if it is one word, or a word and its value.
    let lines =
        lines.map(|line| line.trim_start_matches("# ")).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names = lines.filter(|line| !line.contains(' ')).filter_map(|line| line.split('=').next());
    let missing: BTreeSet<&str> =
        names.filter(|name| is_option(name) && !table.contains(&format!("| `{name}` |"))).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}").into()) }
}

fn is_option(name: &str) -> bool {
    name.len() > 3
        && name.chars().all(|character| character == '-' || character.is_ascii_lowercase())
        && !name.starts_with('-')
}

/// A file of anchors that is right.
const ANCHORS: &str = ".,38696,8,2,683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16\n";
