//! `resolver anchors fetch`, `update` and `status`: IANA's files from an authority of the tests, into an anchors file and a
//! running daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use resolver_tests::daemon::TestDirectory;
use resolver_tests::icann::{HttpsServer, TestAuthority, Traits};
use resolver_tests::rolling::{RollingRoot, RootKey};
use resolver_tests::upstream::Upstream;
use resolver_tests::{client::ask, message::TestQuery};
use resolver_user::iana::{Authority, SignatureError, verify};
use resolver_user::wire::{RCode, RecordType};

use super::RESOLVER;

/// 23 November 2026.
const NOW_S: u64 = 1_795_400_000;

/// `root-anchors.xml` with these keys as its anchors.
fn xml(keys: &[RootKey]) -> String {
    let entry = |key: &RootKey| {
        let option = key.anchor_option();
        let fields: Vec<&str> = option.rsplit(',').collect();
        let [digest, digest_type, algorithm, tag, ..] = fields[..] else { panic!("{option}") };
        format!(
            "<KeyDigest id=\"k{tag}\" validFrom=\"2020-01-01T00:00:00+00:00\"><KeyTag>{tag}</KeyTag><Algorithm>{algorithm}\
             </Algorithm><DigestType>{digest_type}</DigestType><Digest>{digest}</Digest></KeyDigest>\n"
        )
    };
    let entries: String = keys.iter().map(entry).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<TrustAnchor id=\"test\">\n<Zone>.</Zone>\n{entries}</TrustAnchor>\n"
    )
}

/// Everything that an update needs, in a directory.
struct Scene {
    directory: TestDirectory,
    authority: TestAuthority,
}

impl Scene {
    fn new(traits: Traits) -> Self {
        let scene = Self { directory: TestDirectory::new(), authority: TestAuthority::new(traits) };
        scene.directory.file("ca.pem", scene.authority.pem());
        scene.publish(&xml(&[RootKey::signing(2)]));
        scene
    }

    /// Writes the file and its signature.
    fn publish(&self, xml: &str) {
        self.directory.file("root-anchors.xml", xml);
        fs::write(self.path("root-anchors.p7s"), self.authority.sign(xml.as_bytes())).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Runs `anchors update` from the files; whether it succeeded, and what it said.
    fn update(&self, control: &str) -> (Option<i32>, String) {
        let words = [
            "anchors".to_owned(),
            "update".to_owned(),
            format!("--xml={}", self.path("root-anchors.xml")),
            format!("--p7s={}", self.path("root-anchors.p7s")),
            format!("--ca-file={}", self.path("ca.pem")),
            format!("--file={}", self.path("anchors.conf")),
            format!("--control-socket={control}"),
        ];
        run(&words)
    }
}

fn run(words: &[String]) -> (Option<i32>, String) {
    let output = RESOLVER.output(&words.iter().map(String::as_str).collect::<Vec<_>>());
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn an_update_replaces_the_roots_anchors_and_the_running_daemon_uses_them() {
    let scene = Scene::new(Traits::default());
    let (old, new) = (RootKey::signing(1), RootKey::signing(2));
    let root = RollingRoot::new(&[new]);
    let upstream = Upstream::replying(move |asked| root.reply(asked));
    let line = |key: RootKey| key.anchor_option().trim_start_matches("--").to_owned();
    let before = format!("# ours\n{}\ntrust-anchor=lan\n", line(old));
    let file = scene.directory.file("anchors.conf", &before);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let daemon = RESOLVER.start(&["--dnssec", &format!("--trust-anchors-file={file}"), &upstream.option()]);
    let seen = || ask(daemon.address, &TestQuery::new("www.", RecordType::A).edns(1232, true));
    assert_eq!(seen().rcode(), RCode::SERVFAIL);

    let control = daemon.control.display().to_string();
    let (code, text) = scene.update(&control);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("{file}:3")) || text.contains(&format!("{file}:2")), "{text}");
    let answer = seen();
    assert_eq!((answer.rcode(), answer.header.flags.authentic_data), (RCode::NOERROR, true), "{text}");
    let after = fs::read_to_string(&file).unwrap();
    assert!(after.contains(&line(new)) && !after.contains(&line(old)), "{after}");
    assert!(after.starts_with("# ours\n") && after.ends_with("trust-anchor=lan\n"), "{after}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(scene.path("anchors.conf.backup")).unwrap(), before);

    let (_, text) = run(&["anchors", "status", &format!("--control-socket={control}")].map(str::to_owned));
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..5], ["zone", "tag", "alg", "digest", "trusted"], "{text}");
    assert_eq!(rows[1][..6], [".", &new.tag().to_string(), "15", "2", "yes", "-"], "{text}");
    assert_eq!(rows[1][7], "yes", "the root's keys, as last verified, hold it: {text}");

    let (code, text) = scene.update(&control);
    assert!(code == Some(0) && text.contains("has them already"), "{text}");
    let daemons = ["update", "status"].map(|_| daemon.counter("cache_misses"));
    assert_eq!(daemons[0], 2, "an update that changes nothing forgets nothing");
}

