//! Comparing all rows of one dataset on two stores.

use crate::confirm::{Pair, confirm, fence};
use crate::locate::{rows_of, scan_for};
use crate::matching::{Mismatch, group_id, mismatches};
use crate::naming::{difference, unseen};
use crate::side::SideDigest;
use crate::{Plan, Side};
use paritas_connect::{Error, FailureKind, FetchedRow, Result, Scan};
use paritas_digest::{
    BucketSet, Capacity, Comparison, Digest, DigestKey, Found, FoundKey, HeaderFacts, KeyForm, Spec, compare,
};
use paritas_model::{Class, Difference, DifferenceCounts, Known, Position, Proof, SchemaFingerprint, Verdict};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Most differing rows that a second pass is made to name.
const NAMED_MAX: u64 = 143_000;
/// Most suspects that are read again on a live link.
const CONFIRMED_MAX: usize = 100_000;
/// Passes over chosen buckets before giving up on naming.
const NARROW_PASSES_MAX: u32 = 4;

/// What a comparison is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Connecting, describing, planning.
    #[default]
    Planning,
    /// Reading and digesting both sides.
    Digesting,
    /// Finding the rows behind the differences.
    Locating,
    /// Reading suspect rows again.
    Confirming,
}

/// One dataset to compare.
pub struct Request<'a> {
    /// Name of the dataset, part of the digest's keys.
    pub dataset: &'a str,
    /// The source.
    pub source: &'a Side,
    /// The replica.
    pub replica: &'a Side,
    /// What to compare.
    pub plan: &'a Plan,
    /// Fingerprint of the source's schema, for the stored digest.
    pub schema: SchemaFingerprint,
    /// Whether the replica follows the source, so that positions and fences mean something.
    pub live: bool,
    /// Key of the digests.
    pub key: &'a DigestKey,
    /// How many differing rows the first pass is made to name.
    pub capacity: u64,
    /// Most rows to list.
    pub items_max: usize,
    /// How long to wait for fences and for hot rows.
    pub settle: Duration,
    /// Told about every phase.
    pub watch: &'a (dyn Fn(Phase) + Send + Sync),
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("dataset", &self.dataset).field("live", &self.live).finish_non_exhaustive()
    }
}

/// Which side a failure came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The source.
    Source,
    /// The replica.
    Replica,
    /// Neither: the comparison itself.
    Comparison,
}

/// What a comparison came to. Also after a failure, everything found before is in it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows read on the source, once it was read to its end.
    pub source_rows: Option<u64>,
    /// Rows read on the replica, once it was read to its end.
    pub replica_rows: Option<u64>,
    /// Counts per class and proof.
    pub counts: DifferenceCounts,
    /// Differing rows, at most as many as asked for, by key.
    pub items: Vec<Difference>,
    /// Whether there are more.
    pub items_truncated: bool,
    /// Whether both sides were read to their ends and every difference is counted.
    pub complete: bool,
    /// The two views are proven to differ, even if no row could be named.
    pub proven_unequal: bool,
    /// Whether the digests were equal.
    pub equal: bool,
    /// Position of the source's view.
    pub source_position: Option<Known<Position>>,
    /// Position of the replica's view.
    pub replica_position: Option<Known<Position>>,
    /// Position that the replica had reached before it was read.
    pub fence: Option<Position>,
    /// Bytes read from the source.
    pub source_bytes: u64,
    /// Bytes read from the replica.
    pub replica_bytes: u64,
    /// Things to know about the result.
    pub notes: Vec<String>,
    /// What kept the comparison from finishing.
    pub problem: Option<(Origin, Error)>,
    /// The source's digest, for storing.
    pub digest: Option<Digest>,
}

impl Outcome {
    /// The verdict: a proof or unknown.
    pub fn verdict(&self) -> Verdict {
        if self.counts.proven() > 0 || self.proven_unequal {
            return Verdict::Fail;
        }
        match &self.problem {
            // A copy whose bytes cannot be decoded is not a faithful copy, whatever it should hold.
            Some((Origin::Replica, error)) if error.kind() == FailureKind::Damaged => Verdict::Fail,
            Some(_) => Verdict::Unknown,
            None if self.complete && self.counts.unsettled() == 0 => Verdict::Pass,
            None => Verdict::Unknown,
        }
    }
}

/// A failure and the side it came from.
type Failure = (Origin, Error);

/// Compares one dataset. Never fails as a whole: what went wrong is part of the outcome.
pub async fn verify(request: &Request<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(failure) = run(request, &mut outcome).await {
        outcome.complete = false;
        outcome.problem = Some(failure);
    }
    outcome
}

