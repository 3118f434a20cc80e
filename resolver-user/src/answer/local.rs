//! Writes what the operator has said about a name: records of no proof, each with a TTL of its own.

use super::message::{opt_len, write_header, write_opt};
use super::rendered::{Beside, Rendering, SectionWriter};
use super::{Asked, Sent};
use crate::wire::{Name, RCode, Record};

/// Writes the message that answers `asked` with these records into `out`, which is cleared first. AA is as given, AD never
/// set. An answer that is too large for the client becomes a truncated one without records.
pub fn write_local(
    asked: &Asked<'_>,
    rcode: RCode,
    authoritative: bool,
    records: &[Record],
    out: &mut Vec<u8>,
) -> Sent {
    let name_len = asked.question.len().saturating_sub(4);
    let qname = asked.question.get(..name_len).and_then(|wire| Name::from_wire(wire).ok());
    let mut writer = SectionWriter::new(&qname.unwrap_or_else(Name::root));
    let mut count = 0u16;
    for record in records {
        writer.write_record(&record.owner, record.rtype, &record.rdata);
        count = count.saturating_add(1);
    }
    let sections = Rendering { writer, rcode, answer_count: count, authority_count: 0 }.finish(Beside::default());
    let length = 12 + asked.question.len() + sections.body().len() + opt_len(asked);
    let truncated = sections.head().oversized || length > asked.message_len_max();
    let sent = Sent { rcode, truncated, authentic: false };
    write_header(asked, sent, [if truncated { 0 } else { count }, 0], out);
    if let Some(flags) = out.get_mut(2).filter(|_| authoritative) {
        *flags |= AUTHORITATIVE;
    }
    out.extend_from_slice(asked.question);
    if !truncated {
        let body_at = out.len();
        out.extend_from_slice(sections.body());
        for (record, &offset) in records.iter().zip(sections.ttl_offsets()) {
            let at = body_at + usize::from(offset);
            if let Some(field) = out.get_mut(at..at + 4) {
                field.copy_from_slice(&record.ttl_s.to_be_bytes());
            }
        }
    }
    write_opt(asked, rcode, None, out);
    sent
}

/// AA, in the header's third byte.
const AUTHORITATIVE: u8 = 4;
