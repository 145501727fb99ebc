//! A planned switch, such as the way back after a failover: both sides are there, and GO means that they are identical
//! now, that nothing is on its way, and that nothing would be missing on the other side.

use super::call::{BOTH, LAG};
use super::decide::reason;
use super::lineage;
use super::parity;
use super::steps::{self, step};
use crate::error::problem_of;
use crate::job::{Job, Sides, limited, sides, verify_job};
use crate::keep::Keeper;
use crate::record::sided;
use crate::snapshot::verify_sequences;
use crate::{Monitor, Options};
use paritas_connect::{Context, ReplicaRole, Slot, Standing, StoreIdentity};
use paritas_model::{Objective, StoreKind, Tier, Verdict};
use paritas_report::{Bounds, Check, LinkReport, Reason, Recovery, Rpo, Rto, Step, counted};
use paritas_verify::rows::Origin;
use paritas_verify::{Side, catch_up};
use std::time::{Duration, Instant};

/// A link whose two sides are to change places.
pub(super) struct PlannedJob {
    pub(super) rows: Job,
    pub(super) tier: Option<Tier>,
    pub(super) objective: Objective,
}

/// What is put together.
#[derive(Default)]
struct Found {
    reasons: Vec<Reason>,
    steps: Vec<Step>,
    checks: Vec<Check>,
}

impl Found {
    fn add(&mut self, name: &str, took: Duration, found: Reason) {
        self.steps.push(step(name, Some(found.verdict), took, found.text.clone()));
        self.reasons.push(found);
    }
}

/// Looks at both sides.
pub(super) async fn examine(cx: &Context, job: PlannedJob, options: &Options, keeper: &Keeper) -> LinkReport {
    let cx = &limited(cx, options).0;
    let PlannedJob { rows, tier, objective } = job;
    if rows.source.described.kind == StoreKind::Kafka && rows.replica.described.kind == StoreKind::Kafka {
        return of_logs(cx, &rows, (tier, objective), options, keeper).await;
    }
    let mut found = Found::default();
    let both = sides(cx, &rows, options);
    let began = Instant::now();
    let asked = tokio::join!(ask(&both.source), ask(&both.replica));
    let (source, replica) = (rows.source.described.clone(), rows.replica.described.clone());
    let (mut not_checked, name) = (Vec::new(), rows.name.clone());
    let fence = match asked {
        (Ok(_), Ok(theirs)) => {
            let text = format!("{} and {} answer", source.name, replica.name);
            found.add("source", began.elapsed(), Reason::new(Verdict::Pass, text));
            let servers = standings(&both, &theirs.role, &mut found).await;
            let crossed = fences(&both, options, &mut found).await;
            if crossed {
                let began = Instant::now();
                let compared = verify_job(cx, rows, options, &Monitor::default(), keeper).await;
                parity_of(&compared, began.elapsed(), &name, &mut found);
                found.checks.extend(compared.checks);
                not_checked = compared.not_checked;
            } else {
                let text = "not compared: the replica does not have everything yet";
                found.steps.push(step("parity", None, Duration::ZERO, text));
            }
            beside(&both, &theirs, options, &mut found).await;
            let again = last_fence(&both, options, servers.as_ref(), crossed, &mut found).await;
            crossed && again
        }
        (ours, theirs) => {
            for (origin, error) in [(Origin::Source, ours.err()), (Origin::Replica, theirs.err())] {
                let Some(error) = error else { continue };
                let problem = sided(origin, problem_of(&error));
                let hint = "a planned switch needs both sides; after a failure, leave --planned out".to_owned();
                let text = problem.message;
                found.add("source", began.elapsed(), reason(Verdict::Unknown, text, Some(hint)));
            }
            false
        }
    };
    let mut link = LinkReport {
        name,
        tier,
        verdict: Verdict::Pass,
        source,
        replica,
        checks: found.checks,
        recovery: None,
        not_checked,
    };
    link.recovery = Some(recovery(found.reasons, found.steps, objective, fence));
    link
}

