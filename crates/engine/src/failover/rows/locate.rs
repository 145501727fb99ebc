//! From files to tables: which relation a file of the log belongs to, on the old server and on the new one.

use super::{Sides, add};
use paritas_connect::{FileId, Holds, Placed, Result};
use paritas_pgwal::{Relation, Table};
use paritas_report::RowChanges;
use std::collections::{BTreeMap, BTreeSet};

/// Files below this number are of the catalogs that every database begins with.
const FIRST_OF_USERS: u32 = 16_384;

/// One file of a dataset.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) table: &'a Table,
    /// Its relation on the old server, if that has the file.
    pub(super) ours: Option<Placed>,
    /// Its relation on the new server, if that has the file.
    pub(super) theirs: Option<Placed>,
}

/// A table with its partitions.
#[derive(Debug, Default)]
pub(super) struct Dataset<'a> {
    pub(super) name: String,
    pub(super) pieces: Vec<Piece<'a>>,
    /// Any of its relations on the old server.
    pub(super) ours: Option<Placed>,
    /// Any of its relations on the new server.
    pub(super) theirs: Option<Placed>,
    /// Why rows are missing.
    pub(super) why: BTreeSet<String>,
    pub(super) notes: BTreeSet<String>,
}

/// All that the log's files are.
#[derive(Debug)]
pub(super) struct Located<'a> {
    pub(super) datasets: Vec<Dataset<'a>>,
    pub(super) catalog: RowChanges,
    /// Names of files that hold rows.
    pub(super) names: BTreeMap<Relation, String>,
    pub(super) why: Vec<String>,
}

type ByFile = BTreeMap<FileId, Placed>;
type ByOid = BTreeMap<u32, Placed>;

fn file(relation: Relation) -> FileId {
    FileId { tablespace: relation.tablespace, number: relation.number }
}

/// Asks both servers for the tables of all files.
pub(super) async fn locate<'a>(sides: &Sides<'a>) -> Result<Located<'a>> {
    let (cx, touched) = (sides.cx, sides.touched);
    let database = sides.new.database(cx).await?;
    let here = |relation: &&Relation| relation.database == database;
    let created: BTreeSet<FileId> = touched.created.iter().filter(here).copied().map(file).collect();
    let dropped: BTreeSet<FileId> = touched.dropped.iter().filter(here).copied().map(file).collect();
    let changed = touched.tables.iter().map(|table| &table.relation).filter(here).copied().map(file);
    let files: Vec<FileId> = changed.chain(created.iter().copied()).chain(dropped.iter().copied()).collect();
    let by_file = |found: Vec<Placed>| found.into_iter().map(|placed| (placed.file, placed)).collect::<ByFile>();
    let mut theirs = by_file(sides.new.by_file(cx, &files).await?);
    // A number that a lost transaction gave to a file may have been given to another one since, and one that it took
    // away, too.
    theirs.retain(|file, _| !created.contains(file));
    let mut ours = match sides.old {
        Some(old) => by_file(old.by_file(cx, &files).await?),
        None => ByFile::new(),
    };
    ours.retain(|file, _| !dropped.contains(file));
    let by_oid = |found: Vec<Placed>| found.into_iter().map(|placed| (placed.oid, placed)).collect::<ByOid>();
    let oids = |of: &ByFile| of.values().flat_map(|placed| [placed.oid, placed.root]).collect::<Vec<u32>>();
    let names = |of: &ByFile| {
        of.values().flat_map(|placed| [placed.sql.clone(), placed.dataset_sql.clone()]).collect::<Vec<String>>()
    };
    let their_oids = by_oid(sides.new.by_name(cx, &oids(&ours), &names(&ours)).await?);
    let our_oids = match sides.old {
        Some(old) => Some(by_oid(old.by_name(cx, &oids(&theirs), &names(&theirs)).await?)),
        None => None,
    };
    let mut finding = Finding { ours, theirs, their_oids, our_oids, sets: BTreeMap::new() };
    let mut located =
        Located { datasets: Vec::new(), catalog: RowChanges::default(), names: BTreeMap::new(), why: Vec::new() };
    for table in &touched.tables {
        // What was made and removed again leaves nothing.
        let passing = created.contains(&file(table.relation)) && dropped.contains(&file(table.relation));
        if table.relation.database == database && !passing {
            finding.place(table, &mut located);
        }
    }
    elsewhere(sides, database, &mut located);
    finding.removed(dropped.difference(&created), &mut located.why);
    finding.made(created.difference(&dropped));
    located.datasets = finding.sets.into_values().collect();
    Ok(located)
}

struct Finding<'a> {
    ours: ByFile,
    theirs: ByFile,
    their_oids: ByOid,
    our_oids: Option<ByOid>,
    sets: BTreeMap<String, Dataset<'a>>,
}

