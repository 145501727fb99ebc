//! Random tables with random differences, held against sorting and comparing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Col, Run, store, table};
use paritas_model::{Class, DifferenceCounts, Proof, Value, Verdict};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
}

impl Cell {
    /// As the canon writes it, for the order in which leftovers are paired.
    fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Int(value) => value.map(|value| value.to_le_bytes().to_vec()),
            Self::Text(value) => value.as_ref().map(|text| text.clone().into_bytes()),
        }
    }

    fn shown(&self) -> Value {
        match self {
            Self::Int(value) => value.map_or(Value::Null, Value::Int),
            Self::Text(value) => value.as_deref().map_or(Value::Null, Value::from),
        }
    }
}

const NAMES: [&str; 5] = ["a", "b", "t", "v", "w"];
type Row = [Cell; 5];

fn rows() -> impl Strategy<Value = Row> {
    let int = |max: i64| prop_oneof![1 => Just(None), 9 => (0..max).prop_map(Some)].prop_map(Cell::Int);
    let text = prop_oneof![
        1 => Just(None),
        6 => "[a-c]{0,2}".prop_map(Some),
        3 => "long-text-beyond-inline-[a-d]{1,2}".prop_map(Some),
    ];
    let text = text.prop_map(Cell::Text).boxed();
    (int(40), int(3), text.clone(), int(4), text).prop_map(|(a, b, t, v, w)| [a, b, t, v, w])
}

/// What happens to the copy.
#[derive(Debug, Clone)]
enum Edit {
    Remove(prop::sample::Index),
    Copy(prop::sample::Index, usize),
    Change(prop::sample::Index, prop::sample::Index, Row),
    Insert(Row),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let index = any::<prop::sample::Index>;
    let edit = prop_oneof![
        index().prop_map(Edit::Remove),
        (index(), 1..4_usize).prop_map(|(row, times)| Edit::Copy(row, times)),
        (index(), index(), rows()).prop_map(|(row, column, other)| Edit::Change(row, column, other)),
        rows().prop_map(Edit::Insert),
        (index(), index()).prop_map(|(a, b)| Edit::Swap(a, b)),
    ];
    prop_oneof![1 => Just(Vec::new()), 5 => prop::collection::vec(edit, 1..12)]
}

fn edited(mut rows: Vec<Row>, edits: &[Edit]) -> Vec<Row> {
    for edit in edits {
        if let Edit::Insert(row) = edit {
            rows.push(row.clone());
        }
        if rows.is_empty() {
            continue;
        }
        match edit {
            Edit::Remove(row) => drop(rows.remove(row.index(rows.len()))),
            Edit::Copy(row, times) => {
                let row = rows[row.index(rows.len())].clone();
                rows.extend(std::iter::repeat_n(row, *times));
            }
            Edit::Change(row, column, other) => {
                let (row, column) = (row.index(rows.len()), column.index(NAMES.len()));
                rows[row][column] = other[column].clone();
            }
            Edit::Swap(a, b) => {
                let (a, b) = (a.index(rows.len()), b.index(rows.len()));
                let (x, y) = (rows[a][3].clone(), rows[b][3].clone());
                (rows[a][3], rows[b][3]) = (y, x);
            }
            Edit::Insert(_) => {}
        }
    }
    rows
}

/// A difference as the oracle and the outcome both can tell it.
type Line = (Class, Vec<Value>, u64, Vec<String>, Vec<Value>, Vec<Value>);

fn of_rows(rows: &[Row], key: &[usize]) -> paritas_connect::MemoryTable {
    let columns: Vec<(&str, Col)> = NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let ints = || rows.iter().map(|r| if let Cell::Int(v) = &r[index] { *v } else { None }).collect();
            let texts = || rows.iter().map(|r| if let Cell::Text(v) = &r[index] { v.clone() } else { None }).collect();
            (*name, if matches!(index, 2 | 4) { Col::Text(texts()) } else { Col::Int(ints()) })
        })
        .collect();
    let names: Vec<&str> = key.iter().map(|index| NAMES[*index]).collect();
    table(&columns, &names)
}

