//! What the store in memory does beyond the contract: it changes when a test wants it to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{rows, store};
use paritas_connect::{
    BlockSink, Call, ColumnPair, Context, Datasets as _, FailureKind, Fault, FaultyStore, MemoryStore, Positions as _,
    ReplicaRole, Result, Rule, ScanRequest, Store as _, When,
};
use paritas_digest::{Block, Canon, Policies};
use paritas_model::{Dataset, Lineage, Position, Stream, Value};
use std::sync::Arc;
use std::time::Duration;

const COLUMNS: [&str; 4] = ["id", "amount", "venue", "note"];

fn at(lineage: &str, value: u64) -> Position {
    Position { stream: Stream("wal".into()), lineage: Lineage(lineage.into()), value, text: format!("0/{value:X}") }
}

/// A request for these columns of `fills`.
async fn request(store: &MemoryStore, columns: &[&str]) -> ScanRequest {
    let dataset = Dataset("fills".into());
    let schema = store.describe(&Context::default(), &dataset).await.unwrap().schema;
    let pairs: Vec<_> = columns.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect();
    let canon = Canon::logical(&schema, &schema, &pairs, &schema.key, Policies::default()).unwrap();
    let pair = |name: &str| ColumnPair { canonical: name.to_owned(), own: name.to_owned() };
    let columns = canon.columns.iter().map(|column| pair(&column.name)).collect();
    ScanRequest { dataset, columns, canon: Arc::new(canon), filter: None, ranges: Vec::new() }
}

#[derive(Default)]
struct Rows(Vec<Block>);

impl BlockSink for Rows {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.0.push(block);
        Ok(())
    }
}

#[tokio::test]
async fn an_open_scan_keeps_its_rows_and_a_lookup_sees_the_new_ones() {
    let store = store(&["id"], 1_000);
    let cx = Context::default();
    let scan = store.open(&cx, &request(&store, &COLUMNS).await).await.unwrap();
    assert_eq!(scan.splits().iter().map(|split| split.rows_estimate).collect::<Vec<_>>(), [400, 400, 200]);
    store.edit("fills", |table| {
        table.remove(700).unwrap();
        table.append(rows(5_000..5_001));
        assert_eq!(table.rows(), 1_000);
        assert!(table.remove(1_000).is_none());
    });
    let mut sink = Rows::default();
    for split in scan.splits() {
        scan.read(&cx, split, &mut sink).await.unwrap();
    }
    let batches: Vec<_> = sink
        .0
        .iter()
        .map(|block| match block {
            Block::Arrow(batch) => batch.clone(),
            Block::Wire(_) => panic!("Arrow"),
        })
        .collect();
    assert_eq!(batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>(), 1_000);

    let keys: Vec<Vec<u8>> = [700_i64, 5_000, 3].iter().map(|id| id.to_le_bytes().to_vec()).collect();
    let found = scan.lookup().unwrap().fetch(&cx, &keys).await.unwrap();
    let shown: Vec<_> = found.iter().map(|row| (row.fields[0].shown.clone(), row.version)).collect();
    assert_eq!(shown, [(Value::Int(3), Some(1_003)), (Value::Int(5_000), Some(6_000))]);
}

#[tokio::test]
async fn rows_are_shown_as_people_read_them() {
    let store = store(&["id"], 10);
    let request = request(&store, &COLUMNS).await;
    let scan = store.open(&Context::default(), &request).await.unwrap();
    let mut sink = Rows::default();
    scan.read(&Context::default(), &scan.splits()[0], &mut sink).await.unwrap();
    let found = scan.render(&Context::default(), &sink.0[0], &[2, 0]).await.unwrap();
    let shown: Vec<Vec<String>> =
        found.iter().map(|row| row.fields.iter().map(|field| field.shown.to_string()).collect()).collect();
    // Key columns first, the rest by name.
    assert_eq!(shown, [["2", "2.0002", "note number 2 of a longer kind", "XTKS"], ["0", "0.0000", "NULL", "XNYS"]]);
    assert_eq!(found[0].key, 2_i64.to_le_bytes());
    assert_eq!(
        (found[1].fields[2].canonical.clone(), found[1].fields[3].canonical.as_deref()),
        (None, Some(&b"XNYS"[..]))
    );
    assert_eq!(scan.render(&Context::default(), &sink.0[0], &[10]).await.unwrap_err().code(), "data.unreadable");
}

