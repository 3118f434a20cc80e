//! The file in which the followed keys live (RFC 5011), one key a line, for people to read.
//!
//! In: [`TrustPoint`]s. Out: the same, from text that was written here. The last line says that it is the last, so that a
//! file that was cut short is known as such.
//! Refuses: anything it does not understand, with the line; nothing is ever guessed or silently begun anew, as that would
//! bring revoked keys back.
//!
//! ```text
//! version 1
//! zone . success 2026-11-23T04:00:00Z next 2026-11-24T04:00:00Z retry 17280
//! key valid since 2026-11-23T04:00:00Z until - DNSKEY 257 3 8 AwEAAa96… ; 38696
//! end
//! ```

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::rfc5011::{FollowedKey, KeyState, TrustPoint};
use crate::replace::replace_file;
use crate::wire::Name;

/// First lines of the file.
const HEAD: &str = "# Keys of the trust anchors, followed by RFC 5011. Written by the resolver: do not edit it while that runs.\n\
                    # It remembers which keys were revoked. Without this file, the next start begins with the configured anchors.\n\
                    version 1\n";

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be read.
    #[error("cannot read trust-anchor-state {}: {source}; make it readable, or move it away to begin with the configured anchors", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not what was written.
    #[error(
        "trust-anchor-state {}:{line}: {what}; restore it from a backup, or, after checking that the configured anchors are \
         not revoked, move it away to begin with them", path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It cannot be written.
    #[error("cannot write trust-anchor-state {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Reads the file; none if there is none.
///
/// # Errors
/// It cannot be read or understood.
pub fn read(path: &Path) -> Result<Option<Vec<TrustPoint>>, StateError> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let malformed = |(line, what)| StateError::Malformed { path: path.to_owned(), line, what };
            parse(&text).map(Some).map_err(malformed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::Unreadable { path: path.to_owned(), source }),
    }
}

/// Replaces the file.
///
/// # Errors
/// The system's; the old file is then as it was.
pub fn write(path: &Path, points: &[TrustPoint]) -> Result<(), StateError> {
    let written = replace_file(path, text(points).as_bytes());
    written.map_err(|source| StateError::Unwritable { path: path.to_owned(), source })
}

/// A time for people, and for reading back.
pub fn date(unix_s: u64) -> String {
    let time = i64::try_from(unix_s).ok().and_then(|unix_s| OffsetDateTime::from_unix_timestamp(unix_s).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| "-".to_owned())
}

fn text(points: &[TrustPoint]) -> String {
    let mut text = HEAD.to_owned();
    let date = |unix_s| if unix_s == 0 { "-".to_owned() } else { date(unix_s) };
    for point in points {
        let (success, next) = (date(point.success_at_s), date(point.next_look_at_s));
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "zone {} success {success} next {next} retry {}", point.zone, point.retry_s);
        for key in &point.keys {
            let [f0, f1, protocol, algorithm, public @ ..] = &*key.rdata else { continue };
            let _infallible = writeln!(
                text,
                "key {} since {} until {} DNSKEY {} {protocol} {algorithm} {} ; {}",
                key.state.name(),
                date(key.since_s),
                date(key.until_s),
                u16::from_be_bytes([*f0, *f1]),
                BASE64.encode(public),
                key.tag().unwrap_or_default()
            );
        }
    }
    text.push_str("end\n");
    text
}

fn parse(text: &str) -> Result<Vec<TrustPoint>, (usize, &'static str)> {
    let mut points: Vec<TrustPoint> = Vec::new();
    let (mut has_version, mut lines) = (false, 0);
    for (line, number) in text.lines().zip(1..) {
        lines = number;
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let fail = |what| (number, what);
        match (words.as_slice(), has_version) {
            ([], _) => {}
            (["version", "1"], false) => has_version = true,
            (["version", ..], _) | (_, false) => return Err(fail("not a file of version 1")),
            (["zone", name, "success", success, "next", next, "retry", retry], true) => {
                let zone: Name = name.parse().map_err(|_| fail("no name of a zone"))?;
                if points.iter().any(|point| point.zone == zone) {
                    return Err(fail("the zone is there twice"));
                }
                let time = |text: &str| read_date(text).ok_or(fail("no time"));
                let (success_at_s, next_look_at_s) = (time(success)?, time(next)?);
                let retry_s = retry.parse().map_err(|_| fail("no number of seconds"))?;
                points.push(TrustPoint { zone, keys: Vec::new(), success_at_s, next_look_at_s, retry_s });
            }
            (["key", words @ ..], true) => {
                let point = points.last_mut().ok_or(fail("a key before any zone"))?;
                let key = read_key(words).map_err(fail)?;
                if point.keys.iter().any(|known| known.rdata == key.rdata) {
                    return Err(fail("the key is there twice"));
                }
                point.keys.push(key);
            }
            (["end"], true) => return Ok(points),
            _ => return Err(fail("not a line of such a file")),
        }
    }
    Err((lines, "the file is cut short: no last line \"end\""))
}

