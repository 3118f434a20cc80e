//! RDATA and times as text, the way zone files and `dig` write them (RFC 1035 §5.1, RFC 3597 §5, RFC 4034 §2.2 to §5.3).
//!
//! In: bytes as received. Out: one line, nothing in it that a terminal would act on. What does not follow its type's
//! layout, and types without a spelling of their own here, are written as `\# length hex`.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use super::{Name, RecordType};

/// RDATA of a type as text.
pub fn rdata_text(rtype: RecordType, rdata: &[u8]) -> String {
    let mut reader = Reader { rest: rdata, words: Vec::new() };
    match reader.read(rtype) {
        Some(()) if reader.rest.is_empty() => reader.words.join(" "),
        _ => by_hickory(rtype, rdata).unwrap_or_else(|| format!("\\# {} {}", rdata.len(), hex(rdata))),
    }
}

/// The types that a bitmap of NSEC or NSEC3 lists (RFC 4034 §4.1.2), up to its first malformed block.
pub fn bitmap_types(bitmap: &[u8]) -> Vec<RecordType> {
    let mut types = Vec::new();
    let mut rest = bitmap;
    while let Some((&[window, length], tail)) = rest.split_first_chunk::<2>() {
        let Some((block, after)) = tail.split_at_checked(usize::from(length).min(32)) else { break };
        let bits = block.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0));
        types.extend(
            (0..=u8::MAX)
                .zip(bits)
                .filter(|(_, set)| *set)
                .map(|(low, _)| RecordType(u16::from_be_bytes([window, low]))),
        );
        rest = after;
    }
    types
}

