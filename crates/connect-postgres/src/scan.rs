//! One consistent view of a table, read in parts: block ranges of plain tables, whole relations
//! otherwise.
//!
//! One transaction exports its snapshot and stays open; the others import it. Rows written after
//! the snapshot are invisible to all of them, also those on pages added meanwhile, and the last
//! range of every table is open at its end.

use crate::divert::Diversion;
use crate::errors::{classify, malformed, missing};
use crate::exported::Exported;
use crate::grouped::Grouping;
use crate::lookup::{self, PgLookup};
use crate::plan::{ALIAS, Plan};
use crate::ranges::{self, Range};
use crate::relation::{self, Piece};
use crate::rows::Rows;
use crate::session::Session;
use crate::store::Inner;
use crate::{copy::CopyReader, quote};
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use paritas_connect::{
    BlockSink, Context, Error, FailureKind, FetchedRow, KeyRange, Lookup, Moment, Ranged, Result, Scan, ScanRequest,
    Split, SplitDone,
};
use paritas_digest::Block;
use paritas_model::{Known, Position};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_postgres::error::SqlState;

/// About half a second of reading: a plain COPY moves 130 to 180 MB a second on one core.
const SPLIT_BYTES: u64 = 64 << 20;
/// Below this, starting a split costs more than it gains.
const SPLIT_BYTES_MIN: u64 = 1 << 20;
/// More splits than this are not worth their bookkeeping.
const SPLITS_MAX: u64 = 1 << 20;

pub(crate) const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Transactions after a view that are told from very old ones: their numbers go round.
const RECENT: u64 = 1 << 24;

/// An open view.
pub(crate) struct PgScan {
    pub(crate) store: Arc<Inner>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) exported: Arc<Exported>,
    /// Sessions that have imported the snapshot and do nothing at the moment.
    pub(crate) ready: Mutex<Vec<Session>>,
    splits: Vec<Split>,
    /// Of each split, where its rows come from.
    statements: Vec<String>,
    lookup: PgLookup,
}

impl fmt::Debug for PgScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgScan")
            .field("dataset", &self.plan.relation.shown())
            .field("splits", &self.splits.len())
            .field("position", self.exported.position())
            .finish_non_exhaustive()
    }
}

impl Drop for PgScan {
    fn drop(&mut self) {
        let ready = self.ready.get_mut().unwrap_or_else(PoisonError::into_inner);
        ready.iter().for_each(Session::end_view);
    }
}

impl PgScan {
    /// Opens a view and cuts it into splits.
    pub(crate) async fn open(store: Arc<Inner>, cx: &Context, request: &ScanRequest) -> Result<Self> {
        let exported = Arc::new(Exported::begin(&store, cx).await?);
        Self::open_in(store, cx, request, exported).await
    }

    /// The same in a view that is pinned already, and may be shared with others.
    pub(crate) async fn open_in(
        store: Arc<Inner>,
        cx: &Context,
        request: &ScanRequest,
        exported: Arc<Exported>,
    ) -> Result<Self> {
        let plan = Plan::new(&*exported.session().await, cx, request).await?;
        Self::of(store, cx, plan, request, exported).await
    }

    /// The view of a plan.
    pub(crate) async fn of(
        store: Arc<Inner>,
        cx: &Context,
        plan: Plan,
        request: &ScanRequest,
        exported: Arc<Exported>,
    ) -> Result<Self> {
        let session = exported.session().await;
        let plan = Arc::new(plan);
        let cuts = if request.ranges.is_empty() {
            let pieces = relation::parts(&session, cx, &plan.relation).await?;
            let ranges = key_ranges(&session, cx, &plan, &pieces, store.split_by_key).await?;
            cut(&session, &plan, &pieces, &ranges, cx.parallel())?
        } else {
            parts(&plan, &request.ranges)?
        };
        drop(session);
        cx.progress().expect(cuts.rows, cuts.bytes);
        let lookup = PgLookup::new(Arc::clone(&store), Arc::clone(&plan));
        Ok(Self {
            store,
            plan,
            exported,
            ready: Mutex::new(Vec::new()),
            splits: cuts.splits,
            statements: cuts.statements,
            lookup,
        })
    }

