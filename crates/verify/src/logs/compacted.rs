//! Logs that keep the latest record of a key only: what is compared is that record, key by key.

use super::outcome::{Outcome, Read, Window};
use super::pair::contradiction;
use super::reading::{Detail, Hashed, Job, Take, read};
use super::request::{Facing, Request, Topic};
use super::side::LogSide;
use crate::rows::Origin;
use paritas_connect::logs::{Ends, Isolation, Partition, Range};
use paritas_connect::{Error, FailureKind};
use paritas_logs::content::latest::{Latest, Newest, Standing, Suspect, suspects};
use paritas_logs::content::{Class, Finding, Id, Namer, Of, Span, Timestamps};
use paritas_model::Proof;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Keys of each side that are held at a time, at most.
const KEYS_MAX: usize = 1 << 20;
/// Parts into which the keys of a partition are cut, at most; the partition is read once for each.
const SLICES_MAX: u64 = 1 << 12;
/// Time between two looks at a replica.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often reading begins anew because a log lost its beginning meanwhile, at most.
const RESTARTS_MAX: u32 = 5;

/// A failure and the side it came from.
type Failure = (Origin, Error);

/// Compares the partitions of a compacted log.
pub(super) async fn compare(request: &Request<'_>, topic: &Topic) -> Outcome {
    let mut outcome = Outcome { complete: true, ..Outcome::default() };
    // Times are compared beside the names, because a record without one on the source has any on the replica.
    let namer = Arc::new(Namer::new(request.key, &topic.name, Timestamps::Ignore));
    for facing in &topic.facing {
        let mut window = Window::new(facing.source.clone(), facing.replica.clone());
        let mut findings = Vec::new();
        let one = Compacted { request, topic, facing, namer: &namer };
        if let Err(failure) = one.all(&mut window, &mut findings).await {
            window.problem = Some(failure);
        }
        window.decide();
        outcome.complete &= window.problem.is_none();
        outcome.counts.absorb(&window.counts);
        outcome.findings_truncated |= outcome.findings.len() + findings.len() > request.items_max;
        let room = request.items_max.saturating_sub(outcome.findings.len());
        outcome.findings.extend(findings.into_iter().take(room));
        outcome.partitions.push(window);
    }
    let none = "the order of records, and those that a later one of their key superseded: the log is compacted";
    outcome.not_checked.push(none.to_owned());
    if topic.policy.timestamps == Timestamps::Ignore {
        outcome.not_checked.push("times of records: they are not compared".to_owned());
    }
    outcome
}

/// A partition of a compacted log and its copy.
struct Compacted<'a, 'b> {
    request: &'a Request<'b>,
    topic: &'a Topic,
    facing: &'a Facing,
    namer: &'a Arc<Namer>,
}

/// One side of it while it is read.
struct Half<'a> {
    side: &'a LogSide,
    partition: &'a Partition,
    origin: Origin,
    start: u64,
    next: u64,
    latest: Latest,
    bytes: u64,
    times: Option<(i64, i64)>,
}

/// Takes the latest records of keys.
struct Newer {
    latest: Latest,
    bytes: u64,
    times: Option<(i64, i64)>,
}

impl Take for Newer {
    fn take(&mut self, _: usize, record: &Hashed) {
        self.bytes = self.bytes.saturating_add(record.bytes);
        if let Some(time) = record.time {
            self.times = Some(self.times.map_or((time, time), |(a, b)| (a.min(time), b.max(time))));
        }
        let newest = Newest { content: record.id, time: record.time, offset: record.offset, valued: record.valued };
        self.latest.take(record.parts.key, newest);
    }
}

impl Half<'_> {
    async fn read_to(&mut self, namer: &Arc<Namer>, to: u64) -> Result<(), Failure> {
        if self.next >= to {
            return Ok(());
        }
        let range = Range { partition: self.partition.clone(), from: self.next, to, isolation: Isolation::Committed };
        let jobs = [Job { range, namer: Arc::clone(namer), limit: u64::MAX }];
        let newer = Newer { latest: std::mem::take(&mut self.latest), bytes: self.bytes, times: self.times };
        let failed = |error: Error| (self.origin, error);
        let done = read(self.side, &jobs, Detail::Keyed, newer, &mut || {}).await.map_err(failed)?;
        Newer { latest: self.latest, bytes: self.bytes, times: self.times } = done.taken;
        done.result.map_err(failed)?;
        self.next = to;
        Ok(())
    }

    fn read(&self) -> Read {
        Read {
            offsets: self.start..self.next,
            records: self.latest.records(),
            bytes: self.bytes,
            times: self.times,
            stored: 0,
        }
    }
}

