//! What a run is told, and how it can be watched.

use paritas_config::CopyConfig;
use paritas_connect::{Manners, Progress};
use paritas_digest::{DigestKey, Policies};
use paritas_model::{ParseQuantityError, parse_duration, parse_size};
use paritas_report::Privacy;
use paritas_state::Which;
use paritas_state::history::Retention;
pub use paritas_verify::rows::{Phase, Share};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ulid::Ulid;

/// What a run is told, apart from the links.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where runs and digests are kept; `None` keeps nothing.
    pub state: Option<PathBuf>,
    /// How long what is kept there.
    pub retention: Retention,
    /// Where snapshots are copied to as well.
    pub snapshot_copy: Option<CopyConfig>,
    /// What snapshots take over from those before.
    pub thrift: ThriftOptions,
    /// At most that many differing rows or files are listed per check; it does not limit what is counted.
    pub max_differences: usize,
    /// When to stop.
    pub budget: Option<Budget>,
    /// Splits, connections and threads per side at a time.
    pub parallel: usize,
    /// How many differing rows per dataset one pass is made to name.
    pub capacity: u64,
    /// Whether a warning makes the exit code 1.
    pub deny_warnings: bool,
    /// The deployment's digest key.
    pub digest_key: DigestKey,
    /// Policies for every dataset that has none of its own.
    pub policies: Policies,
    /// How long to wait for a replica to reach a fence, and how often hot rows are read again.
    pub settle: Duration,
    /// What of values may be shown and kept.
    pub privacy: Privacy,
    /// What to compare where there is a choice.
    pub method: crate::Method,
    /// A file to write the source's digest into (`verify --save-digest`), ad-hoc runs only.
    pub save_digest: Option<PathBuf>,
    /// Whether the stores may be asked for sums first; equal ones are no proof, and end as unknown.
    pub quick: bool,
    /// How the stores are treated. What a link's own say comes second.
    pub manners: Manners,
    /// The id of the run; `None` makes a new one.
    pub run_id: Option<Ulid>,
    /// A run that was ended and is to be gone on with.
    pub resume: Option<Which>,
    /// How much of everything is to be verified by now; `None` means all.
    pub share: Option<Share>,
    /// Bytes that groups of a reconciliation may take in memory, roughly; more of them go into a temporary file.
    pub ledger_memory: u64,
}

/// What snapshots take over from those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThriftOptions {
    /// Whether everything is read in any case, and nothing is kept for the next snapshot.
    pub full: bool,
    /// Within what time everything that is taken over is read again.
    pub within: Duration,
    /// Bytes that the rows of one dataset may take in the state folder.
    pub bytes_max: u64,
}

impl Default for ThriftOptions {
    fn default() -> Self {
        Self { full: false, within: Duration::from_secs(24 * 3_600), bytes_max: 1 << 30 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state: None,
            retention: Retention::default(),
            snapshot_copy: None,
            thrift: ThriftOptions::default(),
            max_differences: 1_000,
            budget: None,
            parallel: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            capacity: 9_000,
            deny_warnings: false,
            digest_key: DigestKey::unkeyed(),
            policies: Policies::default(),
            settle: Duration::from_secs(30),
            privacy: Privacy::Show,
            method: crate::Method::default(),
            save_digest: None,
            quick: false,
            manners: Manners::default(),
            run_id: None,
            resume: None,
            share: None,
            ledger_memory: 256 << 20,
        }
    }
}

/// A limit on a run: `10m`, `5GiB` or `1e8rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Wall-clock time.
    Time(Duration),
    /// Bytes read from both sides together.
    Bytes(u64),
    /// Rows read from both sides together.
    Rows(u64),
}

impl FromStr for Budget {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hint = "write a time, a size or a number of rows, such as 10m, 5GiB or 1e8rows";
        let error = || ParseQuantityError { what: "budget", text: text.to_owned(), hint };
        if let Some(number) = text.strip_suffix("rows") {
            let number: f64 = number.trim().parse().map_err(|_| error())?;
            let whole = number.is_finite() && (1.0..=1e18).contains(&number) && number.fract() == 0.0;
            return if whole { Ok(Self::Rows(number as u64)) } else { Err(error()) };
        }
        let positive = |value: u64| if value == 0 { Err(error()) } else { Ok(value) };
        match (parse_duration(text), parse_size(text)) {
            (Ok(time), _) if !time.is_zero() => Ok(Self::Time(time)),
            (_, Ok(bytes)) => positive(bytes).map(Self::Bytes),
            _ => Err(error()),
        }
    }
}

/// Counters of both sides.
#[derive(Debug, Clone, Default)]
pub struct SideProgress {
    /// The source's counters.
    pub source: Arc<Progress>,
    /// The replica's counters.
    pub replica: Arc<Progress>,
}

/// Lets somebody else watch a run: which dataset it is at, in what phase, how far. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Monitor {
    now: Arc<Mutex<(String, Phase, SideProgress)>>,
}

impl Monitor {
    /// Begins another dataset with fresh counters and returns them.
    pub fn begin(&self, dataset: &str) -> SideProgress {
        let sides = SideProgress::default();
        *self.lock() = (dataset.to_owned(), Phase::Planning, sides.clone());
        sides
    }

    /// Says what is being done now.
    pub fn enter(&self, phase: Phase) {
        self.lock().1 = phase;
    }

    /// The dataset, the phase and the counters now.
    pub fn now(&self) -> (String, Phase, SideProgress) {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (String, Phase, SideProgress)> {
        // The tuple is replaced whole, so a panic elsewhere cannot leave it half written.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_time_a_size_or_a_number_of_rows() {
        assert_eq!("10m".parse::<Budget>().unwrap(), Budget::Time(Duration::from_secs(600)));
        assert_eq!("5GiB".parse::<Budget>().unwrap(), Budget::Bytes(5 << 30));
        assert_eq!("1e8rows".parse::<Budget>().unwrap(), Budget::Rows(100_000_000));
        for bad in ["", "10", "0s", "0", "-1rows", "1.5rows", "rows", "1e30rows", "NaNrows"] {
            assert!(bad.parse::<Budget>().is_err(), "{bad}");
        }
    }
}
