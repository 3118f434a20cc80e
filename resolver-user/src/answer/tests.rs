//! What is written is read back with the message parser.

#![expect(clippy::indexing_slicing, reason = "test messages have known lengths")]

use super::*;
use crate::validator::BogusReason;
use crate::wire::{Message, Name, Question, RCode, Record, RecordType, Response, RrSet, Rrsig, group};

const QUESTION: &[u8] = b"\x03wWw\x07example\0\0\x01\0\x01";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn asked(edns: Option<(u16, bool)>) -> Asked<'static> {
    Asked {
        id: 0x1234,
        opcode: 0,
        recursion_desired: true,
        authentic_data: false,
        checking_disabled: false,
        question: QUESTION,
        edns: edns.map(|(udp_payload_len, dnssec_ok)| AskedEdns::new(udp_payload_len, dnssec_ok)),
        transport: Transport::Udp,
    }
}

fn set(owner: &str, rtype: RecordType, rdatas: &[&[u8]], signed: bool) -> RrSet {
    let rdatas: Vec<Box<[u8]>> = rdatas.iter().map(|&rdata| rdata.into()).collect();
    let mut rrsig = rtype.0.to_be_bytes().to_vec();
    rrsig.extend([15, 2, 0, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 7]);
    rrsig.extend(name("Example.").wire());
    rrsig.extend([0xaa; 64]);
    let record =
        Record { owner: name(owner), rtype: RecordType::RRSIG, class: 1, ttl_s: 60, rdata: rrsig.into_boxed_slice() };
    let signatures = if signed { vec![Rrsig::read(&record).unwrap()] } else { Vec::new() };
    RrSet { owner: name(owner), rtype, ttl_s: 60, rdatas, signatures }
}

fn response(qtype: RecordType, rcode: RCode, answer: Vec<RrSet>, authority: Vec<RrSet>) -> Response {
    Response { question: Question::new(name("www.example."), qtype), rcode, answer, authority }
}

fn written(response: &Response, asked: &Asked<'_>, ttl_s: u32) -> (Message, Sent) {
    let mut out = vec![1, 2, 3];
    let rendered = UncheckedAnswer::new(response, asked.form());
    let sent = write_answer(asked, Answer::Unchecked(&rendered), ttl_s, &mut out);
    (Message::read(&out).unwrap(), sent)
}

/// One set of each type whose RDATA holds names, names of the question and of each other, in odd letter case.
fn many_types() -> Vec<RrSet> {
    let pair = [name("a.WWW.example.").wire(), name("b.a.www.example.").wire()].concat();
    let soa = [&pair[..], &[7; 20]].concat();
    let mx = [&[0, 10], name("mail.Other.").wire()].concat();
    let srv = [&[0; 6], name("srv.example.").wire()].concat();
    let naptr = [&[0, 1, 0, 2, 1, b'u', 0, 0], name("n.example.").wire()].concat();
    vec![
        set("www.example.", RecordType::CNAME, &[name("Mail.example.").wire()], true),
        set("mail.example.", RecordType::A, &[&[1, 2, 3, 4], &[5, 6, 7, 8]], true),
        set("mail.EXAMPLE.", RecordType::MX, &[&mx], true),
        set("example.", RecordType::SOA, &[&soa], true),
        set("_srv.example.", RecordType::SRV, &[&srv], true),
        set("other.", RecordType(35), &[&naptr], true),
        set("x.other.", RecordType::DNAME, &[name("y.example.").wire()], true),
        set(".", RecordType::NS, &[name(".").wire(), name("www.example.").wire()], true),
        set("opaque.example.", RecordType(65280), &[b"\xc0\x0c", b""], true),
    ]
}

