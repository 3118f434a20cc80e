//! The work that one client query may cause. Spent by the validator and by whoever fetches for it; never refilled.

use std::fmt;

/// The limits of one client query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkLimits {
    /// Signature checks (KeyTrap, CVE-2023-50387), each at its weight: one for the usual algorithms, more for costly ones
    /// (`Algorithm::weight`), so that this bounds time: 32 are 8 ms at most.
    pub signature_checks: u32,
    /// Keys tried for one tag and algorithm.
    pub keys_per_tag: u32,
    /// Signatures of one set that are looked at.
    pub rrsigs_per_rrset: u32,
    /// Signature checks of one set that may fail before it is given up.
    pub failed_checks_per_rrset: u32,
    /// DS records of one zone that are looked at.
    pub ds_per_zone: u32,
    /// DS, DNSKEY and alias queries made on behalf of one client query.
    pub sub_queries: u32,
    /// CNAME and DNAME links followed.
    pub alias_hops: u32,
    /// NSEC3 owner hashes for one proof (CVE-2023-50868): one for each label of the name below its zone, and two.
    pub nsec3_hashes_per_proof: u32,
    /// NSEC3 hash rounds in all.
    pub nsec3_rounds: u32,
    /// NSEC3 iterations above which a zone counts as unsigned (RFC 9276 §3.2).
    pub nsec3_iterations_insecure_above: u16,
    /// NSEC3 iterations above which a zone is bogus.
    pub nsec3_iterations_bogus_above: u16,
}

impl WorkLimits {
    /// The defaults of our DNSSEC policy.
    ///
    /// Choice: 16 failed checks of one set, which are all that 8 signatures and 2 keys can give; dnsmasq has 20.
    /// Choice: 40 NSEC3 hashes for one proof, because a name of ip6.arpa has 34 labels and the closest encloser can be
    /// any of them. The rounds, which are the work, stay bounded by `nsec3_rounds`.
    pub const DEFAULT: Self = Self {
        signature_checks: 32,
        keys_per_tag: 2,
        rrsigs_per_rrset: 8,
        failed_checks_per_rrset: 16,
        ds_per_zone: 8,
        sub_queries: 40,
        alias_hops: 11,
        nsec3_hashes_per_proof: 40,
        nsec3_rounds: 600,
        nsec3_iterations_insecure_above: 50,
        nsec3_iterations_bogus_above: 150,
    };
}

/// What one client query has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkSpent {
    /// Signature checks, by number.
    pub signature_checks: u32,
    /// The same by weight: what [`WorkLimits::signature_checks`] limits.
    pub signature_weight: u32,
    /// Signature checks that failed.
    pub failed_checks: u32,
    /// NSEC3 hash rounds.
    pub nsec3_rounds: u32,
    /// Queries to the outside.
    pub sub_queries: u32,
    /// Aliases followed.
    pub alias_hops: u32,
}

/// The work of one client query: what it may cost and has cost.
#[derive(Clone, Debug)]
pub struct WorkBudget {
    limits: WorkLimits,
    spent: WorkSpent,
}

/// A kind of work that ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetItem {
    /// [`WorkLimits::signature_checks`].
    SignatureChecks,
    /// [`WorkLimits::sub_queries`].
    SubQueries,
    /// [`WorkLimits::alias_hops`].
    AliasHops,
    /// [`WorkLimits::nsec3_rounds`] or [`WorkLimits::nsec3_hashes_per_proof`].
    Nsec3Hashes,
    /// Room for costly validations of one zone, or of all, which others use just now.
    CostlyValidations,
}

impl fmt::Display for BudgetItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignatureChecks => "signature checks",
            Self::SubQueries => "sub-queries",
            Self::AliasHops => "alias hops",
            Self::Nsec3Hashes => "NSEC3 hashes",
            Self::CostlyValidations => "costly validations at once",
        })
    }
}

impl WorkBudget {
    /// A full budget.
    pub fn new(limits: WorkLimits) -> Self {
        Self { limits, spent: WorkSpent::default() }
    }

    /// What may be spent in all.
    pub fn limits(&self) -> &WorkLimits {
        &self.limits
    }

    /// What is spent already.
    pub fn spent(&self) -> &WorkSpent {
        &self.spent
    }

    /// Pays for one signature check of this weight.
    ///
    /// # Errors
    /// The item, if not enough is left of it.
    pub fn spend_signature_check(&mut self, weight: u32) -> Result<(), BudgetItem> {
        let WorkLimits { signature_checks: limit, .. } = self.limits;
        spend(&mut self.spent.signature_weight, weight, limit, BudgetItem::SignatureChecks)?;
        self.spent.signature_checks = self.spent.signature_checks.saturating_add(1);
        Ok(())
    }

    /// Notes that a signature check failed.
    pub fn note_failed_check(&mut self) {
        self.spent.failed_checks = self.spent.failed_checks.saturating_add(1);
    }

    /// Pays for one query to the outside.
    ///
    /// # Errors
    /// The item, if nothing is left of it.
    pub fn spend_sub_query(&mut self) -> Result<(), BudgetItem> {
        spend(&mut self.spent.sub_queries, 1, self.limits.sub_queries, BudgetItem::SubQueries)
    }

    /// Pays for following one alias.
    ///
    /// # Errors
    /// The item, if nothing is left of it.
    pub fn spend_alias_hop(&mut self) -> Result<(), BudgetItem> {
        spend(&mut self.spent.alias_hops, 1, self.limits.alias_hops, BudgetItem::AliasHops)
    }

    /// Pays for `rounds` rounds of NSEC3 hashing: iterations + 1 for one name.
    ///
    /// # Errors
    /// The item, if not enough is left of it.
    pub fn spend_nsec3_rounds(&mut self, rounds: u32) -> Result<(), BudgetItem> {
        spend(&mut self.spent.nsec3_rounds, rounds, self.limits.nsec3_rounds, BudgetItem::Nsec3Hashes)
    }
}

fn spend(spent: &mut u32, amount: u32, limit: u32, item: BudgetItem) -> Result<(), BudgetItem> {
    let sum = spent.saturating_add(amount);
    if sum > limit {
        return Err(item);
    }
    *spent = sum;
    Ok(())
}
