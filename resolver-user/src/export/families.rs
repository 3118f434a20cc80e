//! The one place where metrics get their names.

use super::{Family, Kind, ProcessFacts, Value};
use crate::metrics::{Durations, NamedCounter};
use crate::publish::{FastPathStatus, PublisherStatus};
use crate::upstream::ServerReport;

/// Everything that is shown, as numbers.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Version of the program.
    pub version: String,
    /// The process.
    pub process: ProcessFacts,
    /// The daemon's counters, with what they count.
    pub counters: Vec<NamedCounter>,
    /// Outcomes by extended error: code, name, how many.
    pub extended_errors: Vec<(u16, &'static str, u64)>,
    /// How long UDP queries that were answered at once were with the daemon.
    pub hits: Durations,
    /// How long other queries took.
    pub misses: Durations,
    /// The daemon's cache.
    pub cache: CacheFacts,
    /// Questions under work.
    pub searches: u64,
    /// The servers that are asked.
    pub servers: Vec<ServerReport>,
    /// What validation starts from; none if `dnssec` is off.
    pub trust: Option<TrustFacts>,
    /// The kernel half; none if XDP is off.
    pub fast_path: Option<FastPathStatus>,
}

/// The daemon's cache, in answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct CacheFacts {
    /// Kept now.
    pub entries: u64,
    /// Kept at most.
    pub entries_max: u64,
    /// Ever put in.
    pub insertions: u64,
    /// Given up for others.
    pub evictions: u64,
}

/// What validation starts from.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrustFacts {
    /// Anchors with a key.
    pub anchors: u64,
    /// Names at and below which nothing is validated.
    pub negative_anchors: u64,
    /// Time since the root's keys were last found to be signed by an anchor, in seconds; none before the first time.
    pub root_keys_age_s: Option<u64>,
}

/// Counters that are told as one family: what their names begin with, its name, its label, its help, and the rest of
/// their names; all that begin so if none is listed.
const GROUPS: &[(&str, &str, &str, &str, &[&str])] = &[
    ("queries_", "resolver_queries", "transport", "Queries received by the daemon.", &["udp", "tcp"]),
    ("dropped_", "resolver_dropped", "reason", "Packets and messages dropped without an answer, by reason.", &[]),
    ("slipped_", "resolver_slipped", "reason", "Queries answered with TC and nothing else, by reason.", &[]),
    ("logged_", "resolver_logged", "reason", "Queries over a limit that only logs, by reason.", &[]),
    ("refused_", "resolver_refused", "reason", "Queries refused, by reason.", &[]),
    ("cookies_", "resolver_cookies", "verdict", COOKIES, &[]),
    ("outcomes_", "resolver_outcomes", "status", "Outcomes of searches, by status of validation.", &[]),
    (
        "answers_",
        "resolver_answers",
        "rcode",
        "Answers sent by the daemon, by RCODE.",
        &["noerror", "nxdomain", "servfail", "other"],
    ),
];

/// Ends of the buckets that are told, as powers of two in nanoseconds: 64 ns to 65 µs for XDP, 512 ns to 17 ms for hits of
/// the daemon, 65 µs to 17 s for what has to be asked for.
const XDP_LOG2: (u32, u32) = (6, 16);
const HIT_LOG2: (u32, u32) = (9, 24);
const ASKED_LOG2: (u32, u32) = (16, 34);

/// Everything under its names.
pub fn families(observed: &Observed) -> Vec<Family> {
    let version = [("version", observed.version.as_str())];
    let mut all = vec![
        Family::new(Kind::Info, "resolver_build", "The program.").with(&version, Value::Whole(1)),
        one(Kind::Gauge, "resolver_xdp_enabled", XDP_ENABLED, observed.fast_path.is_some().into()),
    ];
    all.extend(grouped(&observed.counters));
    all.push(extended_errors(observed));
    all.push(durations("resolver_hit_duration_seconds", HIT_DURATION, HIT_LOG2, observed.hits));
    all.push(durations("resolver_miss_duration_seconds", MISS_DURATION, ASKED_LOG2, observed.misses));
    all.extend(cache(observed));
    all.extend(servers(&observed.servers));
    all.extend(observed.trust.iter().flat_map(trust));
    all.extend(observed.fast_path.iter().flat_map(fast_path));
    all.extend(process(&observed.process));
    all
}

