//! A signed zone under the knife: the exact edits that make a specimen of it.
//!
//! In: a zone file as the signing tools wrote it, and the zone's keys. Out: the same with one thing changed.
//! Every edit names what it must hit, and fails when it hits something else.

use super::wire::{self, PublicKey, SignatureFields};
use crate::command::Failure;

/// One record of a zone file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Fully qualified, in lower case.
    pub owner: String,
    /// Seconds.
    pub ttl_s: u32,
    /// In letters.
    pub rtype: String,
    /// As text, words separated by one space.
    pub rdata: String,
}

/// A key of the zone.
#[derive(Clone, Debug)]
pub struct ZoneKey {
    /// The record.
    pub public: PublicKey,
    /// The private key file's text; empty for a key that only stands there.
    pub private: String,
}

/// A signed zone and what is needed to sign part of it again.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Fully qualified.
    pub apex: String,
    /// Its records.
    pub records: Vec<Record>,
    /// Its keys in the order of the table.
    pub keys: Vec<ZoneKey>,
    /// The signed parent's records, for what is to be taken from there.
    pub parent: Vec<Record>,
}

/// Outcome of an edit.
pub type Edited = Result<(), Failure>;

impl Record {
    /// Reads a line of a zone file. `None` if it holds no record.
    pub fn read(line: &str) -> Option<Self> {
        // No record of the zoo has a semicolon in it.
        let line = line.split(';').next()?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [owner, ttl, "IN", rtype, rdata @ ..] = &words[..] else { return None };
        Some(Self {
            owner: owner.to_ascii_lowercase(),
            ttl_s: ttl.parse().ok()?,
            rtype: (*rtype).to_owned(),
            rdata: rdata.join(" "),
        })
    }

    /// The line of a zone file.
    pub fn line(&self) -> String {
        format!("{}\t{}\tIN\t{}\t{}", self.owner, self.ttl_s, self.rtype, self.rdata)
    }

    /// A word of the RDATA.
    pub fn word(&self, index: usize) -> &str {
        self.rdata.split(' ').nth(index).unwrap_or_default()
    }

    /// Puts another word into the RDATA.
    pub fn set_word(&mut self, index: usize, word: &str) {
        let mut words: Vec<&str> = self.rdata.split(' ').collect();
        if let Some(place) = words.get_mut(index) {
            *place = word;
        }
        self.rdata = words.join(" ");
    }

    /// Changes one character of one word, in the middle, where neither padding nor a length stands.
    pub fn spoil_word(&mut self, index: usize) {
        let word = self.word(index).to_owned();
        let middle = word.len() / 2;
        let other = if word[middle..].starts_with('a') { "b" } else { "a" };
        self.set_word(index, &format!("{}{other}{}", &word[..middle], &word[middle + 1..]));
    }

    /// Whether it is the signature of a type.
    fn signs(&self, rtype: &str) -> bool {
        self.rtype == "RRSIG" && self.word(0) == rtype
    }
}

impl Scene {
    /// A name below the zone, fully qualified. `@` is the zone itself.
    pub fn below(&self, owner: &str) -> String {
        if owner == "@" { self.apex.clone() } else { format!("{owner}.{}", self.apex) }
    }

    /// Owner of the NSEC3 record of a name.
    pub fn hashed(&self, owner: &str) -> String {
        let hash = self.hash_of(owner).unwrap_or_default();
        format!("{hash}.{}", self.apex)
    }

    /// Hash of a name with the parameters of the zone's NSEC3 records.
    fn hash_of(&self, owner: &str) -> Option<String> {
        let any = self.records.iter().find(|record| record.rtype == "NSEC3")?;
        let (iterations, salt) = (any.word(2).parse().ok()?, wire::salt(any.word(3))?);
        Some(wire::nsec3_hash(&self.below(owner), &salt, iterations))
    }

    /// Owner of the NSEC or NSEC3 record whose span a name falls into.
    pub fn covering(&self, owner: &str) -> String {
        let hash = self.hash_of(owner);
        let rtype = if hash.is_some() { "NSEC3" } else { "NSEC" };
        let place = hash.unwrap_or_else(|| canonical_order(&self.below(owner)));
        let key = |record: &Record| {
            if rtype == "NSEC3" { first_label(&record.owner).to_owned() } else { canonical_order(&record.owner) }
        };
        let mut owners: Vec<&Record> = self.records.iter().filter(|record| record.rtype == rtype).collect();
        owners.sort_by_key(|record| key(record));
        let before = owners.iter().rfind(|record| key(record) < place);
        before.or(owners.last()).map(|record| record.owner.clone()).unwrap_or_default()
    }

    /// Takes one record away. The signature of a type is named `RRSIG A`.
    ///
    /// # Errors
    /// It is not there exactly once.
    pub fn remove(&mut self, owner: &str, what: &str) -> Edited {
        let index = self.place(owner, what)?;
        self.records.remove(index);
        Ok(())
    }

