//! Records of findings as people see them.

use super::request::{Request, Topic};
use super::side::LogSide;
use paritas_connect::Result;
use paritas_connect::logs::{Isolation, Partition, Range, Record, RecordSink, Records, Want};
use paritas_logs::content::{Finding, Of, Shown, Span};
use paritas_model::Value;

/// Characters of a text that are shown.
const TEXT_MAX: usize = 200;
/// Bytes of anything else that are shown.
const BYTES_MAX: usize = 64;
/// Headers that are shown.
const HEADERS_MAX: usize = 8;

/// Reads the first record of every finding again, on both sides. What is gone by now is not shown.
pub(super) async fn show(request: &Request<'_>, topic: &Topic, findings: &mut [Finding]) {
    for (of, side) in [(Of::Source, request.source), (Of::Replica, request.replica)] {
        let mut ranges = Vec::new();
        let mut wanted = Vec::new();
        for (index, finding) in findings.iter().enumerate() {
            if let Some((partition, span)) = place(topic, finding, of) {
                let (from, to) = (span.first, span.first.saturating_add(1));
                // Aborted records as well.
                let isolation = if of == Of::Source { Isolation::Uncommitted } else { Isolation::Committed };
                ranges.push(Range { partition, from, to, isolation });
                wanted.push(index);
            }
        }
        let Ok(shown) = read(side, of, &ranges).await else { continue };
        for (index, shown) in wanted.into_iter().zip(shown) {
            if let Some(finding) = findings.get_mut(index) {
                finding.shown.extend(shown);
            }
        }
    }
}

fn place(topic: &Topic, finding: &Finding, of: Of) -> Option<(Partition, Span)> {
    let facing = |number: i32| topic.facing.iter().find(|facing| facing.source.index == number);
    match of {
        Of::Source => Some((facing(finding.partition)?.source.clone(), finding.source?)),
        Of::Replica => Some((facing(finding.found_in.unwrap_or(finding.partition))?.replica.clone(), finding.replica?)),
    }
}

struct Show {
    of: Of,
    shown: Vec<Option<Shown>>,
}

impl RecordSink for Show {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        if let (Some(place), Some(record)) = (self.shown.get_mut(range), records.get(0)) {
            place.get_or_insert_with(|| shown(self.of, &record));
        }
        Ok(Want::Enough)
    }
}

async fn read(side: &LogSide, of: Of, ranges: &[Range]) -> Result<Vec<Option<Shown>>> {
    let mut show = Show { of, shown: vec![None; ranges.len()] };
    if !ranges.is_empty() {
        side.cx.bound(side.logs.read(&side.cx, ranges, &mut show)).await?;
    }
    Ok(show.shown)
}

fn shown(of: Of, record: &Record<'_>) -> Shown {
    let header = |(name, bytes): &(&str, Option<&[u8]>)| ((*name).to_owned(), value(*bytes));
    Shown {
        of,
        offset: record.offset,
        timestamp: record.timestamp,
        key: value(record.key),
        value: value(record.value),
        value_bytes: record.value.map(|bytes| bytes.len() as u64),
        headers: record.headers.iter().take(HEADERS_MAX).map(header).collect(),
    }
}

/// Text where it is text, otherwise bytes; cut where it is long.
fn value(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(plain) => match text.char_indices().nth(TEXT_MAX) {
            Some((end, _)) => Value::Text(format!("{}…", text.get(..end).unwrap_or_default())),
            None => Value::Text(text.to_owned()),
        },
        _ if bytes.len() > BYTES_MAX => {
            Value::Text(format!("{}…", Value::bytes(bytes.get(..BYTES_MAX).unwrap_or_default())))
        }
        _ => Value::bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_shown_as_text_or_bytes_and_never_in_full_length() {
        assert_eq!(value(None), Value::Null);
        assert_eq!(value(Some(b"")), Value::Text(String::new()));
        assert_eq!(value(Some("straße".as_bytes())), Value::Text("straße".to_owned()));
        assert_eq!(value(Some(&[0, 255])), Value::Text("\\x00ff".to_owned()));
        assert_eq!(value(Some(b"a\x1b[0m")), Value::Text("\\x611b5b306d".to_owned()));
        let text = value(Some("é".repeat(300).as_bytes()));
        assert_eq!(text, Value::Text(format!("{}…", "é".repeat(TEXT_MAX))));
        let bytes = value(Some(&[255; 300])).to_string();
        assert_eq!(bytes.chars().count(), 2 + 2 * BYTES_MAX + 1);
    }
}
