//! Figures of a source that are kept for the time when it is gone, and a replica held against them.
//!
//! Groups are written since a snapshot, and nothing in a group says by whom. So a group that differs is proven to be
//! wrong only where nothing can have been written, or where what may be written never makes such a difference; it
//! was written since where all rows behind it are told to be right; and it is open otherwise.

use super::outcome::{Item, Outcome};
use super::plan::LedgerPlan;
use super::reading::{Read, Reader};
use super::table::{self, Table};
use super::{noted, shown};
use crate::Side;
use crate::rows::{Failure, Origin, Phase};
use crate::since::Window;
use crate::stored::{Since, window};
use paritas_connect::{Error, FailureKind, Held, Moment, Result};
use paritas_ledger::{Deviation, Figures, Malformed, Rule};
use paritas_model::{Known, Position, Proof, Writes};
use std::collections::BTreeMap;
use std::fmt;

/// What a source's groups came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// Figures of everything.
    pub total: Figures,
    /// How many groups there are.
    pub groups: u64,
    /// Every group with its figures; `None` where they would have taken more bytes than allowed.
    pub encoded: Option<Vec<u8>>,
    /// What the view showed, where its store can say.
    pub moment: Option<Moment>,
    /// Where the view stood.
    pub position: Known<Position>,
    /// Why rows were read, where the store made no figures.
    pub rows_because: Option<String>,
    /// Bytes read.
    pub bytes: u64,
}

/// What to keep.
pub struct Keeping<'a> {
    /// The source.
    pub side: &'a Side,
    /// A view of all its datasets, where it has one.
    pub held: Option<&'a dyn Held>,
    /// What to read of it.
    pub plan: &'a LedgerPlan,
    /// Bytes of memory that groups may take, roughly.
    pub memory_max: usize,
    /// Bytes that encoded groups may take; of more of them, only the total is kept.
    pub bytes_max: usize,
}

impl fmt::Debug for Keeping<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping").field("plan", &self.plan).field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

/// Reads the groups of a source to their end.
///
/// # Errors
/// Those of the source, and of the temporary file.
pub async fn keep(keeping: &Keeping<'_>) -> Result<Groups> {
    let (ours, none) = table::spills();
    let plan = keeping.plan;
    let reader = Reader {
        side: keeping.side,
        plan: &plan.source,
        groups: &plan.groups,
        rule: &plan.rule,
        memory_max: keeping.memory_max,
        spill: ours,
        held: keeping.held,
    };
    let Read { table, bytes, position, moment, rows_because } = reader.read(reader.open().await?).await?;
    let mut kept =
        Groups { total: Figures::of(&plan.rule), groups: 0, encoded: None, moment, position, rows_because, bytes };
    let (mut sorted, mut size) = (BTreeMap::new(), 0_usize);
    let nothing = Table::new(plan.rule.columns.len(), keeping.memory_max, &none);
    table::join(table, nothing, keeping.memory_max, &mut |key, figures, _| {
        let Some(figures) = figures else { return };
        kept.total.merge(figures);
        kept.groups += 1;
        if size <= keeping.bytes_max {
            let mut bytes = Vec::new();
            figures.encode(&mut bytes);
            size = size.saturating_add(size_of::<u64>() + key.len() + bytes.len());
            sorted.insert(key.to_vec(), bytes);
        } else {
            sorted.clear();
        }
    })?;
    if size <= keeping.bytes_max {
        let mut encoded = Vec::with_capacity(size);
        for (key, figures) in sorted {
            encoded.extend_from_slice(&(key.len() as u64).to_le_bytes());
            encoded.extend_from_slice(&key);
            encoded.extend_from_slice(&figures);
        }
        kept.encoded = Some(encoded);
    }
    Ok(kept)
}

/// What to hold against kept figures.
pub struct Against<'a> {
    /// The figures.
    pub kept: &'a Groups,
    /// The replica.
    pub replica: &'a Side,
    /// What to read of it. Its groups are those of the kept figures.
    pub plan: &'a LedgerPlan,
    /// What is known about the time since.
    pub since: Since<'a>,
    /// Whether all rows of the columns of the figures are proven right, or written since.
    pub rows_settled: bool,
    /// Bytes of memory that groups of both sides may take together, roughly.
    pub memory_max: usize,
    /// Most groups to list.
    pub items_max: usize,
    /// Told about every phase.
    pub watch: &'a (dyn Fn(Phase) + Send + Sync),
}

impl fmt::Debug for Against<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Against").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Compared {
    /// As of a reconciliation of two sides.
    pub outcome: Outcome,
    /// What told apart what was written since.
    pub window: Window,
    /// Groups that were written since: no differences.
    pub written_since: u64,
}

