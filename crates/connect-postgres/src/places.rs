//! Rows by `ctid`, and the relations that files belong to.
//!
//! A `ctid` names one version of a row. On a physical copy it is the same until the row is written again; vacuum moves
//! no version, and only gives away the place of one that nobody can see. `xmin` keeps the number of its transaction when
//! the row is frozen. Source: PostgreSQL documentation, "System Columns", "TID Scan"; `heapam_visibility.c`.

use crate::columns;
use crate::errors::malformed;
use crate::params::Param;
use crate::plan::text_of;
use crate::quote;
use crate::relation::Relation;
use crate::session::{Session, get};
use crate::store::Inner;
use async_trait::async_trait;
use paritas_connect::{Context, FileId, Holds, Placed, PlacedColumn, PlacedRow, PlacedShape, Places, Result};
use paritas_model::LogicalType;
use std::collections::HashSet;
use tokio_postgres::Row;

/// Rows in one statement: values may be large.
const ROWS_MAX: usize = 200;
/// Rows in one statement that reads a whole table.
const COPIES_MAX: usize = 2_000;
const MONEY: &str = "\"pg_catalog\".\"money\"";

const RELATIONS: &str = "SELECT c.oid, \
      CASE WHEN c.reltablespace = 0 THEN d.dattablespace ELSE c.reltablespace END, pg_relation_filenode(c.oid), \
      n.nspname::text, c.relname::text, c.relkind::text, r.oid, m.nspname::text, r.relname::text \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
      JOIN pg_database d ON d.datname = current_database() \
      JOIN pg_class r ON r.oid = CASE WHEN c.relispartition THEN coalesce(pg_partition_root(c.oid), c.oid) ELSE c.oid END \
      JOIN pg_namespace m ON m.oid = r.relnamespace \
    WHERE ";

#[async_trait]
impl Places for Inner {
    async fn database(&self, cx: &Context) -> Result<u32> {
        let session = self.session(cx).await?;
        let sql = "SELECT oid FROM pg_database WHERE datname = current_database()";
        let row = session.query_one(cx, "identify the database", sql, &[]).await;
        self.give_back(session);
        get(&row?, 0)
    }

    async fn by_file(&self, cx: &Context, files: &[FileId]) -> Result<Vec<Placed>> {
        let numbers: Vec<u32> = files.iter().map(|file| file.number).collect();
        let sql = format!("{RELATIONS}pg_relation_filenode(c.oid) = ANY($1)");
        let session = self.session(cx).await?;
        let rows = session.query(cx, "find the tables of files", &sql, &[&numbers]).await;
        self.give_back(session);
        let found: Result<Vec<Placed>> = rows?.iter().map(placed).collect();
        // Two tablespaces may have a file of one number each.
        let files: HashSet<&FileId> = files.iter().collect();
        Ok(found?.into_iter().filter(|placed| files.contains(&placed.file)).collect())
    }

    async fn by_name(&self, cx: &Context, oids: &[u32], names: &[String]) -> Result<Vec<Placed>> {
        let sql = format!(
            "{RELATIONS}c.oid = ANY($1) OR c.oid = ANY(ARRAY(SELECT to_regclass(name) FROM unnest($2::text[]) AS name))"
        );
        let session = self.session(cx).await?;
        let rows = session.query(cx, "find tables by name", &sql, &[&oids, &names]).await;
        self.give_back(session);
        rows?.iter().map(placed).collect()
    }

    async fn shape(&self, cx: &Context, root: u32) -> Result<PlacedShape> {
        let session = self.session(cx).await?;
        let shape = shape(&session, cx, root).await;
        self.give_back(session);
        shape
    }

    async fn at(
        &self,
        cx: &Context,
        relation: &Placed,
        columns: &[PlacedColumn],
        places: &[(u32, u16)],
    ) -> Result<Vec<PlacedRow>> {
        let sql = format!(
            "SELECT {} FROM ONLY {} AS t WHERE t.ctid = ANY($1::text[]::tid[])",
            selected(columns),
            relation.sql
        );
        let session = self.session(cx).await?;
        let mut found = Vec::new();
        for part in places.chunks(ROWS_MAX) {
            let asked: Vec<String> = part.iter().map(|(block, item)| format!("({block},{item})")).collect();
            for row in session.query(cx, "read rows by their place", &sql, &[&asked]).await? {
                found.push(placed_row(&row, 0)?);
            }
        }
        self.give_back(session);
        Ok(found)
    }

