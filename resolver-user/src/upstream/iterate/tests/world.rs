//! A world of scripted authoritative servers, and a recursor in it. Time stands still unless everybody waits.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{Clock, ManualClock, Now};
use crate::config::{RootHints, UpstreamConfig};
use crate::metrics::Metrics;
use crate::upstream::doubts::{Among, Fetched};
use crate::upstream::iterate::Recursor;
use crate::upstream::{
    Allowance, Exchanging, LetterCase, Outgoing, Outside, Protocol, Reply, Transport, UpstreamError,
};
use crate::wire::{CLASS_IN, Edns, Flags, Header, Message, Name, Question, RCode, Record, RecordType, Response};

/// Address of the root's server.
pub(super) const ROOT: &str = "192.0.2.1";

/// What a server does with a query.
#[derive(Clone, Debug)]
pub(super) enum Manner {
    /// It answers from its zones.
    Good,
    /// It says nothing.
    Silent,
    /// It answers with this RCODE.
    Says(RCode),
    /// It denies empty names, and whatever is below what it does not have: NXDOMAIN without a proof.
    DeniesEmpty,
    /// It answers REFUSED to names that are not in its zones, but these types of query it does not know.
    Knows(&'static [RecordType]),
    /// It answers without AA.
    WithoutAa,
    /// It answers as a recursive server does from its cache.
    Cache,
    /// It answers nothing but an empty message with AA.
    Empty,
    /// It takes no EDNS.
    NoEdns,
    /// Its first replies are lost.
    Loses(usize),
    /// It knows names in small letters only, and refuses others.
    SmallLetters,
    /// It answers, but so many milliseconds late.
    Slow(u64),
}

/// A server.
#[derive(Clone, Debug)]
struct Host {
    zones: Vec<(Name, Vec<Record>)>,
    manner: Manner,
}

/// Servers by address, and what they were asked.
#[derive(Default)]
pub(super) struct World {
    hosts: HashMap<IpAddr, Mutex<Host>>,
    asked: Mutex<Vec<(IpAddr, String)>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// A recursor in a world.
pub(super) struct Scene {
    pub(super) world: Arc<World>,
    pub(super) recursor: Recursor,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<ManualClock>,
}

impl World {
    /// A server with zones, each a name and lines of `owner TTL type rdata`.
    pub(super) fn host(mut self, address: &str, manner: Manner, zones: &[(&str, &str)]) -> Self {
        let zone = |(name, text): &(&str, &str)| (name.parse().unwrap(), text.lines().filter_map(record).collect());
        let host = Host { zones: zones.iter().map(zone).collect(), manner };
        self.hosts.insert(address.parse().unwrap(), Mutex::new(host));
        self
    }

    /// Changes how a server behaves.
    pub(super) fn change(&self, address: &str, manner: Manner) {
        self.hosts[&address.parse::<IpAddr>().unwrap()].lock().unwrap().manner = manner;
    }

    /// Replaces the zones of a server.
    pub(super) fn serve(&self, address: &str, zones: &[(&str, &str)]) {
        let zone = |(name, text): &(&str, &str)| (name.parse().unwrap(), text.lines().filter_map(record).collect());
        self.hosts[&address.parse::<IpAddr>().unwrap()].lock().unwrap().zones = zones.iter().map(zone).collect();
    }

    /// What was asked since the last call: the last number of the server, and the question.
    pub(super) fn asked(&self) -> Vec<String> {
        let last = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.octets()[3].to_string(),
            IpAddr::V6(address) => address.to_string(),
        };
        self.asked.lock().unwrap().drain(..).map(|(at, question)| format!("{} {question}", last(&at))).collect()
    }

