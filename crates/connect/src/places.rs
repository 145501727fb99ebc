//! Rows by the place where a version of them stands. Copies of a store that share its pages have a row at the same
//! place, until one of them moves it.

use crate::{Context, Result};
use async_trait::async_trait;
use paritas_model::LogicalType;

/// The file of a relation, as the store's log names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Identifier of the tablespace.
    pub tablespace: u32,
    /// The number in the file's name.
    pub number: u32,
}

/// What the rows of a relation are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Rows of a table.
    Rows,
    /// Parts of values of another relation's rows.
    Values,
    /// What the server knows about its tables.
    Catalog,
    /// Large objects: data that belongs to no table.
    LargeObjects,
    /// Nothing that counts: an index, a sequence, the result of a query that is kept.
    Other,
}

/// A relation with a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Identifier of the relation; the same on all copies.
    pub oid: u32,
    /// Its file now.
    pub file: FileId,
    /// Its name for people.
    pub shown: String,
    /// Its name for statements.
    pub sql: String,
    /// Identifier of the dataset that it belongs to: itself, or the table it is a partition of.
    pub root: u32,
    /// Name of the dataset for people.
    pub dataset: String,
    /// Name of the dataset for statements.
    pub dataset_sql: String,
    /// What it holds.
    pub holds: Holds,
}

/// A column of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedColumn {
    /// Its name.
    pub name: String,
    /// The store's own name of the type.
    pub engine_type: String,
    /// What its values mean.
    pub logical: LogicalType,
    /// What is selected for it: its text.
    pub text: String,
    /// The type for parameters.
    pub sql_type: String,
    /// The operator that finds rows by it.
    pub equals: String,
    /// Whether adding values up makes sense: a number that is no key and no reference to another table.
    pub amount: bool,
}

/// Columns and key of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlacedShape {
    /// Columns in the store's own order.
    pub columns: Vec<PlacedColumn>,
    /// Names of the columns of a key without NULLs; empty where there is none.
    pub key: Vec<String>,
}

/// One row as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedRow {
    /// Identifier of the relation that holds it.
    pub relation: u32,
    /// Page and item.
    pub place: (u32, u16),
    /// The transaction that wrote this version.
    pub writer: u32,
    /// Texts of the columns asked for.
    pub values: Vec<Option<String>>,
}

/// Stores whose rows can be read by place. Nothing is written; every call sees what is committed when it begins.
#[async_trait]
pub trait Places: std::fmt::Debug + Send + Sync {
    /// Identifier of the connected database.
    async fn database(&self, cx: &Context) -> Result<u32>;

    /// The relations that have one of these files now.
    async fn by_file(&self, cx: &Context, files: &[FileId]) -> Result<Vec<Placed>>;

    /// The relations that have one of these identifiers, or one of these names for statements, now.
    async fn by_name(&self, cx: &Context, oids: &[u32], names: &[String]) -> Result<Vec<Placed>>;

    /// Columns and key of a dataset.
    async fn shape(&self, cx: &Context, root: u32) -> Result<PlacedShape>;

    /// The visible rows of one relation at these places; places without one are left out.
    async fn at(
        &self,
        cx: &Context,
        relation: &Placed,
        columns: &[PlacedColumn],
        places: &[(u32, u16)],
    ) -> Result<Vec<PlacedRow>>;

    /// For each key the row of a dataset that has it. Keys are texts, column by column.
    async fn by_key(
        &self,
        cx: &Context,
        relation: &Placed,
        columns: &[PlacedColumn],
        key: &[PlacedColumn],
        keys: &[Vec<String>],
    ) -> Result<Vec<Option<PlacedRow>>>;

    /// How many rows of a dataset have exactly these values in these columns. All rows are read.
    async fn copies(
        &self,
        cx: &Context,
        relation: &Placed,
        columns: &[PlacedColumn],
        rows: &[Vec<Option<String>>],
    ) -> Result<Vec<u64>>;
}
