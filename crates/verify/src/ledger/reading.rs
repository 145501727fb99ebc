//! Reading the groups of one side: from figures that the store makes, or from its rows.

use super::amounts::Amounts;
use super::plan::SidePlan;
use super::spill::Spill;
use super::table::Table;
use crate::Side;
use crate::side::View;
use arrow_array::RecordBatch;
use paritas_connect::{BlockSink, Error, FailureKind, Held, Moment, Result, Split, figures_of};
use paritas_digest::{Block, Canon, Encoder};
use paritas_ledger::Rule;
use paritas_model::{Known, Position};
use std::sync::Arc;

/// Reading a whole view anew after its snapshot was lost, at most.
const VIEWS_MAX: u32 = 3;

/// What reading a side came to.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) table: Table,
    pub(super) bytes: u64,
    pub(super) position: Known<Position>,
    /// What the view showed, where its store can say.
    pub(super) moment: Option<Moment>,
    /// Why rows were read, where the store made no figures.
    pub(super) rows_because: Option<String>,
}

/// A pinned view of groups or of rows.
#[derive(Debug)]
pub(super) struct Opened {
    view: View,
    rows_because: Option<String>,
}

/// One side with what to ask of it, and how much memory its groups may take.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) side: &'a Side,
    pub(super) plan: &'a SidePlan,
    pub(super) groups: &'a Arc<Canon>,
    pub(super) rule: &'a Arc<Rule>,
    pub(super) memory_max: usize,
    pub(super) spill: Arc<Spill>,
    /// A view of all datasets of the side that is to be read; without one, a view is pinned.
    pub(super) held: Option<&'a dyn Held>,
}

impl Reader<'_> {
    /// Pins a view.
    pub(super) async fn open(&self) -> Result<Opened> {
        let side = self.side;
        if let Some(held) = self.held {
            let grouped = side.again("open a view", || held.open_grouped(&side.cx, &self.plan.grouped)).await?;
            return Ok(match grouped {
                Known::Known(view) => Opened { view: Arc::from(view), rows_because: None },
                Known::Unknown { why } => {
                    let view = side.again("open a view", || held.open(&side.cx, &self.plan.rows)).await?;
                    Opened { view: Arc::from(view), rows_because: Some(why) }
                }
            });
        }
        let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
        let grouped = side.again("open a view", || datasets.open_grouped(&side.cx, &self.plan.grouped)).await?;
        Ok(match grouped {
            Known::Known(view) => Opened { view: Arc::from(view), rows_because: None },
            Known::Unknown { why } => Opened { view: side.open(&self.plan.rows).await?, rows_because: Some(why) },
        })
    }

    /// Reads all groups of a view, or of another one where it is lost.
    pub(super) async fn read(&self, mut opened: Opened) -> Result<Read> {
        let mut view = 1;
        loop {
            match self.read_view(&opened).await {
                Ok((table, bytes)) => {
                    let position = opened.view.position();
                    let moment = opened.view.moment();
                    return Ok(Read { table, bytes, position, moment, rows_because: opened.rows_because });
                }
                Err(error) if error.is_transient() && view < VIEWS_MAX && self.held.is_none() => {
                    tracing::warn!(store = self.side.store.name(), %error, view, "view lost, opening another");
                    drop(opened);
                    opened = self.open().await?;
                    view += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read_view(&self, opened: &Opened) -> Result<(Table, u64)> {
        // A half for the whole side, the other for the splits that are read at a time.
        let columns = self.rule.columns.len();
        let mut table = Table::new(columns, self.memory_max / 2, &self.spill);
        let share = self.memory_max / 2 / self.side.cx.parallel().max(1);
        let grouped = opened.rows_because.is_none();
        let mut bytes = 0_u64;
        let work = |side: Side, view: View, split: Split| {
            let (canon, rule, spill) = (Arc::clone(self.groups), Arc::clone(self.rule), Arc::clone(&self.spill));
            async move {
                let fresh = || GroupSink {
                    table: Table::new(columns, share, &spill),
                    canon: &canon,
                    rule: &rule,
                    grouped,
                    rows: 0,
                };
                let (sink, done) = side.read_split(&*view, &split, fresh).await?;
                if sink.rows != done.rows {
                    let label = &split.label;
                    let message = format!("{label}: {} rows were handed out and {} added up", done.rows, sink.rows);
                    return Err(Error::new(FailureKind::Permanent, "data.truncated", message));
                }
                Ok((sink.table, done.bytes))
            }
        };
        self.side
            .each_split(&opened.view, work, |(part, read)| {
                bytes = bytes.saturating_add(read);
                table.absorb(part)
            })
            .await?;
        Ok((table, bytes))
    }
}

/// Adds the blocks of a split up.
struct GroupSink<'a> {
    table: Table,
    canon: &'a Canon,
    rule: &'a Rule,
    grouped: bool,
    rows: u64,
}

impl BlockSink for GroupSink<'_> {
    fn accept(&mut self, block: Block) -> Result<()> {
        let Block::Arrow(batch) = block else {
            return Err(Error::new(FailureKind::Permanent, "internal.canon", "rows came in another canon"));
        };
        self.rows += batch.num_rows() as u64;
        if self.grouped { self.groups(&batch) } else { self.add_rows(&batch) }
    }
}

impl GroupSink<'_> {
    fn groups(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = Keys::of(self.canon, batch)?;
        for row in 0..batch.num_rows() {
            let figures = figures_of(batch, row, self.rule)?;
            self.table.with(&keys.key(row)?, |own| {
                own.merge(&figures);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn add_rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = Keys::of(self.canon, batch)?;
        let first = self.canon.columns.len();
        let columns: Result<Vec<_>> = self
            .rule
            .columns
            .iter()
            .enumerate()
            .map(|(at, rule)| {
                let missing =
                    || Error::new(FailureKind::Permanent, "internal.canon", "a column of the rule is missing");
                let array = batch.columns().get(first + at).ok_or_else(missing)?;
                Ok((rule, Amounts::of(array).map_err(|error| named(error, &rule.name))?))
            })
            .collect();
        let columns = columns?;
        for row in 0..batch.num_rows() {
            self.table.with(&keys.key(row)?, |figures| {
                figures.rows += 1;
                for (own, (rule, amounts)) in figures.columns.iter_mut().zip(&columns) {
                    match amounts.at(row).map_err(|error| named(error, &rule.name))? {
                        Some(amount) => own.add(&amount, rule.extremes()),
                        None => own.nulls += 1,
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn named(error: Error, column: &str) -> Error {
    error.context(format_args!("column {column}"))
}

/// Canonical keys of the groups that the first columns of a batch make.
pub(super) struct Keys {
    batch: Option<(RecordBatch, Encoder)>,
}

impl Keys {
    pub(super) fn of(canon: &Canon, batch: &RecordBatch) -> Result<Self> {
        if canon.columns.is_empty() {
            return Ok(Self { batch: None });
        }
        let first: Vec<usize> = (0..canon.columns.len()).collect();
        let own = batch.project(&first).map_err(|error| {
            Error::new(FailureKind::Permanent, "internal.canon", "a column to group by is missing").because(error)
        })?;
        let encoder = Encoder::new(canon, &own.schema())?;
        Ok(Self { batch: Some((own, encoder)) })
    }

    /// The key of a row; empty where everything is one group.
    pub(super) fn key(&self, row: usize) -> Result<Vec<u8>> {
        match &self.batch {
            Some((batch, encoder)) => Ok(encoder.key(batch, row)?),
            None => Ok(Vec::new()),
        }
    }
}
