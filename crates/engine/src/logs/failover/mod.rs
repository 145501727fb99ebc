//! After a failover between clusters of logs: which records are lost, whether the replica can take writes, and
//! whether groups would go on at the right record. GO only where everything that was asked is proven.

mod gone;
mod time;
mod torn;

use super::parity::{self, Terms};
use super::seen::{Both, Mirrored, Seen, Shows, Wanted, look};
use super::stored::Snapshot;
use super::verify::Chosen;
use super::{LogOptions, coverage, health, offsets};
use crate::Options;
use crate::error::problem_of;
use crate::failover::{FailedAt, steps};
use crate::keep::Keeper;
use crate::registry::Opened;
use paritas_connect::Context;
use paritas_logs::content::{Class, Finding};
use paritas_logs::health as judged;
use paritas_logs::recovery::TornReport;
use paritas_model::{Objective, Store, Tier, Verdict};
use paritas_report::{
    Bounds, Check, LinkReport, NotChecked, OffsetsCheck, Problem, Reason, Recovery, Rpo, Step, counted,
};
use paritas_verify::logs::{self, Outcome, Topic};
use std::time::{Duration, Instant};

/// A source that does not answer within that time counts as gone.
const SOURCE_PATIENCE: Duration = Duration::from_secs(15);
/// After a failover nothing new is on its way: that long is waited for what the mirror may still write.
const SETTLE: Duration = Duration::from_secs(2);

/// One link after a failover.
#[derive(Debug)]
pub(crate) struct Examined<'a> {
    pub(crate) name: &'a str,
    pub(crate) tier: Option<Tier>,
    pub(crate) source: &'a Opened,
    pub(crate) replica: &'a Opened,
    pub(crate) include: &'a [String],
    pub(crate) exclude: &'a [String],
    pub(crate) objective: Objective,
    /// When the source failed, as far as somebody knows.
    pub(crate) failed_at: Option<FailedAt>,
}

/// What was lost, and what that follows from.
struct Loss {
    outcomes: Vec<(Topic, String, Outcome)>,
    /// Whether the source itself was read, and not a snapshot of it.
    alive: bool,
    /// When the snapshot was taken.
    taken_at: Option<String>,
    /// Records of partitions that the replica has not at all.
    absent: u64,
    /// Transactions that are lost or torn, where records say to which they belong.
    torn: Option<TornReport>,
}

/// What is put together into the report.
#[derive(Default)]
struct Findings {
    steps: Vec<Step>,
    reasons: Vec<Reason>,
    checks: Vec<Check>,
    not_checked: Vec<NotChecked>,
}

impl Findings {
    fn reason(&mut self, verdict: Verdict, text: String, hint: Option<&str>) {
        self.reasons.push(Reason::new(verdict, text).hinted(hint.map(str::to_owned)));
    }

    fn problem(&mut self, problem: &Problem) {
        let detail = problem.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let text = format!("{}{detail}", problem.message);
        self.reasons.push(Reason::new(Verdict::Unknown, text).hinted(problem.hint.clone()));
    }
}

/// Looks at a link after a failover; the source may be gone.
pub(crate) async fn examine(cx: &Context, link: &Examined<'_>, options: &Options, keeper: &Keeper) -> LinkReport {
    let mut found = Findings::default();
    let began = Instant::now();
    let rpo = gather(cx, link, options, keeper, &mut found).await;
    found.steps.push(steps::loss(&rpo, began.elapsed()));
    found.reasons.push(loss_reason(&rpo));
    let rto = time::rto(cx, link, rpo.method == "content").await;
    found.reasons.extend(crate::failover::kept_in_time(&rto));
    found.steps.extend([steps::rpo(&rpo), steps::rto(&rto)]);
    found.steps.extend(steps::of_checks(&found.checks, began.elapsed(), &format!("by {}", rpo.method)));
    found.steps.extend(of_groups(&found.checks));
    found.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    let verdict = Verdict::combine(found.reasons.iter().map(|reason| reason.verdict));
    let decision = if verdict <= Verdict::Warn { "go" } else { "no-go" }.to_owned();
    let recovery = Recovery {
        decision,
        planned: false,
        reasons: found.reasons,
        rpo,
        rto,
        timelines: Vec::new(),
        prepared: Vec::new(),
        steps: found.steps,
    };
    LinkReport {
        name: link.name.to_owned(),
        tier: link.tier,
        verdict: Verdict::combine([verdict, LinkReport::combined(&found.checks)]),
        source: described(link.source),
        replica: described(link.replica),
        checks: found.checks,
        recovery: Some(recovery),
        not_checked: found.not_checked,
    }
}

