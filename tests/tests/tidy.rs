//! The rules of the house that a compiler does not know: dependency arrows, lengths, banned calls,
//! and words that do not belong into a product.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Which crates of the workspace each crate may use. Arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("digest", &["model"]),
    ("ledger", &[]),
    ("connect", &["model", "digest", "ledger"]),
    ("connect-postgres", &["model", "digest", "connect", "ledger"]),
    ("connect-lake", &["model", "digest", "connect"]),
    ("connect-kafka", &["model", "digest", "connect"]),
    ("verify", &["model", "digest", "connect", "lag", "ledger", "logs"]),
    ("config", &["model", "digest", "connect"]),
    ("state", &["model", "digest"]),
    ("report", &["model"]),
    ("lag", &["model"]),
    ("logs", &["model", "digest", "connect", "lag"]),
    ("probe", &["model"]),
    (
        "engine",
        &[
            "model",
            "digest",
            "connect",
            "connect-postgres",
            "connect-lake",
            "connect-kafka",
            "verify",
            "config",
            "state",
            "report",
            "lag",
            "ledger",
            "logs",
            "pgwal",
            "probe",
        ],
    ),
    ("testbed", &["model"]),
    ("pgwal", &["model"]),
    ("cli", &["model", "digest", "connect", "config", "engine", "report", "state", "testbed"]),
];

/// Where the compiler's checks may be left out, with a reason beside each place.
const UNSAFE: &[&str] = &["crates/digest/src/", "crates/connect-kafka/src/bindings/"];

/// Crates that do no input or output of their own.
const PURE: &[&str] = &["model", "digest", "lag", "ledger", "logs", "probe"];
/// What those crates must not mention outside tests.
const IMPURE: &[&str] = &["std::fs", "std::net", "tokio::", "std::process"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lies in the workspace").to_owned()
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("read folder").path();
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with(".git") {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn all(ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&root(), ending, &mut found);
    found.sort();
    let text = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        fs::read_to_string(&path).ok().map(|text| (name, text))
    };
    found.into_iter().filter_map(text).collect()
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn dependencies_point_down_only() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut problems = Vec::new();
    let mut seen = 0;
    for (name, text) in all("Cargo.toml") {
        let Some(krate) = name.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/Cargo.toml")) else {
            continue;
        };
        seen += 1;
        let Some(allowed) = allowed.get(krate) else {
            problems.push(format!("{name}: crate {krate} is not in the table of arrows"));
            continue;
        };
        let normal = text.split("[dev-dependencies]").next().unwrap_or_default();
        for line in normal.lines().filter_map(|line| line.strip_prefix("paritas-")) {
            let used = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if !allowed.contains(&used) {
                problems.push(format!("{name}: {krate} must not use {used}"));
            }
        }
    }
    assert_eq!(seen, ARROWS.len(), "a crate of the table is gone");
    complain(&problems);
}

#[test]
fn pure_crates_do_no_input_or_output() {
    let mut problems = Vec::new();
    for (name, text) in all(".rs") {
        if !PURE.iter().any(|krate| name.starts_with(&format!("crates/{krate}/src/"))) {
            continue;
        }
        for (number, line) in before_tests(&text) {
            if IMPURE.iter().any(|word| line.contains(word)) && !line.trim_start().starts_with("//") {
                problems.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    complain(&problems);
}

/// The lines of a file up to its test module, with their numbers.
fn before_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
}

#[test]
fn files_and_functions_stay_short() {
    let mut problems = Vec::new();
    for (name, text) in all(".rs") {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!("{name}: {lines} lines, {FILE_LINES_MAX} at most"));
        }
        if !name.contains("/src/") {
            continue;
        }
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in before_tests(&text) {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let begins = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "pub(crate) async fn ",
            ]
            .iter()
            .any(|start| code.starts_with(start));
            // A declaration in a trait has no body.
            if begins && open.is_none() && !code.ends_with(';') {
                open = Some((number, indent, code.to_owned()));
            }
            if let Some((start, at, what)) = &open
                && indent == *at
                && (code == "}" || code.ends_with('}') && number == *start)
            {
                let length = number - start + 1;
                if length > FUNCTION_LINES_MAX {
                    problems.push(format!("{name}:{start}: {length} lines, {FUNCTION_LINES_MAX} at most: {what}"));
                }
                open = None;
            }
        }
    }
    complain(&problems);
}

