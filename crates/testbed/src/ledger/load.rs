//! The ledger into PostgreSQL, through `COPY`.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Client;

use super::{Plan, Row, TABLES, Table, schema_sql};
use crate::{Error, Result};

/// Bytes sent at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Makes the empty tables.
///
/// # Errors
/// [`Error::Postgres`], for example when they exist already.
pub async fn create(client: &Client) -> Result<()> {
    client.batch_execute(&schema_sql()).await.map_err(Error::postgres("create the ledger's tables"))
}

/// Fills all tables, which must exist, and collects their statistics.
///
/// # Errors
/// [`Error::Postgres`] with what the server said.
pub async fn fill(client: &Client, plan: &Plan) -> Result<()> {
    for table in TABLES {
        fill_table(client, plan, table).await?;
    }
    client.batch_execute("ANALYZE").await.map_err(Error::postgres("analyze the ledger's tables"))
}

/// Makes and fills all tables.
///
/// # Errors
/// As [`create`] and [`fill`].
pub async fn load(client: &Client, plan: &Plan) -> Result<()> {
    create(client).await?;
    fill(client, plan).await
}

/// Fills one table, which must exist; returns the number of rows.
///
/// # Errors
/// [`Error::Postgres`] with what the server said.
pub async fn fill_table(client: &Client, plan: &Plan, table: &'static Table) -> Result<u64> {
    let error = || Error::postgres(format!("fill {}", table.name));
    let sql = format!("COPY {} ({}) FROM STDIN", table.name, table.column_list());
    let sink = client.copy_in::<_, Bytes>(&sql).await.map_err(error())?;
    let mut sink = std::pin::pin!(sink);
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES * 2);
    for row in table.rows(plan) {
        copy_line(table, &row, &mut chunk);
        if chunk.len() >= CHUNK_BYTES {
            sink.send(chunk.split().freeze()).await.map_err(error())?;
        }
    }
    sink.send(chunk.freeze()).await.map_err(error())?;
    sink.finish().await.map_err(error())
}

/// One line of the text format: tabs between values, `\N` for NULL, backslash escapes.
fn copy_line(table: &Table, row: &Row, out: &mut BytesMut) {
    for (i, (value, column)) in row.iter().zip(table.columns).enumerate() {
        if i > 0 {
            out.put_u8(b'\t');
        }
        let Some(text) = value.text(&column.kind) else {
            out.put_slice(b"\\N");
            continue;
        };
        for byte in text.bytes() {
            match byte {
                b'\\' => out.put_slice(b"\\\\"),
                b'\n' => out.put_slice(b"\\n"),
                b'\r' => out.put_slice(b"\\r"),
                b'\t' => out.put_slice(b"\\t"),
                other => out.put_u8(other),
            }
        }
    }
    out.put_u8(b'\n');
}
