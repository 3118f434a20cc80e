//! Reads flags and files into a draft, collects everything that is wrong, and checks the whole.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::options::{Draft, Effect, NOT_SUPPORTED, OptionSpec, PendingFile, find, find_letter};
use super::syntax::{self, RawOption, reveal};
use super::{
    CACHE_SIZE, CONTROL_SOCKET, Config, ConfigError, DnssecConfig, Origin, PORT, Problem, RESOLV_CONF, Takes,
    XDP_CACHE_SIZE, XDP_PIN_DIR, XdpMode, anchors,
};
use crate::wire::Name;

/// How deep `conf-file` may nest.
const NESTING_MAX: usize = 16;

/// Reads the command line, and the files that it names, into a checked configuration.
///
/// # Errors
/// Everything that is wrong, in the order it was met.
pub fn load(arguments: &[String]) -> Result<Config, Vec<ConfigError>> {
    let mut loader = Loader::default();
    loader.read_arguments(arguments);
    loader.finish()
}

#[derive(Default)]
struct Loader {
    draft: Draft,
    errors: Vec<ConfigError>,
    /// Files being read, outermost first.
    open_files: Vec<PathBuf>,
}

impl Loader {
    /// Reads `--name`, `--name=value`, `--name value`, `-l` and `-l value`.
    fn read_arguments(&mut self, arguments: &[String]) {
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, mut value) = match argument.strip_prefix("--").map(|long| long.split_once('=').ok_or(long)) {
                Some(Ok((name, value))) => (name.to_owned(), Some(value.to_owned())),
                Some(Err(name)) => (name.to_owned(), None),
                None => match read_letter(argument) {
                    Some((spec, value)) => (spec.name.to_owned(), value),
                    None => {
                        self.error(Origin::CommandLine, argument, None, Problem::Unknown);
                        continue;
                    }
                },
            };
            if value.is_none() && find(&name).is_some_and(|spec| spec.takes == Takes::Value) {
                value = rest.next().cloned();
            }
            self.apply(Origin::CommandLine, RawOption { name, value });
        }
    }

    fn read_options_file(&mut self, origin: &Origin, path: &Path) {
        // Two names of one file are one file.
        let identity = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.open_files.contains(&identity) || self.open_files.len() >= NESTING_MAX {
            self.error(origin.clone(), "conf-file", Some(path.display().to_string()), Problem::Nesting);
            return;
        }
        let Some(text) = self.read_file(origin, "conf-file", path) else { return };
        self.open_files.push(identity);
        for (line, number) in text.lines().zip(1..) {
            let origin = Origin::File { path: path.to_owned(), line: number };
            match syntax::read_line(line) {
                Ok(None) => {}
                Ok(Some(raw)) => self.apply(origin, raw),
                Err(syntax::OpenQuote) => self.error(origin, "", None, Problem::OpenQuote),
            }
        }
        self.open_files.pop();
    }

    fn read_anchors_file(&mut self, origin: &Origin, path: &Path) {
        let Some(text) = self.read_file(origin, "trust-anchors-file", path) else { return };
        for (line, number) in text.lines().zip(1..) {
            match anchors::read_file_line(line) {
                Ok(None) => {}
                Ok(Some(anchor)) => self.draft.take_anchor(anchor),
                Err(what) => {
                    let origin = Origin::File { path: path.to_owned(), line: number };
                    let problem = Problem::BadValue { what, legal: anchors::LEGAL };
                    self.error(origin, "trust-anchor", Some(line.trim().to_owned()), problem);
                }
            }
        }
    }

    fn read_file(&mut self, origin: &Origin, option: &str, path: &Path) -> Option<String> {
        match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                let problem = Problem::Unreadable { reason: error.to_string() };
                self.error(origin.clone(), option, Some(path.display().to_string()), problem);
                None
            }
        }
    }

    /// Takes one option into the draft, and reads the file that it may name.
    fn apply(&mut self, origin: Origin, raw: RawOption) {
        let shown = raw.value.as_deref().map(reveal);
        let Some(spec) = find(&raw.name) else {
            let problem = not_supported(&raw.name).map_or(Problem::Unknown, |reason| Problem::NotSupported { reason });
            self.error(origin, &raw.name, shown, problem);
            return;
        };
        match (spec.effect, raw.value.as_deref()) {
            (Effect::Flag(set), None | Some("")) => set(&mut self.draft),
            (Effect::Flag(_), Some(_)) => self.error(origin, spec.name, shown, Problem::ValueUnwanted),
            (Effect::Perhaps(apply), value) => {
                if let Err(what) = apply(&mut self.draft, value) {
                    self.error(origin, spec.name, shown, Problem::BadValue { what, legal: spec.legal });
                }
            }
            (Effect::Value(_), None | Some("")) => {
                self.error(origin, spec.name, None, Problem::ValueMissing { legal: spec.legal });
            }
            (Effect::Value(apply), Some(value)) => {
                if let Err(what) = apply(&mut self.draft, value) {
                    self.error(origin, spec.name, shown, Problem::BadValue { what, legal: spec.legal });
                    return;
                }
                match self.draft.pending_file.take() {
                    None => {}
                    Some(PendingFile::Options(path)) => self.read_options_file(&origin, &path),
                    Some(PendingFile::Anchors(path)) => self.read_anchors_file(&origin, &path),
                }
            }
        }
    }

    fn error(&mut self, origin: Origin, option: &str, value: Option<String>, problem: Problem) {
        self.errors.push(ConfigError { origin, option: option.to_owned(), value, problem });
    }

    /// Checks what only the whole can show, and fills in the defaults.
    fn finish(mut self) -> Result<Config, Vec<ConfigError>> {
        let mut warnings = Vec::new();
        let mut draft = std::mem::take(&mut self.draft);
        if draft.servers.is_empty() && !draft.no_resolv {
            draft.servers = resolv_conf_servers();
        }
        if draft.servers.is_empty() {
            let what = "no server to forward to; give server=<address>[#<port>], or without no-resolv a nameserver in \
                        /etc/resolv.conf";
            self.error(Origin::Whole, "server", None, Problem::Together { what });
        }
        let dnssec = dnssec(&mut draft, &mut warnings);
        let xdp = draft.xdp.unwrap_or(XdpMode::Auto);
        if !draft.dnssec && xdp != XdpMode::Off {
            warnings.push(format!("dnssec is off: nothing is proven, so nothing is published to XDP (xdp={xdp})"));
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(Config {
            servers: draft.servers,
            listen_addresses: draft.listen_addresses,
            interfaces: draft.interfaces,
            port: draft.port.unwrap_or(PORT),
            cache_size: draft.cache_size.unwrap_or(CACHE_SIZE),
            dnssec,
            log_queries: draft.log_queries,
            xdp,
            xdp_interfaces: draft.xdp_interfaces,
            xdp_cache_size: draft.xdp_cache_size.unwrap_or(XDP_CACHE_SIZE),
            xdp_log: draft.xdp_log,
            xdp_pin_dir: draft.xdp_pin_dir.unwrap_or_else(|| XDP_PIN_DIR.into()),
            threads: draft.threads.unwrap_or_else(cpus),
            control_socket: draft.control_socket.unwrap_or_else(|| CONTROL_SOCKET.into()),
            pid_file: draft.pid_file,
            warnings,
        })
    }
}