async fn ask(side: &Side) -> Result<StoreIdentity, paritas_connect::Error> {
    side.cx.bound(side.store.probe(&side.cx)).await
}

/// Who takes writes, and whether the replica follows the source.
async fn standings(both: &Sides, role: &ReplicaRole, found: &mut Found) -> Option<Standing> {
    let (Some(ours), Some(theirs)) = (both.source.store.lineages(), both.replica.store.lineages()) else { return None };
    let began = Instant::now();
    let (source, mut replica) = tokio::join!(
        both.source.cx.bound(ours.standing(&both.source.cx)),
        both.replica.cx.bound(theirs.standing(&both.replica.cx))
    );
    if source.is_ok() {
        // Asked again, because only a later answer says that a standby is not ahead of its primary.
        replica = both.replica.cx.bound(theirs.standing(&both.replica.cx)).await;
    }
    if let ReplicaRole::LogicalReplica { .. } = role {
        let text = "a logical replica has a history of its own".to_owned();
        found.steps.push(step("lineage", None, began.elapsed(), text));
        return source.ok();
    }
    let servers = lineage::Servers {
        source: &source,
        replica: &replica,
        source_name: "the source",
        replica_name: "the replica",
        stopped: false,
    };
    let check = lineage::judge(&servers);
    let standby = replica.as_ref().is_ok_and(|standing| standing.in_recovery);
    let judged = if check.relation == "same" && standby {
        Reason::new(check.verdict, check.summary.clone())
    } else {
        let hint = "rebuild the replica from the source (pg_rewind or pg_basebackup), and let it stream".to_owned();
        let text = format!("the replica is no standby that follows the source: {}", check.summary);
        reason(
            check.verdict.max(if check.verdict == Verdict::Unknown { Verdict::Unknown } else { Verdict::Fail }),
            text,
            Some(hint),
        )
    };
    found.add("lineage", began.elapsed(), judged);
    found.checks.push(Check::Lineage(check));
    source.ok()
}

/// A position of the source that the replica must reach. Whether it did.
async fn fences(both: &Sides, options: &Options, found: &mut Found) -> bool {
    let began = Instant::now();
    if both.source.store.positions().is_none() || both.replica.store.positions().is_none() {
        let text = "these stores have no positions: their contents are compared".to_owned();
        found.steps.push(step("lag", None, began.elapsed(), text));
        return true;
    }
    let (crossed, judged) = match catch_up(&both.source, &both.replica, options.settle).await {
        Ok(None) => (true, Reason::new(Verdict::Pass, "the replica has all that the source had when it was asked")),
        Ok(Some(why)) => {
            let hint = "wait until it has caught up, or find out what holds it".to_owned();
            (
                false,
                Reason {
                    next: Some(LAG.to_owned()),
                    ..reason(Verdict::Fail, format!("the replica is behind: {why}"), Some(hint))
                },
            )
        }
        Err((origin, error)) => {
            let problem = sided(origin, problem_of(&error));
            (false, reason(Verdict::Unknown, problem.message, problem.hint))
        }
    };
    found.add("lag", began.elapsed(), judged);
    crossed
}

/// The other sense: the source has stopped taking writes, or has just been seen to be caught up with again.
async fn last_fence(
    both: &Sides,
    options: &Options,
    source: Option<&Standing>,
    crossed: bool,
    found: &mut Found,
) -> bool {
    if both.source.store.positions().is_none() || !crossed {
        return crossed;
    }
    let began = Instant::now();
    let stopped = source.is_some_and(|standing| standing.read_only);
    let (crossed, judged) = match catch_up(&both.source, &both.replica, options.settle).await {
        Ok(None) if stopped => {
            (true, Reason::new(Verdict::Pass, "the source takes no writes by default, and the replica has everything"))
        }
        Ok(None) => {
            let text =
                "the replica has all that the source had a moment ago; nothing keeps the source from taking more";
            let hint = "stop the applications, then the source (pg_ctl stop -m fast), before the replica is promoted";
            (true, reason(Verdict::Warn, text.to_owned(), Some(hint.to_owned())))
        }
        Ok(Some(why)) => {
            let text = format!("the replica did not keep up while it was compared: {why}");
            (false, Reason { next: Some(LAG.to_owned()), ..reason(Verdict::Fail, text, None) })
        }
        Err((origin, error)) => {
            let problem = sided(origin, problem_of(&error));
            (false, reason(Verdict::Unknown, problem.message, problem.hint))
        }
    };
    found.add("fence", began.elapsed(), judged);
    crossed
}

