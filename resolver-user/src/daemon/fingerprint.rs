//! One number for all that answers rest on, so that what was found out under something else is known as such after a restart.
//!
//! In: the configuration and the basis of validation. Out: a [`Fingerprint`], equal only if both say the same: servers, local
//! data, filters, times of keeping, whether and from which anchors is validated, by which policy, negative anchors, and the
//! version of this program. What becomes part of one of those becomes part of it, as its hash is derived.
//! Choice: name servers found in resolv.conf are left out; as while running, another list of them is no other answer.

use std::hash::{Hash, Hasher};

use ring::digest::{Context, SHA256};

use crate::config::Config;
use crate::trust::Basis;

/// Length of a fingerprint, in bytes.
pub const FINGERPRINT_LEN: usize = 32;

/// What two daemons must have in common for one to go on with the other's answers.
pub type Fingerprint = [u8; FINGERPRINT_LEN];

/// The fingerprint of what answers rest on now. `basis`: that of validation, none with `dnssec` off.
pub fn fingerprint(config: &Config, basis: Option<&Basis>) -> Fingerprint {
    fingerprint_with(&configuration_fingerprint(config), basis)
}

/// The configuration's part of it, which changes only with a reload.
pub fn configuration_fingerprint(config: &Config) -> Fingerprint {
    digest(|state| {
        env!("CARGO_PKG_VERSION").hash(state);
        (&config.upstream, &config.local.data, &config.filter, &config.cache.keeping).hash(state);
    })
}

/// The whole, from the configuration's part.
pub fn fingerprint_with(configuration: &Fingerprint, basis: Option<&Basis>) -> Fingerprint {
    digest(|state| {
        configuration.hash(state);
        basis.map(|basis| (&basis.anchors, &basis.policy)).hash(state);
    })
}

fn digest(feed: impl FnOnce(&mut Digest)) -> Fingerprint {
    let mut state = Digest { context: Context::new(&SHA256), gathered: Vec::with_capacity(GATHERED_LEN) };
    feed(&mut state);
    state.end()
}

/// Bytes that are gathered before they are digested.
const GATHERED_LEN: usize = 4096;

/// Feeds what is hashed to SHA-256.
struct Digest {
    context: Context,
    gathered: Vec<u8>,
}

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHERED_LEN {
            self.context.update(&self.gathered);
            self.gathered.clear();
        }
        self.gathered.extend_from_slice(bytes);
    }

    /// Nobody asks for it: a digest is longer.
    fn finish(&self) -> u64 {
        0
    }
}

impl Digest {
    fn end(mut self) -> Fingerprint {
        self.context.update(&self.gathered);
        let mut fingerprint = [0; FINGERPRINT_LEN];
        fingerprint.copy_from_slice(self.context.finish().as_ref());
        fingerprint
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Now;
    use crate::config::load;
    use crate::daemon::configured;
    use crate::trust::Trust;

    const NOW: Now = Now { unix_s: 1_750_000_000, boot_ns: 7_000_000_000 };

    const WORDS: &[&str] = &[
        "--no-resolv",
        "--no-hosts",
        "--server=192.0.2.1",
        "--dnssec",
        "--address=/a.example/b.example/c.example/192.0.2.7",
        "--host-record=x.lan,y.lan,z.lan,192.0.2.8",
        "--rebind-domain-ok=/p.example/q.example/r.example/",
    ];

    fn config(words: &[&str]) -> Config {
        load(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn of(config: &Config, change: impl Fn(&Trust)) -> Fingerprint {
        let trust = config.dnssec.enabled.then(|| Trust::new(configured(config), None, NOW));
        trust.iter().for_each(change);
        let basis: Option<Arc<Basis>> = trust.as_ref().map(Trust::basis);
        fingerprint(config, basis.as_deref())
    }

    #[test]
    fn the_same_configuration_has_the_same_fingerprint_though_tables_are_in_another_order() {
        let first = of(&config(WORDS), |_| {});
        for _ in 0..20 {
            assert_eq!(of(&config(WORDS), |_| {}), first);
        }
        let elsewhere =
            [WORDS, &["--log-queries", "--cache-size=77", "--control-socket=/run/x", "--threads=3"]].concat();
        assert_eq!(of(&config(&elsewhere), |_| {}), first, "how we run is not what we answer");
    }

    #[test]
    fn whatever_may_change_an_answer_changes_the_fingerprint() {
        let mut seen = vec![of(&config(WORDS), |_| {})];
        let hints = std::env::temp_dir().join(format!("resolver-hints-{}", std::process::id()));
        std::fs::write(&hints, ". NS a.root.\na.root. A 192.0.2.53\n").unwrap();
        for added in [
            "--server=192.0.2.2",
            "--stub=/corp.example/192.0.2.1",
            &format!("--root-hints={}", hints.display()),
            "--server=/corp.example/192.0.2.1",
            "--address=/d.example/192.0.2.7",
            "--host-record=w.lan,192.0.2.9",
            "--cname=v.lan,x.lan",
            "--domain-needed",
            "--filter-AAAA",
            "--stop-dns-rebind",
            "--bogus-nxdomain=192.0.2.66",
            "--max-cache-ttl=77",
            "--no-negcache",
            "--trust-anchor=example.org",
            "--trust-anchor=example.net,1,13,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
            "--dnssec-allow-sha1",
            "--dnssec-no-timecheck",
            "--dnssec-check-unsigned=no",
            "--dnssec-limits=1",
        ] {
            seen.push(of(&config(&[WORDS, &[added]].concat()), |_| {}));
        }
        std::fs::remove_file(&hints).unwrap();
        // From the root instead of by a server.
        let servers: Vec<&str> = WORDS.iter().copied().filter(|word| !word.starts_with("--server=")).collect();
        for recursive in ["--recursive", "--recursive=ipv4", "--recursive=ipv6"] {
            seen.push(of(&config(&[&servers[..], &[recursive]].concat()), |_| {}));
        }
        let unvalidated: Vec<&str> = WORDS.iter().copied().filter(|word| *word != "--dnssec").collect();
        seen.push(of(&config(&unvalidated), |_| {}));
        seen.push(of(&config(WORDS), |trust| trust.add_negative("timed.example".parse().unwrap(), 60, NOW).unwrap()));
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
