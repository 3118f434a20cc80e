//! What is validated, from where, and how strictly.

use std::fs;
use std::path::{Path, PathBuf};

use super::anchors::{self, AnchorText};
use super::limits;
use super::option::{FileKind, OptionSpec, PATH, file, flag, path, perhaps, value};
use super::{ConfigError, Origin, Problem};
use crate::validator::{DsAnchor, Policy};
use crate::wire::Name;

/// What the operator decides about validation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnssecConfig {
    /// `dnssec`: whether anything is validated.
    pub enabled: bool,
    /// `trust-anchor` with a key: where validation starts; the system's, or those built in, if there is none for the root.
    pub anchors: Vec<ConfiguredAnchor>,
    /// `trust-anchors-file`: where some of them are from.
    pub anchor_files: Vec<PathBuf>,
    /// `trust-anchor-state`: where the anchors' keys are kept while they are followed by RFC 5011; none: they are not.
    pub anchor_state: Option<PathBuf>,
    /// `trust-anchor-signaling`: whether the anchored zones are told which anchors there are (RFC 8145).
    pub signaling: SwitchedOn,
    /// `root-key-sentinel`: whether the names of RFC 8509 tell which anchors there are.
    pub key_sentinel: SwitchedOn,
    /// `trust-anchor` without a key: names at and below which nothing is validated.
    pub negative_anchors: Vec<Name>,
    /// `dnssec-limits`, `dnssec-limit`, `dnssec-allow-sha1`, `dnssec-no-timecheck`, `dnssec-check-unsigned`.
    pub policy: Policy,
    /// `dnssec-timestamp`: a file whose time of change is the earliest that the clock may show.
    pub timestamp: Option<PathBuf>,
    /// `dnssec-debug`: bogus data are given to clients, without AD.
    pub debug: bool,
}

/// An anchor, and where it was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredAnchor {
    /// The anchor.
    pub anchor: DsAnchor,
    /// Where it stands.
    pub origin: Origin,
}

/// A switch that is on unless it is turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SwitchedOn(pub bool);

impl Default for SwitchedOn {
    fn default() -> Self {
        Self(true)
    }
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("dnssec", "validate", |config| config.dnssec.enabled = true),
    value(
        "trust-anchor",
        anchors::LEGAL,
        "start validation from this DS (the root's are built in)",
        |config, value| {
            config.dnssec.take_anchor(anchors::read_value(value)?, &Origin::CommandLine);
            Ok(())
        },
    ),
    file("trust-anchors-file", "read trust anchors from this file", FileKind::Anchors),
    value("trust-anchor-state", PATH, "follow rolls of the anchors' keys (RFC 5011), kept here", |config, value| {
        config.dnssec.anchor_state = Some(path(value)?);
        Ok(())
    }),
    perhaps(
        "trust-anchor-signaling",
        SWITCH,
        "tell the anchored zones which anchors there are (RFC 8145, on)",
        |config, value| switch(value, &mut config.dnssec.signaling),
    ),
    perhaps("root-key-sentinel", SWITCH, "serve the root key sentinel's names (RFC 8509, on)", |config, value| {
        switch(value, &mut config.dnssec.key_sentinel)
    }),
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

/// What a switch that is on may be.
pub(super) const SWITCH: &str = "nothing, or no";

pub(super) fn switch(value: Option<&str>, switch: &mut SwitchedOn) -> Result<(), String> {
    *switch = match value {
        None => SwitchedOn(true),
        Some("no") => SwitchedOn(false),
        Some(_) => return Err("neither nothing nor \"no\"".to_owned()),
    };
    Ok(())
}

impl DnssecConfig {
    /// The anchors with a key.
    pub fn ds_anchors(&self) -> Vec<DsAnchor> {
        self.anchors.iter().map(|configured| configured.anchor.clone()).collect()
    }

