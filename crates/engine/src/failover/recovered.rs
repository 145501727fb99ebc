//! The recovery time where no probe ran: counted from the time of the failure that somebody gave.
//!
//! Nobody could write on the new primary before it was promoted, and somebody had by the time of its first own commit.
//! Both are by its clock, the failure is by that of whoever gave it: an interval that comes out negative is unknown.

use super::call::{FailedAt, future};
use jiff::Timestamp;
use paritas_connect::{Context, Standing, Store};
use paritas_model::{Known, Verdict};
use paritas_report::{Bounds, Rto};
use std::time::Duration;

/// Own transactions that are looked at for the first commit.
const OWN_MAX: u64 = 1_000;
/// Seconds by which the promotion may seem to lie before the failure: its time is kept in whole seconds.
const WHOLE_SECONDS: f64 = 1.0;

/// The interval, or why there is none.
pub(super) async fn counted(
    cx: &Context,
    store: &dyn Store,
    standing: &Standing,
    (failed_at, now): (FailedAt, Timestamp),
    objective: Option<Duration>,
) -> Rto {
    if let Some(why) = future(failed_at, now) {
        return unknown(failed_at, objective, why);
    }
    if standing.in_recovery {
        return unknown(failed_at, objective, "nothing was promoted yet".to_owned());
    }
    let since =
        |micros: i64| Timestamp::from_microsecond(micros).ok().map(|at| at.duration_since(failed_at.0).as_secs_f64());
    let promoted = standing.promoted_at.value().and_then(|at| since(*at));
    if promoted.is_some_and(|seconds| seconds < -WHOLE_SECONDS) {
        let why = "the new primary was promoted before the time of the failure: that time is wrong, or a clock is";
        return unknown(failed_at, objective, why.to_owned());
    }
    let first = first_commit(cx, store, standing).await;
    let (high, why) = match first {
        Known::Known(at) => match since(at) {
            Some(seconds) if seconds >= promoted.unwrap_or(0.0).max(0.0) => (Some(seconds), None),
            _ => (None, Some("the first commit seems to lie before the promotion: a clock jumped".to_owned())),
        },
        Known::Unknown { why } => (None, Some(why)),
    };
    let promotion = standing.promoted_at.why().map(|why| format!("when it was promoted is not known: {why}"));
    of_bounds(failed_at, objective, Bounds { low: Some(promoted.unwrap_or(0.0).max(0.0)), high }, why.or(promotion))
}

/// An interval that is counted from a failure, against its objective.
pub(crate) fn of_bounds(failed_at: FailedAt, objective: Option<Duration>, seconds: Bounds, why: Option<String>) -> Rto {
    let limit = objective.map(|limit| limit.as_secs_f64());
    let verdict = limit.map(|limit| match (seconds.low, seconds.high) {
        (_, Some(high)) if high <= limit => Verdict::Pass,
        (Some(low), _) if low > limit => Verdict::Fail,
        _ => Verdict::Unknown,
    });
    Rto {
        verdict,
        objective: limit,
        seconds: Some(seconds),
        method: Some("failed_at".to_owned()),
        failed_at: Some(failed_at.to_string()),
        why,
        ..Rto::default()
    }
}

/// No interval, and why.
pub(crate) fn unknown(failed_at: FailedAt, objective: Option<Duration>, why: String) -> Rto {
    Rto {
        verdict: objective.map(|_| Verdict::Unknown),
        objective: objective.map(|limit| limit.as_secs_f64()),
        failed_at: Some(failed_at.to_string()),
        why: Some(why),
        ..Rto::default()
    }
}

/// When the first commit that can be found was made on the new primary itself, in microseconds since 1970. The very
/// first one is not later.
async fn first_commit(cx: &Context, store: &dyn Store, standing: &Standing) -> Known<i64> {
    let Some(writers) = store.writers() else {
        return Known::unknown("its kind of store does not say when it committed");
    };
    let asked = async {
        let authorship = cx.bound(writers.authorship(cx, standing.ancestry.value())).await?;
        let until = authorship.now.next;
        // Where the first own one is not known, those from after the promotion are.
        let from = authorship.own_from.value().copied().unwrap_or_else(|| until.saturating_sub(OWN_MAX));
        let own: Vec<u64> = (from..until).take(usize::try_from(OWN_MAX).unwrap_or(usize::MAX)).collect();
        if own.is_empty() {
            return Ok((authorship.own_from.value().is_some(), Vec::new()));
        }
        Ok((true, cx.bound(writers.commit_times(cx, &own)).await?))
    };
    let found: paritas_connect::Result<(bool, Vec<Option<i64>>)> = asked.await;
    let (own_known, times) = match found {
        Ok(found) => found,
        Err(error) => return Known::unknown(format!("commits of the new primary cannot be read: {error}")),
    };
    if times.is_empty() && own_known {
        return Known::unknown("the new primary has committed nothing yet: ask again when applications write");
    }
    let Some(promoted) = standing.promoted_at.value() else {
        return Known::unknown("when the new primary was promoted is not known: GRANT pg_monitor");
    };
    let own = times.into_iter().flatten().filter(|at| at >= promoted).min();
    let why = "no commit of the new primary has a time (track_commit_timestamp is off, or nothing was committed yet)";
    own.map_or_else(|| Known::unknown(why), Known::Known)
}
