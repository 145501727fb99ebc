//! What a run is doing, on standard error: a line that redraws itself on a terminal, otherwise a log
//! line now and then.

use crate::output;
use crate::runs::{Monitor, Phase, SideProgress};
use crate::session::Session;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use paritas_connect::Progress;
use paritas_model::{format_duration, format_size};
use paritas_report::{escape, grouped};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks at the counters.
const POLL: Duration = Duration::from_millis(200);
/// Time between two lines where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Rates are taken over this many looks.
const RATE_SAMPLES: usize = 25;

/// The line on the terminal, if there is one now. Whoever else writes to standard error goes
/// through [`aside`].
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn bar() -> Option<ProgressBar> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Writes something else to the terminal while the line is away.
pub fn aside(write: impl FnOnce()) {
    match bar() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Takes the line off the terminal.
pub fn clear() {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Shows a run until it is dropped.
#[derive(Debug)]
pub struct Display {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Begins to watch, as loudly as the session allows.
    pub fn start(session: &Session, monitor: &Monitor) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let terminal = output::stderr_is_terminal();
        let wanted = !session.quiet && (terminal || session.verbose > 0);
        if wanted && terminal {
            let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                line.set_style(style);
            }
            *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        }
        let thread = if wanted {
            let (stop, monitor) = (Arc::clone(&stop), monitor.clone());
            std::thread::Builder::new().name("progress".to_owned()).spawn(move || watch(&monitor, &stop)).ok()
        } else {
            None
        };
        Self { stop, thread }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        clear();
    }
}

fn watch(monitor: &Monitor, stop: &AtomicBool) {
    let mut rates = Rates::default();
    let mut logged = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let (dataset, phase, sides) = monitor.now();
        let rate = rates.sample(&dataset, total(&sides), Instant::now());
        match bar() {
            Some(line) => {
                line.set_message(describe(&dataset, phase, &sides, rate));
                line.tick();
            }
            None if logged.elapsed() >= LOG_EVERY => {
                logged = Instant::now();
                tracing::info!("{}", describe(&dataset, phase, &sides, rate));
            }
            None => {}
        }
        std::thread::park_timeout(POLL);
    }
}

/// Rows and bytes of both sides.
fn total(sides: &SideProgress) -> (u64, u64) {
    let (a, b) = (&sides.source, &sides.replica);
    (a.rows().saturating_add(b.rows()), a.bytes().saturating_add(b.bytes()))
}

/// Rows and bytes per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Rate {
    rows: f64,
    bytes: f64,
}

/// The last few looks at the counters of one dataset.
#[derive(Debug, Default)]
struct Rates {
    dataset: String,
    samples: VecDeque<(Instant, u64, u64)>,
}

impl Rates {
    fn sample(&mut self, dataset: &str, (rows, bytes): (u64, u64), now: Instant) -> Rate {
        if self.dataset != dataset {
            dataset.clone_into(&mut self.dataset);
            self.samples.clear();
        }
        self.samples.push_back((now, rows, bytes));
        if self.samples.len() > RATE_SAMPLES {
            self.samples.pop_front();
        }
        let Some((then, rows_then, bytes_then)) = self.samples.front() else { return Rate::default() };
        let seconds = now.duration_since(*then).as_secs_f64();
        if seconds <= 0.0 {
            return Rate::default();
        }
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        Rate { rows: per_second(rows, *rows_then), bytes: per_second(bytes, *bytes_then) }
    }
}

/// How much of a side is done, from 0 to 1; `None` when nobody knows how much there is.
fn fraction(side: &Progress) -> Option<f64> {
    let of = |done: u64, expected: u64| (expected > 0).then(|| (done as f64 / expected as f64).min(1.0));
    of(side.rows(), side.rows_expected()).or_else(|| of(side.bytes(), side.bytes_expected()))
}

/// `public.orders: reading, 45 % (source 50 %, replica 45 %), 285,714 rows/s, 120MiB/s, 12s left`
fn describe(dataset: &str, phase: Phase, sides: &SideProgress, rate: Rate) -> String {
    let doing = match phase {
        Phase::Planning => "planning",
        Phase::Digesting => "reading",
        Phase::Locating => "finding rows",
        Phase::Confirming => "reading suspects again",
    };
    let mut parts = vec![doing.to_owned()];
    let (source, replica) = (fraction(&sides.source), fraction(&sides.replica));
    let percent = |fraction: Option<f64>| fraction.map_or_else(|| "?".to_owned(), |f| format!("{:.0} %", f * 100.0));
    if source.is_some() || replica.is_some() {
        parts.push(format!("source {}, replica {}", percent(source), percent(replica)));
    }
    if rate.rows >= 1.0 {
        parts.push(format!("{} rows/s", grouped(rate.rows as u64)));
    }
    if rate.bytes >= 1.0 {
        parts.push(format!("{}/s", format_size(rate.bytes as u64)));
    }
    if phase == Phase::Digesting
        && let Some(left) = time_left(sides, rate)
    {
        parts.push(format!("{} left", format_duration(left)));
    }
    let dataset = if dataset.is_empty() { "stores".to_owned() } else { escape(dataset) };
    format!("{dataset}: {}", parts.join(", "))
}

/// Whole seconds until both sides are read, if rows or bytes are expected and any are arriving.
fn time_left(sides: &SideProgress, rate: Rate) -> Option<Duration> {
    let (rows, bytes) = total(sides);
    let rows_expected = sides.source.rows_expected().saturating_add(sides.replica.rows_expected());
    let bytes_expected = sides.source.bytes_expected().saturating_add(sides.replica.bytes_expected());
    let seconds = if rows_expected > rows && rate.rows >= 1.0 {
        (rows_expected - rows) as f64 / rate.rows
    } else if bytes_expected > bytes && rate.bytes >= 1.0 {
        (bytes_expected - bytes) as f64 / rate.bytes
    } else {
        return None;
    };
    Duration::try_from_secs_f64(seconds.ceil()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_described_by_what_is_known() {
        let sides = SideProgress::default();
        assert_eq!(describe("", Phase::Planning, &sides, Rate::default()), "stores: planning");
        sides.source.expect(1_000, 0);
        sides.source.add(500, 1 << 20);
        sides.replica.expect(1_000, 0);
        sides.replica.add(250, 1 << 20);
        let rate = Rate { rows: 125.0, bytes: 1_048_576.0 };
        assert_eq!(
            describe("public.\u{1b}orders", Phase::Digesting, &sides, rate),
            "public.\\u{1b}orders: reading, source 50 %, replica 25 %, 125 rows/s, 1.00MiB/s, 10s left"
        );
    }

    #[test]
    fn rates_begin_again_with_every_dataset() {
        let mut rates = Rates::default();
        let start = Instant::now();
        rates.sample("a", (0, 0), start);
        let later = start + Duration::from_secs(2);
        assert_eq!(rates.sample("a", (10, 20), later), Rate { rows: 5.0, bytes: 10.0 });
        assert_eq!(rates.sample("b", (0, 0), later), Rate::default());
    }
}
