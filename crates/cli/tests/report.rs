//! `paritas report`: stored runs in every format, its exit codes, and what it does where it cannot write.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../report/tests/common/browser.rs"]
#[allow(dead_code)]
mod browser;
mod common;

use browser::Browser;
use common::{Folder, Run, run};
use rstest::rstest;
use std::fs;
use std::path::PathBuf;

/// A folder with a run in which two rows differ.
fn failed() -> Folder {
    let folder = Folder::new();
    folder.write("east/a.csv", "id,amount,status\n1,10.00,open\n2,5.50,done\n3,7.25,=1+1\n");
    folder.write("west/b.csv", "id,amount,status\n3,7.25,\n1,10.00,open\n");
    folder.paritas(&["verify", "--state", "state", "csv:east?key=id", "csv:west"]).code(1);
    folder
}

fn report(folder: &Folder, arguments: &[&str]) -> Run {
    folder.paritas(&[&["report", "--state", "state"], arguments].concat())
}

/// The one stored run.
fn stored(folder: &Folder) -> PathBuf {
    let mut runs = fs::read_dir(folder.path().join("state/runs")).unwrap();
    let path = runs.next().unwrap().unwrap().path();
    assert!(runs.next().is_none());
    path
}

#[rstest]
#[case("text", "report.txt", "FAIL  ")]
#[case("html", "report.html", "<!DOCTYPE html>\n")]
#[case("json", "report.json", "{\"schema_version\":1,")]
#[case("markdown", "report.md", "### FAIL\n")]
#[case("csv", "report.csv", "link,check,dataset,class,proof,key,column,source,replica,copies,note\r\n")]
#[case("junit", "report.xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"paritas verify\" tests=")]
#[case("metrics", "report.prom", "# HELP paritas_check_verdict ")]
fn a_stored_run_is_written_in_every_format(#[case] format: &str, #[case] file: &str, #[case] begins: &str) {
    let folder = failed();
    // The stores are gone.
    fs::remove_dir_all(folder.path().join("east")).unwrap();
    fs::remove_dir_all(folder.path().join("west")).unwrap();
    let printed = report(&folder, &["--format", format]).code(0);
    assert!(printed.stdout.starts_with(begins) && printed.stderr.is_empty(), "{printed:#?}");
    let written = report(&folder, &["--output", file]).code(0);
    assert!(written.stdout.is_empty() && written.stderr.is_empty(), "{written:#?}");
    assert_eq!(fs::read_to_string(folder.path().join(file)).unwrap(), printed.stdout);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "something was left beside the file: {left:?}");
}

#[test]
fn json_is_the_stored_document() {
    let folder = failed();
    let printed = folder.paritas(&["report", "--state", "state", "--json"]).code(0).json();
    let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(stored(&folder)).unwrap()).unwrap();
    kept.as_object_mut().unwrap().remove("checksum").unwrap();
    assert_eq!(printed, kept);
    let id = printed["run"]["id"].as_str().unwrap();
    assert_eq!(report(&folder, &[id, "--json"]).code(0).json(), kept);
}

#[test]
fn the_exit_code_is_that_of_the_run_only_where_it_was_asked_for() {
    let folder = failed();
    report(&folder, &[]).code(0);
    report(&folder, &["--fail-on-verdict"]).code(1);
    report(&folder, &["--fail-on-verdict", "--output", "report.html"]).code(1);
    let line = report(&folder, &["--exit-style", "nagios"]).code(2);
    assert!(line.stdout.starts_with("PARITAS CRITICAL - ") && line.stdout.lines().count() == 1, "{line:#?}");
}

#[test]
fn a_run_that_is_too_old_is_no_answer() {
    let folder = failed();
    report(&folder, &["--max-age", "1h"]).code(0);
    let old = report(&folder, &["--max-age", "1ms"]).code(3);
    assert!(old.stderr.contains("is older than 1ms") && old.stdout.is_empty(), "{old:#?}");
    let line = report(&folder, &["--max-age", "1ms", "--exit-style", "nagios"]).code(3);
    assert!(line.stdout.starts_with("PARITAS UNKNOWN - run "), "{line:#?}");
}

