//! From what pages and transactions came to, to the outcome of a dataset: counts, rows, notes.

use super::confirm::Confirmed;
use super::ends::Ends;
use super::pass::Passed;
use super::{Differing, Pair, Place, slice, still};
use crate::matching::Mismatch;
use crate::naming::difference;
use crate::rows::{self, Failure, Origin, Outcome, Phase};
use paritas_connect::{Error, FailureKind, PageKind};
use paritas_model::{Class, Difference, Proof};
use std::collections::{BTreeMap, BTreeSet};

/// Differing pages that are translated into rows.
const TRANSLATED_MAX: usize = 256;
/// Pages that are translated together.
const TOGETHER: usize = 16;
/// Pages that are named in notes.
const NAMED_MAX: usize = 10;
/// Pages whose rows are compared although the pages are equal.
const SLICE: u64 = 16;

/// Writes everything into the outcome.
pub(super) async fn write(
    pair: &Pair<'_>,
    passed: &Passed,
    confirmed: Confirmed,
    ended: Result<Ends, Failure>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let (ends, late) = match ended {
        Ok(ends) => (ends, None),
        Err(failure) => (Ends::default(), Some(failure)),
    };
    let Confirmed { differing, arrived, unproven, unreadable, why, failure } = confirmed;
    let open = unproven.len() as u64 + passed.forgotten + unreadable.len() as u64;
    let counts = outcome.pages.get_or_insert_default();
    counts.compared = passed.equal + arrived + differing.len() as u64;
    counts.arrived = arrived;
    counts.sealed = passed.sealed;
    counts.differing = differing.len() as u64;
    counts.unproven = open;
    counts.transactions = ends.agreed + ends.contradictions;
    outcome.proven_unequal = !differing.is_empty() || ends.contradictions > 0 || ends.wrong > 0;
    outcome.complete = open == 0 && ends.open.is_none() && failure.is_none() && late.is_none();
    outcome.notes.push(summary(outcome));
    note_open(pair, &unproven, why, outcome);
    if ends.taken_from_pages > 0 {
        let count = ends.taken_from_pages;
        outcome.notes.push(format!("{count} more transactions were taken as both sides' pages say that they ended"));
    }
    if let Some(open) = &ends.open {
        outcome.notes.push(format!("how transactions ended could not be compared: {open}"));
    }
    let mut problem = failure.or(late);
    if let Some((place, said)) = unreadable.first() {
        let error = Error::new(FailureKind::Damaged, "data.damaged", format!("{} cannot be read", name(pair, *place)));
        problem = problem.or(Some((Origin::Source, error.detail(said.clone()))));
    }
    if outcome.proven_unequal {
        (pair.request.watch)(Phase::Locating);
        let located = locate(pair, &differing, &ends, outcome).await;
        problem = problem.or(located.err());
    } else if problem.is_none() {
        problem = cross_check(pair, outcome).await.err();
    }
    outcome.complete &= problem.is_none();
    outcome.equal = outcome.complete && !outcome.proven_unequal && outcome.counts.unsettled() == 0;
    outcome.problem = problem;
    Ok(())
}

/// Says which pages of the source carry versions beyond the end of the log. They are what they are on both
/// sides, but versions prove nothing about them, and the replica will not replay what is written to them.
pub(super) fn note_ahead(pair: &Pair<'_>, ahead: &[Place], outcome: &mut Outcome) {
    if ahead.is_empty() {
        return;
    }
    let named: Vec<String> = ahead.iter().map(|place| name(pair, *place)).collect();
    let what = "pages of the source carry versions beyond the end of its log";
    let error =
        Error::new(FailureKind::Damaged, "data.damaged", what).detail(format!("{} and maybe more", named.join("; ")));
    let error = error.hint(
        "the log was reset (pg_resetwal), or files of another server were put in: replicas skip later writes to these \
         pages; dump the table and load it anew",
    );
    outcome.complete = false;
    outcome.equal = false;
    outcome.problem.get_or_insert((Origin::Source, error));
}

