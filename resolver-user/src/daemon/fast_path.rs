//! Starts the kernel half as the configuration wants it, or says why it cannot be had.

use std::sync::Arc;

use tracing::warn;

use super::DaemonError;
use super::listening::Bound;
use super::privileges::Prepared;
use crate::clock::SystemClock;
use crate::config::{Config, XdpConfig, XdpMode};
use crate::cookies::CookieJar;
use crate::listener::{Listen, Machine};
use crate::publish::{AttachMode, Demand, FastPath, FastPathConfig};
use crate::resolve::ANSWER_TTL_S_MAX;

/// The XDP program that was built with us, as an ELF object; none in a plain `cargo build`.
pub const BPF_OBJECT: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/bpf_object.rs"));

/// Loads the XDP program and attaches it, as far as the configuration asks and the build allows.
pub(super) fn start_fast_path(
    config: &Config,
    prepared: &Prepared,
    bound: &Bound,
    jar: &CookieJar,
) -> Result<Option<FastPath>, DaemonError> {
    let XdpConfig { mode, .. } = config.xdp;
    let demanded = matches!(mode, XdpMode::Native | XdpMode::Generic);
    if mode == XdpMode::Off || config.xdp.cache_size == 0 {
        return Ok(None);
    }
    let Some(object) = BPF_OBJECT else {
        if demanded {
            return Err(DaemonError::NoBpfObject { mode });
        }
        warn!("this build holds no XDP program: every query is answered by the daemon; build with `cargo xtask build`");
        return Ok(None);
    };
    let interfaces = xdp_interfaces(config, &bound.listen, &bound.machine);
    if interfaces.is_empty() && !bound.listen.reaches_out() {
        if demanded {
            return Err(DaemonError::NoXdpInterface { mode });
        }
        warn!("only loopback is listened on: XDP is off; xdp-interface=lo lets it answer there");
        return Ok(None);
    }
    let fast_path = FastPathConfig {
        mode: match mode {
            XdpMode::Native => AttachMode::Native,
            XdpMode::Generic => AttachMode::Generic,
            XdpMode::Auto | XdpMode::Off => AttachMode::Auto,
        },
        serving: config.xdp.serving,
        ttl_shown_s_max: config.cache.keeping.shown_s(ANSWER_TTL_S_MAX),
        interfaces,
        demand: match (demanded, config.xdp.interfaces.is_empty()) {
            (false, _) => Demand::Nothing,
            (true, true) => Demand::Fit,
            (true, false) => Demand::All,
        },
        force: config.xdp.force,
        programs: prepared.programs.clone(),
        cache_size: config.xdp.cache_size,
        rotation_s: config.cache.rotation_s(),
        listen: bound.endpoints(),
        access: bound.access.clone(),
        is_limited: config.rate_limit.narrow.is_some(),
        cookies: jar.secrets(),
        pin_dir: prepared.pin_dir.clone(),
        log: config.xdp.log,
    };
    match FastPath::start(object, &fast_path, Arc::new(SystemClock)) {
        Ok(started) => Ok(Some(started)),
        Err(error) if demanded => Err(error.into()),
        Err(error) => {
            warn!(%error, "XDP is off: every query is answered by the daemon");
            Ok(None)
        }
    }
}

/// The interfaces that XDP is to be on now: those that the configuration names, here or not, or those that clients come by.
pub(super) fn xdp_interfaces(config: &Config, listen: &Listen, machine: &Machine) -> Vec<String> {
    match &config.xdp.interfaces {
        named if named.is_empty() => listen.xdp_interfaces(machine),
        named => named.clone(),
    }
}
