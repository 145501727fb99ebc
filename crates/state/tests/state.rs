//! What is kept is there whole or not at all, and every failure says what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_digest::{
    Canon, CanonColumn, CanonKind, Capacity, Digest, DigestKey, HeaderFacts, KeyForm, Policies, RowEntries, Slot, Spec,
    Sums, schema_fingerprint,
};
use paritas_model::{Known, Schema};
use paritas_state::{KeptPart, KeptRange, KeptRanges, ROWS_UNLIKE, RunRecord, State, Which};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use ulid::Ulid;

fn state() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path().join("deep/state")).unwrap();
    (dir, state)
}

fn run(id: u64, text: &str) -> RunRecord {
    RunRecord { id: Ulid::from_parts(id, 1), json: format!("{{\"text\":\"{text}\"}}").into_bytes() }
}

fn spec() -> Arc<Spec> {
    let canon = Canon {
        kind: CanonKind::Logical,
        columns: vec![CanonColumn { name: "id".into(), slot: Slot::Int }],
        key_columns: 1,
        policies: Policies::default(),
    };
    Spec::new(&DigestKey::unkeyed(), "public.orders", canon).unwrap()
}

fn digest() -> Digest {
    let spec = spec();
    let sums = Sums::new(KeyForm::Inline8, Capacity::for_differences(1));
    let schema = schema_fingerprint(&Schema::default());
    let facts = HeaderFacts { schema, position: Known::unknown("a test"), store: "pg-east".into() };
    Digest::taken_at(&spec, facts, sums, "2026-11-21T12:00:00Z".into())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn runs_are_kept_and_found_by_id_and_as_the_last_one() {
    let (_dir, state) = state();
    assert_eq!(state.load_run(Which::Last).unwrap_err().code(), "state.missing");
    assert!(state.list_runs().unwrap().is_empty());
    for id in [5, 9, 7] {
        state.save_run(&run(id, "a")).unwrap();
    }
    std::fs::write(state.folder().join("runs/notes.txt"), "mine").unwrap();
    std::fs::write(state.folder().join("runs/notes.json"), "mine").unwrap();
    assert_eq!(state.list_runs().unwrap(), [5, 7, 9].map(|id| run(id, "").id));
    assert_eq!(state.load_run(Which::Last).unwrap(), run(9, "a"));
    assert_eq!(state.load_run(Which::Id(run(5, "").id)).unwrap(), run(5, "a"));
    assert_eq!(state.load_run(Which::Id(run(6, "").id)).unwrap_err().code(), "state.missing");
    state.save_run(&run(9, "b")).unwrap();
    assert_eq!(state.load_run(Which::Last).unwrap(), run(9, "b"));
    assert_eq!(names(&state.folder().join("runs")).len(), 5, "nothing unfinished is left");
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_the_state() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, state) = state();
    let path = state.save_run(&run(1, "a")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(state.folder()), mode(path.parent().unwrap()), mode(&path)), (0o700, 0o700, 0o600));
}

#[test]
fn a_report_takes_the_place_of_what_was_found_before() {
    let (_dir, state) = state();
    state.save_partial(&run(1, "half")).unwrap();
    state.save_partial(&run(1, "more")).unwrap();
    state.save_partial(&run(2, "other")).unwrap();
    assert_eq!(state.load_partial(Which::Id(run(1, "").id)).unwrap(), run(1, "more"));
    assert!(state.list_runs().unwrap().is_empty());
    state.save_run(&run(1, "whole")).unwrap();
    assert_eq!(state.list_partial().unwrap(), [run(2, "").id]);
    assert_eq!(state.load_run(Which::Last).unwrap(), run(1, "whole"));
}

#[test]
fn digests_are_kept_by_link_and_dataset_whatever_their_names() {
    let (_dir, state) = state();
    let digest = digest();
    let pairs = [("trading", "public.orders"), ("trading", "public.Orders"), ("../..", "a/b"), ("", "é")];
    for (link, dataset) in pairs {
        state.save_digest(link, dataset, Ulid::from_parts(3, 0), &digest).unwrap();
        state.save_digest(link, dataset, Ulid::from_parts(4, 0), &digest).unwrap();
        assert_eq!(state.list_digests(link, dataset).unwrap().len(), 2);
        let loaded = state.load_digest(link, dataset, Which::Last).unwrap();
        assert_eq!((loaded.header.dataset.as_str(), loaded.sums.is_zero()), ("public.orders", true));
    }
    assert_eq!(names(&state.folder().join("digests")).len(), 3);
    assert_eq!(names(state.folder()), ["digests"], "nothing is written elsewhere");
    assert_eq!(state.load_digest("trading", "public.none", Which::Last).unwrap_err().code(), "state.missing");
}

