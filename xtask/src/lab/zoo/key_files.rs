//! Keys of the zoo, made by whichever tool makes such keys, and kept between runs.
//!
//! In: a row. Out: a pair of files for each of its keys. BIND makes most, ldns what BIND has given up (RSA/MD5, DSA, short
//! RSA), OpenSSL RSA with an exponent of our choice.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use data_encoding::{BASE64, HEXLOWER};

use super::{
    Key, Specimen,
    making::{KeyPair, ending},
    wire::PublicKey,
};
use crate::{
    command::{Failure, Tool, make_folder, remove, write},
    paths,
};

/// Makes the keys of a specimen unless they are there.
pub fn ensure(row: &Specimen) -> Result<Vec<KeyPair>, Failure> {
    let key = |(slot, key): (usize, &Key)| {
        let Key { flags, algorithm, bits, exponent, .. } = key;
        let name = format!("{slot}-{flags}-{algorithm}-{bits}-{exponent}");
        let folder = paths::lab().join("keys").join(crate::lab::ZOO).join(row.name).join(name);
        let stem = match stem_in(&folder) {
            Some(stem) => stem,
            None => make(row, key, &folder)?,
        };
        KeyPair::read(stem)
    };
    row.keys.iter().enumerate().map(key).collect()
}

/// Makes one key in a folder of its own.
fn make(row: &Specimen, key: &Key, folder: &Path) -> Result<PathBuf, Failure> {
    remove(folder)?;
    make_folder(folder)?;
    let apex = row.fqdn();
    let (number, bits) = (key.algorithm.to_string(), key.bits.to_string());
    let ksk: &[&str] = if key.flags & 1 == 1 { &["-f", "KSK"] } else { &[] };
    let revoke: &[&str] = if key.flags & 128 == 128 { &["-f", "REVOKE"] } else { &[] };
    let size: &[&str] = if key.bits > 0 { &["-b", &bits] } else { &[] };
    match (key.exponent, key.algorithm) {
        (1.., _) => make_with_exponent(&apex, key, folder)?,
        (_, 1 | 3 | 6) => make_with_ldns(&apex, key, folder)?,
        (_, 8) if (1..1024).contains(&key.bits) => make_with_ldns(&apex, key, folder)?,
        _ => {
            let tool = Tool::new("dnssec-keygen").args(["-q", "-a", &number]).args(size).args(ksk).args(revoke);
            tool.arg("-K").arg(folder).arg(&apex).output()?;
        }
    }
    stem_in(folder).ok_or(Failure::Unreadable { tool: "dnssec-keygen", said: folder.display().to_string() })
}

/// Makes a key with ldns, which writes into the folder that it runs in.
fn make_with_ldns(apex: &str, key: &Key, folder: &Path) -> Result<(), Failure> {
    let name = match key.algorithm {
        1 => "RSAMD5",
        3 => "DSA",
        6 => "DSA-NSEC3-SHA1",
        _ => "RSASHA256",
    };
    let ksk = if key.flags & 1 == 1 { Some("-k") } else { None };
    let tool = Tool::new("env").arg("-C").arg(folder).args(["ldns-keygen", "-a", name, "-b", &key.bits.to_string()]);
    tool.args(ksk).arg(apex.trim_end_matches('.')).output().map(drop)
}

/// Makes an RSA key with OpenSSL and writes it in the form of the tools (RFC 3110 §2).
fn make_with_exponent(apex: &str, key: &Key, folder: &Path) -> Result<(), Failure> {
    let pem = folder.join("key.pem");
    let bits = format!("rsa_keygen_bits:{}", if key.bits > 0 { key.bits } else { 2048 });
    let exponent = format!("rsa_keygen_pubexp:{}", key.exponent);
    let tool = Tool::new("openssl").args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", &bits, "-pkeyopt"]);
    tool.args([&exponent, "-out"]).arg(&pem).output()?;
    let text = Tool::new("openssl").args(["pkey", "-noout", "-text", "-in"]).arg(&pem).output()?;
    let number =
        |field: &str| field_of(&text, field).ok_or(Failure::Unreadable { tool: "openssl", said: text.clone() });
    let modulus = number("modulus")?;
    let short: Vec<u8> = key.exponent.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    let material = [&[short.len() as u8][..], &short, &modulus].concat();
    let public = PublicKey { flags: key.flags, protocol: 3, algorithm: key.algorithm, material };
    let stem = folder.join(format!("K{apex}+{:03}+{:05}", key.algorithm, public.tag()));
    write(&ending(&stem, "key"), format!("{apex} IN DNSKEY {}\n", public.text()))?;
    let mut private = format!("Private-key-format: v1.3\nAlgorithm: {} (RSASHA256)\n", key.algorithm);
    let _ = writeln!(private, "Modulus: {}\nPublicExponent: {}", BASE64.encode(&modulus), BASE64.encode(&short));
    for (title, field) in PRIVATE_FIELDS {
        let _ = writeln!(private, "{title}: {}", BASE64.encode(&number(field)?));
    }
    write(&ending(&stem, "private"), private)
}

/// A number that OpenSSL printed as lines of hexadecimal octets.
fn field_of(text: &str, field: &str) -> Option<Vec<u8>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("{field}:")));
    lines.next()?;
    let digits: String =
        lines.take_while(|line| line.starts_with(' ')).flat_map(|line| line.trim().split(':')).collect();
    let octets = HEXLOWER.decode(digits.as_bytes()).ok()?;
    Some(octets.into_iter().skip_while(|octet| *octet == 0).collect())
}

/// Path of the key in a folder, without ending.
fn stem_in(folder: &Path) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let key = files.find(|path| path.extension().is_some_and(|extension| extension == "key"))?;
    Some(key.with_extension(""))
}

/// Fields of a private key file and what OpenSSL calls them.
const PRIVATE_FIELDS: &[(&str, &str)] = &[
    ("PrivateExponent", "privateExponent"),
    ("Prime1", "prime1"),
    ("Prime2", "prime2"),
    ("Exponent1", "exponent1"),
    ("Exponent2", "exponent2"),
    ("Coefficient", "coefficient"),
];
