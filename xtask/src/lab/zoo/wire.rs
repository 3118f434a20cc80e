//! Just enough of DNSSEC's wire forms to make one record anew: names, RDATA, key tags, digests, hashes, signatures.
//!
//! In: records as text. Out: octets, or the text of a DS or RRSIG that the signing tools would not make.
//! Signs with ECDSA P-256 alone; whatever another algorithm signs, the tools sign (RFC 4034, RFC 5155, RFC 6605).

use data_encoding::{BASE32_DNSSEC, BASE64, HEXUPPER};
use ring::{
    digest::{Algorithm as Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};

/// A DNSKEY record's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// 256, 257, or something worse.
    pub flags: u16,
    /// 3, or something worse.
    pub protocol: u8,
    /// Number in the registry.
    pub algorithm: u8,
    /// The key itself.
    pub material: Vec<u8>,
}

/// A DS record's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ds {
    /// Tag of the key.
    pub tag: u16,
    /// Algorithm of the key.
    pub algorithm: u8,
    /// Number in the registry of digests.
    pub digest_type: u8,
    /// The digest.
    pub digest: Vec<u8>,
}

/// Fields of an RRSIG that do not follow from the records it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFields {
    /// Algorithm.
    pub algorithm: u8,
    /// Number of labels of the owner, without a wildcard's.
    pub labels: u8,
    /// Seconds.
    pub original_ttl_s: u32,
    /// `YYYYMMDDHHMMSS` or seconds since 1970.
    pub expiration: String,
    /// As `expiration`.
    pub inception: String,
    /// Tag of the key.
    pub tag: u16,
    /// Name of the zone.
    pub signer: String,
}

impl PublicKey {
    /// Reads RDATA as text. `None` if it is none.
    pub fn read(rdata: &str) -> Option<Self> {
        let words: Vec<&str> = rdata.split_whitespace().collect();
        let [flags, protocol, algorithm, material @ ..] = &words[..] else { return None };
        let number = |word: &str| word.parse().ok();
        Some(Self {
            flags: flags.parse().ok()?,
            protocol: number(protocol)?,
            algorithm: number(algorithm)?,
            material: BASE64.decode(material.concat().as_bytes()).ok()?,
        })
    }

    /// RDATA as text.
    pub fn text(&self) -> String {
        format!("{} {} {} {}", self.flags, self.protocol, self.algorithm, BASE64.encode(&self.material))
    }

    /// RDATA.
    pub fn wire(&self) -> Vec<u8> {
        [&self.flags.to_be_bytes()[..], &[self.protocol, self.algorithm], &self.material].concat()
    }

    /// RFC 4034 appendix B; RSA/MD5 has its own way.
    pub fn tag(&self) -> u16 {
        if let (1, [.., high, low, _]) = (self.algorithm, &self.material[..]) {
            return u16::from_be_bytes([*high, *low]);
        }
        let sum: u32 =
            self.wire().chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from)).sum();
        ((sum + (sum >> 16)) & 0xffff) as u16
    }

    /// Its DS at an owner (RFC 4034 §5.1.4). A digest type that nobody knows is given SHA-256's digest.
    pub fn ds(&self, owner: &str, digest_type: u8) -> Ds {
        let function: &Digest = match digest_type {
            1 => &SHA1_FOR_LEGACY_USE_ONLY,
            4 => &SHA384,
            _ => &SHA256,
        };
        let digest = digest(function, &[name(owner), self.wire()].concat()).as_ref().to_vec();
        Ds { tag: self.tag(), algorithm: self.algorithm, digest_type, digest }
    }
}

impl Ds {
    /// RDATA as text.
    pub fn text(&self) -> String {
        format!("{} {} {} {}", self.tag, self.algorithm, self.digest_type, HEXUPPER.encode(&self.digest))
    }
}

