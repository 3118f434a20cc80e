//! Options of the configurations in scenario files, in either dialect: those that ask for features that we do not claim, and those that
//! change nothing here.
//!
//! In: an option's name and value. Out: what it means to us, as a [`Meaning`]. What we have ourselves is mapped next door, in
//! [`super::settings`]. An option in none of these places is unknown, and the file is not played.

/// What an option means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It asks for this feature, which we do not claim.
    Feature(&'static str),
    /// It changes nothing here.
    Nothing,
    /// Nobody here knows it.
    Unknown,
}

/// What an option means with a value.
pub fn meaning(option: &str, value: &str) -> Meaning {
    let value = value.trim().to_ascii_lowercase();
    if let Some((_, usual, feature)) = UNCLAIMED.iter().find(|(names, ..)| is_among(option, names)) {
        let asks = !ASKS_FOR_NOTHING.contains(&&*value) && !usual.contains(&&*value);
        return if asks { Meaning::Feature(feature) } else { Meaning::Nothing };
    }
    if let Some((_, feature)) = ALWAYS.iter().find(|(names, _)| is_among(option, names)) {
        return Meaning::Feature(feature);
    }
    if let Some((_, usual, feature)) = WANTED.iter().find(|(names, ..)| is_among(option, names)) {
        return if value == *usual { Meaning::Nothing } else { Meaning::Feature(feature) };
    }
    if WITHOUT_EFFECT.iter().any(|(names, _)| is_among(option, names)) { Meaning::Nothing } else { Meaning::Unknown }
}

/// Whether an option is in a list of names with blanks between; `name*` stands for all that begin so.
fn is_among(option: &str, names: &str) -> bool {
    names.split_whitespace().any(|name| match name.strip_suffix('*') {
        Some(start) => option.starts_with(start),
        None => option == name,
    })
}

/// Values that ask for nothing, whatever the option.
const ASKS_FOR_NOTHING: &[&str] = &["no", "off", "false", "0", ""];

/// Features that we do not claim: options, values that ask for nothing more than what is usual, and the feature's name.
const UNCLAIMED: &[(&str, &[&str], &str)] = &[
    ("nsid", &[], "NSID"),
    ("rpz-log rpz-log-name rpz-signal-nxdomain-ra", &[], "RPZ"),
    ("do-nat64 nat64-prefix", &[], "NAT64"),
    ("dns64-prefix dns64-synthall dns64-ignore-aaaa", &[], "DNS64"),
    ("forward-first", &[], "falling back from a forwarder to iterating"),
    ("stub-first", &[], "falling back from a stub zone to iterating"),
    ("forward-no-cache stub-no-cache", &[], "upstreams without a cache"),
    ("tcp-upstream forward-tcp-upstream stub-tcp-upstream", &[], "asking by TCP only"),
    (
        "tls-upstream ssl-upstream forward-tls-upstream forward-ssl-upstream stub-tls-upstream stub-ssl-upstream",
        &[],
        "DNS over TLS",
    ),
    ("harden-algo-downgrade", &[], "demanding a signature of every algorithm"),
    ("harden-unverified-glue", &[], "a choice about unverified glue"),
    ("iter-scrub-ns", &["20"], "a choice of how long NS sets may be"),
    ("qname-minimisation-strict", &[], "minimisation of names without a fallback"),
    ("ignore-cd-flag", &[], "validating in spite of CD"),
    ("serve-original-ttl", &[], "TTLs that do not age"),
    ("insecure-lan-zones", &[], "negative anchors for all private zones by one option"),
    ("val-max-restart", &["5"], "a choice of how often a validation restarts"),
    ("max-query-restarts", &["11"], "a choice of how often a query restarts"),
    ("val-bogus-ttl", &["60"], "a choice of how long bogus data are remembered"),
    ("val-sig-skew-min", &["3600"], "a choice of how wrong clocks may be"),
    ("val-sig-skew-max", &["86400"], "a choice of how wrong clocks may be"),
    ("cache-max-negative-ttl", &["3600"], "limits of their own for the TTLs of denials"),
    ("cache-min-negative-ttl", &[], "limits of their own for the TTLs of denials"),
    ("num-queries-per-thread", &["512", "1024", "2048", "4096"], "jostling of old queries by new ones"),
    (
        "ratelimit ip-ratelimit ratelimit-for-domain ratelimit-below-domain ip-ratelimit-cookie",
        &[],
        "rate limits of Unbound's kinds",
    ),
    (
        "wait-limit wait-limit-cookie wait-limit-netblock wait-limit-cookie-netblock",
        &["1000", "10000"],
        "a choice of how many may wait",
    ),
    ("dnscrypt-enable", &[], "DNSCrypt"),
    ("ipsecmod-enabled", &[], "the module for IPsec keys"),
    ("client-subnet-always-forward send-client-subnet client-subnet-zone", &[], "EDNS client subnet"),
    ("harden-caps-for-id use-caps-for-id-strict", &[], "refusing servers that change letter case"),
    ("dlv-anchor dlv-anchor-file", &[], "look-aside validation (RFC 8749 ended it)"),
    (
        "trust-anchor-file trusted-keys-file cookie-secret-file include include-toplevel",
        &[],
        "files beside the configuration",
    ),
    ("auto-trust-anchor-file", &[], "files beside the configuration"),
    ("zonemd-check zonemd-reject-absence", &[], "authoritative zones"),
    ("add-holddown del-holddown", &["2592000"], "other times than those of RFC 5011"),
    ("permit-small-holddown", &[], "other times than those of RFC 5011"),
    ("keep-missing", &["31622400"], "a choice of when missing anchors are forgotten"),
    ("interface-automatic-ports proxy-protocol-port", &[], "the PROXY protocol"),
    ("val-digest-preference", &[], "a choice among digests"),
    ("disable-edns-do", &[], "validating without DO"),
    ("dns-error-reporting", &[], "DNS error reporting (RFC 9567)"),
];

