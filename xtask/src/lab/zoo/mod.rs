//! The zoo: zones below `zoo.test.`, each with one defect or one rare but valid trait, and what the RFCs make of it.
//!
//! In: the rows of [`table`]. Out: their zone files, their delegations, and the questions with the verdicts that a
//! validator must come to. Add a specimen by adding a row: how it is signed, the one edit, the rule that judges it.

mod key_files;
mod making;
mod scene;
mod table;
mod wire;

use std::{fmt::Write as _, path::PathBuf};

use super::{
    facts::{Question, Reply, ZoneFacts, status_name},
    records, servers,
    zones::{Server, Status},
};
pub use making::{prepare, sign};
use scene::{Edited, Scene};
use wire::{Ds, PublicKey};

/// One zone of the zoo.
#[derive(Clone, Copy, Debug)]
pub struct Specimen {
    /// Its name below the zoo.
    pub name: &'static str,
    /// What decides its verdict: an RFC with section, and our choice where the RFC leaves one.
    pub rule: &'static str,
    /// Whether it is there to make validators work, rather than to be judged.
    is_attack: bool,
    /// Who serves it.
    server: Server,
    /// Its keys; the first one is what the parent's DS names, and signs the others.
    keys: &'static [Key],
    /// How it is signed.
    signer: Signer,
    /// How it denies existence.
    denial: Denial,
    /// Inception and expiration of all signatures, if not now.
    window: Option<(&'static str, &'static str)>,
    /// Lines of its zone file besides SOA, NS and `www`.
    content: &'static str,
    /// What is done to it after it was signed.
    edit: Option<(Reach, Edit)>,
    /// What its parent has in place of the first key's DS.
    ds: Option<(usize, MakeDs)>,
    /// What becomes of the questions that every specimen is asked.
    verdicts: Verdicts,
    /// Questions of its own.
    more: &'static [Ask],
}

/// Changes a signed zone.
type Edit = fn(&mut Scene) -> Edited;

/// Makes the DS records of a zone from its name and its keys.
type MakeDs = fn(&str, &[PublicKey]) -> Vec<Ds>;

/// How much an edit changes.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// So many records.
    Records(usize),
    /// Records of these types alone, with their signatures, and more than one of them.
    Within(&'static [&'static str]),
}

/// A key of a specimen.
#[derive(Clone, Copy, Debug)]
struct Key {
    flags: u16,
    algorithm: u8,
    /// Of RSA and DSA; 0 where the algorithm decides.
    bits: u16,
    /// Of RSA; 0 for what the tool likes.
    exponent: u64,
    /// Whether it signs; otherwise it only stands there.
    signs: bool,
}

/// What signs a specimen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    /// Nothing.
    Nobody,
    /// dnssec-signzone with these words.
    Bind(&'static [&'static str]),
    /// ldns-signzone, for what BIND refuses.
    Ldns,
}

/// How a specimen denies existence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    Nsec,
    Nsec3 { iterations: u16, salt: &'static str, opt_out: bool },
}

/// A status, and the extended error that goes with it where one is defined.
#[derive(Clone, Copy, Debug)]
struct Verdict(Status, Option<u16>);

/// Verdicts on the questions that every specimen is asked.
#[derive(Clone, Copy, Debug)]
struct Verdicts {
    /// `www A`, which is there.
    answer: Verdict,
    /// `www MX`, which is not.
    nodata: Verdict,
    /// `nowhere A`, which is not even a name.
    nxdomain: Verdict,
}

/// A question of a specimen's own.
#[derive(Clone, Copy, Debug)]
struct Ask {
    owner: &'static str,
    rtype: &'static str,
    reply: Reply,
    answers: usize,
    verdict: Verdict,
}

impl Specimen {
    /// A sound zone with two P-256 keys and NSEC.
    const fn new(name: &'static str, rule: &'static str) -> Self {
        Self {
            name,
            rule,
            is_attack: false,
            server: Server::Zoo,
            keys: PAIR,
            signer: Signer::Bind(&["-x"]),
            denial: Denial::Nsec,
            window: None,
            content: "",
            edit: None,
            ds: None,
            verdicts: Verdicts { answer: SECURE, nodata: SECURE, nxdomain: SECURE },
            more: &[],
        }
    }

    /// Made to cost a validator much; asked only what it says itself.
    const fn attack(self) -> Self {
        Self { is_attack: true, ..self }.on_nsd()
    }

    /// Served by NSD, for what BIND refuses to load or to serve.
    const fn on_nsd(self) -> Self {
        Self { server: Server::ZooNsd, ..self }
    }

    /// With other keys.
    const fn keys(self, keys: &'static [Key]) -> Self {
        Self { keys, ..self }
    }

    /// Signed in another way.
    const fn signer(self, signer: Signer) -> Self {
        Self { signer, ..self }
    }

