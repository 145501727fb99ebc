//! Which writes were acknowledged: all of the latest, fewer and fewer of those before, in bounded room.

use crate::clock::Moment;
use serde::{Deserialize, Serialize};

/// So many are kept; of the older half every second one goes when there are more.
const KEPT_MAX: usize = 512;

/// A write that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Its number; numbers only grow.
    pub sequence: u64,
    /// How many were acknowledged up to this one.
    pub count: u64,
    /// When it was sent.
    pub sent: Moment,
    /// When its acknowledgement came.
    pub acknowledged: Moment,
}

/// Acknowledged writes, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beats {
    kept: Vec<Beat>,
    count: u64,
}

/// What lies behind the last write that survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Acknowledged writes that are gone, at least.
    pub(crate) least: u64,
    /// The same, at most.
    pub(crate) most: u64,
    /// The first kept one that is gone, and the last one.
    pub(crate) gone: Option<(Beat, Beat)>,
    /// The last kept one that survived.
    pub(crate) survived: Option<Beat>,
}

impl Beats {
    /// Adds a write, which is later than all before.
    pub(crate) fn push(&mut self, sequence: u64, sent: Moment, acknowledged: Moment) {
        self.count = self.count.saturating_add(1);
        self.kept.push(Beat { sequence, count: self.count, sent, acknowledged });
        if self.kept.len() > KEPT_MAX {
            let half = KEPT_MAX / 2;
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index > half || index % 2 == 1
            });
        }
    }

    /// Counts writes that were acknowledged and are not kept.
    pub(crate) fn skip(&mut self, count: u64) {
        self.count = self.count.saturating_add(count);
    }

    /// How many were acknowledged.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last one.
    pub fn last(&self) -> Option<&Beat> {
        self.kept.last()
    }

    /// What is gone when this number is the last one that survived; `None` when not even the first one did.
    pub(crate) fn behind(&self, survivor: Option<u64>) -> Behind {
        let survives = |beat: &&Beat| survivor.is_some_and(|survivor| beat.sequence <= survivor);
        let survived = self.kept.iter().rev().find(survives).copied();
        let first = self.kept.iter().find(|beat| !survives(beat)).copied();
        let gone = first.zip(self.kept.last().copied());
        let most = self.count.saturating_sub(survived.map_or(0, |beat| beat.count));
        match gone {
            // Those that are not kept any more lie between one that survived and one that did not.
            Some((first, _)) => {
                Behind { least: self.count.saturating_sub(first.count).saturating_add(1), most, gone, survived }
            }
            None => Behind { least: 0, most: 0, gone: None, survived },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(ns: u64) -> Moment {
        Moment { clock: 0, ns }
    }

    proptest! {
        #[test]
        fn what_is_gone_lies_within_the_bounds_however_many_there_were(steps in proptest::collection::vec(1_u64..4, 0..3_000), cut in 0_u64..10_000) {
            let (mut beats, mut sequence, mut all) = (Beats::default(), 0, Vec::new());
            for step in steps {
                sequence += step;
                beats.push(sequence, moment(sequence * 10), moment(sequence * 10 + 5));
                all.push(sequence);
            }
            prop_assert!(beats.kept.len() <= KEPT_MAX && beats.count() == all.len() as u64);
            for survivor in [None, Some(cut)] {
                let behind = beats.behind(survivor);
                let lost: Vec<u64> = all.iter().copied().filter(|n| survivor.is_none_or(|survivor| *n > survivor)).collect();
                prop_assert!(behind.least <= lost.len() as u64 && lost.len() as u64 <= behind.most, "{:?} {}", behind, lost.len());
                prop_assert_eq!(behind.gone.is_some(), !lost.is_empty());
                if let (Some((first, last)), Some(least)) = (behind.gone, lost.first()) {
                    prop_assert!(first.sequence >= *least && Some(&last.sequence) == all.last());
                }
                if let Some(survived) = behind.survived {
                    prop_assert!(survivor.is_some_and(|survivor| survived.sequence <= survivor));
                }
                if all.len() <= KEPT_MAX {
                    prop_assert_eq!((behind.least, behind.most), (lost.len() as u64, lost.len() as u64));
                }
            }
        }
    }
}
