//! Behind the differing keys: rows, values, proof, counts.

use super::{Failure, Origin, Outcome, Phase, Request};
use crate::confirm::{Pair, confirm};
use crate::locate::{inline_bytes, rows_of, scan_for};
use crate::matching::{Mismatch, group_id, mismatches};
use crate::naming::{difference, unseen};
use crate::side::SideDigest;
use paritas_connect::FetchedRow;
use paritas_digest::{Found, FoundKey, KeyForm, Spec};
use paritas_model::{Class, DifferenceCounts, Known, Proof};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Most suspects that are read again on a live link.
const CONFIRMED_MAX: usize = 100_000;

/// Names, confirms and counts what was found.
pub(super) async fn explain(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    mut found: Vec<Found>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    found.sort_by(|a, b| a.key.cmp(&b.key));
    let lookups = source.scan.lookup().is_some() && replica.scan.lookup().is_some();
    if request.live && lookups && spec.key_form() != KeyForm::WholeRow {
        return explain_live(request, spec, source, replica, found, outcome).await;
    }
    let proof = if request.live && !quiet(request, outcome).await { Proof::Unproven } else { Proof::Proven };
    if proof == Proof::Unproven {
        outcome.notes.push(
            "the source was written while it was read, and rows without a key cannot be read again one by one: \
             verify again when writes pause, or declare a key with ?key="
                .to_owned(),
        );
    }
    let mut counts = DifferenceCounts::default();
    for one in &found {
        counts.add(one.class, proof, one.copies);
    }
    outcome.counts = counts;
    (request.watch)(Phase::Locating);
    outcome.items_truncated = found.len() > request.items_max;
    found.truncate(request.items_max);
    let (ours, theirs) = match read_again(request, spec, source, replica, &found).await {
        Ok(both) => both,
        Err(failure) => {
            let note = "the row could not be read again";
            outcome.items.extend(found.iter().map(|one| unseen(spec.canon(), one, proof, note)));
            return Err(failure);
        }
    };
    list_items(spec, &found, ours, theirs, proof, outcome);
    if !outcome.items_truncated {
        // With copies under one key the rows themselves tell more than the sums: a change and a
        // lost copy add up to one loss there.
        outcome.counts = DifferenceCounts::default();
        for item in &outcome.items {
            outcome.counts.add(item.class, proof, item.copies);
        }
    }
    Ok(())
}

/// The rows behind the found keys on both sides.
async fn read_again(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    found: &[Found],
) -> Result<(Vec<FetchedRow>, Vec<FetchedRow>), Failure> {
    let whole_row = spec.key_form() == KeyForm::WholeRow;
    // Copies of a row may be on both sides, so with a key every key is looked for on both. A whole
    // row is equal to itself wherever it is, so the side that has more of it is enough.
    let wanted = |not: Class| -> Vec<FoundKey> {
        found.iter().filter(|one| !whole_row || one.class != not).map(|one| one.key.clone()).collect()
    };
    let (on_source, on_replica) = (wanted(Class::Extra), wanted(Class::Lost));
    let (ours, theirs) = futures_util::future::join(
        rows_of(request.source, &*source.scan, spec, &on_source),
        rows_of(request.replica, &*replica.scan, spec, &on_replica),
    )
    .await;
    Ok((ours.map_err(|error| (Origin::Source, error))?, theirs.map_err(|error| (Origin::Replica, error))?))
}

/// One item per mismatch, and one per found key whose rows do not show a difference any more.
fn list_items(
    spec: &Spec,
    found: &[Found],
    ours: Vec<FetchedRow>,
    theirs: Vec<FetchedRow>,
    proof: Proof,
    outcome: &mut Outcome,
) {
    let keyed = spec.key_form() != KeyForm::WholeRow;
    let by_found = |rows: Vec<FetchedRow>| {
        let mut map = HashMap::<FoundKey, Vec<FetchedRow>>::new();
        for row in rows {
            if let Some(found) = row.found.clone() {
                map.entry(found).or_default().push(row);
            }
        }
        map
    };
    let (ours, theirs) = (by_found(ours), by_found(theirs));
    for one in found {
        let (ours, theirs) = (ours.get(&one.key), theirs.get(&one.key));
        let empty = Vec::new();
        let (ours, theirs) = (ours.unwrap_or(&empty), theirs.unwrap_or(&empty));
        let list = if keyed { mismatches(ours, theirs, true) } else { whole_row(one, ours, theirs) };
        if list.is_empty() {
            outcome.items.push(unseen(spec.canon(), one, proof, "the row was written again while it was looked at"));
        }
        outcome.items.extend(list.iter().map(|mismatch| difference(spec.canon(), mismatch, proof)));
    }
}

