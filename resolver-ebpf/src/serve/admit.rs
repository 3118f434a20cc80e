//! Decides whether a frame is a query that may be answered here, and takes from it all that an answer needs.
//!
//! In: the frame and the settings. Out: a [`Query`], or why not.
//! Refuses: everything but one plain question of class IN with at most an OPT of version 0 (RFC 6891 §6.1). Unknown EDNS
//! options are legal to ignore (RFC 6891 §6.1.2); COOKIE is known, and its place is noted for [`super::cookies`].

use super::family::{Admitted, Family};
use super::{Frame, Store};
use crate::abi::{COOKIES_OFF, HASH_KEY_WORDS, OPT_LEN, Outcome, Settings, UDP_PAYLOAD_LEN_MAX};
use crate::wire::bytes::{Be16, low_len, low_u16};
use crate::wire::checksum::{add_word, at_parity};
use crate::wire::cookie::{COOKIE_OPTION_LEN, OPTION_COOKIE, is_cookie_len};
use crate::wire::dns::{
    CLASS_IN, DNS_HEADER_LEN, DnsHeader, LOW_AD, LOW_CD, Opt, PAYLOAD_LEN_PLAIN, QUESTION_END_LEN, QuestionEnd,
};
use crate::wire::name::{NAME_LEN_MAX, NAME_WORDS_MAX, add_to_hash, end_of_name, fold_word, key_hash};

/// A query that may be answered. What it says was checked here, once.
pub(super) struct Query {
    /// The client's number of the query.
    pub id: Be16,
    /// Hash of name, type and DO.
    pub key_hash: u64,
    /// Length of the name in wire form: 1..=255.
    pub name_len: usize,
    /// The name's last word, folded, with zeroes behind its end.
    pub last_word: u64,
    /// Sum of the question as it lies, for the UDP checksum.
    pub question_sum: u64,
    /// 1 if the message's part behind the question starts at an odd offset, else 0.
    pub behind_is_odd: u64,
    /// QTYPE.
    pub qtype: u16,
    /// Longest message the client takes, in bytes: 512..=1232.
    pub payload_len_max: usize,
    /// The client sent an OPT.
    pub has_opt: bool,
    /// The client wants DNSSEC records.
    pub dnssec_ok: bool,
    /// The client wants to know whether the answer is Secure (RFC 6840 §5.7).
    pub wants_ad: bool,
    /// [`LOW_CD`] if the client set it, else 0.
    pub checking_disabled: u8,
    /// Not 0 if rate limits hold for the client.
    pub limits: u32,
    /// Where its cookies are.
    pub cookie: CookiePlace,
}

/// Where the cookies of a query are, and how long they make the answer, in one number: 0 if there are none or cookies are off.
#[derive(Clone, Copy)]
pub(super) struct CookiePlace {
    bits: u64,
}

impl CookiePlace {
    /// No cookies.
    pub const NONE: Self = Self { bits: 0 };

    /// The data of an option: offset in the message (below 2^16, not 0) and length, in bytes.
    #[inline(always)]
    fn new(at: usize, len: usize) -> Self {
        let answer_len = u64::from(low_len(COOKIE_OPTION_LEN));
        Self { bits: answer_len << 32 | u64::from(low_len(at)) << 16 | u64::from(low_len(len)) }
    }

    /// Whether there are no cookies.
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.bits == 0
    }

    /// Of the option's data, from the message's start in bytes.
    #[inline(always)]
    pub fn at(self) -> usize {
        usize::from(low_u16(self.bits >> 16))
    }

    /// Length of the data in bytes: 8, or 16..=40.
    #[inline(always)]
    pub fn len(self) -> usize {
        usize::from(low_u16(self.bits))
    }

    /// Bytes that the answer gets for them: that of a COOKIE option, or 0.
    #[inline(always)]
    pub fn answer_len(self) -> usize {
        usize::from(low_u16(self.bits >> 32))
    }

    /// The same, see [`Frame::forget`].
    #[inline(always)]
    pub fn forgotten<F: Frame>(self, frame: &F, noise: u64) -> Self {
        Self { bits: frame.forget(self.bits, noise) }
    }
}