#[test]
fn what_is_written_reads_back_the_same() {
    for form_is_dnssec in [false, true] {
        let asked = Asked { transport: Transport::Tcp, ..asked(Some((1232, form_is_dnssec))) };
        let response = response(RecordType::ANY, RCode::NOERROR, many_types(), Vec::new());
        // The types differ from the question's, so sets of DNSSEC types would be left out; there are none.
        let (message, sent) = written(&response, &asked, 77);
        assert_eq!((sent.rcode, sent.truncated, sent.authentic), (RCode::NOERROR, false, false));
        assert!(message.answer.iter().all(|record| record.ttl_s == 77));
        let mut expected = many_types();
        for set in &mut expected {
            set.ttl_s = 77;
            set.signatures.iter_mut().for_each(|signature| signature.ttl_s = 77);
            if !form_is_dnssec {
                set.signatures.clear();
            }
        }
        // A pointer may lead to other letter case; in compressed types it does not matter (RFC 4034 §6.2).
        let folded = |mut sets: Vec<RrSet>| {
            sets.iter_mut().flat_map(|set| &mut set.rdatas).for_each(|rdata| rdata.make_ascii_lowercase());
            sets
        };
        assert_eq!(folded(group(&message.answer)), folded(expected));
    }
}

#[test]
fn names_are_compressed_only_where_rfc_3597_allows() {
    let srv = [&[0; 6], name("www.example.").wire()].concat();
    let sets = vec![
        set("www.example.", RecordType::SRV, &[&srv], false),
        set("www.example.", RecordType::CNAME, &[name("a.www.example.").wire()], false),
    ];
    let response = response(RecordType::SRV, RCode::NOERROR, sets, Vec::new());
    let mut out = Vec::new();
    let rendered = UncheckedAnswer::new(&response, Form::Plain);
    write_answer(&asked(None), Answer::Unchecked(&rendered), 0, &mut out);
    let body = &out[12 + QUESTION.len()..];
    assert_eq!(body.len(), (2 + 10 + 6 + 13) + (2 + 10 + 2 + 2));
    assert_eq!(body[body.len() - 4..], *b"\x01a\xc0\x0c");
}

#[test]
fn dnssec_records_are_left_out_for_do_0_unless_asked_for() {
    let proof = || {
        vec![
            set("example.", RecordType::SOA, &[&[0; 22]], true),
            set("example.", RecordType::NS, &[name("ns.").wire()], false),
            set("a.example.", RecordType::NSEC, &[b"\0\0\x01\x40"], true),
        ]
    };
    let types = |records: &[Record]| records.iter().map(|record| record.rtype).collect::<Vec<_>>();
    let negative = response(RecordType::A, RCode::NXDOMAIN, Vec::new(), proof());
    let (plain, _) = written(&negative, &asked(None), 1);
    assert_eq!(types(&plain.authority), [RecordType::SOA]);
    let (dnssec, _) = written(&negative, &asked(Some((1232, true))), 1);
    assert_eq!(types(&dnssec.authority), [RecordType::SOA, RecordType::RRSIG, RecordType::NSEC, RecordType::RRSIG]);
    let nsec = vec![set("www.example.", RecordType::NSEC, &[b"\0\0\x01\x40"], true)];
    let (asked_for, _) = written(&response(RecordType::NSEC, RCode::NOERROR, nsec, Vec::new()), &asked(None), 1);
    assert_eq!(types(&asked_for.answer), [RecordType::NSEC]);
    let bare = vec![set("www.example.", RecordType::A, &[], true)];
    let (rrsig, _) = written(&response(RecordType::RRSIG, RCode::NOERROR, bare, Vec::new()), &asked(None), 1);
    assert_eq!(types(&rrsig.answer), [RecordType::RRSIG]);
}

#[test]
fn what_is_too_large_becomes_a_truncated_message_without_records() {
    let txt = [&[250u8][..], &[b'x'; 250]].concat();
    let many = |count: u8| {
        let rdatas: Vec<Vec<u8>> = (0..count).map(|number| [&txt[..], &[1, number]].concat()).collect();
        let rdatas: Vec<&[u8]> = rdatas.iter().map(Vec::as_slice).collect();
        response(
            RecordType::TXT,
            RCode::NOERROR,
            vec![set("www.example.", RecordType::TXT, &rdatas, false)],
            Vec::new(),
        )
    };
    for (count, edns, truncated) in [
        (1, None, false),
        (2, None, true),
        (2, Some((1232, false)), false),
        (2, Some((512, false)), true),
        (2, Some((0, false)), true),
        (4, Some((65_535, false)), false),
        (5, Some((65_535, false)), true),
    ] {
        let (message, sent) = written(&many(count), &asked(edns), 1);
        assert_eq!((sent.truncated, message.header.flags.truncated), (truncated, truncated), "{count} {edns:?}");
        assert_eq!(message.answer.is_empty(), truncated);
        assert_eq!(message.edns.is_some(), edns.is_some());
    }
    // 255 · 264 bytes fit no message at all.
    let (message, sent) = written(&many(255), &Asked { transport: Transport::Tcp, ..asked(None) }, 1);
    assert!(sent.truncated && message.answer.is_empty());
}

