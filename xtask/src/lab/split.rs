//! What split DNS needs beside the lab: an authoritative server of private zones that the public tree knows nothing of,
//! and dnsmasq, whose answers ours are compared with. Only one test needs them, so `lab up` does not start them.
//!
//! In: a lab that is up, and lines that both dnsmasq and our daemon read. Out: running servers in the servers' namespace,
//! stopped when [`SplitServers`] is dropped.

use std::{
    fmt::Write as _,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    facts::Facts,
    process,
    servers::{ServerPlan, copy_unconfined, last_lines, nsd_config},
    signing, topology,
};
use crate::{
    command::{Failure, write},
    paths,
};

/// Running servers.
pub struct SplitServers {
    /// Where dnsmasq answers.
    pub dnsmasq: Ipv4Addr,
}

/// Where the server of the private zones answers.
pub fn private_address() -> Ipv4Addr {
    topology::auth_ipv4(topology::SPLIT_HOSTS[0])
}

impl SplitServers {
    /// Starts both, and waits until each answers. `lines`: what dnsmasq is told besides where it listens and which anchor it
    /// validates from.
    ///
    /// # Errors
    /// One is not installed, or does not answer in time.
    pub fn start(facts: &Facts, lines: &str) -> Result<Self, Failure> {
        write(&shared_file(), lines)?;
        let [private, dnsmasq] = topology::SPLIT_HOSTS;
        let servers = Self { dnsmasq: topology::auth_ipv4(dnsmasq) };
        for (plan, host) in plans()?.iter().zip([private, dnsmasq]) {
            copy_unconfined(plan.program)?;
            plan.start(&facts.auth)?;
            let deadline = Instant::now() + START_LIMIT;
            let address = topology::auth_ipv4(host);
            let answers = || {
                let dig = ["dig", "+tries=1", "+time=1", "+short", &format!("@{address}"), "A", "www.lan."];
                topology::inside(&facts.auth).args(dig).quiet_output().is_ok_and(|said| said.contains("192.0.2."))
            };
            while !answers() {
                if Instant::now() > deadline || !process::is_running(plan.name) {
                    let log = last_lines(Path::new(&plan.facts().log_file));
                    let (server, waited_s) = (plan.name.to_owned(), START_LIMIT.as_secs());
                    return Err(Failure::ServerSilent { server, waited_s, log });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(servers)
    }
}

impl Drop for SplitServers {
    fn drop(&mut self) {
        for name in [PRIVATE, DNSMASQ] {
            process::stop_noted(name);
        }
    }
}

/// The two servers. Writes the zones of the first.
fn plans() -> Result<[ServerPlan; 2], Failure> {
    let mut zones = Vec::new();
    for (zone, records) in PRIVATE_ZONES {
        let mut text = format!("$ORIGIN {zone}\n$TTL 600\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\n");
        for record in *records {
            let _ = writeln!(text, "{record}");
        }
        let file = paths::lab().join("private").join(zone.trim_end_matches('.'));
        write(&file, text)?;
        zones.push(((*zone).to_owned(), file));
    }
    let [private, dnsmasq] = [&topology::SPLIT_HOSTS[..1], &topology::SPLIT_HOSTS[1..]];
    Ok([
        ServerPlan { name: PRIVATE, program: "nsd", words: &["-d", "-c"], hosts: private, zones, config: nsd_config },
        ServerPlan {
            name: DNSMASQ,
            program: "dnsmasq",
            words: &["-k", "-C"],
            hosts: dnsmasq,
            zones: Vec::new(),
            config: dnsmasq_config,
        },
    ])
}

/// dnsmasq without anything of the machine's, and with the shared lines.
fn dnsmasq_config(plan: &ServerPlan) -> String {
    let [anchor, _, _] = signing::anchor_files();
    let address = plan.hosts.first().map_or(Ipv4Addr::UNSPECIFIED, |host| topology::auth_ipv4(*host));
    format!(
        "no-hosts\nlisten-address={address}\nbind-interfaces\nuser=root\ngroup=root\npid-file=\nlog-facility=-\n\
         conf-file={}\nconf-file={}\n",
        anchor.display(),
        shared_file().display(),
    )
}

/// Where the shared lines are.
fn shared_file() -> PathBuf {
    paths::lab().join("split.conf")
}

/// Zones without signatures, with their records. The last one is signed in public.
const PRIVATE_ZONES: &[(&str, &[&str])] = &[
    (
        "lan.",
        &[
            "www A 192.0.2.11",
            "www AAAA 2001:db8::11",
            "out CNAME www.alg15.test.",
            "in CNAME www",
            "deep.er A 192.0.2.12",
        ],
    ),
    ("intern.test.", &["www A 192.0.2.13", "@ A 192.0.2.14", "public A 192.0.2.15"]),
    ("mynet.test.", &["www A 192.0.2.16"]),
    ("nas.", &["@ A 192.0.2.17"]),
    ("30.20.10.in-addr.arpa.", &["5 PTR host5.lan."]),
    ("31.20.10.in-addr.arpa.", &["5 PTR host31.lan."]),
    ("alg14.test.", &["www A 192.0.2.18"]),
];

/// Names of the two in the lab.
const PRIVATE: &str = "nsd-private";
const DNSMASQ: &str = "dnsmasq";

/// How long each of them may take to answer.
const START_LIMIT: Duration = Duration::from_secs(20);
