//! Everything that both halves read or write in a BPF map. Nothing else may be put into a map.
//!
//! Rules: `#[repr(C)]`, fixed-width integers, explicit padding, sizes pinned at compile time; no `bool`, `usize` or enum.
//! Integers are in host order unless the field's type says otherwise. [`ABI_VERSION`] rises with any change; the daemon
//! refuses an object or a pinned map with another number.

mod answers;
pub mod bench;
mod counters;
mod settings;

pub use answers::*;
pub use counters::*;
pub use settings::*;

/// Number of this layout. Compared by the daemon with the `abi_version` it finds in a BPF object and in pinned settings.
pub const ABI_VERSION: u32 = 2;

/// Name of each map, as declared by the XDP program, pinned in bpffs and shown by `bpftool map`. At most 15 bytes.
pub mod map_name {
    /// ARRAY of [`super::Bucket`], one element per bucket; mmapable.
    pub const BUCKETS: &str = "BUCKETS";
    /// ARRAY of [`super::AnswerBlock`]; mmapable.
    pub const ANSWERS: &str = "ANSWERS";
    /// ARRAY of one [`super::Settings`]; mmapable.
    pub const SETTINGS: &str = "SETTINGS";
    /// PERCPU_ARRAY of one [`super::Counters`].
    pub const COUNTERS: &str = "COUNTERS";
    /// PERCPU_ARRAY of one [`super::ClockSample`], written by the `clock` program.
    pub const CLOCK: &str = "CLOCK";
}
