//! `cargo xtask lab`: a client, a resolver and a private DNS tree, in network namespaces of this machine.
//!
//! ```text
//! rlab-client            rlab-resolver                       rlab-auth
//! rlab-c0 10.53.0.2 ──── rlab-r0 10.53.0.1  rlab-r1 10.53.1.1 ──── rlab-a0 10.53.1.10 …
//!         fd53::2                fd53::1            fd53:0:0:1::1          fd53:0:0:1::10 …
//! ```
//!
//! In: the table in `zones`. Out: namespaces, servers that answer, and the facts about them in `target/lab/lab.json`.
//! Refuses to touch anything but its own names and its own processes; nothing leaves the machine.

mod defects;
pub mod facts;
pub mod losses;
pub mod pass_program;
pub mod peers;
mod process;
mod records;
mod servers;
mod signing;
pub mod split;
mod topology;
mod zones;
mod zoo;

use std::{path::Path, time::Instant};

use clap::{Subcommand, ValueEnum};

use crate::{
    command::{Failure, Tool, remove},
    setup::{self, require_root},
};
use facts::{Facts, Upstream, ZoneFacts};
pub use records::TTL_S;
pub use servers::{copy_unconfined, last_lines, unconfined};
pub use topology::inside as inside_namespace;
use zones::ZONES;

