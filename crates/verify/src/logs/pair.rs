//! A partition and its copy while they are compared.

use super::ledger::ChainOf;
use super::outcome::{Read, Window};
use super::request::{Facing, Request};
use crate::rows::Origin;
use paritas_connect::logs::{Anchor, Ends, Partition};
use paritas_connect::{Error, FailureKind};
use paritas_logs::content::{Builder, Chain, Lie, Namer, Of, Policy, Terms};
use std::sync::Arc;

/// A partition and its copy.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    /// The number of the log in the request.
    pub(super) topic: usize,
    pub(super) facing: &'a Facing,
    pub(super) policy: Policy,
    pub(super) source: Log,
    pub(super) replica: Log,
    /// What is judged: everything before this offset of the source.
    pub(super) fence: u64,
    /// Whether its replica may still lack something from before the fence.
    pub(super) open: bool,
    /// What keeps the pair from being compared.
    pub(super) problem: Option<(Origin, Error)>,
}

/// One side of a pair.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) what: ChainOf,
    pub(super) namer: Arc<Namer>,
    /// Taken away while it is being read into.
    pub(super) builder: Option<Builder>,
    /// The first offset that the log had when it was last asked.
    pub(super) start: u64,
    /// What is to be read: everything before this offset.
    pub(super) stable: u64,
    /// The end of what may be aborted still, as of the same moment.
    pub(super) end: u64,
    /// Segments that the ledger has.
    pub(super) kept: usize,
    /// Records at the end that are kept one by one.
    pub(super) trail: usize,
    /// The last record that came, where the store says under which leadership it was appended.
    pub(super) anchor: Option<Anchor>,
    /// Records that came.
    pub(super) came: u64,
    pub(super) problem: Option<Error>,
}

impl Log {
    pub(super) fn new(
        of: Of,
        partition: &Partition,
        log_id: Option<String>,
        terms: &Terms,
        namer: &Arc<Namer>,
    ) -> Self {
        let what = ChainOf { of, partition: partition.clone(), log_id, terms: terms.clone() };
        let namer = Arc::clone(namer);
        Self {
            what,
            namer,
            builder: None,
            start: 0,
            stable: 0,
            end: 0,
            kept: 0,
            trail: 0,
            anchor: None,
            came: 0,
            problem: None,
        }
    }

    pub(super) fn partition(&self) -> &Partition {
        &self.what.partition
    }

    /// A chain that begins where the log does.
    pub(super) fn begin(&mut self) {
        self.builder = Some(Builder::new(self.what.terms.clone(), self.start, self.trail));
        self.kept = 0;
    }

    /// Where reading goes on.
    pub(super) fn next(&self) -> u64 {
        self.builder.as_ref().map_or(self.start, Builder::next)
    }

    /// Whether there is more to read.
    pub(super) fn is_open(&self) -> bool {
        self.problem.is_none() && self.next() < self.stable
    }

    /// Takes over where the log ends.
    pub(super) fn saw(&mut self, ends: &Ends) {
        self.stable = self.stable.max(ends.stable);
        self.end = self.end.max(ends.end).max(self.stable);
    }

    /// The chain as far as it was read.
    pub(super) fn chain(&mut self) -> Option<&Chain> {
        Some(self.builder.as_mut()?.chain(&self.namer))
    }

    /// The chain as it was when it was last asked for with [`Log::chain`].
    pub(super) fn closed(&self) -> Option<&Chain> {
        self.builder.as_ref().map(Builder::closed)
    }

    /// Where the chain begins.
    pub(super) fn from(&self) -> u64 {
        self.builder.as_ref().map_or(self.start, Builder::from)
    }

    /// The log has lost what is before an offset; what is behind the last cut that is left has to be read again.
    pub(super) fn lose_before(&mut self, start: u64) {
        self.start = self.start.max(start);
        self.stable = self.stable.max(start);
        self.end = self.end.max(self.stable);
        let chain = self.builder.take().map(|builder| builder.finish(&self.namer).without_before(start));
        match chain.filter(|chain| !chain.segments.is_empty()) {
            Some(chain) => {
                self.kept = self.kept.min(chain.segments.len());
                self.builder = Some(Builder::resume(chain, self.trail));
            }
            None => self.begin(),
        }
    }

    fn read(&mut self) -> Option<Read> {
        let start = self.start;
        let chain = self.chain()?;
        let stored = chain.all().filter(|segment| segment.first < start).map(|segment| segment.records).sum();
        let times = chain.times();
        Some(Read { offsets: chain.from..chain.next, records: chain.records(), bytes: chain.bytes(), times, stored })
    }
}

impl<'a> Pair<'a> {
    /// Everything in which the order is to be compared. Nothing of it was read yet.
    pub(super) fn all(request: &Request<'a>) -> Vec<Self> {
        let mut pairs = Vec::new();
        for (topic, asked) in request.topics.iter().enumerate().filter(|(_, asked)| !asked.policy.compacted) {
            let timestamps = asked.policy.timestamps;
            let namer = Arc::new(Namer::new(request.key, &asked.name, timestamps));
            let terms = Terms::new(request.key, &asked.name, timestamps);
            pairs.extend(asked.facing.iter().map(|facing| Self {
                topic,
                facing,
                policy: asked.policy,
                source: Log::new(Of::Source, &facing.source, facing.source_id.clone(), &terms, &namer),
                replica: Log::new(Of::Replica, &facing.replica, facing.replica_id.clone(), &terms, &namer),
                fence: 0,
                open: true,
                problem: None,
            }));
        }
        pairs
    }

    /// One of its sides.
    pub(super) fn log(&self, of: Of) -> &Log {
        match of {
            Of::Source => &self.source,
            Of::Replica => &self.replica,
        }
    }

    /// One of its sides, to be changed.
    pub(super) fn log_mut(&mut self, of: Of) -> &mut Log {
        match of {
            Of::Source => &mut self.source,
            Of::Replica => &mut self.replica,
        }
    }

    /// Whether nothing has kept it from being compared so far. Problems of a side become those of the pair.
    pub(super) fn is_sound(&mut self) -> bool {
        let source = self.source.problem.take().map(|error| (Origin::Source, error));
        let replica = self.replica.problem.take().map(|error| (Origin::Replica, error));
        for (origin, error) in [source, replica].into_iter().flatten() {
            self.fail(origin, error);
        }
        self.problem.is_none()
    }

    /// Gives up on the pair. The first reason counts.
    pub(super) fn fail(&mut self, origin: Origin, error: Error) {
        self.problem.get_or_insert((origin, error));
    }

    /// How the two chains may lie to one another.
    pub(super) fn lie(&self) -> Lie {
        Lie { source_cut: self.source.from() > 0, replica_cut: self.replica.from() > 0, meets_behind: false }
    }

    /// What was read, for the report.
    pub(super) fn window(&mut self) -> Window {
        let mut window = Window::new(self.facing.source.clone(), self.facing.replica.clone());
        window.source_read = self.source.read();
        window.replica_read = self.replica.read();
        window.fence = window.source_read.is_some().then_some(self.fence);
        window.problem = self.problem.take();
        window
    }
}

/// Two readings of a log came to different results.
pub(super) fn contradiction(partition: &Partition) -> Error {
    let what = format!("two readings of {partition} came to different results");
    Error::new(FailureKind::Permanent, "data.changed", what)
        .detail("A log only grows at its end and loses records at its beginning, but this one has other records now.")
        .hint("see whether the log was made anew or lost its end to an election while it was read, and verify again")
}
