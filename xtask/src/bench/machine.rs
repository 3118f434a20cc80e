//! Says on what machine, with which tools and at which commit figures were taken. Looks only.

use super::report::Machine;
use crate::{
    command::{Failure, Tool},
    setup,
};

impl Machine {
    /// This machine, for a rig whose load comes from `load_tool`, over veth pairs with XDP in the driver.
    ///
    /// # Errors
    /// The BPF tool chain is gone.
    pub(super) fn of_veth(load_tool: &str) -> Result<Self, Failure> {
        let toolchain = setup::for_build()?;
        let tools = [
            load_tool.to_owned(),
            said("rustc", &["--version"]),
            format!("{} (BPF half)", toolchain.compiler.title()),
            format!("bpf-linker {}", setup::BPF_LINKER_VERSION),
        ];
        Ok(Self {
            kernel: said("uname", &["--kernel-release"]),
            cpu: cpu(),
            driver: "veth".to_owned(),
            xdp_mode: "native".to_owned(),
            tools: tools.to_vec(),
            commit: commit(),
            date: said("date", &["--utc", "+%Y-%m-%dT%H:%M:%SZ"]),
        })
    }
}

/// Model of the CPU and how many there are.
fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut models = info.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let first = models.next().map_or(UNKNOWN, |(_, model)| model);
    format!("{first}, {} CPUs", models.count() + 1)
}

/// The commit, marked when the checkout differs from it.
fn commit() -> String {
    let changed = Tool::new("git").args(["status", "--porcelain", "--untracked-files=no"]).quiet_output();
    let mark = if changed.is_ok_and(|text| text.is_empty()) { "" } else { "+changes" };
    said("git", &["rev-parse", "--short=12", "HEAD"]) + mark
}

/// What a tool says, on one line.
fn said(program: &str, words: &[&str]) -> String {
    let output = Tool::new(program).args(words).quiet_output();
    output.map_or(UNKNOWN.to_owned(), |text| text.trim().to_owned())
}

/// Stands for what the machine does not tell.
const UNKNOWN: &str = "unknown";
