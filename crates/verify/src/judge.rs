//! What the readings of one round say about one key.
//!
//! The rules rest on two facts about a replica that applies everything in the source's order:
//!
//! - A row that the source had before the fence and still has afterwards, never written in between
//!   (its version says so), was there all the time. The replica, read after the fence, must show it.
//!   A copy too few is proven lost.
//! - A row that the replica has had since the round before, never written in between, must have been
//!   on the source when this round began, because the fence covers that moment. A copy too many is
//!   proven extra.
//!
//! Neither needs the rest of the key's rows to stand still, so a row that the source keeps writing
//! and the replica never does is found too.

use crate::matching::{Mismatch, equal, mismatches, tally, unchanged};
use paritas_connect::FetchedRow;
use paritas_model::{Class, Proof};
use std::collections::HashMap;

/// The rows of one key, in the order in which they were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readings<'a> {
    /// On the source, before the fence.
    pub(crate) before: &'a [FetchedRow],
    /// On the replica, once it had reached the fence.
    pub(crate) replica: &'a [FetchedRow],
    /// On the source again.
    pub(crate) after: &'a [FetchedRow],
    /// On the replica in the round before; `None` in the first.
    pub(crate) last: Option<&'a [FetchedRow]>,
}

/// What one round says about a key.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// Both sides agree, or the replica follows.
    Arrived,
    /// They differ, and no write in flight explains it.
    Proven(Vec<Mismatch>),
    /// It was written meanwhile; what differs now, as far as it goes. May be empty.
    Open(Vec<(Mismatch, Proof)>),
}

/// Judges one key.
pub(crate) fn judge(readings: &Readings<'_>) -> Judgement {
    let Readings { before, replica, after, last } = *readings;
    if unchanged(before, after) && equal(before, replica) {
        return Judgement::Arrived;
    }
    // A replica that shows a reading of a row in motion proves nothing by itself: a value that goes
    // back and forth would meet a replica that is stuck. It must have moved as well.
    let moved = last.is_some_and(|last| !unchanged(last, replica));
    if moved && (equal(after, replica) || equal(before, replica)) {
        return Judgement::Arrived;
    }
    let (lost, extra) = (proven_lost(readings), proven_extra(readings));
    let mut best: Vec<(Mismatch, Proof)> = Vec::new();
    for source in [after, before] {
        let found = prove(mismatches(source, replica, true), lost.clone(), extra.clone());
        if !found.is_empty() && found.iter().all(|(_, proof)| *proof == Proof::Proven) {
            return Judgement::Proven(found.into_iter().map(|(mismatch, _)| mismatch).collect());
        }
        let proven = |list: &[(Mismatch, Proof)]| list.iter().filter(|(_, proof)| *proof == Proof::Proven).count();
        if best.is_empty() || proven(&found) > proven(&best) {
            best = found;
        }
    }
    Judgement::Open(best)
}

/// Values with a number of copies.
type Copies = HashMap<Vec<Option<Vec<u8>>>, u64>;

fn values(row: &FetchedRow) -> Vec<Option<Vec<u8>>> {
    row.fields.iter().map(|field| field.canonical.clone()).collect()
}

/// Rows that both readings have with the same version. A version stands for one write, so rows of
/// one version can only become fewer: the smaller number was there all the time.
fn persistent(first: &[FetchedRow], second: &[FetchedRow]) -> Copies {
    let versioned =
        |rows: &[FetchedRow]| tally(rows.iter().filter_map(|row| row.version.map(|version| (values(row), version))));
    let later = versioned(second);
    let mut copies = Copies::new();
    for ((row, version), count) in versioned(first) {
        let stayed = later.get(&(row.clone(), version)).copied().unwrap_or(0).min(count);
        if stayed > 0 {
            *copies.entry(row).or_insert(0) += stayed;
        }
    }
    copies
}

