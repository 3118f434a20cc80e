//! The XDP program in the kernel: loading, attaching, pinning, and taking it off again.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfError, EbpfLoader};
use nix::errno::Errno;
use resolver_ebpf::abi::{self, AnswerBlock, Bucket, CookieSecrets, LimitRules, LimitTable, Settings, map_name};
use thiserror::Error;

use super::attach::{LinkMap, ProgramNames};
use super::clients::Trie;
use super::counters::KernelCounters;
use super::links::{self, LinkPin};
use super::memory::MappedArray;
use super::pins::PinDir;
use super::pod::Shared;
use super::predecessor::{Basis, kept};
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
    /// Fingerprint of all that answers rest on.
    pub basis: Basis,
    /// Generation of that: publications of another one are refused.
    pub generation: u64,
    /// The rate limits; their hash key does not count.
    pub limits: LimitRules,
    /// How often addresses of answers change places, in seconds; 0: never.
    pub rotation_s: u32,
    /// Secrets of cookies; none: cookies are ignored.
    pub cookies: Option<CookieSecrets>,
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
    /// Another daemon is at work.
    #[error("{path} belongs to another daemon that is running{}", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Held {
        /// The pin directory.
        path: PathBuf,
        /// Its process number, if it can be known.
        holder: Option<u32>,
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

/// Why the program of a link could not be exchanged.
#[derive(Debug, Error)]
enum ExchangeError {
    /// The pin leads to no link of ours.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// The kernel refused.
    #[error("{0}")]
    Program(#[from] ProgramError),
}

/// The loaded object. Dropping it takes the program off all interfaces and removes the pins, unless it is to stay.
#[derive(Debug)]
pub struct Loaded {
    ebpf: Ebpf,
    pins: PinDir,
    /// Links of a daemon before us, which we have not taken over yet.
    found: Vec<LinkPin>,
    /// All maps that are pinned, by name.
    maps: Vec<(&'static str, MapData)>,
    /// Pins of links that go again should the start fail; none once it has not.
    made: Option<Vec<String>>,
    stays: bool,
}

impl Loaded {
    /// Loads the object, attaches and pins nothing yet. `goes_on`: with the maps of a daemon before us that are [`kept`].
    ///
    /// # Errors
    /// Any [`FastPathError`].
    pub fn load(
        object: &[u8],
        config: &FastPathConfig,
        pins: PinDir,
        (buckets, blocks): (u32, u32),
        goes_on: bool,
    ) -> Result<Self, FastPathError> {
        let log = u8::from(config.log);
        let mut loader = EbpfLoader::new();
        loader.map_max_entries(map_name::BUCKETS, buckets).map_max_entries(map_name::ANSWERS, blocks);
        loader.override_global("XDP_LOG", &log, true);
        for name in kept().filter(|_| goes_on) {
            loader.map_pin_path(name, pins.at("maps", name));
        }
        let ebpf = loader.load(object).map_err(Box::new)?;
        pins.make_folders()?;
        let maps = map_name::ALL.iter().map(|name| Ok((*name, another_handle(&ebpf, name)?)));
        let maps = maps.collect::<Result<_, FastPathError>>()?;
        let found = links::pinned(&pins)?;
        // Should anything fail from here on, what was there before stays as it is.
        let mut loaded = Self { ebpf, pins, found, maps, made: Some(Vec::new()), stays: true };
        for name in [PROGRAM, CLOCK_PROGRAM] {
            let refused = |source| FastPathError::Program { name, source: Box::new(source) };
            loaded.program(name)?.load().map_err(refused)?;
        }
        Ok(loaded)
    }

    /// Attaches the program to an interface in one mode, and pins the link if its folder can be reached: after a change of the
    /// root it cannot. Where the program of a daemon before us is attached already, ours takes its place at once, and no packet
    /// passes by.
    ///
    /// # Errors
    /// [`FastPathError::Attach`], [`FastPathError::PinDir`].
    pub fn attach(&mut self, index: u32, interface: &str, mode: ProgramMode) -> Result<Held, FastPathError> {
        if let Some(held) = self.take_over(index, mode)? {
            return Ok(held);
        }
        let link = self.attach_as(index, interface, mode)?;
        if !self.pins.at("links", "").is_dir() {
            tracing::warn!(interface, "the link cannot be pinned: XDP ends here with this process");
            return Ok(Held { _link: link, pin: None });
        }
        let pin = LinkPin::new(interface, index, mode.name());
        let path = self.pins.at("links", &pin.name);
        let link = link.pin(&path).map_err(|error| FastPathError::PinDir { path, source: io::Error::other(error) })?;
        self.made.iter_mut().for_each(|made| made.push(pin.name.clone()));
        Ok(Held { _link: link.into(), pin: Some(pin.name) })
    }

    /// In which mode the program of a daemon before us is attached to an interface, if it is and we have not taken it over.
    pub fn found(&self, index: u32) -> Option<ProgramMode> {
        let pin = self.found.iter().find(|pin| pin.index == index)?;
        Some(if pin.mode == ProgramMode::Native.name() { ProgramMode::Native } else { ProgramMode::Generic })
    }

    /// Takes the program off an interface, if that still exists.
    pub fn let_go(&self, held: Held) {
        let Some(name) = &held.pin else { return };
        if let Err(error) = self.pins.unpin("links", name) {
            tracing::warn!(name, %error, "a pin cannot be removed");
        }
        // The kernel takes a program off at once when a descriptor was the last to hold it, but some time after an unlinking was.
        drop(held);
    }

