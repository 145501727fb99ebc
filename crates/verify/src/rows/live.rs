//! Behind the differing keys of a live link: suspects, read again by key around fences.

use super::passes::Scans;
use super::{Failure, Origin, Outcome, Phase, Request};
use crate::confirm::{Confirmed, Pair, confirm};
use crate::locate::{inline_bytes, scan_for};
use crate::matching::group_id;
use crate::naming::{difference, unseen};
use paritas_digest::{Found, FoundKey, Spec};
use paritas_model::{Class, Difference, Proof};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most suspects that are read again.
const CONFIRMED_MAX: usize = 100_000;

/// Names, confirms and counts what was found. Every suspect ends as arrived, proven or unproven.
pub(super) async fn explain_live(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    scans: Scans<'_>,
    mut found: Vec<Found>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    found.sort_by(|a, b| a.key.cmp(&b.key));
    let mut listing = Listing { spec, items_max: request.items_max, outcome };
    (request.watch)(Phase::Locating);
    let (mut suspects, missing) = match suspects(request, spec, scans, &found).await {
        Ok(both) => both,
        Err(failure) => {
            // What the digests found stays in the report, without proof.
            for one in &found {
                listing.unproven(one, "the row could not be looked for");
            }
            return Err(failure);
        }
    };
    if !missing.is_empty() {
        let count = missing.len();
        listing.outcome.notes.push(format!("{count} differing rows could not be found again by their key"));
    }
    for one in missing {
        listing.outcome.counts.unverifiable = listing.outcome.counts.unverifiable.saturating_add(one.copies);
        listing.item(|spec| unseen(spec.canon(), one, Proof::Unproven, "the row could not be found again"));
    }
    (request.watch)(Phase::Confirming);
    let later = match suspects.keys().nth(CONFIRMED_MAX).cloned() {
        Some(key) => suspects.split_off(&key),
        None => BTreeMap::new(),
    };
    let pair = Pair { source: (request.source, &**scans.0), replica: (request.replica, &**scans.1) };
    let confirmed = confirm(&pair, suspects.keys().cloned().collect(), request.settle).await;
    let failure = listing.confirmed(&suspects, confirmed);
    if !later.is_empty() {
        listing.outcome.notes.push(format!("{} more rows differ and were not read again", later.len()));
    }
    for one in later.values() {
        listing.unproven(one, "the row was not read again");
    }
    failure.map_or(Ok(()), Err)
}

/// Counts differences and lists as many as asked for.
struct Listing<'a> {
    spec: &'a Spec,
    items_max: usize,
    outcome: &'a mut Outcome,
}

impl Listing<'_> {
    fn item(&mut self, make: impl FnOnce(&Spec) -> Difference) {
        if self.outcome.items.len() < self.items_max {
            self.outcome.items.push(make(self.spec));
        } else {
            self.outcome.items_truncated = true;
        }
    }

    fn unproven(&mut self, one: &Found, note: &str) {
        self.outcome.counts.add(one.class, Proof::Unproven, one.copies);
        self.item(|spec| unseen(spec.canon(), one, Proof::Unproven, note));
    }

    /// Takes over what was confirmed; returns what ended it early.
    fn confirmed(&mut self, suspects: &BTreeMap<Vec<u8>, &Found>, confirmed: Confirmed) -> Option<Failure> {
        let Confirmed { differing, arrived, why, failure, .. } = confirmed;
        if arrived > 0 {
            self.outcome.notes.push(format!("{arrived} rows were in flight when first read and have arrived"));
        }
        for (key, found) in differing {
            if let (true, Some(one)) = (found.is_empty(), suspects.get(&key)) {
                self.unproven(one, "the row could not be read in one state on both sides");
            }
            for (mismatch, proof) in &found {
                self.outcome.counts.add(mismatch.class, *proof, mismatch.copies);
                self.item(|spec| difference(spec.canon(), mismatch, *proof));
            }
        }
        if self.outcome.counts.unproven > 0 {
            self.outcome.notes.extend(why);
        }
        failure
    }
}

/// Suspects by their full canonical keys, and found keys that have none.
type Suspects<'a> = (BTreeMap<Vec<u8>, &'a Found>, Vec<&'a Found>);

/// The full canonical keys of what was found: in the digest itself, or found by reading through the
/// side whose view holds a row of it.
async fn suspects<'a>(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    (source, replica): Scans<'_>,
    found: &'a [Found],
) -> Result<Suspects<'a>, Failure> {
    let mut keys: BTreeMap<Vec<u8>, &Found> = BTreeMap::new();
    let mut hidden: HashMap<&FoundKey, (&Found, bool)> = HashMap::new();
    for one in found {
        match inline_bytes(&one.key) {
            Some(key) => {
                keys.insert(key, one);
            }
            None => {
                hidden.insert(&one.key, (one, false));
            }
        }
    }
    let wanted = |extra: bool| -> Vec<FoundKey> {
        let of_side = |(one, _): &&(&Found, bool)| (one.class == Class::Extra) == extra;
        hidden.values().filter(of_side).map(|(one, _)| one.key.clone()).collect()
    };
    let (lost, extra) = (wanted(false), wanted(true));
    let (ours, theirs) = futures_util::future::join(
        scan_for(request.source, source, spec, &lost, None),
        scan_for(request.replica, replica, spec, &extra, None),
    )
    .await;
    let ours = ours.map_err(|error| (Origin::Source, error))?;
    let theirs = theirs.map_err(|error| (Origin::Replica, error))?;
    for row in ours.iter().chain(&theirs) {
        if let Some((one, seen)) = row.found.as_ref().and_then(|found| hidden.get_mut(found)) {
            keys.insert(group_id(row), one);
            *seen = true;
        }
    }
    let mut missing: Vec<&Found> = hidden.into_values().filter(|(_, seen)| !seen).map(|(one, _)| one).collect();
    missing.sort_by(|a, b| a.key.cmp(&b.key));
    Ok((keys, missing))
}
