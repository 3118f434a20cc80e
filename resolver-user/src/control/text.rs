//! Reports as text for people.

use std::fmt::Write;
use std::iter::once;

use super::ClientError;
use super::report::{
    AnchorEntry, CachedEntry, CountsReport, FastPathEntry, FastPathStatus, FlushReport, InterfaceStatus, LimitedEntry,
    NegativeAnchorEntry, RecursionStatus, Request, ServerStatus, ServingReport, StatusReport, TopReport, VerifyFault,
    VerifyReport, WorkReport,
};
use crate::export::{self, Format};

/// The daemon's lines as aligned text.
///
/// # Errors
/// Lines that are not the reports asked for.
pub fn print_reply(request: &Request, lines: &str) -> Result<String, ClientError> {
    let text = match request {
        Request::Status => read::<StatusReport>(lines)?.iter().map(print_status).collect(),
        Request::Metrics => export::text(&read(lines)?, Format::OpenMetrics),
        Request::CacheDump => cache(&read(lines)?),
        Request::FastpathDump => fast_path_entries(&read(lines)?),
        Request::FastpathLimits => limited(&read(lines)?),
        Request::Anchors | Request::ReadAnchors { .. } => anchors(&read(lines)?),
        Request::NegativeAnchors | Request::AddNegativeAnchor { .. } | Request::RemoveNegativeAnchor { .. } => {
            negative_anchors(&read(lines)?)
        }
        Request::FastpathServe { .. } => {
            read::<ServingReport>(lines)?.iter().map(|report| format!("XDP is {}\n", report.serving)).collect()
        }
        Request::Top => read::<TopReport>(lines)?.iter().map(|top| print_status(&top.status)).collect(),
        Request::Clients => read::<CountsReport>(lines)?.iter().map(print_clients).collect(),
        Request::Capture { .. } => String::new(),
        Request::FastpathVerify => read::<VerifyReport>(lines)?.iter().map(verified).collect(),
        Request::FastpathFlush => {
            read::<FlushReport>(lines)?.iter().map(|flush| format!("removed {} answers\n", flush.removed)).collect()
        }
    };
    Ok(text)
}

fn read<T: serde::de::DeserializeOwned>(lines: &str) -> Result<Vec<T>, ClientError> {
    lines.lines().map(|line| serde_json::from_str(line).map_err(|source| ClientError::Reply { source })).collect()
}

/// The state of the daemon as text.
pub fn print_status(status: &StatusReport) -> String {
    let mut rows = vec![
        vec!["version".into(), status.version.clone()],
        vec!["process".into(), status.pid.to_string()],
        vec!["uptime".into(), format!("{} s", status.uptime_s)],
        vec!["dnssec".into(), dnssec(status)],
        vec!["listening".into(), status.listening.join(" ")],
        vec!["cache".into(), kept(status)],
        vec!["local".into(), format!("{} names, {} domains", status.local_names, status.local_domains)],
        vec!["searches".into(), status.searches.to_string()],
    ];
    rows.extend(status.servers.iter().map(|one| vec!["server".into(), server(one)]));
    rows.extend(status.recursion.iter().flat_map(recursion));
    let mut text = table(&rows);
    text.push_str("\ndaemon\n");
    text.push_str(&counters(&status.counters));
    text.push_str("\nwork on behalf of queries\n");
    text.push_str(&work(&status.work));
    match &status.fast_path {
        None => text.push_str("\nXDP: off\n"),
        Some(fast_path) => text.push_str(&fast_path_status(fast_path)),
    }
    text
}

/// What is kept, of how much that may be.
fn kept(status: &StatusReport) -> String {
    let answers = format!("{} of {} answers", status.cache_entries, status.cache_entries_max);
    let beside = status.kept_beside.iter();
    let beside = beside.map(|kept| format!(", {} of {} {}", kept.entries, kept.entries_max, kept.name));
    once(answers).chain(beside).collect()
}

/// A server and how it behaved.
fn server(server: &ServerStatus) -> String {
    let srtt = server.srtt_ms.map_or("-".to_owned(), |srtt_ms| format!("{srtt_ms:.1} ms"));
    let mut text = format!("{}  sent {}  failed {}  srtt {srtt}", server.address, server.sent, server.failed);
    if !server.domains.is_empty() {
        let domains = server.domains.iter().map(|domain| if domain.is_empty() { "(undotted)" } else { domain });
        text = format!("{text}  for {}", domains.collect::<Vec<_>>().join(" "));
    }
    for (is_so, what) in [(server.looping, "left out: loop"), (server.without_edns, "without EDNS")] {
        if is_so {
            text = format!("{text}  {what}");
        }
    }
    text
}

