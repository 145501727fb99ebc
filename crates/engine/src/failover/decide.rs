//! GO or NO-GO: every finding with what it means and what to do.

use super::observed::{self, Seen};
use super::steps::{shown, time};
use super::{Evidence, Job, loss, prepared};
use paritas_connect::Standing;
use paritas_model::{Known, Verdict};
use paritas_pgwal::{Abandoned, Origin};
use paritas_report::{Bounds, LineageCheck, NotChecked, Reason, Recovery, Rpo, Rto, counted};

/// Puts all findings together.
pub(super) fn decide(job: &Job, evidence: &Evidence, lineage: &LineageCheck, max: usize) -> Recovery {
    // Without a promotion there was no failover, whatever else is wrong.
    let mut reasons = vec![writable(job, evidence)];
    // What was given and cannot be read comes before everything that is unknown because of it.
    for problem in &evidence.problems {
        let detail = problem.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        reasons.push(reason(Verdict::Unknown, format!("{}{detail}", problem.message), problem.hint.clone()));
    }
    reasons.push(reason(lineage.verdict, lineage.summary.clone(), lineage_hint(lineage)));
    reasons.extend(evidence.replica.as_ref().ok().and_then(|standing| waits(job.replica_name(), standing)));
    let promoted = evidence.replica.as_ref().is_ok_and(|standing| !standing.in_recovery);
    let rpo = if promoted { loss::rpo(evidence, job.objective.rpo) } else { not_promoted(job, evidence) };
    reasons.push(lost(job, evidence, &rpo));
    let undecided: usize = evidence.abandoned.iter().map(|abandoned| abandoned.undecided().len()).sum();
    if promoted && undecided > 0 {
        let text = format!("{} not decided on the old primary", counted(undecided as u64, "prepared transaction"));
        let hint = "ask their coordinators: the new primary does not know those prepared after the switchpoint";
        reasons.push(reason(Verdict::Warn, text, Some(hint.to_owned())));
    }
    reasons.extend(probed(evidence));
    reasons.extend(evidence.replica.as_ref().ok().and_then(|standing| prepared::held(job.replica_name(), standing)));
    let rto = match evidence.counted.clone() {
        Some(counted) if !matches!(evidence.seen, Seen::This(_)) => counted,
        _ => observed::rto(&evidence.seen, job.objective.rto),
    };
    reasons.extend(kept_in_time(&rto));
    // The worst first; findings of one verdict in the order of the checks.
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    let go = promoted && reasons.iter().all(|reason| reason.verdict <= Verdict::Warn);
    let timelines = match &evidence.replica {
        Ok(replica) if promoted => {
            evidence.abandoned.iter().map(|abandoned| loss::timeline(abandoned, replica, max)).collect()
        }
        _ => Vec::new(),
    };
    let prepared = evidence.replica.as_ref().map(prepared::listed).unwrap_or_default();
    let decision = if go { "go" } else { "no-go" }.to_owned();
    Recovery { decision, planned: false, steps: Vec::new(), reasons, rpo, rto, timelines, prepared }
}

/// The recovery time against its objective, if there is one.
pub(crate) fn kept_in_time(rto: &Rto) -> Option<Reason> {
    let (verdict, limit) = rto.verdict.zip(rto.objective)?;
    let measured = rto.seconds.map(|bounds| match (bounds.low, bounds.high) {
        (None | Some(0.0), None) => String::new(),
        _ => format!("{}, ", shown(bounds)),
    });
    let limit = time(limit);
    let (text, hint) = match (verdict, measured) {
        (Verdict::Pass | Verdict::Warn, measured) => {
            (format!("{}within the objective of {limit}", measured.unwrap_or_default()), None)
        }
        (Verdict::Fail, measured) => (format!("{}beyond the objective of {limit}", measured.unwrap_or_default()), None),
        (Verdict::Unknown, Some(measured)) if rto.failed_at.is_some() => {
            let why = rto.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let hint = "ask again when applications write; with track_commit_timestamp = on commits have times";
            (format!("{measured}not proven to be within the objective of {limit}{why}"), Some(hint))
        }
        (Verdict::Unknown, Some(measured)) => {
            let hint = "probe at a shorter interval (--every), with heartbeats, before the next failover";
            (format!("{measured}not proven to be within the objective of {limit}"), Some(hint))
        }
        (Verdict::Unknown, None) => {
            let hint = "name the time of the failure with --failed-at, or let `paritas probe` run before the next one";
            (rto.why.clone().unwrap_or_else(|| "not known".to_owned()), Some(hint))
        }
    };
    // A time that was not measured cannot be measured now: the next one can.
    let next = (verdict == Verdict::Unknown && rto.failed_at.is_none()).then(|| super::call::PROBE.to_owned());
    Some(Reason { next, ..reason(verdict, format!("RTO: {text}"), hint.map(str::to_owned)) })
}

