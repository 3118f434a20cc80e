//! A throw-away machine: this system's files under an overlay that nobody keeps, with systemd as process 1, in a network
//! namespace of the lab. What is installed in it, and what runs, is gone with it.
//!
//! It shares this machine's kernel, so everything that would set the kernel itself stays off; bpffs is its own, and as closed as
//! systemd mounts it: for root alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::netns;

/// Longest wait for anything in the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Units that would set the kernel, or devices, that the machine shares with its host.
const MASKED: &[&str] = &[
    "systemd-sysctl.service",
    "systemd-modules-load.service",
    "systemd-binfmt.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-tmpfiles-setup-dev.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount",
    "dev-hugepages.mount",
];
/// What it boots to: enough to install packages and run services.
const TARGET: &str = "[Unit]\nRequires=systemd-journald.service\nAfter=sysinit.target\n";

/// A running machine. Dropping it switches it off.
pub struct Machine {
    unshare: Child,
    /// Process 1, as the host numbers it.
    init: u32,
    folder: PathBuf,
    cgroup: PathBuf,
}

impl Machine {
    /// Boots a machine in a network namespace. `us` is the program that runs [`enter`] and [`boot`].
    ///
    /// # Panics
    /// If it does not come up.
    pub fn boot(us: &Path, network: &str, name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("resolver-machine-{name}"));
        fs::create_dir_all(&folder).expect("a folder");
        let cgroup = cgroup_root().join(format!("resolver-machine-{name}"));
        fs::create_dir_all(&cgroup).expect("a control group");
        let log = fs::File::create(folder.with_extension("log")).expect("a log file");
        let unshare = netns::command(network, us)
            .arg("enter")
            .args([&folder, &cgroup])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("nsenter");
        let mut machine = Self { unshare, init: 0, folder, cgroup };
        machine.wait_until("process 1", |machine| {
            let children = format!("/proc/{0}/task/{0}/children", machine.unshare.id());
            let children = fs::read_to_string(children).unwrap_or_default();
            machine.init = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
            machine.init != 0 && machine.run(&["systemctl", "is-active", "machine.target"]).status.success()
        });
        machine
    }

    /// Runs a command in the machine.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--all", "env", "-i"]);
        command.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", "DEBIAN_FRONTEND=noninteractive"]);
        command.args(words).stdin(Stdio::null()).output().expect("nsenter")
    }

    /// The same; returns what it writes.
    ///
    /// # Panics
    /// If it fails.
    pub fn output(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words:?}: {}\n{text}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A property of a unit, as `systemctl show` has it.
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.output(&["systemctl", "show", unit, "--property", name, "--value"]).trim().to_owned()
    }

    /// A path of the machine as the host sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// All that it has logged.
    pub fn logs(&self) -> String {
        let console = fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default();
        let journal = self.run(&["journalctl", "--no-pager", "--output=short-monotonic", "--lines=60"]).stdout;
        format!("{console}\n{}", String::from_utf8_lossy(&journal))
    }

    /// Waits until `done`.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn wait_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what} did not happen; {}", self.logs());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // `unshare` takes process 1 with it, and that all others; mounts go with the last of them.
        let _ended = self.unshare.kill().and_then(|()| self.unshare.wait());
        let deadline = Instant::now() + PATIENCE;
        while remove_groups(&self.cgroup).is_err() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        // What is left is an empty folder.
        let _left = fs::remove_dir(&self.folder);
    }
}

/// First step, in the network namespace: joins the control group and becomes [`boot`] in new namespaces.
///
/// # Panics
/// If it cannot.
pub fn enter(folder: &Path, cgroup: &Path) {
    use std::os::unix::process::CommandExt;
    fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string()).expect("the control group");
    let us = std::env::current_exe().expect("our own path");
    let error = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup", "--propagation", "private"])
        .arg(us)
        .arg("boot")
        .arg(folder)
        .exec();
    panic!("unshare: {error}");
}

/// Second step, in the new namespaces: mounts the machine's files and becomes its process 1.
///
/// # Panics
/// If it cannot.
pub fn boot(folder: &Path) {
    use std::os::unix::process::CommandExt;
    mount(&["-t", "tmpfs", "tmpfs"], folder);
    let [upper, work, root] = ["upper", "work", "root"].map(|name| folder.join(name));
    for path in [&upper, &work, &root] {
        fs::create_dir(path).expect("a folder");
    }
    let layers = format!("lowerdir=/,upperdir={},workdir={}", upper.display(), work.display());
    mount(&["-t", "overlay", "overlay", "-o", &layers], &root);
    for (kind, at, options) in [
        ("proc", "proc", "rw"),
        ("sysfs", "sys", "rw"),
        ("bpf", "sys/fs/bpf", "mode=700"),
        ("tmpfs", "sys/fs/cgroup", "mode=755"),
        ("cgroup2", "sys/fs/cgroup", "rw"),
        ("tmpfs", "run", "mode=755"),
        ("tmpfs", "tmp", "mode=1777"),
        ("tmpfs", "dev", "mode=755"),
    ] {
        mount(&["-t", kind, kind, "-o", options], &root.join(at));
    }
    let dev = root.join("dev");
    for (name, major, minor) in [
        ("null", "1", "3"),
        ("zero", "1", "5"),
        ("full", "1", "7"),
        ("random", "1", "8"),
        ("urandom", "1", "9"),
        ("tty", "5", "0"),
    ] {
        tool("mknod", &["-m", "666", &dev.join(name).display().to_string(), "c", major, minor]);
    }
    symlink("pts/ptmx", dev.join("ptmx")).expect("a link");
    let units = root.join("etc/systemd/system");
    fs::create_dir_all(&units).expect("a folder");
    for entry in fs::read_dir(&units).expect("a folder").flatten() {
        // Nothing of what this system starts.
        if entry.path().extension().is_some_and(|extension| extension == "wants") {
            fs::remove_dir_all(entry.path()).expect("a folder");
        }
    }
    for unit in MASKED {
        let _replaced = fs::remove_file(units.join(unit));
        symlink("/dev/null", units.join(unit)).expect("a link");
    }
    fs::write(units.join("machine.target"), TARGET).expect("a unit");
    let policy = root.join("usr/sbin/policy-rc.d");
    if policy.exists() {
        fs::remove_file(policy).expect("a file");
    }
    fs::create_dir_all(root.join("run/old")).expect("a folder");
    std::env::set_current_dir(&root).expect("the root");
    tool("pivot_root", &[".", "run/old"]);
    std::env::set_current_dir("/").expect("the root");
    tool("umount", &["--lazy", "/run/old"]);
    let error = Command::new("/lib/systemd/systemd")
        .args(["--system", "--unit=machine.target", "--log-target=journal", "--show-status=0"])
        .env_clear()
        .envs([("container", "resolver-test"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("TERM", "dumb")])
        .exec();
    panic!("systemd: {error}");
}

fn mount(words: &[&str], at: &Path) {
    tool("mount", &[words, &[&at.display().to_string()]].concat());
}

fn tool(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).status().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {words:?}: {status}");
}

/// Where control groups of version 2 are mounted.
fn cgroup_root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mut groups = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = groups.find(|words| words.get(2) == Some(&"cgroup2")).expect("control groups of version 2");
    PathBuf::from(found[1])
}

/// Removes a control group and those below it.
fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
