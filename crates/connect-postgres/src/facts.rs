//! What a schema says beyond its columns, as lines that are equal exactly when the facts are.
//!
//! Names of constraints and sequences are left out: they may differ without meaning anything. So
//! are the values that sequences have reached, which move all the time.

use crate::columns::ColumnInfo;
use crate::quote::{ident, list, literal};
use crate::relation::Relation;
use crate::session::{Session, get};
use crate::types::{Kind, Types};
use paritas_connect::{Context, FACT_UNLOGGED, Result};
use tokio_postgres::types::Oid;

/// The facts of a relation, sorted.
pub(crate) async fn load(
    session: &Session,
    cx: &Context,
    relation: &Relation,
    columns: &[ColumnInfo],
    types: &Types,
    with_privileges: bool,
) -> Result<Vec<String>> {
    let mut named: Vec<Oid> = columns.iter().flat_map(|column| types.within(column.type_oid)).collect();
    named.sort_unstable();
    named.dedup();
    let owned = async { if with_privileges { privileges(session, cx, relation).await } else { Ok(Vec::new()) } };
    // Sent together: regions are far apart.
    let (a, b, c, d, e, f, g, h, i) = tokio::try_join!(
        constraints(session, cx, relation),
        persistence(session, cx, relation),
        indexes(session, cx, relation),
        row_security(session, cx, relation),
        sequences(session, cx, relation),
        triggers(session, cx, relation),
        owned,
        enums(session, cx, &named),
        domains(session, cx, &named, types),
    )?;
    let mut facts = [a, b, c, d, e, f, g, h, i].concat();
    for column in columns {
        of_column(column, types, &mut facts);
    }
    facts.sort();
    facts.dedup();
    Ok(facts)
}

/// The line that says what a column's values are made of, where its type's name does not.
pub(crate) fn shape_prefix(column: &str) -> String {
    format!("column {} made of ", ident(column))
}

fn of_column(column: &ColumnInfo, types: &Types, facts: &mut Vec<String>) {
    let name = ident(&column.name);
    match (&column.expression, column.generated) {
        (Some(expression), true) => facts.push(format!("column {name} generated as {expression}")),
        (Some(expression), false) => facts.push(format!("column {name} default {}", plain_default(expression))),
        (None, _) => {}
    }
    if let Some(identity) = column.identity {
        facts.push(format!("column {name} identity {identity}"));
    }
    if let Some(collation) = &column.collation {
        facts.push(format!("column {name} collation {collation}"));
    }
    if let Some(domain) = &column.domain {
        facts.push(format!("column {name} domain {domain}"));
    }
    if let Some(shape) = types.shape(column.type_oid) {
        facts.push(format!("{}{shape}", shape_prefix(&column.name)));
    }
}

/// A default from a sequence, without that sequence's name.
fn plain_default(expression: &str) -> &str {
    if expression.starts_with("nextval('") { "from a sequence" } else { expression }
}

async fn constraints(session: &Session, cx: &Context, relation: &Relation) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let sql = "SELECT pg_get_constraintdef(oid) FROM pg_constraint \
               WHERE conrelid = $1 AND contype IN ('c', 'f', 'p', 'u', 'x')";
    for row in session.query(cx, "read the constraints", sql, &[&relation.oid]).await? {
        facts.push(format!("constraint {}", get::<&str>(&row, 0)?));
    }
    Ok(facts)
}

/// Indexes that are no part of a constraint. One that is not valid is not used, and not unique either.
async fn indexes(session: &Session, cx: &Context, relation: &Relation) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let sql = "SELECT pg_get_indexdef(i.indexrelid), i.indisunique, i.indisvalid \
               FROM pg_index i WHERE i.indrelid = $1 \
                 AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = $1)";
    for row in session.query(cx, "read the indexes", sql, &[&relation.oid]).await? {
        let definition: &str = get(&row, 0)?;
        // Without the names of the index and its table.
        let plain = definition.split_once(" USING ").map_or(definition, |(_, plain)| plain);
        let unique = if get(&row, 1)? { "unique index" } else { "index" };
        let valid = if get(&row, 2)? { "" } else { " (not valid)" };
        facts.push(format!("{unique} {plain}{valid}"));
    }
    Ok(facts)
}

async fn row_security(session: &Session, cx: &Context, relation: &Relation) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let sql = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = $1";
    let row = session.query_one(cx, "read the row security", sql, &[&relation.oid]).await?;
    for (on, what) in [(get(&row, 0)?, "row security enabled"), (get(&row, 1)?, "row security forced on the owner")] {
        if on {
            facts.push(what.to_owned());
        }
    }
    let sql = "SELECT p.polname::text, p.polcmd::text, p.polpermissive, \
                 ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r)::text END FROM unnest(p.polroles) r \
                   ORDER BY 1), \
                 coalesce(pg_get_expr(p.polqual, p.polrelid), ''), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') \
               FROM pg_policy p WHERE p.polrelid = $1";
    for row in session.query(cx, "read the policies", sql, &[&relation.oid]).await? {
        let (name, command): (&str, &str) = (get(&row, 0)?, get(&row, 1)?);
        let command = match command {
            "r" => "select",
            "a" => "insert",
            "w" => "update",
            "d" => "delete",
            _ => "all",
        };
        let kind = if get(&row, 2)? { "permissive" } else { "restrictive" };
        let roles = list(get::<Vec<String>>(&row, 3)?);
        let (using, check): (&str, &str) = (get(&row, 4)?, get(&row, 5)?);
        facts.push(format!("policy {} {kind} for {command} to {roles} using {using} check {check}", ident(name)));
    }
    Ok(facts)
}

