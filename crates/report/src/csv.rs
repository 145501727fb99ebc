//! Everything that differs as a table for spreadsheets and scripts. Source of the form: RFC 4180.

use crate::text::{escape, is_hostile, value};
use crate::{Check, Format, LedgerFigures, LedgerItem, LogFinding, RenderOptions, Report};
use paritas_model::{Class, Difference, Proof, Value};
use std::io::{self, Write};

/// The first line.
const HEAD: [&str; 11] =
    ["link", "check", "dataset", "class", "proof", "key", "column", "source", "replica", "copies", "note"];
/// Beginnings that a spreadsheet takes for a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// One line for each differing column of a changed row, one for each row or file that only one side has, one for each
/// figure of a group that differs. Findings that are no difference of two sides have no line, such as those about lag
/// or sequences: their figures would fit none of the columns.
#[derive(Debug, Clone, Copy, Default)]
pub struct Csv;

/// One line.
#[derive(Debug)]
struct Line<'a> {
    check: &'a str,
    dataset: &'a str,
    class: &'a str,
    proof: &'a str,
    key: String,
    column: &'a str,
    source: String,
    replica: String,
    copies: u64,
    note: &'a str,
}

impl Format for Csv {
    fn name(&self) -> &str {
        "csv"
    }

    fn write(&self, report: &Report, _: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        line(out, HEAD.iter().map(|name| (*name).to_owned()))?;
        for link in &report.links {
            let mut table = Table { out, link: &link.name };
            for check in &link.checks {
                table.check(check)?;
            }
            for timeline in link.recovery.iter().flat_map(|recovery| &recovery.timelines) {
                for lost in timeline.rows.iter().flat_map(|rows| &rows.tables) {
                    lost.items.iter().try_for_each(|item| table.row("recovery", &lost.dataset, &item.row))?;
                }
            }
        }
        Ok(())
    }
}

struct Table<'a> {
    out: &'a mut dyn Write,
    link: &'a str,
}

