//! DNS cookies (RFC 7873) in the one form that all servers can check (RFC 9018): made and judged, the same in both halves.
//!
//! In: what a client sent, its address, the secrets, the time. Out: what its server cookie is worth, and the one to answer with.
//! Words are 8 bytes as they lie; SipHash reads a message in just these. Refuses: finding the option, and the clock.

use crate::abi::{CookieSecrets, CookieVerdict};
use crate::wire::bytes::low_u32;

/// Code of the COOKIE option (RFC 7873 §4).
pub const OPTION_COOKIE: u16 = 10;
/// Length of a client cookie, in bytes.
pub const CLIENT_COOKIE_LEN: usize = 8;
/// Length of both cookies in an answer of ours, in bytes.
pub const COOKIES_LEN: usize = CLIENT_COOKIE_LEN + 16;
/// The whole option in an answer of ours, in bytes.
pub const COOKIE_OPTION_LEN: usize = 4 + COOKIES_LEN;

/// Longest life of a server cookie, in seconds (RFC 9018 §4.3).
pub const COOKIE_AGE_S_MAX: u32 = 3600;
/// A server cookie older than this is answered with a fresh one, in seconds (RFC 9018 §4.3).
pub const COOKIE_AGE_S_RENEWED: u32 = 1800;
/// How far a server cookie may come from the future, in seconds: another server's clock may be ahead (RFC 9018 §4.3).
pub const COOKIE_AHEAD_S_MAX: u32 = 300;

/// Whether a COOKIE option may have this length (RFC 7873 §5.2.2): a client cookie, alone or with 8 to 32 bytes of a server's.
#[inline(always)]
pub const fn is_cookie_len(len: usize) -> bool {
    len == CLIENT_COOKIE_LEN || (len >= 16 && len <= 40)
}

/// The cookies of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentCookies {
    /// The client's.
    pub client: u64,
    /// The server's.
    pub server: SentServerCookie,
}

/// The server cookie of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SentServerCookie {
    /// There is none.
    None,
    /// It is as long as ours.
    Ours([u64; 2]),
    /// It has another length.
    Foreign,
}

/// What becomes of the cookies of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cookies {
    /// What the server cookie was worth.
    pub verdict: CookieVerdict,
    /// The client's cookie, sent back.
    pub client: u64,
    /// The server cookie to answer with.
    pub server: [u64; 2],
}

impl Cookies {
    /// The COOKIE option of the answer, as it is sent.
    #[inline(always)]
    pub fn option(&self) -> [u8; COOKIE_OPTION_LEN] {
        let [start, hash] = self.server;
        bytemuck::must_cast::<[[u8; 4]; 7], _>([
            OPTION_HEAD,
            half(self.client),
            half(self.client >> 32),
            half(start),
            half(start >> 32),
            half(hash),
            half(hash >> 32),
        ])
    }
}

/// The client's address as the hash takes it: the words behind both cookies' starts, the last one with the length.
#[inline(always)]
pub fn address_v4(address: [u8; 4]) -> [u64; 1] {
    [u64::from(u32::from_le_bytes(address)) | 20 << 56]
}

/// The same for IPv6.
#[inline(always)]
pub fn address_v6(address: [u8; 16]) -> [u64; 3] {
    let [high, low]: [[u8; 8]; 2] = bytemuck::must_cast(address);
    [u64::from_le_bytes(high), u64::from_le_bytes(low), 32 << 56]
}