/// What the draft says about validation; none if it is off. Warns of what is probably not meant.
fn dnssec(draft: &mut Draft, warnings: &mut Vec<String>) -> Option<DnssecConfig> {
    let dnssec = DnssecConfig {
        anchors: std::mem::take(&mut draft.anchors),
        negative_anchors: std::mem::take(&mut draft.negative_anchors),
        policy: draft.policy,
        timestamp: draft.dnssec_timestamp.take(),
        debug: draft.dnssec_debug,
        log: draft.log_dnssec,
    };
    if !draft.dnssec {
        if !dnssec.anchors.is_empty() || !dnssec.negative_anchors.is_empty() {
            warnings.push("trust anchors are configured, but dnssec is off: nothing is validated".to_owned());
        }
        return None;
    }
    Some(with_root(dnssec, warnings))
}

/// Adds the built-in anchors of the root unless there is one for it, of either kind.
fn with_root(mut dnssec: DnssecConfig, warnings: &mut Vec<String>) -> DnssecConfig {
    let root_tags: Vec<u16> =
        dnssec.anchors.iter().filter(|anchor| anchor.zone.is_root()).map(|anchor| anchor.key_tag).collect();
    if root_tags.is_empty() && !dnssec.negative_anchors.iter().any(Name::is_root) {
        dnssec.anchors.extend(anchors::built_in());
    }
    if !root_tags.is_empty() && root_tags.iter().all(|&tag| tag == anchors::RETIRED_ROOT_TAG) {
        warnings.push(format!(
            "the only root trust anchor is {}, which has signed nothing since 11 October 2026: every signed name will \
             fail; add 38696, or remove the anchor to use the built-in ones",
            anchors::RETIRED_ROOT_TAG
        ));
    }
    if dnssec.debug {
        warnings.push("dnssec-debug: clients get bogus data, without AD".to_owned());
    }
    if !dnssec.policy.unsigned_checked {
        warnings.push("dnssec-check-unsigned=no: whoever removes signatures on the way is not noticed".to_owned());
    }
    if !dnssec.policy.times_checked {
        warnings.push("dnssec-no-timecheck: old signatures are believed for as long as this daemon runs".to_owned());
    }
    dnssec
}

/// Reads `-l`, `-lvalue`.
fn read_letter(argument: &str) -> Option<(&'static OptionSpec, Option<String>)> {
    let mut characters = argument.strip_prefix('-')?.chars();
    let spec = find_letter(characters.next()?)?;
    let value = characters.as_str();
    Some((spec, (!value.is_empty()).then(|| value.to_owned())))
}

