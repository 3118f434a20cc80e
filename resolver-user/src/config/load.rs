//! Reads flags and files into a configuration, collects everything that is wrong, and checks the whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::option::{Effect, FileKind, NOT_SUPPORTED, OptionSpec, find, find_letter, path};
use super::syntax::{self, RawOption, reveal};
use super::{Config, ConfigError, Origin, Problem, Takes, XdpMode, anchors};

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
    config: Config,
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
                Ok(Some(anchor)) => self.config.dnssec.take_anchor(anchor),
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

    /// Takes one option into the configuration, or reads the file that it names.
    fn apply(&mut self, origin: Origin, raw: RawOption) {
        let shown = raw.value.as_deref().map(reveal);
        let Some(spec) = find(&raw.name) else {
            let problem = not_supported(&raw.name).map_or(Problem::Unknown, |reason| Problem::NotSupported { reason });
            self.error(origin, &raw.name, shown, problem);
            return;
        };
        let applied = match (spec.effect, raw.value.as_deref()) {
            (Effect::Flag(set), None | Some("")) => {
                set(&mut self.config);
                Ok(())
            }
            (Effect::Flag(_), Some(_)) => return self.error(origin, spec.name, shown, Problem::ValueUnwanted),
            (Effect::Perhaps(apply), value) => apply(&mut self.config, value),
            (Effect::Value(_) | Effect::File(_), None | Some("")) => {
                return self.error(origin, spec.name, None, Problem::ValueMissing { legal: spec.legal });
            }
            (Effect::Value(apply), Some(value)) => apply(&mut self.config, value),
            (Effect::File(kind), Some(value)) => path(value).map(|path| match kind {
                FileKind::Options => self.read_options_file(&origin, &path),
                FileKind::Anchors => self.read_anchors_file(&origin, &path),
            }),
        };
        if let Err(what) = applied {
            self.error(origin, spec.name, shown, Problem::BadValue { what, legal: spec.legal });
        }
    }

    fn error(&mut self, origin: Origin, option: &str, value: Option<String>, problem: Problem) {
        self.errors.push(ConfigError { origin, option: option.to_owned(), value, problem });
    }

    /// Checks what only the whole can show.
    fn finish(mut self) -> Result<Config, Vec<ConfigError>> {
        let mut config = self.config;
        self.errors.extend(config.listening.complete(&mut config.warnings).err());
        self.errors.extend(config.access.complete().err());
        self.errors.extend(config.upstream.complete(&mut config.warnings).err());
        config.local.take_servers(config.upstream.entries());
        config
            .dnssec
            .negative_anchors
            .extend(config.local.unsigned_zones().into_iter().filter(|_| config.dnssec.enabled));
        self.errors.extend(config.local.complete(&mut config.warnings).err());
        config.filter.complete(&mut config.warnings);
        config.dnssec.complete(&mut config.warnings);
        config.observing.complete(&mut config.warnings);
        if !config.dnssec.enabled && config.xdp.mode != XdpMode::Off {
            let mode = config.xdp.mode;
            config
                .warnings
                .push(format!("dnssec is off: nothing is proven, so nothing is published to XDP (xdp={mode})"));
        }
        if self.errors.is_empty() { Ok(config) } else { Err(self.errors) }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CACHE_SIZE, CONTROL_SOCKET, LocalService};
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
        let servers: Vec<String> = config.upstream.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.1#5300", "::1#53"]);
        assert_eq!((config.listening.port, config.cache.size, config.xdp.mode), (5353, CACHE_SIZE, XdpMode::Off));
        assert_eq!(config.dnssec.anchors.len(), 2);
        assert_eq!(config.process.control_socket, PathBuf::from(CONTROL_SOCKET));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }

    #[test]
    fn every_error_is_told_with_place_value_and_range() {
        for (words, expected) in [
            (
                &["--port=99999"][..],
                "command line: option \"port\", value \"99999\": not a number, or out of range; legal: 1..=65535",
            ),
            (&["--port=0"], "option \"port\", value \"0\": 0 turns dnsmasq's DNS off"),
            (&["--interface=e*h"], "\"e*h\" is no name of an interface; legal: names of network interfaces, or"),
            (&["--xdp-interface=eth*"], "\"eth*\" is no name of an interface"),
            (&["--local-service=lan"], "neither nothing nor \"net\" nor \"host\""),
            (&["--bind-interfaces", "--bind-dynamic"], "option \"bind-dynamic\": cannot stand beside bind-interfaces"),
            (
                &["--allow-client=10.0.0.1/8"],
                "\"10.0.0.1/8\" has bits behind its prefix; the network is 10.0.0.0/8; legal",
            ),
            (&["--deny-client=lan"], "option \"deny-client\", value \"lan\": \"lan\" is no address or network"),
            (&["--allow-client=::/0", "--deny-client=::/0"], "both in allow-client and in deny-client"),
            (&["--port"], "option \"port\": needs a value; legal: 1..=65535"),
            (&["--dnssec=yes"], "option \"dnssec\", value \"yes\": takes no value"),
            (&["--xdp=fast"], "option \"xdp\", value \"fast\": no such mode; legal: auto, native, generic, off"),
            (&["--frobnicate"], "option \"frobnicate\": unknown option"),
            (&["--dhcp-range=1,2"], "not supported: DHCP"),
            (&["--server=192.0.2.300"], "\"192.0.2.300\" is neither an IP address nor a host name"),
            (&["--rev-server=192.0.2.0/33"], "prefix length 33: out of range; legal: 0..=32"),
            (&["--listen-address=127.0.0.1,x"], "\"x\" is no IP address"),
            (&["--conf-file=/no/such/file"], "value \"/no/such/file\": cannot read file"),
            (&["--min-port=9", "--max-port=8"], "configuration: option \"min-port\": min-port is above max-port"),
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
    fn where_to_listen_and_to_whom_is_read_as_dnsmasq_reads_it() {
        let read = |more: &[&str]| load(&arguments(&[&["--server=::1", "--xdp=off"], more].concat())).unwrap();
        let config = read(&["-i", "eth0,wlan*", "-I", "*", "--bind-dynamic", "--allow-client=10.0.0.0/8,::1"]);
        assert_eq!(config.listening.interfaces, ["eth0", "wlan*"]);
        assert_eq!((config.listening.except, config.listening.bind_dynamic), (vec!["*".to_owned()], true));
        assert_eq!(config.access.allowed.len(), 2);
        for (words, expected, warnings) in [
            (&["--local-service"][..], Some(LocalService::Net), 0),
            (&["--local-service=net"], Some(LocalService::Net), 0),
            (&["--local-service=host"], Some(LocalService::Host), 0),
            (&["--local-service", "--interface=lan0"], None, 1),
            (&["--local-service", "--except-interface=wan0"], None, 1),
            (&["--local-service=host", "--listen-address=127.0.0.1"], None, 1),
        ] {
            let config = read(words);
            assert_eq!((config.listening.local_service, config.warnings.len()), (expected, warnings), "{words:?}");
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
            let dnssec = load(&arguments(&words)).unwrap().dnssec;
            assert_eq!((dnssec.anchors.len(), dnssec.negative_anchors.len()), (anchors, negative), "{more:?}");
        }
    }

    #[test]
    fn validation_checks_everything_unless_told_otherwise() {
        let policy = |more: &[&str]| {
            let words = [&["--server=::1", "--xdp=off", "--dnssec"], more].concat();
            load(&arguments(&words)).unwrap().dnssec.policy
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