    async fn by_key(
        &self,
        cx: &Context,
        relation: &Placed,
        columns: &[PlacedColumn],
        key: &[PlacedColumn],
        keys: &[Vec<String>],
    ) -> Result<Vec<Option<PlacedRow>>> {
        let each = || key.iter().enumerate();
        let arrays = quote::list(each().map(|(number, _)| format!("${}::text[]", number + 1)));
        let names = quote::list(each().map(|(number, _)| format!("k{number}")));
        let matches: Vec<String> = each()
            .map(|(number, column)| {
                let name = quote::ident(&column.name);
                format!("t.{name} {} q.k{number}::{}", column.equals, column.sql_type)
            })
            .collect();
        let sql = format!(
            "SELECT q.n, {} FROM unnest({arrays}) WITH ORDINALITY AS q({names}, n) JOIN {} AS t ON {}",
            selected(columns),
            relation.dataset_sql,
            matches.join(" AND ")
        );
        let session = self.session(cx).await?;
        let mut found = Vec::with_capacity(keys.len());
        for part in keys.chunks(ROWS_MAX) {
            let columns: Vec<Vec<&str>> = each()
                .map(|(number, _)| part.iter().map(|key| key.get(number).map_or("", String::as_str)).collect())
                .collect();
            let params: Vec<&dyn Param> = columns.iter().map(|column| column as _).collect();
            let mut rows: Vec<Option<PlacedRow>> = vec![None; part.len()];
            for row in session.query(cx, "look rows up by key", &sql, &params).await? {
                let number: i64 = get(&row, 0)?;
                let slot = usize::try_from(number - 1).ok().and_then(|number| rows.get_mut(number));
                *slot.ok_or_else(|| malformed("a row that was not asked for"))? = Some(placed_row(&row, 1)?);
            }
            found.append(&mut rows);
        }
        self.give_back(session);
        Ok(found)
    }

    async fn copies(
        &self,
        cx: &Context,
        relation: &Placed,
        columns: &[PlacedColumn],
        rows: &[Vec<Option<String>>],
    ) -> Result<Vec<u64>> {
        // The text of an array tells NULL from the word, and every value from its neighbours.
        let given = quote::list((0..columns.len()).map(|number| format!("q.c{number}")));
        let arrays = quote::list((0..columns.len()).map(|number| format!("${}::text[]", number + 1)));
        let names = quote::list((0..columns.len()).map(|number| format!("c{number}")));
        let sql = format!(
            "SELECT w.n, count(*) FROM (SELECT q.n, ARRAY[{given}]::text AS whole \
             FROM unnest({arrays}) WITH ORDINALITY AS q({names}, n)) AS w \
             JOIN {} AS t ON {} = w.whole GROUP BY w.n",
            relation.dataset_sql,
            whole(columns)
        );
        let session = self.session(cx).await?;
        let mut found = Vec::with_capacity(rows.len());
        for part in rows.chunks(COPIES_MAX) {
            let value = |row: &Vec<Option<String>>, number: usize| row.get(number).cloned().flatten();
            let columns: Vec<Vec<Option<String>>> =
                (0..columns.len()).map(|number| part.iter().map(|row| value(row, number)).collect()).collect();
            let params: Vec<&dyn Param> = columns.iter().map(|column| column as _).collect();
            let mut counts = vec![0; part.len()];
            for row in session.query(cx, "count rows by their values", &sql, &params).await? {
                let (number, count): (i64, i64) = (get(&row, 0)?, get(&row, 1)?);
                let slot = usize::try_from(number - 1).ok().and_then(|number| counts.get_mut(number));
                *slot.ok_or_else(|| malformed("a row that was not asked for"))? = count.unsigned_abs();
            }
            found.append(&mut counts);
        }
        self.give_back(session);
        Ok(found)
    }
}

/// Place and texts of a row.
fn selected(columns: &[PlacedColumn]) -> String {
    format!("t.tableoid, t.ctid::text, t.xmin::text, {}", whole_array(columns))
}

