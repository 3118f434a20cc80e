//! The words of a command line, cut into options as `getopt_long` cuts them.
//!
//! In: words without the program's name. Out: options, and words that are none. `--name`, `--name=value`, `--name value` where
//! the option needs one; letters alone or together, the last one with its value attached or as the next word; after `--`
//! nothing is an option. A value that an option may have stands after `=` only.
//! Differs: a name cannot be shortened, so that a new option never changes what a script means.

use super::Takes;
use super::option::{find, find_letter};
use super::syntax::RawOption;

/// Cuts words into options. `Err` is a word that is none.
pub(super) fn cut(words: &[String]) -> Vec<Result<RawOption, String>> {
    let mut options = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            options.extend(rest.by_ref().cloned().map(Err));
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, mut value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            if value.is_none() && find(name).is_some_and(|spec| spec.takes == Takes::Value) {
                value = rest.next().cloned();
            }
            options.push(Ok(RawOption { name: name.to_owned(), value }));
        } else {
            match word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                Some(letters) => options.extend(cut_letters(word, letters, &mut rest)),
                None => options.push(Err(word.clone())),
            }
        }
    }
    options
}

/// Cuts letters that stand together; the rest behind one that needs a value is its value.
fn cut_letters<'a>(
    word: &str,
    letters: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Vec<Result<RawOption, String>> {
    let mut options = Vec::new();
    let mut letters = letters.chars();
    while let Some(letter) = letters.next() {
        let Some(spec) = find_letter(letter) else {
            options.push(Err(word.to_owned()));
            break;
        };
        let value = (spec.takes == Takes::Value).then(|| match letters.as_str() {
            "" => rest.next().cloned(),
            attached => Some(attached.to_owned()),
        });
        let done = value.is_some();
        options.push(Ok(RawOption { name: spec.name.to_owned(), value: value.flatten() }));
        if done {
            break;
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_getopt_cuts_them() {
        for (words, expected) in [
            ("--no-resolv --port=53 --port 54", "no-resolv port=53 port=54"),
            ("--port= --log-queries extra", "port= log-queries !extra"),
            ("-R -p53 -p 53 -p=53", "no-resolv port=53 port=53 port==53"),
            ("-RqC file -Rqp5 stray", "no-resolv log-queries conf-file=file no-resolv log-queries port=5 !stray"),
            ("-p", "port"),
            ("--port", "port"),
            ("-RäR -", "no-resolv !-RäR !-"),
            ("--conf-file -- -- --port=1", "conf-file=-- !--port=1"),
            ("--frob --frob=1 --=x", "frob frob=1 =x"),
        ] {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let shown: Vec<String> = cut(&words).into_iter().map(shown).collect();
            assert_eq!(shown.join(" "), expected, "{words:?}");
        }
    }

    fn shown(option: Result<RawOption, String>) -> String {
        match option {
            Ok(RawOption { name, value: Some(value) }) => format!("{name}={value}"),
            Ok(RawOption { name, value: None }) => name,
            Err(stray) => format!("!{stray}"),
        }
    }
}
