//! What proves that a log still has the records that were read of it.
//!
//! A leadership never takes back what it appended, and appends to each offset once. So a record is told from every
//! other that ever stood at its offset by the leadership under which it was appended, and two logs that agree about it
//! agree about everything before: whoever follows a leader gives up what that one has not.

use super::{Isolation, Logs, Partition, Range, RecordSink, Records, Want};
use crate::{Context, Error, FailureKind, Result};
use serde::{Deserialize, Serialize};

/// Readings that are divided because one record of them cannot be read, at most.
const DIVISIONS_MAX: usize = 1 << 16;

/// A record, by its offset and the leadership under which it was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Where it stands.
    pub offset: u64,
    /// The number of the leadership.
    pub epoch: i32,
}

/// A partition and the record that it should still have.
pub type Anchored = (Partition, Anchor);

/// Which of these partitions still have their record, so that nothing before it was lost at the end of a log and
/// replaced. One that cannot be read says that it has not.
///
/// # Errors
/// What keeps the store from being read at all.
pub async fn still_there(
    cx: &Context,
    logs: &dyn Logs,
    isolation: Isolation,
    wanted: &[Anchored],
) -> Result<Vec<bool>> {
    let mut there = vec![false; wanted.len()];
    let mut open = vec![(0, wanted.len())];
    for _ in 0..DIVISIONS_MAX {
        let Some((from, to)) = open.pop() else { return Ok(there) };
        let part = wanted.get(from..to).filter(|part| !part.is_empty());
        let Some(part) = part else { continue };
        match read(cx, logs, isolation, part).await {
            Ok(found) => {
                for ((slot, found), (_, anchor)) in there.iter_mut().skip(from).zip(found).zip(part) {
                    *slot = found == Some(*anchor);
                }
            }
            Err(error) if error.is_transient() || concerns_all(&error) => return Err(error),
            Err(_) if part.len() == 1 => {}
            Err(_) => {
                let middle = from + part.len() / 2;
                open.extend([(from, middle), (middle, to)]);
            }
        }
    }
    Ok(there)
}

fn concerns_all(error: &Error) -> bool {
    matches!(error.kind(), FailureKind::Cancelled | FailureKind::Deadline)
}

async fn read(cx: &Context, logs: &dyn Logs, isolation: Isolation, wanted: &[Anchored]) -> Result<Vec<Option<Anchor>>> {
    let range = |(partition, anchor): &Anchored| Range {
        partition: partition.clone(),
        from: anchor.offset,
        to: anchor.offset.saturating_add(1),
        isolation,
    };
    let ranges: Vec<Range> = wanted.iter().map(range).collect();
    let mut seen = Seen(vec![None; wanted.len()]);
    cx.bound(logs.read(cx, &ranges, &mut seen)).await?;
    Ok(seen.0)
}

/// The last record of each range.
struct Seen(Vec<Option<Anchor>>);

impl RecordSink for Seen {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        if let Some(slot) = self.0.get_mut(range) {
            *slot = last_of(records);
        }
        Ok(Want::More)
    }
}

/// The last of some records, where its leadership is known.
pub fn last_of(records: &dyn Records) -> Option<Anchor> {
    let last = records.len().checked_sub(1)?;
    Some(Anchor { offset: records.get(last)?.offset, epoch: records.epoch(last)? })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::logs::{Fate, MemoryLogs, MemoryRecord};

    #[tokio::test]
    async fn a_record_that_was_replaced_or_is_gone_is_not_the_one_that_was_read() {
        let logs = MemoryLogs::new();
        logs.create("a", 3);
        let at = |index| Partition::new("a", index);
        let fill = |index, count| {
            for _ in 0..count {
                logs.append(&at(index), MemoryRecord::default(), Fate::Committed);
            }
        };
        (0..3).for_each(|index| fill(index, 5));
        let wanted: Vec<Anchored> = (0..3).map(|index| (at(index), Anchor { offset: 4, epoch: 0 })).collect();
        let still = async || still_there(&Context::default(), &logs, Isolation::Committed, &wanted).await.unwrap();
        assert_eq!(still().await, [true, true, true]);
        // Another leader had less, and got other records: the same ones by their content.
        logs.truncate(&at(0), 3);
        fill(0, 9);
        // One that had everything.
        logs.truncate(&at(1), 5);
        fill(1, 9);
        logs.truncate(&at(2), 3);
        assert_eq!(still().await, [false, true, false]);
    }
}
