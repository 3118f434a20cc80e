//! What of the servers changes while the daemon runs: resolv.conf, host names, and the discovery of loops.
//!
//! In: a call about once a second. Out: servers replaced in the [`Upstream`], what is known of those that stay kept.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::Upstream;
use super::allowance::Allowance;
use super::exchange::{Carrier, exchange};
use super::table::{Found, Table};
use super::transport::{Outgoing, Protocol};
use crate::config::{ServerHost, UpstreamConfig};
use crate::wire::{Name, QueryWriter, Question, RecordType};

/// How long the system may take to resolve the name of a server.
const NAME_TIME_MAX: Duration = Duration::from_secs(5);
/// How long to wait before a name that could not be resolved is tried again.
const NAME_RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long a probe for loops may take. Its answer is of no interest: what counts is whether it comes back to us.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);
/// The zone of probes; that of dnsmasq.
const PROBE_ZONE: &str = "test.";
/// A probe's name in wire form: eight hexadecimal digits in that zone.
const PROBE_LEN: usize = 15;
/// Largest resolv.conf that is read, in bytes.
const RESOLV_LEN_MAX: u64 = 1 << 20;

/// A file as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    path: PathBuf,
    modified: SystemTime,
    length: u64,
}

/// What was last seen of the files and names that the configuration refers to.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) found: Found,
    file: Option<Seen>,
    names_tried_at: Option<Instant>,
}

impl Watched {
    pub(super) fn new(found: Found, file: Option<Seen>) -> Self {
        Self { found, file, names_tried_at: None }
    }
}

impl Upstream {
    pub(super) fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads resolv.conf again if it has changed, resolves the names of servers that are not resolved yet, leaves out the
    /// addresses that we listen on now, and probes for loops once after each change. To be called about once a second.
    /// Returns whether servers have changed.
    pub async fn refresh(&self, own: &[SocketAddr]) -> bool {
        let mut changed = !self.config.no_poll && self.read_changed_file();
        changed |= self.note_own(own);
        changed |= self.resolve_names().await;
        if changed {
            self.replace_table();
        }
        if self.config.loop_detect && self.unprobed.swap(false, Ordering::Relaxed) {
            self.probe_for_loops().await;
        }
        changed
    }

    /// Reads resolv.conf again if it has changed, even with `no-poll`: the operator has asked for it.
    pub fn reread(&self) {
        if self.read_changed_file() {
            self.replace_table();
        }
    }

    /// Resolves the names of servers, before the first question needs them.
    pub async fn refresh_names(&self) {
        if self.resolve_names().await {
            self.replace_table();
        }
    }

    /// Whether this question is our own probe, sent back to us; the server that did so is not asked any more. Allocates
    /// nothing for other questions.
    pub fn catches_loop(&self, qname_wire: &[u8], qtype: RecordType) -> bool {
        if !self.config.loop_detect || qtype != RecordType::TXT || qname_wire.len() != PROBE_LEN {
            return false;
        }
        let Some(probe) = read_probe(qname_wire) else { return false };
        let table = self.table.load();
        let Some(server) = table.usual.servers.iter().find(|server| server.probe == probe) else { return false };
        if server.set_looping(true) {
            self.metrics.upstream_loops.add_one();
            warn!(server = %server.address, "the server sends our queries back to us: not asked any more");
        }
        true
    }

    fn replace_table(&self) {
        let found = self.watched().found.clone();
        let older = self.table.load_full();
        let table = Table::new(&self.config, self.query_port, &found, Some(&older));
        for server in table.servers() {
            // A server that was left out gets another chance with the next probe.
            server.set_looping(false);
        }
        let addresses: Vec<String> = table.servers().iter().map(|server| server.address.to_string()).collect();
        info!(servers = addresses.join(" "), "servers have changed");
        self.table.store(table.into());
        self.unprobed.store(true, Ordering::Relaxed);
    }

    /// Reads the youngest file if it is not the one last read. Returns whether it names other servers than before.
    fn read_changed_file(&self) -> bool {
        let youngest = youngest(&self.config.resolv_files);
        let mut watched = self.watched();
        if youngest.is_none() || youngest == watched.file {
            return false;
        }
        let (file, nameservers) = read_resolv_files(&self.config.resolv_files);
        watched.file = file;
        // A file that is being written has no servers for a moment; the old ones are better than none.
        let changed = !nameservers.is_empty() && nameservers != watched.found.nameservers;
        if changed {
            watched.found.nameservers = nameservers;
        }
        changed
    }

    /// Notes the addresses that we listen on. Returns whether they are others than before.
    fn note_own(&self, own: &[SocketAddr]) -> bool {
        let mut watched = self.watched();
        let changed = watched.found.own != own;
        if changed {
            watched.found.own = own.to_vec();
            self.recursor.note_own(own);
        }
        changed
    }

