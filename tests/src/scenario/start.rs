//! What a scenario starts from: our configuration, the trust anchors, and whether it can be played at all.
//!
//! In: a [`Script`] and its [`Settings`]. Out: words of a command line, a [`Trust`], or the feature that the script needs and that we
//! do not claim.

use std::net::IpAddr;
use std::path::Path;

use resolver_user::clock::Clock;
use resolver_user::config::Config;
use resolver_user::daemon::DaemonError;
use resolver_user::trust::{Configured, Trust};
use resolver_user::validator::{DsAnchor, Policy, WorkLimits};
use resolver_user::wire::Name;

use super::autotrust;
use super::play::Failure;
use super::record::{Asked, Record, RecordError, name_wire};
use super::script::{Action, Entry, Script, Step};
use super::settings::{Settings, Unplayable};

/// Length of the DNSKEY RDATA of an RSA key of 1024 bits with the shortest exponent, in bytes.
const RSA_1024_KEY_LEN: usize = 4 + 2 + 128;
/// Iterations of NSEC3 above which zones are insecure where a script says none, as its authors' resolvers have it: RFC 9276 §3.2 leaves
/// it to us.
const NSEC3_ITERATIONS: u16 = 150;
/// NS.
const NS: u16 = 2;
/// ANY.
const ANY: u16 = 255;
/// IN.
const IN: u16 = 1;
/// DNSKEY, DS.
const ANCHOR_TYPES: [u16; 2] = [48, 43];

/// Finds what the steps of a script need and we do not claim.
///
/// # Errors
/// Its name.
pub fn refuse_features(script: &Script) -> Result<(), Unplayable> {
    let question = |step: &Step| match &step.action {
        Action::Query(entry, _) => entry.question.clone(),
        _ => None,
    };
    let mut questions = script.steps.iter().filter_map(question);
    if questions.any(|asked| asked.qtype == ANY) {
        return Err(Unplayable::Feature("queries of type ANY, which are refused (RFC 8482)"));
    }
    let mut questions = script.steps.iter().filter_map(question);
    if questions.any(|asked| asked.qclass != IN) {
        return Err(Unplayable::Feature("questions of another class than IN: what they get is each server's own"));
    }
    if asks_unasked(script) {
        let feature = "answers to queries without RD for what nobody has asked for: glue is none (RFC 2181 §5.4.1)";
        return Err(Unplayable::Feature(feature));
    }
    let is_referral = |step: &Step| matches!(&step.action, Action::CheckAnswer(entry, _) if is_referral(entry));
    if script.steps.iter().any(is_referral) {
        return Err(Unplayable::Feature("referrals to clients that do not want recursion"));
    }
    Ok(())
}

/// Whether a client that does not want recursion is to get the names of servers instead of an answer.
fn is_referral(entry: &Entry) -> bool {
    let Some(asked) = entry.question.as_ref().filter(|_| !entry.says("RD") && entry.rcode() == 0) else { return false };
    let [answer, authority, _] = &entry.sections;
    let is_of_others = |record: &Record| record.rtype == NS && record.owner != asked.qname;
    answer.iter().chain(authority).next().is_some() && answer.iter().chain(authority).all(is_of_others)
}

/// Our configuration for what a scenario asks for, as words of a command line; `folder` is for its root hints. Anchors are not in it:
/// see [`trust`].
///
/// # Errors
/// A file for it cannot be written.
pub fn words(settings: &Settings, folder: &Path) -> Result<Vec<String>, Failure> {
    let mut words: Vec<String> = ["no-resolv", "no-hosts"].map(|option| format!("--{option}")).to_vec();
    for forward in &settings.forwards {
        for server in &forward.servers {
            let domain = if forward.zone == "." { String::new() } else { format!("/{}/", forward.zone) };
            words.push(format!("--server={domain}{server}"));
        }
    }
    let of_root = settings.stubs.iter().filter(|stub| stub.zone == ".").flat_map(|stub| &stub.servers);
    let roots: Vec<IpAddr> = settings.roots.iter().chain(of_root).copied().collect();
    for stub in settings.stubs.iter().filter(|stub| stub.zone != ".") {
        words.extend(stub.servers.iter().map(|server| format!("--stub=/{}/{server}", stub.zone)));
    }
    if !settings.forwards.iter().any(|forward| forward.zone == ".") {
        words.push(match settings.without[..] {
            ['4'] => "--recursive=ipv6".to_owned(),
            ['6'] => "--recursive=ipv4".to_owned(),
            _ => "--recursive".to_owned(),
        });
        if !roots.is_empty() {
            let hints = folder.join("root.hints");
            std::fs::write(&hints, hints_of(&roots)).map_err(|source| DaemonError::Runtime { source })?;
            words.push(format!("--root-hints={}", hints.display()));
        }
        if settings.minimises == Some(false) {
            words.push("--qname-minimisation=no".to_owned());
        }
    }
    if settings.is_validating() {
        words.push("--dnssec".to_owned());
    }
    if let Some(secret) = &settings.cookie_secret {
        let file = folder.join("cookie-secret");
        std::fs::write(&file, secret).map_err(|source| DaemonError::Runtime { source })?;
        words.push(format!("--cookie-secret-file={}", file.display()));
    }
    words.extend(settings.options.iter().map(|option| format!("--{option}")));
    Ok(words)
}

