//! Our config language against dnsmasq's, as far as a plain `cargo test` can tell: no option of dnsmasq is unknown here.
//! The lab tier asks dnsmasq itself.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use resolver_tests::daemon::{Program, TestDirectory};
use resolver_tests::dnsmasq::{Fate, options};
use resolver_user::config::{Problem, TOPICS, load};

/// The program under test.
const RESOLVER: Program = Program(env!("CARGO_BIN_EXE_resolver-under-test"));

/// What is wrong with an option in a configuration that lacks nothing else.
fn problem(name: &str) -> Option<Problem> {
    let words = ["--server=192.0.2.1".to_owned(), "--xdp=off".to_owned(), format!("--{name}")];
    let errors = load(&words).err()?;
    errors.into_iter().find(|error| error.option == name).map(|error| error.problem)
}

#[test]
fn every_option_of_dnsmasq_is_supported_or_refused_with_a_reason() {
    let mut wrong = Vec::new();
    for (name, fate) in options() {
        let told = match problem(name) {
            Some(Problem::Unknown) => None,
            Some(Problem::NotSupported { reason }) => {
                assert!(reason.len() > 20, "{name}: {reason} is no reason");
                Some(Fate::Refused)
            }
            _ => Some(Fate::Supported),
        };
        if told != Some(fate) {
            wrong.push(format!(
                "{name}: should be {fate:?}, is {}",
                told.map_or("unknown".into(), |told| format!("{told:?}"))
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn options_are_declared_once_with_help_and_legal_values() {
    let mut names = Vec::new();
    let mut letters = Vec::new();
    for spec in TOPICS.iter().flat_map(|topic| topic.options) {
        assert!(!spec.help.is_empty() && !spec.legal.is_empty(), "{}", spec.name);
        names.push(spec.name);
        letters.extend(spec.letter);
    }
    for list_is_unique in [is_unique(&mut names), is_unique(&mut letters)] {
        assert!(list_is_unique);
    }
}

#[test]
fn a_test_tells_everything_and_its_exit_code_is_dnsmasqs() {
    let directory = TestDirectory::new();
    let right = directory.file("right", "server=192.0.2.1\nxdp=off\n");
    let wrong = directory.file("wrong", "frobnicate\nport=x\n");
    let lost = directory.file("lost", "conf-file=/no/such/file\nport=x\n");
    for verb in [&["--test"][..], &["run", "--test"], &["test-config"]] {
        for (file, code, told) in [
            (&right, 0, &[][..]),
            (&wrong, 1, &["wrong:1: option \"frobnicate\": unknown option", "wrong:2: option \"port\", value \"x\""]),
            (&lost, 3, &["lost:1: option \"conf-file\"", "lost:2: option \"port\""]),
        ] {
            let output = RESOLVER.output(&[verb, &["-C", file]].concat());
            let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(code), "{verb:?} {file}: {errors}");
            assert_eq!(said == "syntax check OK.\n", code == 0, "{verb:?} {file}: {said}");
            assert!(told.iter().all(|line| errors.contains(line)), "{verb:?} {file}: {errors}");
        }
    }
}

#[test]
fn options_may_come_by_standard_input() {
    for (text, code) in [("server=192.0.2.1\nxdp=off\n", 0), ("server=192.0.2.1\nport=x\n", 1)] {
        let mut command = Command::new(RESOLVER.0);
        command.args(["--test", "--conf-file=-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("our child");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert_eq!(errors.contains("-:2: option \"port\""), code == 1, "{errors}");
    }
}

#[test]
fn every_test_that_the_table_of_the_guides_options_names_is_there() {
    let table = include_str!("../guide/options.md");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = String::new();
    for folder in ["tests", "resolver-user/src"] {
        collect(&workspace.join(folder), &mut sources);
    }
    let rows: Vec<&str> =
        table.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 4).collect();
    assert!(rows.len() >= 25, "{} rows", rows.len());
    for row in rows {
        let test = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let exists = test == "the blocks" || sources.contains(&format!("fn {}()", test.trim_matches('`')));
        assert!(exists, "no such test: {row}");
    }
}

/// Appends all Rust sources below a folder.
fn collect(folder: &Path, sources: &mut String) {
    for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(path).expect("a source"));
        }
    }
}

fn is_unique<T: Ord>(list: &mut [T]) -> bool {
    list.sort_unstable();
    list.windows(2).all(|pair| pair[0] != pair[1])
}
