//! How far groups of readers are behind, for the report.

use super::LogOptions;
use super::seen::Shows;
use crate::error::problem_of;
use paritas_lag::{Interval, Levels};
use paritas_logs::readers::{self, Limits, ReaderLag, ReaderState, Readers};
use paritas_model::{Known, Verdict};
use paritas_report::{GroupLag, GroupPartition, GroupsCheck, LagSeconds, Problem};
use paritas_verify::logs::{Beside, LogSide, groups};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is remembered about the groups of one side from one look to the next.
#[derive(Debug)]
pub(crate) struct Watched {
    side: &'static str,
    readers: Readers,
}

impl Watched {
    /// Nothing was seen yet.
    pub(crate) fn new(side: &'static str, options: &LogOptions) -> Self {
        let limits = Limits { tolerance: options.clock, ..Limits::default() };
        Self { side, readers: Readers::new(Instant::now(), wall(), limits) }
    }

    /// What a look that was made before the groups were asked says about the ends of partitions.
    pub(crate) fn begin(&mut self, shows: &Shows) {
        self.readers.begin(&shows.survey, &shows.ends);
    }

    /// Asks for the groups once and says what follows from all that was seen so far.
    pub(crate) async fn look(
        &mut self,
        side: &LogSide,
        shows: &Shows,
        options: &LogOptions,
        levels: Option<&Levels>,
    ) -> GroupsCheck {
        let began = Instant::now();
        let beside = Beside { survey: &shows.survey, settings: &shows.settings, wall: wall() };
        let takes = |name: &str| options.takes_group(name);
        let seen = match options.groupless {
            true => Ok(Vec::new()),
            false => groups(side, &mut self.readers, &beside, &takes).await,
        };
        let check = |groups: Vec<GroupLag>, problem: Option<Problem>| GroupsCheck {
            verdict: verdict(&groups, problem.as_ref()),
            side: self.side.to_owned(),
            groups,
            seconds: began.elapsed().as_secs_f64(),
            notes: Vec::new(),
            problem,
        };
        match seen {
            Ok(lags) => check(lags.iter().map(|lag| group(lag, levels)).collect(), None),
            Err(error) => check(Vec::new(), Some(problem_of(&error))),
        }
    }
}

/// Our clock in milliseconds since 1970.
fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// No group at all is nothing to complain about.
fn verdict(groups: &[GroupLag], problem: Option<&Problem>) -> Verdict {
    let unseen = problem.map(|_| Verdict::Unknown);
    Verdict::combine(groups.iter().map(|group| group.verdict).chain(unseen).chain([Verdict::Pass]))
}

fn group(lag: &readers::GroupLag, levels: Option<&Levels>) -> GroupLag {
    let verdicts = lag.partitions.iter().map(|partition| readers::verdict(partition, levels));
    let unknown = lag.totals.count(ReaderState::Unknown) > 0;
    GroupLag {
        group: lag.group.clone(),
        verdict: Verdict::combine(verdicts.chain([Verdict::Pass])),
        state: lag.activity.value().cloned(),
        members: lag.members.value().copied(),
        states: lag.totals.states.iter().map(|(state, count)| (word(*state).to_owned(), *count)).collect(),
        offsets: (!unknown).then_some(lag.totals.behind),
        seconds: seconds(lag.totals.seconds),
        worst: readers::worst(&lag.partitions, GroupLag::WORST_MAX).into_iter().map(partition).collect(),
        why: match &lag.activity {
            Known::Unknown { why } => Some(why.clone()),
            Known::Known(_) if unknown => Some("not every partition could be observed".to_owned()),
            Known::Known(_) => None,
        },
    }
}

fn word(state: ReaderState) -> &'static str {
    match state {
        ReaderState::CaughtUp => "caught_up",
        ReaderState::Behind => "behind",
        ReaderState::Stuck => "stuck",
        ReaderState::NeverCommitted => "never_committed",
        ReaderState::Unknown => "unknown",
        ReaderState::BelowStart => "below_start",
        ReaderState::BeyondEnd => "beyond_end",
    }
}

pub(super) fn seconds(interval: Option<Interval>) -> Option<LagSeconds> {
    let interval = interval?;
    Some(LagSeconds { low: interval.low.as_secs_f64(), high: interval.high.map(|high| high.as_secs_f64()) })
}

fn partition(lag: &ReaderLag) -> GroupPartition {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let retention = lag.retention.and_then(|risk| risk.by_age.or(risk.by_rate));
    GroupPartition {
        stream: lag.partition.to_string(),
        state: word(lag.state).to_owned(),
        committed: lag.committed,
        start: lag.start,
        stable: lag.stable,
        end: lag.end,
        offsets: match lag.beyond {
            Some(beyond) => Some(-signed(beyond)),
            None => lag.behind.map(signed),
        },
        seconds: seconds(lag.seconds),
        lost_in_seconds: retention.map(|time: Duration| time.as_secs_f64()),
        reason: lag.why.clone(),
    }
}
