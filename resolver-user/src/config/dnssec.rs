//! What is validated, from where, and how strictly.

use std::path::PathBuf;

use super::anchors::{self, AnchorText};
use super::limits;
use super::option::{FileKind, OptionSpec, PATH, file, flag, path, perhaps, value};
use crate::validator::{DsAnchor, Policy};
use crate::wire::Name;

/// What the operator decides about validation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnssecConfig {
    /// `dnssec`: whether anything is validated.
    pub enabled: bool,
    /// `trust-anchor` with a key: where validation starts; those built in, if there is none for the root.
    pub anchors: Vec<DsAnchor>,
    /// `trust-anchor` without a key: names at and below which nothing is validated.
    pub negative_anchors: Vec<Name>,
    /// `dnssec-limits`, `dnssec-limit`, `dnssec-allow-sha1`, `dnssec-no-timecheck`, `dnssec-check-unsigned`.
    pub policy: Policy,
    /// `dnssec-timestamp`: a file whose time of change is the earliest that the clock may show.
    pub timestamp: Option<PathBuf>,
    /// `dnssec-debug`: bogus data are given to clients, without AD.
    pub debug: bool,
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("dnssec", "validate", |config| config.dnssec.enabled = true),
    value(
        "trust-anchor",
        anchors::LEGAL,
        "start validation from this DS (the root's are built in)",
        |config, value| {
            config.dnssec.take_anchor(anchors::read_value(value)?);
            Ok(())
        },
    ),
    file("trust-anchors-file", "read trust anchors from this file", FileKind::Anchors),
    value("dnssec-limits", limits::LEGAL_FOUR, "work that one query may cause (16,32,40,150)", |config, value| {
        limits::read_four(value, &mut config.dnssec.policy.limits)
    }),
    value("dnssec-limit", limits::LEGAL_NAMED, "another limit of that work, by name", |config, value| {
        limits::read_named(value, &mut config.dnssec.policy.limits)
    }),
    flag("dnssec-allow-sha1", "accept signatures and digests of SHA-1 (RFC 9905 says not to)", |config| {
        config.dnssec.policy.sha1_allowed = true;
    }),
    flag("dnssec-no-timecheck", "never check when signatures begin and end", |config| {
        config.dnssec.policy.times_checked = false;
    }),
    perhaps(
        "dnssec-check-unsigned",
        "nothing, or no",
        "want proof that unsigned answers need no signature (on)",
        |config, value| {
            config.dnssec.policy.unsigned_checked = match value {
                None => true,
                Some("no") => false,
                Some(_) => return Err("neither nothing nor \"no\"".to_owned()),
            };
            Ok(())
        },
    ),
    value("dnssec-timestamp", PATH, "check times only once the clock has passed this file's", |config, value| {
        config.dnssec.timestamp = Some(path(value)?);
        Ok(())
    }),
    flag("dnssec-debug", "give bogus data to clients, without AD, and log why", |config| config.dnssec.debug = true),
];

impl DnssecConfig {
    /// Takes an anchor of either kind.
    pub(super) fn take_anchor(&mut self, anchor: AnchorText) {
        match anchor {
            AnchorText::Positive(anchor) => self.anchors.push(anchor),
            AnchorText::Negative(name) => self.negative_anchors.push(name),
        }
    }

    /// Adds the built-in anchors of the root unless there is one for it, of either kind. Warns of what is probably not
    /// meant.
    pub(super) fn complete(&mut self, warnings: &mut Vec<String>) {
        if !self.enabled {
            if !self.anchors.is_empty() || !self.negative_anchors.is_empty() {
                warnings.push("trust anchors are configured, but dnssec is off: nothing is validated".to_owned());
            }
            return;
        }
        let root = self.anchors.iter().filter(|anchor| anchor.zone.is_root());
        let root_tags: Vec<u16> = root.map(|anchor| anchor.key_tag).collect();
        if root_tags.is_empty() && !self.negative_anchors.iter().any(Name::is_root) {
            self.anchors.extend(anchors::built_in());
        }
        if !root_tags.is_empty() && root_tags.iter().all(|&tag| tag == anchors::RETIRED_ROOT_TAG) {
            warnings.push(format!(
                "the only root trust anchor is {}, which has signed nothing since 11 October 2026: every signed name \
                 will fail; add 38696, or remove the anchor to use the built-in ones",
                anchors::RETIRED_ROOT_TAG
            ));
        }
        if self.debug {
            warnings.push("dnssec-debug: clients get bogus data, without AD".to_owned());
        }
        if !self.policy.unsigned_checked {
            warnings.push("dnssec-check-unsigned=no: whoever removes signatures on the way is not noticed".to_owned());
        }
        if !self.policy.times_checked {
            warnings
                .push("dnssec-no-timecheck: old signatures are believed for as long as this daemon runs".to_owned());
        }
    }
}