#[test]
fn failures_have_their_rcode_and_extended_error() {
    let reason = BogusReason::MissingRrsig { owner: name("www.example."), rtype: RecordType::A };
    for (failure, rcode, code) in [
        (Failure::Malformed, RCode::FORMERR, None),
        (Failure::EdnsVersion, RCode::BADVERS, None),
        (Failure::Overload, RCode::REFUSED, Some(0)),
        (Failure::Bogus(&reason), RCode::SERVFAIL, Some(10)),
    ] {
        let mut out = Vec::new();
        let sent = write_failure(&asked(Some((1232, true))), &failure, &mut out);
        let message = Message::read(&out).unwrap();
        assert_eq!((sent.rcode, message.rcode()), (rcode, rcode), "{failure:?}");
        assert_eq!(message.question.unwrap().0.qname.to_string(), "wWw.example.");
        let edns = message.edns.unwrap();
        assert!(edns.dnssec_ok);
        let told = edns.options.first().map(|option| u16::from_be_bytes([option.data[0], option.data[1]]));
        assert_eq!(told, code, "{failure:?}");
        write_failure(&asked(None), &failure, &mut out);
        assert_eq!(Message::read(&out).unwrap().edns, None);
    }
    let mut out = Vec::new();
    write_failure(&Asked { question: &[], opcode: 5, ..asked(None) }, &Failure::Opcode, &mut out);
    assert_eq!(out, [0x12, 0x34, 0xa9, 0x84, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn records_of_the_operators_own_have_their_own_ttls_and_never_ad() {
    let record = |owner: &str, rtype, ttl_s, rdata: &[u8]| Record {
        owner: name(owner),
        rtype,
        class: 1,
        ttl_s,
        rdata: rdata.into(),
    };
    let alias = record("www.example.", RecordType::CNAME, 50, name("host.example.").wire());
    let address = record("host.example.", RecordType::A, 7, &[10, 0, 0, 1]);
    for (edns, authoritative) in [(None, true), (Some((1232, true)), false)] {
        let asked = Asked { authentic_data: true, ..asked(edns) };
        let mut out = vec![9];
        let records = [alias.clone(), address.clone()];
        let sent = write_local(&asked, RCode::NOERROR, authoritative, &records, &mut out);
        let message = Message::read(&out).unwrap();
        assert_eq!((sent.authentic, sent.truncated, message.header.flags.authentic_data), (false, false, false));
        assert_eq!(message.header.flags.authoritative, authoritative);
        assert!(message.header.flags.recursion_available);
        assert_eq!(message.answer, records);
        assert_eq!(message.edns.is_some(), edns.is_some());
    }
    let many: Vec<Record> = (0..50).map(|last| record("www.example.", RecordType::A, 1, &[10, 0, 0, last])).collect();
    let mut out = Vec::new();
    let sent = write_local(&asked(None), RCode::NOERROR, true, &many, &mut out);
    let message = Message::read(&out).unwrap();
    assert!(sent.truncated && message.header.flags.truncated && message.answer.is_empty());
    assert!(message.header.flags.authoritative);
}

#[test]
fn stale_data_say_so_in_place_of_what_they_said_before() {
    let mut out = Vec::new();
    for (rcode, code) in [(RCode::NOERROR, 3), (RCode::NXDOMAIN, 19)] {
        let response = response(RecordType::A, rcode, Vec::new(), Vec::new());
        let filtered = UncheckedAnswer::filtered(&response, crate::filter::FilterReason::Type, Form::Plain);
        for (stale, expected) in [(false, 17), (true, code)] {
            let answer = Answer::Unchecked(&filtered);
            let write = if stale { write_stale } else { write_answer };
            write(&asked(Some((1232, false))), answer, 30, &mut out);
            let edns = Message::read(&out).unwrap().edns.unwrap();
            let told: Vec<u16> =
                edns.options.iter().map(|option| u16::from_be_bytes([option.data[0], option.data[1]])).collect();
            assert_eq!(told, [expected], "one extended error");
        }
    }
}
