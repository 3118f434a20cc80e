//! DNS cookies for clients.

use std::path::Path;

use super::option::{FileKind, OptionSpec, file, flag};
use super::{ConfigError, Origin, Problem};
use crate::cookies::CookieSecret;

/// Secrets that a file may hold: one to make cookies with, and one that is accepted as well.
const SECRETS_MAX: usize = 2;
/// What such a file may be.
pub(super) const LEGAL: &str =
    "a file of one or two lines of 32 hexadecimal digits: the secret in use, then one that is accepted as well";

/// What the operator decides about cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookiesConfig {
    /// Whether clients' cookies are answered: no with `no-cookies`.
    /// Choice: on, since a client that sends none pays nothing, and one that sends one cannot be given forged answers from
    /// off its path.
    pub enabled: bool,
    /// Those of `cookie-secret-file`, the one in use first; empty without a file: secrets are then our own.
    pub secrets: Vec<CookieSecret>,
}

impl Default for CookiesConfig {
    fn default() -> Self {
        Self { enabled: true, secrets: Vec::new() }
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("no-cookies", "ignore DNS cookies of clients (RFC 7873)", |config| config.cookies.enabled = false),
    file("cookie-secret-file", "make DNS cookies with the secrets in this file (RFC 9018)", FileKind::CookieSecrets)
        .legal(LEGAL),
];

impl CookiesConfig {
    /// Reads the secrets of a file. Lines that are empty or begin with `#` say nothing. No error shows what a line says.
    pub(super) fn read_secrets(&mut self, origin: &Origin, path: &Path, text: &str, errors: &mut Vec<ConfigError>) {
        let bad = |origin: Origin, what: String| ConfigError {
            origin,
            option: SECRET_FILE.to_owned(),
            value: None,
            problem: Problem::BadValue { what, legal: LEGAL },
        };
        self.secrets.clear();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let origin = Origin::File { path: path.to_owned(), line: number };
            match read_secret(line) {
                Some(_) if self.secrets.len() == SECRETS_MAX => errors.push(bad(origin, "a third secret".to_owned())),
                Some(secret) if self.secrets.contains(&secret) => {
                    errors.push(bad(origin, "the same secret again".to_owned()));
                }
                Some(secret) => self.secrets.push(secret),
                None => errors.push(bad(origin, "not 32 hexadecimal digits".to_owned())),
            }
        }
        if self.secrets.is_empty() {
            errors.push(bad(origin.clone(), format!("{} holds no secret", path.display())));
        }
    }
}

/// Name of the option.
pub(super) const SECRET_FILE: &str = "cookie-secret-file";

fn read_secret(text: &str) -> Option<CookieSecret> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok().map(CookieSecret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (CookiesConfig, Vec<String>) {
        let (mut config, mut errors) = (CookiesConfig::default(), Vec::new());
        config.read_secrets(&Origin::CommandLine, Path::new("secrets"), text, &mut errors);
        (config, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_file_holds_the_secret_in_use_and_perhaps_another() {
        let (a, b) = ("00112233445566778899aabbccddeeff", "FFEEDDCCBBAA99887766554433221100");
        for (text, expected) in [(a.to_owned(), 1), (format!("# of both\n\n {a} \n{b}\n"), 2)] {
            let (config, errors) = read(&text);
            assert_eq!((config.secrets.len(), errors.len()), (expected, 0), "{text}");
            assert_eq!(config.secrets[0].0[..3], [0, 0x11, 0x22]);
        }
    }

    #[test]
    fn what_is_no_secret_is_told_by_line_and_not_shown() {
        let a = "00112233445566778899aabbccddeeff";
        for (text, line, what) in [
            ("", "command line", "holds no secret"),
            ("# nothing\n", "command line", "holds no secret"),
            ("\nsecretly", "secrets:2", "not 32 hexadecimal digits"),
            (&a[1..], "secrets:1", "not 32"),
            (&format!("{a}00"), "secrets:1", "not 32"),
            (&format!("{a}\n{a}"), "secrets:2", "the same"),
            (&format!("{a}\n11{}\n22{}", &a[2..], &a[2..]), "secrets:3", "a third"),
        ] {
            let (_, errors) = read(text);
            assert!(errors[0].starts_with(line) && errors[0].contains(what), "{text}: {errors:?}");
            assert!(!errors.concat().contains("secretly") && !errors.concat().contains("2233"), "{errors:?}");
        }
    }
}
