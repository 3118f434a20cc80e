//! A scenario file, read: configuration, what servers answer when, and the steps. Entries are read by [`super::entry`].
//!
//! In: the text of a `.rpl` file, in Unbound's dialect or in Deckard's. Out: a [`Script`]. Words that neither dialect has are
//! errors, so that no part of a script is left out silently; and so are words of either that ask for a feature that we do not claim.

use std::net::IpAddr;
use std::str::Lines;

use thiserror::Error;

use super::expression::Expression;
use super::record::{Asked, Defaults, Record, RecordError};

/// A scenario.
#[derive(Clone, Debug)]
pub struct Script {
    /// Lines in front of `CONFIG_END`, comments included: some are meant.
    pub config: Vec<String>,
    /// What servers answer, in the order of the file.
    pub ranges: Vec<Range>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// What one server answers during some steps.
#[derive(Clone, Debug)]
pub struct Range {
    /// First and last step.
    pub steps: (u32, u32),
    /// Addresses; none for any address.
    pub addresses: Vec<IpAddr>,
    /// Answers; the first that matches is given.
    pub entries: Vec<Entry>,
}

/// A query, an answer, or what one must be like.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Line of the file, from 1.
    pub line: usize,
    /// What must agree, lower case.
    pub matches: Vec<String>,
    /// What is changed before it is sent, lower case.
    pub adjusts: Vec<String>,
    /// Flags, RCODE and opcode, upper case.
    pub reply: Vec<String>,
    /// The question.
    pub question: Option<Asked>,
    /// Answer, authority and additional records.
    pub sections: [Vec<Record>; 3],
    /// EDNS options, as they lie in the OPT.
    pub edns_options: Option<Vec<u8>>,
    /// The whole message, instead of all this.
    pub raw: Option<Vec<u8>>,
    /// Deckard's: some server must have answered with this before the end.
    pub is_mandatory: bool,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number.
    pub number: u32,
    /// Line of the file, from 1.
    pub line: usize,
    /// What happens.
    pub action: Action,
}

/// What happens in a step.
#[derive(Clone, Debug)]
pub enum Action {
    /// A client asks.
    Query(Entry, Option<IpAddr>),
    /// An answer that was not checked yet, in Deckard's dialect the last one, must be like this. The client it went to, if that is said.
    CheckAnswer(Entry, Option<IpAddr>),
    /// The server under test has asked this.
    CheckOutQuery(Entry, Option<IpAddr>),
    /// A query to a server is answered.
    Reply(Entry, Option<IpAddr>),
    /// The youngest query to a server gets no answer.
    Timeout,
    /// The youngest query to a server fails.
    Error,
    /// So many seconds pass.
    TimePasses(Expression),
    /// Servers go on answering until nothing is asked any more.
    Traffic,
    /// A value gets a name.
    Assign(String, Expression),
    /// The state of a followed trust anchor: its zone, and the lines of Unbound's file.
    CheckAutotrust(String, Vec<String>),
    /// Nothing.
    Nothing,
}

/// Why a file is no scenario.
#[derive(Debug, Error)]
#[error("line {line}: {fault}")]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong in a line.
#[derive(Debug, Error)]
pub enum Fault {
    /// A word that has no meaning here.
    #[error("unknown word {0:?}")]
    Word(String),
    /// A word that asks for a feature that we do not claim.
    #[error("{0}")]
    Feature(&'static str),
    /// The file ends too early.
    #[error("the file ends before {0}")]
    End(&'static str),
    /// Not a number, address or hexadecimal.
    #[error("bad value {0:?}")]
    Value(String),
    /// Not a record or question.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Script {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn read(text: &str) -> Result<Self, ScriptError> {
        let mut reader = Reader { lines: text.lines(), number: 0, defaults: Defaults::default() };
        reader.script().map_err(|fault| ScriptError { line: reader.number, fault })
    }
}

/// The lines of a file.
pub(super) struct Reader<'a> {
    lines: Lines<'a>,
    /// Of the line read last, from 1.
    pub(super) number: usize,
    /// What records leave out.
    pub(super) defaults: Defaults,
}

impl<'a> Reader<'a> {
    fn raw_line(&mut self, until: &'static str) -> Result<&'a str, Fault> {
        self.number += 1;
        self.lines.next().ok_or(Fault::End(until))
    }

    /// The next line that says something, without its comment.
    pub(super) fn line(&mut self, until: &'static str) -> Result<&'a str, Fault> {
        loop {
            let line = without_comment(self.raw_line(until)?);
            if !line.is_empty() {
                return Ok(line);
            }
        }
    }

    fn script(&mut self) -> Result<Script, Fault> {
        let mut config = Vec::new();
        loop {
            let line = self.raw_line("CONFIG_END")?;
            if line.trim().starts_with("CONFIG_END") {
                break;
            }
            config.push(line.to_owned());
        }
        let (mut ranges, mut steps) = (Vec::new(), Vec::new());
        loop {
            let line = self.line("SCENARIO_END")?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["SCENARIO_BEGIN" | "TITLE", ..] => {}
                ["SCENARIO_END", ..] => return Ok(Script { config, ranges, steps }),
                ["RANGE_BEGIN", first, last, ref at @ ..] => {
                    let at = at.iter().filter(|word| **word != "ADDRESS");
                    let addresses = at.map(|at| address(at)).collect::<Result<_, _>>()?;
                    ranges.push(self.range((number(first)?, number(last)?), addresses)?);
                }
                ["STEP", step, ref action @ ..] => {
                    let (line, number) = (self.number, number(step)?);
                    steps.push(Step { number, line, action: self.action(action)? });
                }
                _ => return Err(Fault::Word(line.to_owned())),
            }
        }
    }

    fn range(&mut self, steps: (u32, u32), addresses: Vec<IpAddr>) -> Result<Range, Fault> {
        let mut range = Range { steps, addresses, entries: Vec::new() };
        loop {
            let line = self.line("RANGE_END")?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["RANGE_END", ..] => return Ok(range),
                ["ADDRESS", at] => range.addresses.push(address(at)?),
                ["ENTRY_BEGIN", ..] => range.entries.push(self.entry()?),
                _ => return Err(Fault::Word(line.to_owned())),
            }
        }
    }

