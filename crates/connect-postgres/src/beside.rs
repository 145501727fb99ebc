//! What a database holds beside its tables: named in reports, never compared.

use crate::large;
use crate::quote;
use crate::relation::SYSTEM;
use crate::session::{Session, get};
use paritas_connect::{Beside, Context, Result};

/// Kinds of relations (`pg_class.relkind`), what they are called, and why they are not compared.
const KINDS: [(&str, &str, &str); 3] = [
    ("v", "views", "they hold no rows of their own; one can be named with ?table="),
    ("m", "materialized views", "they are filled by queries, not by replication; one can be named with ?table="),
    ("f", "foreign tables", "their rows are in another server; one can be named with ?table="),
];

/// Views, materialized views and foreign tables, without those of extensions, and large objects.
pub(crate) async fn load(session: &Session, cx: &Context, with_materialized: bool) -> Result<Vec<Beside>> {
    let sql = format!(
        "SELECT kind, nspname, relname, total FROM (\
           SELECT c.relkind::text AS kind, n.nspname::text, c.relname::text, \
             count(*) OVER (PARTITION BY c.relkind) AS total, \
             row_number() OVER (PARTITION BY c.relkind ORDER BY n.nspname, c.relname) AS place \
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE c.relkind IN ('v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't' AND {SYSTEM} \
             AND NOT EXISTS (SELECT FROM pg_depend d \
               WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')) found \
         WHERE place <= $1 ORDER BY kind, place"
    );
    let names_max = i64::try_from(Beside::NAMES_MAX).unwrap_or(i64::MAX);
    let rows = session.query(cx, "list what is no table", &sql, &[&names_max]).await?;
    let mut all = Vec::new();
    for (kind, what, why) in KINDS.into_iter().filter(|(kind, ..)| *kind != "m" || !with_materialized) {
        let mut beside =
            Beside { what: what.to_owned(), count: 0, names: Vec::new(), why: why.to_owned(), dataset: None };
        for row in &rows {
            if get::<&str>(row, 0)? == kind {
                beside.names.push(quote::shown(get::<&str>(row, 1)?, get::<&str>(row, 2)?));
                beside.count = u64::try_from(get::<i64>(row, 3)?).unwrap_or(0);
            }
        }
        if beside.count > 0 {
            all.push(beside);
        }
    }
    all.extend(large::beside(session, cx).await?);
    Ok(all)
}