fn parity_of(compared: &LinkReport, took: Duration, name: &str, found: &mut Found) {
    found.steps.extend(steps::of_checks(&compared.checks, took, "against the source"));
    let verdict = LinkReport::combined(&compared.checks);
    let problem = compared.checks.iter().find_map(Check::problem).map(|problem| problem.message.clone());
    let judged = match verdict {
        Verdict::Pass => Reason::new(Verdict::Pass, format!("both sides of {name} hold the same")),
        Verdict::Warn => {
            Reason::new(Verdict::Warn, format!("both sides of {name} hold the same rows; schemas differ in facts"))
        }
        Verdict::Fail => {
            let text = problem.unwrap_or_else(|| "the two sides differ".to_owned());
            reason(Verdict::Fail, text, Some("mend the replica before the switch".to_owned()))
        }
        Verdict::Unknown => {
            let text = problem.unwrap_or_else(|| "not everything could be proven equal".to_owned());
            reason(Verdict::Unknown, text, Some("ask again when less is written".to_owned()))
        }
    };
    found.reasons.push(Reason { next: Some(BOTH.to_owned()), ..judged });
}

/// Sequences and slots of the side that is to take over.
async fn beside(both: &Sides, theirs: &StoreIdentity, options: &Options, found: &mut Found) {
    if both.replica.store.datasets().is_some()
        && let Some(check) = verify_sequences(&both.replica, options, None, false).await
    {
        let checks = [check];
        found.steps.extend(steps::of_checks(&checks, Duration::ZERO, "against the columns that use them"));
        found.reasons.extend(parity::sequences(&checks));
        found.checks.extend(checks);
    }
    let (Some(ours), Some(other)) = (both.source.store.lineages(), both.replica.store.lineages()) else { return };
    let began = Instant::now();
    let (cx, far) = (&both.source.cx, &both.replica.cx);
    let (source, replica) = tokio::join!(cx.bound(ours.slots(cx)), far.bound(other.slots(far)));
    let judged = match (source, replica) {
        (Ok(source), Ok(replica)) => slots(&source, &replica, &theirs.role),
        (Err(error), _) | (_, Err(error)) => {
            let problem = problem_of(&error);
            reason(Verdict::Unknown, format!("slots: {}", problem.message), problem.hint)
        }
    };
    found.add("slots", began.elapsed(), judged);
}

/// Slots of the source that its readers would not find on the replica.
fn slots(source: &[Slot], replica: &[Slot], role: &ReplicaRole) -> Reason {
    let own: &[String] = match role {
        ReplicaRole::LogicalReplica { subscriptions } => subscriptions,
        _ => &[],
    };
    let there = |slot: &Slot| replica.iter().any(|other| other.name == slot.name && other.logical == slot.logical);
    let lacking: Vec<&Slot> = source
        .iter()
        .filter(|slot| slot.logical && !slot.temporary && !own.contains(&slot.name) && !there(slot))
        .collect();
    match lacking.as_slice() {
        [] => Reason::new(
            Verdict::Pass,
            match source.len() as u64 {
                0 => "no slot on the source".to_owned(),
                slots => format!("{} on the source: no reader would lose its place", counted(slots, "slot")),
            },
        ),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let text =
                format!("logical slot {}{more} is not on the replica: its readers would lose their place", first.name);
            let hint = "make it a failover slot (PostgreSQL 17), or let its readers read to the end and drop it";
            reason(Verdict::Fail, text, Some(hint.to_owned()))
        }
    }
}

