//! Recording a run: everything about it, or nothing.

use super::entry::{LinkEntry, RunEntry, Sample};
use super::rows::{Part, SAMPLE_COLUMNS, checksum, put_sample};
use super::{History, failed};
use crate::{Result, State};
use paritas_model::{LagState, Tier};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

/// Characters of a reason that are kept with a sample.
const WHY_CHARS_MAX: usize = 300;

/// Samples of one measurement are no further apart than this, in microseconds.
const TOGETHER: i64 = 60_000_000;

/// The word for a tier.
pub(super) fn tier_word(tier: Tier) -> &'static str {
    match tier {
        Tier::Hot => "hot",
        Tier::Warm => "warm",
        Tier::Cold => "cold",
    }
}

impl History {
    /// Records a run; one that is recorded already stays as it is. From time to time what is old is added up or removed
    /// as well, together with reports that are no longer to be kept.
    ///
    /// # Errors
    /// Those of [`State::history`]. Nothing of the run is recorded then.
    pub fn record(&mut self, state: &State, run: &RunEntry, now: i64) -> Result<()> {
        self.record_all(std::slice::from_ref(run))?;
        if self.is_due(now)? {
            self.maintain(state, now)?;
        }
        Ok(())
    }

    /// Records several runs, all or none.
    ///
    /// # Errors
    /// Those of [`State::history`].
    pub fn record_all(&mut self, runs: &[RunEntry]) -> Result<()> {
        let Self { connection, path, .. } = self;
        let own = |error| failed("write", path, error);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(own)?;
        for run in runs {
            write(&transaction, run).map_err(own)?;
        }
        transaction.commit().map_err(own)
    }
}

fn write(transaction: &Transaction<'_>, run: &RunEntry) -> rusqlite::Result<()> {
    let id = run.id.to_string();
    let there = transaction.prepare_cached("SELECT 1 FROM runs WHERE id = ?")?.exists([&id])?;
    if there {
        return Ok(());
    }
    let (verdict, exit_code) = (run.verdict.as_str(), i64::from(run.exit_code));
    let links = count(run.links.len());
    let parts: [Part<'_>; 8] = [
        id.as_str().into(),
        run.command.as_str().into(),
        run.started.into(),
        run.ended.into(),
        verdict.into(),
        exit_code.into(),
        run.drill.as_deref().into(),
        links.into(),
    ];
    let sum = checksum("runs", &parts);
    transaction.prepare_cached("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        id,
        run.command,
        run.started,
        run.ended,
        verdict,
        exit_code,
        run.drill,
        links,
        sum
    ])?;
    for link in &run.links {
        write_link(transaction, &id, link)?;
    }
    Ok(())
}

fn write_link(transaction: &Transaction<'_>, run: &str, link: &LinkEntry) -> rusqlite::Result<()> {
    let number = link_number(transaction, &link.name)?;
    let (tier, verdict, checks) = (link.tier.map(tier_word), link.verdict.as_str(), count(link.checks.len()));
    let parts: [Part<'_>; 5] = [run.into(), number.into(), tier.into(), verdict.into(), checks.into()];
    let sum = checksum("run_links", &parts);
    transaction
        .prepare_cached("INSERT OR IGNORE INTO run_links VALUES (?, ?, ?, ?, ?, ?)")?
        .execute(params![run, number, tier, verdict, checks, sum])?;
    for (place, check) in link.checks.iter().enumerate() {
        let (place, verdict) = (count(place), check.verdict.as_str());
        let dataset = check.dataset.as_deref();
        let parts: [Part<'_>; 6] =
            [run.into(), number.into(), place.into(), check.check.as_str().into(), dataset.into(), verdict.into()];
        let sum = checksum("checks", &parts);
        transaction.prepare_cached("INSERT OR IGNORE INTO checks VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(params![
            run,
            number,
            place,
            check.check,
            dataset,
            verdict,
            sum
        ])?;
    }
    if let Some(recovery) = &link.recovery {
        let facts = serde_json::to_string(recovery)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let sum = checksum("recoveries", &[run.into(), number.into(), facts.as_str().into()]);
        transaction
            .prepare_cached("INSERT OR IGNORE INTO recoveries VALUES (?, ?, ?, ?)")?
            .execute(params![run, number, facts, sum])?;
    }
    for (stream, sample) in &link.samples {
        let stream = stream_number(transaction, number, stream)?;
        write_sample(transaction, stream, sample.clone())?;
    }
    if let Some((at, why)) = &link.unseen {
        for stream in streams_before(transaction, number, *at)? {
            write_sample(transaction, stream, unknown(*at, why))?;
        }
    }
    Ok(())
}

fn write_sample(transaction: &Transaction<'_>, stream: i64, mut sample: Sample) -> rusqlite::Result<()> {
    let insert = format!("INSERT OR IGNORE INTO samples ({SAMPLE_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,0)");
    sample.why = sample.why.map(|why| why.chars().take(WHY_CHARS_MAX).collect());
    put_sample(&mut *transaction.prepare_cached(&insert)?, stream, &sample)?;
    Ok(())
}

fn unknown(at: i64, why: &str) -> Sample {
    Sample {
        at,
        state: LagState::Unknown,
        bytes: None,
        records: None,
        versions: None,
        low: None,
        high: None,
        loss: None,
        method: None,
        why: Some(why.to_owned()),
    }
}

/// The streams that a link had when it was seen last: others were left, as the timeline of an old primary is.
fn streams_before(transaction: &Transaction<'_>, link: i64, at: i64) -> rusqlite::Result<Vec<i64>> {
    let mut streams = transaction.prepare_cached("SELECT id FROM streams WHERE link = ?")?;
    let streams: Vec<i64> = streams.query_map([link], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut newest =
        transaction.prepare_cached("SELECT at FROM samples WHERE stream = ? AND at < ? ORDER BY at DESC LIMIT 1")?;
    let mut seen = Vec::new();
    for stream in streams {
        if let Some(last) = newest.query_row(params![stream, at], |row| row.get::<_, i64>(0)).optional()? {
            seen.push((stream, last));
        }
    }
    let last = seen.iter().map(|(_, last)| *last).max().unwrap_or(i64::MIN);
    Ok(seen.into_iter().filter(|(_, own)| last.saturating_sub(*own) <= TOGETHER).map(|(stream, _)| stream).collect())
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn link_number(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let found = connection.prepare_cached("SELECT id FROM links WHERE name = ?")?.query_row([name], |row| row.get(0));
    if let Some(number) = found.optional()? {
        return Ok(number);
    }
    let sum = checksum("links", &[name.into()]);
    connection.prepare_cached("INSERT INTO links (name, sum) VALUES (?, ?)")?.insert(params![name, sum])
}

fn stream_number(connection: &Connection, link: i64, name: &str) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached("SELECT id FROM streams WHERE link = ? AND name = ?")?
        .query_row(params![link, name], |row| row.get(0));
    if let Some(number) = found.optional()? {
        return Ok(number);
    }
    let sum = checksum("streams", &[link.into(), name.into()]);
    connection
        .prepare_cached("INSERT INTO streams (link, name, sum) VALUES (?, ?, ?)")?
        .insert(params![link, name, sum])
}
