//! The XDP object: entry points, and the glue between the fast path and the kernel.
//!
//! In: packets, and the maps that the daemon fills. Out: `XDP_TX` with an answer, `XDP_PASS` with the packet as it came, or
//! `XDP_DROP` where an operator's rate limit says so; and one counter raised.
//! Refuses: any decision about DNS; those are made in `resolver_ebpf::serve`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(unsafe_code, reason = "packet memory, maps and symbols of the BPF object")]
#![expect(missing_docs, reason = "the entry points that the macros write beside ours carry no comment")]
#![expect(unstable_features, reason = "inline assembly for BPF is unstable; one empty instruction hides values")]

mod latency;
mod log;
mod maps;
mod packet;
mod watch;

use aya_ebpf::bindings::xdp_action::{self, XDP_PASS, XDP_TX};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use resolver_ebpf::abi::{ABI_VERSION, ClockSample, Outcome, Settings, WATCH_CAPTURE};
use resolver_ebpf::serve::serve;

use maps::Maps;
use packet::Packet;

/// Answers DNS queries from the maps.
///
/// VERIFIER: all in one function, since a call costs an answer some 10 ns where returns are guarded against speculation. What is
/// off the path of answers may stand in functions of its own: 512 bytes of stack are for all that is under way.
#[xdp]
#[inline(always)]
pub fn resolver(ctx: XdpContext) -> u32 {
    latency::start();
    // The settings are there: an array has all its elements.
    let Some(settings) = maps::settings() else { return XDP_PASS };
    if settings.watch & WATCH_CAPTURE != 0 {
        watch::keep_query(&ctx);
    }
    let outcome = serve(&mut Packet::new(&ctx), &Maps { settings });
    maps::count(outcome);
    if outcome.is_answer() {
        latency::end();
        if settings.watch != 0 {
            watch::tell(&ctx, settings, outcome);
        }
        return XDP_TX;
    }
    verdict(&ctx, settings, outcome)
}

/// What is done with a frame that was not answered.
#[inline(always)]
fn verdict(ctx: &XdpContext, settings: &Settings, outcome: Outcome) -> u32 {
    if outcome.is_sent() {
        return XDP_TX;
    }
    if outcome.is_drop() {
        return xdp_action::XDP_DROP;
    }
    log::passed(ctx, settings, outcome);
    XDP_PASS
}

/// Samples the kernel's two clocks in one go, and says which map layout the object has; for the daemon, by test-run.
#[xdp]
pub fn clock(_ctx: XdpContext) -> u32 {
    // SAFETY: neither helper takes an argument or touches memory.
    let (jiffies, boot_ns) = unsafe { (bpf_jiffies64(), bpf_ktime_get_boot_ns()) };
    maps::set_clock(ClockSample { jiffies, boot_ns, abi_version: ABI_VERSION, padding: 0 });
    XDP_PASS
}

/// Passes everything: for the other end of a veth pair, where `XDP_TX` needs a program to be.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
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
