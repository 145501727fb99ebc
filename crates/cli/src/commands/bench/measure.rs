//! A stopwatch for several threads.

use serde::Serialize;
use std::time::{Duration, Instant};

/// How long one measurement takes.
const MEASURE: Duration = Duration::from_millis(180);

/// What one call has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Amount {
    /// Rows; 0 where there are none.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What was done per second.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Speed {
    /// Rows per second; 0 where there are none.
    pub rows_per_second: f64,
    /// Bytes per second.
    pub bytes_per_second: f64,
}

/// Calls the work of each thread again and again. Each thread makes its own, and one call is spent
/// on warming up.
pub fn measure<W: FnMut() -> Amount>(threads: usize, make: impl Fn() -> W + Sync) -> Speed {
    let per_thread = || {
        let mut work = make();
        work();
        let started = Instant::now();
        let mut done = Amount::default();
        while started.elapsed() < MEASURE {
            let amount = work();
            done.rows += amount.rows;
            done.bytes += amount.bytes;
        }
        let seconds = started.elapsed().as_secs_f64();
        Speed { rows_per_second: done.rows as f64 / seconds, bytes_per_second: done.bytes as f64 / seconds }
    };
    let mut sum = Speed { rows_per_second: 0.0, bytes_per_second: 0.0 };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(per_thread)).collect();
        // A thread that panics has printed why; its share is missing.
        for speed in handles.into_iter().filter_map(|handle| handle.join().ok()) {
            sum.rows_per_second += speed.rows_per_second;
            sum.bytes_per_second += speed.bytes_per_second;
        }
    });
    sum
}
