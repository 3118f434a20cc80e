//! Any bytes are a message or an error, and what was read can be written and read again.

use resolver_user::wire::{Message, Name, RdataField, Record, RecordType, Rrsig, Soa, group, rdata_layout, rdata_text};

use super::name::round_trips;

/// Reads a message; if it is one, every name in it round-trips, and written without compression it reads the same.
pub fn message(bytes: &[u8]) {
    let Ok(message) = Message::read(bytes) else { return };
    if let Some((question, _)) = &message.question {
        round_trips(&question.qname);
    }
    for section in [&message.answer, &message.authority, &message.additional] {
        section.iter().for_each(check_record);
        check_groups(section);
    }
    if let Some(plain) = without_compression(&message) {
        let again = Message::read(&plain).expect("what was read can be written");
        assert_eq!(again.question, message.question);
        assert_eq!(again.answer, message.answer);
        assert_eq!(again.authority, message.authority);
        assert_eq!(again.additional, message.additional);
    }
}

fn check_record(record: &Record) {
    round_trips(&record.owner);
    let mut at = 0;
    for field in rdata_layout(record.rtype) {
        match field {
            RdataField::Bytes(length) => at += length,
            RdataField::CharacterString => at += 1 + usize::from(record.rdata[at]),
            RdataField::Name => {
                let (name, after) =
                    Name::read_compressed(&record.rdata, at).expect("decompressed rdata holds its names");
                assert_eq!(after - at, name.wire().len(), "no pointer is left in rdata");
                round_trips(&name);
                at = after;
            }
            RdataField::A6 => break,
        }
    }
    let text = rdata_text(record.rtype, &record.rdata);
    assert!(!text.chars().any(char::is_control), "{text:?} would move a terminal");
    if record.rtype == RecordType::RRSIG
        && let Some(signature) = Rrsig::read(record)
    {
        round_trips(&signature.signer);
    }
    let _any_or_none = Soa::read(&record.rdata);
}

/// Sets have an owner and type each, and hold no record twice.
fn check_groups(section: &[Record]) {
    let sets = group(section);
    for (index, set) in sets.iter().enumerate() {
        assert!(!set.rdatas.is_empty() || !set.signatures.is_empty());
        assert!(!sets[..index].iter().any(|other| other.owner == set.owner && other.rtype == set.rtype));
        assert!((1..set.rdatas.len()).all(|at| !set.rdatas[..at].contains(&set.rdatas[at])));
    }
}

/// The message without its OPT; none if it would not fit the fields that hold lengths.
fn without_compression(message: &Message) -> Option<Vec<u8>> {
    let sections = [&message.answer, &message.authority, &message.additional];
    let mut wire = vec![0; 4];
    wire.extend(u16::from(message.question.is_some()).to_be_bytes());
    for section in sections {
        wire.extend(u16::try_from(section.len()).ok()?.to_be_bytes());
    }
    if let Some((question, class)) = &message.question {
        wire.extend(question.qname.wire());
        wire.extend(question.qtype.0.to_be_bytes());
        wire.extend(class.to_be_bytes());
    }
    for record in sections.into_iter().flatten() {
        wire.extend(record.owner.wire());
        wire.extend(record.rtype.0.to_be_bytes());
        wire.extend(record.class.to_be_bytes());
        wire.extend(record.ttl_s.to_be_bytes());
        wire.extend(u16::try_from(record.rdata.len()).ok()?.to_be_bytes());
        wire.extend(&record.rdata);
    }
    Some(wire)
}
