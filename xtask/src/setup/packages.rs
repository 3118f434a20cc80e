//! Debian packages that the lab and the tests use, installed without starting a single server.
//!
//! Servers: Debian starts a freshly installed daemon at once, and port 53 of the user's machine is not ours to take.
//! The documented switch is `/usr/sbin/policy-rc.d`: while it says 101, nothing is started. Ours holds only as long as
//! this very process lives, so that even one that was left behind does no harm; an existing one is left alone. Afterwards
//! the new services are disabled, for the next boot.

use std::path::{Path, PathBuf};

use super::{find_program, rights::Rights};
use crate::command::{Failure, read, remove, write};

/// A program that we call, and the package that brings it.
struct Need {
    /// Name of the program, looked for in `PATH`.
    program: &'static str,
    /// Debian's package.
    package: &'static str,
    /// Services that the package would start.
    services: &'static [&'static str],
}

/// Installs what cargo calls and does not bring.
pub fn ensure_build(rights: &Rights, remedies: &mut Vec<String>) -> Result<(), Failure> {
    ensure_all(BUILD, rights, remedies)
}

/// Installs the packages of the programs that are missing.
pub fn ensure(rights: &Rights, remedies: &mut Vec<String>) -> Result<(), Failure> {
    ensure_all(NEEDS, rights, remedies)
}

/// The same for the resolvers that `bench peers` holds us against.
pub fn ensure_peers(rights: &Rights, remedies: &mut Vec<String>) -> Result<(), Failure> {
    ensure_all(PEERS, rights, remedies)
}

/// Packages of such resolvers that are missing.
pub fn missing_peers() -> Vec<&'static str> {
    PEERS.iter().filter(|need| find_program(need.program).is_none()).map(|need| need.package).collect()
}

fn ensure_all(needs: &[Need], rights: &Rights, remedies: &mut Vec<String>) -> Result<(), Failure> {
    let missing: Vec<&Need> = needs.iter().filter(|need| find_program(need.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    let services: Vec<&str> = missing.iter().flat_map(|need| need.services).copied().collect();
    install(rights, remedies, &packages, &services)
}

/// Installs packages by apt-get and keeps their services off. Adds the command to `remedies` where we lack the rights.
pub fn install(
    rights: &Rights,
    remedies: &mut Vec<String>,
    packages: &[&str],
    services: &[&str],
) -> Result<(), Failure> {
    if *rights == Rights::None || find_program("apt-get").is_none() {
        remedies.push(format!("apt-get install --no-install-recommends {}", packages.join(" ")));
        return Ok(());
    }
    let policy = StartPolicy::forbid(rights)?;
    let installed = apt_get(rights, &["update"])
        .and_then(|()| apt_get(rights, &[&["install", "--yes", "--no-install-recommends"], packages].concat()));
    let lifted = policy.lift(rights);
    installed?;
    lifted?;
    if !services.is_empty() && find_program("systemctl").is_some() {
        let disable = rights.tool("systemctl").map(|tool| tool.arg("disable").args(services).run());
        disable.transpose()?;
    }
    Ok(())
}

/// Runs apt-get without questions.
fn apt_get(rights: &Rights, words: &[&str]) -> Result<(), Failure> {
    let tool = rights.tool("env").map(|tool| tool.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(words));
    tool.map_or(Ok(()), |tool| tool.run())
}

/// Our policy-rc.d, if there was none.
struct StartPolicy {
    ours: bool,
}

impl StartPolicy {
    /// Forbids package scripts to start services, unless somebody else's policy stands already.
    fn forbid(rights: &Rights) -> Result<Self, Failure> {
        let place = Path::new(POLICY_FILE);
        let foreign = place.exists() && !read(place).is_ok_and(|text| text.contains(POLICY_MARK));
        if foreign {
            return Ok(Self { ours: false });
        }
        let draft = draft_file();
        let process = std::process::id();
        write(&draft, format!("#!/bin/sh\n{POLICY_MARK}\n[ -d /proc/{process} ] && exit 101\nexit 0\n"))?;
        let tool = rights.tool("install").map(|tool| tool.args(["-m", "755"]).arg(&draft).arg(POLICY_FILE));
        tool.map_or(Ok(()), |tool| tool.run())?;
        Ok(Self { ours: true })
    }

    /// Takes our policy away again.
    fn lift(self, rights: &Rights) -> Result<(), Failure> {
        if !self.ours {
            return Ok(());
        }
        remove(&draft_file())?;
        rights.tool("rm").map_or(Ok(()), |tool| tool.args(["-f", POLICY_FILE]).run())
    }
}

/// Where the policy is written before it is installed with root's rights.
fn draft_file() -> PathBuf {
    crate::paths::tools().join("policy-rc.d")
}

/// Where Debian's `invoke-rc.d` asks whether it may start a service.
const POLICY_FILE: &str = "/usr/sbin/policy-rc.d";

/// Tells our policy from somebody else's.
const POLICY_MARK: &str = "# Written by `cargo xtask setup`; void when that process has ended.";

/// A program without a service.
const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package, services: &[] }
}

