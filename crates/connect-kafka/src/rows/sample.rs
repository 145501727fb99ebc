//! The members of JSON objects where nobody declared them, from the first and last records of each partition.
//!
//! Records that are not looked at may have further members. They are found when the rows are read, and are an error
//! then: what is not known cannot be left out.

use super::json;
use super::misfit::Misfit;
use super::options::{Format, RowOptions};
use super::part::Prefix;
use super::scan::{Shown, apart};
use paritas_connect::logs::{Logs, Range, RecordSink, Records, Want};
use paritas_connect::{Context, Error, FailureKind, Result};
use std::collections::HashSet;

/// Offsets that are looked at on each end of a partition, at most, ...
const OFFSETS_EACH_MAX: u64 = 100;
/// ... and partitions.
const PARTITIONS_MAX: usize = 64;
/// Members that may be found.
const NAMES_MAX: usize = 4_096;

/// Names of members, in the order in which they are first seen.
pub(super) async fn names(cx: &Context, logs: &dyn Logs, options: &RowOptions, shown: &[Shown]) -> Result<Vec<String>> {
    let filled = shown.iter().filter(|(_, range)| !range.is_empty()).take(PARTITIONS_MAX);
    let mut ranges = Vec::new();
    for (partition, range) in filled {
        let mut add = |from: u64, to: u64| {
            if from < to {
                ranges.push(Range { partition: partition.clone(), from, to, isolation: options.isolation });
            }
        };
        let middle = range.start.saturating_add(OFFSETS_EACH_MAX).min(range.end);
        add(range.start, middle);
        add(range.end.saturating_sub(OFFSETS_EACH_MAX).max(middle), range.end);
    }
    // Another scan may have another schema: the id is not kept.
    let prefix = options.is_prefixed(Format::Json).then(|| Prefix::new(options.schema_id));
    let mut seen = Seen { ranges: &ranges, options, prefix, names: Vec::new(), known: HashSet::new() };
    logs.read(&apart(cx), &ranges, &mut seen).await?;
    if seen.names.is_empty() {
        return Err(Error::new(
            FailureKind::Permanent,
            "schema.unknown",
            "the records say nothing about their columns",
        )
        .detail(format!("No record with a value was among the first and last {OFFSETS_EACH_MAX} of each partition."))
        .hint("declare the columns, as in fields=id:int64,amount:decimal(38,10)"));
    }
    Ok(seen.names)
}

struct Seen<'a> {
    ranges: &'a [Range],
    options: &'a RowOptions,
    prefix: Option<Prefix>,
    names: Vec<String>,
    known: HashSet<String>,
}

impl RecordSink for Seen<'_> {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        for record in (0..records.len()).filter_map(|index| records.get(index)) {
            let Some(value) = record.value else { continue };
            let Some(range) = self.ranges.get(range) else { continue };
            let read = self.look(value).map_err(|misfit| {
                misfit.of(&range.partition, record.offset)
                    .hint("look at the record with any consumer at that offset; values that are no JSON are read with format=raw")
            })?;
            for name in read {
                if self.known.insert(name.clone()) {
                    self.names.push(name);
                }
            }
            if self.names.len() > NAMES_MAX {
                let message =
                    format!("records of {} have more than {NAMES_MAX} different members", range.partition.log);
                return Err(Error::new(FailureKind::Permanent, "schema.unknown", message)
                    .hint("declare the columns that matter, as in fields=id:int64,amount:decimal(38,10)"));
            }
        }
        Ok(Want::More)
    }
}

impl Seen<'_> {
    fn look(&self, value: &[u8]) -> Result<Vec<String>, Misfit> {
        let bytes = match &self.prefix {
            Some(prefix) => prefix.strip(value)?,
            None => value,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        if text.trim() == "null" {
            return Ok(Vec::new());
        }
        match json::descend(text, &self.options.inside)? {
            Some(text) => Ok(json::names(text)?),
            None => Ok(Vec::new()),
        }
    }
}
