//! What a reply of an authoritative server amounts to.
//!
//! In: a reply, what was asked, and the zone whose server it is. Out: [`Said`]. Records outside of the zone are dropped first
//! ([`cut_down`]): nobody speaks of names that are not below the zone it was asked about, nor denies any.

use crate::wire::{Message, Name, Question, RCode, Record, RecordType, Rrsig};

/// What a reply amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// An answer, or an alias.
    Answer,
    /// That the name or the type does not exist. `proven`: with records that can prove it.
    Absent {
        /// Whether it is the name that does not.
        nxdomain: bool,
        /// Whether denial records came along.
        proven: bool,
    },
    /// That the servers of this zone know.
    Referral(Name),
    /// Something that only counts if no other server has better: from a cache, or nothing at all.
    Doubtful,
    /// That the server knows nothing of the zone.
    Lame,
    /// That it cannot or will not answer.
    Refused(RCode),
}

/// Drops what is not at or below the zone.
pub(super) fn cut_down(message: &mut Message, zone: &Name) {
    if !zone.is_root() {
        for section in [&mut message.answer, &mut message.authority, &mut message.additional] {
            section.retain(|record| record.owner.is_at_or_below(zone) && !reaches_out(record, zone));
        }
    }
}

/// Whether this is an NSEC that leads out of the zone (RFC 4034 §4.1.1). It proves nothing here, but could to those who ask us
/// with CD=1 and look less closely.
fn reaches_out(record: &Record, zone: &Name) -> bool {
    let next = || Name::read_compressed(&record.rdata, 0).map(|(next, _)| next);
    record.rtype == RecordType::NSEC && next().is_ok_and(|next| !next.is_at_or_below(zone))
}

/// Whether an RCODE says something of the question. YXDOMAIN does: a DNAME leads to too long a name.
pub(super) fn is_reply(rcode: RCode) -> bool {
    matches!(rcode, RCode::NOERROR | RCode::NXDOMAIN | RCode::YXDOMAIN)
}

/// Reads a reply that is cut down to the zone.
pub(super) fn read(message: &Message, asked: &Question, zone: &Name) -> Said {
    let (rcode, flags) = (message.rcode(), message.header.flags);
    if !is_reply(rcode) {
        return Said::Refused(rcode);
    }
    // A recursive server answers from its cache, which is not what the zone has to say; but what is signed is, wherever it comes from.
    let is_signed = message.answer.iter().any(|record| signs(record, asked));
    let is_cache = flags.recursion_available && !flags.authoritative && !is_signed;
    let has = |rtype| message.authority.iter().any(|record| record.rtype == rtype);
    if rcode == RCode::YXDOMAIN && !is_renamed(message, asked) {
        return Said::Refused(rcode);
    }
    if answers(message, asked) {
        return if is_cache { Said::Doubtful } else { Said::Answer };
    }
    let denied = || {
        let of_name = |owner: &Name| asked.qname.is_at_or_below(owner);
        message.authority.iter().any(|record| record.rtype == RecordType::SOA && of_name(&record.owner))
    };
    if rcode == RCode::NXDOMAIN || denied() {
        let proven = has(RecordType::NSEC) || has(RecordType::NSEC3);
        let absent = Said::Absent { nxdomain: rcode == RCode::NXDOMAIN, proven };
        return if is_cache { Said::Doubtful } else { absent };
    }
    if let Some(child) = referred(message, &asked.qname, zone) {
        return Said::Referral(child);
    }
    // Some servers leave out the SOA; the proof says it all.
    if has(RecordType::NSEC) || has(RecordType::NSEC3) {
        return if is_cache { Said::Doubtful } else { Said::Absent { nxdomain: false, proven: true } };
    }
    if flags.authoritative || is_cache { Said::Doubtful } else { Said::Lame }
}

/// Whether a record is a signature of the very set that was asked for.
fn signs(record: &Record, asked: &Question) -> bool {
    record.owner == asked.qname && Rrsig::read(record).is_some_and(|signature| signature.type_covered == asked.qtype)
}

/// Whether a DNAME is above the name.
fn is_renamed(message: &Message, asked: &Question) -> bool {
    let mut dnames = message.answer.iter().filter(|record| record.rtype == RecordType::DNAME);
    dnames.any(|record| asked.qname.is_below(&record.owner))
}

/// Whether the answer section says something of the name that was asked about.
fn answers(message: &Message, asked: &Question) -> bool {
    message.answer.iter().any(|record| {
        let any = matches!(asked.qtype, RecordType::ANY | RecordType::RRSIG);
        let fits = any || record.rtype == asked.qtype || record.rtype == RecordType::CNAME;
        fits && record.owner == asked.qname
    }) || is_renamed(message, asked)
}

/// The zone that a reply refers to: one below that of the server, and at or above the name.
fn referred(message: &Message, qname: &Name, zone: &Name) -> Option<Name> {
    let owners = message.authority.iter().filter(|record| record.rtype == RecordType::NS).map(|record| &record.owner);
    let fitting = owners.filter(|owner| owner.is_below(zone) && qname.is_at_or_below(owner));
    fitting.max_by_key(|owner| owner.label_count()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CLASS_IN, Flags, Header};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn nsec(owner: &str, next: &str) -> Record {
        let rdata = [name(next).wire(), &[0, 1, 0x40]].concat();
        Record { owner: name(owner), rtype: RecordType::NSEC, class: CLASS_IN, ttl_s: 60, rdata: rdata.into() }
    }

    /// The owners of the NSEC records that are left of a reply of a server of this zone.
    fn left(zone: &str, authority: Vec<Record>) -> Vec<String> {
        let flags = Flags { response: true, ..Flags::default() };
        let header = Header { id: 0, opcode: 0, rcode: 3, flags, counts: [1, 0, 0, 0] };
        let (answer, additional) = (Vec::new(), Vec::new());
        let mut message = Message { header, question: None, answer, authority, additional, edns: None };
        cut_down(&mut message, &name(zone));
        message.authority.iter().map(|record| record.owner.to_string()).collect()
    }

    /// A child's server has no say in what its parent has, be it ever so well signed.
    #[test]
    fn an_nsec_counts_only_from_and_to_names_of_the_zone() {
        let all = || {
            vec![
                nsec("a.sub.org.", "b.sub.org."),
                nsec("z.sub.org.", "SUB.org."),
                nsec("sub.org.", "tub.org."),
                nsec("a.org.", "z.org."),
                nsec("org.", "a.sub.org."),
            ]
        };
        assert_eq!(left("sub.org.", all()), ["a.sub.org.", "z.sub.org."]);
        assert_eq!(left("org.", all()).len(), 5);
        assert_eq!(left(".", all()).len(), 5);
        assert_eq!(left("org.", vec![nsec("z.org.", "a.com.")]), Vec::<String>::new());
        // One that cannot be read is for the validator to refuse.
        let unread = Record { rdata: Box::from([0xc0, 0xff]), ..nsec("a.sub.org.", ".") };
        assert_eq!(left("sub.org.", vec![unread]), ["a.sub.org."]);
    }
}
