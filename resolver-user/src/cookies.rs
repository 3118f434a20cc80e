//! DNS cookies for our clients: which secrets they are made with, and the door where they are judged (RFC 7873, RFC 9018).
//!
//! In: the configuration, the time, randomness. Out: a [`CookieJar`], which keeps the secrets and rolls them, and a
//! [`CookieDoor`], through which the listeners have cookies judged. How one is made stands in [`resolver_ebpf::wire::cookie`],
//! which both halves share; the kernel half gets the same secrets from [`crate::publish`].
//! Refuses: files, sockets, tasks; time and random bytes come in. Cookies towards other servers are no concern of this.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use resolver_ebpf::abi::CookieSecrets;
use resolver_ebpf::wire::cookie::{
    COOKIE_AGE_S_MAX, COOKIE_AHEAD_S_MAX, Cookies, SentCookies, SentServerCookie, address_v4, address_v6,
    is_cookie_len, judge,
};

use crate::clock::{Clock, NS_PER_S};
use crate::config::CookiesConfig;

/// How long a secret is accepted after another one has taken its place, in nanoseconds: as long as a cookie may live.
const AFTERLIFE_NS: u64 = (COOKIE_AGE_S_MAX + COOKIE_AHEAD_S_MAX) as u64 * NS_PER_S;
/// How long a secret of our own is in use, in nanoseconds: a day (RFC 7873 §7.1).
const OWN_LIFE_NS: u64 = 86_400 * NS_PER_S;

/// A secret: 128 random bits (RFC 9018 §4.4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieSecret(pub [u8; 16]);

impl CookieSecret {
    /// A new one.
    pub fn draw() -> Self {
        Self(rand::random())
    }

    fn words(self) -> [u64; 2] {
        bytemuck::must_cast(self.0)
    }
}

impl fmt::Debug for CookieSecret {
    /// Says nothing of the secret: whoever knows it can make cookies for any client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret")
    }
}

/// The secrets, and when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieJar {
    /// Cookies are off.
    Off,
    /// They are on.
    On {
        /// Cookies are made with this one.
        active: CookieSecret,
        /// Accepted as well; until when, in nanoseconds of CLOCK_BOOTTIME, if that is not for the operator to say.
        other: Option<(CookieSecret, Option<u64>)>,
        /// When the next secret of our own is due; none if the operator's are in use.
        due_at_boot_ns: Option<u64>,
    },
}

impl CookieJar {
    /// The secrets at the start. Without any of the operator's, they are our own.
    pub fn new(config: &CookiesConfig, now_boot_ns: u64, draw: impl FnOnce() -> CookieSecret) -> Self {
        Self::Off.configured(config, now_boot_ns, draw)
    }

    /// The secrets under another configuration. The one in use is accepted as long as its cookies may live, unless the
    /// operator has named another one for its place (RFC 9018 §5).
    pub fn configured(&self, config: &CookiesConfig, now_boot_ns: u64, draw: impl FnOnce() -> CookieSecret) -> Self {
        let (before, other, due_at_boot_ns) = match self {
            Self::Off => (None, None, None),
            Self::On { active, other, due_at_boot_ns } => (Some(*active), *other, *due_at_boot_ns),
        };
        let ended = |secret| (secret, Some(now_boot_ns.saturating_add(AFTERLIFE_NS)));
        match (config.secrets.as_slice(), before) {
            _ if !config.enabled => Self::Off,
            ([], Some(_)) if due_at_boot_ns.is_some() => self.clone(),
            ([], _) => Self::On {
                active: draw(),
                other: before.map(ended),
                due_at_boot_ns: Some(now_boot_ns.saturating_add(OWN_LIFE_NS)),
            },
            (&[active, other, ..], _) => Self::On { active, other: Some((other, None)), due_at_boot_ns: None },
            (&[active], Some(before)) if before != active => {
                Self::On { active, other: Some(ended(before)), due_at_boot_ns: None }
            }
            // What the operator named beside it, and does no more, goes at once.
            (&[active], _) => {
                Self::On { active, other: other.filter(|(_, until)| until.is_some()), due_at_boot_ns: None }
            }
        }
    }

