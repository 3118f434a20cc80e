//! VLAN tags on real frames, in the frame and beside it.
//!
//! A network card, or the other end of a veth, may take a tag off and keep it beside the frame. XDP does not see it then, and
//! what XDP sends leaves without it. Here both ends of a veth put tags on and take them off as a VLAN interface would, which
//! not every kernel has; whether the tag is in the frame is set as on a network card, by ethtool.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aya::programs::XdpMode;
use nix::net::if_::if_nametoindex;
use resolver_ebpf::abi::{Link, LinkRule};
use resolver_ebpf::host::message::{CLIENT_V4, CLIENT_V6, ClientQuery, SERVER_PORT, SERVER_V4, SERVER_V6};
use resolver_ebpf::host::records;
use resolver_tests::kernel::{Kernel, program};
use resolver_tests::lab;
use resolver_tests::netns::{self, Added};
use xtask::lab::facts::Facts;
use xtask::lab::pass_program::object_of;

/// Longest wait for a reply that ought to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing has to come where nothing may.
const SILENCE: Duration = Duration::from_millis(200);
/// RCODE of the replies of whoever listens behind XDP.
const REFUSED: u8 = 5;
/// A VLAN of a customer, and one within a provider's: types and numbers from the outer tag on.
const ROWS: [&[[u8; 4]]; 2] = [&[[0x81, 0, 0, 5]], &[[0x88, 0xa8, 0, 100], [0x81, 0, 0, 5]]];

/// `exit`
const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

/// r`register` = `value`
const fn set(register: u8, value: u32) -> [u8; 8] {
    let [a, b, c, d] = value.to_le_bytes();
    [0xb7, register, 0, 0, a, b, c, d]
}

/// A program that puts these tags on a packet, the inner one first.
fn push(tags: &[[u8; 4]]) -> Vec<[u8; 8]> {
    // r6 = r1, which calls leave alone
    let mut code = vec![[0xbf, 0x16, 0, 0, 0, 0, 0, 0]];
    for [a, b, c, d] in tags.iter().rev() {
        // r1 = r6; r2 = type as it lies; r3 = number; bpf_skb_vlan_push
        code.push([0xbf, 0x61, 0, 0, 0, 0, 0, 0]);
        code.extend([set(2, u32::from(u16::from_le_bytes([*a, *b]))), set(3, u32::from(u16::from_be_bytes([*c, *d])))]);
        code.push([0x85, 0, 0, 0, 18, 0, 0, 0]);
    }
    // TC_ACT_OK
    code.extend([set(0, 0), EXIT]);
    code
}

/// A program that takes so many tags off a packet, and drops it if it has none.
fn pop(count: usize) -> Vec<[u8; 8]> {
    // r6 = r1; r2 = r1->vlan_present; if r2 != 0 go on; r0 = TC_ACT_SHOT; exit
    let mut code = vec![[0xbf, 0x16, 0, 0, 0, 0, 0, 0], [0x61, 0x12, 20, 0, 0, 0, 0, 0]];
    code.extend([[0x55, 0x02, 2, 0, 0, 0, 0, 0], set(0, 2), EXIT]);
    for _ in 0..count {
        // r1 = r6; bpf_skb_vlan_pop
        code.extend([[0xbf, 0x61, 0, 0, 0, 0, 0, 0], [0x85, 0, 0, 0, 19, 0, 0, 0]]);
    }
    code.extend([set(0, 0), EXIT]);
    code
}

/// Has an interface send with these tags, and receive only with them.
fn be_in_vlan(path: &str, interface: &str, tags: &[[u8; 4]]) {
    let folder = xtask::paths::target().join("lab-tests");
    std::fs::create_dir_all(&folder).expect("a folder below target/");
    netns::run(path, "tc", &format!("qdisc replace dev {interface} clsact"));
    for (way, code) in [("egress", push(tags)), ("ingress", pop(tags.len()))] {
        let object: PathBuf = folder.join(format!("{way}.o"));
        std::fs::write(&object, object_of("tc", way, &code)).expect("a file below target/");
        netns::run(
            path,
            "tc",
            &format!("filter replace dev {interface} {way} bpf direct-action obj {} sec tc", object.display()),
        );
    }
}

/// Both ends, with the fast path on ours.
struct Scene {
    facts: Facts,
    here: String,
    there: String,
    index: u32,
    _pair: Added,
}

impl Scene {
    fn new() -> Self {
        let facts = lab::facts();
        let [here, there] = ["v0", "w0"].map(|end| format!("{}-{end}", facts.prefix));
        let [server, client] = [Ipv4Addr::from(SERVER_V4), Ipv4Addr::from(CLIENT_V4)];
        let [server6, client6] = [Ipv6Addr::from(SERVER_V6), Ipv6Addr::from(CLIENT_V6)];
        let addresses = |v4: Ipv4Addr, v6: Ipv6Addr| [format!("{v4}/32"), format!("{v6}/128")];
        let (ours, theirs) = (addresses(server, server6), addresses(client, client6));
        let (ours, theirs) = (ours.each_ref().map(String::as_str), theirs.each_ref().map(String::as_str));
        let pair = Added::veth(&facts.resolver.path, (&here, &ours), &facts.client, (&there, &theirs));
        for (path, end, v4, v6) in
            [(&facts.resolver.path, &here, client, client6), (&facts.client.path, &there, server, server6)]
        {
            netns::ip(path, &format!("route add {v4}/32 dev {end}"));
            netns::ip(path, &format!("-6 route add {v6}/128 dev {end}"));
        }
        let index = netns::inside(&facts.resolver.path, || if_nametoindex(here.as_str()).expect("the interface"));
        Self { facts, here, there, index, _pair: pair }
    }

