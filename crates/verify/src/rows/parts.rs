//! Long datasets in parts: each part is verified by itself, in short views of its own.
//!
//! A part is a range of the key. A row belongs to exactly one part on both sides, so parts that are
//! each verified add up to the dataset, every row as of the views of its part. A row whose key is
//! changed while the run is under way was written after the part that it moved into was verified, as
//! every later write is.
//!
//! A finished part is kept where there is a [`Ledger`], and not read again by a run that goes on
//! where this one was ended.

use super::{Outcome, Request, Slice, verify_views};
use crate::Plan;
use paritas_connect::KeyRange;
use paritas_digest::{CanonKind, Digest, HeaderFacts, KeyForm, Spec, Sums};
use paritas_model::{Known, Position};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What one reader gets out of a store at least, for planning: bytes a second.
const READ_RATE: u64 = 50_000_000;
/// Parts of one dataset, at most.
const PARTS_MAX: u64 = 4_096;

/// Where finished parts are kept, so that another run can go on after this one was ended.
pub trait Ledger: Send + Sync + fmt::Debug {
    /// The parts that were decided on before, if they were.
    fn parts(&self) -> Option<Vec<Vec<KeyRange>>>;

    /// Keeps what was decided on.
    fn keep_parts(&self, parts: &[Vec<KeyRange>]);

    /// A part that was finished before.
    fn part(&self, index: usize, ranges: &[KeyRange]) -> Option<(Done, Option<Digest>)>;

    /// Keeps a finished part. Where that fails the part is verified again by the next run.
    fn keep(&self, index: usize, ranges: &[KeyRange], done: &Done, digest: Option<&Digest>);
}

/// A finished part: all its rows were compared, and every difference is proven.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// When it was finished, RFC 3339 in UTC.
    pub at: String,
    /// What it came to.
    pub outcome: Outcome,
}

/// How much of everything is to be verified by now, where that is spread over several runs that go on with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Slices that are to be verified with this run, those before included.
    pub done: u32,
    /// Slices in all.
    pub of: u32,
}

impl Share {
    /// Everything.
    pub fn is_whole(&self) -> bool {
        self.done >= self.of
    }

    /// Whether what cannot be cut belongs to one of the slices so far. The same name is always in the same slice.
    pub fn takes(&self, name: &str) -> bool {
        let hash = blake3::hash(name.as_bytes());
        let first = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        first % u64::from(self.of.max(1)) < u64::from(self.done)
    }

    /// How many of that many parts belong to the slices so far.
    fn of_parts(&self, count: usize) -> usize {
        let parts = (count as u64).saturating_mul(self.done.into()).div_ceil(u64::from(self.of.max(1)));
        usize::try_from(parts).unwrap_or(usize::MAX).min(count)
    }
}

/// A dataset is cut for slices when it has more bytes than this for each of them; smaller ones are in one slice.
const SLICE_BYTES_MIN: u64 = 8 << 20;

/// How a dataset is cut and kept.
#[derive(Debug, Clone, Copy)]
pub struct Parting<'a> {
    /// How long one view may be held open.
    pub view_max: Duration,
    /// Roughly how many bytes the larger side has.
    pub bytes: u64,
    /// The limit on bytes a second of each side, if there is one.
    pub bytes_per_second: Option<u64>,
    /// Where finished parts are kept.
    pub ledger: Option<&'a dyn Ledger>,
    /// How much of it is to be verified by now; `None` means all.
    pub share: Option<Share>,
}

/// How many parts are needed so that no view is held longer than wanted. Half of the time is left for
/// what follows the reading.
fn count(parting: &Parting<'_>, parallel: usize) -> u64 {
    let readers = READ_RATE.saturating_mul(parallel.max(1) as u64);
    let rate = parting.bytes_per_second.map_or(readers, |limit| limit.min(readers)).max(1);
    let seconds = parting.bytes as f64 / rate as f64;
    let wanted = (2.0 * seconds / parting.view_max.as_secs_f64().max(1e-3)).ceil();
    let slices = parting.share.map_or(1, |share| u64::from(share.of).min(parting.bytes / SLICE_BYTES_MIN));
    (wanted as u64).max(slices).clamp(1, PARTS_MAX)
}