/// Sorts both sides and compares them, key by key.
fn oracle(source: &[Row], replica: &[Row], key: &[usize]) -> Vec<Line> {
    let order: Vec<usize> = key.iter().copied().chain((0..NAMES.len()).filter(|i| !key.contains(i))).collect();
    let group_key = |row: &Row| -> Vec<Cell> {
        if key.is_empty() { row.to_vec() } else { key.iter().map(|i| row[*i].clone()).collect() }
    };
    let mut groups: BTreeMap<Vec<Cell>, (Vec<Row>, Vec<Row>)> = BTreeMap::new();
    for row in source {
        groups.entry(group_key(row)).or_default().0.push(row.clone());
    }
    for row in replica {
        groups.entry(group_key(row)).or_default().1.push(row.clone());
    }
    let sorted =
        |rows: &mut Vec<Row>| rows.sort_by_key(|row| order.iter().map(|i| row[*i].bytes()).collect::<Vec<_>>());
    let mut lines = Vec::new();
    for (ours, theirs) in groups.into_values() {
        let mut only_theirs = theirs;
        let mut only_ours = Vec::new();
        for row in ours {
            match only_theirs.iter().position(|other| *other == row) {
                Some(index) => drop(only_theirs.remove(index)),
                None => only_ours.push(row),
            }
        }
        sorted(&mut only_ours);
        sorted(&mut only_theirs);
        let shown_key = |row: &Row| key.iter().map(|i| row[*i].shown()).collect::<Vec<_>>();
        let changed = if key.is_empty() { 0 } else { only_ours.len().min(only_theirs.len()) };
        for (a, b) in only_ours.drain(..changed).zip(only_theirs.drain(..changed)) {
            let differing: Vec<usize> = order.iter().copied().filter(|i| a[*i] != b[*i]).collect();
            let names = differing.iter().map(|i| NAMES[*i].to_owned()).collect();
            let of = |row: &Row| differing.iter().map(|i| row[*i].shown()).collect();
            lines.push((Class::Changed, shown_key(&a), 1, names, of(&a), of(&b)));
        }
        for (class, rows) in [(Class::Lost, only_ours), (Class::Extra, only_theirs)] {
            let mut copies: BTreeMap<Row, u64> = BTreeMap::new();
            for row in rows {
                *copies.entry(row).or_default() += 1;
            }
            for (row, copies) in copies {
                let all: Vec<Value> = order.iter().map(|i| row[*i].shown()).collect();
                let (ours, theirs) = if class == Class::Lost { (all, Vec::new()) } else { (Vec::new(), all) };
                lines.push((class, shown_key(&row), copies, Vec::new(), ours, theirs));
            }
        }
    }
    lines
}

fn sorted_text(lines: &[Line]) -> Vec<String> {
    let mut texts: Vec<String> = lines.iter().map(|line| format!("{line:?}")).collect();
    texts.sort();
    texts
}

const KEYS: [&[usize]; 7] = [&[0], &[0, 1], &[2], &[2, 0], &[1], &[0, 1, 2], &[]];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
    #[test]
    fn the_outcome_is_that_of_sorting_and_comparing(
        base in prop::collection::vec(rows(), 0..90),
        edits in edits(),
        which in 0..KEYS.len(),
        (ours_by_key, theirs_by_key) in any::<(bool, bool)>(),
        cheap in any::<bool>(),
        split_rows in 1..40_usize,
        items_max in prop_oneof![3 => Just(usize::MAX), 1 => 0..6_usize],
        shift in any::<prop::sample::Index>(),
    ) {
        let key = KEYS[which];
        let mut replica = edited(base.clone(), &edits);
        if !replica.is_empty() {
            let by = shift.index(replica.len());
            replica.rotate_left(by);
        }
        let open = |name, rows: &[Row], by_key: bool| {
            let store = store(name, of_rows(rows, key)).with_split_rows(split_rows);
            let store = if cheap { store.with_cheap_rereading() } else { store };
            Arc::new(if by_key { store } else { store.without_lookup() })
        };
        let mut run = Run::new(open("east", &base, ours_by_key), open("west", &replica, theirs_by_key));
        run.items_max = items_max;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(run.go());
        let expected = oracle(&base, &replica, key);

        let verdict = if expected.is_empty() { Verdict::Pass } else { Verdict::Fail };
        prop_assert_eq!(outcome.verdict(), verdict);
        prop_assert!(outcome.complete && outcome.problem.is_none(), "{:?}", outcome.problem);
        let mut counts = DifferenceCounts::default();
        for (class, _, copies, ..) in &expected {
            counts.add(*class, Proof::Proven, *copies);
        }
        prop_assert_eq!(outcome.counts, counts);
        let values = |pairs: &[(String, Value)]| pairs.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        let found: Vec<Line> = outcome.items.iter().map(|item| {
            (item.class, values(&item.key), item.copies, item.columns.clone(), values(&item.source), values(&item.replica))
        }).collect();
        prop_assert_eq!(outcome.items_truncated, expected.len() > items_max);
        prop_assert_eq!(found.len(), expected.len().min(items_max));
        let (found, expected) = (sorted_text(&found), sorted_text(&expected));
        if items_max == usize::MAX {
            prop_assert_eq!(found, expected);
        } else {
            prop_assert!(found.iter().all(|line| expected.contains(line)));
        }
    }
}
