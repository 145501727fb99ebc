//! What a timer did: one line, or one JSON document with a job per line.

use paritas_model::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// One call of a timer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimerDocument {
    /// [`crate::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Always `timer`.
    pub message_type: String,
    /// Start, RFC 3339 in UTC.
    pub started_at: String,
    /// End, RFC 3339 in UTC.
    pub ended_at: String,
    /// The verdict over all jobs; `pass` where none was due.
    pub verdict: Verdict,
    /// The exit code of the process.
    pub exit_code: u8,
    /// What was done, in that order.
    pub jobs: Vec<TimerJob>,
    /// Links of which nothing was due.
    pub idle: u64,
    /// When the next job is due, RFC 3339 in UTC; `null` where nothing is scheduled.
    pub next: Option<String>,
}

/// One job of a timer for one link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimerJob {
    /// `lag`, `snapshot` or `verify`.
    pub job: String,
    /// The link.
    pub link: String,
    /// The run that is kept of it; `null` where none began.
    pub run: Option<String>,
    /// What it came to.
    pub verdict: Verdict,
    /// Slices of the verification that are done with this one, and all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slices: Option<(u32, u32)>,
    /// Why it could not be done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// Jobs that are named in the line; there may be thousands.
const NAMED_MAX: usize = 6;

impl TimerDocument {
    /// One line for a log: verdict, what was not a pass, what was done, when to come again.
    pub fn line(&self) -> String {
        let mut line = format!("{}  ", self.verdict.to_string().to_uppercase());
        match self.jobs.len() {
            0 => line += "nothing is due",
            1 => line += "1 job",
            jobs => line += &format!("{jobs} jobs"),
        }
        let bad = self.jobs.iter().filter(|job| job.verdict != Verdict::Pass);
        let good = self.jobs.iter().filter(|job| job.verdict == Verdict::Pass);
        for (index, job) in bad.chain(good).take(NAMED_MAX).enumerate() {
            let between = if index == 0 { ": " } else { ", " };
            let _ = write!(line, "{between}{} {} {}", job.job, job.link, job.verdict);
            if let Some((done, of)) = job.slices.filter(|(_, of)| *of > 1) {
                let _ = write!(line, " (slice {done} of {of})");
            }
            if let Some(why) = &job.why {
                let _ = write!(line, " ({why})");
            }
        }
        if self.jobs.len() > NAMED_MAX {
            let _ = write!(line, ", and {} more", self.jobs.len() - NAMED_MAX);
        }
        if let Some(next) = &self.next {
            let _ = write!(line, "; next {next}");
        }
        line.push('\n');
        line
    }
}