fn summary(outcome: &Outcome) -> String {
    let counts = outcome.pages.clone().unwrap_or_default();
    let arrived = match counts.arrived {
        0 => String::new(),
        some => format!(", {some} of them after a write in flight had arrived"),
    };
    let sealed = match counts.sealed {
        0 => String::new(),
        some => format!(", {some} of them by SHA-256 digests that the servers made"),
    };
    format!(
        "pages were compared, not rows: {} pages of {} relations{sealed}{arrived}, and how {} transactions ended; not compared: \
         free space maps",
        counts.compared,
        counts.relations.len(),
        counts.transactions
    )
}

fn note_open(pair: &Pair<'_>, unproven: &[Place], why: Option<String>, outcome: &mut Outcome) {
    if unproven.is_empty() {
        return;
    }
    let named: Vec<String> = unproven.iter().take(NAMED_MAX).map(|place| name(pair, *place)).collect();
    let more = if unproven.len() > NAMED_MAX { ", ..." } else { "" };
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    outcome.notes.push(format!("{} pages are unproven ({}{more}){why}", unproven.len(), named.join(", ")));
}

/// `public.t, block 5`.
fn name(pair: &Pair<'_>, place: Place) -> String {
    let relation = pair.relations.get(place.relation).map_or("?", |relation| relation.name.as_str());
    format!("{relation}, block {}", place.block)
}

/// Names what differs: rows where pages hold rows, pages otherwise.
async fn locate(pair: &Pair<'_>, differing: &[Differing], ends: &Ends, outcome: &mut Outcome) -> Result<(), Failure> {
    outcome.notes.extend(ends.contradicting.iter().cloned());
    if ends.wrong > 0 {
        let count = ends.wrong;
        outcome.notes.push(format!("pages of one side say of {count} transactions that they ended as they did not"));
    }
    note_differing(pair, differing, outcome);
    let kind = |place: Place| pair.relations.get(place.relation).map(|relation| relation.kind);
    let hinted = ends.wrong_hints.iter().map(|spot| Place { relation: spot.relation, block: spot.block });
    let wanted: BTreeSet<Place> = differing
        .iter()
        .map(|one| one.place)
        .chain(hinted)
        .filter(|place| kind(*place) == Some(PageKind::Rows))
        .collect();
    let mut by_relation: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for place in wanted.iter().take(TRANSLATED_MAX) {
        by_relation.entry(place.relation).or_default().push(place.block);
    }
    if wanted.len() > TRANSLATED_MAX {
        outcome.complete = false;
        outcome
            .notes
            .push(format!("only the first {TRANSLATED_MAX} of {} differing pages are shown as rows", wanted.len()));
    }
    for (relation, blocks) in by_relation {
        translate(pair, relation, &blocks, outcome).await?;
    }
    let hidden = differing.iter().filter(|one| kind(one.place) != Some(PageKind::Rows));
    hidden.for_each(|one| push(pair, page_item(pair, one), outcome));
    let out_of_line = differing.iter().any(|one| kind(one.place) == Some(PageKind::Overflow));
    if outcome.counts.proven() == 0 && (out_of_line || ends.contradictions > 0 || ends.wrong > 0) {
        // Which rows that means, only the rows themselves say.
        let by_rows = rows::verify(pair.request).await;
        outcome.counts = by_rows.counts;
        outcome.items.splice(0..0, by_rows.items);
        outcome.items.truncate(pair.request.items_max);
        outcome.items_truncated |= by_rows.items_truncated;
        if let Some((origin, error)) = by_rows.problem {
            outcome.complete = false;
            let side = if origin == Origin::Replica { "replica: " } else { "" };
            outcome.notes.push(format!("the rows behind it could not be named: {side}{error}"));
        }
    }
    Ok(())
}

fn note_differing(pair: &Pair<'_>, differing: &[Differing], outcome: &mut Outcome) {
    for one in differing.iter().take(NAMED_MAX) {
        outcome.notes.push(format!("{}: {}", name(pair, one.place), one.fault.text()));
    }
    if let Some(more @ 1..) = differing.len().checked_sub(NAMED_MAX) {
        outcome.notes.push(format!("{more} more pages differ"));
    }
}

