//! Canonical form: what of a set is signed, and what of its spelling does not matter.

mod fixtures;

use super::*;

/// A world with one set of `rtype` at `www.org`, which `respell` changes on its way.
#[track_caller]
fn check(rtype: RecordType, rdatas: &[&[u8]], secure: bool, respell: impl Fn(&mut RrSet) + 'static) {
    let mut world = World::new(&[("org", Denies::Nsec)]);
    for rdata in rdatas {
        world.add("www.org", rtype, rdata);
    }
    world.resolve("www.org", rtype).is_secure();
    world.break_reply("www.org", rtype, move |response| {
        let before = response.answer[0].clone();
        respell(&mut response.answer[0]);
        // As text: names that differ only in letter case are equal.
        assert_ne!(format!("{:?}", response.answer[0]), format!("{before:?}"), "nothing was broken");
    });
    let run = world.resolve("www.org", rtype);
    if secure {
        run.is_secure();
    } else {
        run.is_bogus();
    }
}

fn shout(set: &mut RrSet) {
    set.rdatas.iter_mut().for_each(|rdata| rdata.make_ascii_uppercase());
}

const TXT: RecordType = RecordType::TXT;
const HTTPS: RecordType = RecordType(65);
const UNKNOWN: RecordType = RecordType(65_280);

#[test]
fn order_and_repetition_of_records_do_not_matter() {
    check(TXT, &[b"\x01b", b"\x01a", b"\x02aa"], true, |set| set.rdatas.reverse());
    check(TXT, &[b"\x01b", b"\x01a"], true, |set| set.rdatas.push(b"\x01b".as_slice().into()));
    check(TXT, &[b"\x01b", b"\x01a"], false, |set| drop(set.rdatas.pop()));
    check(TXT, &[b"\x01b", b"\x01a"], false, |set| set.rdatas.push(b"\x01c".as_slice().into()));
}

/// RFC 4034 §6.2 as corrected by RFC 6840 §5.1: the types of RFC 3597 §7 fold the names in their RDATA, all others do not.
#[test]
fn letter_case_of_names_in_rdata_matters_by_type() {
    for (rtype, rdata, folds) in [
        (RecordType::NS, target("ns.org"), true),
        (RecordType::CNAME, target("x.org"), true),
        (RecordType(15), [&[0, 10][..], &target("mail.org")].concat(), true),
        (RecordType(33), [&[0, 1, 0, 2, 0, 53][..], &target("srv.org")].concat(), true),
        (HTTPS, [&[0, 1][..], &target("svc.org")].concat(), false),
        (TXT, b"\x03abc".to_vec(), false),
        (UNKNOWN, target("x.org"), false),
    ] {
        check(rtype, &[&rdata], folds, shout);
    }
}

#[test]
fn letter_case_of_the_owner_does_not_matter() {
    check(TXT, &[b"\x01a"], true, |set| set.owner = Name::from_wire(b"\x03wWw\x03ORG\x00").unwrap());
    assert_eq!(name("WWW.org"), name("www.ORG"));
}

#[test]
fn the_original_ttl_is_signed_and_the_received_one_is_not() {
    for ttl_s in [1, TTL_S - 1, TTL_S + 1, u32::MAX] {
        check(TXT, &[b"\x01a"], true, move |set| set.ttl_s = ttl_s);
    }
    check(TXT, &[b"\x01a"], false, |set| {
        let signature = &mut set.signatures[0];
        signature.original_ttl_s += 1;
        // The field as it stands in the RDATA: after type, algorithm and labels.
        let mut rdata = signature.rdata.to_vec();
        rdata[4..8].copy_from_slice(&signature.original_ttl_s.to_be_bytes());
        signature.rdata = rdata.into();
    });
}

/// Types that we do not know, and parameters of known ones that we would write otherwise, verify as they came.
#[test]
fn rdata_is_taken_from_the_wire() {
    // SVCB parameters out of order, a repeated one, and an empty ALPN: wrong (RFC 9460 §2.2), but as they were signed.
    let odd = [&[0, 1, 0][..], &[0, 3, 0, 2, 1, 187], &[0, 1, 0, 0], &[0, 1, 0, 0]].concat();
    for (rtype, rdata) in [(HTTPS, odd), (UNKNOWN, vec![0xff; 300]), (UNKNOWN, vec![])] {
        check(rtype, &[&rdata], true, |set| set.ttl_s -= 1);
    }
    check(UNKNOWN, &[&[0xff; 300]], false, |set| set.rdatas[0][299] ^= 1);
}
