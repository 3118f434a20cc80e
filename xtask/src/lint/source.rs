//! Rust source as the rules see it: code without comments and strings, comments without code, line by line.
//!
//! A small reader, not a parser: it knows comments, strings, raw strings, characters and lifetimes, and where tests begin.

/// One file.
pub struct Source {
    /// Path from the workspace, with slashes.
    pub path: String,
    /// The code of each line; comments, strings and characters are blank.
    pub code: Vec<String>,
    /// The comments of each line; all else is blank.
    pub comments: Vec<String>,
    /// Number of lines before the tests at the end of the file.
    pub lines_before_tests: usize,
}

impl Source {
    /// Reads a file's text.
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) = separate(text);
        let lines = |text: String| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
        let (code, comments) = (lines(code), lines(comments));
        // Tests come last in a file (house style), so the first sign of them ends the product's code.
        let lines_before_tests =
            code.iter().position(|line| line.trim_start().starts_with("#[cfg(test)]")).unwrap_or(code.len());
        Self { path: path.to_owned(), code, comments, lines_before_tests }
    }

    /// Code lines outside tests with their numbers, counted from 1.
    pub fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().take(self.lines_before_tests).enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    /// Whether the file holds nothing but tests.
    pub fn is_all_tests(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

/// What the reader is in the middle of.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Code,
    LineComment,
    /// How deep.
    BlockComment(u32),
    Text,
    /// How many `#` end it.
    RawText(usize),
}

/// Splits text into code and comments of the same shape.
fn separate(text: &str) -> (String, String) {
    let letters: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut inside = Inside::Code;
    let mut at = 0;
    while at < letters.len() {
        let rest = &letters[at..];
        let (next, len) = step(inside, rest, at.checked_sub(1).map(|before| letters[before]));
        let is_comment = |state| matches!(state, Inside::LineComment | Inside::BlockComment(_));
        for letter in &rest[..len] {
            let blank = if *letter == '\n' { '\n' } else { ' ' };
            let commented = is_comment(inside) || is_comment(next);
            code.push(if inside == Inside::Code && next == Inside::Code && len == 1 { *letter } else { blank });
            comments.push(if commented { *letter } else { blank });
        }
        inside = next;
        at += len;
    }
    (code, comments)
}

/// Takes the next few letters: what comes after them, and how many they are.
fn step(inside: Inside, rest: &[char], before: Option<char>) -> (Inside, usize) {
    let starts = |text: &str| text.chars().enumerate().all(|(index, letter)| rest.get(index) == Some(&letter));
    match inside {
        Inside::Code if starts("//") => (Inside::LineComment, 2),
        Inside::Code if starts("/*") => (Inside::BlockComment(1), 2),
        Inside::Code if starts("\"") => (Inside::Text, 1),
        Inside::Code if starts("'") => (Inside::Code, character_len(rest)),
        Inside::Code => match raw_text_start(rest, before) {
            Some((hashes, len)) => (Inside::RawText(hashes), len),
            None => (Inside::Code, 1),
        },
        Inside::LineComment => (if starts("\n") { Inside::Code } else { inside }, 1),
        Inside::BlockComment(depth) if starts("/*") => (Inside::BlockComment(depth + 1), 2),
        Inside::BlockComment(1) if starts("*/") => (Inside::Code, 2),
        Inside::BlockComment(depth) if starts("*/") => (Inside::BlockComment(depth - 1), 2),
        Inside::BlockComment(_) => (inside, 1),
        Inside::Text if starts("\\") => (inside, rest.len().min(2)),
        Inside::Text => (if starts("\"") { Inside::Code } else { inside }, 1),
        Inside::RawText(hashes) => {
            let ends =
                starts("\"") && rest.iter().skip(1).take(hashes).filter(|letter| **letter == '#').count() == hashes;
            if ends { (Inside::Code, 1 + hashes) } else { (inside, 1) }
        }
    }
}

/// Length of a character literal at the start, or 1 for the tick of a lifetime.
fn character_len(rest: &[char]) -> usize {
    match rest {
        [_, '\\', ..] => rest.iter().skip(3).position(|letter| *letter == '\'').map_or(1, |end| end + 4),
        [_, _, '\'', ..] => 3,
        _ => 1,
    }
}

/// If a raw string starts here: its `#`s, and the length of its opening.
fn raw_text_start(rest: &[char], before: Option<char>) -> Option<(usize, usize)> {
    if before.is_some_and(|letter| letter.is_alphanumeric() && letter != 'b' || letter == '_')
        || rest.first() != Some(&'r')
    {
        return None;
    }
    let hashes = rest.iter().skip(1).take_while(|letter| **letter == '#').count();
    (rest.get(1 + hashes) == Some(&'"')).then_some((hashes, hashes + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code and the comments of one line, without blanks around them.
    fn check(text: &str, code: &str, comments: &str) {
        let source = Source::new("x.rs", text);
        let spaced = |lines: &[String]| lines.join("\n").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(spaced(&source.code), code, "code of {text}");
        assert_eq!(spaced(&source.comments), comments, "comments of {text}");
    }

    #[test]
    fn comments_are_not_code() {
        check("let a = 1; // b", "let a = 1;", "// b");
        check("a /* b /* c */ d */ e", "a e", "/* b /* c */ d */");
        check("//! tokio\nuse x;", "use x;", "//! tokio");
    }

    #[test]
    fn strings_and_characters_are_not_code() {
        check(r#"f("tokio // \" x", 'a', '\'', '"', b'"') // y"#, "f( , , , , b )", "// y");
        check("r#\"a \" // b\"# c", "c", "");
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)", "");
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = Source::new("x.rs", "a\n\"b\nc\" d\n/* e\n*/ f\n#[cfg(test)]\nmod tests {}\n");
        assert_eq!(source.code[4].trim(), "f");
        assert_eq!(source.lines_before_tests, 5);
    }
}