/// The daemon's counters: those of a group as one family, each other one as a family of its own.
fn grouped(counters: &[NamedCounter]) -> Vec<Family> {
    let mut all: Vec<Family> = Vec::new();
    for counter in counters {
        let group = GROUPS.iter().find_map(|(start, family, label, help, members)| {
            let rest = counter.name.strip_prefix(start)?;
            (members.is_empty() || members.contains(&rest)).then_some((*family, *label, *help, rest))
        });
        let Some((name, label, help, rest)) = group else {
            let name = format!("resolver_{}", counter.name);
            all.push(one(Kind::Counter, &name, &counter.help, counter.value));
            continue;
        };
        let at = all.iter().position(|family| family.name == name);
        let family = at.map_or_else(|| Family::new(Kind::Counter, name, help), |at| all.remove(at));
        all.push(family.with(&[(label, rest)], Value::Whole(counter.value)));
    }
    all
}

fn extended_errors(observed: &Observed) -> Family {
    let family = Family::new(Kind::Counter, "resolver_outcome_extended_errors", EXTENDED_ERRORS);
    observed.extended_errors.iter().fold(family, |family, (code, name, count)| {
        family.with(&[("code", &code.to_string()), ("name", name)], Value::Whole(*count))
    })
}

fn cache(observed: &Observed) -> Vec<Family> {
    let CacheFacts { entries, entries_max, insertions, evictions } = observed.cache;
    vec![
        one(Kind::Gauge, "resolver_cache_entries", "Answers in the daemon's cache.", entries),
        one(Kind::Gauge, "resolver_cache_entries_max", "Answers that the daemon's cache may hold.", entries_max),
        one(Kind::Counter, "resolver_cache_insertions", "Answers put into the daemon's cache.", insertions),
        one(Kind::Counter, "resolver_cache_evictions", "Answers given up to make room for others.", evictions),
        one(Kind::Gauge, "resolver_searches", "Questions that are being worked on.", observed.searches),
    ]
}

fn servers(servers: &[ServerReport]) -> Vec<Family> {
    let mut sent = Family::new(Kind::Counter, "resolver_upstream_server_queries", "Queries sent, by server.");
    let mut failed = Family::new(Kind::Counter, "resolver_upstream_server_failures", SERVER_FAILURES);
    let mut srtt = Family::new(Kind::Gauge, "resolver_upstream_server_srtt_seconds", SERVER_SRTT);
    let mut rtt = Family::new(Kind::Histogram, "resolver_upstream_server_rtt_seconds", SERVER_RTT);
    // The same server may be configured for several domains.
    let mut told: Vec<String> = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let address = server.address.to_string();
        let number = number.to_string();
        let unique = if told.contains(&address) { number.as_str() } else { "" };
        let labels: &[(&str, &str)] = &[("server", &address), ("number", unique)];
        let labels = if unique.is_empty() { &labels[..1] } else { labels };
        sent = sent.with(labels, Value::Whole(server.sent));
        failed = failed.with(labels, Value::Whole(server.failed));
        if let Some(srtt_us) = server.srtt_us {
            srtt = srtt.with(labels, Value::Fraction(f64::from(srtt_us) / 1e6));
        }
        rtt = rtt.with(labels, ranged(server.rtt, ASKED_LOG2));
        told.push(address);
    }
    vec![sent, failed, srtt, rtt]
}

fn trust(trust: &TrustFacts) -> Vec<Family> {
    let anchors = Family::new(Kind::Gauge, "resolver_trust_anchors", "Trust anchors by kind: with a key, or negative.")
        .with(&[("kind", "key")], Value::Whole(trust.anchors))
        .with(&[("kind", "negative")], Value::Whole(trust.negative_anchors));
    let age = Family::new(Kind::Gauge, "resolver_root_keys_age_seconds", ROOT_KEYS_AGE);
    let age = trust.root_keys_age_s.into_iter().fold(age, |age, age_s| age.with(&[], Value::Whole(age_s)));
    vec![anchors, age]
}

