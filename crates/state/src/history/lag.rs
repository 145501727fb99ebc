//! What is known about the lag of streams in a time.
//!
//! Whole hours are taken as they were added up; at both ends minutes, and single samples where they are still there. So
//! every sample of the time counts once, and nothing else does, unless it is so long ago that single samples or minutes
//! are gone: then the time is widened to the whole minute or hour, and that is said.

use super::aggregate::Aggregate;
use super::entry::Sample;
use super::failure::damaged;
use super::roll::{HOUR, MINUTE, newest};
use super::rows::{BUCKET_COLUMNS, Place, SAMPLE_COLUMNS, add_bucket, bucket_samples, check, get_bucket, get_sample};
use super::{History, failed};
use crate::Result;
use rusqlite::{Row, params};

/// Samples that were not added up yet and are read for one answer; there are as many only where nothing was for weeks.
const WAITING_MAX: usize = 10_000_000;

/// A stream of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    pub(super) number: i64,
    /// The link.
    pub link: String,
    /// The stream.
    pub name: String,
}

/// What is known about a stream in a time.
#[derive(Debug, Clone)]
pub struct Window {
    /// All samples of the time.
    pub all: Aggregate,
    /// Where the time begins, in microseconds since 1970.
    pub from: i64,
    /// Where it ends, itself not in it.
    pub to: i64,
    /// The newest sample before the end, also where it is from before the time.
    pub last: Option<Sample>,
}

/// A time that is asked for.
#[derive(Debug, Clone, Copy)]
struct Range {
    from: i64,
    to: i64,
}

impl History {
    /// The streams that samples were recorded of, of one link or of all, by name.
    ///
    /// # Errors
    /// Those of [`crate::State::history`].
    pub fn streams(&self, link: Option<&str>) -> Result<Vec<Stream>> {
        let own = |error| failed("read", &self.path, error);
        let links = self.links()?;
        let select = "SELECT link, name, sum, id FROM streams ORDER BY id";
        let mut statement = self.connection.prepare_cached(select).map_err(own)?;
        let mut rows = statement.query([]).map_err(own)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(own)? {
            check(&self.path, "streams", row, 2)?;
            let number: i64 = row.get(0).map_err(own)?;
            let name = links.get(&number).ok_or_else(|| damaged(&self.path, "A stream belongs to no link."))?;
            let stream =
                Stream { number: row.get(3).map_err(own)?, link: name.clone(), name: row.get(1).map_err(own)? };
            if link.is_none_or(|link| link == stream.link) {
                found.push(stream);
            }
        }
        found.sort_by(|a, b| (&a.link, &a.name).cmp(&(&b.link, &b.name)));
        Ok(found)
    }

    /// What is known about a stream from a moment on, up to another one.
    ///
    /// # Errors
    /// Those of [`crate::State::history`].
    pub fn window(&self, stream: &Stream, from: i64, to: i64) -> Result<Window> {
        // One view, or samples could be counted twice while another program adds them up.
        let transaction = self.connection.unchecked_transaction().map_err(|error| failed("read", &self.path, error))?;
        let asked = Range { from, to };
        let mut window = Window { all: Aggregate::default(), from, to, last: None };
        let whole =
            Range { from: from.saturating_add(HOUR - 1).div_euclid(HOUR) * HOUR, to: to.div_euclid(HOUR) * HOUR };
        let first = from.div_euclid(HOUR) * HOUR;
        let parts = if whole.from < whole.to {
            self.add_buckets(stream.number, HOUR, whole, &mut window.all)?;
            vec![Range { from: first, to: whole.from }, Range { from: whole.to, to }]
        } else {
            vec![Range { from: first, to }]
        };
        for part in parts {
            for (place, hour) in self.buckets(stream.number, HOUR, part)? {
                self.part_of_hour(stream.number, place.at, &hour, asked, &mut window)?;
            }
        }
        for sample in self.samples(stream.number, asked, Some(false))? {
            let earlier = newest(&self.connection, &self.path, stream.number, sample.at)?;
            window.all.add(&sample, earlier.as_ref());
        }
        window.last = newest(&self.connection, &self.path, stream.number, to)?;
        // Nothing was written.
        drop(transaction);
        Ok(window)
    }

