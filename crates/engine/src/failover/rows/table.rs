//! One table: its rows at their places on both servers, and what the new primary lacks.

mod items;

use super::Sides;
use super::locate::{Dataset, Piece};
use super::sums::{Part, Sum, sums};
use paritas_connect::{Placed, PlacedColumn, PlacedRow, PlacedShape, Result};
use paritas_model::Class;
use paritas_pgwal::{Effect, Place, RowChange};
use paritas_report::{LostRow, LostTable, counted};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows that are held at a time.
const CHUNK: usize = 500;
/// Half of all transaction numbers: what is further back is frozen, and no lost transaction wrote it.
const HALF: u32 = 1 << 31;

const NO_OLD: &str = "their values are on the old primary only, whose server was not asked";
const NOT_AS_LEFT: &str =
    "the old primary does not have them as the log left them: it was written to, or rewritten, since";
const MOVED_ON: &str = "the new primary has changed or removed them since";
const NO_TABLE: &str = "the table is not on the new primary as it was";
const TOO_MANY: &str = "the table has no key, and looking for more of its rows by value would take too long";
/// Rows of one table without a key that are looked for by their values: each time all rows are read.
const KEYLESS_MAX: usize = 20_000;

type Spot = (u32, (u32, u16));

/// A table at work.
struct Work<'a> {
    sides: &'a Sides<'a>,
    dataset: &'a Dataset<'a>,
    /// The columns that are read, as each server names and writes them.
    ours: Vec<PlacedColumn>,
    theirs: Vec<PlacedColumn>,
    /// Where the key is among them.
    key: Vec<usize>,
    table: LostTable,
    sums: Vec<Sum>,
    /// Rows that are deleted, by relation and place on the new primary.
    deleted: HashSet<Spot>,
    /// Those of them that were inserted again under the same key.
    merged: HashSet<Spot>,
    /// How many more of a row the old primary has, for tables without a key.
    surplus: HashMap<[u8; 32], i128>,
    unnamed: BTreeMap<&'static str, u64>,
}

/// Names the lost rows of a table.
pub(super) async fn name(sides: &Sides<'_>, dataset: &Dataset<'_>) -> LostTable {
    let mut table = LostTable {
        dataset: dataset.name.clone(),
        log: dataset.changes(),
        why: dataset.why.iter().cloned().collect(),
        notes: dataset.notes.iter().cloned().collect(),
        ..LostTable::default()
    };
    for row in dataset.pieces.iter().flat_map(|piece| &piece.table.rows) {
        *(match row.effect {
            Effect::Inserted { .. } => &mut table.rows.inserted,
            Effect::Updated { .. } => &mut table.rows.updated,
            Effect::Deleted { .. } => &mut table.rows.deleted,
        }) += 1;
    }
    let mut work = match Work::new(sides, dataset, table.clone()).await {
        Ok(work) => work,
        Err(error) => {
            table.unnamed = table.rows.total();
            table.why.push(format!("its columns could not be read: {}", said(&error)));
            return table;
        }
    };
    if let Err(error) = work.run().await {
        work.table.why.push(format!("reading stopped: {}", said(&error)));
    }
    work.finish()
}

fn said(error: &paritas_connect::Error) -> String {
    let hint = error.hint_text().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}{hint}", error.message())
}

/// The columns of both servers that are read, in the order of the old one, and what cannot be compared.
fn common(ours: PlacedShape, theirs: &PlacedShape, why: &mut Vec<String>) -> (PlacedShape, PlacedShape) {
    let (mut left, mut right) = (PlacedShape::default(), PlacedShape::default());
    for column in ours.columns {
        match theirs.columns.iter().find(|other| other.name == column.name) {
            Some(other) if other.engine_type == column.engine_type => {
                right.columns.push(other.clone());
                left.columns.push(column);
            }
            Some(other) => why.push(format!(
                "column {} is {} on the old primary and {} on the new one, and is not compared",
                column.name, column.engine_type, other.engine_type
            )),
            None => why.push(format!("column {} is on the old primary only, and is not compared", column.name)),
        }
    }
    for other in &theirs.columns {
        if !left.columns.iter().chain(&right.columns).any(|column| column.name == other.name)
            && !why.iter().any(|why| why.starts_with(&format!("column {} ", other.name)))
        {
            why.push(format!("column {} is on the new primary only, and is not compared", other.name));
        }
    }
    if ours.key == theirs.key && ours.key.iter().all(|key| left.columns.iter().any(|column| column.name == *key)) {
        left.key.clone_from(&ours.key);
        right.key = ours.key;
    }
    (left, right)
}

