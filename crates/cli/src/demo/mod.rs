//! `paritas demo`: two regions on real servers, faults injected, found, reported.
//!
//! The demo is a proof and not a show: it holds what was injected against what was found, and ends
//! with exit code 0 only if every fault was found in its place and nothing else was.

mod board;
mod faults;
mod links;
mod mirrored;
mod mocked;
mod regions;

use crate::demo::board::Board;
use crate::demo::links::DemoLink;
use crate::demo::regions::Regions;
use paritas_connect::Context;
use paritas_engine::{Monitor, Options, verify_pair};
use paritas_report::Report;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a replica may take to reach a fence in the demo.
const SETTLE: Duration = Duration::from_secs(20);

/// What went wrong in the demo itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A server or a file could not be made.
    #[error("{0}")]
    Testbed(#[from] paritas_testbed::Error),
    /// A verification could not begin.
    #[error("{0}")]
    Engine(#[from] paritas_engine::Error),
    /// Output or files of our own.
    #[error("{0}")]
    Io(#[from] io::Error),
}

type Result<T, E = Error> = std::result::Result<T, E>;

/// Where the demo leaves its files: the report, and the two lakes to play with.
pub(crate) fn default_folder() -> PathBuf {
    std::env::temp_dir().join("paritas-demo")
}

/// Runs the demo and returns the exit code: 0 when exactly the injected faults were found.
pub(crate) async fn run(folder: &Path, out: &mut (dyn Write + Send)) -> Result<u8> {
    let started = Instant::now();
    writeln!(out, "Two regions, east and west. East is the source, west the replica.\n")?;
    let (mut regions, took) = timed(Regions::start(folder)).await;
    step(
        out,
        1,
        &format!("servers and files of both regions: {}", regions.as_ref().map_or("", |r| r.summary())),
        took,
    )?;
    let regions = regions.as_mut().map_err(take)?;
    for why in &regions.left_out {
        writeln!(out, "      left out: {why}")?;
    }
    let links = links::all(regions);

    let (reports, took) = timed(verify_all(&links)).await;
    let reports = reports?;
    step(out, 2, "verify: both regions should be equal", took)?;
    let clean = board::print_links(out, &links, &reports)?;
    if !clean {
        writeln!(out, "\nThe regions differ before anything was injected. This is a defect: please report it.")?;
        regions.save(&reports)?;
        return Ok(1);
    }

    let (injected, took) = timed(faults::inject(regions)).await;
    let injected = injected?;
    step(out, 3, &format!("inject {} faults into west, past all replication", injected.len()), took)?;

    let (reports, took) = timed(verify_all(&links)).await;
    let reports = reports?;
    step(out, 4, "verify again", took)?;
    board::print_links(out, &links, &reports)?;
    let saved = regions.save(&reports)?;

    let board = Board::hold(&injected, &links, &reports);
    writeln!(out, "\n[5] injected against found")?;
    board.print(out)?;
    finish(out, &board, regions, &saved, started.elapsed())?;
    Ok(u8::from(!board.is_exact()))
}

/// An owned error out of a borrowed result.
fn take(error: &mut Error) -> Error {
    std::mem::replace(error, Error::Io(io::Error::other("already reported")))
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (work.await, started.elapsed())
}

fn step(out: &mut dyn Write, number: u32, what: &str, took: Duration) -> io::Result<()> {
    writeln!(out, "[{number}] {what} ({:.1} s)", took.as_secs_f64())?;
    out.flush()
}

/// Verifies every link as `paritas verify SOURCE REPLICA` does.
async fn verify_all(links: &[DemoLink]) -> Result<Vec<Report>> {
    let options = Options { settle: SETTLE, ..Options::default() };
    let mut reports = Vec::new();
    for link in links {
        let cx = Context::default();
        reports.push(verify_pair(&cx, &link.source, &link.replica, &options, &Monitor::default()).await?);
    }
    Ok(reports)
}

fn finish(out: &mut dyn Write, board: &Board, regions: &Regions, saved: &Path, took: Duration) -> io::Result<()> {
    let verdict = if board.is_exact() { "every injected fault was found, and nothing else" } else { "NOT as expected" };
    writeln!(
        out,
        "\n{} of {} faults found, {} unexpected findings: {verdict}.",
        board.found(),
        board.injected(),
        board.unexpected()
    )?;
    writeln!(out, "Whole demo: {:.1} s. The last verification as JSON: {}\n", took.as_secs_f64(), saved.display())?;
    let (east, west) = regions.lakes();
    writeln!(out, "The servers are stopped; the two lakes are still there. Next, try:\n")?;
    writeln!(
        out,
        "  paritas verify 'parquet:{}?key=fill_id' parquet:{}",
        east.join("fills").display(),
        west.join("fills").display()
    )?;
    writeln!(out, "  paritas verify --json {} {}", east.join("archive").display(), west.join("archive").display())?;
    writeln!(out, "  paritas init        # a commented paritas.toml for your own stores")
}