pub(super) fn reason(verdict: Verdict, text: String, hint: Option<String>) -> Reason {
    Reason::new(verdict, text).hinted(hint)
}

fn lineage_hint(lineage: &LineageCheck) -> Option<String> {
    let hint = match (lineage.verdict, lineage.relation.as_str()) {
        (Verdict::Pass | Verdict::Warn, _) => return None,
        (_, "split_brain") => "fence the old primary now: stop it, then name its directory with --data-directory",
        (_, "stranger") => "name the servers of one cluster, the old primary first",
        (_, "forked") => {
            "stop the old server and keep a copy of its directory; then pg_rewind (CHECKPOINT on the new primary first), or \
             rebuild it"
        }
        (_, "promoted") => "make sure that the old primary is down, and name its directory with --data-directory",
        (_, "same") => "let the standby stream, with a role that has pg_monitor, and ask again; else rebuild it",
        _ => return lineage.problem.as_ref().and_then(|problem| problem.hint.clone()),
    };
    Some(hint.to_owned())
}

/// Whether the new primary is one: replay ended, and sessions may write.
fn writable(job: &Job, evidence: &Evidence) -> Reason {
    let name = job.replica_name();
    let standing = match &evidence.replica {
        Ok(standing) => standing,
        Err(error) => {
            let text = format!("{name} does not answer: {}", error.message());
            return reason(Verdict::Unknown, text, error.hint_text().map(str::to_owned));
        }
    };
    if standing.in_recovery {
        let hint = "promote it (pg_promote), and ask again".to_owned();
        return reason(
            Verdict::Fail,
            format!("nothing was promoted yet: {name} is still a standby and takes no writes"),
            Some(hint),
        );
    }
    if standing.read_only {
        let hint = "set default_transaction_read_only = off for the server, the database and the role".to_owned();
        return reason(Verdict::Fail, format!("sessions on {name} are read only by default"), Some(hint));
    }
    reason(
        Verdict::Pass,
        format!("{name} takes writes{}", replayed(standing).map(|text| format!("; {text}")).unwrap_or_default()),
        None,
    )
}

/// Whether its commits hang, as they do when the standby that they wait for was left behind.
fn waits(name: &str, standing: &Standing) -> Option<Reason> {
    if standing.in_recovery {
        return None;
    }
    let hint = "let the standby connect, or take it out of synchronous_standby_names and reload; then ask again";
    let (verdict, text) = match &standing.synchrony {
        Known::Unknown { why } => (Verdict::Unknown, format!("{name}: {why}")),
        Known::Known(known) if known.lacks() => {
            let (needed, names) = (known.needed, known.names.as_str());
            let there = format!("{} of {needed} connected, synchronous_standby_names = '{names}'", known.connected);
            let text = format!("commits wait for a synchronous standby that is not there: {there} on {name}");
            // Sessions that do not wait unless they ask to go on.
            let verdict = if known.by_default || known.waiting > 0 { Verdict::Fail } else { Verdict::Warn };
            (verdict, text)
        }
        Known::Known(known) if known.stuck > 0 => {
            let text = format!(
                "{} on {name} cannot end: a synchronous standby does not confirm",
                counted(known.stuck, "commit")
            );
            (Verdict::Unknown, text)
        }
        Known::Known(_) => return None,
    };
    Some(reason(verdict, text, Some(hint.to_owned())))
}

/// Where replay ended, on a server that was promoted and whose history is known.
pub(super) fn replayed(standing: &Standing) -> Option<String> {
    let switch = standing.ancestry.value()?.switches.last()?;
    Some(format!("replay of timeline {} is complete up to {}", switch.timeline, switch.at))
}