#[test]
fn runs_that_are_not_there_are_mistakes_and_damaged_ones_are_inconclusive() {
    let folder = failed();
    let run = report(&folder, &["01K00000000000000000000000"]).code(2);
    assert!(run.stderr.contains("cannot read ") && run.stderr.contains("hint: "), "{run:#?}");
    let run = report(&folder, &["yesterday"]).code(2);
    assert!(run.stderr.contains("write last, or the id"), "{run:#?}");
    let run = folder.paritas(&["report", "--state", "sate"]).code(2);
    assert!(run.stderr.contains("there is no folder sate") && !folder.path().join("sate").exists(), "{run:#?}");
    let run = folder.paritas(&["report"]).code(2);
    assert!(run.stderr.contains("there is no state folder") && run.stderr.contains("--state DIR"), "{run:#?}");
    fs::create_dir(folder.path().join("empty")).unwrap();
    let run = folder.paritas(&["report", "--state", "empty"]).code(2);
    assert!(run.stderr.contains("there is no run in empty"), "{run:#?}");

    let path = stored(&folder);
    let text = fs::read_to_string(&path).unwrap();
    for damaged in [text.replace("\"fail\"", "\"pass\""), text[..text.len() / 2].to_owned()] {
        fs::write(&path, damaged).unwrap();
        let run = report(&folder, &["--json"]).code(3);
        assert_eq!(run.json()["code"], "state.damaged");
    }
}

#[test]
fn what_cannot_be_written_is_said_and_leaves_what_was_there() {
    let folder = failed();
    let run = report(&folder, &["--output", "absent/report.html"]).code(3);
    assert!(run.stderr.starts_with("error: cannot write absent/report.html\n"), "{run:#?}");
    let run = report(&folder, &["--output", "east"]).code(2);
    assert!(run.stderr.contains("east is a folder"), "{run:#?}");
    report(&folder, &["--output", "/dev/full", "--format", "html"]).code(3);
    // A proven violation stays one.
    report(&folder, &["--output", "/dev/full", "--format", "html", "--fail-on-verdict"]).code(1);
    report(&folder, &["--output", "/dev/null", "--format", "html"]).code(0);

    folder.write("real/metrics.prom", "old\n");
    std::os::unix::fs::symlink("real/metrics.prom", folder.path().join("link.prom")).unwrap();
    report(&folder, &["--output", "link.prom"]).code(0);
    assert!(folder.path().join("link.prom").is_symlink());
    assert!(fs::read_to_string(folder.path().join("real/metrics.prom")).unwrap().starts_with("# HELP"));
    let run = report(&folder, &["--format", "metrics", "--metrics-prefix", "9a"]).code(2);
    assert!(run.stderr.contains("such as paritas_"), "{run:#?}");
    for pair in [
        ["--json", "--output=x"],
        ["--exit-style=nagios", "--format=csv"],
        ["--exit-style=nagios", "--fail-on-verdict"],
    ] {
        report(&folder, &pair).code(if pair[0].contains("nagios") { 3 } else { 2 });
    }
}

#[test]
fn the_summary_of_a_step_is_appended_to() {
    let folder = failed();
    let summary = folder.write("summary.md", "before\n");
    let call = || {
        let mut command = folder.command(&["report", "--state", "state", "--github-summary", "--format", "csv"]);
        command.env("GITHUB_STEP_SUMMARY", &summary);
        run(command).code(0)
    };
    assert!(call().stdout.starts_with("link,"));
    call();
    let text = fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("before\n### FAIL\n") && text.matches("### FAIL").count() == 2, "{text}");
    let mut without = folder.command(&["report", "--state", "state", "--github-summary"]);
    without.env_remove("GITHUB_STEP_SUMMARY");
    let refused = run(without).code(2);
    assert!(refused.stderr.contains("$GITHUB_STEP_SUMMARY names no file"), "{refused:#?}");
}

#[test]
fn the_page_of_a_run_opens_without_a_complaint_and_lists_every_row() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = Folder::new();
    let rows = |kept: &dyn Fn(u32) -> bool| {
        let rows = (0..3_000).filter(|id| kept(*id)).map(|id| format!("{id},<b>{id}</b>\n"));
        format!("id,name\n{}", rows.collect::<String>())
    };
    folder.write("east/a.csv", rows(&|_| true));
    folder.write("west/a.csv", rows(&|id| id % 2 == 0));
    let verify = ["verify", "--state", "state", "--max-differences", "2000", "csv:east?key=id", "csv:west"];
    folder.paritas(&verify).code(1);
    report(&folder, &["--output", "report.html"]).code(0);
    let page = folder.path().join("report.html");
    browser.open(&page);
    let others: Vec<String> = browser.requests().into_iter().filter(|url| !url.starts_with("data:")).collect();
    assert_eq!(others, [format!("file://{}", page.display())]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(browser.value("document.querySelectorAll('.rows tr.first').length"), 200);
    browser.value("document.querySelectorAll('.bar button')[1].click()");
    assert_eq!(browser.value("document.querySelector('.bar output').value"), "201 to 400 of 1,500");
    assert_eq!(browser.value("document.querySelectorAll('b').length"), 0);
}
