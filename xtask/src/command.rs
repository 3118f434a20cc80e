//! Running other programs: printed before they start, and named when they fail.
//!
//! In: a program and its words. Out: nothing, its output, or a [`Failure`] that names the command.
//! Refuses shells: words are passed as they are.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Why a verb could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A program could not be started.
    #[error("{command}: {source}")]
    Start {
        /// The command as printed.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended with something other than success.
    #[error("{command}: {status}{}", indented(output))]
    Status {
        /// The command as printed.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote, where it was captured.
        output: String,
    },
    /// A program did not end in time and was stopped.
    #[error("{command}: stopped after {limit_s} s")]
    TimedOut {
        /// The command as printed.
        command: String,
        /// The time it was given, in seconds.
        limit_s: u64,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Setup lacks the rights or the means to repair something.
    #[error("setup is incomplete; as root, do:{}", indented(&remedies.join("\n")))]
    Incomplete {
        /// What to do, one command or sentence each.
        remedies: Vec<String>,
    },
    /// No compiler for the BPF half could be found or installed.
    #[error("no compiler for the BPF half:{}", indented(&tried.join("\n")))]
    NoBpfCompiler {
        /// Each candidate with the reason against it.
        tried: Vec<String>,
    },
    /// The verb needs root.
    #[error("`{verb}` makes network namespaces and needs root, or sudo without a password")]
    NotRoot {
        /// Words of the verb.
        verb: String,
    },
    /// The lab is not up.
    #[error("the lab is down: run `cargo xtask lab up`")]
    LabDown,
    /// Namespaces of our names are in use by something that this checkout did not start.
    #[error("namespace {namespace} is in use by process {pid} ({command_line}): stop it, or set {variable}")]
    LabTaken {
        /// The namespace.
        namespace: String,
        /// The process in it.
        pid: i32,
        /// Its command line.
        command_line: String,
        /// Variable that gives this checkout's lab another name.
        variable: &'static str,
    },
    /// A server of the lab did not answer in time.
    #[error("{server} did not answer after {waited_s} s; its log:{}", indented(log))]
    ServerSilent {
        /// Name of the server.
        server: String,
        /// How long it was asked, in seconds.
        waited_s: u64,
        /// End of its log.
        log: String,
    },
    /// An edit meant to break exactly one thing broke another number of things.
    #[error("zone {zone}: the defect changed {changed} records instead of one")]
    DefectMissed {
        /// The zone.
        zone: String,
        /// How many lines differ.
        changed: usize,
    },
    /// A tool said something that we cannot read.
    #[error("{tool}: cannot read its answer:{}", indented(said))]
    Unreadable {
        /// Name of the tool.
        tool: &'static str,
        /// What it said.
        said: String,
    },
    /// The source scan found rules broken.
    #[error("{findings} findings of the source scan")]
    Findings {
        /// How many.
        findings: usize,
    },
    /// The demo saw something else than it should.
    #[error("expectations that did not hold:{}", indented(&broken.join("\n")))]
    Expectations {
        /// Each of them.
        broken: Vec<String>,
    },
    /// A rig lost frames in too many runs.
    #[error("cases with nothing but void runs:{}", indented(&cases.join("\n")))]
    CasesVoid {
        /// Their names.
        cases: Vec<String>,
    },
    /// Cases became worse than they may.
    #[error("cases that are worse than then:{}", indented(&cases.join("\n")))]
    CasesWorse {
        /// Each with its loss.
        cases: Vec<String>,
    },
    /// Tests failed, or a tier did not run.
    #[error("tests failed{}", indented(&broken.join("\n")))]
    TestsFailed {
        /// Tiers that could not be built or run, with the reason.
        broken: Vec<String>,
    },
}

/// A program with its words, not yet started.
pub struct Tool(Command);

impl Tool {
    /// A program found by `PATH`, or by its path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(crate::paths::workspace());
        Self(command)
    }

    /// Cargo as the user runs it, without the variables that `cargo run` left behind: build scripts watch them, and
    /// would rebuild everything each time that the user and xtask take turns.
    pub fn cargo() -> Self {
        Self::new("cargo").without_cargo_variables()
    }

    /// Adds one word.
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.0.arg(word);
        self
    }

    /// Adds several words.
    pub fn args<I: IntoIterator<Item = W>, W: AsRef<OsStr>>(mut self, words: I) -> Self {
        self.0.args(words);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Puts a folder before all others in `PATH`.
    pub fn path_first(self, folder: &Path) -> Self {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&inherited));
        match std::env::join_paths(folders) {
            Ok(joined) => self.env("PATH", joined),
            Err(_) => self,
        }
    }

    /// Forgets what `cargo run` told us about ourselves.
    pub fn without_cargo_variables(mut self) -> Self {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if LEFT_BY_CARGO.iter().any(|left| name == *left || (left.ends_with('_') && name.starts_with(left))) {
                self.0.env_remove(name.as_ref());
            }
        }
        self
    }

    /// The command as a user would type it.
    pub fn line(&self) -> String {
        let mut line = String::new();
        for (name, value) in self.0.get_envs() {
            let Some(value) = value.map(OsStr::to_string_lossy) else { continue };
            let _ = match value.split_once(':') {
                Some((first, _)) if name == "PATH" => write!(line, "PATH={}:$PATH ", quoted(first)),
                // The encoded form, which separates by an unprintable byte, means the same as the plain one.
                _ if name == "CARGO_ENCODED_RUSTFLAGS" => {
                    write!(line, "RUSTFLAGS={} ", quoted(&value.replace('\x1f', " ")))
                }
                _ => write!(line, "{}={} ", name.display(), quoted(&value)),
            };
        }
        line += &quoted(&self.0.get_program().to_string_lossy());
        for word in self.0.get_args() {
            let _ = write!(line, " {}", quoted(&word.to_string_lossy()));
        }
        line
    }

    /// Prints the command, runs it with our own terminal, and fails if it fails.
    ///
    /// # Errors
    /// The program cannot be started, or ends without success.
    pub fn run(mut self) -> Result<(), Failure> {
        let command = self.announce();
        let status = self.0.status().map_err(|source| Failure::Start { command: command.clone(), source })?;
        ended(command, status, String::new())
    }

    /// Prints the command, runs it, and returns what it wrote on standard output. A failure shows all that it wrote.
    ///
    /// # Errors
    /// The program cannot be started, or ends without success.
    pub fn output(self) -> Result<String, Failure> {
        self.announce();
        self.quiet_output()
    }

    /// Like [`Tool::output`], but unannounced: for looking, never for changing anything.
    ///
    /// # Errors
    /// The program cannot be started, or ends without success.
    pub fn quiet_output(mut self) -> Result<String, Failure> {
        let command = self.line();
        let output = self
            .0
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Failure::Start { command: command.clone(), source })?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        ended(command, output.status, format!("{stdout}{stderr}")).map(|()| stdout)
    }

    /// Prints the command and runs it for a limited time.
    ///
    /// # Errors
    /// The program cannot be started, ends without success, or is stopped at the limit.
    pub fn run_within(mut self, limit: Duration) -> Result<(), Failure> {
        let command = self.announce();
        let mut child = self.0.spawn().map_err(|source| Failure::Start { command: command.clone(), source })?;
        let deadline = Instant::now() + limit;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return ended(command, status, String::new()),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
                Ok(None) => {
                    // Both may fail only because it has ended meanwhile.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Failure::TimedOut { command, limit_s: limit.as_secs() });
                }
                Err(source) => return Err(Failure::Start { command, source }),
            }
        }
    }

    /// Prints the command and starts it with its output going to a file; it outlives us. Returns its process number.
    ///
    /// # Errors
    /// The program or the file cannot be opened.
    pub fn start_in_background(mut self, log: &Path) -> Result<u32, Failure> {
        let command = self.announce();
        let file = |source| Failure::File { path: log.to_path_buf(), source };
        let output = fs::File::create(log).map_err(file)?;
        let errors = output.try_clone().map_err(file)?;
        let child = self.0.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        child.map(|child| child.id()).map_err(|source| Failure::Start { command, source })
    }

    /// Prints the command, and hands it out for a caller that follows its output.
    pub fn announced(self) -> (String, Command) {
        let line = self.announce();
        (line, self.0)
    }

    /// Prints the command and becomes it. Returns only if it cannot be started.
    pub fn replace_us(mut self) -> Failure {
        let command = self.announce();
        Failure::Start { command, source: self.0.exec() }
    }

    /// Prints the command on standard error and returns the line.
    fn announce(&self) -> String {
        let line = self.line();
        eprintln!("+ {line}");
        line
    }
}

