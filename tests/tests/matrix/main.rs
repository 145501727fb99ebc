//! The fault matrix: every fault in every kind of store, planted and found. See `docs/fault-matrix.md`.
//!
//! `CELLS=F5,X12` runs some cells only; `UPDATE=1` writes the page again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod around;
mod around_logs;
mod cross;
mod cross_state;
mod data;
mod environment;
mod environment_logs;
mod files;
mod finding;
mod following;
mod lagging;
mod lake;
mod lake_meta;
mod logical;
mod mirror;
mod mirror_state;
mod mirrored;
mod names;
mod rows;
mod stage;
mod standby;
mod subscribed;
mod subscriber;
mod table;
mod tables;
mod values;

use stage::{World, reason};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;
use table::{COLUMNS, Cell, FAULTS};

/// Cells that run at a time.
const WORKERS: usize = 2;

#[test]
fn every_filled_cell_finds_its_fault_and_nothing_else() {
    let wanted = std::env::var("CELLS").ok();
    let wanted = |name: &str| wanted.as_ref().is_none_or(|list| list.split(',').any(|one| one == name));
    let cells = COLUMNS.iter().flat_map(|column| {
        let of_column = FAULTS.iter().flat_map(|fault| fault.filled.iter().map(move |filled| (fault, filled)));
        of_column
            .filter(move |(_, (name, _))| name == column)
            .map(|(fault, (name, cell))| (format!("{name}{}", fault.number), *cell))
    });
    // E1 and on: what is around the servers of PostgreSQL; KE1 and on: the brokers of Kafka.
    let around = environment::FAULTS.iter().enumerate().map(|(at, (_, cell))| (format!("E{}", at + 1), *cell));
    let of_logs = environment_logs::CELLS.iter().enumerate();
    let of_logs = of_logs.filter_map(|(at, cell)| Some((format!("KE{}", at + 1), (*cell)?)));
    let cells: VecDeque<(String, Cell)> = cells.chain(around).chain(of_logs).filter(|(name, _)| wanted(name)).collect();
    let total = cells.len();
    let (world, queue, bad) = (World::new(), Mutex::new(cells), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some((name, cell)) = next else { return };
                    let started = Instant::now();
                    let result = catch_unwind(AssertUnwindSafe(|| cell(&world)));
                    println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
                    if let Err(panic) = result {
                        bad.lock().unwrap().push(format!("cell {name}: {}", reason(panic.as_ref())));
                    }
                }
            });
        }
    });
    let bad = bad.into_inner().unwrap();
    println!("{}", table::markdown());
    println!("cells filled: {total}, passed: {}", total - bad.len());
    assert!(bad.is_empty(), "cells filled: {total}, passed: {}\n\n{}", total - bad.len(), bad.join("\n\n"));
}

#[test]
fn the_page_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fault-matrix.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, table::page()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == table::page(), "docs/fault-matrix.md is not up to date: run this test with UPDATE=1");
}

#[test]
fn the_table_has_the_cells_of_the_design() {
    assert_eq!(table::counts().0, 194);
    for (at, fault) in FAULTS.iter().enumerate() {
        assert_eq!(usize::from(fault.number), at + 1);
        assert_eq!(fault.occurs.len(), COLUMNS.len());
    }
}