impl Table<'_> {
    fn check(&mut self, check: &Check) -> io::Result<()> {
        match check {
            Check::Parity(check) => {
                check.items.iter().try_for_each(|item| self.row("parity", &check.dataset, item))?;
                let findings = check.log.iter().flat_map(|log| &log.findings);
                findings.into_iter().try_for_each(|finding| self.record(&check.dataset, finding))
            }
            Check::Ledger(check) => {
                check.items.iter().try_for_each(|item| self.group(&check.name, item))?;
                check.rows.iter().try_for_each(|item| self.row("ledger", &check.dataset, item))
            }
            Check::Files(check) => check.items.iter().try_for_each(|item| {
                let facts = |facts: &Option<crate::FileFacts>| {
                    facts.as_ref().map_or_else(String::new, |facts| {
                        format!("{} B, blake3:{}", facts.size_bytes, facts.blake3.as_deref().unwrap_or("not read"))
                    })
                };
                self.put(Line {
                    check: "files",
                    dataset: &check.dataset,
                    class: &item.class,
                    proof: if item.class == "unverifiable" { "unproven" } else { "proven" },
                    key: object(&[("path".to_owned(), Value::Text(item.path.clone()))])?,
                    column: "",
                    source: facts(&item.source),
                    replica: facts(&item.replica),
                    copies: 1,
                    note: item.why.as_deref().unwrap_or_default(),
                })
            }),
            _ => Ok(()),
        }
    }

    fn row(&mut self, check: &str, dataset: &str, item: &Difference) -> io::Result<()> {
        let note = match (&item.place, &item.note) {
            (Some(place), Some(note)) => format!("{place}; {note}"),
            (one, other) => one.clone().or_else(|| other.clone()).unwrap_or_default(),
        };
        let proof = match item.proof {
            Proof::Proven => "proven",
            Proof::InFlight => "in_flight",
            Proof::Unproven => "unproven",
        };
        let whole = |pairs: &[(String, Value)]| if pairs.is_empty() { Ok(String::new()) } else { object(pairs) };
        let key = object(&item.key)?;
        let base = |column, source, replica| Line {
            check,
            dataset,
            class: item.class.as_str(),
            proof,
            key: key.clone(),
            column,
            source,
            replica,
            copies: item.copies,
            note: &note,
        };
        if item.class != Class::Changed || item.columns.is_empty() {
            return self.put(base("", whole(&item.source)?, whole(&item.replica)?));
        }
        for column in &item.columns {
            let of = |pairs: &[(String, Value)]| {
                pairs.iter().find(|(name, _)| name == column).map_or_else(String::new, |(_, found)| value(found))
            };
            self.put(base(column, of(&item.source), of(&item.replica)))?;
        }
        Ok(())
    }

    fn group(&mut self, name: &str, item: &LedgerItem) -> io::Result<()> {
        let figures = |side: &Option<LedgerFigures>| -> Vec<(String, String)> {
            let Some(side) = side else { return Vec::new() };
            let mut all = vec![("rows".to_owned(), side.rows.to_string())];
            for column in &side.columns {
                all.push((format!("sum of {}", column.column), column.sum.clone()));
                all.extend(column.min.clone().map(|min| (format!("min of {}", column.column), min)));
                all.extend(column.max.clone().map(|max| (format!("max of {}", column.column), max)));
                all.push((format!("nulls of {}", column.column), column.nulls.to_string()));
            }
            all
        };
        let (source, replica) = (figures(&item.source), figures(&item.replica));
        let class = if item.source.is_none() {
            "extra"
        } else if item.replica.is_none() {
            "lost"
        } else {
            "changed"
        };
        let names: Vec<&String> =
            if source.is_empty() { &replica } else { &source }.iter().map(|(name, _)| name).collect();
        let of = |all: &[(String, String)], name: &str| {
            all.iter().find(|(one, _)| one == name).map(|(_, figure)| figure.clone())
        };
        let differing: Vec<&String> =
            names.iter().copied().filter(|name| of(&source, name) != of(&replica, name)).collect();
        // A group that breaks the rule on both sides in the same way is listed with all its figures.
        let note = item.deviations.join(", ");
        for column in if differing.is_empty() { names } else { differing } {
            self.put(Line {
                check: "ledger",
                dataset: name,
                class,
                proof: if item.proof == Proof::Proven { "proven" } else { "unproven" },
                key: object(&item.group)?,
                column,
                source: of(&source, column).unwrap_or_default(),
                replica: of(&replica, column).unwrap_or_default(),
                copies: 1,
                note: &note,
            })?;
        }
        Ok(())
    }

    fn record(&mut self, dataset: &str, finding: &LogFinding) -> io::Result<()> {
        let range =
            |range: Option<(u64, u64)>| range.map_or_else(String::new, |(first, last)| format!("{first}..{last}"));
        self.put(Line {
            check: "parity",
            dataset,
            class: &finding.class,
            proof: &finding.proof,
            key: object(&[("partition".to_owned(), Value::Int(i64::from(finding.partition)))])?,
            column: "offset",
            source: range(finding.source),
            replica: range(finding.replica),
            copies: finding.records,
            note: finding.note.as_deref().unwrap_or_default(),
        })
    }

    fn put(&mut self, row: Line<'_>) -> io::Result<()> {
        let cells = [self.link, row.check, row.dataset, row.class, row.proof].map(escape).into_iter();
        let cells = cells.chain([row.key, escape(row.column), escape(&row.source), escape(&row.replica)]);
        line(self.out, cells.chain([row.copies.to_string(), escape(row.note)]))
    }
}

/// Pairs as one JSON object without characters that are not seen.
fn object(pairs: &[(String, Value)]) -> io::Result<String> {
    let mut json = Vec::new();
    paritas_model::pairs::serialize(pairs, &mut serde_json::Serializer::new(&mut json))?;
    let text = String::from_utf8(json).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

fn line(out: &mut dyn Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    for (number, cell) in cells.enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        let cell = guarded(cell);
        if cell.contains(['"', ',', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

/// A text that a spreadsheet would carry out gets an apostrophe in front, and so does one that begins with one: taking
/// one away gives the text back. Numbers stay numbers.
fn guarded(cell: String) -> String {
    let number = cell.strip_prefix('-').unwrap_or(&cell);
    let number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !number && cell.starts_with(FORMULA) || cell.starts_with('\'') { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_texts_and_numbers_are_numbers() {
        let shown = ["=1+1", "-1.50", "-x", "+1", "@a", "'a", "", "1e5", "-"].map(|cell| guarded(cell.to_owned()));
        assert_eq!(shown, ["'=1+1", "-1.50", "'-x", "'+1", "'@a", "''a", "", "1e5", "'-"]);
    }
}
