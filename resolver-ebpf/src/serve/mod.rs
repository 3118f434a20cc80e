//! The fast path: a query whose answer is published is turned into that answer, in place.
//!
//! In: a [`Frame`] and a [`Store`]. Out: the [`Outcome`], and the answer in the frame if it is one of the answered ones.
//! Whatever else comes out, the frame is byte for byte as it came: all that can fail is decided before the first change.
//! The same code runs on the host over plain memory and in the kernel over packets and maps.
//!
//! Refuses: reading a clock, logging, and every guess; doubt means pass. Drops nothing but what an operator's rate limit
//! says, and counts it by reason.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod admit;
mod clock;
mod cookies;
mod copy;
mod family;
mod frame;
mod lookup;
mod reply;
mod shared;
mod slip;
mod store;
mod tags;

pub use copy::copy_words;
pub use frame::{FAR_MAX, Frame};
pub use shared::SharedWord;
pub use store::{Bucket, Slot, Store};

use crate::abi::{ABI_VERSION, CookieVerdict, MODE_DRY_RUN, MODE_OFF, MODE_SERVE, Outcome, Settings};
use crate::limit::{Use, Verdict};
use crate::wire::bytes::Be16;
use crate::wire::link::{ETHER_IPV4, ETHER_IPV6, ETHER_VLAN, Ethernet};
use admit::Query;
use family::{Family, V4, V6};
use lookup::Found;
use reply::Plan;
use tags::Tags;

/// Answers the query in `frame`, if that can be done from `store`. VLAN tags are kept.
#[inline(always)]
pub fn serve<F: Frame, S: Store>(frame: &mut F, store: &S) -> Outcome {
    let Some(settings) = store.settings() else { return Outcome::PassOff };
    either(serve_link(frame, store, settings))
}

/// The journey of a frame, as far as its link goes.
#[inline(always)]
fn serve_link<F: Frame, S: Store>(frame: &mut F, store: &S, settings: &Settings) -> Result<Outcome, Outcome> {
    let mut behind = link_to_us(frame, settings)?;
    let mut tags = Tags::NONE;
    if ETHER_VLAN.contains(&behind) {
        tags = tags::take_off(frame)?;
        behind = frame.view::<Ethernet>(0).ok_or(Outcome::PassTruncated)?.ether_type;
    }
    // VERIFIER: with tags and without, all that follows is the same to it.
    let tags = tags.forgotten(frame, settings.boot_offset_ns);
    let outcome = either(match behind {
        ETHER_IPV4 => serve_family::<V4, F, S>(frame, store, settings, tags),
        ETHER_IPV6 => serve_family::<V6, F, S>(frame, store, settings, tags),
        _ => Err(Outcome::PassNotIp),
    });
    if !tags.is_none() {
        tags::put_back(frame, tags).ok_or(Outcome::PassNoRoom)?;
    }
    Ok(outcome)
}

/// The type of what is behind the Ethernet header, if the frame may be answered as far as that goes.
#[inline(always)]
fn link_to_us<F: Frame>(frame: &F, settings: &Settings) -> Result<Be16, Outcome> {
    if settings.abi_version != ABI_VERSION || settings.mode == MODE_OFF {
        return Err(Outcome::PassOff);
    }
    let link = frame.view::<Ethernet>(0).ok_or(Outcome::PassTruncated)?;
    if link.is_to_group() { Err(Outcome::PassNotIp) } else { Ok(link.ether_type) }
}