/// Without a key, the digest's own count of copies is the difference.
fn whole_row(found: &Found, ours: &[FetchedRow], theirs: &[FetchedRow]) -> Vec<Mismatch> {
    let first = |rows: &[FetchedRow]| rows.first().cloned();
    let (source, replica) = match found.class {
        Class::Lost => (first(ours), None),
        _ => (None, first(theirs)),
    };
    if source.is_none() && replica.is_none() {
        return Vec::new();
    }
    vec![Mismatch { class: found.class, copies: found.copies, source, replica }]
}

/// Whether the source has not moved since the replica's fence, so that both views show one state.
async fn quiet(request: &Request<'_>, outcome: &Outcome) -> bool {
    let (Some(fence), Some(stream)) = (&outcome.fence, request.source.store.positions()) else {
        return false;
    };
    let Some(Known::Known(view)) = &outcome.source_position else {
        return false;
    };
    match request.source.cx.bound(stream.current(&request.source.cx)).await {
        Ok(now) => view.value == fence.value && now.value == fence.value && now.lineage == fence.lineage,
        Err(_) => false,
    }
}

async fn explain_live(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    found: Vec<Found>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    (request.watch)(Phase::Locating);
    let (keys, missing) = suspect_keys(request, spec, source, replica, &found).await?;
    if missing > 0 {
        outcome.counts.unverifiable = outcome.counts.unverifiable.saturating_add(missing);
        outcome.notes.push(format!("{missing} differing rows could not be found again by their key"));
    }
    (request.watch)(Phase::Confirming);
    let (now, later) = keys.split_at(keys.len().min(CONFIRMED_MAX));
    let pair = Pair { source: (request.source, &*source.scan), replica: (request.replica, &*replica.scan) };
    let confirmed = match confirm(&pair, now.to_vec(), request.settle).await {
        Ok(confirmed) => confirmed,
        Err(error) => {
            // What the digests found stays in the report, without proof.
            for one in &found {
                outcome.counts.add(one.class, Proof::Unproven, one.copies);
            }
            let listed = found.iter().take(request.items_max);
            let note = "the row could not be read again";
            outcome.items.extend(listed.map(|one| unseen(spec.canon(), one, Proof::Unproven, note)));
            outcome.items_truncated = found.len() > request.items_max;
            return Err((Origin::Comparison, error));
        }
    };
    if confirmed.arrived > 0 {
        outcome.notes.push(format!("{} rows were in flight when first read and have arrived", confirmed.arrived));
    }
    if !later.is_empty() {
        outcome.counts.unproven = outcome.counts.unproven.saturating_add(later.len() as u64);
        outcome.notes.push(format!("{} more rows differ and were not read again", later.len()));
        outcome.items_truncated = true;
    }
    if confirmed.mismatches.iter().any(|(_, proof)| *proof == Proof::Unproven) {
        outcome.notes.extend(confirmed.why);
    }
    for (mismatch, proof) in &confirmed.mismatches {
        outcome.counts.add(mismatch.class, *proof, mismatch.copies);
        if outcome.items.len() < request.items_max {
            outcome.items.push(difference(spec.canon(), mismatch, *proof));
        } else {
            outcome.items_truncated = true;
        }
    }
    Ok(())
}

/// The full canonical keys of the suspects (in the digest itself, or found by reading through) and
/// how many suspects have none.
async fn suspect_keys(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    found: &[Found],
) -> Result<(Vec<Vec<u8>>, u64), Failure> {
    // Keys that the digest holds whole need no search.
    let inline: BTreeSet<Vec<u8>> = found.iter().filter_map(|one| inline_bytes(&one.key)).collect();
    let hidden: Vec<&Found> = found.iter().filter(|one| inline_bytes(&one.key).is_none()).collect();
    let wanted = |extra: bool| -> Vec<FoundKey> {
        hidden.iter().filter(|f| (f.class == Class::Extra) == extra).map(|f| f.key.clone()).collect()
    };
    let (lost, extra) = (wanted(false), wanted(true));
    let (ours, theirs) = futures_util::future::join(
        scan_for(request.source, &*source.scan, spec, &lost),
        scan_for(request.replica, &*replica.scan, spec, &extra),
    )
    .await;
    let mut rows = ours.map_err(|error| (Origin::Source, error))?;
    rows.extend(theirs.map_err(|error| (Origin::Replica, error))?);
    let seen: HashSet<&FoundKey> = rows.iter().filter_map(|row| row.found.as_ref()).collect();
    let missing = hidden.iter().filter(|one| !seen.contains(&one.key)).count();
    let keys: BTreeSet<Vec<u8>> = rows.iter().map(group_id).chain(inline).collect();
    Ok((keys.into_iter().collect(), missing as u64))
}
