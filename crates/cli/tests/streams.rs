//! Standard output and standard error: what goes where, and what happens when it cannot.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[cfg(target_os = "linux")]
mod terminal;

use common::{Folder, run};
use std::fs::OpenOptions;
use std::process::Stdio;

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = folder.command(&["completions", "bash"]);
    command.stdout(writer).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn a_result_that_cannot_be_written_is_said_and_changes_the_exit_code() {
    let folder = Folder::new();
    for args in [&["--version"][..], &["completions", "bash"], &["verify", "--json", "--nonsense"]] {
        let mut command = folder.command(args);
        command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.starts_with("error: cannot write the result to standard output\n"), "{stderr}");
    }
}

#[test]
fn colours_are_used_only_where_they_are_wanted() {
    let folder = Folder::new();
    let colored = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = folder.command(args);
        command.envs(variables.iter().copied());
        run(command).stderr.contains('\u{1b}')
    };
    let mistake = ["verify", "foo"];
    assert!(!colored(&mistake, &[]), "standard error is no terminal");
    assert!(colored(&mistake, &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(&mistake, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    let always = ["verify", "foo", "--color", "always"];
    assert!(colored(&always, &[("NO_COLOR", "1")]), "asking for it wins");
    assert!(!colored(&["verify", "foo", "--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}
