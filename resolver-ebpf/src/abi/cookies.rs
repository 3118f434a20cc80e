//! Secrets of DNS cookies, and what became of the cookies that clients sent.

use bytemuck::{Pod, Zeroable};

/// In [`super::Settings::cookies`]: cookies are off, and a COOKIE option is ignored like an unknown one.
pub const COOKIES_OFF: u32 = 0;
/// Elements of [`super::Settings::cookie_secrets`]: the one in use and the next.
pub const COOKIE_SLOTS: usize = 2;

/// The two secrets that server cookies are checked by (RFC 9018 §5). Never changed while a program may read it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct CookieSecrets {
    /// Server cookies are made with this one. Its 16 bytes as they lie.
    pub active: [u64; 2],
    /// Accepted as well: the secret before, or the one to come. The active one again if there is none.
    pub other: [u64; 2],
}

impl core::fmt::Debug for CookieSecrets {
    /// Says nothing of the secrets: whoever knows them can make cookies for any client.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CookieSecrets").finish_non_exhaustive()
    }
}

/// Declares [`CookieCounters`] and [`CookieVerdict`] together, so that a counter and its number cannot drift apart.
macro_rules! verdicts {
    ($($(#[$doc:meta])* $variant:ident => $field:ident,)*) => {
        /// What the cookie of a query was worth. The number is the position in [`CookieCounters`].
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u64)]
        pub enum CookieVerdict { $($(#[$doc])* $variant,)* }

        impl CookieVerdict {
            /// Every verdict with its counter's name, in the order of [`CookieCounters`].
            pub const ALL: &[(Self, &str)] = &[$((Self::$variant, stringify!($field)),)*];

            /// The verdict of a number.
            #[inline(always)]
            pub const fn of_number(number: u64) -> Option<Self> {
                $(if number == Self::$variant as u64 { return Some(Self::$variant); })*
                None
            }
        }

        /// The one element of `COOKIES`, for each CPU: answers with a cookie, by what the query's cookie was worth.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
        #[repr(C)]
        pub struct CookieCounters { $($(#[$doc])* pub $field: u64,)* }
    };
}

verdicts! {
    /// A client cookie alone: the client does not know ours yet.
    New => new,
    /// A server cookie of ours, young enough to be sent back as it is.
    Valid => valid,
    /// A server cookie of ours that is more than half its life old, or made with the other secret: answered with a fresh one.
    Renewed => renewed,
    /// Another server cookie: forged, too old, of another server or client. Answered with a fresh one, like a client cookie alone.
    Bad => bad,
}

impl CookieVerdict {
    /// Its number.
    #[inline(always)]
    pub const fn number(self) -> u64 {
        self as u64
    }

    /// Whether the client has shown that it receives what is sent to its address.
    #[inline(always)]
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::Renewed)
    }
}

/// Number of verdicts.
pub const COOKIE_VERDICTS: usize = CookieVerdict::ALL.len();

impl CookieCounters {
    /// The counters by position.
    pub fn as_array(&self) -> &[u64; COOKIE_VERDICTS] {
        bytemuck::must_cast_ref(self)
    }

    /// The counters by position, to change.
    pub fn as_array_mut(&mut self) -> &mut [u64; COOKIE_VERDICTS] {
        bytemuck::must_cast_mut(self)
    }
}

const _: () = assert!(size_of::<CookieSecrets>() == 32 && align_of::<CookieSecrets>() == 8);
const _: () = assert!(size_of::<CookieCounters>() == COOKIE_VERDICTS * size_of::<u64>());