    /// A session that sees the view.
    pub(crate) async fn reader(&self, cx: &Context) -> Result<Session> {
        loop {
            let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match ready {
                Some(session) if session.is_closed() => {}
                Some(session) => return Ok(session),
                None => break,
            }
        }
        // Asking the exporter also keeps the server from ending it for idleness.
        let alive = self.exported.session().await.batch(cx, "ask the view's owner", "SELECT").await;
        if let Err(error) = alive {
            return Err(if error.is_transient() { self.lost(error.to_string()) } else { error });
        }
        let session = self.store.connect(cx).await?;
        let sql = format!("{BEGIN}; SET TRANSACTION SNAPSHOT {}", quote::literal(self.exported.name()));
        cx.bound(async {
            session.client.batch_execute(&sql).await.map_err(|error| match error.code() {
                // The file of the snapshot, or the transaction that owns it, is gone.
                Some(state) if is_gone(state) => self.lost(error.to_string()),
                _ => classify("import the view", error),
            })
        })
        .await?;
        Ok(session)
    }

    /// The view cannot be joined any more; only a new one helps.
    fn lost(&self, detail: String) -> Error {
        let code = if self.exported.in_recovery() { "store.conflict" } else { "store.unreachable" };
        let error = Error::new(FailureKind::Transient, code, "the view of the table was lost").detail(detail);
        if self.exported.in_recovery() {
            error.hint(crate::errors::CONFLICT_HINT)
        } else {
            error.hint("the server ended the transaction that held it; the table is read anew")
        }
    }

    async fn stream(&self, cx: &Context, session: &Session, from: &str, sink: &mut dyn BlockSink) -> Result<SplitDone> {
        let doing = "read rows";
        let exact = self.plan.grouping.as_ref().is_some_and(Grouping::is_exact);
        let mut data = Diversion::new(&*session.source);
        let copy = session.client.copy_out(&self.plan.copy(from, exact)).await.map_err(|error| {
            // Rights on some columns are not rights on those that are asked for.
            let plain = self.plan.relation.is_stored() && self.plan.condition().is_none();
            let lacking = plain && error.as_db_error().is_some_and(|said| said.routine() == Some("aclcheck_error"));
            let error = classify(doing, error);
            if lacking { error.hint(relation::grant(session, &self.plan.relation)) } else { error }
        })?;
        let mut copy = std::pin::pin!(copy);
        let mut reader = CopyReader::new(self.plan.fields(exact))?;
        let mut rows = Rows::new(&self.plan, exact)?;
        let mut done = SplitDone::default();
        let mut unreported = 0;
        let mut take = |data: &[u8]| {
            unreported += data.len() as u64;
            reader.feed(data, &mut |tuple| rows.push(tuple))?;
            if rows.is_full() { hand_on(cx, &mut rows, sink, &mut done, &mut unreported) } else { Ok(()) }
        };
        while data.next(&mut take).await? {
            cx.breathe().await?;
        }
        // How it ended, the client library knows.
        if copy.try_next().await.map_err(|error| classify(doing, error))?.is_some() {
            return Err(malformed("rows after the end of a COPY"));
        }
        reader.finish()?;
        hand_on(cx, &mut rows, sink, &mut done, &mut unreported)?;
        Ok(done)
    }
}

fn is_gone(state: &SqlState) -> bool {
    [SqlState::INVALID_PARAMETER_VALUE, SqlState::UNDEFINED_OBJECT, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE]
        .contains(state)
}

