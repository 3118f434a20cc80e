//! Claims about whole validations, in a world of zones that are signed in memory. No network, no clock.

mod changes;
mod elsewhere;
mod evidence;
mod fixtures;
pub mod keys;
mod private;
mod steps;
pub mod world;
pub mod zone;

mod rfc1034_3_6_2;
mod rfc3110_2;
mod rfc4034_6;
mod rfc4035_5_2;
mod rfc4035_5_3;
mod rfc4035_5_4;
mod rfc5011_2_1;
mod rfc5155_8;
mod rfc6672_5_3;
mod rfc7646;
mod rfc8080_4;
mod rfc8198_5;
mod rfc9276_3_2;

use self::keys::{SigningKey, Terms};
use self::world::{Run, World};
use self::zone::{Denies, MINIMUM_S, NSEC3, OPT_OUT, TTL_S, Zone, unsigned_set};
use super::{
    BogusReason, BudgetItem, FetchFailure, IndeterminateReason, InsecureReason, PackedValidated, ProvenStatus,
    Validated, Verdict,
};
use crate::clock::{NS_PER_S, Now};
use crate::wire::{Name, Question, RCode, RecordType, Response, RrSet};

/// Wall time of all tests, in seconds since 1970.
const NOW_S: u32 = 1_750_000_000;
const NOW: Now = Now { unix_s: NOW_S as u64, boot_ns: 1000 * NS_PER_S };

const ADDRESS: [u8; 4] = [192, 0, 2, 1];

/// All ways to deny that are signed.
const ALL: [Denies; 3] = [Denies::Nsec, NSEC3, OPT_OUT];

/// Two signed zones below the root, an address in the lower one.
fn signed_world(denies: Denies) -> World {
    let mut world = World::new(&[("org", denies), ("example.org", denies)]);
    world.add("www.example.org", RecordType::A, &ADDRESS);
    world
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// RDATA of a CNAME or DNAME.
fn target(text: &str) -> Vec<u8> {
    name(text).wire().to_vec()
}

impl Run {
    #[track_caller]
    fn is_over_budget(&self, expected: BudgetItem) {
        match &self.verdict {
            Verdict::Indeterminate(IndeterminateReason::Budget { item }) => assert_eq!(*item, expected),
            other => panic!("not over the budget: {other:?}"),
        }
    }

    fn proven(&self) -> &Validated {
        match &self.verdict {
            Verdict::Proven(validated) => {
                // The cache keeps it packed, unless it has more to say.
                let kept = PackedValidated::new(validated).map(|packed| packed.unpack());
                assert_eq!(kept.as_ref(), validated.insecure_reason().is_none().then_some(&**validated));
                validated
            }
            other => panic!("not proven: {other:?}; asked {:?}", self.asked),
        }
    }

    #[track_caller]
    fn is_secure(&self) -> &Validated {
        let validated = self.proven();
        assert_eq!(validated.status(), ProvenStatus::Secure, "{:?}", validated.insecure_reason());
        validated
    }

    #[track_caller]
    fn is_insecure(&self) -> &Validated {
        let validated = self.proven();
        assert_eq!(validated.status(), ProvenStatus::Insecure);
        validated
    }

    #[track_caller]
    fn is_bogus(&self) -> &BogusReason {
        match &self.verdict {
            Verdict::Bogus(reason) => reason,
            other => panic!("not bogus: {other:?}; asked {:?}", self.asked),
        }
    }
}