#[test]
fn only_the_command_line_prints_or_exits() {
    let words = ["println!(", "eprintln!(", "print!(", "process::exit("];
    let mut problems = Vec::new();
    for (name, text) in all(".rs") {
        if name.starts_with("crates/cli/") || !name.starts_with("crates/") || !name.contains("/src/") {
            continue;
        }
        for (number, line) in before_tests(&text) {
            let code = line.trim_start();
            if words.iter().any(|word| code.contains(word)) && !code.starts_with("//") {
                problems.push(format!("{name}:{number}: {code}"));
            }
        }
    }
    complain(&problems);
}

#[test]
fn unsafe_code_stays_in_the_lanes_of_the_digest_and_at_the_border_to_librdkafka() {
    let mut problems = Vec::new();
    for (name, text) in all(".rs") {
        if name.starts_with("tests/") || UNSAFE.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let unsafe_line =
            |line: &str| line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("allow(unsafe_code");
        problems.extend(
            text.lines()
                .enumerate()
                .filter(|(_, line)| unsafe_line(line))
                .map(|(n, l)| format!("{name}:{}: {l}", n + 1)),
        );
    }
    complain(&problems);
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let missing = all(".rs")
        .into_iter()
        .filter(|(name, text)| name.starts_with("crates/") && name.contains("/src/") && !text.starts_with("//!"));
    complain(&missing.map(|(name, _)| format!("{name}: begins without //!")).collect::<Vec<_>>());
}

#[test]
fn nothing_unfinished_and_no_foreign_word_is_in_the_tree() {
    // Spelled in parts, so that this file does not find itself.
    let words: Vec<String> = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X:"),
        ("/wor", "k/main"),
        ("/roo", "t/"),
        ("crates", ".io"),
        ("py", "pi.org"),
        ("npm", "js.org"),
        ("deb.", "debian.org"),
        ("maven", ".org"),
    ]
    .iter()
    .map(|(a, b)| format!("{a}{b}"))
    .collect();
    let mut problems = Vec::new();
    for ending in [".rs", ".md", ".toml", ".sh", ".py", "Makefile", "run"] {
        for (name, text) in all(ending) {
            for (index, line) in text.lines().enumerate() {
                if words.iter().any(|word| line.contains(word.as_str())) {
                    problems.push(format!("{name}:{}: {}", index + 1, line.trim()));
                }
            }
        }
    }
    complain(&problems);
}

/// What GitHub makes of a heading for links to it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced && line.starts_with('#')
    });
    lines.map(anchor).collect()
}

#[test]
fn links_of_documents_lead_somewhere() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for (name, text) in all(".md") {
        let folder = root().join(&name).parent().expect("a file has a folder").to_owned();
        for (number, line) in text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if target.contains("://") || target.contains(' ') {
                    continue;
                }
                seen += 1;
                let (path, place) = target.split_once('#').map_or((target, None), |(path, place)| (path, Some(place)));
                let file = if path.is_empty() { root().join(&name) } else { folder.join(path) };
                let there = match (place, fs::read_to_string(&file)) {
                    (None, _) => file.exists(),
                    (Some(place), Ok(text)) => headings(&text).iter().any(|heading| heading == place),
                    (Some(_), Err(_)) => false,
                };
                if !there {
                    problems.push(format!("{name}:{}: {target} leads nowhere", number + 1));
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} links were found");
    complain(&problems);
}
