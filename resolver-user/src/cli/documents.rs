//! Writes what a package holds besides the program: manual pages and shell completions.
//!
//! In: the command line's own description and the table of options, so that no page can be stale. Out: files in `man/` and
//! `completions/` of a directory. Run by `cargo xtask dist`; hidden, because no user needs it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{Cli, EXIT_FILES};
use crate::config::{CONF_FILE, NOT_SUPPORTED, OptionSpec, TOPICS, Takes};

/// Where to write.
#[derive(Args)]
pub(super) struct DocumentsArguments {
    /// The directory; made if missing
    directory: PathBuf,
}

/// Writes everything.
pub(super) fn documents(arguments: &DocumentsArguments) -> ExitCode {
    match write(&arguments.directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", arguments.directory.display());
            ExitCode::from(EXIT_FILES)
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let options = "Every option of resolver.conf(5) is also a flag: --server=192.0.2.53, or -S 192.0.2.53.";
    let mut command = Cli::command().mut_subcommands(|verb| verb.after_help(options));
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "resolver", &completions)?;
    }
    command.build();
    commands_pages(&command, &man)?;
    fs::write(man.join("resolver.conf.5"), options_page())
}

/// The page of a command, and those of the commands below it.
fn commands_pages(command: &Command, man: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut page = Vec::new();
    Man::new(command.clone()).section("8").manual("resolver").render(&mut page)?;
    fs::write(man.join(format!("{name}.8")), page)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        commands_pages(below, man)?;
    }
    Ok(())
}

/// `resolver.conf(5)`, from the table of options.
fn options_page() -> String {
    let mut page = Roff::new();
    page.control("TH", ["resolver.conf", "5", "", concat!("resolver ", env!("CARGO_PKG_VERSION")), "resolver"]);
    page.control("SH", ["NAME"]).text([roman("resolver.conf - what the resolver does, in dnsmasq's words")]);
    page.control("SH", ["SYNOPSIS"]).text([roman(CONF_FILE)]);
    page.control("SH", ["DESCRIPTION"]);
    for paragraph in SYNTAX {
        page.control("PP", []).text([roman(*paragraph)]);
    }
    for topic in TOPICS {
        page.control("SH", [topic.title.to_uppercase().as_str()]);
        for spec in topic.options {
            page.control("TP", []).text(heading(spec)).text([roman(sentence(spec.help))]);
            if spec.takes != Takes::Nothing {
                page.text([roman("Legal: "), roman(spec.legal), roman(".")]);
            }
        }
    }
    page.control("SH", ["NOT SUPPORTED"]).text([roman("Options of dnsmasq that are refused, and why:")]);
    for (name, reason) in NOT_SUPPORTED {
        page.control("TP", []).text([bold(*name)]).text([roman(sentence(reason))]);
    }
    page.control("SH", ["SEE ALSO"]).text([bold("resolver"), roman("(8), "), bold("dnsmasq"), roman("(8)")]);
    page.render()
}

fn heading(spec: &OptionSpec) -> Vec<Inline> {
    let mut words = vec![bold(spec.name)];
    match spec.takes {
        Takes::Nothing => {}
        Takes::Value => words.extend([roman("="), italic("value")]),
        Takes::Perhaps => words.extend([roman("[="), italic("value"), roman("]")]),
    }
    words.extend(spec.letter.map(|letter| roman(format!(", -{letter}"))));
    words
}

/// The text with a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", rest.as_str())
}

/// How a file is written.
const SYNTAX: &[&str] = &[
    "The language is dnsmasq's: one option a line, without dashes; a # at the start of a line or after white space begins a \
     comment. Double quotes keep white space, commas and # as they are; in them \\ escapes \", \\ and the letters t, n, b, \
     r and e.",
    "On the command line an option has its dashes, and stands later than what is in this file, so that it holds. This file is \
     read first, unless the command line has a conf-file of its own. An option of dnsmasq's with one value may stand once in all \
     files; a second one is an error. Lists grow.",
    "resolver --test tells everything that is wrong with a configuration, with file, line, option, value and what is legal. \
     The exit code is 0 if nothing is, 1 for a wrong option, 3 for a file that cannot be read.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_every_option() {
        let page = options_page();
        for spec in TOPICS.iter().flat_map(|topic| topic.options) {
            assert!(page.contains(&format!("\\fB{}\\fR", spec.name.replace('-', "\\-"))), "{}", spec.name);
        }
    }

    #[test]
    fn every_command_has_a_page_and_every_shell_its_completions() {
        let directory = std::env::temp_dir().join(format!("resolver-documents-{}", std::process::id()));
        write(&directory).unwrap();
        for file in ["man/resolver.8", "man/resolver-run.8", "man/resolver-cache-dump.8", "man/resolver.conf.5"] {
            assert!(fs::read_to_string(directory.join(file)).unwrap().contains(".TH"), "{file}");
        }
        assert_eq!(fs::read_dir(directory.join("completions")).unwrap().count(), 3);
        fs::remove_dir_all(&directory).unwrap();
    }
}
