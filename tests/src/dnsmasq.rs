//! What dnsmasq has, as far as tests need to know: its options, each with what becomes of it here.

/// Every option of dnsmasq, one a line, with `supported` or `refused`.
const OPTIONS: &str = include_str!("../dnsmasq/options.txt");

/// What becomes of an option of dnsmasq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// We have it.
    Supported,
    /// It is refused, and the reason told.
    Refused,
}

/// Every option of dnsmasq.
///
/// # Panics
/// If the list is not one.
pub fn options() -> Vec<(&'static str, Fate)> {
    let lines = OPTIONS.lines().filter(|line| !line.starts_with('#'));
    let option = |line: &'static str| {
        let (name, fate) = line.split_once(' ').unwrap_or_else(|| panic!("no fate: {line}"));
        match fate.trim() {
            "supported" => (name, Fate::Supported),
            "refused" => (name, Fate::Refused),
            _ => panic!("no fate: {line}"),
        }
    };
    lines.map(option).collect()
}
