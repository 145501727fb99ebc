//! The data: a trading ledger made from a seed.
//!
//! One generator makes typed rows; PostgreSQL, Parquet and CSV are written from them, so that the same plan means the
//! same logical values in every store. Any row can be made alone from the seed, its table and its number.

mod arrow;
mod csv;
mod load;
mod parquet;
mod rows;
mod schema;
mod seed;
mod value;

pub use self::arrow::{UuidAs, batches, schema as arrow_schema};
pub use self::csv::{CsvOptions, write_csv};
pub use self::load::{create, fill, fill_table, load};
pub use self::parquet::{Codec, Order, ParquetOptions, write_parquet};
pub use self::schema::{
    Column, FILLS, Kind, LEDGER, ORDERS, POSITIONS, QUOTES, TABLES, Table, schema_sql, table_names,
};
pub use self::value::Value;
pub(crate) use self::value::{micros_text, uuid_text};

/// One row: a value for each column, in the table's order.
pub type Row = Vec<Value>;

/// How much data, and which. The same plan always makes the same rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Everything random comes from it.
    pub seed: u64,
    /// Rows of `orders`.
    pub orders: u64,
    /// Rows of `fills`; each belongs to an order.
    pub fills: u64,
    /// Rows of `positions`.
    pub positions: u64,
    /// Rows of `ledger`; debit and credit alternate, so the sum of an even number is 0.
    pub ledger: u64,
    /// Rows of `quotes`, which has no key and some exact duplicates.
    pub quotes: u64,
}

impl Default for Plan {
    /// 220,000 rows.
    fn default() -> Self {
        Self { seed: 1, orders: 60_000, fills: 90_000, positions: 20_000, ledger: 40_000, quotes: 10_000 }
    }
}

impl Plan {
    /// 2,200 rows, for tests that need some of everything.
    #[must_use]
    pub fn small() -> Self {
        Self { seed: 1, orders: 600, fills: 900, positions: 200, ledger: 400, quotes: 100 }
    }

    /// The same amounts from another seed.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Rows of all tables.
    #[must_use]
    pub fn total(&self) -> u64 {
        TABLES.iter().map(|table| table.count(self)).sum()
    }
}
