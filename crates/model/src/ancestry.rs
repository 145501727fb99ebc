//! Histories of PostgreSQL clusters: which timelines a server came along, and where two servers parted.
//!
//! Source: PostgreSQL's `timeline.c` (`readTimeLineHistory`): each promotion begins a timeline and writes a history
//! file that names every earlier timeline with the position at which it was left, the *switchpoint*.

use crate::Lsn;
use serde::{Deserialize, Serialize};

/// More timelines than this are refused: each is one promotion.
const SWITCHES_MAX: usize = 100_000;

/// A timeline that was left, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Switch {
    /// The timeline.
    pub timeline: u32,
    /// The switchpoint: everything before it is part of what came after.
    pub at: Lsn,
}

/// How a server came to the timeline that it is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestry {
    /// The system identifier, which all copies of one cluster share.
    pub system: u64,
    /// The timeline now.
    pub timeline: u32,
    /// The timelines before, the oldest first. Empty on a cluster that was never promoted.
    pub switches: Vec<Switch>,
}

/// A history that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the history of timeline {timeline}: {what}")]
pub struct ParseHistoryError {
    /// The timeline that it belongs to.
    pub timeline: u32,
    /// What is wrong.
    pub what: String,
}

/// How two servers are related, seen from the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// Different clusters, or one cluster without any timeline in common.
    Strangers,
    /// On one timeline, which they came to by the same way.
    Same,
    /// All that the first has is part of the second's history: it can follow.
    Ancestor(Switch),
    /// All that the second has is part of the first's history.
    Descendant(Switch),
    /// Both went on from here on ways of their own.
    Forked(Switch),
}