/// Whether groups would go on at the right record.
fn of_groups(checks: &[Check]) -> Option<Step> {
    let check = checks.iter().find_map(|check| match check {
        Check::Offsets(check) => Some(check),
        _ => None,
    })?;
    let fine = check.groups.iter().filter(|group| group.may_resume == Some(true)).count();
    let text = format!("{fine} of {} may go on", counted(check.groups.len() as u64, "group"));
    Some(steps::step("groups", Some(check.verdict), Duration::ZERO, text))
}

fn described(opened: &Opened) -> Store {
    opened.described.clone()
}

async fn gather(cx: &Context, link: &Examined<'_>, options: &Options, keeper: &Keeper, found: &mut Findings) -> Rpo {
    let objective = link.objective.rpo.map(|time| time.as_secs_f64());
    let unknown = |why: &str| unknown_rpo(objective, why);
    let log_options = match LogOptions::of(&link.source.target, &link.replica.target) {
        Ok(log_options) => log_options,
        Err(error) => {
            found.problem(error.problem());
            return unknown("the options of the link contradict each other");
        }
    };
    let both = Both::new((&link.source.store, cx), (&link.replica.store, cx));
    let named = (link.source.target.datasets.as_slice(), link.replica.target.datasets.as_slice());
    let chosen = Chosen::new(link.include, link.exclude, named, Vec::new());
    let takes = |name: &str| chosen.takes(name);
    let wanted = Wanted { takes: &takes, told: chosen.told(), renamed: chosen.renamed() };
    let replica = match Shows::of(&both.replica).await {
        Ok(shows) => shows,
        Err(error) => {
            found.problem(&crate::record::sided(paritas_verify::rows::Origin::Replica, problem_of(&error)));
            return unknown("the replica could not be asked");
        }
    };
    let began = Instant::now();
    standing(&replica, found);
    if let Some(reason) = found.reasons.last() {
        found.steps.push(steps::step("new_primary", Some(reason.verdict), began.elapsed(), reason.text.clone()));
    }
    let mut near = both.clone();
    near.source.cx = near.source.cx.clone().with_timeout(SOURCE_PATIENCE);
    let alive = look(&near, &log_options, &wanted).await;
    let snapshot = Snapshot::newest(keeper.state(), link.name);
    let terms = Terms {
        key: &options.digest_key,
        settle: SETTLE.min(options.settle),
        items_max: options.max_differences,
        ledger: None,
        watch: &|_| {},
    };
    let loss = match (alive, snapshot) {
        (Ok(seen), snapshot) => {
            let stored = snapshot.filter(|(_, old)| same_cluster(old, &seen.source, found));
            living(&both, &seen, &wanted, &log_options, options, stored.map(|(_, old)| old), &terms, found).await
        }
        (Err(_), Some((id, snapshot))) => {
            let at = paritas_report::to_the_second(&snapshot.taken_at);
            let text = format!("the source does not answer: snapshot {id} of {at} stands in for it");
            found.reason(Verdict::Warn, text, None);
            gone::examine(&both, &replica, &snapshot, &wanted, &log_options, &terms, found).await
        }
        (Err((origin, problem)), None) => {
            found.problem(&crate::record::sided(origin, problem));
            let hint = "take one while the source is there: `paritas snapshot`, from a timer";
            found.reason(Verdict::Unknown, "there is no snapshot of the source".to_owned(), Some(hint));
            return unknown("the source does not answer, and there is no snapshot of it");
        }
    };
    judge(loss, objective, found)
}

