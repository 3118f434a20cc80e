//! Work inside a network namespace: sockets keep the namespace they were made in, so a short visit is enough.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};
use xtask::lab::facts::Namespace;

/// Runs `work` on a thread that has entered the network namespace at `path`.
///
/// # Panics
/// If the namespace cannot be entered (that needs root), or `work` panics.
pub fn inside<T: Send>(path: &str, work: impl FnOnce() -> T + Send) -> T {
    let visit = || {
        let file = File::open(Path::new(path)).unwrap_or_else(|error| panic!("namespace {path}: {error}"));
        setns(file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("namespace {path}: {error}"));
        work()
    };
    std::thread::scope(|scope| match scope.spawn(visit).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Runs `work` on a thread in a new network namespace, which ends with it. Only loopback is there.
///
/// # Panics
/// If there is no new namespace (that needs root), or `work` panics.
pub fn in_new<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let visit = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
        work()
    };
    std::thread::scope(|scope| match scope.spawn(visit).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A program that will run in the namespace at `path`, where it also sees the BPF file system of ours.
pub fn command(path: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={path}")).arg(program);
    command
}

/// Runs a program in the namespace at `path`, with these words.
///
/// # Panics
/// If it fails.
pub fn run(path: &str, program: &str, words: &str) {
    assert!(is_content(command(path, program), words), "{program} {words} in {path}");
}

/// Runs iproute2 in the namespace at `path`.
///
/// # Panics
/// If it fails.
pub fn ip(path: &str, words: &str) {
    run(path, "ip", words);
}

/// Runs iproute2 in the namespace of this thread.
///
/// # Panics
/// If it fails.
pub fn ip_here(words: &str) {
    assert!(is_content(Command::new("ip"), words), "ip {words}");
}

fn is_content(mut command: Command, words: &str) -> bool {
    command.args(words.split(' ')).status().is_ok_and(|status| status.success())
}

/// Something that iproute2 added to a namespace; removed with the drop.
#[derive(Debug)]
pub struct Added {
    path: String,
    undo: String,
}

impl Added {
    /// Adds an address to an interface, usable at once.
    ///
    /// # Panics
    /// If it cannot be added.
    pub fn address(path: &str, address: &str, interface: &str) -> Self {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        ip(path, &format!("address add {address} dev {interface}{nodad}"));
        Self { path: path.to_owned(), undo: format!("address del {address} dev {interface}") }
    }

    /// Adds a veth pair whose ends are both here, and up.
    ///
    /// # Panics
    /// If it cannot be added.
    pub fn pair(path: &str, one: &str, other: &str) -> Self {
        ip(path, &format!("link add {one} type veth peer name {other}"));
        let added = Self { path: path.to_owned(), undo: format!("link del {one}") };
        ip(path, &format!("link set {one} up"));
        ip(path, &format!("link set {other} up"));
        added
    }

    /// Adds a veth pair from here to another namespace, both ends up, with addresses. XDP at this end may answer natively: the
    /// other end carries a program that lets everything pass, else veth would not deliver what XDP sends back.
    ///
    /// # Panics
    /// If it cannot be added.
    pub fn veth(path: &str, one: (&str, &[&str]), far: &Namespace, other: (&str, &[&str])) -> Self {
        ip(path, &format!("link add {} type veth peer name {} netns {}", one.0, other.0, far.name));
        let added = Self { path: path.to_owned(), undo: format!("link del {}", one.0) };
        for (path, (name, addresses)) in [(path, one), (&far.path, other)] {
            ip(path, &format!("link set {name} addrgenmode none up"));
            for address in addresses {
                let nodad = if address.contains(':') { " nodad" } else { "" };
                ip(path, &format!("address add {address} dev {name}{nodad}"));
            }
        }
        let pass = xtask::paths::lab().join("pass.o");
        ip(&far.path, &format!("link set dev {} xdpdrv obj {} sec xdp", other.0, pass.display()));
        added
    }

    /// Adds an interface with `ip link add NAME WORDS`, up.
    ///
    /// # Panics
    /// If it cannot be added.
    pub fn link(path: &str, name: &str, words: &str) -> Self {
        ip(path, &format!("link add {name} {words}"));
        let added = Self { path: path.to_owned(), undo: format!("link del {name}") };
        ip(path, &format!("link set {name} up"));
        added
    }

    /// Adds an interface whose far end is a program, in this mode (`tun` or `tap`).
    ///
    /// # Panics
    /// If it cannot be added.
    pub fn tunnel(path: &str, name: &str, mode: &str) -> Self {
        ip(path, &format!("tuntap add {name} mode {mode}"));
        Self { path: path.to_owned(), undo: format!("link del {name}") }
    }

    /// The same thing under another name, for its removal.
    pub fn renamed(mut self, old: &str, new: &str) -> Self {
        self.undo = self.undo.replace(old, new);
        self
    }

    /// Adds a route.
    ///
    /// # Panics
    /// If it cannot be added.
    pub fn route(path: &str, route: &str) -> Self {
        ip(path, &format!("route add {route}"));
        Self { path: path.to_owned(), undo: format!("route del {route}") }
    }

    /// Tells a client which station has an address, whether it has it or not.
    ///
    /// # Panics
    /// If it cannot be told.
    pub fn neighbour(path: &str, address: &str, mac: &str, interface: &str) -> Self {
        ip(path, &format!("neigh replace {address} lladdr {mac} dev {interface} nud permanent"));
        Self { path: path.to_owned(), undo: format!("neigh del {address} dev {interface}") }
    }
}

impl Drop for Added {
    fn drop(&mut self) {
        let is_removed = is_content(command(&self.path, "ip"), &self.undo);
        assert!(is_removed || std::thread::panicking(), "ip {} in {}", self.undo, self.path);
    }
}
