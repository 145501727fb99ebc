//! From an observation to the report: bounds, verdicts, and what they mean in one sentence.

use super::keep::Shelf;
use super::{Aside, ProbeOptions, Until, Watched};
use jiff::Timestamp;
use paritas_model::{Known, Verdict};
use paritas_probe::{Counts, Failover, Findings, Losses, Observation, Outage, Seconds, Side, Stamp, Took, verdict};
use paritas_report::{
    Bounds, Check, LinkReport, NotChecked, ProbeCheck, ProbeCounts, ProbeFailover, ProbeGaps, ProbeLosses, ProbeOutage,
    ProbeSplit, ProbeWrite, Problem, Rto, counted,
};
use std::time::Duration;

/// Why a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Recovered,
    Time,
    Interrupted,
    Problem,
}

impl Ended {
    fn word(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Time => "time",
            Self::Interrupted => "interrupted",
            Self::Problem => "problem",
        }
    }
}

/// The report of a link that could not be probed at all.
pub(super) fn not_begun(watched: &Watched, probe: &ProbeOptions, problem: Problem) -> LinkReport {
    let check = ProbeCheck {
        verdict: Verdict::Unknown,
        method: method(probe.heartbeat.is_some()).to_owned(),
        observation: None,
        resumed: false,
        heartbeat: probe.heartbeat.clone(),
        every: probe.every.as_secs_f64(),
        timeout: probe.timeout.as_secs_f64(),
        begun_at: None,
        ended: Ended::Problem.word().to_owned(),
        synchronous_commit: None,
        source: ProbeCounts::default(),
        replica: ProbeCounts::default(),
        gaps: ProbeGaps::default(),
        outages: Vec::new(),
        outages_count: 0,
        failover: None,
        split_brain: None,
        rto: rto(watched, None, "the probe could not begin"),
        summary: "the probe could not begin".to_owned(),
        notes: Vec::new(),
        problem: Some(problem),
    };
    wrapped(watched, check)
}

fn wrapped(watched: &Watched, check: ProbeCheck) -> LinkReport {
    let mut not_checked = Vec::new();
    if check.method != "probe" {
        not_checked.push(NotChecked {
            what: "whether writes are acknowledged".to_owned(),
            why: "nothing was written: with --heartbeat SCHEMA.TABLE each attempt is a write".to_owned(),
        });
    }
    LinkReport {
        name: watched.name.clone(),
        tier: watched.tier,
        verdict: check.verdict,
        source: watched.source.described.clone(),
        replica: watched.replica.described.clone(),
        checks: vec![Check::Probe(Box::new(check))],
        recovery: None,
        not_checked,
    }
}

/// `probe` for what was measured by writes.
pub(crate) fn method(writes: bool) -> &'static str {
    if writes { "probe" } else { "observed" }
}

fn rto(watched: &Watched, measured: Option<(&Seconds, bool)>, why: &str) -> Rto {
    let objective = watched.objective.rto;
    let mut rto = Rto { objective: objective.map(|limit| limit.as_secs_f64()), ..Rto::default() };
    match measured {
        Some((seconds, writes)) => {
            rto.seconds = Some(bounds(seconds));
            rto.method = Some(method(writes).to_owned());
            rto.why = seconds.high.why().map(str::to_owned);
            rto.verdict = objective.map(|limit| verdict(seconds, limit));
        }
        None => rto.why = Some(why.to_owned()),
    }
    rto
}

/// Bounds in seconds.
pub(crate) fn bounds(seconds: &Seconds) -> Bounds {
    Bounds { low: Some(seconds.low.as_secs_f64()), high: seconds.high.value().map(Duration::as_secs_f64) }
}

