//! Interfaces come, go, change their names, and are of many kinds; XDP follows, or says why not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use resolver_tests::lab::{self, Asker, LabDaemon};
use resolver_tests::netns::{self, Added};
use resolver_user::control::report::InterfaceStatus;
use xtask::lab::facts::Facts;

/// Longest wait for a reply that ought to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// Times that an interface is deleted and made again under load.
const ROUNDS: usize = 5;
/// Addresses of the pair that comes and goes, at our end and at the client's.
const HERE: [&str; 2] = ["10.98.0.1/24", "fd98::1/64"];
const THERE: [&str; 2] = ["10.98.0.2/24", "fd98::2/64"];

/// What the daemon says about an interface.
fn at(daemon: &LabDaemon, name: &str) -> Option<InterfaceStatus> {
    daemon.fast_path().interfaces.into_iter().find(|interface| interface.name == name)
}

fn mode(daemon: &LabDaemon, name: &str) -> String {
    at(daemon, name).map_or_else(String::new, |interface| interface.mode)
}

fn reason(daemon: &LabDaemon, name: &str) -> String {
    at(daemon, name).and_then(|interface| interface.reason).unwrap_or_default()
}

/// An interface's line of `ip link`.
fn shown(facts: &Facts, name: &str) -> String {
    let output = netns::command(&facts.resolver.path, "ip").args(["-details", "link", "show", name]).output();
    String::from_utf8(output.expect("nsenter").stdout).expect("UTF-8")
}

/// The end of an interface's name that is the test's own: short, since names have 15 letters.
fn named(facts: &Facts, end: &str) -> String {
    format!("{}-{end}", facts.prefix)
}

/// Makes the pair that comes and goes.
fn pair(facts: &Facts, name: &str) -> Added {
    Added::veth(&facts.resolver.path, (name, &HERE), &facts.client, (&named(facts, "y0"), &THERE))
}

/// Asks from the client's end of the pair until XDP answers, by IPv4 and IPv6.
fn until_xdp_answers(facts: &Facts, daemon: &LabDaemon) {
    let query = lab::query(lab::address(facts), true);
    for (client, server) in [("10.98.0.2", "10.98.0.1"), ("fd98::2", "fd98::1")] {
        let [client, server] = [client, server].map(|text| text.parse::<std::net::IpAddr>().expect("an address"));
        let asker = Asker::new(&facts.client.path, client, server);
        daemon.wait_until("an answer of XDP on the pair", |daemon| {
            let before = daemon.counter("answered_");
            asker.ask(&query, PATIENCE).is_some() && daemon.counter("answered_") > before
        });
    }
}

#[test]
fn xdp_follows_interfaces_that_come_go_and_change_their_names_and_loses_no_query_elsewhere() {
    let facts = lab::facts();
    let (first, other, foreign) = (named(&facts, "x0"), named(&facts, "x9"), named(&facts, "z0"));
    // As somebody else: to attach later takes rights, too.
    let lines = format!("user=nobody\nxdp-interface={}", named(&facts, "x*"));
    let daemon = LabDaemon::listening(&facts, &lines);
    let query = lab::query(lab::address(&facts), false);
    let (client_at, resolver_at) = (&facts.client.interfaces[0], &facts.resolver.interfaces[0]);
    let neighbour = || Asker::new(&facts.client.path, client_at.ipv4, resolver_at.ipv4);
    assert!(neighbour().ask(&query, PATIENCE).is_some());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (neighbour, mut asked, mut lost) = (neighbour(), 0u64, 0u64);
            while !done.load(Ordering::Relaxed) {
                asked += 1;
                lost += u64::from(neighbour.ask(&query, Duration::from_secs(1)).is_none());
            }
            (asked, lost)
        });
        let _end = AtEnd(&done);
        for _ in 0..ROUNDS {
            let made = pair(&facts, &first);
            daemon.wait_until("XDP on the new interface", |daemon| mode(daemon, &first) == "native");
            until_xdp_answers(&facts, &daemon);
            drop(made);
            daemon.wait_until("its end", |daemon| at(daemon, &first).is_none());
        }
        let made = pair(&facts, &first);
        daemon.wait_until("XDP on the new interface", |daemon| mode(daemon, &first) == "native");
        netns::ip(&facts.resolver.path, &format!("link set dev {first} name {other}"));
        let made = made.renamed(&first, &other);
        daemon.wait_until("its new name", |daemon| mode(daemon, &other) == "native" && at(daemon, &first).is_none());
        until_xdp_answers(&facts, &daemon);
        netns::ip(&facts.resolver.path, &format!("link set dev {other} name {foreign}"));
        let _made = made.renamed(&other, &foreign);
        daemon.wait_until("a name that is not meant", |daemon| at(daemon, &other).is_none());
        assert!(at(&daemon, &foreign).is_none() && !shown(&facts, &foreign).contains("xdp"));
        done.store(true, Ordering::Relaxed);
        let (asked, lost) = load.join().expect("the load ends");
        println!("{asked} queries asked elsewhere, {lost} lost");
        assert!(asked > 1000 && lost == 0, "{lost} of {asked} queries lost");
    });
}

