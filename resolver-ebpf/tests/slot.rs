//! Slots: what is written is read back, and what the fast path could not serve is refused.

use resolver_ebpf::abi::{LINE_LEN, SLOT_LINES_MAX, SLOT_WORDS_MAX, TTL_FIELDS_MAX};
use resolver_ebpf::host::records::{Record, name_of_len, records, wire_name};
use resolver_ebpf::slot::{SlotError, lines_needed, read, render};

#[test]
fn what_is_written_is_read_back() {
    for record in records() {
        let answer = record.answer();
        let mut slot = [u64::MAX; SLOT_WORDS_MAX];
        let lines = render(&answer, &mut slot).unwrap();
        assert_eq!(lines_needed(&answer), Ok(lines));
        assert!(slot[lines * LINE_LEN / 8..].iter().all(|word| *word == 0), "zeroes behind the slot");
        let view = read(&slot).unwrap();
        assert_eq!(view.name, answer.name);
        let mut body = answer.body.to_vec();
        for at in answer.ttl_offsets {
            body[usize::from(*at)..][..4].fill(0);
        }
        assert_eq!(view.body, body);
        let offsets: Vec<u8> = answer.ttl_offsets.iter().flat_map(|at| at.to_le_bytes()).collect();
        assert_eq!(view.ttl_offsets, offsets);
        assert_eq!((view.head.qtype, view.head.rcode), (answer.qtype, answer.rcode));
        assert_eq!(view.head.expires_at_boot_ns, answer.expires_at_boot_ns);
        assert_eq!(usize::from(view.head.slot_lines), lines);
    }
}

#[test]
fn a_common_answer_takes_two_lines_and_the_longest_fits() {
    let common = Record::new(&wire_name("www.example.com"), 1).with(1, &[192, 0, 2, 1]);
    assert_eq!(lines_needed(&common.answer()), Ok(2));
    let mut longest = Record::new(&name_of_len(255), 1);
    for _ in 0..TTL_FIELDS_MAX {
        longest = longest.with(1, &[0; 17]);
    }
    assert!(lines_needed(&longest.answer()).unwrap() <= SLOT_LINES_MAX);
}

#[test]
fn a_free_slot_and_noise_are_no_answers() {
    assert!(read(&[0; SLOT_WORDS_MAX]).is_none());
    assert!(read(&[u64::MAX; SLOT_WORDS_MAX]).is_none());
}

/// Checks that an answer is refused, and that the slot is then unchanged.
fn check_refused(record: &Record, error: SlotError) {
    let mut slot = [7; SLOT_WORDS_MAX];
    assert_eq!(render(&record.answer(), &mut slot), Err(error));
    assert_eq!(slot, [7; SLOT_WORDS_MAX]);
}

#[test]
fn names_that_the_fast_path_would_misread_are_refused() {
    let named = |name: &[u8]| Record { name: name.into(), ..Record::new(&[0], 1).with(1, &[0; 4]) };
    check_refused(&named(b""), SlotError::Name { at: 0 });
    check_refused(&named(b"\x03w\0w\0"), SlotError::Name { at: 0 });
    check_refused(&named(b"\x01a\x03www"), SlotError::Name { at: 6 });
    check_refused(&named(b"\x01a\x40"), SlotError::Name { at: 2 });
    check_refused(&named(b"\xc0\x0c"), SlotError::Name { at: 0 });
    check_refused(&named(b"\x01a\x00\x00"), SlotError::Name { at: 2 });
    check_refused(&named(&[&[1, b'x'], name_of_len(254).as_slice()].concat()), SlotError::Name { at: 255 });
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let base = Record::new(&wire_name("example.com"), 16).with(16, &[0; 8]);
    check_refused(&Record { rcode: 2, ..base.clone() }, SlotError::Rcode { rcode: 2 });
    check_refused(&Record { expires_at_boot_ns: 0, ..base.clone() }, SlotError::Expiry);
    check_refused(&Record { body: Vec::new(), ..base.clone() }, SlotError::BodyShort { len: 0 });
    let ttl_offsets = |ttl_offsets: &[u16]| Record { ttl_offsets: ttl_offsets.into(), ..base.clone() };
    check_refused(&ttl_offsets(&[]), SlotError::TtlCount { count: 0 });
    check_refused(&ttl_offsets(&[0; 33]), SlotError::TtlCount { count: 33 });
    check_refused(&ttl_offsets(&[17]), SlotError::TtlOffset { at: 17 });
    check_refused(&ttl_offsets(&[6, 9]), SlotError::TtlOffset { at: 9 });
    check_refused(&ttl_offsets(&[u16::MAX]), SlotError::TtlOffset { at: u16::MAX });
    // 12 + 13 + 4 + 12 + 1180 + 11 = 1232.
    let sized = |data_len: usize| Record::new(&wire_name("example.com"), 16).with(16, &vec![0; data_len]);
    assert!(lines_needed(&sized(1180).answer()).is_ok());
    check_refused(&sized(1181), SlotError::MessageLong { len: 1233 });
}