/// A time of day for people.
pub(crate) fn shown(stamp: &Stamp) -> String {
    Timestamp::from_microsecond(stamp.wall_us).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

fn write(took: &Took) -> ProbeWrite {
    ProbeWrite { sequence: took.sequence, sent_at: shown(&took.sent), acknowledged_at: shown(&took.acknowledged) }
}

fn counts(counts: Counts) -> ProbeCounts {
    ProbeCounts {
        attempts: counts.attempts,
        acknowledged: counts.took,
        refused: counts.down,
        unknown: counts.unknown,
        void: counts.void,
    }
}

fn outage(outage: &Outage) -> ProbeOutage {
    let high = outage.after.acknowledged.at.since(outage.before.sent.at);
    let kind = if outage.restarted { "restart" } else { "interruption" };
    ProbeOutage {
        kind: kind.to_owned(),
        seconds: Bounds {
            low: Some(Duration::from_nanos(outage.low_ns).as_secs_f64()),
            high: high.map(|high| high.as_secs_f64()),
        },
        from: shown(&outage.before.sent),
        to: shown(&outage.after.acknowledged),
    }
}

fn losses(losses: &Known<Losses>) -> ProbeLosses {
    match losses {
        Known::Unknown { why } => ProbeLosses { why: Some(why.clone()), ..ProbeLosses::default() },
        Known::Known(losses) => ProbeLosses {
            lost: (losses.least == losses.most).then_some(losses.least),
            lost_at_least: losses.least,
            seconds: Bounds { low: Some(losses.low.as_secs_f64()), high: losses.high.map(|high| high.as_secs_f64()) },
            why: (losses.least != losses.most)
                .then(|| "not all of so many heartbeats were noted one by one".to_owned()),
        },
    }
}

fn failed_over(observation: &Observation, failover: &Failover) -> ProbeFailover {
    let side = match failover.side {
        Side::Source => "source",
        Side::Replica => "replica",
    };
    ProbeFailover {
        system_identifier: observation.lineage.system.to_string(),
        old_timeline: failover.old_timeline,
        switchpoint: failover.at.to_string(),
        new_timeline: failover.new_timeline,
        side: side.to_owned(),
        last_before: failover.last.as_ref().map(write),
        first_after: write(&failover.first),
        heartbeats: losses(&failover.losses),
    }
}

/// The report of a link that was probed.
pub(super) fn link(
    watched: &Watched,
    probe: &ProbeOptions,
    shelf: &Shelf,
    observation: &Observation,
    aside: &Aside,
    ended: Ended,
) -> LinkReport {
    let findings = observation.findings();
    let measured = findings.failover.as_ref().map(|failover| &failover.seconds);
    let rto = match measured {
        Some(Known::Known(seconds)) => rto(watched, Some((seconds, observation.writes)), ""),
        Some(Known::Unknown { why }) => {
            let mut unknown = rto(watched, None, why);
            unknown.verdict = watched.objective.rto.map(|_| Verdict::Unknown);
            unknown
        }
        None => rto(watched, None, "no failover was seen"),
    };
    let gaps = observation.gaps;
    let longest = (gaps.longest_ns > 0).then(|| Duration::from_nanos(gaps.longest_ns).as_secs_f64());
    let verdict = judge(watched, probe, observation, &findings, &rto, ended);
    let check = ProbeCheck {
        verdict,
        method: method(observation.writes).to_owned(),
        observation: (shelf.keeps() && aside.unkept.is_none()).then(|| observation.owner.clone()),
        resumed: aside.resumed,
        heartbeat: observation.table.clone(),
        every: probe.every.as_secs_f64(),
        timeout: probe.timeout.as_secs_f64(),
        begun_at: Some(shown(&observation.begun)),
        ended: ended.word().to_owned(),
        synchronous_commit: observation.synchronous_commit.clone(),
        source: counts(observation.counts(Side::Source)),
        replica: counts(observation.counts(Side::Replica)),
        gaps: ProbeGaps { count: gaps.count, restarts: gaps.restarts, longest },
        outages: observation.outages.iter().map(outage).collect(),
        outages_count: observation.outages_count,
        failover: findings.failover.as_ref().map(|failover| failed_over(observation, failover)),
        split_brain: findings.split.as_ref().map(|split| ProbeSplit {
            other: write(&split.other),
            old: write(&split.old),
            promoted: split.promoted,
        }),
        rto,
        summary: summary(observation, &findings),
        notes: notes(&findings, aside),
        problem: problem(observation, &findings, aside),
    };
    wrapped(watched, check)
}

/// What is proven wrong wins over what is unknown.
fn judge(
    watched: &Watched,
    probe: &ProbeOptions,
    observation: &Observation,
    findings: &Findings,
    rto: &Rto,
    ended: Ended,
) -> Verdict {
    let mut verdicts = vec![Verdict::Pass];
    verdicts.extend(findings.split.as_ref().map(|_| Verdict::Fail));
    verdicts.extend(rto.verdict);
    if findings.unread || !findings.others.is_empty() {
        verdicts.push(Verdict::Unknown);
    }
    match &findings.failover {
        Some(failover) => {
            if observation.writes {
                verdicts.push(lost(&failover.losses, watched.objective.rpo));
            }
            if failover.seconds.value().is_none() {
                verdicts.push(Verdict::Unknown);
            }
        }
        None => {
            let asked = probe.until == Until::Recovered && ended != Ended::Interrupted;
            if asked || ended == Ended::Problem || observation.counts(Side::Source).took == 0 {
                verdicts.push(Verdict::Unknown);
            }
            // The source is down now, and nobody took over.
            if observation.is_missing(Side::Source) {
                verdicts.push(Verdict::Unknown);
            }
        }
    }
    if observation.outages_count > 0 {
        verdicts.push(Verdict::Warn);
    }
    Verdict::combine(verdicts)
}

/// Of heartbeats alone: that all of them survived does not prove that all commits did.
fn lost(losses: &Known<Losses>, objective: Option<Duration>) -> Verdict {
    match losses {
        Known::Unknown { .. } if objective.is_some() => Verdict::Unknown,
        Known::Unknown { .. } => Verdict::Warn,
        Known::Known(losses) if losses.least == 0 && losses.most == 0 => Verdict::Pass,
        Known::Known(losses) => match objective.filter(|limit| !limit.is_zero()) {
            None if losses.least > 0 => Verdict::Fail,
            Some(limit) if losses.low > limit => Verdict::Fail,
            Some(limit) if losses.high.is_some_and(|high| high <= limit) => Verdict::Warn,
            _ => Verdict::Unknown,
        },
    }
}

fn summary(observation: &Observation, findings: &Findings) -> String {
    if findings.split.is_some() {
        return "split brain: two servers took writes".to_owned();
    }
    let Some(failover) = &findings.failover else {
        let source = observation.counts(Side::Source);
        let state = match (observation.is_missing(Side::Source), observation.outages_count) {
            _ if source.took == 0 => "the source was never seen to take writes".to_owned(),
            (true, _) => "the source takes no writes, and nobody else was seen to".to_owned(),
            (false, 0) => "the source took writes all the time".to_owned(),
            (false, outages) => format!("{} of the source", counted(outages, "outage")),
        };
        let unread = if findings.unread { "; a server took writes whose history could not be read" } else { "" };
        return format!("no failover was seen; {state}{unread}");
    };
    let time = match &failover.seconds {
        Known::Unknown { why } => format!("for how long nobody took writes is not known: {why}"),
        Known::Known(Seconds { low, high }) => match high.value() {
            Some(high) => format!("nobody took writes for {} to {}", seconds(*low), seconds(*high)),
            None => format!("nobody took writes for at least {}", seconds(*low)),
        },
    };
    let lost = match &failover.losses {
        Known::Known(losses) if losses.least > 0 => {
            format!("; {} lost", counted(losses.least, "acknowledged heartbeat"))
        }
        _ => String::new(),
    };
    format!("failover from timeline {} to {}: {time}{lost}", failover.old_timeline, failover.new_timeline)
}

fn seconds(time: Duration) -> String {
    paritas_model::format_duration(time)
}

fn notes(findings: &Findings, aside: &Aside) -> Vec<String> {
    let mut notes = aside.notes.clone();
    notes.extend(findings.others.iter().cloned());
    notes.extend(aside.unkept.iter().map(|why| format!("the observation is not kept: {why}")));
    if findings.failover.as_ref().is_some_and(|failover| failover.last.is_none()) {
        notes.push("no write of the old primary was seen: the probe began too late".to_owned());
    }
    notes
}

/// What keeps the answer from being known, or why the source takes no writes now.
fn problem(observation: &Observation, findings: &Findings, aside: &Aside) -> Option<Problem> {
    let unread = aside.unread.clone().filter(|_| findings.unread);
    let [source, replica] = aside.failed.clone();
    let named = |side: &str, problem: Problem| Problem { message: format!("{side}: {}", problem.message), ..problem };
    let silent = findings.failover.is_none() && observation.is_missing(Side::Source);
    let void = |side: Side| observation.counts(side).void > 0;
    let ours = source.filter(|_| silent || void(Side::Source)).map(|problem| named("source", problem));
    let theirs = replica.filter(|_| void(Side::Replica)).map(|problem| named("replica", problem));
    unread.or(ours).or(theirs)
}