/// Signs a set of records: RDATA of the RRSIG as text. `None` if something cannot be read.
pub fn rrsig(
    owner: &str,
    rtype: &str,
    rdata: &[&str],
    fields: &SignatureFields,
    key: (&PublicKey, &str),
) -> Option<String> {
    let number = type_number(rtype)?;
    let mut head = number.to_be_bytes().to_vec();
    head.extend([fields.algorithm, fields.labels]);
    head.extend(fields.original_ttl_s.to_be_bytes());
    head.extend(seconds(&fields.expiration)?.to_be_bytes());
    head.extend(seconds(&fields.inception)?.to_be_bytes());
    head.extend(fields.tag.to_be_bytes());
    head.extend(name(&fields.signer));
    let mut records: Vec<Vec<u8>> = rdata.iter().map(|text| rdata_wire(rtype, text)).collect::<Option<_>>()?;
    records.sort();
    let mut message = head;
    for record in records {
        message.extend(name(owner));
        message.extend(number.to_be_bytes());
        message.extend([0, 1]);
        message.extend(fields.original_ttl_s.to_be_bytes());
        message.extend(u16::try_from(record.len()).ok()?.to_be_bytes());
        message.extend(record);
    }
    let signature = BASE64.encode(&sign(&message, key.0, key.1)?);
    let SignatureFields { algorithm, labels, original_ttl_s, expiration, inception, tag, signer } = fields;
    Some(format!("{rtype} {algorithm} {labels} {original_ttl_s} {expiration} {inception} {tag} {signer} {signature}"))
}

/// Length of a private key of P-256, in bytes.
const P256_SCALAR_LEN: usize = 32;

/// Signs octets with a private key file of the tools.
fn sign(message: &[u8], public: &PublicKey, private_file: &str) -> Option<Vec<u8>> {
    let number = private_file.lines().find_map(|line| line.strip_prefix("PrivateKey: "))?;
    let number = BASE64.decode(number.trim().as_bytes()).ok()?;
    // The tools leave out zeros in front, which one key in 256 has.
    let mut scalar = [0; P256_SCALAR_LEN];
    scalar.get_mut(P256_SCALAR_LEN.checked_sub(number.len())?..)?.copy_from_slice(&number);
    let random = SystemRandom::new();
    let point = [&[4], &public.material[..]].concat();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, &point, &random).ok()?;
    Some(pair.sign(&random, message).ok()?.as_ref().to_vec())
}

/// A name in canonical wire form. Escapes are not understood; no name of the zoo has any.
pub fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.to_ascii_lowercase().bytes());
    }
    wire.push(0);
    wire
}

/// Hash of a name as the first label of its NSEC3 record (RFC 5155 §5), in lower case.
pub fn nsec3_hash(owner: &str, salt: &[u8], iterations: u16) -> String {
    let mut hash = name(owner);
    for _ in 0..=iterations {
        hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&hash, salt].concat()).as_ref().to_vec();
    }
    BASE32_DNSSEC.encode(&hash)
}

/// Octets of a salt as text, `-` for none.
pub fn salt(text: &str) -> Option<Vec<u8>> {
    if text == "-" { Some(Vec::new()) } else { HEXUPPER.decode(text.to_ascii_uppercase().as_bytes()).ok() }
}

/// RDATA in canonical wire form, of the types that the zoo signs anew.
fn rdata_wire(rtype: &str, text: &str) -> Option<Vec<u8>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match rtype {
        "A" => Some(text.trim().parse::<std::net::Ipv4Addr>().ok()?.octets().to_vec()),
        "AAAA" => Some(text.trim().parse::<std::net::Ipv6Addr>().ok()?.octets().to_vec()),
        "NS" => Some(name(text)),
        "SOA" => {
            let [server, mailbox, numbers @ ..] = &words[..] else { return None };
            let numbers: Vec<u32> = numbers.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
            let numbers = numbers.into_iter().flat_map(u32::to_be_bytes).collect();
            Some([name(server), name(mailbox), numbers].concat())
        }
        "DNSKEY" => PublicKey::read(text).map(|key| key.wire()),
        "NSEC" => Some([name(words.first()?), bitmap(words.get(1..)?)?].concat()),
        "NSEC3" => {
            let [hash, flags, iterations, salted, next, types @ ..] = &words[..] else { return None };
            let salt = salt(salted)?;
            let next = BASE32_DNSSEC.decode(next.to_ascii_lowercase().as_bytes()).ok()?;
            let mut wire = vec![hash.parse().ok()?, flags.parse().ok()?];
            wire.extend(iterations.parse::<u16>().ok()?.to_be_bytes());
            wire.push(salt.len() as u8);
            wire.extend(salt);
            wire.push(next.len() as u8);
            wire.extend(next);
            wire.extend(bitmap(types)?);
            Some(wire)
        }
        "NSEC3PARAM" => {
            let [hash, flags, iterations, salted] = &words[..] else { return None };
            let salt = salt(salted)?;
            let mut wire = vec![hash.parse().ok()?, flags.parse().ok()?];
            wire.extend(iterations.parse::<u16>().ok()?.to_be_bytes());
            wire.push(salt.len() as u8);
            Some([wire, salt].concat())
        }
        _ => None,
    }
}