    /// Drops a secret whose time is over, and takes a new one of our own once a day. True if something changed.
    pub fn look_at_clock(&mut self, now_boot_ns: u64, draw: impl FnOnce() -> CookieSecret) -> bool {
        let Self::On { active, other, due_at_boot_ns } = self else { return false };
        let is_over = |until: Option<u64>| until.is_some_and(|until| until <= now_boot_ns);
        if is_over(*due_at_boot_ns) {
            *other = Some((*active, Some(now_boot_ns.saturating_add(AFTERLIFE_NS))));
            *active = draw();
            *due_at_boot_ns = Some(now_boot_ns.saturating_add(OWN_LIFE_NS));
            return true;
        }
        let ends = other.is_some_and(|(_, until)| is_over(until));
        if ends {
            *other = None;
        }
        ends
    }

    /// The secrets as both halves take them; none if cookies are off.
    pub fn secrets(&self) -> Option<CookieSecrets> {
        let Self::On { active, other, .. } = self else { return None };
        let other = other.map_or(*active, |(secret, _)| secret);
        Some(CookieSecrets { active: active.words(), other: other.words() })
    }
}

/// A COOKIE option of a length that none has (RFC 7873 §5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedCookie;

/// Where clients' cookies are judged, by whatever secrets are in force.
pub struct CookieDoor {
    secrets: ArcSwapOption<CookieSecrets>,
    clock: Arc<dyn Clock>,
}

impl CookieDoor {
    /// A door with these secrets; without any, cookies are ignored.
    pub fn new(secrets: Option<CookieSecrets>, clock: Arc<dyn Clock>) -> Self {
        Self { secrets: ArcSwapOption::from_pointee(secrets), clock }
    }

    /// Puts other secrets in force.
    pub fn set(&self, secrets: Option<CookieSecrets>) {
        self.secrets.store(secrets.map(Arc::new));
    }

    /// Judges the data of a client's COOKIE option; none if cookies are off, and the option is then like an unknown one.
    ///
    /// # Errors
    /// No COOKIE option has this length.
    pub fn judge(&self, client: IpAddr, data: &[u8]) -> Result<Option<Cookies>, MalformedCookie> {
        let secrets = self.secrets.load();
        let Some(secrets) = secrets.as_deref() else { return Ok(None) };
        let sent = read(data).ok_or(MalformedCookie)?;
        // The low 32 bits: cookies compare times as serial numbers.
        let now_s = (self.clock.now().unix_s & u64::from(u32::MAX)) as u32;
        Ok(Some(match client {
            IpAddr::V4(v4) => judge(secrets, sent, &address_v4(v4.octets()), now_s),
            IpAddr::V6(v6) => judge(secrets, sent, &address_v6(v6.octets()), now_s),
        }))
    }
}

impl fmt::Debug for CookieDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieDoor").finish_non_exhaustive()
    }
}

/// The cookies in the data of a COOKIE option.
fn read(data: &[u8]) -> Option<SentCookies> {
    if !is_cookie_len(data.len()) {
        return None;
    }
    let (client, rest) = data.split_first_chunk::<8>()?;
    let server = match (rest.is_empty(), <[u8; 16]>::try_from(rest)) {
        (true, _) => SentServerCookie::None,
        (false, Ok(server)) => SentServerCookie::Ours(bytemuck::must_cast(server)),
        (false, Err(_)) => SentServerCookie::Foreign,
    };
    Some(SentCookies { client: u64::from_le_bytes(*client), server })
}

#[cfg(test)]
mod tests {
    use resolver_ebpf::abi::CookieVerdict;

    use super::*;
    use crate::clock::{ManualClock, Now};

    const A: CookieSecret = CookieSecret([1; 16]);
    const B: CookieSecret = CookieSecret([2; 16]);
    const C: CookieSecret = CookieSecret([3; 16]);
    const HOUR_NS: u64 = 3600 * NS_PER_S;

    fn config(secrets: &[CookieSecret]) -> CookiesConfig {
        CookiesConfig { secrets: secrets.to_vec(), ..CookiesConfig::default() }
    }

    fn never() -> CookieSecret {
        panic!("no secret of our own is wanted")
    }

    fn check(jar: &CookieJar, active: CookieSecret, other: Option<CookieSecret>) {
        let expected = CookieSecrets { active: active.words(), other: other.unwrap_or(active).words() };
        assert!(jar.secrets() == Some(expected));
    }

