//! From the outcome of a reconciliation to the report.

use crate::datasets::Facing;
use crate::error::problem_of;
use crate::record::{positions, sided};
use paritas_ledger::{Deviation, Figures, Rule};
use paritas_model::{Value, Verdict};
use paritas_report::{
    BothSides, LedgerCheck, LedgerColumn, LedgerFigures, LedgerItem, LedgerRule, LedgerSide, Positions, Problem,
};
use paritas_verify::ledger::{Asked, Item, Outcome, SideOutcome};
use std::time::Duration;

/// What a reconciliation is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) ledger: &'a str,
    pub(super) facing: &'a Facing,
    pub(super) asked: &'a Asked,
}

/// A check that could not begin.
pub(super) fn not_begun(name: &str, dataset: &str, asked: &Asked, problem: Problem) -> LedgerCheck {
    LedgerCheck {
        name: name.to_owned(),
        dataset: dataset.to_owned(),
        replica_dataset: None,
        verdict: Verdict::Unknown,
        complete: false,
        group_by: asked.group_by.clone(),
        rule: rule(&asked.rule),
        groups: None,
        mismatched: 0,
        unproven: 0,
        source: LedgerSide::default(),
        replica: LedgerSide::default(),
        items: Vec::new(),
        items_truncated: false,
        rows: Vec::new(),
        difference: Vec::new(),
        against: None,
        positions: Positions::default(),
        fence: None,
        bytes_read: BothSides::default(),
        seconds: 0.0,
        notes: Vec::new(),
        problem: Some(problem),
    }
}

/// The check.
pub(super) fn ledger(names: &Names<'_>, asked: &Rule, outcome: &Outcome, took: Duration) -> LedgerCheck {
    let Names { ledger, facing, .. } = *names;
    LedgerCheck {
        name: ledger.to_owned(),
        dataset: facing.source.0.clone(),
        replica_dataset: (facing.source != facing.replica).then(|| facing.replica.0.clone()),
        verdict: outcome.verdict(),
        complete: outcome.complete,
        group_by: names.asked.group_by.clone(),
        rule: rule(asked),
        groups: outcome.groups,
        mismatched: outcome.mismatched,
        unproven: outcome.unproven,
        source: side(&outcome.source, asked),
        replica: side(&outcome.replica, asked),
        items: outcome.items.iter().map(|one| item(one, asked)).collect(),
        items_truncated: outcome.items_truncated,
        rows: outcome.rows.clone(),
        difference: difference(outcome, asked),
        against: None,
        positions: positions(outcome.source.position.as_ref(), outcome.replica.position.as_ref()),
        fence: outcome.fence.as_ref().map(|fence| fence.text.clone()),
        bytes_read: BothSides { source: outcome.source.bytes, replica: outcome.replica.bytes },
        seconds: took.as_secs_f64(),
        notes: outcome.notes.clone(),
        problem: outcome.problem.as_ref().map(|(origin, error)| sided(*origin, problem_of(error))),
    }
}

/// What the replica has more in the sums of everything.
fn difference(outcome: &Outcome, rule: &Rule) -> Vec<(String, Value)> {
    let (Some(source), Some(replica)) = (&outcome.source.total, &outcome.replica.total) else { return Vec::new() };
    let columns = rule.columns.iter().zip(source.columns.iter().zip(&replica.columns));
    let summed = columns.filter(|(rule, _)| rule.sum);
    summed.map(|(rule, (a, b))| (rule.name.clone(), Value::Text(b.sum.minus(&a.sum).to_string()))).collect()
}

fn rule(rule: &Rule) -> LedgerRule {
    let named = |asked: fn(&paritas_ledger::ColumnRule) -> bool| {
        rule.columns.iter().filter(|column| asked(column)).map(|column| column.name.clone()).collect()
    };
    LedgerRule {
        count: rule.count,
        sum: named(|column| column.sum),
        min: named(|column| column.min),
        max: named(|column| column.max),
        zero_sum: named(|column| column.zero_sum),
    }
}

fn side(side: &SideOutcome, rule: &Rule) -> LedgerSide {
    let method = side.position.as_ref().map(|_| if side.rows_because.is_some() { "rows" } else { "store" }.to_owned());
    LedgerSide {
        groups: side.groups,
        total: side.total.as_ref().map(|total| figures(total, rule)),
        method,
        why: side.rows_because.clone(),
    }
}

fn figures(figures: &Figures, rule: &Rule) -> LedgerFigures {
    let columns = rule.columns.iter().zip(&figures.columns).map(|(rule, own)| LedgerColumn {
        column: rule.name.clone(),
        sum: own.sum.to_string(),
        min: own.min.as_ref().map(ToString::to_string),
        max: own.max.as_ref().map(ToString::to_string),
        nulls: own.nulls,
        nan: own.not_a_number,
        infinite: own.infinite.saturating_add(own.negative_infinite),
    });
    LedgerFigures { rows: figures.rows, columns: columns.collect() }
}

fn item(item: &Item, rule: &Rule) -> LedgerItem {
    let sums = item.deviations.iter().filter_map(|deviation| match deviation {
        Deviation::Sum(at) => {
            let sum = |side: &Option<Figures>| Some(side.as_ref()?.columns.get(*at)?.sum.clone());
            let more = sum(&item.replica)?.minus(&sum(&item.source)?);
            Some((rule.columns.get(*at)?.name.clone(), Value::Text(more.to_string())))
        }
        _ => None,
    });
    LedgerItem {
        group: item.group.clone(),
        proof: item.proof,
        deviations: item.deviations.iter().map(|one| one.describe(rule)).collect(),
        source: item.source.as_ref().map(|side| figures(side, rule)),
        replica: item.replica.as_ref().map(|side| figures(side, rule)),
        difference: sums.collect(),
    }
}
