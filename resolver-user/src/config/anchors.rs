//! Trust anchors as text: dnsmasq's `trust-anchor=` values, lines of a `trust-anchors-file`, and Debian's `dns-root-data`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{ConfiguredAnchor, Origin};
use crate::validator::DsAnchor;
use crate::wire::Name;

use super::syntax;

/// What a `trust-anchor` may be.
pub(super) const LEGAL: &str = "<domain>[,<class>],<key tag>,<algorithm 8|10|13|14|15|16>,<digest type 2|4>,<hex digest>, or \
                                <domain> alone for no validation at and below it";

/// An anchor as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AnchorText {
    /// With a key: validation starts there.
    Positive(DsAnchor),
    /// A domain alone: no validation at and below it (RFC 7646).
    Negative(Name),
}

/// The root's anchors, used if `dnssec` is on and no anchor of the root, of either kind, is configured: KSK-2017 and KSK-2024
/// (<https://data.iana.org/root-anchors/root-anchors.xml>).
const BUILT_IN: [&str; 2] = [
    ".,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ".,38696,8,2,683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
];
/// Where Debian's package `dns-root-data` keeps the root's anchors.
pub(super) const ROOT_DATA: &str = "/usr/share/dns";
/// Its files, best first: DS records, and the keys themselves.
const ROOT_DATA_FILES: [&str; 2] = ["root.ds", "root.key"];
/// Key tag of KSK-2017, which has signed nothing since 11 October 2026.
pub(super) const RETIRED_ROOT_TAG: u16 = 20326;

/// The root's anchors that are built in.
pub(super) fn built_in() -> Vec<DsAnchor> {
    let positive = |text: &&str| match read_value(text) {
        Ok(AnchorText::Positive(anchor)) => Some(anchor),
        Ok(AnchorText::Negative(_)) | Err(_) => None,
    };
    BUILT_IN.iter().filter_map(positive).collect()
}

/// The root's anchors that the system provides in `directory`; none if it provides none.
///
/// # Errors
/// Which file cannot be used, and why.
pub(super) fn of_system(directory: &Path) -> Result<Option<Vec<ConfiguredAnchor>>, (PathBuf, String)> {
    for file in ROOT_DATA_FILES {
        let path = directory.join(file);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err((path, error.to_string())),
        };
        let mut anchors = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            match read_file_line(line) {
                Ok(None) => {}
                Ok(Some(AnchorText::Positive(anchor))) if anchor.zone.is_root() => {
                    anchors
                        .push(ConfiguredAnchor { anchor, origin: Origin::File { path: path.clone(), line: number } });
                }
                Ok(Some(_)) => return Err((path, format!("line {number} is no anchor of the root"))),
                Err(what) => return Err((path, format!("line {number}: {what}"))),
            }
        }
        if anchors.is_empty() {
            return Err((path, "there is no anchor in it".to_owned()));
        }
        return Ok(Some(anchors));
    }
    Ok(None)
}

/// The anchor with a key of the root that stands on a line of an anchors file, if one does.
pub fn is_root_anchor(line: &str) -> Option<DsAnchor> {
    match read_file_line(line) {
        Ok(Some(AnchorText::Positive(anchor))) if anchor.zone.is_root() => Some(anchor),
        _ => None,
    }
}

/// Reads `<domain>[,<class>],<tag>,<algorithm>,<digest type>,<hex>`, white space in the hex skipped, or a domain alone.
pub(super) fn read_value(value: &str) -> Result<AnchorText, String> {
    let mut fields: Vec<String> = value.split(',').map(|field| syntax::reveal(field.trim())).collect();
    if let [domain] = fields.as_slice() {
        return read_domain(domain).map(AnchorText::Negative);
    }
    if fields.len() == 6 {
        let class = fields.remove(1);
        if !class.eq_ignore_ascii_case("IN") {
            return Err(format!("class {class} is not IN"));
        }
    }
    let [zone, tag, algorithm, digest_type, digest] = fields.as_slice() else {
        return Err(format!("{} fields, not 5 or 6", fields.len()));
    };
    check(zone, tag, algorithm, digest_type, digest).map(AnchorText::Positive)
}