fn read_key(words: &[&str]) -> Result<FollowedKey, &'static str> {
    let [state, "since", since, "until", until, "DNSKEY", flags, protocol, algorithm, base64] = words else {
        return Err("not a key as it is written here");
    };
    let state = KeyState::ALL.into_iter().find(|known| known.name() == *state).ok_or("no state of a key")?;
    let flags: u16 = flags.parse().map_err(|_| "flags are no number")?;
    let protocol: u8 = protocol.parse().map_err(|_| "protocol is no number")?;
    let algorithm: u8 = algorithm.parse().map_err(|_| "algorithm is no number")?;
    let public = BASE64.decode(base64.as_bytes()).map_err(|_| "the key is not base64")?;
    let [high, low] = flags.to_be_bytes();
    let rdata = [&[high, low, protocol, algorithm], &public[..]].concat().into();
    let (since_s, until_s) = (read_date(since).ok_or("no time")?, read_date(until).ok_or("no time")?);
    Ok(FollowedKey { rdata, state, since_s, until_s })
}

fn read_date(text: &str) -> Option<u64> {
    if text == "-" {
        return Some(0);
    }
    u64::try_from(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<TrustPoint> {
        let key = |number: u8, state, until_s| FollowedKey {
            rdata: [&[1, 1, 3, 15][..], &[number; 32]].concat().into(),
            state,
            since_s: 1_750_000_000,
            until_s,
        };
        let mut root = TrustPoint::new(Name::root());
        (root.success_at_s, root.next_look_at_s, root.retry_s) = (1_750_000_000, 1_750_003_600, 3600);
        root.keys = KeyState::ALL.into_iter().zip(1..).map(|(state, number)| key(number, state, 0)).collect();
        root.keys[0].until_s = 1_752_592_000;
        vec![root, TrustPoint::new("corp.example.".parse().unwrap())]
    }

    #[test]
    fn what_was_written_is_read() {
        let text = text(&points());
        assert_eq!(parse(&text), Ok(points()));
        assert!(
            text.contains(
                "\nkey add-pending since 2025-06-15T15:06:40Z until 2025-07-15T15:06:40Z DNSKEY 257 3 15 AQEB"
            )
        );
        assert!(text.contains("\nzone corp.example. success - next - retry 0\nend\n"), "{text}");
    }

    #[test]
    fn a_file_cut_at_any_line_or_changed_is_refused_with_the_line() {
        let text = text(&points());
        for length in 0..text.len() - 4 {
            assert!(parse(&text[..length]).is_err(), "{}", &text[..length]);
        }
        for (from, to, expected) in [
            ("version 1", "version 2", (3, "not a file of version 1")),
            ("zone .", "zone a..b", (4, "no name of a zone")),
            ("next 2025", "next 25", (4, "no time")),
            ("key valid", "key fine", (6, "no state of a key")),
            ("AQEB", "AQE!", (5, "the key is not base64")),
            ("zone corp.example.", "zone .", (10, "the zone is there twice")),
            ("\nend", "\nthe end", (11, "not a line of such a file")),
        ] {
            assert_eq!(parse(&text.replacen(from, to, 1)), Err(expected), "{from} to {to}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        let path = std::env::temp_dir().join(format!("resolver-state-{}", std::process::id()));
        assert!(read(&path).unwrap().is_none());
        write(&path, &points()).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), points());
        fs::write(&path, "nonsense\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(":1: not a file of version 1; restore it from a backup"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "nonsense\n", "it is left alone");
        fs::remove_file(&path).unwrap();
        let unwritable = write(Path::new("/no/such/directory/state"), &points()).unwrap_err().to_string();
        assert!(
            unwritable.contains("cannot write trust-anchor-state /no/such/directory/state: No such file"),
            "{unwritable}"
        );
    }
}
