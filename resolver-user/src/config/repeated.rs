//! Which options may stand only once.
//!
//! In: a name. Out: whether a second one is an error, as dnsmasq has it ("illegal repeated keyword"): an option that holds one
//! value. Flags may be repeated, lists grow; of our own options the one that stands last holds.

/// Whether an option may stand only once in all files, and once on the command line.
pub(super) fn stands_once(name: &str) -> bool {
    ONCE.contains(&name)
}

/// dnsmasq's options that hold one value, found by giving each of its options twice.
const ONCE: &[&str] = &[
    "cache-size",
    "dns-forward-max",
    "dnssec-limits",
    "dnssec-timestamp",
    "edns-packet-max",
    "fast-dns-retry",
    "group",
    "local-service",
    "local-ttl",
    "log-async",
    "log-facility",
    "max-cache-ttl",
    "max-port",
    "max-ttl",
    "min-cache-ttl",
    "min-port",
    "neg-ttl",
    "pid-file",
    "port",
    "port-limit",
    "query-port",
    "servers-file",
    "use-stale-cache",
    "user",
];
