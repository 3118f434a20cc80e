//! Claims on cache files, among them bytes that were changed by chance.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::wire::{Name, RCode, Record, RecordType, RrSet, Rrsig};

const BASIS: Basis = [7; 32];
const NOW: Now = Now { unix_s: 1_750_000_000, boot_ns: 1000 * NS_PER_S };

fn at(seconds: u64) -> Now {
    Now { unix_s: NOW.unix_s + seconds, boot_ns: NOW.boot_ns + seconds * NS_PER_S }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A signed answer with an alias, and a denial.
fn responses() -> Vec<Response> {
    let signature = |owner: &Name, covered: u16, ttl_s: u32| {
        let mut rdata = covered.to_be_bytes().to_vec();
        rdata.extend([13, 2, 0, 0, 14, 16, 0x70, 0, 0, 0, 0x60, 0, 0, 0, 0, 9]);
        rdata.extend_from_slice(name("example.").wire());
        rdata.extend([5; 64]);
        let record = Record { owner: owner.clone(), rtype: RecordType::RRSIG, class: 1, ttl_s, rdata: rdata.into() };
        Rrsig::read(&record).unwrap()
    };
    let set = |owner: &str, rtype: RecordType, ttl_s: u32, rdatas: &[&[u8]]| {
        let owner = name(owner);
        let rdatas = rdatas.iter().map(|rdata| Box::from(*rdata)).collect();
        let signatures = vec![signature(&owner, rtype.0, ttl_s)];
        RrSet { owner, rtype, ttl_s, rdatas, signatures }
    };
    let alias = set("WWW.example.", RecordType::CNAME, 300, &[name("a.example.").wire()]);
    let addresses = set("a.example.", RecordType::A, 120, &[&[192, 0, 2, 1], &[192, 0, 2, 2]]);
    let soa = [name("ns.example.").wire(), name("x.example.").wire(), &[0; 20]].concat();
    let soa = set("example.", RecordType::SOA, 60, &[&soa]);
    let nsec = set("example.", RecordType::NSEC, 60, &[b"\x01z\x07example\0\0\x01\x40"]);
    vec![
        Response {
            question: Question::new(name("WWW.example."), RecordType::A),
            rcode: RCode::NOERROR,
            answer: vec![alias, addresses],
            authority: Vec::new(),
        },
        Response {
            question: Question::new(name("no.example."), RecordType::AAAA),
            rcode: RCode::NXDOMAIN,
            answer: Vec::new(),
            authority: vec![soa, nsec],
        },
    ]
}

/// Both, found half a second ago, with a minute and two to go.
fn answers() -> Vec<SavedAnswer> {
    let found_at_boot_ns = NOW.boot_ns - NS_PER_S / 2;
    let answer = |(response, left_s): (&Response, u64)| {
        SavedAnswer::new(response, found_at_boot_ns, NOW.boot_ns + left_s * NS_PER_S, NOW).unwrap()
    };
    responses().iter().zip([120, 60]).map(answer).collect()
}

/// A file of its own for each test.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        Self(std::env::temp_dir().join(format!("resolver-saved-{test}-{}", std::process::id())))
    }

    fn saved(test: &str) -> Self {
        let place = Self::new(test);
        assert_eq!(save(&place.0, &BASIS, &answers(), NOW).unwrap(), 2);
        place
    }

    fn read(&self, now: Now) -> Result<Restored, RestoreError> {
        Restored::read(&self.0, &BASIS, now)
    }

    fn refused(&self) -> String {
        self.read(NOW).unwrap_err().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

#[test]
fn what_was_saved_comes_back_aged_and_is_given_once() {
    let place = Place::saved("aged");
    let restored = place.read(at(10)).unwrap();
    assert_eq!(restored.len(), 2);
    let [first, second] = responses().try_into().unwrap();
    let question = Question::new(name("www.EXAMPLE."), RecordType::A);
    let mut found = restored.take(&question, at(20)).unwrap();
    // 20 s, the one that finding was rounded to, and the one that the clock may be behind.
    assert_eq!(
        found.answer.iter().map(|set| set.ttl_s).collect::<Vec<_>>(),
        [99, 98],
        "and no longer than it was kept"
    );
    assert_eq!(found.answer[0].signatures[0].ttl_s, 99);
    for (set, was) in found.answer.iter_mut().zip(&first.answer) {
        set.ttl_s = was.ttl_s;
        set.signatures.iter_mut().for_each(|signature| signature.ttl_s = was.ttl_s);
    }
    found.question = first.question.clone();
    assert_eq!(found, first);
    assert_eq!(restored.take(&question, at(20)), None);
    assert_eq!(restored.rest().len(), 1, "what nobody has asked for is kept for the next time");
    let denial = restored.take(&second.question, at(20)).unwrap();
    assert_eq!((denial.rcode, denial.authority.len(), denial.authority[0].ttl_s), (RCode::NXDOMAIN, 2, 38));
    assert!(restored.is_empty());
}

#[test]
fn nothing_is_given_beyond_its_time() {
    let place = Place::saved("over");
    let question = responses()[1].question.clone();
    assert!(place.read(NOW).unwrap().take(&question, at(57)).is_some());
    assert!(place.read(NOW).unwrap().take(&question, at(58)).is_none(), "its last second cannot be told from the next");
    assert_eq!(place.read(at(60)).unwrap().len(), 1);
    assert_eq!(place.read(at(120)).unwrap().len(), 0);
    let restored = place.read(NOW).unwrap();
    assert!(!restored.look_at_clock(at(60)) && restored.len() == 1);
    let over = SavedAnswer::new(&responses()[0], 0, NOW.boot_ns, NOW);
    assert_eq!(over, None);
}

#[test]
fn a_clock_that_went_back_or_is_set_while_we_run_ends_it() {
    let place = Place::saved("clock");
    let before = Now { unix_s: NOW.unix_s - 1, ..NOW };
    assert!(matches!(place.read(before), Err(RestoreError::Future { ahead_s: 1 })));
    for step_s in [-3600_i64, 3600] {
        let restored = place.read(NOW).unwrap();
        let set = Now { unix_s: NOW.unix_s.saturating_add_signed(step_s), ..NOW };
        assert!(restored.look_at_clock(set) && restored.is_empty());
    }
}

#[test]
fn a_file_of_another_basis_or_that_others_may_write_is_not_used() {
    let place = Place::saved("foreign");
    let other = Restored::read(&place.0, &[8; 32], NOW).unwrap_err();
    assert!(matches!(other, RestoreError::OtherBasis), "{other}");
    assert_eq!(fs::metadata(&place.0).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&place.0, fs::Permissions::from_mode(mode)).unwrap();
        assert!(place.refused().contains("only we"), "{mode:o}");
    }
    save(&place.0, &BASIS, &answers(), NOW).unwrap();
    assert!(place.read(NOW).is_ok(), "a new file is ours again");
    let link = Place::new("foreign-link");
    std::os::unix::fs::symlink(&place.0, &link.0).unwrap();
    assert!(matches!(link.read(NOW), Err(RestoreError::Read(_))));
    save(&link.0, &BASIS, &answers(), NOW).unwrap();
    assert!(fs::symlink_metadata(&link.0).unwrap().is_file(), "the link is replaced, not followed");
    let directory = Restored::read(&std::env::temp_dir(), &BASIS, NOW).unwrap_err();
    assert!(matches!(directory, RestoreError::NoFile), "{directory}");
}

