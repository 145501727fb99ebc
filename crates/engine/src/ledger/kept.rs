//! Figures of ledgers in a snapshot, and a replica held against them.

use super::{Reconciliation, described, refused};
use super::{record, record::Names};
use crate::datasets::Facing;
use crate::error::problem_of;
use crate::job::{Failure, watched};
use crate::record::sided;
use crate::{Monitor, Options};
use paritas_connect::{Description, Held, Moment};
use paritas_digest::{Canon, Policies};
use paritas_ledger::{ColumnRule, Figures, Rule};
use paritas_model::{Dataset, Known, Position, Schema};
use paritas_report::{Against, Check, LedgerCheck, Problem};
use paritas_verify::ledger::{Asked, Compared, Groups, Keeping, LedgerPlan};
use paritas_verify::rows::Origin;
use paritas_verify::stored::Since;
use paritas_verify::{Side, ledger};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// Bytes that the groups of one ledger may take in a snapshot; of more of them only the total is kept.
const GROUPS_BYTES_MAX: usize = 16 << 20;

/// The figures of one ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LedgerKept {
    /// Its name.
    pub(crate) name: String,
    /// Its dataset on the source.
    pub(crate) dataset: String,
    /// Its dataset on the replica.
    replica_dataset: String,
    /// The schema of the source then.
    schema: Schema,
    /// How groups become keys.
    canon: Canon,
    group_by: Vec<String>,
    count: bool,
    columns: Vec<ColumnKept>,
    rename: BTreeMap<String, String>,
    pub(crate) source_filter: Option<String>,
    replica_filter: Option<String>,
    policies: Policies,
    /// How many groups there are.
    pub(crate) groups: u64,
    /// Figures of everything, as hexadecimal digits.
    total: String,
    /// Every group with its figures, as hexadecimal digits; `None` where there were too many.
    by_group: Option<String>,
    moment: Option<Moment>,
    position: Known<Position>,
    rows_because: Option<String>,
}

/// What is asked of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ColumnKept {
    name: String,
    sum: bool,
    min: bool,
    max: bool,
    zero_sum: bool,
}

impl LedgerKept {
    /// Bytes that its groups take.
    pub(crate) fn bytes(&self) -> u64 {
        self.by_group.as_ref().map_or(0, |text| text.len() as u64 / 2)
    }

    /// Whether every group is kept, and not the total alone.
    pub(crate) fn is_by_group(&self) -> bool {
        self.by_group.is_some()
    }

    /// The columns that its figures are made of.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &String> {
        self.group_by.iter().chain(self.columns.iter().map(|column| &column.name))
    }

    pub(crate) fn rule(&self) -> Rule {
        let column = |own: &ColumnKept| {
            let ColumnKept { name, sum, min, max, zero_sum } = own.clone();
            ColumnRule { name, sum, min, max, zero_sum }
        };
        Rule { count: self.count, columns: self.columns.iter().map(column).collect() }
    }

    /// What was asked then.
    fn asked(&self) -> Asked {
        Asked {
            group_by: self.group_by.clone(),
            rule: self.rule(),
            rename: self.rename.clone(),
            source_filter: self.source_filter.clone(),
            replica_filter: self.replica_filter.clone(),
            policies: self.policies,
        }
    }

    fn groups(&self) -> Option<Groups> {
        let total = unhex(&self.total)?;
        let columns = self.columns.len();
        let mut rest = total.as_slice();
        let total = Figures::decode(columns, &mut rest).ok().filter(|_| rest.is_empty())?;
        let encoded = match &self.by_group {
            Some(text) => Some(unhex(text)?),
            None => None,
        };
        Some(Groups {
            total,
            groups: self.groups,
            encoded,
            moment: self.moment.clone(),
            position: self.position.clone(),
            rows_because: self.rows_because.clone(),
            bytes: 0,
        })
    }
}

/// What is read for a snapshot.
pub(crate) struct Facts<'a> {
    pub(crate) options: &'a Options,
    pub(crate) source: &'a Side,
    /// One view of all datasets, where there is one.
    pub(crate) held: Option<&'a dyn Held>,
    /// The dataset as the replica describes it, where it answers.
    pub(crate) on_replica: Option<Description>,
    /// Bytes that groups may still take in this snapshot.
    pub(crate) bytes_max: usize,
}

