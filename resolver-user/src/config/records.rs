//! Records as dnsmasq's options write them, made into RDATA (RFC 1035 §3.3, RFC 2782, RFC 3403 §4.1, RFC 8659 §4.1).

use super::domains::name;
use super::option::number;
use super::syntax::reveal;
use crate::local::LocalRecord;
use crate::wire::{Name, RecordType};

pub(super) const SRV: &str = "<_service>.<_protocol>[.<domain>][,<target>[,<port>[,<priority>[,<weight>]]]]";
pub(super) const MX: &str = "<name>,<target>[,<preference>]";
pub(super) const NAPTR: &str = "<name>,<order>,<preference>,<flags>,<service>,<regexp>[,<replacement>]";
pub(super) const CAA: &str = "<name>,<flags 0..=255>,<tag>,<value>";
pub(super) const RR: &str = "<name>,<type, by number>[,<hex digits>]";

/// Type NAPTR.
const TYPE_NAPTR: RecordType = RecordType(35);
/// Type CAA.
const TYPE_CAA: RecordType = RecordType(257);
/// Longest RDATA that is taken, in bytes. Choice: it fits an answer over TCP with room to spare.
const RDATA_LEN_MAX: usize = 60_000;

pub(super) fn txt(value: &str) -> Result<LocalRecord, String> {
    let mut fields = value.split(',');
    let owner = name(fields.next().unwrap_or_default())?;
    let mut rdata = Vec::new();
    // White space belongs to the text.
    for text in fields {
        push_string(&mut rdata, &reveal(text))?;
    }
    if rdata.is_empty() {
        rdata.push(0);
    }
    record(owner, RecordType::TXT, rdata)
}

pub(super) fn ptr(value: &str) -> Result<LocalRecord, String> {
    let [owner, target] = fields(value)?;
    record(name(owner)?, RecordType::PTR, name(target)?.wire().to_vec())
}

pub(super) fn srv(value: &str) -> Result<LocalRecord, String> {
    let mut fields = value.split(',').map(str::trim);
    let owner = name(fields.next().unwrap_or_default())?;
    let target = fields.next().filter(|target| !target.is_empty()).map_or(Ok(Name::root()), name)?;
    let mut word = |what: &str, default: u16| match fields.next() {
        None | Some("") => Ok(default),
        Some(text) => number(text, 0, u16::MAX).map_err(|error| format!("{what} \"{text}\": {error}")),
    };
    let default_port = u16::from(target.is_root());
    let (port, priority, weight) = (word("port", default_port.max(1))?, word("priority", 0)?, word("weight", 0)?);
    if fields.next().is_some() {
        return Err("too many fields".to_owned());
    }
    let words = [priority, weight, port].map(u16::to_be_bytes).concat();
    record(owner, RecordType::SRV, [&words, target.wire()].concat())
}

/// Puts the domain behind a service that has none.
pub(super) fn complete_srv(owner: &mut Name, domain: &Name) {
    if owner.label_count() != 2 {
        return;
    }
    let labels: Vec<&[u8]> = owner.labels().collect();
    let whole = labels.iter().rev().try_fold(domain.clone(), |suffix, label| suffix.prepend(label));
    if let Ok(whole) = whole {
        *owner = whole;
    }
}

pub(super) fn mx(value: &str) -> Result<LocalRecord, String> {
    let fields: Vec<&str> = value.split(',').map(str::trim).collect();
    let (owner, target, preference) = match fields.as_slice() {
        [owner, target] if target.parse::<u32>().is_err() => (owner, target, "1"),
        [owner, target, preference] => (owner, target, *preference),
        _ => return Err("a target is missing; this machine's own name is not assumed".to_owned()),
    };
    let preference: u16 = number(preference, 0, u16::MAX).map_err(|what| format!("preference: {what}"))?;
    record(name(owner)?, RecordType::MX, [&preference.to_be_bytes(), name(target)?.wire()].concat())
}

pub(super) fn naptr(value: &str) -> Result<LocalRecord, String> {
    let fields: Vec<&str> = value.split(',').map(str::trim).collect();
    let (fields, replacement) = match fields.as_slice() {
        [fields @ .., replacement] if fields.len() == 6 => (fields, name(replacement)?),
        fields => (fields, Name::root()),
    };
    let [owner, order, preference, flags, service, regexp] = fields else {
        return Err(format!("{} fields, not 6 or 7", fields.len()));
    };
    let mut rdata = Vec::new();
    for (what, text) in [("order", order), ("preference", preference)] {
        let word: u16 = number(text, 0, u16::MAX).map_err(|error| format!("{what}: {error}"))?;
        rdata.extend_from_slice(&word.to_be_bytes());
    }
    for text in [flags, service, regexp] {
        push_string(&mut rdata, &reveal(text))?;
    }
    rdata.extend_from_slice(replacement.wire());
    record(name(owner)?, TYPE_NAPTR, rdata)
}

pub(super) fn caa(value: &str) -> Result<LocalRecord, String> {
    let [owner, flags, tag, value] = fields(value)?;
    let mut rdata = vec![number(flags, 0, u8::MAX).map_err(|what| format!("flags: {what}"))?];
    let tag = reveal(tag);
    if !(1..=15).contains(&tag.len()) || !tag.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("tag \"{tag}\" is not 1 to 15 letters and digits"));
    }
    push_string(&mut rdata, &tag)?;
    rdata.extend_from_slice(reveal(value).as_bytes());
    record(name(owner)?, TYPE_CAA, rdata)
}

pub(super) fn any(value: &str) -> Result<LocalRecord, String> {
    let mut fields = value.splitn(3, ',').map(str::trim);
    let owner = name(fields.next().unwrap_or_default())?;
    let rtype = fields.next().ok_or("a type is missing")?;
    let rtype = RecordType(number(rtype, 1, u16::MAX).map_err(|what| format!("type \"{rtype}\": {what}"))?);
    if rtype.is_meta() {
        return Err(format!("{rtype} is no type that records have"));
    }
    if rtype == RecordType::CNAME {
        return Err("use cname for aliases".to_owned());
    }
    let digits: Vec<u8> = reveal(fields.next().unwrap_or_default())
        .chars()
        .filter(|character| !matches!(character, ':' | ' '))
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .ok_or("data are not hexadecimal")?;
    if !digits.len().is_multiple_of(2) {
        return Err("half a byte is missing".to_owned());
    }
    record(
        owner,
        rtype,
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect(),
    )
}

/// Exactly so many fields.
fn fields<const COUNT: usize>(value: &str) -> Result<[&str; COUNT], String> {
    let fields: Vec<&str> = value.split(',').map(str::trim).collect();
    let count = fields.len();
    fields.try_into().map_err(|_| format!("{count} fields, not {COUNT}"))
}

/// A character string (RFC 1035 §3.3).
fn push_string(rdata: &mut Vec<u8>, text: &str) -> Result<(), String> {
    rdata.push(u8::try_from(text.len()).map_err(|_| "a text is longer than 255 bytes".to_owned())?);
    rdata.extend_from_slice(text.as_bytes());
    Ok(())
}

fn record(owner: Name, rtype: RecordType, rdata: Vec<u8>) -> Result<LocalRecord, String> {
    if rdata.len() > RDATA_LEN_MAX {
        return Err(format!("more than {RDATA_LEN_MAX} bytes of data"));
    }
    Ok(LocalRecord { owner, rtype, rdata: rdata.into() })
}
