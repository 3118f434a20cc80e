//! The table of all metrics, for people.

use super::{CacheFacts, Family, GuideFacts, Kind, Observed, ProcessFacts, TrustFacts, families, guide_families};
use crate::metrics::{Durations, Metrics};
use crate::publish::{ComparedStatus, FastPathStatus, InterfaceStatus, MapStatus, PublisherStatus, SeenStatus};
use crate::serving::Serving;
use crate::upstream::ServerReport;

/// Every metric that there can be, as a table in Markdown: the text of `packaging/metrics.md`.
pub fn table() -> String {
    let guide = guide_families(&GuideFacts::default());
    format!("{HEAD}{TABLE_HEAD}{}{GUIDE_HEAD}{TABLE_HEAD}{}", rows(&every_family()), rows(&guide))
}

fn rows(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let Family { help, kind, unit, .. } = family;
        let name = match kind {
            Kind::Counter | Kind::Info => family.line_names().concat(),
            Kind::Gauge | Kind::Histogram => family.name.clone(),
        };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        let mut labels: Vec<&str> =
            family.samples.iter().flat_map(|sample| &sample.labels).map(|(name, _)| name.as_str()).collect();
        labels.dedup();
        labels.sort_unstable();
        labels.dedup();
        let (labels, unit) = (labels.join(", "), unit.as_deref().unwrap_or_default());
        text.push_str(&format!("| `{name}` | {kind} | {unit} | {labels} | {help} |\n"));
    }
    text
}

/// Every family, as of a daemon that has everything.
pub fn every_family() -> Vec<Family> {
    let interface = InterfaceStatus { name: "lan0".to_owned(), mode: "native".to_owned(), reason: None };
    let map = MapStatus { name: "BUCKETS".to_owned(), entries: 0, max_entries: 0, memory_bytes: 0 };
    let outcomes = resolver_ebpf::abi::Outcome::ALL.iter();
    let verdicts = resolver_ebpf::abi::CookieVerdict::ALL.iter();
    let fast_path = FastPathStatus {
        interfaces: vec![interface],
        maps: vec![map],
        published: 0,
        publisher: PublisherStatus::default(),
        counters: outcomes.map(|(_, name)| ((*name).to_owned(), 0)).collect(),
        cookies: verdicts.map(|(_, name)| ((*name).to_owned(), 0)).collect(),
        frames: 0,
        logged_rate: [0; 2],
        durations: Durations::default(),
        serving: Serving::On,
        seen: SeenStatus::default(),
        compared: ComparedStatus::default(),
    };
    let address = ([192, 0, 2, 53], 53).into();
    let server = ServerReport {
        address,
        domains: Vec::new(),
        sent: 0,
        failed: 0,
        srtt_us: Some(1),
        rtt: Durations::default(),
        looping: false,
        without_edns: false,
    };
    let process = ProcessFacts {
        cpu_s: Some(0.0),
        resident_bytes: Some(0),
        virtual_bytes: Some(0),
        open_files: Some(0),
        open_files_max: Some(0),
        threads: Some(0),
        started_unix_s: Some(0.0),
    };
    families(&Observed {
        version: "0".to_owned(),
        process,
        counters: Metrics::default().named(),
        extended_errors: vec![(6, "DNSSEC Bogus", 0)],
        cache: CacheFacts::default(),
        servers: vec![server],
        trust: Some(TrustFacts { root_keys_age_s: Some(0), ..TrustFacts::default() }),
        fast_path: Some(fast_path),
        ..Observed::default()
    })
}

const HEAD: &str = "# Metrics\n\n\
    What `resolver metrics` prints and, with `metrics-address`, what is served at `/metrics`.\n\
    Printed by `resolver metrics --describe`; a test holds this page against the code.\n\n";
const GUIDE_HEAD: &str =
    "\nWhat `resolver metrics --textfile FILE` writes for node-exporter, under the names of the guide's script:\n\n";
const TABLE_HEAD: &str = "| name | kind | unit | labels | meaning |\n|---|---|---|---|---|\n";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../packaging/metrics.md");
    const DASHBOARD: &str = include_str!("../../packaging/grafana-dashboard.json");

    #[test]
    fn the_page_of_metrics_is_what_the_code_says() {
        assert!(PAGE == table(), "run `resolver metrics --describe > resolver-user/packaging/metrics.md`");
    }

    #[test]
    fn names_are_well_formed_and_unique() {
        let families = every_family();
        let mut lines = BTreeSet::new();
        for family in &families {
            let name = &family.name;
            assert!(name.starts_with("resolver_") || name.starts_with("process_"), "{name}");
            assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{name}");
            assert!(!name.ends_with("_total") && !name.ends_with("_info") && !name.ends_with("_count"), "{name}");
            assert!(family.help.ends_with('.') && !family.samples.is_empty(), "{name}: {}", family.help);
            assert!(family.line_names().into_iter().all(|line| lines.insert(line)), "{name} is there twice");
        }
        assert!(families.len() > 50, "{}", families.len());
    }

    #[test]
    fn the_dashboard_is_valid_and_uses_only_what_there_is() {
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
        let lines: BTreeSet<String> = every_family().iter().flat_map(Family::line_names).collect();
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
        let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
        let mut used = BTreeSet::new();
        for expression in &expressions {
            let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let ours = |word: &&str| word.starts_with("resolver_") || word.starts_with("process_");
            let named: Vec<&str> = words.filter(ours).collect();
            assert!(!named.is_empty(), "{expression}");
            used.extend(named);
        }
        for name in &used {
            assert!(lines.contains(*name), "the dashboard uses {name}, which there is not");
        }
        assert!(used.len() > 20 && expressions.len() >= panels.len() / 2, "{used:?}");
    }

    #[test]
    fn labels_that_the_dashboard_selects_by_exist_with_these_values() {
        let frames = every_family().into_iter().find(|family| family.name == "resolver_xdp_frames").unwrap();
        for value in ["answered", "pass"] {
            let label = ("outcome".to_owned(), value.to_owned());
            assert!(frames.samples.iter().any(|sample| sample.labels.contains(&label)), "{value}");
        }
        assert!(DASHBOARD.contains(r#"outcome=\"answered\""#) && DASHBOARD.contains(r#"outcome=\"pass\""#));
    }
}
