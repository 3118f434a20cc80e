//! What the system says of this process, under the names that Prometheus' own libraries use.

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};

/// What the system says of this process. What it does not say is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFacts {
    /// CPU time used, in seconds.
    pub cpu_s: Option<f64>,
    /// Memory in use, in bytes.
    pub resident_bytes: Option<u64>,
    /// Address space in use, in bytes.
    pub virtual_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Files that may be open.
    pub open_files_max: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// When it started, in seconds since 1970.
    pub started_unix_s: Option<f64>,
}

impl ProcessFacts {
    /// Asks the system. `/proc` may be hidden from us.
    pub fn read() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
        let page_bytes = page_bytes.and_then(|bytes| u64::try_from(bytes).ok());
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = |field: usize| -> Option<u64> {
            let pages: u64 = statm.split_whitespace().nth(field)?.parse().ok()?;
            pages.checked_mul(page_bytes?)
        };
        Self {
            cpu_s: usage.map(|usage| seconds(usage.user_time()) + seconds(usage.system_time())),
            virtual_bytes: pages(0),
            resident_bytes: pages(1),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            open_files_max: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
            threads: fs::read_dir("/proc/self/task").ok().map(|tasks| tasks.count() as u64),
            started_unix_s: None,
        }
    }
}
