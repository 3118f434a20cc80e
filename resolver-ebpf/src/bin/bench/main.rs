//! Programs of the benchmark rig (benchmarks.md, rig 1): a generator, a reflector, a sink and a bare pass.
//!
//! The generator runs by test-run with live frames and sends ready-made frames; the reflector shows what the rig can do at
//! all; the sink, on the generator's interface, counts what comes back, and drops it.
//! Refuses nothing and is no part of the product.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(unsafe_code, reason = "packet memory, maps and symbols of the BPF object")]
#![expect(missing_docs, reason = "the entry points that the macros write beside ours carry no comment")]
#![expect(unstable_features, reason = "inline assembly for BPF is unstable; one instruction hides values")]

mod buffer;
mod maps;
#[path = "../xdp/packet.rs"]
mod packet;

use aya_ebpf::bindings::TC_ACT_SHOT;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use resolver_ebpf::abi::bench::{BenchCounters, BenchSettings};
use resolver_ebpf::serve::Frame;
use resolver_ebpf::wire::bytes::Be16;
use resolver_ebpf::wire::dns::{DnsHeader, HIGH_QR};
use resolver_ebpf::wire::ip::{IPV4_LEN, IPV6_LEN, Ipv4, Ipv6, PROTOCOL_UDP};
use resolver_ebpf::wire::link::{ETHER_IPV4, ETHER_IPV6, ETHERNET_LEN, Ethernet};
use resolver_ebpf::wire::udp::{UDP_LEN, Udp};

use buffer::{Buffer, View};
use packet::Packet;

const PORT_DNS: Be16 = Be16::new(53);
/// Looks at the clock in one run: about a microsecond.
const LOOKS_MAX: u32 = 32;
/// Frames that are later than this, in nanoseconds, are not sent any more.
const LATE_NS_MAX: u64 = 200_000;
const UDP_AT_V4: usize = ETHERNET_LEN + IPV4_LEN;
const UDP_AT_V6: usize = ETHERNET_LEN + IPV6_LEN;

/// Writes the next frame of the sequence over this one and sends it. The whole frame, since recycled pages keep what was in
/// them.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    let Some((settings, counters)) = maps::settings().zip(maps::counters()) else { return XDP_ABORTED };
    if settings.interval_ns != 0 && !is_due(settings) {
        // The frame goes back to its pool, and the next run is another look at the clock.
        return XDP_DROP;
    }
    let turn = counters.sent as u32 & settings.sequence_mask;
    let Some(frame) = maps::frame(turn) else { return XDP_ABORTED };
    let is_written = Packet::new(&ctx).write_words(0, settings.frame_words as usize, |i| frame.get(i).copied());
    if !is_written {
        return XDP_ABORTED;
    }
    if settings.is_timed != 0 && number(&mut Packet::new(&ctx), counters.sent as u16).is_none() {
        return XDP_ABORTED;
    }
    counters.sent += 1;
    XDP_TX
}

/// Waits for the next frame's time, but not for long. What was not sent in time because this CPU was not ours is not made up
/// for by a flood.
#[inline(always)]
fn is_due(settings: &BenchSettings) -> bool {
    let Some(due) = maps::due() else { return false };
    for _ in 0..LOOKS_MAX {
        let now = now_ns();
        if now >= settings.end_mono_ns {
            return false;
        }
        if now >= *due {
            let earliest = now.wrapping_sub(LATE_NS_MAX);
            *due = if *due < earliest { earliest } else { *due }.wrapping_add(u64::from(settings.interval_ns));
            return true;
        }
    }
    false
}

/// Gives a query an ID, and notes when it is sent.
#[inline(always)]
fn number<F: Frame>(frame: &mut F, id: u16) -> Option<()> {
    frame.view_mut::<DnsHeader>(UDP_AT_V4 + UDP_LEN)?.id = Be16::new(id);
    maps::note_sent(id, now_ns());
    Some(())
}

fn now_ns() -> u64 {
    // SAFETY: the helper takes no argument and touches no memory.
    unsafe { bpf_ktime_get_ns() }
}