    /// Puts our program in the place of the one that a daemon before us has left on an interface; none if there is no such, or
    /// not in this mode. What cannot be taken over is taken off.
    fn take_over(&mut self, index: u32, mode: ProgramMode) -> Result<Option<Held>, FastPathError> {
        let Some(at) = self.found.iter().position(|pin| pin.index == index) else { return Ok(None) };
        let pin = self.found.swap_remove(at);
        if pin.mode == mode.name() {
            match self.exchange(&pin) {
                Ok(link) => return Ok(Some(Held { _link: link, pin: Some(pin.name) })),
                // Most likely the interface was removed, and another one has its number now.
                Err(error) => {
                    tracing::info!(pin = pin.name, %error, "a link of an earlier daemon cannot be taken over")
                }
            }
        }
        links::detach(&self.pins, &pin.name)?;
        Ok(None)
    }

    /// Exchanges the program of a pinned link for ours.
    fn exchange(&mut self, pin: &LinkPin) -> Result<FdLink, ExchangeError> {
        let link: FdLink = PinnedLink::from_pin(self.pins.at("links", &pin.name))?.into();
        let link: XdpLink = link.try_into()?;
        let program: &mut Xdp = self.ebpf.program_mut(PROGRAM).ok_or(LinkError::InvalidLink)?.try_into()?;
        let id = program.attach_to_link(link)?;
        Ok(program.take_link(id)?.try_into()?)
    }

    /// Pins everything in place of what a daemon before us has pinned, and takes its program off where it is not ours to be.
    /// To be called once, when the program is attached; from then on it goes when this is dropped.
    ///
    /// # Errors
    /// [`FastPathError::PinDir`].
    pub fn settle(&mut self) -> Result<(), FastPathError> {
        for pin in std::mem::take(&mut self.found) {
            tracing::info!(pin = pin.name, "XDP goes off an interface that is not configured any more");
            links::detach(&self.pins, &pin.name)?;
        }
        for name in [PROGRAM, CLOCK_PROGRAM] {
            let program = self.ebpf.program_mut(name).ok_or(FastPathError::Missing { what: name })?;
            self.pins.replace("programs", name, |path| program.pin(path))?;
        }
        // The settings come last: they say which answers they belong to.
        let (settings, others): (Vec<_>, Vec<_>) = self.maps.iter().partition(|(name, _)| *name == map_name::SETTINGS);
        for (name, map) in others.into_iter().chain(settings) {
            self.pins.replace("maps", name, |path| map.pin(path))?;
        }
        for (folder, known) in [("programs", &[PROGRAM, CLOCK_PROGRAM][..]), ("maps", &map_name::ALL[..])] {
            for name in self.pins.names(folder)?.iter().filter(|name| !known.contains(&name.as_str())) {
                if let Err(error) = self.pins.unpin(folder, name) {
                    tracing::warn!(%error, name, "something that is not ours lies among the pins");
                }
            }
        }
        self.made = None;
        self.stays = false;
        Ok(())
    }

    /// Lets the program and all pins stay when this is dropped, for the next daemon.
    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// The kernel's number of a map.
    ///
    /// # Errors
    /// [`FastPathError::Missing`], [`FastPathError::Map`].
    pub fn map_id(&self, name: &'static str) -> Result<u32, FastPathError> {
        self.handle(name)?.info().map(|info| info.id()).map_err(|error| map_error(name, error))
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

    fn handle(&self, name: &'static str) -> Result<&MapData, FastPathError> {
        let map = self.maps.iter().find(|(known, _)| *known == name);
        map.map(|(_, map)| map).ok_or(FastPathError::Missing { what: name })
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
        MappedArray::new(self.handle(name)?.fd().as_fd(), length).map_err(|source| FastPathError::Map { name, source })
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
}

impl Drop for Loaded {
    fn drop(&mut self) {
        for name in self.made.iter().flatten() {
            if let Err(error) = links::detach(&self.pins, name) {
                tracing::warn!(%error, "XDP stays on an interface");
            }
        }
        // Without links the rest is of no use to anybody.
        let stays = self.stays && self.pins.names("links").is_ok_and(|links| !links.is_empty());
        // Without their pins, links end with their descriptors, and the program leaves the interfaces. Those are closed after
        // this: the kernel takes a program off at once when a descriptor was the last to hold it, but some time after an unlinking was.
        if !stays && let Err(error) = self.pins.remove() {
            tracing::warn!(%error, "cannot remove the pins: XDP may stay on the interfaces");
        }
    }
}

/// Another handle of a map of the object, which can be pinned when the first one is in use elsewhere.
fn another_handle(ebpf: &Ebpf, name: &'static str) -> Result<MapData, FastPathError> {
    let Some(Map::Array(map) | Map::PerCpuArray(map) | Map::LpmTrie(map) | Map::HashMap(map) | Map::RingBuf(map)) =
        ebpf.map(name)
    else {
        return Err(FastPathError::Missing { what: name });
    };
    let handle = map.fd().as_fd().try_clone_to_owned().map_err(|source| FastPathError::Map { name, source })?;
    MapData::from_fd(handle).map_err(|error| map_error(name, error))
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
