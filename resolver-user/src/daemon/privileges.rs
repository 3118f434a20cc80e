//! What is done as root before the process becomes somebody else, and what the daemon may still do afterwards.
//!
//! The order matters: first everything is made and handed over that only root may make (directories, control socket, process
//! number), then the identity changes, and only then come threads, sockets and the kernel half, so all of them run with the
//! few capabilities that stay.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use caps::Capability;
use nix::libc::{O_DIRECTORY, O_PATH};
use tracing::{info, warn};

use super::DaemonError;
use crate::config::{Config, LogTarget, XdpMode};
use crate::control::{ControlSocket, bind_control};
use crate::process::{Identity, Inherited, LateChroot, forbid_system_calls, keep_capabilities};
use crate::publish::{ProgramNames, make_pin_dir, program_names};
use crate::trust::Timestamp;

/// Stays for ports below 1024, on addresses that come while we run.
const LISTENING: &[Capability] = &[Capability::CAP_NET_BIND_SERVICE];
/// Stay for loading the program and its maps (CAP_BPF), for pointers in the verifier's more permissive mode (CAP_PERFMON), and
/// for attaching to interfaces (CAP_NET_ADMIN): at the start, and again when an interface comes back.
const XDP: &[Capability] = &[Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_NET_ADMIN];

/// What was made before the identity changed.
pub(super) struct Prepared {
    pub(super) control: ControlSocket,
    pub(super) inherited: Inherited,
    /// Where pins go: the directory of the configuration, or the same one held open, which needs no rights on those above.
    pub(super) pin_dir: PathBuf,
    /// Names of the programs in the kernel, for telling who is on an interface.
    pub(super) programs: ProgramNames,
    chroot: Option<LateChroot>,
    _pin_dir_held: Option<File>,
    _pid_file: PidFile,
}

/// Does what only root may do, as far as the configuration asks for it, and becomes whom it names.
///
/// # Errors
/// Whatever keeps the daemon from starting.
pub(super) fn prepare(config: &Config) -> Result<Prepared, DaemonError> {
    let process = &config.process;
    let identity = Identity::wanted(process)?;
    let inherited = Inherited::from_environment().map_err(|source| DaemonError::Inherited { source })?;
    let hand_over = |path: &Path| identity.as_ref().map_or(Ok(()), |identity| identity.own(path));
    let control = bind_control(&process.control_socket)?;
    for path in control.made() {
        hand_over(path)?;
    }
    let pid_file = PidFile::write(process.pid_file.clone())?;
    if let Some(path) = &process.pid_file {
        hand_over(path)?;
    }
    if let Some(path) = config.dnssec.timestamp.as_deref().filter(|_| config.dnssec.enabled) {
        Timestamp::open(path)?;
        hand_over(path)?;
    }
    if let LogTarget::File(path) = &config.logging.target {
        hand_over(path)?;
    }
    let (pin_dir, pin_dir_held) = match &identity {
        Some(identity) if config.xdp.mode != XdpMode::Off => hand_over_pins(&config.xdp.pin_dir, identity)?,
        _ => (config.xdp.pin_dir.clone(), None),
    };
    let chroot = process.chroot.as_deref().filter(|_| !process.no_daemon).map(new_root).transpose();
    let chroot = chroot.map_err(|source| chroot_error(config, source))?;
    let kept: Vec<Capability> = kept_capabilities(config);
    let programs = if config.xdp.mode == XdpMode::Off { ProgramNames::new() } else { program_names() };
    match &identity {
        Some(identity) => identity.assume(&kept)?,
        None if nix::unistd::getuid().is_root() => {
            warn!("running as root; give user=<name>, and only a few capabilities are kept");
        }
        None => keep_capabilities(&kept)?,
    }
    Ok(Prepared { control, inherited, pin_dir, programs, chroot, _pin_dir_held: pin_dir_held, _pid_file: pid_file })
}

impl Prepared {
    /// Gives up what only the start needed: the old root, and system calls that a resolver never makes.
    ///
    /// # Errors
    /// The root cannot be changed.
    pub(super) fn confine(&mut self, config: &Config) -> Result<(), DaemonError> {
        if let Some(chroot) = self.chroot.take() {
            chroot.enter().map_err(|source| chroot_error(config, source))?;
        }
        match forbid_system_calls() {
            Ok(()) => info!("system calls that are never needed are forbidden from now on"),
            Err(error) => warn!(%error, "no system call is forbidden"),
        }
        Ok(())
    }
}

/// Gets ready to change the root. Counters of the kernel half are read one CPU at a time, for which the list of CPUs is looked
/// up each time; so it is copied to where it will be looked for.
fn new_root(root: &Path) -> io::Result<LateChroot> {
    let copy = root.join(POSSIBLE_CPUS.trim_start_matches('/'));
    if let Some(directory) = copy.parent().filter(|_| !copy.exists()) {
        fs::create_dir_all(directory)?;
        fs::write(&copy, fs::read(POSSIBLE_CPUS)?)?;
    }
    LateChroot::prepare(root)
}

/// The CPUs that may ever be there.
const POSSIBLE_CPUS: &str = "/sys/devices/system/cpu/possible";

fn kept_capabilities(config: &Config) -> Vec<Capability> {
    let xdp = if config.xdp.mode == XdpMode::Off { &[] } else { XDP };
    LISTENING.iter().chain(xdp).copied().collect()
}

fn chroot_error(config: &Config, source: io::Error) -> DaemonError {
    DaemonError::Chroot { path: config.process.chroot.clone().unwrap_or_default(), source }
}

/// Makes the pin directory and hands it over. It is held open, and reached through that: the BPF file system's root is often
/// closed to all but root. Where there is no BPF file system, nothing is done; the fast path says so.
fn hand_over_pins(directory: &Path, identity: &Identity) -> Result<(PathBuf, Option<File>), DaemonError> {
    if !make_pin_dir(directory)? {
        return Ok((directory.to_owned(), None));
    }
    identity.own(directory)?;
    let held = OpenOptions::new().read(true).custom_flags(O_PATH | O_DIRECTORY).open(directory);
    let held = held.map_err(|source| DaemonError::PinDir { path: directory.to_owned(), source })?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd())), Some(held)))
}

/// The file with our process number; removed at the end.
struct PidFile(Option<PathBuf>);

/// Mode of the file with our process number: everybody may know it.
const PID_FILE_MODE: u32 = 0o644;

impl PidFile {
    fn write(path: Option<PathBuf>) -> Result<Self, DaemonError> {
        if let Some(path) = &path {
            // The old one is removed and a new one made, never written through a link.
            let _none = fs::remove_file(path);
            let made = OpenOptions::new().write(true).create_new(true).mode(PID_FILE_MODE).open(path);
            let written = made.and_then(|mut file| writeln!(file, "{}", std::process::id()));
            written.map_err(|source| DaemonError::PidFile { path: path.clone(), source })?;
        }
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Nothing can be done about a file that somebody else has removed, or a directory that is not ours.
            let _gone = fs::remove_file(path);
        }
    }
}