/// Judges the cookies of a query. `now_s` is the low 32 bits of the seconds since 1970; times are compared as serial numbers
/// (RFC 1982). A server cookie that is not valid counts for nothing: the query is one with a client cookie alone (RFC 7873 §5.2.4).
#[inline(always)]
pub fn judge<const WORDS: usize>(
    secrets: &CookieSecrets,
    sent: SentCookies,
    address: &[u64; WORDS],
    now_s: u32,
) -> Cookies {
    let client = sent.client;
    let verdict = match sent.server {
        SentServerCookie::None => CookieVerdict::New,
        SentServerCookie::Foreign => CookieVerdict::Bad,
        SentServerCookie::Ours(server) => {
            let verdict = judge_server(secrets, client, server, address, now_s);
            if verdict == CookieVerdict::Valid {
                return Cookies { verdict, client, server };
            }
            verdict
        }
    };
    let start = VERSION_1 | u64::from(now_s.to_be()) << 32;
    Cookies { verdict, client, server: [start, hash(&secrets.active, client, start, address)] }
}

/// What a server cookie of our length is worth.
#[inline(always)]
fn judge_server<const WORDS: usize>(
    secrets: &CookieSecrets,
    client: u64,
    [start, sent_hash]: [u64; 2],
    address: &[u64; WORDS],
    now_s: u32,
) -> CookieVerdict {
    let made_s = u32::from_be(low_u32(start >> 32));
    let age_s = now_s.wrapping_sub(made_s);
    let is_ahead = made_s.wrapping_sub(now_s) <= COOKIE_AHEAD_S_MAX;
    if start & 0xff != VERSION_1 || (age_s > COOKIE_AGE_S_MAX && !is_ahead) {
        return CookieVerdict::Bad;
    }
    // The reserved bytes are hashed as they came, whatever they are (RFC 9018 §4.2).
    if hash(&secrets.active, client, start, address) == sent_hash {
        return if age_s > COOKIE_AGE_S_RENEWED && !is_ahead { CookieVerdict::Renewed } else { CookieVerdict::Valid };
    }
    if secrets.other != secrets.active && hash(&secrets.other, client, start, address) == sent_hash {
        return CookieVerdict::Renewed;
    }
    CookieVerdict::Bad
}

/// SipHash-2-4 of the client cookie, the first word of the server cookie and the address.
///
/// A function of its own, so that queries without cookies do not carry it along.
#[inline(never)]
fn hash<const WORDS: usize>(secret: &[u64; 2], client: u64, start: u64, address: &[u64; WORDS]) -> u64 {
    let [k0, k1] = *secret;
    let state = Sip {
        a: k0 ^ 0x736f_6d65_7073_6575,
        b: k1 ^ 0x646f_7261_6e64_6f6d,
        c: k0 ^ 0x6c79_6765_6e65_7261,
        d: k1 ^ 0x7465_6462_7974_6573,
    };
    let mut state = state.with(client).with(start);
    for word in address {
        state = state.with(*word);
    }
    state.c ^= 0xff;
    let state = state.round().round().round().round();
    state.a ^ state.b ^ state.c ^ state.d
}

/// The state of SipHash (Aumasson and Bernstein, 2012), `v0` to `v3` there.
#[derive(Clone, Copy)]
struct Sip {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
}

impl Sip {
    /// Takes in one word of the message.
    #[inline(always)]
    const fn with(mut self, word: u64) -> Self {
        self.d ^= word;
        let mut state = self.round().round();
        state.a ^= word;
        state
    }

    /// One round.
    #[inline(always)]
    const fn round(self) -> Self {
        let Self { mut a, mut b, mut c, mut d } = self;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        Self { a, b, c, d }
    }
}

/// The lower half of a word, as it lies.
#[inline(always)]
const fn half(word: u64) -> [u8; 4] {
    low_u32(word).to_le_bytes()
}

/// Version 1 and reserved bytes of zero: the lower half of a server cookie's first word.
const VERSION_1: u64 = 1;
/// Code and length of our option.
const OPTION_HEAD: [u8; 4] = [0, 10, 0, 24];