/// Features that we do not claim, whatever the value.
const ALWAYS: &[(&str, &str)] = &[
    ("rpz rpz-action-override rpz-cname-override", "RPZ"),
    (
        "auth-zone zonefile primary master url allow-notify for-downstream for-upstream fallback-enabled zonemd* \
         max-transfer-*",
        "authoritative zones",
    ),
    ("response-ip response-ip-data response-ip-tag", "response-ip actions"),
    ("edns-client-string edns-client-string-opcode", "EDNS client strings"),
    (
        "view view-first access-control-view interface-view local-zone-override local-zone-tag define-tag tags \
         access-control-tag* interface-tag* interface-action",
        "views and tags",
    ),
    ("local-zone local-data local-data-ptr", "local zones of Unbound's own kinds"),
    ("python python-script dynlib dynlib-file", "modules that are loaded"),
    ("cachedb backend secret-seed redis-* cachedb-*", "a cache in an outside database"),
    ("ipset name-v4 name-v6", "sets of the packet filter"),
    ("forward-host stub-host", "servers given by name"),
    (
        "max-client-subnet-ipv4 max-client-subnet-ipv6 min-client-subnet-ipv4 min-client-subnet-ipv6 max-ecs-tree-size-ipv4 \
         max-ecs-tree-size-ipv6 client-subnet-opcode",
        "EDNS client subnet",
    ),
    ("dnscrypt dnscrypt-*", "DNSCrypt"),
    ("ipsecmod-*", "the module for IPsec keys"),
];

/// Options that we fulfil with one value and not with another.
const WANTED: &[(&str, &str, &str)] = &[
    ("harden-dnssec-stripped", "yes", "taking a zone without its keys for insecure"),
    ("do-udp", "yes", "asking by TCP only"),
    ("do-tcp", "yes", "asking by UDP only"),
    ("harden-below-nxdomain", "yes", "asking below names that do not exist"),
    ("harden-glue", "yes", "believing glue from out of bailiwick"),
];

