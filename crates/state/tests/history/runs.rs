//! Runs are found as they were recorded, and kept as long as was said.

use super::{DAY, HOUR, SECOND, START, failover, id, link, open, run, sample, state};
use paritas_model::Verdict;
use paritas_state::history::{Retention, RunFilter};
use paritas_state::{RunRecord, State, Which};
use std::process::{Command, Stdio};

fn keep_report(state: &State, at: i64) {
    state.save_run(&RunRecord { id: id(at), json: b"{\"a\":1}".to_vec() }).unwrap();
}

#[test]
fn a_run_is_read_back_as_it_was_and_the_newest_is_first() {
    let (_dir, state) = state();
    let mut history = open(&state);
    let first =
        run(START, "verify", vec![link("trading", Verdict::Fail, Vec::new()), link("b", Verdict::Pass, Vec::new())]);
    let second = failover(START + HOUR, Some("quarterly"));
    history.record_all(&[second.clone(), first.clone()]).unwrap();
    let (found, total) = history.runs(RunFilter::default()).unwrap();
    let mut expected = second;
    expected.links[0].recovery = None;
    assert_eq!((found.as_slice(), total), ([expected.clone(), first.clone()].as_slice(), 2));
    let limited = RunFilter { limit: Some(1), ..RunFilter::default() };
    assert_eq!(history.runs(limited).unwrap(), (vec![expected], 2));
    let of_link = RunFilter { link: Some("b"), since: START, limit: None };
    assert_eq!(history.runs(of_link).unwrap(), (vec![first], 1));
    assert_eq!(history.runs(RunFilter { link: Some("none"), ..of_link }).unwrap().1, 0);
    assert_eq!(history.runs(RunFilter { link: None, since: START + 2 * HOUR, limit: None }).unwrap().1, 0);
}

#[test]
fn verdicts_are_counted_day_by_day() {
    let (_dir, state) = state();
    let mut history = open(&state);
    for (at, verdict) in [(0, Verdict::Pass), (1, Verdict::Pass), (2, Verdict::Unknown), (30, Verdict::Fail)] {
        history.record_all(&[run(START + at * HOUR, "lag", vec![link("trading", verdict, Vec::new())])]).unwrap();
    }
    let found = history.verdicts(Some("trading"), 0).unwrap();
    let day = START / DAY;
    let shown: Vec<_> = found.iter().map(|one| (one.day - day, one.verdict, one.count)).collect();
    assert_eq!(shown, [(0, Verdict::Pass, 2), (0, Verdict::Unknown, 1), (1, Verdict::Fail, 1)]);
    assert_eq!(found[0].last, id(START + HOUR));
    assert!(history.verdicts(Some("other"), 0).unwrap().is_empty());
    assert_eq!(history.verdicts(None, START + DAY).unwrap().len(), 1);
}

#[test]
fn recoveries_say_whether_they_were_drills() {
    let (_dir, state) = state();
    let mut history = open(&state);
    history.record_all(&[failover(START, Some("quarterly")), failover(START + DAY, None)]).unwrap();
    let found = history.recoveries(Some("trading"), 0).unwrap();
    let drills: Vec<Option<&str>> = found.iter().map(|one| one.drill.as_deref()).collect();
    assert_eq!(drills, [None, Some("quarterly")]);
    assert_eq!(Some(&found[0].facts), failover(0, None).links[0].recovery.as_ref());
    assert_eq!(history.recoveries(None, START + 1_000_000).unwrap().len(), 1);
    assert!(history.recoveries(Some("other"), 0).unwrap().is_empty());
}

#[test]
fn old_runs_go_with_their_reports_and_what_a_failover_cost_stays_longest() {
    let (_dir, state) = state();
    let mut history = open(&state);
    let one = |at: i64, command: &str, verdict| run(START + at, command, vec![link("trading", verdict, Vec::new())]);
    let runs = [
        one(0, "lag", Verdict::Pass),
        one(SECOND, "lag", Verdict::Fail),
        one(2 * SECOND, "verify", Verdict::Pass),
        failover(START + 3 * SECOND, None),
    ];
    for run in &runs {
        keep_report(&state, run.started);
    }
    history.record_all(&runs).unwrap();
    for (age, left) in [(29, 4), (31, 3), (399, 3), (401, 1), (729, 1), (731, 0)] {
        history.maintain(&state, START + age * DAY).unwrap();
        assert_eq!(history.run_ids().unwrap().len(), left, "after {age} days");
        assert_eq!(state.list_runs().unwrap().len(), left, "after {age} days");
    }
    assert!(history.recoveries(None, 0).unwrap().is_empty() && history.verdicts(None, 0).unwrap().is_empty());
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let (_dir, state) = state();
    let path = open(&state).path().to_owned();
    let sql = |text: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(text).unwrap();
    sql("PRAGMA user_version = 99");
    let error = state.history(Retention::default()).unwrap_err();
    assert_eq!(error.code(), "state.version");
    assert!(error.message().contains("99") && error.hint_text().contains("newer"), "{error}");
    sql("PRAGMA user_version = 1");
    open(&state);
}

#[test]
fn an_empty_file_becomes_a_history_and_an_opened_one_stays_what_it_is() {
    let (_dir, state) = state();
    std::fs::write(state.folder().join("history.sqlite3"), b"").unwrap();
    let mut history = open(&state);
    history.record_all(&[failover(START, None)]).unwrap();
    drop(history);
    assert_eq!(open(&state).run_ids().unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_the_history() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, state) = state();
    let mut history = open(&state);
    history.record_all(&[failover(START, None)]).unwrap();
    for entry in std::fs::read_dir(state.folder()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

/// The other side of `two_programs_record_at_once`: records runs into the folder of the variable.
#[test]
fn another_program() {
    let Some(folder) = std::env::var_os("PARITAS_TEST_HISTORY") else { return };
    let state = State::open(folder).unwrap();
    let mut history = open(&state);
    for n in 0..40 {
        let at = START + n * 2 * SECOND + SECOND;
        let one = run(at, "lag", vec![link("trading", Verdict::Pass, vec![sample(at, 1_000, Some(2_000))])]);
        history.record(&state, &one, at).unwrap();
        history.maintain(&state, at).unwrap();
    }
}

#[test]
fn two_programs_record_at_once_and_nothing_is_lost() {
    let (_dir, state) = state();
    let mut history = open(&state);
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "runs::another_program"])
        .env("PARITAS_TEST_HISTORY", state.folder())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for n in 0..40 {
        let at = START + n * 2 * SECOND;
        let one = run(at, "lag", vec![link("trading", Verdict::Pass, vec![sample(at, 1_000, Some(2_000))])]);
        history.record(&state, &one, at).unwrap();
        history.maintain(&state, at).unwrap();
    }
    assert!(other.wait().unwrap().success());
    history.maintain(&state, START + HOUR).unwrap();
    assert_eq!(history.run_ids().unwrap().len(), 80);
    let stream = &history.streams(None).unwrap()[0];
    assert_eq!(history.window(stream, START, START + HOUR).unwrap().all.samples(), 80);
    assert_eq!(state.load_run(Which::Last).unwrap_err().code(), "state.missing");
}
