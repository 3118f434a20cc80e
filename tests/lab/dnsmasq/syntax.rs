//! dnsmasq and we judge the same files, and every difference is explained.
//!
//! `syntax-explained.txt` has a line for each case in which the verdicts differ; one without a difference is an error.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use resolver_tests::daemon::TestDirectory;
use resolver_tests::lab;

/// A set of files, of which `main` is named; its name in `syntax-explained.txt`.
struct Case {
    name: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

/// What a program says to `--test`: its exit code.
fn verdict(mut command: Command) -> i32 {
    let output = command.output().expect("a program");
    output.status.code().unwrap_or_else(|| panic!("{:?}", output.status))
}

fn verdicts(directory: &Path) -> (i32, i32) {
    let main = directory.join("main");
    let mut theirs = Command::new("dnsmasq");
    theirs.current_dir(directory).arg("--test").arg("-C").arg(&main);
    let mut ours = Command::new(lab::binary());
    // What dnsmasq can do without, and we cannot.
    ours.current_dir(directory).arg("--test").arg("--conf-file").arg(&main).args(["--server=192.0.2.1"]);
    (verdict(theirs), verdict(ours))
}

#[test]
fn files_are_judged_as_dnsmasq_judges_them_or_it_is_explained() {
    let explained: Vec<(&str, &str)> = include_str!("syntax-explained.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("no reason: {line}")))
        .collect();
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for case in CASES {
        let directory = TestDirectory::new();
        for (file, content) in case.files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            // `<name>/` is a folder.
            if !file.ends_with('/') {
                fs::write(path, content).expect("a file");
            }
        }
        let (theirs, ours) = verdicts(directory.path());
        let reason = explained.iter().find(|(name, _)| *name == case.name);
        used.extend(reason.map(|(name, _)| *name));
        match (theirs == ours, reason) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(_)) => wrong.push(format!("{}: explained, but both say {ours}", case.name)),
            (false, None) => wrong.push(format!("{}: dnsmasq says {theirs}, we say {ours}", case.name)),
        }
        println!("{:<44} {theirs} {ours}", case.name);
    }
    wrong.extend(explained.iter().filter(|(name, _)| !used.contains(name)).map(|(name, _)| format!("{name}: no case")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_directory_is_read_in_dnsmasqs_order_and_with_its_choice_of_names() {
    let names = ["a.conf", "b.conf~", ".hid.conf", "#c#", "#d", "d.txt", "e.conf.dpkg-old", "F.conf", "1.conf"];
    for endings in ["", ",.conf,.txt", ",*.conf", ",*.conf,F.conf,.dpkg-old", ",*,.conf", ",a.conf", ",", ", *.conf"] {
        let order = |program: &dyn Fn(&Path) -> Command| {
            let directory = TestDirectory::new();
            let folder = directory.path().join("d");
            fs::create_dir_all(folder.join("sub.conf")).expect("a folder");
            for name in names {
                fs::write(folder.join(name), "frobnicate\n").expect("a file");
            }
            directory.file("main", &format!("conf-dir={}{endings}\n", folder.display()));
            let mut read = Vec::new();
            // Each run stops, or begins its list, at the first file that is still wrong; then that one is emptied.
            for _ in 0..=names.len() {
                let output = program(&directory.path().join("main")).output().expect("a program");
                let told = String::from_utf8_lossy(&output.stderr).into_owned();
                let named = |name: &&&str| {
                    let path = folder.join(name).display().to_string();
                    told.contains(&format!(" of {path}\n")) || told.starts_with(&format!("{path}:1:"))
                };
                let Some(name) = names.iter().find(named) else { break };
                read.push(*name);
                fs::write(folder.join(name), "").expect("a file");
            }
            read
        };
        let theirs = order(&|main| {
            let mut command = Command::new("dnsmasq");
            command.arg("--test").arg("-C").arg(main);
            command
        });
        let ours = order(&|main| {
            let mut command = Command::new(lab::binary());
            command.arg("--test").arg("--conf-file").arg(main).arg("--server=192.0.2.1");
            command
        });
        assert_eq!(theirs, ours, "conf-dir=…{endings}");
        assert!(!theirs.is_empty(), "conf-dir=…{endings}");
    }
}

/// One file.
macro_rules! file {
    ($name:literal, $text:expr) => {
        Case { name: $name, files: &[("main", $text)] }
    };
}

/// The cases. None names an option that only one of us has, as that is another test's matter.
const CASES: &[Case] = &[
    file!("nothing", b""),
    file!("comments", b"# one\n  # two\n\n\t\n"),
    file!("spaces around =", b"  port = 5353  \n\tno-resolv\t\n"),
    file!("comment after white space", b"port=53 # c\nno-resolv\t#c\n"),
    file!("comment without white space", b"port=53# c\n"),
    file!("semicolon", b"; comment\n"),
    file!("CRLF", b"port=53\r\nno-resolv\r\n"),
    file!("vertical tab and form feed", b"port=53\x0b\x0c\n"),
    file!("no last line end", b"port=53\nno-resolv"),
    file!("no last line end in quotes", b"port=\"53\""),
    file!("byte order mark", b"\xef\xbb\xbfport=53\n"),
    file!("no-break space", b"\xc2\xa0port=53\n"),
    file!("Latin-1 in a comment", b"# G\xfcnther\nport=53\n"),
    file!("UTF-8 in a value", "pid-file=/tmp/\u{e4}\n".as_bytes()),
    file!("Latin-1 in a value", b"pid-file=/tmp/\xe4\n"),
    file!("zero byte", b"port=53\0\n"),
    file!("dashes", b"--port=53\n"),
    file!("letter", b"p=53\n"),
    file!("no name", b"=53\n"),
    file!("unknown option", b"frobnicate\n"),
    file!("case of a name", b"Port=53\n"),
    file!("value missing", b"port\n"),
    file!("value empty", b"port=\n"),
    file!("value unwanted", b"no-resolv=yes\n"),
    file!("empty value unwanted", b"no-resolv=\n"),
    file!("value wrong", b"port=x\n"),
    file!("value out of range", b"port=70000\n"),
    file!("value signed", b"port=+53\n"),
    file!("value in hexadecimal", b"cache-size=0x10\n"),
    file!("value with a space", b"cache-size=1 00\n"),
    file!("value continued", b"port=5\\\n3\n"),
    file!("repeated value", b"port=53\nport=54\n"),
    file!("repeated flag", b"no-resolv\nno-resolv\n"),
    file!("repeated list", b"listen-address=127.0.0.1\nlisten-address=127.0.0.2\n"),
    file!("quotes", b"pid-file=\"/tmp/a b, # c\"\n"),
    file!("quotes in the middle", b"pid-file=/tmp/a\"b#c d\"e\n"),
    file!("quotes around a number", b"port=\"53\"\n"),
    file!("quotes around =", b"port\"=53\"\n"),
    file!("quotes around a name of other letters", b"\"port\"=53\n"),
    file!("quotes around a name of hidden letters", b"\"no-resolv\"\n"),
    file!("quotes after quotes", b"pid-file=\"/tmp/a\"\"b\"\n"),
    file!("open quote", b"pid-file=\"/tmp/a\n"),
    file!("escaped quote outside", b"pid-file=\\\"\n"),
    file!("escapes", b"pid-file=\"/tmp/\\\"\\\\\\t\\n\\b\\r\\e\"\n"),
    file!("escaped last quote", b"pid-file=\"/tmp/a\\\"\n"),
    file!("escape of another letter", b"pid-file=\"/tmp/\\q\"\n"),
    file!("single quotes", b"pid-file='/tmp/a b'\n"),
    file!("server with quotes", b"server=\"127.0.0.1#5353\"\n"),
    file!("server with space and port", b"server=127.0.0.1 #5353\n"),
    file!("port that is none", b"server=127.0.0.1#x\n"),
    file!("dnssec-check-unsigned empty", b"dnssec-check-unsigned=\n"),
    file!("dnssec-check-unsigned no", b"dnssec-check-unsigned=no\n"),
    file!("dnssec-check-unsigned wrong", b"dnssec-check-unsigned=yes\n"),
    file!("anchor", b"trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"),
    file!(
        "anchor with spaces",
        b"trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D084 58E880409BBC683457104237C7F8EC8D\n"
    ),
    file!("anchor of a wrong length", b"trust-anchor=.,20326,8,2,E06D\n"),
    file!("anchor not hexadecimal", b"trust-anchor=.,20326,8,2,xyz\n"),
    file!("test in a file", b"test\n"),
    file!("file missing", b"conf-file=missing\n"),
    file!("file that is a directory", b"conf-file=.\n"),
    file!("directory missing", b"conf-dir=missing\n"),
    file!("servers-file missing", b"servers-file=missing\n"),
    Case { name: "file included", files: &[("main", b"conf-file=more\n"), ("more", b"no-resolv\n")] },
    Case {
        name: "file included in quotes",
        files: &[("main", b"conf-file=\"more or\"\n"), ("more or", b"no-resolv\n")],
    },
    Case { name: "file included with an error", files: &[("main", b"conf-file=more\n"), ("more", b"frob\n")] },
    Case {
        name: "file included twice",
        files: &[("main", b"conf-file=more\nconf-file=more\n"), ("more", b"port=53\n")],
    },
    Case { name: "file that includes itself", files: &[("main", b"conf-file=main\nport=53\n")] },
    Case {
        name: "files that include each other",
        files: &[("main", b"conf-file=more\n"), ("more", b"conf-file=main\nport=53\n")],
    },
    Case {
        name: "value repeated in another file",
        files: &[("main", b"port=53\nconf-file=more\n"), ("more", b"port=54\n")],
    },
    Case { name: "directory", files: &[("main", b"conf-dir=d\n"), ("d/x.conf", b"no-resolv\n")] },
    Case { name: "directory with an error", files: &[("main", b"conf-dir=d\n"), ("d/x.conf", b"frob\n")] },
    Case { name: "directory with an error left out", files: &[("main", b"conf-dir=d,.old\n"), ("d/x.old", b"frob\n")] },
    Case { name: "servers-file with another option", files: &[("main", b"servers-file=s\n"), ("s", b"no-resolv\n")] },
    Case { name: "servers-file", files: &[("main", b"servers-file=s\n"), ("s", b"server=192.0.2.2\n")] },
    file!("long comment", &LONG_COMMENT),
    file!("long value", &LONG_VALUE),
    file!("DHCP", b"dhcp-range=192.168.0.50,192.168.0.150,12h\n"),
];

/// A line of 2000 bytes.
const LONG_COMMENT: [u8; 2000] = long(b"# ");
/// A line of 2000 bytes.
const LONG_VALUE: [u8; 2000] = long(b"pid-file=/");

/// The beginning, and many letters.
const fn long(beginning: &[u8]) -> [u8; 2000] {
    let mut line = [b'x'; 2000];
    let mut index = 0;
    while index < beginning.len() {
        line[index] = beginning[index];
        index += 1;
    }
    line
}
