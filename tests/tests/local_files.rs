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
const ROWS: u32 = 1_500_000;

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

/// Stops the process as soon as it has the file open.
fn stop_when_open(child: &Child, file: &Path) {
    let folder = format!("/proc/{}/fd", child.id());
    let file = fs::canonicalize(file).unwrap();
    loop {
        let open = fs::read_dir(&folder).expect("it still runs").flatten();
        if open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path == file) {
            return signal(child, "-STOP");
        }
        std::thread::yield_now();
    }
}

#[rstest]
#[case::rows_shrink("csv:", "shrinks")]
#[case::rows_change("csv:", "changes")]
#[case::bytes_shrink("", "shrinks")]
#[case::bytes_change("", "changes")]
fn a_file_that_changes_while_it_is_read_proves_nothing(#[case] kind: &str, #[case] how: &str) {
    let scratch = Scratch::new().unwrap();
    let (east, west) = (scratch.path().join("east"), scratch.path().join("west"));
    let (ours, theirs) = (east.join("a.csv"), west.join("a.csv"));
    write(&ours, ROWS);
    fs::create_dir(&west).unwrap();
    fs::copy(&ours, &theirs).unwrap();
    let child = begin(&east, &west, kind);
    stop_when_open(&child, &theirs);
    let mut file = OpenOptions::new().write(true).open(&theirs).unwrap();
    match how {
        "shrinks" => file.set_len(100).unwrap(),
        _ => {
            // The last row, which has not been read yet.
            file.seek(SeekFrom::End(-3)).unwrap();
            file.write_all(b"R").unwrap();
        }
    }
    signal(&child, "-CONT");
    let run = ended(child).expect_code(3);
    assert!(run.stdout.contains("\"data.changed\""), "{}", run.stdout);
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
