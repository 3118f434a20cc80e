//! Options that bring in other files, and what is done with all of them.

use super::option::{FileKind, OptionSpec, file, flag};

/// Which files are read, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesConfig {
    /// `test`: check, and do not run.
    pub test: bool,
    /// Whether the default file was read, or had to be.
    pub default_read: bool,
}

/// The options.
pub(super) const OPTIONS: &[OptionSpec] = &[
    file("conf-file", "read options from this file too (/etc/resolver/resolver.conf)", FileKind::Options)
        .legal("a path, or - for standard input")
        .letter('C'),
    file(
        "conf-dir",
        "read the files of a directory: not those with an ending, only those with an *ending",
        FileKind::Directory,
    )
    .legal("<directory>[,<ending>|,*<ending>]…")
    .letter('7'),
    file("servers-file", "read server and rev-server options from this file", FileKind::Servers),
    flag("test", "check options and files, and do not run", |config| config.files.test = true),
];

/// Options that may stand in a `servers-file`.
pub(super) const IN_SERVERS_FILE: &[&str] = &["server", "rev-server"];
