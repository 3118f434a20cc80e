//! The limits of validation as text: dnsmasq's `dnssec-limits`, and `dnssec-limit` for the others.

use crate::validator::WorkLimits;

/// What `dnssec-limits` may be.
pub(super) const LEGAL_FOUR: &str = "<failed checks of a set 0..=100>[,<signature checks 0..=1000>[,<sub-queries \
                                     0..=1000>[,<NSEC3 iterations 0..=2500>]]]; 0 keeps the default";
/// What `dnssec-limit` may be.
pub(super) const LEGAL_NAMED: &str = "keys-per-tag:1..=100, signatures-per-set:1..=100, ds-per-zone:1..=100, \
                                      alias-hops:0..=50, nsec3-hashes:3..=256, nsec3-rounds:3..=100000, \
                                      nsec3-iterations-insecure:0..=2500";

/// One limit that `dnssec-limit` knows.
struct NamedLimit {
    name: &'static str,
    min: u32,
    max: u32,
    set: fn(&mut WorkLimits, u32),
    of: fn(&WorkLimits) -> u32,
}

/// All of them.
const NAMED: &[NamedLimit] = &[
    NamedLimit {
        name: "keys-per-tag",
        min: 1,
        max: 100,
        set: |limits, number| limits.keys_per_tag = number,
        of: |limits| limits.keys_per_tag,
    },
    NamedLimit {
        name: "signatures-per-set",
        min: 1,
        max: 100,
        set: |limits, number| limits.rrsigs_per_rrset = number,
        of: |limits| limits.rrsigs_per_rrset,
    },
    NamedLimit {
        name: "ds-per-zone",
        min: 1,
        max: 100,
        set: |limits, number| limits.ds_per_zone = number,
        of: |limits| limits.ds_per_zone,
    },
    NamedLimit {
        name: "alias-hops",
        min: 0,
        max: 50,
        set: |limits, number| limits.alias_hops = number,
        of: |limits| limits.alias_hops,
    },
    NamedLimit {
        name: "nsec3-hashes",
        min: 3,
        max: 256,
        set: |limits, number| limits.nsec3_hashes_per_proof = number,
        of: |limits| limits.nsec3_hashes_per_proof,
    },
    NamedLimit {
        name: "nsec3-rounds",
        min: 3,
        max: 100_000,
        set: |limits, number| limits.nsec3_rounds = number,
        of: |limits| limits.nsec3_rounds,
    },
    NamedLimit {
        name: "nsec3-iterations-insecure",
        min: 0,
        max: ITERATIONS_MAX,
        set: |limits, number| limits.nsec3_iterations_insecure_above = u16::try_from(number).unwrap_or(u16::MAX),
        of: |limits| limits.nsec3_iterations_insecure_above.into(),
    },
];

/// The most iterations that NSEC3 ever allowed (RFC 5155 §10.3).
const ITERATIONS_MAX: u32 = 2500;

/// Reads dnsmasq's four.
///
/// Differs: dnsmasq's second limit counts hashes too; ours counts signature checks, and hashes have `nsec3-rounds`.
pub(super) fn read_four(value: &str, limits: &mut WorkLimits) -> Result<(), String> {
    let fields: Vec<&str> = value.split(',').map(str::trim).collect();
    if fields.len() > 4 {
        return Err(format!("{} fields, not 1 to 4", fields.len()));
    }
    let mut numbers = [0; 4];
    for ((field, number), max) in fields.iter().zip(&mut numbers).zip([100, 1000, 1000, ITERATIONS_MAX]) {
        *number = super::option::number(field, 0, max).map_err(|what| format!("\"{field}\": {what}"))?;
    }
    let [failed, checks, sub_queries, iterations] = numbers;
    for (number, limit) in [
        (failed, &mut limits.failed_checks_per_rrset),
        (checks, &mut limits.signature_checks),
        (sub_queries, &mut limits.sub_queries),
    ] {
        if number > 0 {
            *limit = number;
        }
    }
    if iterations > 0 {
        limits.nsec3_iterations_bogus_above = u16::try_from(iterations).unwrap_or(u16::MAX);
    }
    Ok(())
}

/// Reads `<name>:<number>`.
pub(super) fn read_named(value: &str, limits: &mut WorkLimits) -> Result<(), String> {
    let (name, number) = value.split_once(':').ok_or("neither a name, nor a colon and a number")?;
    let named = NAMED.iter().find(|limit| limit.name == name.trim()).ok_or_else(|| format!("no limit \"{name}\""))?;
    let number = super::option::number(number.trim(), named.min, named.max)?;
    (named.set)(limits, number);
    Ok(())
}

/// The limits that are not the default ones, as options without dashes.
pub(super) fn written(limits: &WorkLimits) -> Vec<String> {
    let four = |limits: &WorkLimits| {
        let WorkLimits { failed_checks_per_rrset, signature_checks, sub_queries, .. } = limits;
        let iterations = limits.nsec3_iterations_bogus_above;
        format!("dnssec-limits={failed_checks_per_rrset},{signature_checks},{sub_queries},{iterations}")
    };
    let default = &WorkLimits::DEFAULT;
    let four = Some(four(limits)).filter(|written| *written != four(default));
    let named = NAMED.iter().filter(|limit| (limit.of)(limits) != (limit.of)(default));
    let named = named.map(|limit| format!("dnssec-limit={}:{}", limit.name, (limit.of)(limits)));
    four.into_iter().chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nought_keeps_the_default_as_in_dnsmasq() {
        let mut limits = WorkLimits::DEFAULT;
        read_four("0,0,20", &mut limits).unwrap();
        assert_eq!(limits, WorkLimits { sub_queries: 20, ..WorkLimits::DEFAULT });
        read_four("5, 6,0,100", &mut limits).unwrap();
        let expected = WorkLimits {
            failed_checks_per_rrset: 5,
            signature_checks: 6,
            sub_queries: 20,
            nsec3_iterations_bogus_above: 100,
            ..WorkLimits::DEFAULT
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn every_named_limit_is_told_of_with_its_range_and_keeps_to_it() {
        for limit in NAMED {
            assert!(LEGAL_NAMED.contains(&format!("{}:{}..={}", limit.name, limit.min, limit.max)), "{}", limit.name);
            let mut limits = WorkLimits::DEFAULT;
            read_named(&format!("{}:{}", limit.name, limit.max), &mut limits).unwrap();
            assert_ne!(limits, WorkLimits::DEFAULT, "{}", limit.name);
            assert_eq!(written(&limits), [format!("dnssec-limit={}:{}", limit.name, limit.max)]);
            assert!(read_named(&format!("{}:{}", limit.name, limit.max + 1), &mut limits).is_err());
        }
    }

    #[test]
    fn wrong_limits_say_what_is_wrong() {
        for (value, what) in [("1,2,3,4,5", "5 fields"), ("x", "not a number"), ("0,1001", "out of range")] {
            let error = read_four(value, &mut WorkLimits::DEFAULT.clone()).unwrap_err();
            assert!(error.contains(what), "{value}: {error}");
        }
        for (value, what) in
            [("alias-hops", "colon"), ("hops:1", "no limit \"hops\""), ("alias-hops:51", "out of range")]
        {
            let error = read_named(value, &mut WorkLimits::DEFAULT.clone()).unwrap_err();
            assert!(error.contains(what), "{value}: {error}");
        }
    }
}