impl<'a> Finding<'a> {
    fn place(&mut self, table: &'a Table, located: &mut Located<'a>) {
        let (ours, theirs) = (self.ours.get(&file(table.relation)), self.theirs.get(&file(table.relation)));
        let Some(known) = ours.or(theirs) else {
            if table.relation.number < FIRST_OF_USERS {
                return add(&mut located.catalog, table.changes);
            }
            let name = format!("file {}", table.relation.number);
            let changes = table.changes.total();
            located.why.push(format!("no server knows the table of {name}, where {changes} changes were made"));
            located.names.insert(table.relation, name);
            return;
        };
        match known.holds {
            Holds::Values | Holds::Other => {}
            Holds::Catalog => add(&mut located.catalog, table.changes),
            Holds::LargeObjects => {
                let changes = table.changes.total();
                located.why.push(format!("large objects were changed ({changes} changes), and are not named"));
            }
            Holds::Rows => {
                located.names.insert(table.relation, known.dataset.clone());
                let (known, ours, theirs) = (known.clone(), ours.cloned(), theirs.cloned());
                self.set(&known).pieces.push(Piece { table, ours, theirs });
            }
        }
    }

    /// The dataset of a relation, and what both servers have of it.
    fn set(&mut self, known: &Placed) -> &mut Dataset<'a> {
        let same = |placed: &&Placed| placed.dataset == known.dataset;
        // One file is one table, whatever it is called by now.
        let theirs = self.theirs.get(&known.file).or_else(|| self.theirs.values().find(same));
        let theirs = theirs.or_else(|| self.their_oids.values().find(same)).cloned();
        let ours = self.ours.get(&known.file).or_else(|| self.ours.values().find(same));
        let ours = ours.or_else(|| self.our_oids.iter().flat_map(BTreeMap::values).find(same)).cloned();
        let name = known.dataset.clone();
        self.sets.entry(known.dataset.clone()).or_insert_with(|| Dataset { name, ours, theirs, ..Dataset::default() })
    }

    /// Files that were there at the switchpoint, and that lost transactions removed.
    fn removed<'f>(&mut self, files: impl Iterator<Item = &'f FileId>, why: &mut Vec<String>) {
        for file in files {
            let Some(known) = self.theirs.get(file).cloned() else {
                let number = file.number;
                why.push(format!(
                    "a lost transaction removed the file {number}, and no server knows of which relation"
                ));
                continue;
            };
            if known.holds != Holds::Rows {
                continue;
            }
            let name = &known.shown;
            let reason = match &self.our_oids {
                Some(oids) if !oids.contains_key(&known.oid) => format!("a lost transaction dropped {name}"),
                Some(_) => replaced(name),
                None => format!("a lost transaction dropped, emptied or rewrote {name}"),
            };
            self.set(&known).why.insert(format!("{reason}: rows that this removed are not named"));
        }
    }

    /// Files that lost transactions made, and that are still there.
    fn made<'f>(&mut self, files: impl Iterator<Item = &'f FileId>) {
        for file in files {
            let Some(known) = self.ours.get(file).filter(|known| known.holds == Holds::Rows).cloned() else { continue };
            let twin = self.their_oids.values().find(|twin| twin.shown == known.shown);
            let created = format!("a lost transaction created {}", known.shown);
            match twin.map(|twin| twin.oid == known.oid) {
                Some(true) => {
                    let why = format!("{}: rows that this removed are not named", replaced(&known.shown));
                    self.set(&known).why.insert(why);
                }
                Some(false) => {
                    let note = format!("{created}; the new primary has another table of this name");
                    self.set(&known).notes.insert(note);
                }
                None => {
                    self.set(&known).notes.insert(format!("{created}, which the new primary does not have"));
                }
            }
        }
    }
}

fn replaced(name: &str) -> String {
    format!("a lost transaction emptied or rewrote {name} (TRUNCATE, VACUUM FULL, CLUSTER, ALTER TABLE)")
}

/// What happened in other databases.
fn elsewhere(sides: &Sides<'_>, database: u32, located: &mut Located<'_>) {
    let mut changes: BTreeMap<u32, u64> = BTreeMap::new();
    let theirs = |table: &&Table| table.relation.database != database && table.relation.database != 0;
    for table in sides.touched.tables.iter().filter(theirs) {
        if table.relation.number >= FIRST_OF_USERS {
            *changes.entry(table.relation.database).or_default() += table.changes.total();
        }
    }
    for (other, count) in changes {
        located.why.push(format!(
            "{count} changes were made in another database (oid {other}): name it in the URLs to have its rows named"
        ));
    }
}