#[test]
fn damaged_files_are_named_with_a_hint() {
    let (_dir, state) = state();
    let path = state.save_run(&run(1, "a long enough text")).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let changed = String::from_utf8(whole.clone()).unwrap().replace("long", "song").into_bytes();
    for bytes in
        [&whole[..0], &whole[..9], &[0xFF; 20], &[&whole[..], b"}"].concat(), b"{\"text\":\"another\"}", &changed]
    {
        std::fs::write(&path, bytes).unwrap();
        let error = state.load_run(Which::Last).unwrap_err();
        assert_eq!((error.code(), error.path()), ("state.damaged", path.as_path()));
        assert!(error.message().contains("01") && !error.hint_text().is_empty(), "{error}");
    }
    let path = state.save_digest("l", "d", Ulid::from_parts(1, 0), &digest()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let load = || state.load_digest("l", "d", Which::Last).unwrap_err();
    for bytes in
        [&whole[..0], &whole[..whole.len() - 1], &whole[..20], b"not a digest at all, but long enough to be one"]
    {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(load().code(), "state.damaged");
    }
    let mut flipped = whole;
    let last = flipped.len() - 1;
    *flipped.get_mut(last).unwrap() ^= 1;
    std::fs::write(&path, flipped).unwrap();
    assert_eq!(load().code(), "state.damaged");
}

#[test]
fn a_place_that_cannot_be_a_folder_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for place in [file.clone(), file.join("below")] {
        let error = State::open(&place).unwrap_err();
        assert_eq!(error.code(), "state.place", "{error}");
        assert!(error.hint_text().contains("--state"), "{error}");
    }
}

/// Privileges are dropped by this thread alone, so that the test also means something for root.
#[test]
fn a_folder_that_may_not_be_written_is_a_clear_error_and_keeps_what_is_there() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, state) = state();
    state.save_run(&run(1, "a")).unwrap();
    let report = state.folder().join(format!("runs/{}.json", run(1, "").id));
    let mode = |mode| {
        // Bottom up, so that the last ones can still be reached.
        for folder in report.ancestors().skip(1).take_while(|folder| *folder != std::env::temp_dir()) {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    std::fs::set_permissions(&report, std::fs::Permissions::from_mode(0o644)).unwrap();
    mode(0o555);
    let (saved, loaded, locked) = std::thread::scope(|scope| {
        let attempt = || {
            if rustix::process::geteuid().is_root() {
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
            }
            (state.save_run(&run(2, "b")), state.load_run(Which::Last), state.lock())
        };
        scope.spawn(attempt).join().unwrap()
    });
    mode(0o755);
    let error = saved.unwrap_err();
    assert_eq!(error.code(), "state.denied", "{error}");
    assert!(error.hint_text().contains("--state DIR"), "{error}");
    assert_eq!(locked.unwrap_err().code(), "state.denied");
    assert_eq!(loaded.unwrap(), run(1, "a"));
}

/// Set for the child processes of these tests, which run one of them with a folder.
const CHILD: &str = "PARITAS_STATE_TEST_FOLDER";

/// Runs a test of this file in a process of its own, through a shell that prepares it.
fn child(test: &str, prepare: &str, folder: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    let script = format!("{prepare} exec \"$0\" --exact {test} --ignored --nocapture");
    command.arg("-c").arg(script).arg(std::env::current_exe().unwrap()).env(CHILD, folder);
    command
}

/// Whether the one test of the child ran and passed.
fn passes(command: &mut Command) -> bool {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("running 1 test"), "{text}");
    output.status.success() && text.contains("1 passed")
}

#[test]
fn a_full_disk_is_a_clear_error_and_keeps_what_is_there() {
    let (_dir, state) = state();
    state.save_run(&run(1, "kept")).unwrap();
    // No file may grow beyond 8 blocks of 512 bytes; without the trap the process would be killed.
    let prepare = "trap '' XFSZ; ulimit -f 8;";
    assert!(passes(&mut child("writes_more_than_it_may", prepare, state.folder())));
    assert_eq!(state.load_run(Which::Last).unwrap(), run(1, "kept"));
    assert_eq!(names(&state.folder().join("runs")).len(), 1, "nothing unfinished is left");
}