#[tokio::test]
async fn without_a_key_or_lookup_rows_are_not_read_by_key() {
    let keyless = store(&[], 10);
    let scan = keyless.open(&Context::default(), &request(&keyless, &COLUMNS).await).await.unwrap();
    assert!(scan.lookup().is_none());
    let keyed = store(&["id"], 10);
    let like_files = keyed.clone().without_lookup();
    let scan = like_files.open(&Context::default(), &request(&keyed, &COLUMNS).await).await.unwrap();
    assert!(scan.lookup().is_none());
}

#[tokio::test]
async fn a_column_that_does_not_exist_is_a_clear_error() {
    let store = store(&["id"], 10);
    let mut request = request(&store, &COLUMNS).await;
    request.columns[1].own = "amuont".into();
    let error = store.open(&Context::default(), &request).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("dataset.column", "no column amuont in fills"));
}

#[tokio::test]
async fn a_replica_is_waited_for_until_it_has_applied_the_fence() {
    let store = MemoryStore::new("west").with_role(ReplicaRole::PhysicalReplica);
    assert!(store.positions().is_none());
    store.set_position(at("1/1", 5));
    let cx = Context::default();
    assert_eq!(store.wait_for(&cx, &at("1/1", 5)).await.unwrap().value, 5);

    let fence = at("1/1", 9);
    let (reached, ()) = tokio::join!(store.wait_for(&cx, &fence), async {
        for value in 6..=12 {
            tokio::task::yield_now().await;
            store.set_position(at("1/1", value));
        }
    });
    assert!(reached.unwrap().value >= 9);

    let error = store.wait_for(&cx, &at("1/2", 1)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("lineage.differs", FailureKind::Permanent));
    let late = Context::default().with_timeout(Duration::from_millis(5));
    let error = store.wait_for(&late, &at("1/1", 99)).await.unwrap_err();
    assert_eq!((error.code(), error.detail_text()), ("run.deadline", Some("west is at 0/C and the fence is at 0/63.")));
}

#[tokio::test]
async fn faults_hit_the_calls_they_were_told_to() {
    let inner = store(&["id"], 1_000);
    let rules = vec![
        Rule::new(Call::Read, When::Split { index: 1, nth: 1 }, Fault::Cut { rows: 150, kind: FailureKind::Transient }),
        Rule::new(Call::Read, When::Split { index: 2, nth: 1 }, Fault::Cut { rows: 200, kind: FailureKind::Transient }),
        Rule::new(Call::Describe, When::From(2), Fault::Fail(FailureKind::Denied, "store.denied")),
    ];
    let faulty = FaultyStore::new(Arc::new(inner.clone()), rules);
    let cx = Context::default();
    let scan = faulty.open(&cx, &request(&inner, &COLUMNS).await).await.unwrap();
    let mut handed = Vec::new();
    for split in [0, 1, 1, 2, 2] {
        let mut sink = Rows::default();
        let result = scan.read(&cx, &scan.splits()[split], &mut sink).await;
        handed.push((sink.0.iter().map(Block::rows).sum::<usize>(), result.is_ok()));
    }
    assert_eq!(handed, [(400, true), (150, false), (400, true), (200, false), (200, true)]);
    let dataset = Dataset("fills".into());
    assert!(faulty.describe(&cx, &dataset).await.is_ok());
    assert_eq!(faulty.describe(&cx, &dataset).await.unwrap_err().code(), "store.denied");
    assert_eq!((faulty.calls(Call::Read), faulty.calls(Call::Describe)), (5, 2));
}
