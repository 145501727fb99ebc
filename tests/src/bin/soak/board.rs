//! Counts of everything, the things that must not be among them.

use crate::call::{Answer, Disturbance};
use crate::drift::Drift;
use crate::region::Regions;
use paritas_testbed::postgres::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Memory is measured from this run on: pools and caches are filled by then.
const WARM: u64 = 10;
/// The process may grow by so much afterwards.
const GROWTH_KIB_MAX: u64 = 48 * 1024;
/// Open files may become so many more afterwards.
const FILES_MORE_MAX: u64 = 8;
/// A server needs a moment to see that a client has gone.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);
/// Examples kept of what is wrong.
const EXAMPLES_MAX: usize = 20;

/// Memory in KiB and open files of this process.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    memory: u64,
    files: u64,
}

impl Size {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        Self { memory, files: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64) }
    }
}

/// All counts.
pub struct Board {
    runs: u64,
    /// By link and disturbance: runs by verdict.
    verdicts: BTreeMap<(&'static str, &'static str), BTreeMap<String, u64>>,
    planted: u64,
    found: u64,
    false_alarms: u64,
    missed: u64,
    broken: u64,
    leaked: u64,
    left: u64,
    slots: i64,
    warm: Option<Size>,
    last: Size,
    examples: Vec<String>,
    /// Why quiet runs came to nothing.
    why: BTreeMap<String, u64>,
    commits: u64,
    grew: bool,
}

impl Board {
    pub async fn new(regions: &Regions) -> Self {
        Self {
            runs: 0,
            verdicts: BTreeMap::new(),
            planted: 0,
            found: 0,
            false_alarms: 0,
            missed: 0,
            broken: 0,
            leaked: 0,
            left: 0,
            slots: slots(&regions.primary).await,
            warm: None,
            last: Size::default(),
            examples: Vec::new(),
            why: BTreeMap::new(),
            commits: 0,
            grew: false,
        }
    }

    /// Holds an answer against what was planted.
    pub fn judge(&mut self, standby: bool, disturbance: Disturbance, drifts: &[Drift], answer: &Answer) {
        self.runs += 1;
        let link = if standby { "standby" } else { "logical" };
        let verdict = answer.verdict.clone();
        *self.verdicts.entry((link, disturbance.word())).or_default().entry(verdict.clone()).or_default() += 1;
        let planted: BTreeSet<String> = drifts.iter().map(Drift::named).collect();
        let alarms: Vec<_> = answer.proven.difference(&planted).collect();
        let alarmed = !alarms.is_empty() || (verdict == "fail" && planted.is_empty());
        // A standby that stands still may not pass either: its primary is written all the time.
        let silent = verdict == "pass" && (!planted.is_empty() || disturbance == Disturbance::PauseReplay);
        let unnamed = verdict == "fail" && disturbance == Disturbance::None && answer.proven != planted;
        self.false_alarms += u64::from(alarmed);
        self.missed += u64::from(silent || unnamed);
        self.broken += u64::from(answer.broken.is_some());
        if verdict == "fail" {
            self.planted += planted.len() as u64;
            self.found += answer.proven.intersection(&planted).count() as u64;
        }
        if (alarmed || silent || unnamed || answer.broken.is_some()) && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("run {} {link} {disturbance:?}: planted {planted:?}: {answer:?}", self.runs));
        }
        if verdict == "unknown" && disturbance == Disturbance::None {
            *self.why.entry(format!("{link}: {}", answer.problem)).or_default() += 1;
        }
    }

    /// Looks for what a run left behind.
    pub async fn look(&mut self, regions: &Regions) {
        for server in [&regions.primary, &regions.standby, &regions.logical] {
            let left = sessions_left(server).await;
            if left > 0 {
                self.examples.push(format!("run {}: {left} sessions left on {}", self.runs, server.name()));
                self.leaked += left;
            }
        }
        self.last = Size::now();
        if self.runs == WARM {
            self.warm = Some(self.last);
        }
    }

    /// One line on the way.
    pub fn line(&self) -> String {
        format!(
            "{} runs, {} false alarms, {} missed, {} broken, {} sessions left, {} MiB, {} files open",
            self.runs,
            self.false_alarms,
            self.missed,
            self.broken,
            self.leaked,
            self.last.memory / 1024,
            self.last.files
        )
    }

    /// The last look; whether all is well.
    pub async fn finish(&mut self, regions: &Regions) -> bool {
        self.commits = regions.commits.load(Ordering::Relaxed);
        self.slots = slots(&regions.primary).await - self.slots;
        self.left = files_below(&regions.scratch.path().join("tmp"), "")
            + files_below(&regions.scratch.path().join("state"), ".unfinished-");
        let warm = self.warm.unwrap_or(self.last);
        self.grew = self.last.memory > warm.memory + GROWTH_KIB_MAX || self.last.files > warm.files + FILES_MORE_MAX;
        self.wrong() == 0 && self.slots == 0 && !self.grew && self.runs > 0
    }

    fn wrong(&self) -> u64 {
        self.false_alarms + self.missed + self.broken + self.leaked + self.left
    }

    /// Everything.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let warm = self.warm.unwrap_or(self.last);
        let mut row = |name: &str, value: String| writeln!(text, "{name:<34} {value:>24}").unwrap();
        row("runs", self.runs.to_string());
        row("commits meanwhile", self.commits.to_string());
        for ((link, what), verdicts) in &self.verdicts {
            let shown: Vec<String> = verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
            row(&format!("  {link}, {what}"), shown.join(", "));
        }
        row("drifts named in failing runs", format!("{} of {}", self.found, self.planted));
        row("false alarms (0)", self.false_alarms.to_string());
        row("missed drifts (0)", self.missed.to_string());
        row("broken contract (0)", self.broken.to_string());
        row("sessions left (0)", self.leaked.to_string());
        row("slots left (0)", self.slots.to_string());
        row("files left (0)", self.left.to_string());
        row("memory", format!("{} to {} MiB", warm.memory / 1024, self.last.memory / 1024));
        row("open files", format!("{} to {}", warm.files, self.last.files));
        for (why, count) in &self.why {
            writeln!(text, "unknown {count} times without a disturbance: {why}").unwrap();
        }
        for example in &self.examples {
            writeln!(text, "WRONG {example}").unwrap();
        }
        if self.grew {
            text += "WRONG the process grew\n";
        }
        text
    }
}

async fn count(server: &Server, sql: &str) -> i64 {
    let client = server.client("postgres").await.unwrap();
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn slots(server: &Server) -> i64 {
    // Those of a first copy come and go.
    count(server, "SELECT count(*) FROM pg_replication_slots WHERE slot_name !~ '_sync_'").await
}

async fn sessions_left(server: &Server) -> u64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'paritas'";
    let end = Instant::now() + LEAVE_LIMIT;
    loop {
        let left = count(server, sql).await;
        if left == 0 || Instant::now() >= end {
            return left.unsigned_abs();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Files below a folder whose names begin so.
fn files_below(folder: &Path, start: &str) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.fold(0, |sum, entry| {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(start);
        sum + if path.is_dir() { files_below(&path, start) } else { u64::from(ours) }
    })
}
