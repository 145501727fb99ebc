//! Chains of a source that outlive it, made of what is read now and of segments that an earlier snapshot has read.
//!
//! A segment is taken over where its log provably still has its records: it is the same log, it is not compacted (that
//! is for whoever asks to know), and its leadership is the same or still has the last record that was read. Some are
//! read all the same, in turn, to see that they are what was kept.

mod again;
mod join;
mod stand;

use super::extend::{again, extend};
use super::outcome::{Outcome, Read, Window};
use super::pair::Log;
use super::request::{Facing, Request};
use crate::rows::Origin;
use again::look_again;
use join::join;
use paritas_connect::logs::{Anchor, Ends, Partition};
use paritas_connect::{Error, FailureKind};
use paritas_logs::content::{Chain, Namer, Of, Segment, Terms};
use paritas_model::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a partition was led when it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    /// Its leadership; `None` where it changed while it was read, or is not known.
    pub epoch: Option<i32>,
    /// Its last record, where it ended with one and nothing was open: then it proves everything before.
    pub anchor: Option<Anchor>,
}

/// A chain, and what tells later whether its log still has its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptChain {
    /// The chain.
    pub chain: Chain,
    /// When each of its segments was read, in seconds since 1970; the tail is the last.
    pub read_at: Vec<i64>,
    /// How its partition was led.
    pub led: Led,
}

/// A segment by the number of its log and its own, and when it was read in seconds since 1970.
pub type Turn = ((usize, u64), i64);

/// Which segments are to be read again, of those that need not be and of how many there are in all.
pub type Turns<'a> = dyn Fn(Vec<Turn>, usize) -> BTreeSet<(usize, u64)> + Send + Sync + 'a;

/// What need not be read.
pub struct Sparing<'a> {
    /// What was kept of partitions.
    pub kept: BTreeMap<Partition, KeptChain>,
    /// Why nothing may be taken over of others.
    pub refused: BTreeMap<Partition, String>,
    /// Which segments have their turn.
    pub turns: &'a Turns<'a>,
    /// Now, in seconds since 1970.
    pub now: i64,
}

impl std::fmt::Debug for Sparing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sparing").field("kept", &self.kept.len()).field("now", &self.now).finish_non_exhaustive()
    }
}

/// What was read and what was not.
#[derive(Debug, Default)]
pub struct Spared {
    /// Records that came.
    pub records_read: u64,
    /// Records of segments that were taken over.
    pub records_kept: u64,
    /// Segments that were read.
    pub segments_read: u64,
    /// Segments that were taken over.
    pub segments_kept: u64,
    /// Segments among those read that need not have been.
    pub segments_reread: u64,
    /// Partitions of which nothing was taken over, and why.
    pub whole: Vec<(Partition, String)>,
    /// The first segment that is not what was kept of it.
    pub wrong: Option<Error>,
}

/// The chains of a topic's partitions, in their order; nothing for those that could not be read.
pub type TakenTopic = (Outcome, Vec<Option<KeptChain>>);

/// A partition on its way.
#[derive(Debug)]
struct Part {
    log: Log,
    /// Its leadership when its ends were asked for.
    epoch: Option<i32>,
    /// Whether nothing was open then.
    settled: bool,
    /// What was kept of it and stands.
    kept: Option<KeptChain>,
    /// Why nothing was taken over.
    why: Option<String>,
    /// The whole chain, where nothing has to be read for it.
    finished: Option<Chain>,
    /// Segments that are taken over by their first offset, when they were read, and whether they were read again now.
    over: BTreeMap<u64, (Segment, i64, bool)>,
}

/// Reads the source's partitions into chains, taking over what need not be read.
pub(super) async fn take(request: &Request<'_>, trail: usize, sparing: Sparing<'_>) -> (Vec<TakenTopic>, Spared) {
    let mut parts = parts(request, trail);
    let names: Vec<Partition> = parts.iter().map(|part| part.log.partition().clone()).collect();
    match request.source.ends(&names).await {
        Ok(ends) => parts.iter_mut().zip(ends).for_each(|(part, ends)| part.found(ends)),
        Err(error) => parts.iter_mut().for_each(|part| part.log.problem = Some(again(&error))),
    }
    let Sparing { mut kept, mut refused, turns, now } = sparing;
    for (part, name) in parts.iter_mut().zip(&names).filter(|(part, _)| part.log.problem.is_none()) {
        part.kept = kept.remove(name);
        part.why = refused.remove(name).filter(|_| part.kept.is_none());
    }
    stand::decide(request, &mut parts).await;
    join(request, &mut parts).await;
    let mut spared = Spared { wrong: look_again(request, &mut parts, turns, now).await, ..Spared::default() };
    for part in parts.iter_mut().filter(|part| part.log.problem.is_none() && part.finished.is_none()) {
        if part.log.builder.is_none() {
            part.log.begin();
        }
    }
    let open = parts.iter_mut().filter(|part| part.finished.is_none()).map(|part| &mut part.log);
    extend(request, request.source, open.collect()).await;
    let after = request.source.ends(&names).await.unwrap_or_default();
    let mut after = after.into_iter().map(|ends| ends.ok().and_then(|ends| ends.epoch));
    let mut rest = parts.into_iter();
    let mut taken = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut outcome = Outcome { complete: true, ..Outcome::default() };
        let mut chains = Vec::with_capacity(topic.facing.len());
        for (facing, part) in topic.facing.iter().zip(rest.by_ref()) {
            let (window, chain) = part.finish(facing, after.next().flatten(), now, &mut spared);
            outcome.complete &= window.problem.is_none();
            outcome.partitions.push(window);
            chains.push(chain);
        }
        taken.push((outcome, chains));
    }
    (taken, spared)
}

