//! What tests and the demo may know about the lab: `target/lab/lab.json`, the one place they read it from.
//!
//! Everything is a fact: names, addresses, files, and for each zone questions with their expected answers.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::zones::Status;
use crate::{
    command::{Failure, read, write},
    paths,
};

/// All facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Number of this layout; rises with any change of a field's meaning.
    pub format: u32,
    /// First part of every name that the lab gives.
    pub prefix: String,
    /// Where clients live.
    pub client: Namespace,
    /// Where the resolver lives: the first interface looks to the client, the second to the servers.
    pub resolver: Namespace,
    /// Where the servers live.
    pub auth: Namespace,
    /// Whether the two ends towards the client compute checksums late (`ethtool` tx-checksumming).
    pub checksum_offload: bool,
    /// Recursive servers that do not validate, to be forwarded to. All have the same to say.
    pub upstreams: Vec<Upstream>,
    /// Every server process, upstreams included.
    pub servers: Vec<ServerProcess>,
    /// The root's anchor, as a line `trust-anchor=.,tag,alg,digesttype,hex`.
    pub trust_anchors_file: String,
    /// The same as a DS record of a zone file, for drill.
    pub anchor_record_file: String,
    /// The same as delv's `-a` wants it.
    pub anchor_delv_file: String,
    /// Names and addresses of the private root's servers, as a zone file.
    pub root_hints_file: String,
    /// The whole tree.
    pub zones: Vec<ZoneFacts>,
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// What `nsenter --net=` and `setns` want.
    pub path: String,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
}

/// One end of a veth pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name, the same in every run.
    pub name: String,
    /// Its hardware address, the same in every run, with colons.
    pub mac: String,
    /// Its first IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Its first IPv6 address.
    pub ipv6: Ipv6Addr,
    /// Its link-local address, the same in every run.
    pub link_local: Ipv6Addr,
}

/// A server to forward to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its name among [`Facts::servers`].
    pub server: String,
    /// Its IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address.
    pub ipv6: Ipv6Addr,
    /// Its port, UDP and TCP.
    pub port: u16,
}

/// A server process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerProcess {
    /// Its name in the lab.
    pub name: String,
    /// Name of the program.
    pub program: String,
    /// File with its process number.
    pub pid_file: String,
    /// File with all that it wrote.
    pub log_file: String,
    /// Its IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
}

/// A zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneFacts {
    /// Fully qualified.
    pub name: String,
    /// `tree` for the plain tree, `zoo` for zones with one odd trait each, which are many.
    pub group: String,
    /// The RFC section that decides the verdicts on a zone of the zoo.
    pub rule: Option<String>,
    /// Its server among [`Facts::servers`].
    pub server: String,
    /// DNSSEC algorithm, if signed.
    pub algorithm: Option<u8>,
    /// `nsec`, `nsec3` or `nsec3-opt-out`, if signed.
    pub denial: Option<String>,
    /// `wrong-signature`, `wrong-ds` or `expired`; nothing for a sound zone.
    pub defect: Option<String>,
    /// `secure`, `insecure` or `bogus`: what its data is, where no single record set differs.
    pub status: String,
    /// How many generated hosts it has: `h0000`, `h0001` and so on, each with an A and an AAAA record.
    pub generated_hosts: u16,
    /// Questions, each with what a validating resolver must answer.
    pub questions: Vec<Question>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Fully qualified, in the letters of the zone file.
    pub qname: String,
    /// In letters, or `TYPE65399`.
    pub qtype: String,
    /// `secure`, `insecure` or `bogus`.
    pub status: String,
    /// `answer`, `nodata`, `nxdomain`, `toolong`; what the servers say, whether or not it is bogus.
    pub reply: Reply,
    /// What a client is told by a validating resolver (CD=0): `NOERROR`, `NXDOMAIN`, `YXDOMAIN` or `SERVFAIL`.
    pub rcode: String,
    /// How many records of the type asked for are in a sound answer.
    pub answers: usize,
    /// The extended error that fits best (RFC 8914), where one is expected.
    pub extended_error: Option<u16>,
}

/// Kind of reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// Records of the type asked for, maybe behind CNAMEs.
    Answer,
    /// The name is there, the type is not.
    NoData,
    /// No such name.
    NxDomain,
    /// A DNAME makes a name too long to be one.
    TooLong,
}

impl Question {
    /// A question with its answer.
    pub fn new(
        qname: String,
        qtype: &str,
        reply: Reply,
        answers: usize,
        status: Status,
        extended_error: Option<u16>,
    ) -> Self {
        let rcode = match (status, reply) {
            (Status::Bogus, _) => "SERVFAIL",
            (_, Reply::NxDomain) => "NXDOMAIN",
            (_, Reply::TooLong) => "YXDOMAIN",
            _ => "NOERROR",
        };
        let (status, rcode) = (status_name(status).to_owned(), rcode.to_owned());
        Self { qname, qtype: qtype.to_owned(), status, reply, rcode, answers, extended_error }
    }
}

impl Facts {
    /// Reads the facts of the lab that was raised last. `None` if there is none, or one of another layout.
    pub fn read() -> Option<Self> {
        let facts: Self = serde_json::from_str(&read(&paths::lab_facts()).ok()?).ok()?;
        (facts.format == FORMAT).then_some(facts)
    }

    /// Writes the facts for others to read.
    pub fn write(&self) -> Result<(), Failure> {
        let path = paths::lab_facts();
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Failure::File { path: path.clone(), source: error.into() })?;
        write(&path, text)
    }

    /// The questions of all zones.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        self.zones.iter().flat_map(|zone| &zone.questions)
    }

    /// The namespace that a word names: `client`, `resolver`, `auth`, or its full name.
    pub fn namespace(&self, word: &str) -> Option<&Namespace> {
        let short = word.strip_prefix(&self.prefix).map_or(word, |rest| rest.trim_start_matches('-'));
        match short {
            "client" => Some(&self.client),
            "resolver" => Some(&self.resolver),
            "auth" => Some(&self.auth),
            _ => None,
        }
    }
}

/// A status in the words of `lab.json`.
pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Secure => "secure",
        Status::Insecure => "insecure",
        Status::Bogus => "bogus",
    }
}

/// Number of this layout.
pub const FORMAT: u32 = 2;
