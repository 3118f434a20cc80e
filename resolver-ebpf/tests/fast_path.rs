//! The fast path on the host: every vector, every kind of room, and frames that were damaged at random.

use resolver_ebpf::abi::{BUCKET_ENTRIES, BucketEntry, COOKIE_VERDICTS, COOKIES_OFF, CookieVerdict, Outcome};
use resolver_ebpf::host::message::{ClientOpt, ClientQuery};
use resolver_ebpf::host::records::{self, NOW_BOOT_NS, Record, wire_name};
use resolver_ebpf::host::tags::HIDES_TAGS;
use resolver_ebpf::host::vectors::{self, Vector};
use resolver_ebpf::host::{OwnedStore, PlainFrame, StoreFull};
use resolver_ebpf::serve::serve;
use resolver_ebpf::slot::answer_key_hash;
use resolver_ebpf::wire::name::tag;

/// Room that is enough for everything.
const ROOM: usize = 1300;

/// Runs a vector with so much room before and behind the frame.
fn check(store: &mut OwnedStore, vector: &Vector, head_room: usize, tail_room: usize) {
    vector.apply(&mut store.settings);
    store.set_limits(vector.limits);
    let cookies_before = cookies_counted(store);
    let mut frame = PlainFrame::new(&vector.frame, head_room, tail_room).unwrap().on(vector.ingress);
    let outcome = serve(&mut frame, &store.view());
    assert_eq!(outcome, vector.outcome, "{} (room {head_room}, {tail_room})", vector.name);
    assert_eq!(hex(frame.bytes()), hex(&vector.result), "{} (room {head_room}, {tail_room})", vector.name);
    let mut expected = cookies_before;
    if let Some(verdict) = vector.cookie.filter(|_| outcome.is_answer()) {
        expected[verdict.number() as usize] += 1;
    }
    assert_eq!(cookies_counted(store), expected, "{}", vector.name);
}

/// Answers with cookies, by verdict.
fn cookies_counted(store: &OwnedStore) -> [u64; COOKIE_VERDICTS] {
    store.cookies.each_ref().map(|counter| counter.load())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().chunks(16).map(|c| c.join(" ") + "\n").collect()
}

#[test]
fn every_vector_comes_out_as_told() {
    let mut store = records::store();
    for vector in vectors::vectors() {
        check(&mut store, &vector, 0, ROOM);
    }
}

#[test]
fn two_full_buckets_answer_for_each_of_theirs_and_the_vectors_reach_into_a_partner() {
    let mut store = OwnedStore::new(1, 2, NOW_BOOT_NS);
    records::set_listeners(&mut store.settings);
    let (mut published, mut refused) = (Vec::new(), 0);
    for number in 0..40 {
        let name = wire_name(&format!("n{number}.example"));
        let record = Record::new(&name, 1).with(1, &[10, 0, 0, number]);
        match store.publish(&record.answer()) {
            Ok(_) => published.push(name),
            Err(full) => {
                assert_eq!(full, StoreFull::Bucket);
                refused += 1;
            }
        }
    }
    assert_eq!((published.len(), refused), (2 * BUCKET_ENTRIES, 40 - 2 * BUCKET_ENTRIES));
    for name in &published {
        let mut frame = PlainFrame::new(&ClientQuery::new(name, 1).frame(), 0, ROOM).unwrap();
        assert!(serve(&mut frame, &store.view()).is_answer(), "{name:?}");
    }
    let store = records::store();
    let is_away = |record: &Record| {
        let hash = answer_key_hash(&record.name, record.qtype, record.dnssec_ok, &store.settings.hash_key);
        let home = &store.view().buckets[(hash >> store.settings.bucket_shift) as usize];
        home.iter().all(|entry| bytemuck::must_cast::<u64, BucketEntry>(entry.load()).tag != tag(hash))
    };
    assert!(records::records().iter().any(is_away));
}

#[test]
fn every_outcome_has_a_vector() {
    let vectors = vectors::vectors();
    for (outcome, name) in Outcome::ALL {
        // Only a frame without room brings this one; see below.
        let is_elsewhere = *outcome == Outcome::PassNoRoom;
        assert!(is_elsewhere || vectors.iter().any(|vector| vector.outcome == *outcome), "no vector for {name}");
    }
}

#[test]
fn every_verdict_on_cookies_has_a_vector() {
    let vectors = vectors::vectors();
    for (verdict, name) in CookieVerdict::ALL {
        assert!(vectors.iter().any(|vector| vector.cookie == Some(*verdict)), "no vector for {name}");
    }
}

#[test]
fn without_tail_room_the_head_grows_and_the_answer_is_the_same() {
    let mut store = records::store();
    for vector in vectors::vectors() {
        check(&mut store, &vector, ROOM, 0);
    }
}

#[test]
fn without_any_room_a_growing_answer_is_passed_and_the_frame_kept() {
    let mut store = records::store();
    for mut vector in vectors::vectors() {
        if vector.outcome.is_answer() && vector.result.len() > vector.frame.len() {
            vector.outcome = Outcome::PassNoRoom;
            vector.result = vector.frame.clone();
        }
        check(&mut store, &vector, 0, 0);
    }
}

