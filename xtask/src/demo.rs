//! `cargo xtask demo`: the main job on real packets, with every expectation checked.
//!
//! Builds both halves, raises the lab, runs the daemon in the lab's resolver namespace, asks it with dig from the client's
//! namespace, and shows for each question which half answered, what, and how fast. Fails if anything was not as expected.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::Value;

use crate::{
    build,
    command::{Failure, Tool, write},
    lab::{
        self,
        facts::{Facts, Question, Reply, ZoneFacts},
    },
    paths,
};

/// Words after `cargo xtask demo`.
#[derive(Args)]
pub struct Options {
    /// Keep the lab and the daemon until Enter is pressed, to try things by hand
    #[arg(long)]
    hold: bool,
}

/// Where the demo's daemon pins its maps: the daemon's own default, so that what the README says can be tried.
const PIN_DIR: &str = "/sys/fs/bpf/resolver";
/// Longest wait for the daemon to come up or to publish.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the verb.
///
/// # Errors
/// Something could not be built or raised, or an expectation did not hold.
pub fn run(options: &Options) -> Result<(), Failure> {
    build::run()?;
    let lab = lab::Guard::up(lab::Switch::On)?;
    let daemon = Daemon::start(&lab.facts)?;
    let mut show = Show { facts: &lab.facts, daemon: &daemon, broken: Vec::new() };
    show.questions()?;
    show.ttl()?;
    show.maps()?;
    let broken = std::mem::take(&mut show.broken);
    if options.hold {
        hold(&lab.facts)?;
    }
    drop(daemon);
    if broken.is_empty() {
        println!("\nEvery expectation held.");
        Ok(())
    } else {
        Err(Failure::Expectations { broken })
    }
}

