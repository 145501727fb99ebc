//! Sequences: kept with a snapshot, and judged on a new primary. Rows arrive on a logical replica and the numbers of
//! its sequences do not: one that hands out a number that is used already breaks the first insert after a failover.

use super::against::Replica;
use super::document::{Document, SequenceKept};
use super::load::Loaded;
use super::take::Taking;
use crate::Options;
use crate::error::problem_of;
use crate::record::sided;
use paritas_connect::{Counter, CounterUse, Error};
use paritas_model::{Known, Verdict};
use paritas_report::{Check, KeptDatasets, LinkReport, NotChecked, SequenceItem, SequencesCheck};
use paritas_verify::Side;
use paritas_verify::rows::Origin;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

impl Taking<'_> {
    /// Keeps where sequences are. They are read behind the rows, so that none is behind a row of the snapshot.
    pub(super) async fn sequences(&mut self, source: &Side, document: &mut Document, kept: &mut KeptDatasets) {
        match load(source).await {
            Ok(uses) => {
                let mut all: BTreeMap<String, Known<(i64, i64)>> = BTreeMap::new();
                for one in uses {
                    let counter = match one.counter {
                        Known::Known(Counter { next, step }) => Known::Known((next, step)),
                        Known::Unknown { why } => Known::Unknown { why },
                    };
                    all.insert(one.name, counter);
                }
                let has_any = !all.is_empty();
                kept.sequences = has_any.then_some(all.len() as u64);
                let one = |(name, counter)| SequenceKept { name, counter };
                document.sequences = has_any.then(|| all.into_iter().map(one).collect());
            }
            Err(error) => {
                self.not_checked.push(NotChecked { what: "values of sequences".to_owned(), why: error.to_string() });
            }
        }
    }
}

async fn load(side: &Side) -> Result<Vec<CounterUse>, Error> {
    let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
    side.cx.bound(datasets.counters(&side.cx)).await
}

/// Beside a comparison with a snapshot: sequences of the replica, where the snapshot has some.
pub(super) async fn beside(replica: &Replica, options: &Options, loaded: &Loaded, link: &mut LinkReport) {
    if loaded.document.sequences.is_some() {
        let left = |check: &Check| match check {
            Check::Parity(check) => check.against.as_ref().is_some_and(|against| against.relation == "behind"),
            _ => false,
        };
        let behind = link.checks.iter().any(left);
        link.checks.extend(verify(&replica.side, options, Some(&loaded.document), behind).await);
    }
}

/// Judges the sequences of a replica; nothing where it has none. `behind`: the replica left before the snapshot, so that
/// the numbers handed out since belong to what was lost: a warning, because they may be known outside.
pub(crate) async fn verify(side: &Side, options: &Options, document: Option<&Document>, behind: bool) -> Option<Check> {
    let began = Instant::now();
    let mut check = SequencesCheck {
        verdict: Verdict::Pass,
        sequences: 0,
        snapshot: document.filter(|one| one.sequences.is_some()).map(|one| one.id.clone()),
        items: Vec::new(),
        items_truncated: false,
        seconds: 0.0,
        problem: None,
    };
    match load(side).await {
        Ok(uses) => {
            let kept = document.and_then(|one| one.sequences.as_deref()).unwrap_or_default();
            if uses.is_empty() && kept.is_empty() {
                return None;
            }
            check.sequences = uses.iter().map(|one| one.name.as_str()).collect::<BTreeSet<_>>().len() as u64;
            judge(&uses, (kept, behind), &mut check, options.max_differences);
        }
        Err(error) => {
            check.problem = Some(sided(Origin::Replica, problem_of(&error)));
            check.verdict = Verdict::Unknown;
        }
    }
    check.seconds = began.elapsed().as_secs_f64();
    Some(Check::Sequences(check))
}

fn judge(uses: &[CounterUse], (kept, behind): (&[SequenceKept], bool), check: &mut SequencesCheck, items_max: usize) {
    let mut items: Vec<SequenceItem> = uses.iter().filter_map(in_column).collect();
    let own: BTreeMap<&str, &CounterUse> = uses.iter().map(|one| (one.name.as_str(), one)).collect();
    items.extend(kept.iter().filter_map(|then| since(then, own.get(then.name.as_str()).copied(), behind)));
    items.sort_by_key(|item| std::cmp::Reverse(item.verdict));
    check.verdict = Verdict::combine(items.iter().map(|item| item.verdict).chain([Verdict::Pass]));
    check.items_truncated = items.len() > items_max;
    items.truncate(items_max);
    check.items = items;
}

fn item(one: &CounterUse, verdict: Verdict, why: impl Into<String>) -> SequenceItem {
    SequenceItem {
        sequence: one.name.clone(),
        column: one.column.clone(),
        verdict,
        next: one.counter.value().map(|counter| counter.next.to_string()),
        used: one.used.value().and_then(|used| used.map(|number| number.to_string())),
        snapshot: None,
        why: why.into(),
        repair: None,
    }
}

