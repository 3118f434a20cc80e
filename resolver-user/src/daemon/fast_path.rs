//! Starts the kernel half as the configuration wants it, or says why it cannot be had.

use std::sync::Arc;

use tracing::{info, warn};

use super::DaemonError;
use super::fingerprint::fingerprint;
use super::listening::Bound;
use crate::clock::SystemClock;
use crate::config::{Config, XdpConfig, XdpMode};
use crate::cookies::CookieJar;
use crate::listener::{Listen, Machine};
use crate::publish::{AttachMode, Demand, FastPath, FastPathConfig, FastPathError, PinDir, ProgramNames};
use crate::rate_limit;
use crate::resolve::ANSWER_TTL_S_MAX;
use crate::trust::Trust;

/// The XDP program that was built with us, as an ELF object; none in a plain `cargo build`.
pub const BPF_OBJECT: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/bpf_object.rs"));

/// Loads the XDP program and attaches it, as far as the configuration asks and the build allows.
///
/// Whatever a daemon before us has left on interfaces answers by its own configuration: where we go on without XDP, it is taken
/// off. Where we end, it stays as if we had never started.
pub(super) fn start_fast_path(
    config: &Config,
    pins: Option<Result<PinDir, FastPathError>>,
    bound: &Bound,
    trust: Option<&Trust>,
    jar: &CookieJar,
    programs: ProgramNames,
) -> Result<Option<FastPath>, DaemonError> {
    let Some(pins) = pins else { return Ok(None) };
    let is_ours = pins.is_ok();
    let started = start(config, pins, bound, trust, jar, programs)?;
    if started.is_none()
        && is_ours
        && let Err(error) = PinDir::sweep(&config.xdp.pin_dir)
    {
        warn!(%error, "XDP is off, but what an earlier daemon has left may still answer");
    }
    Ok(started)
}

fn start(
    config: &Config,
    pins: Result<PinDir, FastPathError>,
    bound: &Bound,
    trust: Option<&Trust>,
    jar: &CookieJar,
    programs: ProgramNames,
) -> Result<Option<FastPath>, DaemonError> {
    let XdpConfig { mode, .. } = config.xdp;
    let demanded = matches!(mode, XdpMode::Native | XdpMode::Generic);
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
    let basis = trust.map(Trust::basis);
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
        programs,
        cache_size: config.xdp.cache_size,
        rotation_s: config.cache.rotation_s(),
        listen: bound.endpoints(),
        access: bound.access.clone(),
        basis: bytemuck::must_cast(fingerprint(config, basis.as_deref())),
        generation: basis.map_or(0, |basis| basis.generation),
        limits: rate_limit::rules(config),
        cookies: jar.secrets(),
        log: config.xdp.log,
    };
    match pins.and_then(|pins| FastPath::start(object, &fast_path, pins, Arc::new(SystemClock))) {
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

/// Takes the program off the interfaces, or lets it answer on.
pub(super) fn end_fast_path(fast_path: Option<FastPath>, stays: bool) {
    match fast_path {
        Some(fast_path) if stays => {
            fast_path.leave();
            info!("XDP answers on");
        }
        other => drop(other),
    }
}