    fn part_of_hour(&self, stream: i64, at: i64, hour: &Aggregate, asked: Range, window: &mut Window) -> Result<()> {
        let all = Range { from: at, to: at.saturating_add(HOUR) };
        let mut samples = 0_u64;
        self.each_bucket(stream, MINUTE, all, |row| {
            samples = samples.saturating_add(bucket_samples(&self.path, row)?);
            Ok(())
        })?;
        if samples != hour.samples() {
            // Minutes of this hour were removed.
            window.all.merge(hour);
            window.from = window.from.min(at);
            window.to = window.to.max(at.saturating_add(HOUR));
            return Ok(());
        }
        // Whole minutes of it, and the parts of one at either end.
        let (from, to) = (asked.from.max(all.from), asked.to.min(all.to));
        let whole = Range {
            from: from.saturating_add(MINUTE - 1).div_euclid(MINUTE) * MINUTE,
            to: to.div_euclid(MINUTE) * MINUTE,
        };
        let first = from.div_euclid(MINUTE) * MINUTE;
        let mut parts = Vec::new();
        if whole.from < whole.to {
            self.add_buckets(stream, MINUTE, whole, &mut window.all)?;
            parts.extend(self.buckets(stream, MINUTE, Range { from: first, to: whole.from })?);
            parts.extend(self.buckets(stream, MINUTE, Range { from: whole.to, to })?);
        } else {
            parts.extend(self.buckets(stream, MINUTE, Range { from: first, to })?);
        }
        for (place, minute) in parts {
            let end = place.at.saturating_add(MINUTE);
            let samples = self.samples(stream, Range { from: place.at, to: end }, Some(true))?;
            if samples.len() as u64 != minute.samples() {
                window.all.merge(&minute);
                window.from = window.from.min(place.at);
                window.to = window.to.max(end);
                continue;
            }
            for sample in samples.iter().filter(|sample| asked.from <= sample.at && sample.at < asked.to) {
                let earlier = newest(&self.connection, &self.path, stream, sample.at)?;
                window.all.add(sample, earlier.as_ref());
            }
        }
        Ok(())
    }

    fn buckets(&self, stream: i64, step: i64, range: Range) -> Result<Vec<(Place, Aggregate)>> {
        let mut found = Vec::new();
        self.each_bucket(stream, step, range, |row| {
            found.push(get_bucket(&self.path, row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Adds the buckets of a time to what there is.
    fn add_buckets(&self, stream: i64, step: i64, range: Range, all: &mut Aggregate) -> Result<()> {
        let mut sums = Default::default();
        self.each_bucket(stream, step, range, |row| add_bucket(&self.path, row, all, &mut sums))?;
        all.take(&sums);
        Ok(())
    }

    fn each_bucket(
        &self,
        stream: i64,
        step: i64,
        range: Range,
        mut take: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let own = |error| failed("read", &self.path, error);
        let select = format!(
            "SELECT {BUCKET_COLUMNS} FROM buckets WHERE stream = ? AND step = ? AND at >= ? AND at < ? ORDER BY at"
        );
        let mut statement = self.connection.prepare_cached(&select).map_err(own)?;
        let mut rows = statement.query(params![stream, step, range.from, range.to]).map_err(own)?;
        while let Some(row) = rows.next().map_err(own)? {
            take(row)?;
        }
        Ok(())
    }

    /// Single samples of a time; only those that were added up already, or only the others.
    fn samples(&self, stream: i64, range: Range, rolled: Option<bool>) -> Result<Vec<Sample>> {
        let own = |error| failed("read", &self.path, error);
        let chosen = match rolled {
            Some(true) => "AND rolled = 1",
            Some(false) => "AND rolled = 0",
            None => "",
        };
        let select = format!(
            "SELECT {SAMPLE_COLUMNS} FROM samples WHERE stream = ? AND at >= ? AND at < ? {chosen} ORDER BY at \
             LIMIT {WAITING_MAX}"
        );
        let mut statement = self.connection.prepare_cached(&select).map_err(own)?;
        let mut rows = statement.query(params![stream, range.from, range.to]).map_err(own)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(own)? {
            found.push(get_sample(&self.path, row)?);
        }
        Ok(found)
    }
}
