//! A history that was changed, cut, closed or has no room says so, and never answers something else.

use super::{DAY, HOUR, SECOND, START, failover, link, open, run, sample, state};
use paritas_model::Verdict;
use paritas_state::history::{Aggregate, History, Retention, RunFilter};
use paritas_state::{State, StateError};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A history with a bit of everything, in one file.
fn filled() -> (tempfile::TempDir, State, PathBuf) {
    let (dir, state) = state();
    let mut history = open(&state);
    let runs: Vec<_> = (0..60_i64)
        .map(|n| {
            let at = START + n * 37 * SECOND;
            let low = n.cast_unsigned() * 1_000;
            run(at, "lag", vec![link("trading", Verdict::Pass, vec![sample(at, low, Some(low + 100))])])
        })
        .collect();
    history.record_all(&runs).unwrap();
    history.record_all(&[failover(START + HOUR, Some("drill")), failover(START + 2 * HOUR, None)]).unwrap();
    history.maintain(&state, START + HOUR / 2).unwrap();
    let path = history.path().to_owned();
    drop(history);
    // The last program that closes it leaves one file.
    assert!(!path.with_extension("sqlite3-wal").exists());
    (dir, state, path)
}

/// Everything that can be asked, as a checksum.
fn answers(history: &History) -> Result<String, StateError> {
    let mut text = format!(
        "{:?} {:?} {:?} {:?}",
        history.run_ids()?,
        history.runs(RunFilter::default())?,
        history.verdicts(None, 0)?,
        history.recoveries(None, 0)?
    );
    for stream in history.streams(None)? {
        let window = history.window(&stream, START, START + DAY)?;
        let all = &window.all;
        let lag = [1, 250, 500, 750, 990, 1_000].map(|part| all.lag(part));
        let figures = [500, 1_000].map(|part| Aggregate::figure(&all.bytes, part));
        let between = (all.open, all.unbounded, all.before.count(), all.before.ranked(all.before.count()));
        text.push_str(&format!("{stream:?} {} {} {lag:?} {figures:?} {between:?}", all.samples(), all.known()));
        text.push_str(&format!("{:?}", window.last));
    }
    Ok(blake3::hash(text.as_bytes()).to_string())
}

fn asked(state: &State) -> Result<String, StateError> {
    let history = state.history(Retention::default())?;
    history.check()?;
    answers(&history)
}

/// Whether an answer is the right one, or an error that says what to do.
fn demand(found: Result<String, StateError>, expected: &str, what: &str) -> bool {
    match found {
        Ok(found) => {
            assert_eq!(found, expected, "{what}");
            true
        }
        Err(error) => {
            assert!(["state.damaged", "state.version"].contains(&error.code()), "{what}: {} {error}", error.code());
            assert!(!error.hint_text().is_empty());
            false
        }
    }
}

#[test]
fn a_flipped_byte_is_an_error_or_changes_nothing() {
    let (_dir, state, path) = filled();
    let expected = asked(&state).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut seen = 0;
    // A prime, so that all columns of all pages are met.
    for (index, at) in (0..whole.len()).step_by(211).enumerate() {
        let mut changed = whole.clone();
        changed[at] ^= [0x01, 0x10, 0x80, 0xff][index % 4];
        rewrite(&path, &changed);
        if !demand(asked(&state), &expected, &format!("byte {at}")) {
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} were seen");
    rewrite(&path, &whole);
    assert_eq!(asked(&state).unwrap(), expected);
}

fn rewrite(path: &Path, bytes: &[u8]) {
    for beside in ["sqlite3-wal", "sqlite3-shm"] {
        let _ = std::fs::remove_file(path.with_extension(beside));
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_cut_file_is_an_error() {
    let (_dir, state, path) = filled();
    let expected = asked(&state).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in (1..whole.len()).step_by(2_027) {
        rewrite(&path, &whole[..length]);
        let whole = demand(asked(&state), &expected, &format!("cut to {length}"));
        assert!(!whole, "cut to {length} bytes it passes for whole");
    }
}

#[test]
fn another_file_is_an_error_and_moved_away_a_new_history_begins() {
    let (_dir, state, path) = filled();
    rewrite(&path, &b"this is no database".repeat(500));
    let error = state.history(Retention::default()).unwrap_err();
    assert_eq!(error.code(), "state.damaged");
    assert!(error.hint_text().contains("history.sqlite3"), "{}", error.hint_text());
    std::fs::rename(&path, path.with_extension("damaged")).unwrap();
    assert!(open(&state).run_ids().unwrap().is_empty());
}

#[test]
fn a_log_that_was_cut_loses_at_most_what_was_written_last_and_says_nothing_else() {
    let (_dir, state, path) = filled();
    let before = asked(&state).unwrap();
    let log = path.with_extension("sqlite3-wal");
    let mut history = open(&state);
    history.record_all(&[failover(START + 3 * HOUR, None)]).unwrap();
    let after = answers(&history).unwrap();
    let (main, written) = (std::fs::read(&path).unwrap(), std::fs::read(&log).unwrap());
    drop(history);
    for length in (0..written.len()).step_by(509) {
        rewrite(&path, &main);
        std::fs::write(&log, &written[..length]).unwrap();
        let found = asked(&state).unwrap();
        assert!(found == before || found == after, "cut to {length}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, state, path) = filled();
    let close = |mode: u32| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o666)).unwrap();
        std::fs::set_permissions(state.folder(), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    close(0o500);
    // Somebody who may do everything is not kept out by this.
    let privileged = std::fs::write(state.folder().join("try"), b"").is_ok();
    let outcome = state.history(Retention::default()).and_then(|mut own| own.record_all(&[failover(START, None)]));
    close(0o700);
    if !privileged {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), "state.denied", "{error}");
    }
}

/// The other side of `a_full_disk_is_said_and_keeps_what_was_there`: no file may grow beyond the limit.
#[test]
fn with_little_room() {
    let Some(folder) = std::env::var_os("PARITAS_TEST_FULL") else { return };
    let state = State::open(folder).unwrap();
    let mut history = open(&state);
    let many: Vec<_> = (0..5_000).map(|n| run(START + DAY + n * SECOND, "lag", Vec::new())).collect();
    let error = history.record_all(&many).unwrap_err();
    assert!(["state.full", "state.io"].contains(&error.code()) && !error.hint_text().is_empty(), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_keeps_what_was_there() {
    let (_dir, state, path) = filled();
    let expected = asked(&state).unwrap();
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec '{}' --exact damage::with_little_room",
        std::fs::metadata(&path).unwrap().len() / 1_024 + 8,
        program.display()
    );
    let output = Command::new("bash").args(["-c", &script]).env("PARITAS_TEST_FULL", state.folder()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(asked(&state).unwrap(), expected);
}