    /// Without keys and signatures; the parent has no DS.
    const fn unsigned(self) -> Self {
        Self { keys: &[], signer: Signer::Nobody, ..self }.all(INSECURE)
    }

    /// With NSEC3 of these parameters.
    const fn nsec3(self, iterations: u16, salt: &'static str, opt_out: bool) -> Self {
        Self { denial: Denial::Nsec3 { iterations, salt, opt_out }, ..self }
    }

    /// Signed for another time.
    const fn window(self, inception: &'static str, expiration: &'static str) -> Self {
        Self { window: Some((inception, expiration)), ..self }
    }

    /// With more records.
    const fn content(self, content: &'static str) -> Self {
        Self { content, ..self }
    }

    /// With an edit that changes so many records.
    const fn edited(self, records: usize, edit: Edit) -> Self {
        Self { edit: Some((Reach::Records(records), edit)), ..self }
    }

    /// With an edit that changes nothing but records of these types.
    const fn edited_within(self, rtypes: &'static [&'static str], edit: Edit) -> Self {
        Self { edit: Some((Reach::Within(rtypes), edit)), ..self }
    }

    /// With a DS set that differs from the one that is due in so many records.
    const fn ds(self, records: usize, make: MakeDs) -> Self {
        Self { ds: Some((records, make)), ..self }
    }

    /// With one verdict for everything.
    const fn all(self, verdict: Verdict) -> Self {
        Self { verdicts: Verdicts { answer: verdict, nodata: verdict, nxdomain: verdict }, ..self }
    }

    /// With a verdict on the address alone.
    const fn answer(self, answer: Verdict) -> Self {
        Self { verdicts: Verdicts { answer, ..self.verdicts }, ..self }
    }

    /// With a verdict on the type that is not there.
    const fn nodata(self, nodata: Verdict) -> Self {
        Self { verdicts: Verdicts { nodata, ..self.verdicts }, ..self }
    }

    /// With a verdict on the name that is not there.
    const fn nxdomain(self, nxdomain: Verdict) -> Self {
        Self { verdicts: Verdicts { nxdomain, ..self.verdicts }, ..self }
    }

    /// With questions of its own.
    const fn ask(self, more: &'static [Ask]) -> Self {
        Self { more, ..self }
    }

    /// Fully qualified name.
    pub fn fqdn(&self) -> String {
        format!("{}.{APEX}", self.name)
    }

    /// A name below, fully qualified. `@` is the zone itself.
    fn below(&self, owner: &str) -> String {
        if owner == "@" { self.fqdn() } else { format!("{owner}.{}", self.fqdn()) }
    }

    /// The specimen that delegates to it; `None` if that is the zoo itself.
    fn parent(&self) -> Option<&'static Self> {
        let above = |other: &&Specimen| {
            self.name.strip_suffix(other.name).is_some_and(|rest| rest.ends_with('.') && !rest.is_empty())
        };
        specimens().filter(above).max_by_key(|other| other.name.len())
    }

    /// The zone file before signing, without keys.
    fn zone_text(&self, ds_of: &dyn Fn(&Specimen) -> Vec<Ds>) -> String {
        let apex = self.fqdn();
        let mut text = format!("$ORIGIN {apex}\n$TTL 300\n@ IN SOA ns1 hostmaster 1 3600 600 86400 300\n");
        text += &records::name_servers(self.server, "");
        let _ = writeln!(text, "www IN A 192.0.2.80\n{}", self.content);
        text += &delegations(Some(self), ds_of);
        text
    }

    /// The questions, each with what a validating resolver must answer.
    fn questions(&self) -> Vec<Question> {
        let Verdicts { answer, nodata, nxdomain } = self.verdicts;
        let ask = |owner, rtype, reply, answers, verdict| Ask { owner, rtype, reply, answers, verdict };
        let standard = [
            ask("www", "A", Reply::Answer, 1, answer),
            ask("www", "MX", Reply::NoData, 0, nodata),
            ask("nowhere", "A", Reply::NxDomain, 0, nxdomain),
        ];
        let question = |ask: &Ask| {
            let Verdict(status, error) = ask.verdict;
            Question::new(self.below(ask.owner), ask.rtype, ask.reply, ask.answers, status, error)
        };
        // A question of its own stands for the standard one.
        let own = |ask: &&Ask| !self.more.iter().any(|more| (more.owner, more.rtype) == (ask.owner, ask.rtype));
        let standard = standard.iter().filter(|_| !self.is_attack).filter(own);
        standard.chain(self.more).map(question).collect()
    }

    /// What tests may know.
    pub fn facts(&self) -> ZoneFacts {
        let denial = match self.denial {
            Denial::Nsec => "nsec",
            Denial::Nsec3 { opt_out: false, .. } => "nsec3",
            Denial::Nsec3 { opt_out: true, .. } => "nsec3-opt-out",
        };
        ZoneFacts {
            name: self.fqdn(),
            group: if self.is_attack { super::ATTACKS } else { super::ZOO }.to_owned(),
            rule: Some(self.rule.to_owned()),
            server: servers::name_of(self.server).to_owned(),
            algorithm: self.keys.first().map(|key| key.algorithm),
            denial: (self.signer != Signer::Nobody).then(|| denial.to_owned()),
            defect: None,
            status: status_name(self.verdicts.answer.0).to_owned(),
            generated_hosts: 0,
            questions: self.questions(),
        }
    }
}

