//! The newest time of a column, from every value of it: statistics of files may lie.

use super::Found;
use crate::Side;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit as ArrowUnit};
use paritas_connect::text::TextColumn;
use paritas_connect::{
    BlockSink, ClockStamp, ColumnPair, Datasets, Error, FailureKind, NewestRequest, NewestSeen, Result, ScanRequest,
};
use paritas_digest::{Block, Canon, CanonColumn, CanonKind, Policies, Slot, ZonePolicy};
use paritas_model::{LogicalType, TimeUnit};
use std::borrow::Cow;
use std::sync::Arc;

const DAY_US: i64 = 86_400_000_000;

/// Reads the one column of all splits.
pub(super) async fn newest(
    side: &Side,
    datasets: &dyn Datasets,
    request: &NewestRequest,
    column: &str,
) -> Result<NewestSeen> {
    let described = side.again("describe the dataset", || datasets.describe(&side.cx, &request.dataset)).await?;
    let name = &described.dataset.0;
    let found = described.schema.columns.iter().find(|own| own.name == column).ok_or_else(|| {
        let message = format!("{name} has no column {column:?}");
        let hint = crate::columns::nearest_hint(column, &described.schema);
        Error::new(FailureKind::Permanent, "freshness.column", message).hint(hint)
    })?;
    let (slot, note) = slot(name, column, &found.engine_type, &found.logical)?;
    let policies = Policies { zone: ZonePolicy::AssumeUtc, ..Policies::default() };
    let columns = vec![CanonColumn { name: column.to_owned(), slot: slot.clone() }];
    let scan = ScanRequest {
        dataset: described.dataset.clone(),
        columns: vec![ColumnPair { canonical: column.to_owned(), own: column.to_owned() }],
        canon: Arc::new(Canon { kind: CanonKind::Logical, columns, key_columns: 0, policies }),
        filter: request.filter.clone(),
        ranges: Vec::new(),
    };
    // What a view shows is as old as the view, however long it is read.
    let asked = ClockStamp::now();
    let view = side.open(&scan).await?;
    let answered = ClockStamp::now();
    let mut all = Found::default();
    let limit_us = request.limit_us;
    let work = |side: Side, view: crate::side::View, split: paritas_connect::Split| {
        let slot = slot.clone();
        async move {
            let fresh = || Times { slot: slot.clone(), policies, limit_us, found: Found::default() };
            let (sink, done) = side.read_split(&*view, &split, fresh).await?;
            if sink.found.rows != done.rows {
                let (label, seen) = (&split.label, sink.found.rows);
                let message = format!("{label}: {} rows were handed out and {seen} looked at", done.rows);
                return Err(Error::new(FailureKind::Permanent, "data.truncated", message));
            }
            Ok(sink.found)
        }
    };
    side.each_split(&view, work, |found| {
        all.absorb(found);
        Ok(())
    })
    .await?;
    Ok(NewestSeen {
        newest: all.newest,
        any: all.rows > 0,
        beyond: all.beyond,
        beyond_whole: true,
        asked,
        answered,
        method: "scan",
        note,
    })
}

/// How times of a type are read, and what to know about them.
fn slot(table: &str, column: &str, engine_type: &str, logical: &LogicalType) -> Result<(Slot, Option<String>)> {
    let utc = || Some(format!("times of {column} without a zone are taken as UTC"));
    match logical {
        LogicalType::Timestamp { unit, zoned: true } => Ok((Slot::Timestamp { unit: *unit, zoned: true }, None)),
        LogicalType::Timestamp { unit, zoned: false } => Ok((Slot::Timestamp { unit: *unit, zoned: false }, utc())),
        // Texts are read as times, and one that is none is an error.
        LogicalType::Untyped => Ok((Slot::Timestamp { unit: TimeUnit::Micro, zoned: true }, utc())),
        LogicalType::Date => Ok((Slot::Date, Some(format!("a date of {column} stands for its whole day in UTC")))),
        _ => {
            let message = format!("{column} of {table} is {engine_type}, which is no time");
            Err(Error::new(FailureKind::Permanent, "freshness.type", message)
                .hint("name a column of timestamps or dates"))
        }
    }
}

/// Takes the values of the column.
struct Times {
    slot: Slot,
    policies: Policies,
    limit_us: i64,
    found: Found,
}

