//! The XDP program in the kernel: loading, attaching, pinning, and taking it off again.

use std::ffi::CString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::unistd::{UnlinkatFlags, unlinkat};
use resolver_ebpf::abi::{self, AnswerBlock, Bucket, CookieSecrets, LimitTable, Settings, map_name};
use thiserror::Error;

use super::attach::{LinkMap, ProgramNames};
use super::clients::Trie;
use super::counters::KernelCounters;
use super::memory::MappedArray;
use super::pod::Shared;
use crate::access::AccessList;
use crate::interfaces::ProgramMode;
use crate::serving::Serving;

/// The XDP program's name in the object.
const PROGRAM: &str = "resolver";
/// The clock program's name in the object.
const CLOCK_PROGRAM: &str = "clock";

/// How the program is to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// By the driver, before a packet buffer is made.
    Native,
    /// By the network stack, on any interface, slower.
    Generic,
    /// Native where the driver has it, else generic.
    Auto,
}

/// Which interfaces the program has to be on, if they are there at the start and named in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// None.
    Nothing,
    /// Those on which it could answer.
    Fit,
    /// All.
    All,
}

/// What the fast path is built from.
#[derive(Clone, Debug)]
pub struct FastPathConfig {
    /// Longest TTL that an answer shows, in seconds: 1..=86 400.
    pub ttl_shown_s_max: u32,
    /// How to attach.
    pub mode: AttachMode,
    /// What to do with queries that could be answered.
    pub serving: Serving,
    /// Interfaces, by name or with a final `*` by beginning. They may come later.
    pub interfaces: Vec<String>,
    /// Which refusals stop the start.
    pub demand: Demand,
    /// Whether other XDP programs are replaced.
    pub force: bool,
    /// Names of the programs in the kernel, as far as they were known when we still were root.
    pub programs: ProgramNames,
    /// Answers of ordinary size to make room for; at least 1.
    pub cache_size: u32,
    /// UDP endpoints to answer for, which the daemon listens on.
    pub listen: Vec<SocketAddr>,
    /// Who may be answered.
    pub access: AccessList,
    /// Whether there are rate limits.
    pub is_limited: bool,
    /// Secrets of cookies; none: cookies are ignored.
    pub cookies: Option<CookieSecrets>,
    /// How often addresses of answers change places, in seconds; 0: never.
    pub rotation_s: u32,
    /// Directory in a BPF file system for pins; made if missing.
    pub pin_dir: PathBuf,
    /// Whether the kernel half says why it passes queries.
    pub log: bool,
}