/// What resolving from the root has found, and the servers that were asked most.
fn recursion(recursion: &RecursionStatus) -> Vec<Vec<String>> {
    let RecursionStatus { usual, zones_known, servers_known, servers } = recursion;
    let from = if *usual { "from the root" } else { "stub zones" };
    let head = format!("{from}: {zones_known} zones and {servers_known} servers known");
    let servers = servers.iter().take(AUTHORITIES_SHOWN).map(|one| vec!["authority".into(), server(one)]);
    [vec!["recursion".into(), head]].into_iter().chain(servers).collect()
}

fn dnssec(status: &StatusReport) -> String {
    match (status.dnssec, status.awaits_clock) {
        (false, _) => "off",
        (true, false) => "on",
        (true, true) => "on, but signature times are not checked until the clock is set",
    }
    .to_owned()
}

fn work(kinds: &[WorkReport]) -> String {
    let head = ["", "in all", "most of a query", "limit of a query"].map(str::to_owned).to_vec();
    let rows = kinds.iter().map(|kind| {
        let limit = kind.limit.map_or("-".to_owned(), |limit| limit.to_string());
        vec![kind.name.clone(), kind.total.to_string(), kind.most.to_string(), limit]
    });
    indent(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
}

fn fast_path_status(status: &FastPathStatus) -> String {
    let mut rows = vec![vec!["mode".into(), status.serving.to_string()]];
    rows.extend([vec!["published".into(), format!("{} answers", status.published)]]);
    rows.extend(status.interfaces.iter().map(|interface| vec!["interface".into(), interface_status(interface)]));
    rows.extend(status.maps.iter().map(|map| {
        let memory = map.memory_bytes as f64 / f64::from(1 << 20);
        vec!["map".into(), format!("{}  {} of {}  {memory:.1} MiB", map.name, map.entries, map.max_entries)]
    }));
    let publisher = status.publisher;
    let delay = format!("mean {} µs  longest {} µs", publisher.delay_mean_us, publisher.delay_max_us);
    rows.push(vec!["publishing".into(), delay]);
    let publisher = [
        ("publications", publisher.published),
        ("refused_no_room", publisher.refused_no_room),
        ("refused_bucket_full", publisher.refused_bucket_full),
        ("refused_tag_taken", publisher.refused_tag_taken),
        ("refused_unfit", publisher.refused_unfit),
        ("refused_expired", publisher.refused_expired),
        ("refused_outdated", publisher.refused_outdated),
        ("adopted", publisher.adopted),
        ("adopted_dropped", publisher.adopted_dropped),
        ("adopted_unsound", publisher.adopted_unsound),
        ("evicted_bucket_full", publisher.evicted_bucket),
        ("evicted_length_full", publisher.evicted_length),
        ("evicted_for_other_length", publisher.evicted_block),
        ("retiring", publisher.retiring),
    ];
    let [narrow, wide] = status.logged_rate;
    let logged = [("logged_rate", narrow), ("logged_rate_wide", wide)];
    let publisher: Vec<_> = logged.into_iter().chain(publisher).map(|(name, count)| (name.to_owned(), count)).collect();
    let cookies: Vec<_> = status.cookies.iter().map(|(name, count)| (format!("cookies_{name}"), *count)).collect();
    let frames: u64 = status.counters.iter().map(|(_, count)| count).sum();
    rows.push(vec!["frames".into(), frames.to_string()]);
    let compared = [
        ("compared_equal", status.compared.equal),
        ("compared_differing", status.compared.differing),
        ("compared_not_answered", status.compared.not_answered),
        ("compared_superseded", status.compared.superseded),
        ("compared_skipped", status.compared.skipped),
        ("told_one_by_one", status.seen.told),
        ("lost_one_by_one", status.seen.lost),
    ];
    let compared = compared.map(|(name, count)| (name.to_owned(), count));
    let counted = [&status.counters[..], &cookies, &publisher, &compared].map(counters).concat();
    format!("\nXDP\n{}{counted}", indent(&table(&rows)))
}

fn interface_status(status: &InterfaceStatus) -> String {
    let reason = status.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
    format!("{}  {}{reason}", status.name, status.mode)
}

/// Counters that are not zero.
fn counters(counters: &[(String, u64)]) -> String {
    let counted = counters.iter().filter(|(_, count)| *count > 0);
    let rows: Vec<_> = counted.map(|(name, count)| vec![name.clone(), count.to_string()]).collect();
    indent(&table(&rows))
}

fn cache(entries: &[CachedEntry]) -> String {
    let head = ["name", "type", "status", "rcode", "ttl", "size", "published"].map(str::to_owned).to_vec();
    let rows = entries.iter().map(|entry| {
        vec![
            entry.name.clone(),
            entry.rtype.clone(),
            entry.status.clone(),
            entry.rcode.clone(),
            entry.ttl_s.to_string(),
            entry.size.to_string(),
            entry.published.join(","),
        ]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn anchors(entries: &[AnchorEntry]) -> String {
    let head = ["zone", "tag", "alg", "digest", "trusted", "state", "since", "seen", "verified", "next look", "from"];
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let seconds = |seconds: Option<u64>, word: &str| seconds.map_or("-".to_owned(), |s| format!("{s} s{word}"));
    let rows = entries.iter().map(|entry| {
        let state = entry.state.clone().unwrap_or_else(|| "-".to_owned());
        let until = entry.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
        vec![
            entry.zone.clone(),
            entry.key_tag.to_string(),
            entry.algorithm.to_string(),
            entry.digest_type.to_string(),
            yes(entry.trusted),
            state + &until,
            entry.since.clone().unwrap_or_else(|| "-".to_owned()),
            entry.seen.map_or("-".to_owned(), yes),
            seconds(entry.verified_s_ago, " ago"),
            seconds(entry.next_look_s, ""),
            entry.from.clone(),
        ]
    });
    table(&std::iter::once(head.map(str::to_owned).to_vec()).chain(rows).collect::<Vec<_>>())
}

fn limited(entries: &[LimitedEntry]) -> String {
    let head = ["prefix", "over", "queries", "last"].map(str::to_owned).to_vec();
    let rows = entries.iter().map(|entry| {
        let last = format!("{} s ago", entry.seen_s_ago);
        vec![entry.prefix.clone(), entry.limit.clone(), entry.queries.to_string(), last]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn negative_anchors(entries: &[NegativeAnchorEntry]) -> String {
    let left = |left_s: Option<u64>| left_s.map_or("configured".to_owned(), |left_s| format!("{left_s} s left"));
    table(&entries.iter().map(|entry| vec![entry.name.clone(), left(entry.left_s)]).collect::<Vec<_>>())
}

fn fast_path_entries(entries: &[FastPathEntry]) -> String {
    let head = ["name", "type", "form", "status", "rcode", "ttl", "size", "last used"].map(str::to_owned).to_vec();
    let rows = entries.iter().map(|entry| {
        vec![
            entry.name.clone(),
            entry.rtype.clone(),
            entry.form.clone(),
            entry.status.clone(),
            entry.rcode.clone(),
            entry.ttl_s.to_string(),
            entry.size.to_string(),
            entry.last_used_s_ago.map_or("never".to_owned(), |ago_s| format!("{ago_s} s ago")),
        ]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// Queries by client as text.
pub fn print_clients(report: &CountsReport) -> String {
    let head = ["client", "queries", "error", "xdp", "cache", "upstream", "failed"].map(str::to_owned).to_vec();
    let rows = report.clients.iter().map(|counted| {
        let numbers =
            [counted.queries, counted.error_max, counted.xdp, counted.cache, counted.upstream, counted.failed];
        std::iter::once(counted.client.to_string()).chain(numbers.map(|number| number.to_string())).collect()
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    format!("{}\n{}", print_sampling(report), table(&rows))
}

/// What the counts are made of, as text.
pub fn print_sampling(report: &CountsReport) -> String {
    let half = |name: &str, one_in: u32| match one_in {
        0 => format!("none of {name}"),
        1 => format!("all of {name}"),
        one_in => format!("1 in {one_in} of {name}"),
    };
    let (xdp, daemon) = (half("XDP's answers", report.xdp_one_in), half("the daemon's", report.daemon_one_in));
    format!("counted for {} s: {xdp}, {daemon}; {} queries\n", report.since_s, report.queries)
}

fn verified(report: &VerifyReport) -> String {
    let counts = [
        ("answers in the kernel map", report.entries),
        ("equal to the daemon's", report.equal),
        ("not in the daemon's cache any more, unchanged", report.not_cached),
        ("older than the daemon's, unchanged", report.older),
        ("wrong", report.wrong),
    ];
    let mut text = table(&counts.map(|(what, count)| vec![what.to_owned(), count.to_string()]));
    if !report.faults.is_empty() {
        let row = |fault: &VerifyFault| {
            vec![fault.name.clone(), fault.rtype.clone(), fault.form.clone(), fault.fault.clone()]
        };
        text.push('\n');
        text.push_str(&table(&report.faults.iter().map(row).collect::<Vec<_>>()));
    }
    text
}

/// Rows with their columns aligned on the left, two spaces apart.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _infallible = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Authoritative servers that are shown.
const AUTHORITIES_SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_stands_beside_its_limit() {
        let kind = |name: &str, limit| WorkReport { name: name.to_owned(), total: 70, most: 16, limit };
        let text = work(&[kind("signature_weight", Some(32)), kind("failed_checks", None)]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1..], [["signature_weight", "70", "16", "32"], ["failed_checks", "70", "16", "-"]]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
        assert_eq!(table(&rows), "a     b\nlong  c\n");
    }
}
