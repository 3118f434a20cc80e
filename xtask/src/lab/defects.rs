//! Breaks a zone in exactly one way, and makes sure that it was one.
//!
//! In: sound text, as the signing tools made it. Out: text that differs from it in one record. A defect that hits
//! nothing, or more than one record, is a failure: a test would prove something else than it says.

use std::path::Path;

use super::zones::{Defect, Zone};
use crate::command::{Failure, read, write};

/// Breaks a signed zone file as the table says. Defects that are made elsewhere leave it alone.
pub fn apply(zone: &Zone, signed: &Path) -> Result<(), Failure> {
    match zone.defect {
        Defect::None | Defect::WrongDs | Defect::Expired => Ok(()),
        Defect::WrongSignature { owner, rtype } => {
            let text = read(signed)?;
            write(signed, wrong_signature(zone, owner, rtype, &text)?)
        }
    }
}

/// The DS record with one digit of its digest changed.
pub fn wrong_ds(zone: &Zone, ds: &str) -> Result<String, Failure> {
    one_changed(zone, ds, |line| spoil_last_word(line, ['0', '1']))
}

/// The zone with one character of one signature changed.
fn wrong_signature(zone: &Zone, owner: &str, rtype: &str, text: &str) -> Result<String, Failure> {
    let owner = zone.below(owner);
    one_changed(zone, text, |line| {
        let words: Vec<&str> = line.split_whitespace().take(5).collect();
        let hit = matches!(words[..], [name, _, "IN", "RRSIG", covered] if name.eq_ignore_ascii_case(&owner) && covered == rtype);
        if hit { spoil_last_word(line, ['A', 'B']) } else { line.to_owned() }
    })
}

/// Applies an edit to every line, and insists that one came out different.
fn one_changed(zone: &Zone, text: &str, edit: impl Fn(&str) -> String) -> Result<String, Failure> {
    let edited: Vec<String> = text.lines().map(edit).collect();
    let changed = text.lines().zip(&edited).filter(|(before, after)| before != after).count();
    if changed != 1 {
        return Err(Failure::DefectMissed { zone: zone.name.to_owned(), changed });
    }
    Ok(edited.join("\n") + "\n")
}

/// The line with the first character of its last word changed, to one of two so that it surely differs.
fn spoil_last_word(line: &str, choices: [char; 2]) -> String {
    let start = line.trim_end().rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let other = if line[start..].starts_with(choices[0]) { choices[1] } else { choices[0] };
    let rest = line.get(start + 1..).unwrap_or_default();
    format!("{}{other}{rest}", &line[..start])
}

#[cfg(test)]
mod tests {
    use super::{super::zones::ZONES, *};

    /// A zone with the defect that is tried here.
    fn badsig() -> &'static Zone {
        ZONES.iter().find(|zone| zone.name == "badsig.test").unwrap()
    }

    const SIGNED: &str = "www.badsig.test.\t300\tIN RRSIG\tA 13 3 300 20260101000000 20250101000000 1 badsig.test. Ab== Cd==\n\
                          www.badsig.test.\t300\tIN RRSIG\tAAAA 13 3 300 20260101000000 20250101000000 1 badsig.test. Ab==\n";

    #[test]
    fn one_signature_is_changed_in_one_character() {
        let broken = wrong_signature(badsig(), "www", "A", SIGNED).unwrap();
        assert_eq!(broken, SIGNED.replacen("Cd==", "Ad==", 1));
    }

    #[test]
    fn a_defect_that_hits_nothing_is_refused() {
        let failure = wrong_signature(badsig(), "nowhere", "A", SIGNED).unwrap_err();
        assert!(matches!(failure, Failure::DefectMissed { changed: 0, .. }), "{failure}");
    }

    #[test]
    fn a_digest_is_changed_in_one_digit() {
        let broken = wrong_ds(badsig(), "badsig.test. IN DS 1 13 2 0AFE").unwrap();
        assert_eq!(broken, "badsig.test. IN DS 1 13 2 1AFE\n");
    }
}