fn fast_path(status: &FastPathStatus) -> Vec<Family> {
    let mut frames = Family::new(Kind::Counter, "resolver_xdp_frames", XDP_FRAMES);
    for (name, count) in &status.counters {
        let (outcome, reason) = name.split_once('_').unwrap_or((name, ""));
        frames = frames.with(&[("outcome", outcome), ("reason", reason)], Value::Whole(*count));
    }
    let logged = [("rate", 0), ("rate_wide", 1)];
    let logged =
        logged.iter().fold(Family::new(Kind::Counter, "resolver_xdp_logged", XDP_LOGGED), |family, (reason, level)| {
            family
                .with(&[("reason", reason)], Value::Whole(status.logged_rate.get(*level).copied().unwrap_or_default()))
        });
    let cookies = Family::new(Kind::Counter, "resolver_xdp_cookies", XDP_COOKIES);
    let cookies = status
        .cookies
        .iter()
        .fold(cookies, |family, (verdict, count)| family.with(&[("verdict", verdict)], Value::Whole(*count)));
    let mut attached = Family::new(Kind::Gauge, "resolver_xdp_attached", ATTACHED);
    for interface in &status.interfaces {
        attached = attached.with(
            &[("interface", &interface.name), ("mode", &interface.mode)],
            Value::Whole(u64::from(interface.mode != "none")),
        );
    }
    let publisher = status.publisher;
    let [refused, evicted] = not_published(&publisher);
    let delay = |name, help, delay_us: u64| {
        Family::new(Kind::Gauge, name, help).with(&[], Value::Fraction(delay_us as f64 / 1e6))
    };
    let mut all = vec![
        frames,
        logged,
        cookies,
        one(Kind::Counter, "resolver_xdp_seen_frames", XDP_SEEN_FRAMES, status.frames),
        durations("resolver_xdp_answer_duration_seconds", XDP_DURATION, XDP_LOG2, status.durations),
        one(Kind::Gauge, "resolver_xdp_published_answers", "Answers that XDP can give.", status.published),
        one(Kind::Counter, "resolver_xdp_publications", "Answers published.", publisher.published),
        refused,
        evicted,
        one(Kind::Gauge, "resolver_xdp_adopted_answers", XDP_ADOPTED, publisher.adopted),
        one(Kind::Gauge, "resolver_xdp_disinherited_answers", XDP_DISINHERITED, publisher.adopted_dropped),
        one(Kind::Gauge, "resolver_xdp_unsound_answers", XDP_UNSOUND, publisher.adopted_unsound),
        one(Kind::Gauge, "resolver_xdp_retiring_slots", XDP_RETIRING, publisher.retiring),
        delay("resolver_xdp_publication_delay_mean_seconds", XDP_DELAY_MEAN, publisher.delay_mean_us),
        delay("resolver_xdp_publication_delay_max_seconds", XDP_DELAY_MAX, publisher.delay_max_us),
        attached,
    ];
    all.extend(maps(status));
    all.extend(compared(status));
    all.push(one(Kind::Counter, "resolver_xdp_told_answers", XDP_TOLD, status.seen.told));
    all.push(one(Kind::Counter, "resolver_xdp_lost_answers", XDP_LOST, status.seen.lost));
    all
}

/// What the maps have room for, and what is in them.
fn maps(status: &FastPathStatus) -> [Family; 3] {
    let mut maps = [
        Family::new(Kind::Gauge, "resolver_xdp_map_entries", "Entries or elements in use, by map."),
        Family::new(Kind::Gauge, "resolver_xdp_map_entries_max", "Entries or elements that there are, by map."),
        Family::new(Kind::Gauge, "resolver_xdp_map_memory_bytes", "Memory of the map, used or not."),
    ];
    for map in &status.maps {
        let values = [map.entries, map.max_entries, map.memory_bytes];
        maps = std::array::from_fn(|at| maps[at].clone().with(&[("map", &map.name)], Value::Whole(values[at])));
    }
    maps
}

