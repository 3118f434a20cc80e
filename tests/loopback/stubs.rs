//! Stub zones: an authoritative server is asked as such, without recursion, and recognised by its cookies.

use resolver_tests::client::ask;
use resolver_tests::message::{TestQuery, a, cname, soa};
use resolver_tests::upstream::{Asked, Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

/// The server's part of its cookies.
const THEIRS: [u8; 16] = [0x5e; 16];

/// A reply of an authoritative server: AA and not RA; with its cookie if it is to have one and the query had one.
fn authoritative(asked: &Asked, reply: &Reply, with_cookie: bool) -> Vec<u8> {
    let mut wire = reply.wire(asked);
    wire[2] |= 4;
    wire[3] &= 0x7f;
    if let Some(ours) = cookie(asked).filter(|_| with_cookie) {
        let option = [&[0, 10, 0, 24][..], &ours[..8], &THEIRS].concat();
        let at = wire.len() - 2;
        wire.splice(at.., [&28u16.to_be_bytes()[..], &option].concat());
    }
    wire
}

/// The COOKIE option of a query.
fn cookie(asked: &Asked) -> Option<Vec<u8>> {
    let options = asked.message.edns.iter().flat_map(|edns| &edns.options);
    options.into_iter().find(|option| option.code == 10).map(|option| option.data.to_vec())
}

fn of_corp(asked: &Asked) -> Reply {
    let owner = asked.question.qname.to_string();
    match (owner.to_ascii_lowercase().as_str(), asked.question.qtype) {
        ("www.deep.corp.test.", RecordType::A) => Reply::answer(vec![a(&owner, 60, [10, 0, 0, 2])]),
        ("out.corp.test.", RecordType::A) => Reply::answer(vec![cname(&owner, 60, "www.elsewhere.test.")]),
        ("deep.corp.test.", _) => Reply { authority: vec![soa("corp.test.", 60, 60)], ..Reply::default() },
        _ => Reply { authority: vec![soa("corp.test.", 60, 60)], ..Reply::error(RCode::NXDOMAIN) },
    }
}

fn stub(server: &Upstream) -> String {
    format!("--stub=/corp.test/{}#{}", server.address.ip(), server.address.port())
}

fn address(reply: &Message) -> Option<Vec<u8>> {
    reply.answer.iter().find(|record| record.rtype == RecordType::A).map(|record| record.rdata.to_vec())
}

#[test]
fn a_stub_zone_is_asked_without_recursion_for_no_more_than_needed_in_mixed_case_and_with_cookies() {
    let server = Upstream::scripted(|asked| vec![authoritative(asked, &of_corp(asked), true)]);
    let elsewhere =
        Upstream::replying(|asked| Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [10, 0, 0, 9])]));
    let daemon = RESOLVER.start(&[&stub(&server), &elsewhere.option()]);
    let asked = |qname: &str| ask(daemon.address, &TestQuery::new(qname, RecordType::A));
    assert_eq!(address(&asked("www.deep.corp.test.")), Some(vec![10, 0, 0, 2]));
    assert_eq!(asked("a-name-of-many-letters-that-is-not-there.corp.test.").rcode(), RCode::NXDOMAIN);
    assert_eq!(address(&asked("out.corp.test.")), Some(vec![10, 0, 0, 9]), "an alias is followed to the usual servers");
    let seen = server.seen();
    let names: Vec<String> = seen.iter().map(|query| query.question.qname.to_lowercase().to_string()).collect();
    assert_eq!(names[..2], ["deep.corp.test.", "www.deep.corp.test."], "minimised");
    assert!(seen.iter().all(|query| !query.message.header.flags.recursion_desired), "RD");
    assert!(elsewhere.seen().iter().all(|query| query.message.header.flags.recursion_desired), "forwarded as before");
    let mixed = seen.iter().any(|query| query.question.qname.wire() != query.question.qname.to_lowercase().wire());
    assert!(mixed, "2^-60 that this is chance: {seen:?}");
    let cookies: Vec<Vec<u8>> = seen.iter().map(|query| cookie(query).expect("a cookie")).collect();
    assert_eq!((cookies[0].len(), cookies[1].len()), (8, 24));
    assert_eq!((&cookies[1][..8], &cookies[1][8..]), (&cookies[0][..], &THEIRS[..]), "ours stays, theirs comes back");
    assert!(elsewhere.seen().iter().all(|query| cookie(query).is_none()));
    assert_eq!(daemon.counter("upstream_tcp"), 0);
}

#[test]
fn a_reply_that_lacks_the_servers_cookie_is_asked_for_again_by_tcp() {
    let server = Upstream::scripted(|asked| {
        let forged = Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [6, 6, 6, 6])]);
        let is_www = asked.question.qname.to_string().to_ascii_lowercase().starts_with("www");
        match is_www && !asked.tcp {
            true => vec![authoritative(asked, &forged, false)],
            false => vec![authoritative(asked, &of_corp(asked), true)],
        }
    });
    let daemon = RESOLVER.start(&[&stub(&server), "--server=127.0.0.1#9"]);
    let answer = ask(daemon.address, &TestQuery::new("www.deep.corp.test.", RecordType::A));
    assert_eq!(address(&answer), Some(vec![10, 0, 0, 2]), "the forged reply did not count");
    assert_eq!((daemon.counter("upstream_cookies_missing"), daemon.counter("upstream_tcp")), (1, 1));
}

#[test]
fn a_server_that_wants_another_cookie_gets_it() {
    let server = Upstream::scripted(|asked| {
        let with_theirs = cookie(asked).is_some_and(|cookie| cookie.len() == 24);
        let mut wire = authoritative(asked, &of_corp(asked), true);
        if !with_theirs {
            // BADCOOKIE is 23: 7 in the header, 1 in the OPT, which ends with its option.
            wire[3] |= 7;
            let at = wire.len() - 28 - 2 - 4;
            wire[at] = 1;
        }
        vec![wire]
    });
    let daemon = RESOLVER.start(&[&stub(&server), "--server=127.0.0.1#9"]);
    let answer = ask(daemon.address, &TestQuery::new("www.deep.corp.test.", RecordType::A));
    assert_eq!(address(&answer), Some(vec![10, 0, 0, 2]));
    assert_eq!(server.seen().iter().filter(|query| query.tcp).count(), 0);
    assert_eq!(server.seen().len(), 3, "once in vain, then for each name");
}
