//! Renews the root's anchors in the text of an anchors file, and leaves every other line as it is: the operator's comments,
//! islands, negative anchors.
//!
//! In: the old text, the new anchors. Out: the new text, or none if the anchors are the same.

use crate::config::{anchor_line, is_root_anchor};
use crate::validator::DsAnchor;

/// First words of the line that we write above the anchors.
const MARK: &str = "# Root anchors of IANA";

/// The text with `anchors` in place of the root's old ones; none if they are there already and no others.
/// `date` goes into the comment above them.
pub fn renew(old: &str, anchors: &[DsAnchor], date: &str) -> Option<String> {
    let new: Vec<String> = anchors.iter().map(anchor_line).collect();
    let is_old = |line: &&str| is_root_anchor(line).is_some();
    let mut known: Vec<String> = old.lines().filter_map(is_root_anchor).map(|anchor| anchor_line(&anchor)).collect();
    known.sort();
    let mut wanted = new.clone();
    wanted.sort();
    if known == wanted {
        return None;
    }
    let place = old.lines().position(|line| is_old(&line) || line.starts_with(MARK));
    let kept = |line: &&str| !is_old(line) && !line.starts_with(MARK);
    let (before, after) = match place {
        Some(place) => (old.lines().take(place).collect::<Vec<_>>(), old.lines().skip(place).filter(kept).collect()),
        None => (old.lines().collect(), Vec::new()),
    };
    let comment =
        format!("{MARK} (root-anchors.xml, signature verified), written by `resolver anchors update` on {date}");
    let lines = before.into_iter().chain([comment.as_str()]).chain(new.iter().map(String::as_str)).chain(after);
    Some(lines.flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = ".,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";
    const NEW: &str = ".,38696,8,2,683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16";

    fn anchor(line: &str) -> DsAnchor {
        is_root_anchor(line).unwrap()
    }

    #[test]
    fn the_roots_lines_are_replaced_and_all_others_stay() {
        let island = "corp.example,1,13,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";
        let old = format!("# ours\n{OLD}\n\n{island} # internal\ntrust-anchor=lan\n. IN DS 20326 8 2 {}\n", &OLD[12..]);
        let text = renew(&old, &[anchor(NEW)], "2026-11-23").unwrap();
        let expected = format!(
            "# ours\n{MARK} (root-anchors.xml, signature verified), written by `resolver anchors update` on 2026-11-23\n\
             trust-anchor={NEW}\n\n{island} # internal\ntrust-anchor=lan\n"
        );
        assert_eq!(text, expected);
        assert_eq!(renew(&text, &[anchor(NEW)], "2026-12-01"), None, "nothing to change");
        let back = renew(&text, &[anchor(OLD), anchor(NEW)], "2026-12-01").unwrap();
        assert_eq!(back.matches(MARK).count(), 1, "{back}");
        assert_eq!(renew(&back, &[anchor(NEW), anchor(OLD)], "2026-12-01"), None, "in any order");
    }

    #[test]
    fn an_empty_file_gets_them() {
        assert_eq!(renew("", &[anchor(NEW)], "2026-11-23").unwrap().lines().count(), 2);
    }
}