/// Answers that were not published, and those that made room.
fn not_published(publisher: &PublisherStatus) -> [Family; 2] {
    let refused = [
        ("no_room", publisher.refused_no_room),
        ("bucket_full", publisher.refused_bucket_full),
        ("tag_taken", publisher.refused_tag_taken),
        ("unfit", publisher.refused_unfit),
        ("expired", publisher.refused_expired),
        ("outdated", publisher.refused_outdated),
    ];
    let family = Family::new(Kind::Counter, "resolver_xdp_publications_refused", "Answers not published, by reason.");
    let refused =
        refused.iter().fold(family, |family, (reason, count)| family.with(&[("reason", reason)], Value::Whole(*count)));
    let evicted = [
        ("bucket", publisher.evicted_bucket),
        ("slot_length", publisher.evicted_length),
        ("other_length", publisher.evicted_block),
    ];
    let family = Family::new(Kind::Counter, "resolver_xdp_evictions", XDP_EVICTIONS);
    let evicted =
        evicted.iter().fold(family, |family, (full, count)| family.with(&[("full", full)], Value::Whole(*count)));
    [refused, evicted]
}

/// Whether XDP answers, and what came of comparing answers in dry-run mode.
fn compared(status: &FastPathStatus) -> [Family; 2] {
    let mode = status.serving.to_string();
    let results = [
        ("equal", status.compared.equal),
        ("differing", status.compared.differing),
        ("not_answered", status.compared.not_answered),
        ("superseded", status.compared.superseded),
        ("skipped", status.compared.skipped),
    ];
    let family = Family::new(Kind::Counter, "resolver_xdp_compared_answers", XDP_COMPARED);
    let compared =
        results.iter().fold(family, |family, (result, count)| family.with(&[("result", result)], Value::Whole(*count)));
    let serving = Family::new(Kind::Gauge, "resolver_xdp_mode", "Whether XDP answers: on, off or dry-run.");
    [serving.with(&[("mode", &mode)], Value::Whole(1)), compared]
}

/// Under the names of Prometheus' own libraries, which every dashboard knows.
fn process(process: &ProcessFacts) -> Vec<Family> {
    let whole = |value: Option<u64>| value.map(Value::Whole);
    let fraction = |value: Option<f64>| value.map(Value::Fraction);
    let all = [
        (Kind::Counter, "process_cpu_seconds", "CPU time used.", fraction(process.cpu_s)),
        (Kind::Gauge, "process_resident_memory_bytes", "Memory in use.", whole(process.resident_bytes)),
        (Kind::Gauge, "process_virtual_memory_bytes", "Address space in use.", whole(process.virtual_bytes)),
        (Kind::Gauge, "process_open_fds", "Open files.", whole(process.open_files)),
        (Kind::Gauge, "process_max_fds", "Files that may be open.", whole(process.open_files_max)),
        (Kind::Gauge, "process_threads", "Threads.", whole(process.threads)),
        (Kind::Gauge, "process_start_time_seconds", PROCESS_STARTED, fraction(process.started_unix_s)),
    ];
    let family = |(kind, name, help, value): (Kind, &str, &str, Option<Value>)| {
        Some(Family::new(kind, name, help).with(&[], value?))
    };
    all.into_iter().filter_map(family).collect()
}

/// A family of one whole number.
fn one(kind: Kind, name: &str, help: &str, value: u64) -> Family {
    Family::new(kind, name, help).with(&[], Value::Whole(value))
}

/// A family of one histogram.
fn durations(name: &str, help: &str, log2: (u32, u32), durations: Durations) -> Family {
    Family::new(Kind::Histogram, name, help).with(&[], ranged(durations, log2))
}

fn ranged(durations: Durations, (first_log2, last_log2): (u32, u32)) -> Value {
    Value::Durations { durations: Box::new(durations), first_log2, last_log2 }
}

