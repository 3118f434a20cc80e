//! Reads flags and files into a configuration, collects everything that is wrong, and checks the whole.
//!
//! In: the words of a command line. Out: a [`Config`], or every [`ConfigError`]. What stands later holds. `conf-file` and its
//! like are read where they stand; a file that was read already is not read again, as in dnsmasq, but warned of.

use std::io;
use std::path::{Path, PathBuf};

use super::files::IN_SERVERS_FILE;
use super::option::{Effect, FileKind, OptionSpec, find, not_supported, path};
use super::repeated::stands_once;
use super::syntax::{self, LineError, RawOption, reveal};
use super::{Config, ConfigError, Origin, Problem, XdpMode, anchors, arguments, cookies, sources};

/// The file that the daemon reads first, unless the command line has a `conf-file`. It need not be there.
pub const CONF_FILE: &str = "/etc/resolver/resolver.conf";
/// How deep files may nest.
const NESTING_MAX: usize = 16;

/// Reads the command line, and the files that it names, into a checked configuration.
///
/// # Errors
/// Everything that is wrong, in the order it was met.
pub fn load(words: &[String]) -> Result<Config, Vec<ConfigError>> {
    let mut loader = Loader::default();
    loader.read_arguments(arguments::cut(words));
    loader.finish()
}

/// The same for the daemon: [`CONF_FILE`] comes first if there is one, unless the command line has a `conf-file`.
///
/// # Errors
/// Everything that is wrong, in the order it was met.
pub fn load_for_daemon(words: &[String]) -> Result<Config, Vec<ConfigError>> {
    load_with_default(words, Path::new(CONF_FILE), false)
}

/// The same again, for a daemon that runs by `old`: if the default file was read then, it must be there now, and so must hosts files
/// that were. A file out of reach, such as after a change of root, must not pass for an empty one: a block list would be gone.
///
/// # Errors
/// Everything that is wrong, in the order it was met.
pub fn load_again(words: &[String], old: &Config) -> Result<Config, Vec<ConfigError>> {
    let config = load_with_default(words, Path::new(CONF_FILE), old.files.default_read)?;
    let lost = config.local.unreadable.iter().filter(|path| !old.local.unreadable.contains(path));
    let error = |path: &PathBuf| ConfigError {
        origin: Origin::Whole,
        option: "addn-hosts".to_owned(),
        value: Some(path.display().to_string()),
        problem: Problem::Unreadable { reason: "it could be read before".to_owned() },
    };
    let errors: Vec<ConfigError> = lost.map(error).collect();
    if errors.is_empty() { Ok(config) } else { Err(errors) }
}

fn load_with_default(words: &[String], default: &Path, wanted: bool) -> Result<Config, Vec<ConfigError>> {
    let mut loader = Loader::default();
    let options = arguments::cut(words);
    let names_a_file = options.iter().flatten().any(|option| option.name == "conf-file");
    // One that cannot be looked for is read, to say why it cannot.
    if !names_a_file && (wanted || default.try_exists().unwrap_or(true)) {
        loader.config.files.default_read = true;
        loader.read_options_file(&Origin::CommandLine, default, FileKind::Options);
    }
    loader.read_arguments(options);
    loader.finish()
}

#[derive(Default)]
struct Loader {
    config: Config,
    errors: Vec<ConfigError>,
    /// Files with options that were read, under the one name that all their names lead to.
    read_files: Vec<PathBuf>,
    /// How many files are being read.
    depth: usize,
    /// Options met that may stand only once: whether on the command line, and which.
    met: Vec<(bool, &'static str)>,
}

impl Loader {
    fn read_arguments(&mut self, options: Vec<Result<RawOption, String>>) {
        for option in options {
            match option {
                Ok(raw) => self.apply(Origin::CommandLine, raw, FileKind::Options),
                Err(stray) => self.error(Origin::CommandLine, &stray, None, Problem::Unknown),
            }
        }
    }

    /// Reads a file of options, all or those of servers.
    fn read_options_file(&mut self, origin: &Origin, path: &Path, kind: FileKind) {
        let option = if kind == FileKind::Servers { "servers-file" } else { "conf-file" };
        let identity = sources::identity(path);
        if self.read_files.contains(&identity) {
            let warning = format!("{origin}: {} was read already, and is not read again", path.display());
            self.config.warnings.push(warning);
            return;
        }
        if self.depth >= NESTING_MAX {
            return self.error(origin.clone(), option, Some(path.display().to_string()), Problem::Nesting);
        }
        let text = match sources::read(path) {
            // As in dnsmasq: whoever writes the servers may come later, and sends SIGHUP then.
            Err(error) if kind == FileKind::Servers && error.kind() == io::ErrorKind::NotFound => {
                self.config.warnings.push(format!("{origin}: servers-file {} is not there", path.display()));
                return;
            }
            read => self.readable(origin, option, path, read),
        };
        let Some(text) = text else { return };
        self.read_files.push(identity);
        self.depth += 1;
        for (line, number) in text.split(|&byte| byte == b'\n').zip(1..) {
            let origin = Origin::File { path: path.to_owned(), line: number };
            match syntax::read_line(line) {
                Ok(None) => {}
                Ok(Some(raw)) => self.apply(origin, raw, kind),
                Err(LineError::OpenQuote) => self.error(origin, "", None, Problem::OpenQuote),
                Err(LineError::NotText) => self.error(origin, "", None, Problem::NotText),
            }
        }
        self.depth -= 1;
    }

