//! Servers by domain under `dnssec`: dnsmasq and our daemon read the same lines, and are asked the same questions.
//!
//! Where they say something else, `split-explained.txt` must say why; an explanation without a difference is an error.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use resolver_tests::lab::{self, LabClient, LabDaemon, PATIENCE};
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use resolver_user::wire::{Message, rdata_text};
use xtask::lab::facts::Facts;
use xtask::lab::split::{SplitServers, private_address};

/// Lines that both read. `@` stands for the server of the private zones, `1` and `2` for the usual ones.
const LINES: &str = "dnssec
server=/lan/@
server=/intern.test/@
server=/public.intern.test/#
server=/*net.test/@
server=//@
rev-server=10.20.30.0/23,@
server=/alg14.test/@
server=/never.lan/
local=/onion/home.arpa/
strict-order
";

/// Questions to both.
const QUESTIONS: &[&str] = &[
    // Private domains.
    "www.lan A",
    "WWW.Lan AAAA",
    "www.lan MX",
    "none.lan A",
    "lan SOA",
    "lan DS",
    "deep.er.lan A",
    "in.lan A",
    "out.lan A",
    "www.intern.test A",
    "intern.test A",
    "none.intern.test A",
    "www.mynet.test A",
    "nas A",
    "5.30.20.10.in-addr.arpa PTR",
    "5.31.20.10.in-addr.arpa PTR",
    "5.32.20.10.in-addr.arpa PTR",
    // Excepted from a private domain.
    "public.intern.test A",
    // Never forwarded.
    "never.lan A",
    "x.never.lan AAAA",
    "x.onion A",
    "home.arpa TXT",
    // Signed in public, and not by its own server.
    "www.alg14.test A",
    // The public tree.
    "www.alg15.test A",
    "nowhere.alg15.test A",
    "www.unsigned.test A",
    "same.alias.test A",
    "www.badsig.test A",
    "xnet.example A",
];

fn lines(facts: &Facts) -> String {
    let usual: String = facts.upstreams.iter().map(|upstream| format!("server={}\n", upstream.ipv4)).collect();
    format!("{usual}{}", LINES.replace('@', &private_address().to_string()))
}

/// RCODE, AD and records of an answer, without TTLs. AA is left out: dnsmasq passes on that of its server, we never set it.
fn opinion(answer: &Message) -> String {
    let mut text = answer.rcode().to_string();
    if answer.header.flags.authentic_data {
        text += " ad";
    }
    let records =
        answer.answer.iter().map(|record| format!("{} {}", record.rtype, rdata_text(record.rtype, &record.rdata)));
    let mut records: Vec<String> = records.collect();
    records.sort();
    records.iter().for_each(|record| {
        let _ = write!(text, "; {record}");
    });
    text
}

fn query(question: &str) -> TestQuery {
    let (qname, qtype) = question.split_once(' ').expect("name and type");
    TestQuery { authentic_data: true, ..TestQuery::new(qname, qtype.parse().expect("a type")).edns(1232, false) }
}

/// What dnsmasq says.
fn of_dnsmasq(socket: &UdpSocket, question: &str) -> String {
    let sent = query(question).wire();
    socket.send(&sent).expect("the query is sent");
    let mut reply = vec![0; 65_535];
    let length = socket.recv(&mut reply).unwrap_or_else(|error| panic!("dnsmasq: {question}: {error}"));
    opinion(&Message::read(&reply[..length]).expect("a message"))
}

#[test]
fn the_same_lines_give_the_same_answers_as_dnsmasq_or_it_is_explained() {
    let facts = lab::facts();
    let servers =
        SplitServers::start(&facts, &format!("no-resolv\n{}", lines(&facts))).unwrap_or_else(|e| panic!("{e}"));
    let daemon = LabDaemon::start(&facts, &lines(&facts));
    let client = LabClient::remote(&facts);
    let dnsmasq = netns::inside(&facts.auth.path, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
        socket.connect(SocketAddr::from((servers.dnsmasq, 53))).expect("a route");
        socket.set_read_timeout(Some(PATIENCE)).expect("a read time-out");
        socket
    });
    let explanations: Vec<[&str; 3]> = include_str!("split-explained.txt")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let [question, theirs, ours, _because] = columns[..] else { panic!("not four columns: {line}") };
            [question, theirs, ours]
        })
        .collect();
    let (mut used, mut wrong) = (BTreeSet::new(), Vec::new());
    for question in QUESTIONS {
        let ours = opinion(&Message::read(&client.ask(&query(question), false)).expect("a message"));
        let again = opinion(&Message::read(&client.ask(&query(question), false)).expect("a message"));
        let theirs = of_dnsmasq(&dnsmasq, question);
        println!("{question:<32} {ours}{}", if ours == theirs { String::new() } else { format!("   * {theirs}") });
        if again != ours {
            wrong.push(format!("{question}: first {ours}, then {again}"));
        }
        if ours == theirs {
            continue;
        }
        match explanations.iter().position(|known| *known == [*question, &theirs, &ours]) {
            Some(known) => {
                used.insert(known);
            }
            None => wrong.push(format!("{question} | {theirs} | {ours} |")),
        }
    }
    let unused = (0..explanations.len()).filter(|index| !used.contains(index));
    wrong.extend(unused.map(|index| format!("explained, but no difference: {}", explanations[index][0])));
    assert!(wrong.is_empty(), "{} wrong:\n{}\n{}", wrong.len(), wrong.join("\n"), daemon.log());
}

#[test]
fn private_answers_are_insecure_published_and_gone_without_their_server() {
    let facts = lab::facts();
    let _servers =
        SplitServers::start(&facts, &format!("no-resolv\n{}", lines(&facts))).unwrap_or_else(|e| panic!("{e}"));
    let client = LabClient::remote(&facts);
    let with_error = |question: &str, client: &LabClient| {
        let answer = Message::read(&client.ask(&query(question), false)).expect("a message");
        let options = answer.edns.iter().flat_map(|edns| &edns.options).filter(|option| option.code == 15);
        let codes: Vec<u8> = options.map(|option| option.data[1]).collect();
        (opinion(&answer), codes)
    };
    {
        let daemon = LabDaemon::start(&facts, &lines(&facts));
        daemon.ask_until_xdp_answers(&client, &query("www.lan A"), false);
        assert_eq!(with_error("www.lan A", &client), ("NOERROR; A 192.0.2.11".to_owned(), vec![]));
        let (verdict, errors) = with_error("www.alg14.test A", &client);
        assert!(verdict == "SERVFAIL" && errors == [9], "signed in public: {verdict} {errors:?}");
        // Only from the daemon's namespace can its servers be reached.
        let mut chain = netns::command(&facts.resolver.path, lab::binary());
        chain.args(["chain", "www.lan", "--control-socket"]).arg(&daemon.socket);
        let output = chain.output().expect("nsenter");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("lan. is a private domain"), "{output:?}");
        let status = daemon.command(&["status"]);
        assert!(
            status.contains(&format!("{}:53  sent ", private_address())) && status.contains("for lan "),
            "{status}"
        );
    }
    let daemon = LabDaemon::start(&facts, "");
    let (verdict, _) = with_error("www.lan A", &client);
    assert_eq!(verdict, "NXDOMAIN ad", "the public tree alone: {}", daemon.log());
}