async fn of_logs(
    cx: &Context,
    job: &Job,
    (tier, objective): (Option<Tier>, Objective),
    options: &Options,
    keeper: &Keeper,
) -> LinkReport {
    let examined = crate::logs::Examined {
        name: &job.name,
        tier,
        source: &job.source,
        replica: &job.replica,
        include: &job.include,
        exclude: &job.exclude,
        objective,
        failed_at: None,
    };
    let mut link = crate::logs::examine(cx, &examined, options, keeper).await;
    let Some(recovery) = &mut link.recovery else { return link };
    recovery.planned = true;
    if recovery.rpo.method != "content" {
        let hint = "a planned switch needs both sides; after a failure, leave --planned out".to_owned();
        recovery.reasons.push(reason(Verdict::Unknown, "the source was not read itself".to_owned(), Some(hint)));
    }
    if recovery.rpo.records_at_least > 0 {
        let text = format!("{} not on the replica yet", counted(recovery.rpo.records_at_least, "record"));
        let hint = "stop the producers, and wait until the mirror has everything".to_owned();
        recovery.reasons.push(Reason { next: Some(LAG.to_owned()), ..reason(Verdict::Fail, text, Some(hint)) });
    }
    link
}

/// Nothing was switched: what a switch now would lose.
fn recovery(reasons: Vec<Reason>, steps: Vec<Step>, objective: Objective, fenced: bool) -> Recovery {
    let identical = fenced && reasons.iter().all(|reason| reason.verdict <= Verdict::Warn);
    let rpo = Rpo {
        verdict: if identical { Verdict::Pass } else { Verdict::Unknown },
        objective: objective.rpo.map(|limit| limit.as_secs_f64()),
        seconds: if identical { Bounds { low: Some(0.0), high: Some(0.0) } } else { Bounds::default() },
        transactions: identical.then_some(0),
        transactions_at_least: 0,
        records: None,
        records_at_least: 0,
        bytes: identical.then_some(0),
        bytes_at_least: 0,
        seconds_if_down: None,
        method: "fence".to_owned(),
        why: (!identical).then(|| "the two sides are not proven to be identical".to_owned()),
    };
    let rto = Rto {
        objective: objective.rto.map(|limit| limit.as_secs_f64()),
        why: Some("nothing was switched yet".to_owned()),
        ..Rto::default()
    };
    Recovery {
        decision: "go".to_owned(),
        planned: true,
        steps,
        reasons,
        rpo,
        rto,
        timelines: Vec::new(),
        prepared: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn slot(name: &str, logical: bool) -> Slot {
        Slot { name: name.to_owned(), logical, temporary: false }
    }

    #[rstest]
    #[case::none(&[], &[], &[], Verdict::Pass)]
    #[case::of_a_standby(&[("standby", false)], &[], &[], Verdict::Pass)]
    #[case::of_a_reader(&[("cdc", true)], &[], &[], Verdict::Fail)]
    #[case::synced(&[("cdc", true)], &[("cdc", true)], &[], Verdict::Pass)]
    #[case::of_the_replica_itself(&[("sub", true)], &[], &["sub"], Verdict::Pass)]
    fn readers_keep_their_slots(
        #[case] source: &[(&str, bool)],
        #[case] replica: &[(&str, bool)],
        #[case] own: &[&str],
        #[case] expected: Verdict,
    ) {
        let all = |slots: &[(&str, bool)]| slots.iter().map(|(name, logical)| slot(name, *logical)).collect::<Vec<_>>();
        let role = if own.is_empty() {
            ReplicaRole::PhysicalReplica
        } else {
            ReplicaRole::LogicalReplica { subscriptions: own.iter().map(|name| (*name).to_owned()).collect() }
        };
        assert_eq!(slots(&all(source), &all(replica), &role).verdict, expected);
    }
}
