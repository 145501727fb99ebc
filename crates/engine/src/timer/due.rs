//! What is due, by what was done and when. Pure: the time comes from outside.

use jiff::{SignedDuration, Timestamp};
use paritas_config::{Schedule, VerifySchedule};
use paritas_verify::rows::Share;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use ulid::Ulid;

/// A timer is never on time to the moment: so much earlier than wanted, as a part of the interval, still counts.
const EARLY: u32 = 10;
/// And never more than this.
const EARLY_MAX: Duration = Duration::from_secs(5);

/// What was done for all links.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) links: BTreeMap<String, LinkTimes>,
}

/// What was done for one link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinkTimes {
    /// When its lag was last measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) lag: Option<Timestamp>,
    /// When its last snapshot was begun.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) snapshot: Option<Timestamp>,
    /// The last run of each job, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub(crate) runs: BTreeMap<String, String>,
    /// The verification that is under way, or the last one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) verify: Option<Cycle>,
}

/// One verification of everything, spread over slices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cycle {
    /// When it was begun.
    pub(crate) began: Timestamp,
    /// The id of the run whose finished parts are gone on with.
    pub(crate) run: String,
    /// Slices that are finished.
    pub(crate) done: u32,
    /// Slices in all.
    pub(crate) of: u32,
}

/// A slice that is to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) share: Share,
    /// The run that is gone on with; `None` begins a new cycle.
    pub(crate) run: Option<Ulid>,
}

/// Whether something is due that was last done then, and otherwise when it will be. What was done in the future was
/// done by a clock that has been set back since.
fn is_due(last: Option<Timestamp>, every: Duration, now: Timestamp) -> Result<(), Timestamp> {
    let Some(last) = last.filter(|last| *last <= now) else { return Ok(()) };
    let early = (every / EARLY).min(EARLY_MAX);
    let next = later(last, every);
    if later(now, early) >= next { Ok(()) } else { Err(next) }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// What is due of a link, and when the next thing of it will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Due {
    pub(crate) lag: bool,
    pub(crate) snapshot: bool,
    pub(crate) verify: Option<Slice>,
    pub(crate) next: Option<Timestamp>,
}

/// Looks at one link. `has_lag` says whether its stores have anything that could lag.
pub(crate) fn look(schedule: &Schedule, times: &LinkTimes, has_lag: bool, now: Timestamp) -> Due {
    let mut due = Due::default();
    let mut soonest = |at: Timestamp| due.next = Some(due.next.map_or(at, |next| next.min(at)));
    let mut once = |every: Option<Duration>, last: Option<Timestamp>| {
        let Some(every) = every else { return false };
        let due = is_due(last, every, now);
        soonest(due.err().unwrap_or_else(|| later(now, every)));
        due.is_ok()
    };
    let lag = once(schedule.lag.filter(|_| has_lag), times.lag);
    let snapshot = once(schedule.snapshot, times.snapshot);
    let verify = schedule.verify.as_ref().and_then(|verify| match slice(verify, times.verify.as_ref(), now) {
        Ok(slice) => {
            soonest(later(now, verify.every / verify.slices.max(1)));
            Some(slice)
        }
        Err(next) => {
            soonest(next);
            None
        }
    });
    Due { lag, snapshot, verify, ..due }
}