    fn action(&mut self, words: &[&str]) -> Result<Action, Fault> {
        let at = match words {
            [_, "ADDRESS", at, ..] => Some(address(at)?),
            _ => None,
        };
        Ok(match words {
            ["QUERY", ..] => Action::Query(self.next_entry()?, at),
            ["CHECK_ANSWER" | "ANSWER", ..] => Action::CheckAnswer(self.next_entry()?, at),
            ["CHECK_OUT_QUERY", ..] => Action::CheckOutQuery(self.next_entry()?, at),
            ["REPLY" | "MOCK", ..] => Action::Reply(self.next_entry()?, at),
            ["TIMEOUT", ..] => Action::Timeout,
            ["ERROR", ..] => Action::Error,
            ["NOTHING", ..] => Action::Nothing,
            ["TRAFFIC", ..] => Action::Traffic,
            ["TIME_PASSES"] => Action::TimePasses(Expression::Number(0.0)),
            ["TIME_PASSES", "ELAPSE" | "EVAL", value @ ..] => Action::TimePasses(expression(value)?),
            ["ASSIGN", ..] => assignment(&words[1..])?,
            ["CHECK_AUTOTRUST", zone, ..] => Action::CheckAutotrust((*zone).to_owned(), self.file()?),
            ["CHECK_TEMPFILE", ..] => return Err(Fault::Feature("files beside the configuration")),
            ["INFRA_RTT", ..] => return Err(Fault::Feature("round-trip times of servers set from outside")),
            ["FLUSH_MESSAGE" | "EXPIRE_MESSAGE", ..] => {
                return Err(Fault::Feature("single answers taken out of Unbound's cache of messages"));
            }
            _ => return Err(Fault::Word(words.join(" "))),
        })
    }

    fn file(&mut self) -> Result<Vec<String>, Fault> {
        let mut lines = Vec::new();
        while self.line("FILE_BEGIN")? != "FILE_BEGIN" {}
        loop {
            let line = self.raw_line("FILE_END")?;
            if line.trim() == "FILE_END" {
                return Ok(lines);
            }
            lines.push(line.to_owned());
        }
    }
}

/// `name = value`, with or without blanks.
fn assignment(words: &[&str]) -> Result<Action, Fault> {
    let text = words.join(" ");
    let (name, value) = text.split_once('=').ok_or_else(|| Fault::Value(text.clone()))?;
    Ok(Action::Assign(name.trim().to_owned(), expression(&[value])?))
}

/// The line without what follows a semicolon that is not in quotes, trimmed; nothing of a line that begins with `#`.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => return line[..at].trim(),
            _ => {}
        }
    }
    line.trim()
}

fn number(word: &str) -> Result<u32, Fault> {
    word.parse().map_err(|_| Fault::Value(word.to_owned()))
}

fn address(word: &str) -> Result<IpAddr, Fault> {
    word.split(['@', '#']).next().unwrap_or(word).parse().map_err(|_| Fault::Value(word.to_owned()))
}

fn expression(words: &[&str]) -> Result<Expression, Fault> {
    let text = words.join(" ");
    Expression::read(&text).ok_or(Fault::Value(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_ranges_and_steps_and_no_unknown_words() {
        let text = "server:\n; do-ip6: no\nCONFIG_END\nSCENARIO_BEGIN x\nRANGE_BEGIN 0 10\n ADDRESS 1.2.3.4 ; ns\n\
                    ENTRY_BEGIN\nMATCH opcode qtype\nADJUST copy_id\nREPLY QR NOERROR\nSECTION QUESTION\na. IN A\n\
                    SECTION ANSWER\na. IN TXT \"x;y\" ; z\nENTRY_END\nRANGE_END\nSTEP 1 TIME_PASSES ELAPSE 10\n\
                    STEP 2 QUERY ADDRESS 127.0.0.1\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\na. IN A\nENTRY_END\nSCENARIO_END\n";
        let script = Script::read(text).unwrap();
        assert_eq!(script.config.len(), 2);
        assert_eq!(script.ranges[0].entries[0].sections[0][0].rdata, b"\x03x;y");
        assert!(matches!(script.steps[1].action, Action::Query(_, Some(_))));
        let broken = text.replace("REPLY RD", "REPLAY RD");
        assert_eq!(Script::read(&broken).unwrap_err().line, 20);
    }
}
