//! What a dataset consists of: its tables, their out-of-line values, the indexes of both, the sequences
//! that its columns own, and the visibility maps.

use super::mask::{Layout, SEQUENCE};
use crate::relation::Relation;
use crate::session::{Session, get};
use paritas_connect::{Context, PageKind, PageRelation, Result};
use paritas_model::Known;

/// The name of a table's visibility map in reports.
fn map_of(table: &str) -> String {
    format!("{table} (visibility map)")
}

/// All relations with pages, sorted by name.
pub(super) async fn list(session: &Session, cx: &Context, root: &Relation) -> Result<Vec<PageRelation>> {
    let sql = "WITH RECURSIVE tree AS (SELECT $1::oid AS oid UNION \
                 SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid), \
               tables AS (SELECT c.oid, c.reltoastrelid AS toast FROM tree JOIN pg_class c ON c.oid = tree.oid), \
               heaps AS (SELECT oid, 'rows' AS what FROM tables UNION ALL \
                 SELECT toast, 'overflow' FROM tables WHERE toast <> 0), \
               every AS (SELECT oid, what FROM heaps UNION ALL \
                 SELECT i.indexrelid, 'index' FROM heaps JOIN pg_index i ON i.indrelid = heaps.oid UNION \
                 SELECT d.objid, 'sequence' FROM tables JOIN pg_depend d ON d.refobjid = tables.oid \
                   AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass \
                   AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
                   JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S') \
               SELECT every.oid::regclass::text, every.what, \
                 coalesce($2 || s.seqincrement::text, a.amname::text, c.relkind::text), \
                 coalesce(pg_relation_filenode(c.oid), 0)::text || '/' || c.reltablespace::text, \
                 coalesce(pg_relation_size(c.oid, 'main'), 0) / current_setting('block_size')::int8, \
                 c.relpersistence::text, c.relkind::text, \
                 coalesce(pg_relation_size(c.oid, 'vm'), 0) / current_setting('block_size')::int8 \
               FROM every JOIN pg_class c ON c.oid = every.oid LEFT JOIN pg_am a ON a.oid = c.relam \
                 LEFT JOIN pg_sequence s ON s.seqrelid = c.oid \
               WHERE c.relkind NOT IN ('p', 'I') ORDER BY 1";
    let rows = session.query(cx, "list what the table consists of", sql, &[&root.oid, &SEQUENCE]).await?;
    let mut relations = Vec::with_capacity(rows.len());
    for row in &rows {
        let relation = one(row)?;
        let is_mapped = matches!(relation.kind, PageKind::Rows | PageKind::Overflow) && relation.logged;
        if is_mapped && relation.method == "heap" {
            relations.push(PageRelation {
                name: map_of(&relation.name),
                kind: PageKind::Map,
                method: "visibility map".to_owned(),
                blocks: blocks(get(row, 7)?),
                of: Some(relation.name.clone()),
                ..relation.clone()
            });
        }
        relations.push(relation);
    }
    relations.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(relations)
}

fn blocks(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn one(row: &tokio_postgres::Row) -> Result<PageRelation> {
    let (what, method, persistence): (&str, &str, &str) = (get(row, 1)?, get(row, 2)?, get(row, 5)?);
    let logged = !matches!(persistence, "u" | "t");
    let comparable = match Layout::of(method) {
        _ if !logged => Known::unknown("it is unlogged, so that no standby has its rows"),
        None => Known::unknown(format!("what pages of {method} may differ in is not known")),
        Some(_) => Known::Known(()),
    };
    Ok(PageRelation {
        name: get(row, 0)?,
        kind: match what {
            "rows" => PageKind::Rows,
            "overflow" => PageKind::Overflow,
            "sequence" => PageKind::Sequence,
            _ => PageKind::Index,
        },
        method: method.to_owned(),
        storage: get(row, 3)?,
        blocks: blocks(get(row, 4)?),
        of: None,
        logged,
        comparable,
    })
}
