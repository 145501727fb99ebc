//! How the command was called: every reason names the next one to run, whole.

use crate::Error;
use jiff::Timestamp;
use paritas_model::Verdict;
use paritas_report::{LinkReport, Recovery};
use std::fmt;
use std::str::FromStr;

/// The time of a failure, as somebody gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAt(pub(crate) Timestamp);

impl FromStr for FailedAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self).map_err(|_| {
            format!("{text:?} is no time with a zone: write it as 2026-11-30T19:04:05Z or 2026-11-30T20:04:05+01:00")
        })
    }
}

impl fmt::Display for FailedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What the next command has to repeat of this one. Everything is quoted for a shell and has no password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// `-c FILE` and `--state DIR`, as far as they were given.
    pub common: Vec<String>,
    /// Further options of `failover`, such as `--data-directory DIR`.
    pub own: Vec<String>,
    /// Source and replica, where they were named.
    pub stores: Vec<String>,
}

/// The same command again.
pub(super) const AGAIN: &str = "failover";
/// Differing rows by their keys.
pub(super) const ROWS: &str = "verify --against last";
/// Differing figures by their groups.
pub(super) const FIGURES: &str = "ledger --against last";
/// Both sides, where the source is there.
pub(super) const BOTH: &str = "verify";
/// How far the replica is behind.
pub(super) const LAG: &str = "lag --for 30s";
/// For the next time.
pub(super) const PROBE: &str = "probe";
pub(super) const SNAPSHOT: &str = "snapshot";

impl Call {
    /// A whole command line. `link` is quoted here.
    pub(super) fn command(&self, words: &str, link: &str) -> String {
        let mut line = vec![format!("paritas {words}")];
        line.extend(self.common.iter().cloned());
        if words == AGAIN {
            line.extend(self.own.iter().cloned());
        }
        if self.stores.is_empty() {
            line.push(paritas_report::shell_word(link).unwrap_or_else(|| "…".to_owned()));
        } else {
            line.extend(self.stores.iter().cloned());
        }
        line.join(" ")
    }
}

/// Puts a link's decision, its verdict and its next commands in order, once everything was found out.
pub(super) fn finish(link: &mut LinkReport, call: &Call) {
    let name = link.name.clone();
    let Some(recovery) = &mut link.recovery else { return };
    for reason in &mut recovery.reasons {
        let words = reason.next.take();
        if reason.verdict > Verdict::Pass {
            reason.next = Some(call.command(words.as_deref().unwrap_or(AGAIN), &name));
        }
    }
    recovery.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    decide(recovery);
    link.verdict = Verdict::combine([link.verdict, recovery.verdict()]);
}

/// A reason against it forbids it, whoever found it.
fn decide(recovery: &mut Recovery) {
    if recovery.reasons.iter().any(|reason| reason.verdict > Verdict::Warn) {
        "no-go".clone_into(&mut recovery.decision);
    }
}

/// A time that cannot be counted from: it lies in the future.
pub(crate) fn future(failed_at: FailedAt, now: Timestamp) -> Option<String> {
    (failed_at.0 > now)
        .then(|| format!("the time of the failure, {failed_at}, lies in the future of this machine's clock"))
}

/// Refuses what contradicts itself.
pub(super) fn consistent(planned: bool, failed_at: Option<FailedAt>) -> Result<(), Error> {
    if planned && failed_at.is_some() {
        let hint = "a planned switch has no failure: leave out one of the two";
        return Err(Error::usage("usage.planned", "--planned and --failed-at contradict each other", hint));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_command_repeats_what_its_run_was_told() {
        let mut call = Call {
            common: vec!["-c /etc/p.toml".to_owned(), "--state /var/p".to_owned()],
            own: vec!["--data-directory /mnt/old".to_owned()],
            stores: Vec::new(),
        };
        assert_eq!(
            call.command(AGAIN, "my link"),
            "paritas failover -c /etc/p.toml --state /var/p --data-directory /mnt/old 'my link'"
        );
        assert_eq!(
            call.command(ROWS, "trading"),
            "paritas verify --against last -c /etc/p.toml --state /var/p trading"
        );
        call.stores = vec!["postgres://a/db".to_owned(), "postgres://b/db".to_owned()];
        assert_eq!(
            call.command(BOTH, "x"),
            "paritas verify -c /etc/p.toml --state /var/p postgres://a/db postgres://b/db"
        );
    }

    #[test]
    fn a_time_has_a_zone() {
        assert_eq!("2026-11-30T20:04:05+01:00".parse::<FailedAt>().unwrap().to_string(), "2026-11-30T19:04:05Z");
        for bad in ["", "yesterday", "2026-11-30T19:04:05", "2026-13-30T19:04:05Z", "19:04"] {
            assert!(bad.parse::<FailedAt>().is_err(), "{bad}");
        }
    }
}