/// The slice that is due by now, with all that were left out before.
fn slice(schedule: &VerifySchedule, cycle: Option<&Cycle>, now: Timestamp) -> Result<Slice, Timestamp> {
    let of = schedule.slices.max(1);
    let step = schedule.every / of;
    let first = Slice { share: Share { done: 1, of }, run: None };
    // Another number of slices, or a clock that was set back: the cycle begins anew.
    let Some(cycle) = cycle.filter(|cycle| cycle.of == of && cycle.began <= now) else { return Ok(first) };
    if cycle.done >= of {
        return is_due(Some(cycle.began), schedule.every, now).map(|()| first);
    }
    // One that is behind, because it was ended, goes on at once.
    if let Some(before) = cycle.done.checked_sub(1) {
        is_due(Some(later(cycle.began, step.saturating_mul(before))), step, now)?;
    }
    let since = Duration::try_from(now.duration_since(cycle.began)).unwrap_or_default() + (step / EARLY).min(EARLY_MAX);
    let passed = since.as_nanos().checked_div(step.as_nanos()).unwrap_or(0);
    let done = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1).clamp(cycle.done + 1, of);
    Ok(Slice { share: Share { done, of }, run: cycle.run.parse().ok() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[rstest]
    #[case::never(None, 0, true)]
    #[case::long_ago(Some(0), 31, true)]
    #[case::a_little_early(Some(0), 27, true)]
    #[case::too_early(Some(0), 26, false)]
    #[case::the_clock_was_set_back(Some(1_000), 0, true)]
    fn something_is_due_after_its_interval(#[case] last: Option<i64>, #[case] now: i64, #[case] due: bool) {
        assert_eq!(is_due(last.map(at), secs(30), at(now)).is_ok(), due);
    }

    #[test]
    fn what_is_not_scheduled_is_never_due() {
        let due = look(&Schedule::default(), &LinkTimes::default(), true, at(0));
        assert_eq!(due, Due::default());
        let schedule = Schedule { lag: Some(secs(30)), ..Schedule::default() };
        let due = look(&schedule, &LinkTimes::default(), false, at(0));
        assert_eq!(due, Due::default());
        let due = look(&schedule, &LinkTimes::default(), true, at(0));
        assert_eq!((due.lag, due.next), (true, Some(at(30))));
    }

    proptest! {
        /// A timer that fires at any moments verifies everything within the stated time after it was due, once per
        /// cycle, and no slice twice.
        #[test]
        fn slices_follow_one_another_until_everything_was_verified(
            slices in 1_u32..50,
            every in 60_u64..200_000,
            steps in prop::collection::vec((1_i64..20_000, prop::bool::weighted(0.2)), 1..300),
        ) {
            let schedule = VerifySchedule { every: secs(every), slices, budget: None };
            let (mut cycle, mut now): (Option<Cycle>, i64) = (None, 0);
            let mut cut = false;
            for (number, (step, ended)) in steps.iter().enumerate() {
                now += step;
                match slice(&schedule, cycle.as_ref(), at(now)) {
                    Ok(found) => {
                        prop_assert_eq!(found.share.of, slices);
                        prop_assert!(found.share.done >= 1 && found.share.done <= slices);
                        let run = Ulid::from_parts(number as u64, 1);
                        cycle = Some(match (found.run, cycle) {
                            (Some(run), Some(cycle)) => {
                                prop_assert_eq!(run.to_string(), cycle.run.clone());
                                prop_assert!(found.share.done > cycle.done || cut);
                                Cycle { done: found.share.done, ..cycle }
                            }
                            (None, before) => {
                                prop_assert!(before.is_none_or(|before| before.done == slices) && !cut);
                                Cycle { began: at(now), run: run.to_string(), done: found.share.done, of: slices }
                            }
                            (Some(_), None) => unreachable!(),
                        });
                        // What was ended before its end stays due.
                        cut = *ended;
                        if let Some(cycle) = cycle.as_mut().filter(|_| cut) {
                            cycle.done -= 1;
                        }
                    }
                    Err(next) => {
                        prop_assert!(next > at(now) && !cut);
                        let cycle = cycle.as_ref().unwrap();
                        // Nothing that should have been verified by now is left.
                        let passed = (now - (cycle.began.as_second() - 1_700_000_000)) as u64 * u64::from(slices) / every;
                        prop_assert!(u64::from(cycle.done) > passed || cycle.done == slices, "{cycle:?} {passed}");
                    }
                }
            }
        }
    }
}