fn proven_lost(readings: &Readings<'_>) -> Copies {
    let mut lost = persistent(readings.before, readings.after);
    let there = tally(readings.replica.iter().map(values));
    lost.retain(|row, copies| {
        *copies = copies.saturating_sub(there.get(row).copied().unwrap_or(0));
        *copies > 0
    });
    lost
}

fn proven_extra(readings: &Readings<'_>) -> Copies {
    let Some(last) = readings.last else { return Copies::new() };
    // A source row without a version is just being written: its next value may be in the log, and so
    // on the replica, before the source shows it.
    if readings.before.iter().chain(readings.after).any(|row| row.version.is_none()) {
        return Copies::new();
    }
    let mut extra = persistent(last, readings.replica);
    let (before, after) = (tally(readings.before.iter().map(values)), tally(readings.after.iter().map(values)));
    extra.retain(|row, copies| {
        let count = |side: &Copies| side.get(row).copied().unwrap_or(0);
        *copies = copies.saturating_sub(count(&before).max(count(&after)));
        *copies > 0
    });
    extra
}

/// Marks every mismatch that a proven copy stands behind. Copies of which only some are proven are
/// split.
fn prove(found: Vec<Mismatch>, mut lost: Copies, mut extra: Copies) -> Vec<(Mismatch, Proof)> {
    let mut result = Vec::with_capacity(found.len());
    for mismatch in found {
        let on_source = mismatch.source.as_ref().map_or(0, |row| take(&mut lost, row, mismatch.copies));
        let on_replica = mismatch.replica.as_ref().map_or(0, |row| take(&mut extra, row, mismatch.copies));
        let proven = match mismatch.class {
            Class::Lost => on_source,
            Class::Extra => on_replica,
            Class::Changed => on_source.max(on_replica),
        };
        for (copies, proof) in [(proven, Proof::Proven), (mismatch.copies - proven, Proof::Unproven)] {
            if copies > 0 {
                result.push((Mismatch { copies, ..mismatch.clone() }, proof));
            }
        }
    }
    result
}

