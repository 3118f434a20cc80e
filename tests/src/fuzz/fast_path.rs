//! The fast path: a pass leaves the frame as it came, an answer is a message that fits its query, with the cookies that the
//! daemon would have sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, OnceLock};

use resolver_ebpf::host::cookies::{NOW_WALL_S, SECRET, server_cookie, set_secrets};
use resolver_ebpf::host::message::{CLIENT_V4, CLIENT_V6, ClientOpt, ClientQuery, internet_checksum};
use resolver_ebpf::host::records::{NOW_BOOT_NS, Record, records, set_listeners, wire_name};
use resolver_ebpf::host::{OwnedStore, PlainFrame};
use resolver_ebpf::serve::serve;
use resolver_user::answer::Transport;
use resolver_user::clock::{ManualClock, Now};
use resolver_user::cookies::CookieDoor;
use resolver_user::listener;
use resolver_user::wire::Message;

use super::source::Source;

/// Serves a frame: arbitrary bytes, or a query with arbitrary fields and some bytes of the frame changed.
pub fn fast_path(bytes: &[u8]) {
    static STORE: OnceLock<OwnedStore> = OnceLock::new();
    let mut source = Source::new(bytes);
    let (head_room, tail_room) = (usize::from(source.word()) % 1301, usize::from(source.word()) % 1301);
    let is_query = source.flag();
    let asked = if is_query { changed_query(&mut source) } else { source.rest().to_vec() };
    let Ok(mut frame) = PlainFrame::new(&asked, head_room, tail_room) else { return };
    let outcome = serve(&mut frame, &STORE.get_or_init(store).view());
    if outcome.is_answer() {
        check_answer(&asked, frame.bytes());
    } else {
        assert_eq!(frame.bytes(), asked, "{outcome:?} changed the frame");
    }
}

/// A store with those records of the table that are whole messages; the others have noise for data.
fn store() -> OwnedStore {
    let mut store = OwnedStore::new(8, 2, NOW_BOOT_NS);
    set_listeners(&mut store.settings);
    set_secrets(&mut store.settings);
    store.settings.cookies = 1;
    for record in records().iter().filter(|record| is_message(record)) {
        store.publish(&record.answer()).expect("the table fits");
    }
    store
}

fn is_message(record: &Record) -> bool {
    let answered = ClientQuery::new(&record.name, record.qtype).answered(&record.answer(), 60);
    answered.get(42..).is_some_and(|message| Message::read(message).is_ok())
}

/// A query for something that is published, or nearly, with up to fifteen bytes changed.
fn changed_query(source: &mut Source<'_>) -> Vec<u8> {
    let names = ["www.example.com", "insecure.example", "nx.example.com", "many.example", "edns1232.example", "x."];
    let mut name = wire_name(source.pick::<&str>(&names));
    let capitals = source.byte();
    for (place, byte) in name.iter_mut().enumerate().filter(|(_, byte)| byte.is_ascii_lowercase()) {
        *byte ^= (capitals >> (place % 8) & 1) << 5;
    }
    let qtype = *source.pick(&[1, 16, 6, 28]);
    let over_v6 = source.flag();
    let (id, flags) = (source.word(), if source.flag() { source.word() } else { 0x0100 });
    let opt = source.flag().then(|| {
        let mut opt = ClientOpt::new(source.word(), source.flag());
        opt.options = options(source, if over_v6 { &CLIENT_V6 } else { &CLIENT_V4 });
        opt
    });
    let padding = vec![0; usize::from(source.byte() % 64)];
    let mut frame = ClientQuery { over_v6, id, flags, opt, padding, ..ClientQuery::new(&name, qtype) }.frame();
    for _ in 0..source.byte() % 16 {
        let (at, value) = (usize::from(source.word()) % frame.len(), source.byte());
        frame[at] = value;
    }
    frame
}

/// None, whatever bytes there are, or up to six options that are whole or nearly, perhaps after a cookie of ours.
fn options(source: &mut Source<'_>, client: &[u8]) -> Vec<u8> {
    if !source.flag() {
        return Vec::new();
    }
    let mut options = if source.flag() { cookie_option(source, client) } else { Vec::new() };
    if source.flag() {
        options.extend(source.run());
        return options;
    }
    for _ in 0..source.byte() % 7 {
        let data = source.run();
        let len = data.len() as u16;
        options.extend(source.word().to_be_bytes());
        options.extend(if source.byte() < 240 { len } else { source.word() }.to_be_bytes());
        options.extend(data);
    }
    options
}