/// Nothing was left behind by a server that was never promoted.
fn not_promoted(job: &Job, evidence: &Evidence) -> Rpo {
    let why = if evidence.replica.is_ok() { "nothing was promoted yet" } else { "the new primary does not answer" };
    Rpo {
        verdict: Verdict::Unknown,
        objective: job.objective.rpo.map(|limit| limit.as_secs_f64()),
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

fn lost(job: &Job, evidence: &Evidence, rpo: &Rpo) -> Reason {
    let count = counted(rpo.transactions_at_least, "committed transaction");
    let text = match (rpo.transactions, rpo.transactions_at_least) {
        (Some(0), _) => "no committed transaction is lost".to_owned(),
        (Some(_), _) if rpo.objective.is_none() => format!("{count} lost, and no objective says that any may be"),
        (Some(_), _) => format!("exactly {count} of the log lost{}", against(rpo)),
        (None, _) if rpo.verdict == Verdict::Pass => {
            format!("at least {count} lost, how many is not known{}", against(rpo))
        }
        (None, 0) => format!("how much is lost is not known: {}", rpo.why.as_deref().unwrap_or("nothing was read")),
        (None, _) => format!("at least {count} lost: {}", rpo.why.as_deref().unwrap_or("the log has no proven end")),
    };
    let hint = match (rpo.transactions, rpo.verdict) {
        (None, Verdict::Pass) => None,
        (None, _) => loss_hint(job, evidence),
        (Some(_), Verdict::Fail) => Some(
            "enter the lost rows again, or decide not to: they are listed where the old primary's server is named with \
             --old-primary, started where nobody else reaches it"
                .to_owned(),
        ),
        (Some(_), _) => None,
    };
    reason(rpo.verdict, text, hint)
}

fn against(rpo: &Rpo) -> String {
    let Some(limit) = rpo.objective else { return String::new() };
    let word = match rpo.verdict {
        Verdict::Pass => "within",
        Verdict::Fail => "beyond",
        Verdict::Warn | Verdict::Unknown => "not proven to be within",
    };
    format!(", {word} the objective of {}", time(limit))
}

fn loss_hint(job: &Job, evidence: &Evidence) -> Option<String> {
    let from_directory = |one: &Abandoned| matches!(one.origin, Origin::Directory { .. });
    if evidence.abandoned.is_empty() {
        return None;
    }
    Some(if evidence.abandoned.iter().all(from_directory) {
        "stop the old server, and give its whole, unchanged directory; add --wal-archive for segments it removed"
            .to_owned()
    } else if job.left.data_directories.is_empty() {
        "name the stopped old primary's data directory with --data-directory (mounted read-only, or a copy)".to_owned()
    } else {
        "name the directory of each server that was primary in between: --data-directory can be repeated".to_owned()
    })
}

/// What a probe proved beside the recovery time.
fn probed(evidence: &Evidence) -> Vec<Reason> {
    let Seen::This(observed) = &evidence.seen else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(split) = &observed.split {
        let text = format!(
            "split brain: the old primary acknowledged heartbeat {} after the new one had acknowledged {}",
            split.old.sequence, split.other.sequence
        );
        let hint = "fence the old primary now: what it took since is on no other server".to_owned();
        found.push(reason(Verdict::Fail, text, Some(hint)));
    }
    if let Some(losses) = observed.losses().filter(|losses| losses.least > 0) {
        let count = counted(losses.least, "heartbeat");
        let text = format!("{count} that the old primary acknowledged to the probe are missing on the new one");
        // That something is lost is judged with the recovery point; this says where it is known from.
        found.push(reason(Verdict::Warn, text, None));
    }
    found
}

/// What nobody looked at.
pub(super) fn not_checked(job: &Job, evidence: &Evidence) -> Vec<NotChecked> {
    let replica = job.replica_name();
    let mut list = Vec::new();
    if evidence.rows_unasked {
        list.push(NotChecked {
            what: format!("rows of {replica} against the last healthy snapshot"),
            why:
                "no snapshot of the link is kept: take them from a timer, or run `paritas verify digest:FILE …` with a \
                  digest that was kept"
                    .to_owned(),
        });
    }
    if !evidence.abandoned.is_empty() {
        list.push(NotChecked {
            what: "commits acknowledged with synchronous_commit = off that never reached the old primary's log"
                .to_owned(),
            why: "a crash forgets them, and no file shows that they were: what is counted is what the log holds"
                .to_owned(),
        });
    }
    // Earlier promotions are of interest only where their servers are.
    let ancestry = evidence.replica.as_ref().ok().and_then(|standing| standing.ancestry.value());
    for switch in ancestry.iter().flat_map(|ancestry| &ancestry.switches) {
        if !evidence.abandoned.iter().any(|abandoned| abandoned.switch.timeline == switch.timeline) {
            list.push(NotChecked {
                what: format!("what was lost when timeline {} was left at {}", switch.timeline, switch.at),
                why: "it is an earlier promotion than that of the servers looked at".to_owned(),
            });
        }
    }
    for abandoned in evidence.abandoned.iter().filter(|abandoned| abandoned.is_proven()) {
        let first = match &abandoned.origin {
            Origin::Directory { path, .. } => Some(path),
            Origin::Archives | Origin::Nothing => None,
        };
        for path in first.into_iter().chain(&abandoned.beside) {
            list.push(NotChecked {
                what: format!("whether {} is the old primary's directory as it is now", path.display()),
                why: "a copy, or a directory in use on another machine, looks the same: its server must be down"
                    .to_owned(),
            });
        }
    }
    list
}
