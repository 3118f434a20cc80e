//! Passes the kernel half's own messages (`xdp-log`) on to the daemon's log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use resolver_ebpf::abi::Outcome;

/// Receives messages from aya.
#[derive(Clone, Copy, Debug)]
pub struct ToTracing;

impl log::Log for ToTracing {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        // The kernel half sends the outcome's number, since text costs it instructions.
        let number = text.rsplit(' ').next().and_then(|word| word.parse::<usize>().ok());
        match number.and_then(|number| Outcome::ALL.get(number)) {
            Some((_, reason)) => tracing::info!(reason, "XDP passed a query"),
            None => tracing::info!("XDP: {text}"),
        }
    }

    fn flush(&self) {}
}

/// Starts listening; none, with a warning, if the object has no log.
pub fn start(ebpf: &mut Ebpf) -> Option<EbpfLogger<ToTracing>> {
    match EbpfLogger::init_with_logger(ebpf, ToTracing) {
        Ok(logger) => Some(logger),
        Err(error) => {
            tracing::warn!(%error, "no messages from the kernel half");
            None
        }
    }
}
