//! The examples of `docs/cli.md` are run, in their order, in one folder.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Folder;
use std::path::Path;
use std::process::Command;

/// One `$ command` with what it should print.
#[derive(Debug, Default)]
struct Example {
    line: usize,
    command: String,
    code: i32,
    expected: Vec<String>,
}

fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            examples.push(Example { line: index + 1, command: command.to_owned(), ..Example::default() });
        } else if inside && let Some(example) = examples.last_mut() {
            match line.strip_prefix("? ") {
                Some(code) if example.expected.is_empty() => example.code = code.parse().unwrap(),
                _ => example.expected.push(line.to_owned()),
            }
        }
    }
    examples
}

/// `[..]` stands for any text within a line.
fn line_fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("[..]");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// `...` stands for any lines.
fn fits(patterns: &[String], lines: &[&str]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((dots, rest)) if dots == "..." => (0..=lines.len()).any(|skip| fits(rest, &lines[skip..])),
        Some((pattern, rest)) => {
            lines.split_first().is_some_and(|(line, lines)| line_fits(pattern, line) && fits(rest, lines))
        }
    }
}

#[test]
fn every_example_of_the_page_does_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let examples = examples(&std::fs::read_to_string(page).unwrap());
    assert!(examples.len() > 15, "the page has lost its examples");
    let folder = Folder::new();
    let programs = Path::new(env!("CARGO_BIN_EXE_paritas")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut wrong = Vec::new();
    for example in &examples {
        let prepared = folder.command(&[]);
        let mut command = Command::new("sh");
        command.arg("-c").arg(&example.command).current_dir(folder.path()).env("PATH", &path);
        for (name, value) in prepared.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let run = common::run(command);
        let printed = format!("{}{}", run.stdout, run.stderr);
        if run.code != example.code || !fits(&example.expected, &printed.lines().collect::<Vec<_>>()) {
            wrong.push(format!("line {}: $ {}\n? {}\n{printed}", example.line, example.command, run.code));
        }
    }
    assert!(wrong.is_empty(), "docs/cli.md says something else:\n\n{}", wrong.join("\n"));
}

#[test]
fn patterns_fit_what_they_should() {
    assert!(line_fits("a [..] c", "a b c") && line_fits("a", "a") && line_fits("[..]", ""));
    assert!(!line_fits("a [..] c", "a b d") && !line_fits("a", "ab"));
    let patterns = ["a", "...", "z"].map(str::to_owned);
    assert!(fits(&patterns, &["a", "z"]) && fits(&patterns, &["a", "b", "c", "z"]));
    assert!(!fits(&patterns, &["a", "b"]));
}
