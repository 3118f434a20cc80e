//! What a validation found out on its way, for people who want to follow it.
//!
//! In: a finished or running [`Validation`](super::Validation). Out: [`ChainStep`]s. Costs nothing unless it is asked for.

use std::fmt;

use super::InsecureReason;
use super::chain::{Chain, Found};
use super::judge::SetId;
use super::zones::{Fact, ZoneFact};
use crate::wire::{Name, RecordType};

/// One thing that a validation found out or knew already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainStep {
    /// What is proven about a name as the start of a zone.
    Zone {
        /// The name.
        name: Name,
        /// What is proven.
        standing: ZoneStanding,
    },
    /// A set whose signatures were looked at.
    Set {
        /// Owner.
        owner: Name,
        /// Type.
        rtype: RecordType,
        /// The zone whose keys were tried.
        signer: Name,
        /// Whether a signature verified.
        verified: bool,
    },
}

/// What is proven about a name as the start of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneStanding {
    /// A zone with these keys: tag and algorithm.
    Secure(Vec<(u16, u8)>),
    /// A zone without a chain of signatures.
    Insecure(InsecureReason),
    /// No zone starts here.
    NoCut,
}

impl Chain {
    /// What was found out, from first to last.
    pub(super) fn steps(&self) -> Vec<ChainStep> {
        let step = |found: &Found| match found {
            Found::Fact(fact) => Some(zone_step(fact)),
            Found::Set { id, signer, outcome } => self.set_step(*id, signer, outcome.is_ok()),
        };
        self.found().iter().filter_map(step).collect()
    }

    fn set_step(&self, id: SetId, signer: &Name, verified: bool) -> Option<ChainStep> {
        let response = self.response(id.reply)?;
        let set = id.of(&response)?;
        Some(ChainStep::Set { owner: set.owner.clone(), rtype: set.rtype, signer: signer.clone(), verified })
    }
}

fn zone_step(fact: &Fact) -> ChainStep {
    let standing = match &fact.what {
        ZoneFact::Secure(keys) => ZoneStanding::Secure(keys.iter().map(|key| (key.tag, key.algorithm)).collect()),
        ZoneFact::Insecure(reason) => ZoneStanding::Insecure(reason.clone()),
        ZoneFact::NoCut { .. } => ZoneStanding::NoCut,
    };
    ChainStep::Zone { name: fact.name.clone(), standing }
}

impl fmt::Display for ZoneStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secure(keys) => {
                f.write_str("secure, keys")?;
                keys.iter().try_for_each(|(tag, algorithm)| write!(f, " {tag}/{algorithm}"))
            }
            Self::Insecure(reason) => write!(f, "insecure, {reason}"),
            Self::NoCut => f.write_str("no zone cut"),
        }
    }
}
