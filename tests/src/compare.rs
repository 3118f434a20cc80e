//! Replies reduced to what two of them may be compared by.

use resolver_user::wire::{Message, Name};

/// A reply split into what must be equal and what may differ between two replies to the same question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    /// The message with ID and TTLs zeroed and the question folded to lower case.
    pub message: Vec<u8>,
    /// TTLs of all records but the OPT, in seconds.
    pub ttls_s: Vec<u32>,
}

impl Normal {
    /// Reduces a reply.
    ///
    /// # Panics
    /// If it is no DNS message with exactly one question.
    pub fn of(reply: &[u8]) -> Self {
        let parsed = Message::read(reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
        let (question, _) = parsed.question.expect("one question");
        let mut message = reply.to_vec();
        message[..2].fill(0);
        let question_end = 12 + question.qname.wire().len() + 4;
        message[12..question_end].make_ascii_lowercase();
        let mut ttls_s = Vec::new();
        let mut at = question_end;
        while at < reply.len() {
            let (_, after) = Name::read_compressed(reply, at).expect("an owner name");
            let fixed: [u8; 10] = reply[after..after + 10].try_into().expect("ten bytes");
            if fixed[..2] != [0, 41] {
                ttls_s.push(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]));
                message[after + 4..after + 8].fill(0);
            }
            at = after + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        }
        Self { message, ttls_s }
    }
}

/// The EDE code of a reply (RFC 8914), if it has one.
pub fn extended_error(reply: &Message) -> Option<u16> {
    let options = reply.edns.iter().flat_map(|edns| &edns.options);
    let mut codes = options.filter(|option| option.code == 15).filter_map(|option| option.data.first_chunk::<2>());
    codes.next().map(|code| u16::from_be_bytes(*code))
}
