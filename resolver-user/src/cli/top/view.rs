//! What `resolver top` shows: rates from two reports, and how they are laid out.

use std::time::Duration;

use serde::Serialize;

use crate::control::print_sampling;
use crate::control::report::{ClientCount, CountsReport, ServerStatus, StatusReport, TopReport};

/// Everything that is shown of an interval.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    /// Length of the interval, in seconds.
    interval_s: f64,
    /// Whether XDP answers: `on`, `off`, `dry-run`; `none` if there is no XDP.
    xdp: String,
    /// Queries answered by XDP, in a second.
    xdp_per_s: f64,
    /// Queries that came to the daemon, in a second.
    daemon_per_s: f64,
    /// Share of all queries that XDP has answered: 0 to 1; none if there were no queries.
    xdp_share: Option<f64>,
    /// Answers of XDP and the daemon's work, by outcome, in a second.
    outcomes: Vec<Rate>,
    /// Frames that XDP passed on, by reason, in a second.
    passed: Vec<Rate>,
    /// Servers, slowest first.
    servers: Vec<Server>,
    /// Answers that XDP could not tell of, in a second.
    lost_per_s: f64,
    /// The most frequent names and clients.
    counts: CountsReport,
}

/// How often something happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Rate {
    name: String,
    per_s: f64,
}

/// A server that is asked.
#[derive(Clone, Debug, Serialize)]
struct Server {
    address: String,
    srtt_ms: Option<f64>,
    sent_per_s: f64,
    failed_per_s: f64,
}

/// The daemon's counters that say what became of a query.
const DAEMON_OUTCOMES: [&str; 8] = [
    "cache_hits",
    "cache_stale_hits",
    "cache_misses",
    "local_answers",
    "answers_servfail",
    "truncated_answers",
    "refused_client",
    "refused_overload",
];

impl View {
    /// What happened between two reports.
    pub(super) fn new(before: &TopReport, after: &TopReport, interval: Duration) -> Self {
        let interval_s = interval.as_secs_f64().max(0.001);
        let per_s = |before: u64, after: u64| after.saturating_sub(before) as f64 / interval_s;
        let rates = |before: &[(String, u64)], after: &[(String, u64)]| -> Vec<Rate> {
            let rate = |(name, count): &(String, u64)| Rate {
                name: name.clone(),
                per_s: per_s(counter(before, name).unwrap_or(*count), *count),
            };
            after.iter().map(rate).collect()
        };
        let (xdp_before, xdp_after) = (&before.status.fast_path, &after.status.fast_path);
        let frames = match (xdp_before, xdp_after) {
            (Some(before), Some(after)) => rates(&before.counters, &after.counters),
            _ => Vec::new(),
        };
        let by_daemon = rates(&before.status.counters, &after.status.counters);
        let (answered, passed): (Vec<Rate>, Vec<Rate>) =
            frames.into_iter().partition(|rate| rate.name.starts_with("answered"));
        let xdp_per_s = answered.iter().map(|rate| rate.per_s).sum();
        let is_query = |rate: &&Rate| ["queries_udp", "queries_tcp"].contains(&rate.name.as_str());
        let daemon_per_s: f64 = by_daemon.iter().filter(is_query).map(|rate| rate.per_s).sum();
        let all_per_s: f64 = xdp_per_s + daemon_per_s;
        let told = |rate: &Rate| DAEMON_OUTCOMES.contains(&rate.name.as_str());
        let answered = answered.into_iter().map(|rate| Rate { name: format!("xdp_{}", rate.name), ..rate });
        let lost = |xdp: &StatusReport| xdp.fast_path.as_ref().map_or(0, |xdp| xdp.seen.lost);
        Self {
            interval_s,
            xdp: xdp_after.as_ref().map_or("none".to_owned(), |xdp| xdp.serving.to_string()),
            xdp_per_s,
            daemon_per_s,
            xdp_share: (all_per_s > 0.0).then(|| xdp_per_s / all_per_s),
            outcomes: answered.chain(by_daemon.into_iter().filter(told)).collect(),
            passed: by_rate(passed),
            servers: servers(&before.status.servers, &after.status.servers, per_s),
            lost_per_s: per_s(lost(&before.status), lost(&after.status)),
            counts: after.counts.clone(),
        }
    }