impl<'a> Work<'a> {
    async fn new(sides: &'a Sides<'a>, dataset: &'a Dataset<'a>, mut table: LostTable) -> Result<Self> {
        let cx = sides.cx;
        let ours = match (sides.old, &dataset.ours) {
            (Some(old), Some(placed)) => Some(old.shape(cx, placed.root).await?),
            _ => None,
        };
        let theirs = match &dataset.theirs {
            Some(placed) => Some(sides.new.shape(cx, placed.root).await?),
            None => None,
        };
        let (ours, theirs) = match (ours, theirs) {
            (Some(ours), Some(theirs)) => common(ours, &theirs, &mut table.why),
            (Some(one), None) | (None, Some(one)) => (one.clone(), one),
            (None, None) => (PlacedShape::default(), PlacedShape::default()),
        };
        let index = |name: &String| ours.columns.iter().position(|column| column.name == *name);
        let key = ours.key.iter().filter_map(index).collect();
        table.key.clone_from(&ours.key);
        let deleted = dataset.pieces.iter().flat_map(deleted_of).collect();
        Ok(Self {
            sides,
            dataset,
            key,
            table,
            sums: sums(&ours.columns),
            ours: ours.columns,
            theirs: theirs.columns,
            deleted,
            merged: HashSet::new(),
            surplus: HashMap::new(),
            unnamed: BTreeMap::new(),
        })
    }

