//! What is said about rows that are kept, and whether they may still be used.

use paritas_connect::{LogMark, Terms};
use paritas_digest::{Capacity, FORMAT, Spec};
use paritas_model::SchemaFingerprint;
use serde::{Deserialize, Serialize};

/// The version of what is kept: rows of another one are read anew.
const VERSION: u32 = 1;
/// Marks that are kept. The older they are, the farther apart.
const MARKS_MAX: usize = 64;

/// The terms that tell one log from another; marks depend on no others.
const OF_LOG: [&str; 3] = ["server", "timeline", "start of the server"];

/// Beside the rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    /// What the rows depend on beside their blocks, each with its name.
    pub(super) terms: Terms,
    /// Marks of this snapshot and those before, oldest first.
    pub(super) marks: Vec<LogMark>,
    /// When the snapshot was taken, in seconds since 1970.
    pub(super) taken_at: i64,
}

/// What the rows depend on in this program.
pub(super) fn own_terms(spec: &Spec, schema: &SchemaFingerprint, capacity: Capacity, blocks: u64) -> Terms {
    let canon = serde_json::to_vec(spec.canon()).unwrap_or_default();
    let hex = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    let key = serde_json::to_string(&spec.key_id()).unwrap_or_default();
    [
        ("version of what is kept", format!("{VERSION}/{FORMAT}")),
        ("dataset", spec.dataset().to_owned()),
        ("digest key", key),
        ("canon", hex(&canon)),
        ("schema", hex(&schema.0)),
        ("capacity", capacity.slots().to_string()),
        ("size of ranges", blocks.to_string()),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .into()
}

impl Facts {
    /// Why rows that were kept under these facts say nothing now, if they do not.
    pub(super) fn contradiction(&self, terms: &Terms, mark: LogMark) -> Option<String> {
        if let Some(name) = other_term(&self.terms, terms) {
            return Some(format!("the {name} is not what it was at the snapshot before"));
        }
        self.is_ahead(mark)
            .then(|| "the server's log ends before the place where it was at the snapshot before".to_owned())
    }

    /// Whether a mark is from an earlier time of the log than those that are kept.
    fn is_ahead(&self, mark: LogMark) -> bool {
        self.marks.iter().any(|old| old.at > mark.at || old.next > mark.next)
    }

    /// The marks with a newer one, as far as they are those of this log: whatever else has changed.
    pub(super) fn marks_with(&self, terms: &Terms, mark: LogMark) -> Vec<LogMark> {
        let of_log =
            |terms: &Terms| terms.iter().filter(|(name, _)| OF_LOG.contains(&name.as_str())).cloned().collect();
        let (then, now): (Terms, Terms) = (of_log(&self.terms), of_log(terms));
        let mut marks = if then == now && !self.is_ahead(mark) { self.marks.clone() } else { Vec::new() };
        marks.push(mark);
        while marks.len() > MARKS_MAX {
            // Of the older half every second one goes.
            let half = marks.len() / 2;
            let mut index = 0;
            marks.retain(|_| {
                index += 1;
                index > half || index % 2 == 1
            });
        }
        marks
    }
}

/// The first term that is not the same.
pub(super) fn other_term<'a>(then: &'a Terms, now: &'a Terms) -> Option<&'a str> {
    let differs = then.iter().find(|term| !now.contains(term)).or_else(|| now.iter().find(|term| !then.contains(term)));
    differs.map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(pairs: &[(&str, &str)]) -> Terms {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn another_term_a_missing_one_and_a_log_that_went_back_contradict() {
        let mark = LogMark { at: 100, next: 7 };
        let facts = Facts { terms: terms(&[("server", "a"), ("timeline", "1")]), marks: vec![mark], taken_at: 0 };
        assert_eq!(facts.contradiction(&facts.terms, mark), None);
        let promoted = terms(&[("server", "a"), ("timeline", "2")]);
        assert!(facts.contradiction(&promoted, mark).is_some_and(|why| why.contains("timeline")));
        assert!(facts.contradiction(&terms(&[("server", "a")]), mark).is_some());
        for back in [LogMark { at: 99, next: 7 }, LogMark { at: 100, next: 6 }] {
            assert!(facts.contradiction(&facts.terms, back).is_some_and(|why| why.contains("log")));
        }
    }

    #[test]
    fn marks_outlast_everything_but_the_log() {
        let (old, new) = (LogMark { at: 100, next: 7 }, LogMark { at: 200, next: 9 });
        let facts = Facts { terms: terms(&[("server", "a"), ("canon", "1")]), marks: vec![old], taken_at: 0 };
        assert_eq!(facts.marks_with(&terms(&[("server", "a"), ("canon", "2")]), new), [old, new]);
        assert_eq!(facts.marks_with(&terms(&[("server", "b"), ("canon", "1")]), new), [new]);
        let back = LogMark { at: 50, next: 7 };
        assert_eq!(facts.marks_with(&facts.terms, back), [back]);
    }

    #[test]
    fn marks_are_limited_and_both_the_oldest_and_the_newest_stay() {
        let mut facts = Facts { terms: Terms::new(), marks: Vec::new(), taken_at: 0 };
        for at in 0..10_000 {
            facts.marks = facts.marks_with(&Terms::new(), LogMark { at, next: at });
        }
        assert!(facts.marks.len() <= MARKS_MAX);
        assert_eq!(facts.marks.first().map(|mark| mark.at), Some(0));
        assert_eq!(facts.marks.last().map(|mark| mark.at), Some(9_999));
        assert!(facts.marks.is_sorted_by_key(|mark| mark.at));
    }
}
