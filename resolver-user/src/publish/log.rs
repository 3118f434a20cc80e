//! Passes the kernel half's own messages (`xdp-log`) on to the daemon's log.

use aya::Ebpf;
use aya_log::EbpfLogger;

/// Receives messages from aya.
#[derive(Clone, Copy, Debug)]
pub struct ToTracing;

impl log::Log for ToTracing {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        tracing::info!("XDP: {}", record.args());
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