/// Whether the replica can take writes.
fn standing(replica: &Shows, found: &mut Findings) {
    let check = health::check("replica", replica, None, None);
    let rebuilt =
        judged::judge(&replica.survey, None, &replica.settings, None, &health::leaderships(replica), 1).rebuilt();
    let brokers = counted(check.brokers, "broker");
    match (check.verdict, rebuilt) {
        (Verdict::Pass, Verdict::Pass) => {
            found.reason(
                Verdict::Pass,
                format!("the replica answers with {brokers}, and all replicas are in sync"),
                None,
            );
        }
        (verdict, _) => {
            let first = check.items.first().map(|item| format!("{}: {}", item.what, item.why)).unwrap_or_default();
            let hint = "wait until all replicas are in sync, or bring the missing brokers back";
            let text = format!("the in-sync sets of the replica are not rebuilt ({brokers}); {first}");
            found.reason(verdict.max(Verdict::Warn), text, Some(hint));
        }
    }
    found.checks.push(Check::Health(check));
}

/// A snapshot of another cluster says nothing about this one.
fn same_cluster(snapshot: &Snapshot, source: &Shows, found: &mut Findings) -> bool {
    match (&snapshot.cluster, source.survey.cluster.value()) {
        (Some(old), Some(now)) if old != now => {
            let text = format!("the source is cluster {now}, and was {old} when its last snapshot was taken");
            let hint = "the address leads to another cluster now: check the URL of the source";
            found.reason(Verdict::Fail, text, Some(hint));
            false
        }
        _ => true,
    }
}

/// The source can still be read: everything is compared.
#[allow(clippy::too_many_arguments)]
async fn living(
    both: &Both,
    seen: &Seen,
    wanted: &Wanted<'_>,
    log_options: &LogOptions,
    options: &Options,
    stored: Option<Snapshot>,
    terms: &Terms<'_>,
    found: &mut Findings,
) -> Loss {
    let check = coverage::check(seen);
    if check.verdict > Verdict::Warn {
        let count = counted(check.items.len() as u64, "thing");
        found.reason(check.verdict, format!("{count} of the source not mirrored whole"), None);
    }
    found.checks.push(Check::Coverage(check));
    let mirrored = seen.mirrored(wanted);
    let mut chains = stored.map(|old| old.chains(&|log| seen.source.id(log))).unwrap_or_default();
    let topics = parity::topics(seen, &mirrored, log_options, &mut chains);
    let outcomes = logs::parity(&terms.request(both, &topics)).await;
    if let Some(Check::Offsets(check)) = offsets::check(both, seen, wanted, log_options, options).await {
        groups(&check, found);
        found.checks.push(Check::Offsets(check));
    }
    let torn = torn::look_for(both, seen, &mirrored, log_options, options, found).await;
    let names = mirrored.into_iter().map(|one: Mirrored| one.replica);
    let outcomes = topics.into_iter().zip(names).zip(outcomes);
    let outcomes = outcomes.map(|((topic, replica), outcome)| (topic, replica, outcome)).collect();
    Loss { outcomes, alive: true, taken_at: None, absent: 0, torn }
}

fn groups(check: &OffsetsCheck, found: &mut Findings) {
    for group in check.groups.iter().filter(|group| group.verdict > Verdict::Warn) {
        let text = match (group.may_resume, group.lost) {
            (Some(false), Some(lost)) if lost > 0 => {
                format!("group {} must not go on: {} would be lost to it", group.group, counted(lost, "record"))
            }
            (Some(false), _) => format!("group {} must not go on where it would", group.group),
            _ => format!("it is not proven that group {} would go on at the right record", group.group),
        };
        let hint = "set its offsets on the replica to the exact ones of the check `offsets`";
        found.reason(group.verdict, text, Some(hint));
    }
    let fine = check.groups.iter().filter(|group| group.may_resume == Some(true)).count() as u64;
    if fine > 0 {
        let text = format!("{} may go on on the replica: nothing is lost to them", counted(fine, "group"));
        found.reason(Verdict::Pass, text, None);
    }
}

