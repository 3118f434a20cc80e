//! The architecture rules and house limits that can be seen in the text, with the one table of who may import whom.
//!
//! In: a [`Source`]. Out: [`Finding`]s. The rules are numbered as in the design: 1 rooms, 2 pure rooms, 3 aya, 4 AD,
//! 5 verdicts of the kernel half, 6 hickory's types.

use super::source::Source;

/// Which rooms of the user half a room may import. `resolve.rs`, `daemon.rs` and the front doors (`lib`, `main`, `cli`)
/// alone may import any.
const ROOM_IMPORTS: &[(&str, &[&str])] = &[
    // The words of an anchor are the validator's; names, filters and times of keeping those of their rooms.
    ("config", &["cache", "filter", "local", "validator"]),
    ("local", &[]),
    ("filter", &[]),
    ("listener", &["answer"]),
    ("cache", &["answer", "filter", "validator"]),
    // It is made from what the operator says about servers.
    ("upstream", &["config"]),
    ("validator", &[]),
    ("trust", &["validator"]),
    // It writes anchors as the configuration reads them.
    ("iana", &["config", "validator"]),
    ("answer", &["filter", "validator"]),
    // It tells what a validation met, and which extended error `answer` makes of the verdict.
    ("chain", &["answer", "validator"]),
    ("witness", &[]),
    ("saved", &[]),
    ("interfaces", &[]),
    ("publish", &["answer", "interfaces"]),
    // They do what the configuration says.
    ("logging", &["config"]),
    ("process", &["config"]),
    // It shows what they report.
    ("export", &["publish", "upstream"]),
    ("control", &["config", "export", "publish", "witness"]),
];

/// A rule broken.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Counted from 1.
    pub line: usize,
    /// What the rule says.
    pub rule: String,
}

/// Holds one file against all rules.
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(place) = Place::of(&source.path) {
        for rule in RULES {
            if (rule.applies)(&place) && !source.is_all_tests() {
                findings.extend(forbidden_words(source, rule));
            }
        }
        findings.extend(room_imports(source, &place));
        if place.in_kernel(&["bin/xdp", "serve"]) {
            findings.extend(unasked_drops(source));
        }
    }
    findings.extend(long_functions(source));
    findings.extend(long_file(source));
    findings.extend(aimless_todos(source));
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// Where a file stands in one of the two halves.
struct Place<'a> {
    /// Whether in the kernel half.
    kernel: bool,
    /// Folder or file directly below `src`, without `.rs`; for a binary `bin/` and its name.
    room: &'a str,
}

impl<'a> Place<'a> {
    /// The place of a path; `None` outside the two halves.
    fn of(path: &'a str) -> Option<Self> {
        let (member, rest) = path.split_once("/src/")?;
        let kernel = match member {
            "resolver-ebpf" => true,
            "resolver-user" => false,
            _ => return None,
        };
        let depth = if rest.starts_with("bin/") { 2 } else { 1 };
        let end = rest.match_indices('/').nth(depth - 1).map_or(rest.len(), |(at, _)| at);
        Some(Self { kernel, room: rest[..end].trim_end_matches(".rs") })
    }

    /// Whether the file is in one of these rooms of the user half.
    fn in_user(&self, rooms: &[&str]) -> bool {
        !self.kernel && rooms.contains(&self.room)
    }

    /// Whether the file is in one of these rooms of the kernel half.
    fn in_kernel(&self, rooms: &[&str]) -> bool {
        self.kernel && rooms.contains(&self.room)
    }
}

/// Words that may not be said in some places.
struct Rule {
    applies: fn(&Place) -> bool,
    /// Each is found as a whole: not as part of a longer word.
    words: &'static [&'static str],
    says: &'static str,
}

