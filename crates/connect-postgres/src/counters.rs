//! Sequences and the columns that take their numbers: the greatest number that is used, then the one that comes next.

use crate::errors::malformed;
use crate::quote;
use crate::relation::SYSTEM;
use crate::session::{Session, get};
use paritas_connect::{Context, Counter, CounterUse, Error, FailureKind, Result};
use paritas_model::Known;
use std::collections::BTreeMap;
use tokio_postgres::types::Oid;

/// Sequences with their columns in one database, at most.
const USES_MAX: usize = 20_000;
/// Values in one statement.
const CHUNK: usize = 200;
/// A table of so many pages (128 MiB) is read even without an index.
const SMALL_PAGES: i32 = 16_384;
/// The types of columns whose values are compared with sequences.
const NUMBERS: &str = "'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype";

/// A sequence and one of its columns, before their values are read.
struct Use {
    oid: Oid,
    sequence: String,
    shown: String,
    step: i64,
    cycles: bool,
    readable: bool,
    column: Option<Column>,
}

struct Column {
    table: String,
    name: String,
    shown: String,
    /// Why its values are not read; `None` where they are.
    unread: Option<String>,
}

impl Use {
    fn farthest(&self) -> (&'static str, &'static str) {
        if self.step < 0 { ("min", "floor") } else { ("max", "ceil") }
    }
}

/// All sequences of the database, each with every column that takes its numbers.
pub(crate) async fn load(session: &Session, cx: &Context) -> Result<Vec<CounterUse>> {
    let uses = uses(session, cx).await?;
    let mut used = Vec::with_capacity(uses.len());
    for chunk in uses.chunks(CHUNK) {
        used.extend(values(session, cx, chunk).await?);
    }
    let counters = counters(session, cx, &uses).await?;
    let user = quote::ident(&session.facts.user);
    let together = uses.into_iter().zip(used).map(|(one, used)| {
        let counter = match counters.get(&one.oid) {
            Some(next) => Known::Known(Counter { next: *next, step: one.step }),
            None if one.readable => Known::unknown("an unlogged sequence has no value on a standby"),
            None => Known::unknown(format!(
                "its value may not be read: GRANT SELECT ON SEQUENCE {} TO {user}",
                one.sequence
            )),
        };
        let (farthest, _) = one.farthest();
        let repair = one.column.as_ref().map(|column| {
            let sequence = one.sequence.replace('\'', "''");
            format!("SELECT setval('{sequence}', (SELECT {farthest}({}) FROM {}))", column.name, column.table)
        });
        CounterUse {
            name: one.shown,
            counter,
            cycles: one.cycles,
            column: one.column.map(|column| column.shown),
            used,
            repair,
        }
    });
    Ok(together.collect())
}

async fn uses(session: &Session, cx: &Context) -> Result<Vec<Use>> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, s.seqincrement, s.seqcycle, \
           has_sequence_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') \
             AND (c.relpersistence <> 'u' OR NOT pg_is_in_recovery()), \
           tn.nspname::text, t.relname::text, a.attname::text, a.atttypid IN ({NUMBERS}), \
           has_column_privilege(t.oid, a.attnum, 'SELECT') AND has_schema_privilege(tn.oid, 'USAGE') \
             AND (t.relpersistence <> 'u' OR NOT pg_is_in_recovery()), \
           row_security_active(t.oid), \
           t.relkind = 'r' AND t.relpages <= {SMALL_PAGES} OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid \
             AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid \
         LEFT JOIN LATERAL (\
           SELECT d.refobjid AS relation, d.refobjsubid AS number FROM pg_depend d \
           WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass \
             AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 \
           UNION SELECT f.adrelid, f.adnum FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid \
           WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) u \
           ON true \
         LEFT JOIN pg_class t ON t.oid = u.relation AND t.relpersistence <> 't' \
         LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.number AND NOT a.attisdropped \
         WHERE {SYSTEM} AND c.relpersistence <> 't' ORDER BY 2, 3, 7, 8, 9 LIMIT {}",
        USES_MAX + 1
    );
    let rows = session.query(cx, "look for sequences", &sql, &[]).await?;
    if rows.len() > USES_MAX {
        let message = format!("there are more than {USES_MAX} sequences");
        return Err(Error::new(FailureKind::Permanent, "store.too_many", message));
    }
    let mut uses = Vec::with_capacity(rows.len());
    for row in &rows {
        let (schema, name): (&str, &str) = (get(row, 1)?, get(row, 2)?);
        uses.push(Use {
            oid: get(row, 0)?,
            sequence: quote::qualified(schema, name),
            shown: quote::shown(schema, name),
            step: get(row, 3)?,
            cycles: get(row, 4)?,
            readable: get(row, 5)?,
            column: column(session, row)?,
        });
    }
    Ok(uses)
}