/// A COOKIE option: a client cookie, with a server cookie that may be as old or as wrong as can be.
fn cookie_option(source: &mut Source<'_>, client: &[u8]) -> Vec<u8> {
    let client_cookie = [source.byte(); 8];
    let mut data = client_cookie.to_vec();
    if source.flag() {
        let made_s = NOW_WALL_S.wrapping_add_signed(i32::from(source.word() as i16) / 8);
        data.extend(server_cookie(SECRET, client_cookie, [1, source.byte(), 0, 0], made_s, client));
        let at = usize::from(source.byte());
        data.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
    }
    [&[0, 10, 0, data.len() as u8], &data[..]].concat()
}

/// Where the daemon would judge the cookies, by the same secrets and at the same time.
static DOOR: LazyLock<CookieDoor> = LazyLock::new(|| {
    let clock = ManualClock::new(Now { unix_s: NOW_WALL_S.into(), boot_ns: NOW_BOOT_NS });
    CookieDoor::new(store().settings.cookie_secrets().copied(), Arc::new(clock))
});

/// Checks that the daemon would have answered the query, and with the same options.
fn check_options(query: &[u8], client: IpAddr, read: &Message) {
    let judge = |data: &[u8]| DOOR.judge(client, data);
    let taken = listener::ClientQuery::read(query, SocketAddr::new(client, 9), Transport::Udp, judge);
    let taken = taken.unwrap_or_else(|rejection| panic!("the daemon says {rejection:?}: {query:02x?}"));
    let expected = taken.asked.edns.and_then(|edns| edns.cookies).map(|cookies| cookies.option());
    let options = read.edns.iter().flat_map(|edns| &edns.options);
    let options: Vec<Vec<u8>> = options
        .map(|option| {
            [&option.code.to_be_bytes(), &(option.data.len() as u16).to_be_bytes(), &option.data[..]].concat()
        })
        .collect();
    assert_eq!(options, expected.iter().map(|option| option.to_vec()).collect::<Vec<_>>(), "{query:02x?}");
}

fn check_answer(asked_frame: &[u8], answered: &[u8]) {
    let asked = asked_frame;
    assert_eq!((&asked[..6], &asked[6..12], &asked[12..14]), (&answered[6..12], &answered[..6], &answered[12..14]));
    let (query, query_ports, _) = packet(asked);
    let (answer, answer_ports, pseudo_header) = packet(answered);
    assert_eq!(query_ports, [answer_ports[1], answer_ports[0]], "it goes back to where the query came from");
    let read = Message::read(&answer[8..]).unwrap_or_else(|error| panic!("{error}: {answer:02x?}"));
    let query_bytes = &query[8..];
    let query = Message::read(query_bytes).unwrap_or_else(|error| panic!("{error} in the query: {query_bytes:02x?}"));
    assert_eq!(read.header.id, query.header.id);
    assert!(read.header.flags.response && !query.header.flags.response);
    let (question, class) = read.question.as_ref().expect("an answer has a question");
    let (asked, asked_class) = query.question.expect("a query that is answered has a question");
    assert_eq!((question.qname.wire(), question.qtype, *class), (asked.qname.wire(), asked.qtype, asked_class));
    assert_eq!(read.edns.is_some(), query.edns.is_some(), "an OPT only for who sent one");
    check_options(query_bytes, source_address(asked_frame), &read);
    assert_eq!(internet_checksum(&[&pseudo_header, answer].concat()), 0, "checksum of the answer");
}

/// Where a frame comes from.
fn source_address(frame: &[u8]) -> IpAddr {
    let v4 = || <[u8; 4]>::try_from(&frame[26..30]).expect("four bytes");
    let v6 = || <[u8; 16]>::try_from(&frame[22..38]).expect("sixteen bytes");
    if frame[12..14] == [8, 0] { v4().into() } else { v6().into() }
}

/// The UDP datagram of a frame, its ports, and what its checksum covers before it.
fn packet(frame: &[u8]) -> (&[u8], [[u8; 2]; 2], Vec<u8>) {
    let (udp_at, addresses) = if frame[12..14] == [8, 0] { (34, 26..34) } else { (54, 22..54) };
    let length: [u8; 2] = [frame[udp_at + 4], frame[udp_at + 5]];
    let datagram = &frame[udp_at..udp_at + usize::from(u16::from_be_bytes(length))];
    let ports = [[datagram[0], datagram[1]], [datagram[2], datagram[3]]];
    (datagram, ports, [&frame[addresses], &length, &[0, 17]].concat())
}
