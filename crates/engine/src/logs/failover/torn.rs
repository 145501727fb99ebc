//! Transactions of which the replica has some records and lacks others, where records say to which they belong.

use super::super::LogOptions;
use super::super::lag::{copied, newest_syncs};
use super::super::seen::{Both, Mirrored, Seen};
use super::Findings;
use crate::Options;
use crate::error::problem_of;
use crate::record::sided;
use paritas_connect::logs::{Ends, Isolation, Partition};
use paritas_lag::Link;
use paritas_logs::position::Mirrors;
use paritas_logs::recovery::{TornReport, TornTransaction};
use paritas_logs::sequence::FieldAt;
use paritas_model::{Known, Verdict};
use paritas_report::{NotChecked, counted};
use paritas_verify::logs::{LossAsk, MirrorAsk, SeekLimits, loss, mirrors};
use paritas_verify::rows::Origin;
use std::collections::BTreeMap;
use std::time::Instant;

/// Offsets before the end of each copy in which records of torn transactions are looked for.
const REACH: u64 = 10_000;
/// Torn transactions that are named.
const NAMED_MAX: usize = 3;

/// Looks for torn transactions at the ends of the copies; nothing where nobody said where identities are.
pub(super) async fn look_for(
    both: &Both,
    seen: &Seen,
    mirrored: &[Mirrored],
    log_options: &LogOptions,
    options: &Options,
    found: &mut Findings,
) -> Option<TornReport> {
    let Some(field) = &log_options.transaction else {
        let why = "nobody said where records name their transaction: transaction=header:tx".to_owned();
        found.not_checked.push(NotChecked { what: "torn transactions".to_owned(), why });
        return None;
    };
    match torn(both, seen, mirrored, field, log_options, options).await {
        Ok(report) => {
            tell(&report, found);
            Some(report)
        }
        Err((origin, error)) => {
            found.problem(&sided(origin, problem_of(&error)));
            None
        }
    }
}

async fn torn(
    both: &Both,
    seen: &Seen,
    mirrored: &[Mirrored],
    field: &FieldAt,
    log_options: &LogOptions,
    options: &Options,
) -> Result<TornReport, (Origin, paritas_connect::Error)> {
    let pairs = seen.pairs(mirrored, log_options, &options.digest_key);
    let (syncs, copied) = (newest_syncs(seen, &pairs), copied(seen, &pairs));
    let ask = MirrorAsk {
        source: &both.source,
        replica: &both.replica,
        pairs: &pairs,
        syncs: &syncs,
        copied: &copied,
        isolation: Isolation::Uncommitted,
        link: &Link::Connected,
        limits: SeekLimits::default(),
    };
    let placed = mirrors(&ask, &mut Mirrors::new(Instant::now())).await?;
    let stable = |ends: &Known<Ends>| ends.value().map(|ends| ends.stable);
    let until: BTreeMap<Partition, u64> =
        (seen.source.ends.iter()).filter_map(|(partition, ends)| Some((partition.clone(), stable(ends)?))).collect();
    let ask = LossAsk {
        source: &both.source,
        mirrors: &placed,
        until: &until,
        // What was aborted is in no transaction.
        isolation: Isolation::Committed,
        transaction: Some(field),
        transaction_reach: REACH,
        torn_max: NAMED_MAX,
    };
    let lost = loss(&ask).await?;
    let unplaced = placed.iter().filter(|mirror| mirror.placed.is_none()).count() as u64;
    let report = lost.torn.unwrap_or_else(|| TornReport { torn: Vec::new(), torn_all: 0, lost: 0, unknown: 0 });
    Ok(TornReport { unknown: report.unknown.saturating_add(unplaced), ..report })
}

fn tell(report: &TornReport, found: &mut Findings) {
    if report.torn_all > 0 {
        let named: Vec<String> = report.torn.iter().map(name).collect();
        let more = if report.torn_all > report.torn.len() as u64 { ", and others" } else { "" };
        let count = counted(report.torn_all, "transaction");
        let text = format!("{count} torn: {}{more}", named.join("; "));
        let hint = "complete or undo them on the replica before its readers go on";
        found.reason(Verdict::Fail, text, Some(hint));
    }
    if report.unknown > 0 {
        let text = format!(
            "of {} it is not known to which transaction they belong",
            counted(report.unknown, "lost record or partition")
        );
        found.reason(Verdict::Unknown, text, Some("see that every record has what `transaction` names"));
    }
    if report.torn_all == 0 && report.unknown == 0 {
        let text = format!("no transaction is torn within the last {REACH} offsets of each partition");
        found.reason(Verdict::Pass, text, None);
    }
}

fn name(torn: &TornTransaction) -> String {
    let list = |partitions: &[Partition]| partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let TornTransaction { id, present, absent, present_in, absent_in } = torn;
    format!("{id:?} has {present} on the replica ({}), {absent} not ({})", list(present_in), list(absent_in))
}
