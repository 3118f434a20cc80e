//! Holds every answer in the kernel map against the daemon's cache.
//!
//! In: what the publishing thread says of each slot, and the cache. Out: a [`VerifyReport`].
//! Both go on changing meanwhile. An answer that the cache has under another time, or no more, is told apart: its bytes are
//! those that were published, and that is all that can be said.

use tracing::error;

use crate::answer::Form;
use crate::cache::{QuestionRef, RenderedForm};
use crate::control::report::{VERIFY_FAULTS_MAX, VerifyFault, VerifyReport};
use crate::publish::{HeldSlot, Likeness, Publication, Publisher, SlotFault};
use crate::resolve::Resolver;
use crate::wire::RecordType;

/// Verifies everything; none if the publishing thread does not answer.
pub(super) fn verify(resolver: &Resolver, publisher: &Publisher) -> Option<VerifyReport> {
    let mut report = VerifyReport::default();
    let mut next = Some(0);
    // Bound: each turn moves on by some buckets.
    while let Some(first) = next {
        let held = publisher.held(first)?;
        for slot in &held.slots {
            report.entries += 1;
            match slot.fault.map_or_else(|| likeness(resolver, slot), |fault| Some(Likeness::Differs(fault))) {
                None => report.not_cached += 1,
                Some(Likeness::Equal) => report.equal += 1,
                Some(Likeness::Other) => report.older += 1,
                Some(Likeness::Differs(fault)) => add_fault(&mut report, fault_of(resolver, slot, fault)),
            }
        }
        for _ in 0..held.unreachable {
            let fault = "the index leads to this answer no more".to_owned();
            report.entries += 1;
            add_fault(
                &mut report,
                VerifyFault { name: String::new(), rtype: String::new(), form: String::new(), fault },
            );
        }
        next = held.next;
    }
    Some(report)
}

/// How a slot compares with what the cache has; none if it has nothing that holds.
fn likeness(resolver: &Resolver, slot: &HeldSlot) -> Option<Likeness> {
    let (qname_wire, qtype, dnssec_ok) = slot.key()?;
    let form = if dnssec_ok { Form::Dnssec } else { Form::Plain };
    let key = QuestionRef { qname_wire: &qname_wire, qtype: RecordType(qtype) };
    let answer = resolver.cached(key)?;
    let RenderedForm::Proven(rendered) = answer.rendered(form)? else {
        return Some(Likeness::Differs(SlotFault::Differs("status of validation")));
    };
    Some(slot.compare(&Publication {
        name: answer.question().qname.clone(),
        qtype: answer.question().qtype,
        form,
        rendered: rendered.clone(),
        expires_at_boot_ns: answer.expires_at_boot_ns,
        refresh_from_boot_ns: u64::MAX,
        rotation: rendered.rotation().filter(|_| resolver.rules().round_robin),
        published: answer.published(form).clone(),
        generation: answer.generation,
    }))
}

fn fault_of(resolver: &Resolver, slot: &HeldSlot, fault: SlotFault) -> VerifyFault {
    let entry = slot.describe(resolver.clock.now().boot_ns);
    let (name, rtype, form) = entry.map(|entry| (entry.name, entry.rtype, entry.form)).unwrap_or_default();
    VerifyFault { name, rtype, form, fault: fault.to_string() }
}

fn add_fault(report: &mut VerifyReport, fault: VerifyFault) {
    report.wrong += 1;
    if report.faults.len() < VERIFY_FAULTS_MAX {
        error!(
            qname = fault.name,
            qtype = fault.rtype,
            form = fault.form,
            fault = fault.fault,
            "wrong in the kernel map"
        );
        report.faults.push(fault);
    }
}