/// What the comparison of all topics comes to.
fn judge(loss: Loss, objective: Option<f64>, found: &mut Findings) -> Rpo {
    let began = Instant::now();
    let (mut lost, mut complete, mut other) = (loss.absent, !loss.outcomes.is_empty(), 0_u64);
    let mut times = Times::default();
    for (topic, replica, outcome) in loss.outcomes {
        lost = lost.saturating_add(outcome.counts.missing).saturating_add(outcome.counts.not_yet_mirrored);
        other = other.saturating_add(outcome.counts.proven().saturating_sub(outcome.counts.missing));
        complete &= outcome.complete && outcome.counts.unproven == 0 && outcome.problem.is_none();
        times.take(&outcome);
        let (check, left_out) = parity::check(&topic, &replica, &outcome, began.elapsed());
        found.not_checked.extend(left_out);
        found.checks.push(check);
    }
    if other > 0 {
        let text = format!("{} otherwise than on the source", counted(other, "record"));
        found.reason(Verdict::Fail, text, Some("see the differences of each topic below"));
    }
    let exact = complete && loss.alive;
    let seconds = times.bounds(lost);
    let transactions = loss.torn.as_ref().map(|torn| torn.lost.saturating_add(torn.torn_all));
    let told = loss.torn.as_ref().is_some_and(|torn| torn.unknown == 0);
    let why = match (&loss.taken_at, exact) {
        (_, true) => None,
        (Some(taken_at), false) => Some(format!("what the source wrote after its snapshot of {taken_at} is not known")),
        (None, false) => Some("not every topic could be compared to its end".to_owned()),
    };
    let verdict = verdict(lost, exact, seconds, objective);
    Rpo {
        verdict,
        objective,
        seconds,
        transactions: transactions.filter(|_| exact && told),
        transactions_at_least: transactions.unwrap_or(0),
        records: exact.then_some(lost),
        records_at_least: lost,
        bytes: None,
        bytes_at_least: 0,
        seconds_if_down: None,
        method: if loss.alive { "content" } else { "snapshot" }.to_owned(),
        why,
    }
}

/// An objective in seconds is kept or broken by times; without one nothing may be lost.
fn verdict(lost: u64, exact: bool, seconds: Bounds, objective: Option<f64>) -> Verdict {
    match objective {
        _ if exact && lost == 0 => Verdict::Pass,
        None if lost > 0 => Verdict::Fail,
        None => Verdict::Unknown,
        Some(limit) if seconds.low.is_some_and(|low| low > limit) => Verdict::Fail,
        Some(limit) if exact && seconds.high.is_some_and(|high| high <= limit) => Verdict::Pass,
        Some(_) => Verdict::Unknown,
    }
}

/// Times of lost records and of the newest surviving one, in milliseconds since 1970.
#[derive(Default)]
struct Times {
    first_lost: Option<i64>,
    last_lost: Option<i64>,
    last_surviving: Option<i64>,
}

impl Times {
    fn take(&mut self, outcome: &Outcome) {
        let is_lost = |finding: &&Finding| matches!(finding.class, Class::Missing | Class::NotYetMirrored);
        for span in outcome.findings.iter().filter(is_lost).filter_map(|finding| finding.source) {
            self.first_lost = min(self.first_lost, span.first_time);
            self.last_lost = self.last_lost.max(span.last_time);
        }
        let surviving = outcome.partitions.iter().filter_map(|window| window.replica_read.as_ref()?.times);
        self.last_surviving = self.last_surviving.max(surviving.map(|(_, last)| last).max());
    }

    fn bounds(&self, lost: u64) -> Bounds {
        let seconds = |from: Option<i64>, to: Option<i64>| {
            let millis = u64::try_from(to?.saturating_sub(from?)).ok()?;
            Some(Duration::from_millis(millis).as_secs_f64())
        };
        if lost == 0 {
            return Bounds { low: Some(0.0), high: Some(0.0) };
        }
        Bounds { low: seconds(self.first_lost, self.last_lost), high: seconds(self.last_surviving, self.last_lost) }
    }
}

fn min(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn loss_reason(rpo: &Rpo) -> Reason {
    let text = match (rpo.records, rpo.records_at_least) {
        (Some(0), _) => "no record is lost".to_owned(),
        (Some(lost), _) => format!("exactly {} lost", counted(lost, "record")),
        (None, 0) => "how many records are lost is not known".to_owned(),
        (None, least) => format!("at least {} lost", counted(least, "record")),
    };
    Reason::new(rpo.verdict, text).hinted(rpo.why.clone())
}

fn unknown_rpo(objective: Option<f64>, why: &str) -> Rpo {
    Rpo {
        verdict: Verdict::Unknown,
        objective,
        seconds: Bounds::default(),
        transactions: None,
        transactions_at_least: 0,
        records: None,
        records_at_least: 0,
        bytes: None,
        bytes_at_least: 0,
        seconds_if_down: None,
        method: "none".to_owned(),
        why: Some(why.to_owned()),
    }
}