#[test]
#[ignore = "started by another test"]
fn writes_more_than_it_may() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let state = State::open(folder).unwrap();
    let large = RunRecord { ..run(2, &" ".repeat(1 << 20)) };
    for result in
        [state.save_run(&large), state.save_partial(&large), state.save_run(&RunRecord { id: run(1, "").id, ..large })]
    {
        let error = result.unwrap_err();
        assert_eq!(error.code(), "state.full", "{error}");
        assert!(error.hint_text().contains("free space"), "{error}");
    }
}

#[test]
fn a_second_process_is_told_who_is_writing() {
    let (_dir, state) = state();
    let lock = state.lock().unwrap();
    let error = state.lock().unwrap_err();
    assert_eq!(error.code(), "state.locked");
    assert!(error.message().contains(&format!("process {}", std::process::id())), "{error}");
    let locked = || passes(&mut child("takes_the_lock", "", state.folder()));
    assert!(!locked());
    drop(lock);
    assert!(locked());
    assert!(state.lock().is_ok());
}

#[test]
#[ignore = "started by another test"]
fn takes_the_lock() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let state = State::open(folder).unwrap();
    assert!(state.lock().is_ok());
}

#[test]
fn what_a_killed_process_left_is_removed_and_its_lock_is_free() {
    let (_dir, state) = state();
    state.save_digest("l", "d", Ulid::from_parts(1, 0), &digest()).unwrap();
    state.save_run(&run(1, "a")).unwrap();
    let folders = [state.folder().join("runs"), state.folder().join("digests/l/d")];
    for folder in &folders {
        std::fs::write(folder.join(".unfinished-01ABC"), "half").unwrap();
    }
    let status = child("dies_with_the_lock", "", state.folder()).output().unwrap().status;
    assert!(!status.success());
    assert!(state.list_runs().unwrap().len() == 1);
    let _lock = state.lock().unwrap();
    for folder in &folders {
        assert_eq!(names(folder).len(), 1, "{}", folder.display());
    }
}

#[test]
fn what_was_left_unfinished_long_ago_is_removed_without_a_lock() {
    let (_dir, state) = state();
    state.save_run(&run(1, "a")).unwrap();
    let runs = state.folder().join("runs");
    let (old, fresh) = (Ulid::from_parts(1, 1), Ulid::generate());
    for name in [format!(".unfinished-{old}"), format!(".unfinished-{fresh}"), ".unfinished-mine".to_owned()] {
        std::fs::write(runs.join(name), "half").unwrap();
    }
    State::open(state.folder()).unwrap();
    let left = [format!(".unfinished-{fresh}"), ".unfinished-mine".to_owned(), format!("{}.json", run(1, "").id)];
    assert_eq!(names(&runs), left);
}

#[test]
fn two_processes_at_once_keep_all_of_their_runs() {
    let (_dir, state) = state();
    let mut writers: Vec<_> = ["1", "2", "3"]
        .map(|first| {
            let mut command = child("keeps_many_runs", "", state.folder());
            command.env("PARITAS_STATE_TEST_FIRST", first).stdout(Stdio::null()).spawn().unwrap()
        })
        .into();
    for writer in &mut writers {
        assert!(writer.wait().unwrap().success());
    }
    let ids = state.list_runs().unwrap();
    assert_eq!(ids.len(), 3 * 50);
    for id in ids {
        state.load_run(Which::Id(id)).unwrap();
    }
    assert_eq!(state.list_partial().unwrap(), []);
}

#[test]
#[ignore = "started by another test"]
fn keeps_many_runs() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let first: u64 = std::env::var("PARITAS_STATE_TEST_FIRST").unwrap().parse().unwrap();
    for number in 0..50 {
        let state = State::open(&folder).unwrap();
        let run = run(first * 1_000 + number, "x");
        state.save_partial(&run).unwrap();
        state.save_run(&run).unwrap();
    }
}

#[test]
#[ignore = "started by another test"]
fn dies_with_the_lock() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let state = State::open(folder).unwrap();
    let _lock = state.lock().unwrap();
    std::process::abort();
}