/// Reads the figures of one ledger of a source.
///
/// # Errors
/// Those of the source, and rules that its columns do not allow.
pub(crate) async fn keep(ledger: &Reconciliation, facing: &Facing, facts: &Facts<'_>) -> Result<LedgerKept, Failure> {
    let ours = described(facts.source, &facing.source).await.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let theirs = facts.on_replica.as_ref().unwrap_or(&ours);
    // A replica that is away has the source's own names, as far as anybody knows.
    let alone = Asked { rename: BTreeMap::new(), ..ledger.asked.clone() };
    let asked = if facts.on_replica.is_some() { &ledger.asked } else { &alone };
    let plan = LedgerPlan::new(&ours, theirs, asked).map_err(|error| (Origin::Source, refused(error)))?;
    let keeping = Keeping {
        side: facts.source,
        held: facts.held,
        plan: &plan,
        memory_max: usize::try_from(facts.options.ledger_memory).unwrap_or(usize::MAX),
        bytes_max: facts.bytes_max.min(GROUPS_BYTES_MAX),
    };
    let groups = ledger::keep(&keeping).await.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let mut total = Vec::new();
    groups.total.encode(&mut total);
    let columns = ledger.asked.rule.columns.iter().map(|column| {
        let ColumnRule { name, sum, min, max, zero_sum } = column.clone();
        ColumnKept { name, sum, min, max, zero_sum }
    });
    Ok(LedgerKept {
        name: ledger.named().to_owned(),
        dataset: facing.source.0.clone(),
        replica_dataset: facing.replica.0.clone(),
        schema: ours.schema,
        canon: (*plan.groups).clone(),
        group_by: ledger.asked.group_by.clone(),
        count: ledger.asked.rule.count,
        columns: columns.collect(),
        rename: ledger.asked.rename.clone(),
        source_filter: ledger.asked.source_filter.clone(),
        replica_filter: ledger.asked.replica_filter.clone(),
        policies: ledger.asked.policies,
        groups: groups.groups,
        total: hex(&total),
        by_group: groups.encoded.as_deref().map(hex),
        moment: groups.moment,
        position: groups.position,
        rows_because: groups.rows_because,
    })
}

/// The datasets that a ledger of a snapshot is about: what the link says now comes first.
fn facing_of(kept: &LedgerKept, ledger: Option<&Reconciliation>) -> Facing {
    let own = ledger.and_then(|ledger| ledger.replica_dataset.clone());
    Facing {
        source: Dataset(kept.dataset.clone()),
        replica: Dataset(own.unwrap_or_else(|| kept.replica_dataset.clone())),
    }
}

/// Everything that a replica is held against a ledger with.
pub(crate) struct Standing<'a> {
    pub(crate) replica: &'a Side,
    pub(crate) options: &'a Options,
    pub(crate) monitor: &'a Monitor,
    pub(crate) since: Since<'a>,
    /// Whether all rows of the ledger's columns are proven right, or written since.
    pub(crate) rows_settled: bool,
    /// Id and time of the snapshot.
    pub(crate) snapshot: (&'a str, &'a str),
}

