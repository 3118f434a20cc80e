//! Frames of queries and answers, built slowly and plainly.
//!
//! This is the second opinion: it shares no code with the fast path, walks every byte, and sums every checksum over what
//! is really there. In: what a client asks and what an answer holds. Out: whole frames.

use std::vec::Vec;

use crate::slot::Answer;

/// Station of the client.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Our station.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Our IPv4 address.
pub const SERVER_V4: [u8; 4] = [192, 0, 2, 53];
/// The client's IPv4 address.
pub const CLIENT_V4: [u8; 4] = [198, 51, 100, 7];
/// Our IPv6 address.
pub const SERVER_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53];
/// The client's IPv6 address.
pub const CLIENT_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0xff, 0xee, 0, 1, 0, 0, 0xab, 0xcd, 0, 0, 0, 7];
/// Our port.
pub const SERVER_PORT: u16 = 53;

/// An OPT as a client may send it.
#[derive(Clone, Debug)]
pub struct ClientOpt {
    /// UDP payload that the client takes, in bytes.
    pub payload_len_max: u16,
    /// DO.
    pub dnssec_ok: bool,
    /// EDNS version.
    pub version: u8,
    /// The other 15 bits beside DO.
    pub other_flags: u16,
    /// All options in wire form.
    pub options: Vec<u8>,
}

impl ClientOpt {
    /// An OPT of version 0 without options.
    pub fn new(payload_len_max: u16, dnssec_ok: bool) -> Self {
        Self { payload_len_max, dnssec_ok, version: 0, other_flags: 0, options: Vec::new() }
    }
}

/// A query and the frame it comes in.
#[derive(Clone, Debug)]
pub struct ClientQuery {
    /// Over IPv6, else IPv4.
    pub over_v6: bool,
    /// Name of the question in wire form.
    pub name: Vec<u8>,
    /// Type of the question.
    pub qtype: u16,
    /// Class of the question.
    pub class: u16,
    /// ID of the message.
    pub id: u16,
    /// The two bytes of flags.
    pub flags: u16,
    /// OPT, if the client sends one.
    pub opt: Option<ClientOpt>,
    /// Source address over IPv4.
    pub client_v4: [u8; 4],
    /// Source address over IPv6.
    pub client_v6: [u8; 16],
    /// Destination address over IPv4.
    pub server_v4: [u8; 4],
    /// Destination address over IPv6.
    pub server_v6: [u8; 16],
    /// Source port.
    pub port: u16,
    /// Bytes behind the packet, as Ethernet pads short frames.
    pub padding: Vec<u8>,
}

/// RD, in [`ClientQuery::flags`].
pub const FLAGS_RD: u16 = 0x0100;
/// AD, in [`ClientQuery::flags`].
pub const FLAGS_AD: u16 = 0x0020;
/// CD, in [`ClientQuery::flags`].
pub const FLAGS_CD: u16 = 0x0010;

impl ClientQuery {
    /// A plain query over IPv4, without OPT.
    pub fn new(name: &[u8], qtype: u16) -> Self {
        Self {
            over_v6: false,
            name: name.into(),
            qtype,
            class: 1,
            id: 0xbeef,
            flags: FLAGS_RD,
            opt: None,
            client_v4: CLIENT_V4,
            client_v6: CLIENT_V6,
            server_v4: SERVER_V4,
            server_v6: SERVER_V6,
            port: 40_000,
            padding: Vec::new(),
        }
    }

