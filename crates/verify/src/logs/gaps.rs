//! Reading the gaps between chains and handing them to whoever explains them.

use super::load::{Failure, Loaded, Wish, load};
use super::pair::Pair;
use super::request::Request;
use paritas_logs::content::{
    Beside, Chain, Explainer, Gap, Id, Lie, Neighbours, Of, Plan, READ_MAX, Seen, Slice, Spot, State, Stretch, Wanted,
    align,
};
use std::collections::HashSet;
use std::ops::Range;

/// Goes through gaps.
pub(super) struct Walk<'a, 'b> {
    request: &'a Request<'b>,
    pairs: &'a [Pair<'b>],
    besides: &'a [Option<Beside<'a>>],
    explainer: &'a mut Explainer,
    /// Pairs of which something could not be read.
    pub(super) failures: Vec<(usize, Failure)>,
    /// Gaps that are to be read together.
    waiting: Vec<(usize, Plan)>,
}

impl<'a, 'b> Walk<'a, 'b> {
    /// Nothing is read yet.
    pub(super) fn new(
        request: &'a Request<'b>,
        pairs: &'a [Pair<'b>],
        besides: &'a [Option<Beside<'a>>],
        explainer: &'a mut Explainer,
    ) -> Self {
        Self { request, pairs, besides, explainer, failures: Vec::new(), waiting: Vec::new() }
    }

    fn pair(&self, index: usize) -> Option<(&'a Pair<'b>, &'a Beside<'a>)> {
        Some((self.pairs.get(index)?, self.besides.get(index)?.as_ref()?))
    }

    /// Takes gaps of a pair in. As many as may be held at a time are read together.
    pub(super) async fn gaps(&mut self, index: usize, gaps: impl IntoIterator<Item = &'a Gap>) {
        let Some((pair, beside)) = self.pair(index) else { return };
        for gap in gaps {
            let plan = beside.plan(gap, pair.fence);
            if plan.long {
                self.long(index, &plan).await;
                continue;
            }
            self.waiting.push((index, plan));
            let held = |(_, plan): &(usize, Plan)| records(&plan.source) + records(&plan.replica);
            if self.waiting.iter().map(held).sum::<u64>() >= READ_MAX {
                self.flush().await;
            }
        }
    }

    /// Reads the gaps that wait.
    pub(super) async fn flush(&mut self) {
        let plans = std::mem::take(&mut self.waiting);
        let wish = |(index, plan): &(usize, Plan)| {
            let pair = self.pairs.get(*index)?;
            Some(Wish {
                source: &pair.source,
                replica: &pair.replica,
                source_slices: plan.source.clone(),
                replica_slices: plan.replica.clone(),
            })
        };
        let wishes: Vec<Wish<'_>> = plans.iter().filter_map(wish).collect();
        if wishes.is_empty() {
            return;
        }
        let loaded = load(self.request, &wishes).await;
        for ((index, plan), loaded) in plans.iter().zip(loaded) {
            match loaded {
                Ok(loaded) => self.one(*index, plan, &loaded).await,
                Err(failure) => self.failures.push((*index, failure)),
            }
        }
    }

    async fn one(&mut self, index: usize, plan: &Plan, loaded: &Loaded) {
        let Some((_, beside)) = self.pair(index) else { return };
        if !plan.wholes.is_empty() && !all_found(plan, loaded) {
            // What faces the middle of a long stretch is not at its ends: the middle is read as well.
            return self.long(index, plan).await;
        }
        plan.copied.iter().for_each(|copied| self.explainer.copied(index, copied));
        self.explainer.gap(&Stretch {
            partition: index,
            source: &loaded.source,
            replica: &loaded.replica,
            before: plan.before,
            behind: plan.behind,
            lie: plan.lie,
        });
        for (of, segments) in &plan.wholes {
            let whole = beside.whole(index, *of, segments, plan);
            whole.into_iter().for_each(|whole| self.explainer.whole(whole));
        }
    }

    /// Reads a long gap piece by piece, each up to the last record that both sides have.
    async fn long(&mut self, index: usize, plan: &Plan) {
        let Some((pair, beside)) = self.pair(index) else { return };
        let (Some(source), Some(replica)) = (pair.source.closed(), pair.replica.closed()) else { return };
        let mut rest = plan.gap.clone();
        let mut held = Loaded::default();
        let (mut before, mut lie) = (plan.before, Lie { meets_behind: false, ..plan.lie });
        // Every round reads a segment or is the last but a few that let go of what is held.
        let rounds_max = 2 * (rest.source.len() + rest.replica.len()) + 64;
        for round in 0..rounds_max {
            let slices = |of: Of, segments: Option<Range<usize>>, end: usize| -> Vec<Slice> {
                segments.map(|segments| beside.slice(of, &segments, end)).into_iter().collect()
            };
            let ours = more(source, &mut rest.source, held.source.len(), round == 0);
            let theirs = more(replica, &mut rest.replica, held.replica.len(), false);
            let wish = Wish {
                source: &pair.source,
                replica: &pair.replica,
                source_slices: slices(Of::Source, ours, plan.gap.source.end),
                replica_slices: slices(Of::Replica, theirs, plan.gap.replica.end),
            };
            match load(self.request, &[wish]).await.pop() {
                Some(Ok(loaded)) => {
                    held.source.extend(loaded.source);
                    held.replica.extend(loaded.replica);
                }
                Some(Err(failure)) => return self.failures.push((index, failure)),
                None => return,
            }
            let last = rest.source.is_empty() && rest.replica.is_empty();
            let part = if last { held.all() } else { held.part(lie, &rest) };
            self.explainer.gap(&Stretch {
                partition: index,
                source: held.source.get(..part.source).unwrap_or_default(),
                replica: held.replica.get(..part.replica).unwrap_or_default(),
                before,
                behind: plan.behind.filter(|_| last),
                lie: Lie { meets_behind: part.met || last && plan.lie.meets_behind, ..lie },
            });
            if last {
                return;
            }
            if part.met {
                before = held.neighbours(&part).or(before);
                lie = Lie::default();
            }
            held.source.drain(..part.source);
            held.replica.drain(..part.replica);
        }
    }

    /// Looks for the originals of records that nothing explains.
    pub(super) async fn copies(&mut self) {
        for Wanted { partition, ids, source, replica } in self.explainer.wanted() {
            let Some((pair, beside)) = self.pair(partition) else { continue };
            let ids: HashSet<Id> = ids.into_iter().collect();
            let parts = |of: Of, records: &Range<u64>| -> Vec<(Of, Range<usize>)> {
                let all = if records.is_empty() { Vec::new() } else { parts(beside, of, records) };
                all.into_iter().map(|segments| (of, segments)).collect()
            };
            for (of, segments) in parts(Of::Source, &source).into_iter().chain(parts(Of::Replica, &replica)) {
                let slices = vec![beside.slice(of, &segments, segments.end)];
                let (source_slices, replica_slices) =
                    if of == Of::Source { (slices, Vec::new()) } else { (Vec::new(), slices) };
                let wish = Wish { source: &pair.source, replica: &pair.replica, source_slices, replica_slices };
                match load(self.request, &[wish]).await.pop() {
                    Some(Ok(loaded)) => {
                        let known = |seen: &&Seen| ids.contains(&seen.id);
                        loaded.source.iter().filter(known).for_each(|seen| self.explainer.around(partition, seen));
                        loaded.replica.iter().filter(known).for_each(|seen| self.explainer.before(partition, seen));
                    }
                    Some(Err(failure)) => {
                        self.failures.push((partition, failure));
                        break;
                    }
                    None => {}
                }
            }
        }
    }
}