/// The parts of a dataset, each with the ranges that are read side by side. One part without ranges
/// is the whole dataset.
async fn decide(request: &Request<'_>, notes: &mut Vec<String>) -> Vec<Vec<KeyRange>> {
    let whole = vec![Vec::new()];
    let parallel = request.source.cx.parallel();
    let wanted = count(&request.parting, parallel);
    let form = request.plan.canon.key_form();
    if wanted < 2 || form == KeyForm::WholeRow || !matches!(request.plan.canon.kind, CanonKind::Wire { .. }) {
        return whole;
    }
    let why = match request.source.store.datasets() {
        None => "its store is not read in parts".to_owned(),
        Some(datasets) => {
            let side = request.source;
            let ranges = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_mul(parallel);
            let cuts = side.again("look for cuts", || datasets.key_cuts(&side.cx, &request.plan.source, ranges)).await;
            match cuts {
                Ok(Known::Known(cuts)) => {
                    return KeyRange::between(&cuts).chunks(parallel.max(1)).map(<[KeyRange]>::to_vec).collect();
                }
                Ok(Known::Unknown { why }) => why,
                Err(error) => error.to_string(),
            }
        }
    };
    let limit = request.parting.view_max.as_secs_f64();
    if request.parting.share.is_some() && count(&Parting { share: None, ..request.parting }, parallel) < 2 {
        return whole;
    }
    notes.push(format!("read in one view, which may have been held for more than {limit} s: {why}"));
    whole
}

/// Verifies all parts one after the other and adds them up. Ends at the first that fails.
pub(super) async fn verify(request: &Request<'_>, spec: &Arc<Spec>) -> Outcome {
    let mut total = Total::default();
    let ledger = request.parting.ledger;
    let parts = match ledger.and_then(Ledger::parts) {
        Some(parts) => parts,
        None => {
            let parts = decide(request, &mut total.notes).await;
            if let Some(ledger) = ledger {
                ledger.keep_parts(&parts);
            }
            parts
        }
    };
    let count = parts.len();
    let share = request.parting.share;
    let wanted = match share {
        Some(share) if count > 1 => share.of_parts(count),
        Some(share) => usize::from(share.takes(request.dataset)),
        None => count,
    };
    for (index, ranges) in parts.into_iter().enumerate().take(wanted) {
        if let Some((done, digest)) = ledger.and_then(|ledger| ledger.part(index, &ranges)) {
            let usable = !request.keep_digest || digest.is_some();
            if usable {
                total.resumed.push(done.at);
                total.add(Outcome { digest, ..done.outcome }, request);
                continue;
            }
        }
        let outcome = verify_part(request, spec, &ranges).await;
        if let Some(ledger) = ledger.filter(|_| outcome.is_final()) {
            let at = jiff::Timestamp::now().to_string();
            ledger.keep(index, &ranges, &Done { at, outcome: outcome.kept() }, outcome.digest.as_ref());
        }
        let ended = outcome.problem.is_some();
        total.add(outcome, request);
        if ended {
            break;
        }
    }
    total.finish(request, spec, count)
}

async fn verify_part(request: &Request<'_>, spec: &Arc<Spec>, ranges: &[KeyRange]) -> Outcome {
    if ranges.is_empty() {
        return verify_views(request, spec).await;
    }
    let mut plan: Plan = request.plan.clone();
    plan.source.ranges = ranges.to_vec();
    plan.replica.ranges = ranges.to_vec();
    verify_views(&Request { plan: &plan, ..*request }, spec).await
}

/// Positions of the newest views of source and replica.
type Newest = (Option<Known<Position>>, Option<Known<Position>>);

/// Parts added up.
#[derive(Default)]
struct Total {
    outcome: Option<Outcome>,
    sums: Option<Sums>,
    /// Whether a part has no digest though one is wanted.
    no_digest: bool,
    parts: usize,
    resumed: Vec<String>,
    newest: Newest,
    notes: Vec<String>,
}

impl Total {
    fn add(&mut self, mut part: Outcome, request: &Request<'_>) {
        self.parts += 1;
        match (part.digest.take(), &mut self.sums) {
            (Some(digest), Some(sums)) => self.no_digest |= sums.merge(&digest.sums).is_err(),
            (Some(digest), none) => *none = Some(digest.sums),
            (None, _) => self.no_digest = true,
        }
        self.newest = (part.source_position.clone(), part.replica_position.clone());
        match &mut self.outcome {
            None => self.outcome = Some(part),
            Some(total) => total.absorb(part, request.items_max),
        }
    }

