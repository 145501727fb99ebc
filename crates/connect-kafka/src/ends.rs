//! Where partitions begin and end, and the offsets of times: one request a broker for each.

use crate::bindings::{Fault, OffsetSeen, Request, Spec, Wanted};
use crate::client::{Answer, Line, SLICE, why};
use crate::errors::On;
use crate::url::is_topic_name;
use crate::{codes, survey};
use paritas_connect::logs::{Ends, Partition};
use paritas_connect::{Context, Result};
use paritas_model::Known;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Partitions whose leader is being moved are asked again, this often in all.
const ATTEMPTS_MAX: usize = 4;

const DOING: &str = "ask for offsets";

/// Where these partitions begin and end, in their order. Blocks.
///
/// A start is asked for first and an end last, and answered in that order by each broker; so a start is never
/// behind a stable end, nor that behind the end.
pub(crate) fn ends(line: &Line, cx: &Context, partitions: &[Partition]) -> Result<Vec<Known<Ends>>> {
    let mut found: BTreeMap<&Partition, Known<Ends>> = BTreeMap::new();
    let mut wanted: BTreeSet<&Partition> = partitions.iter().filter(|partition| can_be(partition)).collect();
    for attempt in 1..=ATTEMPTS_MAX {
        if wanted.is_empty() {
            break;
        }
        let list: Vec<_> = wanted.iter().map(|partition| Wanted { partition, time: 0 }).collect();
        let specs = [Spec::Start, Spec::Stable, Spec::End];
        let requests = specs.map(|spec| Request::Offsets(&list, spec));
        let asked = Instant::now();
        let answers = line.ask(cx, DOING, &requests)?;
        let answered = Instant::now();
        let mut by_spec = answers.iter().map(|answer| offsets(line, cx, answer, &list));
        let mut next = || by_spec.next().unwrap_or_else(|| Ok(BTreeMap::new()));
        let (mut starts, mut stables, mut tails) = (next()?, next()?, next()?);
        for one in &list {
            let partition = one.partition;
            let take = |from: &mut Found| from.remove(partition).unwrap_or_else(|| Err(Fault::of(codes::NO_ENTRY)));
            let both = (take(&mut starts), take(&mut stables), take(&mut tails));
            match together(both, asked, answered) {
                Err(fault) if codes::leader_moves(fault.code) && attempt < ATTEMPTS_MAX => continue,
                Err(fault) => found.insert(partition, Known::unknown(why(&line.asker, &fault, partition))),
                Ok(ends) => found.insert(partition, Known::Known(ends)),
            };
            wanted.remove(partition);
        }
        if !wanted.is_empty() {
            line.begin_afresh();
            std::thread::sleep(SLICE);
        }
    }
    let lost = |partition| Known::unknown(why(&line.asker, &Fault::of(codes::INVALID_TOPIC), partition));
    Ok(partitions.iter().map(|partition| found.get(partition).cloned().unwrap_or_else(|| lost(partition))).collect())
}

/// Whether there can be such a partition.
fn can_be(partition: &Partition) -> bool {
    is_topic_name(&partition.log) && partition.index >= 0
}

type Found = BTreeMap<Partition, Result<OffsetSeen, Fault>>;