/// Holds a replica against kept figures. Never fails as a whole: what went wrong is part of the outcome.
pub async fn against(request: &Against<'_>) -> Compared {
    let mut compared = Compared { outcome: Outcome::default(), window: Window::at_rest(), written_since: 0 };
    if let Err(failure) = run(request, &mut compared).await {
        compared.outcome.complete = false;
        compared.outcome.problem = Some(failure);
    }
    compared
}

async fn run(request: &Against<'_>, compared: &mut Compared) -> std::result::Result<(), Failure> {
    (request.watch)(Phase::Digesting);
    let (plan, kept) = (request.plan, request.kept);
    let at = |origin: Origin| move |error: Error| (origin, error);
    compared.outcome.source.total = Some(kept.total.clone());
    compared.outcome.source.groups = Some(kept.groups);
    compared.outcome.source.position = Some(kept.position.clone());
    compared.outcome.source.rows_because.clone_from(&kept.rows_because);
    let (ours, theirs) = table::spills();
    let half = request.memory_max / 2;
    let mut source = Table::new(plan.rule.columns.len(), half, &ours);
    if let Some(encoded) = &kept.encoded {
        decode(encoded, plan.rule.columns.len(), &mut source).map_err(at(Origin::Source))?;
    }
    let reader = Reader {
        side: request.replica,
        plan: &plan.replica,
        groups: &plan.groups,
        rule: &plan.rule,
        memory_max: half,
        spill: theirs,
        held: None,
    };
    let opened = reader.open().await.map_err(at(Origin::Replica))?;
    let read = reader.read(opened).await.map_err(at(Origin::Replica))?;
    noted(&mut compared.outcome.replica, &read);
    let found = window(request.replica, &request.since, &read.position, read.moment.clone()).await;
    compared.window = found.map_err(at(Origin::Replica))?;
    tally(request, source, read.table, compared).map_err(at(Origin::Comparison))
}

fn tally(request: &Against<'_>, source: Table, replica: Table, compared: &mut Compared) -> Result<()> {
    let Compared { outcome, window, written_since } = compared;
    let (plan, rule) = (request.plan, &*request.plan.rule);
    let by_group = request.kept.encoded.is_some();
    let (mut total, mut their_groups, mut groups) = (Figures::of(rule), 0_u64, 0_u64);
    let mut listed: BTreeMap<(u8, Vec<u8>), Item> = BTreeMap::new();
    table::join(source, replica, request.memory_max, &mut |key, ours, theirs| {
        groups += 1;
        if let Some(figures) = theirs {
            total.merge(figures);
            their_groups += 1;
        }
        let deviations = if by_group { rule.deviations(ours, theirs) } else { Vec::new() };
        let (rank, proof) = match judge(request, window, (ours, theirs), &deviations) {
            Judged::Right => return,
            Judged::Since => return *written_since += 1,
            Judged::Proven => {
                outcome.mismatched += 1;
                (0, Proof::Proven)
            }
            Judged::Open => {
                outcome.unproven += 1;
                (1, Proof::Unproven)
            }
        };
        let group = shown::group(&plan.groups, key);
        let item = Item { group, proof, deviations, source: ours.cloned(), replica: theirs.cloned() };
        listed.insert((rank, key.to_vec()), item);
        if listed.len() > request.items_max {
            outcome.items_truncated = true;
            listed.pop_last();
        }
    })?;
    outcome.items.extend(listed.into_values());
    if !by_group {
        in_all(request, window, &total, outcome);
    }
    outcome.groups = by_group.then_some(groups);
    outcome.replica.total = Some(total);
    outcome.replica.groups = Some(their_groups);
    outcome.complete = by_group;
    Ok(())
}

/// Only the total was kept: it can prove that something is wrong, and never that every group is right.
fn in_all(request: &Against<'_>, window: &Window, total: &Figures, outcome: &mut Outcome) {
    let kept = request.kept;
    let note = format!("the snapshot kept only the total of its {} groups: take ledgers of fewer groups", kept.groups);
    outcome.notes.push(note);
    let deviations = request.plan.rule.deviations(Some(&kept.total), Some(total));
    match judge(request, window, (Some(&kept.total), Some(total)), &deviations) {
        Judged::Proven => {
            outcome.rows_differ = true;
            let (source, replica) = (Some(kept.total.clone()), Some(total.clone()));
            outcome.items.push(Item { group: Vec::new(), proof: Proof::Proven, deviations, source, replica });
        }
        Judged::Right | Judged::Since | Judged::Open => outcome.unproven = kept.groups.max(1),
    }
}

/// What a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Right,
    Since,
    Proven,
    Open,
}

type Sides<'a> = (Option<&'a Figures>, Option<&'a Figures>);