    fn read_directory(&mut self, origin: &Origin, value: &str) {
        match sources::list(value) {
            Ok(files) => {
                for file in files {
                    self.read_options_file(origin, &file, FileKind::Options);
                }
            }
            Err((path, error)) => {
                self.readable::<()>(origin, "conf-dir", &path, Err(error));
            }
        }
    }

    fn read_anchors_file(&mut self, origin: &Origin, path: &Path) {
        let option = "trust-anchors-file";
        self.config.dnssec.anchor_files.push(path.to_owned());
        let Some(text) = self.readable(origin, option, path, sources::read(path)) else { return };
        if self.config.dnssec.read_anchors(path, &String::from_utf8_lossy(&text), &mut self.errors) == 0 {
            self.config.warnings.push(format!("{origin}: {option} {} holds no anchor", path.display()));
        }
    }

    fn read_cookie_secrets(&mut self, origin: &Origin, path: &Path) {
        let Some(text) = self.readable(origin, cookies::SECRET_FILE, path, sources::read(path)) else { return };
        if sources::is_readable_by_others(path) {
            let told = format!("{origin}: {} {} can be read by others", cookies::SECRET_FILE, path.display());
            self.config.warnings.push(told);
        }
        self.config.cookies.read_secrets(origin, path, &String::from_utf8_lossy(&text), &mut self.errors);
    }

    /// What was read, or nothing and an error told.
    fn readable<T>(&mut self, origin: &Origin, option: &str, path: &Path, read: io::Result<T>) -> Option<T> {
        let failed = |error: io::Error| Problem::Unreadable { reason: error.to_string() };
        match read.map_err(failed) {
            Ok(content) => Some(content),
            Err(problem) => {
                self.error(origin.clone(), option, Some(path.display().to_string()), problem);
                None
            }
        }
    }

    /// Takes one option into the configuration, or reads the file that it names.
    fn apply(&mut self, origin: Origin, raw: RawOption, within: FileKind) {
        let shown = raw.value.as_deref().map(reveal);
        let anchors = self.config.dnssec.anchors.len();
        let Some(spec) = find(&raw.name) else {
            let problem = not_supported(&raw.name).map_or(Problem::Unknown, |reason| Problem::NotSupported { reason });
            return self.error(origin, &raw.name, shown, problem);
        };
        if within == FileKind::Servers && !IN_SERVERS_FILE.contains(&spec.name) {
            return self.error(origin, spec.name, shown, Problem::NotHere);
        }
        if let Err(problem) = self.meet(&origin, spec) {
            return self.error(origin, spec.name, shown, problem);
        }
        let applied = match (spec.effect, raw.value.as_deref()) {
            (Effect::Flag(set), None) => {
                set(&mut self.config);
                Ok(())
            }
            (Effect::Flag(_), Some(_)) => return self.error(origin, spec.name, shown, Problem::ValueUnwanted),
            (Effect::Perhaps(apply), value) => apply(&mut self.config, value),
            (Effect::Value(_) | Effect::File(_), None | Some("")) => {
                return self.error(origin, spec.name, None, Problem::ValueMissing { legal: spec.legal });
            }
            (Effect::Value(apply), Some(value)) => apply(&mut self.config, value),
            (Effect::File(FileKind::Directory), Some(value)) => {
                self.read_directory(&origin, value);
                Ok(())
            }
            (Effect::File(kind), Some(value)) => path(value).map(|path| match kind {
                FileKind::Anchors => self.read_anchors_file(&origin, &path),
                FileKind::CookieSecrets => self.read_cookie_secrets(&origin, &path),
                FileKind::Options | FileKind::Directory | FileKind::Servers => {
                    self.read_options_file(&origin, &path, kind);
                }
            }),
        };
        // Options do not know where they stand; anchors remember it.
        if spec.name == "trust-anchor" {
            self.config.dnssec.anchors.iter_mut().skip(anchors).for_each(|own| own.origin = origin.clone());
        }
        if let Err(what) = applied {
            self.error(origin, spec.name, shown, Problem::BadValue { what, legal: spec.legal });
        }
    }

