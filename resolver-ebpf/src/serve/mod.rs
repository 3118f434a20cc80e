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
mod cookies;
mod copy;
mod family;
mod frame;
mod lookup;
mod reply;
mod shared;
mod slip;
mod store;

pub use copy::copy_words;
pub use frame::{FAR_MAX, Frame};
pub use shared::SharedWord;
pub use store::{Bucket, Slot, Store};

use crate::abi::{ABI_VERSION, CookieVerdict, MODE_DRY_RUN, MODE_OFF, MODE_SERVE, Outcome, Settings};
use crate::limit::Verdict;
use crate::wire::bytes::Be16;
use crate::wire::link::{ETHER_IPV4, ETHER_IPV6, ETHER_VLAN, Ethernet, VLAN_TAG_LEN, VLAN_TAGS_AT};
use admit::Query;
use family::{Family, V4, V6};
use lookup::Found;
use reply::Plan;

/// Answers the query in `frame`, if that can be done from `store`.
#[inline(always)]
pub fn serve<F: Frame, S: Store>(frame: &mut F, store: &S) -> Outcome {
    let Some(settings) = store.settings() else { return Outcome::PassOff };
    if settings.abi_version != ABI_VERSION || settings.mode == MODE_OFF {
        return Outcome::PassOff;
    }
    let Some(link) = frame.view::<Ethernet>(0) else { return Outcome::PassTruncated };
    if link.is_to_group() {
        return Outcome::PassNotIp;
    }
    let served = match link.ether_type {
        ETHER_IPV4 => serve_family::<V4<0>, F, S>(frame, store, settings),
        ETHER_IPV6 => serve_family::<V6<0>, F, S>(frame, store, settings),
        other if ETHER_VLAN.contains(&other) => return serve_tagged(frame, store),
        _ => Err(Outcome::PassNotIp),
    };
    either(served)
}

/// The same for a frame with VLAN tags, whose answer keeps them.
///
/// Out of line, so that untagged frames meet the code that they met before there was this. Not `#[cold]`: that puts it into a
/// section of its own, where aya 0.14 takes it for whatever function starts another section.
#[inline(never)]
fn serve_tagged<F: Frame, S: Store>(frame: &mut F, store: &S) -> Outcome {
    let Some(settings) = store.settings() else { return Outcome::PassOff };
    let Some(inner) = type_behind::<1, F>(frame) else { return Outcome::PassTruncated };
    either(match inner {
        ETHER_IPV4 => serve_family::<V4<1>, F, S>(frame, store, settings),
        ETHER_IPV6 => serve_family::<V6<1>, F, S>(frame, store, settings),
        other if ETHER_VLAN.contains(&other) => match type_behind::<2, F>(frame) {
            Some(ETHER_IPV4) => serve_family::<V4<2>, F, S>(frame, store, settings),
            Some(ETHER_IPV6) => serve_family::<V6<2>, F, S>(frame, store, settings),
            Some(other) if ETHER_VLAN.contains(&other) => Err(Outcome::PassVlan),
            Some(_) => Err(Outcome::PassNotIp),
            None => Err(Outcome::PassTruncated),
        },
        _ => Err(Outcome::PassNotIp),
    })
}

/// The type of what stands behind so many tags.
#[inline(always)]
fn type_behind<const TAGS: usize, F: Frame>(frame: &F) -> Option<Be16> {
    frame.view::<Be16>(const { VLAN_TAGS_AT + TAGS * VLAN_TAG_LEN }).copied()
}

/// The outcome, whichever way it came about.
#[inline(always)]
fn either(served: Result<Outcome, Outcome>) -> Outcome {
    match served {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

/// The whole journey of a query, for one IP version and number of tags.
#[inline(always)]
fn serve_family<I: Family, F: Frame, S: Store>(
    frame: &mut F,
    store: &S,
    settings: &Settings,
) -> Result<Outcome, Outcome> {
    let query = admit::admit::<I, F, S>(frame, store, settings)?;
    if (I::TAGS != 0 || settings.untagged_ruled != 0) && !is_answered_link::<I, F, S>(frame, store) {
        return Err(Outcome::PassVlan);
    }
    let is_limited = query.limits != 0 && settings.mode == MODE_SERVE;
    // What a cookie is worth is found out below, or by the daemon.
    if is_limited && query.cookie.forgotten(frame, query.key_hash).is_none() {
        limit::<I, F, S>(frame, store, settings, &query)?;
    }
    let (found, plan) = ready::<I, F, S>(frame, store, settings, &query)?;
    if settings.mode == MODE_DRY_RUN {
        return Err(Outcome::PassDryRun);
    }
    let cookies = cookies::judge::<I, F, S>(frame, store, settings, &query)?;
    if is_limited {
        charge::<I, F, S>(frame, store, settings, cookies.verdict(frame, &query))?;
    }
    let outcome = reply::reply::<I, F>(frame, &query, &found, &plan, &cookies)?;
    if let Some(verdict) = cookies.verdict(frame, &query) {
        store.count_cookies(verdict);
    }
    Ok(outcome)
}

/// Whether queries of the frame's link are answered here. Tags that are none of ours would lead an answer to a VLAN that we do
/// not serve; without tags, some may have been taken off, and the answer would leave without them.
#[inline(always)]
fn is_answered_link<I: Family, F: Frame, S: Store>(frame: &F, store: &S) -> bool {
    let Some(link) = I::link(frame) else { return false };
    store.link(link).map_or(I::TAGS == 0, |rule| rule.answers == 1)
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
    let plan = reply::plan(settings, store.jiffies(), query, &found)?;
    Ok((found, plan))
}

/// Holds a query to its rate limits, whatever it asks for: what nobody here can answer is over them, too, and the daemon is
/// spared it. Nothing is charged yet. What is passed is asked for again there, and charged.
///
/// # Errors
/// It is over a limit: it was dropped, or its empty answer is written.
#[inline(always)]
fn limit<I: Family, F: Frame, S: Store>(
    frame: &mut F,
    store: &S,
    settings: &Settings,
    query: &Query,
) -> Result<(), Outcome> {
    let client = I::client(frame).ok_or(Outcome::PassTruncated)?;
    let now_boot_ns = reply::now_boot_ns(settings, store.jiffies());
    let over = match store.ask_limits(client, I::IS_V4, now_boot_ns) {
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

/// Charges a client for the answer that it is about to get. One that has proven by a cookie that it receives what is sent to
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
    let now_boot_ns = reply::now_boot_ns(settings, store.jiffies());
    match store.charge_limits(client, I::IS_V4, now_boot_ns) {
        Verdict::Within | Verdict::LoggedNarrow | Verdict::LoggedWide => Ok(()),
        Verdict::SlippedNarrow | Verdict::SlippedWide => Err(Outcome::PassRate),
        Verdict::DroppedNarrow => Err(Outcome::DroppedRate),
        Verdict::DroppedWide => Err(Outcome::DroppedRateWide),
    }
}