fn parts(request: &Request<'_>, trail: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for topic in request.topics {
        let namer = Arc::new(Namer::new(request.key, &topic.name, topic.policy.timestamps));
        let terms = Terms::new(request.key, &topic.name, topic.policy.timestamps);
        for facing in &topic.facing {
            let log = Log::new(Of::Source, &facing.source, facing.source_id.clone(), &terms, &namer);
            parts.push(Part {
                log: Log { trail, ..log },
                epoch: None,
                settled: false,
                kept: None,
                why: None,
                finished: None,
                over: BTreeMap::new(),
            });
        }
    }
    parts
}

impl Part {
    fn found(&mut self, ends: paritas_connect::Result<Ends>) {
        if let Ok(ends) = &ends {
            (self.epoch, self.settled) = (ends.epoch, ends.stable == ends.end);
        }
        self.log.found(ends);
    }

    /// Nothing of what was kept is taken over.
    fn refuse(&mut self, why: impl Into<String>) {
        self.kept = None;
        self.over.clear();
        self.finished = None;
        self.why.get_or_insert_with(|| why.into());
    }

    fn finish(
        mut self,
        facing: &Facing,
        epoch: Option<i32>,
        now: i64,
        spared: &mut Spared,
    ) -> (Window, Option<KeptChain>) {
        let mut window = Window::new(facing.source.clone(), facing.replica.clone());
        let from = self.kept.as_ref().map(|kept| kept.chain.from);
        let chain = self.finished.take().or_else(|| Some(self.log.builder.take()?.finish(&self.log.namer)));
        window.problem = self.log.problem.take().map(|error| (Origin::Source, error));
        spared.records_read += self.log.came;
        let Some(chain) = chain.filter(|_| window.problem.is_none()) else { return (window, None) };
        if from.is_some_and(|from| from != chain.from) {
            // It lost its beginning while it was read, and was read anew.
            self.refuse("its beginning was deleted while it was read");
        }
        let mut stored = 0;
        let mut read_at = Vec::with_capacity(chain.len());
        for segment in chain.all() {
            let over = self.over.get(&segment.first).filter(|(over, ..)| over == segment);
            read_at.push(over.map_or(now, |(_, read_at, _)| *read_at));
            match over {
                Some((_, _, false)) => {
                    stored += segment.records;
                    spared.segments_kept += 1;
                }
                again => {
                    spared.segments_read += 1;
                    spared.segments_reread += u64::from(again.is_some());
                }
            }
        }
        spared.records_kept += stored;
        if let Some(why) = self.why.take() {
            spared.whole.push((facing.source.clone(), why));
        }
        let (offsets, times) = (chain.from..chain.next, chain.times());
        window.source_read = Some(Read { offsets, records: chain.records(), bytes: chain.bytes(), times, stored });
        window.fence = Some(chain.next);
        window.verdict = Verdict::Pass;
        let led = self.led(&chain, epoch);
        (window, Some(KeptChain { chain, read_at, led }))
    }

    /// What will prove that the log still has what the chain says.
    fn led(&self, chain: &Chain, epoch: Option<i32>) -> Led {
        if self.epoch != epoch {
            // What was read may be of two leaders.
            return Led::default();
        }
        let last = |anchor: &Anchor| anchor.offset.checked_add(1) == Some(chain.next);
        let before = self.kept.as_ref().and_then(|kept| kept.led.anchor);
        let anchor = self.log.anchor.filter(last).or(before.filter(last)).filter(|_| self.settled);
        Led { epoch, anchor }
    }
}

/// Records that were taken over are not the ones that are there: a defect, or data that was changed behind the brokers.
fn proved_wrong(partition: &Partition, kept: &Segment) -> Error {
    let Segment { first, last, records, .. } = kept;
    let what = "what was kept of records that cannot have changed is not what is there";
    Error::new(FailureKind::Permanent, "internal.kept", what)
        .detail(format!(
            "{partition}, offsets {first} to {last}: {records} records were kept. The partition was read whole instead."
        ))
        .hint(
            "look for damage first: kafka-dump-log on the brokers that hold the partition, and the state folder. If both \
             are sound this is a defect of paritas, and snapshots since the one that read these records may be wrong: \
             please report it",
        )
}
