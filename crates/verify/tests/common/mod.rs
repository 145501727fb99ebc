//! Tables in memory and runs over them, for all tests of this crate.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use paritas_connect::{Context, Description, FaultyStore, MemoryStore, MemoryTable, Rule, Store};
use paritas_digest::{DigestKey, schema_fingerprint};
use paritas_model::{Class, Dataset, Lineage, Position, Proof, Stream};
use paritas_verify::rows::{Outcome, Phase, Request, verify};
use paritas_verify::{Choice, Plan, PlanError, Retry, Side};
use std::sync::Arc;
use std::time::Duration;

pub mod writers;

pub const DATASET: &str = "orders";

/// A column of a test table.
#[derive(Debug, Clone)]
pub enum Col {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
}

pub fn ints(values: impl IntoIterator<Item = i64>) -> Col {
    Col::Int(values.into_iter().map(Some).collect())
}

pub fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> Col {
    Col::Text(values.into_iter().map(|text| Some(text.to_owned())).collect())
}

pub fn table(columns: &[(&str, Col)], key: &[&str]) -> MemoryTable {
    let field = |(name, column): &(&str, Col)| {
        let kind = if matches!(column, Col::Int(_)) { DataType::Int64 } else { DataType::Utf8 };
        Field::new(*name, kind, true)
    };
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let array = |(_, column): &(&str, Col)| -> ArrayRef {
        match column {
            Col::Int(values) => Arc::new(Int64Array::from(values.clone())),
            Col::Text(values) => Arc::new(StringArray::from(values.clone())),
        }
    };
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.iter().map(array).collect()).unwrap();
    MemoryTable::new(schema, key, vec![batch])
}

/// A table of `(id, amount)` with the key `id`.
pub fn orders(rows: &[(i64, i64)]) -> MemoryTable {
    let columns = [("id", ints(rows.iter().map(|row| row.0))), ("amount", ints(rows.iter().map(|row| row.1)))];
    table(&columns, &["id"])
}

/// `rows` orders with ids from 0.
pub fn many(rows: i64) -> Vec<(i64, i64)> {
    (0..rows).map(|id| (id, id * 7 % 1_000)).collect()
}

pub fn store(name: &str, table: MemoryTable) -> MemoryStore {
    let store = MemoryStore::new(name).with_split_rows(100);
    store.put(DATASET, table);
    store
}

pub fn at(value: u64) -> Position {
    Position { stream: Stream("wal".into()), lineage: Lineage("sys/1".into()), value, text: format!("0/{value:X}") }
}

pub fn faulty(store: &MemoryStore, rules: Vec<Rule>) -> Arc<FaultyStore> {
    Arc::new(FaultyStore::new(Arc::new(store.clone()), rules))
}

/// One comparison and its settings.
pub struct Run {
    pub source: Side,
    pub replica: Side,
    pub choice: Choice,
    pub live: bool,
    pub keep_digest: bool,
    pub capacity: u64,
    pub items_max: usize,
    pub settle: Duration,
}

pub fn side(store: Arc<dyn Store>) -> Side {
    let mut side = Side::new(store, Context::default().with_parallel(2));
    side.retry = Retry { attempts_max: 3, pause: Duration::from_micros(10) };
    side
}

impl Run {
    pub fn new(source: Arc<dyn Store>, replica: Arc<dyn Store>) -> Self {
        Self {
            source: side(source),
            replica: side(replica),
            choice: Choice::default(),
            live: false,
            keep_digest: false,
            capacity: 140,
            items_max: 1_000_000,
            settle: Duration::from_secs(5),
        }
    }

    pub fn of(source: MemoryTable, replica: MemoryTable) -> Self {
        Self::new(Arc::new(store("east", source)), Arc::new(store("west", replica)))
    }

    pub fn keeping_digests(mut self) -> Self {
        self.keep_digest = true;
        self
    }

    pub fn live(mut self) -> Self {
        self.live = true;
        self
    }

    pub fn key(mut self, key: &[&str]) -> Self {
        self.choice.key = key.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub async fn describe(&self) -> (Description, Description) {
        let dataset = Dataset(DATASET.to_owned());
        let cx = Context::default();
        let source = self.source.store.datasets().unwrap().describe(&cx, &dataset).await.unwrap();
        let replica = self.replica.store.datasets().unwrap().describe(&cx, &dataset).await.unwrap();
        (source, replica)
    }

    pub async fn plan(&self) -> Result<Plan, PlanError> {
        let (source, replica) = self.describe().await;
        let datasets = |side: &Side| Arc::clone(&side.store);
        let (ours, theirs) = (datasets(&self.source), datasets(&self.replica));
        Plan::new((ours.datasets().unwrap(), &source), (theirs.datasets().unwrap(), &replica), &self.choice)
    }

    pub async fn go(&self) -> Outcome {
        self.go_watched(&|_| ()).await
    }

    pub async fn go_watched(&self, watch: &(dyn Fn(Phase) + Send + Sync)) -> Outcome {
        let plan = self.plan().await.unwrap();
        let (source, _) = self.describe().await;
        verify(&Request {
            dataset: DATASET,
            source: &self.source,
            replica: &self.replica,
            plan: &plan,
            schema: schema_fingerprint(&source.schema),
            live: self.live,
            keep_digest: self.keep_digest,
            key: &DigestKey::unkeyed(),
            capacity: self.capacity,
            items_max: self.items_max,
            settle: self.settle,
            parting: paritas_verify::rows::Parting::whole(),
            watch,
        })
        .await
    }
}

/// The items as short lines: class, proof unless proven, key, copies unless one, columns.
pub fn lines(outcome: &Outcome) -> Vec<String> {
    let line = |item: &paritas_model::Difference| {
        let key: Vec<String> = item.key.iter().map(|(_, value)| value.to_string()).collect();
        let proof = match item.proof {
            Proof::Proven => "",
            Proof::InFlight => " in flight",
            Proof::Unproven => " unproven",
        };
        let copies = if item.copies == 1 { String::new() } else { format!(" x{}", item.copies) };
        let columns = match item.class {
            Class::Changed => format!(" {}", item.columns.join(",")),
            _ => String::new(),
        };
        format!("{}{proof} {}{copies}{columns}", item.class.as_str(), key.join("|")).trim_end().to_owned()
    };
    let mut lines: Vec<String> = outcome.items.iter().map(line).collect();
    lines.sort();
    lines
}