const _: () = assert!(OPTION_COOKIE == 10 && COOKIES_LEN == 24);

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use core::hash::Hasher;

    use super::*;

    fn bytes<const LEN: usize>(hex: &str) -> [u8; LEN] {
        core::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
    }

    fn words(hex: &str) -> [u64; 2] {
        bytemuck::must_cast(bytes::<16>(hex))
    }

    /// Secrets as they are written; without another one, the active one again.
    fn secrets(active: &str, other: Option<&str>) -> CookieSecrets {
        CookieSecrets { active: words(active), other: words(other.unwrap_or(active)) }
    }

    fn sent(client: &str, server: Option<&str>) -> SentCookies {
        let server = server.map_or(SentServerCookie::None, |server| SentServerCookie::Ours(words(server)));
        SentCookies { client: u64::from_le_bytes(bytes(client)), server }
    }

    fn check(cookies: Cookies, verdict: CookieVerdict, option: &str) {
        assert_eq!((cookies.verdict, cookies.option()), (verdict, bytes(option)));
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    #[test]
    fn rfc9018_a_1_a_new_server_cookie_is_learned() {
        let cookies = judge(
            &secrets(SECRET, None),
            sent("2464c4abcf10c957", None),
            &address_v4([198, 51, 100, 100]),
            1_559_731_985,
        );
        check(cookies, CookieVerdict::New, "000a00182464c4abcf10c957010000005cf79f111f8130c3eee29480");
    }

    #[test]
    fn rfc9018_a_2_the_same_client_gets_a_renewed_one_after_forty_minutes() {
        let sent = sent("2464c4abcf10c957", Some("010000005cf79f111f8130c3eee29480"));
        let cookies = judge(&secrets(SECRET, None), sent, &address_v4([198, 51, 100, 100]), 1_559_734_385);
        check(cookies, CookieVerdict::Renewed, "000a00182464c4abcf10c957010000005cf7a871d4a564a1442aca77");
    }

    #[test]
    fn rfc9018_a_3_reserved_bytes_are_hashed_as_they_came() {
        let sent = sent("fc93fc62807ddb86", Some("01abcdef5cf78f71a314227b6679ebf5"));
        let address = address_v4([203, 0, 113, 203]);
        // By the RFC's clock it is older than an hour, so it only counts as ours nearer to its own time.
        let cookies = judge(&secrets(SECRET, None), sent, &address, 1_559_734_700);
        check(cookies, CookieVerdict::Bad, "000a0018fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e");
        let cookies = judge(&secrets(SECRET, None), sent, &address, 0x5cf7_8f71 + 60);
        check(cookies, CookieVerdict::Valid, "000a0018fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
    }

    #[test]
    fn rfc9018_a_4_an_ipv6_client_with_the_secret_before_gets_one_of_the_new_secret() {
        let secrets = secrets("445536bcd2513298075a5d379663c962", Some("dd3bdf9344b678b185a6f5cb60fca715"));
        let sent = sent("22681ab97d52c298", Some("010000005cf7c57926556bd0934c72f8"));
        let address = address_v6(bytes("20010db80220000159ded0f4876982b8"));
        let cookies = judge(&secrets, sent, &address, 1_559_741_961);
        check(cookies, CookieVerdict::Renewed, "000a001822681ab97d52c298010000005cf7c609a6bb79d16625507a");
    }

    /// SipHash-2-4 by somebody else: that of the standard library.
    #[expect(deprecated, reason = "it is kept for what it is: SipHash-2-4")]
    fn second_opinion(secret: &str, client: &[u8; 8], start: &[u8; 8], address: &[u8]) -> u64 {
        let [k0, k1] = words(secret);
        let mut hasher = core::hash::SipHasher::new_with_keys(k0, k1);
        hasher.write(&[client, start, address].concat());
        hasher.finish()
    }

    #[test]
    fn the_hash_is_siphash_2_4_over_cookies_and_address() {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            (state ^ state >> 33).to_le_bytes()
        };
        for _ in 0..1000 {
            let (client, start) = (next(), next());
            let v6: [u8; 16] = bytemuck::must_cast([next(), next()]);
            let v4 = *v6.first_chunk::<4>().unwrap();
            let ours_v4 = hash(&words(SECRET), u64::from_le_bytes(client), u64::from_le_bytes(start), &address_v4(v4));
            let ours_v6 = hash(&words(SECRET), u64::from_le_bytes(client), u64::from_le_bytes(start), &address_v6(v6));
            assert_eq!(ours_v4, second_opinion(SECRET, &client, &start, &v4));
            assert_eq!(ours_v6, second_opinion(SECRET, &client, &start, &v6));
        }
    }

    #[test]
    fn a_server_cookie_lives_an_hour_and_is_renewed_after_half_of_it_also_where_seconds_wrap() {
        let (secrets, address) = (secrets(SECRET, None), address_v4([192, 0, 2, 1]));
        for made_s in [1_800_000_000, 0, u32::MAX, u32::MAX - 1000, 0x7fff_ffff] {
            let client = u64::from_le_bytes(*b"a client");
            let made = judge(&secrets, SentCookies { client, server: SentServerCookie::None }, &address, made_s);
            for (age_s, verdict) in [
                (0i32, CookieVerdict::Valid),
                (1800, CookieVerdict::Valid),
                (1801, CookieVerdict::Renewed),
                (3600, CookieVerdict::Renewed),
                (3601, CookieVerdict::Bad),
                (i32::MAX, CookieVerdict::Bad),
                (i32::MIN, CookieVerdict::Bad),
                (-1, CookieVerdict::Valid),
                (-300, CookieVerdict::Valid),
                (-301, CookieVerdict::Bad),
            ] {
                let now_s = made_s.wrapping_add_signed(age_s);
                let sent = SentCookies { client, server: SentServerCookie::Ours(made.server) };
                let judged = judge(&secrets, sent, &address, now_s);
                assert_eq!(judged.verdict, verdict, "made at {made_s}, {age_s} s old");
                let is_echo = verdict == CookieVerdict::Valid;
                assert_eq!(judged.server == made.server, is_echo || age_s == 0, "made at {made_s}, {age_s} s old");
            }
        }
    }

    #[test]
    fn whatever_bit_is_changed_the_server_cookie_is_bad() {
        let (secrets, now_s) = (secrets(SECRET, Some("dd3bdf9344b678b185a6f5cb60fca715")), 1_800_000_000);
        let address = [192, 0, 2, 1];
        let client = u64::from_le_bytes(*b"a client");
        let sent = SentCookies { client, server: SentServerCookie::None };
        let made = judge(&secrets, sent, &address_v4(address), now_s);
        let verdict = |client, server, address| {
            let sent = SentCookies { client, server: SentServerCookie::Ours(server) };
            judge(&secrets, sent, &address_v4(address), now_s).verdict
        };
        assert_eq!(verdict(client, made.server, address), CookieVerdict::Valid);
        for bit in 0..64 {
            assert_eq!(verdict(client ^ 1 << bit, made.server, address), CookieVerdict::Bad);
            let [start, hash] = made.server;
            assert_eq!(verdict(client, [start ^ 1 << bit, hash], address), CookieVerdict::Bad);
            assert_eq!(verdict(client, [start, hash ^ 1 << bit], address), CookieVerdict::Bad);
        }
        for bit in 0..32 {
            let other = (u32::from_le_bytes(address) ^ 1 << bit).to_le_bytes();
            assert_eq!(verdict(client, made.server, other), CookieVerdict::Bad);
        }
        let foreign = SentCookies { client, server: SentServerCookie::Foreign };
        assert_eq!(judge(&secrets, foreign, &address_v4(address), now_s).verdict, CookieVerdict::Bad);
    }

    #[test]
    fn a_cookie_option_has_8_or_16_to_40_bytes() {
        let legal: std::vec::Vec<usize> = (0..100).filter(|len| is_cookie_len(*len)).collect();
        assert_eq!(legal, core::iter::once(8).chain(16..=40).collect::<std::vec::Vec<_>>());
    }
}
