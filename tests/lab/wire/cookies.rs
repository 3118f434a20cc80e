//! DNS cookies on real packets: both halves make the same ones, and common clients are content with them.

use nix::sys::signal::Signal;
use resolver_ebpf::host::cookies::server_cookie;
use resolver_tests::compare::Normal;
use resolver_tests::lab::{self, LabClient, LabDaemon};
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use resolver_user::wire::{Message, RecordType};
use xtask::lab::facts::Facts;

const COOKIE: u16 = 10;
const CLIENT_COOKIE: [u8; 8] = *b"a client";
/// Names with answers of both parities and all kinds.
const QUESTIONS: [(&str, RecordType); 5] = [
    ("www.alg13.test.", RecordType::A),
    ("www.alg13.test.", RecordType::AAAA),
    ("nothing.alg13.test.", RecordType::A),
    ("www.alg15.test.", RecordType::A),
    ("alg13.test.", RecordType::SOA),
];

/// The data of the COOKIE option of an answer.
fn cookies(answer: &[u8]) -> Vec<u8> {
    let message = Message::read(answer).expect("an answer");
    let options = message.edns.expect("EDNS").options;
    let [option] = &options[..] else { panic!("cookies alone: {options:?}") };
    assert_eq!((option.code, option.data.len()), (COOKIE, 24));
    option.data.to_vec()
}

/// The answer without its server cookie.
fn without(answer: &[u8]) -> Normal {
    let end = answer.len() - 16;
    Normal::of(&[&answer[..end], &[0; 16]].concat())
}

/// The query, made one that XDP passes and the daemon answers alike: more options than XDP looks at.
fn for_the_daemon(query: &TestQuery) -> TestQuery {
    (0..4).fold(query.clone(), |query, _| query.option(65_001, &[]))
}

fn xdp_cookies(daemon: &LabDaemon, verdict: &str) -> u64 {
    daemon.fast_path().cookies.iter().find(|(name, _)| name == verdict).expect("a verdict").1
}

#[test]
fn both_halves_give_a_client_the_same_cookies() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    for (qname, qtype) in QUESTIONS {
        for dnssec_ok in [false, true] {
            let plain = TestQuery::new(qname, qtype).edns(1232, dnssec_ok);
            daemon.ask_until_xdp_answers(&client, &plain, false);
            for ipv6 in [false, true] {
                let first = plain.clone().option(COOKIE, &CLIENT_COOKIE);
                // Bound: a second ends at most once in two tries, so a third one sees none end.
                let pair = (0..3).map(|_| {
                    let by_xdp = client.ask(&first, ipv6);
                    (by_xdp, client.ask(&for_the_daemon(&first), ipv6))
                });
                let (by_xdp, by_daemon) = pair
                    .inspect(|(by_xdp, by_daemon)| {
                        let (by_xdp, by_daemon) = (without(by_xdp), without(by_daemon));
                        assert_eq!(by_xdp.message, by_daemon.message, "{first:?}");
                        assert!(by_xdp.ttls_s.iter().zip(&by_daemon.ttls_s).all(|(a, b)| a.abs_diff(*b) <= 1));
                    })
                    .find(|(by_xdp, by_daemon)| cookies(by_xdp) == cookies(by_daemon))
                    .expect("the same cookies in the same second");
                // Each half takes the other's cookie, and sends it back as it is.
                for (made, asked) in [(by_daemon, false), (by_xdp, true)] {
                    let query = plain.clone().option(COOKIE, &cookies(&made));
                    let answer = client.ask(&if asked { for_the_daemon(&query) } else { query }, ipv6);
                    assert_eq!(cookies(&answer), cookies(&made));
                }
            }
        }
    }
    let asked = (QUESTIONS.len() * 4) as u64;
    let (valid, no_room) = (xdp_cookies(&daemon, "valid"), daemon.counter("pass_no_room"));
    assert_eq!(valid + daemon.user_counter("cookies_valid"), 2 * asked);
    // A veth leaves a packet of a local socket little room to grow, so large answers pass there.
    assert!(
        valid <= asked && valid + no_room >= asked && no_room * 2 < asked,
        "{valid} by XDP, {no_room} without room"
    );
    assert!(xdp_cookies(&daemon, "new") + no_room >= asked && xdp_cookies(&daemon, "bad") == 0);
    // Forged ones get fresh ones from both, and the answer.
    let plain = TestQuery::new(QUESTIONS[0].0, QUESTIONS[0].1).edns(1232, true);
    let forged = plain.clone().option(COOKIE, &[CLIENT_COOKIE.as_slice(), &[1; 16]].concat());
    for query in [&forged, &for_the_daemon(&forged)] {
        let answer = client.ask(query, false);
        assert!(cookies(&answer)[8..] != [1; 16] && !Message::read(&answer).expect("an answer").answer.is_empty());
    }
    assert_eq!((xdp_cookies(&daemon, "bad"), daemon.user_counter("cookies_bad")), (1, 1));
    // What has an impossible length passes, and is malformed to the daemon.
    let (passed, refused) = (daemon.counter("pass_edns"), daemon.user_counter("refused_malformed"));
    client.ask(&plain.option(COOKIE, &[1; 9]), false);
    assert_eq!((daemon.counter("pass_edns"), daemon.user_counter("refused_malformed")), (passed + 1, refused + 1));
    let text = daemon.command(&["status"]);
    assert!(text.contains("cookies_valid") && text.contains("cookies_new"), "{text}");
}

