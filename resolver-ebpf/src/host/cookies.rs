//! The cookies that the vectors' clients send, and what must come back.
//!
//! Server cookies are made here byte by byte, with the SipHash of the standard library: a second opinion on both halves.

use std::format;
use std::hash::Hasher;
use std::vec::Vec;

use super::limits::LimitCase;
use super::message::{CLIENT_V4, CLIENT_V6, ClientOpt, ClientQuery};
use super::records::{NOW_BOOT_NS, wire_name};
use super::vectors::Table;
use crate::abi::{COOKIES_OFF, CookieSecrets, CookieVerdict, LIMIT_ENFORCE, Outcome, Settings};

/// What the wall clock shows, in seconds since 1970.
pub const NOW_WALL_S: u32 = 1_900_000_000;
/// The secret that cookies are made with under [`Settings::cookies`] of 1; the other one under 2.
pub const SECRET: [u8; 16] = *b"the first secret";
/// The other one.
pub const OTHER_SECRET: [u8; 16] = *b"the other secret";
/// A client cookie.
const CLIENT_COOKIE: [u8; 8] = *b"c00kie!!";

/// Puts both secrets and the wall clock into settings.
pub fn set_secrets(settings: &mut Settings) {
    let [first, other] = [SECRET, OTHER_SECRET].map(bytemuck::must_cast);
    settings.cookie_secrets = [CookieSecrets { active: first, other }, CookieSecrets { active: other, other: first }];
    // The two clocks' seconds do not begin together.
    settings.wall_offset_ns = 999_999_999;
    settings.wall_offset_s = NOW_WALL_S - (NOW_BOOT_NS / 1_000_000_000) as u32;
}

/// A server cookie: what stands before its hash, and the hash.
#[expect(deprecated, reason = "it is kept for what it is: SipHash-2-4")]
pub fn server_cookie(secret: [u8; 16], client_cookie: [u8; 8], start: [u8; 4], made_s: u32, address: &[u8]) -> Vec<u8> {
    let [k0, k1]: [[u8; 8]; 2] = bytemuck::must_cast(secret);
    let mut hasher = std::hash::SipHasher::new_with_keys(u64::from_le_bytes(k0), u64::from_le_bytes(k1));
    let start = [start, made_s.to_be_bytes()].concat();
    hasher.write(&[client_cookie.as_slice(), &start, address].concat());
    [start, hasher.finish().to_le_bytes().into()].concat()
}

/// An EDNS option.
fn option(code: u8, data: &[u8]) -> Vec<u8> {
    [&[0, code], (data.len() as u16).to_be_bytes().as_slice(), data].concat()
}

/// The COOKIE option of a client with a server cookie.
fn cookie_option(server_cookie: &[u8]) -> Vec<u8> {
    option(10, &[CLIENT_COOKIE.as_slice(), server_cookie].concat())
}

/// The COOKIE option of a client that has just got its server cookie of us, or has none yet.
pub fn client_option(over_v6: bool, has_server_cookie: bool) -> Vec<u8> {
    let address: &[u8] = if over_v6 { &CLIENT_V6 } else { &CLIENT_V4 };
    let server = server_cookie(SECRET, CLIENT_COOKIE, START, NOW_WALL_S, address);
    cookie_option(if has_server_cookie { &server } else { &[] })
}

/// Version 1 and reserved bytes of zero.
const START: [u8; 4] = [1, 0, 0, 0];

