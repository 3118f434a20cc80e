//! Messages for tests, written plainly: nothing is compressed, nothing is checked.

use resolver_user::wire::{Name, RecordType};

/// A name from its text.
///
/// # Panics
/// On text that is no name.
pub fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A record to be put into a reply.
#[derive(Clone, Debug)]
pub struct TestRecord {
    /// Owner.
    pub owner: Name,
    /// Type.
    pub rtype: RecordType,
    /// TTL, in seconds.
    pub ttl_s: u32,
    /// RDATA.
    pub rdata: Vec<u8>,
}

/// Any record.
pub fn record(owner: &str, rtype: RecordType, ttl_s: u32, rdata: &[u8]) -> TestRecord {
    TestRecord { owner: name(owner), rtype, ttl_s, rdata: rdata.to_vec() }
}

/// An A record.
pub fn a(owner: &str, ttl_s: u32, address: [u8; 4]) -> TestRecord {
    record(owner, RecordType::A, ttl_s, &address)
}

/// A CNAME record.
pub fn cname(owner: &str, ttl_s: u32, target: &str) -> TestRecord {
    record(owner, RecordType::CNAME, ttl_s, name(target).wire())
}

/// A SOA record with this minimum.
pub fn soa(owner: &str, ttl_s: u32, minimum_s: u32) -> TestRecord {
    let mut rdata = [name("ns.invalid.").wire(), name("host.invalid.").wire()].concat();
    for number in [1, 3600, 600, 86_400, minimum_s] {
        rdata.extend(number.to_be_bytes());
    }
    record(owner, RecordType::SOA, ttl_s, &rdata)
}

impl TestRecord {
    /// The record in wire form.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = self.owner.wire().to_vec();
        wire.extend(self.rtype.0.to_be_bytes());
        wire.extend(1u16.to_be_bytes());
        wire.extend(self.ttl_s.to_be_bytes());
        wire.extend(u16::try_from(self.rdata.len()).expect("short rdata").to_be_bytes());
        wire.extend(&self.rdata);
        wire
    }
}

/// A query to be sent to the daemon.
#[derive(Clone, Debug)]
pub struct TestQuery {
    /// ID.
    pub id: u16,
    /// Name, letter case kept.
    pub qname: Name,
    /// Type.
    pub qtype: RecordType,
    /// RD.
    pub recursion_desired: bool,
    /// AD.
    pub authentic_data: bool,
    /// CD.
    pub checking_disabled: bool,
    /// UDP payload size and DO, if there is an OPT.
    pub edns: Option<(u16, bool)>,
    /// EDNS options in wire form; none are sent without an OPT.
    pub options: Vec<u8>,
}

impl TestQuery {
    /// A recursive query without EDNS.
    pub fn new(qname: &str, qtype: RecordType) -> Self {
        Self {
            id: 0x1234,
            qname: name(qname),
            qtype,
            recursion_desired: true,
            authentic_data: false,
            checking_disabled: false,
            edns: None,
            options: Vec::new(),
        }
    }

    /// With this ID.
    pub fn id(self, id: u16) -> Self {
        Self { id, ..self }
    }

    /// With EDNS.
    pub fn edns(self, udp_payload_len: u16, dnssec_ok: bool) -> Self {
        Self { edns: Some((udp_payload_len, dnssec_ok)), ..self }
    }

    /// With one more EDNS option.
    pub fn option(mut self, code: u16, data: &[u8]) -> Self {
        self.options.extend(code.to_be_bytes());
        self.options.extend(u16::try_from(data.len()).expect("a short option").to_be_bytes());
        self.options.extend(data);
        self
    }

    /// The query in wire form.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = self.id.to_be_bytes().to_vec();
        wire.push(u8::from(self.recursion_desired));
        wire.push(u8::from(self.authentic_data) << 5 | u8::from(self.checking_disabled) << 4);
        wire.extend([0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        wire.extend(self.qname.wire());
        wire.extend(self.qtype.0.to_be_bytes());
        wire.extend(1u16.to_be_bytes());
        if let Some((udp_payload_len, dnssec_ok)) = self.edns {
            wire.extend([0, 0, 41]);
            wire.extend(udp_payload_len.to_be_bytes());
            wire.extend([0, 0, u8::from(dnssec_ok) << 7, 0]);
            wire.extend(u16::try_from(self.options.len()).expect("short options").to_be_bytes());
            wire.extend(&self.options);
        }
        wire
    }
}