/// Kills a process that writes the same run over and over, at moments that differ from round to
/// round: whenever it happens, the report read afterwards is a whole one.
#[test]
fn a_process_killed_while_writing_leaves_a_whole_report() {
    let (_dir, state) = state();
    state.save_run(&run(1, "before")).unwrap();
    for round in 0..20_u64 {
        let mut writer = child("writes_forever", "", state.folder()).spawn().unwrap();
        let ready = state.folder().join("ready");
        while !ready.exists() {
            std::thread::yield_now();
        }
        // Some work of varying length instead of a sleep.
        let _ = (0..round * 50_000).fold(0_u64, |sum, i| std::hint::black_box(sum.wrapping_add(i)));
        writer.kill().unwrap();
        writer.wait().unwrap();
        std::fs::remove_file(&ready).unwrap();
        let json = state.load_run(Which::Last).unwrap().json;
        assert!(json == run(1, "before").json || json.len() == 100_011, "{} bytes", json.len());
    }
    drop(state.lock().unwrap());
    assert_eq!(names(&state.folder().join("runs")).len(), 1);
}

#[test]
#[ignore = "started by another test"]
fn writes_forever() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let state = State::open(folder).unwrap();
    std::fs::write(state.folder().join("ready"), "").unwrap();
    for letter in ('a'..='z').cycle() {
        let text: String = std::iter::repeat_n(letter, 100_000).collect();
        let json = format!("{{\"text\":\"{text}\"}}").into_bytes();
        state.save_run(&RunRecord { id: run(1, "").id, json }).unwrap();
    }
}

#[test]
fn observations_are_kept_whole_bounded_and_by_one_probe_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(folder.path()).unwrap();
    assert!(state.list_observed("a/b").unwrap().is_empty());
    let held = state.lock_observed("a/b").unwrap();
    assert_eq!(state.lock_observed("a/b").unwrap_err().code(), "state.locked");
    // Another link, and runs, are not in its way.
    drop((state.lock_observed("a").unwrap(), state.lock().unwrap()));
    drop(held);
    let ids: Vec<Ulid> = (1..=70).map(|n| Ulid::from_parts(n, 1)).collect();
    for id in &ids {
        state.save_observed("a/b", *id, b"{\"n\":1}").unwrap();
    }
    let last = *ids.last().unwrap();
    state.save_observed("a/b", last, b"{\"n\":2}").unwrap();
    assert_eq!(state.list_observed("a/b").unwrap(), ids.get(6..).unwrap());
    assert_eq!(state.load_observed("a/b", last).unwrap(), b"{\"n\":2}");
    assert_eq!(state.load_observed("a", last).unwrap_err().code(), "state.missing");
    let path = state.save_observed("a/b", last, b"{\"n\":3}").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(state.load_observed("a/b", last).unwrap_err().code(), "state.damaged");
}

#[test]
fn snapshots_are_kept_by_link_and_what_was_changed_is_no_snapshot() {
    let (_dir, state) = state();
    let missing = state.load_snapshot("trading", Which::Last).unwrap_err();
    assert_eq!((missing.code(), missing.hint_text().contains("paritas snapshot")), ("state.missing", true));
    let ids: Vec<Ulid> = (1..=102).map(|id| Ulid::from_parts(id, 1)).collect();
    for id in &ids {
        state.save_snapshot("trading", *id, b"{\"n\":1}").unwrap();
    }
    assert_eq!(state.list_snapshots("trading").unwrap(), ids.get(2..).unwrap());
    let last = *ids.last().unwrap();
    assert_eq!(state.load_snapshot("trading", Which::Last).unwrap(), (last, b"{\"n\":1}".to_vec()));
    assert_eq!(state.load_snapshot("other", Which::Id(last)).unwrap_err().code(), "state.missing");
    let path = state.save_snapshot("trading", last, b"{\"n\":2}").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace('2', "3")).unwrap();
    assert_eq!(state.load_snapshot("trading", Which::Last).unwrap_err().code(), "state.damaged");
}

/// Rows of a range, as many bytes.
fn rows_of(range: u8, round: u8) -> Vec<u8> {
    vec![range ^ round; 200_000]
}

