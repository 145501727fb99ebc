//! What becomes of samples with age: added up by minute and hour, then removed.
//!
//! A sample is added once, to its minute and to its hour, when its minute is over. One that comes late is added to what
//! is there. So an hour holds exactly the samples that its minutes hold, however often and whenever this is done.

use super::aggregate::Aggregate;
use super::entry::Sample;
use super::retention::ago;
use super::rows::{BUCKET_COLUMNS, Place, SAMPLE_COLUMNS, get_bucket, get_sample, put_bucket};
use super::{History, failed};
use crate::{Result, State};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::path::Path;
use ulid::Ulid;

/// A minute in microseconds.
pub(super) const MINUTE: i64 = 60_000_000;
/// An hour.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// It is not done more often than this.
const EVERY: i64 = 5 * MINUTE;
/// Samples that are added up in one transaction.
const BATCH_MAX: i64 = 50_000;
/// Batches at a time: more samples than can be written between two times.
const BATCHES_MAX: usize = 10_000;
/// Runs that are removed at a time.
const REMOVED_MAX: usize = 10_000;
/// When it was done last.
const MARK: &str = "maintained";

impl History {
    /// Whether it is time to add up and remove what is old.
    pub(super) fn is_due(&self, now: i64) -> Result<bool> {
        let last: rusqlite::Result<Option<i64>> =
            self.connection.query_row("SELECT value FROM marks WHERE name = ?", [MARK], |row| row.get(0)).optional();
        let last = last.map_err(|error| failed("read", &self.path, error))?;
        // A clock that was set back must not keep it from being done for long.
        Ok(last.is_none_or(|last| now < last || now.saturating_sub(last) >= EVERY))
    }

    /// Adds up samples of minutes that are over, and removes what is older than it is to be kept.
    ///
    /// # Errors
    /// Those of [`State::history`]. What was done until then stays done.
    pub fn maintain(&mut self, state: &State, now: i64) -> Result<()> {
        for _ in 0..BATCHES_MAX {
            if !self.roll(now)? {
                break;
            }
        }
        self.remove_samples(now)?;
        self.remove_runs(state, now)?;
        self.connection
            .execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", params![MARK, now])
            .map_err(|error| failed("write", &self.path, error))?;
        Ok(())
    }