    /// Takes an anchor of either kind.
    pub(super) fn take_anchor(&mut self, anchor: AnchorText, origin: &Origin) {
        match anchor {
            AnchorText::Positive(anchor) => {
                self.anchors.push(ConfiguredAnchor { anchor, origin: origin.clone() });
            }
            AnchorText::Negative(name) => self.negative_anchors.push(name),
        }
    }

    /// Reads a file of anchors into the configuration; returns how many lines held one, or should have.
    pub(super) fn read_anchors(&mut self, path: &Path, text: &str, errors: &mut Vec<ConfigError>) -> usize {
        let mut count = 0;
        for (line, number) in text.lines().zip(1..) {
            let origin = Origin::File { path: path.to_owned(), line: number };
            match anchors::read_file_line(line) {
                Ok(None) => continue,
                Ok(Some(anchor)) => self.take_anchor(anchor, &origin),
                Err(what) => {
                    let problem = Problem::BadValue { what, legal: anchors::LEGAL };
                    let (option, value) = ("trust-anchor".to_owned(), Some(line.trim().to_owned()));
                    errors.push(ConfigError { origin, option, value, problem });
                }
            }
            count += 1;
        }
        count
    }

    /// The same configuration with the anchors of one file read again. Negative anchors stay as they are.
    ///
    /// # Errors
    /// No anchor was read from that file, or it cannot be read now.
    pub fn with_file_read_again(&self, path: &Path) -> Result<Self, Vec<ConfigError>> {
        let same = |own: &Path| fs::canonicalize(own).ok() == fs::canonicalize(path).ok();
        let is_from_it = |origin: &Origin| matches!(origin, Origin::File { path: own, .. } if same(own));
        let fail = |problem| {
            let (option, value) = ("trust-anchors-file".to_owned(), Some(path.display().to_string()));
            vec![ConfigError { origin: Origin::Whole, option, value, problem }]
        };
        if !self.anchor_files.iter().any(|own| same(own)) && !self.anchors.iter().any(|own| is_from_it(&own.origin)) {
            return Err(fail(Problem::Together { what: "the configuration does not read this file" }));
        }
        let text = fs::read_to_string(path).map_err(|error| fail(Problem::Unreadable { reason: error.to_string() }))?;
        let mut again = self.clone();
        let system = Path::new(anchors::ROOT_DATA);
        let is_fallback = |origin: &Origin| match origin {
            Origin::File { path, .. } => path.starts_with(system) && !self.anchor_files.contains(path),
            Origin::BuiltIn => true,
            Origin::CommandLine | Origin::Whole => false,
        };
        again.anchors.retain(|own| !is_from_it(&own.origin) && !is_fallback(&own.origin));
        let mut errors = Vec::new();
        again.read_anchors(path, &text, &mut errors);
        again.negative_anchors.clone_from(&self.negative_anchors);
        if !errors.is_empty() {
            return Err(errors);
        }
        again.add_root(system, &mut Vec::new());
        Ok(again)
    }

    /// Adds the system's anchors of the root, or those built in, unless there is one for it, of either kind.
    fn add_root(&mut self, system: &Path, warnings: &mut Vec<String>) {
        let has_root = self.anchors.iter().any(|own| own.anchor.zone.is_root());
        if has_root || self.negative_anchors.iter().any(Name::is_root) {
            return;
        }
        let built_in = || {
            let anchors = anchors::built_in().into_iter();
            anchors.map(|anchor| ConfiguredAnchor { anchor, origin: Origin::BuiltIn }).collect()
        };
        self.anchors.extend(match anchors::of_system(system) {
            Ok(anchors) => anchors.unwrap_or_else(built_in),
            Err((path, what)) => {
                warnings.push(format!("{}: {what}; the built-in root trust anchors are used", path.display()));
                built_in()
            }
        });
    }