/// Reads a text file.
///
/// # Errors
/// The file cannot be read or is not UTF-8.
pub fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| Failure::File { path: path.to_path_buf(), source })
}

/// Writes a file, making the folders above it.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    fs::write(path, content).map_err(|source| Failure::File { path: path.to_path_buf(), source })
}

/// Makes a folder and those above it; content with one that exists.
///
/// # Errors
/// The folder cannot be made.
pub fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|source| Failure::File { path: path.to_path_buf(), source })
}

/// Removes a file or a whole folder; content with one that is not there.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove(path: &Path) -> Result<(), Failure> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Failure::File { path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}

/// Turns an exit status into an outcome.
///
/// # Errors
/// The status is not success.
pub fn ended(command: String, status: ExitStatus, output: String) -> Result<(), Failure> {
    if status.success() { Ok(()) } else { Err(Failure::Status { command, status, output }) }
}

/// The text as lines of their own below a message, or nothing for nothing.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("\n    {line}")).collect()
}

/// A word as a shell would need it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+@,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Variables that `cargo run` sets for the program it runs; a final `_` stands for any ending.
const LEFT_BY_CARGO: &[&str] = &[
    "CARGO",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_DIR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_printed_as_it_would_be_typed() {
        let tool = Tool::new("dig").args(["@10.53.0.1", "a b", "it's", ""]).env("LANG", "C");
        assert_eq!(tool.line(), r"LANG=C dig @10.53.0.1 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_failing_command_is_named() {
        let failure = Tool::new("false").quiet_output().unwrap_err();
        assert!(failure.to_string().starts_with("false: exit status: 1"), "{failure}");
    }

    #[test]
    fn a_hanging_command_is_stopped() {
        let failure = Tool::new("sleep").arg("60").run_within(Duration::from_millis(100)).unwrap_err();
        assert!(matches!(failure, Failure::TimedOut { .. }), "{failure}");
    }
}
