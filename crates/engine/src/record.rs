//! From outcomes of `paritas-verify` to the report.

use crate::error::problem_of;
use paritas_connect::{Error, FailureKind, FileEntry};
use paritas_model::{Class, Known, Position, Region, Store, StoreKind, Verdict};
use paritas_report::{
    BothSides, FileDifference, FileFacts, FilesCheck, PageCheck, ParityCheck, Positions, Problem, RowCounts,
    SchemaCheck, SchemaDifference,
};
use paritas_verify::pages::PageCounts;
use paritas_verify::rows::Origin;
use paritas_verify::{Plan, SchemaDelta, files, rows};
use std::time::Duration;

/// Names of the two datasets at hand.
#[derive(Debug)]
pub(crate) struct Compared<'a> {
    pub(crate) source_name: &'a str,
    pub(crate) replica_name: &'a str,
}

/// The schema check of a dataset.
pub(crate) fn schema(dataset: &str, deltas: &[SchemaDelta]) -> SchemaCheck {
    let verdict = match deltas {
        [] => Verdict::Pass,
        deltas if deltas.iter().any(|delta| delta.data) => Verdict::Fail,
        _ => Verdict::Warn,
    };
    let differences = deltas.iter().map(|delta| SchemaDifference {
        what: delta.what.clone(),
        source: delta.source.clone(),
        replica: delta.replica.clone(),
        comparable: delta.comparable,
    });
    SchemaCheck { dataset: dataset.to_owned(), verdict, differences: differences.collect(), problem: None }
}

/// A dataset that one side does not have.
pub(crate) fn one_sided(dataset: &str, on_source: bool) -> SchemaCheck {
    let exists = || Some("exists".to_owned());
    let difference = SchemaDifference {
        what: format!("dataset {dataset}"),
        source: if on_source { exists() } else { None },
        replica: if on_source { None } else { exists() },
        comparable: false,
    };
    let dataset = dataset.to_owned();
    SchemaCheck { dataset, verdict: Verdict::Fail, differences: vec![difference], problem: None }
}

/// A parity check that could not begin.
pub(crate) fn not_begun(dataset: &str, problem: Problem) -> ParityCheck {
    ParityCheck {
        dataset: dataset.to_owned(),
        replica_dataset: None,
        verdict: Verdict::Unknown,
        complete: false,
        rows: RowCounts { source: None, replica: None, why: Some(problem.message.clone()) },
        differences: paritas_model::DifferenceCounts::default(),
        items: Vec::new(),
        items_truncated: false,
        key: Vec::new(),
        columns: Vec::new(),
        canon: None,
        positions: Positions::default(),
        fence: None,
        bytes_read: BothSides::default(),
        method: None,
        pages: None,
        log: None,
        seconds: 0.0,
        notes: Vec::new(),
        slice: None,
        against: None,
        problem: Some(problem),
    }
}

/// A parity check that could not begin because of an error of one side. A replica that cannot be
/// decoded is not a faithful copy, whatever it should hold.
pub(crate) fn not_begun_at(dataset: &str, origin: Origin, error: &Error) -> ParityCheck {
    let mut check = not_begun(dataset, sided(origin, problem_of(error)));
    if origin == Origin::Replica && error.kind() == FailureKind::Damaged {
        check.verdict = Verdict::Fail;
    }
    check
}