/// The daemon under demonstration. Dropping it stops it as an operator would.
struct Daemon {
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(facts: &Facts) -> Result<Self, Failure> {
        let folder = paths::target().join("demo");
        let (config, socket) = (folder.join("resolver.conf"), folder.join("control.sock"));
        let at = &facts.resolver.interfaces[0];
        let mut text = String::from("# Written by `cargo xtask demo`.\nno-resolv\ndnssec\nxdp=auto\n");
        for upstream in &facts.upstreams {
            text += &format!("server={}#{}\n", upstream.ipv4, upstream.port);
        }
        text += &format!("listen-address={},{}\n", at.ipv4, at.ipv6);
        text += &format!("xdp-interface={}\nxdp-pin-dir={PIN_DIR}\n", at.name);
        text += &format!("trust-anchors-file={}\n", facts.trust_anchors_file);
        text += &format!("control-socket={}\n", socket.display());
        write(&config, &text)?;
        println!("\nThe daemon's configuration:\n");
        text.lines().for_each(|line| println!("    {line}"));
        let command = Tool::new("nsenter")
            .arg(format!("--net={}", facts.resolver.path))
            .arg(paths::resolver())
            .args(["run", "--conf-file"])
            .arg(&config);
        let (line, mut command) = command.announced();
        let log = folder.join("resolver.log");
        let file = std::fs::File::create(&log).map_err(|source| Failure::File { path: log.clone(), source })?;
        let process = command.stdin(Stdio::null()).stderr(file).spawn();
        let process = process.map_err(|source| Failure::Start { command: line.clone(), source })?;
        let mut daemon = Self { process, socket };
        let deadline = Instant::now() + PATIENCE;
        while daemon.status().is_err() {
            if let Ok(Some(status)) = daemon.process.try_wait() {
                let output = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(Failure::Status { command: line, status, output });
            }
            if Instant::now() > deadline {
                return Err(Failure::TimedOut { command: line, limit_s: PATIENCE.as_secs() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    fn ask(&self, words: &[&str]) -> Tool {
        Tool::new(paths::resolver()).args(words).arg("--control-socket").arg(&self.socket)
    }

    fn status(&self) -> Result<Value, Failure> {
        let text = self.ask(&["status", "--json"]).quiet_output()?;
        serde_json::from_str(&text).map_err(|_| Failure::Unreadable { tool: "resolver status", said: text })
    }

    /// Queries answered by XDP so far.
    fn answered_by_xdp(&self) -> Result<u64, Failure> {
        let status = self.status()?;
        let counters = &status["fast_path"]["counters"];
        let counters = counters.as_array().map(Vec::as_slice).unwrap_or_default();
        let answered =
            counters.iter().filter(|pair| pair[0].as_str().is_some_and(|name| name.starts_with("answered_")));
        Ok(answered.filter_map(|pair| pair[1].as_u64()).sum())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let stopped = Command::new("kill").arg(self.process.id().to_string()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            // It is our own child and not waited for yet, so the number is still its own.
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// One reply as dig prints it.
struct Seen {
    by_xdp: bool,
    rcode: String,
    flags: String,
    extended_error: String,
    ttl_s: Option<u32>,
    time_us: u64,
}

struct Show<'a> {
    facts: &'a Facts,
    daemon: &'a Daemon,
    broken: Vec<String>,
}

impl Show<'_> {
    /// Asks the telling questions twice each and prints the table.
    fn questions(&mut self) -> Result<(), Failure> {
        println!(
            "\n{:<34} {:<6} {:<4} {:<6} {:<9} {:<16} {:>9}  extended error",
            "query", "type", "DO", "by", "rcode", "flags", "time"
        );
        for (index, (zone, question)) in telling_questions(self.facts).into_iter().enumerate() {
            // RSA signatures and signed denials are longer than a veth lets a packet of a local socket grow.
            let is_short = question.reply == Reply::Answer && !matches!(zone.algorithm, Some(5..=10));
            let dnssec_ok = index % 2 == 1 && is_short;
            let ipv6 = index % 3 == 2;
            let first = self.row(question, dnssec_ok, ipv6)?;
            let again = self.row_once_published(question, dnssec_ok, ipv6)?;
            self.expect(question, &first, &again);
        }
        Ok(())
    }

    /// Asks, prints a row, and returns what was seen.
    fn row(&self, question: &Question, dnssec_ok: bool, ipv6: bool) -> Result<Seen, Failure> {
        let seen = self.dig(question, dnssec_ok, ipv6)?;
        print_row(question, dnssec_ok, &seen);
        Ok(seen)
    }

    /// Asks again. Publishing follows the answer by less than 2 ms, so a second question may come too early: only then a
    /// third is asked.
    fn row_once_published(&self, question: &Question, dnssec_ok: bool, ipv6: bool) -> Result<Seen, Failure> {
        let seen = self.dig(question, dnssec_ok, ipv6)?;
        let seen = if seen.by_xdp || question.status == "bogus" { seen } else { self.dig(question, dnssec_ok, ipv6)? };
        print_row(question, dnssec_ok, &seen);
        Ok(seen)
    }

    fn dig(&self, question: &Question, dnssec_ok: bool, ipv6: bool) -> Result<Seen, Failure> {
        let at = &self.facts.resolver.interfaces[0];
        let server = if ipv6 { at.ipv6.to_string() } else { at.ipv4.to_string() };
        let before = self.daemon.answered_by_xdp()?;
        let tool = Tool::new("nsenter").arg(format!("--net={}", self.facts.client.path));
        let tool = tool.args(["dig", "-u", "+tries=1", "+time=5", if dnssec_ok { "+dnssec" } else { "+adflag" }]);
        let text = tool.args([&format!("@{server}"), &question.qname, &question.qtype]).quiet_output()?;
        let by_xdp = self.daemon.answered_by_xdp()? > before;
        let seen = read_dig(&text, by_xdp);
        seen.ok_or(Failure::Unreadable { tool: "dig", said: text })
    }

    /// Holds what was seen against what the lab says.
    fn expect(&mut self, question: &Question, first: &Seen, again: &Seen) {
        let mut demand = |holds: bool, claim: &str| {
            if !holds {
                self.broken.push(format!("{} {}: {claim}", question.qname, question.qtype));
            }
        };
        let sound = question.status != "bogus";
        demand(!first.by_xdp, "first answer comes from the daemon");
        demand(again.by_xdp == sound, if sound { "second answer comes from XDP" } else { "XDP does not answer it" });
        for seen in [first, again] {
            demand(seen.rcode == question.rcode, &format!("rcode {}", question.rcode));
            let secure = question.status == "secure";
            demand(seen.flags.split(' ').any(|flag| flag == "ad") == secure, if secure { "AD" } else { "no AD" });
            demand(sound || !seen.extended_error.is_empty(), "an extended error");
        }
    }

    /// Shows an XDP answer age.
    fn ttl(&mut self) -> Result<(), Failure> {
        let mut telling = telling_questions(self.facts).into_iter().map(|(_, question)| question);
        let Some(question) = telling.find(|q| q.status == "secure" && q.qtype == "A") else { return Ok(()) };
        println!("\nAn answer of XDP ages:\n");
        self.row_once_published(question, false, false)?;
        let mut ttls = Vec::new();
        for _ in 0..3 {
            let seen = self.dig(question, false, false)?;
            let ttl_s = seen.ttl_s.unwrap_or_default();
            println!("    {} {}: TTL {ttl_s}, by {}", question.qname, question.qtype, by(&seen));
            if !seen.by_xdp {
                self.broken.push(format!("{} {}: XDP goes on answering", question.qname, question.qtype));
            }
            ttls.push(ttl_s);
            std::thread::sleep(Duration::from_secs(1));
        }
        if ttls.windows(2).any(|pair| pair[0] != pair[1] + 1) {
            self.broken.push(format!("the TTL falls by one each second: {ttls:?}"));
        }
        Ok(())
    }

    /// Shows counters and maps, with our own words and with bpftool.
    fn maps(&mut self) -> Result<(), Failure> {
        println!();
        self.daemon.ask(&["status"]).run()?;
        println!();
        let dump = self.daemon.ask(&["fastpath", "dump"]).output()?;
        dump.lines().take(12).for_each(|line| println!("    {line}"));
        for zone in self.facts.zones.iter().filter(|zone| zone.status == "bogus") {
            for question in zone.questions.iter().filter(|question| question.status == "bogus") {
                if dump.lines().any(|line| line.split_whitespace().next() == Some(&question.qname)) {
                    self.broken.push(format!("{} is bogus and yet published", question.qname));
                }
            }
        }
        for (map, fields) in [("COUNTERS", ["answered_secure", "pass_miss"]), ("SETTINGS", ["jiffy_ns", "listen_v4"])] {
            println!();
            let pin = format!("{PIN_DIR}/maps/{map}");
            let text = Tool::new("bpftool").args(["map", "dump", "pinned", &pin]).output()?;
            text.lines().filter(|line| !line.trim().starts_with("0x")).take(14).for_each(|line| println!("    {line}"));
            println!("    …");
            if !fields.iter().all(|field| text.contains(&format!("\"{field}\""))) {
                self.broken.push(format!("bpftool names the fields of {map}"));
            }
        }
        Ok(())
    }
}

/// One question of each zone of the plain tree, an address where there is one, with the status that makes the zone worth showing; and of
/// the signed zones some that deny.
fn telling_questions(facts: &Facts) -> Vec<(&ZoneFacts, &Question)> {
    let mut telling = Vec::new();
    for zone in facts.zones.iter().filter(|zone| zone.group == lab::TREE) {
        let status = if zone.defect.is_some() { "bogus" } else { &zone.status };
        let shown: Vec<_> = zone.questions.iter().filter(|question| question.status == status).collect();
        let address = shown.iter().find(|question| question.qtype == "A" && question.answers == 1);
        telling.extend(address.or(shown.first()).map(|question| (zone, *question)));
        if zone.name.starts_with("nsec") {
            let denials = [Reply::NxDomain, Reply::NoData];
            let denials = denials.into_iter().filter_map(|reply| shown.iter().find(|question| question.reply == reply));
            telling.extend(denials.map(|question| (zone, *question)));
        }
    }
    telling
}

fn print_row(question: &Question, dnssec_ok: bool, seen: &Seen) {
    println!(
        "{:<34} {:<6} {:<4} {:<6} {:<9} {:<16} {:>6} µs  {}",
        shortened(&question.qname),
        question.qtype,
        u8::from(dnssec_ok),
        by(seen),
        seen.rcode,
        seen.flags,
        seen.time_us,
        seen.extended_error
    );
}

fn by(seen: &Seen) -> &'static str {
    if seen.by_xdp { "XDP" } else { "daemon" }
}

/// A name cut to the width of its column.
fn shortened(name: &str) -> String {
    if name.len() <= 34 { name.to_owned() } else { format!("{}…", name.chars().take(33).collect::<String>()) }
}

/// Reads what dig prints.
fn read_dig(text: &str, by_xdp: bool) -> Option<Seen> {
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let until = |rest: &str, end: char| rest.split(end).next().unwrap_or_default().trim().to_owned();
    let answer = after(";; ANSWER SECTION:").or_else(|| after(";; AUTHORITY SECTION:"));
    let record = answer.and_then(|rest| rest.lines().find(|line| !line.trim().is_empty()));
    Some(Seen {
        by_xdp,
        rcode: until(after("status: ")?, ','),
        flags: until(after(";; flags: ")?, ';'),
        extended_error: after("; EDE: ").map(|rest| until(rest, '\n')).unwrap_or_default(),
        ttl_s: record.and_then(|line| line.split_whitespace().nth(1)).and_then(|ttl| ttl.parse().ok()),
        time_us: until(after(";; Query time: ")?, 'u').parse().ok()?,
    })
}

/// Waits for Enter, so that things can be tried by hand.
fn hold(facts: &Facts) -> Result<(), Failure> {
    let at = &facts.resolver.interfaces[0];
    println!("\nThe lab is up. Try:\n");
    println!("    cargo xtask lab exec client -- dig +dnssec @{} www.alg13.test", at.ipv4);
    println!("    bpftool map dump pinned {PIN_DIR}/maps/COUNTERS\n\nEnter ends it.");
    io::stdout()
        .flush()
        .and_then(|()| io::stdin().read_line(&mut String::new()).map(drop))
        .map_err(|source| Failure::File { path: PathBuf::from("the terminal"), source })
}
