//! The Debian package on a machine of its own: it installs, the service starts unprivileged with XDP attached, survives a
//! `kill -9`, and is gone without a trace.
//!
//! The machine is thrown away: systemd boots as process 1 over an overlay of this system, in the lab's resolver namespace.

use std::fs;
use std::path::Path;
use std::process::Command;

use resolver_tests::lab::{self, LabClient};
use resolver_tests::machine::Machine;
use resolver_user::wire::Message;
use xtask::build::Built;
use xtask::lab::facts::Facts;

/// Settings that an operator of the lab would make.
fn configuration(facts: &Facts) -> String {
    let at = &facts.resolver.interfaces[0];
    let servers: String = facts.upstreams.iter().map(|upstream| format!("server={}\n", upstream.ipv4)).collect();
    format!(
        "no-resolv\n{servers}listen-address={},{}\nxdp-interface={}\nxdp=native\ntrust-anchors-file=/etc/resolver/anchors\n",
        at.ipv4, at.ipv6, at.name
    )
}

fn built() -> Built {
    let object = |name: &str| xtask::paths::bpf_object(name);
    Built { resolver: lab::binary(), xdp_object: object("xdp"), bench_object: object("bench") }
}

/// Whether a program is on the client-side interface.
fn is_attached(machine: &Machine, facts: &Facts) -> bool {
    let name = &facts.resolver.interfaces[0].name;
    machine.output(&["ip", "-details", "link", "show", "dev", name]).contains("xdp")
}

/// Asks a secure name until XDP answers.
fn xdp_answers(machine: &mut Machine, facts: &Facts) {
    let client = LabClient::remote(facts);
    let question = lab::address(facts);
    machine.wait_until("an answer of XDP", |machine| {
        let reply = Message::read(&client.ask(&lab::query(question, true), false)).expect("a message");
        assert!(reply.header.flags.authentic_data, "{reply:?}");
        let status = machine.output(&["resolver", "status"]);
        status.lines().any(|line| line.trim_start().starts_with("answered_secure"))
    });
}

/// The daemon's capabilities, user and filter, as the kernel has them.
fn check_privileges(machine: &Machine) {
    let pid = machine.property("resolver", "MainPID");
    let status = machine.output(&["cat", &format!("/proc/{pid}/status")]);
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    let uid = machine.output(&["id", "--user", "resolver"]);
    assert_eq!(field("Uid:"), uid.trim());
    assert_ne!(field("Uid:"), "0");
    // NET_BIND_SERVICE 10, NET_ADMIN 12, PERFMON 38, BPF 39: none besides, and none to be had.
    let allowed = 1u64 << 10 | 1 << 12 | 1 << 38 | 1 << 39;
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapInh:", "CapAmb:"] {
        let held = u64::from_str_radix(&field(set), 16).expect("a mask");
        assert_eq!(held & !allowed, 0, "{set} {held:x}");
    }
    assert_eq!((field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()), ("1", "2"));
}

