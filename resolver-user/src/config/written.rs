//! Writes what decides about validation as the options that it could be read from, so that another process can validate
//! in the same way.
//! In: anchors and policy. Out: options without dashes. Those that say what is the default are left out.

use super::limits;
use crate::validator::{DsAnchor, Policy};
use crate::wire::Name;

/// The options of validation.
pub fn dnssec_options<'a>(
    anchors: impl IntoIterator<Item = &'a DsAnchor>,
    negative: impl IntoIterator<Item = &'a Name>,
    policy: &Policy,
) -> Vec<String> {
    let mut options: Vec<String> = anchors.into_iter().map(anchor_line).collect();
    options.extend(negative.into_iter().map(|name| format!("trust-anchor={name}")));
    let flags = [
        (policy.sha1_allowed, "dnssec-allow-sha1"),
        (!policy.times_checked, "dnssec-no-timecheck"),
        (!policy.unsigned_checked, "dnssec-check-unsigned=no"),
    ];
    options.extend(flags.iter().filter(|(set, _)| *set).map(|(_, option)| (*option).to_owned()));
    options.extend(limits::written(&policy.limits));
    options
}

/// An anchor as an option, or as a line of an anchors file.
pub fn anchor_line(anchor: &DsAnchor) -> String {
    let digest: String = anchor.digest.iter().map(|byte| format!("{byte:02X}")).collect();
    let DsAnchor { zone, key_tag, algorithm, digest_type, .. } = anchor;
    format!("trust-anchor={zone},{key_tag},{algorithm},{digest_type},{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn options_read_back_as_they_were_written() {
        let read = |options: &[String]| {
            let dashed = options.iter().map(|option| format!("--{option}"));
            let others = ["--no-resolv", "--server=::1", "--xdp=off", "--dnssec"].map(str::to_owned);
            load(&others.into_iter().chain(dashed).collect::<Vec<_>>()).unwrap().dnssec
        };
        let anchor = "trust-anchor=.,38696,8,2,683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16";
        for extra in [&[][..], &["trust-anchor=corp.example."], &["dnssec-allow-sha1", "dnssec-check-unsigned=no"]] {
            let options: Vec<String> = [anchor].iter().chain(extra).map(|option| (*option).to_owned()).collect();
            let config = read(&options);
            assert_eq!(dnssec_options(&config.ds_anchors(), &config.negative_anchors, &config.policy), options);
        }
        let limits = ["dnssec-limits=3,20,39,100", "dnssec-limit=keys-per-tag:3", "dnssec-limit=nsec3-rounds:700"];
        let options: Vec<String> = [anchor].iter().chain(&limits).map(|option| (*option).to_owned()).collect();
        let config = read(&options);
        assert_eq!(dnssec_options(&config.ds_anchors(), &[], &config.policy), options);
        let config = read(&["dnssec-no-timecheck".to_owned()]);
        let written = dnssec_options(&config.ds_anchors(), &config.negative_anchors, &config.policy);
        assert_eq!(written.last().map(String::as_str), Some("dnssec-no-timecheck"));
    }
}
