//! Makes the zoo's keys, signs its zones, and edits each as its row says.
//!
//! In: the rows. Out: zone files for the server, and the delegations that `zoo.test` holds.
//! An edit that changed another number of records than it says is a failure, and so is a DS set.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::{
    Denial, Reach, Signer, Specimen, delegations, key_files,
    scene::{Record, Scene, ZoneKey, difference},
    specimens,
    wire::{Ds, PublicKey},
};
use crate::{
    command::{Failure, Tool, make_folder, read, remove, write},
    lab::signing::{VALIDITY_S, in_parallel, now_s},
    paths,
};

/// Keys of the whole zoo.
pub struct Keys(HashMap<&'static str, Vec<KeyPair>>);

/// A key with its files.
#[derive(Clone)]
pub struct KeyPair {
    /// Path of its files, without ending.
    stem: PathBuf,
    key: ZoneKey,
}

impl KeyPair {
    /// Reads a key's files.
    pub fn read(stem: PathBuf) -> Result<Self, Failure> {
        let text = read(&ending(&stem, "key"))?;
        let rdata = text.lines().filter(|line| !line.starts_with(';')).find_map(|line| line.split_once("DNSKEY"));
        let rdata = rdata.and_then(|(_, rdata)| PublicKey::read(rdata.split(';').next()?));
        let public = rdata.ok_or(Failure::Unreadable { tool: "dnssec-keygen", said: text })?;
        let private = read(&ending(&stem, "private"))?;
        Ok(Self { stem, key: ZoneKey { public, private } })
    }
}

/// Makes all keys that are not there yet. Returns them, and the delegations of `zoo.test`.
pub fn prepare() -> Result<(Keys, String), Failure> {
    let rows: Vec<&Specimen> = specimens().collect();
    let made = in_parallel(&rows, |row| key_files::ensure(row).map(|keys| (row.name, keys)))?;
    let keys = Keys(made.into_iter().collect());
    for row in rows {
        check_ds(row, &keys)?;
    }
    let text = delegations(None, &|child| keys.ds_of(child));
    Ok((keys, text))
}

/// Signs and edits all zones. Parents come first: some take records from there.
pub fn sign(keys: &Keys, zoo: &Path) -> Result<(), Failure> {
    make_folder(&folder())?;
    let zoo = records_of(&read(zoo)?);
    let (children, tops): (Vec<&Specimen>, Vec<&Specimen>) = specimens().partition(|row| row.parent().is_some());
    in_parallel(&tops, |row| make(row, keys, &zoo))?;
    in_parallel(&children, |row| {
        let parent = row.parent().map_or(Ok(String::new()), |parent| read(&signed_file(parent)))?;
        make(row, keys, &records_of(&parent))
    })
    .map(drop)
}

/// The zone file that the server loads.
pub fn signed_file(row: &Specimen) -> PathBuf {
    folder().join(format!("{}.zone", row.name))
}

impl Keys {
    /// Keys of a specimen.
    fn of(&self, row: &Specimen) -> &[KeyPair] {
        self.0.get(row.name).map(Vec::as_slice).unwrap_or_default()
    }

    /// DS records of a specimen, as its parent shall have them.
    fn ds_of(&self, row: &Specimen) -> Vec<Ds> {
        let publics: Vec<PublicKey> = self.of(row).iter().map(|pair| pair.key.public.clone()).collect();
        match row.ds {
            Some((_, make)) => make(&row.fqdn(), &publics),
            None => self.ds_due(row),
        }
    }

    /// DS records of a specimen, as they would be if nothing were done about them.
    fn ds_due(&self, row: &Specimen) -> Vec<Ds> {
        self.of(row).first().map(|pair| pair.key.public.ds(&row.fqdn(), 2)).into_iter().collect()
    }
}

/// Makes sure that the DS set differs from what is due as the row says.
fn check_ds(row: &Specimen, keys: &Keys) -> Result<(), Failure> {
    let Some((expected, _)) = row.ds else { return Ok(()) };
    let (due, made) = (keys.ds_due(row), keys.ds_of(row));
    let gone = due.iter().filter(|ds| !made.contains(ds)).count();
    let come = made.iter().filter(|ds| !due.contains(ds)).count();
    let changed = gone.max(come);
    if changed == expected { Ok(()) } else { Err(Failure::DefectMissed { zone: row.fqdn(), changed }) }
}

/// Makes one zone file.
fn make(row: &Specimen, keys: &Keys, parent: &[Record]) -> Result<(), Failure> {
    let pairs = keys.of(row);
    let output = signed_file(row);
    let mut text = row.zone_text(&|child| keys.ds_of(child));
    match row.signer {
        Signer::Nobody => write(&output, &text)?,
        Signer::Bind(_) | Signer::Ldns => {
            for (_, pair) in with_rows(row, pairs).filter(|(key, _)| row.signer != Signer::Ldns || !key.signs) {
                text += &format!("@ 300 IN DNSKEY {}\n", pair.key.public.text());
            }
            let input = folder().join(format!("{}.unsigned", row.name));
            write(&input, &text)?;
            remove(&output)?;
            signing_tool(row, pairs, &input, &output).output()?;
        }
    }
    match row.edit {
        Some((reach, _)) => edit(row, reach, pairs, parent, &output),
        None => Ok(()),
    }
}

/// Keys with their columns of the table.
fn with_rows<'a>(row: &'a Specimen, pairs: &'a [KeyPair]) -> impl Iterator<Item = (&'static super::Key, &'a KeyPair)> {
    row.keys.iter().zip(pairs)
}

