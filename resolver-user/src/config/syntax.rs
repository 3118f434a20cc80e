//! One line of a file, cut as dnsmasq cuts it.
//!
//! In: bytes up to the end of a line. Out: a [`RawOption`], nothing, or why the line cannot be read. The rules: `name`,
//! `name=value`, `name = value`; `#` after white space starts a comment; double quotes keep white space, `#` and `,` as they
//! are, and in them a backslash escapes `"`, `\`, `t`, `n`, `b`, `r`, `e`; `=` and `/` mean the same in quotes as outside.
//! Differs: a line may be of any length, a quoted string may follow another, and what is not UTF-8 is refused outside of
//! comments, because no option means bytes. `tests/lab/dnsmasq/syntax-explained.txt` has every difference.
//! Does not know any option.

/// One option as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawOption {
    /// Its name.
    pub(super) name: String,
    /// Its value, with quoted characters that would mean something hidden; see [`reveal`].
    pub(super) value: Option<String>,
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// A quote is not closed.
    OpenQuote,
    /// It is not UTF-8, or holds a zero byte.
    NotText,
}

/// Cuts a line into its option; none if it is empty or a comment.
pub(super) fn read_line(line: &[u8]) -> Result<Option<RawOption>, LineError> {
    let mut text = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied();
    let mut after_white = true;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                read_quoted(&mut bytes, &mut text)?;
                after_white = false;
            }
            b'#' if after_white => break,
            b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r' => {
                after_white = true;
                text.push(b' ');
            }
            _ => {
                after_white = false;
                text.push(byte);
            }
        }
    }
    let text = String::from_utf8(text).map_err(|_| LineError::NotText)?;
    if text.contains('\0') {
        return Err(LineError::NotText);
    }
    let text = text.trim_matches(' ');
    if text.is_empty() {
        return Ok(None);
    }
    let trimmed = |text: &str| text.trim_matches(' ').to_owned();
    Ok(Some(match text.split_once('=') {
        Some((name, value)) => RawOption { name: trimmed(name), value: Some(trimmed(value)) },
        None => RawOption { name: text.to_owned(), value: None },
    }))
}

/// Copies up to the closing quote.
fn read_quoted(bytes: &mut impl Iterator<Item = u8>, text: &mut Vec<u8>) -> Result<(), LineError> {
    loop {
        match bytes.next().ok_or(LineError::OpenQuote)? {
            b'"' => return Ok(()),
            b'\\' => match bytes.next().ok_or(LineError::OpenQuote)? {
                b't' => text.push(b'\t'),
                b'n' => text.push(b'\n'),
                b'b' => text.push(b'\x08'),
                b'r' => text.push(b'\r'),
                b'e' => text.push(b'\x1b'),
                byte @ (b'"' | b'\\') => text.push(byte),
                // Not an escape: both characters stand for themselves.
                byte => {
                    text.push(b'\\');
                    push_hidden(byte, text);
                }
            },
            byte => push_hidden(byte, text),
        }
    }
}

/// Appends a quoted byte; a character that would separate things becomes one of the private-use area.
fn push_hidden(byte: u8, text: &mut Vec<u8>) {
    match byte {
        b',' | b' ' => {
            let hidden = char::from_u32(HIDDEN + u32::from(byte)).unwrap_or(char::from(byte));
            text.extend(hidden.encode_utf8(&mut [0; 4]).bytes());
        }
        _ => text.push(byte),
    }
}

/// Shows the characters that quotes have hidden.
pub(super) fn reveal(text: &str) -> String {
    let shown = |character: char| {
        let plain = u32::from(character).checked_sub(HIDDEN).filter(|&plain| plain < 128).and_then(char::from_u32);
        plain.unwrap_or(character)
    };
    text.chars().map(shown).collect()
}

/// Start of the characters that stand for hidden ones.
const HIDDEN: u32 = 0xf000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_as_dnsmasq_cuts_them() {
        type Expected = Option<(&'static str, Option<&'static str>)>;
        let cases: &[(&str, Expected)] = &[
            ("", None),
            ("   # comment", None),
            ("no-resolv", Some(("no-resolv", None))),
            ("  port = 5353  # comment\r\n", Some(("port", Some("5353")))),
            ("server=127.0.0.1#5353", Some(("server", Some("127.0.0.1#5353")))),
            ("server=127.0.0.1 #5353", Some(("server", Some("127.0.0.1")))),
            ("port\t=\x0b53\x0c", Some(("port", Some("53")))),
            ("a=\"x, y # z\"", Some(("a", Some("x, y # z")))),
            ("a=\"say \\\"hi\\\" \\\\ \\t|\"", Some(("a", Some("say \"hi\" \\ \t|")))),
            ("a=\"\\n\\b\\r\\e\\q\"", Some(("a", Some("\n\x08\r\x1b\\q")))),
            ("a=p\"q r\"s\"t\"", Some(("a", Some("pq rst")))),
            ("a=\"p\"\"q\"", Some(("a", Some("pq")))),
            ("a=\\q 'r s'", Some(("a", Some("\\q 'r s'")))),
            ("a=\"  \"", Some(("a", Some("  ")))),
            ("a\"=b\"", Some(("a", Some("b")))),
            ("a=\"#\"#", Some(("a", Some("##")))),
            ("a=\u{a0}b\u{e9}", Some(("a", Some("\u{a0}b\u{e9}")))),
            ("a=", Some(("a", Some("")))),
            ("a=b=c", Some(("a", Some("b=c")))),
            ("=b", Some(("", Some("b")))),
        ];
        for (line, expected) in cases {
            let read = read_line(line.as_bytes()).unwrap().map(|raw| (raw.name, raw.value.map(|value| reveal(&value))));
            let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
            assert_eq!(read, expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_says_why() {
        for (line, why) in [
            (&b"a=\"open"[..], LineError::OpenQuote),
            (b"a=\"open\\", LineError::OpenQuote),
            (b"a=\"open\\\"", LineError::OpenQuote),
            (b"a=\\\"", LineError::OpenQuote),
            (b"a=\xe9", LineError::NotText),
            (b"a=b\0c", LineError::NotText),
        ] {
            assert_eq!(read_line(line), Err(why), "{}", line.escape_ascii());
        }
        assert_eq!(read_line(b"# G\xfcnther's"), Ok(None), "a comment may hold any bytes");
    }

    #[test]
    fn a_quoted_comma_separates_nothing() {
        let raw = read_line(b"a=\"x,y\",z").unwrap().unwrap();
        let value = raw.value.unwrap();
        assert_eq!(value.split(',').map(reveal).collect::<Vec<_>>(), ["x,y", "z"]);
    }
}