    /// The DNS message.
    pub fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        for field in [self.id, self.flags, 1, 0, 0, u16::from(self.opt.is_some())] {
            message.extend(field.to_be_bytes());
        }
        self.push_question(&mut message);
        if let Some(opt) = &self.opt {
            message.extend([0, 0, 41]);
            message.extend(opt.payload_len_max.to_be_bytes());
            message.extend([0, opt.version]);
            message.extend((opt.other_flags | u16::from(opt.dnssec_ok) << 15).to_be_bytes());
            message.extend((opt.options.len() as u16).to_be_bytes());
            message.extend(&opt.options);
        }
        message
    }

    /// The whole frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = self.frame_of(&self.message(), true);
        frame.extend(&self.padding);
        frame
    }

    /// The frame that answers this query with `answer` and `ttl_s`.
    pub fn answered(&self, answer: &Answer<'_>, ttl_s: u32) -> Vec<u8> {
        self.answered_with(answer, ttl_s, &[])
    }

    /// The same with EDNS options in the answer.
    pub fn answered_with(&self, answer: &Answer<'_>, ttl_s: u32, options: &[u8]) -> Vec<u8> {
        let dnssec_ok = self.opt.as_ref().is_some_and(|opt| opt.dnssec_ok);
        let ad = answer.secure && (dnssec_ok || self.flags & FLAGS_AD != 0);
        let flags = 0x8180 | self.flags & FLAGS_CD | if ad { FLAGS_AD } else { 0 } | u16::from(answer.rcode);
        let mut message = Vec::new();
        let counts = [answer.answer_count, answer.authority_count, u8::from(self.opt.is_some())];
        for field in [self.id, flags, 1].into_iter().chain(counts.map(u16::from)) {
            message.extend(field.to_be_bytes());
        }
        self.push_question(&mut message);
        let mut body: Vec<u8> = answer.body.into();
        for at in answer.ttl_offsets {
            let at = usize::from(*at);
            body.splice(at..at + 4, ttl_s.to_be_bytes());
        }
        message.extend(body);
        if self.opt.is_some() {
            message.extend([0, 0, 41, 0x04, 0xd0, 0, 0, u8::from(dnssec_ok) << 7, 0]);
            message.extend((options.len() as u16).to_be_bytes());
            message.extend(options);
        }
        self.frame_of(&message, false)
    }

    /// The frame that answers this query with TC and nothing else.
    pub fn slipped(&self) -> Vec<u8> {
        let mut message = Vec::new();
        let opt_count = u16::from(self.opt.is_some());
        for field in [self.id, 0x8380 | self.flags & FLAGS_CD, 1, 0, 0, opt_count] {
            message.extend(field.to_be_bytes());
        }
        self.push_question(&mut message);
        if let Some(opt) = &self.opt {
            message.extend([0, 0, 41, 0x04, 0xd0, 0, 0, u8::from(opt.dnssec_ok) << 7, 0, 0, 0]);
        }
        self.frame_of(&message, false)
    }

    /// Appends the question.
    fn push_question(&self, message: &mut Vec<u8>) {
        message.extend(&self.name);
        message.extend(self.qtype.to_be_bytes());
        message.extend(self.class.to_be_bytes());
    }

    /// A frame around `message`, from the client or to it.
    fn frame_of(&self, message: &[u8], from_client: bool) -> Vec<u8> {
        fn order<T>(from_client: bool, client: T, server: T) -> (T, T) {
            if from_client { (client, server) } else { (server, client) }
        }
        let (source_mac, destination_mac) = order(from_client, CLIENT_MAC, SERVER_MAC);
        let (source_port, destination_port) = order(from_client, self.port, SERVER_PORT);
        let (client, server): (&[u8], &[u8]) =
            if self.over_v6 { (&self.client_v6, &self.server_v6) } else { (&self.client_v4, &self.server_v4) };
        let (source, destination) = order(from_client, client, server);
        let udp_len = 8 + message.len() as u16;

        let mut udp = Vec::new();
        for field in [source_port, destination_port, udp_len, 0] {
            udp.extend(field.to_be_bytes());
        }
        udp.extend(message);
        let pseudo = [source, destination, &u32::from(udp_len).to_be_bytes(), &[0, 0, 0, 17]].concat();
        let checksum = match internet_checksum(&[pseudo.as_slice(), &udp].concat()) {
            0 => 0xffff,
            sum => sum,
        };
        udp.splice(6..8, checksum.to_be_bytes());

        let mut frame = [destination_mac, source_mac].concat();
        if self.over_v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(udp_len.to_be_bytes());
            frame.extend([17, 64]);
            frame.extend([source, destination].concat());
        } else {
            let mut ip = std::vec![0x45, 0];
            ip.extend((20 + udp_len).to_be_bytes());
            ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
            ip.extend([source, destination].concat());
            let checksum = internet_checksum(&ip);
            ip.splice(10..12, checksum.to_be_bytes());
            frame.extend([8, 0]);
            frame.extend(ip);
        }
        frame.extend(udp);
        frame
    }
}

/// The Internet checksum of `bytes`, as RFC 1071 §1 describes it.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        let high = u32::from(pair.first().copied().unwrap_or(0)) << 8;
        sum += high | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