/// All rules about words.
const RULES: &[Rule] = &[
    Rule {
        applies: |place| {
            place.in_user(&["validator", "answer", "chain", "filter", "local", "wire", "witness"])
                || place.in_kernel(&["wire", "serve", "abi"])
        },
        words: &[
            "tokio",
            "nix",
            "socket2",
            "std::fs",
            "std::io",
            "std::thread",
            "UdpSocket",
            "TcpStream",
            "TcpListener",
            "SystemTime",
            "Instant",
        ],
        says: "rule 2: a pure room names no socket, task, file or clock",
    },
    Rule {
        applies: |place| !place.kernel && place.room != "publish",
        words: &["aya", "aya_log", "aya_obj"],
        says: "rule 3: only publish/ names aya",
    },
    Rule {
        applies: |place| !place.kernel && place.room != "answer",
        words: &["set_authentic_data", "authentic_data ="],
        says: "rule 4: only answer/ writes AD",
    },
    Rule {
        applies: |place| place.room != "validator",
        words: &["sha1_taken_on_trust"],
        says: "rule 4: signatures are taken on trust by scripts of tests alone",
    },
    Rule {
        applies: |place| place.in_kernel(&["bin/xdp", "serve"]),
        words: &["XDP_ABORTED", "XDP_REDIRECT"],
        says: "rule 5: the kernel half returns PASS or TX, and DROP for what an operator's policy refuses",
    },
    Rule {
        applies: |place| place.kernel || !place.in_user(&["upstream", "validator", "answer", "listener", "wire"]),
        words: &["hickory_proto"],
        says: "rule 6: hickory's types stop at upstream/, validator/, answer/ and listener/",
    },
    Rule {
        applies: |place| {
            place.in_user(&[
                "wire",
                "validator",
                "chain",
                "filter",
                "local",
                "upstream",
                "listener",
                "iana",
                "saved",
                "witness",
            ]) || place.in_kernel(&["wire", "serve"])
        },
        words: &[".unwrap()", ".expect(", "panic!", "unreachable!"],
        says: "hostile input: this room does not panic",
    },
];

/// Lines that say a forbidden word.
fn forbidden_words(source: &Source, rule: &Rule) -> Vec<Finding> {
    let said = |line: &str| rule.words.iter().find(|word| says_word(line, word));
    let finding = |(line, code): (usize, &str)| {
        said(code).map(|word| Finding { line, rule: format!("{} (`{word}`)", rule.says) })
    };
    source.product_code().filter_map(finding).collect()
}

/// Lines that drop a frame without having asked its outcome, on the line before, whether an operator's policy says so. Each
/// such outcome is counted by its reason.
fn unasked_drops(source: &Source) -> Vec<Finding> {
    let lines: Vec<(usize, &str)> = source.product_code().collect();
    let is_asked = |at: usize| at.checked_sub(1).is_some_and(|before| lines[before].1.contains(".is_drop()"));
    let drops = lines.iter().enumerate().filter(|(at, (_, code))| says_word(code, "XDP_DROP") && !is_asked(*at));
    let rule = "rule 5: a frame is dropped only where the line before asks `is_drop()`";
    drops.map(|(_, (line, _))| Finding { line: *line, rule: rule.into() }).collect()
}

/// Whether a line has a word that is not part of a longer one.
fn says_word(line: &str, word: &str) -> bool {
    let part_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let starts = !word.starts_with(part_of_word) || !before.is_some_and(part_of_word);
        let ends = !word.ends_with(part_of_word) || !after.is_some_and(part_of_word);
        // `authentic_data ==` compares.
        starts && ends && !(word.ends_with('=') && after == Some('='))
    })
}

/// Rooms that a file imports without being allowed to.
fn room_imports(source: &Source, place: &Place) -> Vec<Finding> {
    if place.kernel || source.is_all_tests() || ["resolve", "daemon", "lib", "main", "cli"].contains(&place.room) {
        return Vec::new();
    }
    let own = ROOM_IMPORTS.iter().find(|(room, _)| *room == place.room);
    let imported = imported_rooms(source).into_iter().filter(|(_, room)| *room != place.room);
    match own {
        Some((_, allowed)) => imported
            .filter(|(_, room)| !allowed.contains(room))
            .map(|(line, room)| Finding { line, rule: format!("rule 1: {}/ may not import {room}/", place.room) })
            .collect(),
        None => {
            // A file that is no room may know one.
            let rooms: Vec<(usize, &str)> = imported.collect();
            let first = rooms.first().map(|(_, room)| *room);
            let others = rooms.into_iter().filter(|(_, room)| Some(*room) != first);
            let rule = |room| format!("rule 1: imports several rooms ({} and {room})", first.unwrap_or_default());
            others.map(|(line, room)| Finding { line, rule: rule(room) }).collect()
        }
    }
}