/// A server, which must stay off.
const fn server(program: &'static str, package: &'static str, services: &'static [&'static str]) -> Need {
    Need { program, package, services }
}

/// What the daemon's crates are built with, besides the C compiler that this very program was linked with.
const BUILD: &[Need] = &[
    // The allocator.
    need("make", "make"),
];

/// Everything that is called by the lab, the tests, the demo and the benchmarks; programs of one package stand together.
const NEEDS: &[Need] = &[
    // Namespaces, interfaces, maps.
    need("ip", "iproute2"),
    need("sysctl", "procps"),
    need("ethtool", "ethtool"),
    need("nsenter", "util-linux"),
    need("mount", "mount"),
    // A terminal for `resolver top`.
    need("script", "bsdutils"),
    need("bpftool", "bpftool"),
    // What reads maps and captures, for people and in tests.
    need("jq", "jq"),
    need("tcpdump", "tcpdump"),
    need("tshark", "tshark"),
    // The packaged example of a firewall.
    server("nft", "nftables", &["nftables.service"]),
    // Authoritative servers, and the recursive one that is forwarded to.
    server("nsd", "nsd", &["nsd"]),
    server("named", "bind9", &["named"]),
    server("unbound", "unbound", &["unbound"]),
    // A third opinion on what is Secure.
    server("kresd", "knot-resolver", &["kresd.target", "kresd@1.service", "kres-cache-gc.service"]),
    // The program whose configuration we read: it judges files, and answers beside us. Without its service.
    need("dnsmasq", "dnsmasq-base"),
    // The package, and the machine that it is tried on.
    need("systemd-analyze", "systemd"),
    need("man", "man-db"),
    need("dpkg-deb", "dpkg"),
    need("dpkg-shlibdeps", "dpkg-dev"),
    need("strip", "binutils"),
    // Signing.
    need("dnssec-keygen", "bind9-utils"),
    need("dnssec-signzone", "bind9-utils"),
    need("dnssec-revoke", "bind9-utils"),
    need("openssl", "openssl"),
    // Clients that judge our answers.
    need("dig", "bind9-dnsutils"),
    need("delv", "bind9-dnsutils"),
    need("kdig", "knot-dnsutils"),
    // The same package signs what BIND refuses to.
    need("drill", "ldnsutils"),
    need("ldns-signzone", "ldnsutils"),
    // A second opinion on our metrics.
    server("promtool", "prometheus", &["prometheus"]),
    // Load of the benchmarks against peers.
    need("dnsperf", "dnsperf"),
];

/// Resolvers that `bench peers` holds us against. The lab needs the same ones today; this list is about the benchmark.
const PEERS: &[Need] = &[
    server("unbound", "unbound", &["unbound"]),
    server("named", "bind9", &["named"]),
    server("kresd", "knot-resolver", &["kresd.target", "kresd@1.service", "kres-cache-gc.service"]),
    need("dnsmasq", "dnsmasq-base"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_one_package_stand_together() {
        let mut packages: Vec<&str> = NEEDS.iter().map(|need| need.package).collect();
        packages.dedup();
        let mut sorted = packages.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(packages.len(), sorted.len());
    }
}
