//! Puts finished answers where the XDP program finds them.
//!
//! Placeholder: the daemon compiles and runs against this shape; nothing is published yet.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::answer::{Form, RenderedAnswer};
use crate::wire::{Name, RecordType};

/// One form of one answer, offered for publication.
#[derive(Debug)]
pub struct Publication {
    /// Name of the question.
    pub name: Name,
    /// Type of the question.
    pub qtype: RecordType,
    /// The form.
    pub form: Form,
    /// The bytes.
    pub rendered: Arc<RenderedAnswer>,
    /// When its TTL ends, in nanoseconds of CLOCK_BOOTTIME.
    pub expires_at_boot_ns: u64,
    /// True from the offer on; reset by the publisher when the answer leaves the map.
    pub published: Arc<AtomicBool>,
}

/// Takes offers.
#[derive(Debug)]
pub struct Publisher {}

impl Publisher {
    /// Offers a form; does not block. False when the queue is full.
    pub fn offer(&self, _publication: Publication) -> bool {
        true
    }
}