/// A type bitmap (RFC 4034 §4.1.2).
fn bitmap(types: &[&str]) -> Option<Vec<u8>> {
    let mut numbers: Vec<u16> = types.iter().map(|word| type_number(word)).collect::<Option<_>>()?;
    numbers.sort_unstable();
    let mut wire = Vec::new();
    for window in numbers.chunk_by(|one, other| one >> 8 == other >> 8) {
        let mut bits = [0_u8; 32];
        for number in window {
            let low = usize::from(number & 0xff);
            bits[low / 8] |= 0x80 >> (low % 8);
        }
        let len = bits.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        wire.extend([(window[0] >> 8) as u8, len as u8]);
        wire.extend(&bits[..len]);
    }
    Some(wire)
}

/// Number of a type.
pub fn type_number(word: &str) -> Option<u16> {
    let known = TYPES.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    known.or_else(|| word.strip_prefix("TYPE")?.parse().ok())
}

/// Seconds since 1970 of either form of a signature's time (RFC 4034 §3.2).
fn seconds(text: &str) -> Option<u32> {
    if text.len() != 14 {
        return text.parse().ok();
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    // Days from the civil calendar, with the year beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    u32::try_from(days * 86_400 + part(8, 10)? * 3600 + part(10, 12)? * 60 + part(12, 14)?).ok()
}

/// Types that stand in the zoo's bitmaps.
const TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("DNAME", 39),
    ("DS", 43),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ds_of_rfc_4509_is_made() {
        let key = PublicKey::read(
            "256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAph\
             XdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==",
        );
        let ds = key.unwrap().ds("dskey.example.com.", 2);
        let expected = "60485 5 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A";
        assert_eq!(ds.text(), expected);
    }

    #[test]
    fn the_hash_of_rfc_5155_is_made() {
        let salt = salt("aabbccdd").unwrap();
        assert_eq!(nsec3_hash("example.", &salt, 12), "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom");
        assert_eq!(nsec3_hash("*.w.example.", &salt, 12), "r53bq7cc2uvmubfu5ocmm6pers9tk9en");
    }

    #[test]
    fn a_private_key_that_begins_with_a_zero_signs() {
        let text = "256 3 13 UVhMHK6Fe1rxJC0mngR2enI8giVRO/VXDwqcctLvNLZNQ684JpuMqgwjzHYyKVDf7m2DB6gV78PGIb+paFgGdQ==";
        let file = "Algorithm: 13 (ECDSAP256SHA256)\nPrivateKey: HqC1UMbsTWssq+otfDpuO4NOBwKbU0bOEruXu1jbSw==\n";
        let signature = sign(b"octets", &PublicKey::read(text).unwrap(), file);
        assert_eq!(signature.map(|signature| signature.len()), Some(64));
    }

    #[test]
    fn both_forms_of_time_are_read() {
        assert_eq!(seconds("20260101000000"), Some(1_767_225_600));
        assert_eq!(seconds("20240229120001"), Some(1_709_208_001));
        assert_eq!(seconds("1767225600"), Some(1_767_225_600));
    }
}