    /// Notes an option that may stand only once. As in dnsmasq, once in all files and once on the command line.
    fn meet(&mut self, origin: &Origin, spec: &OptionSpec) -> Result<(), Problem> {
        let met = (*origin == Origin::CommandLine, spec.name);
        if self.met.contains(&met) {
            return Err(Problem::Repeated);
        }
        if stands_once(spec.name) {
            self.met.push(met);
        }
        Ok(())
    }

    fn error(&mut self, origin: Origin, option: &str, value: Option<String>, problem: Problem) {
        self.errors.push(ConfigError { origin, option: option.to_owned(), value, problem });
    }

    /// Checks what only the whole can show.
    fn finish(mut self) -> Result<Config, Vec<ConfigError>> {
        let mut config = self.config;
        self.errors.extend(config.listening.complete(&mut config.warnings).err());
        self.errors.extend(config.access.complete().err());
        self.errors.extend(config.rate_limit.complete(&mut config.warnings).err());
        self.errors.extend(config.upstream.complete(&mut config.warnings).err());
        config.local.take_servers(config.upstream.servers.iter());
        config
            .dnssec
            .negative_anchors
            .extend(config.local.unsigned_zones().into_iter().filter(|_| config.dnssec.enabled));
        self.errors.extend(config.local.complete(&mut config.warnings).err());
        config.filter.complete(&mut config.warnings);
        if config.dnssec.anchor_state.is_some() && config.process.chroot.is_some() && !config.process.no_daemon {
            let what = "with chroot this file would be read outside and written inside; leave one of them out";
            self.errors.push(ConfigError::of_the_whole("trust-anchor-state", what));
        }
        if config.cache.file.is_some() && config.process.chroot.is_some() && !config.process.no_daemon {
            let what = "with chroot this file would be read outside and written inside; leave one of them out";
            self.errors.push(ConfigError::of_the_whole("cache-file", what));
        }
        config.dnssec.complete(Path::new(anchors::ROOT_DATA), &mut config.warnings);
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

#[cfg(test)]
mod tests {
    use std::fs;

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
            (&["--xdp-interface=e*h0"], "\"e*h0\" is no name of an interface"),
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
            (&["--chroot=/srv", "--trust-anchor-state=/srv/x"], "\"trust-anchor-state\": with chroot"),
            (&["--chroot=/srv", "--cache-file=/srv/x"], "\"cache-file\": with chroot"),
            (&["--prefetch=10001"], "option \"prefetch\", value \"10001\": out of range; legal: nothing, or 0..=10000"),
            (&["--round-robin=0"], "option \"round-robin\", value \"0\": out of range; legal: nothing, or seconds"),
            (&["--root-key-sentinel=maybe"], "neither nothing nor \"no\"; legal: nothing, or no"),
            (
                &["--dnssec-check-unsigned=yes"],
                "option \"dnssec-check-unsigned\", value \"yes\": neither nothing nor \"no\"; legal: nothing, or no",
            ),
            (&["--no-resolv="], "option \"no-resolv\", value \"\": takes no value"),
            (&["--port=1", "-p2"], "option \"port\", value \"2\": repeated"),
            (&["--conf-script=/bin/true"], "not supported: a reload"),
            (&["--dnssec-limits=1,x"], "option \"dnssec-limits\", value \"1,x\": \"x\": not a number"),
            (&["--dnssec-limit=hops:3"], "no limit \"hops\"; legal: keys-per-tag:1..=100"),
            (&["--proxy-dnssec"], "not supported: an upstream's AD is not passed on"),
        ] {
            let text = problems(words);
            assert!(text.contains(expected), "{words:?}: {text}");
        }
    }

    /// A directory of one test, with these files.
    fn directory(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("resolver-config-{name}-{}", std::process::id()));
        for (file, text) in files {
            let file = path.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        path
    }

    /// What comes of `--conf-file=<directory>/main`: warnings and errors, with the directory's path cut out.
    fn told(directory: &Path) -> String {
        let main = format!("--conf-file={}", directory.join("main").display());
        let told = match load(&arguments(&[&main])) {
            Ok(config) => config.warnings.iter().map(|warning| format!("{warning}\n")).collect(),
            Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect::<String>(),
        };
        fs::remove_dir_all(directory).unwrap();
        told.replace(&format!("{}/", directory.display()), "")
    }