#[test]
fn secrets_are_rolled_while_clients_go_on_and_no_cookie_is_of_half_a_secret() {
    let facts = lab::facts();
    let file = xtask::paths::target().join("lab-tests").join("cookie-secrets");
    let secret = |number: u8| [number; 16];
    let hex = |secret: [u8; 16]| secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    std::fs::write(&file, hex(secret(0))).expect("a file");
    let daemon = LabDaemon::start(&facts, &format!("cookie-secret-file={}", file.display()));
    let client = LabClient::remote(&facts);
    let address = client_address(&facts);
    let plain = TestQuery::new(QUESTIONS[0].0, QUESTIONS[0].1).edns(1232, false);
    daemon.ask_until_xdp_answers(&client, &plain, false);
    let mut last = CLIENT_COOKIE.to_vec();
    for number in 1..=20 {
        std::fs::write(&file, hex(secret(number))).expect("a file");
        daemon.signal(Signal::SIGHUP);
        daemon.wait_until("a roll", |daemon| {
            // Meanwhile the client goes on: both halves, each with the old secret or with the new one.
            for query in [plain.clone(), for_the_daemon(&plain)] {
                let answer = cookies(&client.ask(&query.option(COOKIE, &last), false));
                let made_s = u32::from_be_bytes(answer[12..16].try_into().expect("four bytes"));
                let made = |number| server_cookie(secret(number), CLIENT_COOKIE, [1, 0, 0, 0], made_s, &address);
                assert!((number - 1..=number).any(|number| answer[8..] == made(number)), "{number}: {answer:02x?}");
                last = answer;
            }
            daemon.user_counter("reloads") >= u64::from(number)
        });
    }
    assert_eq!((xdp_cookies(&daemon, "bad"), daemon.user_counter("cookies_bad")), (0, 0), "no client lost its cookie");
    assert!(xdp_cookies(&daemon, "renewed") + daemon.user_counter("cookies_renewed") >= 20);
    assert!(xdp_cookies(&daemon, "valid") >= 20, "XDP goes on answering");
    std::fs::remove_file(file).expect("our file");
}

/// The address that the client's IPv4 queries come from.
fn client_address(facts: &Facts) -> [u8; 4] {
    facts.client.interfaces[0].ipv4.octets()
}

#[test]
fn dig_and_kdig_are_content_with_the_cookies_of_xdp() {
    let facts = lab::facts();
    let daemon = LabDaemon::start(&facts, "");
    let client = LabClient::remote(&facts);
    let (qname, qtype) = QUESTIONS[0];
    daemon.ask_until_xdp_answers(&client, &TestQuery::new(qname, qtype).edns(1232, true), false);
    let at = &facts.resolver.interfaces[0];
    for server in [at.ipv4.to_string(), at.ipv6.to_string()] {
        let run = |program: &str, words: &[&str]| {
            let output = netns::command(&facts.client.path, program).args(words).output();
            String::from_utf8(output.expect("nsenter").stdout).expect("text")
        };
        let before = (daemon.counter("answered_"), xdp_cookies(&daemon, "new"), xdp_cookies(&daemon, "valid"));
        let server = format!("@{server}");
        let told = run("dig", &[&server, "+dnssec", "+cookie", "+bufsize=1232", qname, "A"]);
        let line = told.lines().find(|line| line.contains("COOKIE:")).unwrap_or_else(|| panic!("{told}"));
        assert!(line.ends_with("(good)") && told.contains(" ad"), "{told}");
        let cookie = line.split_whitespace().nth(2).expect("a cookie");
        assert_eq!(cookie.len(), 48, "{line}");
        // dig takes a whole cookie by hand; what comes back is the same.
        let told = run("dig", &[&server, "+dnssec", &format!("+cookie={cookie}"), "+bufsize=1232", qname, "A"]);
        assert!(told.contains(&format!("COOKIE: {cookie} (good)")), "{told}");
        let told = run("kdig", &[&server, "+dnssec", "+cookie", "+bufsize=1232", qname, "A"]);
        assert!(told.contains("COOKIE") && told.contains("NOERROR") && !told.contains("WARNING"), "{told}");
        let after = (daemon.counter("answered_"), xdp_cookies(&daemon, "new"), xdp_cookies(&daemon, "valid"));
        assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), (3, 2, 1), "by XDP, all of them");
    }
}
