//! Counters of the kernel half: every frame adds one to exactly one of them.

use bytemuck::{Pod, Zeroable};

/// Declares [`Counters`] and [`Outcome`] together, so that a counter and its number cannot drift apart.
macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident => $field:ident,)*) => {
        /// What became of a frame. The number is the position in [`Counters`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum Outcome { $($(#[$doc])* $variant,)* }

        impl Outcome {
            /// Every outcome with its counter's name, in the order of [`Counters`].
            pub const ALL: &[(Self, &str)] = &[$((Self::$variant, stringify!($field)),)*];

            /// Name of the counter.
            #[inline(always)]
            pub const fn counter_name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field),)* }
            }
        }

        /// The one element of `COUNTERS`, for each CPU: frames by [`Outcome`].
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
        #[repr(C)]
        pub struct Counters { $($(#[$doc])* pub $field: u64,)* }
    };
}

outcomes! {
    /// Answered with a Secure answer.
    AnsweredSecure => answered_secure,
    /// Answered with a proven insecure answer.
    AnsweredInsecure => answered_insecure,
    /// Passed: would have been answered, but the mode is dry-run.
    PassDryRun => pass_dry_run,
    /// Passed: the mode is off, or the settings are of another ABI.
    PassOff => pass_off,
    /// Passed: shorter than its headers say, or than any query.
    PassTruncated => pass_truncated,
    /// Passed: its VLAN tags are none of ours, or may have been taken off before XDP saw the frame.
    PassVlan => pass_vlan,
    /// Passed: neither IPv4 nor IPv6, or to a group of stations.
    PassNotIp => pass_not_ip,
    /// Passed: IP options, extension headers, or a header that contradicts itself.
    PassIpHeader => pass_ip_header,
    /// Passed: a fragment.
    PassFragment => pass_fragment,
    /// Passed: not UDP.
    PassNotUdp => pass_not_udp,
    /// Passed: not to an address and port that we listen on.
    PassNotOurs => pass_not_ours,
    /// Passed: from an address that no client can have.
    PassSource => pass_source,
    /// Passed: from a client that XDP may not answer, by the operator's access lists.
    PassClient => pass_client,
    /// Passed: a response, another opcode, truncated, or recursion not desired.
    PassHeader => pass_header,
    /// Passed: not exactly one question, or records that a plain query does not carry.
    PassCounts => pass_counts,
    /// Passed: the name does not end within the message or 255 bytes.
    PassName => pass_name,
    /// Passed: class other than IN.
    PassClass => pass_class,
    /// Passed: the additional record is not an OPT of version 0 that fills the message.
    PassEdns => pass_edns,
    /// Passed: no such answer is published.
    PassMiss => pass_miss,
    /// Passed: the published answer has no whole second left.
    PassExpired => pass_expired,
    /// Passed: the answer is larger than the client takes; the daemon truncates.
    PassTooLarge => pass_too_large,
    /// Passed: the driver has no room for the answer in this frame.
    PassNoRoom => pass_no_room,
    /// Passed: over a rate limit, with a cookie that proves nothing; the daemon tells the client to use TCP.
    PassRate => pass_rate,
    /// Dropped: the client's narrow prefix is over its rate limit.
    DroppedRate => dropped_rate,
    /// Dropped: the client's wide prefix is over its rate limit.
    DroppedRateWide => dropped_rate_wide,
    /// Answered with TC and nothing else: the client's narrow prefix is over its rate limit.
    SlippedRate => slipped_rate,
    /// Answered with TC and nothing else: the client's wide prefix is over its rate limit.
    SlippedRateWide => slipped_rate_wide,
}

impl Outcome {
    /// Whether the frame was answered.
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::AnsweredSecure | Self::AnsweredInsecure)
    }

    /// Whether a frame goes back, with an answer or an empty one.
    pub const fn is_sent(self) -> bool {
        self.is_answer() || matches!(self, Self::SlippedRate | Self::SlippedRateWide)
    }

    /// Whether the frame is dropped, by an operator's policy.
    pub const fn is_drop(self) -> bool {
        matches!(self, Self::DroppedRate | Self::DroppedRateWide)
    }

    /// Whether a frame to an endpoint of ours was passed.
    pub const fn is_pass_of_query(self) -> bool {
        matches!(
            self,
            Self::PassDryRun
                | Self::PassSource
                | Self::PassClient
                | Self::PassHeader
                | Self::PassCounts
                | Self::PassName
                | Self::PassClass
                | Self::PassEdns
                | Self::PassMiss
                | Self::PassExpired
                | Self::PassTooLarge
                | Self::PassNoRoom
                | Self::PassRate
        )
    }
}

/// Number of counters.
pub const OUTCOMES: usize = Outcome::ALL.len();

impl Counters {
    /// The counters by position.
    pub fn as_array(&self) -> &[u64; OUTCOMES] {
        bytemuck::must_cast_ref(self)
    }

    /// The counters by position, to change.
    pub fn as_array_mut(&mut self) -> &mut [u64; OUTCOMES] {
        bytemuck::must_cast_mut(self)
    }

    /// Frames answered by XDP.
    pub fn answered(&self) -> u64 {
        self.answered_secure + self.answered_insecure
    }

    /// All frames seen.
    pub fn frames(&self) -> u64 {
        self.as_array().iter().sum()
    }
}

const _: () = assert!(size_of::<Counters>() == OUTCOMES * size_of::<u64>());