/// The outcome, whichever way it came about.
#[inline(always)]
fn either(served: Result<Outcome, Outcome>) -> Outcome {
    match served {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

/// The whole journey of a query, for one IP version.
#[inline(always)]
fn serve_family<I: Family, F: Frame, S: Store>(
    frame: &mut F,
    store: &S,
    settings: &Settings,
    tags: Tags,
) -> Result<Outcome, Outcome> {
    let query = admit::admit::<I, F, S>(frame, store, settings)?;
    if (!tags.is_none() || settings.untagged_ruled != 0) && !is_answered_link(frame, store, tags) {
        return Err(Outcome::PassVlan);
    }
    let is_limited = query.limits != 0 && settings.mode == MODE_SERVE;
    let has_cookie = !query.cookie.forgotten(frame, query.key_hash).is_none();
    // VERIFIER: a `Result` of these would have parts without a value, which the compiler saves all the same.
    let (mut ready, mut plan, mut passed) = (None, Plan::default(), Outcome::PassMiss);
    match self::ready::<I, F, S>(frame, store, settings, &query) {
        Ok((found, planned)) => (ready, plan) = (Some(found), planned),
        Err(outcome) => passed = outcome,
    }
    // What a cookie is worth is found out below, or by the daemon.
    if is_limited && !has_cookie {
        let purpose = if ready.is_some() { Use::Answer } else { Use::Pass };
        limit::<I, F, S>(frame, store, settings, &query, purpose)?;
    }
    let Some(found) = ready else { return Err(passed) };
    if settings.mode == MODE_DRY_RUN {
        return Err(Outcome::PassDryRun);
    }
    let cookies = cookies::judge::<I, F, S>(frame, store, settings, &query)?;
    if is_limited && has_cookie {
        charge::<I, F, S>(frame, store, settings, cookies.verdict(frame, &query))?;
    }
    let outcome = reply::reply::<I, F>(frame, &query, &found, &plan, &cookies, tags)?;
    if let Some(verdict) = cookies.verdict(frame, &query) {
        store.count_cookies(verdict);
    }
    Ok(outcome)
}

/// Whether queries of the frame's link are answered here. Tags that are none of ours would lead an answer to a VLAN that we do
/// not serve; without tags, some may have been taken off, and the answer would leave without them.
#[inline(always)]
fn is_answered_link<F: Frame, S: Store>(frame: &F, store: &S, tags: Tags) -> bool {
    store.link(tags.link(frame)).map_or(tags.is_none(), |rule| rule.answers == 1)
}

/// The answer to a query, if it is here and can be given.
#[inline(always)]
fn ready<'s, I: Family, F: Frame, S: Store>(
    frame: &F,
    store: &'s S,
    settings: &Settings,
    query: &Query,
) -> Result<(Found<'s>, Plan), Outcome> {
    let found = lookup::look_up::<I, F, S>(frame, store, settings, query)?;
    let plan = reply::plan(settings, clock::boot_ns(store, settings), query, &found)?;
    Ok((found, plan))
}

/// Holds a query without cookies to its rate limits, whatever it asks for: what nobody here can answer is over them, too, and
/// the daemon is spared it. What is answered is charged; what is passed is asked for again there, and charged.
///
/// # Errors
/// It is over a limit: it was dropped, or its empty answer is written.
#[inline(always)]
fn limit<I: Family, F: Frame, S: Store>(
    frame: &mut F,
    store: &S,
    settings: &Settings,
    query: &Query,
    purpose: Use,
) -> Result<(), Outcome> {
    let client = I::client(frame).ok_or(Outcome::PassTruncated)?;
    let now_boot_ns = clock::boot_ns(store, settings);
    let over = match store.ask_limits(client, I::IS_V4, purpose, now_boot_ns) {
        Verdict::Within | Verdict::LoggedNarrow | Verdict::LoggedWide => return Ok(()),
        Verdict::SlippedNarrow => Outcome::SlippedRate,
        Verdict::SlippedWide => Outcome::SlippedRateWide,
        Verdict::DroppedNarrow => Outcome::DroppedRate,
        Verdict::DroppedWide => Outcome::DroppedRateWide,
    };
    if over.is_sent() && !slip::slip::<I, F>(frame, query) {
        return Err(Outcome::PassNoRoom);
    }
    Err(over)
}

/// Charges a client with cookies for the answer that it is about to get. One that has proven by a cookie that it receives what is sent to
/// its address is not limited.
///
/// # Errors
/// It has sent a cookie that proves nothing, and is over a limit. An empty answer, with a new cookie, is the daemon's.
#[inline(always)]
fn charge<I: Family, F: Frame, S: Store>(
    frame: &F,
    store: &S,
    settings: &Settings,
    cookies: Option<CookieVerdict>,
) -> Result<(), Outcome> {
    if cookies.is_some_and(CookieVerdict::is_valid) {
        return Ok(());
    }
    let client = I::client(frame).ok_or(Outcome::PassTruncated)?;
    let now_boot_ns = clock::boot_ns(store, settings);
    match store.ask_limits(client, I::IS_V4, Use::Answer, now_boot_ns) {
        Verdict::Within | Verdict::LoggedNarrow | Verdict::LoggedWide => Ok(()),
        Verdict::SlippedNarrow | Verdict::SlippedWide => Err(Outcome::PassRate),
        Verdict::DroppedNarrow => Err(Outcome::DroppedRate),
        Verdict::DroppedWide => Err(Outcome::DroppedRateWide),
    }
}