    /// As text that fits so many columns and lines.
    pub(super) fn text(&self, (columns, lines): (usize, usize)) -> String {
        let share = self.xdp_share.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share));
        let (xdp, daemon) = (number(self.xdp_per_s), number(self.daemon_per_s));
        let mut text = vec![
            format!(
                "resolver top   XDP {}   queries/s: {xdp} by XDP, {daemon} by the daemon   share of XDP {share}",
                self.xdp
            ),
            print_sampling(&self.counts).trim_end().to_owned() + &self.loss(),
            String::new(),
        ];
        let half = columns / 2;
        // Three rows of two blocks, each with a heading and an empty line.
        let height = (lines.saturating_sub(text.len() + 6) / 3).max(2);
        let blocks = [
            (block("by outcome, per second", rate_rows(&self.outcomes), height), self.names(height)),
            (block("passed by XDP, per second", rate_rows(&self.passed), height), self.clients(height)),
            (self.slowest(height), Vec::new()),
        ];
        for (left, right) in blocks {
            for number in 0..left.len().max(right.len()) {
                let cell = |block: &[String]| block.get(number).cloned().unwrap_or_default();
                text.push(format!("{:<half$}{}", cut(&cell(&left), half.saturating_sub(2)), cell(&right)));
            }
            text.push(String::new());
        }
        let mut shown = String::new();
        for line in text.iter().take(lines.saturating_sub(1)) {
            shown.push_str(cut(line, columns).trim_end());
            shown.push('\n');
        }
        shown
    }

    fn loss(&self) -> String {
        if self.lost_per_s > 0.0 { format!("; {} lost per second", number(self.lost_per_s)) } else { String::new() }
    }

    fn names(&self, height: usize) -> Vec<String> {
        let rows = self.counts.names.iter();
        let rows =
            rows.map(|name| format!("{:>9}  {} {}", estimate(name.queries, name.error_max), name.name, name.rtype));
        block("hottest names", rows.collect(), height)
    }

    fn clients(&self, height: usize) -> Vec<String> {
        let row =
            |client: &ClientCount| format!("{:>9}  {}", estimate(client.queries, client.error_max), client.client);
        block("busiest clients", self.counts.clients.iter().map(row).collect(), height)
    }

    fn slowest(&self, height: usize) -> Vec<String> {
        let row = |server: &Server| {
            let srtt = server.srtt_ms.map_or("-".to_owned(), |srtt_ms| format!("{srtt_ms:.1} ms"));
            let (sent, failed) = (number(server.sent_per_s), number(server.failed_per_s));
            format!("{srtt:>9}  {sent:>6}/s sent  {failed:>6}/s failed  {}", server.address)
        };
        block("slowest servers", self.servers.iter().map(row).collect(), height)
    }
}

/// A count, with a mark if it may be too high.
fn estimate(count: u64, error_max: u64) -> String {
    if error_max == 0 { count.to_string() } else { format!("≤{count}") }
}

fn servers(before: &[ServerStatus], after: &[ServerStatus], per_s: impl Fn(u64, u64) -> f64) -> Vec<Server> {
    let server = |server: &ServerStatus| {
        let old = before.iter().find(|old| old.address == server.address && old.domains == server.domains);
        let (sent, failed) = old.map_or((server.sent, server.failed), |old| (old.sent, old.failed));
        Server {
            address: server.address.clone(),
            srtt_ms: server.srtt_ms,
            sent_per_s: per_s(sent, server.sent),
            failed_per_s: per_s(failed, server.failed),
        }
    };
    let mut servers: Vec<Server> = after.iter().map(server).collect();
    servers.sort_by(|a, b| b.srtt_ms.unwrap_or(-1.0).total_cmp(&a.srtt_ms.unwrap_or(-1.0)));
    servers
}

/// Those that happen, most frequent first.
fn by_rate(mut rates: Vec<Rate>) -> Vec<Rate> {
    rates.retain(|rate| rate.per_s > 0.0);
    rates.sort_by(|a, b| b.per_s.total_cmp(&a.per_s));
    rates
}

