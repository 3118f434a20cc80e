//! `resolver anchors fetch` and `update`: the root's anchors, from IANA into an anchors file and the running daemon.
//!
//! In: where to get the files, or the files; the anchors file. Out: the new anchors file, the old one beside it as `.backup`.
//! Nothing is changed before the signature has been verified and the new file is on the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use thiserror::Error;

use super::{Control, EXIT_CONFIG, EXIT_FILES, EXIT_NETWORK, EXIT_OTHER, say};
use crate::clock::{Clock, SystemClock};
use crate::control::{self, ClientError, Request};
use crate::iana::{self, Authority, AuthorityError, FetchError, PUBLISHED_AT, Published, SignatureError, XmlError};
use crate::replace::{back_up, replace_file};
use crate::trust::date;

/// The anchors file, unless another one is named.
const ANCHORS_FILE: &str = "/etc/resolver/trust-anchors.conf";
/// Names under which IANA publishes.
const XML: &str = "root-anchors.xml";
/// The signature's.
const P7S: &str = "root-anchors.p7s";

/// Where IANA's files come from.
#[derive(Args)]
struct Server {
    /// Get the files from below this HTTPS address
    #[arg(long, value_name = "URL", default_value = PUBLISHED_AT)]
    url: String,
    /// Trust certificates in this PEM file for the server, instead of those of the web
    #[arg(long, value_name = "FILE")]
    tls_ca_file: Option<PathBuf>,
}

/// Arguments of `resolver anchors fetch`.
#[derive(Args)]
pub(super) struct FetchArguments {
    #[command(flatten)]
    server: Server,
    /// Write the files into this directory
    #[arg(long, value_name = "PATH", default_value = ".")]
    directory: PathBuf,
}

/// Arguments of `resolver anchors update`.
#[derive(Args)]
pub(super) struct UpdateArguments {
    #[command(flatten)]
    server: Server,
    /// Take root-anchors.xml from here instead
    #[arg(long, value_name = "FILE", requires = "p7s")]
    xml: Option<PathBuf>,
    /// Take root-anchors.p7s from here instead
    #[arg(long, value_name = "FILE", requires = "xml")]
    p7s: Option<PathBuf>,
    /// Trust certificates in this PEM file for the signature, instead of ICANN's, which is built in
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The anchors file whose root anchors are replaced
    #[arg(long, value_name = "FILE", default_value = ANCHORS_FILE)]
    file: PathBuf,
    #[command(flatten)]
    control: Control,
}

/// Why nothing, or not all, was done.
#[derive(Debug, Error)]
enum AnchorsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}; nothing was changed", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Authority { path: PathBuf, source: AuthorityError },
    #[error("cannot fetch {0}")]
    Fetch(#[from] FetchError),
    #[error("{XML} is refused: {0}; nothing was changed")]
    Signature(#[from] SignatureError),
    #[error("{XML} is refused: {0}; nothing was changed")]
    Xml(#[from] XmlError),
    #[error("the file is changed, but the running daemon does not use it: {0}")]
    Daemon(ClientError),
}

impl AnchorsError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Read { .. } | Self::Write { .. } => EXIT_FILES,
            Self::Authority { .. } => EXIT_CONFIG,
            Self::Fetch(_) | Self::Daemon(_) => EXIT_NETWORK,
            Self::Signature(_) | Self::Xml(_) => EXIT_OTHER,
        }
    }
}

pub(super) fn fetch(arguments: &FetchArguments) -> ExitCode {
    let write = |name: &str, content: &[u8]| -> Result<String, AnchorsError> {
        let path = arguments.directory.join(name);
        replace_file(&path, content).map_err(|source| AnchorsError::Write { path: path.clone(), source })?;
        Ok(format!("wrote {}, not verified\n", path.display()))
    };
    let written = published(&arguments.server).and_then(|Published { xml, signature }| {
        // The signature first: a file without a signature that fits is of no use, and none is believed.
        Ok(write(P7S, &signature)? + &write(XML, &xml)?)
    });
    end(written)
}

