//! DNS cookies towards servers (RFC 7873 §5.1, §5.3): who does not see our queries cannot forge replies to them.
//!
//! In: replies. Out: the cookie of the next query, and whether a reply is what its server would say. One [`Jar`] belongs to one
//! server, so that no two servers can tell that it is we who ask.

use std::sync::{Mutex, PoisonError};

use crate::wire::{Message, RCode};

/// Code of the COOKIE option.
const COOKIE: u16 = 10;
/// Length of our part, in bytes.
const OURS_LEN: usize = 8;
/// Least and greatest length of the server's part, in bytes.
const THEIRS_LEN: std::ops::RangeInclusive<usize> = 8..=32;

/// The cookies of one server.
#[derive(Debug)]
pub(super) struct Jar {
    ours: [u8; OURS_LEN],
    /// The server's part, once it is known.
    theirs: Mutex<Option<Box<[u8]>>>,
}

/// What a reply's cookie says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taste {
    /// Nothing against it.
    Good,
    /// The server wants another cookie, which is in the jar now.
    Renewed,
    /// Somebody else may have sent it.
    Doubtful,
}

impl Jar {
    pub(super) fn new() -> Self {
        Self { ours: rand::random(), theirs: Mutex::new(None) }
    }

    /// The cookie for the next query.
    pub(super) fn cookie(&self) -> Vec<u8> {
        let theirs = self.theirs.lock().unwrap_or_else(PoisonError::into_inner);
        [&self.ours[..], theirs.as_deref().unwrap_or_default()].concat()
    }

    /// Looks at a reply to a query with our cookie. A server that has sent cookies before sends one each time.
    pub(super) fn check(&self, reply: &Message) -> Taste {
        let mut theirs = self.theirs.lock().unwrap_or_else(PoisonError::into_inner);
        let options = reply.edns.iter().flat_map(|edns| &edns.options);
        let Some(cookie) = options.into_iter().find(|option| option.code == COOKIE) else {
            return if theirs.is_some() { Taste::Doubtful } else { Taste::Good };
        };
        match cookie.data.split_at_checked(OURS_LEN) {
            Some((ours, new)) if ours == self.ours && THEIRS_LEN.contains(&new.len()) => {
                *theirs = Some(new.into());
                if reply.rcode() == RCode::BADCOOKIE { Taste::Renewed } else { Taste::Good }
            }
            _ => Taste::Doubtful,
        }
    }

    /// Takes in a reply by TCP, which nobody can have forged: what it does not have, the server does not do any more.
    pub(super) fn trust(&self, reply: &Message) {
        if self.check(reply) == Taste::Doubtful {
            *self.theirs.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Edns, EdnsOption, Flags, Header};

    fn reply(cookie: Option<&[u8]>, rcode: u16) -> Message {
        let header = Header { id: 0, opcode: 0, rcode: (rcode & 15) as u8, flags: Flags::default(), counts: [0; 4] };
        let options = cookie.map(|data| EdnsOption { code: COOKIE, data: data.into() }).into_iter().collect();
        let rcode_high = (rcode >> 4) as u8;
        let edns = Some(Edns { udp_payload_len: 1232, rcode_high, version: 0, dnssec_ok: true, options });
        Message { header, question: None, answer: vec![], authority: vec![], additional: vec![], edns }
    }

    #[test]
    fn a_server_that_sends_cookies_is_recognised_by_them() {
        let jar = Jar::new();
        assert_eq!(jar.cookie().len(), 8);
        assert_eq!(jar.check(&reply(None, 0)), Taste::Good, "it may know no cookies");
        let full = |ours: &[u8], theirs: &[u8]| [ours, theirs].concat();
        assert_eq!(jar.check(&reply(Some(&full(&jar.ours, &[1; 16])), 0)), Taste::Good);
        assert_eq!(jar.cookie(), full(&jar.ours, &[1; 16]));
        assert_eq!(jar.check(&reply(None, 0)), Taste::Doubtful, "it has sent one before");
        let mut foreign = jar.ours;
        foreign[0] ^= 1;
        for (what, cookie) in [
            ("another's", full(&foreign, &[1; 16])),
            ("ours alone", jar.ours.to_vec()),
            ("too short", full(&jar.ours, &[1; 7])),
            ("too long", full(&jar.ours, &[1; 33])),
        ] {
            assert_eq!(jar.check(&reply(Some(&cookie), 0)), Taste::Doubtful, "{what}");
        }
        assert_eq!(jar.check(&reply(Some(&full(&jar.ours, &[2; 8])), 23)), Taste::Renewed);
        assert_eq!(jar.cookie(), full(&jar.ours, &[2; 8]));
        jar.trust(&reply(None, 0));
        assert_eq!(jar.cookie(), jar.ours, "the server has stopped");
    }
}
