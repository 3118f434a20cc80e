//! The cookies of a query that is about to be answered (RFC 7873, RFC 9018).
//!
//! In: the frame, where the option is, the settings, the time. Out: [`JudgedCookies`], which tell what the server cookie was
//! worth and stand in the answer. A query without the option costs no more than asking whether it has one.

use super::admit::Query;
use super::family::Family;
use super::{Frame, Store, reply};
use crate::abi::{CookieVerdict, Outcome, Settings};
use crate::wire::cookie::{CLIENT_COOKIE_LEN, COOKIE_OPTION_LEN, COOKIES_LEN, Cookies, SentCookies, SentServerCookie};

/// What becomes of the cookies of a query, if it has any.
pub(super) struct JudgedCookies {
    /// 1 + the number of the verdict, or 0: no cookies.
    /// VERIFIER: a number, so that it can be forgotten how it came to be; see [`Frame::forget`].
    code: u64,
    client: u64,
    server: [u64; 2],
}

impl JudgedCookies {
    /// Whether there are none.
    #[inline(always)]
    pub fn is_none<F: Frame>(&self, frame: &F, query: &Query) -> bool {
        frame.forget(self.code, query.key_hash) == 0
    }

    /// What they are worth, if there are any. [`CookieVerdict::is_valid`] tells whether the client's address is proven to be its own.
    #[inline(always)]
    pub fn verdict<F: Frame>(&self, frame: &F, query: &Query) -> Option<CookieVerdict> {
        CookieVerdict::of_number(frame.forget(self.code, query.key_hash).wrapping_sub(1))
    }

    /// The COOKIE option of the answer.
    #[inline(always)]
    pub fn option(&self) -> [u8; COOKIE_OPTION_LEN] {
        Cookies { verdict: CookieVerdict::New, client: self.client, server: self.server }.option()
    }
}

/// Judges the cookies of a query, if it has any and cookies are on.
#[inline(always)]
pub(super) fn judge<I: Family, F: Frame, S: Store>(
    frame: &F,
    store: &S,
    settings: &Settings,
    query: &Query,
) -> Result<JudgedCookies, Outcome> {
    let mut judged = JudgedCookies { code: 0, client: 0, server: [0; 2] };
    let place = query.cookie.forgotten(frame, query.key_hash);
    if !place.is_none() {
        // They may have been switched off in this very moment.
        let Some(secrets) = settings.cookie_secrets() else { return Err(Outcome::PassEdns) };
        let sent = read::<I, F>(frame, place.at(), place.len()).ok_or(Outcome::PassEdns)?;
        let now_s = reply::wall_s(settings, store.jiffies());
        let Some(cookies) = I::judge_cookies(frame, secrets, sent, now_s) else { return Err(Outcome::PassEdns) };
        judged = JudgedCookies {
            code: cookies.verdict.number().wrapping_add(1),
            client: cookies.client,
            server: cookies.server,
        };
    }
    judged.code = frame.forget(judged.code, query.key_hash);
    Ok(judged)
}

/// Reads the cookies, whose `len` bytes stand at `at` of the message.
#[inline(always)]
fn read<I: Family, F: Frame>(frame: &F, at: usize, len: usize) -> Option<SentCookies> {
    let at = I::DNS_AT.wrapping_add(at);
    let server = match len {
        CLIENT_COOKIE_LEN => SentServerCookie::None,
        COOKIES_LEN => {
            let [start, hash] = *frame.view_far::<[[u8; 8]; 2]>(at.wrapping_add(CLIENT_COOKIE_LEN))?;
            SentServerCookie::Ours([u64::from_le_bytes(start), u64::from_le_bytes(hash)])
        }
        _ => SentServerCookie::Foreign,
    };
    Some(SentCookies { client: u64::from_le_bytes(*frame.view_far::<[u8; 8]>(at)?), server })
}
