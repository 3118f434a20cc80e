//! Forbids system calls that a resolver never makes, for all threads and for good (seccomp(2), Linux 3.17).
//!
//! Choice: a list of what is forbidden, with EPERM. A list of what is allowed breaks with an update of the C library, and a
//! service manager has one already (`SystemCallFilter=`); what is meant here is that whoever takes over the daemon cannot
//! start programs, look into other processes, change mounts, modules, clocks or the machine's state.

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};
use thiserror::Error;

/// Why nothing was forbidden.
#[derive(Debug, Error)]
pub enum ConfineError {
    /// The filter cannot be made for this machine.
    #[error("no filter for this machine: {0}")]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel refused it.
    #[error("the kernel refused the filter: {0}")]
    Refused(#[from] seccompiler::Error),
}

/// Forbids them. Implies that no program that is run gets more rights (`no_new_privs`).
///
/// # Errors
/// Any [`ConfineError`]; then nothing is forbidden.
pub fn forbid_system_calls() -> Result<(), ConfineError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let forbidden = FORBIDDEN.iter().map(|&call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(forbidden, SeccompAction::Allow, refuse, architecture)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(apply_filter_all_threads(&program)?)
}

/// The calls.
const FORBIDDEN: &[libc::c_long] = &[
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The kernel's code and the machine's state.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Other users.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own, since it cannot be undone: the test runs itself again.
    #[test]
    fn no_program_can_be_started_afterwards() {
        const AGAIN: &str = "RESOLVER_TEST_CONFINED";
        if std::env::var_os(AGAIN).is_some() {
            assert!(std::process::Command::new("true").status().is_ok(), "before");
            forbid_system_calls().unwrap();
            let error = std::process::Command::new("true").status().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
            assert!(std::thread::spawn(|| std::fs::read("/proc/self/stat").is_ok()).join().unwrap(), "all else works");
            return;
        }
        let name = "process::confine::tests::no_program_can_be_started_afterwards";
        let again = std::process::Command::new(std::env::current_exe().unwrap()).arg(name).env(AGAIN, "1").output();
        let output = again.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