/// All specimens.
pub fn specimens() -> impl Iterator<Item = &'static Specimen> {
    table::ROOMS.iter().flat_map(|room| room.iter())
}

/// Zones of the zoo with their files, for a server's configuration.
pub fn served(server: Server) -> impl Iterator<Item = (String, PathBuf)> {
    specimens()
        .filter(move |specimen| specimen.server == server)
        .map(|specimen| (specimen.fqdn(), making::signed_file(specimen)))
}

/// Delegations of a specimen, or of the zoo itself.
fn delegations(parent: Option<&Specimen>, ds_of: &dyn Fn(&Specimen) -> Vec<Ds>) -> String {
    let mut text = String::new();
    let is_child = |child: &&Specimen| child.parent().map(|above| above.name) == parent.map(|above| above.name);
    for child in specimens().filter(is_child) {
        let rest = parent.and_then(|parent| child.name.strip_suffix(parent.name)).unwrap_or(child.name);
        let owner = rest.trim_end_matches('.');
        text += &records::name_servers(child.server, owner);
        for ds in ds_of(child) {
            let _ = writeln!(text, "{owner} 300 IN DS {}", ds.text());
        }
    }
    text
}

/// What every table needs.
const PAIR: &[Key] = &[ksk(13), zsk(13)];

/// A key that signs keys.
const fn ksk(algorithm: u8) -> Key {
    Key { flags: 257, algorithm, bits: 0, exponent: 0, signs: true }
}

/// A key that signs the rest.
const fn zsk(algorithm: u8) -> Key {
    Key { flags: 256, ..ksk(algorithm) }
}

impl Key {
    /// Of this size.
    const fn bits(self, bits: u16) -> Self {
        Self { bits, ..self }
    }

    /// With this public exponent.
    const fn exponent(self, exponent: u64) -> Self {
        Self { exponent, ..self }
    }

    /// Published, but not in use.
    const fn standby(self) -> Self {
        Self { signs: false, ..self }
    }

    /// With the revoke bit (RFC 5011 §7).
    const fn revoked(self) -> Self {
        Self { flags: self.flags | 128, ..self }
    }
}

/// Proven all the way.
const SECURE: Verdict = Verdict(Status::Secure, None);

/// Proven to be unsigned.
const INSECURE: Verdict = Verdict(Status::Insecure, None);

/// Wrong, and no extended error fits better than others.
const BOGUS: Verdict = Verdict(Status::Bogus, None);

/// Wrong, with this extended error.
const fn bogus(extended_error: u16) -> Verdict {
    Verdict(Status::Bogus, Some(extended_error))
}

/// Not provable, with this extended error.
const fn insecure(extended_error: u16) -> Verdict {
    Verdict(Status::Insecure, Some(extended_error))
}

/// A question of a specimen's own that has an answer.
const fn there(owner: &'static str, rtype: &'static str, answers: usize, verdict: Verdict) -> Ask {
    Ask { owner, rtype, reply: Reply::Answer, answers, verdict }
}

/// A question of a specimen's own that has none.
const fn not_there(owner: &'static str, rtype: &'static str, reply: Reply, verdict: Verdict) -> Ask {
    Ask { owner, rtype, reply, answers: 0, verdict }
}

/// Where the zoo is.
const APEX: &str = "zoo.test.";

/// Everything that the zoo is made from: it is made again when one of them changes.
pub const SOURCES: &[&str] = &[
    include_str!("mod.rs"),
    include_str!("key_files.rs"),
    include_str!("making.rs"),
    include_str!("scene.rs"),
    include_str!("wire.rs"),
    include_str!("table/algorithms.rs"),
    include_str!("table/attacks.rs"),
    include_str!("table/delegation.rs"),
    include_str!("table/denial.rs"),
    include_str!("table/keys.rs"),
    include_str!("table/names.rs"),
    include_str!("table/signatures.rs"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_many() {
        let mut names: Vec<&str> = specimens().map(|specimen| specimen.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() == count && count >= 70, "{count}");
    }

    #[test]
    fn every_verdict_cites_its_rule() {
        for specimen in specimens() {
            assert!(specimen.rule.contains("RFC ") && specimen.rule.contains('§'), "{}", specimen.name);
        }
    }

    #[test]
    fn a_delegation_is_its_parents() {
        let child = specimens().find(|specimen| specimen.name == "signed.island").unwrap();
        assert_eq!(child.parent().map(|parent| parent.name), Some("island"));
    }
}
