//! Which server is asked, in which order, and from where: `server=` in its forms and the options beside it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::thread;

use resolver_tests::client::{PATIENCE, ask, receive, udp};
use resolver_tests::daemon::{Daemon, TestDirectory};
use resolver_tests::message::{TestQuery, a};
use resolver_tests::upstream::{Asked, Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType};

use super::RESOLVER;

/// No second try while a test keeps a server waiting.
const PATIENT: &str = "--fast-dns-retry=10000,30000";

fn address(asked: &Asked, last: u8) -> Reply {
    Reply::answer(vec![a(&asked.question.qname.to_string(), 60, [192, 0, 2, last])])
}

/// A server whose addresses end in this number.
fn numbered(last: u8) -> Upstream {
    Upstream::replying(move |asked| address(asked, last))
}

fn start(options: &[String]) -> Daemon {
    RESOLVER.start(&options.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The last number of the address that the daemon gives for a name.
fn last_of(daemon: &Daemon, qname: &str) -> u8 {
    let answer = ask(daemon.address, &TestQuery::new(qname, RecordType::A));
    let [record] = &answer.answer[..] else { panic!("{qname}: {answer:?}") };
    record.rdata[3]
}

fn extended_error(answer: &Message) -> (u8, String) {
    let option = &answer.edns.as_ref().expect("an OPT").options[0];
    (option.data[1], String::from_utf8_lossy(&option.data[2..]).into_owned())
}

/// Names of questions that a server saw, in our own letter case.
fn names(upstream: &Upstream) -> Vec<String> {
    upstream.seen().iter().map(|asked| asked.question.qname.to_string().to_ascii_lowercase()).collect()
}

#[test]
fn each_name_goes_to_the_servers_of_its_domain() {
    let servers: Vec<Upstream> = (1..=6).map(numbered).collect();
    let [usual, corp, deep, star, undotted, reverse] = &servers[..] else { panic!("six") };
    let port = reverse.address.port();
    let daemon = start(&[
        usual.option(),
        corp.option_for("Corp.Example/other.example"),
        deep.option_for(".deep.corp.example"),
        star.option_for("*star.example"),
        undotted.option_for(""),
        format!("--rev-server=10.20.30.0/23,127.0.0.1#{port}"),
        "--server=/public.corp.example/#".to_owned(),
    ]);
    for (qname, last) in [
        ("example.", 5),
        ("www.example.", 1),
        ("www.CORP.example.", 2),
        ("corp.example.", 2),
        ("xcorp.example.", 1),
        ("a.other.example.", 2),
        ("deep.corp.example.", 3),
        ("x.deep.corp.example.", 3),
        ("public.corp.example.", 1),
        ("www.public.corp.example.", 1),
        ("mystar.example.", 4),
        ("www.star.example.", 4),
        ("nas.", 5),
        ("1.31.20.10.in-addr.arpa.", 6),
        ("1.32.20.10.in-addr.arpa.", 1),
    ] {
        assert_eq!(last_of(&daemon, qname), last, "{qname}");
    }
    // A DS is the parent's.
    ask(daemon.address, &TestQuery::new("deep.corp.example.", RecordType::DS));
    assert_eq!(names(corp).last().map(String::as_str), Some("deep.corp.example."));
    let status = daemon.status();
    let domains: Vec<&[String]> = status.servers.iter().map(|server| &server.domains[..]).collect();
    assert_eq!(domains[0], &[] as &[String]);
    assert!(domains.contains(&&["Corp.Example".to_owned(), "other.example".to_owned()][..]), "{domains:?}");
    assert!(status.servers.iter().all(|server| server.sent > 0 && server.failed == 0));
}

#[test]
fn names_of_a_local_domain_are_never_forwarded_and_do_not_exist() {
    let (usual, below) = (numbered(1), numbered(2));
    let daemon = start(&[
        usual.option(),
        "--local=/lan/".to_owned(),
        "--server=/onion/home.arpa/".to_owned(),
        below.option_for("printer.lan"),
    ]);
    for qname in ["lan.", "nas.LAN.", "a.b.onion.", "x.home.arpa."] {
        for query in [
            TestQuery::new(qname, RecordType::A),
            TestQuery::new(qname, RecordType::TXT).edns(1232, true),
            TestQuery { recursion_desired: false, ..TestQuery::new(qname, RecordType::A) },
        ] {
            let answer = ask(daemon.address, &query);
            let flags = answer.header.flags;
            assert_eq!(answer.rcode(), RCode::NXDOMAIN, "{query:?}");
            assert!(!flags.authoritative && !flags.authentic_data, "as dnsmasq does: {query:?}");
            assert!(answer.answer.is_empty() && answer.authority.is_empty());
        }
    }
    assert!(usual.seen().is_empty() && below.seen().is_empty());
    assert_eq!(daemon.counter("local_answers"), 12);
    assert_eq!(last_of(&daemon, "printer.lan."), 2);
}

#[test]
fn strict_order_begins_with_the_first_server_each_time() {
    let refusing = Upstream::replying(|asked| match asked.question.qname.to_string().as_str() {
        "refused." => Reply::error(RCode::REFUSED),
        "failed." => Reply::error(RCode::SERVFAIL),
        _ => address(asked, 1),
    });
    let second = numbered(2);
    let daemon = start(&["--strict-order".to_owned(), refusing.option(), second.option()]);
    for (qname, last) in [("x.", 1), ("refused.", 2), ("y.", 1), ("failed.", 2), ("z.", 1)] {
        assert_eq!(last_of(&daemon, qname), last, "{qname}");
    }
    assert_eq!(names(&second), ["refused.", "failed."]);
}

#[test]
fn all_servers_are_asked_at_once_and_the_first_answer_wins() {
    // Each answers once all three are asked, but for the third, which says no.
    let all_asked = Arc::new(Barrier::new(3));
    let gated = |last: u8| {
        let all_asked = Arc::clone(&all_asked);
        Upstream::replying(move |asked| {
            all_asked.wait();
            if last == 3 { Reply::error(RCode::REFUSED) } else { address(asked, last) }
        })
    };
    let servers = [gated(1), gated(2), gated(3)];
    let mut options = vec![PATIENT.to_owned(), "--all-servers".to_owned(), "--strict-order".to_owned()];
    options.extend(servers.iter().map(Upstream::option));
    let daemon = start(&options);
    for qname in ["x.", "y.", "z."] {
        assert!([1, 2].contains(&last_of(&daemon, qname)));
    }
    for server in &servers {
        assert_eq!(names(server), ["x.", "y.", "z."]);
    }
}

#[test]
fn the_fastest_of_all_is_found_and_then_asked_alone() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    // The first server takes until the end of the test.
    let slow = Upstream::replying(move |asked| {
        let _released = gate.lock().map(|gate| gate.recv());
        address(asked, 1)
    });
    let fast = numbered(2);
    let daemon = start(&[slow.option(), fast.option()]);
    for number in 0..51 {
        assert_eq!(last_of(&daemon, &format!("n{number}.")), 2);
    }
    // A question that the fast one answers before the other is sent it is not seen there.
    let together = slow.seen().len();
    assert!(together <= 1 && fast.seen().len() == 51, "asked together once: {together}");
    // And again after each fifty.
    let mut later = 51..2000;
    while slow.seen().len() == together {
        let number = later.next().expect("asked together again");
        assert_eq!(last_of(&daemon, &format!("n{number}.")), 2);
    }
    drop(release);
}

#[test]
fn a_server_that_sends_our_queries_back_is_left_out() {
    static DAEMON: OnceLock<SocketAddr> = OnceLock::new();
    let looping = Upstream::scripted(|asked| {
        if asked.question.qtype == RecordType::TXT {
            let daemon = DAEMON.wait();
            let socket = udp(*daemon);
            socket.send(&asked.packet).unwrap();
            let mut reply = receive(&socket);
            reply[..2].copy_from_slice(&asked.packet[..2]);
            return vec![reply];
        }
        vec![address(asked, 6).wire(asked)]
    });
    let good = numbered(2);
    let daemon = start(&["--dns-loop-detect".to_owned(), looping.option(), good.option()]);
    DAEMON.set(daemon.address).unwrap();
    daemon.wait_for_counter("upstream_loops", 1);
    let status = daemon.status();
    let looped: Vec<bool> = status.servers.iter().map(|server| server.looping).collect();
    assert_eq!(looped, [true, false]);
    for number in 0..60 {
        assert_eq!(last_of(&daemon, &format!("n{number}.")), 2);
    }
    let [probe] = &looping.seen()[..] else { panic!("the probe alone") };
    let qname = probe.question.qname.to_string();
    assert!(qname.len() == 14 && qname.ends_with(".test."), "{qname}");
    // A question that only looks like a probe is one as any other.
    let answer = ask(daemon.address, &TestQuery::new("0badcafe.test.", RecordType::TXT));
    assert_eq!(answer.rcode(), RCode::NOERROR);
}

#[test]
fn more_questions_than_allowed_are_refused_until_there_is_room() {
    let gate = Arc::new(Barrier::new(3));
    let server_gate = Arc::clone(&gate);
    let usual = Upstream::replying(move |asked| {
        if asked.question.qname.to_string().starts_with('w') {
            server_gate.wait();
        }
        address(asked, 1)
    });
    let other = numbered(2);
    let daemon =
        start(&["--dns-forward-max=2".to_owned(), PATIENT.to_owned(), usual.option(), other.option_for("other")]);
    let waiting: Vec<UdpSocket> = (0..2).map(|_| udp(daemon.address)).collect();
    for (client, qname) in waiting.iter().zip(["w1.", "w2."]) {
        client.send(&TestQuery::new(qname, RecordType::A).wire()).unwrap();
    }
    daemon.wait_for_counter("upstream_udp", 2);
    for _ in 0..2 {
        let answer = ask(daemon.address, &TestQuery::new("x.", RecordType::A).edns(1232, false));
        assert_eq!(answer.rcode(), RCode::REFUSED);
        let (code, text) = extended_error(&answer);
        assert!(code == 0 && text.contains("too many questions"), "{code} {text}");
    }
    assert_eq!(daemon.counter("refused_forward_max"), 2);
    assert_eq!(last_of(&daemon, "x.other."), 2, "another group has room of its own");
    gate.wait();
    for client in &waiting {
        assert_eq!(Message::read(&receive(client)).unwrap().answer.len(), 1);
    }
    assert_eq!(last_of(&daemon, "x."), 1, "the refusal was not remembered");
}

#[test]
fn a_server_that_does_not_take_edns_is_asked_without() {
    for (silent, rcode) in [(false, RCode::FORMERR), (false, RCode::NOTIMP), (true, RCode::NOERROR)] {
        let old = Upstream::scripted(move |asked| {
            let reply = match asked.message.edns {
                Some(_) if silent => return Vec::new(),
                Some(_) => Reply { edns: false, ..Reply::error(rcode) },
                None => Reply { edns: false, ..address(asked, 1) },
            };
            vec![reply.wire(asked)]
        });
        let daemon = start(&["--fast-dns-retry=200".to_owned(), old.option()]);
        assert_eq!(last_of(&daemon, "x."), 1, "{rcode}, silent: {silent}");
        assert!(daemon.status().servers[0].without_edns);
        let before = old.seen().len();
        assert_eq!(last_of(&daemon, "y."), 1);
        let seen = old.seen();
        assert!(seen.len() == before + 1 && seen[before].message.edns.is_none(), "remembered");
    }
}

#[test]
fn a_server_that_speaks_edns_is_never_asked_without_because_it_is_silent() {
    let server = Upstream::scripted(|asked| match asked.question.qname.to_string().as_str() {
        "silent." => Vec::new(),
        _ => vec![address(asked, 1).wire(asked)],
    });
    let daemon = start(&["--fast-dns-retry=50,1000".to_owned(), server.option()]);
    assert_eq!(last_of(&daemon, "x."), 1);
    let answer = ask(daemon.address, &TestQuery::new("silent.", RecordType::A).edns(1232, false));
    assert_eq!((answer.rcode(), extended_error(&answer).0), (RCode::SERVFAIL, 22));
    assert_eq!(names(&server).iter().filter(|qname| *qname == "silent.").count(), 3, "three tries");
    assert!(server.seen().iter().all(|asked| asked.message.edns.is_some()));
}

#[test]
fn letter_case_is_mixed_and_must_come_back() {
    const NAME: &str = "a-name-of-many-letters.in-a-zone.example.";
    let server = Upstream::scripted(|asked| {
        let mut changed = asked.clone();
        let forged = Reply::answer(vec![a(NAME, 60, [6, 6, 6, 6])]);
        // Whoever did not see the query does not know its letter case.
        changed.packet[12..].make_ascii_lowercase();
        match asked.tcp {
            false => vec![forged.wire(&changed)],
            true => vec![address(asked, 1).wire(asked)],
        }
    });
    let daemon = start(&["--do-0x20-encode".to_owned(), server.option()]);
    let answer = ask(daemon.address, &TestQuery::new(NAME, RecordType::A));
    assert_eq!(&*answer.answer[0].rdata, [192, 0, 2, 1], "the forged one was not taken");
    assert_eq!(answer.answer[0].owner.wire(), resolver_tests::message::name(NAME).wire(), "our letter case is kept");
    let seen = server.seen();
    let [udp, tcp] = &seen[..] else { panic!("two queries: {seen:?}") };
    assert!(!udp.tcp && tcp.tcp && udp.question.qname.to_string() != NAME);
    assert_eq!(daemon.counter("upstream_case_changed"), 1);
    // It kept the case by TCP, so it is asked in mixed case again.
    ask(daemon.address, &TestQuery::new(&format!("x.{NAME}"), RecordType::A));
    assert_eq!(daemon.counter("upstream_case_changed"), 2);
}

#[test]
fn a_server_that_changes_the_letter_case_is_asked_in_ours() {
    let lowering = Upstream::scripted(|asked| {
        let mut lower = asked.clone();
        lower.packet[12..].make_ascii_lowercase();
        vec![address(asked, 1).wire(&lower)]
    });
    let daemon = start(&["--do-0x20-encode".to_owned(), lowering.option()]);
    for number in 0..3 {
        assert_eq!(last_of(&daemon, &format!("a-name-of-many-letters-{number}.with-more-of-them.example.")), 1);
    }
    let by_tcp = lowering.seen().iter().filter(|asked| asked.tcp).count();
    assert_eq!((by_tcp, lowering.seen().len()), (1, 4));
    assert_eq!(daemon.counter("upstream_case_changed"), 1);
}

#[test]
fn letter_case_is_left_alone_unless_told_otherwise() {
    let server = numbered(1);
    let daemon = start(&[server.option()]);
    last_of(&daemon, "Some.Name.With.Letters.");
    assert_eq!(server.seen()[0].question.qname.to_string(), "Some.Name.With.Letters.");
}

#[test]
fn queries_leave_from_the_ports_that_are_allowed() {
    let server = numbered(1);
    let ports = |option: &[&str]| {
        let before = server.seen().len();
        let mut options: Vec<String> = option.iter().map(|&option| option.to_owned()).collect();
        options.push(server.option());
        let daemon = start(&options);
        for number in 0..20 {
            last_of(&daemon, &format!("n{number}."));
        }
        let seen = server.seen();
        seen[before..].iter().map(|asked| asked.client.port()).collect::<Vec<u16>>()
    };
    let limited = ports(&["--min-port=20000", "--max-port=20999"]);
    assert!(limited.iter().all(|port| (20_000..=20_999).contains(port)), "{limited:?}");
    assert!(limited.iter().collect::<std::collections::HashSet<_>>().len() > 10, "they are random: {limited:?}");
    let drawn = ports(&["--query-port=0"]);
    assert!(drawn.iter().all(|port| *port == drawn[0]), "{drawn:?}");
}

#[test]
fn queries_from_one_port_do_not_mix_up_their_replies() {
    const CLIENTS: usize = 20;
    let all_asked = Arc::new(Barrier::new(CLIENTS));
    let gate = Arc::clone(&all_asked);
    let server = Upstream::replying(move |asked| {
        gate.wait();
        address(asked, asked.question.qname.wire()[1])
    });
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source = format!("{}@127.0.0.1#{free}", server.option());
    let daemon = start(&[PATIENT.to_owned(), source]);
    let clients: Vec<UdpSocket> = (0..CLIENTS).map(|_| udp(daemon.address)).collect();
    for (client, letter) in clients.iter().zip(b'a'..) {
        client.send(&TestQuery::new(&char::from(letter).to_string(), RecordType::A).wire()).unwrap();
    }
    for (client, letter) in clients.iter().zip(b'a'..) {
        assert_eq!(Message::read(&receive(client)).unwrap().answer[0].rdata[3], letter);
    }
    assert!(server.seen().iter().all(|asked| asked.client.port() == free));
}

#[test]
fn the_size_that_is_announced_is_the_one_configured() {
    for (option, announced) in [("--edns-packet-max=4096", 4096), ("--edns-packet-max=100", 512)] {
        let server = numbered(1);
        let daemon = start(&[option.to_owned(), server.option()]);
        last_of(&daemon, "x.");
        assert_eq!(server.seen()[0].message.edns.as_ref().unwrap().udp_payload_len, announced);
    }
}

#[test]
fn a_question_is_given_up_in_time() {
    let silent = Upstream::scripted(|_| Vec::new());
    let daemon = start(&[PATIENT.to_owned(), "--query-retry=1".to_owned(), silent.option()]);
    let answer = ask(daemon.address, &TestQuery::new("x.", RecordType::A).edns(1232, false));
    assert_eq!((answer.rcode(), extended_error(&answer).0), (RCode::SERVFAIL, 22));
    assert_eq!(silent.seen().len(), 1, "the second try would have been after ten seconds");
}

#[test]
fn a_server_may_be_a_name() {
    let server = numbered(1);
    let daemon = start(&[format!("--server=localhost#{}", server.address.port())]);
    assert_eq!(last_of(&daemon, "x."), 1);
}

#[test]
fn servers_of_resolv_conf_are_added_and_follow_the_file() {
    let directory = TestDirectory::new();
    let path = directory.file("resolv.conf", "nameserver 127.0.0.71\nnameserver 127.0.0.72\n");
    let usual = numbered(1);
    let addresses = |daemon: &Daemon| -> Vec<String> {
        daemon.status().servers.iter().map(|server| server.address.clone()).collect()
    };
    let watching = start(&[format!("--resolv-file={path}"), usual.option(), "--strict-order".to_owned()]);
    let once = start(&[format!("--resolv-file={path}"), usual.option(), "--no-poll".to_owned()]);
    let first = [usual.address.to_string(), "127.0.0.71:53".to_owned(), "127.0.0.72:53".to_owned()];
    assert_eq!(addresses(&watching), first);
    assert_eq!(last_of(&watching, "x."), 1);
    directory.file("resolv.conf", "nameserver 127.0.0.72\nnameserver 127.0.0.73\nnameserver 127.0.0.74\n");
    let deadline = std::time::Instant::now() + PATIENCE;
    while addresses(&watching).len() != 4 {
        assert!(std::time::Instant::now() < deadline, "the file was not read again");
        thread::park_timeout(std::time::Duration::from_millis(20));
    }
    assert_eq!(addresses(&watching)[1..], ["127.0.0.72:53", "127.0.0.73:53", "127.0.0.74:53"]);
    assert_eq!(watching.status().servers[0].sent, 1, "what is known of a server that stays is kept");
    assert_eq!(addresses(&once), first);
}

#[test]
fn our_own_address_is_no_server() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let usual = numbered(1);
    // The daemon's own port comes first on the command line; what a file says later counts.
    let directory = TestDirectory::new();
    let file = directory.file("r.conf", &format!("port={port}"));
    let options = [format!("--conf-file={file}"), format!("--server=127.0.0.1#{port}"), usual.option()];
    let daemon = start(&options);
    let addresses: Vec<String> = daemon.status().servers.iter().map(|server| server.address.clone()).collect();
    assert_eq!(addresses, [usual.address.to_string()]);
}

#[test]
fn a_server_that_has_spoken_edns_is_not_believed_at_once_when_it_refuses_it() {
    let server = Upstream::replying(|asked| match asked.question.qname.to_string().as_str() {
        "odd." => Reply { edns: false, ..Reply::error(RCode::FORMERR) },
        _ => address(asked, 1),
    });
    let daemon = start(&[server.option()]);
    assert_eq!(last_of(&daemon, "a."), 1);
    assert_eq!(ask(daemon.address, &TestQuery::new("odd.", RecordType::A)).rcode(), RCode::SERVFAIL);
    assert!(!daemon.status().servers[0].without_edns);
    assert_eq!(last_of(&daemon, "b."), 1);
    assert!(server.seen().iter().all(|asked| asked.message.edns.is_some()));
}
