//! A failover of stores without a history of their own, such as files: what the source holds where it still can be
//! read, else what its snapshot says.

use super::call::{FailedAt, SNAPSHOT, future};
use super::decide::reason;
use super::parity::{self, Beside};
use super::{recovered, steps};
use crate::job::{Job, limited, verify_job};
use crate::keep::Keeper;
use crate::snapshot::verify_loaded;
use crate::{Monitor, Options};
use jiff::Timestamp;
use paritas_connect::{Context, Store};
use paritas_model::{Objective, StoreKind, Verdict};
use paritas_report::{Bounds, Check, FilesCheck, LinkReport, NotChecked, Reason, Recovery, Rpo, Rto, counted};
use std::time::{Duration, Instant};

/// A source that does not answer within that time counts as gone.
const SOURCE_PATIENCE: Duration = Duration::from_secs(15);

/// A link between such stores.
pub(super) struct KeptJob {
    pub(super) rows: Job,
    pub(super) beside: Beside,
    pub(super) objective: Objective,
}

/// Whether both stores are of that kind.
pub(super) fn is_kept(job: &Job) -> bool {
    let kept = |kind: StoreKind| matches!(kind, StoreKind::Files | StoreKind::Parquet | StoreKind::Csv);
    kept(job.source.described.kind) && kept(job.replica.described.kind)
}

/// Looks at the link; the source may be gone.
pub(super) async fn examine(
    cx: &Context,
    job: KeptJob,
    options: &Options,
    (keeper, failed_at): (&Keeper, Option<FailedAt>),
) -> LinkReport {
    let cx = &limited(cx, options).0;
    let KeptJob { rows, beside, objective } = job;
    let mut link = empty(&rows, objective, failed_at);
    let began = Instant::now();
    let there = answers(cx, &*rows.replica.store).await;
    let replica = rows.replica.described.name.clone();
    if let Some(recovery) = &mut link.recovery {
        let (verdict, text) = match &there {
            Ok(()) => (Verdict::Pass, format!("{replica} can be read")),
            Err(error) => (Verdict::Unknown, format!("{replica} does not answer: {error}")),
        };
        recovery.steps.push(steps::step("new_primary", Some(verdict), began.elapsed(), text.clone()));
        recovery.reasons.push(reason(verdict, text, None));
    }
    if there.is_err() {
        return link;
    }
    let near = cx.clone().with_timeout(SOURCE_PATIENCE);
    let began = Instant::now();
    let alive = answers(&near, &*rows.source.store).await.is_ok();
    if alive {
        let compared = verify_job(cx, rows, options, &Monitor::default(), keeper).await;
        of_source(&mut link, &compared, began.elapsed());
        absorb(&mut link, compared, "against the source", began.elapsed(), true);
    } else {
        of_snapshot(cx, beside, options, failed_at, &mut link).await;
    }
    link
}

async fn answers(cx: &Context, store: &dyn Store) -> Result<(), paritas_connect::Error> {
    // A folder that is empty where it should hold something is seen by what it lacks.
    cx.bound(store.probe(cx)).await.map(|_| ())
}

fn empty(job: &Job, objective: Objective, failed_at: Option<FailedAt>) -> LinkReport {
    let why = "files do not say when the first one was written on the new side";
    let rto = match failed_at {
        Some(failed_at) => {
            let why = future(failed_at, Timestamp::now()).unwrap_or_else(|| why.to_owned());
            recovered::unknown(failed_at, objective.rto, why)
        }
        None => Rto {
            verdict: objective.rto.map(|_| Verdict::Unknown),
            objective: objective.rto.map(|time| time.as_secs_f64()),
            why: Some(why.to_owned()),
            ..Rto::default()
        },
    };
    let recovery = Recovery {
        decision: "go".to_owned(),
        planned: false,
        steps: Vec::new(),
        reasons: super::kept_in_time(&rto).into_iter().collect(),
        rpo: unknown(objective, "nothing was compared"),
        rto,
        timelines: Vec::new(),
        prepared: Vec::new(),
    };
    LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: Verdict::Pass,
        source: job.source.described.clone(),
        replica: job.replica.described.clone(),
        checks: Vec::new(),
        recovery: Some(recovery),
        not_checked: Vec::new(),
    }
}