#[test]
fn a_file_that_the_daemon_does_not_read_is_written_and_said_not_to_be_used() {
    let scene = Scene::new(Traits::default());
    let upstream = Upstream::replying(|_| resolver_tests::upstream::Reply::default());
    let daemon = RESOLVER.start(&["--dnssec", &upstream.option()]);
    let (code, text) = scene.update(&daemon.control.display().to_string());
    assert!(code == Some(2) && text.contains("the configuration does not read this file"), "{text}");
    let (code, text) = scene.update("/no/such/socket");
    assert!(code == Some(0) && text.contains("has them already") && text.contains("no daemon is running"), "{text}");
}

/// An update that must be refused: the old file stays, and the error says why.
#[track_caller]
fn refused(scene: &Scene, code: i32, why: &str) {
    let line = format!("{}\n", RootKey::signing(1).anchor_option().trim_start_matches("--"));
    let file = scene.directory.file("anchors.conf", &line);
    let (exit, text) = scene.update("/no/such/socket");
    assert_eq!(exit, Some(code), "{text}");
    assert!(text.contains(why), "{text}");
    assert_eq!(fs::read_to_string(file).unwrap(), line, "{text}");
    assert!(!fs::exists(scene.path("anchors.conf.backup")).unwrap(), "{text}");
}

#[test]
fn what_is_not_ianas_leaves_the_old_anchors_and_says_why() {
    let forged = Scene::new(Traits::default());
    forged.directory.file("root-anchors.xml", &xml(&[RootKey::signing(9)]));
    refused(&forged, 5, "the content is not what was signed");

    let other = Scene::new(Traits::default());
    other.directory.file("ca.pem", TestAuthority::new(Traits::default()).pem());
    refused(&other, 5, "the signer's certificate does not lead to the authority");

    let expired = Scene::new(Traits { years: [2010, 2020], ..Traits::default() });
    refused(&expired, 5, "no certificate of the authority is valid now: CN=Test Root CA until 2020-01-01T00:00:00Z");

    let truncated = Scene::new(Traits::default());
    let text = xml(&[RootKey::signing(2)]);
    truncated.publish(&text[..text.len() / 2]);
    refused(&truncated, 5, "not well-formed XML");

    let zone = Scene::new(Traits::default());
    zone.publish(&text.replace("<Zone>.<", "<Zone>example.<"));
    refused(&zone, 5, "the zone is \"example.\", not the root");

    let over = Scene::new(Traits::default());
    over.publish(&text.replace(" validFrom", " validUntil=\"2021-01-01T00:00:00+00:00\" validFrom"));
    refused(&over, 5, "no anchor in it is valid now");

    let cut = Scene::new(Traits::default());
    let p7s = fs::read(cut.path("root-anchors.p7s")).unwrap();
    fs::write(cut.path("root-anchors.p7s"), &p7s[..p7s.len() - 1]).unwrap();
    refused(&cut, 5, "the signature is no CMS message, or cut short");

    let built_in = Scene::new(Traits::default());
    fs::remove_file(built_in.path("ca.pem")).unwrap();
    refused(&built_in, 3, "cannot read");
}

