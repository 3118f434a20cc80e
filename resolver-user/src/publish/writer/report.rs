//! What the thread says about itself, its maps and what is published.

use resolver_ebpf::abi::{
    AnswerBlock, BUCKET_ENTRIES, Bucket, CLIENT_NETWORKS_MAX, CookieVerdict, LINKS_MAX, LimitTable, OUTCOMES, Outcome,
    SEEN_RING_LEN, Settings, map_name,
};

use super::super::status::{FastPathEntry, FastPathStatus, MapStatus, PublisherStatus, SeenStatus};
use super::super::{Watched, slot};
use super::Writer;

/// Memory that the kernel takes for a network, in bytes: its node (kernel/bpf/lpm_trie.c), rounded up.
const NETWORK_LEN: usize = 64;
/// Memory that the kernel takes for a rule about tags, in bytes: its element (kernel/bpf/hashtab.c), rounded up.
const RULE_LEN: usize = 80;

impl Writer {
    /// Every published answer, by name.
    pub(super) fn dump(&self) -> Vec<FastPathEntry> {
        let now_boot_ns = self.clock.now().boot_ns;
        let mut answers: Vec<_> = self.table.slots().filter_map(|words| slot::describe(&words, now_boot_ns)).collect();
        answers.sort_by(|a, b| (&a.name, &a.rtype, &a.form).cmp(&(&b.name, &b.rtype, &b.form)));
        answers
    }

    /// What the fast path is doing.
    pub(super) fn status(&self) -> FastPathStatus {
        let (frames, durations) = self.counters.latency().unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel half's durations cannot be read");
            Default::default()
        });
        let evictions = self.table.evictions();
        FastPathStatus {
            frames,
            durations,
            interfaces: self.attachments.status(),
            logged_rate: self.counters.over_limit().unwrap_or_else(|error| {
                tracing::error!(%error, "the kernel half's answers over limits cannot be read");
                Default::default()
            }),
            serving: self.serving,
            seen: self.seen_status(),
            compared: self.comparing.status(&self.waiting),
            maps: self.map_status(),
            published: self.table.published() as u64,
            publisher: PublisherStatus {
                published: self.delay.count.into(),
                retiring: self.retiring as u64,
                delay_mean_us: self.delay.mean_us(),
                delay_max_us: self.delay.max.as_micros() as u64,
                evicted_bucket: evictions.bucket,
                evicted_length: evictions.length,
                evicted_block: evictions.block,
                ..self.counts
            },
            counters: self.counters(),
            cookies: self.cookies(),
        }
    }

    fn seen_status(&self) -> SeenStatus {
        let (told, lost) = self.counters.told().unwrap_or_else(|error| {
            tracing::error!(%error, "what the kernel half has told cannot be read");
            (0, 0)
        });
        let Watched { log_one_in, count_one_in, capture } = self.watched;
        SeenStatus { told, lost, log_one_in, count_one_in, capture }
    }

    fn map_status(&self) -> Vec<MapStatus> {
        let map = |name: &str, used: usize, elements: u32, per_element: usize, element_len: usize| MapStatus {
            name: name.to_owned(),
            entries: used as u64,
            max_entries: u64::from(elements) * per_element as u64,
            memory_bytes: u64::from(elements) * element_len as u64,
        };
        // A trie takes memory for what is in it.
        let networks = |name: &str, is_v4: bool| {
            let used = self.clients.len(is_v4);
            MapStatus {
                memory_bytes: (used * NETWORK_LEN) as u64,
                ..map(name, used, 2 * CLIENT_NETWORKS_MAX as u32, 1, 0)
            }
        };
        let published = self.table.published();
        let used_blocks = self.table.used_bytes() / size_of::<AnswerBlock>();
        vec![
            map(map_name::BUCKETS, published, self.buckets, BUCKET_ENTRIES, size_of::<Bucket>()),
            map(map_name::ANSWERS, used_blocks, self.blocks, 1, size_of::<AnswerBlock>()),
            map(map_name::SETTINGS, 1, 1, 1, size_of::<Settings>()),
            networks(map_name::CLIENTS_V4, true),
            networks(map_name::CLIENTS_V6, false),
            MapStatus {
                memory_bytes: (self.attachments.rules() * RULE_LEN) as u64,
                ..map(map_name::LINKS, self.attachments.rules(), LINKS_MAX as u32, 1, 0)
            },
            map(map_name::LIMITS, 1, 1, 1, size_of::<LimitTable>()),
            map(map_name::SEEN, 0, SEEN_RING_LEN as u32, 1, 1),
        ]
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let sums = self.counters.outcomes().unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel half's counters cannot be read");
            [0; OUTCOMES]
        });
        Outcome::ALL.iter().zip(sums).map(|((_, name), sum)| ((*name).to_owned(), sum)).collect()
    }

    /// Answers with cookies, by verdict.
    fn cookies(&self) -> Vec<(String, u64)> {
        let sums = self.counters.cookies().unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel half's counters of cookies cannot be read");
            Default::default()
        });
        CookieVerdict::ALL.iter().zip(sums).map(|((_, name), sum)| ((*name).to_owned(), sum)).collect()
    }
}
