//! Writes names compressed against what stands before them in the message (RFC 1035 §4.1.4).

use crate::wire::Name;

/// A compression pointer reaches this far, in bytes.
const POINTER_MAX: usize = 0x3fff;
/// Suffixes remembered in one message. Bounds the work of a large message; what is not remembered is written out.
const SUFFIXES_MAX: usize = 48;

/// A message being written, and where in it names can be pointed at.
pub(super) struct Compressor {
    /// The message from its header on.
    pub(super) message: Vec<u8>,
    /// Offsets of names and of their suffixes that start with a label.
    suffixes: Vec<usize>,
}

impl Compressor {
    /// A message of an empty header and a question: the name at offset 12 serves every answer.
    pub(super) fn new(qname: &Name) -> Self {
        let mut message = vec![0; 12];
        message.extend_from_slice(qname.wire());
        message.extend_from_slice(&[0; 4]);
        let mut this = Self { message, suffixes: Vec::with_capacity(16) };
        this.remember(qname, 12, qname.label_count());
        this
    }

    /// Writes `name`, its longest known suffix as a pointer.
    pub(super) fn write_name(&mut self, name: &Name) {
        let labels = name.label_count();
        let start = self.message.len();
        let mut rest = name.wire();
        for written in 0..labels {
            if let Some(&at) = self.suffixes.iter().find(|&&at| self.spells(at, rest)) {
                let pointer = u16::try_from(at).unwrap_or(0) | 0xc000;
                self.message.extend_from_slice(&pointer.to_be_bytes());
                self.remember(name, start, written);
                return;
            }
            let Some((label, tail)) = split_label(rest) else { break };
            self.message.extend_from_slice(label);
            rest = tail;
        }
        self.message.push(0);
        self.remember(name, start, labels);
    }

    /// Notes the first `count` labels of `name`, written at `start`, as places to point at.
    fn remember(&mut self, name: &Name, start: usize, count: usize) {
        let (mut at, mut rest) = (start, name.wire());
        for _ in 0..count {
            let Some((label, tail)) = split_label(rest) else { return };
            if self.suffixes.len() >= SUFFIXES_MAX || at > POINTER_MAX {
                return;
            }
            self.suffixes.push(at);
            at = at.saturating_add(label.len());
            rest = tail;
        }
    }

    /// Whether the name at `at` equals `wire`, letter case aside.
    fn spells(&self, mut at: usize, wire: &[u8]) -> bool {
        let mut rest = wire;
        // Bound: each turn but the one after a pointer takes a label off `rest`, and no pointer follows a pointer here.
        loop {
            let Some(tail) = self.message.get(at..) else { return false };
            if let [high @ 0xc0..=0xff, low, ..] = *tail {
                at = usize::from(high & 0x3f) << 8 | usize::from(low);
                continue;
            }
            match (split_label(tail), split_label(rest)) {
                (None, None) => return true,
                (Some((mine, _)), Some((theirs, after))) if mine.eq_ignore_ascii_case(theirs) => {
                    at = at.saturating_add(mine.len());
                    rest = after;
                }
                _ => return false,
            }
        }
    }
}

/// The first label with its length byte, and what follows it; none at the root.
fn split_label(wire: &[u8]) -> Option<(&[u8], &[u8])> {
    match *wire.first()? {
        0 => None,
        length => wire.split_at_checked(usize::from(length).saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_in_pointers_to_the_longest_known_suffix() {
        let mut writer = Compressor::new(&"www.example.".parse().unwrap());
        let body_at = writer.message.len();
        for name in ["WWW.example.", "example.", "mail.example.", "x.mail.example.", "other.", "."] {
            writer.write_name(&name.parse().unwrap());
        }
        let mail_at = u8::try_from(body_at + 4).unwrap();
        let mut expected = b"\xc0\x0c\xc0\x10\x04mail\xc0\x10\x01x\xc0".to_vec();
        expected.push(mail_at);
        expected.extend_from_slice(b"\x05other\0\0");
        assert_eq!(writer.message.get(body_at..).unwrap(), expected);
    }
}
