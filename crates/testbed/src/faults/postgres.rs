//! Faults in a PostgreSQL table, planted through a session on the copy itself, past the replication.

use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::{Class, Injected};
use crate::ledger;
use crate::{Error, Result};

/// A table on the copy. Rows are chosen by their place in the key's order among the rows not yet touched, so that no
/// two faults meet in one row.
#[derive(Debug)]
pub struct Target<'a> {
    client: &'a Client,
    table: String,
    key: Vec<String>,
    /// Physical places of the rows that faults were planted in.
    touched: Vec<String>,
}

/// A row chosen for a fault.
struct Victim {
    ctid: String,
    key: Vec<(String, String)>,
}

impl<'a> Target<'a> {
    /// A table with its key columns; none for a table without key.
    #[must_use]
    pub fn new(client: &'a Client, table: &str, key: &[&str]) -> Self {
        let key = key.iter().map(|&column| column.to_owned()).collect();
        Self { client, table: table.to_owned(), key, touched: Vec::new() }
    }

    /// One of the ledger's tables.
    #[must_use]
    pub fn of(client: &'a Client, table: &ledger::Table) -> Self {
        Self::new(client, table.name, table.key)
    }

    /// Deletes a row.
    ///
    /// # Errors
    /// [`Error::Postgres`]; [`Error::Unfit`] when there is no such row.
    pub async fn lose(&mut self, nth: u32) -> Result<Injected> {
        let victim = self.pick(nth, "true").await?;
        self.run("DELETE FROM {t} WHERE ctid = $1::text::tid", &[&victim.ctid]).await?;
        Ok(Injected::new(Class::Lost, &self.table, "row deleted").key(victim.key))
    }

    /// Inserts a copy of a row under a new key, made from the last key column.
    ///
    /// # Errors
    /// As [`Self::lose`]; also when the table has no key, or none of a type that a new key can be made of.
    pub async fn add(&mut self, nth: u32) -> Result<Injected> {
        let Some(last) = self.key.last().cloned() else {
            let what = format!("{} has no key, so a new row cannot be told from the others", self.table);
            return Err(Error::Unfit { what, hint: "duplicate a row instead" });
        };
        let victim = self.pick(nth, "true").await?;
        let fresh = self.fresh_key(&last).await?;
        let sql = format!(
            "INSERT INTO {{t}} SELECT (jsonb_populate_record(r, jsonb_build_object('{last}', {fresh}))).* \
             FROM {{t}} r WHERE ctid = $1::text::tid RETURNING ctid::text, {last}::text"
        );
        let row = self.one(&sql, &[&victim.ctid]).await?;
        self.touched.extend([victim.ctid, row.0]);
        let mut key = victim.key;
        if let Some((_, value)) = key.last_mut() {
            *value = row.1.unwrap_or_default();
        }
        Ok(Injected::new(Class::Extra, &self.table, "row inserted").key(key))
    }

    /// Inserts an exact copy of a row; the table must not have a unique key.
    ///
    /// # Errors
    /// As [`Self::lose`].
    pub async fn duplicate(&mut self, nth: u32) -> Result<Injected> {
        let victim = self.pick(nth, "true").await?;
        let sql = "INSERT INTO {t} SELECT * FROM {t} WHERE ctid = $1::text::tid RETURNING ctid::text, NULL::text";
        let row = self.one(sql, &[&victim.ctid]).await?;
        self.touched.extend([victim.ctid, row.0]);
        Ok(Injected::new(Class::Duplicated, &self.table, "row inserted once more").key(victim.key))
    }