    /// Adds up a batch; whether there was one.
    fn roll(&mut self, now: i64) -> Result<bool> {
        let Self { connection, path, .. } = self;
        let own = |error| failed("write", path, error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(own)?;
        let waiting = waiting(&transaction, path, now.div_euclid(MINUTE) * MINUTE)?;
        if waiting.is_empty() {
            return Ok(false);
        }
        let mut buckets: BTreeMap<Place, Aggregate> = BTreeMap::new();
        for (stream, sample) in &waiting {
            let earlier = newest(&transaction, path, *stream, sample.at)?;
            for step in [MINUTE, HOUR] {
                let at = sample.at.div_euclid(step) * step;
                buckets.entry(Place { stream: *stream, step, at }).or_default().add(sample, earlier.as_ref());
            }
        }
        let columns = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?";
        let put = format!("INSERT OR REPLACE INTO buckets ({BUCKET_COLUMNS}) VALUES ({columns})");
        for (place, mut all) in buckets {
            if let Some(there) = bucket(&transaction, path, place)? {
                all.merge(&there);
            }
            let mut statement = transaction.prepare_cached(&put).map_err(own)?;
            put_bucket(&mut statement, place, &all).map_err(own)?;
        }
        let mut rolled = transaction
            .prepare_cached("UPDATE samples SET rolled = 1, sum = ~sum WHERE stream = ? AND at = ?")
            .map_err(own)?;
        for (stream, sample) in &waiting {
            rolled.execute(params![stream, sample.at]).map_err(own)?;
        }
        drop(rolled);
        transaction.commit().map_err(own)?;
        Ok(true)
    }

    fn remove_samples(&mut self, now: i64) -> Result<()> {
        let own = |error| failed("write", &self.path, error);
        let (raw, minutes, hours) =
            (ago(now, self.retention.raw), ago(now, self.retention.minutes), ago(now, self.retention.hours));
        let removed = || -> rusqlite::Result<()> {
            let streams: Vec<i64> = self
                .connection
                .prepare("SELECT id FROM streams")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for stream in streams {
                self.connection
                    .prepare_cached("DELETE FROM samples WHERE stream = ? AND at < ? AND rolled = 1")?
                    .execute(params![stream, raw])?;
                for (step, before) in [(MINUTE, minutes), (HOUR, hours)] {
                    self.connection
                        .prepare_cached("DELETE FROM buckets WHERE stream = ? AND step = ? AND at + step <= ?")?
                        .execute(params![stream, step, before])?;
                }
            }
            Ok(())
        };
        removed().map_err(own)
    }

    /// Reports first: a report that is left is recorded again, and its samples would count twice.
    fn remove_runs(&mut self, state: &State, now: i64) -> Result<()> {
        let own = |error| failed("write", &self.path, error);
        let kept = self.retention;
        let old = "SELECT id FROM runs WHERE id < ?1 AND NOT EXISTS (SELECT 1 FROM recoveries WHERE run = runs.id)";
        let of_lag = format!("{old} AND command = 'lag' AND verdict = 'pass'");
        let all = "SELECT id FROM runs WHERE id < ?1";
        for (select, age) in [(of_lag.as_str(), kept.lag_runs), (old, kept.runs), (all, kept.recoveries)] {
            let first = first_id(ago(now, age));
            let ids = || -> rusqlite::Result<Vec<String>> {
                let mut statement = self.connection.prepare_cached(select)?;
                let ids = statement.query_map([&first], |row| row.get(0))?;
                ids.take(REMOVED_MAX).collect()
            };
            for id in ids().map_err(own)? {
                if let Ok(id) = Ulid::from_string(&id) {
                    state.remove_run(id)?;
                }
                for (table, column) in [("checks", "run"), ("recoveries", "run"), ("run_links", "run"), ("runs", "id")]
                {
                    let delete = format!("DELETE FROM {table} WHERE {column} = ?");
                    self.connection.prepare_cached(&delete).and_then(|mut own| own.execute([&id])).map_err(own)?;
                }
            }
        }
        Ok(())
    }
}

/// The first id of a run that began at a moment or later.
pub(super) fn first_id(at: i64) -> String {
    Ulid::from_parts(u64::try_from(at.div_euclid(1_000)).unwrap_or(0), 0).to_string()
}

/// Samples before a moment that were not added up yet, by stream and time.
fn waiting(connection: &Connection, path: &Path, before: i64) -> Result<Vec<(i64, Sample)>> {
    let own = |error| failed("read", path, error);
    let select = format!(
        "SELECT {SAMPLE_COLUMNS} FROM samples INDEXED BY samples_waiting WHERE rolled = 0 AND at < ? \
         ORDER BY stream, at LIMIT {BATCH_MAX}"
    );
    let mut statement = connection.prepare_cached(&select).map_err(own)?;
    let mut rows = statement.query([before]).map_err(own)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(own)? {
        let sample = get_sample(path, row)?;
        found.push((row.get(0).map_err(own)?, sample));
    }
    Ok(found)
}

/// The newest sample before a moment.
pub(super) fn newest(connection: &Connection, path: &Path, stream: i64, before: i64) -> Result<Option<Sample>> {
    let own = |error| failed("read", path, error);
    let select = format!("SELECT {SAMPLE_COLUMNS} FROM samples WHERE stream = ? AND at < ? ORDER BY at DESC LIMIT 1");
    let mut statement = connection.prepare_cached(&select).map_err(own)?;
    let mut rows = statement.query(params![stream, before]).map_err(own)?;
    rows.next().map_err(own)?.map(|row| get_sample(path, row)).transpose()
}

/// A bucket, if it is there.
fn bucket(connection: &Connection, path: &Path, place: Place) -> Result<Option<Aggregate>> {
    let own = |error| failed("read", path, error);
    let select = format!("SELECT {BUCKET_COLUMNS} FROM buckets WHERE stream = ? AND step = ? AND at = ?");
    let mut statement = connection.prepare_cached(&select).map_err(own)?;
    let mut rows = statement.query(params![place.stream, place.step, place.at]).map_err(own)?;
    let found = rows.next().map_err(own)?.map(|row| get_bucket(path, row)).transpose()?;
    Ok(found.map(|(_, all)| all))
}