fn rate_rows(rates: &[Rate]) -> Vec<String> {
    rates.iter().map(|rate| format!("{:>9}  {}", number(rate.per_s), rate.name)).collect()
}

/// A heading with some rows.
fn block(heading: &str, rows: Vec<String>, height: usize) -> Vec<String> {
    std::iter::once(heading.to_owned()).chain(rows.into_iter().take(height)).collect()
}

/// A rate with three significant digits or so.
fn number(per_s: f64) -> String {
    match per_s {
        large if large >= 1e6 => format!("{:.2}M", large / 1e6),
        large if large >= 1e4 => format!("{:.1}k", large / 1e3),
        small if small == 0.0 || small >= 10.0 => format!("{small:.0}"),
        small => format!("{small:.1}"),
    }
}

/// The first characters of a line.
fn cut(line: &str, columns: usize) -> &str {
    line.char_indices().nth(columns).map_or(line, |(at, _)| &line[..at])
}

fn counter(counters: &[(String, u64)], name: &str) -> Option<u64> {
    counters.iter().find(|(known, _)| known == name).map(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::report::NameCount;

    fn report(queries: u64, hits: u64, sent: u64) -> TopReport {
        let server = |address: &str, srtt_ms| ServerStatus {
            address: address.to_owned(),
            domains: Vec::new(),
            looping: false,
            without_edns: false,
            sent,
            failed: 0,
            srtt_ms,
        };
        let name = NameCount { name: "www.test.".into(), rtype: "A".into(), queries: 640, error_max: 64 };
        let counters = [("queries_udp", queries), ("cache_hits", hits)].map(|(name, count)| (name.to_owned(), count));
        TopReport {
            status: StatusReport {
                recursion: None,
                version: String::new(),
                pid: 1,
                uptime_s: 1,
                dnssec: true,
                dnssec_options: Vec::new(),
                awaits_clock: false,
                work: Vec::new(),
                listening: Vec::new(),
                servers: vec![
                    server("192.0.2.1:53", Some(2.0)),
                    server("192.0.2.2:53", None),
                    server("192.0.2.3:53", Some(30.0)),
                ],
                server_options: Vec::new(),
                cache_entries: 0,
                cache_entries_max: 0,
                kept_beside: Vec::new(),
                local_names: 0,
                local_domains: 0,
                searches: 0,
                counters: counters.to_vec(),
                fast_path: None,
            },
            counts: CountsReport { daemon_one_in: 64, names: vec![name], queries: 700, ..CountsReport::default() },
        }
    }

    #[test]
    fn rates_are_what_happened_in_the_time_between() {
        let view = View::new(&report(1000, 100, 7), &report(3000, 150, 9), Duration::from_millis(500));
        assert_eq!((view.daemon_per_s, view.xdp_per_s, view.xdp_share), (4000.0, 0.0, Some(0.0)));
        assert_eq!(view.outcomes, [Rate { name: "cache_hits".into(), per_s: 100.0 }]);
        let slowest: Vec<(&str, f64)> = view.servers.iter().map(|s| (s.address.as_str(), s.sent_per_s)).collect();
        assert_eq!(slowest, [("192.0.2.3:53", 4.0), ("192.0.2.1:53", 4.0), ("192.0.2.2:53", 4.0)]);
    }

    #[test]
    fn a_view_fits_its_screen_and_tells_its_sampling() {
        let view = View::new(&report(1, 1, 1), &report(50_001, 1, 1), Duration::from_secs(1));
        for (columns, lines) in [(80, 24), (120, 60), (40, 10), (10, 3), (0, 0)] {
            let text = view.text((columns, lines));
            assert!(text.lines().count() < lines.max(1), "{columns} × {lines}:\n{text}");
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns} × {lines}:\n{text}");
        }
        let text = view.text((200, 60));
        for part in ["50.0k by the daemon", "1 in 64 of the daemon's", "≤640  www.test. A", "30.0 ms", "hottest names"]
        {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }
}
