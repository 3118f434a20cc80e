//! A daemon starts on each config block of the guide, as written, and answers.
//!
//! Each block gets a network namespace with the guide's interface eth0 and the addresses of the servers that the guide
//! names, behind which a small signed tree answers. Its anchor stands beside the guide's in the anchors file.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use resolver_tests::client::PATIENCE;
use resolver_tests::daemon::TestDirectory;
use resolver_tests::guide::{Block, Kind, blocks, path, statements};
use resolver_tests::lab;
use resolver_tests::message::TestQuery;
use resolver_tests::netns;
use resolver_tests::signed::SignedTree;
use resolver_tests::upstream::Upstream;
use resolver_user::control::{Request, ask};
use resolver_user::wire::{RCode, RecordType};

/// The servers of the guide.
const SERVERS: [[u8; 4]; 6] =
    [[9, 9, 9, 9], [149, 112, 112, 112], [1, 1, 1, 1], [1, 0, 0, 1], [8, 8, 8, 8], [8, 8, 4, 4]];

fn main() {
    let arguments = Arguments::from_args();
    let trials = match blocks() {
        Some(blocks) => blocks.into_iter().filter(|block| block.kind == Kind::Options).map(trial).collect(),
        None => {
            let name = format!("a_daemon_starts_on_each_block (no guide at {}; see RESOLVER_GUIDE)", path().display());
            vec![Trial::test(name, || Err("not run".into())).with_ignored_flag(true)]
        }
    };
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(block: Block) -> Trial {
    let name = format!("a_daemon_starts_on_the_block_of_line_{}_and_answers", block.line);
    // A thread of its own, whose namespace ends with it.
    let check =
        move || std::thread::spawn(move || starts_and_answers(&block)).join().unwrap_or_else(|_| Err("a panic".into()));
    Trial::test(name, check)
}

fn starts_and_answers(block: &Block) -> Result<(), Failed> {
    enter()?;
    let tree = Arc::new(SignedTree::default());
    let anchor = tree.anchor_option();
    let _servers: Vec<Upstream> = SERVERS
        .iter()
        .map(|server| {
            let tree = Arc::clone(&tree);
            Upstream::replying_at(SocketAddr::from((*server, 53)), move |asked| tree.reply(asked))
        })
        .collect();
    let directory = TestDirectory::new();
    let anchors = format!("{}\n{GUIDES_ANCHOR}", anchor.trim_start_matches("--"));
    let file = block.write(directory.path(), &anchors);
    // The guide's user is not on every machine; nobody is.
    let text = fs::read_to_string(&file)?.replace("=dnsmasq\n", "=nobody\n").replace("group=nobody", "group=nogroup");
    fs::write(&file, text)?;
    open_to_all(directory.path())?;
    let socket = directory.path().join("control.sock");
    let mut command = Command::new(lab::binary());
    command.arg("run").arg("--conf-file").arg(file).arg(format!("--control-socket={}", socket.display()));
    if !block.names_a_server() {
        command.arg("--server=9.9.9.9");
    }
    // The guide's servers have their addresses here too, so that a fragment cannot listen on all.
    if !statements(&block.text).any(|line| line.starts_with("interface=") || line.starts_with("listen-address=")) {
        command.arg("--listen-address=127.0.0.1");
    }
    let mut daemon = Running(command.arg("--xdp=off").stdin(Stdio::null()).stderr(Stdio::inherit()).spawn()?);
    let started = Instant::now();
    while ask(&socket, Request::Status).is_err() {
        if let Some(status) = daemon.0.try_wait()? {
            return Err(format!("the daemon ended: {status}").into());
        }
        if started.elapsed() > PATIENCE {
            return Err("the daemon does not answer".into());
        }
        std::thread::yield_now();
    }
    let query = TestQuery { authentic_data: true, ..TestQuery::new("www.example.", RecordType::A) };
    let answer = resolver_tests::client::ask((Ipv4Addr::LOCALHOST, 53).into(), &query);
    assert_eq!((answer.rcode(), answer.answer.len()), (RCode::NOERROR, 1), "{answer:?}");
    assert_eq!(answer.header.flags.authentic_data, block.has("dnssec"), "AD with dnssec, and only with it");
    if block.has("interface=eth0") {
        let answer = resolver_tests::client::ask((IpAddr::from([192, 168, 1, 1]), 53).into(), &query);
        assert_eq!(answer.rcode(), RCode::NOERROR, "on eth0");
    }
    kill(Pid::from_raw(i32::try_from(daemon.0.id())?), Signal::SIGTERM)?;
    let status = daemon.0.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the daemon ended with {status}").into()) }
}

/// A network namespace of the guide's: loopback, eth0, and its servers.
fn enter() -> Result<(), Failed> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let mut commands = vec![
        "link set lo up".to_owned(),
        "link add eth0 type veth peer name eth0-peer".to_owned(),
        "link set eth0-peer up".to_owned(),
        "link set eth0 up".to_owned(),
        "addr add 192.168.1.1/24 dev eth0".to_owned(),
    ];
    commands.extend(SERVERS.iter().map(|server| format!("addr add {}/32 dev eth0-peer", Ipv4Addr::from(*server))));
    commands.iter().for_each(|command| netns::ip_here(command));
    Ok(())
}

/// Lets a daemon that has given up root's rights write where the guide lets it.
fn open_to_all(directory: &Path) -> std::io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777))?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            open_to_all(&path)?;
        }
    }
    Ok(())
}

/// A daemon that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its end is what matters, not how it came.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// The anchor that the guide writes into the file.
const GUIDES_ANCHOR: &str = ".,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n";
