//! The server processes: four NSD, two BIND, two Unbound, each on addresses of its own in the servers' namespace.
//!
//! In: signed zones. Out: running processes that answer for every zone. The recursive ones are told not to validate:
//! they stand for the upstream of an edge gateway, which hands DNSSEC records through and vouches for nothing.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    facts::{Namespace, ServerProcess},
    process, signing, topology,
    zones::{Server, ZONES, Zone},
    zoo,
};
use crate::{
    command::{Failure, Tool, make_folder, read, remove, write},
    paths,
    setup::find_program,
};

/// One server, before it runs.
pub struct ServerPlan {
    /// Its name in the lab, its folder, and the stem of its files.
    pub name: &'static str,
    /// Its program.
    pub program: &'static str,
    /// Words that keep it in the foreground and lead it to its configuration.
    pub words: &'static [&'static str],
    /// Last numbers of its addresses.
    pub hosts: &'static [u8],
    /// Its zones with their files; none for a recursive server.
    pub zones: Vec<(String, PathBuf)>,
    /// Writes its configuration.
    pub config: fn(&ServerPlan) -> String,
}

/// All servers.
pub fn plans() -> Vec<ServerPlan> {
    let authoritative = |name, server: Server, program, words, config| ServerPlan {
        name,
        program,
        words,
        hosts: topology::hosts_of(server),
        zones: served_by(server),
        config,
    };
    let recursive = |name, hosts| ServerPlan {
        name,
        program: "unbound",
        words: &["-d", "-p", "-c"],
        hosts,
        zones: Vec::new(),
        config: unbound_config,
    };
    let [first, second] = UPSTREAM_NAMES;
    vec![
        authoritative(name_of(Server::Root), Server::Root, "nsd", &["-d", "-c"], nsd_config),
        authoritative(name_of(Server::Test), Server::Test, "nsd", &["-d", "-c"], nsd_config),
        authoritative(name_of(Server::Example), Server::Example, "nsd", &["-d", "-c"], nsd_config),
        authoritative(name_of(Server::Bind), Server::Bind, "named", &["-g", "-n", "1", "-c"], bind_config),
        authoritative(name_of(Server::Zoo), Server::Zoo, "named", &["-g", "-n", "1", "-c"], bind_config),
        authoritative(name_of(Server::ZooNsd), Server::ZooNsd, "nsd", &["-d", "-c"], nsd_config),
        recursive(first, &topology::UPSTREAM_HOSTS[..1]),
        recursive(second, &topology::UPSTREAM_HOSTS[1..]),
    ]
}

/// Name of a server in the lab.
pub fn name_of(server: Server) -> &'static str {
    match server {
        Server::Root => "nsd-root",
        Server::Test => "nsd-test",
        Server::Example => "nsd-example",
        Server::Bind => "bind",
        Server::Zoo => "bind-zoo",
        Server::ZooNsd => "nsd-zoo",
    }
}

/// Zones of a server, with their files.
fn served_by(server: Server) -> Vec<(String, PathBuf)> {
    let tree = ZONES.iter().filter(|zone| zone.server == server);
    let tree = tree.map(|zone| (zone.fqdn(), signing::signed_file(zone)));
    tree.chain(zoo::served(server)).collect()
}

/// Names and addresses of the private root's servers.
pub fn root_hints_file() -> PathBuf {
    paths::lab().join("root.hints")
}

/// Writes all configurations, starts all servers, and waits until each answers for all of its zones.
pub fn start(namespace: &Namespace) -> Result<(), Failure> {
    write(&root_hints_file(), root_hints())?;
    let plans = plans();
    // All copies first: a program that is being written cannot be run.
    for plan in &plans {
        copy_unconfined(plan.program)?;
    }
    for plan in &plans {
        plan.start(namespace)?;
    }
    let deadline = Instant::now() + ANSWER_LIMIT;
    for plan in &plans {
        plan.wait_until_it_answers(namespace, deadline)?;
    }
    Ok(())
}

impl ServerPlan {
    /// What others may know about it.
    pub fn facts(&self) -> ServerProcess {
        ServerProcess {
            name: self.name.to_owned(),
            program: self.program.to_owned(),
            pid_file: process::pid_file(self.name).display().to_string(),
            log_file: self.log_file().display().to_string(),
            ipv4: self.hosts.iter().map(|host| topology::auth_ipv4(*host)).collect(),
            ipv6: self.hosts.iter().map(|host| topology::auth_ipv6(*host)).collect(),
        }
    }

    /// Its configuration and whatever it writes.
    pub fn folder(&self) -> PathBuf {
        paths::lab().join("servers").join(self.name)
    }