    #[test]
    fn every_error_of_a_file_set_is_told_at_once() {
        let path = directory(
            "errors",
            &[
                ("main", "port=0\nserver=::1\nxdp=off\nconf-file=missing\n"),
                ("d/a.conf", "frob\ndnssec\ncache-size=x"),
                ("d/b.conf", "port=54\n\"open\n"),
                ("d/b.conf~", "frob\n"),
                ("anchors", ".,20326,8,2,00\n.,38696,8,1,zz\n"),
                ("servers", "server=::2\nno-resolv\nserver=x y\n"),
            ],
        );
        let line = |name: &str| format!("{name}={}\n", path.join(name.split('-').next().unwrap()).display());
        let more = format!("conf-dir={},*.conf\n", path.join("d").display());
        let more =
            more + &line("anchors-file").replacen("anchors-file", "trust-anchors-file", 1) + &line("servers-file");
        let main =
            fs::read_to_string(path.join("main")).unwrap().replace("=missing", &format!("={}/no", path.display()));
        fs::write(path.join("main"), main + &more).unwrap();
        let told = told(&path);
        let mut lines = told.lines();
        for expected in [
            "main:1: option \"port\", value \"0\": 0 turns dnsmasq's DNS off",
            "main:4: option \"conf-file\", value \"no\": cannot read file: No such file",
            "d/a.conf:1: option \"frob\": unknown option",
            "d/a.conf:3: option \"cache-size\", value \"x\": not a number",
            "d/b.conf:1: option \"port\", value \"54\": repeated",
            "d/b.conf:2: missing \"",
            "anchors:1: option \"trust-anchor\"",
            "anchors:2: option \"trust-anchor\"",
            "servers:2: option \"no-resolv\": not legal in a servers-file; legal: server, rev-server",
            "servers:3: option \"server\", value \"x y\"",
        ] {
            let line = lines.next().unwrap_or_default();
            assert!(line.starts_with(expected), "{expected}\n{told}");
        }
        assert_eq!(lines.next(), None, "{told}");
    }

    #[test]
    fn a_file_is_read_once_and_a_loop_ends() {
        let path = directory("loop", &[("main", "server=::1\nxdp=off\nport=53\n")]);
        let main = path.join("main");
        let text = fs::read_to_string(&main).unwrap();
        fs::write(&main, format!("{text}conf-file={}\nconf-dir={}\n", main.display(), path.display())).unwrap();
        let told = told(&path);
        assert_eq!(told.matches("was read already").count(), 2, "{told}");
        assert!(told.starts_with("main:4: main"), "{told}");
    }

    #[test]
    fn a_missing_servers_file_and_one_without_anchors_are_warned_of() {
        let path = directory("absent", &[("main", "server=::1\nxdp=off\n"), ("anchors", "# none\n")]);
        let (servers, anchors) = (path.join("servers"), path.join("anchors"));
        let text = format!(
            "server=::1\nxdp=off\nservers-file={}\ntrust-anchors-file={}\n",
            servers.display(),
            anchors.display()
        );
        fs::write(path.join("main"), text).unwrap();
        let told = told(&path);
        assert_eq!(
            told,
            "main:3: servers-file servers is not there\nmain:4: trust-anchors-file anchors holds no anchor\n"
        );
    }

    #[test]
    fn the_default_file_is_read_first_unless_a_file_is_named() {
        let path = directory("default", &[("main", "server=::1\nxdp=off\nport=5301\n"), ("other", "server=::2\n")]);
        let port = |words: &[&str]| {
            let config = load_with_default(&arguments(words), &path.join("main"), false).unwrap();
            (config.listening.port, config.upstream.servers.len())
        };
        assert_eq!(port(&[]), (5301, 1));
        assert_eq!(port(&["--port=5302"]), (5302, 1), "the command line stands later");
        let other = format!("-C{}", path.join("other").display());
        assert_eq!(port(&["--xdp=off", &other]), (53, 1));
        let absent = load_with_default(&arguments(&["--server=::1", "--xdp=off"]), &path.join("absent"), false);
        assert_eq!(absent.unwrap().listening.port, 53);
        // One that was read at the start and is out of reach now is no empty one.
        let gone = load_with_default(&arguments(&["--server=::1", "--xdp=off"]), &path.join("absent"), true);
        assert!(matches!(&gone.unwrap_err()[..], [ConfigError { problem: Problem::Unreadable { .. }, .. }]));
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_value_may_stand_once_in_files_and_once_on_the_command_line() {
        let path =
            directory("twice", &[("main", "server=::1\nserver=::2\nno-resolv\nno-resolv\nxdp=off\nport=5301\n")]);
        let main = format!("--conf-file={}", path.join("main").display());
        let config = load(&arguments(&[&main, "--port=5302", "--server=::3"])).unwrap();
        assert_eq!((config.listening.port, config.upstream.servers.len()), (5302, 3));
        fs::remove_dir_all(&path).unwrap();
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