/// Shows differing pages of a table as rows.
async fn translate(pair: &Pair<'_>, relation: usize, blocks: &[u64], outcome: &mut Outcome) -> Result<(), Failure> {
    let Some(read) = pair.relations.get(relation) else { return Ok(()) };
    let still = still::of_blocks(pair, relation, blocks).await?;
    let mut rows: Vec<(Mismatch, Proof)> = still.rows.into_iter().map(|row| (row, Proof::Proven)).collect();
    let mut unread: Vec<String> = Vec::new();
    for (block, why) in &still.unread {
        unread.push(format!("rows of {}, block {block}, could not be read on the replica: {why}", read.name));
    }
    // Rows that are written can only be read again, one by one.
    for blocks in still.moving.chunks(TOGETHER) {
        let found = slice::of_blocks(pair, read, blocks).await?;
        rows.extend(found.rows);
        unread.extend(found.unread);
    }
    let canon = &pair.request.plan.canon;
    for (mismatch, proof) in &rows {
        outcome.counts.add(mismatch.class, *proof, mismatch.copies);
        push(pair, difference(canon, mismatch, *proof), outcome);
    }
    if rows.is_empty() && unread.is_empty() {
        outcome.notes.push(format!("no visible row differs in these pages of {}", read.name));
    }
    outcome.complete &= unread.is_empty();
    outcome.notes.extend(unread.into_iter().take(NAMED_MAX));
    Ok(())
}

fn push(pair: &Pair<'_>, item: Difference, outcome: &mut Outcome) {
    if outcome.items.len() < pair.request.items_max {
        outcome.items.push(item);
    } else {
        outcome.items_truncated = true;
    }
}

/// A page that is no row's.
fn page_item(pair: &Pair<'_>, one: &Differing) -> Difference {
    let kind = pair.relations.get(one.place.relation).map_or("", |relation| relation.kind.as_str());
    Difference {
        class: Class::Changed,
        proof: Proof::Proven,
        key: Vec::new(),
        copies: 1,
        columns: Vec::new(),
        source: Vec::new(),
        replica: Vec::new(),
        place: Some(name(pair, one.place)),
        note: Some(format!("{kind}: {}", one.fault.text())),
    }
}

/// Compares the rows of some pages although the pages are equal: another way to the same answer, so
/// that a mistake in either shows. Rows that keep changing say nothing here.
async fn cross_check(pair: &Pair<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    let seed = outcome.fence.as_ref().map_or(0, |fence| fence.value / 8);
    let tables = pair.relations.iter().filter(|relation| relation.kind == PageKind::Rows && relation.blocks > 0);
    let tables: Vec<_> = tables.collect();
    let Some(table) = tables.get((seed % (tables.len() as u64).max(1)) as usize) else { return Ok(()) };
    // Another slice each time, so that in the long run all rows come by.
    let start = if table.blocks > SLICE { seed % (table.blocks - SLICE + 1) } else { 0 };
    let blocks: Vec<u64> = (start..(start + SLICE).min(table.blocks)).collect();
    let found = slice::of_blocks(pair, table, &blocks).await?;
    let proven: Vec<_> = found.rows.iter().filter(|(_, proof)| *proof == Proof::Proven).collect();
    for (mismatch, proof) in &proven {
        outcome.counts.add(mismatch.class, *proof, mismatch.copies);
        push(pair, difference(&pair.request.plan.canon, mismatch, *proof), outcome);
    }
    let (first, last) = (start, start + (blocks.len() as u64).saturating_sub(1));
    outcome.notes.push(match (&found.unread, proven.is_empty()) {
        (Some(why), _) => {
            outcome.complete = false;
            format!("rows of {}, blocks {first} to {last}, could not be read on the replica: {why}", table.name)
        }
        (None, true) => {
            format!("cross-check: {} rows of {}, blocks {first} to {last}, are equal", found.compared, table.name)
        }
        (None, false) => "cross-check: rows differ in pages that are equal; report this as a defect".to_owned(),
    });
    Ok(())
}