#[test]
fn damage_is_told_and_never_believed() {
    let place = Place::saved("damage");
    let whole = fs::read(&place.0).unwrap();
    let write = |bytes: &[u8]| fs::write(&place.0, bytes).unwrap();
    for len in 0..whole.len() {
        write(&whole[..len]);
        place.read(NOW).unwrap_err();
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        write(&changed);
        place.read(NOW).unwrap_err();
    }
    write(&[&whole[..], &[0]].concat());
    assert!(place.refused().contains("damaged"));
    write(b"something else");
    assert_eq!(place.refused(), "it is no cache file");
    let mut newer = whole.clone();
    newer[11] = 9;
    write(&newer);
    assert_eq!(place.refused(), "its format is version 9, ours is 1");
}

/// Whoever can write our file can make its sum fit: the reader must stand that, too.
#[test]
fn bytes_that_were_made_up_with_a_sum_that_fits_end_in_an_error_or_in_responses() {
    let (whole, _) = format::encode(&BASIS, NOW.unix_s, &answers(), FILE_LEN_MAX);
    let content = &whole[..whole.len() - 32];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (seed >> 33) as usize % below
    };
    let mut read = 0;
    for _ in 0..20_000 {
        let mut made_up = content.to_vec();
        for _ in 0..=random(4) {
            let at = 12 + random(made_up.len() - 12);
            match random(4) {
                0 => made_up[at] = random(256) as u8,
                1 => made_up.truncate(at),
                2 => made_up.insert(at, 0xff),
                _ => _ = made_up.remove(at),
            }
            made_up.resize(made_up.len().max(64), 0);
        }
        // Most changes of the basis would end it early.
        made_up[12..44].copy_from_slice(&BASIS);
        let sum = ring::digest::digest(&ring::digest::SHA256, &made_up);
        made_up.extend_from_slice(sum.as_ref());
        if let Ok((_, entries)) = format::decode(&made_up, &BASIS) {
            for (question, answer) in entries {
                read += usize::from(answer.response(&question, NOW.unix_s).is_some());
            }
        }
    }
    assert!(read > 1000, "most of what was changed could be read: {read}");
}

#[test]
fn a_file_is_no_longer_than_allowed_and_the_rest_is_left_out() {
    let answers = answers();
    let one = 12 + 32 + 8 + 4 + 20 + answers[0].message.len() + 32;
    let (bytes, count) = format::encode(&BASIS, NOW.unix_s, &answers, one);
    assert_eq!((bytes.len(), count), (one, 1));
    assert_eq!(format::decode(&bytes, &BASIS).unwrap().1.len(), 1);
    assert_eq!(format::encode(&BASIS, NOW.unix_s, &answers, one - 1).1, 0);
}
