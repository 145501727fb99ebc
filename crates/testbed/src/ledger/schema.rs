//! The tables: columns, kinds, keys, and their SQL.

use super::rows;
use super::{Plan, Row};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `boolean`
    Bool,
    /// `integer`
    Int32,
    /// `bigint`
    Int64,
    /// `numeric(precision, scale)`
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// `text`
    Text,
    /// `uuid`
    Uuid,
    /// `timestamp`: microseconds without a zone
    Timestamp,
    /// `timestamptz`: an instant in microseconds
    TimestampTz,
    /// `date`
    Date,
    /// `jsonb`
    Json,
    /// `bytea`
    Bytes,
    /// The enum `order_side`: `buy`, `sell`
    Side,
}

impl Kind {
    /// Digits after the point; 0 for what is not a decimal.
    #[must_use]
    pub fn scale(&self) -> u32 {
        if let Self::Decimal { scale, .. } = self { u32::from(*scale) } else { 0 }
    }

    /// The type's name in PostgreSQL.
    #[must_use]
    pub fn sql(&self) -> String {
        match self {
            Self::Bool => "boolean".into(),
            Self::Int32 => "integer".into(),
            Self::Int64 => "bigint".into(),
            Self::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
            Self::Text => "text".into(),
            Self::Uuid => "uuid".into(),
            Self::Timestamp => "timestamp".into(),
            Self::TimestampTz => "timestamptz".into(),
            Self::Date => "date".into(),
            Self::Json => "jsonb".into(),
            Self::Bytes => "bytea".into(),
            Self::Side => "order_side".into(),
        }
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name in every store.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it has NULLs.
    pub nullable: bool,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name in every store.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
    /// The columns of its primary key, in the key's order; none for a table without key.
    pub key: &'static [&'static str],
    count: fn(&Plan) -> u64,
    make: fn(&Plan, u64) -> Row,
}

impl Table {
    /// How many rows the plan has for it.
    #[must_use]
    pub fn count(&self, plan: &Plan) -> u64 {
        (self.count)(plan)
    }

    /// One row by its number, from 0.
    #[must_use]
    pub fn row(&self, plan: &Plan, number: u64) -> Row {
        (self.make)(plan, number)
    }

    /// All rows in the order of their numbers.
    pub fn rows(&'static self, plan: &Plan) -> impl Iterator<Item = Row> + use<> {
        let plan = plan.clone();
        (0..self.count(&plan)).map(move |number| self.row(&plan, number))
    }

    /// The names of its columns, separated by commas.
    #[must_use]
    pub fn column_list(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// `CREATE TABLE` with its primary key; a table without key gets a full replica identity, so that updates and
    /// deletes of it replicate as well.
    #[must_use]
    pub fn create_sql(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for column in self.columns {
            let null = if column.nullable { "" } else { " NOT NULL" };
            lines.push(format!("  {} {}{null}", column.name, column.kind.sql()));
        }
        if !self.key.is_empty() {
            lines.push(format!("  PRIMARY KEY ({})", self.key.join(", ")));
        }
        let identity = if self.key.is_empty() {
            format!("ALTER TABLE {} REPLICA IDENTITY FULL;\n", self.name)
        } else {
            String::new()
        };
        format!("CREATE TABLE {} (\n{}\n);\n{identity}", self.name, lines.join(",\n"))
    }
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false }
}

const fn nullable(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true }
}

const QUANTITY: Kind = Kind::Decimal { precision: 18, scale: 8 };
const MONEY: Kind = Kind::Decimal { precision: 20, scale: 2 };

/// Orders, with a `bigint` key.
pub static ORDERS: Table = Table {
    name: "orders",
    columns: &[
        column("order_id", Kind::Int64),
        column("client_ref", Kind::Uuid),
        column("account", Kind::Text),
        column("symbol", Kind::Text),
        column("side", Kind::Side),
        column("quantity", QUANTITY),
        nullable("limit_price", QUANTITY),
        column("amount", MONEY),
        column("placed_at", Kind::TimestampTz),
        column("trade_date", Kind::Date),
        column("active", Kind::Bool),
        nullable("note", Kind::Text),
        column("attributes", Kind::Json),
    ],
    key: &["order_id"],
    count: |plan| plan.orders,
    make: rows::order,
};

/// Fills of orders, with a `uuid` key and a time without zone.
pub static FILLS: Table = Table {
    name: "fills",
    columns: &[
        column("fill_id", Kind::Uuid),
        column("order_id", Kind::Int64),
        column("executed_at", Kind::Timestamp),
        column("quantity", QUANTITY),
        column("price", QUANTITY),
        nullable("fee", MONEY),
        column("venue", Kind::Text),
        column("maker", Kind::Bool),
        nullable("liquidity", Kind::Int32),
    ],
    key: &["fill_id"],
    count: |plan| plan.fills,
    make: rows::fill,
};

/// Positions, with a composite key of two texts and a date.
pub static POSITIONS: Table = Table {
    name: "positions",
    columns: &[
        column("account", Kind::Text),
        column("symbol", Kind::Text),
        column("as_of", Kind::Date),
        column("quantity", QUANTITY),
        column("cost", MONEY),
        nullable("closed_at", Kind::TimestampTz),
        column("updated_at", Kind::TimestampTz),
    ],
    key: &["account", "symbol", "as_of"],
    count: |plan| plan.positions,
    make: rows::position,
};

/// Ledger entries in pairs of debit and credit, with a `text` key and some `bytea`.
pub static LEDGER: Table = Table {
    name: "ledger",
    columns: &[
        column("entry_ref", Kind::Text),
        column("account", Kind::Text),
        column("currency", Kind::Text),
        column("amount", MONEY),
        column("posted_at", Kind::TimestampTz),
        column("value_date", Kind::Date),
        column("reversed", Kind::Bool),
        nullable("memo", Kind::Text),
        nullable("proof", Kind::Bytes),
    ],
    key: &["entry_ref"],
    count: |plan| plan.ledger,
    make: rows::entry,
};

/// Quotes, without a key: every tenth row repeats the one before it exactly.
pub static QUOTES: Table = Table {
    name: "quotes",
    columns: &[
        column("symbol", Kind::Text),
        column("quoted_at", Kind::TimestampTz),
        column("sequence", Kind::Int64),
        column("bid", QUANTITY),
        nullable("ask", QUANTITY),
    ],
    key: &[],
    count: |plan| plan.quotes,
    make: rows::quote,
};

/// All tables.
pub static TABLES: &[&Table] = &[&ORDERS, &FILLS, &POSITIONS, &LEDGER, &QUOTES];

/// The names of all tables, for publications.
#[must_use]
pub fn table_names() -> Vec<&'static str> {
    TABLES.iter().map(|table| table.name).collect()
}

/// Everything that makes the empty tables.
#[must_use]
pub fn schema_sql() -> String {
    let tables: String = TABLES.iter().map(|table| table.create_sql()).collect();
    format!("CREATE TYPE order_side AS ENUM ('buy', 'sell');\n{tables}")
}