/// Reads a line of an anchors file: empty (none), a value with or without `trust-anchor=`, or a DS or DNSKEY record of a
/// zone file with or without TTL and class. `#` and `;` start comments.
pub(super) fn read_file_line(line: &str) -> Result<Option<AnchorText>, String> {
    let line = line.split(['#', ';']).next().unwrap_or_default().trim();
    if line.is_empty() {
        return Ok(None);
    }
    let named = line.split_once('=').filter(|(name, _)| name.trim() == "trust-anchor").map(|(_, value)| value.trim());
    let value = named.unwrap_or(line);
    // A domain alone is an anchor only where it is called one.
    if value.contains(',') || named.is_some() && !value.contains(char::is_whitespace) {
        return read_value(value).map(Some);
    }
    read_record(value).map(|anchor| Some(AnchorText::Positive(anchor)))
}

/// Reads `<owner> [<ttl>] [IN] DS <tag> <algorithm> <digest type> <hex> …`, or
/// `<owner> [<ttl>] [IN] DNSKEY <flags> 3 <algorithm> <base64> …`, which becomes a DS with SHA-256.
fn read_record(text: &str) -> Result<DsAnchor, String> {
    let mut words = text.split_whitespace();
    let owner = words.next().unwrap_or_default();
    let mut rtype = words.next();
    // TTL and class may stand in either order, each once.
    for _ in 0..2 {
        let skippable = |word: &&str| word.eq_ignore_ascii_case("IN") || word.chars().all(|c| c.is_ascii_digit());
        if rtype.as_ref().is_some_and(skippable) {
            rtype = words.next();
        }
    }
    match rtype {
        Some(rtype) if rtype.eq_ignore_ascii_case("DS") => {}
        Some(rtype) if rtype.eq_ignore_ascii_case("DNSKEY") => return read_key(owner, words),
        _ => return Err("neither a trust anchor nor a DS record".to_owned()),
    }
    let [tag, algorithm, digest_type] = [words.next(), words.next(), words.next()].map(Option::unwrap_or_default);
    let digest: String = words.collect();
    check(owner, tag, algorithm, digest_type, &digest)
}

/// Reads what follows `DNSKEY`.
fn read_key<'a>(owner: &str, mut words: impl Iterator<Item = &'a str>) -> Result<DsAnchor, String> {
    let [flags, protocol, algorithm] = [words.next(), words.next(), words.next()].map(Option::unwrap_or_default);
    let flags: u16 = flags.parse().map_err(|_| format!("DNSKEY flags \"{flags}\" are not a number of 0..=65535"))?;
    if flags & FLAG_ZONE == 0 || flags & FLAG_REVOKE != 0 || protocol != "3" {
        return Err("the DNSKEY is no zone key of protocol 3, or is revoked".to_owned());
    }
    let algorithm: u8 = algorithm.parse().map_err(|_| format!("algorithm \"{algorithm}\" is not a number"))?;
    let base64: String = words.collect();
    let key =
        data_encoding::BASE64.decode(base64.as_bytes()).map_err(|_| "the DNSKEY's key is not base64".to_owned())?;
    let [high, low] = flags.to_be_bytes();
    let rdata = [&[high, low, 3, algorithm], &key[..]].concat();
    let anchor = DsAnchor::of_key(&read_domain(owner)?, &rdata).ok_or("the DNSKEY is too short")?;
    anchor.check().map_err(|error| error.to_string())?;
    Ok(anchor)
}

/// Zone key flag (RFC 4034 §2.1.1).
const FLAG_ZONE: u16 = 0x0100;
/// Revoke flag (RFC 5011 §2.1).
const FLAG_REVOKE: u16 = 0x0080;

fn check(zone: &str, tag: &str, algorithm: &str, digest_type: &str, digest: &str) -> Result<DsAnchor, String> {
    let anchor = DsAnchor {
        zone: read_domain(zone)?,
        key_tag: tag.parse().map_err(|_| format!("key tag \"{tag}\" is not a number of 0..=65535"))?,
        algorithm: algorithm.parse().map_err(|_| format!("algorithm \"{algorithm}\" is not a number"))?,
        digest_type: digest_type.parse().map_err(|_| format!("digest type \"{digest_type}\" is not a number"))?,
        digest: read_hex(digest).ok_or("digest is not hexadecimal")?,
    };
    anchor.check().map_err(|error| error.to_string())?;
    Ok(anchor)
}

