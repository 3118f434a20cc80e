//! Log lines for queries that were passed on, for finding out why.
//!
//! Off unless the daemon loads the object with `XDP_LOG` set: the verifier then removes this code, and it costs nothing.
//! One of `log_one_in` such queries is logged, so that a stranger cannot flood the log. Frames that are no query to us are
//! never logged.

use aya_ebpf::Global;
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use resolver_ebpf::abi::{Outcome, Settings};

/// Set to 1 by the loader to switch these lines on.
#[unsafe(no_mangle)]
static XDP_LOG: Global<u8> = Global::new(0);

/// Logs that a query to us was passed, and why: the name of the counter.
#[inline(always)]
pub fn passed(ctx: &XdpContext, settings: &Settings, outcome: Outcome) {
    if XDP_LOG.load() == 0 || !outcome.is_pass_of_query() {
        return;
    }
    let one_in = settings.log_one_in;
    // SAFETY: the helper takes no argument and touches no memory.
    let is_chosen = one_in != 0 && unsafe { bpf_get_prandom_u32() } & one_in.wrapping_sub(1) == 0;
    if is_chosen {
        info!(ctx, "query passed reason={}", outcome.counter_name());
    }
}