fn column(session: &Session, row: &tokio_postgres::Row) -> Result<Option<Column>> {
    let (schema, table, name): (Option<&str>, Option<&str>, Option<&str>) = (get(row, 6)?, get(row, 7)?, get(row, 8)?);
    let (Some(schema), Some(table), Some(name)) = (schema, table, name) else { return Ok(None) };
    let shown = format!("{}.{}", quote::shown(schema, table), quote::ident(name));
    let (number, readable): (Option<bool>, Option<bool>) = (get(row, 9)?, get(row, 10)?);
    let (secured, cheap): (Option<bool>, Option<bool>) = (get(row, 11)?, get(row, 12)?);
    let (table, user) = (quote::qualified(schema, table), quote::ident(&session.facts.user));
    let unread = if number != Some(true) {
        Some("its type is no number".to_owned())
    } else if readable != Some(true) {
        Some(format!("its values may not be read: GRANT SELECT ON {table} TO {user}"))
    } else if secured != Some(false) {
        Some(format!("a policy of row security may hide values from {user}"))
    } else if cheap != Some(true) {
        Some("no index begins with it, and the table is large".to_owned())
    } else {
        None
    };
    Ok(Some(Column { table, name: quote::ident(name), shown, unread }))
}

/// The farthest numbers in the columns, in the order of the uses.
async fn values(session: &Session, cx: &Context, uses: &[Use]) -> Result<Vec<Known<Option<i128>>>> {
    let mut parts = Vec::new();
    let mut found: Vec<Known<Option<i128>>> = Vec::with_capacity(uses.len());
    for (index, one) in uses.iter().enumerate() {
        found.push(match &one.column {
            None => Known::Known(None),
            Some(Column { unread: Some(why), .. }) => Known::unknown(why.clone()),
            Some(column) => {
                let (farthest, round) = one.farthest();
                let Column { table, name, .. } = column;
                parts.push(format!(
                    "SELECT {index}::int8, {round}((SELECT {farthest}({name}) FROM {table})::numeric)::text"
                ));
                Known::Known(None)
            }
        });
    }
    if parts.is_empty() {
        return Ok(found);
    }
    for row in session.query(cx, "read the numbers in use", &parts.join(" UNION ALL "), &[]).await? {
        let index = usize::try_from(get::<i64>(&row, 0)?).map_err(|_| malformed("a negative index"))?;
        let value: Option<&str> = get(&row, 1)?;
        let Some(slot) = found.get_mut(index) else { return Err(malformed("an index beyond what was asked")) };
        *slot = match value.map(str::parse::<i128>) {
            None => Known::Known(None),
            Some(Ok(number)) => Known::Known(Some(number)),
            Some(Err(_)) => Known::unknown("its farthest value is no whole number of that size"),
        };
    }
    Ok(found)
}

/// The next number of each sequence that may be read.
async fn counters(session: &Session, cx: &Context, uses: &[Use]) -> Result<BTreeMap<Oid, i64>> {
    let readable: BTreeMap<Oid, &Use> = uses.iter().filter(|one| one.readable).map(|one| (one.oid, one)).collect();
    let all: Vec<&Use> = readable.values().copied().collect();
    let mut next = BTreeMap::new();
    for chunk in all.chunks(CHUNK) {
        let part = |one: &&Use| format!("SELECT {}::oid, last_value, is_called FROM {}", one.oid, one.sequence);
        let sql = chunk.iter().map(part).collect::<Vec<_>>().join(" UNION ALL ");
        for row in session.query(cx, "read the values of sequences", &sql, &[]).await? {
            let (oid, last, called): (Oid, i64, bool) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
            let step = readable.get(&oid).map_or(0, |one| one.step);
            next.insert(oid, if called { last.saturating_add(step) } else { last });
        }
    }
    Ok(next)
}