/// The tool that signs, with its words.
fn signing_tool(row: &Specimen, pairs: &[KeyPair], input: &Path, output: &Path) -> Tool {
    let signing = || with_rows(row, pairs).filter(|(key, _)| key.signs);
    if row.signer == Signer::Ldns {
        let now_s = now_s();
        let (inception, expiration) = ((now_s - 3600).to_string(), (now_s + VALIDITY_S).to_string());
        let mut tool = Tool::new("ldns-signzone").args(["-i", &inception, "-e", &expiration, "-o", &row.fqdn()]);
        if let Denial::Nsec3 { iterations, .. } = row.denial {
            tool = tool.args(["-n", "-t", &iterations.to_string()]);
        }
        let tool = tool.arg("-f").arg(output).arg(input);
        return tool.args(signing().map(|(_, pair)| &pair.stem));
    }
    let validity = format!("now+{VALIDITY_S}");
    let (inception, expiration) = row.window.unwrap_or(("now-3600", &validity));
    let words = if let Signer::Bind(words) = row.signer { words } else { &[] };
    // One record per line; what is odd on purpose must not be refused afterwards.
    let mut tool = Tool::new("dnssec-signzone").args(["-P", "-O", "full", "-n", "1"]).args(words);
    if let Denial::Nsec3 { iterations, salt, opt_out } = row.denial {
        tool = tool.args(["-3", salt, "-H", &iterations.to_string()]).args(opt_out.then_some("-A"));
    }
    tool = tool.args(["-s", inception, "-e", expiration, "-o", &row.fqdn(), "-d"]).arg(folder());
    for (_, pair) in signing().filter(|(key, _)| key.flags & 1 == 1) {
        tool = tool.arg("-k").arg(&pair.stem);
    }
    tool = tool.arg("-f").arg(output).arg(input);
    tool.args(signing().filter(|(key, _)| key.flags & 1 == 0).map(|(_, pair)| &pair.stem))
}

/// Edits a signed zone, and makes sure that what changed is what the row says.
fn edit(row: &Specimen, reach: Reach, pairs: &[KeyPair], parent: &[Record], file: &Path) -> Result<(), Failure> {
    let Some((_, edit)) = row.edit else { return Ok(()) };
    let before = records_of(&read(file)?);
    let keys = pairs.iter().map(|pair| pair.key.clone()).collect();
    let mut scene = Scene { apex: row.fqdn(), records: before.clone(), keys, parent: parent.to_vec() };
    edit(&mut scene)?;
    let changed = difference(&before, &scene.records);
    let holds = match reach {
        Reach::Records(expected) => changed == expected,
        Reach::Within(rtypes) => {
            let others = |records: &[Record]| -> HashSet<Record> {
                let is_other =
                    |record: &&Record| !rtypes.iter().any(|rtype| record.rtype == *rtype || record.word(0) == *rtype);
                records.iter().filter(is_other).cloned().collect()
            };
            changed > 1 && others(&before) == others(&scene.records)
        }
    };
    if !holds {
        return Err(Failure::DefectMissed { zone: row.fqdn(), changed });
    }
    write(file, scene.records.iter().map(|record| record.line() + "\n").collect::<String>())
}

/// Records of a zone file as the tools write it.
fn records_of(text: &str) -> Vec<Record> {
    text.lines().filter_map(Record::read).collect()
}

/// A path with an ending; names of keys have dots of their own.
pub fn ending(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

/// Zone files of the zoo.
fn folder() -> PathBuf {
    paths::lab().join("zones").join(crate::lab::ZOO)
}