impl Table {
    /// Queries with cookies.
    pub(super) fn cookies(&mut self, over_v6: bool) {
        let address: &[u8] = if over_v6 { &CLIENT_V6 } else { &CLIENT_V4 };
        let ours = |start, made_s| server_cookie(SECRET, CLIENT_COOKIE, start, made_s, address);
        let fresh = cookie_option(&ours(START, NOW_WALL_S));
        for (name, verdict, server) in judged(address) {
            let expected = if verdict == CookieVerdict::Valid { cookie_option(&server) } else { fresh.clone() };
            self.with_cookie(&format!("cookie {name}"), over_v6, 1, &cookie_option(&server), &expected, verdict);
        }
        // Among other options; only the first one counts, and further ones may be malformed.
        let [nsid, padding] = [option(3, &[]), option(12, &[0; 5])];
        for (name, options) in [
            (
                "behind others",
                [&nsid, &padding, &option(8, &[0, 1, 0, 0]), &cookie_option(&[])].map(Vec::as_slice).concat(),
            ),
            ("before another one", [cookie_option(&[]), option(10, &[1, 2, 3])].concat()),
            ("between others", [&padding, &cookie_option(&[]), &nsid].map(Vec::as_slice).concat()),
        ] {
            self.with_cookie(&format!("cookie {name}"), over_v6, 1, &options, &fresh, CookieVerdict::New);
        }
        // With the other secret in use.
        let other = cookie_option(&server_cookie(OTHER_SECRET, CLIENT_COOKIE, START, NOW_WALL_S, address));
        self.with_cookie("cookie, other secrets", over_v6, 2, &cookie_option(&[]), &other, CookieVerdict::New);
        self.with_cookie("cookie of the secret before", over_v6, 2, &fresh, &other, CookieVerdict::Renewed);
        for len in (0..8).chain(9..16).chain([41, 100]) {
            let query = query(over_v6, "www.example.com", option(10, &std::vec![b'x'; len]), false);
            self.passed(&format!("cookie of {len} bytes"), query.frame(), Outcome::PassEdns);
            self.set_cookies(1, None);
            self.answered_with(&format!("cookie of {len} bytes, ignored"), &query, 300, &[]);
            self.set_cookies(COOKIES_OFF, None);
        }
        let query = query(over_v6, "www.example.com", [padding, option(10, &[])].concat(), false);
        self.passed("empty cookie behind another option", query.frame(), Outcome::PassEdns);
        self.set_cookies(1, None);
        self.cookies_and_size(over_v6, &fresh);
        self.cookies_under_limits(over_v6, &fresh);
    }

    /// A server cookie of ours exempts its client from rate limits; any other cookie does not.
    fn cookies_under_limits(&mut self, over_v6: bool, fresh: &[u8]) {
        let address: &[u8] = if over_v6 { &CLIENT_V6 } else { &CLIENT_V4 };
        for (name, verdict, server) in judged(address) {
            let name = format!("over a limit, cookie {name}");
            let sent = cookie_option(&server);
            let hit = query(over_v6, "www.example.com", sent.clone(), true);
            for (slip_one_in, outcome) in [(0, Outcome::DroppedRate), (1, Outcome::PassRate)] {
                if verdict.is_valid() {
                    let expected = if verdict == CookieVerdict::Valid { &sent[..] } else { fresh };
                    self.answered_with(&name, &hit, 300, expected);
                    self.set_cookies(1, Some(verdict));
                } else {
                    self.passed(&name, hit.frame(), outcome);
                    self.set_cookies(1, None);
                }
                self.set_spent(slip_one_in);
                // Whoever knows what it is worth is asked, if the answer is not here.
                let miss = query(over_v6, "absent.example.com", sent.clone(), true);
                self.passed(&name, miss.frame(), Outcome::PassMiss);
                self.set_cookies(1, None);
                self.set_spent(slip_one_in);
            }
        }
        // Where cookies are off, the option says nothing.
        self.passed(
            "over a limit, cookies off",
            query(over_v6, "www.example.com", fresh.into(), false).frame(),
            Outcome::DroppedRate,
        );
        self.set_spent(0);
    }

    /// Lets the last vector meet budgets that are spent.
    fn set_spent(&mut self, slip_one_in: u32) {
        if let Some(vector) = self.vectors.last_mut() {
            vector.limits = Some(LimitCase { mode: LIMIT_ENFORCE, slip_one_in, spent: [true, true] });
        }
    }