/// Takes the query out of a frame.
#[inline(always)]
pub(super) fn admit<I: Family, F: Frame, S: Store>(
    frame: &F,
    store: &S,
    settings: &Settings,
) -> Result<Query, Outcome> {
    let Admitted { dns_len, limits } = I::admit(frame, store, settings)?;
    let header = frame.view::<DnsHeader>(I::DNS_AT).ok_or(Outcome::PassTruncated)?;
    if dns_len < MESSAGE_LEN_MIN {
        return Err(Outcome::PassTruncated);
    }
    if !header.is_plain_query() {
        return Err(Outcome::PassHeader);
    }
    let has_opt = header.plain_counts().ok_or(Outcome::PassCounts)?;
    let (id, low) = (header.id, header.low);

    let mut name = read_name::<I, F>(frame, &settings.hash_key).ok_or(Outcome::PassName)?;
    // VERIFIER: else all that follows would be gone through for each turn after which the name may have ended.
    name.len = frame.forget_len(name.len, name.hash);
    let behind_question = DNS_HEADER_LEN.wrapping_add(name.len).wrapping_add(QUESTION_END_LEN);
    if behind_question > dns_len {
        return Err(Outcome::PassName);
    }
    let end = frame.view_far::<QuestionEnd>(I::NAME_AT.wrapping_add(name.len)).ok_or(Outcome::PassName)?;
    if end.class != CLASS_IN {
        return Err(Outcome::PassClass);
    }
    let (qtype, end_sum) = (end.qtype.get(), end.sum());
    let edns = if has_opt {
        read_opt::<I, F>(frame, settings, behind_question, dns_len, name.hash)?
    } else if behind_question == dns_len {
        Edns { payload_len_max: PAYLOAD_LEN_PLAIN, dnssec_ok: false, cookie: CookiePlace::NONE }
    } else {
        return Err(Outcome::PassCounts);
    };

    // VERIFIER: with these and the name's length forgotten, it takes up the rest of the program once, and not for each way here.
    let has_opt = frame.forget(u64::from(has_opt), name.hash) & 1 == 1;
    let dnssec_ok = frame.forget(u64::from(edns.dnssec_ok), name.hash) & 1 == 1;
    let behind_is_odd = u64::from(low_len(name.len) & 1);
    Ok(Query {
        id,
        key_hash: key_hash(name.hash, qtype, dnssec_ok),
        name_len: name.len,
        last_word: name.last_word,
        question_sum: name.sum.wrapping_add(at_parity(end_sum, behind_is_odd)),
        behind_is_odd,
        qtype,
        payload_len_max: usize::from(edns.payload_len_max),
        has_opt,
        dnssec_ok,
        wants_ad: dnssec_ok || low & LOW_AD != 0,
        checking_disabled: low & LOW_CD,
        limits,
        cookie: edns.cookie.forgotten(frame, name.hash),
    })
}

/// What one pass over a name brings.
struct NameRead {
    /// With the zero byte: 1..=255.
    len: usize,
    /// Of the folded words.
    hash: u64,
    /// Of the name as it lies.
    sum: u64,
    /// Folded.
    last_word: u64,
}

/// Finds the end of the name; folds, hashes and adds it up on the way.
#[inline(always)]
fn read_name<I: Family, F: Frame>(frame: &F, key: &[u64; HASH_KEY_WORDS]) -> Option<NameRead> {
    let (mut hash, mut sum, mut len) = (0u64, 0u64, 0usize);
    for key in key.iter().take(NAME_WORDS_MAX) {
        let at = I::NAME_AT.wrapping_add(len);
        let (word, is_rest) = match frame.view::<[u8; 8]>(at) {
            Some(word) => (u64::from_le_bytes(*word), false),
            None => (rest_of_frame(frame, at)?, true),
        };
        if let Some(end) = end_of_name(word) {
            let len = len.wrapping_add(end.len);
            let last_word = fold_word(end.word);
            let name =
                NameRead { len, hash: add_to_hash(hash, last_word, *key), sum: add_word(sum, end.word), last_word };
            return (len <= NAME_LEN_MAX).then_some(name);
        }
        // VERIFIER: it does not know that the rest is padded with zeroes, and would follow a rest through all further turns.
        if is_rest {
            return None;
        }
        sum = add_word(sum, word);
        hash = add_to_hash(hash, fold_word(word), *key);
        len = len.wrapping_add(8);
    }
    None
}