/// A file of root hints. Their names are of no matter: they are asked for the true ones first.
fn hints_of(roots: &[IpAddr]) -> String {
    let lines = roots.iter().enumerate().map(|(number, address)| {
        let rtype = if address.is_ipv4() { "A" } else { "AAAA" };
        format!(". 3600000 NS root{number}.hints.invalid.\nroot{number}.hints.invalid. 3600000 {rtype} {address}\n")
    });
    lines.collect()
}

/// What validation starts from: none without an anchor.
///
/// # Errors
/// An anchor cannot be read.
pub fn trust(
    script: &Script,
    settings: &Settings,
    config: &Config,
    clock: &dyn Clock,
) -> Result<Option<Trust>, Failure> {
    let mut anchors = Vec::new();
    for line in settings.anchors.iter().chain(&settings.followed) {
        let text = line.split(';').next().unwrap_or(line).trim();
        if text.is_empty() {
            continue;
        }
        let record = Record::read(text)?;
        let counts = settings.followed.is_empty() || autotrust::is_anchor(line, &record);
        anchors.extend((counts && ANCHOR_TYPES.contains(&record.rtype)).then(|| anchor(&record)).flatten());
    }
    if !settings.is_validating() {
        return Ok(None);
    }
    let negative = settings.insecure.iter().map(|name| Ok(Name::from_wire(&name_wire(name)?).ok()));
    let negative = negative.collect::<Result<Vec<_>, RecordError>>()?.into_iter().flatten().collect();
    let limits = WorkLimits {
        nsec3_iterations_insecure_above: settings.nsec3_iterations.unwrap_or(NSEC3_ITERATIONS),
        nsec3_iterations_bogus_above: u16::MAX,
        nsec3_rounds: 10_000,
        ..config.dnssec.policy.limits
    };
    let sha1_taken_on_trust = settings.fake_sha1 || settings.is_deckards && has_keys_of_the_past(script);
    let policy = Policy { sha1_allowed: true, sha1_taken_on_trust, limits, ..config.dnssec.policy };
    let private = config.upstream.private_domains();
    let configured = Configured { anchors, negative, policy, private, answers_max: config.cache.size };
    Ok(Some(Trust::new(configured, None, clock.now())))
}

/// Whether a client that does not want recursion asks for what no other has asked for before.
fn asks_unasked(script: &Script) -> bool {
    let mut asked: Vec<&Asked> = Vec::new();
    let queries = script.steps.iter().filter_map(|step| match &step.action {
        Action::Query(entry, _) => Some((entry.question.as_ref()?, entry.says("RD"))),
        _ => None,
    });
    for (question, is_recursive) in queries {
        if !is_recursive && !asked.iter().any(|known| known.is(question)) {
            return true;
        }
        asked.push(question);
    }
    false
}

/// Whether a script has keys that no library of today verifies with: of DSA, or of RSA with SHA-1 and fewer than 1024 bits.
fn has_keys_of_the_past(script: &Script) -> bool {
    let entries = script.ranges.iter().flat_map(|range| &range.entries);
    let mut keys =
        entries.flat_map(|entry| entry.sections.iter().flatten()).filter(|record| record.rtype == ANCHOR_TYPES[0]);
    keys.any(|key| match key.rdata[..] {
        [_, _, _, 3 | 6, ..] => true,
        [_, _, _, 5 | 7, ..] => key.rdata.len() < RSA_1024_KEY_LEN,
        _ => false,
    })
}

/// The anchor of a DS or DNSKEY record.
fn anchor(record: &Record) -> Option<DsAnchor> {
    let zone = Name::from_wire(&record.owner).ok()?;
    if record.rtype == ANCHOR_TYPES[0] {
        return DsAnchor::of_key(&zone, &record.rdata);
    }
    let (&[high, low, algorithm, digest_type], digest) = record.rdata.split_first_chunk::<4>()?;
    Some(DsAnchor { zone, key_tag: u16::from_be_bytes([high, low]), algorithm, digest_type, digest: digest.into() })
}