    /// Resolves names of servers that are not known yet, by the system's resolver (hosts file, DNS by resolv.conf).
    async fn resolve_names(&self) -> bool {
        let unknown = self.unknown_names();
        if unknown.is_empty() {
            return false;
        }
        let mut lookups = JoinSet::new();
        for name in unknown {
            lookups.spawn(async move {
                let found = timeout(NAME_TIME_MAX, lookup_host((name.as_str(), 0))).await;
                let found = found.map_err(std::io::Error::from).flatten();
                (name.clone(), found.map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<IpAddr>>()))
            });
        }
        let mut changed = false;
        while let Some(joined) = lookups.join_next().await {
            match joined {
                Ok((name, Ok(addresses))) => {
                    changed = true;
                    self.watched().found.addresses.insert(name, addresses);
                }
                Ok((name, Err(error))) => {
                    let retry_s = NAME_RETRY_AFTER.as_secs();
                    warn!(server = name, %error, retry_s, "the name of a server cannot be resolved");
                }
                Err(_) => {}
            }
        }
        changed
    }

    /// Names that are to be resolved now.
    fn unknown_names(&self) -> Vec<String> {
        let mut watched = self.watched();
        if watched.names_tried_at.is_some_and(|tried_at| tried_at.elapsed() < NAME_RETRY_AFTER) {
            return Vec::new();
        }
        let specs = self.config.usual_servers().chain(self.config.domains_and_servers().map(|(spec, _)| spec));
        let named = specs.filter_map(|spec| match &spec.host {
            ServerHost::Name(name) => Some(name.clone()),
            ServerHost::Address { .. } => None,
        });
        let mut unknown: Vec<String> = named.filter(|name| !watched.found.addresses.contains_key(name)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        watched.names_tried_at = (!unknown.is_empty()).then(Instant::now);
        unknown
    }

    /// Asks each of the usual servers for a name that nobody else asks for. Servers of one domain are not probed: they may
    /// rightly send to us what is not theirs.
    async fn probe_for_loops(&self) {
        let mut probes = JoinSet::new();
        for server in &self.table.load_full().usual.servers {
            let (server, metrics, outside) = (server.clone(), self.metrics.clone(), self.outside.clone());
            probes.spawn(async move {
                let Ok(qname) = format!("{:08x}.{PROBE_ZONE}", server.probe).parse::<Name>() else { return };
                let question = Question::new(qname, RecordType::TXT);
                let query = QueryWriter {
                    question: &question,
                    recursion_desired: true,
                    authentic_wanted: false,
                    checking_disabled: false,
                    dnssec_ok: false,
                    udp_payload_len: None,
                    cookie: &[],
                };
                // Whatever it says: it has been asked.
                let (address, way) = (server.address, &server.way);
                let outgoing = Outgoing { server: address, protocol: Protocol::Udp, query, spelled: None, way };
                let carrier =
                    Carrier { transport: &*outside.transport, allowance: &Allowance::default(), metrics: &metrics };
                let _said = exchange(carrier, outgoing, PROBE_TIME_MAX).await;
            });
        }
        probes.join_all().await;
    }
}

/// The number in a probe's name.
fn read_probe(qname_wire: &[u8]) -> Option<u32> {
    let (digits, zone) = qname_wire.strip_prefix(b"\x08")?.split_at_checked(8)?;
    let digits = std::str::from_utf8(digits).ok().filter(|_| zone.eq_ignore_ascii_case(b"\x04test\0"))?;
    u32::from_str_radix(digits, 16).ok()
}

/// The port of `query-port`; if the system is to draw it, the one that it draws.
pub(super) fn fixed_port(config: &UpstreamConfig) -> Option<u16> {
    match config.query_port? {
        0 => {
            let drawn = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"));
            drawn.and_then(|socket| socket.local_addr()).map(|address| address.port()).ok()
        }
        port => Some(port),
    }
}

/// The youngest of these files that is there; among equals the first.
fn youngest(files: &[PathBuf]) -> Option<Seen> {
    let seen = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some(Seen { path: path.clone(), modified: metadata.modified().ok()?, length: metadata.len() })
    };
    files.iter().rev().filter_map(seen).max_by_key(|seen| seen.modified)
}

/// Reads the youngest of these files: how it was, and its servers in order. Of none, one that cannot be read, or one that is
/// absurdly large, there are no servers.
pub(super) fn read_resolv_files(files: &[PathBuf]) -> (Option<Seen>, Vec<IpAddr>) {
    let Some(seen) = youngest(files) else {
        if !files.is_empty() {
            let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
            warn!(files = paths.join(" "), "no file to read servers from");
        }
        return (None, Vec::new());
    };
    let nameservers = if seen.length > RESOLV_LEN_MAX { Vec::new() } else { nameservers(&seen.path) };
    if nameservers.is_empty() {
        warn!(file = %seen.path.display(), "no server in it");
    }
    (Some(seen), nameservers)
}

/// The `nameserver` lines of a file.
fn nameservers(path: &Path) -> Vec<IpAddr> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    addresses.filter(|address: &IpAddr| !address.is_unspecified()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_eight_digits_in_the_zone_test() {
        assert_eq!(read_probe(b"\x0800c0ffEE\x04TesT\0"), Some(0x00c0_ffee));
        for other in [&b"\x0800c0ffEE\x04tesx\0"[..], b"\x0800c0ffgg\x04test\0", b"\x07c0ffee0\x05xtest\0"] {
            assert_eq!(read_probe(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_youngest_file_counts() {
        let directory = std::env::temp_dir().join(format!("resolver-resolv-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = |name: &str, text: &str, age_s: u64| {
            let path = directory.join(name);
            fs::write(&path, text).unwrap();
            let modified = SystemTime::now() - Duration::from_secs(age_s);
            fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            path
        };
        let old = file("old", "nameserver 192.0.2.1\n", 100);
        let young = file("young", "# x\nnameserver 192.0.2.2\n nameserver ::3 # y\nnameserver x\nsearch a\n", 50);
        let files = [old, young.clone(), directory.join("missing")];
        let (seen, servers) = read_resolv_files(&files);
        assert_eq!(seen.unwrap().path, young);
        assert_eq!(servers, ["192.0.2.2".parse::<IpAddr>().unwrap(), "::3".parse().unwrap()]);
        assert_eq!(read_resolv_files(&files[2..]), (None, vec![]));
        fs::remove_dir_all(&directory).unwrap();
    }
}
