//! Asking for groups of readers and for what they need to be judged: ends, the records ahead of them, what
//! retention is about to remove.

use super::LogSide;
use paritas_connect::Result;
use paritas_connect::logs::{Ends, Group, Isolation, Partition, Range, RecordSink, Records, Settings, Survey, Want};
use paritas_logs::ages::{Ahead, Found};
use paritas_logs::readers::{Expiry, GroupLag, Readers, Round};
use paritas_model::Known;
use std::collections::{BTreeMap, BTreeSet};

/// Positions ahead of which one record is looked at, in one round. Beyond it ages have no lower end.
const AHEAD_MAX: usize = 1_000;
/// Offsets behind a position in which a record is looked for.
const AHEAD_OFFSETS: u64 = 100;

/// What is known of a side before its groups are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Its logs.
    pub survey: &'a Survey,
    /// Their settings.
    pub settings: &'a BTreeMap<String, Known<Settings>>,
    /// Our clock now, in milliseconds since 1970.
    pub wall: i64,
}

/// Asks for the groups that are taken, judges them, and remembers what was seen.
///
/// # Errors
/// When groups or ends cannot be asked for at all. What is missing of single ones is part of the answer.
pub async fn groups(
    side: &LogSide,
    readers: &mut Readers,
    known: &Beside<'_>,
    takes: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<Vec<GroupLag>> {
    let (logs, cx) = (&side.logs, &side.cx);
    let groups = cx.bound(logs.groups(cx, None)).await?;
    let groups: Vec<Group> = groups.into_iter().filter(|group| takes(&group.name)).collect();
    let wanted: BTreeSet<Partition> = groups.iter().flat_map(|group| Readers::interest(group, known.survey)).collect();
    let wanted: Vec<Partition> = wanted.into_iter().collect();
    let answers = cx.bound(logs.ends(cx, &wanted)).await?;
    let ends: BTreeMap<Partition, Known<Ends>> = wanted.into_iter().zip(answers).collect();
    let expiry = expiries(&ends, known.settings);
    let behind = behind(&groups, &ends);
    let (ahead, expiring) = tokio::join!(ahead(side, &behind, &ends), expiring(side, &behind, &expiry, readers, known));
    let round = Round {
        survey: known.survey,
        groups: &groups,
        ends: &ends,
        ahead: &ahead,
        expiring: &expiring,
        expiry: &expiry,
    };
    Ok(readers.round(&round))
}

fn expiries(
    ends: &BTreeMap<Partition, Known<Ends>>,
    settings: &BTreeMap<String, Known<Settings>>,
) -> BTreeMap<String, Expiry> {
    let logs: BTreeSet<&String> = ends.keys().map(|partition| &partition.log).collect();
    logs.into_iter().filter_map(|log| Some((log.clone(), Expiry::of(settings.get(log)?.value()?)?))).collect()
}

/// Positions of groups that lie before the end, each once.
fn behind(groups: &[Group], ends: &BTreeMap<Partition, Known<Ends>>) -> BTreeSet<(Partition, u64)> {
    let commits = groups.iter().filter_map(|group| group.offsets.value()).flatten();
    let positions = commits.map(|(partition, committed)| (partition.clone(), committed.offset));
    let lies_before = |(partition, offset): &(Partition, u64)| {
        ends.get(partition).and_then(Known::value).is_some_and(|ends| (ends.start..ends.stable).contains(offset))
    };
    positions.filter(lies_before).take(AHEAD_MAX).collect()
}

/// The first record at or behind each position.
async fn ahead(
    side: &LogSide,
    behind: &BTreeSet<(Partition, u64)>,
    ends: &BTreeMap<Partition, Known<Ends>>,
) -> BTreeMap<(Partition, u64), Ahead> {
    let stable = |partition: &Partition| ends.get(partition).and_then(Known::value).map_or(0, |ends| ends.stable);
    let range = |(partition, from): &(Partition, u64)| Range {
        partition: partition.clone(),
        from: *from,
        to: stable(partition).min(from.saturating_add(AHEAD_OFFSETS)),
        isolation: Isolation::Committed,
    };
    let ranges: Vec<Range> = behind.iter().map(range).collect();
    if ranges.is_empty() {
        return BTreeMap::new();
    }
    let mut firsts = Firsts { found: vec![None; ranges.len()] };
    let cx = &side.cx;
    // Without them ages have no lower end, and nothing else is missing.
    let Ok(reads) = cx.bound(side.logs.read(cx, &ranges, &mut firsts)).await else { return BTreeMap::new() };
    let seen = behind.iter().zip(&ranges).zip(firsts.found.iter().zip(&reads));
    seen.map(|((place, range), (first, read))| {
        // What lies behind the first record was not looked at.
        let to = first.map_or(read.next.min(range.to), |first| first.offset.saturating_add(1));
        let records = u64::from(first.is_some());
        (place.clone(), Ahead { isolation: range.isolation, to, first: *first, records })
    })
    .collect()
}

/// The first record of each range.
struct Firsts {
    found: Vec<Option<Found>>,
}

impl RecordSink for Firsts {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        if let (Some(slot), Some(first)) = (self.found.get_mut(range), records.get(0))
            && slot.is_none()
        {
            *slot = Some(Found { offset: first.offset, timestamp: first.timestamp, appended: first.appended });
        }
        Ok(Want::Enough)
    }
}

/// For partitions whose records age removes: the first offset whose record stays for longer than the horizon.
async fn expiring(
    side: &LogSide,
    behind: &BTreeSet<(Partition, u64)>,
    expiry: &BTreeMap<String, Expiry>,
    readers: &Readers,
    known: &Beside<'_>,
) -> BTreeMap<Partition, u64> {
    let horizon = readers.limits().horizon;
    let partitions: BTreeSet<&Partition> = behind.iter().map(|(partition, _)| partition).collect();
    let wanted: Vec<(Partition, i64)> = partitions
        .into_iter()
        .filter_map(|partition| {
            let age = expiry.get(&partition.log)?.age?;
            let stays = i64::try_from(age.saturating_sub(horizon).as_millis()).ok()?;
            Some((partition.clone(), known.wall.saturating_sub(stays)))
        })
        .collect();
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    let cx = &side.cx;
    // Without them nobody is warned of what retention will remove; `retention` is absent then.
    let Ok(found) = cx.bound(side.logs.offsets_at(cx, &wanted)).await else { return BTreeMap::new() };
    let found = wanted.into_iter().zip(found);
    // Where no record is that young, all of them go.
    found.filter_map(|((partition, _), offset)| Some((partition, offset.value()?.unwrap_or(u64::MAX)))).collect()
}
