//! DNS messages as bytes: the checked types that the rest of the daemon is written in.
//!
//! In: bytes from the net, or text from a user. Out: [`Name`], [`Record`], [`RrSet`], [`Message`]: owned, decompressed,
//! letter case and RDATA exactly as received, because signatures are made over them (RFC 4034 §6).
//! Refuses: sockets, clocks, policy, and every byte sequence that is not a DNS message; what comes out of here needs no
//! second check. Ruled by RFC 1035 §4, RFC 3597 §4, RFC 6891 §6.

mod domains;
mod message;
mod name;
mod packed;
mod private_zones;
mod rdata;
mod record;
mod response;
mod rrset;
mod text;
mod types;
mod writer;

pub use domains::{DomainMap, DomainPattern, Found};
pub use message::{Edns, EdnsOption, Flags, Header, Message};
pub use name::{Name, NameError};
pub use packed::PackedResponse;
pub use private_zones::PRIVATE_REVERSE_ZONES;
pub use rdata::{RdataField, rdata_layout};
pub use record::{Record, Rrsig, Soa};
pub use response::Response;
pub use rrset::{Question, RrSet, group, group_authority};
pub use text::{base32hex, bitmap_types, rdata_text, salt_text, time_text};
pub use types::{CLASS_IN, RCode, RecordType, UnknownType};
pub use writer::QueryWriter;

use thiserror::Error;

/// Why bytes are not a DNS message. Offsets are in bytes from the message's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A field ends after the message does.
    #[error("message ends inside a field at offset {at}")]
    Truncated {
        /// Where the field starts.
        at: usize,
    },
    /// A name is malformed.
    #[error("bad name at offset {at}: {source}")]
    Name {
        /// Where the name starts.
        at: usize,
        /// What is wrong with it.
        source: NameError,
    },
    /// RDATA does not fit its length or its type's layout.
    #[error("bad rdata at offset {at}")]
    Rdata {
        /// Where the RDATA starts.
        at: usize,
    },
    /// More than one OPT, or an OPT that is not at the root or not in the additional section (RFC 6891 §6.1.1).
    #[error("bad OPT record at offset {at}")]
    Opt {
        /// Where the record starts.
        at: usize,
    },
    /// Bytes after the last record.
    #[error("trailing bytes at offset {at}")]
    Trailing {
        /// Where they start.
        at: usize,
    },
}
