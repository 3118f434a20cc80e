//! A root of our own on NSD, with keys made, revoked and used for signing by BIND's tools, that rolls its key signing key
//! (RFC 5011) under a daemon; and a disk that is full. Hold-downs are seconds here; the times of signatures are real.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use resolver_tests::client::ask;
use resolver_tests::daemon::{Daemon, Program, TestDirectory};
use resolver_tests::icann::{TestAuthority, Traits};
use resolver_tests::message::TestQuery;
use resolver_tests::rolling::RootKey;
use resolver_user::wire::{RCode, RecordType};

const RESOLVER: Program = Program(env!("CARGO_BIN_EXE_resolver-under-test"));
/// Hold-down, in seconds.
const HOLD_DOWN_S: u64 = 3;
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const VALIDATED: (RCode, bool) = (RCode::NOERROR, true);

/// The root and the signed zone `test.` below it, on one NSD.
struct Root {
    folder: TestDirectory,
    port: u16,
    server: Child,
    zone_key: String,
}

/// A key signing key of the root: how it stands in the zone.
#[derive(Clone, Copy)]
enum Use<'a> {
    Signs(&'a str),
    StandsBy(&'a str),
}

impl Root {
    /// A root with one key signing key, whose name is returned.
    fn new() -> (Self, String) {
        let folder = TestDirectory::new();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let zone_key = generate(folder.path(), ".", &[]);
        let first = generate(folder.path(), ".", &["-f", "KSK"]);
        make_test_zone(folder.path());
        sign_root(folder.path(), &zone_key, &[Use::Signs(&first)]);
        let server = start_nsd(folder.path(), port);
        (Self { folder, port, server, zone_key }, first)
    }

    fn new_key(&self) -> String {
        generate(self.folder.path(), ".", &["-f", "KSK"])
    }

    /// Revokes a key; the name of its revoked form.
    fn revoke(&self, key: &str) -> String {
        let said =
            run(Command::new("dnssec-revoke").arg("-K").arg(self.folder.path()).arg(self.folder.path().join(key)));
        let path = PathBuf::from(said.trim());
        path.file_name().expect("the path of a key").to_string_lossy().into_owned()
    }

    /// Signs the root with these keys and has it served.
    fn publish(&self, keys: &[Use<'_>]) {
        sign_root(self.folder.path(), &self.zone_key, keys);
        let pid = i32::try_from(self.server.id()).expect("a process number");
        kill(Pid::from_raw(pid), Signal::SIGHUP).expect("our child");
    }

    fn server_option(&self) -> String {
        format!("--server=127.0.0.1#{}", self.port)
    }

    /// The option with the anchor of a key.
    fn anchor_option(&self, key: &str) -> String {
        let ds = run(Command::new("dnssec-dsfromkey").arg("-2").arg(self.folder.path().join(key)));
        let fields: Vec<&str> = ds.split_whitespace().skip(3).collect();
        let [tag, algorithm, digest_type, digest @ ..] = &fields[..] else { panic!("{ds}") };
        format!("--trust-anchor=.,{tag},{algorithm},{digest_type},{}", digest.concat())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Its end is what matters, not how it came.
        let _ended = self.server.kill().and_then(|()| self.server.wait());
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Makes a key and returns its name, without an ending.
fn generate(folder: &Path, zone: &str, kind: &[&str]) -> String {
    let mut tool = Command::new("dnssec-keygen");
    let said = run(tool.args(["-q", "-L", "1", "-a", "ECDSAP256SHA256"]).args(kind).arg("-K").arg(folder).arg(zone));
    said.trim().to_owned()
}

fn make_test_zone(folder: &Path) {
    let keys = [generate(folder, "test.", &[]), generate(folder, "test.", &["-f", "KSK"])];
    let text = format!(
        "$TTL 1\n@ SOA ns. admin. 1 3600 600 86400 1\n@ NS ns.test.\nns A 127.0.0.1\n* A 192.0.2.1\n{}",
        keys.iter().map(|key| include(folder, key)).collect::<String>()
    );
    fs::write(folder.join("test.unsigned"), text).expect("a file");
    let mut tool = Command::new("dnssec-signzone");
    tool.current_dir(folder).args(["-q", "-o", "test.", "-f", "test.zone", "-k", &keys[1], "test.unsigned", &keys[0]]);
    run(&mut tool);
    let ds = run(Command::new("dnssec-dsfromkey").arg("-2").arg(folder.join(&keys[1])));
    fs::write(folder.join("test.ds"), ds).expect("a file");
}

fn include(folder: &Path, key: &str) -> String {
    format!("$INCLUDE {}\n", folder.join(format!("{key}.key")).display())
}

/// Writes the root's zone with these keys, with a serial that rises.
fn sign_root(folder: &Path, zone_key: &str, keys: &[Use<'_>]) {
    static SERIAL: AtomicU32 = AtomicU32::new(1);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let names = keys.iter().map(|key| match key {
        Use::Signs(name) | Use::StandsBy(name) => *name,
    });
    let text = format!(
        "$TTL 1\n. SOA ns. admin. {serial} 3600 600 86400 1\n. NS ns.\nns. A 127.0.0.1\ntest. NS ns.test.\n\
         ns.test. A 127.0.0.1\n{}{}",
        fs::read_to_string(folder.join("test.ds")).expect("a DS").replace(". IN", ". 1 IN"),
        names.chain([zone_key]).map(|key| include(folder, key)).collect::<String>()
    );
    fs::write(folder.join("root.unsigned"), text).expect("a file");
    let mut tool = Command::new("dnssec-signzone");
    tool.current_dir(folder).args(["-q", "-x", "-o", ".", "-f", "root.new"]);
    for key in keys {
        if let Use::Signs(name) = key {
            tool.args(["-k", name]);
        }
    }
    run(tool.args(["root.unsigned", zone_key]));
    fs::rename(folder.join("root.new"), folder.join("root.zone")).expect("the same folder");
}

fn start_nsd(folder: &Path, port: u16) -> Child {
    let shown = folder.display();
    let text = format!(
        "server:\n  server-count: 1\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  \
         pidfile: \"\"\n  xfrdfile: \"\"\n  zonelistfile: \"{shown}/zone.list\"\n  xfrdir: \"{shown}\"\n  rrl-ratelimit: 0\n\
         remote-control:\n  control-enable: no\nzone:\n  name: \".\"\n  zonefile: \"{shown}/root.zone\"\n\
         zone:\n  name: \"test.\"\n  zonefile: \"{shown}/test.zone\"\n"
    );
    let config = folder.join("nsd.conf");
    fs::write(&config, text).expect("a file");
    let log = fs::File::create(folder.join("nsd.log")).expect("a file");
    let mut command = Command::new(xtask::lab::unconfined("nsd"));
    command.args(["-d", "-c"]).arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("NSD, which the lab has copied")
}

fn seen(daemon: &Daemon, qname: &str) -> (RCode, bool) {
    let answer = ask(daemon.address, &TestQuery::new(qname, RecordType::A).edns(1232, true));
    (answer.rcode(), answer.header.flags.authentic_data)
}

/// Tag of a key by the name of its file: `K.+013+12345`.
fn tag(key: &str) -> u16 {
    key.rsplit('+').next().and_then(|tag| tag.parse().ok()).unwrap_or_else(|| panic!("{key}"))
}

#[track_caller]
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::park_timeout(Duration::from_millis(20));
    }
}

#[track_caller]
fn wait_for_state(daemon: &Daemon, key: &str, expected: &str) {
    let state = || daemon.anchors().into_iter().find(|anchor| anchor.key_tag == tag(key)).and_then(|own| own.state);
    wait(&format!("{expected} of {key}"), || state().as_deref() == Some(expected));
}

#[test]
fn the_roll_of_a_real_root_is_followed_without_one_answer_that_does_not_validate() {
    let (root, old) = Root::new();
    let directory = TestDirectory::new();
    let path = directory.path().join("anchors.state");
    let options = ["--dnssec", &root.anchor_option(&old), &root.server_option()];
    let daemon = RESOLVER
        .start_following(HOLD_DOWN_S, &[&options[..], &[&format!("--trust-anchor-state={}", path.display())]].concat());
    let other = RESOLVER.start(&options);
    wait("the first answer", || seen(&daemon, "first.test.") == VALIDATED);
    wait_for_state(&daemon, &old, "valid");
    assert_eq!(seen(&other, "before.test."), VALIDATED);

    // Asks for a new name all the time, and the chain to it is new every second.
    let (stop, address) = (Arc::new(AtomicBool::new(false)), daemon.address);
    let stopped = Arc::clone(&stop);
    let asker = thread::spawn(move || {
        let (mut asked, mut wrong) = (0_u32, Vec::new());
        while !stopped.load(Ordering::Relaxed) {
            let qname = format!("n{asked}.test.");
            let answer = ask(address, &TestQuery::new(&qname, RecordType::A).edns(1232, true));
            if (answer.rcode(), answer.header.flags.authentic_data) != VALIDATED {
                wrong.push(format!("{qname}: {answer:?}"));
            }
            asked += 1;
            thread::park_timeout(Duration::from_millis(20));
        }
        (asked, wrong)
    });

    let new = root.new_key();
    root.publish(&[Use::Signs(&old), Use::StandsBy(&new)]);
    wait_for_state(&daemon, &new, "add-pending");
    wait_for_state(&daemon, &new, "valid");
    let revoked = root.revoke(&old);
    root.publish(&[Use::Signs(&revoked), Use::Signs(&new)]);
    wait_for_state(&daemon, &old, "revoked");
    root.publish(&[Use::Signs(&new)]);
    wait_for_state(&daemon, &old, "removed");
    stop.store(true, Ordering::Relaxed);
    let (asked, wrong) = asker.join().expect("the asker");
    println!("{asked} names validated through the roll");
    assert!(asked > 100 && wrong.is_empty(), "{} of {asked} wrong: {:?}", wrong.len(), wrong.first());
    assert_eq!(seen(&other, "after.test.").0, RCode::SERVFAIL, "who does not follow validates nothing any more");
    let text = fs::read_to_string(path).expect("the state file");
    assert!(text.contains("key removed since") && text.contains(&format!("; {}", tag(&new))), "{text}");
}

/// A file system of 16 KiB. Dropping it unmounts it.
struct SmallDisk(TestDirectory);

impl SmallDisk {
    fn new() -> Self {
        let directory = TestDirectory::new();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(directory.path()));
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Fills what is left.
    fn fill(&self) {
        let full = fs::write(self.path("filler"), vec![0; 1 << 20]).expect_err("it does not fit");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.0.path()));
    }
}

#[test]
fn a_full_disk_leaves_the_old_anchors_file_and_says_so() {
    let disk = SmallDisk::new();
    let old = format!("{}\n", RootKey::signing(1).anchor_option().trim_start_matches("--"));
    let file = disk.0.file("anchors.conf", &old);
    disk.fill();
    let files = TestDirectory::new();
    let authority = TestAuthority::new(Traits::default());
    let xml = format!(
        "<TrustAnchor><Zone>.</Zone><KeyDigest validFrom=\"2020-01-01T00:00:00Z\"><KeyTag>1</KeyTag><Algorithm>13</Algorithm>\
         <DigestType>2</DigestType><Digest>{}</Digest></KeyDigest></TrustAnchor>",
        "AB".repeat(32)
    );
    let signature = files.path().join("p7s");
    fs::write(&signature, authority.sign(xml.as_bytes())).expect("a file");
    let words = [
        format!("--xml={}", files.file("xml", &xml)),
        format!("--p7s={}", signature.display()),
        format!("--ca-file={}", files.file("ca.pem", authority.pem())),
        format!("--file={file}"),
        "--control-socket=/no/such/socket".to_owned(),
    ];
    let words: Vec<&str> = ["anchors", "update"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let output = RESOLVER.output(&words);
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("No space left on device") && text.contains("nothing was changed"), "{text}");
    assert_eq!(fs::read_to_string(&file).expect("the old file"), old);
    let left: Vec<_> =
        fs::read_dir(disk.0.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 2, "no draft is left: {left:?}");
    fs::remove_file(disk.path("filler")).expect("our file");
    assert_eq!(RESOLVER.output(&words).status.code(), Some(0), "with room it works");
    assert_ne!(fs::read_to_string(&file).expect("the new file"), old);
}

#[test]
fn a_revocation_counts_even_if_the_disk_is_full_and_is_written_once_there_is_room() {
    let (root, old) = Root::new();
    let disk = SmallDisk::new();
    let path = disk.path("anchors.state");
    let new = root.new_key();
    root.publish(&[Use::Signs(&old), Use::Signs(&new)]);
    let anchors = [root.anchor_option(&old), root.anchor_option(&new)];
    let state_option = format!("--trust-anchor-state={path}");
    let options = ["--dnssec", &anchors[0], &anchors[1], &root.server_option(), &state_option];
    let daemon = RESOLVER.start_following(60, &options);
    wait_for_state(&daemon, &old, "valid");
    disk.fill();
    let before = fs::read_to_string(&path).expect("the state file");
    let revoked = root.revoke(&old);
    root.publish(&[Use::Signs(&revoked), Use::Signs(&new)]);
    wait_for_state(&daemon, &old, "revoked");
    assert_eq!(seen(&daemon, "www.test."), VALIDATED);
    let told = |line: &String| line.contains("a restart would forget") && line.contains("No space left on device");
    assert!(daemon.log().iter().any(told), "{:?}", daemon.log());
    let during = fs::read_to_string(&path).expect("the state file");
    assert!(!during.contains("key revoked") && during.ends_with("\nend\n") && before.ends_with("\nend\n"), "{during}");
    fs::remove_file(disk.path("filler")).expect("our file");
    wait("the state on the disk", || fs::read_to_string(&path).is_ok_and(|text| text.contains("key revoked")));
}