/// Ends the load also when an assertion failed, which would else wait for it for ever.
struct AtEnd<'d>(&'d AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_interface_that_is_named_and_missing_is_waited_for_and_shown() {
    let facts = lab::facts();
    let name = named(&facts, "x0");
    let daemon = LabDaemon::listening(&facts, &format!("xdp-interface={name}"));
    assert_eq!(mode(&daemon, &name), "none");
    assert!(reason(&daemon, &name).contains("waited for"), "{}", reason(&daemon, &name));
    assert!(daemon.command(&["status"]).contains("waited for"));
    let _made = pair(&facts, &name);
    daemon.wait_until("XDP on it", |daemon| mode(daemon, &name) == "native");
    until_xdp_answers(&facts, &daemon);
    assert_eq!(reason(&daemon, &name), "");
}

#[test]
fn a_reload_moves_xdp_to_other_interfaces() {
    let facts = lab::facts();
    let (name, standing) = (named(&facts, "x0"), &facts.resolver.interfaces[0].name);
    let _made = pair(&facts, &name);
    let daemon = LabDaemon::listening(&facts, "");
    assert!(mode(&daemon, standing) == "native" && at(&daemon, &name).is_none());
    let config = daemon.socket.with_file_name("resolver.conf");
    let before = std::fs::read_to_string(&config).expect("the configuration");
    let after = before.replace(&format!("xdp-interface={standing}"), &format!("xdp-interface={name}"));
    std::fs::write(&config, after).expect("the configuration");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_until("XDP there", |daemon| mode(daemon, &name) == "native" && at(daemon, standing).is_none());
    assert!(!shown(&facts, standing).contains("xdp"));
    until_xdp_answers(&facts, &daemon);
}

#[test]
fn another_xdp_program_is_named_and_left_alone_and_replaced_only_by_force() {
    let facts = lab::facts();
    let (name, path) = (named(&facts, "x0"), &facts.resolver.path);
    let _made = pair(&facts, &name);
    let object = xtask::paths::lab().join("pass.o");
    let occupy = || netns::ip(path, &format!("link set dev {name} xdpdrv obj {} sec xdp", object.display()));
    occupy();
    let foreign = shown(&facts, &name);
    let id = foreign.split("prog/xdp id ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number").to_owned();
    {
        let daemon = LabDaemon::listening(&facts, &format!("user=nobody\nxdp=auto\nxdp-interface={name}"));
        let why = reason(&daemon, &name);
        assert_eq!(mode(&daemon, &name), "none");
        assert!(why.contains(&format!("pass (id {id})")) && why.contains("xdp-force"), "{why}");
        assert!(daemon.log().contains("another XDP program is there, pass"), "{}", daemon.log());
        let metrics = daemon.command(&["metrics"]);
        let gauge = format!("resolver_xdp_attached{{interface=\"{name}\",mode=\"none\"}} 0");
        assert!(metrics.contains(&gauge), "{metrics}");
        // The other interface is served all the same.
        assert_eq!(mode(&daemon, &facts.resolver.interfaces[0].name), "native");
        // Once its owner takes it off, there is room.
        netns::ip(path, &format!("link set dev {name} xdp off"));
        daemon.wait_until("XDP in its place", |daemon| mode(daemon, &name) == "native");
    }
    assert!(!shown(&facts, &name).contains("xdp"));
    occupy();
    drop(LabDaemon::listening(&facts, &format!("xdp=auto\nxdp-interface={name}")));
    assert!(shown(&facts, &name).contains("prog/xdp"), "what is not ours is not taken off at the end");
    let daemon = LabDaemon::listening(&facts, &format!("xdp=auto\nxdp-force\nxdp-interface={name}"));
    assert_eq!(mode(&daemon, &name), "native");
    assert!(
        reason(&daemon, &name).contains("in the place of another XDP program, pass (id"),
        "{}",
        reason(&daemon, &name)
    );
    assert!(daemon.log().contains("nobody puts it back"), "{}", daemon.log());
    until_xdp_answers(&facts, &daemon);
}

