//! Makes keys, signs the zones, and breaks those that are to be broken.
//!
//! In: [`super::zones::ZONES`]. Out, below `target/lab`: keys, signed zone files, and the root's trust anchor. What is
//! there already is kept as long as it was made from the same table and its signatures hold for another day.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    defects, records,
    zones::{Algorithm, Content, Defect, Signing, ZONES, Zone},
    zoo,
};
use crate::{
    command::{Failure, Tool, make_folder, read, remove, write},
    paths,
};

/// What the signed zones on disk were made from, and when.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// Of the table and of everything that follows from it.
    fingerprint: u64,
    /// Seconds since 1970.
    made_at_s: u64,
}

/// Signs whatever has to be signed. Returns whether anything changed.
pub fn ensure() -> Result<bool, Failure> {
    let stamp_file = paths::lab().join("zones.stamp");
    let stamp = Stamp { fingerprint: fingerprint(), made_at_s: now_s() };
    let old: Option<Stamp> = read(&stamp_file).ok().and_then(|text| serde_json::from_str(&text).ok());
    let fresh = |old: &Stamp| {
        (old.made_at_s..old.made_at_s + VALIDITY_S - RESERVE_S).contains(&stamp.made_at_s)
            && old.fingerprint == stamp.fingerprint
    };
    if old.as_ref().is_some_and(fresh) {
        return Ok(false);
    }
    remove(&stamp_file)?;
    sign_all()?;
    let text = serde_json::to_string(&stamp)
        .map_err(|error| Failure::File { path: stamp_file.clone(), source: error.into() })?;
    write(&stamp_file, text)?;
    Ok(true)
}

/// The zone file that a server loads.
pub fn signed_file(zone: &Zone) -> PathBuf {
    zones_folder().join(format!("{}.zone", zone.file_name()))
}

/// Files with the root's anchor, in the forms of our daemon, of drill and of delv.
pub fn anchor_files() -> [PathBuf; 3] {
    ["trust-anchors.conf", "root.ds", "delv.anchors"].map(|name| paths::lab().join(name))
}

/// Keys and DS for all zones first, so that the zones can be signed in any order.
fn sign_all() -> Result<(), Failure> {
    remove(&zones_folder())?;
    make_folder(&zones_folder())?;
    let ds_records = in_parallel(ZONES, |zone| make_keys(zone).map(|ds| (zone.name, ds)))?;
    let ds_records: HashMap<&str, Option<String>> = ds_records.into_iter().collect();
    let ds_of = |zone: &Zone| ds_records.get(zone.name).cloned().flatten();
    let (zoo_keys, zoo_delegations) = zoo::prepare()?;
    in_parallel(ZONES, |zone| {
        let animals = if zone.content == Content::Zoo { zoo_delegations.as_str() } else { "" };
        sign(zone, &(records::zone_file(zone, ds_of) + animals))
    })?;
    if let Some(zoo) = ZONES.iter().find(|zone| zone.content == Content::Zoo) {
        zoo::sign(&zoo_keys, &signed_file(zoo))?;
    }
    match ZONES.iter().find(|zone| zone.name.is_empty()).and_then(ds_of) {
        Some(root) => write_anchors(&root),
        None => Ok(()),
    }
}

/// Makes the keys of a zone unless they are there. Returns its DS record as the parent shall have it.
fn make_keys(zone: &Zone) -> Result<Option<String>, Failure> {
    let Some(algorithm) = zone.signing.algorithm() else {
        return Ok(None);
    };
    let folder = keys_folder(zone, algorithm);
    if key_signing_key(&folder).is_none() {
        remove(&folder)?;
        make_folder(&folder)?;
        generate_key(zone, algorithm, &[])?;
        generate_key(zone, algorithm, &["-f", "KSK"])?;
    }
    let Some(key) = key_signing_key(&folder) else {
        return Err(Failure::Unreadable { tool: "dnssec-keygen", said: folder.display().to_string() });
    };
    let ds = Tool::new("dnssec-dsfromkey").arg("-2").arg(key).output()?.trim().to_owned();
    if zone.defect == Defect::WrongDs { defects::wrong_ds(zone, &ds).map(Some) } else { Ok(Some(ds)) }
}

/// Makes one key.
fn generate_key(zone: &Zone, algorithm: Algorithm, kind: &[&str]) -> Result<(), Failure> {
    let size: &[&str] = if algorithm.is_rsa() { &["-b", "2048"] } else { &[] };
    let number = algorithm.number().to_string();
    let tool = Tool::new("dnssec-keygen").args(["-q", "-L", "3600", "-a", &number]).args(size).args(kind).arg("-K");
    tool.arg(keys_folder(zone, algorithm)).arg(zone.fqdn()).output().map(|_| ())
}