    fn answer(&self, outgoing: &Outgoing<'_>) -> Option<Message> {
        let address = outgoing.server.ip();
        let question = outgoing.query.question;
        self.asked.lock().unwrap().push((address, question.to_string()));
        let mut host = self.hosts.get(&address)?.lock().unwrap();
        let manner = host.manner.clone();
        let mut message = zone_answer(&host.zones, question, matches!(manner, Manner::DeniesEmpty));
        let plain = outgoing.query.udp_payload_len.is_none();
        match manner {
            Manner::Silent => return None,
            Manner::Good | Manner::DeniesEmpty | Manner::Slow(_) => {}
            Manner::Says(rcode) => message = bare(rcode),
            Manner::Knows(types) if types.contains(&question.qtype) => {}
            Manner::Knows(_) => message = bare(RCode::REFUSED),
            Manner::WithoutAa => message.header.flags.authoritative = false,
            Manner::Cache => {
                message.header.flags.authoritative = false;
                message.header.flags.recursion_available = true;
            }
            Manner::SmallLetters => {
                let spelled = outgoing.spelled.unwrap_or(question);
                if spelled.qname.wire().iter().any(u8::is_ascii_uppercase) {
                    message = bare(RCode::REFUSED);
                }
            }
            Manner::Empty => message = bare(RCode::NOERROR),
            Manner::NoEdns if plain => {}
            Manner::NoEdns => message = bare(RCode::FORMERR),
            Manner::Loses(0) => {}
            Manner::Loses(left) => {
                host.manner = Manner::Loses(left - 1);
                return None;
            }
        }
        if !plain && !matches!(host.manner, Manner::NoEdns) {
            message.edns =
                Some(Edns { udp_payload_len: 1232, rcode_high: 0, version: 0, dnssec_ok: true, options: Vec::new() });
        }
        Some(message)
    }
}

impl Transport for World {
    fn exchange<'a>(&'a self, outgoing: Outgoing<'a>) -> Exchanging<'a> {
        assert_eq!((outgoing.protocol, outgoing.query.recursion_desired), (Protocol::Udp, false));
        let answer = self.answer(&outgoing);
        let host = self.hosts.get(&outgoing.server.ip());
        let slow_ms = match host.map(|host| host.lock().unwrap().manner.clone()) {
            Some(Manner::Slow(ms)) => ms,
            _ => 0,
        };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(slow_ms)).await;
            match answer {
                Some(message) => Ok(Reply { message, letter_case: LetterCase::Kept }),
                None => std::future::pending().await,
            }
        })
    }
}

impl Scene {
    pub(super) fn new(world: World) -> Self {
        Self::with(world, |_| ())
    }

    /// The same with another configuration. Names are minimised, as by default.
    pub(super) fn with(world: World, change: impl FnOnce(&mut UpstreamConfig)) -> Self {
        let (world, metrics) = (Arc::new(world), Arc::new(Metrics::default()));
        let clock = Arc::new(ManualClock::new(Now { unix_s: 1_700_000_000, boot_ns: 1_000_000_000 }));
        let outside = Outside { transport: Arc::clone(&world) as Arc<dyn Transport>, clock: Arc::clone(&clock) as _ };
        let mut config = UpstreamConfig::default();
        config.iterating.hints = RootHints(vec![("ns.root.".parse().unwrap(), vec![ROOT.parse().unwrap()])]);
        change(&mut config);
        let recursor = Recursor::new(&config, None, &[], (Arc::clone(&metrics), outside), None);
        Self { world, recursor, metrics, clock }
    }

    /// The reply to a question, with an allowance of its own.
    pub(super) async fn fetch(&self, qname: &str, qtype: RecordType) -> Result<Response, UpstreamError> {
        self.fetch_among(qname, qtype, Among::All).await.map(|fetched| fetched.response)
    }

    /// The same of some servers only.
    pub(super) async fn fetch_among(
        &self,
        qname: &str,
        qtype: RecordType,
        among: Among,
    ) -> Result<Fetched, UpstreamError> {
        let question = Question::new(qname.parse().unwrap(), qtype);
        self.recursor.fetch(&question, &Arc::new(Allowance::default()), among).await
    }

    /// Notes that the reply of a server was bogus, as a validation would, and says who it was and for which zone.
    pub(super) fn doubt(&self, fetched: &Fetched) -> String {
        let source = fetched.source.as_ref().unwrap();
        let zone = source.zone.as_ref().unwrap();
        self.recursor.doubts().note(zone, source.server, self.now_ms());
        format!("{} {zone}", source.server.ip())
    }

