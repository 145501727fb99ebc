//! Relations: which there are, which one a name means, and the parts that hold its rows.

use crate::errors::missing;
use crate::quote::{self, Part};
use crate::session::{Session, get};
use paritas_connect::{Context, Error, FailureKind, Result};
use paritas_model::Dataset;
use tokio_postgres::types::Oid;

/// Schemas that hold nothing of a user's.
pub(crate) const SYSTEM: &str = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// A table, view or other relation with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) oid: Oid,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `pg_class.relkind`.
    pub(crate) kind: char,
}

impl Relation {
    /// The name for SQL.
    pub(crate) fn sql(&self) -> String {
        quote::qualified(&self.schema, &self.name)
    }

    /// The name for people.
    pub(crate) fn shown(&self) -> String {
        quote::shown(&self.schema, &self.name)
    }

    /// Whether rows have `xmin` and the other system columns.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self.kind, 'r' | 'p' | 'm')
    }
}

/// One relation that holds rows of a dataset itself: the table, a partition, a child.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) relation: Relation,
    /// Blocks of the main fork now.
    pub(crate) blocks: u64,
    /// Bytes with everything stored out of line.
    pub(crate) bytes: u64,
    /// The planner's row count, if it has one.
    pub(crate) rows: Option<u64>,
    /// Whether rows can be read by block ranges.
    pub(crate) by_block: bool,
    /// Whether this user may read it directly.
    pub(crate) readable: bool,
}

/// All tables and partitioned tables by name; partitions belong to their root.
pub(crate) async fn list(session: &Session, cx: &Context, with_materialized: bool) -> Result<Vec<Dataset>> {
    let kinds: &[&str] = if with_materialized { &["r", "p", "m"] } else { &["r", "p"] };
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind::text = ANY($1) AND NOT c.relispartition AND c.relpersistence <> 't' AND {SYSTEM}"
    );
    let rows = session.query(cx, "list the tables", &sql, &[&kinds]).await?;
    let names: Result<Vec<Dataset>> =
        rows.iter().map(|row| Ok(Dataset(quote::shown(get::<&str>(row, 0)?, get::<&str>(row, 1)?)))).collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}

/// Finds the relation that a dataset's name means: `schema.table`, or `table` alone where the
/// user's own search path shows one.
pub(crate) async fn resolve(session: &Session, cx: &Context, dataset: &Dataset) -> Result<Relation> {
    let parts = quote::split_name(&dataset.0).ok_or_else(|| {
        missing(format!("{:?} is not a table's name", dataset.0))
            .hint("write table, schema.table or \"Schema\".\"Table\"")
    })?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] => (Some(schema), name),
        _ => return Err(missing(format!("{:?} is not a table's name", dataset.0))),
    };
    let found = candidates(session, cx, name).await?;
    let chosen = match schema {
        Some(schema) => pick(&found, |relation| relation.schema == schema.folded(), name)
            .or_else(|| pick(&found, |relation| relation.schema == schema.text, name)),
        None => session.facts.search_path.iter().find_map(|path| pick(&found, |found| found.schema == *path, name)),
    };
    chosen.cloned().ok_or_else(|| unresolved(session, dataset, schema.is_none(), &found))
}

/// The spelling the server would look for wins over the literal one.
fn pick<'a>(found: &'a [Relation], here: impl Fn(&Relation) -> bool, name: &Part) -> Option<&'a Relation> {
    let by = |text: &str| found.iter().find(|relation| relation.name == text && here(relation));
    by(&name.folded()).or_else(|| by(&name.text))
}

async fn candidates(session: &Session, cx: &Context, name: &Part) -> Result<Vec<Relation>> {
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text \
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relname = ANY($1::text[]) AND c.relkind IN ('r', 'p', 'm', 'v', 'f') ORDER BY 2, 3";
    let rows = session.query(cx, "look for the table", sql, &[&[name.folded(), name.text.clone()].as_slice()]).await?;
    rows.iter().map(relation).collect()
}

fn relation(row: &tokio_postgres::Row) -> Result<Relation> {
    let kind: &str = get(row, 3)?;
    Ok(Relation {
        oid: get(row, 0)?,
        schema: get(row, 1)?,
        name: get(row, 2)?,
        kind: kind.chars().next().unwrap_or('r'),
    })
}

fn unresolved(session: &Session, dataset: &Dataset, by_path: bool, found: &[Relation]) -> Error {
    let elsewhere = quote::list(found.iter().map(Relation::shown));
    match (by_path, found.len()) {
        (_, 0) => missing(format!("there is no table {dataset}"))
            .hint("check the name, the database, and whether this user may see the schema"),
        (true, 1) => missing(format!("{dataset} is not in the search path"))
            .detail(format!("The search path is {}.", quote::list(&session.facts.search_path)))
            .hint(format!("did you mean {elsewhere}?")),
        (true, _) => missing(format!("{dataset} is ambiguous"))
            .detail(format!("There are {elsewhere}, none of them in the search path."))
            .hint("name the schema too"),
        (false, _) => missing(format!("there is no table {dataset}")).hint(format!("did you mean {elsewhere}?")),
    }
}

/// The relations that hold the rows of `root`: itself, or its partitions and children at any depth.
pub(crate) async fn parts(session: &Session, cx: &Context, root: &Relation) -> Result<Vec<Piece>> {
    let sql = "WITH RECURSIVE tree AS (SELECT $1::oid AS oid UNION \
                 SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid) \
               SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, \
                 CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) ELSE 0 END, \
                 CASE WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid) ELSE 0 END, c.reltuples::float8, \
                 c.relkind IN ('r', 'm') AND a.amname = 'heap', \
                 has_any_column_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), \
                 current_setting('block_size')::int8 \
               FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
                 LEFT JOIN pg_am a ON a.oid = c.relam \
               WHERE c.relkind <> 'p' ORDER BY 2, 3";
    let rows = session.query(cx, "measure the table", sql, &[&root.oid]).await?;
    rows.iter()
        .map(|row| {
            let (size, bytes, block): (Option<i64>, Option<i64>, i64) = (get(row, 4)?, get(row, 5)?, get(row, 9)?);
            let rows: f64 = get(row, 6)?;
            Ok(Piece {
                relation: relation(row)?,
                blocks: u64::try_from(size.unwrap_or(0) / block.max(1)).unwrap_or(0),
                bytes: u64::try_from(bytes.unwrap_or(0)).unwrap_or(0),
                // -1 until the table was analysed for the first time.
                rows: if rows >= 0.0 { Some(rows as u64) } else { None },
                by_block: get(row, 7)?,
                readable: get(row, 8)?,
            })
        })
        .collect()
}

/// The table is there, and this user may not read it.
pub(crate) fn denied(session: &Session, relation: &Relation) -> Error {
    let grant = grant(session, relation);
    Error::new(FailureKind::Denied, "dataset.denied", format!("{} may not be read", relation.shown()))
        .detail(format!("The user {} lacks a privilege.", session.facts.user))
        .hint(grant)
}

/// What gives this user the rows of a relation, with all its columns.
pub(crate) fn grant(session: &Session, relation: &Relation) -> String {
    let user = quote::ident(&session.facts.user);
    let (schema, table) = (quote::ident(&relation.schema), relation.sql());
    format!("GRANT USAGE ON SCHEMA {schema} TO {user}; GRANT SELECT ON {table} TO {user}")
}
