//! Chains of a source that outlived it, held against the replica.

use super::extend::again;
use super::outcome::{Outcome, Read, Window};
use super::reading::{Detail, Hashed, Job, Take, read};
use super::request::{Facing, Request, Topic};
use crate::rows::Origin;
use paritas_connect::logs::{Isolation, Partition, Range};
use paritas_connect::{Error, FailureKind, Result};
use paritas_logs::content::{Builder, Chain, Class, Finding, Id, Lie, Namer, Of, Span, Step, Terms, compare};
use paritas_model::Proof;
use std::collections::HashMap;
use std::sync::Arc;

fn of(chain: &Chain) -> Read {
    let (offsets, times) = (chain.from..chain.next, chain.times());
    Read { offsets, records: chain.records(), bytes: chain.bytes(), times, stored: 0 }
}

/// Holds stored chains against what the replica has now.
pub(super) async fn against(request: &Request<'_>) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut outcome = against_topic(request, topic).await;
        outcome.doubt(topic);
        outcomes.push(outcome);
    }
    outcomes
}

async fn against_topic(request: &Request<'_>, topic: &Topic) -> Outcome {
    let mut outcome = Outcome { complete: true, ..Outcome::default() };
    if topic.policy.compacted {
        outcome.complete = false;
        outcome
            .not_checked
            .push("a compacted topic is not compared with a snapshot: records of it may be gone".to_owned());
        return outcome;
    }
    let terms = Terms::new(request.key, &topic.name, topic.policy.timestamps);
    let namer = Arc::new(Namer::new(request.key, &topic.name, topic.policy.timestamps));
    let kept: Vec<(&Facing, &Chain)> =
        topic.facing.iter().filter_map(|facing| Some((facing, facing.stored.as_ref()?))).collect();
    for facing in topic.facing.iter().filter(|facing| facing.stored.is_none()) {
        outcome.complete = false;
        outcome.not_checked.push(format!("{}: the snapshot holds no content of it", facing.source));
    }
    for group in kept.chunks(request.partitions_at_once.max(1)) {
        let (same, other): (Vec<_>, Vec<_>) = group.iter().copied().partition(|(_, chain)| chain.terms == terms);
        for (facing, _) in other {
            let mut window = Window::new(facing.source.clone(), facing.replica.clone());
            window.problem = Some((Origin::Comparison, other_terms(&facing.source)));
            outcome.partitions.push(window);
        }
        match read_replica(request, &same, &namer, &terms).await {
            Ok(read) => {
                for ((facing, chain), side) in same.into_iter().zip(read) {
                    let window = hold(facing, chain, side, &mut outcome.findings);
                    outcome.counts.absorb(&window.counts);
                    outcome.partitions.push(window);
                }
            }
            Err(error) => {
                for (facing, _) in same {
                    let mut window = Window::new(facing.source.clone(), facing.replica.clone());
                    window.problem = Some((Origin::Replica, again(&error)));
                    outcome.partitions.push(window);
                }
            }
        }
    }
    outcome.complete &= outcome.partitions.iter().all(|window| window.problem.is_none());
    outcome.findings.sort_by_key(|finding| (finding.partition, finding.source.map(|span| span.first)));
    outcome.findings_truncated = outcome.findings.len() > request.items_max;
    outcome.findings.truncate(request.items_max);
    outcome
}

fn other_terms(partition: &Partition) -> Error {
    let message =
        format!("the stored chain of {partition} was made with another digest key, or another way to name records");
    Error::new(FailureKind::Permanent, "digest.incomparable", message)
        .hint("use the digest key and the options that the snapshot was taken with")
}

/// A partition of the replica as it was read: its chain, and how often it has each record that is sought.
struct Side {
    start: u64,
    chain: Chain,
    found: HashMap<Id, u64>,
}

/// Reads chains, and counts records that are sought by their names.
struct Seeker {
    builders: Vec<Builder>,
    namer: Arc<Namer>,
    found: Vec<HashMap<Id, u64>>,
}

impl Take for Seeker {
    fn take(&mut self, range: usize, record: &Hashed) {
        let (Some(builder), Some(found)) = (self.builders.get_mut(range), self.found.get_mut(range)) else { return };
        if let Some(count) = found.get_mut(&record.id) {
            *count += 1;
        }
        builder.push(&self.namer, Step { offset: record.offset, id: record.id, time: record.time }, record.bytes);
    }
}