/// One answer by partition. A request that found no leader at all is looked into.
fn offsets(line: &Line, cx: &Context, answer: &Answer, wanted: &[Wanted<'_>]) -> Result<Found> {
    match answer.event.offsets() {
        Ok(seen) => Ok(seen
            .into_iter()
            .map(|seen| match &seen.offset {
                Ok(_) => (seen.partition.clone(), Ok(seen)),
                Err(fault) => (seen.partition.clone(), Err(fault.clone())),
            })
            .collect()),
        Err(fault) if fault.code == codes::NO_ENTRY => leaderless(line, cx, wanted),
        Err(fault) if codes::leader_moves(fault.code) && !codes::is_connection(fault.code) => {
            Ok(wanted.iter().map(|one| (one.partition.clone(), Err(fault.clone()))).collect())
        }
        Err(fault) => Err(line.failed(cx, DOING, &fault, "Describe", On::Cluster)),
    }
}

/// Why none of these partitions has a leader.
fn leaderless(line: &Line, cx: &Context, wanted: &[Wanted<'_>]) -> Result<Found> {
    let names: Vec<String> =
        wanted.iter().map(|one| &one.partition.log).collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let topics = survey::topics(line, cx, &names)?;
    let fault = |partition: &Partition| {
        let topic = topics.iter().find(|topic| topic.name == partition.log);
        let Some(topic) = topic else { return Fault::of(codes::UNKNOWN_TOPIC) };
        match &topic.fault {
            Some(fault) => fault.clone(),
            None if topic.partitions.iter().all(|state| state.index != partition.index) => {
                Fault::of(codes::LOCAL_UNKNOWN_PARTITION)
            }
            None => Fault::of(codes::LEADER_NOT_AVAILABLE),
        }
    };
    Ok(wanted.iter().map(|one| (one.partition.clone(), Err(fault(one.partition)))).collect())
}

type Triple = (Result<OffsetSeen, Fault>, Result<OffsetSeen, Fault>, Result<OffsetSeen, Fault>);

fn together((start, stable, end): Triple, asked: Instant, answered: Instant) -> Result<Ends, Fault> {
    let (start, stable, end) = (start?, stable?, end?);
    let number = |seen: &OffsetSeen| {
        let offset = seen.offset.clone()?;
        u64::try_from(offset).map_err(|_| Fault::of(codes::OFFSET_OUT_OF_RANGE))
    };
    let (first, decided, last) = (number(&start)?, number(&stable)?, number(&end)?);
    // Asked by several requests. A start beyond the end means that the end has moved there meanwhile.
    let last = last.max(first);
    Ok(Ends { start: first, end: last, stable: decided.clamp(first, last), epoch: end.epoch, asked, answered })
}

/// The first offsets of these times, in their order. Blocks.
pub(crate) fn offsets_at(line: &Line, cx: &Context, wanted: &[(Partition, i64)]) -> Result<Vec<Known<Option<u64>>>> {
    let mut results: Vec<Option<Known<Option<u64>>>> = wanted.iter().map(|_| None).collect();
    // A request takes every partition once.
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut seen: BTreeMap<&Partition, usize> = BTreeMap::new();
    for (index, (partition, _)) in wanted.iter().enumerate().filter(|(_, (partition, _))| can_be(partition)) {
        let round = seen.entry(partition).or_default();
        if rounds.len() <= *round {
            rounds.push(Vec::new());
        }
        if let Some(members) = rounds.get_mut(*round) {
            members.push(index);
        }
        *round += 1;
    }
    for round in rounds {
        times(line, cx, wanted, round, &mut results)?;
    }
    let lost = |partition| Known::unknown(why(&line.asker, &Fault::of(codes::INVALID_TOPIC), partition));
    let all = results.into_iter().zip(wanted);
    Ok(all.map(|(result, (partition, _))| result.unwrap_or_else(|| lost(partition))).collect())
}

fn times(
    line: &Line,
    cx: &Context,
    wanted: &[(Partition, i64)],
    mut round: Vec<usize>,
    results: &mut [Option<Known<Option<u64>>>],
) -> Result<()> {
    for attempt in 1..=ATTEMPTS_MAX {
        let of = |index: &usize| wanted.get(*index).map(|(partition, time)| Wanted { partition, time: *time });
        let list: Vec<_> = round.iter().filter_map(of).collect();
        let answer = survey::one(line.ask(cx, DOING, &[Request::Offsets(&list, Spec::Time)])?)?;
        let mut found = offsets(line, cx, &answer, &list)?;
        let mut again = Vec::new();
        for (index, one) in round.iter().zip(&list) {
            let seen = found.remove(one.partition).unwrap_or_else(|| Err(Fault::of(codes::NO_ENTRY)));
            let result = match seen.and_then(|seen| seen.offset) {
                Err(fault) if codes::leader_moves(fault.code) && attempt < ATTEMPTS_MAX => {
                    again.push(*index);
                    continue;
                }
                Err(fault) => Known::unknown(why(&line.asker, &fault, one.partition)),
                Ok(offset) => Known::Known(u64::try_from(offset).ok()),
            };
            if let Some(slot) = results.get_mut(*index) {
                *slot = Some(result);
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        round = again;
        line.begin_afresh();
        std::thread::sleep(SLICE);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(offset: i64) -> Result<OffsetSeen, Fault> {
        Ok(OffsetSeen { partition: Partition::new("a", 0), offset: Ok(offset), epoch: Some(3) })
    }

    proptest! {
        #[test]
        fn a_start_is_never_behind_a_stable_end_nor_that_behind_the_end(
            start in 0_i64..100, stable in 0_i64..100, end in 0_i64..100,
        ) {
            let now = Instant::now();
            let ends = together((seen(start), seen(stable), seen(end)), now, now).unwrap();
            prop_assert!(ends.start <= ends.stable && ends.stable <= ends.end, "{ends:?}");
            prop_assert_eq!(ends.start, start as u64);
            prop_assert!(start > end || ends.end == end as u64);
            prop_assert!(!(start..=end).contains(&stable) || ends.stable == stable as u64);
        }
    }

    #[test]
    fn an_offset_that_is_none_is_no_number() {
        let now = Instant::now();
        assert!(together((seen(-1), seen(0), seen(0)), now, now).is_err());
    }
}
