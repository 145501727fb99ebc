//! Reading both clocks several times, and what follows.

use super::{Skews, Vitals, objective};
use crate::error::problem_of;
use crate::record::sided;
use paritas_connect::{ClockReading, ClockShows, Clocks, Context, Error, Result, Store};
use paritas_lag::{ClockFinding, Jump, Levels, Moment, Offset, Tick, clock_offset, within};
use paritas_model::Verdict;
use paritas_report::{ClockCheck, ClockSide, NotChecked, Problem, SkewSeconds};
use paritas_verify::rows::Origin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Questions to one clock. The first one only warms the connection up and counts as the others do.
const SAMPLES: usize = 8;
/// Between two questions, so that a clock of whole seconds is asked in all parts of a second.
const PAUSE: Duration = Duration::from_millis(60);
/// Both clocks together take no longer.
const TIME_MAX: Duration = Duration::from_secs(10);
const MEMBER: &str = "skew";

/// What was learnt of one side.
struct Read {
    side: ClockSide,
    finding: Option<ClockFinding>,
    /// Why the clock cannot be known whatever is done.
    untold: Option<String>,
    problem: Option<Problem>,
}

/// Looks at both clocks. The check is `None` where nothing that was promised can be held against them; what cannot be
/// known in principle is among what was not checked.
pub(super) async fn check(
    cx: &Context,
    vitals: &Vitals,
    source: &Arc<dyn Store>,
    replica: &Arc<dyn Store>,
) -> (Skews, Option<ClockCheck>, Vec<NotChecked>) {
    let begun = Instant::now();
    let cx = &cx.clone().with_timeout(TIME_MAX);
    let (mut ours, mut theirs) = tokio::join!(read(cx, &**source), read(cx, &**replica));
    let mut not_checked = Vec::new();
    for (read, side) in [(&mut ours, "source"), (&mut theirs, "replica")] {
        judge(read, vitals);
        if let (Some(why), Some(_)) = (&read.untold, vitals.skew) {
            not_checked.push(NotChecked { what: format!("clock of the {side}"), why: why.clone() });
        }
    }
    let offset = |read: &Read| read.finding.map(|finding| finding.offset);
    let skews = Skews {
        source: offset(&ours),
        replica: offset(&theirs),
        quarantined: [ours.side.quarantined, theirs.side.quarantined],
    };
    let between = skews.replica.zip(skews.source).map(|(replica, source)| replica.minus(source));
    let set = ours.side.jumped.is_some() || theirs.side.jumped.is_some();
    // What cannot be decided in principle is not checked, and one half decides neither.
    let decidable = ours.untold.is_none() && theirs.untold.is_none();
    let between_verdict =
        vitals.skew.zip(between).filter(|_| decidable).map(|(levels, offset)| skewed(offset, set, &levels));
    let problem = match (ours.problem.take(), theirs.problem.take()) {
        (Some(problem), _) => Some(sided(Origin::Source, problem)),
        (None, Some(problem)) => Some(sided(Origin::Replica, problem)),
        (None, None) => None,
    };
    let verdicts = [ours.side.verdict(), theirs.side.verdict(), between_verdict];
    let unknown = problem.is_some().then_some(Verdict::Unknown);
    let verdicts: Vec<Verdict> = verdicts.into_iter().flatten().chain(unknown).collect();
    if verdicts.is_empty() {
        return (skews, None, not_checked);
    }
    let check = ClockCheck {
        verdict: Verdict::combine(verdicts),
        skew_objective: objective(vitals.skew),
        rtt_objective: objective(vitals.rtt),
        quarantine: vitals.quarantine.as_secs_f64(),
        from: vitals.from.clone(),
        source: ours.side,
        replica: theirs.side,
        between: between.map(seconds),
        between_verdict,
        seconds: begun.elapsed().as_secs_f64(),
        problem,
    };
    (skews, Some(check), not_checked)
}

/// Asks one clock again and again.
async fn read(cx: &Context, store: &dyn Store) -> Read {
    let mut read = Read { side: ClockSide::default(), finding: None, untold: None, problem: None };
    let Some(clocks) = store.clocks() else {
        let why = format!("a {} store has no clock that could be asked", store.kind());
        read.side.why.insert(MEMBER.to_owned(), why.clone());
        read.untold = Some(why);
        return read;
    };
    read.side.method = Some(clocks.method().to_owned());
    match readings(cx, clocks).await {
        Ok(readings) => take(&mut read, &readings),
        Err(error) => {
            read.side.why.insert(MEMBER.to_owned(), error.message().to_owned());
            read.problem = Some(problem_of(&error));
        }
    }
    read
}

