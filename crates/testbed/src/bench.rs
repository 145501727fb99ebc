//! The table that benches measure with: 10 columns of everyday types, made by the server itself.

use tokio_postgres::Client;

use crate::{Error, Result};

/// Makes and fills the bench table, then freezes and analyzes it, so that no later reader does that work.
///
/// # Errors
/// [`Error::Postgres`] with what the server said.
pub async fn bench_table(client: &Client, name: &str, rows: u64) -> Result<()> {
    let error = || Error::postgres(format!("make the bench table {name}"));
    client.batch_execute(&bench_table_sql(name, rows)).await.map_err(error())?;
    // Not in the transaction above, where it is not allowed.
    client.batch_execute(&format!("VACUUM (FREEZE, ANALYZE) {name}")).await.map_err(error())
}

/// Statements that make and fill a table of this name with `rows` rows (about 134 bytes each); the same on every
/// server, without anything random.
#[must_use]
pub fn bench_table_sql(name: &str, rows: u64) -> String {
    format!(
        "CREATE TABLE {name} (
  id bigint PRIMARY KEY,
  account integer NOT NULL,
  kind smallint NOT NULL,
  amount numeric(18,4) NOT NULL,
  price double precision,
  label text NOT NULL,
  note text,
  at timestamptz NOT NULL,
  settled boolean NOT NULL,
  ref uuid NOT NULL
);
INSERT INTO {name}
SELECT g, (g * 7919 % 100000)::integer, (g % 7)::smallint, ((g * 104729 % 1000000007)::numeric / 10000)::numeric(18,4),
       CASE WHEN g % 11 = 0 THEN NULL ELSE (g * 31337 % 1000003)::double precision / 97 END,
       'account ' || (g * 7919 % 100000), CASE WHEN g % 3 = 0 THEN NULL ELSE 'note number ' || g END,
       timestamptz '2026-01-05 09:00:00+00' + g * interval '1.000037 seconds', g % 2 = 0, md5(g::text)::uuid
FROM generate_series(1, {rows}::bigint) AS g;
"
    )
}