#[test]
fn the_package_installs_runs_unprivileged_with_xdp_survives_a_kill_and_leaves_nothing() {
    let facts = lab::facts();
    let packages = xtask::dist::package(&built()).unwrap_or_else(|failure| panic!("{failure}"));
    let mut machine = Machine::boot(Path::new(env!("CARGO_BIN_EXE_machine")), &facts.resolver.path, &facts.prefix);
    let before = installed_files(&machine);

    // As an operator does it: configuration first, so that the first start is the right one.
    fs::create_dir_all(machine.path("/etc/resolver/conf.d")).expect("a folder");
    fs::write(machine.path("/etc/resolver/conf.d/lab.conf"), configuration(&facts)).expect("a file");
    fs::copy(&facts.trust_anchors_file, machine.path("/etc/resolver/anchors")).expect("a file");
    // Not in /tmp, over which systemd may mount another one.
    fs::copy(&packages.deb, machine.path("/srv/resolver.deb")).expect("a file");
    machine.output(&["dpkg", "--install", "/srv/resolver.deb"]);
    machine.output(&["resolver", "--test"]);
    machine.output(&["systemd-analyze", "verify", "/usr/lib/systemd/system/resolver.service"]);
    assert_eq!(machine.property("resolver", "UnitFileState"), "enabled");
    machine.wait_until("the service's start", |machine| machine.property("resolver", "ActiveState") == "active");
    machine.wait_until("an attached program", |machine| is_attached(machine, &facts));
    check_privileges(&machine);
    xdp_answers(&mut machine, &facts);

    let first = machine.property("resolver", "MainPID");
    machine.output(&["systemctl", "reload", "resolver"]);
    assert_eq!(machine.property("resolver", "MainPID"), first, "a reload is no restart");
    xdp_answers(&mut machine, &facts);
    machine.output(&["kill", "-KILL", &first]);
    machine.wait_until("a restart", |machine| {
        let pid = machine.property("resolver", "MainPID");
        pid != "0" && pid != first && machine.run(&["resolver", "status"]).status.success()
    });
    assert_eq!(machine.property("resolver", "NRestarts"), "1");
    assert!(is_attached(&machine, &facts));
    xdp_answers(&mut machine, &facts);

    // A restart and an upgrade: XDP stays, and the new daemon goes on with its answers.
    let adopted = |machine: &Machine| {
        let status = machine.output(&["resolver", "status"]);
        status.lines().any(|line| line.trim_start().starts_with("adopted "))
    };
    for upgrade in [&["systemctl", "restart", "resolver"][..], &["dpkg", "--install", "/srv/resolver.deb"]] {
        let before = machine.property("resolver", "MainPID");
        machine.output(upgrade);
        machine.wait_until("the service's start", |machine| {
            machine.property("resolver", "ActiveState") == "active" && machine.property("resolver", "MainPID") != before
        });
        machine.wait_until("the daemon", |machine| machine.run(&["resolver", "status"]).status.success());
        assert!(is_attached(&machine, &facts) && adopted(&machine), "{upgrade:?}");
        xdp_answers(&mut machine, &facts);
    }
    machine.output(&["systemctl", "stop", "resolver"]);
    assert!(!is_attached(&machine, &facts), "a stop takes the program off");
    machine.output(&["systemctl", "start", "resolver"]);
    machine.wait_until("an attached program", |machine| is_attached(machine, &facts));
    xdp_answers(&mut machine, &facts);

    let removed = machine.output(&["dpkg", "--remove", "resolver"]);
    assert!(!is_attached(&machine, &facts), "{removed}");
    assert!(!machine.path("/sys/fs/bpf/resolver").exists() && !machine.path("/run/resolver").exists());
    assert!(machine.path("/etc/resolver/resolver.conf").exists(), "configuration stays until the package is purged");
    for ours in ["/etc/resolver/conf.d/lab.conf", "/etc/resolver/anchors"] {
        fs::remove_file(machine.path(ours)).expect("our own file");
    }
    machine.output(&["dpkg", "--purge", "resolver"]);
    assert!(!machine.run(&["id", "resolver"]).status.success(), "the user is gone");
    assert_eq!(installed_files(&machine), before);
}

#[test]
fn the_tarball_holds_what_the_package_holds() {
    let packages = xtask::dist::package(&built()).unwrap_or_else(|failure| panic!("{failure}"));
    let list = |program: &str, words: &[&str], file: &Path| {
        let output = Command::new(program).args(words).arg(file).output().expect("a program");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let paths = text
            .lines()
            .filter(|line| !line.ends_with('/'))
            .filter_map(|line| line.split("./").nth(1).or(line.split_once('/').map(|(_, path)| path)));
        let mut paths: Vec<String> = paths.map(str::to_owned).collect();
        paths.sort_unstable();
        paths
    };
    let in_deb = list("dpkg-deb", &["--contents"], &packages.deb);
    let in_tarball = list("tar", &["--list", "--file"], &packages.tarball);
    assert_eq!(in_deb, in_tarball);
    for file in ["usr/bin/resolver", "usr/lib/systemd/system/resolver.service", "usr/share/man/man5/resolver.conf.5.gz"]
    {
        assert!(in_deb.iter().any(|path| path == file), "{file} in {in_deb:?}");
    }
}

/// Files below the folders that a package may write to, but for the system's own logs and lists.
fn installed_files(machine: &Machine) -> String {
    let folders = [
        "/etc",
        "/usr/bin",
        "/usr/lib/systemd",
        "/usr/lib/sysusers.d",
        "/usr/lib/tmpfiles.d",
        "/usr/share",
        "/var/lib",
        "/var/log",
    ];
    let except = ["/var/lib/dpkg/*", "/var/log/*.log", "/var/log/journal/*", "/var/lib/systemd/*", "/etc/*-"];
    let mut words: Vec<&str> = ["find"].into_iter().chain(folders).collect();
    for pattern in except {
        words.extend(["-not", "-path", pattern]);
    }
    let mut files: Vec<String> = machine.output(&words).lines().map(str::to_owned).collect();
    files.sort_unstable();
    files.join("\n")
}
