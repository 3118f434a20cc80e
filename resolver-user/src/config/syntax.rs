//! dnsmasq's line syntax: `name`, `name=value`, `name = value`, `#` after white space starts a comment, double quotes keep
//! white space, `#` and `,` as they are, and inside them a backslash escapes.

/// One option as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawOption {
    /// Its name.
    pub(super) name: String,
    /// Its value, with quoted characters that would mean something hidden; see [`reveal`].
    pub(super) value: Option<String>,
}

/// A quote that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenQuote;

/// Cuts a line into its option; none if it is empty or a comment.
pub(super) fn read_line(line: &str) -> Result<Option<RawOption>, OpenQuote> {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    let mut after_white = true;
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                read_quoted(&mut characters, &mut text)?;
                after_white = false;
            }
            '#' if after_white => break,
            _ => {
                after_white = character.is_whitespace();
                text.push(if after_white { ' ' } else { character });
            }
        }
    }
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(match text.split_once('=') {
        Some((name, value)) => RawOption { name: name.trim().to_owned(), value: Some(value.trim().to_owned()) },
        None => RawOption { name: text.to_owned(), value: None },
    }))
}

/// Copies up to the closing quote.
fn read_quoted(characters: &mut std::str::Chars<'_>, text: &mut String) -> Result<(), OpenQuote> {
    loop {
        match characters.next().ok_or(OpenQuote)? {
            '"' => return Ok(()),
            '\\' => match characters.next().ok_or(OpenQuote)? {
                't' => text.push('\t'),
                'n' => text.push('\n'),
                'b' => text.push('\x08'),
                'r' => text.push('\r'),
                'e' => text.push('\x1b'),
                character @ ('"' | '\\') => text.push(character),
                // Not an escape: both characters stand for themselves.
                character => text.extend(['\\', hide(character)]),
            },
            character => text.push(hide(character)),
        }
    }
}

/// Replaces a character that separates things by one of the private-use area.
fn hide(character: char) -> char {
    match character {
        ',' | '#' | '=' | '/' | '@' | ' ' => char::from_u32(HIDDEN + u32::from(character)).unwrap_or(character),
        _ => character,
    }
}

/// Undoes [`hide`].
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
            ("  port = 5353  # comment", Some(("port", Some("5353")))),
            ("server=127.0.0.1#5353", Some(("server", Some("127.0.0.1#5353")))),
            ("server=127.0.0.1 #5353", Some(("server", Some("127.0.0.1")))),
            ("a=\"x, y # z\"", Some(("a", Some("x, y # z")))),
            ("a=\"say \\\"hi\\\" \\\\ \\t|\"", Some(("a", Some("say \"hi\" \\ \t|")))),
            ("a=", Some(("a", Some("")))),
            ("a=b=c", Some(("a", Some("b=c")))),
        ];
        for (line, expected) in cases {
            let read = read_line(line).unwrap().map(|raw| (raw.name, raw.value.map(|value| reveal(&value))));
            let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
            assert_eq!(read, expected, "{line}");
        }
        assert_eq!(read_line("a=\"open"), Err(OpenQuote));
    }

    #[test]
    fn a_quoted_comma_separates_nothing() {
        let raw = read_line("a=\"x,y\",z").unwrap().unwrap();
        let value = raw.value.unwrap();
        assert_eq!(value.split(',').map(reveal).collect::<Vec<_>>(), ["x,y", "z"]);
    }
}