    /// A cookie counts in the size of the answer.
    fn cookies_and_size(&mut self, over_v6: bool, fresh: &[u8]) {
        // The message of 523 bytes with OPT has 551 with cookies.
        for (len, fits) in [(551, true), (550, false), (523, false)] {
            let mut query = query(over_v6, "plain512.example", fresh.into(), false);
            query.qtype = 16;
            if let Some(opt) = &mut query.opt {
                opt.payload_len_max = len;
            }
            let name = format!("551 bytes with cookie, client says {len}");
            if fits {
                self.answered_with(&name, &query, 300, fresh);
                self.set_cookies(1, Some(CookieVerdict::Valid));
            } else {
                self.passed(&name, query.frame(), Outcome::PassTooLarge);
                self.set_cookies(1, None);
            }
        }
    }

    /// Queries for answers of both parities, with and without DO, whose cookies are answered with `expected`.
    fn with_cookie(
        &mut self,
        name: &str,
        over_v6: bool,
        cookies: u32,
        options: &[u8],
        expected: &[u8],
        verdict: CookieVerdict,
    ) {
        for qname in ["www.example.com", "insecure.example"] {
            for dnssec_ok in [false, true] {
                let query = query(over_v6, qname, options.into(), dnssec_ok);
                self.answered_with(&format!("{name}, {qname}, do {dnssec_ok}"), &query, 300, expected);
                self.set_cookies(cookies, Some(verdict));
            }
        }
    }

    /// Sets what the last vector meets, and what is counted of it.
    fn set_cookies(&mut self, cookies: u32, cookie: Option<CookieVerdict>) {
        if let Some(vector) = self.vectors.last_mut() {
            (vector.cookies, vector.cookie) = (cookies, cookie);
        }
    }
}

/// A query for an address.
fn query(over_v6: bool, name: &str, options: Vec<u8>, dnssec_ok: bool) -> ClientQuery {
    let opt = ClientOpt { options, ..ClientOpt::new(1232, dnssec_ok) };
    ClientQuery { over_v6, opt: Some(opt), ..ClientQuery::new(&wire_name(name), 1) }
}

/// Server cookies of a client, and what they are worth.
fn judged(address: &[u8]) -> Vec<(&'static str, CookieVerdict, Vec<u8>)> {
    use CookieVerdict::{Bad, New, Renewed, Valid};
    let ours = |start, made_s| server_cookie(SECRET, CLIENT_COOKIE, start, made_s, address);
    let now = NOW_WALL_S;
    let mut forged = ours(START, now);
    forged.iter_mut().skip(15).for_each(|byte| *byte ^= 1);
    let mut elsewhere = address.to_vec();
    elsewhere.iter_mut().skip(3).for_each(|byte| *byte ^= 0x80);
    std::vec![
        ("without server cookie", New, Vec::new()),
        ("made now", Valid, ours(START, now)),
        ("half its life old", Valid, ours(START, now - 1800)),
        ("over half its life old", Renewed, ours(START, now - 1801)),
        ("an hour old", Renewed, ours(START, now - 3600)),
        ("over an hour old", Bad, ours(START, now - 3601)),
        ("five minutes ahead", Valid, ours(START, now + 300)),
        ("over five minutes ahead", Bad, ours(START, now + 301)),
        ("half a circle away", Bad, ours(START, now ^ 0x8000_0000)),
        ("with reserved bytes", Valid, ours([1, 0xab, 0xcd, 0xef], now - 7)),
        ("of another version", Bad, ours([2, 0, 0, 0], now)),
        ("with a forged hash", Bad, forged),
        ("of another client", Bad, server_cookie(SECRET, CLIENT_COOKIE, START, now, &elsewhere)),
        ("of another client cookie", Bad, server_cookie(SECRET, *b"c00kie!?", START, now, address)),
        ("of the other secret", Renewed, server_cookie(OTHER_SECRET, CLIENT_COOKIE, START, now - 9, address)),
        ("of an unknown secret", Bad, server_cookie(*b"a third secret!!", CLIENT_COOKIE, START, now, address)),
        ("of 8 bytes", Bad, std::vec![1; 8]),
        ("of 15 bytes", Bad, std::vec![1; 15]),
        ("of 17 bytes", Bad, [ours(START, now), std::vec![0]].concat()),
        ("of 32 bytes", Bad, std::vec![1; 32]),
    ]
}
