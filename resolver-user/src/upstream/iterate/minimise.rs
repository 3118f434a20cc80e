//! How much of a name is told to the servers on the way to it (RFC 9156).
//!
//! In: a name, the zone that is asked, and how many names were asked for already. Out: the name to ask for next.

use crate::wire::Name;

/// Names asked for on the way to one, at most (RFC 9156 §2.3, MAX_MINIMISE_COUNT). Those of ip6.arpa have 34 labels.
const STEPS_MAX: usize = 10;
/// Of these, so many go on by a single label (MINIMISE_ONE_LAB).
const SINGLE_STEPS: usize = 4;

/// The next name to ask for: longer than `known`, which has been asked for or is the zone, and at most `qname`. `steps`: how
/// many were asked for before.
pub(super) fn next(qname: &Name, known: usize, steps: usize) -> Name {
    let left = qname.label_count().saturating_sub(known);
    let more = match steps {
        0..SINGLE_STEPS => 1,
        SINGLE_STEPS..STEPS_MAX => left.div_ceil(STEPS_MAX.saturating_sub(steps)),
        _ => left,
    };
    qname.ancestor(known.saturating_add(more.max(1))).unwrap_or_else(|| qname.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_takes_ten_steps_at_most_and_the_first_are_single_labels() {
        let reverse = format!("{}ip6.arpa.", "1.".repeat(32));
        for (qname, lengths) in
            [("www.example.org.", &[1, 2, 3][..]), (&reverse, &[1, 2, 3, 4, 9, 14, 19, 24, 29, 34]), (".", &[0])]
        {
            let qname: Name = qname.parse().unwrap();
            let (mut known, mut asked) = (0, Vec::new());
            for step in 0.. {
                known = next(&qname, known, step).label_count();
                asked.push(known);
                if known == qname.label_count() {
                    break;
                }
            }
            assert_eq!(asked, lengths, "{qname}");
        }
    }
}