async fn read_replica(
    request: &Request<'_>,
    kept: &[(&Facing, &Chain)],
    namer: &Arc<Namer>,
    terms: &Terms,
) -> Result<Vec<Side>> {
    let side = request.replica;
    let names: Vec<Partition> = kept.iter().map(|(facing, _)| facing.replica.clone()).collect();
    let (mut jobs, mut starts) = (Vec::new(), Vec::new());
    for (partition, ends) in
        names.into_iter().zip(side.ends(&kept.iter().map(|(f, _)| f.replica.clone()).collect::<Vec<_>>()).await?)
    {
        let ends = ends?;
        let range =
            Range { partition, from: ends.start, to: ends.stable.max(ends.start), isolation: Isolation::Committed };
        starts.push((ends.start, range.to));
        jobs.push(Job { range, namer: Arc::clone(namer), limit: u64::MAX });
    }
    let sought = |chain: &Chain| chain.trail.iter().map(|step| (step.id, 0)).collect();
    let seeker = Seeker {
        builders: starts.iter().map(|(start, _)| Builder::new(terms.clone(), *start, 0)).collect(),
        namer: Arc::clone(namer),
        found: kept.iter().map(|(_, chain)| sought(chain)).collect(),
    };
    let done = read(side, &jobs, Detail::Record, seeker, &mut || {}).await?;
    done.result?;
    let read = done.taken.builders.into_iter().zip(done.taken.found).zip(starts);
    let whole = |((mut builder, found), (start, to)): ((Builder, HashMap<Id, u64>), (u64, u64))| {
        builder.read_to(to);
        Side { start, chain: builder.finish(namer), found }
    };
    Ok(read.map(whole).collect())
}

/// What a stored chain has and the replica has not: record by record in its trail, by segments before it.
fn hold(facing: &Facing, stored: &Chain, mut side: Side, findings: &mut Vec<Finding>) -> Window {
    let mut window = Window::new(facing.source.clone(), facing.replica.clone());
    window.source_read = Some(Read { stored: stored.records(), ..of(stored) });
    window.replica_read = Some(of(&side.chain));
    window.fence = Some(stored.next);
    let mut found: Vec<Finding> = Vec::new();
    let trail_from = stored.trail.first().map_or(stored.next, |step| step.offset);
    before_trail(facing, stored, &side, trail_from, &mut found);
    let mut expired = side.start > 0;
    for step in &stored.trail {
        match side.found.get_mut(&step.id) {
            Some(count) if *count > 0 => {
                *count -= 1;
                expired = false;
            }
            // Before anything of it is found, a replica that has lost its beginning may have had it.
            _ => lost(facing.source.index, step, if expired { Class::Expired } else { Class::Missing }, &mut found),
        }
    }
    for finding in &found {
        window.counts.add(finding.class, finding.proof, Of::Source, finding.records);
    }
    let first = found.iter().filter(|one| one.class == Class::Missing).filter_map(|one| one.source);
    window.mirrored_to = Some(first.map(|span| span.first).min().unwrap_or(stored.next));
    window.decide();
    findings.extend(found);
    window
}

/// Adds a record to the finding that it continues, or begins another one.
fn lost(partition: i32, step: &Step, class: Class, found: &mut Vec<Finding>) {
    let follows = |span: &Span| span.last.checked_add(1) == Some(step.offset);
    if let Some(last) = found.last_mut()
        && last.class == class
        && !last.at_least
        && let Some(span) = last.source.as_mut().filter(|span| follows(span))
    {
        (span.last, span.last_time) = (step.offset, step.time.or(span.last_time));
        last.records += 1;
        return;
    }
    let span = Span { first: step.offset, last: step.offset, first_time: step.time, last_time: step.time };
    found.push(finding(partition, class, 1, span));
}

fn finding(partition: i32, class: Class, records: u64, span: Span) -> Finding {
    Finding {
        class,
        proof: Proof::Proven,
        partition,
        found_in: None,
        records,
        at_least: false,
        source: Some(span),
        replica: None,
        between: None,
        parts: Vec::new(),
        shown: Vec::new(),
        note: None,
    }
}

/// Segments before the trail that the replica does not have: what is left of them are numbers of records.
fn before_trail(facing: &Facing, stored: &Chain, side: &Side, trail_from: u64, found: &mut Vec<Finding>) {
    let lie = Lie { source_cut: stored.from > 0, replica_cut: side.start > 0, meets_behind: false };
    let comparison = compare(stored, &side.chain, lie);
    for gap in &comparison.gaps {
        let inside = gap.source.clone().filter_map(|at| stored.get(at)).filter(|segment| segment.last < trail_from);
        let segments: Vec<_> = inside.collect();
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else { continue };
        let times = segments.iter().filter_map(|segment| segment.times).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let span = Span {
            first: first.first,
            last: last.last,
            first_time: times.map(|times| times.0),
            last_time: times.map(|times| times.1),
        };
        let records: u64 = segments.iter().map(|segment| segment.records).sum();
        let whole = segments.len() == gap.source.len();
        let there = side.chain.records_of(&gap.replica);
        let head = gap.source.start == 0 && side.start > 0 && there < records;
        let (class, count) = match records.checked_sub(there).filter(|lost| *lost > 0) {
            _ if head => (Class::Expired, records - there),
            Some(lost) if whole => (Class::Missing, lost),
            _ => (Class::Altered, 1),
        };
        let note =
            "the snapshot says of these records that not all of them are there as they were, and not which".to_owned();
        found.push(Finding { at_least: true, note: Some(note), ..finding(facing.source.index, class, count, span) });
    }
}
