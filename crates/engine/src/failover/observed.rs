//! What a probe saw of this very failover, from the state folder.

use crate::probe::keep;
use crate::probe::report::{bounds, method, shown};
use paritas_model::{Ancestry, Known, Verdict};
use paritas_probe::{Failover, Losses, Split, verdict};
use paritas_report::Rto;
use paritas_state::State;
use std::time::Duration;

/// The observation of a failover.
#[derive(Debug)]
pub(crate) struct Observed {
    id: String,
    writes: bool,
    pub(crate) failover: Failover,
    pub(crate) split: Option<Split>,
}

/// What the state folder holds about a link.
#[derive(Debug)]
pub(crate) enum Seen {
    /// An observation of this failover.
    This(Box<Observed>),
    /// None of this one, and why the newest one is not.
    Other(String),
    /// None at all.
    Nothing,
}

/// The newest observation of the failover that led to this history: of this cluster, from the timeline that was left
/// where this history left it, to the timeline that it is on.
pub(crate) fn find(state: Option<&State>, link: &str, history: &Ancestry) -> Seen {
    let Some(state) = state else { return Seen::Nothing };
    let mut other = None;
    for (id, observation) in keep::all(state, link) {
        let findings = observation.findings();
        let why = match findings.failover {
            Some(failover) if is_this(observation.lineage.system, &failover, history) => {
                let (id, writes, split) = (id.to_string(), observation.writes, findings.split);
                return Seen::This(Box::new(Observed { id, writes, failover, split }));
            }
            Some(failover) => format!(
                "observation {id} is of another failover, from timeline {} at {} to timeline {}",
                failover.old_timeline, failover.at, failover.new_timeline
            ),
            None => format!("observation {id} saw no failover to its end"),
        };
        other.get_or_insert(why);
    }
    other.map_or(Seen::Nothing, Seen::Other)
}

fn is_this(system: u64, failover: &Failover, history: &Ancestry) -> bool {
    system == history.system
        && failover.new_timeline == history.timeline
        && history.left(failover.old_timeline) == Some(failover.at)
}

impl Observed {
    /// What is proven lost of the heartbeats.
    pub(crate) fn losses(&self) -> Option<&Losses> {
        self.failover.losses.value()
    }

    fn rto(&self, objective: Option<Duration>) -> Rto {
        let mut rto = Rto {
            objective: objective.map(|limit| limit.as_secs_f64()),
            method: Some(method(self.writes).to_owned()),
            observation: Some(self.id.clone()),
            observed_at: Some(shown(&self.failover.first.acknowledged)),
            ..Rto::default()
        };
        match &self.failover.seconds {
            Known::Known(seconds) => {
                rto.seconds = Some(bounds(seconds));
                rto.why = seconds.high.why().map(str::to_owned);
                rto.verdict = objective.map(|limit| verdict(seconds, limit));
            }
            Known::Unknown { why } => {
                rto.why = Some(why.clone());
                rto.verdict = objective.map(|_| Verdict::Unknown);
            }
        }
        rto
    }
}

/// The recovery time against its objective; only a probe can know it.
pub(crate) fn rto(seen: &Seen, objective: Option<Duration>) -> Rto {
    let unknown = |why: String| Rto {
        verdict: objective.map(|_| Verdict::Unknown),
        objective: objective.map(|limit| limit.as_secs_f64()),
        why: Some(why),
        ..Rto::default()
    };
    let none = "no probe measured the first write that the new primary acknowledged";
    match seen {
        Seen::This(observed) => observed.rto(objective),
        Seen::Other(why) => unknown(format!("{none}: {why}")),
        Seen::Nothing => unknown(none.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_model::{Lsn, Switch};
    use paritas_probe::{Attempt, Moment, Observation, Outcome, Side, Stamp};
    use rstest::rstest;
    use ulid::Ulid;

    fn history(system: u64, timeline: u32, switches: &[(u32, u64)]) -> Ancestry {
        let switches = switches.iter().map(|(timeline, at)| Switch { timeline: *timeline, at: Lsn(*at) }).collect();
        Ancestry { system, timeline, switches }
    }

    /// A failover from timeline 1 at 50 to timeline 2, 300 ms long at most.
    fn stored(state: &State, link: &str, id: u64) {
        let id = Ulid::from_parts(id, 1);
        let stamp = |ms: u64| Stamp { at: Moment { clock: 0, ns: ms * 1_000_000 }, wall_us: 0 };
        let mut seen = Observation::begin(id.to_string(), Ancestry::first(7), "a".into(), stamp(0), "boot".into());
        seen.writes = true;
        for (side, sent, instance, timeline) in [(Side::Source, 100, "a", 1), (Side::Replica, 390, "b", 2)] {
            let outcome = Outcome::Took {
                sequence: sent,
                instance: instance.to_owned(),
                timeline,
                reached: None,
                survivor: None,
            };
            seen.take(&Attempt { side, sent: stamp(sent), ended: stamp(sent + 10), outcome });
        }
        seen.identify("b", 2, &history(7, 2, &[(1, 50)]));
        state.save_observed(link, id, &serde_json::to_vec(&seen).unwrap()).unwrap();
    }

    #[rstest]
    #[case::this(history(7, 2, &[(1, 50)]), true)]
    #[case::another_cluster(history(8, 2, &[(1, 50)]), false)]
    #[case::left_elsewhere(history(7, 2, &[(1, 60)]), false)]
    #[case::a_later_one(history(7, 3, &[(1, 50), (2, 90)]), false)]
    #[case::never_promoted(history(7, 1, &[]), false)]
    fn an_observation_is_used_for_its_own_failover_only(#[case] history: Ancestry, #[case] used: bool) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        assert!(matches!(find(Some(&state), "trading", &history), Seen::Nothing));
        stored(&state, "trading", 1);
        assert!(matches!(find(Some(&state), "other", &history), Seen::Nothing));
        let seen = find(Some(&state), "trading", &history);
        let rto = rto(&seen, Some(Duration::from_millis(310)));
        assert_eq!(rto.seconds.is_some(), used, "{rto:?}");
        assert_eq!(rto.verdict, Some(if used { Verdict::Pass } else { Verdict::Unknown }));
        assert_eq!(rto.observation.is_some(), used);
    }

    #[test]
    fn a_damaged_observation_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        stored(&state, "trading", 1);
        stored(&state, "trading", 2);
        let newest = folder.path().join("observed/trading").join(format!("{}.json", Ulid::from_parts(2, 1)));
        std::fs::write(&newest, "{\"version\":1}").unwrap();
        let Seen::This(observed) = find(Some(&state), "trading", &history(7, 2, &[(1, 50)])) else { unreachable!() };
        assert_eq!(observed.id, Ulid::from_parts(1, 1).to_string());
    }
}
