//! Behind the differing keys of two views that do not change: rows, values, counts.

use super::passes::Scans;
use super::{Failure, Origin, Outcome, Phase, Request};
use crate::locate::{Wanted, rows_of};
use crate::matching::{Mismatch, mismatches};
use crate::naming::{difference, unseen};
use paritas_connect::FetchedRow;
use paritas_digest::{Found, FoundKey, KeyForm, Spec};
use paritas_model::{Class, DifferenceCounts, Proof};
use std::collections::HashMap;
use std::sync::Arc;

/// Names and counts what was found. On a live link whose source never stood still, all of it is
/// unproven.
pub(super) async fn explain_at_rest(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    scans: Scans<'_>,
    mut found: Vec<Found>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    found.sort_by(|a, b| a.key.cmp(&b.key));
    let proof = if outcome.proven_unequal { Proof::Proven } else { Proof::Unproven };
    if proof == Proof::Unproven {
        outcome.notes.push(
            "the source was written whenever both sides were read, and rows without a key cannot be read again one \
             by one: verify again when writes pause, or declare a key with ?key="
                .to_owned(),
        );
    }
    // What the sums say, in case the rows cannot be read again.
    for one in &found {
        outcome.counts.add(one.class, proof, one.copies);
    }
    (request.watch)(Phase::Locating);
    match read_again(request, spec, scans, &found).await {
        Ok((ours, theirs)) => {
            outcome.counts = DifferenceCounts::default();
            list(request, spec, &found, &by_found(ours), &by_found(theirs), proof, outcome);
            Ok(())
        }
        Err(failure) => {
            outcome.items_truncated = found.len() > request.items_max;
            let listed = found.iter().take(request.items_max);
            let note = "the row could not be read again";
            outcome.items.extend(listed.map(|one| unseen(spec.canon(), one, proof, note)));
            Err(failure)
        }
    }
}

/// The rows behind the found keys on both sides.
async fn read_again(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    (source, replica): Scans<'_>,
    found: &[Found],
) -> Result<(Vec<FetchedRow>, Vec<FetchedRow>), Failure> {
    let whole_row = spec.key_form() == KeyForm::WholeRow;
    let listed = found.get(..request.items_max).unwrap_or(found);
    let wanted = |not: Class| -> Wanted {
        // A whole row is equal to itself wherever it is: the side that has more of it is enough, and
        // only for rows that are listed. With a key, copies may be on both sides, and only the rows
        // themselves tell a change and a lost copy from one loss: all are read, to count them right.
        let keys: Vec<FoundKey> = match whole_row {
            true => listed.iter().filter(|one| one.class != not).map(|one| one.key.clone()).collect(),
            false => found.iter().map(|one| one.key.clone()).collect(),
        };
        Wanted { keys, shown: listed.iter().map(|one| one.key.clone()).collect() }
    };
    let (on_source, on_replica) = (wanted(Class::Extra), wanted(Class::Lost));
    let (ours, theirs) = futures_util::future::join(
        rows_of(request.source, source, spec, &on_source),
        rows_of(request.replica, replica, spec, &on_replica),
    )
    .await;
    Ok((ours.map_err(|error| (Origin::Source, error))?, theirs.map_err(|error| (Origin::Replica, error))?))
}

type ByFound = HashMap<FoundKey, Vec<FetchedRow>>;

fn by_found(rows: Vec<FetchedRow>) -> ByFound {
    let mut map = ByFound::new();
    for row in rows {
        if let Some(found) = row.found.clone() {
            map.entry(found).or_default().push(row);
        }
    }
    map
}

/// Counts every mismatch and lists as many as asked for. Where the rows do not add up to what the
/// sums say, they are not the rows that were digested: then the sums are believed.
fn list(
    request: &Request<'_>,
    spec: &Spec,
    found: &[Found],
    ours: &ByFound,
    theirs: &ByFound,
    proof: Proof,
    outcome: &mut Outcome,
) {
    let keyed = spec.key_form() != KeyForm::WholeRow;
    for (index, one) in found.iter().enumerate() {
        let rows = |side: &'_ ByFound| -> Vec<FetchedRow> { side.get(&one.key).cloned().unwrap_or_default() };
        let (ours, theirs) = (rows(ours), rows(theirs));
        let mismatches = if keyed { mismatches(&ours, &theirs, true) } else { whole_row(one, &ours, &theirs) };
        let shown = index < request.items_max;
        if mismatches.is_empty() || net(&mismatches) != signed(one) {
            outcome.counts.add(one.class, proof, one.copies);
            let note = "the row was written again while it was looked at";
            push(request, outcome, shown.then(|| unseen(spec.canon(), one, proof, note)));
            continue;
        }
        for mismatch in &mismatches {
            outcome.counts.add(mismatch.class, proof, mismatch.copies);
            push(request, outcome, shown.then(|| difference(spec.canon(), mismatch, proof)));
        }
    }
}

fn push(request: &Request<'_>, outcome: &mut Outcome, item: Option<paritas_model::Difference>) {
    match item {
        Some(item) if outcome.items.len() < request.items_max => outcome.items.push(item),
        _ => outcome.items_truncated = true,
    }
}

/// Rows on the source less rows on the replica, as the mismatches have it.
fn net(mismatches: &[Mismatch]) -> i128 {
    mismatches.iter().map(|mismatch| of_class(mismatch.class, mismatch.copies)).sum()
}

/// The same, as the sums have it.
fn signed(found: &Found) -> i128 {
    of_class(found.class, found.copies)
}

fn of_class(class: Class, copies: u64) -> i128 {
    match class {
        Class::Lost => copies.into(),
        Class::Extra => -i128::from(copies),
        Class::Changed => 0,
    }
}

/// Without a key, the digest's own count of copies is the difference. The row itself is found where
/// there are more of it.
fn whole_row(found: &Found, ours: &[FetchedRow], theirs: &[FetchedRow]) -> Vec<Mismatch> {
    let (source, replica) = match found.class {
        Class::Lost => (ours.first().cloned(), None),
        _ => (None, theirs.first().cloned()),
    };
    if source.is_none() && replica.is_none() {
        return Vec::new();
    }
    vec![Mismatch { class: found.class, copies: found.copies, source, replica }]
}