/// Whole segments that hold some records, in parts that may be read in one go.
fn parts(beside: &Beside<'_>, of: Of, records: &Range<u64>) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for index in beside.segments(of, records) {
        let held = |from: usize| beside.number(of, index).saturating_sub(beside.number(of, from));
        match parts.last_mut() {
            Some(last) if held(last.start) < READ_MAX => last.end = index + 1,
            _ => parts.push(index..index + 1),
        }
    }
    parts
}

fn records(slices: &[Slice]) -> u64 {
    slices.iter().map(|slice| slice.records).sum()
}

/// The next segments to read, so that about as many records are held as may be; `anyway` where there is none, for
/// what is not committed.
fn more(chain: &Chain, rest: &mut Range<usize>, held: usize, anyway: bool) -> Option<Range<usize>> {
    let mut records = held as u64;
    let mut end = rest.start;
    while end < rest.end && records < READ_MAX {
        records = records.saturating_add(chain.get(end).map_or(0, |segment| segment.records));
        end += 1;
    }
    let next = rest.start..end;
    rest.start = end;
    (anyway || !next.is_empty()).then_some(next)
}

/// How much of what is held is let go of.
struct LetGo {
    source: usize,
    replica: usize,
    /// Whether it ends with a record that both sides have.
    met: bool,
}

impl Loaded {
    fn all(&self) -> LetGo {
        LetGo { source: self.source.len(), replica: self.replica.len(), met: false }
    }

    /// Everything up to the last record that both sides have; where they have none, half of what is held of a side
    /// of which there is more.
    fn part(&self, lie: Lie, rest: &Gap) -> LetGo {
        let (kept, source) = self.settled();
        let runs = align(&source, &names(&self.replica), lie).runs;
        if let Some(last) = runs.last() {
            let source = (last.source + last.len).checked_sub(1).and_then(|at| kept.get(at)).map_or(0, |at| at + 1);
            return LetGo { source, replica: last.replica + last.len, met: true };
        }
        let half = |len: usize, rest: &Range<usize>| if rest.is_empty() { 0 } else { len.div_ceil(2) };
        let (source, replica) = (half(self.source.len(), &rest.source), half(self.replica.len(), &rest.replica));
        LetGo { source, replica, met: false }
    }

    /// Records of the source that are not aborted: their places, and their names.
    fn settled(&self) -> (Vec<usize>, Vec<Id>) {
        let kept = self.source.iter().enumerate().filter(|(_, seen)| seen.state != State::Aborted);
        kept.map(|(at, seen)| (at, seen.id)).unzip()
    }

    /// The last record that is let go of.
    fn neighbours(&self, part: &LetGo) -> Option<Neighbours> {
        let spot = |seen: &Seen| Spot { ordinal: seen.ordinal, offset: seen.offset };
        let source = self.source.get(part.source.checked_sub(1)?)?;
        let replica = self.replica.get(part.replica.checked_sub(1)?)?;
        Some(Neighbours { source: spot(source), replica: spot(replica) })
    }
}

fn names(records: &[Seen]) -> Vec<Id> {
    records.iter().map(|seen| seen.id).collect()
}

/// Whether everything of the short side of a gap was found at the ends of the long one.
fn all_found(plan: &Plan, loaded: &Loaded) -> bool {
    let (_, source) = loaded.settled();
    let matched: usize = align(&source, &names(&loaded.replica), plan.lie).runs.iter().map(|run| run.len).sum();
    let committed = loaded.source.iter().filter(|seen| seen.state == State::Committed).count();
    match plan.wholes.first() {
        Some((Of::Source, _)) => matched == loaded.replica.len(),
        Some((Of::Replica, _)) => matched >= committed,
        None => true,
    }
}