async fn run(request: &Request<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
    let spec = Spec::new(request.key, request.dataset, (*request.plan.canon).clone())
        .map_err(|error| (Origin::Comparison, error.into()))?;
    (request.watch)(Phase::Digesting);
    let (source, replica) = digest_both(request, &spec, outcome).await?;
    let comparison = compare_sides(request, &spec, &source, &replica, outcome)?;
    outcome.equal = comparison.equal;
    if comparison.equal {
        outcome.complete = true;
        return Ok(());
    }
    let (found, complete) = name_all(request, &spec, &source, &replica, comparison, outcome).await?;
    outcome.complete = complete;
    // Two views that never change and have unequal digests do differ.
    outcome.proven_unequal = !request.live;
    explain(request, &spec, &source, &replica, found, outcome).await
}

/// Opens and digests both sides at the same time; the replica waits for the fence first.
async fn digest_both(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    outcome: &mut Outcome,
) -> Result<(SideDigest, SideDigest), Failure> {
    let capacity = Capacity::for_differences(request.capacity);
    let at_source = |error| (Origin::Source, error);
    let at_replica = |error| (Origin::Replica, error);
    let source_scan = request.source.open(&request.plan.source).await.map_err(at_source)?;
    let source = async { request.source.digest(source_scan, &request.plan.source, spec, capacity).await.map_err(at_source) };
    let replica = async {
        let mut reached = (None, None);
        if request.live {
            match fence(request.source, request.replica, request.settle).await {
                Ok(position) => reached.0 = Some(position),
                Err(error) if error.kind() == FailureKind::Deadline && request.replica.cx.check().is_ok() => {
                    reached.1 = Some(format!("the replica did not reach the source's position: {error}"));
                }
                Err(error) => return Err(at_replica(error)),
            }
        }
        let scan = request.replica.open(&request.plan.replica).await.map_err(at_replica)?;
        let digest = request.replica.digest(scan, &request.plan.replica, spec, capacity).await.map_err(at_replica)?;
        Ok((reached, digest))
    };
    // Both run to their ends even when one fails: what the other side found is not lost.
    let (source, replica) = futures_util::future::join(source, replica).await;
    if let Ok(side) = &source {
        outcome.source_rows = Some(side.sums.rows());
        outcome.source_bytes = side.bytes;
        outcome.source_position = Some(side.scan.position());
    }
    if let Ok(((reached, why), side)) = &replica {
        outcome.replica_rows = Some(side.sums.rows());
        outcome.replica_bytes = side.bytes;
        outcome.replica_position = Some(side.scan.position());
        outcome.fence.clone_from(reached);
        outcome.notes.extend(why.clone());
    }
    match (source, replica) {
        (Ok(source), Ok((_, replica))) => Ok((source, replica)),
        // A damaged replica is a finding, an unreachable source only a fault: the finding wins.
        (Err(_), Err(failure)) if failure.1.kind() == FailureKind::Damaged => Err(failure),
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    }
}

fn compare_sides(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    outcome: &mut Outcome,
) -> Result<Comparison, Failure> {
    let digest = |side: &Side, read: &SideDigest| {
        let facts = HeaderFacts { schema: request.schema, position: read.scan.position(), store: side.store.name().to_owned() };
        Digest::new(spec, facts, read.sums.clone())
    };
    let (source, replica) = (digest(request.source, source), digest(request.replica, replica));
    let comparison = compare(&source, &replica)
        .map_err(|error| (Origin::Comparison, Error::new(FailureKind::Permanent, "digest.incomparable", error.to_string())))?;
    outcome.digest = Some(source);
    Ok(comparison)
}

