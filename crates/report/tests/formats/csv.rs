//! The table of differences: lines, quotes, formulas.

use super::{hostile, hostile_report, sample, samples, with_texts, written};
use paritas_report::Csv;

/// Reads what RFC 4180 allows, and nothing else.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if cell.is_empty() => loop {
                match rest.next().expect("a quote is ended") {
                    '"' if rest.peek() == Some(&'"') => cell.push(rest.next().unwrap()),
                    '"' => {
                        assert!(matches!(rest.peek(), Some(',' | '\r')), "something behind a quote");
                        break;
                    }
                    c => cell.push(c),
                }
            },
            ',' => record.push(std::mem::take(&mut cell)),
            '\r' => {
                assert_eq!(rest.next(), Some('\n'));
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            '"' | '\n' => panic!("{c:?} outside of quotes"),
            c => cell.push(c),
        }
    }
    assert!(record.is_empty() && cell.is_empty(), "the last line is ended");
    records
}

#[test]
fn every_changed_column_and_every_row_of_one_side_has_a_line() {
    let lines = records(&written(&Csv, &sample::everything()));
    assert_eq!(lines[0].join(","), "link,check,dataset,class,proof,key,column,source,replica,copies,note");
    let has = |cells: &[&str]| lines.iter().any(|line| line[..cells.len()] == *cells);
    let orders = ["trading", "parity", "public.orders"];
    assert!(has(&[&orders[..], &["changed", "proven", "{\"id\":42}", "amount", "10.00", "10.01"]].concat()));
    assert!(has(&[&orders[..], &["changed", "proven", "{\"id\":42}", "status", "open", "NULL"]].concat()));
    let whole = "{\"id\":7,\"amount\":\"12.50\",\"status\":\"open\"}";
    assert!(has(&[&orders[..], &["lost", "proven", "{\"id\":7}", "", whole, ""]].concat()));
    let group = "{\"account\":7,\"currency\":\"EUR\"}";
    assert!(has(&[
        "trading",
        "ledger",
        "balance by account",
        "changed",
        "proven",
        group,
        "sum of amount",
        "10.00",
        "10.01"
    ]));
    assert!(has(&["archive", "files", "faiss", "unverifiable", "unproven"]));
    assert!(has(&["orders", "parity", "orders", "missing", "proven", "{\"partition\":0}", "offset", "4711..4711"]));
    assert!(!lines.iter().any(|line| line[1] == "sequences"));
    let lost = records(&written(&Csv, &sample::failover()));
    assert!(lost.iter().any(|line| line[1] == "recovery" && line[3] == "lost"));
}

#[test]
fn hostile_texts_end_no_line_and_are_no_formulas() {
    for report in samples().into_iter().chain([hostile_report()]) {
        let text = written(&Csv, &report);
        for line in records(&text) {
            assert_eq!(line.len(), 11);
            for cell in line {
                let number =
                    cell.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.') && cell != "-";
                assert!(number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
                assert!(!cell.chars().any(char::is_control), "{cell:?}");
            }
        }
    }
    let formulas = with_texts(&[hostile::TEXTS.iter().find(|text| text.starts_with('=')).unwrap().to_string()]);
    assert!(written(&Csv, &formulas).contains("'=cmd|"));
}

#[test]
fn a_large_list_is_written_whole() {
    let lines = records(&written(&Csv, &sample::large(450)));
    assert_eq!(lines.len(), 1 + 150 * 2 + 300);
}