    /// Adds what is missing of the root's anchors, given by `system` or built in. Warns of what is probably not meant.
    pub(super) fn complete(&mut self, system: &Path, warnings: &mut Vec<String>) {
        if !self.enabled {
            if !self.anchors.is_empty() || !self.negative_anchors.is_empty() || self.anchor_state.is_some() {
                warnings.push("trust anchors are configured, but dnssec is off: nothing is validated".to_owned());
            }
            return;
        }
        self.add_root(system, warnings);
        let root = self.anchors.iter().map(|own| &own.anchor).filter(|anchor| anchor.zone.is_root());
        let root_tags: Vec<u16> = root.map(|anchor| anchor.key_tag).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = ".,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n";
    const NEW: &str = ".,38696,8,2,683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16\n";
    const ISLAND: &str = "corp.example,1,13,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n";

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("resolver-dnssec-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn told(config: &DnssecConfig) -> Vec<(u16, String)> {
        config.anchors.iter().map(|own| (own.anchor.key_tag, own.origin.to_string())).collect()
    }

    /// Anchors and warnings of a validating configuration with nothing said, on a system with this `root.ds`.
    fn of_system(root_ds: Option<&str>) -> (Vec<(u16, String)>, Vec<String>) {
        let directory = directory("system");
        let file = directory.join("root.ds");
        match root_ds {
            Some(text) => fs::write(&file, text).unwrap(),
            None => drop(fs::remove_file(&file)),
        }
        let mut config = DnssecConfig { enabled: true, ..DnssecConfig::default() };
        let mut warnings = Vec::new();
        config.complete(&directory, &mut warnings);
        (told(&config), warnings)
    }

    #[test]
    fn the_systems_root_anchors_come_before_those_built_in() {
        let built_in = vec![(20326, "built in".to_owned()), (38696, "built in".to_owned())];
        assert_eq!(of_system(None), (built_in.clone(), vec![]));
        let (anchors, warnings) = of_system(Some(NEW));
        assert!(anchors.len() == 1 && anchors[0].0 == 38696 && anchors[0].1.ends_with("/root.ds:1"), "{anchors:?}");
        assert!(warnings.is_empty(), "{warnings:?}");
        let (anchors, warnings) = of_system(Some("nonsense\n"));
        assert_eq!(anchors, built_in);
        assert!(warnings[0].contains("root.ds: line 1: neither") && warnings[0].contains("built-in"), "{warnings:?}");
        let (_, warnings) = of_system(Some(OLD));
        assert!(warnings[0].contains("20326"), "the retired key alone is warned of, wherever it is from: {warnings:?}");
    }

    #[test]
    fn a_file_that_is_read_again_replaces_its_own_anchors_and_a_fallback() {
        let directory = directory("again");
        let (file, other) = (directory.join("anchors"), directory.join("other"));
        fs::write(&file, ISLAND).unwrap();
        fs::write(&other, OLD).unwrap();
        let mut config = DnssecConfig { enabled: true, anchor_files: vec![file.clone()], ..DnssecConfig::default() };
        config.read_anchors(&file, ISLAND, &mut Vec::new());
        config.complete(&directory, &mut Vec::new());
        assert_eq!(config.anchors.len(), 3, "the island and the root's two");
        fs::write(&file, format!("{ISLAND}{NEW}")).unwrap();
        let again = config.with_file_read_again(&file).unwrap();
        assert_eq!(again.anchors.iter().map(|own| own.anchor.key_tag).collect::<Vec<_>>(), [1, 38696]);
        let refused = |path: &Path| config.with_file_read_again(path).unwrap_err()[0].to_string();
        assert!(refused(&other).contains("the configuration does not read this file"));
        fs::write(&file, "nonsense\n").unwrap();
        assert!(
            refused(&file).contains("anchors:1: option \"trust-anchor\", value \"nonsense\""),
            "{}",
            refused(&file)
        );
        fs::remove_file(&file).unwrap();
        assert!(config.with_file_read_again(&file).is_err());
    }
}