    /// Attaches the fast path, with these rules for its tags.
    fn attach(&self, links: &[(&[[u8; 4]], u32)], untagged_ruled: u32) -> Kernel {
        let mut store = records::store();
        store.settings.untagged_ruled = untagged_ruled;
        store.links = links
            .iter()
            .map(|(row, answers)| {
                let mut tags = [[0; 4]; 2];
                tags.iter_mut().zip(*row).for_each(|(place, tag)| *place = *tag);
                (Link::new(self.index, tags), LinkRule { answers: *answers })
            })
            .collect();
        netns::inside(&self.facts.resolver.path, || {
            let mut kernel = Kernel::with_store(&store);
            program(&mut kernel.ebpf, "resolver").attach(&self.here, XdpMode::Driver).expect("native XDP on veth");
            kernel
        })
    }

    /// Both ends in the VLAN of these tags, which are in the frames that the client sends, or beside them.
    fn be_in_vlan(&self, tags: &[[u8; 4]], are_in_frame: bool) {
        let state = if are_in_frame { "off" } else { "on" };
        let words = format!("-K {} tx-vlan-hw-insert {state} tx-vlan-stag-hw-insert {state}", self.there);
        netns::run(&self.facts.client.path, "ethtool", &words);
        be_in_vlan(&self.facts.resolver.path, &self.here, tags);
        be_in_vlan(&self.facts.client.path, &self.there, tags);
    }

    /// RCODE of the reply to a query that is published.
    fn ask(&self, over_v6: bool, wait: Duration) -> Option<u8> {
        let query = ClientQuery::new(&records::wire_name("www.example.com"), 1);
        let (client, server): (IpAddr, IpAddr) =
            if over_v6 { (CLIENT_V6.into(), SERVER_V6.into()) } else { (CLIENT_V4.into(), SERVER_V4.into()) };
        let socket = netns::inside(&self.facts.client.path, || {
            let socket = UdpSocket::bind(SocketAddr::new(client, 0)).expect("a client socket");
            socket.connect(SocketAddr::new(server, SERVER_PORT)).expect("a route to the server");
            socket
        });
        socket.set_read_timeout(Some(wait)).expect("a read time-out");
        socket.send(&query.message()).expect("the query is sent");
        let mut reply = [0; 1500];
        socket.recv(&mut reply).ok().map(|_| reply[3] & 15)
    }

    /// Answers as a daemon behind XDP would, while `work` goes on.
    fn with_daemon<T>(&self, work: impl FnOnce() -> T) -> T {
        let bind = |address: IpAddr| {
            let socket = UdpSocket::bind(SocketAddr::new(address, SERVER_PORT)).expect("a server socket");
            socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a read time-out");
            socket
        };
        let sockets = netns::inside(&self.facts.resolver.path, || [bind(SERVER_V4.into()), bind(SERVER_V6.into())]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for socket in &sockets {
                let done = &done;
                scope.spawn(move || {
                    let mut packet = [0; 1500];
                    while !done.load(Ordering::Relaxed) {
                        let Ok((len, from)) = socket.recv_from(&mut packet) else { continue };
                        (packet[2], packet[3]) = (0x81, 0x80 | REFUSED);
                        socket.send_to(&packet[..len], from).expect("the reply is sent");
                    }
                });
            }
            // Ends the threads also when an assertion failed, which would else be waited for for ever.
            struct AtEnd<'d>(&'d AtomicBool);
            impl Drop for AtEnd<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
            let _end = AtEnd(&done);
            work()
        })
    }
}

#[test]
fn tags_in_the_frame_come_back_with_the_answer_and_tags_beside_it_make_the_query_pass() {
    let scene = Scene::new();
    for tags in ROWS {
        // What is left of the row when the outer tag is beside the frame.
        let rules = [(tags, 1), (&[][..], 0)];
        let kernel = scene.attach(&rules, 1);
        scene.with_daemon(|| {
            for over_v6 in [false, true] {
                scene.be_in_vlan(tags, true);
                let before = kernel.counters();
                assert_eq!(scene.ask(over_v6, PATIENCE), Some(0), "{tags:02x?} in the frame: XDP answers");
                let after = kernel.counters();
                assert_eq!((after.answered() - before.answered(), after.pass_vlan - before.pass_vlan), (1, 0));
                scene.be_in_vlan(tags, false);
                assert_eq!(scene.ask(over_v6, PATIENCE), Some(REFUSED), "{tags:02x?} beside it: the daemon answers");
                assert_eq!(kernel.counters().answered(), after.answered());
                assert_eq!(kernel.counters().pass_vlan - after.pass_vlan, 1);
            }
        });
    }
}

#[test]
fn without_the_rule_for_untagged_frames_a_query_whose_tag_is_beside_it_would_be_lost() {
    let scene = Scene::new();
    let [tags, _] = ROWS;
    let kernel = scene.attach(&[(tags, 1)], 0);
    scene.with_daemon(|| {
        scene.be_in_vlan(tags, true);
        assert_eq!(scene.ask(false, PATIENCE), Some(0), "the way there and back is open");
        scene.be_in_vlan(tags, false);
        let before = kernel.counters().answered();
        assert_eq!(scene.ask(false, SILENCE), None, "the answer left without its tag");
        assert_eq!(kernel.counters().answered() - before, 1);
    });
}

#[test]
fn a_vlan_of_somebody_else_is_left_to_whoever_it_is_for() {
    let scene = Scene::new();
    let [ours, provider] = ROWS;
    let kernel = scene.attach(&[(ours, 1)], 1);
    scene.with_daemon(|| {
        scene.be_in_vlan(provider, true);
        assert_eq!(scene.ask(false, PATIENCE), Some(REFUSED));
        assert_eq!((kernel.counters().answered(), kernel.counters().pass_vlan), (0, 1));
    });
}
