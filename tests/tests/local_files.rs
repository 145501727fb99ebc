//! Local files that shrink, change or fail while they are read: never a pass, never a difference that is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_tests::{command, ended};
use rstest::rstest;
use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Rows of the large file: it takes seconds to read.
const ROWS: u32 = 400_000;

/// Rows of one that is only hashed, which is faster by far.
const ROWS_TO_HASH: u32 = 3_000_000;

/// Heads of files are read before: so much is only read by a scan, and it is far from the end.
const SCANNING_BYTES: u64 = 6 << 20;

fn write(path: &Path, rows: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text: String = (0..rows).map(|id| format!("{id},{},some text that makes the row longer\n", id % 97)).collect();
    fs::write(path, format!("id,amount,note\n{text}")).unwrap();
}

fn begin(source: &Path, replica: &Path, kind: &str) -> Child {
    let (source, replica) = (format!("{kind}{}?key=id", source.display()), format!("{kind}{}", replica.display()));
    let source = if kind.is_empty() { source.trim_end_matches("?key=id").to_owned() } else { source };
    let mut call = command(&["verify", "--json", &source, &replica, "--parallel", "1"]);
    call.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Bytes that a process has read so far.
fn bytes_read(child: &Child) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", child.id())).expect("it still runs");
    io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).expect("a number of bytes")
}

/// Stops the process as soon as it has read so much and has the file open; `false` when it was through
/// before it could be stopped.
fn stop_within(child: &mut Child, file: &Path, bytes: u64) -> bool {
    let folder = format!("/proc/{}/fd", child.id());
    let file = fs::canonicalize(file).unwrap();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        let open = fs::read_dir(&folder).expect("it still runs").flatten();
        let open = open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path == file);
        if open && bytes_read(child) >= bytes {
            signal(child, "-STOP");
            return true;
        }
        std::thread::yield_now();
    }
}

/// Runs that may be through before they can be stopped, at most.
const RUNS_MAX: u32 = 20;

/// A run that is stopped while it reads `file`.
fn stopped(source: &Path, replica: &Path, kind: &str, file: &Path, after: u64) -> Child {
    for _ in 0..RUNS_MAX {
        let mut child = begin(source, replica, kind);
        if stop_within(&mut child, file, after) {
            return child;
        }
    }
    panic!("{RUNS_MAX} runs were through before they could be stopped")
}

/// A file that is written again and again, so that reading it once more does not help either.
#[rstest]
#[case::rows_shrink("csv:", true, SCANNING_BYTES)]
#[case::rows_change("csv:", false, SCANNING_BYTES)]
#[case::bytes_shrink("", true, 0)]
#[case::bytes_change("", false, 0)]
fn a_file_that_changes_while_it_is_read_proves_nothing(#[case] kind: &str, #[case] shrinks: bool, #[case] after: u64) {
    let scratch = Scratch::new().unwrap();
    let (east, west) = (scratch.path().join("east"), scratch.path().join("west"));
    let (ours, theirs) = (east.join("a.csv"), west.join("a.csv"));
    write(&ours, if kind.is_empty() { ROWS_TO_HASH } else { ROWS });
    fs::create_dir(&west).unwrap();
    let whole = fs::copy(&ours, &theirs).unwrap();
    let child = stopped(&east, &west, kind, &theirs, after);
    let mut file = OpenOptions::new().write(true).open(&theirs).unwrap();
    let mut length = whole;
    let mut change = || {
        if shrinks {
            // More than a half is always left, so that there is something to read.
            length = length.saturating_sub(1 << 10).max(whole / 2);
            file.set_len(length).unwrap();
        }
        file.seek(SeekFrom::Start(length - 3)).unwrap();
        file.write_all(b"R").unwrap();
    };
    change();
    signal(&child, "-CONT");
    let waiting = std::thread::spawn(move || ended(child));
    while !waiting.is_finished() {
        change();
        std::thread::yield_now();
    }
    let run = waiting.join().unwrap().expect_code(3);
    assert!(run.stdout.contains("a.csv changed while it was read"), "{}", run.stdout);
    run.expect_no_difference();
}

/// Reading the memory of a process at address 0 fails as a broken disk does.
#[rstest]
#[case::source("east")]
#[case::replica("west")]
fn a_file_that_gives_an_input_error_is_no_pass_and_no_difference(#[case] side: &str) {
    let scratch = Scratch::new().unwrap();
    for name in ["east", "west"] {
        let path = scratch.path().join(name).join("a.csv");
        write(&path, 3);
        if name == side {
            fs::remove_file(&path).unwrap();
            symlink("/proc/self/mem", &path).unwrap();
        }
    }
    for kind in ["csv:", ""] {
        let run = ended(begin(&scratch.path().join("east"), &scratch.path().join("west"), kind));
        assert!(matches!(run.code, 1 | 3), "{run:#?}");
        if run.code == 1 {
            assert!(run.stdout.contains("\"data.damaged\""), "{run:#?}");
        }
        run.expect_no_difference();
    }
}
