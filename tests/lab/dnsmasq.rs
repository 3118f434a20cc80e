//! dnsmasq and our daemon read the same configuration and are asked the same: names of the operator's own, filters, TTLs.
//!
//! `dnsmasq-cases.txt` holds the configurations and questions. Where the two differ, `dnsmasq-explained.txt` must say what
//! each says and why; an explanation without its difference is an error.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use resolver_tests::client::{PATIENCE, ask};
use resolver_tests::compare::extended_error;
use resolver_tests::daemon::{Program, TestDirectory};
use resolver_tests::message::{TestQuery, TestRecord, a, cname, name, record, soa};
use resolver_tests::upstream::{Asked, Reply, Upstream};
use resolver_user::wire::{Message, RCode, RecordType, rdata_text};

/// Our daemon.
const RESOLVER: Program = Program(env!("CARGO_BIN_EXE_resolver-under-test"));
/// The hosts file of the group that reads one.
const HOSTS: &str = "\
192.168.7.1 gw gw.lan router # comment
10.1.1.1 multi.lan
10.1.1.2 multi.lan
fd00::5 multi.lan six.lan
10.5.5.5 first.lan
10.5.5.5 second.lan plain
10.6.6.6 only
10.7.7.1 dup
10.7.7.1 dup
0.0.0.0 ads.example
bad line
";

/// A configuration and what is asked under it.
struct Group {
    title: String,
    config: String,
    questions: Vec<Case>,
}

/// One question.
struct Case {
    qname: String,
    qtype: String,
    again: bool,
}

/// A line of `dnsmasq-explained.txt`.
#[derive(Debug)]
struct Explanation {
    group: String,
    question: String,
    theirs: String,
    ours: String,
}