/// A time as `2026-11-23T02:16:33Z`.
pub fn time_text(unix_s: i64) -> String {
    let (days, second) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
    // Days since 1 March of the year 0, in eras of 400 years, which all have the same days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Lower-case hexadecimal; `-` for nothing, as NSEC3 writes an empty salt.
pub fn salt_text(salt: &[u8]) -> String {
    if salt.is_empty() { "-".to_owned() } else { hex(salt) }
}

/// Base 32 with the extended hex alphabet, lower case, without padding (RFC 4648 §7).
pub fn base32hex(bytes: &[u8]) -> String {
    in_groups(bytes, 5, b"0123456789abcdefghijklmnopqrstuv")
}

/// Base 64 with padding (RFC 4648 §4).
pub fn base64(bytes: &[u8]) -> String {
    let mut text = in_groups(bytes, 6, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Writes so many bits at a time as one character.
fn in_groups(bytes: &[u8], width: u32, alphabet: &[u8]) -> String {
    let mut text = String::new();
    let (mut bits, mut held) = (0u32, 0u32);
    let mut push = |value: u32| {
        let index = usize::try_from(value).unwrap_or(usize::MAX);
        text.extend(alphabet.get(index).map(|&letter| char::from(letter)));
    };
    let mask = (1 << width) - 1;
    for &byte in bytes {
        bits = (bits << 8 | u32::from(byte)) & 0xffff;
        held += 8;
        while held >= width {
            held -= width;
            push(bits >> held & mask);
        }
    }
    if held > 0 {
        push(bits << (width - held) & mask);
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Types with parts that are not worth a second reader, such as SVCB.
fn by_hickory(rtype: RecordType, rdata: &[u8]) -> Option<String> {
    let kind = hickory_proto::rr::RecordType::from(rtype.0);
    let length = Restrict::new(u16::try_from(rdata.len()).ok()?);
    let read = RData::read(&mut BinDecoder::new(rdata), kind, length).ok()?;
    let text = match read {
        RData::HTTPS(_) | RData::SVCB(_) | RData::NAPTR(_) | RData::SSHFP(_) | RData::TLSA(_) => read.to_string(),
        _ => return None,
    };
    (!text.chars().any(char::is_control)).then_some(text)
}

/// Takes RDATA apart, word by word.
struct Reader<'a> {
    rest: &'a [u8],
    words: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads the fields of a type; none at the first that is not there.
    fn read(&mut self, rtype: RecordType) -> Option<()> {
        match rtype {
            RecordType::A => self.address::<4>(|bytes| Ipv4Addr::from(bytes).to_string()),
            RecordType::AAAA => self.address::<16>(|bytes| Ipv6Addr::from(bytes).to_string()),
            RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => self.name(),
            RecordType::MX => self.u16().and_then(|()| self.name()),
            RecordType::SRV => {
                self.u16().and_then(|()| self.u16()).and_then(|()| self.u16()).and_then(|()| self.name())
            }
            RecordType::SOA => {
                self.name()?;
                self.name()?;
                (0..5).try_for_each(|_| self.u32())
            }
            RecordType::TXT => {
                self.string()?;
                while !self.rest.is_empty() {
                    self.string()?;
                }
                Some(())
            }
            RecordType::DS => {
                self.u16()?;
                self.u8()?;
                self.u8()?;
                self.remainder(|digest| hex(digest).to_uppercase())
            }
            RecordType::DNSKEY => {
                self.u16()?;
                self.u8()?;
                self.u8()?;
                self.remainder(base64)
            }
            RecordType::RRSIG => self.rrsig(),
            RecordType::NSEC => self.name().and_then(|()| self.bitmap()),
            RecordType::NSEC3 | RecordType::NSEC3PARAM => self.nsec3(rtype),
            _ => None,
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn word(&mut self, word: impl ToString) {
        self.words.push(word.to_string());
    }

    fn address<const N: usize>(&mut self, text: impl Fn([u8; N]) -> String) -> Option<()> {
        let bytes = self.array::<N>()?;
        self.word(text(bytes));
        Some(())
    }

    fn u8(&mut self) -> Option<()> {
        let [number] = self.array()?;
        self.word(number);
        Some(())
    }

    fn u16(&mut self) -> Option<()> {
        let number = u16::from_be_bytes(self.array()?);
        self.word(number);
        Some(())
    }

    fn u32(&mut self) -> Option<()> {
        let number = u32::from_be_bytes(self.array()?);
        self.word(number);
        Some(())
    }

    fn name(&mut self) -> Option<()> {
        let (name, end) = Name::read_compressed(self.rest, 0).ok()?;
        self.take(end)?;
        self.word(name);
        Some(())
    }

    /// A character string in quotes.
    fn string(&mut self) -> Option<()> {
        let [length] = self.array()?;
        let mut text = String::from("\"");
        for &byte in self.take(length.into())? {
            match byte {
                b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
                b' '..=b'~' => text.push(char::from(byte)),
                // Writing to a string cannot fail.
                _ => drop(write!(text, "\\{byte:03}")),
            }
        }
        text.push('"');
        self.word(text);
        Some(())
    }

    fn remainder(&mut self, text: impl Fn(&[u8]) -> String) -> Option<()> {
        let bytes = std::mem::take(&mut self.rest);
        self.word(text(bytes));
        Some(())
    }

    fn bitmap(&mut self) -> Option<()> {
        let types = bitmap_types(std::mem::take(&mut self.rest));
        self.words.extend(types.iter().map(ToString::to_string));
        Some(())
    }

    fn rrsig(&mut self) -> Option<()> {
        let covered = RecordType(u16::from_be_bytes(self.array()?));
        self.word(covered);
        self.u8()?;
        self.u8()?;
        self.u32()?;
        for _ in 0..2 {
            let time = u32::from_be_bytes(self.array()?);
            let digits = time_text(time.into()).chars().filter(char::is_ascii_digit).collect::<String>();
            self.word(digits);
        }
        self.u16()?;
        self.name()?;
        self.remainder(base64)
    }

    fn nsec3(&mut self, rtype: RecordType) -> Option<()> {
        self.u8()?;
        self.u8()?;
        self.u16()?;
        let [salt_length] = self.array()?;
        let salt = self.take(salt_length.into())?;
        self.word(salt_text(salt));
        if rtype == RecordType::NSEC3PARAM {
            return Some(());
        }
        let [hash_length] = self.array()?;
        let hash = self.take(hash_length.into())?;
        self.word(base32hex(hash));
        self.bitmap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        text.parse::<Name>().unwrap().wire().to_vec()
    }

    #[test]
    fn rdata_is_written_as_in_a_zone_file() {
        let rrsig = [
            &[0, 1, 15, 2, 0, 0, 1, 44][..],
            &1_750_000_000u32.to_be_bytes(),
            &1_749_000_000u32.to_be_bytes(),
            &[0x30, 0x39],
            &wire("Example."),
            b"Ma\xff",
        ]
        .concat();
        let nsec3 = [&[1, 1, 0, 5, 2, 0xab, 0xcd, 5, 0, 0x44, 0x32, 0x14, 0xc7][..], &[0, 1, 0x40]].concat();
        for (rtype, rdata, expected) in [
            (RecordType::A, vec![192, 0, 2, 1], "192.0.2.1"),
            (RecordType::AAAA, [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1]].concat(), "2001:db8::1"),
            (RecordType::MX, [&[0, 10][..], &wire("mx.example.")].concat(), "10 mx.example."),
            (RecordType::TXT, b"\x03a\"b\x02\x1bz".to_vec(), "\"a\\\"b\" \"\\027z\""),
            (RecordType::DS, vec![0x30, 0x39, 15, 2, 0xab], "12345 15 2 AB"),
            (RecordType::DNSKEY, vec![1, 1, 3, 15, 1, 2], "257 3 15 AQI="),
            (RecordType::RRSIG, rrsig, "A 15 2 300 20250615150640 20250604012000 12345 Example. TWH/"),
            (RecordType::NSEC, [wire("z."), vec![0, 6, 0x40, 0, 0, 0, 0, 3]].concat(), "z. A RRSIG NSEC"),
            (RecordType::NSEC3, nsec3, "1 1 5 abcd 01234567 A"),
            (RecordType(65280), vec![1, 0xff], "\\# 2 01ff"),
            (RecordType::A, vec![192, 0, 2], "\\# 3 c00002"),
            (RecordType::A, vec![192, 0, 2, 1, 1], "\\# 5 c000020101"),
            (RecordType::HTTPS, vec![0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2'], "1 . alpn=h2,"),
        ] {
            assert_eq!(rdata_text(rtype, &rdata), expected);
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix_s, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_750_000_000, "2025-06-15T15:06:40Z"),
            (4_294_967_295, "2106-02-07T06:28:15Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(time_text(unix_s), expected);
        }
    }
}