/// The parity check of a dataset.
pub(crate) fn parity(compared: &Compared<'_>, plan: &Plan, outcome: rows::Outcome, took: Duration) -> ParityCheck {
    // A column that both sides have and that could not be compared keeps everything from passing.
    let open = if plan.incomparable.is_empty() { Verdict::Pass } else { Verdict::Unknown };
    let verdict = Verdict::combine([outcome.verdict(), open]);
    let problem = outcome.problem.as_ref().map(|(origin, error)| sided(*origin, problem_of(error)));
    let rows = RowCounts {
        source: outcome.source_rows,
        replica: outcome.replica_rows,
        why: match (outcome.source_rows, outcome.replica_rows) {
            (Some(_), Some(_)) => None,
            _ if outcome.pages.is_some() => Some("pages were compared, and rows are not counted".to_owned()),
            _ => Some(problem.as_ref().map_or_else(|| "not read to the end".to_owned(), |p| p.message.clone())),
        },
    };
    let mut notes = outcome.notes;
    for (column, why) in &plan.left_out {
        notes.push(format!("column {column} was not compared: {why}"));
    }
    if plan.key.is_empty() {
        notes.push("no key: whole rows were compared, and a change shows as one lost and one extra row".to_owned());
    }
    let renamed = compared.source_name != compared.replica_name;
    ParityCheck {
        dataset: compared.source_name.to_owned(),
        replica_dataset: renamed.then(|| compared.replica_name.to_owned()),
        verdict,
        complete: outcome.complete,
        rows,
        differences: outcome.counts,
        items: outcome.items,
        items_truncated: outcome.items_truncated,
        key: plan.key.clone(),
        columns: plan.canon.columns.iter().map(|column| column.name.clone()).collect(),
        canon: Some(match plan.canon.kind {
            paritas_digest::CanonKind::Wire { .. } => "wire".to_owned(),
            paritas_digest::CanonKind::Logical => "logical".to_owned(),
        }),
        positions: positions(outcome.source_position.as_ref(), outcome.replica_position.as_ref()),
        fence: outcome.fence.map(|fence| fence.text),
        bytes_read: BothSides { source: outcome.source_bytes, replica: outcome.replica_bytes },
        method: Some(if outcome.pages.is_some() { "pages" } else { "rows" }.to_owned()),
        pages: outcome.pages.as_ref().map(pages),
        log: None,
        seconds: took.as_secs_f64(),
        notes,
        slice: outcome.slice.map(|slice| paritas_report::Slice { parts: slice.parts as u64, of: slice.of as u64 }),
        against: None,
        problem,
    }
}

fn pages(counts: &PageCounts) -> PageCheck {
    PageCheck {
        compared: counts.compared,
        arrived: counts.arrived,
        differing: counts.differing,
        unproven: counts.unproven,
        transactions: counts.transactions,
        relations: counts.relations.clone(),
    }
}

pub(crate) fn positions(source: Option<&Known<Position>>, replica: Option<&Known<Position>>) -> Positions {
    let text = |side: Option<&Known<Position>>| side.and_then(Known::value).map(|position| position.text.clone());
    let why = [source, replica].into_iter().flatten().find_map(|side| side.why().map(str::to_owned));
    Positions { source: text(source), replica: text(replica), why }
}

/// The files check.
pub(crate) fn files(dataset: &str, outcome: &files::Outcome, took: Duration) -> FilesCheck {
    let facts = |entry: &FileEntry| FileFacts {
        size_bytes: entry.size_bytes,
        blake3: entry.blake3.value().map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect()),
    };
    let class = |class: Option<Class>| class.map_or("unverifiable", Class::as_str).to_owned();
    FilesCheck {
        dataset: dataset.to_owned(),
        verdict: outcome.verdict(),
        files: BothSides { source: outcome.source.0, replica: outcome.replica.0 },
        bytes: BothSides { source: outcome.source.1, replica: outcome.replica.1 },
        differences: outcome.counts,
        items: outcome
            .items
            .iter()
            .map(|item| FileDifference {
                path: item.path.clone(),
                class: class(item.class),
                source: item.source.as_ref().map(facts),
                replica: item.replica.as_ref().map(facts),
                why: item.why.clone(),
            })
            .collect(),
        items_truncated: outcome.items_truncated,
        bytes_read: BothSides { source: outcome.source.1, replica: outcome.replica.1 },
        seconds: took.as_secs_f64(),
        against: None,
        problem: outcome.problem.as_ref().map(|(origin, error)| sided(*origin, problem_of(error))),
    }
}

/// Says which side a problem came from.
pub(crate) fn sided(origin: Origin, mut problem: Problem) -> Problem {
    let side = match origin {
        Origin::Source => "source: ",
        Origin::Replica => "replica: ",
        Origin::Comparison => "",
    };
    problem.message = format!("{side}{}", problem.message);
    problem
}

/// The name of a store in reports.
pub(crate) fn described(name: &str, kind: StoreKind, region: Option<String>) -> Store {
    Store { name: name.to_owned(), kind, region: region.map(Region) }
}