const XDP_ENABLED: &str = "Whether the kernel half is loaded.";
const HIT_DURATION: &str = "Time that UDP queries which the daemon answered at once spent with it, measured by batch: \
                            from receiving the batch until its answers were handed to the kernel.";
const MISS_DURATION: &str = "Time from taking up a query whose answer had to be found until that was done.";
const EXTENDED_ERRORS: &str = "Outcomes of searches by extended error (RFC 8914). Most outcomes have none.";
const SERVER_FAILURES: &str = "Queries that got no usable reply, by server.";
const SERVER_SRTT: &str = "Smoothed round-trip time, by server.";
const SERVER_RTT: &str = "Time until a server's reply, TCP included where the reply by UDP was truncated.";
const ROOT_KEYS_AGE: &str = "Time since the root's keys were last found to be signed by an anchor.";
const ATTACHED: &str = "Interfaces that the program is on (1), or should be and is not (0, mode none).";
const XDP_FRAMES: &str = "Frames seen by XDP, by outcome: answered (reason: status of the answer), passed on, dropped or \
                          answered with TC alone, and why.";
const COOKIES: &str = "Queries to the daemon with DNS cookies, by what the server cookie was worth.";
const XDP_COOKIES: &str = "Answers of XDP with DNS cookies, by what the query's server cookie was worth.";
const XDP_SEEN_FRAMES: &str = "Frames seen by XDP, counted on their own: the sum over all outcomes.";
const XDP_LOGGED: &str = "Answers of XDP over a limit that only logs (`rate-limit-log-only`).";
const XDP_DURATION: &str = "Time that XDP took to answer, of one in 64 frames.";
const XDP_EVICTIONS: &str = "Published answers that had to go before their time, by what was full.";
const XDP_ADOPTED: &str = "Answers taken over at the start from the daemon before.";
const XDP_DISINHERITED: &str = "Answers of the daemon before that were withdrawn at the start.";
const XDP_UNSOUND: &str = "Entries of the daemon before that were not in order, and were cleared at the start.";
const XDP_RETIRING: &str = "Slots of the kernel map that wait for running programs to end.";
const XDP_DELAY_MEAN: &str = "Mean time from a client's answer to its publication.";
const XDP_DELAY_MAX: &str = "Longest time from a client's answer to its publication.";
const XDP_TOLD: &str = "Answers of XDP that it told the daemon of, for the query log, counts and captures.";
const XDP_LOST: &str = "Answers of XDP that it could not tell the daemon of, because the ring was full.";
const XDP_COMPARED: &str =
    "Answers of the daemon by what came of comparing them with what XDP would have sent, in dry-run mode.";
const PROCESS_STARTED: &str = "When the process started, in seconds since 1970.";

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(name: &'static str, value: u64) -> NamedCounter {
        NamedCounter { name, help: format!("Help of {name}."), value }
    }

    #[test]
    fn counters_of_a_group_are_one_family_and_others_keep_their_names() {
        let counters = [
            counter("refused_class", 1),
            counter("answers_noerror", 5),
            counter("answers_local", 2),
            counter("refused_x", 3),
        ];
        let all = grouped(&counters);
        let told: Vec<(&str, usize)> = all.iter().map(|family| (family.name.as_str(), family.samples.len())).collect();
        assert_eq!(told, [("resolver_answers", 1), ("resolver_answers_local", 1), ("resolver_refused", 2)]);
        assert_eq!(all[2].samples[1].labels, [("reason".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn a_server_that_is_configured_twice_is_told_apart() {
        let server = ServerReport {
            address: "192.0.2.1:53".parse().unwrap(),
            sent: 1,
            failed: 0,
            srtt_us: None,
            rtt: Durations::default(),
            domains: Vec::new(),
            looping: false,
            without_edns: false,
        };
        let sent = servers(&[server.clone(), server]).remove(0);
        assert_ne!(sent.samples[0].labels, sent.samples[1].labels);
    }
}
