//! From all evidence about one partition to where the mirror stands in it.

use super::{Method, Placed, Probed};
use crate::ages::{Count, Extent};

/// Where records were looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Nothing that could be the record stands before what was looked at.
    pub from_first: bool,
    /// Nothing that could be it stands behind.
    pub to_last: bool,
}

impl Reach {
    /// Everywhere.
    pub const WHOLE: Self = Self { from_first: true, to_last: true };
}

/// What is known about the mirror of one partition.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// Where the partition of the source begins and ends; asked for after the replica's.
    pub source: Extent,
    /// Where that of the replica does.
    pub replica: Extent,
    /// What looking for the replica's last records came to, and where; `None` where that was not possible.
    pub probed: Option<(&'a Probed, Reach)>,
    /// The newest pair of offsets that the mirror noted: on the source and on the replica.
    pub sync: Option<(i64, i64)>,
    /// The last offset of the source that the mirror notes as copied.
    pub copied: Option<u64>,
}

/// Where the mirror stands by the best evidence.
///
/// # Errors
/// Why nothing can be said.
pub fn place(evidence: &Evidence<'_>) -> Result<Placed, String> {
    let mut placed = match evidence.probed {
        _ if evidence.replica.end == 0 => Placed {
            next: Count::exactly(evidence.source.start),
            likely: None,
            method: Method::Empty,
            notes: Vec::new(),
        },
        Some((Probed::Found { offsets, unknown, .. }, reach)) => found(*offsets, *unknown, reach, evidence),
        _ => by_notes(evidence)?,
    };
    placed.notes.extend(contradictions(&placed, evidence));
    Ok(placed)
}

fn found((first, last): (u64, u64), unknown: usize, reach: Reach, evidence: &Evidence<'_>) -> Placed {
    let end = evidence.source.end.max(last.saturating_add(1));
    let least = least(evidence).unwrap_or(0).max(evidence.source.start);
    let next = Count {
        low: if reach.from_first { first + 1 } else { least.min(first + 1) },
        high: if reach.to_last { last + 1 } else { end },
    };
    let likely = (next.exact().is_none()).then(|| {
        let guess = arithmetic(evidence).filter(|guess| (first + 1..=last + 1).contains(guess));
        guess.unwrap_or(first + 1)
    });
    let mut notes = Vec::new();
    if unknown > 0 {
        notes.push(format!(
            "the last {unknown} records of the replica's partition are not on the source: others write there, or they \
             were altered or removed"
        ));
    }
    if first != last {
        notes.push("identical records on the source cannot be told apart".to_owned());
    } else if reach != Reach::WHOLE {
        notes.push("whether the source has the same record once more was not looked at everywhere".to_owned());
    }
    Placed { next, likely, method: Method::Content, notes }
}

/// The least that the mirror has copied by its own notes, as the next offset.
fn least(evidence: &Evidence<'_>) -> Option<u64> {
    let copied = evidence.copied.filter(|last| *last < evidence.source.end);
    let upstream = pair(evidence).map(|(upstream, _)| upstream);
    upstream.max(copied).map(|last| last.saturating_add(1))
}

/// The next offset of the source if none was skipped on either side since the newest pair.
fn arithmetic(evidence: &Evidence<'_>) -> Option<u64> {
    let (upstream, downstream) = pair(evidence)?;
    let since = evidence.replica.end.checked_sub(downstream)?;
    upstream.checked_add(since).filter(|next| *next <= evidence.source.end)
}

/// The newest pair, if both its records can exist.
fn pair(evidence: &Evidence<'_>) -> Option<(u64, u64)> {
    let (upstream, downstream) = evidence.sync?;
    let pair = (u64::try_from(upstream).ok()?, u64::try_from(downstream).ok()?);
    (pair.0 < evidence.source.end && pair.1 < evidence.replica.end).then_some(pair)
}

fn by_notes(evidence: &Evidence<'_>) -> Result<Placed, String> {
    let end = evidence.source.end;
    let copied = evidence.copied.filter(|last| *last < end);
    let sync = pair(evidence);
    let low = |last: u64| last.saturating_add(1);
    let (method, last, likely) = match (sync, copied) {
        (Some((upstream, _)), copied) => (Method::Sync, upstream.max(copied.unwrap_or(0)), arithmetic(evidence)),
        (None, Some(copied)) => (Method::Copied, copied, None),
        (None, None) => return Err(nothing(evidence)),
    };
    // The pair names the very last record of the replica's partition: nothing lies in between.
    let newest = sync.filter(|(_, downstream)| downstream + 1 == evidence.replica.end);
    let next = match newest {
        Some((upstream, _)) if upstream == last => Count::exactly(low(last)),
        _ => Count { low: low(last), high: end },
    };
    let likely = likely.map(|likely| likely.max(next.low)).filter(|_| next.exact().is_none());
    Ok(Placed { next, likely, method, notes: Vec::new() })
}

fn nothing(evidence: &Evidence<'_>) -> String {
    let noted = evidence.sync.is_some() || evidence.copied.is_some();
    match (evidence.probed, noted) {
        (Some((Probed::Missing, _)), _) => "the last records of the replica's partition are not on the source: the \
             source has removed them, they were altered, or they come from elsewhere"
            .to_owned(),
        (_, true) => "what the mirror notes lies beyond the end of a partition: one of them was made anew".to_owned(),
        _ => "no record of the replica's partition can be compared, and the mirror notes nothing about it".to_owned(),
    }
}