async fn readings(cx: &Context, clocks: &dyn Clocks) -> Result<Vec<ClockReading>> {
    let mut readings: Vec<ClockReading> = Vec::with_capacity(SAMPLES);
    for sample in 0..SAMPLES {
        if sample > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match cx.bound(clocks.clock(cx)).await {
            Ok(reading) => {
                let ours = reading.shows == ClockShows::Ours;
                readings.push(reading);
                if ours {
                    break;
                }
            }
            // Some answers are enough; without any, the first failure says why.
            Err(error) if readings.is_empty() => return Err(error),
            Err(error) => {
                tracing::info!(%error, sample, "a clock did not answer any more");
                break;
            }
        }
    }
    if readings.is_empty() { Err(Error::unsupported("a clock")) } else { Ok(readings) }
}

/// Everything that the answers say together.
fn take(read: &mut Read, readings: &[ClockReading]) {
    let side = &mut read.side;
    side.samples = readings.len() as u64;
    let origin = readings.first().map(|reading| reading.begin.at);
    let moment = |stamp: paritas_connect::ClockStamp| Moment {
        steady: origin.map(|origin| stamp.at.saturating_duration_since(origin)).unwrap_or_default(),
        wall_us: stamp.wall_us,
    };
    let (mut ticks, mut untold, mut shared) = (Vec::new(), None, false);
    for reading in readings {
        match &reading.shows {
            ClockShows::Time { low_us, high_us } => ticks.push(Tick {
                begin: moment(reading.begin),
                end: moment(reading.end),
                low_us: *low_us,
                high_us: *high_us,
            }),
            ClockShows::Ours => shared = true,
            ClockShows::Untold { why } => untold = Some(why.clone()),
        }
    }
    if shared {
        let none = Duration::ZERO;
        read.finding = Some(ClockFinding { offset: Offset::ZERO, round_trip: none, slowest: none, jump: None });
        side.skew = Some(SkewSeconds { low: 0.0, high: 0.0 });
        side.why.insert("rtt".to_owned(), "there is no way to this machine itself".to_owned());
        return;
    }
    let trips = || readings.iter().map(ClockReading::round_trip);
    side.rtt = trips().min().map(|time| time.as_secs_f64());
    side.rtt_slowest = trips().max().map(|time| time.as_secs_f64());
    match (clock_offset(&ticks), untold) {
        (Some(finding), _) => {
            read.finding = Some(finding);
            side.skew = Some(seconds(finding.offset));
            side.jumped = finding.jump.map(|jump| match jump {
                Jump::Ours => "ours".to_owned(),
                Jump::Theirs => "theirs".to_owned(),
            });
        }
        (None, why) => {
            let why = why.unwrap_or_else(|| "it told nothing".to_owned());
            side.why.insert(MEMBER.to_owned(), why.clone());
            read.untold = Some(why);
        }
    }
}

/// The verdicts on one side.
fn judge(read: &mut Read, vitals: &Vitals) {
    read.side.rtt_verdict = vitals.rtt.zip(read.side.rtt).map(|(levels, rtt)| {
        let rtt = Duration::try_from_secs_f64(rtt).unwrap_or(Duration::MAX);
        within(Some(&paritas_lag::Interval { low: rtt, high: Some(rtt) }), &levels)
    });
    let Some(finding) = read.finding else { return };
    let size = finding.offset.size();
    read.side.quarantined = finding.jump.is_none() && size.low > vitals.quarantine;
    let Some(levels) = vitals.skew else { return };
    let verdict = skewed(finding.offset, finding.jump.is_some(), &levels);
    // A clock that shows whole seconds cannot prove less; a breach it can.
    let coarse = Duration::from_micros(finding.offset.high_us.abs_diff(finding.offset.low_us)) > levels.critical;
    let coarse = coarse && finding.round_trip <= levels.critical && finding.jump.is_none();
    if coarse && verdict == Verdict::Unknown {
        let method = read.side.method.as_deref().unwrap_or_default();
        let limit = paritas_model::format_duration(levels.critical);
        let why = format!("{method} is too coarse to hold a distance of {limit} against it");
        read.untold = Some(why);
        return;
    }
    read.side.skew_verdict = Some(verdict);
}

/// Certainly over is a breach even of a clock that was set meanwhile; it never passes.
fn skewed(offset: Offset, set: bool, levels: &Levels) -> Verdict {
    match within(Some(&offset.size()), levels) {
        Verdict::Pass | Verdict::Warn if set => Verdict::Unknown,
        verdict => verdict,
    }
}

fn seconds(offset: Offset) -> SkewSeconds {
    SkewSeconds { low: offset.low_us as f64 / 1e6, high: offset.high_us as f64 / 1e6 }
}
