//! Scenarios that nobody meant: text that a few changes have made of a sound one.
//!
//! In: chance, from a fixed seed. Out: nothing; a test that reads, and now and then plays, what came of it, and that fails if anything
//! panics. Every word of both dialects stands in the text that is changed.

use super::play::play;
use super::script::Script;
use super::settings::Settings;
use crate::random::Random;

/// A sound scenario with every word.
const SOUND: &str = r#"server:
	trust-anchor: "example.com. 3600 IN DS 55566 8 2 9c148338951ce1c3b5cd3da532f3d90dfcf92595148022f2c2fd98e5deee90af"
	val-override-date: "20070916134226"
	target-fetch-policy: "0 0 0 0 0"
	qname-minimisation: "no"
	fake-sha1: yes
	serve-expired: yes
	serve-expired-ttl: 10
	serve-expired-reply-ttl: 20
	serve-expired-client-timeout: 0
	val-nsec3-keysize-iterations: "1024 150 2048 500"
	access-control: 127.0.0.0/8 allow_snoop
	cache-max-ttl: 100
	discard-timeout: 0
	do-ip6: no
stub-zone:
	name: "."
	stub-addr: 1.2.3.4 # the root
forward-zone:
	name: "b.example"
	forward-addr: 1.2.3.5@53
CONFIG_END
SCENARIO_BEGIN sound
RANGE_BEGIN 0 100
	ADDRESS 1.2.3.4
ENTRY_BEGIN
MATCH opcode qtype qname UDP DO
ADJUST copy_id copy_query
REPLY QR AA NOERROR
SECTION QUESTION
. IN NS
SECTION ANSWER
$TTL 60
. IN NS ns.
SECTION ADDITIONAL
ns. IN A 1.2.3.4
HEX_EDNSDATA_BEGIN
00 0a 00 00
HEX_EDNSDATA_END
ENTRY_END
ENTRY_BEGIN
MATCH opcode subdomain
ADJUST do_not_answer
REPLY QR
SECTION QUESTION
$ORIGIN example.
silent IN A
ENTRY_END
ENTRY_BEGIN
MATCH opcode
ADJUST copy_id copy_query
REPLY QR AA NXDOMAIN
SECTION AUTHORITY
. 10 IN SOA ns. host. 1 2 3 4 5
ENTRY_END
RANGE_END
STEP 1 QUERY ADDRESS 127.0.0.2
ENTRY_BEGIN
MATCH TCP
REPLY RD DO CD
SECTION QUESTION
www.example. IN A
ENTRY_END
STEP 2 CHECK_OUT_QUERY
ENTRY_BEGIN
MATCH opcode
SECTION QUESTION
www.example. IN A
ENTRY_END
STEP 3 REPLY
ENTRY_BEGIN
REPLY QR SERVFAIL
SECTION QUESTION
www.example. IN A
HEX_ANSWER_BEGIN
00 00 81 83
HEX_ANSWER_END
ENTRY_END
STEP 4 TIMEOUT
STEP 5 ERROR
STEP 6 TRAFFIC
STEP 7 NOTHING
STEP 8 ASSIGN t0 = ${time}
STEP 9 TIME_PASSES EVAL ${$t0 + 2*3 - ${range 0 ${timeout} 10000}}
STEP 10 TIME_PASSES ELAPSE 10.5
STEP 11 CHECK_ANSWER
ENTRY_BEGIN
MATCH all ttl ede=any ednsdata
REPLY QR RD RA SERVFAIL
SECTION QUESTION
www.example. IN A
ENTRY_END
STEP 12 QUERY
ENTRY_BEGIN
RAW
b5c9ca3d50104320f4120000000000000000
ENTRY_END
STEP 13 CHECK_AUTOTRUST example.com
FILE_BEGIN
;;id: example.com. 1
FILE_END
SCENARIO_END
"#;
/// Texts that are read.
const READ: usize = 3000;
/// Of those that can be read, so many are played: one in ten.
const PLAYED_ONE_IN: usize = 10;
/// Pieces that are put in.
const PIECES: &[&str] = &[
    "",
    " ",
    "\n",
    ";",
    "#",
    "\"",
    "0",
    "-1",
    "99999999999999999999",
    "4294967295",
    "1e300",
    "${",
    "}",
    "$",
    ".",
    "..",
    "\u{e4}",
    "\0",
    "ENTRY_BEGIN",
    "ENTRY_END",
    "RANGE_END",
    "STEP 3 ",
    "yes",
    "\\# 3 ",
    "example.",
    "AAAA",
    "AUTOTRUST_FILE a\n",
    "ede=",
    "1.2.3.4",
];

/// The sound text with up to five changes to its lines and letters.
fn mutated(chance: &mut Random) -> String {
    let mut lines: Vec<String> = SOUND.lines().map(str::to_owned).collect();
    for _ in 0..=chance.below(5) {
        let (at, other) = (chance.below(lines.len()), chance.below(lines.len()));
        match chance.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.swap(at, other),
            2 => lines.insert(at, lines[other].clone()),
            3 => lines.insert(at, PIECES[chance.below(PIECES.len())].to_owned()),
            _ => {
                let mut letters: Vec<char> = lines[at].chars().collect();
                let from = chance.below(letters.len() + 1);
                let to = from + chance.below(letters.len() - from + 1).min(chance.below(12));
                letters.splice(from..to, PIECES[chance.below(PIECES.len())].chars());
                lines[at] = letters.into_iter().collect();
            }
        }
    }
    lines.join("\n")
}

#[test]
fn no_text_makes_the_reader_or_the_player_panic() {
    let mut chance = Random::new(0x2545_f491_4f6c_dd1d);
    let (mut read, mut played, mut telling) = (0, 0, 0);
    for _ in 0..READ {
        let text = mutated(&mut chance);
        let Ok(script) = Script::read(&text) else { continue };
        read += 1;
        if Settings::read(&script.config).is_ok() && read % PLAYED_ONE_IN == 0 {
            let mut told = Vec::new();
            played += 1;
            // Whether it passes is of no matter: most cannot.
            _ = play(script, &mut told);
            telling += usize::from(!told.is_empty());
        }
    }
    assert!(
        read > READ / 20 && played > 10 && telling > 5,
        "{read} read, {played} played, {telling} of them asked servers"
    );
}

#[test]
fn the_text_that_is_changed_is_read_and_played() {
    let script = Script::read(SOUND).unwrap();
    assert_eq!((script.ranges[0].entries.len(), script.steps.len()), (3, 13));
    let mut told = Vec::new();
    // Its steps are there for their words: they do not make sense together.
    assert!(play(script, &mut told).is_err_and(|failure| failure.to_string().starts_with("step ")), "{told:?}");
    assert!(!told.is_empty());
}
