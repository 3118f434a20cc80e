//! The kernel half, loaded for a test: its maps as memory, its programs by test-run.
//!
//! In: the object that the BPF build left. Out: frames and counters.
//! Refuses to attach or pin anything; a test that wants an interface makes its own namespace.

use std::path::PathBuf;
use std::ptr::NonNull;

use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, Map, MapData, PerCpuArray};
use aya::programs::{ProgramFd, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use resolver_ebpf::abi::{
    AnswerBlock, Bucket, COOKIE_VERDICTS, Counters, LIMIT_LEVELS, Latency, LimitTable, Link, LinkRule, OUTCOMES,
    Settings, map_name,
};
use resolver_ebpf::host::tags::LOOPBACK;
use resolver_ebpf::host::{Network, OwnedStore, PlainStore};
use resolver_ebpf::serve::{self, SharedWord};

/// Path of a BPF object: that of `RESOLVER_BPF_OBJECT` for `xdp`, else where the build leaves it.
pub fn object_path(name: &str) -> PathBuf {
    match std::env::var_os("RESOLVER_BPF_OBJECT") {
        Some(path) if name == "xdp" => path.into(),
        _ => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/bpfel-unknown-none/bpf").join(name),
    }
}

/// The memory of an mmapable array map.
#[derive(Debug)]
pub struct MappedMap {
    start: NonNull<SharedWord>,
    words: usize,
}

// SAFETY: the mapping is shared memory of words that everybody accesses atomically, and lives as long as the value.
#[expect(unsafe_code, reason = "bridge between aya and mapped memory")]
unsafe impl Send for MappedMap {}
// SAFETY: as for `Send`.
#[expect(unsafe_code, reason = "bridge between aya and mapped memory")]
unsafe impl Sync for MappedMap {}

impl MappedMap {
    /// Maps `bytes` bytes of an array map.
    ///
    /// # Panics
    /// When the kernel refuses, or lays elements further apart than they are long.
    #[expect(unsafe_code, reason = "bridge between aya and mapped memory")]
    pub fn new(map: &MapData, bytes: usize) -> Self {
        let element_len = map.info().expect("map info").value_size();
        assert!(element_len.is_multiple_of(8), "elements of {element_len} bytes lie eight bytes apart, with gaps");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else refers to it.
        let start =
            unsafe { mmap(None, bytes.try_into().expect("not empty"), protection, MapFlags::MAP_SHARED, map.fd(), 0) };
        Self { start: start.expect("map the array").cast(), words: bytes / 8 }
    }

    /// Maps the first `bytes` bytes of a pinned array map.
    ///
    /// # Panics
    /// When it is not there, or the kernel refuses.
    pub fn of_pin(path: &std::path::Path, bytes: usize) -> Self {
        let map = MapData::from_pin(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::new(&map, bytes)
    }

    /// The map's words.
    #[expect(unsafe_code, reason = "bridge between aya and mapped memory")]
    pub fn words(&self) -> &[SharedWord] {
        // SAFETY: the mapping has so many words, starts on a page and lives as long as `self`; all access is atomic.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// Copies words into the map.
    ///
    /// # Panics
    /// When there are too many.
    pub fn fill(&self, words: impl Iterator<Item = u64>) {
        for (i, word) in words.enumerate() {
            self.words()[i].store(word);
        }
    }
}

impl Drop for MappedMap {
    #[expect(unsafe_code, reason = "bridge between aya and mapped memory")]
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference to it outlives `self`. Should it fail, the process keeps the memory.
        let _ = unsafe { munmap(self.start.cast(), self.words * 8) };
    }
}

/// The XDP object, loaded.
#[derive(Debug)]
pub struct Kernel {
    /// For the programs.
    pub ebpf: Ebpf,
    /// `SETTINGS`.
    pub settings: MappedMap,
    /// `BUCKETS`.
    pub buckets: MappedMap,
    /// `ANSWERS`.
    pub answers: MappedMap,
    /// `LIMITS`.
    pub limits: MappedMap,
}

impl Kernel {
    /// Loads the object with maps for `buckets` buckets and `blocks` blocks.
    ///
    /// # Panics
    /// When it cannot be loaded; the verifier's log goes to standard error.
    pub fn load(buckets: u32, blocks: u32) -> Self {
        Self::load_with_log(buckets, blocks, false)
    }

    /// Loads the object, perhaps with its log lines.
    ///
    /// # Panics
    /// As [`Kernel::load`].
    pub fn load_with_log(buckets: u32, blocks: u32, logs: bool) -> Self {
        let path = object_path("xdp");
        let mut loader = EbpfLoader::new();
        let logs = u8::from(logs);
        loader.override_global("XDP_LOG", &logs, true);
        loader.map_max_entries(map_name::BUCKETS, buckets).map_max_entries(map_name::ANSWERS, blocks);
        let mut ebpf = loader.load_file(&path).unwrap_or_else(|error| panic!("load {}: {error}", path.display()));
        for name in ["resolver", "clock", "pass"] {
            program(&mut ebpf, name).load().unwrap_or_else(|error| panic!("load {name}: {error}"));
        }
        let mapped = |name: &str, bytes: usize| match ebpf.map(name) {
            Some(Map::Array(map)) => MappedMap::new(map, bytes),
            other => panic!("{name} is {other:?}"),
        };
        let settings = mapped(map_name::SETTINGS, size_of::<Settings>());
        let buckets = mapped(map_name::BUCKETS, buckets as usize * size_of::<Bucket>());
        let answers = mapped(map_name::ANSWERS, blocks as usize * size_of::<AnswerBlock>());
        let limits = mapped(map_name::LIMITS, size_of::<LimitTable>());
        Self { settings, buckets, answers, limits, ebpf }
    }

    /// Loads the object and copies a store into its maps.
    pub fn with_store(store: &OwnedStore) -> Self {
        let view: PlainStore<'_> = store.view();
        let blocks = view.answers.len() * 8 / size_of::<AnswerBlock>();
        let mut kernel = Self::load(view.buckets.len() as u32, blocks as u32);
        kernel.buckets.fill(view.buckets.iter().flatten().map(SharedWord::load));
        kernel.answers.fill(view.answers.iter().map(SharedWord::load));
        kernel.fill_clients(map_name::CLIENTS_V4, view.clients_v4, bytemuck::cast::<_, [u8; 8]>);
        kernel.fill_clients(map_name::CLIENTS_V6, view.clients_v6, bytemuck::cast::<_, [u8; 20]>);
        kernel.fill_links(view.links);
        kernel.set(&store.settings);
        kernel.set_limits(store);
        kernel
    }

    /// Copies the rate limits and their budgets.
    pub fn set_limits(&self, store: &OwnedStore) {
        self.limits.fill(store.limits().iter().map(SharedWord::load));
    }

    /// Answers over a limit that only logs, by level, all CPUs together.
    ///
    /// # Panics
    /// When the map cannot be read.
    pub fn over_limit(&self) -> [u64; LIMIT_LEVELS] {
        let map = self.ebpf.map(map_name::LIMIT_LOG).expect("LIMIT_LOG");
        let map: PerCpuArray<_, [u64; LIMIT_LEVELS]> = map.try_into().expect("a per-CPU array");
        let cpus = map.get(&0, 0).expect("read LIMIT_LOG");
        std::array::from_fn(|level| cpus.iter().map(|cpu| cpu[level]).sum())
    }

    /// Copies networks into a trie; `bytes` is how a key's data lie.
    fn fill_clients<T: Copy, B: aya::Pod>(&mut self, name: &str, networks: &[Network<T>], bytes: fn(T) -> B) {
        let map = self.ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"));
        let mut map: LpmTrie<_, B, u32> = map.try_into().expect("a trie");
        for network in networks {
            let key = Key::new(network.prefix_len, bytes(network.data));
            map.insert(&key, bytemuck::cast::<_, u32>(network.rule), 0).expect("room for the network");
        }
    }

    /// Copies links into their map.
    fn fill_links(&mut self, links: &[(Link, LinkRule)]) {
        let map = self.ebpf.map_mut(map_name::LINKS).expect("LINKS");
        let mut map: HashMap<_, [u8; size_of::<Link>()], u32> = map.try_into().expect("a hash");
        for (link, rule) in links {
            map.insert(bytemuck::cast::<_, [u8; size_of::<Link>()]>(*link), rule.answers, 0)
                .expect("room for the link");
        }
    }

    /// Writes the settings.
    pub fn set(&self, settings: &Settings) {
        self.settings.fill(bytemuck::cast_slice::<_, u64>(std::slice::from_ref(settings)).iter().copied());
    }

    /// The index, as the fast path sees it.
    pub fn bucket(&self, number: usize) -> &serve::Bucket {
        self.buckets.words()[number * 8..].first_chunk().expect("a bucket of the index")
    }

    /// Runs a program over a frame, on the loopback interface. Out: what it returned, and the frame.
    ///
    /// # Panics
    /// When the kernel refuses to run it.
    pub fn run(&mut self, name: &str, frame: &[u8]) -> (u32, Vec<u8>) {
        self.run_on(name, frame, LOOPBACK)
    }

    /// The same, on an interface of this thread's network namespace.
    ///
    /// # Panics
    /// As [`Kernel::run`].
    pub fn run_on(&mut self, name: &str, frame: &[u8], ingress: u32) -> (u32, Vec<u8>) {
        let mut out = vec![0; 4096];
        // `struct xdp_md`: start, end and metadata of the frame, interface, its queue, interface to leave by.
        let context: [u32; 6] = [0, frame.len() as u32, 0, ingress, 0, 0];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(bytemuck::bytes_of(&context));
        let result = program(&mut self.ebpf, name).test_run(options).expect("test-run");
        out.truncate(result.data_size_out as usize);
        (result.return_value, out)
    }

    /// The counters, all CPUs together.
    ///
    /// # Panics
    /// When the map cannot be read.
    pub fn counters(&self) -> Counters {
        let map = self.ebpf.map(map_name::COUNTERS).expect("COUNTERS");
        let map: PerCpuArray<_, [u64; OUTCOMES]> = map.try_into().expect("a per-CPU array");
        let mut total = Counters::default();
        for cpu in map.get(&0, 0).expect("read COUNTERS").iter() {
            for (sum, value) in total.as_array_mut().iter_mut().zip(cpu) {
                *sum += value;
            }
        }
        total
    }

    /// Answers with cookies by verdict, all CPUs together.
    ///
    /// # Panics
    /// When the map cannot be read.
    pub fn cookies(&self) -> [u64; COOKIE_VERDICTS] {
        let map = self.ebpf.map(map_name::COOKIES).expect("COOKIES");
        let map: PerCpuArray<_, [u64; COOKIE_VERDICTS]> = map.try_into().expect("a per-CPU array");
        let mut total = [0; COOKIE_VERDICTS];
        for cpu in map.get(&0, 0).expect("read COOKIES").iter() {
            total.iter_mut().zip(cpu).for_each(|(sum, value)| *sum += value);
        }
        total
    }

    /// Frames and durations, all CPUs together.
    ///
    /// # Panics
    /// When the map cannot be read.
    pub fn latency(&self) -> Latency {
        let map = self.ebpf.map(map_name::LATENCY).expect("LATENCY");
        let map: PerCpuArray<_, [u64; size_of::<Latency>() / 8]> = map.try_into().expect("a per-CPU array");
        let mut total = [0; size_of::<Latency>() / 8];
        for cpu in map.get(&0, 0).expect("read LATENCY").iter() {
            total.iter_mut().zip(cpu).for_each(|(sum, value)| *sum += value);
        }
        bytemuck::cast(total)
    }

    /// Descriptor of a program.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn program_fd(&mut self, name: &str) -> ProgramFd {
        program(&mut self.ebpf, name).fd().expect("loaded").try_clone().expect("a descriptor")
    }
}

/// A program of an object.
///
/// # Panics
/// When there is none of that name.
pub fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> &'e mut Xdp {
    ebpf.program_mut(name).unwrap_or_else(|| panic!("no program {name}")).try_into().expect("an XDP program")
}
