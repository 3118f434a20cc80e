//! Authenticating referrals: from an anchor to the keys of a zone, or to the proof that it has none.

mod algorithms;
mod anchors;
mod keys;
mod limits;
mod referrals;