    #[test]
    fn a_changed_file_leaves_the_secret_before_in_force_for_as_long_as_its_cookies_live() {
        let mut jar = CookieJar::new(&config(&[A]), 0, never);
        check(&jar, A, None);
        jar = jar.configured(&config(&[B]), HOUR_NS, never);
        check(&jar, B, Some(A));
        // Read again without a change.
        jar = jar.configured(&config(&[B]), 2 * HOUR_NS - 1, never);
        assert!(!jar.look_at_clock(2 * HOUR_NS, never));
        check(&jar, B, Some(A));
        assert!(jar.look_at_clock(HOUR_NS + AFTERLIFE_NS, never));
        check(&jar, B, None);
    }

    #[test]
    fn the_operators_steps_of_a_roll_are_taken_as_written() {
        let mut jar = CookieJar::new(&config(&[A]), 0, never);
        for (secrets, active, other) in
            [(&[A, B][..], A, Some(B)), (&[B, A], B, Some(A)), (&[B], B, None), (&[C, A], C, Some(A))]
        {
            jar = jar.configured(&config(secrets), 1, never);
            check(&jar, active, other);
            assert!(!jar.look_at_clock(1000 * HOUR_NS, never), "it is for the operator to say");
        }
    }

    #[test]
    fn a_secret_of_our_own_is_rolled_each_day_and_not_by_a_reload() {
        let mut jar = CookieJar::new(&config(&[]), 0, || A);
        jar = jar.configured(&config(&[]), HOUR_NS, never);
        assert!(!jar.look_at_clock(OWN_LIFE_NS - 1, never));
        check(&jar, A, None);
        assert!(jar.look_at_clock(OWN_LIFE_NS, || B));
        check(&jar, B, Some(A));
        assert!(jar.look_at_clock(OWN_LIFE_NS + AFTERLIFE_NS, never));
        check(&jar, B, None);
        jar = jar.configured(&config(&[C]), 2 * OWN_LIFE_NS, never);
        check(&jar, C, Some(B));
        jar = jar.configured(&config(&[]), 2 * OWN_LIFE_NS, || A);
        check(&jar, A, Some(C));
        let off = CookiesConfig { enabled: false, ..config(&[A]) };
        assert!(jar.configured(&off, 0, never).secrets().is_none());
    }

    #[test]
    fn the_door_makes_and_knows_the_cookies_of_each_client() {
        let clock = Arc::new(ManualClock::new(Now { unix_s: 5_000_000_000, boot_ns: 0 }));
        let jar = CookieJar::new(&config(&[A]), 0, never);
        let door = CookieDoor::new(jar.secrets(), Arc::clone(&clock) as Arc<dyn Clock>);
        let clients: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        for client in clients {
            let first = door.judge(client, b"my cookie"[..8].as_ref()).unwrap().unwrap();
            assert_eq!(first.verdict, CookieVerdict::New);
            let data = first.option()[4..].to_vec();
            assert_eq!(&data[..8], b"my cooki");
            assert_eq!(door.judge(client, &data).unwrap().unwrap().verdict, CookieVerdict::Valid);
            for other in clients.into_iter().filter(|other| *other != client) {
                assert_eq!(door.judge(other, &data).unwrap().unwrap().verdict, CookieVerdict::Bad);
            }
            assert_eq!(door.judge(client, &data[..20]).unwrap().unwrap().verdict, CookieVerdict::Bad);
            assert_eq!(door.judge(client, &data[..12]), Err(MalformedCookie));
            door.set(jar.configured(&config(&[B]), 0, never).secrets());
            assert_eq!(door.judge(client, &data).unwrap().unwrap().verdict, CookieVerdict::Renewed);
            clock.advance_s(3601);
            assert_eq!(door.judge(client, &data).unwrap().unwrap().verdict, CookieVerdict::Bad);
            door.set(None);
            assert_eq!(door.judge(client, &data[..3]), Ok(None));
            door.set(jar.secrets());
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let jar = CookieJar::new(&config(&[A]), 0, never);
        let shown = format!("{A:?} {jar:?} {:?} {:?}", jar.secrets(), config(&[A]));
        assert!(!shown.contains('1'), "{shown}");
    }
}