fn unknown(objective: Objective, why: &str) -> Rpo {
    Rpo {
        verdict: Verdict::Unknown,
        objective: objective.rpo.map(|limit| limit.as_secs_f64()),
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

/// The loss where the source itself could be read.
fn of_source(link: &mut LinkReport, compared: &LinkReport, took: Duration) {
    let Some(recovery) = &mut link.recovery else { return };
    let verdict = LinkReport::combined(&compared.checks);
    let equal = matches!(verdict, Verdict::Pass | Verdict::Warn);
    let rpo = &mut recovery.rpo;
    "content".clone_into(&mut rpo.method);
    if equal {
        rpo.seconds = Bounds { low: Some(0.0), high: Some(0.0) };
        rpo.verdict = Verdict::Pass;
        rpo.why = None;
    } else {
        rpo.seconds = Bounds { low: Some(0.0), high: None };
        rpo.why = Some("files do not say when what is lost was written".to_owned());
        rpo.verdict = if rpo.objective.is_none() { verdict } else { Verdict::Unknown };
    }
    let text = "the source still can be read: what it holds was compared".to_owned();
    recovery.steps.push(steps::step("loss", Some(verdict), took, text));
}

/// Takes checks in, each kind with its reason. `proven`: the other side was the source itself.
fn absorb(link: &mut LinkReport, compared: LinkReport, against: &str, took: Duration, proven: bool) {
    if let Some(recovery) = &mut link.recovery {
        let checks = &compared.checks;
        recovery.steps.push(steps::rpo(&recovery.rpo));
        recovery.steps.push(steps::rto(&recovery.rto));
        recovery.steps.extend(steps::of_checks(checks, took, against));
        recovery.reasons.extend(checks.iter().filter_map(|check| match check {
            Check::Files(check) => Some(closure(check)),
            _ => None,
        }));
        recovery.reasons.extend(parity::figures(checks, false));
        recovery.reasons.extend(rows(checks, proven));
        if recovery.rpo.verdict > Verdict::Warn {
            let why = recovery.rpo.why.clone().unwrap_or_else(|| "something is lost".to_owned());
            recovery.reasons.push(reason(recovery.rpo.verdict, format!("RPO: {why}"), None));
        }
    }
    link.checks.extend(compared.checks);
    link.not_checked.extend(compared.not_checked);
}

/// One reason for all datasets with rows.
fn rows(checks: &[Check], proven: bool) -> Option<Reason> {
    let those: Vec<&Check> =
        checks.iter().filter(|check| matches!(check, Check::Parity(_) | Check::Schema(_))).collect();
    if !those.iter().any(|check| matches!(check, Check::Parity(_))) {
        return None;
    }
    let next = Some(if proven { super::call::BOTH } else { super::call::ROWS }.to_owned());
    let verdict = Verdict::combine(those.iter().map(|check| check.verdict()));
    let problem = those.iter().find_map(|check| check.problem()).map(|problem| problem.message.clone());
    let found = match verdict {
        Verdict::Pass | Verdict::Warn => reason(Verdict::Pass, "no row is lost or changed".to_owned(), None),
        Verdict::Fail => {
            let text = problem.unwrap_or_else(|| "rows are proven to be lost or changed".to_owned());
            reason(Verdict::Fail, text, Some("see which, and copy or enter them again".to_owned()))
        }
        Verdict::Unknown => {
            let text = problem.unwrap_or_else(|| "rows differ, and nothing tells whether that was meant".to_owned());
            let hint = "declare what may happen to the dataset: ?writes=none, inserts or upserts, or changed_at=COLUMN";
            reason(Verdict::Unknown, text, Some(hint.to_owned()))
        }
    };
    Some(Reason { next, ..found })
}

/// Whether every file that is named is there and intact. More files are no hole.
fn closure(check: &FilesCheck) -> Reason {
    let against = check.against.is_some();
    let of = if against { "of the snapshot" } else { "of the source" };
    let next = Some(if against { super::call::ROWS } else { super::call::BOTH }.to_owned());
    let missing = check.items.iter().filter(|item| item.class != "extra").count() as u64;
    let found = match (check.verdict, &check.problem) {
        (_, Some(problem)) => {
            reason(check.verdict.max(Verdict::Unknown), problem.message.clone(), problem.hint.clone())
        }
        (Verdict::Pass | Verdict::Warn, None) => {
            let count = counted(check.files.source, "file");
            reason(Verdict::Pass, format!("every file {of} is there and intact ({count})"), None)
        }
        (Verdict::Unknown, None) if missing == 0 && !check.items_truncated => {
            let more = counted(check.items.len() as u64, "file");
            let text = format!("every file {of} is there and intact; {more} more were written since");
            reason(Verdict::Warn, text, None)
        }
        (Verdict::Fail, None) if missing == 0 && !check.items_truncated => {
            let more = counted(check.items.len() as u64, "file");
            reason(Verdict::Fail, format!("{more} more than there may be"), None)
        }
        (verdict, None) => {
            let text = format!("{} {of} missing or damaged", counted(missing, "file"));
            let hint = match verdict {
                Verdict::Unknown => {
                    "if none of them was removed or written on purpose, say so: ?writes=none or inserts"
                }
                _ => "copy them again from where they still are",
            };
            reason(verdict, text, Some(hint.to_owned()))
        }
    };
    Reason { next, ..found }
}

async fn of_snapshot(
    cx: &Context,
    beside: Beside,
    options: &Options,
    failed_at: Option<FailedAt>,
    link: &mut LinkReport,
) {
    let why = match beside {
        Beside::Ready(ready) => {
            let (job, loaded) = *ready;
            let began = Instant::now();
            let compared = verify_loaded(cx, &job, options, &Monitor::default(), &loaded).await;
            let document = &loaded.document;
            if let Some(recovery) = &mut link.recovery {
                let text = format!(
                    "the source does not answer: snapshot {} of {} stands in for it",
                    document.id,
                    paritas_report::to_the_second(&document.taken_at)
                );
                recovery.reasons.push(reason(Verdict::Warn, text.clone(), None));
                recovery.steps.push(steps::step("loss", Some(Verdict::Unknown), began.elapsed(), text));
                bound(&mut recovery.rpo, &compared, (&document.began_at, failed_at));
            }
            let against = format!("against snapshot {}", document.id);
            return absorb(link, compared, &against, began.elapsed(), false);
        }
        Beside::Nothing(_) => "the source does not answer, and no snapshot of it is kept".to_owned(),
        Beside::Unusable(_, why) => format!("the source does not answer, and its snapshot cannot be used: {why}"),
    };
    if let Some(recovery) = &mut link.recovery {
        recovery.rpo.why = Some(why.clone());
        recovery.steps.push(steps::step("loss", Some(Verdict::Unknown), Duration::ZERO, why.clone()));
        let hint = Some("take one while the source is there, from a timer".to_owned());
        recovery
            .reasons
            .push(Reason { next: Some(SNAPSHOT.to_owned()), ..reason(Verdict::Unknown, why.clone(), hint) });
    }
    link.not_checked.push(NotChecked { what: "rows or files against the last snapshot".to_owned(), why });
}

/// The recovery point by a snapshot. Where the replica has all of it, whatever is lost was written after it was begun.
fn bound(rpo: &mut Rpo, compared: &LinkReport, (began_at, failed_at): (&str, Option<FailedAt>)) {
    "snapshot".clone_into(&mut rpo.method);
    rpo.seconds.low = Some(0.0);
    let whole = compared.checks.iter().all(|check| match check {
        Check::Files(check) => closure(check).verdict <= Verdict::Warn,
        check => matches!(check.verdict(), Verdict::Pass | Verdict::Warn),
    });
    let failed = LinkReport::combined(&compared.checks) == Verdict::Fail;
    let window = failed_at.zip(began_at.parse::<Timestamp>().ok()).map(|(failed, began)| {
        let future = future(failed, Timestamp::now());
        (failed.0.duration_since(began).as_secs_f64(), future)
    });
    (rpo.seconds.high, rpo.why) = match window {
        _ if !whole => {
            (None, Some("the replica lacks something of the snapshot, and files do not say since when".to_owned()))
        }
        None => (None, Some(format!("what was written after {began_at} is in no snapshot: bound it with --failed-at"))),
        Some((_, Some(why))) => (None, Some(why)),
        Some((seconds, None)) if seconds < 0.0 => {
            (None, Some("the failure lies before the snapshot was begun: that time is wrong, or a clock is".to_owned()))
        }
        Some((seconds, None)) => (Some(seconds), None),
    };
    rpo.verdict = match (rpo.objective, rpo.seconds.high) {
        (None, _) if failed => Verdict::Fail,
        (Some(limit), Some(high)) if high <= limit => Verdict::Pass,
        // Nothing was promised, and everything that is known to have been there is there.
        (None, _) if whole => Verdict::Warn,
        _ => Verdict::Unknown,
    };
}