fn whole_array(columns: &[PlacedColumn]) -> String {
    format!("ARRAY[{}]::text[]", quote::list(columns.iter().map(|column| column.text.as_str())))
}

fn whole(columns: &[PlacedColumn]) -> String {
    format!("{}::text", whole_array(columns))
}

fn placed_row(row: &Row, first: usize) -> Result<PlacedRow> {
    let (place, writer): (&str, &str) = (get(row, first + 1)?, get(row, first + 2)?);
    let parsed = place.trim_matches(['(', ')']).split_once(',');
    let parsed = parsed.and_then(|(block, item)| Some((block.parse().ok()?, item.parse().ok()?)));
    Ok(PlacedRow {
        relation: get(row, first)?,
        place: parsed.ok_or_else(|| malformed(format!("{place:?} for the place of a row")))?,
        writer: writer.parse().map_err(|_| malformed(format!("{writer:?} for a transaction")))?,
        values: get(row, first + 3)?,
    })
}

fn placed(row: &Row) -> Result<Placed> {
    let (schema, name, kind): (&str, &str, &str) = (get(row, 3)?, get(row, 4)?, get(row, 5)?);
    let (root_schema, root_name): (&str, &str) = (get(row, 7)?, get(row, 8)?);
    let number: Option<u32> = get(row, 2)?;
    let holds = match (schema, name, kind) {
        ("pg_catalog", "pg_largeobject" | "pg_largeobject_metadata", _) => Holds::LargeObjects,
        (_, _, "t") => Holds::Values,
        ("pg_catalog" | "information_schema", _, "r") => Holds::Catalog,
        (_, _, "r" | "p") => Holds::Rows,
        _ => Holds::Other,
    };
    Ok(Placed {
        oid: get(row, 0)?,
        file: FileId { tablespace: get(row, 1)?, number: number.unwrap_or(0) },
        shown: quote::shown(schema, name),
        sql: quote::qualified(schema, name),
        root: get(row, 6)?,
        dataset: quote::shown(root_schema, root_name),
        dataset_sql: quote::qualified(root_schema, root_name),
        holds,
    })
}

async fn shape(session: &Session, cx: &Context, root: u32) -> Result<PlacedShape> {
    let relation = Relation { oid: root, schema: String::new(), name: String::new(), kind: 'r' };
    let (infos, types) = columns::load(session, cx, &relation).await?;
    let mut key = columns::key(session, cx, &relation).await?;
    let nullable = |name: &String| infos.iter().any(|info| info.name == *name && info.nullable);
    if key.iter().any(nullable) {
        // Several rows may have NULL there.
        key.clear();
    }
    let sql = "SELECT DISTINCT a.attname::text FROM pg_constraint k \
               JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey) \
               WHERE k.conrelid = $1 AND k.contype = 'f'";
    let references = session.query(cx, "find references", sql, &[&root]).await?;
    let references: Vec<String> = references.iter().map(|row| get(row, 0)).collect::<Result<_>>()?;
    let mut found = Vec::with_capacity(infos.len());
    for info in &infos {
        let (base, _) = types.base(info.type_oid, info.modifier)?;
        let sql_type = quote::qualified(&base.schema, &base.name);
        let logical = columns::logical(&types, info.type_oid, info.modifier);
        let number = matches!(
            logical,
            LogicalType::Int { signed: true, .. }
                | LogicalType::Float { .. }
                | LogicalType::Decimal { .. }
                | LogicalType::DecimalAny
        ) || sql_type == MONEY;
        let mut value = format!("t.{}", quote::ident(&info.name));
        if sql_type == MONEY {
            // Its text has a currency and signs between digits.
            value.push_str("::pg_catalog.numeric");
        }
        found.push(PlacedColumn {
            name: info.name.clone(),
            engine_type: info.engine_type.clone(),
            logical,
            text: text_of(&value, &sql_type),
            sql_type,
            equals: base.equals_in.as_ref().map_or_else(|| "=".to_owned(), |schema| format!("OPERATOR({schema}.=)")),
            amount: number && !key.contains(&info.name) && !references.contains(&info.name),
        });
    }
    Ok(PlacedShape { columns: found, key })
}