/// Holds a replica against the figures of one ledger. `ledger` is what the link says about it now.
pub(crate) async fn held_against(kept: &LedgerKept, ledger: Option<&Reconciliation>, at: &Standing<'_>) -> LedgerCheck {
    let began = Instant::now();
    let asked = kept.asked();
    let not_begun = |problem| record::not_begun(&kept.name, &kept.dataset, &asked, problem);
    if let Some(problem) = ledger.and_then(|now| other_rule(kept, now)) {
        return not_begun(problem);
    }
    let facing = facing_of(kept, ledger);
    let theirs = match described(at.replica, &facing.replica).await {
        Ok(theirs) => theirs,
        Err(error) => return not_begun(sided(Origin::Replica, problem_of(&error))),
    };
    let ours = Description {
        dataset: facing.source.clone(),
        schema: kept.schema.clone(),
        rows_estimate: Known::unknown("it is the source of a snapshot"),
        bytes_estimate: Known::unknown("it is the source of a snapshot"),
    };
    let plan = match LedgerPlan::new(&ours, &theirs, &asked) {
        Ok(plan) if *plan.groups == kept.canon => plan,
        Ok(_) => return not_begun(other_schema(kept)),
        Err(error) => return not_begun(refused(error)),
    };
    let Some(groups) = kept.groups() else { return not_begun(damaged()) };
    let counters = at.monitor.begin(&kept.name);
    let replica = watched(at.replica, &counters.replica);
    let request = ledger::Against {
        kept: &groups,
        replica: &replica,
        plan: &plan,
        since: Since { moment: groups.moment.as_ref(), ..at.since.clone() },
        rows_settled: at.rows_settled,
        memory_max: usize::try_from(at.options.ledger_memory).unwrap_or(usize::MAX),
        items_max: at.options.max_differences,
        watch: &|phase| at.monitor.enter(phase),
    };
    let Compared { outcome, window, written_since } = ledger::against(&request).await;
    let names = Names { ledger: &kept.name, facing: &facing, asked: &asked };
    let mut check = record::ledger(&names, &plan.rule, &outcome, began.elapsed());
    if written_since > 0 {
        check.notes.push(format!("{written_since} groups were written since the snapshot: they are no differences"));
    }
    if check.unproven > 0 {
        check.notes.push(open_window(&check));
    }
    check.against = Some(Against {
        snapshot: at.snapshot.0.to_owned(),
        taken_at: at.snapshot.1.to_owned(),
        capacity: None,
        relation: window.relation.as_str().to_owned(),
        why: window.relation.to_string(),
        writes: window.writes.as_str().to_owned(),
        still: window.is_still(),
        written_since,
        unsettled: window.unsettled().filter(|_| check.unproven > 0).map(str::to_owned),
    });
    check
}

fn open_window(check: &LedgerCheck) -> String {
    let text = |position: &Option<String>| position.clone().unwrap_or_else(|| "an unknown position".to_owned());
    format!(
        "{} groups may have been written between {} and {}, and nothing tells: ask before applications write, or verify \
         their rows against the same snapshot",
        check.unproven,
        text(&check.positions.source),
        text(&check.positions.replica)
    )
}

/// Whether a link asks another question now than the snapshot answers.
fn other_rule(kept: &LedgerKept, now: &Reconciliation) -> Option<Problem> {
    let same = kept.group_by == now.asked.group_by
        && kept.rule() == now.asked.rule
        && kept.source_filter == now.asked.source_filter
        && kept.policies == now.asked.policies;
    (!same).then(|| Problem {
        code: "snapshot.ledger".to_owned(),
        message: format!("the snapshot has figures of {:?} by another rule than the link", kept.name),
        detail: None,
        hint: Some(
            "take a snapshot after each change of [[link.ledger]], or name another one: --against ID".to_owned(),
        ),
    })
}

fn other_schema(kept: &LedgerKept) -> Problem {
    Problem {
        code: "snapshot.schema".to_owned(),
        message: format!("the columns that make the groups of {:?} have other types than in the snapshot", kept.name),
        detail: None,
        hint: Some(
            "take a snapshot after each change of the schema, or name one of this schema: --against ID".to_owned(),
        ),
    }
}

fn damaged() -> Problem {
    Problem {
        code: "snapshot.ledger".to_owned(),
        message: "the figures in the snapshot cannot be read".to_owned(),
        detail: None,
        hint: Some("use another snapshot: --against ID".to_owned()),
    }
}

/// The check of a ledger of which the snapshot has nothing.
pub(crate) fn not_kept(ledger: &Reconciliation) -> Check {
    let dataset = ledger.dataset.clone().unwrap_or_default();
    let problem = Problem {
        code: "snapshot.ledger".to_owned(),
        message: format!("the snapshot has no figures of {:?}", ledger.named()),
        detail: None,
        hint: Some(
            "take a snapshot with the ledger in the configuration, or name another one: --against ID".to_owned(),
        ),
    };
    Check::Ledger(Box::new(record::not_begun(ledger.named(), &dataset, &ledger.asked, problem)))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'0'));
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_back_from_their_digits() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = hex(&bytes);
        assert_eq!(unhex(&text), Some(bytes));
        assert_eq!((unhex(""), unhex("0"), unhex("0x"), unhex("zz")), (Some(Vec::new()), None, None, None));
    }
}