pub(super) fn update(arguments: &UpdateArguments) -> ExitCode {
    end(try_update(arguments))
}

fn end(done: Result<String, AnchorsError>) -> ExitCode {
    match done {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn try_update(arguments: &UpdateArguments) -> Result<String, AnchorsError> {
    let Published { xml, signature } = match (&arguments.xml, &arguments.p7s) {
        (Some(xml), Some(p7s)) => Published { xml: read(xml)?, signature: read(p7s)? },
        _ => published(&arguments.server)?,
    };
    let now_s = SystemClock.now().unix_s;
    iana::verify(&xml, &signature, &authority(arguments.ca_file.as_deref())?, now_s)?;
    let anchors = iana::read(&xml, now_s)?;
    let tags: Vec<String> = anchors.usable.iter().map(|anchor| anchor.key_tag.to_string()).collect();
    let mut text = format!("{XML} is signed by {}; valid now: {}\n", iana::SIGNER, tags.join(", "));
    text.extend(anchors.left_out.iter().map(|left_out| format!("left out: {left_out}\n")));
    let file = &arguments.file;
    let old = match fs::read_to_string(file) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(AnchorsError::Read { path: file.clone(), source }),
    };
    let date = date(now_s);
    match iana::renew(old.as_deref().unwrap_or_default(), &anchors.usable, &date) {
        None => text.push_str(&format!("{} has them already\n", file.display())),
        Some(new) => text.push_str(&replace(file, old.is_some(), &new)?),
    }
    text.push_str(&tell_daemon(arguments)?);
    Ok(text)
}

/// Puts the new text in the place of the old one, which is kept beside it.
fn replace(file: &Path, is_there: bool, new: &str) -> Result<String, AnchorsError> {
    let write = |path: &Path, written: io::Result<()>| {
        written.map_err(|source| AnchorsError::Write { path: path.to_owned(), source })
    };
    let mut text = String::new();
    if is_there {
        let mut copy = file.as_os_str().to_owned();
        copy.push(".backup");
        let copy = PathBuf::from(copy);
        write(&copy, back_up(file, &copy))?;
        text = format!("kept the old file as {}\n", copy.display());
    }
    write(file, replace_file(file, new.as_bytes()))?;
    Ok(text + &format!("wrote {}\n", file.display()))
}

/// Has the running daemon read the file again. No daemon is no error: the next one reads it.
fn tell_daemon(arguments: &UpdateArguments) -> Result<String, AnchorsError> {
    let file = fs::canonicalize(&arguments.file).unwrap_or_else(|_| arguments.file.clone());
    let request = Request::ReadAnchors { file };
    match control::ask(&arguments.control.control_socket, request.clone()) {
        Ok(reply) if arguments.control.json => Ok(reply),
        Ok(reply) => control::print_reply(&request, &reply).map_err(AnchorsError::Daemon),
        Err(ClientError::Unreachable { .. }) => Ok("no daemon is running; the next one reads the file\n".to_owned()),
        Err(error) => Err(AnchorsError::Daemon(error)),
    }
}

fn published(server: &Server) -> Result<Published, AnchorsError> {
    let server_ca = server.tls_ca_file.as_deref().map(read).transpose()?;
    Ok(iana::fetch(&server.url, server_ca.as_deref())?)
}

fn authority(file: Option<&Path>) -> Result<Authority, AnchorsError> {
    let path = file.map_or_else(|| PathBuf::from("built in"), Path::to_owned);
    let read = match file {
        Some(file) => Authority::read(&String::from_utf8_lossy(&read(file)?)),
        None => Authority::icann(),
    };
    read.map_err(|source| AnchorsError::Authority { path, source })
}

fn read(path: &Path) -> Result<Vec<u8>, AnchorsError> {
    fs::read(path).map_err(|source| AnchorsError::Read { path: path.to_owned(), source })
}