/// Why the fast path cannot start.
#[derive(Debug, Error)]
pub enum FastPathError {
    /// The binary was built without the kernel half.
    #[error("this binary holds no XDP program; build it with `cargo xtask build`")]
    NoObject,
    /// The pin directory is not on a BPF file system.
    #[error("{path} is not on a BPF file system; mount one: mount -t bpf bpf /sys/fs/bpf")]
    NoBpfFs {
        /// The directory or its closest existing parent.
        path: PathBuf,
    },
    /// A file operation on the pin directory failed.
    #[error("cannot use pin directory {path}: {source}")]
    PinDir {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The object was refused by the kernel or is not ours.
    #[error("cannot load the XDP object: {0}")]
    Load(#[from] Box<EbpfError>),
    /// A program of the object was refused.
    #[error("cannot load program {name}: {source}")]
    Program {
        /// Name of the program.
        name: &'static str,
        /// What aya says, with the verifier's log.
        source: Box<ProgramError>,
    },
    /// The object lacks something that the daemon needs.
    #[error("the XDP object has no {what}")]
    Missing {
        /// Name of the map or program.
        what: &'static str,
    },
    /// The object was built for another map layout.
    #[error("the XDP object has map layout {found}, this daemon has {expected}")]
    Abi {
        /// Version in the object.
        found: u32,
        /// Version of the daemon.
        expected: u32,
    },
    /// A map cannot be used.
    #[error("cannot use map {name}: {source}")]
    Map {
        /// Name of the map.
        name: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The program cannot be attached.
    #[error("cannot attach to {interface} in {mode} mode: {}{hint}", reason(.source))]
    Attach {
        /// Name of the interface.
        interface: String,
        /// `native` or `generic`.
        mode: &'static str,
        /// What aya says.
        source: Box<ProgramError>,
        /// What to do about it, or nothing.
        hint: &'static str,
    },
    /// The program cannot be on an interface that was named.
    #[error("XDP cannot be on {interface}: {source}")]
    Refused {
        /// Name of the interface.
        interface: String,
        /// Why.
        source: super::attach::NotAttached,
    },
    /// The kernel cannot wait for running programs.
    #[error(
        "this kernel has no membarrier for all CPUs (nohz_full?), without which no answer could be replaced safely"
    )]
    NoGracePeriod(#[source] io::Error),
    /// The kernel's clocks could not be compared.
    #[error("cannot read the kernel's clock: {0}")]
    Clock(#[from] super::clock::ClockError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// The program on an interface. It leaves with the pin, and this.
#[derive(Debug)]
pub struct Held {
    _link: FdLink,
    /// Name of the pin, if there is one.
    pin: Option<String>,
}

impl FastPathError {
    /// Whether an attachment failed because somebody else's program is in the way.
    pub fn is_occupied(&self) -> bool {
        matches!(self, Self::Attach { source, .. } if matches!(errno(source), Some(Errno::EBUSY | Errno::EEXIST)))
    }

    /// Why an attachment failed, without saying that it did.
    pub fn reason(&self) -> String {
        match self {
            Self::Attach { source, .. } if errno(source) == Some(Errno::EOPNOTSUPP) => {
                "the driver has no native XDP".to_owned()
            }
            Self::Attach { source, hint, .. } => format!("{}{hint}", reason(source)),
            other => other.to_string(),
        }
    }
}

/// The loaded object. Dropping it takes the program off all interfaces and removes the pins.
#[derive(Debug)]
pub struct Loaded {
    ebpf: Ebpf,
    pin_dir: PathBuf,
    /// The same directory, open: pins can be removed after the root has changed.
    pins: OwnedFd,
}

impl Loaded {
    /// Loads and pins the object, attaches nothing yet.
    ///
    /// # Errors
    /// Any [`FastPathError`].
    pub fn load(object: &[u8], config: &FastPathConfig, buckets: u32, blocks: u32) -> Result<Self, FastPathError> {
        prepare_pin_dir(&config.pin_dir)?;
        let log = u8::from(config.log);
        let ebpf = EbpfLoader::new()
            .map_max_entries(map_name::BUCKETS, buckets)
            .map_max_entries(map_name::ANSWERS, blocks)
            .override_global("XDP_LOG", &log, true)
            .load(object)
            .map_err(Box::new)?;
        let pins = open_directory(&config.pin_dir)
            .map_err(|source| FastPathError::PinDir { path: config.pin_dir.clone(), source })?;
        let mut loaded = Self { ebpf, pin_dir: config.pin_dir.clone(), pins };
        for name in [PROGRAM, CLOCK_PROGRAM] {
            let refused = |source| FastPathError::Program { name, source: Box::new(source) };
            loaded.program(name)?.load().map_err(refused)?;
        }
        loaded.pin()?;
        Ok(loaded)
    }

    /// Attaches the program to an interface in one mode, and pins the link if its folder can be reached: after a change of the
    /// root it cannot.
    ///
    /// # Errors
    /// [`FastPathError::Attach`], [`FastPathError::PinDir`].
    pub fn attach(&mut self, index: u32, interface: &str, mode: ProgramMode) -> Result<Held, FastPathError> {
        let link = self.attach_as(index, interface, mode)?;
        let folder = self.pin_dir.join("links");
        if !folder.is_dir() {
            tracing::warn!(interface, "the link cannot be pinned: XDP ends here with this process");
            return Ok(Held { _link: link, pin: None });
        }
        // File systems of BPF allow no dots, and numbers of interfaces are not given again soon.
        let name = format!("{}-{index}", interface.replace('.', "_"));
        let path = folder.join(&name);
        let link = link.pin(&path).map_err(|error| FastPathError::PinDir { path, source: io::Error::other(error) })?;
        Ok(Held { _link: link.into(), pin: Some(name) })
    }

    /// Takes the program off an interface, if that still exists.
    pub fn let_go(&self, held: Held) {
        let Some(name) = held.pin else { return };
        let path = Path::new("links").join(name);
        if let Err(error) = unlinkat(&self.pins, &path, UnlinkatFlags::NoRemoveDir) {
            tracing::warn!(path = %path.display(), %error, "a pin cannot be removed");
        }
    }

    fn attach_as(&mut self, index: u32, interface: &str, mode: ProgramMode) -> Result<FdLink, FastPathError> {
        let failed = |source: ProgramError| FastPathError::Attach {
            interface: interface.to_owned(),
            mode: mode.name(),
            hint: hint(&source),
            source: Box::new(source),
        };
        let flags = if mode == ProgramMode::Native { XdpMode::Driver } else { XdpMode::Skb };
        let program = self.program(PROGRAM)?;
        let id = program.attach_to_if_index(index, flags).map_err(failed)?;
        let link = program.take_link(id).map_err(failed)?;
        // Only the old netlink way of attaching gives a link that cannot be pinned, on kernels before 5.9.
        link.try_into().map_err(|_| failed(ProgramError::UnexpectedProgramType))
    }

    fn program(&mut self, name: &'static str) -> Result<&mut Xdp, FastPathError> {
        let program = self.ebpf.program_mut(name).ok_or(FastPathError::Missing { what: name })?;
        program.try_into().map_err(|_| FastPathError::Missing { what: name })
    }

    /// The clock program, loaded.
    ///
    /// # Errors
    /// [`FastPathError::Missing`].
    pub fn take_clock(&mut self) -> Result<(PerCpuArray<MapData, Shared<abi::ClockSample>>, &mut Xdp), FastPathError> {
        Ok((self.take_per_cpu(map_name::CLOCK)?, self.program(CLOCK_PROGRAM)?))
    }

    /// The clock program, to run it.
    ///
    /// # Errors
    /// [`FastPathError::Missing`].
    pub fn clock_program(&mut self) -> Result<&mut Xdp, FastPathError> {
        self.program(CLOCK_PROGRAM)
    }

    /// Maps the memory of `BUCKETS`.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn map_buckets(&mut self) -> Result<MappedArray, FastPathError> {
        self.map_array::<Bucket>(map_name::BUCKETS)
    }

    /// Maps the memory of `ANSWERS`.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn map_answers(&mut self) -> Result<MappedArray, FastPathError> {
        self.map_array::<AnswerBlock>(map_name::ANSWERS)
    }

    /// Maps the memory of `SETTINGS`.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn map_settings(&mut self) -> Result<MappedArray, FastPathError> {
        self.map_array::<Settings>(map_name::SETTINGS)
    }

    /// Maps the memory of `LIMITS`.
    ///
    /// # Errors
    /// [`FastPathError::Map`].
    pub fn map_limits(&mut self) -> Result<MappedArray, FastPathError> {
        self.map_array::<LimitTable>(map_name::LIMITS)
    }

    fn map_array<T: bytemuck::Pod>(&mut self, name: &'static str) -> Result<MappedArray, FastPathError> {
        let map = self.ebpf.map(name).ok_or(FastPathError::Missing { what: name })?;
        let array = Array::<_, Shared<T>>::try_from(map).map_err(|error| map_error(name, error))?;
        let length = array.len() as usize * size_of::<T>();
        let data = self.map_data(name)?;
        MappedArray::new(data.fd().as_fd(), length).map_err(|source| FastPathError::Map { name, source })
    }

    fn map_data(&self, name: &'static str) -> Result<&MapData, FastPathError> {
        match self.ebpf.map(name) {
            Some(
                Map::Array(data)
                | Map::PerCpuArray(data)
                | Map::LpmTrie(data)
                | Map::HashMap(data)
                | Map::RingBuf(data),
            ) => Ok(data),
            _ => Err(FastPathError::Missing { what: name }),
        }
    }

    /// What the kernel half counts.
    ///
    /// # Errors
    /// [`FastPathError::Missing`], [`FastPathError::Map`].
    pub fn take_counters(&mut self) -> Result<KernelCounters, FastPathError> {
        Ok(KernelCounters {
            counters: self.take_per_cpu(map_name::COUNTERS)?,
            cookies: self.take_per_cpu(map_name::COOKIES)?,
            latency: self.take_per_cpu(map_name::LATENCY)?,
            limit_log: self.take_per_cpu(map_name::LIMIT_LOG)?,
            watch: self.take_per_cpu(map_name::WATCH)?,
        })
    }

    fn take_per_cpu<T: bytemuck::Pod>(
        &mut self,
        name: &'static str,
    ) -> Result<PerCpuArray<MapData, Shared<T>>, FastPathError> {
        let map = self.ebpf.take_map(name).ok_or(FastPathError::Missing { what: name })?;
        PerCpuArray::try_from(map).map_err(|error| map_error(name, error))
    }

    /// The networks of clients, IPv4 and IPv6.
    ///
    /// # Errors
    /// [`FastPathError::Map`], [`FastPathError::Missing`].
    pub fn take_clients(&mut self) -> Result<(Trie<abi::ClientV4>, Trie<abi::ClientV6>), FastPathError> {
        Ok((self.take_trie(map_name::CLIENTS_V4)?, self.take_trie(map_name::CLIENTS_V6)?))
    }

    /// What may be answered by tags.
    ///
    /// # Errors
    /// [`FastPathError::Map`], [`FastPathError::Missing`].
    pub fn take_links(&mut self) -> Result<LinkMap, FastPathError> {
        let map = self.ebpf.take_map(map_name::LINKS).ok_or(FastPathError::Missing { what: map_name::LINKS })?;
        HashMap::try_from(map).map_err(|error| map_error(map_name::LINKS, error))
    }

    fn take_trie<T: bytemuck::Pod>(&mut self, name: &'static str) -> Result<Trie<T>, FastPathError> {
        let map = self.ebpf.take_map(name).ok_or(FastPathError::Missing { what: name })?;
        LpmTrie::try_from(map).map_err(|error| map_error(name, error))
    }

    /// What the kernel half tells of single answers.
    ///
    /// # Errors
    /// [`FastPathError::Map`], [`FastPathError::Missing`].
    pub fn take_seen(&mut self) -> Result<RingBuf<MapData>, FastPathError> {
        let name = map_name::SEEN;
        let map = self.ebpf.take_map(name).ok_or(FastPathError::Missing { what: name })?;
        RingBuf::try_from(map).map_err(|error| map_error(name, error))
    }

    /// The object, for its log.
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn pin(&mut self) -> Result<(), FastPathError> {
        for name in map_name::ALL {
            let path = self.pin_dir.join("maps").join(name);
            let failed = |error| FastPathError::PinDir { path: path.clone(), source: io::Error::other(error) };
            self.map_data(name)?.pin(&path).map_err(failed)?;
        }
        for name in [PROGRAM, CLOCK_PROGRAM] {
            let path = self.pin_dir.join("programs").join(name);
            let pinned = self.program(name)?.pin(&path);
            pinned.map_err(|error| FastPathError::PinDir { path, source: io::Error::other(error) })?;
        }
        Ok(())
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // Without their pins, links end with their descriptors, and the program leaves the interfaces. Those are closed after this:
        // the kernel takes a program off at once when a descriptor was the last to hold it, but some time after an unlinking was.
        if let Err(error) = remove_pins(&self.pins) {
            tracing::warn!(%error, "cannot remove the pins: XDP may stay on the interfaces");
        }
        if let Err(error) = fs::remove_dir(&self.pin_dir) {
            tracing::debug!(dir = %self.pin_dir.display(), %error, "pin directory kept");
        }
    }
}

/// Makes an empty pin directory, removing what a killed daemon left there: its links too, so its program goes off.
fn prepare_pin_dir(dir: &Path) -> Result<(), FastPathError> {
    if !make_pin_dir(dir)? {
        return Err(FastPathError::NoBpfFs { path: existing(dir).to_owned() });
    }
    for part in ["maps", "programs", "links"] {
        let path = dir.join(part);
        fs::create_dir_all(&path).map_err(|source| FastPathError::PinDir { path, source })?;
    }
    Ok(())
}

/// Makes a pin directory that is empty of what is ours; false if it would not be on a BPF file system.
///
/// # Errors
/// [`FastPathError::PinDir`].
pub fn make_pin_dir(dir: &Path) -> Result<bool, FastPathError> {
    let system = statfs(existing(dir));
    if system.map(|system| system.filesystem_type()).ok() != Some(BPF_FS_MAGIC) {
        return Ok(false);
    }
    let failed = |source| FastPathError::PinDir { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(failed)?;
    open_directory(dir).and_then(|directory| remove_pins(&directory)).map_err(failed)?;
    Ok(true)
}

/// The path, or the closest one above it that exists.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// Removes our three folders from a pin directory; other things in it are left.
fn remove_pins(directory: &OwnedFd) -> io::Result<()> {
    for part in ["links", "programs", "maps"] {
        // The directory may have been handed over: a link that its owner put there leads us nowhere.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut folder = match Dir::openat(directory, part, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::ENOENT) => continue,
            Err(Errno::ELOOP | Errno::ENOTDIR) => {
                unlinkat(directory, part, UnlinkatFlags::NoRemoveDir)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let names = folder.iter().map(|entry| entry.map(|entry| entry.file_name().to_owned()));
        let names: Vec<CString> = names.collect::<Result<_, _>>()?;
        for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
            unlinkat(&folder, name.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
        }
        unlinkat(directory, part, UnlinkatFlags::RemoveDir)?;
    }
    Ok(())
}

fn map_error(name: &'static str, error: aya::maps::MapError) -> FastPathError {
    FastPathError::Map { name, source: io::Error::other(error) }
}

/// The system's word on an attachment that failed.
fn errno(error: &ProgramError) -> Option<Errno> {
    let ProgramError::SyscallError(error) = error else { return None };
    error.io_error.raw_os_error().map(Errno::from_raw)
}

/// The same for people.
fn reason(error: &ProgramError) -> String {
    match error {
        ProgramError::SyscallError(error) => error.io_error.to_string(),
        other => other.to_string(),
    }
}

/// What an operator can do about a refused attachment.
fn hint(error: &ProgramError) -> &'static str {
    match errno(error) {
        Some(Errno::EBUSY | Errno::EEXIST) => {
            " (another XDP program is on the interface; see `ip link show` and `bpftool net`)"
        }
        Some(Errno::EOPNOTSUPP) => " (the driver has no native XDP; use xdp=generic or xdp=auto)",
        Some(Errno::EPERM) => " (needs root, or CAP_BPF and CAP_NET_ADMIN)",
        _ => "",
    }
}
