//! Rows and amounts of lost transactions: which tables, which rows, and what of them the new primary lacks.
//!
//! The log names the place of every row version that a lost transaction made or ended. Places are the same on both
//! servers for what was there at the switchpoint. So the row before is read at its place on the new primary, where it
//! must be a version from before the switchpoint; the row after at its place on the old server, where it must be the
//! version that the lost transaction wrote. What does not answer like that is counted as unnamed, never left out.

mod amount;
mod locate;
mod old;
mod sums;
mod table;

use super::{Evidence, Job};
use crate::Options;
use locate::{Dataset, Located, locate};
use old::Old;
use paritas_connect::{Context, Places};
use paritas_model::Verdict;
use paritas_pgwal::{Abandoned, Relation, Touched};
use paritas_report::{LostRows, NotChecked, Reason, Recovery, RowChanges, TouchedTable};
use std::collections::BTreeMap;

/// Which datasets of a link are to be named.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
    /// Tables named in URLs; empty takes all.
    pub(super) named: Vec<String>,
}

impl Taken {
    fn takes(&self, dataset: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| crate::datasets::matches(pattern, dataset));
        let named = |name: &String| dataset == name || dataset.rsplit('.').next() == Some(name);
        (self.include.is_empty() || any(&self.include))
            && !any(&self.exclude)
            && (self.named.is_empty() || self.named.iter().any(named))
    }
}

/// Both servers, and what the log says.
pub(super) struct Sides<'a> {
    cx: &'a Context,
    old: Option<&'a dyn Places>,
    new: &'a dyn Places,
    touched: &'a Touched,
    /// Rows that are listed per table.
    max: usize,
}

/// Adds rows and amounts to what was found out about transactions.
pub(super) async fn fill(
    cx: &Context,
    job: &Job,
    evidence: &Evidence,
    options: &Options,
    recovery: &mut Recovery,
    not_checked: &mut Vec<NotChecked>,
) {
    let Some(new) = job.replica.store.places() else { return };
    let old = old::server(cx, job, evidence).await;
    let mut complete = true;
    let found = evidence.abandoned.iter().zip(&evidence.touched).zip(&mut recovery.timelines);
    for ((abandoned, touched), timeline) in found {
        let Some(touched) = touched.as_ref().filter(|_| abandoned.commits().next().is_some()) else { continue };
        let fitting = old.as_ref().map_err(Clone::clone).and_then(|old| old.fits(abandoned).map(|()| old));
        let server = fitting.as_ref().ok().map(|old| old.store.as_ref());
        let sides =
            Sides { cx, old: server.and_then(|store| store.places()), new, touched, max: options.max_differences };
        let (mut rows, names) = rows_of(&sides, &job.taken, not_checked).await;
        doubts(&mut rows, abandoned, touched, &fitting);
        complete &= rows.complete;
        for lost in &mut timeline.lost {
            lost.touched = touched.transactions.get(&lost.xid).map(|tables| named(tables, &names)).unwrap_or_default();
        }
        timeline.rows = Some(rows);
    }
    if let Ok(old) = &old {
        not_checked.push(NotChecked {
            what: format!("whether {} is the server that wrote the log that was read", old.name),
            why: "a copy that was started and written to may show other rows at the same places".to_owned(),
        });
    }
    if let (Some(_), Ok(old)) = (&job.old_primary, &old)
        && old.takes_writes()
    {
        let hint =
            "set default_transaction_read_only = on there, and let nobody reach it: what it takes now is lost, too";
        let text = format!("{} takes writes", old.name);
        recovery.reasons.push(Reason::new(Verdict::Warn, text).hinted(Some(hint.to_owned())));
    }
    if job.old_primary.is_some() && !complete {
        let hint = "the rows that are lost are listed with each timeline, and why there may be more";
        recovery.reasons.push(Reason {
            verdict: Verdict::Unknown,
            text: "not every lost row could be named".to_owned(),
            hint: Some(hint.to_owned()),
            next: None,
        });
        "no-go".clone_into(&mut recovery.decision);
    }
    recovery.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
}

/// Why rows of this timeline may be missing whatever the tables say.
fn doubts(rows: &mut LostRows, abandoned: &Abandoned, touched: &Touched, old: &Result<&Old, String>) {
    match old {
        Ok(old) => rows.values_from = Some(old.name.clone()),
        Err(why) => rows.why.push(why.clone()),
    }
    if !abandoned.is_proven() {
        rows.why.push("the list of lost transactions is a lower bound".to_owned());
    }
    rows.why.extend(touched.doubts.iter().cloned());
    rows.complete = rows.why.is_empty() && rows.tables.iter().all(|table| table.complete);
}

async fn rows_of(
    sides: &Sides<'_>,
    taken: &Taken,
    not_checked: &mut Vec<NotChecked>,
) -> (LostRows, BTreeMap<Relation, String>) {
    let mut rows = LostRows::default();
    let Located { datasets, catalog, names, why } = match locate(sides).await {
        Ok(located) => located,
        Err(error) => {
            rows.why.push(format!("the tables of the log's files could not be found: {}", error.message()));
            return (rows, BTreeMap::new());
        }
    };
    (rows.catalog, rows.why) = (catalog, why);
    for dataset in &datasets {
        if taken.takes(&dataset.name) {
            rows.tables.push(table::name(sides, dataset).await);
        } else {
            let changes = dataset.changes().total();
            not_checked.push(NotChecked {
                what: format!("lost rows of {}", dataset.name),
                why: format!("left out by the link; lost transactions made {changes} changes there"),
            });
        }
    }
    (rows, names)
}

/// What a transaction did, dataset by dataset.
fn named(tables: &[(Relation, paritas_pgwal::Changes)], names: &BTreeMap<Relation, String>) -> Vec<TouchedTable> {
    let mut by_name: BTreeMap<String, RowChanges> = BTreeMap::new();
    for (relation, changes) in tables {
        if let Some(name) = names.get(relation) {
            add(by_name.entry(name.clone()).or_default(), *changes);
        }
    }
    by_name.into_iter().map(|(dataset, changes)| TouchedTable { dataset, changes }).collect()
}

fn add(sum: &mut RowChanges, changes: paritas_pgwal::Changes) {
    sum.inserted += changes.inserts;
    sum.updated += changes.updates;
    sum.deleted += changes.deletes;
}

impl Dataset<'_> {
    fn changes(&self) -> RowChanges {
        let mut sum = RowChanges::default();
        self.pieces.iter().for_each(|piece| add(&mut sum, piece.table.changes));
        sum
    }
}
