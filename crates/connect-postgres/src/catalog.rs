//! A checksum of the catalog that no change leaves as it was, not even one that is undone.

use crate::relation::SYSTEM;
use crate::session::{Session, get};
use paritas_connect::{Context, Result};

/// Rows of the catalog by who wrote them: a row that was written again has another transaction.
pub(crate) async fn version(session: &Session, cx: &Context) -> Result<String> {
    let sql = format!(
        "WITH relations AS (SELECT c.oid, c.xmin, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE {SYSTEM}), \
         types AS (SELECT t.oid, t.xmin FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {SYSTEM}), \
         written AS ( \
           SELECT 'relation ' || oid || ' ' || xmin || ' ' || relname AS line FROM relations \
           UNION ALL SELECT 'column ' || a.attrelid || ' ' || a.attnum || ' ' || a.xmin FROM pg_attribute a \
             WHERE a.attnum > 0 AND a.attrelid IN (SELECT oid FROM relations) \
           UNION ALL SELECT 'default ' || d.oid || ' ' || d.xmin FROM pg_attrdef d \
           UNION ALL SELECT 'constraint ' || c.oid || ' ' || c.xmin FROM pg_constraint c \
           UNION ALL SELECT 'index ' || i.indexrelid || ' ' || i.xmin FROM pg_index i \
             WHERE i.indrelid IN (SELECT oid FROM relations) \
           UNION ALL SELECT 'sequence ' || s.seqrelid || ' ' || s.xmin FROM pg_sequence s \
           UNION ALL SELECT 'policy ' || p.oid || ' ' || p.xmin FROM pg_policy p \
           UNION ALL SELECT 'inherits ' || i.inhrelid || ' ' || i.inhparent || ' ' || i.xmin FROM pg_inherits i \
           UNION ALL SELECT 'label ' || e.oid || ' ' || e.xmin FROM pg_enum e \
           UNION ALL SELECT 'extension ' || e.oid || ' ' || e.xmin FROM pg_extension e \
           UNION ALL SELECT 'type ' || oid || ' ' || xmin FROM types) \
         SELECT count(*) || ' ' || coalesce(sum(hashtextextended(line, 0)::numeric), 0) \
           || ' ' || coalesce(sum(hashtextextended(line, 1)::numeric), 0) FROM written"
    );
    get(&session.query_one(cx, "look whether the catalog was changed", &sql, &[]).await?, 0)
}