fn judge(request: &Against<'_>, window: &Window, sides: Sides<'_>, deviations: &[Deviation]) -> Judged {
    let rule = &*request.plan.rule;
    if deviations.is_empty() {
        return Judged::Right;
    }
    if window.is_still() {
        return Judged::Proven;
    }
    if window.writes == Writes::Inserts && shrinks(rule, sides) {
        return Judged::Proven;
    }
    // Rows that are right say nothing about a balance: it is a rule of its own.
    if request.rows_settled && deviations.iter().all(Deviation::is_between) {
        return Judged::Since;
    }
    Judged::Open
}

/// Whether a group lacks rows that it had: where rows are only ever added, it never does.
fn shrinks(rule: &Rule, (kept, now): Sides<'_>) -> bool {
    let (kept, now) = match (kept, now) {
        (None, _) => return false,
        (Some(_), None) => return true,
        (Some(kept), Some(now)) => (kept, now),
    };
    let columns = rule.columns.iter().zip(kept.columns.iter().zip(&now.columns));
    now.rows < kept.rows
        || columns.into_iter().any(|(rule, (kept, now))| {
            let counts = |one: &paritas_ledger::ColumnFigures| {
                [one.nulls, one.not_a_number, one.infinite, one.negative_infinite]
            };
            let fewer = counts(kept).into_iter().zip(counts(now)).any(|(kept, now)| now < kept);
            let risen = rule.min && kept.min.as_ref().is_some_and(|min| now.min.as_ref().is_none_or(|own| own > min));
            let fallen = rule.max && kept.max.as_ref().is_some_and(|max| now.max.as_ref().is_none_or(|own| own < max));
            fewer || risen || fallen
        })
}

fn decode(encoded: &[u8], columns: usize, table: &mut Table) -> Result<()> {
    let malformed = |_: Malformed| damaged();
    let mut rest = encoded;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (key, after) = after.split_at_checked(length).ok_or_else(damaged)?;
        rest = after;
        let figures = Figures::decode(columns, &mut rest).map_err(malformed)?;
        table.with(key, |own| {
            own.merge(&figures);
            Ok(())
        })?;
    }
    Ok(())
}

fn damaged() -> Error {
    Error::new(FailureKind::Permanent, "snapshot.ledger", "the figures in the snapshot cannot be read")
        .hint("use another snapshot: --against ID")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_ledger::{Amount, ColumnRule};
    use proptest::prelude::*;
    use rstest::rstest;

    fn rule() -> Rule {
        let column = ColumnRule { sum: true, min: true, max: true, ..ColumnRule::named("amount") };
        Rule { count: true, columns: vec![column] }
    }

    fn figures(amounts: &str) -> Option<Figures> {
        (amounts != "-").then(|| {
            let mut figures = Figures::of(&rule());
            for text in amounts.split_whitespace() {
                figures.rows += 1;
                match text {
                    "NULL" => figures.columns[0].nulls += 1,
                    text => figures.columns[0].add(&text.parse::<Amount>().unwrap(), true),
                }
            }
            figures
        })
    }

    #[rstest]
    #[case::a_row_less("1 2 3", "1 3", true)]
    #[case::gone("1", "-", true)]
    #[case::more("1", "1 5", false)]
    #[case::new("-", "5", false)]
    #[case::another_smallest("1 2", "2 2 3", true)]
    #[case::another_largest("1 9", "1 2 3", true)]
    #[case::a_null_less("NULL 1 2", "1 1 2", true)]
    #[case::a_sum_alone_proves_nothing("1 5 9", "1 7 9", false)]
    fn rows_that_are_only_added_never_shrink_a_group(#[case] kept: &str, #[case] now: &str, #[case] expected: bool) {
        assert_eq!(shrinks(&rule(), (figures(kept).as_ref(), figures(now).as_ref())), expected);
    }

    fn encoded(groups: &[(Vec<u8>, i64)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, amount) in groups {
            bytes.extend_from_slice(&(key.len() as u64).to_le_bytes());
            bytes.extend_from_slice(key);
            figures(&amount.to_string()).unwrap().encode(&mut bytes);
        }
        bytes
    }

    proptest! {
        #[test]
        fn cut_figures_are_an_error(
            groups in proptest::collection::btree_map(proptest::collection::vec(any::<u8>(), 0..9), any::<i64>(), 1..9),
            cut in 1_usize..40,
        ) {
            let groups: Vec<(Vec<u8>, i64)> = groups.into_iter().collect();
            let whole = encoded(&groups);
            let table = || Table::new(1, usize::MAX, &table::spills().0);
            prop_assert!(decode(&whole, 1, &mut table()).is_ok());
            let last = encoded(&groups[groups.len() - 1..]).len();
            let kept = whole.len() - cut.min(last - 1);
            prop_assert!(decode(&whole[..kept], 1, &mut table()).is_err());
        }
    }
}