/// A sequence against the column that takes its numbers; nothing where all is well.
fn in_column(one: &CounterUse) -> Option<SequenceItem> {
    one.column.as_ref()?;
    let counter = match &one.counter {
        Known::Known(counter) => *counter,
        Known::Unknown { why } => return Some(item(one, Verdict::Unknown, why.clone())),
    };
    let used = match &one.used {
        Known::Known(Some(used)) => *used,
        Known::Known(None) => return None,
        // A large column without an index is not read; that is said, and is no reason to stop.
        Known::Unknown { why } if why.contains("GRANT") => return Some(item(one, Verdict::Unknown, why.clone())),
        Known::Unknown { why } => return Some(item(one, Verdict::Warn, format!("not held against its column: {why}"))),
    };
    if is_ahead(counter, used) {
        return None;
    }
    if one.cycles {
        return Some(item(one, Verdict::Warn, "its next number is not ahead of those in use, and it cycles"));
    }
    let why = "it would hand out numbers that its column has already";
    Some(SequenceItem { repair: one.repair.clone(), ..item(one, Verdict::Fail, why) })
}

fn is_ahead(counter: Counter, used: i128) -> bool {
    if counter.step < 0 { i128::from(counter.next) < used } else { i128::from(counter.next) > used }
}

/// A sequence against where it was at the snapshot; nothing where all is well.
fn since(then: &SequenceKept, now: Option<&CounterUse>, left: bool) -> Option<SequenceItem> {
    let (next, step) = *then.counter.value()?;
    let shown = Some(next.to_string());
    let Some(now) = now else {
        return Some(SequenceItem {
            sequence: then.name.clone(),
            column: None,
            verdict: Verdict::Warn,
            next: None,
            used: None,
            snapshot: shown,
            why: "it is not on the replica".to_owned(),
            repair: None,
        });
    };
    let counter = *now.counter.value()?;
    let behind = if step < 0 { counter.next > next } else { counter.next < next };
    // Numbers that were handed out and are in no row may be known outside all the same.
    (behind && !now.cycles).then(|| {
        let why = "it is behind where it was at the snapshot: numbers that were handed out would be handed out again";
        let name = now.name.replace('\'', "''");
        SequenceItem {
            column: None,
            used: None,
            snapshot: shown,
            repair: Some(format!("SELECT setval('{name}', {next}, false)")),
            ..item(now, if left { Verdict::Warn } else { Verdict::Fail }, why)
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn one(next: i64, step: i64, used: Option<i128>) -> CounterUse {
        CounterUse {
            name: "s".to_owned(),
            counter: Known::Known(Counter { next, step }),
            cycles: false,
            column: Some("t.id".to_owned()),
            used: Known::Known(used),
            repair: Some("SELECT setval(…)".to_owned()),
        }
    }

    #[rstest]
    #[case::ahead(one(101, 1, Some(100)), None)]
    #[case::the_next_is_taken(one(100, 1, Some(100)), Some(Verdict::Fail))]
    #[case::far_behind(one(1, 1, Some(100)), Some(Verdict::Fail))]
    #[case::nothing_in_the_column(one(1, 1, None), None)]
    #[case::falling(one(-101, -1, Some(-100)), None)]
    #[case::falling_and_behind(one(-5, -1, Some(-100)), Some(Verdict::Fail))]
    #[case::it_cycles(CounterUse { cycles: true, ..one(1, 1, Some(100)) }, Some(Verdict::Warn))]
    #[case::no_column(CounterUse { column: None, ..one(1, 1, Some(100)) }, None)]
    #[case::no_index(CounterUse { used: Known::unknown("no index"), ..one(1, 1, None) }, Some(Verdict::Warn))]
    #[case::no_privilege(CounterUse { used: Known::unknown("GRANT SELECT"), ..one(1, 1, None) }, Some(Verdict::Unknown))]
    #[case::unreadable(CounterUse { counter: Known::unknown("GRANT"), ..one(1, 1, Some(1)) }, Some(Verdict::Unknown))]
    fn a_sequence_is_ahead_of_its_column(#[case] one: CounterUse, #[case] expected: Option<Verdict>) {
        assert_eq!(in_column(&one).map(|item| item.verdict), expected);
    }

    #[rstest]
    #[case::moved_on((100, 1), Some(one(140, 1, None)), None)]
    #[case::the_same((100, 1), Some(one(100, 1, None)), None)]
    #[case::behind((100, 1), Some(one(99, 1, None)), Some(Verdict::Fail))]
    #[case::falling((-100, -1), Some(one(-140, -1, None)), None)]
    #[case::falling_and_behind((-100, -1), Some(one(-99, -1, None)), Some(Verdict::Fail))]
    #[case::gone((100, 1), None, Some(Verdict::Warn))]
    fn a_sequence_is_not_behind_the_snapshot(
        #[case] counter: (i64, i64),
        #[case] now: Option<CounterUse>,
        #[case] expected: Option<Verdict>,
    ) {
        let then = SequenceKept { name: "s".to_owned(), counter: Known::Known(counter) };
        assert_eq!(since(&then, now.as_ref(), false).map(|item| item.verdict), expected);
        let softened = since(&then, now.as_ref(), true).map(|item| item.verdict);
        assert_eq!(softened, expected.map(|_| Verdict::Warn), "numbers of what was lost");
    }
}
