//! Reading a store of files to its end, as a verification does.

use crate::expected;
use paritas_connect::{BlockSink, ColumnPair, Context, Error, ScanRequest, Store};
use paritas_digest::{Block, Canon, Capacity, DigestKey, Digester, Policies, Spec};
use paritas_model::{Column, LogicalType, TimeUnit};
use std::sync::Arc;

struct Sink(Digester, Vec<Block>);

impl BlockSink for Sink {
    fn accept(&mut self, block: Block) -> Result<(), Error> {
        self.0.add(&block)?;
        if self.1.is_empty() {
            self.1.push(block);
        }
        Ok(())
    }
}

/// Describes, digests and shows the rows of a store's one dataset. Columns without a type are read as types in turn.
pub async fn read_rows(store: &dyn Store) -> Result<(), Error> {
    let cx = Context::default();
    let Some(datasets) = store.datasets() else { return Ok(()) };
    let dataset = datasets.list(&cx).await?.remove(0);
    let schema = datasets.describe(&cx, &dataset).await?.schema;
    let mut other = schema.clone();
    for (column, logical) in other.columns.iter_mut().zip(types().into_iter().cycle()) {
        if column.logical == LogicalType::Untyped {
            *column = Column { logical, ..column.clone() };
        }
    }
    let pairs: Vec<_> = schema.columns.iter().map(|column| (column.name.clone(), column.name.clone())).collect();
    let key: Vec<_> = pairs.first().map(|(name, _)| name.clone()).into_iter().collect();
    let Ok(canon) = Canon::logical(&other, &schema, &pairs, &key, Policies::default()) else { return Ok(()) };
    let Ok(spec) = Spec::new(&DigestKey::unkeyed(), "fuzz", canon.clone()) else { return Ok(()) };
    let columns = canon.columns.iter();
    let columns = columns.map(|column| ColumnPair { canonical: column.name.clone(), own: column.name.clone() });
    let request = ScanRequest { dataset, columns: columns.collect(), canon: Arc::new(canon), filter: None, ranges: Vec::new() };
    let scan = datasets.open(&cx, &request).await?;
    for split in scan.splits() {
        let mut sink = Sink(Digester::new(Arc::clone(&spec), Capacity::default()), Vec::new());
        let done = scan.read(&cx, split, &mut sink).await?;
        assert_eq!(done.rows, sink.0.rows(), "rows that were counted and not handed on");
        for block in &sink.1 {
            let rows: Vec<_> = (0..block.rows().min(100)).collect();
            if let Err(error) = scan.render(&cx, block, &rows).await {
                expected(&error);
            }
        }
    }
    Ok(())
}

/// Types that text is read as.
fn types() -> Vec<LogicalType> {
    vec![
        LogicalType::Int { bits: 64, signed: true },
        LogicalType::Decimal { precision: 38, scale: 8 },
        LogicalType::Timestamp { unit: TimeUnit::Micro, zoned: true },
        LogicalType::Text,
        LogicalType::DecimalAny,
        LogicalType::Float { bits: 64 },
        LogicalType::Date,
        LogicalType::Time { unit: TimeUnit::Nano },
        LogicalType::Bool,
        LogicalType::Uuid,
        LogicalType::Bytes,
        LogicalType::Json,
        LogicalType::Timestamp { unit: TimeUnit::Nano, zoned: false },
        LogicalType::Decimal { precision: 76, scale: 20 },
        LogicalType::Int { bits: 64, signed: false },
        LogicalType::Float { bits: 32 },
        LogicalType::Interval,
    ]
}