fn contradictions(placed: &Placed, evidence: &Evidence<'_>) -> Option<String> {
    let copied = evidence.copied?;
    if copied >= evidence.source.end {
        return Some(format!(
            "the mirror notes offset {copied} as copied, and the source ends at {}: its log was made anew or cut",
            evidence.source.end
        ));
    }
    let beyond = placed.method == Method::Content && placed.next.high <= copied;
    beyond.then(|| {
        format!(
            "the mirror notes offset {copied} as copied, and the replica's last record stands before it: it copies \
             again what it had copied, or the log was made anew"
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_lag::Span;
    use rstest::rstest;
    use std::time::Duration;

    fn extent(start: u64, end: u64) -> Extent {
        let at = Span { begin: Duration::ZERO, end: Duration::ZERO };
        Extent { at, start, end, stable: end, epoch: None }
    }

    fn evidence<'a>(source: (u64, u64), replica: (u64, u64)) -> Evidence<'a> {
        let (source, replica) = (extent(source.0, source.1), extent(replica.0, replica.1));
        Evidence { source, replica, probed: None, sync: None, copied: None }
    }

    fn at(first: u64, last: u64) -> Probed {
        Probed::Found { offsets: (first, last), unknown: 0, longer: first != last }
    }

    #[test]
    fn content_wins_over_everything_that_the_mirror_notes() {
        let probed = at(41, 41);
        let given = Evidence {
            probed: Some((&probed, Reach::WHOLE)),
            sync: Some((10, 10)),
            copied: Some(20),
            ..evidence((0, 100), (0, 42))
        };
        let placed = place(&given).unwrap();
        assert_eq!((placed.method, placed.next, placed.likely), (Method::Content, Count::exactly(42), None));
        assert!(placed.notes.is_empty());
    }

    #[test]
    fn content_that_was_not_looked_for_everywhere_is_not_exact() {
        let probed = at(41, 41);
        let said = |from_first, to_last| {
            let reach = Reach { from_first, to_last };
            let given = Evidence { probed: Some((&probed, reach)), copied: Some(30), ..evidence((0, 100), (0, 42)) };
            let placed = place(&given).unwrap();
            (placed.next, placed.likely)
        };
        assert_eq!(said(true, false), (Count { low: 42, high: 100 }, Some(42)));
        assert_eq!(said(false, true), (Count { low: 31, high: 42 }, Some(42)));
    }

    #[test]
    fn among_identical_records_the_pairs_make_one_likely_and_none_certain() {
        let probed = at(40, 45);
        let given =
            Evidence { probed: Some((&probed, Reach::WHOLE)), sync: Some((30, 20)), ..evidence((0, 100), (0, 34)) };
        let placed = place(&given).unwrap();
        assert_eq!((placed.next, placed.likely), (Count { low: 41, high: 46 }, Some(44)));
    }

    #[rstest]
    #[case::pair(Some((30, 20)), None, Method::Sync, 31, Some(44))]
    #[case::pair_and_newer_note(Some((30, 20)), Some(50), Method::Sync, 51, Some(51))]
    #[case::note(None, Some(50), Method::Copied, 51, None)]
    #[case::a_pair_of_a_log_before(Some((300, 20)), Some(50), Method::Copied, 51, None)]
    fn without_content_notes_of_the_mirror_give_bounds(
        #[case] sync: Option<(i64, i64)>,
        #[case] copied: Option<u64>,
        #[case] method: Method,
        #[case] low: u64,
        #[case] likely: Option<u64>,
    ) {
        let placed = place(&Evidence { sync, copied, ..evidence((0, 100), (0, 34)) }).unwrap();
        assert_eq!((placed.method, placed.next, placed.likely), (method, Count { low, high: 100 }, likely));
    }

    #[test]
    fn a_pair_of_the_last_record_of_the_replica_is_exact() {
        let placed =
            place(&Evidence { sync: Some((70, 33)), copied: Some(60), ..evidence((0, 100), (0, 34)) }).unwrap();
        assert_eq!((placed.method, placed.next), (Method::Sync, Count::exactly(71)));
    }

    #[test]
    fn nothing_is_invented() {
        assert!(place(&evidence((0, 100), (0, 34))).unwrap_err().contains("notes nothing"));
        let beyond = Evidence { sync: Some((-1, 5)), copied: Some(100), ..evidence((0, 100), (0, 34)) };
        assert!(place(&beyond).unwrap_err().contains("made anew"));
        let missing = Evidence { probed: Some((&Probed::Missing, Reach::WHOLE)), ..evidence((0, 100), (0, 34)) };
        assert!(place(&missing).unwrap_err().contains("not on the source"));
    }

    #[test]
    fn nothing_copied_yet_is_a_position() {
        let placed = place(&evidence((7, 100), (0, 0))).unwrap();
        assert_eq!((placed.method, placed.next), (Method::Empty, Count::exactly(7)));
    }

    #[test]
    fn a_note_that_contradicts_content_is_told() {
        let probed = at(41, 41);
        let given = Evidence { probed: Some((&probed, Reach::WHOLE)), copied: Some(60), ..evidence((0, 100), (0, 42)) };
        assert!(place(&given).unwrap().notes[0].contains("copies again"));
        let given =
            Evidence { probed: Some((&probed, Reach::WHOLE)), copied: Some(600), ..evidence((0, 100), (0, 42)) };
        assert!(place(&given).unwrap().notes[0].contains("made anew or cut"));
    }
}