fn read_domain(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error| format!("domain \"{text}\": {error}"))
}

fn read_hex(text: &str) -> Option<Box<[u8]>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";

    #[test]
    fn every_way_to_write_an_anchor_means_the_same() {
        let (head, tail) = DIGEST.split_at(30);
        let [first, _] = &built_in()[..] else { panic!("two anchors are built in") };
        for text in [
            format!(".,20326,8,2,{DIGEST}"),
            format!("trust-anchor=.,20326,8,2,{DIGEST}"),
            format!("trust-anchor = ., IN, 20326, 8, 2, {head} {tail}  # comment"),
            format!(". IN DS 20326 8 2 {DIGEST}"),
            format!(".\t172800 IN DS 20326 8 2 {head} {tail} ; comment"),
            format!(". IN 172800 ds 20326 8 2 {}", DIGEST.to_lowercase()),
        ] {
            assert_eq!(read_file_line(&text), Ok(Some(AnchorText::Positive(first.clone()))), "{text}");
        }
        assert_eq!(read_file_line("  ; nothing"), Ok(None));
    }

    #[test]
    fn a_key_is_the_anchor_that_its_digest_is() {
        // KSK-2017.
        let key = "AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kv\
                   ArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7\
                   pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8sub\
                   X2Nn6UwNR1AkUTV74bU=";
        let (head, tail) = key.split_at(40);
        let read = read_file_line(&format!(". 172800 IN DNSKEY 257 3 8 {head} {tail} ; keytag 20326"));
        assert_eq!(read, Ok(built_in().into_iter().next().map(AnchorText::Positive)));
    }

    #[test]
    fn anchors_of_the_system_are_read_or_refused_as_a_whole() {
        let directory = std::env::temp_dir().join(format!("resolver-root-data-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        assert_eq!(of_system(&directory), Ok(None));
        let line = format!(". IN DS 20326 8 2 {DIGEST}\n");
        fs::write(directory.join("root.key"), &line).unwrap();
        assert_eq!(
            of_system(&directory).unwrap().unwrap()[0].origin.to_string(),
            format!("{}/root.key:1", directory.display())
        );
        for (text, what) in
            [("", "no anchor"), ("nonsense\n", "line 1: neither"), ("trust-anchor=lan\n", "no anchor of the root")]
        {
            fs::write(directory.join("root.ds"), text).unwrap();
            let (path, error) = of_system(&directory).unwrap_err();
            assert!(path.ends_with("root.ds") && error.contains(what), "{error}");
        }
        fs::write(directory.join("root.ds"), format!("; comment\n{line}")).unwrap();
        assert_eq!(of_system(&directory).unwrap().unwrap().len(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_domain_alone_is_a_negative_anchor_where_it_is_called_one() {
        let negative = |domain: &str| AnchorText::Negative(domain.parse().unwrap());
        assert_eq!(read_value("lan"), Ok(negative("lan.")));
        assert_eq!(read_value("."), Ok(negative(".")));
        assert_eq!(read_file_line("trust-anchor = corp.example # ours"), Ok(Some(negative("corp.example."))));
        assert!(read_file_line("corp.example").is_err());
        assert!(read_value("a..b").is_err());
    }

    #[test]
    fn wrong_anchors_say_what_is_wrong() {
        for (text, what) in [
            (".".to_owned(), "neither"),
            (".,CH,20326,8,2,00".to_owned(), "class CH"),
            (format!(".,x,8,2,{DIGEST}"), "key tag"),
            (".,20326,8,2,00".to_owned(), "has 1 bytes, not 32"),
            (".,20326,8,2,xyz".to_owned(), "hexadecimal"),
            (format!(".,20326,5,2,{DIGEST}"), "algorithm 5 is not supported"),
            (". IN DNSKEY 257 3 8 AwEAAa!!".to_owned(), "not base64"),
            (". IN DNSKEY 385 3 8 AwEAAQ==".to_owned(), "revoked"),
            (". IN DNSKEY x 3 8 AwEAAQ==".to_owned(), "DNSKEY flags"),
            (". IN DNSKEY 257 3 5 AwEAAQ==".to_owned(), "algorithm 5 is not supported"),
            (format!(".,20326,8,2,3,4,{DIGEST}"), "fields"),
        ] {
            let error = read_file_line(&text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