/// What one slice of the keys came to.
struct Sliced {
    suspects: Vec<(Suspect, Class, Proof)>,
    keys: u64,
    mirrored_to: Option<u64>,
}

impl Compacted<'_, '_> {
    async fn all(&self, window: &mut Window, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let (mut slices, mut slice, mut restarts, mut keys) = (1, 0, 0, 0_u64);
        while slice < slices {
            let done = match self.slice(slices, slice, window).await {
                Ok(done) => done,
                Err((_, error)) if error.code() == "log.truncated" && restarts < RESTARTS_MAX => {
                    restarts += 1;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            match done {
                Some(done) => {
                    keys = keys.saturating_add(done.keys);
                    self.take(window, findings, done).await?;
                    slice += 1;
                }
                // More keys than may be held: nothing was kept of it, in no slice.
                None if slice == 0 && slices < SLICES_MAX => slices *= 4,
                None => {
                    let what = format!("{} has more keys than can be compared", self.facing.source);
                    return Err((Origin::Comparison, Error::new(FailureKind::Permanent, "log.keys", what)));
                }
            }
        }
        let records = window.source_read.as_ref().map_or(0, |read| read.records);
        window.counts.superseded = records.saturating_sub(keys);
        if window.counts.not_yet_mirrored > 0 {
            window.unknown.push(format!(
                "{} keys whose records were on the source when the run began have older ones on the replica",
                window.counts.not_yet_mirrored
            ));
        }
        if window.counts.unproven > 0 {
            let why = "how far the replica has got cannot be told from a compacted log whose records are sent again";
            window.unknown.push(why.to_owned());
        }
        Ok(())
    }

    /// Reads both sides and compares one slice of the keys. `None` where there are too many.
    async fn slice(&self, slices: u64, slice: u64, window: &mut Window) -> Result<Option<Sliced>, Failure> {
        let fence = self.ends(Of::Source).await?.stable;
        let replica_ends = self.ends(Of::Replica).await?;
        let source_ends = self.ends(Of::Source).await?;
        let mut source = self.half(Of::Source, &source_ends, Latest::new(slices, slice, KEYS_MAX, fence));
        let mut replica = self.half(Of::Replica, &replica_ends, Latest::new(slices, slice, KEYS_MAX, u64::MAX));
        let (ours, theirs) = tokio::join!(
            source.read_to(self.namer, source_ends.stable),
            replica.read_to(self.namer, replica_ends.stable)
        );
        theirs.and(ours)?;
        let begun = Instant::now();
        let sliced = loop {
            if source.latest.is_full() || replica.latest.is_full() {
                return Ok(None);
            }
            let sliced = self.judge(&source, &replica);
            let open = sliced.suspects.iter().any(|(_, _, proof)| *proof != Proof::Proven);
            let left = self.request.settle.saturating_sub(begun.elapsed());
            if !open || left.is_zero() {
                break sliced;
            }
            replica.side.pause(LOOK_AGAIN.min(left)).await.map_err(|error| (Origin::Replica, error))?;
            let (theirs, ours) = (self.ends(Of::Replica).await?.stable, self.ends(Of::Source).await?.stable);
            replica.read_to(self.namer, theirs).await?;
            source.read_to(self.namer, ours).await?;
        };
        window.fence = Some(source.latest.fence());
        window.mirrored_to = window.mirrored_to.max(sliced.mirrored_to);
        window.source_read = Some(source.read());
        window.replica_read = Some(replica.read());
        Ok(Some(sliced))
    }

    fn half(&self, of: Of, ends: &Ends, latest: Latest) -> Half<'_> {
        let (side, partition, origin) = self.side(of);
        Half { side, partition, origin, start: ends.start, next: ends.start, latest, bytes: 0, times: None }
    }

    fn side(&self, of: Of) -> (&LogSide, &Partition, Origin) {
        match of {
            Of::Source => (self.request.source, &self.facing.source, Origin::Source),
            Of::Replica => (self.request.replica, &self.facing.replica, Origin::Replica),
        }
    }

    async fn ends(&self, of: Of) -> Result<Ends, Failure> {
        let (side, partition, origin) = self.side(of);
        let ends = side
            .ends(std::slice::from_ref(partition))
            .await
            .and_then(|mut ends| ends.pop().unwrap_or_else(|| Err(contradiction(partition))));
        ends.map_err(|error| (origin, error))
    }

    fn judge(&self, source: &Half<'_>, replica: &Half<'_>) -> Sliced {
        let timestamps = self.topic.policy.timestamps;
        let mut standing = Standing {
            source_cut: source.start > 0,
            replica_cut: replica.start > 0,
            fence: source.latest.fence(),
            ..Standing::default()
        };
        standing.see(&source.latest, &replica.latest, timestamps, &self.facing.syncs, replica.next);
        let judged = |suspect: Suspect| standing.judge(&suspect).map(|(class, proof)| (suspect, class, proof));
        let suspects = suspects(&source.latest, &replica.latest, timestamps).into_iter().filter_map(judged).collect();
        Sliced { suspects, keys: source.latest.keys(), mirrored_to: standing.mirrored_to }
    }

    /// Takes a finished slice in. Records of the replica that the source has as older or uncommitted ones are told
    /// from those that it never had.
    async fn take(&self, window: &mut Window, findings: &mut Vec<Finding>, mut sliced: Sliced) -> Result<(), Failure> {
        let others = self.others(window, &sliced.suspects).await?;
        for (suspect, class, proof) in &mut sliced.suspects {
            let live = suspect.replica.filter(|newest| newest.valued);
            let other = live.and_then(|newest| others.get(&newest.content));
            let note = match other {
                Some(Other::Aborted) => {
                    *class = Class::Aborted;
                    None
                }
                Some(Other::Undecided) => {
                    (*class, *proof) = (Class::Undecided, Proof::InFlight);
                    None
                }
                Some(Other::Older(offset)) if matches!(class, Class::Altered | Class::NotYetMirrored) => {
                    Some(format!("the replica still has the source's record {offset} of that key"))
                }
                Some(Other::Older(_)) | None => None,
            };
            let held = if suspect.source.is_some() { Of::Source } else { Of::Replica };
            if *class == Class::Aborted && self.topic.policy.aborted_allowed {
                window.counts.aborted_allowed += 1;
                continue;
            }
            window.counts.add(*class, *proof, held, 1);
            if findings.len() <= self.request.items_max {
                findings.push(self.finding(suspect, *class, *proof, note));
            }
        }
        Ok(())
    }

    fn finding(&self, suspect: &Suspect, class: Class, proof: Proof, note: Option<String>) -> Finding {
        let span = |newest: Newest| Span {
            first: newest.offset,
            last: newest.offset,
            first_time: newest.time,
            last_time: newest.time,
        };
        Finding {
            class,
            proof,
            partition: self.facing.source.index,
            found_in: None,
            records: 1,
            at_least: false,
            source: suspect.source.map(span),
            replica: suspect.replica.map(span),
            between: None,
            parts: Vec::new(),
            shown: Vec::new(),
            note,
        }
    }

    /// What the source has, or had, of the records that only the replica has as latest ones.
    async fn others(
        &self,
        window: &Window,
        suspects: &[(Suspect, Class, Proof)],
    ) -> Result<HashMap<Id, Other>, Failure> {
        let valued = |(suspect, _, _): &(Suspect, Class, Proof)| suspect.replica.filter(|newest| newest.valued);
        let wanted: HashMap<Id, ()> = suspects.iter().filter_map(valued).map(|newest| (newest.content, ())).collect();
        let Some(read_before) = window.source_read.as_ref().filter(|_| !wanted.is_empty()) else {
            return Ok(HashMap::new());
        };
        let ends = self.ends(Of::Source).await?;
        let (side, partition, origin) = self.side(Of::Source);
        let stable = read_before.offsets.end;
        let job = |to: u64, isolation| Job {
            range: Range { partition: partition.clone(), from: ends.start, to, isolation },
            namer: Arc::clone(self.namer),
            limit: u64::MAX,
        };
        let jobs = [job(stable, Isolation::Committed), job(ends.end, Isolation::Uncommitted)];
        let look = Look { wanted, found: HashMap::new(), stable };
        let done = read(side, &jobs, Detail::Record, look, &mut || {}).await.map_err(|error| (origin, error))?;
        done.result.map_err(|error| (origin, error))?;
        Ok(done.taken.found)
    }
}

/// What the source has of a record that is not the latest of its key.
#[derive(Debug, Clone, Copy)]
enum Other {
    /// An older one, at this offset.
    Older(u64),
    /// One of an aborted transaction.
    Aborted,
    /// One of an open transaction.
    Undecided,
}

/// Looks for records by their names.
struct Look {
    wanted: HashMap<Id, ()>,
    found: HashMap<Id, Other>,
    stable: u64,
}

impl Take for Look {
    fn take(&mut self, range: usize, record: &Hashed) {
        if !self.wanted.contains_key(&record.id) {
            return;
        }
        let offset = record.offset;
        let found = match range {
            0 => Other::Older(offset),
            _ if offset >= self.stable => Other::Undecided,
            _ => Other::Aborted,
        };
        // The same record is in both ranges, and a committed one explains more.
        if matches!(found, Other::Older(_)) {
            self.found.insert(record.id, found);
        } else {
            self.found.entry(record.id).or_insert(found);
        }
    }
}