/// Sends every DNS query back as it came: the least that an answer can cost.
#[xdp]
pub fn reflect(ctx: XdpContext) -> u32 {
    let mut packet = Packet::new(&ctx);
    match turn_back(&mut packet) {
        Some(()) => {
            if let Some(counters) = maps::counters() {
                counters.reflected += 1;
            }
            XDP_TX
        }
        None => XDP_PASS,
    }
}

/// Counts what came back, and drops it.
#[xdp]
pub fn sink(ctx: XdpContext) -> u32 {
    count(&Packet::new(&ctx));
    XDP_DROP
}

/// The same for packets that sockets sent: to show them to an XDP program, a veth would copy each of them, on the CPU of who
/// sent it.
#[classifier]
pub fn sink_buffers(ctx: TcContext) -> i32 {
    count(&Buffer::new(&ctx));
    TC_ACT_SHOT
}

/// Counts a frame that came back, and how long that took.
#[inline(always)]
fn count<V: View>(frame: &V) {
    if let Some(counters) = maps::counters() {
        let counter = kind(frame, counters);
        *counter += 1;
    }
    if maps::settings().is_some_and(|settings| settings.is_timed != 0)
        && let Some(header) = dns(frame)
        && header.high & HIGH_QR != 0
    {
        maps::count_wait(header.id.get(), now_ns());
    }
}

/// Passes everything.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// Swaps the addresses of a UDP packet to port 53.
#[inline(always)]
fn turn_back<F: Frame>(frame: &mut F) -> Option<()> {
    let link = frame.view_mut::<Ethernet>(0)?;
    let ether_type = link.ether_type;
    *link = Ethernet { destination: link.source, source: link.destination, ether_type };
    if ether_type == ETHER_IPV4 {
        let ip = frame.view_mut::<Ipv4>(ETHERNET_LEN)?;
        (ip.source, ip.destination) = (ip.destination, ip.source);
        turn_ports(frame.view_mut::<Udp>(UDP_AT_V4)?)
    } else if ether_type == ETHER_IPV6 {
        let ip = frame.view_mut::<Ipv6>(ETHERNET_LEN)?;
        (ip.source, ip.destination) = (ip.destination, ip.source);
        turn_ports(frame.view_mut::<Udp>(UDP_AT_V6)?)
    } else {
        None
    }
}

/// Swaps the ports, if the packet goes to port 53.
#[inline(always)]
fn turn_ports(udp: &mut Udp) -> Option<()> {
    if udp.destination != PORT_DNS {
        return None;
    }
    (udp.source, udp.destination) = (udp.destination, udp.source);
    Some(())
}

/// The counter for a frame that came back.
#[inline(always)]
fn kind<'c, V: View>(frame: &V, counters: &'c mut BenchCounters) -> &'c mut u64 {
    match dns(frame) {
        None => &mut counters.other,
        Some(header) if header.high & HIGH_QR == 0 => &mut counters.queries,
        Some(header) => match header.low & 0xf {
            0 => &mut counters.noerror,
            3 => &mut counters.nxdomain,
            _ => &mut counters.other_rcode,
        },
    }
}

/// The DNS header of a UDP packet from port 53.
#[inline(always)]
fn dns<V: View>(frame: &V) -> Option<&DnsHeader> {
    let ether_type = frame.view::<Ethernet>(0)?.ether_type;
    if ether_type == ETHER_IPV4 && frame.view::<Ipv4>(ETHERNET_LEN)?.protocol == PROTOCOL_UDP {
        from_dns(frame.view::<Udp>(UDP_AT_V4)?)?;
        frame.view(UDP_AT_V4 + UDP_LEN)
    } else if ether_type == ETHER_IPV6 && frame.view::<Ipv6>(ETHERNET_LEN)?.next_header == PROTOCOL_UDP {
        from_dns(frame.view::<Udp>(UDP_AT_V6)?)?;
        frame.view(UDP_AT_V6 + UDP_LEN)
    } else {
        None
    }
}

/// Whether a packet comes from port 53.
#[inline(always)]
fn from_dns(udp: &Udp) -> Option<()> {
    (udp.source == PORT_DNS).then_some(())
}

/// Never reached. It spins, so that the verifier refuses a program that could get here.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Some helpers are only for programs under a licence that is compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
