//! The newest row of a dataset on both sides, against the age that was promised.

use super::{Fresh, Skews, Vitals, objective};
use crate::error::problem_of;
use crate::record::sided;
use jiff::Timestamp;
use paritas_connect::{ClockStamp, Context, Error, NewestRequest, NewestSeen, Store};
use paritas_lag::{Age, Newest, Offset, age, within};
use paritas_model::{Dataset, Verdict, format_duration};
use paritas_report::{FreshnessCheck, FreshnessSide, LagObjective, SkewSeconds};
use paritas_verify::rows::Origin;
use paritas_verify::{Side, newest};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looking for the newest time of a dataset takes no longer on either side.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Looks at the replica, and at the source where it answers: a source that is gone makes no row older.
pub(super) async fn check(
    cx: &Context,
    vitals: &Vitals,
    fresh: &Fresh,
    skews: &Skews,
    source: &Arc<dyn Store>,
    replica: &Arc<dyn Store>,
) -> FreshnessCheck {
    let begun = Instant::now();
    let cx = cx.clone().with_timeout(TIME_MAX);
    let limit_us = ClockStamp::now().wall_us.saturating_add(micros(vitals.quarantine));
    let look = |store: &Arc<dyn Store>, dataset: &str, column: Option<&String>| {
        let side = Side::new(Arc::clone(store), cx.clone());
        let request = NewestRequest {
            dataset: Dataset(dataset.to_owned()),
            column: column.cloned(),
            filter: fresh.filter.clone(),
            limit_us,
        };
        async move { newest(&side, &request).await }
    };
    let (own, other) = (fresh.columns.as_ref().map(|both| &both.0), fresh.columns.as_ref().map(|both| &both.1));
    let (ours, theirs) = tokio::join!(look(source, &fresh.source, own), look(replica, &fresh.replica, other));
    let mut notes = Vec::new();
    let mut side = |seen: &NewestSeen, name: &str, skew: Option<Offset>, beyond: bool| {
        if skew.is_none() {
            notes.push(format!("the clock of the {name} is not known: the age is by the clock of this machine"));
        }
        if let Some(note) = seen.note.as_ref().filter(|note| !notes.contains(*note)) {
            notes.push(note.clone());
        }
        judged(vitals, fresh, seen, skew, beyond)
    };
    let [source_beyond, replica_beyond] = skews.quarantined;
    let source_side = ours.as_ref().ok().map(|seen| side(seen, "source", skews.source, source_beyond));
    let replica_side = theirs.as_ref().ok().map(|seen| side(seen, "replica", skews.replica, replica_beyond));
    let mut problem = theirs.as_ref().err().map(|error| sided(Origin::Replica, problem_of(error)));
    let mut verdicts = vec![replica_side.as_ref().map_or(Verdict::Unknown, |side| side.verdict)];
    match (&source_side, &ours) {
        (Some(side), _) => verdicts.push(side.verdict),
        (None, Err(error)) if gone(error) => {
            notes.push(format!("the source was not looked at: {}", error.message()));
        }
        (None, Err(error)) => {
            verdicts.push(Verdict::Unknown);
            problem.get_or_insert_with(|| sided(Origin::Source, problem_of(error)));
        }
        (None, Ok(_)) => {}
    }
    FreshnessCheck {
        name: fresh.name.clone(),
        dataset: fresh.source.clone(),
        replica_dataset: (fresh.replica != fresh.source).then(|| fresh.replica.clone()),
        column: own.cloned(),
        verdict: Verdict::combine(verdicts),
        objective: objective(Some(fresh.max_age)).unwrap_or(LagObjective {
            target: None,
            warning: None,
            critical: fresh.max_age.critical.as_secs_f64(),
        }),
        quarantine: vitals.quarantine.as_secs_f64(),
        source: source_side,
        replica: replica_side,
        seconds: begun.elapsed().as_secs_f64(),
        notes,
        problem,
    }
}

/// Whether a store is not there at all.
fn gone(error: &Error) -> bool {
    error.code() == "store.unreachable"
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// What the newest time of one side says. `beyond` where its store's clock is quarantined.
fn judged(vitals: &Vitals, fresh: &Fresh, seen: &NewestSeen, skew: Option<Offset>, beyond: bool) -> FreshnessSide {
    let mut side = FreshnessSide {
        verdict: Verdict::Unknown,
        newest: seen.newest.and_then(|(low_us, _)| shown(low_us)),
        age: None,
        quarantined: seen.beyond,
        quarantined_at_least: !seen.beyond_whole,
        method: seen.method.to_owned(),
        why: None,
    };
    let Some((low_us, high_us)) = seen.newest else {
        (side.verdict, side.why) = match (seen.any, seen.beyond) {
            // Nothing that could be fresh is there: the promise is broken for certain.
            (false, _) => (Verdict::Fail, Some("there is no row at all".to_owned())),
            (true, 0) => (Verdict::Unknown, Some("no row carries a time".to_owned())),
            (true, _) => (Verdict::Unknown, Some("every time that there is lies in the future".to_owned())),
        };
        return side;
    };
    let newest = Newest { low_us, high_us, asked_us: seen.asked.wall_us, answered_us: seen.answered.wall_us };
    match age(&newest, skew, vitals.skew.map(|levels| levels.critical)) {
        Age::Within(interval) => {
            side.verdict = within(Some(&interval), &fresh.max_age);
            let seconds = |time: Duration| time.as_secs_f64();
            side.age = interval.high.map(|high| SkewSeconds { low: seconds(interval.low), high: seconds(high) });
            if side.verdict == Verdict::Unknown {
                side.why = Some("its age may be over the promise or under it".to_owned());
            }
        }
        Age::Ahead(by) => {
            let by = format_duration(by);
            side.why = Some(format!("its time lies {by} in the future, so whoever wrote it has a wrong clock"));
        }
    }
    if beyond {
        side.verdict = Verdict::Unknown;
        let limit = format_duration(vitals.quarantine);
        side.why = Some(format!("the store's clock is more than {limit} away, so its times are quarantined"));
    } else if seen.beyond > 0 && side.verdict == Verdict::Pass {
        side.verdict = Verdict::Warn;
    }
    side
}

fn shown(us: i64) -> Option<String> {
    Timestamp::from_microsecond(us).ok().map(|at| at.to_string())
}
