//! Established validators beside ours: Unbound, BIND and Knot Resolver, each a recursive server that starts at the private
//! root and validates by the lab's anchor. Only the test of agreement needs them, so `lab up` does not start them.
//!
//! In: a lab that is up. Out: running servers in the servers' namespace, stopped when [`Peers`] is dropped.

use std::{
    net::Ipv4Addr,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    facts::Facts,
    process,
    servers::{ServerPlan, copy_unconfined, root_hints_file},
    signing, topology,
};
use crate::command::{Failure, read};

/// Running validators.
pub struct Peers {
    /// Name and address of each.
    pub addresses: Vec<(&'static str, Ipv4Addr)>,
}

impl Peers {
    /// Starts all of them, and waits until each validates.
    ///
    /// # Errors
    /// One is not installed, or does not answer in time.
    pub fn start(facts: &Facts) -> Result<Self, Failure> {
        let peers = Self { addresses: topology::PEERS.map(|(name, host)| (name, topology::auth_ipv4(host))).to_vec() };
        for plan in plans() {
            copy_unconfined(plan.program)?;
            plan.start(&facts.auth)?;
        }
        let deadline = Instant::now() + START_LIMIT;
        for ((name, address), plan) in peers.addresses.iter().zip(plans()) {
            let validates = || {
                let dig = ["dig", "+tries=1", "+time=1", "+adflag", &format!("@{address}"), "SOA", "."];
                let said = topology::inside(&facts.auth).args(dig).quiet_output();
                said.is_ok_and(|said| said.contains(" ad;"))
            };
            while !validates() {
                if Instant::now() > deadline || !process::is_running(name) {
                    let (server, waited_s) = ((*name).to_owned(), START_LIMIT.as_secs());
                    return Err(Failure::ServerSilent { server, waited_s, log: plan.last_lines() });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(peers)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for (name, _) in &self.addresses {
            process::stop_noted(name);
        }
    }
}

/// The three servers.
fn plans() -> [ServerPlan; 3] {
    let plan = |index: usize, program, words, config| {
        let (name, _) = topology::PEERS[index];
        ServerPlan { name, program, words, hosts: &topology::PEER_HOSTS[index..=index], zones: Vec::new(), config }
    };
    [
        plan(0, "unbound", &["-d", "-p", "-c"], unbound_config),
        plan(1, "named", &["-g", "-n", "1", "-c"], bind_config),
        plan(2, "kresd", &["-n", "-c"], knot_config),
    ]
}

/// The first IPv4 address of a server.
fn address(plan: &ServerPlan) -> Ipv4Addr {
    plan.hosts.first().map_or(Ipv4Addr::UNSPECIFIED, |host| topology::auth_ipv4(*host))
}

/// Unbound with nothing that would answer one question by another's proof.
fn unbound_config(plan: &ServerPlan) -> String {
    let [_, anchor, _] = signing::anchor_files();
    let (address, folder) = (address(plan), plan.folder());
    format!(
        "server:\n  interface: {address}\n  outgoing-interface: {address}\n  access-control: 0.0.0.0/0 allow\n  \
         num-threads: 1\n  username: \"\"\n  chroot: \"\"\n  directory: \"{}\"\n  pidfile: \"\"\n  use-syslog: no\n  \
         logfile: \"\"\n  module-config: \"validator iterator\"\n  trust-anchor-file: \"{}\"\n  root-hints: \"{}\"\n  \
         local-zone: \"test.\" nodefault\n  target-fetch-policy: \"0 0 0 0 0\"\n  do-ip6: no\n  ede: yes\n  \
         val-log-level: 2\n  aggressive-nsec: no\n  edns-buffer-size: 4096\n  max-udp-size: 4096\n\
         remote-control:\n  control-enable: no\n",
        folder.display(),
        anchor.display(),
        root_hints_file().display(),
    )
}

/// BIND as a resolver.
fn bind_config(plan: &ServerPlan) -> String {
    let [_, _, anchor] = signing::anchor_files();
    let (address, folder) = (address(plan), plan.folder());
    format!(
        "options {{\n  directory \"{}\";\n  listen-on {{ {address}; }};\n  listen-on-v6 {{ none; }};\n  \
         query-source address {address};\n  recursion yes;\n  allow-query {{ any; }};\n  allow-recursion {{ any; }};\n  \
         dnssec-validation yes;\n  empty-zones-enable no;\n  synth-from-dnssec no;\n  edns-udp-size 4096;\n  \
         max-udp-size 4096;\n  notify no;\n  pid-file none;\n  session-keyfile none;\n  lock-file none;\n}};\n\
         controls {{ }};\nzone \".\" {{ type hint; file \"{}\"; }};\n{}",
        folder.display(),
        root_hints_file().display(),
        read(&anchor).unwrap_or_default(),
    )
}

/// Knot Resolver without its rules about `test.`, and without the modules that watch clock and root.
fn knot_config(plan: &ServerPlan) -> String {
    let [_, anchor, _] = signing::anchor_files();
    let address = address(plan);
    let anchor = read(&anchor).unwrap_or_default();
    let storage = plan.folder().join("cache");
    format!(
        "net.ipv6 = false\nnet.listen('{address}', 53, {{ kind = 'dns' }})\nnet.outgoing_v4('{address}')\n\
         net.bufsize(4096)\ncache.open(20 * MB, 'lmdb://{}')\nmodules.unload('ta_update')\n\
         modules.unload('ta_signal_query')\nmodules.unload('priming')\nmodules.unload('detect_time_skew')\n\
         modules.unload('detect_time_jump')\nmodules = {{ 'hints > iterate', 'policy' }}\n\
         policy.special_names = {{}}\nhints.root_file('{}')\ntrust_anchors.add('{}')\n",
        storage.display(),
        root_hints_file().display(),
        anchor.trim(),
    )
}

impl ServerPlan {
    /// The end of its log.
    fn last_lines(&self) -> String {
        super::servers::last_lines(Path::new(&self.facts().log_file))
    }
}

/// How long all of them together may take to validate.
const START_LIMIT: Duration = Duration::from_secs(20);
