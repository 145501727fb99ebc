//! What consecutive pairs of offsets say about the way between them.

use paritas_connect::logs::{Partition, Sync};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened between two pairs of offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The source went further than the replica: so many offsets of the source have no record on the
    /// replica. Records may be missing there; markers, aborted and compacted records look the same.
    Hole,
    /// The replica went further than the source: records came twice, or others wrote, or transactions of the
    /// mirror left markers.
    Surplus,
    /// The source went back: its log was made anew or cut.
    Back,
}

/// Two consecutive pairs of offsets of one partition that did not go on alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStep {
    /// The partition, by its name on the source.
    pub partition: Partition,
    /// The earlier pair: offset on the source, offset on the replica.
    pub from: (i64, i64),
    /// The later one.
    pub to: (i64, i64),
    /// What happened in between.
    pub kind: StepKind,
    /// By how many offsets they differ.
    pub by: u64,
}

/// Steps between pairs of offsets of which source and replica did not go on alike. Pairs of different logs
/// of syncs are not compared.
pub fn steps(syncs: &[Sync]) -> Vec<SyncStep> {
    let mut last: BTreeMap<(&str, &Partition), &Sync> = BTreeMap::new();
    let mut found = Vec::new();
    for sync in syncs {
        let Some(before) = last.insert((sync.held_in.as_str(), &sync.partition), sync) else { continue };
        let upstream = i128::from(sync.upstream) - i128::from(before.upstream);
        let downstream = i128::from(sync.downstream) - i128::from(before.downstream);
        let kind = match upstream {
            ..0 => StepKind::Back,
            _ if upstream > downstream => StepKind::Hole,
            _ if upstream < downstream => StepKind::Surplus,
            _ => continue,
        };
        let by = if kind == StepKind::Back { upstream } else { upstream - downstream };
        found.push(SyncStep {
            partition: sync.partition.clone(),
            from: (before.upstream, before.downstream),
            to: (sync.upstream, sync.downstream),
            kind,
            by: u64::try_from(by.unsigned_abs()).unwrap_or(u64::MAX),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn sync(partition: i32, upstream: i64, downstream: i64) -> Sync {
        Sync {
            held_in: "mm2-offset-syncs.B.internal".into(),
            alias: Some("B".into()),
            partition: Partition::new("orders", partition),
            upstream,
            downstream,
        }
    }

    #[rstest]
    #[case::alike((100, 100), (200, 200), None)]
    #[case::alike_from_elsewhere((100, 7), (200, 107), None)]
    #[case::the_same_pair_again((100, 100), (100, 100), None)]
    #[case::records_were_removed_before_the_mirror_read_them((100, 100), (151, 101), Some((StepKind::Hole, 50)))]
    #[case::a_run_came_twice((100, 100), (110, 160), Some((StepKind::Surplus, 50)))]
    #[case::the_log_was_made_anew((100, 100), (0, 101), Some((StepKind::Back, 100)))]
    #[case::extremes((i64::MIN, i64::MAX), (i64::MAX, i64::MIN), Some((StepKind::Hole, u64::MAX)))]
    fn pairs_that_do_not_go_on_alike_are_told(
        #[case] from: (i64, i64),
        #[case] to: (i64, i64),
        #[case] expected: Option<(StepKind, u64)>,
    ) {
        let found = steps(&[sync(0, from.0, from.1), sync(1, 5, 5), sync(0, to.0, to.1)]);
        assert_eq!(found.first().map(|step| (step.kind, step.by)), expected);
        assert!(found.len() <= 1 && found.iter().all(|step| step.partition.index == 0));
    }

    proptest! {
        #[test]
        fn a_mirror_that_skips_nothing_leaves_no_step(begin in 0_i64..1_000, advances in prop::collection::vec(0_i64..500, 0..30)) {
            let mut upstream = begin;
            let syncs: Vec<Sync> = advances.iter().map(|advance| { upstream += advance; sync(0, upstream, upstream - begin) }).collect();
            prop_assert!(steps(&syncs).is_empty());
        }

        #[test]
        fn holes_add_up_to_what_was_skipped(skips in prop::collection::vec((1_i64..100, 0_i64..50), 1..30)) {
            let (mut upstream, mut downstream) = (0, 0);
            let mut syncs = vec![sync(0, 0, 0)];
            for (copied, skipped) in &skips {
                upstream += copied + skipped;
                downstream += copied;
                syncs.push(sync(0, upstream, downstream));
            }
            let sum: u64 = steps(&syncs).iter().map(|step| step.by).sum();
            prop_assert_eq!(sum, skips.iter().map(|(_, skipped)| *skipped as u64).sum::<u64>());
        }
    }
}