/// Gives the collected rows to the sink, which may hash for a while.
fn hand_on(
    cx: &Context,
    rows: &mut Rows,
    sink: &mut dyn BlockSink,
    done: &mut SplitDone,
    unreported: &mut u64,
) -> Result<()> {
    cx.check()?;
    let bytes = std::mem::take(unreported);
    done.bytes += bytes;
    let Some(block) = rows.take()? else {
        cx.count(0, bytes);
        return Ok(());
    };
    let count = block.rows() as u64;
    sink.accept(block)?;
    done.rows += count;
    cx.count(count, bytes);
    Ok(())
}

#[async_trait]
impl Scan for PgScan {
    fn position(&self) -> Known<Position> {
        self.exported.position().clone()
    }

    fn moment(&self) -> Option<Moment> {
        Some(self.exported.moment().clone())
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    async fn read(&self, cx: &Context, split: &Split, sink: &mut dyn BlockSink) -> Result<SplitDone> {
        let from = self.statements.get(split.index).ok_or_else(|| missing("a split of another view"))?;
        let mut session = self.reader(cx).await?;
        session.mark_busy();
        let result = cx.bound(self.stream(cx, &session, from, sink)).await;
        if result.is_ok() {
            session.mark_idle();
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        // After a failure the session goes with its half-read stream.
        result.map_err(|error| match &self.plan.grouping {
            Some(grouping) => grouping.failed(error),
            None => error,
        })
    }

    fn is_newer(&self, version: u64) -> bool {
        (version.wrapping_sub(self.exported.moment().horizon.next) & 0xFFFF_FFFF) < RECENT
    }

    fn ranged(&self) -> Option<&dyn Ranged> {
        Some(self)
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        (self.plan.canon.key_columns > 0).then_some(&self.lookup)
    }

    async fn render(&self, cx: &Context, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>> {
        lookup::render(&self.store, cx, &self.plan, block, rows).await
    }
}

/// Splits, and the statement of each.
#[derive(Default)]
struct Cuts {
    splits: Vec<Split>,
    statements: Vec<String>,
    rows: u64,
    bytes: u64,
}

impl Cuts {
    fn add(&mut self, label: String, rows: u64, statement: String) {
        self.splits.push(Split { index: self.splits.len(), label, rows_estimate: rows });
        self.statements.push(statement);
    }
}

/// For each piece the ranges of its key, if it is to be read by them.
async fn key_ranges(
    session: &Session,
    cx: &Context,
    plan: &Plan,
    pieces: &[Piece],
    declared: bool,
) -> Result<Vec<Vec<Range>>> {
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        // Without being asked, never where each session may see other rows.
        let wanted = declared || (!piece.by_block && piece.relation.is_stored() && piece.bytes > SPLIT_BYTES_MIN);
        all.push(if wanted && piece.readable {
            ranges::find(session, cx, plan, piece, cx.parallel()).await?
        } else {
            Vec::new()
        });
    }
    Ok(all)
}

/// The parts that were asked for, through the relation as a whole.
fn parts(plan: &Plan, ranges: &[KeyRange]) -> Result<Cuts> {
    let column = plan.key().first().filter(|column| column.ordered);
    let column = column.ok_or_else(|| missing("a key column whose values have an order"))?;
    let mut cuts = Cuts::default();
    for (index, range) in ranges.iter().enumerate() {
        let label = format!("part {} of {} of {}", index + 1, ranges.len(), column.name);
        let condition = ranges::within(column, range);
        cuts.add(label, 0, statement(plan, &plan.relation.sql(), Some(&condition)));
    }
    Ok(cuts)
}

fn cut(session: &Session, plan: &Plan, pieces: &[Piece], ranges: &[Vec<Range>], parallel: usize) -> Result<Cuts> {
    let mut cuts = Cuts {
        rows: pieces.iter().filter_map(|piece| piece.rows).sum(),
        bytes: pieces.iter().map(|piece| piece.bytes).sum(),
        ..Cuts::default()
    };
    let single = pieces.len() <= 1;
    if pieces.iter().any(|piece| !piece.readable) {
        // Rights on a partitioned table cover its partitions only when they are read through it.
        if pieces.iter().any(|piece| !piece.readable && piece.relation.oid == plan.relation.oid) {
            return Err(relation::denied(session, &plan.relation));
        }
        cuts.add(plan.relation.shown(), cuts.rows, statement(plan, &plan.relation.sql(), None));
        return Ok(cuts);
    }
    let share = share(cuts.bytes, parallel.max(1) as u64);
    for (piece, ranges) in pieces.iter().zip(ranges) {
        cut_piece(plan, piece, ranges, share, single, &mut cuts);
    }
    Ok(cuts)
}

/// Bytes of a split, so that all readers have as many: with three splits of equal size, one of two
/// readers would wait for the other half of its time.
fn share(bytes: u64, readers: u64) -> u64 {
    let share = (bytes / readers).clamp(SPLIT_BYTES_MIN, SPLIT_BYTES).max(bytes / SPLITS_MAX);
    match bytes.div_ceil(share) {
        0 | 1 => share,
        count => bytes.div_ceil(count.next_multiple_of(readers)),
    }
}

/// Cuts one relation into its ranges of the key, or into ranges of blocks with about `share` bytes
/// each.
fn cut_piece(plan: &Plan, piece: &Piece, ranges: &[Range], share: u64, single: bool, cuts: &mut Cuts) {
    let from = format!("ONLY {}", piece.relation.sql());
    let rows = piece.rows.unwrap_or(0);
    let name = if single { String::new() } else { format!("{} ", piece.relation.shown()) };
    for range in ranges {
        let statement = statement(plan, &from, Some(&range.condition));
        cuts.add(format!("{name}{}", range.label), rows / ranges.len() as u64, statement);
    }
    if !ranges.is_empty() {
        return;
    }
    let count = piece.bytes.div_ceil(share.max(1)).clamp(1, piece.blocks.max(1));
    if !piece.by_block || count == 1 {
        cuts.add(format!("{name}all rows"), rows, statement(plan, &from, None));
        return;
    }
    for index in 0..count {
        let (start, end) = (piece.blocks * index / count, piece.blocks * (index + 1) / count);
        let last = index + 1 == count;
        let condition = match (index, last) {
            (0, _) => format!("{ALIAS}.ctid < '({end},0)'::tid"),
            (_, true) => format!("{ALIAS}.ctid >= '({start},0)'::tid"),
            (_, false) => format!("{ALIAS}.ctid >= '({start},0)'::tid AND {ALIAS}.ctid < '({end},0)'::tid"),
        };
        let end = if last { String::new() } else { end.to_string() };
        cuts.add(format!("{name}blocks {start}..{end}"), rows / count, statement(plan, &from, Some(&condition)));
    }
}

fn statement(plan: &Plan, from: &str, range: Option<&str>) -> String {
    let conditions: Vec<String> = range.map(ToOwned::to_owned).into_iter().chain(plan.condition()).collect();
    let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("FROM {from} AS {ALIAS}{condition}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(0, 2, 0)]
    #[case::too_small_to_cut(SPLIT_BYTES_MIN, 4, 1)]
    #[case::one_for_each(SPLIT_BYTES, 2, 2)]
    #[case::never_three_for_two(SPLIT_BYTES * 5 / 2, 2, 4)]
    #[case::alone(SPLIT_BYTES * 3, 1, 3)]
    #[case::many(SPLIT_BYTES * 100 + 1, 8, 104)]
    fn every_reader_gets_as_many_splits(#[case] bytes: u64, #[case] readers: u64, #[case] splits: u64) {
        assert_eq!(bytes.div_ceil(share(bytes, readers)), splits);
        assert!(share(bytes, readers) <= SPLIT_BYTES);
    }
}