#[test]
fn a_signer_that_is_not_ianas_own_does_not_count() {
    let xml = xml(&[RootKey::signing(2)]);
    let check = |traits: Traits| {
        let authority = TestAuthority::new(traits);
        verify(xml.as_bytes(), &authority.sign(xml.as_bytes()), &Authority::read(authority.pem()).unwrap(), NOW_S)
    };
    assert_eq!(check(Traits::default()), Ok(()));
    let other = Traits { signer: "someone@icann.org", ..Traits::default() };
    assert_eq!(check(other), Err(SignatureError::OtherSigner));
    let usage = Traits { usage: KeyUsagePurpose::KeyEncipherment, ..Traits::default() };
    assert_eq!(check(usage), Err(SignatureError::Purpose));
    let no_attributes = Traits { has_attributes: false, ..Traits::default() };
    assert_eq!(check(no_attributes), Err(SignatureError::Attributes));
    let no_authority = Traits { is_authority: false, ..Traits::default() };
    assert!(matches!(check(no_authority), Err(SignatureError::AuthorityNotValid { .. })));
    for traits in [
        Traits { purpose: ExtendedKeyUsagePurpose::ServerAuth, ..Traits::default() },
        Traits { signer_years: [2010, 2020], ..Traits::default() },
        Traits { signer_years: [2090, 2100], ..Traits::default() },
    ] {
        assert!(matches!(check(traits.clone()), Err(SignatureError::Chain { .. })), "{traits:?}");
    }
    // Another content under a signature that holds, and another key under the same certificate.
    let authority = TestAuthority::new(Traits::default());
    let (mut signature, pem) = (authority.sign(xml.as_bytes()), Authority::read(authority.pem()).unwrap());
    assert_eq!(verify(b"other", &signature, &pem, NOW_S), Err(SignatureError::OtherContent));
    *signature.last_mut().unwrap() ^= 1;
    assert_eq!(verify(xml.as_bytes(), &signature, &pem, NOW_S), Err(SignatureError::BadSignature));
}

#[test]
fn files_are_fetched_over_https_from_a_server_that_is_trusted_and_from_no_other() {
    let scene = Scene::new(Traits::default());
    let file = |name: &str| (format!("/anchors/{name}"), fs::read(scene.path(name)).unwrap());
    let server = HttpsServer::new(vec![file("root-anchors.xml"), file("root-anchors.p7s")]);
    let tls_ca = scene.directory.file("tls.pem", &server.pem);
    let target = TestDirectory::new();
    let port = server.address.port();
    let fetch = |url: String, more: &[String]| {
        let words = ["anchors".to_owned(), "fetch".to_owned(), format!("--url={url}")];
        run(&[&words[..], &[format!("--directory={}", target.path().display())], more].concat())
    };
    let trusted = format!("--tls-ca-file={tls_ca}");
    let (code, text) = fetch(format!("https://localhost:{port}/anchors/"), &[]);
    assert!(code == Some(2) && text.contains("cannot fetch https://localhost"), "{text}");
    let (code, text) = fetch(format!("https://localhost:{port}/nothing"), std::slice::from_ref(&trusted));
    assert!(code == Some(2) && text.contains("404"), "{text}");
    let (code, text) = fetch(format!("http://localhost:{port}/anchors"), std::slice::from_ref(&trusted));
    assert!(code == Some(2) && text.contains("cannot fetch http://"), "{text}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0, "nothing is written until all is there");

    let (code, text) = fetch(format!("https://127.0.0.1:{port}/anchors"), std::slice::from_ref(&trusted));
    assert_eq!(code, Some(0), "{text}");
    for name in ["root-anchors.xml", "root-anchors.p7s"] {
        assert_eq!(fs::read(target.path().join(name)).unwrap(), fs::read(scene.path(name)).unwrap());
    }
    // `update` fetches by itself.
    let words = [
        "anchors".to_owned(),
        "update".to_owned(),
        format!("--url=https://localhost:{port}/anchors"),
        trusted,
        format!("--ca-file={}", scene.path("ca.pem")),
        format!("--file={}", scene.path("anchors.conf")),
        "--control-socket=/no/such/socket".to_owned(),
    ];
    let (code, text) = run(&words);
    assert_eq!(code, Some(0), "{text}");
    let written = fs::read_to_string(scene.path("anchors.conf")).unwrap();
    assert!(written.contains(RootKey::signing(2).anchor_option().trim_start_matches("--")), "{written}");
}
