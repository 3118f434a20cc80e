//! Our config language against dnsmasq's, as far as a plain `cargo test` can tell: no option of dnsmasq is unknown here.
//! The lab tier asks dnsmasq itself.

use resolver_tests::dnsmasq::{Fate, options};
use resolver_user::config::{Problem, TOPICS, load};

/// What is wrong with an option in a configuration that lacks nothing else.
fn problem(name: &str) -> Option<Problem> {
    let words = ["--server=192.0.2.1".to_owned(), "--xdp=off".to_owned(), format!("--{name}")];
    let errors = load(&words).err()?;
    errors.into_iter().find(|error| error.option == name).map(|error| error.problem)
}

#[test]
fn every_option_of_dnsmasq_is_supported_or_refused_with_a_reason() {
    let mut wrong = Vec::new();
    for (name, fate) in options() {
        let told = match problem(name) {
            Some(Problem::Unknown) => None,
            Some(Problem::NotSupported { reason }) => {
                assert!(reason.len() > 20, "{name}: {reason} is no reason");
                Some(Fate::Refused)
            }
            _ => Some(Fate::Supported),
        };
        let fits = match fate {
            Fate::Pending => told != Some(Fate::Refused),
            _ => told == Some(fate),
        };
        if !fits {
            wrong.push(format!(
                "{name}: should be {fate:?}, is {}",
                told.map_or("unknown".into(), |told| format!("{told:?}"))
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_pending_is_an_option_of_dnsmasq_in_the_list_of_all() {
    let pending = include_str!("pending.txt");
    let known: Vec<&str> =
        options().into_iter().filter(|(_, fate)| *fate == Fate::Pending).map(|(name, _)| name).collect();
    assert_eq!(pending.lines().collect::<Vec<_>>(), known);
}

#[test]
fn options_are_declared_once_with_help_and_legal_values() {
    let mut names = Vec::new();
    let mut letters = Vec::new();
    for spec in TOPICS.iter().flat_map(|topic| topic.options) {
        assert!(!spec.help.is_empty() && !spec.legal.is_empty(), "{}", spec.name);
        names.push(spec.name);
        letters.extend(spec.letter);
    }
    for list_is_unique in [is_unique(&mut names), is_unique(&mut letters)] {
        assert!(list_is_unique);
    }
}

fn is_unique<T: Ord>(list: &mut [T]) -> bool {
    list.sort_unstable();
    list.windows(2).all(|pair| pair[0] != pair[1])
}