/// All differing keys; with further passes over dirty buckets when the first could not name them.
async fn name_all(
    request: &Request<'_>,
    spec: &Arc<Spec>,
    source: &SideDigest,
    replica: &SideDigest,
    first: Comparison,
    outcome: &mut Outcome,
) -> Result<(Vec<Found>, bool), Failure> {
    if first.complete {
        return Ok((first.found, true));
    }
    let dirty: Vec<u32> = first.dirty.iter().collect();
    let net = source.sums.rows().abs_diff(replica.sums.rows());
    // A saturated estimate says nothing; every bucket then holds several differences.
    let estimate = first.estimate.value().copied().unwrap_or(dirty.len() as u64 * 64).max(net).max(1);
    let mut share = dirty.len();
    if estimate.saturating_mul(3) / 2 > NAMED_MAX {
        share = usize::try_from(dirty.len() as u64 * NAMED_MAX / (estimate.saturating_mul(2))).unwrap_or(1).max(1);
    }
    for pass in 1..=NARROW_PASSES_MAX {
        let whole = share == dirty.len();
        let wanted = if whole { (estimate.saturating_mul(3) / 2).min(NAMED_MAX) } else { NAMED_MAX };
        let capacity = Capacity::for_differences(wanted.saturating_mul(u64::from(pass)).min(NAMED_MAX));
        let buckets: Arc<BucketSet> = Arc::new(dirty.iter().copied().take(share).collect());
        tracing::info!(pass, buckets = share, of = dirty.len(), "second pass over dirty buckets");
        let read = |side: &Side, scan| {
            let (side, buckets) = (side.clone(), Arc::clone(&buckets));
            async move { side.digest_view(scan, spec, capacity, Some(&buckets)).await }
        };
        let (ours, theirs) =
            futures_util::future::join(read(request.source, &*source.scan), read(request.replica, &*replica.scan)).await;
        let (mut ours, _) = ours.map_err(|error| (Origin::Source, error))?;
        let (theirs, _) = theirs.map_err(|error| (Origin::Replica, error))?;
        let delta = ours
            .subtract(&theirs)
            .map_err(|error| (Origin::Comparison, Error::new(FailureKind::Permanent, "digest.incomparable", error.to_string())))
            .map(|()| paritas_digest::decode(spec, &ours))?;
        if delta.complete {
            if !whole {
                let about = delta.found.len() as u64 * dirty.len() as u64 / share.max(1) as u64;
                outcome.notes.push(format!(
                    "about {about} rows differ, too many to name them all; those of {share} out of {} differing \
                     buckets are named and counted",
                    dirty.len()
                ));
            }
            return Ok((delta.found, whole));
        }
        share = (share / 16).max(1);
    }
    outcome.notes.push(format!("about {estimate} rows differ; they could not be named"));
    Ok((first.found, false))
}

/// Names, confirms and counts what was found.
async fn explain(
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
    for one in &found {
        outcome.counts.add(one.class, proof, one.copies);
    }
    (request.watch)(Phase::Locating);
    outcome.items_truncated = found.len() > request.items_max;
    found.truncate(request.items_max);
    let wanted = |absent: Class| -> Vec<FoundKey> {
        // Copies of one row may be on both sides, so with duplicates every key is looked for.
        found.iter().filter(|f| f.class != absent).map(|f| f.key.clone()).collect()
    };
    let both = spec.key_form() != KeyForm::WholeRow;
    let on_source = wanted(if both { Class::Changed } else { Class::Extra });
    let on_replica = wanted(if both { Class::Changed } else { Class::Lost });
    let all: Vec<FoundKey> = found.iter().map(|f| f.key.clone()).collect();
    let (a, b) = if both { (&all, &all) } else { (&on_source, &on_replica) };
    let (ours, theirs) = futures_util::future::join(
        rows_of(request.source, &*source.scan, spec, a),
        rows_of(request.replica, &*replica.scan, spec, b),
    )
    .await;
    let ours = ours.map_err(|error| (Origin::Source, error));
    let theirs = theirs.map_err(|error| (Origin::Replica, error));
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(failure), _) | (_, Err(failure)) => {
            let note = "the row could not be read again";
            outcome.items.extend(found.iter().map(|one| unseen(spec.canon(), one, proof, note)));
            return Err(failure);
        }
    };
    list_items(spec, &found, ours, theirs, proof, outcome);
    Ok(())
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
fn whole_row(
    found: &Found,
    ours: &[FetchedRow],
    theirs: &[FetchedRow],
) -> Vec<Mismatch> {
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
    if spec.key_form() != KeyForm::Fingerprint {
        let inline = |one: &Found| match &one.key {
            FoundKey::Inline(bytes) => Some(bytes.clone()),
            FoundKey::Fingerprint(_) => None,
        };
        let keys: Vec<Vec<u8>> = found.iter().filter_map(inline).collect();
        let missing = found.len() - keys.len();
        return Ok((keys, missing as u64));
    }
    let wanted = |extra: bool| -> Vec<FoundKey> {
        found.iter().filter(|f| (f.class == Class::Extra) == extra).map(|f| f.key.clone()).collect()
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
    let missing = found.iter().filter(|one| !seen.contains(&one.key)).count();
    let keys: BTreeSet<Vec<u8>> = rows.iter().map(group_id).collect();
    Ok((keys.into_iter().collect(), missing as u64))
}
