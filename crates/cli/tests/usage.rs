//! Help, version, and mistakes in the command line.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Folder;
use rstest::rstest;

#[test]
fn help_and_version_are_results() {
    let folder = Folder::new();
    let help = folder.paritas(&["--help"]).code(0);
    assert!(help.stdout.contains("Exit codes:") && help.stderr.is_empty(), "{help:#?}");
    let version = folder.paritas(&["--version"]).code(0);
    assert_eq!(version.stdout, format!("paritas {}\n", env!("CARGO_PKG_VERSION")));
    for command in ["verify", "init", "config", "bench", "demo", "completions", "man"] {
        let help = folder.paritas(&[command, "--help"]).code(0);
        assert!(help.stdout.contains("Usage: paritas"), "{help:#?}");
    }
}

#[test]
fn without_a_command_help_goes_to_standard_error() {
    let run = Folder::new().paritas(&[]).code(2);
    assert!(run.stdout.is_empty() && run.stderr.contains("Usage: paritas"), "{run:#?}");
}

#[test]
fn commands_of_later_versions_are_neither_offered_nor_taken() {
    let folder = Folder::new();
    let help = folder.paritas(&["--help"]).code(0).stdout;
    for command in ["run", "simulate", "backfill", "history", "evidence", "serve"] {
        assert!(!help.contains(&format!("\n  {command} ")), "{command} is in:\n{help}");
        let run = folder.paritas(&[command]).code(2);
        assert!(run.stderr.starts_with(&format!("error: unknown command `{command}`\n")), "{run:#?}");
    }
}

#[rstest]
#[case(&["verifi"], "unknown command `verifi`", "did you mean `verify`?")]
#[case(&["verify", "--budgt", "1m"], "unknown option `--budgt`", "did you mean `--budget`?")]
#[case(&["verify", "--budget", "3"], "cannot read `3` as a value of `--budget`", "such as 10m, 5GiB or 1e8rows")]
#[case(&["verify", "--budget"], "`--budget` needs a value", "--budget <LIMIT>")]
#[case(&["verify", "--settle", "soon"], "cannot read `soon` as a value of `--settle`", "such as 500ms")]
#[case(&["verify", "--policy", "zone=local"], "cannot read `zone=local`", "zone=strict|assume-utc")]
#[case(&["verify", "--color", "blue"], "cannot read `blue`", "auto, always, never")]
#[case(&["verify", "--deny", "errors"], "cannot read `errors`", "warnings")]
#[case(&["verify", "--parallel", "0"], "cannot read `0`", "1..=1024")]
#[case(&["-q", "-v", "verify"], "`--quiet` and `--verbose` exclude each other", "leave one")]
#[case(&["verify", "/one"], "`/one` is one store; two are needed", "SOURCE REPLICA")]
#[case(&["verify", "/a", "/b", "/c"], "3 stores were named", "SOURCE REPLICA")]
#[case(&["verify", "foo", "bar"], "`foo` is neither a configured link nor a store", "there is no configuration")]
#[case(&["verify"], "there is no configuration file", "paritas init")]
#[case(&["verify", "--save-digest", "x"], "`--save-digest` needs a source and a replica", "SOURCE REPLICA")]
#[case(&["lag", "--for", "soon"], "cannot read `soon` as a value of `--for`", "such as 500ms")]
#[case(&["lag", "/one"], "`/one` is one store; two are needed", "paritas lag SOURCE REPLICA")]
#[case(&["lag", "csv:/a", "csv:/b"], "a csv store has no stream that could lag", "name two PostgreSQL servers")]
#[case(&["man", "nowhere"], "nowhere is not a folder", "make the folder first")]
fn mistakes_are_told_with_a_hint(#[case] args: &[&str], #[case] message: &str, #[case] hint: &str) {
    let folder = Folder::new();
    let run = folder.paritas(args).code(2);
    assert!(run.stdout.is_empty(), "{run:#?}");
    let mut lines = run.stderr.lines();
    let (first, last) = (lines.next().unwrap(), lines.next_back().unwrap());
    assert!(first.starts_with("error: ") && first.contains(message), "{run:#?}");
    assert!(last.starts_with("  hint: ") && last.contains(hint), "{run:#?}");

    let mut args = args.to_vec();
    args.insert(1.min(args.len()), "--json");
    let json = folder.paritas(&args).code(2).json();
    assert_eq!((&json["message_type"], &json["exit_code"]), (&"error".into(), &2.into()), "{json}");
    assert!(json["message"].as_str().unwrap().contains(message), "{json}");
    assert!(json["hint"].as_str().unwrap().contains(hint), "{json}");
}

#[test]
fn passwords_in_mistakes_are_not_repeated() {
    let folder = Folder::new();
    let url = "postgres://u:canary-7f3a@h/db";
    let calls: [&[&str]; 6] = [
        &[url],
        &["verify", url],
        &["verify", "trading", url],
        &["verify", url, url, url],
        &["verify", "--budget", url],
        &["verify", "--json", url],
    ];
    for args in calls {
        let run = folder.paritas(args).code(2);
        assert!(!format!("{run:?}").contains("canary-7f3a"), "{args:?}: {run:#?}");
    }
}

#[test]
fn monitoring_systems_get_one_line_and_unknown_for_mistakes() {
    let folder = Folder::new();
    for args in [&["verify", "--exit-style", "nagios", "x"][..], &["verify", "--exit-style=nagios", "--nonsense"]] {
        let run = folder.paritas(args).code(3);
        assert!(run.stdout.starts_with("PARITAS UNKNOWN - ") && run.stdout.lines().count() == 1, "{run:#?}");
    }
}

#[test]
fn completions_and_manual_pages_come_from_the_same_table() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = folder.paritas(&["completions", shell]).code(0).stdout;
        assert!(script.contains("max-differences") && script.contains("save-digest"), "{shell}");
    }
    assert!(folder.paritas(&["man"]).code(0).stdout.contains(".TH paritas 1"));
    std::fs::create_dir(folder.path().join("pages")).unwrap();
    folder.paritas(&["man", "pages"]).code(0);
    for page in ["paritas.1", "paritas-verify.1", "paritas-config-check.1"] {
        assert!(folder.path().join("pages").join(page).is_file(), "{page}");
    }
}