fn not_supported(name: &str) -> Option<&'static str> {
    let named = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    };
    NOT_SUPPORTED.iter().find(|(pattern, _)| named(pattern)).map(|(_, reason)| *reason)
}

/// The `nameserver` lines of resolv.conf; none if it cannot be read.
fn resolv_conf_servers() -> Vec<SocketAddr> {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    });
    addresses.map(|address: std::net::IpAddr| (address, PORT).into()).collect()
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(super::THREADS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validator::Policy;

    fn arguments(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn problems(words: &[&str]) -> String {
        let errors = load(&arguments(words)).expect_err("must be refused");
        errors.iter().map(|error| format!("{error}\n")).collect()
    }

    #[test]
    fn flags_and_defaults_make_a_configuration() {
        let words =
            ["--no-resolv", "--server=127.0.0.1#5300", "-S", "::1", "-p5353", "--dnssec", "--xdp", "off", "-i", "lo"];
        let config = load(&arguments(&words)).unwrap();
        assert_eq!(config.servers, ["127.0.0.1:5300".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!((config.port, config.cache_size, config.xdp), (5353, CACHE_SIZE, XdpMode::Off));
        assert_eq!(config.dnssec.map(|dnssec| dnssec.anchors.len()), Some(2));
        assert_eq!(config.control_socket, PathBuf::from(CONTROL_SOCKET));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn every_error_is_told_with_place_value_and_range() {
        for (words, expected) in [
            (
                &["--port=99999"][..],
                "command line: option \"port\", value \"99999\": not a number, or out of range; legal: 1..=65535",
            ),
            (&["--port"], "option \"port\": needs a value; legal: 1..=65535"),
            (&["--dnssec=yes"], "option \"dnssec\", value \"yes\": takes no value"),
            (&["--xdp=fast"], "option \"xdp\", value \"fast\": no such mode; legal: auto, native, generic, off"),
            (&["--frobnicate"], "option \"frobnicate\": unknown option"),
            (&["--dhcp-range=1,2"], "not supported: DHCP"),
            (&["--server=example.com"], "\"example.com\" is no IP address"),
            (&["--server=/example.com/1.2.3.4"], "not supported yet"),
            (&["--listen-address=127.0.0.1,x"], "\"x\" is no IP address"),
            (&["--conf-file=/no/such/file"], "value \"/no/such/file\": cannot read file"),
            (&["--no-resolv"], "configuration: option \"server\": no server"),
            (&["stray"], "unknown option"),
            (
                &["--dnssec-check-unsigned=yes"],
                "option \"dnssec-check-unsigned\", value \"yes\": neither nothing nor \"no\"; legal: nothing, or no",
            ),
            (&["--dnssec-limits=1,x"], "option \"dnssec-limits\", value \"1,x\": \"x\": not a number"),
            (&["--dnssec-limit=hops:3"], "no limit \"hops\"; legal: keys-per-tag:1..=100"),
            (&["--proxy-dnssec"], "not supported: an upstream's AD is not passed on"),
        ] {
            let text = problems(words);
            assert!(text.contains(expected), "{words:?}: {text}");
        }
    }

    #[test]
    fn the_built_in_root_stays_beside_islands_unless_the_root_is_named() {
        let island =
            "--trust-anchor=corp.example,1,13,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";
        for (more, anchors, negative) in
            [(&[][..], 2, 0), (&[island], 3, 0), (&["--trust-anchor=lan"], 2, 1), (&["--trust-anchor=.", island], 1, 1)]
        {
            let words = [&["--server=::1", "--xdp=off", "--dnssec"], more].concat();
            let dnssec = load(&arguments(&words)).unwrap().dnssec.unwrap();
            assert_eq!((dnssec.anchors.len(), dnssec.negative_anchors.len()), (anchors, negative), "{more:?}");
        }
    }

    #[test]
    fn validation_checks_everything_unless_told_otherwise() {
        let policy = |more: &[&str]| {
            let words = [&["--server=::1", "--xdp=off", "--dnssec"], more].concat();
            load(&arguments(&words)).unwrap().dnssec.unwrap().policy
        };
        assert_eq!(policy(&["--dnssec-check-unsigned"]), Policy::DEFAULT);
        assert_eq!(policy(&["--dnssec-check-unsigned=no"]), Policy { unsigned_checked: false, ..Policy::DEFAULT });
        assert_eq!(policy(&["--dnssec-no-timecheck"]), Policy { times_checked: false, ..Policy::DEFAULT });
        assert_eq!(policy(&["--dnssec-allow-sha1"]), Policy { sha1_allowed: true, ..Policy::DEFAULT });
    }

    #[test]
    fn the_retired_root_key_alone_is_warned_of() {
        let anchor = "--trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";
        let config = load(&arguments(&["--server=::1", "--xdp=off", "--dnssec", anchor])).unwrap();
        assert!(config.warnings.iter().any(|warning| warning.contains("20326")));
    }
}