    /// Adds one cent to a decimal.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn change_amount(&mut self, nth: u32, column: &str) -> Result<Injected> {
        self.change_where(nth, column, &format!("{column} + 0.01"), "true").await
    }

    /// Sets a column of a row to an SQL expression.
    ///
    /// # Errors
    /// As [`Self::lose`]; also when the value is the same afterwards.
    pub async fn change(&mut self, nth: u32, column: &str, to: &str) -> Result<Injected> {
        self.change_where(nth, column, to, "true").await
    }

    /// As [`Self::change`], in a row for which an SQL condition holds, for example `note IS NULL`.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn change_where(&mut self, nth: u32, column: &str, to: &str, condition: &str) -> Result<Injected> {
        let victim = self.pick(nth, condition).await?;
        let before = self.value(column, &victim.ctid).await?;
        let sql =
            format!("UPDATE {{t}} SET {column} = {to} WHERE ctid = $1::text::tid RETURNING ctid::text, {column}::text");
        let (ctid, after) = self.one(&sql, &[&victim.ctid]).await?;
        self.touched.push(ctid);
        if before == after {
            let what = format!("{column} = {to} changed nothing in {}", self.table);
            return Err(Error::Unfit { what, hint: "choose an expression that gives another value" });
        }
        let shown = |v: &Option<String>| v.clone().unwrap_or_else(|| "NULL".into());
        let what = format!("{column} changed from {} to {}", shown(&before), shown(&after));
        Ok(Injected::new(Class::Changed, &self.table, what).key(victim.key).value(column, before, after))
    }

    /// Exchanges a column's values between two rows: sums and counts stay the same.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn swap(&mut self, nth: u32, column: &str) -> Result<[Injected; 2]> {
        let first = self.pick(nth, &format!("{column} IS NOT NULL")).await?;
        let other =
            format!("{column} IS DISTINCT FROM (SELECT {column} FROM {} WHERE ctid = '{}')", self.table, first.ctid);
        let second = self.pick(nth, &other).await?;
        let (a, b) = (self.value(column, &first.ctid).await?, self.value(column, &second.ctid).await?);
        let sql = format!(
            "WITH old AS (SELECT ctid AS at, {column} AS v FROM {{t}} WHERE ctid IN ($1::text::tid, $2::text::tid)), \
             new AS (UPDATE {{t}} t SET {column} = old.v FROM old \
             WHERE t.ctid IN ($1::text::tid, $2::text::tid) AND t.ctid <> old.at RETURNING t.ctid::text) \
             SELECT min(ctid), max(ctid) FROM new"
        );
        let (ctid, last) = self.one(&sql, &[&first.ctid, &second.ctid]).await?;
        self.touched.push(ctid);
        self.touched.extend(last);
        let injected = |victim: Victim, before: Option<String>, after: Option<String>| {
            let what = format!("{column} exchanged with another row");
            Injected::new(Class::Changed, &self.table, what).key(victim.key).value(column, before, after)
        };
        Ok([injected(first, a.clone(), b.clone()), injected(second, b, a)])
    }

    /// Gives a column another type, with the values cast.
    ///
    /// # Errors
    /// [`Error::Postgres`] when a value cannot be cast.
    pub async fn retype(&mut self, column: &str, to: &str) -> Result<Injected> {
        let sql = "SELECT format_type(atttypid, atttypmod), NULL::text FROM pg_attribute \
                   WHERE attrelid = $1::text::regclass AND attname = $2";
        let (before, _) = self.one(sql, &[&self.table, &column]).await?;
        self.run(&format!("ALTER TABLE {{t}} ALTER COLUMN {column} TYPE {to} USING {column}::{to}"), &[]).await?;
        // The table may have been written anew, and every row with it.
        self.touched.clear();
        let what = format!("column {column} changed from {before} to {to}");
        Ok(Injected::new(Class::Schema, &self.table, what).value(column, Some(before), Some(to.to_owned())))
    }

    /// The n-th row in the key's order, among those not touched that meet the condition.
    async fn pick(&mut self, nth: u32, condition: &str) -> Result<Victim> {
        let columns = if self.key.is_empty() { self.all_columns().await? } else { self.key.clone() };
        let pairs: Vec<String> = columns.iter().map(|column| format!("{column}::text")).collect();
        let order = if self.key.is_empty() { "ctid".to_owned() } else { self.key.join(", ") };
        let sql = format!(
            "SELECT ctid::text, ARRAY[{}] FROM {{t}} WHERE ctid::text <> ALL($1) AND ({condition}) \
             ORDER BY {order} OFFSET $2 LIMIT 1",
            pairs.join(", ")
        );
        let row = self.client.query_opt(&self.sql(&sql), &[&self.touched, &i64::from(nth)]).await;
        let row = row.map_err(Error::postgres(format!("choose a row of {}", self.table)))?;
        let Some(row) = row else {
            let what = format!("{} has no row {nth} left that meets {condition}", self.table);
            return Err(Error::Unfit { what, hint: "choose a smaller number or another condition" });
        };
        let texts: Vec<Option<String>> = row.get(1);
        let texts = texts.into_iter().map(|text| text.unwrap_or_else(|| "NULL".into()));
        Ok(Victim { ctid: row.get(0), key: columns.into_iter().zip(texts).collect() })
    }

    async fn all_columns(&self) -> Result<Vec<String>> {
        let sql = "SELECT attname::text FROM pg_attribute \
                   WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let rows = self.client.query(sql, &[&self.table]).await;
        let rows = rows.map_err(Error::postgres(format!("read the columns of {}", self.table)))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// An SQL expression over the row `r` for a key that no row has and that the source will not make later.
    async fn fresh_key(&self, column: &str) -> Result<String> {
        let sql = "SELECT atttypid::regtype::text, NULL::text FROM pg_attribute \
                   WHERE attrelid = $1::text::regclass AND attname = $2";
        let (kind, _) = self.one(sql, &[&self.table, &column]).await?;
        Ok(match kind.as_str() {
            "bigint" | "integer" | "smallint" => format!("(SELECT least(min({column}), 0) - 1 FROM {})", self.table),
            "uuid" => format!("md5('extra ' || r.{column})::uuid"),
            "text" | "character varying" => format!("r.{column} || ' extra'"),
            "date" => format!("r.{column} + 36500"),
            "timestamp with time zone" | "timestamp without time zone" => format!("r.{column} + interval '100 years'"),
            other => {
                let what = format!("no new key can be made for {column} of type {other}");
                return Err(Error::Unfit { what, hint: "insert the row with a statement of your own" });
            }
        })
    }

    async fn value(&self, column: &str, ctid: &String) -> Result<Option<String>> {
        let sql = format!("SELECT ctid::text, {column}::text FROM {{t}} WHERE ctid = $1::text::tid");
        Ok(self.one(&sql, &[ctid]).await?.1)
    }

    fn sql(&self, template: &str) -> String {
        template.replace("{t}", &self.table)
    }

    async fn run(&self, template: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        let doing = format!("plant a fault in {}", self.table);
        self.client.execute(&self.sql(template), values).await.map_err(Error::postgres(doing))
    }

    /// One row of two texts.
    async fn one(&self, template: &str, values: &[&(dyn ToSql + Sync)]) -> Result<(String, Option<String>)> {
        let doing = format!("plant a fault in {}", self.table);
        let row = self.client.query_one(&self.sql(template), values).await.map_err(Error::postgres(doing))?;
        Ok((row.get(0), row.get(1)))
    }
}
