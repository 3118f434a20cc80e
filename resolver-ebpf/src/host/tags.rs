//! VLAN tags and interfaces for the vectors: which links the store knows, and the table's frames behind their tags.
//!
//! What stands behind a tag must fare as it does without: each frame of the table comes again with one tag and with two, and so
//! must its result, tags kept to the last bit.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::OwnedStore;
use super::message::ClientQuery;
use super::records::wire_name;
use super::vectors::Vector;
use crate::abi::{Link, LinkRule, Outcome};

/// Number of the loopback interface.
pub const LOOPBACK: u32 = 1;
/// Number of the interface that vectors come in by. Tags may have been taken off its frames.
pub const HIDES_TAGS: u32 = 7;
/// Number of an interface about whose untagged frames nothing is said.
pub const PLAIN: u32 = 8;

/// Tags of a VLAN of ours, a customer's in a provider's, and one that XDP shall not answer.
const OURS: [[u8; 4]; 2] = [[0x81, 0, 0, 5], [0; 4]];
const OURS_IN_PROVIDERS: [[u8; 4]; 2] = [[0x88, 0xa8, 0x0f, 0xff], [0x81, 0, 1, 9]];
const SILENT: [[u8; 4]; 2] = [[0x81, 0, 0, 6], [0; 4]];
const UNTAGGED: [[u8; 4]; 2] = [[0; 4]; 2];

/// What the store says about links.
const RULES: [(u32, [[u8; 4]; 2], u32); 4] =
    [(HIDES_TAGS, OURS, 1), (HIDES_TAGS, OURS_IN_PROVIDERS, 1), (HIDES_TAGS, SILENT, 0), (HIDES_TAGS, UNTAGGED, 0)];

/// Adds every link to a store.
pub fn add_links(store: &mut OwnedStore) {
    for (ifindex, tags, answers) in RULES {
        store.links.push((Link::new(ifindex, tags), LinkRule { answers }));
    }
}

/// The frame with a tag before what was its type.
fn tagged(frame: &[u8], tags: &[[u8; 4]]) -> Vec<u8> {
    let (stations, rest) = frame.split_at(frame.len().min(12));
    [stations, &tags.concat(), rest].concat()
}

/// Every vector behind one tag and behind two, with different priorities.
pub fn behind_tags(vectors: &[Vector]) -> Vec<Vector> {
    let mut all = Vec::new();
    for (number, vector) in (0u8..=255).cycle().zip(vectors) {
        // Priority and the bit beside it: what they say is the sender's business.
        let priority = number & 0xf << 4 | number << 4;
        for (name, tags) in [("one tag", &OURS[..1]), ("two tags", &OURS_IN_PROVIDERS[..])] {
            let mut tags = tags.to_vec();
            for [_, _, high, _] in &mut tags {
                *high |= priority;
            }
            let (frame, result) = (tagged(&vector.frame, &tags), tagged(&vector.result, &tags));
            all.push(Vector { name: format!("{}, {name}", vector.name), frame, result, ..vector.clone() });
        }
    }
    all
}

/// What links decide: frames of `base`, which is answered, by tags and interface.
pub fn of_links(base: &Vector) -> Vec<Vector> {
    let mut all = Vec::new();
    let passed = |name: &str, frame: Vec<u8>, outcome: Outcome| Vector {
        name: String::from(name),
        result: frame.clone(),
        frame,
        outcome,
        ..base.clone()
    };
    let [[customer, ..], [provider, inner]] = [OURS, OURS_IN_PROVIDERS];
    for (name, tags) in [
        ("another VLAN", &[[0x81, 0, 0, 4]][..]),
        ("another VLAN by its upper bits", &[[0x81, 0, 1, 5]]),
        ("another type of tag", &[[0x88, 0xa8, 0, 5]]),
        ("a tag of old", &[[0x91, 0, 0, 5]]),
        ("priority without a VLAN", &[[0x81, 0, 0xe0, 0]]),
        ("the outer tag alone", &[provider]),
        ("the inner tag alone", &[inner]),
        ("tags in the wrong order", &[inner, provider]),
        ("another outer tag", &[customer, inner]),
        ("a tag of ours in one of ours", &[customer, customer]),
        ("three tags", &[provider, inner, customer]),
        ("a VLAN that is passed", &SILENT[..1]),
    ] {
        all.push(passed(name, tagged(&base.frame, tags), Outcome::PassVlan));
    }
    let elsewhere = Vector {
        ingress: PLAIN,
        ..passed("a tag of ours on another interface", tagged(&base.frame, &[customer]), Outcome::PassVlan)
    };
    all.push(elsewhere);
    for tags in [&[customer][..], &[provider, inner]] {
        let frame = tagged(&base.frame, tags);
        let end = 14 + 4 * tags.len();
        for len in 14..end {
            let cut = frame.get(..len).unwrap_or_default().into();
            all.push(passed(&format!("cut to {len} within its {} tags", tags.len()), cut, Outcome::PassTruncated));
        }
        let mut arp = frame;
        arp.splice(end - 2..end, [8, 6]);
        all.push(passed("arp behind tags", arp, Outcome::PassNotIp));
    }
    let hidden = passed("untagged where tags may be hidden", base.frame.clone(), Outcome::PassVlan);
    all.push(Vector { untagged_ruled: 1, ..hidden });
    let plain = Vector { name: String::from("untagged where nothing is hidden"), ..base.clone() };
    all.push(Vector { untagged_ruled: 1, ingress: PLAIN, ..plain });
    all
}

/// Loopback addresses, which are answered at home only: the query, and whether it comes by the loopback interface.
pub fn of_loopback() -> Vec<(String, ClientQuery, u32)> {
    let base = ClientQuery::new(&wire_name("www.example.com"), 1);
    let v6 = ClientQuery { over_v6: true, ..base.clone() };
    let (home_v4, home_v6) = ([127, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let mut all = Vec::new();
    for ingress in [LOOPBACK, PLAIN] {
        for (name, query) in [
            ("from loopback", ClientQuery { client_v4: [127, 1, 2, 3], ..base.clone() }),
            ("from loopback", ClientQuery { client_v6: home_v6, ..v6.clone() }),
            ("to loopback", ClientQuery { server_v4: home_v4, ..base.clone() }),
            ("to loopback", ClientQuery { server_v6: home_v6, ..v6.clone() }),
            ("in loopback", ClientQuery { client_v4: home_v4, server_v4: home_v4, ..base.clone() }),
            ("in loopback", ClientQuery { client_v6: home_v6, server_v6: home_v6, ..v6.clone() }),
        ] {
            all.push((format!("{name} on interface {ingress}"), query, ingress));
        }
    }
    all
}