    /// What the recursor takes the time to be.
    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now().boot_ns / 1_000_000 + 1
    }

    /// The reply in short: RCODE, and the data of the answer section; or the error.
    pub(super) async fn told(&self, qname: &str, qtype: RecordType) -> String {
        match self.fetch(qname, qtype).await {
            Ok(response) => {
                let sets = response.answer.iter().flat_map(|set| set.rdatas.iter().map(|rdata| (set.rtype, rdata)));
                let data = sets.map(|(rtype, rdata)| match rtype {
                    RecordType::A => format!("{}", IpAddr::from(<[u8; 4]>::try_from(&rdata[..]).unwrap())),
                    RecordType::CNAME => format!("→{}", Name::from_wire(rdata).unwrap()),
                    _ => format!("{rtype}"),
                });
                [response.rcode.to_string()].into_iter().chain(data).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("error: {error}"),
        }
    }
}

/// An answer by the algorithm of RFC 1034 §4.3.2, without wildcards.
fn zone_answer(zones: &[(Name, Vec<Record>)], question: &Question, denies_empty: bool) -> Message {
    let Question { qname, qtype } = question;
    let parent_side = |zone: &Name| !(*qtype == RecordType::DS && zone == qname && !qname.is_root());
    let fitting = zones.iter().filter(|(zone, _)| qname.is_at_or_below(zone) && parent_side(zone));
    let Some((zone, records)) = fitting.max_by_key(|(zone, _)| zone.label_count()) else { return bare(RCode::REFUSED) };
    let of = |owner: &Name, rtype: RecordType| {
        let (owner, rtype) = (owner.clone(), rtype);
        records.iter().filter(move |record| record.owner == owner && record.rtype == rtype).cloned()
    };
    let mut message = bare(RCode::NOERROR);
    let cuts = (zone.label_count() + 1..=qname.label_count()).filter_map(|labels| qname.ancestor(labels));
    let cut = cuts.into_iter().find(|name| of(name, RecordType::NS).next().is_some());
    if let Some(cut) = cut.filter(|cut| !(*qtype == RecordType::DS && cut == qname)) {
        message.header.flags.authoritative = false;
        message.authority = of(&cut, RecordType::NS).collect();
        for ns in &message.authority {
            let name = Name::from_wire(&ns.rdata).unwrap();
            message.additional.extend(of(&name, RecordType::A).chain(of(&name, RecordType::AAAA)));
        }
        return message;
    }
    message.answer = of(qname, *qtype).chain(of(qname, RecordType::CNAME)).collect();
    if *qtype == RecordType::NS && qname.is_root() {
        for ns in &message.answer {
            let name = Name::from_wire(&ns.rdata).unwrap();
            message.additional.extend(of(&name, RecordType::A));
        }
    }
    if message.answer.is_empty() {
        message.authority = of(zone, RecordType::SOA).collect();
        let exists = records.iter().any(|record| record.owner == *qname);
        let has_below = records.iter().any(|record| record.owner.is_below(qname));
        if !exists && (denies_empty || !has_below) {
            message.header.rcode = 3;
        }
    }
    message
}

fn bare(rcode: RCode) -> Message {
    let flags = Flags { response: true, authoritative: true, ..Flags::default() };
    let header = Header { id: 0, opcode: 0, rcode: rcode.0 as u8, flags, counts: [1, 0, 0, 0] };
    Message { header, question: None, answer: vec![], authority: vec![], additional: vec![], edns: None }
}

/// A record of a line.
fn record(line: &str) -> Option<Record> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [owner, ttl, rtype, rest @ ..] = words.as_slice() else { return None };
    let rtype: RecordType = rtype.parse().unwrap();
    let name = |text: &str| text.parse::<Name>().unwrap().wire().to_vec();
    let rdata = match (rtype, rest) {
        (RecordType::A, [address]) => address.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
        (RecordType::AAAA, [address]) => address.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec(),
        (RecordType::NS | RecordType::CNAME | RecordType::DNAME, [target]) => name(target),
        (RecordType::SOA, _) => [name("ns."), name("root."), vec![0; 20]].concat(),
        (_, rest) => rest.join(" ").into_bytes(),
    };
    let owner = owner.parse().unwrap();
    Some(Record { owner, rtype, class: CLASS_IN, ttl_s: ttl.parse().unwrap(), rdata: rdata.into() })
}

/// The socket address of a server.
pub(super) fn at(address: &str) -> SocketAddr {
    (address.parse::<IpAddr>().unwrap(), 53).into()
}
