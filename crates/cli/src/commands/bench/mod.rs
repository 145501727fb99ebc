//! `paritas bench hash`: how fast this machine digests, and what that means for a nightly run.

mod measure;
mod work;

use crate::failure::{Failure, INCONCLUSIVE};
use crate::session::Session;
use measure::{Speed, measure};
use paritas_model::{format_duration, format_size};
use paritas_report::{SCHEMA_VERSION, grouped};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// Row lengths that are measured.
const ROW_BYTES: [usize; 4] = [32, 100, 300, 1_000];
/// Rows of the nightly run that the result is translated into.
const NIGHTLY_ROWS: u64 = 100_000_000;

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Bench {
    schema_version: u32,
    message_type: &'static str,
    threads: usize,
    rows: Vec<Rows>,
    arrow: Pair,
    files: Pair,
    memory: Pair,
    nightly: Nightly,
}

/// Rows of one length.
#[derive(Debug, Serialize)]
struct Rows {
    row_bytes: usize,
    /// Keyed BLAKE3 of one row after the other, and nothing else.
    one_by_one: Speed,
    /// The whole digest: key and row hashed in batches, buckets, sketch.
    digest: Pair,
}

/// One thread, and all of them together.
#[derive(Debug, Clone, Copy, Serialize)]
struct Pair {
    one_thread: Speed,
    all_threads: Speed,
}

/// What a run over many rows would take.
#[derive(Debug, Serialize)]
struct Nightly {
    /// Rows on each side.
    rows: u64,
    /// Seconds of digesting both sides on all threads; reading the stores comes on top unless it is
    /// slower, and then it decides.
    seconds: f64,
}

/// Measures and prints.
pub fn hash(session: &Session) -> Result<u8, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let bench = all(threads).map_err(|error| {
        Failure::new("bench.failed", INCONCLUSIVE, "cannot measure the digest").detail(error).hint("please report it")
    })?;
    session.print_either(&table(&bench), &bench, 0)
}

type Error = Box<dyn std::error::Error>;

fn all(threads: usize) -> Result<Bench, Error> {
    let mut rows = Vec::new();
    for row_bytes in ROW_BYTES {
        let (spec, block) = work::wire(row_bytes)?;
        let images = work::images(row_bytes);
        let digest = pair(threads, || work::digesting(&spec, &block));
        rows.push(Rows { row_bytes, one_by_one: measure(1, || work::hashing(&images, row_bytes)), digest });
    }
    let (spec, block) = work::arrow()?;
    let arrow = pair(threads, || work::digesting(&spec, &block));
    let bytes = work::file_bytes();
    let files = pair(threads, || work::file_hashing(&bytes));
    let words = work::memory_words();
    let memory = pair(threads, || work::summing(&words));
    let seconds = 2.0 * NIGHTLY_ROWS as f64 / arrow.all_threads.rows_per_second.max(1.0);
    Ok(Bench {
        schema_version: SCHEMA_VERSION,
        message_type: "bench",
        threads,
        rows,
        arrow,
        files,
        memory,
        nightly: Nightly { rows: NIGHTLY_ROWS, seconds },
    })
}

fn pair<W: FnMut() -> measure::Amount>(threads: usize, make: impl Fn() -> W + Sync) -> Pair {
    Pair { one_thread: measure(1, &make), all_threads: measure(threads, &make) }
}

/// The table for people.
fn table(bench: &Bench) -> String {
    let mut text = String::new();
    let threads = format!("{} thread{}", bench.threads, if bench.threads == 1 { "" } else { "s" });
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:<26} {:>16} {:>16} {:>16}", "rows/s", "hash one by one", "digest", "digest");
    let _ = writeln!(text, "{:<26} {:>16} {:>16} {:>16}", "", "1 thread", "1 thread", threads);
    for rows in &bench.rows {
        let cells = [&rows.one_by_one, &rows.digest.one_thread, &rows.digest.all_threads];
        let [a, b, c] = cells.map(|speed| grouped(speed.rows_per_second as u64));
        let _ = writeln!(text, "{:<26} {a:>16} {b:>16} {c:>16}", format!("{} B rows", rows.row_bytes));
    }
    let [a, b] = [bench.arrow.one_thread, bench.arrow.all_threads].map(|speed| grouped(speed.rows_per_second as u64));
    let _ = writeln!(text, "{:<26} {:>16} {a:>16} {b:>16}", "Arrow, 7 columns", "");
    let _ = writeln!(text, "\n{:<26} {:>16} {:>16} {threads:>16}", "bytes/s", "", "1 thread");
    for (name, pair) in
        [("Arrow, 7 columns", bench.arrow), ("file checksums", bench.files), ("reading memory", bench.memory)]
    {
        let [a, b] = [pair.one_thread, pair.all_threads].map(|speed| format_size(speed.bytes_per_second as u64));
        let _ = writeln!(text, "{name:<26} {:>16} {a:>16} {b:>16}", "");
    }
    let took = Duration::try_from_secs_f64(bench.nightly.seconds).unwrap_or(Duration::MAX);
    let _ = writeln!(
        text,
        "\nA nightly run over {} rows on each side takes this machine {} of digesting;\nreading them from the \
         stores usually takes longer, and then decides.",
        grouped(bench.nightly.rows),
        format_duration(took)
    );
    text
}