/// Takes up to `wanted` copies out.
fn take(copies: &mut Copies, row: &FetchedRow, wanted: u64) -> u64 {
    copies.get_mut(&values(row)).map_or(0, |left| {
        let taken = wanted.min(*left);
        *left -= taken;
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_connect::FetchedField;
    use paritas_model::Value;
    use rstest::rstest;

    /// Rows as (value, version); version 0 stands for none.
    fn rows(list: &[(u8, u64)]) -> Vec<FetchedRow> {
        let row = |(value, version): &(u8, u64)| {
            let fields = vec![FetchedField { canonical: Some(vec![*value]), shown: Value::Int((*value).into()) }];
            FetchedRow { found: None, key: vec![1], fields, place: None, version: (*version > 0).then_some(*version) }
        };
        list.iter().map(row).collect()
    }

    fn judged(before: &[(u8, u64)], replica: &[(u8, u64)], after: &[(u8, u64)], last: Option<&[(u8, u64)]>) -> String {
        let (before, replica, after, last) = (rows(before), rows(replica), rows(after), last.map(rows));
        let readings = Readings { before: &before, replica: &replica, after: &after, last: last.as_deref() };
        let line = |list: Vec<(Class, u64)>| {
            list.into_iter().map(|(class, copies)| format!(" {}x{copies}", class.as_str())).collect::<String>()
        };
        match judge(&readings) {
            Judgement::Arrived => "arrived".to_owned(),
            Judgement::Proven(found) => format!("proven{}", line(found.iter().map(|m| (m.class, m.copies)).collect())),
            Judgement::Open(_) => "open".to_owned(),
        }
    }

    type Rows<'a> = &'a [(u8, u64)];

    fn some(rows: Rows<'_>) -> Option<Rows<'_>> {
        Some(rows)
    }

    #[rstest]
    #[case::equal(&[(1, 1)], &[(1, 9)], &[(1, 1)], None, "arrived")]
    #[case::gone_on_both(&[], &[], &[], None, "arrived")]
    #[case::equal_to_the_first_reading_only(&[(1, 1)], &[(1, 1)], &[(2, 2)], None, "open")]
    #[case::equal_to_the_second_reading_only(&[(1, 1)], &[(2, 2)], &[(2, 2)], None, "open")]
    #[case::equal_and_moved(&[(1, 1)], &[(1, 1)], &[(2, 2)], some(&[(0, 8)]), "arrived")]
    #[case::arrived_by_insert(&[], &[(1, 1)], &[(1, 1)], some(&[]), "arrived")]
    #[case::written_and_back(&[(1, 1)], &[(2, 2)], &[(1, 3)], None, "open")]
    #[case::hot(&[(1, 1)], &[(3, 3)], &[(5, 5)], some(&[(0, 2)]), "open")]
    fn what_a_write_explains_is_no_difference(
        #[case] before: Rows<'_>,
        #[case] replica: Rows<'_>,
        #[case] after: Rows<'_>,
        #[case] last: Option<Rows<'_>>,
        #[case] expected: &str,
    ) {
        assert_eq!(judged(before, replica, after, last), expected);
    }

    #[rstest]
    #[case::changed(&[(1, 1)], &[(9, 5)], &[(1, 1)], None, "proven changedx1")]
    #[case::lost(&[(1, 1)], &[], &[(1, 1)], None, "proven lostx1")]
    #[case::extra_needs_two_rounds(&[], &[(9, 5)], &[], None, "open")]
    #[case::extra_of_another_version(&[], &[(9, 5)], &[], some(&[(9, 4)]), "open")]
    #[case::extra_seen_twice(&[], &[(9, 5)], &[], some(&[(9, 5)]), "proven extrax1")]
    #[case::stuck_under_a_hot_row(&[(1, 1)], &[(9, 5)], &[(2, 2)], some(&[(9, 5)]), "proven changedx1")]
    #[case::second_copy_may_come_and_go(&[(1, 1)], &[(1, 1), (2, 7)], &[(1, 1)], None, "open")]
    #[case::second_copy_stays(&[(1, 1)], &[(1, 1), (2, 7)], &[(1, 1)], some(&[(2, 7)]), "proven extrax1")]
    #[case::copies_lost(&[(1, 1), (1, 1), (1, 1)], &[(1, 3)], &[(1, 1), (1, 1), (1, 1)], None, "proven lostx2")]
    #[case::copies_partly_rewritten(&[(1, 1), (1, 1)], &[], &[(1, 1), (1, 2)], None, "open")]
    fn only_what_no_write_explains_is_proven(
        #[case] before: Rows<'_>,
        #[case] replica: Rows<'_>,
        #[case] after: Rows<'_>,
        #[case] last: Option<Rows<'_>>,
        #[case] expected: &str,
    ) {
        assert_eq!(judged(before, replica, after, last), expected);
    }

    #[rstest]
    #[case::source(&[(1, 0)], &[(9, 5)], &[(1, 0)], some(&[(9, 5)]))]
    #[case::replica(&[], &[(9, 0)], &[], some(&[(9, 0)]))]
    fn without_versions_nothing_is_proven(
        #[case] before: Rows<'_>,
        #[case] replica: Rows<'_>,
        #[case] after: Rows<'_>,
        #[case] last: Option<Rows<'_>>,
    ) {
        assert_eq!(judged(before, replica, after, last), "open");
    }

    #[test]
    fn a_value_going_back_and_forth_does_not_hide_a_stuck_replica() {
        // The source shows what the replica holds, by chance and for a moment.
        assert_eq!(judged(&[(0, 1)], &[(0, 9)], &[(1, 2)], None), "open");
        assert_eq!(judged(&[(1, 2)], &[(0, 9)], &[(1, 2)], some(&[(0, 9)])), "proven changedx1");
    }
}