#[test]
fn dnsmasq_and_we_answer_alike_or_the_difference_is_explained() {
    let explanations = explanations();
    let mut used = BTreeSet::new();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for group in groups() {
        let upstream = Upstream::replying(world);
        let folder = TestDirectory::new();
        folder.file("hosts", HOSTS);
        let server = format!("{}#{}", upstream.address.ip(), upstream.address.port());
        let config = format!("no-resolv\nno-hosts\nserver={server}\n{}", group.config);
        let config = config.replace("{server}", &server).replace("{folder}", &folder.path().display().to_string());
        let file = folder.file("both.conf", &config);
        let dnsmasq = Dnsmasq::start(&file);
        let daemon = RESOLVER.start(&[&format!("--conf-file={file}")]);
        for case in &group.questions {
            asked += 1;
            let (theirs, ours) = (case.ask(dnsmasq.address), case.ask(daemon.address));
            if theirs == ours {
                continue;
            }
            let fits = |known: &Explanation| {
                (known.group.as_str(), known.question.as_str()) == (&group.title, &case.title())
                    && (&known.theirs, &known.ours) == (&theirs, &ours)
            };
            match explanations.iter().position(fits) {
                Some(index) => _ = used.insert(index),
                None => wrong.push(format!("{} | {} | {theirs} | {ours}", group.title, case.title())),
            }
        }
    }
    for (index, known) in explanations.iter().enumerate().filter(|(index, _)| !used.contains(index)) {
        wrong.push(format!("explanation {} is of no difference: {known:?}", index + 1));
    }
    println!("{asked} questions, {} differences explained", used.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the upstream says, to dnsmasq and to us.
fn world(asked: &Asked) -> Reply {
    let qname = asked.question.qname.to_string().to_ascii_lowercase();
    let v6 = |address: &str| {
        let address: std::net::Ipv6Addr = address.parse().expect("an address");
        record(&qname, RecordType::AAAA, 300, &address.octets())
    };
    let v4 = |ttl_s, address| Reply::answer(vec![a(&qname, ttl_s, address)]);
    let text = |rtype: RecordType, rdata: &[u8]| Reply::answer(vec![record(&qname, rtype, 300, rdata)]);
    let no_data = || Reply { authority: vec![soa("test.", 900, 300)], ..Reply::default() };
    match (qname.as_str(), asked.question.qtype) {
        ("pub.test.", RecordType::A) => v4(5000, [93, 184, 216, 34]),
        ("pub.test.", RecordType::AAAA) => Reply::answer(vec![v6("2620:fe::9")]),
        ("pub.test.", RecordType::TXT) => text(RecordType::TXT, b"\x05hello"),
        ("pub.test.", RecordType::MX) => text(RecordType::MX, b"\x00\x0a\x04mail\x00"),
        ("low.test.", RecordType::A) => v4(10, [93, 184, 216, 35]),
        ("mid.test.", RecordType::A) => v4(1000, [93, 184, 216, 36]),
        ("rebind.test." | "www.ok.test.", RecordType::A) => v4(300, [192, 168, 1, 1]),
        ("mixed.test.", RecordType::A) => {
            Reply::answer(vec![a(&qname, 300, [9, 9, 9, 9]), a(&qname, 300, [10, 0, 0, 1])])
        }
        ("loop.test.", RecordType::A) => v4(300, [127, 0, 0, 1]),
        ("zero.test.", RecordType::A) => v4(300, [0, 0, 0, 0]),
        ("doc.test.", RecordType::A) => v4(300, [192, 0, 2, 1]),
        ("cg.test.", RecordType::A) => v4(300, [100, 64, 1, 1]),
        ("bogus.test.", RecordType::A) => v4(300, [6, 6, 6, 6]),
        ("rebind6.test.", RecordType::AAAA) => Reply::answer(vec![v6("fd00::1")]),
        ("mapped.test.", RecordType::AAAA) => Reply::answer(vec![v6("::ffff:192.168.1.1")]),
        ("ula.test.", RecordType::AAAA) => Reply::answer(vec![v6("fc00::1")]),
        ("al.test.", RecordType::A) => alias(&qname, a("rebind.test.", 300, [192, 168, 1, 1])),
        ("al2.test.", RecordType::A) => alias(&qname, a("pub.test.", 5000, [93, 184, 216, 34])),
        ("al2.test.", RecordType::AAAA) => alias(&qname, TestRecord { owner: name("pub.test."), ..v6("2620:fe::9") }),
        ("bare.test.", _) => Reply::error(RCode::NXDOMAIN),
        (known, _) if known == "pub.test." || known == "rebind.test." => no_data(),
        _ => Reply { authority: vec![soa(".", 900, 300)], ..Reply::error(RCode::NXDOMAIN) },
    }
}

/// An alias and what it leads to.
fn alias(qname: &str, target: TestRecord) -> Reply {
    Reply::answer(vec![cname(qname, 300, &target.owner.to_string()), target])
}

impl Case {
    fn title(&self) -> String {
        format!("{} {}{}", self.qname, self.qtype, if self.again { " again" } else { "" })
    }

    /// The answer as text: RCODE, AA where there are data, extended error, and the records of the answer section in order of
    /// their text. TTLs are rounded up to tens, since a second may pass.
    fn ask(&self, server: SocketAddr) -> String {
        let qtype = self.qtype.parse().unwrap_or_else(|error| panic!("{}: {error}", self.title()));
        let query = TestQuery::new(&self.qname, qtype).edns(1232, false);
        if self.again {
            ask(server, &query);
        }
        told(&ask(server, &query))
    }
}

fn told(answer: &Message) -> String {
    let mut text = answer.rcode().to_string();
    if answer.header.flags.authoritative {
        text.push_str(" aa");
    }
    if let Some(code) = extended_error(answer) {
        text.push_str(&format!(" ede {code}"));
    }
    let mut records: Vec<String> = answer
        .answer
        .iter()
        .map(|record| {
            let rdata = rdata_text(record.rtype, &record.rdata);
            let owner = record.owner.to_string().to_ascii_lowercase();
            format!(", {owner} {} {} {rdata}", record.ttl_s.next_multiple_of(10), record.rtype)
        })
        .collect();
    records.sort();
    text + &records.concat()
}

/// A running dnsmasq; ended with its owner.
struct Dnsmasq {
    address: SocketAddr,
    process: Child,
}

impl Dnsmasq {
    fn start(config: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.expect("a free port");
        let process = Command::new("dnsmasq")
            .args(["--no-daemon", "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file="])
            .args([format!("--conf-file={config}"), format!("--port={}", address.port())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq: `cargo xtask setup` installs it");
        let mut this = Self { address, process };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = this.process.try_wait().expect("our own child");
            assert!(ended.is_none() && Instant::now() < deadline, "dnsmasq does not start with {config}: {ended:?}");
            park_timeout(Duration::from_millis(5));
        }
        this
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        // Our own child: the number is its own until it is waited for.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in include_str!("dnsmasq-cases.txt").lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            groups.push(Group { title: title.to_owned(), config: String::new(), questions: Vec::new() });
            continue;
        }
        let group = groups.last_mut().expect("a group begins before its lines");
        match line.strip_prefix("? ") {
            Some(question) => {
                let words: Vec<&str> = question.split_whitespace().collect();
                let (qname, qtype, again) = match words[..] {
                    [qname, qtype] => (qname, qtype, false),
                    [qname, qtype, "again"] => (qname, qtype, true),
                    _ => panic!("no question: {line}"),
                };
                group.questions.push(Case { qname: qname.to_owned(), qtype: qtype.to_owned(), again });
            }
            None => group.config += &format!("{line}\n"),
        }
    }
    groups
}

/// The explanations, one for each question that a line names.
fn explanations() -> Vec<Explanation> {
    let mut explanations = Vec::new();
    for line in include_str!("dnsmasq-explained.txt").lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [group, questions, theirs, ours, because] = columns[..] else { panic!("not five columns: {line}") };
        assert!(because.len() > 20, "no reason: {line}");
        let [group, theirs, ours] = [group, theirs, ours].map(str::to_owned);
        explanations.extend(questions.split(", ").map(|question| {
            let (group, theirs, ours) = (group.clone(), theirs.clone(), ours.clone());
            Explanation { group, question: question.to_owned(), theirs, ours }
        }));
    }
    explanations
}