#[test]
fn head_growth_by_any_number_of_bytes_moves_the_front_whole() {
    let mut store = records::store();
    for padding in 0..60 {
        for name in ["www.example.com", "insecure.example"] {
            let base = ClientQuery::new(&wire_name(name), 1);
            for opt in [None, Some(ClientOpt::new(1232, true))] {
                let query = ClientQuery { opt, padding: vec![0x5a; padding], ..base.clone() };
                let record = records::records()
                    .into_iter()
                    .find(|r| r.name == query.name && r.qtype == 1 && r.dnssec_ok == query.opt.is_some())
                    .unwrap();
                let vector = Vector {
                    name: format!("{name}, {padding} bytes of padding"),
                    mode: 1,
                    abi_version: resolver_ebpf::abi::ABI_VERSION,
                    clients: resolver_ebpf::abi::CLIENTS_ALL,
                    limits: None,
                    ttl_shown_s_max: resolver_ebpf::abi::FAST_TTL_S_MAX,
                    untagged_ruled: 0,
                    ingress: 1,
                    cookies: COOKIES_OFF,
                    cookie: None,
                    frame: query.frame(),
                    outcome: if record.secure { Outcome::AnsweredSecure } else { Outcome::AnsweredInsecure },
                    result: query.answered(&record.answer(), 300),
                };
                check(&mut store, &vector, 256, 0);
                check(&mut store, &vector, 256, 7);
            }
        }
    }
}

#[test]
fn an_answer_marks_its_slot_with_the_second_and_a_pass_does_not() {
    let store = records::store();
    let now_s = (NOW_BOOT_NS / 1_000_000_000) as u32;
    // The last word of a head is the fourth of a line.
    let used =
        |store: &OwnedStore| store.view().answers.chunks(8).filter(|line| line[3].load() as u32 == now_s).count();
    let before = used(&store);
    let miss = ClientQuery::new(&wire_name("absent.example.com"), 1);
    let hit = ClientQuery::new(&wire_name("www.example.com"), 1);
    for (query, expected) in [(&miss, before), (&hit, before + 1), (&hit, before + 1)] {
        serve(&mut PlainFrame::new(&query.frame(), 0, ROOM).unwrap(), &store.view());
        assert_eq!(used(&store), expected);
    }
}

#[test]
fn the_clock_itself_is_read_once_the_daemon_has_been_silent_for_too_long() {
    let mut store = records::store();
    let hit = ClientQuery::new(&wire_name("www.example.com"), 1);
    let outcome = |store: &OwnedStore| serve(&mut PlainFrame::new(&hit.frame(), 0, ROOM).unwrap(), &store.view());
    store.settings.offset_until_jiffies = 1000;
    store.boot_ns = NOW_BOOT_NS + 86_400_000_000_000;
    for (jiffies, expected) in [(1000, Outcome::AnsweredSecure), (1001, Outcome::PassExpired)] {
        store.jiffies = jiffies;
        assert_eq!(outcome(&store), expected, "at jiffy {jiffies}");
    }
    // The other way round: the machine slept, and what jiffies say is nonsense.
    (store.settings.boot_offset_ns, store.boot_ns) = (store.boot_ns, NOW_BOOT_NS);
    for (jiffies, expected) in [(1000, Outcome::PassExpired), (1001, Outcome::AnsweredSecure)] {
        store.jiffies = jiffies;
        assert_eq!(outcome(&store), expected, "at jiffy {jiffies}");
    }
}

#[test]
fn damaged_frames_never_panic_and_a_pass_leaves_them_as_they_came() {
    let mut store = records::store();
    store.settings.cookies = 1;
    let seeds: Vec<Vec<u8>> = vectors::vectors().into_iter().map(|vector| vector.frame).collect();
    let mut random = Random(0x0123_4567_89ab_cdef);
    let (mut answered, mut passed) = (0u32, 0u32);
    for _ in 0..100_000 {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..random.below(4) {
            if bytes.is_empty() {
                continue;
            }
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.below(256) as u8,
                2 => bytes.truncate(at),
                _ => bytes.insert(at, random.below(256) as u8),
            }
        }
        let mut frame = PlainFrame::new(&bytes, random.below(300), random.below(300)).unwrap().on(HIDES_TAGS);
        if serve(&mut frame, &store.view()).is_answer() {
            answered += 1;
        } else {
            passed += 1;
            assert_eq!(frame.bytes(), bytes);
        }
    }
    assert!(answered > 10_000 && passed > 10_000, "{answered} answered, {passed} passed");
}

#[test]
fn noise_is_passed() {
    let store = records::store();
    let mut random = Random(42);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.below(600)).map(|_| random.below(256) as u8).collect();
        let mut frame = PlainFrame::new(&bytes, 64, 64).unwrap();
        assert!(!serve(&mut frame, &store.view()).is_answer());
        assert_eq!(frame.bytes(), bytes);
    }
}

/// xorshift64, so that every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}