    fn finish(self, request: &Request<'_>, spec: &Arc<Spec>, count: usize) -> Outcome {
        let sliced = request.parting.share.is_some() && self.parts < count;
        let mut outcome = self.outcome.unwrap_or_default();
        outcome.slice = (sliced && outcome.problem.is_none() && (outcome.complete || self.parts == 0))
            .then_some(Slice { parts: self.parts, of: count });
        outcome.complete &= self.parts == count;
        outcome.equal &= self.parts == count;
        let first = outcome.source_position.clone();
        if let Some(sums) = self.sums.filter(|_| !self.no_digest && self.parts == count) {
            let position = match (count, first.clone()) {
                (1, Some(position)) => position,
                _ => Known::unknown(format!("put together from {count} views, one after the other")),
            };
            let store = request.source.store.name().to_owned();
            let facts = HeaderFacts { schema: request.schema, position, store };
            outcome.digest = Some(Digest::new(spec, facts, sums).filtered(request.plan.source.filter.clone()));
        }
        let mut notes = self.notes;
        if count > 1 {
            let (source, replica) = self.newest;
            let span = |first: &Option<Known<Position>>, last: &Option<Known<Position>>| {
                let text = |one: &Option<Known<Position>>| {
                    one.as_ref().and_then(Known::value).map_or_else(|| "unknown".to_owned(), ToString::to_string)
                };
                format!("{} to {}", text(first), text(last))
            };
            notes.push(format!(
                "verified in {} of {count} parts, each in views of its own: source {}, replica {}",
                self.parts,
                span(&first, &source),
                span(&outcome.replica_position, &replica)
            ));
            notes.push("read through the index of the key: rows that a damaged index hides were not seen".to_owned());
        }
        if let (Some(oldest), Some(newest)) = (self.resumed.iter().min(), self.resumed.iter().max()) {
            notes.push(format!(
                "{} of {count} parts were verified by the run that this one goes on from, {oldest} to {newest}",
                self.resumed.len()
            ));
        }
        notes.append(&mut outcome.notes);
        outcome.notes = notes;
        outcome
    }
}

impl Parting<'_> {
    /// One part, kept nowhere.
    pub fn whole() -> Self {
        Self { view_max: Duration::MAX, bytes: 0, bytes_per_second: None, ledger: None, share: None }
    }
}

impl Outcome {
    /// Whether nothing about it can become clearer by reading again.
    fn is_final(&self) -> bool {
        self.problem.is_none() && self.complete && self.counts.unsettled() == 0
    }

    /// What is kept of a finished part; its digest is kept apart.
    fn kept(&self) -> Self {
        Self {
            source_rows: self.source_rows,
            replica_rows: self.replica_rows,
            counts: self.counts,
            items: self.items.clone(),
            items_truncated: self.items_truncated,
            complete: self.complete,
            proven_unequal: self.proven_unequal,
            equal: self.equal,
            source_position: self.source_position.clone(),
            replica_position: self.replica_position.clone(),
            fence: self.fence.clone(),
            source_bytes: self.source_bytes,
            replica_bytes: self.replica_bytes,
            notes: self.notes.clone(),
            pages: None,
            slice: None,
            problem: None,
            digest: None,
        }
    }

    /// Takes over what another part came to.
    fn absorb(&mut self, part: Self, items_max: usize) {
        let sum = |a: Option<u64>, b: Option<u64>| a.zip(b).and_then(|(a, b)| a.checked_add(b));
        self.source_rows = sum(self.source_rows, part.source_rows);
        self.replica_rows = sum(self.replica_rows, part.replica_rows);
        self.counts.absorb(&part.counts);
        let room = items_max.saturating_sub(self.items.len());
        self.items_truncated |= part.items_truncated || part.items.len() > room;
        self.items.extend(part.items.into_iter().take(room));
        self.complete &= part.complete;
        self.proven_unequal |= part.proven_unequal;
        self.equal &= part.equal;
        self.fence = self.fence.take().or(part.fence);
        self.source_bytes = self.source_bytes.saturating_add(part.source_bytes);
        self.replica_bytes = self.replica_bytes.saturating_add(part.replica_bytes);
        for note in part.notes {
            if !self.notes.contains(&note) && self.notes.len() < NOTES_MAX {
                self.notes.push(note);
            }
        }
        if self.problem.is_none() {
            self.problem = part.problem;
        }
    }
}

/// Notes of all parts together, at most.
const NOTES_MAX: usize = 20;