/// What to do with the lab.
#[derive(Subcommand)]
pub enum Action {
    /// Make namespaces, sign zones, start servers; does nothing if all is there
    Up {
        /// Leave checksums of packets between client and resolver to the receiving end, as local packets do
        #[arg(long, value_enum, default_value = "on")]
        csum: Switch,
    },
    /// Stop the servers and remove the namespaces; keeps signed zones
    Down,
    /// Run a command in a namespace
    Exec {
        /// client, resolver or auth
        namespace: String,
        /// The command and its words
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Show what is there
    Status,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// A lab that is taken down when its user is done with it, in whatever way.
pub struct Guard {
    /// What there is.
    pub facts: Facts,
    /// Whether somebody took it down already.
    is_down: bool,
}

impl Guard {
    /// Raises the lab.
    ///
    /// # Errors
    /// As [`up`].
    pub fn up(csum: Switch) -> Result<Self, Failure> {
        up(csum).map(|facts| Self { facts, is_down: false })
    }

    /// Takes the lab down and tells how that went.
    ///
    /// # Errors
    /// As [`down`].
    pub fn down(mut self) -> Result<(), Failure> {
        self.is_down = true;
        down()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_down
            && let Err(failure) = down()
        {
            eprintln!("xtask: {failure}");
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// We are not root, or a step failed.
pub fn run(action: Action) -> Result<(), Failure> {
    require_root("cargo xtask lab")?;
    match action {
        Action::Up { csum } => up(csum).map(|facts| print_status(&facts)),
        Action::Down => down(),
        Action::Exec { namespace, command } => exec(&namespace, &command),
        Action::Status => Facts::read().ok_or(Failure::LabDown).map(|facts| print_status(&facts)),
    }
}

/// Raises the lab, or makes sure that it is up. A lab that did not come up is taken down again.
///
/// # Errors
/// Something is missing, taken by others, or does not answer.
pub fn up(csum: Switch) -> Result<Facts, Failure> {
    setup::for_lab()?;
    let started = Instant::now();
    let signed_anew = signing::ensure()?;
    let wanted = facts(csum);
    if !signed_anew && is_up_as(&wanted) {
        topology::set_checksum_offload(csum == Switch::On)?;
        wanted.write()?;
        return Ok(wanted);
    }
    down()?;
    let raised = topology::raise(csum == Switch::On).and_then(|()| servers::start(&wanted.auth));
    if let Err(failure) = raised.and_then(|()| wanted.write()) {
        // The first failure is the one to tell.
        let _ = down();
        return Err(failure);
    }
    eprintln!("lab: up in {:.1} s", started.elapsed().as_secs_f32());
    Ok(wanted)
}

/// Stops the servers and removes the namespaces. Does nothing if there is nothing.
///
/// # Errors
/// A namespace is used by somebody else, or cannot be removed.
pub fn down() -> Result<(), Failure> {
    let namespaces = topology::namespaces();
    process::stop_all(&namespaces)?;
    if let Some((namespace, pid, command_line)) = process::stranger(&namespaces) {
        let variable = topology::PREFIX_VARIABLE;
        return Err(Failure::LabTaken { namespace, pid, command_line, variable });
    }
    topology::remove()?;
    remove_pins()?;
    remove(&crate::paths::lab_facts())
}

/// A command in a namespace of the lab, to be completed and run by the caller.
///
/// # Errors
/// The lab is down, or the word names no namespace.
pub fn inside(namespace: &str) -> Result<Tool, Failure> {
    let facts = Facts::read().ok_or(Failure::LabDown)?;
    facts.namespace(namespace).map(topology::inside).ok_or(Failure::LabDown)
}

/// Becomes a command in a namespace.
fn exec(namespace: &str, command: &[String]) -> Result<(), Failure> {
    Err(inside(namespace)?.args(command).replace_us())
}

/// Whether a lab like this is up, but for its checksum offload, which can be changed.
fn is_up_as(wanted: &Facts) -> bool {
    let noted = Facts::read().map(|noted| Facts { checksum_offload: wanted.checksum_offload, ..noted });
    noted.as_ref() == Some(wanted)
        && topology::namespaces().iter().all(topology::exists)
        && servers::plans().iter().all(|plan| process::is_running(plan.name))
}

/// Removes what a killed daemon has left pinned: each folder of pins that has a link on one of our interfaces. Without
/// their namespace the links are attached to nothing.
fn remove_pins() -> Result<(), Failure> {
    let prefix = format!("{}-", topology::prefix());
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_ours = |link: std::fs::DirEntry| link.file_name().to_string_lossy().starts_with(&prefix);
    for pins in entries(Path::new(BPF_FILE_SYSTEM)) {
        if entries(&pins.path().join("links")).any(is_ours) {
            eprintln!("+ rm -r {}", pins.path().display());
            remove(&pins.path())?;
        }
    }
    Ok(())
}

/// The facts of a lab that is whole.
fn facts(csum: Switch) -> Facts {
    let [client, resolver, auth] = topology::namespaces();
    let file = |path: &Path| path.display().to_string();
    let [trust_anchors, anchor_record, anchor_delv] = signing::anchor_files();
    let upstream = |(name, host): (&str, u8)| Upstream {
        server: name.to_owned(),
        ipv4: topology::auth_ipv4(host),
        ipv6: topology::auth_ipv6(host),
        port: 53,
    };
    Facts {
        format: facts::FORMAT,
        prefix: topology::prefix(),
        client,
        resolver,
        auth,
        checksum_offload: csum == Switch::On,
        upstreams: servers::UPSTREAM_NAMES.into_iter().zip(topology::UPSTREAM_HOSTS).map(upstream).collect(),
        servers: servers::plans().iter().map(servers::ServerPlan::facts).collect(),
        trust_anchors_file: file(&trust_anchors),
        anchor_record_file: file(&anchor_record),
        anchor_delv_file: file(&anchor_delv),
        root_hints_file: file(&servers::root_hints_file()),
        zones: ZONES.iter().map(zone_facts).chain(zoo::specimens().map(zoo::Specimen::facts)).collect(),
    }
}

/// The facts of one zone.
fn zone_facts(zone: &zones::Zone) -> ZoneFacts {
    ZoneFacts {
        name: zone.fqdn(),
        group: TREE.to_owned(),
        rule: None,
        server: servers::name_of(zone.server).to_owned(),
        algorithm: zone.signing.algorithm().map(zones::Algorithm::number),
        denial: zone.signing.denial().map(ToOwned::to_owned),
        defect: zone.defect.name().map(ToOwned::to_owned),
        status: facts::status_name(zone.status()).to_owned(),
        generated_hosts: if let zones::Content::Hosts(count) = zone.content { count } else { 0 },
        questions: records::questions(zone),
    }
}

/// Name of the plain tree in `lab.json`.
pub const TREE: &str = "tree";

/// Name of the zones with one odd trait each in `lab.json`.
pub const ZOO: &str = "zoo";

/// Name of the zones that make validators work in `lab.json`.
pub const ATTACKS: &str = "attacks";

/// Shows what is there.
fn print_status(facts: &Facts) {
    for namespace in [&facts.client, &facts.resolver, &facts.auth] {
        let ends = namespace.interfaces.iter().map(|end| format!("{} {} {}", end.name, end.ipv4, end.ipv6));
        println!("{:<16} {}", namespace.name, ends.collect::<Vec<_>>().join(", "));
    }
    for server in &facts.servers {
        let state = if process::is_running(&server.name) { "runs" } else { "stopped" };
        let v4 = server.ipv4.iter().map(ToString::to_string);
        let addresses: Vec<String> = v4.chain(server.ipv6.iter().map(ToString::to_string)).collect();
        println!("{:<16} {state} on {}", server.name, addresses.join(" "));
    }
    println!("{} zones, checksum offload {}", facts.zones.len(), if facts.checksum_offload { "on" } else { "off" });
    println!("anchor           {}", facts.trust_anchors_file);
    println!("facts            {}", crate::paths::lab_facts().display());
}

/// Where daemons pin their programs and maps, each in a folder of its own.
const BPF_FILE_SYSTEM: &str = "/sys/fs/bpf";