/// The last bytes of the frame, from `at` on, padded with zero to a word. `None` when there are none, or more than seven.
#[inline(always)]
pub(super) fn rest_of_frame<F: Frame>(frame: &F, at: usize) -> Option<u64> {
    let missing = at.wrapping_add(8).wrapping_sub(frame.len());
    if missing > 7 {
        return None;
    }
    let word = frame.view_far::<[u8; 8]>(at.wrapping_sub(missing))?;
    Some(u64::from_le_bytes(*word) >> (missing << 3))
}

/// What the client said in its OPT.
struct Edns {
    /// In bytes: 512..=1232.
    payload_len_max: u16,
    /// DO.
    dnssec_ok: bool,
    /// Of the first COOKIE option, unless cookies are off.
    cookie: CookiePlace,
}

/// Reads the OPT, which has to fill the rest of the message.
#[inline(always)]
fn read_opt<I: Family, F: Frame>(
    frame: &F,
    settings: &Settings,
    at: usize,
    dns_len: usize,
    noise: u64,
) -> Result<Edns, Outcome> {
    let options_at = at.wrapping_add(OPT_LEN);
    let opt = frame.view_far::<Opt>(I::DNS_AT.wrapping_add(at)).ok_or(Outcome::PassEdns)?;
    let options_len = usize::from(opt.options_len.get());
    if !opt.is_version_0() || options_at.wrapping_add(options_len) != dns_len {
        return Err(Outcome::PassEdns);
    }
    let asked = opt.payload_len_max.get();
    let payload_len_max = asked.clamp(PAYLOAD_LEN_PLAIN, low_len(UDP_PAYLOAD_LEN_MAX));
    let dnssec_ok = opt.dnssec_ok();
    let cookie = find_cookie::<I, F>(frame, settings, options_at, options_len, noise).ok_or(Outcome::PassEdns)?;
    Ok(Edns { payload_len_max, dnssec_ok, cookie })
}

/// The first COOKIE among the `len` bytes of options at `at` of the message; further ones do not count (RFC 7873 §4).
/// `None` unless those are whole options, and few enough to see: malformed ones are an error that the daemon tells
/// (RFC 6891 §6.1.2, §7).
#[inline(always)]
fn find_cookie<I: Family, F: Frame>(
    frame: &F,
    settings: &Settings,
    at: usize,
    len: usize,
    noise: u64,
) -> Option<CookiePlace> {
    let (mut walked, mut cookie) = (0usize, CookiePlace::NONE);
    for _ in 0..OPTIONS_MAX {
        if walked == len {
            return Some(cookie);
        }
        let head_at = I::DNS_AT.wrapping_add(at).wrapping_add(walked);
        let [code_high, code_low, high, low] = *frame.view_far::<[u8; OPTION_HEAD_LEN]>(head_at)?;
        let data_len = usize::from(u16::from_be_bytes([high, low]));
        walked = walked.wrapping_add(OPTION_HEAD_LEN);
        let is_cookie = u16::from_be_bytes([code_high, code_low]) == OPTION_COOKIE;
        if is_cookie && settings.cookies != COOKIES_OFF && cookie.is_none() {
            cookie = CookiePlace::new(at.wrapping_add(walked), data_len).forgotten(frame, noise);
            if !is_cookie_len(cookie.len()) {
                return None;
            }
        }
        cookie = cookie.forgotten(frame, noise);
        walked = walked.wrapping_add(data_len);
        if walked > len {
            return None;
        }
    }
    (walked == len).then_some(cookie)
}

/// Shortest message with a question: its name is the root.
const MESSAGE_LEN_MIN: usize = DNS_HEADER_LEN + 1 + QUESTION_END_LEN;

/// Most EDNS options of a query that is answered here.
/// Choice: clients send none, one (COOKIE) or a few (with client subnet, padding, keep-alive); more are left to the daemon.
const OPTIONS_MAX: usize = 4;
/// Code and length of an EDNS option, in bytes (RFC 6891 §6.1.2).
const OPTION_HEAD_LEN: usize = 4;