/// Options that change nothing here, and why.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "verbosity val-log-level val-log-squelch log-* logfile use-syslog statistics-* extended-statistics shm-* dnstap dnstap-*",
        "what is told to the operator is not compared",
    ),
    (
        "num-threads username chroot directory pidfile do-daemonize use-systemd remote-control control-* server-key-file \
         server-cert-file msg-buffer-size msg-cache-size rrset-cache-size key-cache-size neg-cache-size infra-cache-numhosts \
         msg-cache-slabs rrset-cache-slabs key-cache-slabs infra-cache-slabs ratelimit-slabs ip-ratelimit-slabs ratelimit-size \
         ip-ratelimit-size ratelimit-factor ip-ratelimit-factor ratelimit-backoff ip-ratelimit-backoff",
        "a process and its memory; scripts are small",
    ),
    (
        "interface ip-address interface-automatic port so-* ip-transparent ip-freebind ip-dscp outgoing-* incoming-num-tcp tcp-* \
         max-reuse-tcp-queries stream-wait-size edns-tcp-keepalive edns-tcp-keepalive-timeout max-udp-size udp-connect \
         udp-upstream-without-downstream tls-* ssl-* https-port http-* hide-http-user-agent quic-* pad-* delay-close \
         sock-queue-timeout unwanted-reply-threshold edns-buffer-size",
        "sockets and transports: clients and servers are scripted; how long a connection stays is the server's choice (RFC 7828 §3.4)",
    ),
    ("identity version hide-*", "questions about the daemon are not played, see `super::play`"),
    (
        "target-fetch-policy stub-prime prefetch-key outbound-msg-retry max-sent-count max-global-quota harden-referral-path \
         harden-large-queries harden-short-bufsize harden-unknown-additional infra-host-ttl infra-cache-min-rtt infra-cache-max-rtt \
         infra-keep-probing infra-lame-ttl infra-cache-lame-size unknown-server-time-limit jostle-timeout fast-server-* low-rtt* \
         prefer-ip4 prefer-ip6 disable-dnssec-lame-check do-not-query-localhost do-not-query-address caps-exempt caps-whitelist \
         use-caps-for-id iter-scrub-* root-hints stub-name",
        "which servers are asked, what for and how often is the resolver's choice; answers are compared",
    ),
    (
        "minimal-responses rrset-roundrobin ede ede-serve-expired deny-any val-clean-additional unblock-lan-zones",
        "what stands beside an answer, or in which order, is not compared",
    ),
    (
        "aggressive-nsec",
        "RFC 8198 §5 lets a resolver use what is proven; the answer is the same, and where the zone has changed meanwhile, within its TTL",
    ),
    ("serve-expired-ttl-reset", "how long after a failed refresh the time is counted anew"),
    ("harden-*", "hardening that we have anyway; what we lack stands above"),
    ("force-ipv6", "Deckard's: which of its addresses the test listens on"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_others_have_names_and_their_defaults_ask_for_nothing() {
        for (option, value, meaning_of_it) in [
            ("nsid", "\"ascii_x\"", Meaning::Feature("NSID")),
            ("rpz", "", Meaning::Feature("RPZ")),
            ("view", "", Meaning::Feature("views and tags")),
            ("access-control-tag-action", "x", Meaning::Feature("views and tags")),
            ("redis-server-host", "x", Meaning::Feature("a cache in an outside database")),
            ("tcp-upstream", "no", Meaning::Nothing),
            ("tcp-upstream", "yes", Meaning::Feature("asking by TCP only")),
            ("do-tcp", "yes", Meaning::Nothing),
            ("do-tcp", "no", Meaning::Feature("asking by UDP only")),
            ("val-max-restart", "5", Meaning::Nothing),
            ("tls-service-key", "x", Meaning::Nothing),
            ("harden-algo-downgrade", "yes", Meaning::Feature("demanding a signature of every algorithm")),
            ("no-such-option", "yes", Meaning::Unknown),
        ] {
            assert_eq!(meaning(option, value), meaning_of_it, "{option}: {value}");
        }
    }
}