    /// All that it says.
    fn log_file(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// Writes its configuration and starts it in the background.
    pub fn start(&self, namespace: &Namespace) -> Result<(), Failure> {
        let config = self.folder().join("conf");
        remove(&self.folder())?;
        write(&config, (self.config)(self))?;
        let tool = Tool::new("setsid").arg("nsenter").arg(format!("--net={}", namespace.path));
        let tool = tool.arg(format!("--wd={}", self.folder().display()));
        let tool = tool.arg(unconfined(self.program)).args(self.words).arg(&config);
        process::note(self.name, tool.start_in_background(&self.log_file())?)
    }

    /// Asks it for all of its zones on all of its addresses.
    fn wait_until_it_answers(&self, namespace: &Namespace, deadline: Instant) -> Result<(), Failure> {
        let facts = self.facts();
        let v4 = facts.ipv4.iter().map(ToString::to_string);
        let v6 = facts.ipv6.iter().map(ToString::to_string);
        let addresses: Vec<String> = v4.chain(v6).collect();
        // A recursive server has to find its way to every zone, and has then found it for the first client too.
        let zones: Vec<String> = if self.zones.is_empty() {
            ZONES.iter().map(Zone::fqdn).collect()
        } else {
            self.zones.iter().map(|(name, _)| name.clone()).collect()
        };
        for address in addresses {
            while !answers_for(namespace, &address, &zones) {
                if Instant::now() > deadline || !process::is_running(self.name) {
                    return Err(Failure::ServerSilent {
                        server: self.name.to_owned(),
                        waited_s: ANSWER_LIMIT.as_secs(),
                        log: last_lines(&self.log_file()),
                    });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Its addresses, one per line of its configuration.
    fn address_lines(&self, line: impl Fn(&str) -> String) -> String {
        let facts = self.facts();
        let v4 = facts.ipv4.iter().map(|address| line(&address.to_string()));
        let v6 = facts.ipv6.iter().map(|address| line(&address.to_string()));
        v4.chain(v6).collect()
    }
}

/// Whether a server has the SOA of every zone.
fn answers_for(namespace: &Namespace, address: &str, zones: &[String]) -> bool {
    let mut tool = topology::inside(namespace).args(["dig", "+tries=1", "+time=1", "+noall", "+answer"]);
    for zone in zones {
        tool = tool.arg(format!("@{address}")).args(["SOA", zone]);
    }
    // How far the columns stand apart depends on the length of the name.
    let is_soa = |line: &&str| line.split_whitespace().nth(3) == Some("SOA");
    tool.quiet_output().is_ok_and(|said| said.lines().filter(is_soa).count() == zones.len())
}

/// Copies a server's program. Distributions confine some servers by the path of the program (AppArmor), and theirs may
/// not read a configuration below a home folder.
pub fn copy_unconfined(program: &'static str) -> Result<(), Failure> {
    let Some(original) = find_program(program) else {
        return Err(Failure::Incomplete { remedies: vec![format!("install {program}")] });
    };
    let copy = unconfined(program);
    make_folder(&paths::lab().join("bin"))?;
    remove(&copy)?;
    std::fs::copy(&original, &copy).map_err(|source| Failure::File { path: original, source })?;
    Ok(())
}

/// Where the copy of a server's program is.
pub fn unconfined(program: &str) -> PathBuf {
    paths::lab().join("bin").join(program)
}

/// NSD: no rate limit, no control socket, no state of its own.
pub fn nsd_config(plan: &ServerPlan) -> String {
    let folder = plan.folder();
    let folder = folder.display();
    let addresses = plan.address_lines(|address| format!("  ip-address: {address}\n"));
    let mut text = format!(
        "server:\n  server-count: 1\n{addresses}  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  pidfile: \"\"\n  \
         xfrdfile: \"\"\n  zonelistfile: \"{folder}/zone.list\"\n  xfrdir: \"{folder}\"\n  rrl-ratelimit: 0\n\
         remote-control:\n  control-enable: no\n"
    );
    for (zone, file) in &plan.zones {
        let _ = write!(text, "zone:\n  name: \"{zone}\"\n  zonefile: \"{}\"\n", file.display());
    }
    text
}

/// BIND: authoritative only.
fn bind_config(plan: &ServerPlan) -> String {
    let facts = plan.facts();
    let v4: String = facts.ipv4.iter().map(|address| format!(" {address};")).collect();
    let v6: String = facts.ipv6.iter().map(|address| format!(" {address};")).collect();
    let mut text = format!(
        "options {{\n  directory \"{}\";\n  listen-on {{{v4} }};\n  listen-on-v6 {{{v6} }};\n  recursion no;\n  \
         dnssec-validation no;\n  empty-zones-enable no;\n  notify no;\n  allow-transfer {{ none; }};\n  pid-file none;\n  \
         session-keyfile none;\n  lock-file none;\n  check-names primary ignore;\n}};\ncontrols {{ }};\n",
        plan.folder().display()
    );
    for (zone, file) in &plan.zones {
        let _ = writeln!(text, "zone \"{zone}\" {{ type primary; file \"{}\"; }};", file.display());
    }
    text
}

/// Unbound as somebody else's recursive server: from the private root, without validating.
fn unbound_config(plan: &ServerPlan) -> String {
    let addresses = plan.address_lines(|address| {
        // It asks from the address that it is asked on.
        format!("  interface: {address}\n  outgoing-interface: {address}\n")
    });
    format!(
        "server:\n{addresses}  access-control: 0.0.0.0/0 allow\n  access-control: ::/0 allow\n  num-threads: 1\n  \
         username: \"\"\n  chroot: \"\"\n  directory: \"{}\"\n  pidfile: \"\"\n  use-syslog: no\n  logfile: \"\"\n  \
         module-config: \"iterator\"\n  root-hints: \"{}\"\n  local-zone: \"test.\" nodefault\n  \
         target-fetch-policy: \"0 0 0 0 0\"\n  minimal-responses: no\nremote-control:\n  control-enable: no\n",
        plan.folder().display(),
        root_hints_file().display(),
    )
}

/// The root's servers as a zone file.
fn root_hints() -> String {
    let mut text = String::new();
    for (index, host) in topology::hosts_of(Server::Root).iter().enumerate() {
        let name = format!("ns{}.", index + 1);
        let _ = writeln!(text, ". 3600000 IN NS {name}");
        let _ = writeln!(text, "{name} 3600000 IN A {}", topology::auth_ipv4(*host));
        let _ = writeln!(text, "{name} 3600000 IN AAAA {}", topology::auth_ipv6(*host));
    }
    text
}

/// The end of a log.
pub fn last_lines(log: &Path) -> String {
    let text = read(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Names of the recursive servers.
pub const UPSTREAM_NAMES: [&str; 2] = ["unbound-1", "unbound-2"];

/// How long all servers together may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
