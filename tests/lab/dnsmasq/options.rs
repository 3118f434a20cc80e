//! The list of dnsmasq's options is whole.

use std::process::Command;

use resolver_tests::dnsmasq::options;

#[test]
fn the_list_has_every_option_of_the_installed_dnsmasq() {
    let output = Command::new("dnsmasq").arg("--help").output().expect("dnsmasq");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let known: Vec<&str> = options().into_iter().map(|(name, _)| name).collect();
    let mut names = Vec::new();
    for line in help.lines() {
        // `-a, --name=…`, `    --name`
        let Some((before, after)) = line.split_once("--") else { continue };
        if before.trim_start().len() <= 4 {
            let end = after.find(|character: char| character != '-' && !character.is_ascii_alphanumeric());
            names.push(&after[..end.unwrap_or(after.len())]);
        }
    }
    assert!(names.len() > 150, "{} options read from the help", names.len());
    let missing: Vec<&&str> = names.iter().filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
