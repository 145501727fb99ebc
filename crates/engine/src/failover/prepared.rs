//! Prepared transactions that the new primary took over: nobody but their coordinators knows how they end.

use jiff::Timestamp;
use paritas_connect::{PreparedTransaction, Standing};
use paritas_model::{Known, Verdict};
use paritas_report::{HeldTransaction, Reason, counted};

/// The time of a promotion is known in whole seconds.
const RESOLUTION_US: i64 = 1_000_000;

/// Whether a transaction was prepared before the promotion, by two clocks; unknown without the time of the promotion.
fn before(held: &PreparedTransaction, standing: &Standing) -> Option<bool> {
    match standing.promoted_at {
        Known::Known(at) => Some(held.prepared_at < at.saturating_add(RESOLUTION_US)),
        Known::Unknown { .. } => None,
    }
}

/// All of them, for the report.
pub(crate) fn listed(standing: &Standing) -> Vec<HeldTransaction> {
    let time = |us| Timestamp::from_microsecond(us).map_or_else(|_| "?".to_owned(), |time| time.to_string());
    let one = |held: &PreparedTransaction| HeldTransaction {
        xid: held.xid,
        gid: held.gid.clone(),
        database: held.database.clone(),
        owner: held.owner.clone(),
        prepared_at: time(held.prepared_at),
        before_promotion: before(held, standing),
    };
    standing.prepared.iter().map(one).collect()
}

/// A warning when the old primary may have decided what the new one still holds.
pub(crate) fn held(name: &str, standing: &Standing) -> Option<Reason> {
    let count = standing.prepared.iter().filter(|held| before(held, standing) != Some(false)).count() as u64;
    if standing.in_recovery || count == 0 {
        return None;
    }
    let known = if standing.promoted_at.value().is_some() { " from before its promotion" } else { "" };
    let hint = "ask their coordinators, then COMMIT PREPARED or ROLLBACK PREPARED each in its database, as its owner: until \
                then they hold their locks, and the old primary may have decided them after the switchpoint";
    Some(Reason {
        verdict: Verdict::Warn,
        text: format!("{name} holds {}{known} that nobody decided", counted(count, "prepared transaction")),
        hint: Some(hint.to_owned()),
        next: None,
    })
}
