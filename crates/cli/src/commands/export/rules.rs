//! Rules of alerts for Prometheus.

use paritas_config::Schedule;
use std::fmt::Write as _;
use std::time::Duration;

/// The rules, with marks for what differs.
const RULES: &str = include_str!("rules.yaml");
/// How long something may be unknown before somebody is told.
const PATIENCE: &str = "15m";
/// A job may take this much longer than its interval, or a twelfth of that, before it counts as silent.
const LATE_MIN: Duration = Duration::from_secs(600);
const LATE_PART: u32 = 12;

/// The file of rules. Without a schedule nobody can say when silence is too long; then there is no rule about it.
pub(super) fn rules(prefix: &str, schedule: Option<&Schedule>) -> String {
    let mut text = RULES.replace("@PATIENCE@", PATIENCE);
    for (command, every) in jobs(schedule) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", silent(command, every));
    }
    text.replace("@PREFIX@", prefix)
}

/// What is scheduled, by the command that does it, and how often it ends.
fn jobs(schedule: Option<&Schedule>) -> Vec<(&'static str, Duration)> {
    let Some(schedule) = schedule else { return Vec::new() };
    let verify = schedule.verify.as_ref().map(|verify| verify.every / verify.slices.max(1));
    let all = [("lag", schedule.lag), ("snapshot", schedule.snapshot), ("verify", verify)];
    all.into_iter().filter_map(|(command, every)| Some((command, every?))).collect()
}

fn silent(command: &str, every: Duration) -> String {
    let seconds = (every + LATE_MIN.max(every / LATE_PART)).as_secs();
    format!(
        "
      - alert: ParitasSilent
        expr: 'time() - max by (job, instance, command) (@PREFIX@run_end_timestamp_seconds{{command=\"{command}\"}}) > {seconds}'
        labels:
          severity: critical
          command: {command}
        annotations:
          summary: '{command} has not ended for {{{{ $value | humanizeDuration }}}}'
          description: 'It is due every {} s. Old samples say nothing of today: see whether the timer runs.'
",
        every.as_secs()
    )
}

/// The names of metrics in an expression, with a mark in place of what stands in front of them.
#[cfg(test)]
pub(super) fn names_in<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_report::Metrics;

    #[test]
    fn every_metric_in_the_rules_is_written() {
        let mut seen = 0;
        for name in names_in(RULES, "@PREFIX@") {
            assert!(Metrics::names().any(|own| own == name), "{name}");
            seen += 1;
        }
        assert!(seen > 10, "{seen}");
    }

    #[test]
    fn silence_is_measured_by_the_schedule() {
        let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
        let verify = paritas_config::VerifySchedule { every: Duration::from_secs(86_400), slices: 1, budget: None };
        let schedule = Schedule { lag: Some(Duration::from_secs(30)), snapshot: minutes(15), verify: Some(verify) };
        let text = rules("x_", Some(&schedule));
        for line in [
            "(x_run_end_timestamp_seconds{command=\"lag\"}) > 630'",
            "(x_run_end_timestamp_seconds{command=\"snapshot\"}) > 1500'",
            "(x_run_end_timestamp_seconds{command=\"verify\"}) > 93600'",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!rules("x_", None).contains("ParitasSilent") && !text.contains('@'));
    }
}