impl Ancestry {
    /// Reads the text of a history file, that of `timeline`.
    ///
    /// # Errors
    /// For anything that the server itself would refuse: a line without a position, timelines that do not grow, one
    /// that is not below its child.
    pub fn parse(system: u64, timeline: u32, text: &str) -> Result<Self, ParseHistoryError> {
        let error = |what: String| ParseHistoryError { timeline, what };
        let mut switches: Vec<Switch> = Vec::new();
        for line in text.lines() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            let parsed = (|| Some(Switch { timeline: words.next()?.parse().ok()?, at: words.next()?.parse().ok()? }))();
            let switch = parsed.ok_or_else(|| error(format!("no timeline and position in {line:?}")))?;
            let before = switches.last().map_or(Switch { timeline: 0, at: Lsn(0) }, |last| *last);
            if switch.timeline <= before.timeline || switch.at < before.at {
                return Err(error(format!("timeline {} does not come after its predecessor", switch.timeline)));
            }
            if switch.timeline >= timeline {
                return Err(error(format!("timeline {} is not older", switch.timeline)));
            }
            if switches.len() == SWITCHES_MAX {
                return Err(error(format!("more than {SWITCHES_MAX} timelines")));
            }
            switches.push(switch);
        }
        Ok(Self { system, timeline, switches })
    }

    /// A cluster that was never promoted.
    pub fn first(system: u64) -> Self {
        Self { system, timeline: 1, switches: Vec::new() }
    }

    /// Where a timeline was left; `None` for the one it is on now and for those it never was on.
    pub fn left(&self, timeline: u32) -> Option<Lsn> {
        self.switches.iter().find(|switch| switch.timeline == timeline).map(|switch| switch.at)
    }

    /// Each timeline with the position where it was left, the current one last and without.
    fn steps(&self) -> impl Iterator<Item = (u32, Option<Lsn>)> + '_ {
        let before = self.switches.iter().map(|switch| (switch.timeline, Some(switch.at)));
        before.chain([(self.timeline, None)])
    }

    /// The last position that both histories contain; `None` when they contain none, or are the same.
    pub fn fork(&self, other: &Self) -> Option<Switch> {
        if self.system != other.system {
            return None;
        }
        let mut last = None;
        for ((timeline, ours), (theirs, end)) in self.steps().zip(other.steps()) {
            if timeline != theirs {
                return last;
            }
            let least = [ours, end].into_iter().flatten().min();
            last = least.map(|at| Switch { timeline, at });
            if ours != end {
                return last;
            }
        }
        None
    }

    /// How two servers are related, given how far each has come on its timeline.
    pub fn kinship(&self, reached: Lsn, other: &Self, other_reached: Lsn) -> Kinship {
        if self == other {
            return Kinship::Same;
        }
        let Some(fork) = self.fork(other) else { return Kinship::Strangers };
        if self.timeline == fork.timeline && reached <= fork.at {
            Kinship::Ancestor(fork)
        } else if other.timeline == fork.timeline && other_reached <= fork.at {
            Kinship::Descendant(fork)
        } else {
            Kinship::Forked(fork)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn ancestry(timeline: u32, switches: &[(u32, u64)]) -> Ancestry {
        let switches = switches.iter().map(|(timeline, at)| Switch { timeline: *timeline, at: Lsn(*at) });
        Ancestry { system: 7, timeline, switches: switches.collect() }
    }

    fn at(timeline: u32, at: u64) -> Switch {
        Switch { timeline, at: Lsn(at) }
    }

    #[rstest]
    #[case::never_promoted(ancestry(1, &[]), 50, ancestry(1, &[]), 70, Kinship::Same)]
    #[case::can_follow(ancestry(1, &[]), 50, ancestry(2, &[(1, 50)]), 90, Kinship::Ancestor(at(1, 50)))]
    #[case::went_on(ancestry(1, &[]), 51, ancestry(2, &[(1, 50)]), 90, Kinship::Forked(at(1, 50)))]
    #[case::from_the_other_side(ancestry(2, &[(1, 50)]), 90, ancestry(1, &[]), 40, Kinship::Descendant(at(1, 50)))]
    #[case::two_promotions(ancestry(2, &[(1, 50)]), 60, ancestry(3, &[(1, 40)]), 60, Kinship::Forked(at(1, 40)))]
    #[case::both_at_one_point(ancestry(2, &[(1, 50)]), 60, ancestry(3, &[(1, 50)]), 60, Kinship::Forked(at(1, 50)))]
    #[case::one_number_two_points(ancestry(2, &[(1, 50)]), 60, ancestry(2, &[(1, 40)]), 60, Kinship::Forked(at(1, 40)))]
    #[case::grandparent(ancestry(1, &[]), 55, ancestry(3, &[(1, 50), (2, 70)]), 90, Kinship::Forked(at(1, 50)))]
    #[case::parent(ancestry(2, &[(1, 50)]), 70, ancestry(3, &[(1, 50), (2, 70)]), 90, Kinship::Ancestor(at(2, 70)))]
    #[case::nothing_in_common(ancestry(1, &[]), 5, ancestry(4, &[(3, 5)]), 5, Kinship::Strangers)]
    #[case::another_cluster(ancestry(1, &[]), 5, Ancestry::first(8), 5, Kinship::Strangers)]
    fn two_servers_are_told_apart(
        #[case] ours: Ancestry,
        #[case] reached: u64,
        #[case] theirs: Ancestry,
        #[case] other: u64,
        #[case] expected: Kinship,
    ) {
        assert_eq!(ours.kinship(Lsn(reached), &theirs, Lsn(other)), expected);
    }

    #[rstest]
    #[case("1\t0/3000148\tno recovery target specified\n", vec![at(1, 0x0300_0148)])]
    #[case("# made by hand\n\n1 0/30 x\n\n2\t1/0\tafter é\n", vec![at(1, 0x30), at(2, 1 << 32)])]
    #[case("", vec![])]
    fn histories_are_read(#[case] text: &str, #[case] expected: Vec<Switch>) {
        assert_eq!(Ancestry::parse(7, 3, text).unwrap().switches, expected);
    }

    #[rstest]
    #[case::no_position("1\n")]
    #[case::no_number("a\t0/1\n")]
    #[case::not_growing("2\t0/1\n1\t0/2\n")]
    #[case::backwards("1\t0/5\n2\t0/4\n")]
    #[case::its_own_child("3\t0/5\n")]
    #[case::zero("0\t0/5\n")]
    fn what_the_server_would_refuse_is_refused(#[case] text: &str) {
        assert!(Ancestry::parse(7, 3, text).is_err());
    }

    /// Servers with how far they came, and what each of them holds.
    type Family = (Vec<(Ancestry, u64)>, Vec<Vec<(u32, u64)>>);

    /// A tree of promotions: each new server leaves an existing one somewhere on its own timeline.
    fn family() -> impl Strategy<Value = Family> {
        let steps = proptest::collection::vec((any::<prop::sample::Index>(), 0_u64..10, 0_u64..10), 1..8);
        steps.prop_map(|steps| {
            let mut servers = vec![(Ancestry::first(7), 100_u64)];
            for (timeline, (parent, back, forth)) in (2..).zip(steps) {
                let (parent, reached) = servers[parent.index(servers.len())].clone();
                let begun = parent.switches.last().map_or(0, |last| last.at.0);
                let at = reached.saturating_sub(back).max(begun);
                let mut switches = parent.switches.clone();
                switches.push(Switch { timeline: parent.timeline, at: Lsn(at) });
                servers.push((Ancestry { system: 7, timeline, switches }, at + forth));
            }
            // What each server holds: every unit of log, by the timeline that wrote it.
            let held = servers.iter().map(|(ancestry, reached)| {
                let mut units = Vec::new();
                let mut from = 0;
                for (timeline, end) in ancestry.steps() {
                    let end = end.map_or(*reached, |end| end.0);
                    units.extend((from..end).map(|unit| (timeline, unit)));
                    from = end;
                }
                units
            });
            let held = held.collect();
            (servers, held)
        })
    }

    proptest! {
        #[test]
        fn kinship_says_whose_log_contains_whose((servers, held) in family()) {
            for ((ours, reached), mine) in servers.iter().zip(&held) {
                for ((theirs, other), yours) in servers.iter().zip(&held) {
                    let common = mine.iter().zip(yours).take_while(|(a, b)| a == b).count();
                    let kinship = ours.kinship(Lsn(*reached), theirs, Lsn(*other));
                    match kinship {
                        Kinship::Same => prop_assert_eq!(ours, theirs),
                        Kinship::Ancestor(_) => prop_assert_eq!(common, mine.len()),
                        Kinship::Descendant(_) => prop_assert_eq!(common, yours.len()),
                        Kinship::Forked(fork) => prop_assert_eq!(common as u64, fork.at.0),
                        Kinship::Strangers => prop_assert!(false, "one cluster"),
                    }
                }
            }
        }

        #[test]
        fn kinship_seen_from_the_other_side_is_the_mirror((servers, _) in family()) {
            for (ours, reached) in &servers {
                for (theirs, other) in &servers {
                    let there = theirs.kinship(Lsn(*other), ours, Lsn(*reached));
                    let mirrored = match ours.kinship(Lsn(*reached), theirs, Lsn(*other)) {
                        // Two that stand at the fork itself are each other's ancestors.
                        Kinship::Ancestor(fork) if there == Kinship::Ancestor(fork) => Kinship::Ancestor(fork),
                        Kinship::Ancestor(fork) => Kinship::Descendant(fork),
                        Kinship::Descendant(fork) => Kinship::Ancestor(fork),
                        other => other,
                    };
                    prop_assert_eq!(there, mirrored);
                }
            }
        }

        #[test]
        fn a_history_survives_writing_and_reading((servers, _) in family()) {
            for (ancestry, _) in servers {
                let line = |switch: &Switch| format!("{}\t{}\tno recovery target specified\n", switch.timeline, switch.at);
                let text: String = ancestry.switches.iter().map(line).collect();
                prop_assert_eq!(Ancestry::parse(7, ancestry.timeline, &text), Ok(ancestry));
            }
        }

        #[test]
        fn any_text_is_a_history_or_an_error(text: String, timeline: u32) {
            let _either = Ancestry::parse(7, timeline, &text);
        }
    }
}