impl BlockSink for Times {
    fn accept(&mut self, block: Block) -> Result<()> {
        let Block::Arrow(batch) = block else { return Err(other_canon()) };
        let array = batch.columns().first().ok_or_else(other_canon)?;
        self.take(array)
    }
}

fn other_canon() -> Error {
    Error::new(FailureKind::Permanent, "internal.canon", "times came in another form")
}

impl Times {
    fn take(&mut self, array: &ArrayRef) -> Result<()> {
        let floor = |value: i64, per: i64| (value.div_euclid(per), value.div_euclid(per));
        let scale = |value: i64, by: i64| (value.saturating_mul(by), value.saturating_mul(by));
        for row in 0..array.len() {
            let null = array.is_null(row) || *array.data_type() == DataType::Null;
            let time = match array.data_type() {
                _ if null => None,
                DataType::Timestamp(ArrowUnit::Second, _) => {
                    Some(scale(array.as_primitive::<TimestampSecondType>().value(row), 1_000_000))
                }
                DataType::Timestamp(ArrowUnit::Millisecond, _) => {
                    Some(scale(array.as_primitive::<TimestampMillisecondType>().value(row), 1_000))
                }
                DataType::Timestamp(ArrowUnit::Microsecond, _) => {
                    Some(scale(array.as_primitive::<TimestampMicrosecondType>().value(row), 1))
                }
                DataType::Timestamp(ArrowUnit::Nanosecond, _) => {
                    Some(floor(array.as_primitive::<TimestampNanosecondType>().value(row), 1_000))
                }
                DataType::Date32 => Some(day(array.as_primitive::<Date32Type>().value(row).into())),
                DataType::Date64 => Some(day(array.as_primitive::<Date64Type>().value(row).div_euclid(DAY_US / 1_000))),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => return self.texts(array),
                _ => return Err(other_canon()),
            };
            self.found.add(time, self.limit_us);
        }
        Ok(())
    }

    fn texts(&mut self, array: &ArrayRef) -> Result<()> {
        let mut column = TextColumn::new(&self.slot, self.policies).ok_or_else(other_canon)?;
        let texts: Box<dyn Iterator<Item = Option<&str>>> = match array.data_type() {
            DataType::Utf8 => Box::new(array.as_string::<i32>().iter()),
            DataType::LargeUtf8 => Box::new(array.as_string::<i64>().iter()),
            _ => Box::new(array.as_string_view().iter()),
        };
        for text in texts {
            match text {
                None => column.null(),
                Some(text) => column.push(&micros(text)).map_err(|_| {
                    Error::new(FailureKind::Permanent, "freshness.value", "a value of the column is no time")
                        .hint("write times as 2026-01-05T08:30:00Z")
                })?,
            }
        }
        let times = column.finish();
        if matches!(times.data_type(), DataType::Utf8View) { Err(other_canon()) } else { self.take(&times) }
    }
}

/// A text without what is less than a microsecond: other programs write nanoseconds.
fn micros(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('.').map(|point| point + 1) else { return text.into() };
    let digits = text.bytes().skip(first).take_while(u8::is_ascii_digit).count();
    match (text.get(..first + 6), text.get(first + digits..)) {
        (Some(kept), Some(rest)) if digits > 6 => format!("{kept}{rest}").into(),
        _ => text.into(),
    }
}

/// A day is all of its moments.
fn day(days: i64) -> (i64, i64) {
    let begin = days.saturating_mul(DAY_US);
    (begin, begin.saturating_add(DAY_US - 1))
}

#[cfg(test)]
mod tests {
    use super::micros;

    #[test]
    fn times_are_read_to_the_microsecond() {
        for (text, expected) in [
            ("2026-01-05T08:30:00.123456789Z", "2026-01-05T08:30:00.123456Z"),
            ("2026-01-05T08:30:00.1234567+01:00", "2026-01-05T08:30:00.123456+01:00"),
            ("2026-01-05T08:30:00.123456Z", "2026-01-05T08:30:00.123456Z"),
            ("2026-01-05T08:30:00.5Z", "2026-01-05T08:30:00.5Z"),
            ("2026-01-05", "2026-01-05"),
            ("yesterday.", "yesterday."),
        ] {
            assert_eq!(micros(text), expected);
        }
    }
}
