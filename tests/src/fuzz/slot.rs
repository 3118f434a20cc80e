//! Slots: what is written is read back, what cannot be served is refused, and noise is read without harm.

use resolver_ebpf::abi::{LINE_LEN, SLOT_WORDS_MAX};
use resolver_ebpf::slot::{Answer, lines_needed, read, render};

use super::source::Source;

/// Writes an answer of any shape, or reads a slot of any words.
pub fn slot(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    if source.flag() {
        let mut words = [0; SLOT_WORDS_MAX];
        for word in &mut words {
            *word = u64::from(source.long()) << 32 | u64::from(source.long());
        }
        if let Some(view) = read(&words) {
            assert!(view.name.len() + view.body.len() + view.ttl_offsets.len() <= SLOT_WORDS_MAX * 8);
        }
        return;
    }
    let (qtype, flags) = (source.word(), source.byte());
    let expires_at_boot_ns = source.long().into();
    let (answer_count, authority_count, rcode) = (source.byte(), source.byte(), source.byte());
    let name = source.run();
    let ttl_offsets: Vec<u16> = (0..source.byte() % 40).map(|_| source.word()).collect();
    let (dnssec_ok, secure) = (flags & 1 != 0, flags & 2 != 0);
    let body = source.rest();
    let ttl_offsets = &ttl_offsets[..];
    check(&Answer {
        name,
        qtype,
        dnssec_ok,
        secure,
        rcode,
        answer_count,
        authority_count,
        body,
        ttl_offsets,
        expires_at_boot_ns,
    });
}

fn check(answer: &Answer<'_>) {
    let mut slot = [u64::MAX; SLOT_WORDS_MAX];
    let rendered = render(answer, &mut slot);
    assert_eq!(lines_needed(answer), rendered);
    let Ok(lines) = rendered else {
        assert_eq!(slot, [u64::MAX; SLOT_WORDS_MAX], "a refused answer leaves the slot unchanged");
        return;
    };
    assert!(slot[lines * LINE_LEN / 8..].iter().all(|word| *word == 0), "zeroes behind the slot");
    let view = read(&slot).expect("what was written can be read");
    let mut body = answer.body.to_vec();
    for at in answer.ttl_offsets {
        body[usize::from(*at)..][..4].fill(0);
    }
    assert_eq!((view.name, view.body), (&*answer.name.to_ascii_lowercase(), &*body));
    let offsets: Vec<u8> = answer.ttl_offsets.iter().flat_map(|at| at.to_le_bytes()).collect();
    assert_eq!(view.ttl_offsets, offsets);
    let head = view.head;
    assert_eq!((head.qtype, head.rcode, head.flags & 1 != 0), (answer.qtype, answer.rcode, answer.secure));
    assert_eq!((head.answer_count, head.authority_count), (answer.answer_count, answer.authority_count));
    assert_eq!((head.expires_at_boot_ns, head.flags & 2 != 0), (answer.expires_at_boot_ns, answer.dnssec_ok));
    assert_eq!(usize::from(head.slot_lines), lines);
}