#[test]
fn loopback_answers_local_clients_in_generic_mode() {
    let facts = lab::facts();
    let at = &facts.resolver.interfaces[0];
    let lines = format!("xdp=auto\nxdp-interface=lo\ninterface=lo\nlisten-address={},{}", at.ipv4, at.ipv6);
    let daemon = LabDaemon::listening(&facts, &lines);
    assert_eq!(mode(&daemon, "lo"), "generic");
    assert!(reason(&daemon, "lo").contains("not native"), "{}", reason(&daemon, "lo"));
    let ways: [(std::net::IpAddr, std::net::IpAddr); 5] = [
        ([127, 0, 0, 1].into(), [127, 0, 0, 1].into()),
        ([127, 9, 8, 7].into(), [127, 0, 0, 1].into()),
        ("::1".parse().expect("an address"), "::1".parse().expect("an address")),
        (at.ipv4.into(), at.ipv4.into()),
        (at.ipv6.into(), at.ipv6.into()),
    ];
    for (client, server) in ways {
        let asker = Asker::new(&facts.resolver.path, client, server);
        for dnssec_ok in [false, true] {
            let query = lab::query(lab::address(&facts), dnssec_ok);
            daemon.wait_until(&format!("an answer of XDP to {client}"), |daemon| {
                let before = daemon.counter("answered_");
                asker.ask(&query, PATIENCE).is_some() && daemon.counter("answered_") > before
            });
        }
    }
}

#[test]
fn bridges_and_macvlans_answer_in_generic_mode_and_what_carries_them_natively() {
    let facts = lab::facts();
    let (port, upper, path) = (named(&facts, "x0"), named(&facts, "u0"), &facts.resolver.path);
    for kind in ["bridge", "macvlan"] {
        let _port = Added::veth(path, (&port, &[]), &facts.client, (&named(&facts, "y0"), &THERE));
        let _upper = match kind {
            "bridge" => {
                let bridge = Added::link(path, &upper, "type bridge");
                netns::ip(path, &format!("link set dev {port} master {upper}"));
                bridge
            }
            _ => Added::link(path, &upper, &format!("link {port} type {kind} mode bridge")),
        };
        netns::ip(path, &format!("link set dev {upper} addrgenmode none"));
        for address in HERE {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            netns::ip(path, &format!("address add {address} dev {upper}{nodad}"));
        }
        {
            let daemon = LabDaemon::listening(&facts, &format!("xdp=auto\nxdp-interface={upper}"));
            let why = reason(&daemon, &upper);
            assert_eq!(mode(&daemon, &upper), "generic", "{kind}: {why}");
            assert!(why.contains(&format!("xdp-interface={port} may be native")), "{kind}: {why}");
            until_xdp_answers(&facts, &daemon);
        }
        let daemon = LabDaemon::listening(&facts, &format!("xdp=auto\nxdp-interface={port}"));
        assert_eq!(mode(&daemon, &port), "native", "{kind}: {}", reason(&daemon, &port));
        until_xdp_answers(&facts, &daemon);
    }
}

#[test]
fn interfaces_where_an_answer_reaches_nobody_are_refused_with_the_reason() {
    let facts = lab::facts();
    let path = &facts.resolver.path;
    let (tun, tap, ifb) = (named(&facts, "t0"), named(&facts, "t1"), named(&facts, "i0"));
    let _tun = Added::tunnel(path, &tun, "tun");
    let _tap = Added::tunnel(path, &tap, "tap");
    let _ifb = Added::link(path, &ifb, "type ifb");
    let daemon = LabDaemon::listening(&facts, &format!("xdp=auto\nxdp-interface={tun},{tap},{ifb}"));
    let stated = [&tun, &tap, &ifb].map(|name| (mode(&daemon, name), reason(&daemon, name)));
    let [(tun, why_tun), (tap, why_tap), (ifb, why_ifb)] = stated;
    assert!(tun == "none" && why_tun.contains("no Ethernet header"), "{tun}: {why_tun}");
    assert_eq!((tap.as_str(), why_tap.as_str()), ("native", ""));
    assert!(ifb == "none" && why_ifb.contains("no packet comes in"), "{ifb}: {why_ifb}");
}