async fn persistence(session: &Session, cx: &Context, relation: &Relation) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let sql = "SELECT 1 FROM pg_class WHERE oid = $1 AND relpersistence = 'u'";
    if !session.query(cx, "read how the table is kept", sql, &[&relation.oid]).await?.is_empty() {
        facts.push(FACT_UNLOGGED.to_owned());
    }
    Ok(facts)
}

async fn sequences(session: &Session, cx: &Context, relation: &Relation) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let sql = "SELECT a.attname::text, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, \
                 s.seqcache, s.seqcycle \
               FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = d.objid \
                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
               WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass \
                 AND d.refobjid = $1 AND d.deptype IN ('a', 'i')";
    for row in session.query(cx, "read the sequences", sql, &[&relation.oid]).await? {
        let (name, kind): (&str, &str) = (get(&row, 0)?, get(&row, 1)?);
        let numbers: Result<Vec<i64>> = (2..7).map(|column| get(&row, column)).collect();
        let cycle = if get(&row, 7)? { "cycle" } else { "no cycle" };
        let numbers = list(numbers?);
        facts.push(format!("sequence of {} {kind} (start, step, min, max, cache: {numbers}, {cycle})", ident(name)));
    }
    Ok(facts)
}

/// Triggers of the table's own, with their names, which decide their order, and when they fire: those that fire on
/// writes of applications only are lost unnoticed until a promotion.
async fn triggers(session: &Session, cx: &Context, relation: &Relation) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let sql = "SELECT replace(pg_get_triggerdef(oid), ' ON ' || tgrelid::regclass::text || ' ', ' '), tgenabled::text \
               FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal";
    for row in session.query(cx, "read the triggers", sql, &[&relation.oid]).await? {
        let (definition, enabled): (&str, &str) = (get(&row, 0)?, get(&row, 1)?);
        let plain = definition.trim_start_matches("CREATE ").trim_start_matches("CONSTRAINT ");
        let plain = plain.trim_start_matches("TRIGGER ");
        let fires = match enabled {
            "D" => " (disabled)",
            "R" => " (on replication only)",
            "A" => " (always, on replication too)",
            _ => "",
        };
        facts.push(format!("trigger {plain}{fires}"));
    }
    Ok(facts)
}

/// The owner, and what others may do with the table and its columns. Whoever granted it makes no difference.
async fn privileges(session: &Session, cx: &Context, relation: &Relation) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let sql = "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = $1";
    let row = session.query_one(cx, "read the owner", sql, &[&relation.oid]).await?;
    facts.push(format!("owner {}", ident(get(&row, 0)?)));
    let sql = "SELECT a.privilege_type, CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END, \
                 a.is_grantable, coalesce(of.name, '') \
               FROM (SELECT relacl AS acl, relowner AS owner, NULL::text AS name FROM pg_class WHERE oid = $1 \
                 UNION ALL SELECT attacl, relowner, attname::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid \
                   WHERE attrelid = $1 AND NOT attisdropped) AS of, aclexplode(of.acl) AS a \
               WHERE a.grantee <> of.owner";
    for row in session.query(cx, "read the privileges", sql, &[&relation.oid]).await? {
        let (privilege, role, column): (&str, &str, &str) = (get(&row, 0)?, get(&row, 1)?, get(&row, 3)?);
        let on = if column.is_empty() { String::new() } else { format!(" on column {}", ident(column)) };
        let option = if get(&row, 2)? { " with grant option" } else { "" };
        facts.push(format!("grant {privilege}{on} to {}{option}", ident(role)));
    }
    Ok(facts)
}

async fn enums(session: &Session, cx: &Context, oids: &[Oid]) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let sql = "SELECT format_type(enumtypid, NULL), array_agg(enumlabel::text ORDER BY enumsortorder) \
               FROM pg_enum WHERE enumtypid = ANY($1) GROUP BY enumtypid";
    for row in session.query(cx, "read the enum labels", sql, &[&oids]).await? {
        let labels: Vec<String> = get(&row, 1)?;
        let labels = list(labels.iter().map(|label| literal(label)));
        facts.push(format!("enum {}: {labels}", get::<&str>(&row, 0)?));
    }
    Ok(facts)
}

async fn domains(session: &Session, cx: &Context, oids: &[Oid], types: &Types) -> Result<Vec<String>> {
    let mut facts = Vec::new();
    let wanted: Vec<Oid> = oids
        .iter()
        .copied()
        .filter(|oid| types.get(*oid).is_ok_and(|info| matches!(info.kind, Kind::Domain(..))))
        .collect();
    if wanted.is_empty() {
        return Ok(facts);
    }
    let sql = "SELECT format_type(t.oid, NULL), format_type(t.typbasetype, t.typtypmod), t.typnotnull, \
                 coalesce((SELECT string_agg(pg_get_constraintdef(c.oid), ' ' ORDER BY pg_get_constraintdef(c.oid)) \
                   FROM pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c'), '') \
               FROM pg_type t WHERE t.oid = ANY($1)";
    for row in session.query(cx, "read the domains", sql, &[&wanted]).await? {
        let (name, base, checks): (&str, &str, &str) = (get(&row, 0)?, get(&row, 1)?, get(&row, 3)?);
        let filled = if get(&row, 2)? { " NOT NULL" } else { "" };
        let checks = if checks.is_empty() { String::new() } else { format!(" {checks}") };
        facts.push(format!("domain {name}: {base}{filled}{checks}"));
    }
    Ok(facts)
}
