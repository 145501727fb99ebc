//! Rows and amounts of lost transactions.

use paritas_model::{Difference, Proof};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the lost transactions of one timeline did to rows, and what of that the new primary lacks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostRows {
    /// Whether every row that a lost transaction changed is accounted for, with its values.
    pub complete: bool,
    /// Why not.
    pub why: Vec<String>,
    /// The old primary's server, where its values were read.
    pub values_from: Option<String>,
    /// Tables of the connected database, partitions as part of theirs.
    pub tables: Vec<LostTable>,
    /// Changes of catalogs: definitions, statistics, privileges.
    pub catalog: RowChanges,
}

/// Numbers of row changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowChanges {
    /// Inserted.
    pub inserted: u64,
    /// Updated.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
}

impl RowChanges {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.inserted.saturating_add(self.updated).saturating_add(self.deleted)
    }
}

/// One table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostTable {
    /// Its name.
    pub dataset: String,
    /// Whether every row is accounted for.
    pub complete: bool,
    /// Why not.
    pub why: Vec<String>,
    /// What else is to be known, such as that the table itself is lost.
    pub notes: Vec<String>,
    /// Key columns; empty where rows have none.
    pub key: Vec<String>,
    /// Changes as the log has them: a row that was changed twice counts twice.
    pub log: RowChanges,
    /// Rows in the end: each once, by how it differs from before.
    pub rows: RowChanges,
    /// Those of `rows` that the new primary lacks.
    pub lost: RowChanges,
    /// Those of `rows` that the new primary has: entered again, or changed to what they were.
    pub present: u64,
    /// Those of `lost` whose key has other values on the new primary than either side had when it was left.
    pub conflicting: u64,
    /// Those of `rows` that could not be named or compared.
    pub unnamed: u64,
    /// Sums per numeric column that is no key and no reference.
    pub amounts: Vec<LostAmount>,
    /// Lost rows, at most as many as asked for.
    pub items: Vec<LostRow>,
    /// Whether there are more.
    pub items_truncated: bool,
}

/// What the new primary lacks in one column, as exact decimals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostAmount {
    /// The column.
    pub column: String,
    /// Sum over lost inserts.
    pub inserted: Option<String>,
    /// Sum over lost updates: the value on the old primary less that on the new one.
    pub updated: Option<String>,
    /// Sum over lost deletes: less what is still there.
    pub deleted: Option<String>,
    /// All three together: add it to the new primary's sum, and it is that of the old one.
    pub net: Option<String>,
    /// Why a sum is not known, or not of all rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// One lost row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LostRow {
    /// `insert`, `update` or `delete`.
    pub change: String,
    /// The last lost transaction that changed it.
    pub xid: u32,
    /// The row as a difference: `lost` on the old primary only, `changed` on both, `extra` on the new one only.
    #[serde(flatten)]
    pub row: Difference,
}

/// Changes that one lost transaction made in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TouchedTable {
    /// The table, or the number of its file where no server knows it.
    pub dataset: String,
    /// Changes as the log has them.
    #[serde(flatten)]
    pub changes: RowChanges,
}

impl LostRow {
    /// A row that is proven to differ.
    pub fn new(change: &str, xid: u32, class: paritas_model::Class) -> Self {
        let row = Difference {
            class,
            proof: Proof::Proven,
            key: Vec::new(),
            copies: 1,
            columns: Vec::new(),
            source: Vec::new(),
            replica: Vec::new(),
            place: None,
            note: None,
        };
        Self { change: change.to_owned(), xid, row }
    }
}
