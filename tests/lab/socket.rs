//! Real clients: a UDP socket on one end of a veth pair, the fast path on the other.
//!
//! Frames of local sockets come without tail room and with partial checksums, which no test-run shows: the head has to grow
//! and the sums have to be made anew, or the client's kernel drops the answer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use aya::programs::XdpMode;
use nix::sched::{CloneFlags, unshare};
use resolver_ebpf::abi::Outcome;
use resolver_ebpf::host::message::{CLIENT_V4, CLIENT_V6, ClientOpt, ClientQuery, SERVER_V4, SERVER_V6};
use resolver_ebpf::host::records;
use resolver_tests::kernel::{Kernel, program};
use resolver_tests::netns;

/// A namespace with a veth pair; the fast path sits on the end that has no address.
fn enter() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
    let (client_v4, server_v4) = (Ipv4Addr::from(CLIENT_V4), Ipv4Addr::from(SERVER_V4));
    let (client_v6, server_v6) = (Ipv6Addr::from(CLIENT_V6), Ipv6Addr::from(SERVER_V6));
    for command in [
        "link add kdev-client type veth peer name kdev-sut".to_owned(),
        "link set kdev-sut address 02:00:00:00:00:02 up".to_owned(),
        "link set kdev-client address 02:00:00:00:00:01 up".to_owned(),
        format!("addr add {client_v4}/32 dev kdev-client"),
        format!("addr add {client_v6}/128 dev kdev-client nodad"),
        format!("route add {server_v4} dev kdev-client src {client_v4}"),
        format!("-6 route add {server_v6} dev kdev-client src {client_v6}"),
        format!("neigh add {server_v4} lladdr 02:00:00:00:00:02 dev kdev-client"),
        format!("-6 neigh add {server_v6} lladdr 02:00:00:00:00:02 dev kdev-client"),
    ] {
        netns::ip_here(&command);
    }
}

#[test]
fn local_sockets_are_answered_over_both_families_for_every_length_of_name() {
    enter();
    let store = records::store();
    let mut kernel = Kernel::with_store(&store);
    program(&mut kernel.ebpf, "pass").attach("kdev-client", XdpMode::Driver).expect("attach to the client");
    program(&mut kernel.ebpf, "resolver").attach("kdev-sut", XdpMode::Driver).expect("attach the fast path");
    let v4 = UdpSocket::bind(SocketAddr::from((Ipv4Addr::from(CLIENT_V4), 0))).expect("a socket");
    let v6 = UdpSocket::bind(SocketAddr::from((Ipv6Addr::from(CLIENT_V6), 0))).expect("a socket");
    v4.connect((Ipv4Addr::from(SERVER_V4), 53)).expect("connect");
    v6.connect((Ipv6Addr::from(SERVER_V6), 53)).expect("connect");

    let (mut answered, mut passed_for_room) = (0u64, 0u64);
    for record in records::records() {
        for opt in [None, Some(ClientOpt::new(1232, record.dnssec_ok))] {
            if opt.is_none() && record.dnssec_ok {
                continue;
            }
            let query = ClientQuery { opt, ..ClientQuery::new(&record.name, record.qtype) };
            let expected = message_of(&query.answered(&record.answer(), ttl_s(record.expires_at_boot_ns)));
            let plain_max = if query.opt.is_some() { 1232 } else { 512 };
            if ttl_s(record.expires_at_boot_ns) == 0 || expected.len() > plain_max {
                continue;
            }
            for socket in [&v4, &v6] {
                let before = kernel.counters();
                let reply = exchange(socket, &query.message());
                let after = kernel.counters();
                if after.pass_no_room > before.pass_no_room {
                    // veth leaves some 200 bytes of head; what needs more is the daemon's.
                    assert!(expected.len() - query.message().len() > 180, "{:02x?}", query.name);
                    passed_for_room += 1;
                    continue;
                }
                assert_eq!(reply.as_deref(), Some(expected.as_slice()), "name of {} bytes", query.name.len());
                answered += 1;
            }
        }
    }
    println!("{answered} answered, {passed_for_room} passed for want of room");
    assert!(answered > 1_000 && passed_for_room < 20, "{answered} answered, {passed_for_room} passed");
    assert_eq!(kernel.counters().as_array()[Outcome::PassMiss as usize], 0);
}

/// Sends a query; the answer, or `None` when none comes.
fn exchange(socket: &UdpSocket, query: &[u8]) -> Option<Vec<u8>> {
    let mut reply = vec![0; 4096];
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    socket.send(query).expect("send");
    let len = socket.recv(&mut reply).ok()?;
    reply.truncate(len);
    Some(reply)
}

/// The DNS message of an IPv4 frame.
fn message_of(frame: &[u8]) -> Vec<u8> {
    frame[14 + 20 + 8..].to_vec()
}

/// What is left of a TTL.
fn ttl_s(expires_at_boot_ns: u64) -> u32 {
    (expires_at_boot_ns.saturating_sub(records::NOW_BOOT_NS) / 1_000_000_000).min(86_400) as u32
}
