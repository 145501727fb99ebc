//! The table of heartbeats: how it is made, whether it is as it must be, and the statements on it.

use super::TIMELINE;
use crate::lineage::{rows, text};
use crate::quote;
use crate::session::Session;
use paritas_connect::{Context, Error, FailureKind, Heartbeat, Result};

/// Its columns and their types.
const COLUMNS: [(&str, &str); 5] = [
    ("link", "text"),
    ("probe", "text"),
    ("sequence", "bigint"),
    ("timeline", "bigint"),
    ("beat_at", "timestamp with time zone"),
];

/// A table by its schema and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    schema: String,
    name: String,
}

impl Table {
    /// Reads `SCHEMA.TABLE`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let parts = quote::split_name(text).unwrap_or_default();
        let folded: Vec<String> = parts.iter().map(quote::Part::folded).collect();
        match <[String; 2]>::try_from(folded) {
            Ok([schema, name]) if !text.contains('\0') => Ok(Self { schema, name }),
            _ => Err(Error::new(FailureKind::Permanent, "usage.table", format!("{text:?} is not the name of a table"))
                .hint("write SCHEMA.TABLE, such as paritas.heartbeat")),
        }
    }

    fn sql(&self) -> String {
        quote::qualified(&self.schema, &self.name)
    }

    fn shown(&self) -> String {
        quote::shown(&self.schema, &self.name)
    }

    /// What makes the table, and lets this user write into it.
    pub(super) fn setup(&self, user: &str) -> String {
        let (table, schema, user) = (self.shown(), quote::shown_ident(&self.schema), quote::shown_ident(user));
        let columns = COLUMNS.map(|(name, kind)| {
            let key = if name == "link" { " PRIMARY KEY" } else { " NOT NULL" };
            format!("    {name} {kind}{key}")
        });
        let make =
            if self.schema == "public" { String::new() } else { format!("CREATE SCHEMA IF NOT EXISTS {schema};\n") };
        format!(
            "-- Run on the primary, in the database of the link, as a role that may create tables.\n\
             {make}CREATE TABLE {table} (\n{}\n) WITH (fillfactor = 50);\n\
             GRANT USAGE ON SCHEMA {schema} TO {user};\n\
             GRANT SELECT, INSERT, UPDATE ON {table} TO {user};\n\
             -- Histories of servers are read by the replication protocol.\n\
             ALTER ROLE {user} REPLICATION;\n",
            columns.join(",\n")
        )
    }

    pub(super) fn read(&self, key: &str) -> String {
        format!(
            "SELECT probe, sequence::text, timeline::text, \
               extract(epoch FROM clock_timestamp() - beat_at)::text \
             FROM {} WHERE link OPERATOR(pg_catalog.=) {}",
            self.sql(),
            quote::literal(key)
        )
    }

    /// The answer has a row only when one was written.
    pub(super) fn write(&self, beat: &Heartbeat<'_>) -> String {
        let (table, key, owner) = (self.sql(), quote::literal(beat.key), quote::literal(beat.owner));
        let replaces = quote::literal(beat.replaces.unwrap_or(beat.owner));
        format!(
            "INSERT INTO {table} AS beat (link, probe, sequence, timeline, beat_at) \
             VALUES ({key}, {owner}, {}, {TIMELINE}, pg_catalog.clock_timestamp()) \
             ON CONFLICT (link) DO UPDATE SET probe = excluded.probe, sequence = excluded.sequence, \
               timeline = excluded.timeline, beat_at = excluded.beat_at \
             WHERE beat.probe IN ({owner}, {replaces}) AND beat.sequence < excluded.sequence \
             RETURNING timeline::text, pg_catalog.pg_current_wal_insert_lsn()::text",
            beat.sequence
        )
    }

    /// Whether it is there, as it must be, and may be written.
    pub(super) async fn check(&self, session: &Session, cx: &Context) -> Result<()> {
        let table = self.shown();
        let sql = format!(
            "SELECT c.relkind::text, c.relpersistence::text, has_schema_privilege(n.oid, 'USAGE')::text, \
               has_table_privilege(c.oid, 'SELECT')::text, has_table_privilege(c.oid, 'INSERT')::text, \
               has_table_privilege(c.oid, 'UPDATE')::text, \
               (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) \
                FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped), \
               EXISTS (SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] \
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indnkeyatts = 1 \
                  AND i.indpred IS NULL AND a.attname = 'link')::text \
             FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relname = {}",
            quote::literal(&self.schema),
            quote::literal(&self.name)
        );
        let found = rows(session, cx, "look for the table of heartbeats", &sql).await?;
        let hint = format!("run the statements that `paritas probe … --heartbeat {table} --print-sql` prints");
        let Some(row) = found.first() else {
            let message = format!("there is no table {table}");
            return Err(Error::new(FailureKind::Permanent, "dataset.missing", message).hint(hint));
        };
        let column = |column| Ok::<_, Error>(text(row, column)?.unwrap_or_default());
        let unfit = |what: String, detail: String| {
            let error = Error::new(FailureKind::Permanent, "probe.table", format!("{table} {what}"));
            Err(error.detail(detail).hint(format!("name another table, or drop this one; then {hint}")))
        };
        let wanted = COLUMNS.map(|(name, kind)| format!("{name} {kind}"));
        let mut has: Vec<&str> = column(6)?.split(", ").collect();
        has.sort_unstable();
        let mut needs: Vec<&str> = wanted.iter().map(String::as_str).collect();
        needs.sort_unstable();
        if column(0)? != "r" || has != needs {
            let detail = format!("It has the columns {}; needed are exactly {}.", column(6)?, wanted.join(", "));
            return unfit("is no table of heartbeats".to_owned(), detail);
        }
        if column(1)? != "p" {
            return unfit("is not replicated".to_owned(), "Rows of an unlogged table are not in the log.".to_owned());
        }
        if column(7)? != "true" {
            let detail = "A write finds its row by a unique index on the column link.".to_owned();
            return unfit("has no primary key on link".to_owned(), detail);
        }
        self.check_privileges(session, [column(2)?, column(3)?, column(4)?, column(5)?])
    }

    fn check_privileges(&self, session: &Session, granted: [&str; 4]) -> Result<()> {
        let (user, table) = (quote::ident(&session.facts.user), self.shown());
        let [usage, rights @ ..] = granted;
        let names = ["SELECT", "INSERT", "UPDATE"];
        let lacks: Vec<&str> =
            names.into_iter().zip(rights).filter(|(_, has)| *has != "true").map(|(n, _)| n).collect();
        let mut grants = Vec::new();
        if usage != "true" {
            grants.push(format!("GRANT USAGE ON SCHEMA {} TO {user}", quote::shown_ident(&self.schema)));
        }
        if !lacks.is_empty() {
            grants.push(format!("GRANT {} ON {table} TO {user}", lacks.join(", ")));
        }
        if grants.is_empty() {
            return Ok(());
        }
        let message = format!("{user} may not write heartbeats into {table}");
        Err(Error::new(FailureKind::Denied, "dataset.denied", message).hint(grants.join("; ")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("paritas.heartbeat", Some(("paritas", "heartbeat")))]
    #[case("Public.Beat", Some(("public", "beat")))]
    #[case("\"Odd.Schema\".\"a b\"", Some(("Odd.Schema", "a b")))]
    #[case("heartbeat", None)]
    #[case("a.b.c", None)]
    #[case("", None)]
    #[case("a.b;drop", Some(("a", "b;drop")))]
    fn a_table_has_a_schema_and_a_name(#[case] text: &str, #[case] expected: Option<(&str, &str)>) {
        let found = Table::parse(text).ok().map(|table| (table.schema, table.name));
        assert_eq!(found, expected.map(|(schema, name)| (schema.to_owned(), name.to_owned())));
    }

    #[test]
    fn names_and_keys_stay_names_and_keys() {
        let table = Table::parse("\"a;b\".\"c\"\"d\"").unwrap();
        let beat = Heartbeat { key: "it's", owner: "a\\b", replaces: None, sequence: 7 };
        let sql = table.write(&beat);
        assert!(sql.starts_with("INSERT INTO \"a;b\".\"c\"\"d\" AS beat "), "{sql}");
        assert!(sql.contains("VALUES ('it''s', E'a\\\\b', 7, "), "{sql}");
    }
}