    /// Takes a record set and its signatures away.
    ///
    /// # Errors
    /// There is none.
    pub fn remove_set(&mut self, owner: &str, rtype: &str) -> Edited {
        let before = self.records.len();
        self.records.retain(|record| record.owner != owner || (record.rtype != rtype && !record.signs(rtype)));
        if self.records.len() == before { Err(self.missed(0)) } else { Ok(()) }
    }

    /// Takes every record of a type away, with their signatures.
    ///
    /// # Errors
    /// There is none.
    pub fn remove_all(&mut self, rtype: &str) -> Edited {
        let before = self.records.len();
        self.records.retain(|record| record.rtype != rtype && !record.signs(rtype));
        if self.records.len() == before { Err(self.missed(0)) } else { Ok(()) }
    }

    /// Changes one record, and leaves its signature as it was.
    ///
    /// # Errors
    /// It is not there exactly once.
    pub fn change(&mut self, owner: &str, what: &str, change: impl FnOnce(&mut Record)) -> Edited {
        let index = self.place(owner, what)?;
        change(&mut self.records[index]);
        Ok(())
    }

    /// Changes one record and signs its set again with the key of this number.
    ///
    /// # Errors
    /// It is not there exactly once, or cannot be signed.
    pub fn change_signed(&mut self, owner: &str, rtype: &str, key: usize, change: impl FnOnce(&mut Record)) -> Edited {
        let index = self.place(owner, rtype)?;
        change(&mut self.records[index]);
        let moved = self.records[index].owner.clone();
        let signature = self.place(owner, &format!("RRSIG {rtype}"))?;
        self.records[signature].owner = moved.clone();
        self.sign_again(&moved, rtype, key, |_| ())
    }

    /// Changes one DNSKEY of the zone by its number in the table; its set is signed again with the first key.
    ///
    /// # Errors
    /// It is not there exactly once, or cannot be signed.
    pub fn change_key(&mut self, key: usize, change: impl FnOnce(&mut PublicKey)) -> Edited {
        let apex = self.apex.clone();
        let index = self.place_of_key(key)?;
        let mut public = self.keys[key].public.clone();
        change(&mut public);
        self.records[index].rdata = public.text();
        self.keys[key].public = public;
        self.sign_again(&apex, "DNSKEY", 0, |_| ())
    }

    /// Takes one DNSKEY of the zone away; its set is signed again with the first key.
    ///
    /// # Errors
    /// It is not there exactly once, or cannot be signed.
    pub fn remove_key(&mut self, key: usize) -> Edited {
        let (apex, index) = (self.apex.clone(), self.place_of_key(key)?);
        self.records.remove(index);
        self.sign_again(&apex, "DNSKEY", 0, |_| ())
    }