/// The public file of the key signing key in a folder.
fn key_signing_key(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?;
    let mut keys = files.filter_map(|entry| Some(entry.ok()?.path()));
    keys.find(|path| {
        path.extension().is_some_and(|extension| extension == "key")
            && read(path).is_ok_and(|text| text.contains(" IN DNSKEY 257 "))
    })
}

/// Writes a zone file, signed as the table says, and breaks it as the table says.
fn sign(zone: &Zone, text: &str) -> Result<(), Failure> {
    let (Some(algorithm), output) = (zone.signing.algorithm(), signed_file(zone)) else {
        return write(&signed_file(zone), text);
    };
    let input = zones_folder().join(format!("{}.unsigned", zone.file_name()));
    write(&input, text)?;
    let (inception, expiration) = match zone.defect {
        Defect::Expired => (format!("now-{}", 2 * VALIDITY_S), format!("now-{VALIDITY_S}")),
        _ => ("now-3600".to_owned(), format!("now+{VALIDITY_S}")),
    };
    let denial: &[&str] = match zone.signing {
        Signing::Nsec3(_) => &["-3", "-", "-H", "0"],
        Signing::Nsec3OptOut(_) => &["-3", "-", "-H", "0", "-A"],
        Signing::Nsec(_) | Signing::Unsigned => &[],
    };
    // The tool checks what it signed, and rightly refuses what has expired.
    let unchecked: &[&str] = if zone.defect == Defect::Expired { &["-P"] } else { &[] };
    // Smart signing takes the keys from the folder; one record per line makes defects findable.
    let tool = Tool::new("dnssec-signzone").args(["-S", "-x", "-O", "full", "-n", "1"]).args(denial).args(unchecked);
    tool.args(["-s", &inception, "-e", &expiration, "-o", &zone.fqdn(), "-K"])
        .arg(keys_folder(zone, algorithm))
        .arg("-d")
        .arg(zones_folder())
        .arg("-f")
        .arg(&output)
        .arg(&input)
        .output()?;
    defects::apply(zone, &output)
}

/// Writes the root's anchor in the forms of its readers.
fn write_anchors(ds: &str) -> Result<(), Failure> {
    let unreadable = || Failure::Unreadable { tool: "dnssec-dsfromkey", said: ds.to_owned() };
    let (_, fields) = ds.split_once(" DS ").ok_or_else(unreadable)?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [tag, algorithm, digest_type, digest] = fields[..] else {
        return Err(unreadable());
    };
    let [ours, drill, delv] = anchor_files();
    write(&ours, format!("trust-anchor=.,{tag},{algorithm},{digest_type},{digest}\n"))?;
    write(&drill, format!("{ds}\n"))?;
    write(&delv, format!("trust-anchors {{ . static-ds {tag} {algorithm} {digest_type} \"{digest}\"; }};\n"))
}

/// Does the same with every item, on all cores. The first failure counts.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut results = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            results.push(work(item)?);
        }
        Ok(results)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shares: Vec<Result<Vec<R>, Failure>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut results = Vec::new();
    for share in shares {
        results.extend(share?);
    }
    Ok(results)
}

/// A number that differs when the zones would.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    // How zones are signed follows from this file; a new way of signing has to raise the number.
    let method = 1;
    (method, VALIDITY_S).hash(&mut hasher);
    for zone in ZONES {
        records::zone_file(zone, |child| child.signing.algorithm().map(|_| "DS".to_owned())).hash(&mut hasher);
        (zone.signing, zone.defect, zone.server).hash(&mut hasher);
    }
    zoo::SOURCES.hash(&mut hasher);
    hasher.finish()
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Keys of one zone and algorithm. They are kept when a zone is signed again.
fn keys_folder(zone: &Zone, algorithm: Algorithm) -> PathBuf {
    paths::lab().join("keys").join(format!("{}+{}", zone.file_name(), algorithm.number()))
}

/// Zone files, signed and not.
fn zones_folder() -> PathBuf {
    paths::lab().join("zones")
}

/// How long signatures are valid, in seconds: 30 days.
pub const VALIDITY_S: u64 = 30 * 86_400;

/// How long they must still be valid to be kept, in seconds: one day.
const RESERVE_S: u64 = 86_400;