/// Every room named after `crate::`, alone or in braces, with its line.
fn imported_rooms(source: &Source) -> Vec<(usize, &'static str)> {
    let code: Vec<&str> = source.product_code().map(|(_, line)| line).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let after = at + "crate::".len();
        for (start, name) in first_names(&code[after..]) {
            if let Some((room, _)) = ROOM_IMPORTS.iter().find(|(room, _)| *room == name) {
                found.push((code[..after + start].matches('\n').count() + 1, *room));
            }
        }
    }
    found
}

/// The first name of each path after `crate::`: one, or those in braces at the first level. With their offsets.
fn first_names(text: &str) -> Vec<(usize, &str)> {
    let name_at = |start: usize| {
        let rest = &text[start..];
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        (start, &rest[..end])
    };
    if !text.starts_with('{') {
        return vec![name_at(0)];
    }
    let (mut depth, mut expected, mut names) = (0, false, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if letter.is_whitespace() => continue,
            _ if expected && depth == 1 => names.push(name_at(at)),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        expected = depth == 1 && (letter == '{' || letter == ',');
    }
    names
}

/// Functions that are too long.
fn long_functions(source: &Source) -> Vec<Finding> {
    let lines: Vec<&str> = source.product_code().map(|(_, line)| line).collect();
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        // `fn(` is a type.
        if !says_word(line, "fn ") {
            continue;
        }
        let len = function_len(&lines[index..]);
        if len > FUNCTION_LINES_MAX {
            let rule = format!("a function of {len} lines; at most {FUNCTION_LINES_MAX}");
            findings.push(Finding { line: index + 1, rule });
        }
    }
    findings
}

/// Lines of the function that starts on the first line; 0 if it has no body.
fn function_len(lines: &[&str]) -> usize {
    let start = lines[0].find("fn ").unwrap_or(0);
    let mut depth = 0_i32;
    for (index, line) in lines.iter().enumerate() {
        for letter in line[if index == 0 { start } else { 0 }..].chars() {
            match letter {
                // `[u8; 4]` in the signature is no end of it.
                '(' | '[' | '{' => depth += 1,
                ')' | ']' => depth -= 1,
                '}' if depth == 1 => return index + 1,
                '}' => depth -= 1,
                ';' if depth == 0 => return 0,
                _ => {}
            }
            if depth < 0 {
                return 0;
            }
        }
    }
    0
}

/// A file that is too long and does not say why.
fn long_file(source: &Source) -> Option<Finding> {
    let says_why = source.comments.iter().any(|line| line.trim_start().starts_with(LONG_BECAUSE));
    let lines = source.lines_before_tests;
    let rule = format!("a file of {lines} lines without its tests; split it, or say `{LONG_BECAUSE} …` at the top");
    (lines > FILE_LINES_MAX && !says_why).then_some(Finding { line: 1, rule })
}

/// Things to do that nobody is asked to do.
fn aimless_todos(source: &Source) -> Vec<Finding> {
    let aimless = |line: &str| {
        line.match_indices("TODO").any(|(at, word)| {
            let number = line[at + word.len()..].strip_prefix("(#");
            !number.is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
        })
    };
    let finding =
        |(index, _)| Finding { line: index + 1, rule: "a thing to do without the number of its issue".into() };
    source.comments.iter().enumerate().filter(|(_, line)| aimless(line)).map(finding).collect()
}

/// Longest function, in lines from `fn` to its last brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Longest file, in lines without its tests.
const FILE_LINES_MAX: usize = 600;