#[test]
fn rows_that_are_out_of_date_are_given_up_and_the_others_stay() {
    let (_dir, state) = state();
    let folder = state.ranges("link", "public.orders");
    assert!(folder.load().unwrap().is_none());
    let range = |place| KeptRange { blocks: 8, rows: 1, at: 7, read_at: -5, place: Some(place) };
    let mut ranges: Vec<KeptRange> = Vec::new();
    let mut newest = [0; 10];
    for round in 0..60_u8 {
        let mut writer = folder.begin().unwrap();
        for index in 0..10_u8 {
            // The first one is never written again, so that its rows have to be carried along.
            if round == 0 || (index > 0 && (index + round) % 3 == 0) {
                let place = writer.add(&rows_of(index, round)).unwrap();
                newest[usize::from(index)] = round;
                match ranges.get_mut(usize::from(index)) {
                    Some(old) => *old = range(place),
                    None => ranges.push(range(place)),
                }
            }
        }
        let part = KeptPart { sql: "t".into(), storage: "1/2".into(), ranges: ranges.clone() };
        let kept = KeptRanges { facts: serde_json::json!({"a": 1}), digest: digest(), parts: vec![part] };
        let bytes = writer.finish(kept).unwrap();
        assert!(bytes < 10 * 1_000_000, "{bytes} bytes for 2 MB in round {round}");
        // Some of them are in another place by now.
        let kept = folder.load().unwrap().unwrap();
        assert_eq!((kept.facts, kept.digest.header), (serde_json::json!({"a": 1}), digest().header));
        ranges.clone_from(&kept.parts[0].ranges);
        let mut reader = folder.reader();
        for (index, range) in (0_u8..).zip(&ranges) {
            let rows = reader.read(&range.place.unwrap()).unwrap();
            assert!(rows == rows_of(index, newest[usize::from(index)]), "range {index} in round {round}");
        }
    }
    folder.remove().unwrap();
    assert!(folder.load().unwrap().is_none());
    assert!(names(&state.folder().join("ranges/link/public.orders")).is_empty());
}

/// One row as it is kept.
fn row(number: u8) -> Vec<u8> {
    let spec = spec();
    let bytes = usize::try_from(RowEntries::bytes_of(&spec, 1)).unwrap();
    [[1, 0, 0, 0, 0, 0, 0, 0].as_slice(), &vec![number; bytes - 8]].concat()
}

/// Keeps a row more at a time, each in a file of its own, until all are written anew; the digest misses one of them, or
/// none. How the last one ended.
fn kept_one_by_one(state: &State, missing: Option<u8>) -> (u8, Result<(), String>) {
    let (folder, spec) = (state.ranges("link", "public.orders"), spec());
    let mut add = |total: &mut Sums, bytes: &[u8]| {
        let rows = RowEntries::decode(&spec, bytes);
        rows.as_ref().inspect(|rows| total.add_entries(rows)).is_some()
    };
    let (mut ranges, mut digest) = (Vec::new(), digest());
    for number in 1..=100_u8 {
        let mut writer = folder.begin().unwrap();
        let place = Some(writer.add(&row(number)).unwrap());
        ranges.push(KeptRange { blocks: 8, rows: 1, at: 7, read_at: 5, place });
        if missing != Some(number) {
            assert!(add(&mut digest.sums, &row(number)));
        }
        let part = KeptPart { sql: "t".into(), storage: "1/2".into(), ranges: ranges.clone() };
        let kept = KeptRanges { facts: serde_json::json!({}), digest: digest.clone(), parts: vec![part] };
        if let Err(error) = writer.finish_checked(kept, &mut add) {
            return (number, Err(error.code().to_owned()));
        }
        let kept = folder.load().unwrap().unwrap();
        ranges.clone_from(&kept.parts[0].ranges);
    }
    (100, Ok(()))
}

#[test]
fn rows_that_do_not_add_up_to_their_digest_are_found_when_they_are_written_anew() {
    let (_dir, state) = state();
    assert_eq!(kept_one_by_one(&state, None), (100, Ok(())));
    let files = names(&state.folder().join("ranges/link/public.orders"));
    assert!(files.len() < 70, "older files were put together: {}", files.len());
    state.ranges("link", "public.orders").remove().unwrap();
    for missing in [1, 30] {
        let (number, ended) = kept_one_by_one(&state, Some(missing));
        assert_eq!(ended, Err(ROWS_UNLIKE.to_owned()));
        // What was there before stays.
        let before = state.ranges("link", "public.orders").load().unwrap().unwrap();
        assert_eq!(before.parts[0].ranges.len(), usize::from(number) - 1);
        state.ranges("link", "public.orders").remove().unwrap();
    }
}
