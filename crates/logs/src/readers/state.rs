//! From a commit and the ends of a partition to a state, and from a state to a verdict.

use super::{ReaderLag, ReaderState};
use crate::ages::{Ahead, Clocks, Extent, Follower, Growth};
use paritas_connect::logs::{Isolation, Partition};
use paritas_lag::{Interval, Levels, Reading, Span};
use paritas_model::{Known, LagState, Verdict};
use std::time::Duration;

/// What a state follows from.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    /// When the commits were asked for.
    pub(super) at: Span,
    /// What was committed; `None` where nothing was.
    pub(super) committed: Option<u64>,
    /// Which records the group takes.
    pub(super) isolation: Option<Isolation>,
    /// What was seen of the partition before the commits were asked for.
    pub(super) before: Option<Extent>,
    /// How the partition grew; its newest extent was asked for after the commits.
    pub(super) growth: &'a Growth,
    /// What was read from the position on.
    pub(super) ahead: Option<&'a Ahead>,
    /// What may be believed of stamps.
    pub(super) clocks: Option<&'a Clocks>,
}

impl ReaderLag {
    /// A partition of which nothing is known.
    pub(super) fn unknown(partition: Partition, why: &str) -> Self {
        Self {
            partition,
            state: ReaderState::Unknown,
            committed: None,
            start: None,
            end: None,
            stable: None,
            behind: None,
            behind_stable: None,
            records: None,
            seconds: None,
            lost: None,
            beyond: None,
            stuck: None,
            retention: None,
            member: None,
            why: Some(why.to_owned()),
            ends_at: None,
        }
    }
}

/// Everything but what takes several rounds.
pub(super) fn judge(partition: Partition, seen: &Seen<'_>) -> ReaderLag {
    let mut lag = ReaderLag::unknown(partition, "");
    lag.why = None;
    lag.committed = seen.committed;
    let Some(newest) = seen.growth.newest().copied() else {
        lag.why = Some("nobody asked where the partition ends".to_owned());
        return lag;
    };
    (lag.start, lag.end, lag.stable) = (Some(newest.start), Some(newest.end), Some(newest.stable));
    lag.ends_at = Some(newest.at);
    let Some(committed) = seen.committed else {
        lag.state = ReaderState::NeverCommitted;
        lag.why = Some(if newest.start == newest.end {
            "nothing was committed here, and nothing is there".to_owned()
        } else {
            format!(
                "nothing was committed here: up to {} records are there, and the reader's settings decide where it \
                 begins",
                newest.end - newest.start
            )
        });
        return lag;
    };
    if committed > newest.end {
        lag.state = ReaderState::BeyondEnd;
        lag.beyond = Some(committed - newest.end);
        lag.why = Some("the log was cut or made anew: the reader's settings decide where it goes on".to_owned());
        return lag;
    }
    // From here on the group wants what is left of the log.
    let position = committed.max(newest.start);
    lag.behind = Some(newest.end - position);
    lag.behind_stable = Some(newest.stable.saturating_sub(position));
    measure(&mut lag, position, seen);
    if committed < newest.start {
        below_start(&mut lag, committed, newest.start, seen);
    }
    lag
}

fn measure(lag: &mut ReaderLag, position: u64, seen: &Seen<'_>) {
    let reading = Reading { at: seen.at, position };
    let follower = Follower { reading, isolation: seen.isolation, ahead: seen.ahead };
    let Some(behind) = follower.behind(seen.growth, seen.clocks) else { return };
    lag.records = Some(behind.records);
    lag.seconds = Some(behind.age);
    lag.state = if behind.records.high == 0 { ReaderState::CaughtUp } else { ReaderState::Behind };
    lag.why = if behind.clocks_doubtful {
        Some("stamps of records contradict what was seen: clocks are further apart than was declared".to_owned())
    } else if lag.state == ReaderState::CaughtUp && behind.offsets > 0 {
        Some(format!("nothing that can be read lies at the last {} offsets", behind.offsets))
    } else if lag.state == ReaderState::Behind && lag.behind_stable == Some(0) {
        Some("everything behind its position belongs to transactions that are open".to_owned())
    } else {
        None
    };
}

/// The log begins behind the position. That may have come about between the two questions.
fn below_start(lag: &mut ReaderLag, committed: u64, start: u64, seen: &Seen<'_>) {
    let before = seen.before.filter(|before| before.at.end <= seen.at.begin);
    match before.filter(|before| committed < before.start) {
        Some(before) => {
            lag.state = ReaderState::BelowStart;
            lag.lost = Some(before.start - committed);
            lag.why = Some("what lay between its position and the start of the log was removed".to_owned());
        }
        None => {
            lag.state = ReaderState::Unknown;
            lag.why = Some(format!(
                "the start of the log, {start}, has passed its position: whether it had read on by then shows when it \
                 is asked again"
            ));
        }
    }
}

/// The verdict on one partition of a group. Without levels nothing was promised, and only losses fail.
pub fn verdict(lag: &ReaderLag, levels: Option<&Levels>) -> Verdict {
    let by = |state: LagState| paritas_lag::verdict(state, lag.seconds.as_ref(), levels);
    let state = match lag.state {
        ReaderState::CaughtUp => by(LagState::CaughtUp),
        // Without a promise a reader may be as far behind as it likes.
        ReaderState::Behind if levels.is_none() => Verdict::Pass,
        ReaderState::Behind => by(LagState::Behind),
        ReaderState::Stuck => by(LagState::Stalled).max(Verdict::Warn),
        ReaderState::NeverCommitted if lag.start == lag.end => Verdict::Pass,
        ReaderState::NeverCommitted => Verdict::Warn,
        ReaderState::Unknown => by(LagState::Unknown),
        ReaderState::BelowStart | ReaderState::BeyondEnd => Verdict::Fail,
    };
    if lag.retention.is_some() { state.max(Verdict::Warn) } else { state }
}

/// What is proven about standing still.
pub(super) fn stuck(seconds: Option<&Interval>, at: &Span, since: Duration) -> Option<Duration> {
    let low = seconds.map(|seconds| seconds.low).filter(|low| !low.is_zero())?;
    Some(at.begin.saturating_sub(since).min(low)).filter(|time| !time.is_zero())
}

/// Why something is unknown.
pub(super) fn why<T>(known: &Known<T>) -> &str {
    known.why().unwrap_or("it could not be seen")
}