    /// Adds a DNSKEY; its set is signed again with the first key.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn add_key(&mut self, public: &PublicKey) -> Edited {
        let apex = self.apex.clone();
        let ttl_s = self.records[self.place_of_key(0)?].ttl_s;
        self.add(Record { owner: apex.clone(), ttl_s, rtype: "DNSKEY".to_owned(), rdata: public.text() });
        self.sign_again(&apex, "DNSKEY", 0, |_| ())
    }

    /// Takes one DNSKEY away by its number in the table, and leaves the set's signature as it was.
    ///
    /// # Errors
    /// It is not there.
    pub fn drop_key(&mut self, key: usize) -> Edited {
        let index = self.place_of_key(key)?;
        self.records.remove(index);
        Ok(())
    }

    /// Changes one DNSKEY by its number in the table, and leaves the set's signature as it was.
    ///
    /// # Errors
    /// It is not there.
    pub fn spoil_key(&mut self, key: usize, change: impl FnOnce(&mut PublicKey)) -> Edited {
        let index = self.place_of_key(key)?;
        change(&mut self.keys[key].public);
        self.records[index].rdata = self.keys[key].public.text();
        Ok(())
    }

    /// Takes away the signature that a set has of one key.
    ///
    /// # Errors
    /// There is none.
    pub fn remove_signature(&mut self, owner: &str, rtype: &str, key: usize) -> Edited {
        let index = self.place_of_signature(owner, rtype, key)?;
        self.records.remove(index);
        Ok(())
    }

    /// Changes the signature that a set has of one key.
    ///
    /// # Errors
    /// There is none.
    pub fn change_signature(
        &mut self,
        owner: &str,
        rtype: &str,
        key: usize,
        change: impl FnOnce(&mut Record),
    ) -> Edited {
        let index = self.place_of_signature(owner, rtype, key)?;
        change(&mut self.records[index]);
        Ok(())
    }

    /// Replaces every signature by another of the same key with other fields.
    ///
    /// # Errors
    /// One cannot be made.
    pub fn sign_all_again(&mut self, change: fn(&mut SignatureFields)) -> Edited {
        let signatures: Vec<Record> = self.records.iter().filter(|record| record.rtype == "RRSIG").cloned().collect();
        for old in signatures {
            let is_it = |key: &ZoneKey| key.public.tag().to_string() == old.word(6);
            let key = self.keys.iter().position(is_it).ok_or_else(|| self.missed(0))?;
            self.sign_again(&old.owner, old.word(0), key, change)?;
        }
        Ok(())
    }

    /// Adds a record.
    pub fn add(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Replaces the one signature of a set by another of the same key with other fields.
    ///
    /// # Errors
    /// There is not exactly one, or it cannot be made.
    pub fn sign_again(
        &mut self,
        owner: &str,
        rtype: &str,
        key: usize,
        change: impl FnOnce(&mut SignatureFields),
    ) -> Edited {
        let index = self.place(owner, &format!("RRSIG {rtype}"))?;
        let old = &self.records[index];
        let number = |word: usize| old.word(word).parse().unwrap_or_default();
        let key = &self.keys[key];
        let mut fields = SignatureFields {
            algorithm: key.public.algorithm,
            labels: number(2) as u8,
            original_ttl_s: number(3),
            expiration: old.word(4).to_owned(),
            inception: old.word(5).to_owned(),
            tag: key.public.tag(),
            signer: old.word(7).to_owned(),
        };
        change(&mut fields);
        let set = self.records.iter().filter(|record| record.owner == owner && record.rtype == rtype);
        let rdata: Vec<&str> = set.map(|record| record.rdata.as_str()).collect();
        let made = wire::rrsig(owner, rtype, &rdata, &fields, (&key.public, &key.private));
        self.records[index].rdata = made.ok_or_else(|| self.missed(0))?;
        Ok(())
    }

    /// Records that an owner and a word or two name: `A`, or `RRSIG A`.
    pub fn of<'a>(&'a self, owner: &'a str, what: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| is_named(record, owner, what))
    }

    /// Index of the one record that is named.
    fn place(&self, owner: &str, what: &str) -> Result<usize, Failure> {
        let hits: Vec<usize> =
            (0..self.records.len()).filter(|index| is_named(&self.records[*index], owner, what)).collect();
        if let [index] = hits[..] { Ok(index) } else { Err(self.missed(hits.len())) }
    }

    /// Index of the DNSKEY record of a key.
    fn place_of_key(&self, key: usize) -> Result<usize, Failure> {
        let public = self.keys.get(key).map(|key| &key.public);
        let is_it = |record: &Record| record.rtype == "DNSKEY" && PublicKey::read(&record.rdata).as_ref() == public;
        self.records.iter().position(is_it).ok_or_else(|| self.missed(0))
    }

    /// Index of the signature that a set has of one key.
    fn place_of_signature(&self, owner: &str, rtype: &str, key: usize) -> Result<usize, Failure> {
        let tag = self.keys.get(key).map(|key| key.public.tag().to_string());
        let is_it = |record: &Record| {
            record.signs(rtype) && record.owner.eq_ignore_ascii_case(owner) && Some(record.word(6)) == tag.as_deref()
        };
        self.records.iter().position(is_it).ok_or_else(|| self.missed(0))
    }

    /// The failure of an edit that hit another number of records than one.
    fn missed(&self, changed: usize) -> Failure {
        Failure::DefectMissed { zone: self.apex.clone(), changed }
    }
}

/// How many records differ between two zone files: a record changed counts once.
pub fn difference(before: &[Record], after: &[Record]) -> usize {
    let (mut gone, mut come) = (before.to_vec(), after.to_vec());
    gone.retain(|record| !after.contains(record));
    come.retain(|record| !before.contains(record));
    gone.len().max(come.len())
}

/// Whether a record is named by an owner and a word or two.
fn is_named(record: &Record, owner: &str, what: &str) -> bool {
    let named = match what.strip_prefix("RRSIG ") {
        Some(covered) => record.signs(covered),
        None => record.rtype == what,
    };
    named && record.owner.eq_ignore_ascii_case(owner)
}

/// A name spelled so that text order is canonical order (RFC 4034 §6.1), as far as the zoo's names go.
fn canonical_order(name: &str) -> String {
    let labels: Vec<&str> = name.trim_end_matches('.').split('.').rev().collect();
    labels.join("\u{1}")
}

/// The label in front.
fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zone of three names.
    fn scene() -> Scene {
        let lines = [
            "a.test. 300 IN NSEC b.a.test. A",
            "b.a.test. 300 IN NSEC d.a.test. A RRSIG",
            "d.a.test. 300 IN NSEC a.test. A ; comment",
        ];
        let records = lines.iter().filter_map(|line| Record::read(line)).collect();
        Scene { apex: "a.test.".to_owned(), records, keys: Vec::new(), parent: Vec::new() }
    }

    #[test]
    fn the_span_of_a_missing_name_is_found() {
        assert_eq!(scene().covering("c"), "b.a.test.");
        assert_eq!(scene().covering("z.b"), "b.a.test.");
        assert_eq!(scene().covering("e"), "d.a.test.");
    }

    #[test]
    fn an_edit_that_misses_fails() {
        let failure = scene().remove("c.a.test.", "NSEC").unwrap_err();
        assert!(matches!(failure, Failure::DefectMissed { changed: 0, .. }), "{failure}");
    }

    #[test]
    fn a_changed_record_differs_once() {
        let (before, mut after) = (scene(), scene());
        after.change("b.a.test.", "NSEC", |record| record.set_word(1, "MX")).unwrap();
        assert_eq!(difference(&before.records, &after.records), 1);
    }
}