/// How a longer file explains itself.
const LONG_BECAUSE: &str = "//! Long because:";

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines with findings in a file of this text.
    fn check_lines(path: &str, text: &str, expected: &[usize]) {
        let findings = check(&Source::new(path, text));
        let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{path}: {text}: {findings:?}");
    }

    #[test]
    fn rooms_import_only_what_the_table_allows() {
        check_lines("resolver-user/src/answer/mod.rs", "use crate::validator::Secure;", &[]);
        check_lines("resolver-user/src/answer/mod.rs", "use crate::{\n  wire::{cache, x},\n  cache::Cache,\n};", &[3]);
        check_lines(
            "resolver-user/src/validator/chain.rs",
            "use crate::wire::Name;\nfn f() { crate::upstream::go() }",
            &[2],
        );
        check_lines("resolver-user/src/resolve.rs", "use crate::{cache, upstream, answer};", &[]);
        check_lines(
            "resolver-user/src/metrics.rs",
            "use crate::cache::A;\nuse crate::cache::B;\nuse crate::answer::C;",
            &[3],
        );
        check_lines("resolver-user/src/cache/mod.rs", "#[cfg(test)]\nuse crate::upstream::X;", &[]);
    }

    #[test]
    fn pure_rooms_name_no_socket_task_file_or_clock() {
        check_lines("resolver-user/src/validator/mod.rs", "use std::time::Instant;\nuse std::net::IpAddr;", &[1]);
        check_lines("resolver-user/src/answer/mod.rs", "// tokio is not named\nlet instant_like = 1;", &[]);
        check_lines("resolver-ebpf/src/serve/mod.rs", "use tokio::net;", &[1]);
        check_lines("resolver-user/src/listener/udp.rs", "use tokio::net::UdpSocket;", &[]);
    }

    #[test]
    fn only_publish_names_aya() {
        check_lines("resolver-user/src/publish/maps.rs", "use aya::Ebpf;", &[]);
        check_lines("resolver-user/src/daemon.rs", "use aya::Ebpf;\nlet playa = 1;", &[1]);
    }

    #[test]
    fn only_answer_writes_ad() {
        check_lines("resolver-user/src/answer/mod.rs", "m.metadata.authentic_data = true;", &[]);
        check_lines("resolver-user/src/cache/mod.rs", "m.authentic_data = true;\nif m.authentic_data == true {}", &[1]);
    }

    #[test]
    fn only_tests_take_signatures_on_trust() {
        let text = "Policy { sha1_taken_on_trust: true, ..policy }";
        check_lines("resolver-user/src/validator/policy.rs", text, &[]);
        check_lines("tests/src/scenario/play.rs", text, &[]);
        for path in
            ["resolver-user/src/config/dnssec.rs", "resolver-user/src/resolve.rs", "resolver-ebpf/src/abi/mod.rs"]
        {
            check_lines(path, text, &[1]);
        }
    }

    #[test]
    fn the_kernel_half_drops_only_what_a_policy_refuses() {
        check_lines("resolver-ebpf/src/bin/xdp/main.rs", "XDP_PASS;\nXDP_DROP;", &[2]);
        check_lines("resolver-ebpf/src/bin/xdp/main.rs", "if outcome.is_drop() {\nXDP_DROP }\nXDP_DROP", &[3]);
        check_lines("resolver-ebpf/src/serve/mod.rs", "XDP_REDIRECT;", &[1]);
        check_lines("resolver-ebpf/src/bin/bench/main.rs", "XDP_DROP;", &[]);
    }

    #[test]
    fn hickory_stops_at_its_rooms() {
        check_lines("resolver-user/src/upstream/forward.rs", "use hickory_proto::op::Message;", &[]);
        check_lines("resolver-user/src/publish/render.rs", "use hickory_proto::op::Message;", &[1]);
        check_lines("resolver-ebpf/src/abi/mod.rs", "use hickory_proto::rr;", &[1]);
    }

    #[test]
    fn rooms_with_hostile_input_do_not_panic() {
        check_lines("resolver-user/src/wire/mod.rs", "x.unwrap();\nx.unwrap_or(1);\n#[cfg(test)]\nx.unwrap();", &[1]);
        check_lines("resolver-user/src/config/mod.rs", "x.unwrap();", &[]);
    }

    #[test]
    fn functions_and_files_have_a_length() {
        let long = |lines: usize| format!("fn f(a: [u8; 4]) {{\n{}}}\n", "x;\n".repeat(lines));
        check_lines("xtask/src/a.rs", &long(68), &[]);
        check_lines("xtask/src/a.rs", &long(69), &[1]);
        check_lines("xtask/src/a.rs", &"\n".repeat(601), &[1]);
        check_lines("xtask/src/a.rs", &format!("//! Long because: it is.\n{}", "\n".repeat(601)), &[]);
        check_lines("xtask/src/a.rs", &format!("trait T {{ fn f(&self); }}\n{}", "x;\n".repeat(80)), &[]);
    }

    #[test]
    fn a_thing_to_do_has_an_issue() {
        check_lines("xtask/src/a.rs", "// TODO(#12): this\n// TODO that\nlet x = \"TODO\";", &[2]);
    }
}
