//! What IANA publishes about the root's keys: `root-anchors.xml` and the signature that goes with it (RFC 9718).
//!
//! In: bytes from files or from [`fetch`], certificates of the authority, the time. Out: the anchors that hold now, and the
//! text of an anchors file that has them in place of its old ones. Rooms: `signature` checks the CMS signature and the
//! chain of its signer, `authority` has the certificates that it may end at, `xml` reads what was signed, `lines` renews
//! the anchors file.
//! Refuses: a file that is not signed by IANA's own signer, that is about another zone than the root, or in which nothing
//! holds now. Reads no clock, and writes no file.
//! Ruled by RFC 9718, RFC 5652 (CMS), RFC 5280 (certificates).

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::unwrap_used
    )
)]

mod authority;
mod fetch;
mod lines;
mod signature;
mod xml;

pub use authority::{Authority, AuthorityError};
pub use fetch::{FetchError, PUBLISHED_AT, Published, fetch};
pub use lines::renew;
pub use signature::{SIGNER, SignatureError, verify};
pub use xml::{LeftOut, NotNow, RootAnchors, XmlError, read};