    async fn run(&mut self) -> Result<()> {
        let dataset = self.dataset;
        // Inserts come first: one may take the key of a row that was deleted.
        for wanted in [0, 1, 2] {
            for piece in &dataset.pieces {
                let kind = |row: &&RowChange| match row.effect {
                    Effect::Inserted { .. } => wanted == 0,
                    Effect::Updated { .. } => wanted == 1,
                    Effect::Deleted { .. } => wanted == 2,
                };
                let rows: Vec<RowChange> = piece.table.rows.iter().filter(kind).copied().collect();
                for chunk in rows.chunks(CHUNK) {
                    match wanted {
                        0 => self.inserts(piece, chunk).await?,
                        1 => self.updates(piece, chunk).await?,
                        _ => self.deletes(piece, chunk).await?,
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> LostTable {
        for (why, count) in std::mem::take(&mut self.unnamed) {
            self.table.why.push(format!("{} not named: {why}", counted(count, "row")));
        }
        let table = &mut self.table;
        let accounted = table.lost.total() + table.present;
        table.unnamed = table.rows.total().saturating_sub(accounted);
        table.complete = table.why.is_empty() && table.unnamed == 0;
        if !table.complete {
            self.sums.iter_mut().for_each(|sum| sum.miss("rows that are not named are left out"));
        }
        table.amounts = self.sums.into_iter().map(Sum::finish).collect();
        self.table
    }

    /// Rows after the change, on the old server: only versions that the very transaction wrote.
    async fn after(&self, piece: &Piece<'_>, rows: &[RowChange]) -> Result<HashMap<Place, PlacedRow>> {
        let (Some(old), Some(placed)) = (self.sides.old, &piece.ours) else { return Ok(HashMap::new()) };
        let writers: HashMap<Place, u32> =
            rows.iter().filter_map(|row| Some((after_place(row)?, row.writer))).collect();
        let places: Vec<(u32, u16)> = writers.keys().map(|place| (place.block, place.item)).collect();
        let found = old.at(self.sides.cx, placed, &self.ours, &places).await?;
        let own = |row: &PlacedRow| writers.get(&place(row)) == Some(&row.writer);
        Ok(found.into_iter().filter(own).map(|row| (place(&row), row)).collect())
    }

    /// Rows before the change, on the new server: only versions from before the switchpoint.
    async fn before(&self, piece: &Piece<'_>, rows: &[RowChange]) -> Result<HashMap<Place, PlacedRow>> {
        let Some(placed) = &piece.theirs else { return Ok(HashMap::new()) };
        let places: Vec<(u32, u16)> =
            rows.iter().filter_map(before_place).map(|place| (place.block, place.item)).collect();
        let found = self.sides.new.at(self.sides.cx, placed, &self.theirs, &places).await?;
        Ok(found.into_iter().filter(|row| self.is_old(row)).map(|row| (place(&row), row)).collect())
    }

    /// Whether a row's version is from before the switchpoint.
    fn is_old(&self, row: &PlacedRow) -> bool {
        self.sides.touched.next_xid.is_some_and(|next| {
            let behind = next.wrapping_sub(row.writer);
            behind != 0 && behind < HALF
        })
    }

    fn key_of(&self, row: &PlacedRow) -> Vec<String> {
        self.key.iter().map(|index| row.values.get(*index).cloned().flatten().unwrap_or_default()).collect()
    }

    /// The rows of the new primary with the keys of these.
    async fn twins(&self, rows: &[&PlacedRow]) -> Result<Vec<Option<PlacedRow>>> {
        let Some(placed) = self.dataset.theirs.as_ref().filter(|_| !rows.is_empty()) else {
            return Ok(vec![None; rows.len()]);
        };
        let keys: Vec<Vec<String>> = rows.iter().map(|row| self.key_of(row)).collect();
        let key: Vec<PlacedColumn> = self.key.iter().filter_map(|index| self.theirs.get(*index).cloned()).collect();
        self.sides.new.by_key(self.sides.cx, placed, &self.theirs, &key, &keys).await
    }

    async fn inserts(&mut self, piece: &Piece<'_>, changes: &[RowChange]) -> Result<()> {
        if self.sides.old.is_none() {
            self.miss(NO_OLD, changes.len());
            return Ok(());
        }
        let rows = self.after(piece, changes).await?;
        self.miss(NOT_AS_LEFT, changes.len() - rows.len());
        let found: Vec<(&RowChange, &PlacedRow)> =
            changes.iter().filter_map(|change| Some((change, rows.get(&after_place(change)?)?))).collect();
        if self.key.is_empty() {
            return self.keyless(&found, Self::inserted).await;
        }
        let twins = self.twins(&found.iter().map(|(_, row)| *row).collect::<Vec<_>>()).await?;
        for ((change, row), twin) in found.into_iter().zip(twins) {
            let Some(twin) = twin else {
                self.inserted(change, row);
                continue;
            };
            let spot = (twin.relation, twin.place);
            if self.is_old(&twin) && self.deleted.contains(&spot) && self.merged.insert(spot) {
                // Deleted and inserted again, or moved to another partition.
                self.table.rows.inserted -= 1;
                self.table.rows.deleted -= 1;
                self.table.rows.updated += 1;
                self.updated(change, row, &twin, false);
            } else if twin.values == row.values {
                self.table.present += 1;
            } else {
                self.taken(change, row, &twin);
            }
        }
        Ok(())
    }

    /// Rows of a table without a key: `lost` as far as the old primary has more of them.
    async fn keyless(
        &mut self,
        found: &[(&RowChange, &PlacedRow)],
        lost: fn(&mut Self, &RowChange, &PlacedRow),
    ) -> Result<()> {
        let values: Vec<Vec<Option<String>>> = found.iter().map(|(_, row)| row.values.clone()).collect();
        if !self.count(&values).await? {
            self.miss(TOO_MANY, found.len());
            return Ok(());
        }
        for (change, row) in found {
            let surplus = self.surplus.entry(identity(&row.values)).or_default();
            if *surplus > 0 {
                *surplus -= 1;
                lost(self, change, row);
            } else {
                self.table.present += 1;
            }
        }
        Ok(())
    }

    /// How many more of each row the old primary has; false when that is not asked any more.
    async fn count(&mut self, rows: &[Vec<Option<String>>]) -> Result<bool> {
        let mut fresh: HashMap<[u8; 32], &Vec<Option<String>>> = rows.iter().map(|row| (identity(row), row)).collect();
        fresh.retain(|id, _| !self.surplus.contains_key(id));
        let (ids, rows): (Vec<[u8; 32]>, Vec<Vec<Option<String>>>) =
            fresh.into_iter().map(|(id, row)| (id, row.clone())).unzip();
        let (Some(old), Some(placed)) = (self.sides.old, &self.dataset.ours) else { return Ok(false) };
        if rows.is_empty() || self.surplus.len() + rows.len() > KEYLESS_MAX {
            return Ok(rows.is_empty());
        }
        let cx = self.sides.cx;
        let ours = old.copies(cx, placed, &self.ours, &rows).await?;
        let theirs = match &self.dataset.theirs {
            Some(placed) => self.sides.new.copies(cx, placed, &self.theirs, &rows).await?,
            None => vec![0; rows.len()],
        };
        for (id, (ours, theirs)) in ids.into_iter().zip(ours.into_iter().zip(theirs)) {
            self.surplus.insert(id, i128::from(ours) - i128::from(theirs));
        }
        Ok(true)
    }

    async fn updates(&mut self, piece: &Piece<'_>, changes: &[RowChange]) -> Result<()> {
        let (after, before) = (self.after(piece, changes).await?, self.before(piece, changes).await?);
        let mut moved_on = Vec::new();
        for change in changes {
            let row = after_place(change).and_then(|place| after.get(&place));
            let old = before_place(change).and_then(|place| before.get(&place));
            match (row, old) {
                (Some(row), Some(old)) => self.updated(change, row, old, false),
                (Some(row), None) => moved_on.push((change, row)),
                (None, Some(old)) => {
                    // It still is what it was, so the update is not there; what it said is not known.
                    self.unread(change, old);
                }
                (None, None) if self.sides.old.is_none() => self.miss(MOVED_ON, 1),
                (None, None) => self.miss(NOT_AS_LEFT, 1),
            }
        }
        if self.key.is_empty() {
            return self.keyless(&moved_on, Self::vanished).await;
        }
        let twins = self.twins(&moved_on.iter().map(|(_, row)| *row).collect::<Vec<_>>()).await?;
        for ((change, row), twin) in moved_on.into_iter().zip(twins) {
            match twin {
                Some(twin) => self.updated(change, row, &twin, true),
                None => self.vanished(change, row),
            }
        }
        Ok(())
    }

    async fn deletes(&mut self, piece: &Piece<'_>, changes: &[RowChange]) -> Result<()> {
        let relation = piece.theirs.as_ref().map(|placed| placed.oid);
        let merged = |change: &&RowChange| {
            let spot = before_place(change).map(|place| (place.block, place.item));
            relation.zip(spot).is_some_and(|spot| self.merged.contains(&spot))
        };
        let changes: Vec<RowChange> = changes.iter().filter(|change| !merged(change)).copied().collect();
        let before = self.before(piece, &changes).await?;
        let why = if piece.theirs.is_none() { NO_TABLE } else { MOVED_ON };
        self.miss(why, changes.len() - before.len());
        let found: Vec<(&RowChange, &PlacedRow)> =
            changes.iter().filter_map(|change| Some((change, before.get(&before_place(change)?)?))).collect();
        let values: Vec<Vec<Option<String>>> = found.iter().map(|(_, row)| row.values.clone()).collect();
        // Without a key, a row that was deleted and inserted again is there as often as before.
        let by_value = self.key.is_empty() && self.count(&values).await?;
        for (change, row) in found {
            if by_value {
                let surplus = self.surplus.entry(identity(&row.values)).or_default();
                if *surplus >= 0 {
                    self.table.present += 1;
                    continue;
                }
                *surplus += 1;
            }
            self.table.lost.deleted += 1;
            self.sums.iter_mut().for_each(|sum| sum.add(Part::Deleted, None, Some(&row.values)));
            let mut item = LostRow::new("delete", change.xid, Class::Extra);
            (item.row.key, item.row.replica) = (self.key_values(row), self.all_values(row));
            self.list(item);
        }
        Ok(())
    }

    fn miss(&mut self, why: &'static str, count: usize) {
        if count > 0 {
            *self.unnamed.entry(why).or_default() += count as u64;
        }
    }
}

/// Values as one: length before each, and NULL apart from every text.
fn identity(values: &[Option<String>]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for value in values {
        match value {
            None => hasher.update(&[0]),
            Some(text) => hasher.update(&[1]).update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes()),
        };
    }
    *hasher.finalize().as_bytes()
}

fn place(row: &PlacedRow) -> Place {
    Place { block: row.place.0, item: row.place.1 }
}

fn after_place(change: &RowChange) -> Option<Place> {
    match change.effect {
        Effect::Inserted { at } | Effect::Updated { at, .. } => Some(at),
        Effect::Deleted { .. } => None,
    }
}

fn before_place(change: &RowChange) -> Option<Place> {
    match change.effect {
        Effect::Updated { from, .. } | Effect::Deleted { from } => Some(from),
        Effect::Inserted { .. } => None,
    }
}

fn deleted_of(piece: &Piece<'_>) -> Vec<Spot> {
    let Some(Placed { oid, .. }) = &piece.theirs else { return Vec::new() };
    let deletes = piece.table.rows.iter().filter(|row| matches!(row.effect, Effect::Deleted { .. }));
    deletes.filter_map(before_place).map(|place| (*oid, (place.block, place.item))).collect()
}
