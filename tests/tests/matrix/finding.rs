//! A report as lines that a cell can demand exactly, after checking that the report is true to itself.

use paritas_tests::Run;
use serde_json::Value;

/// Longer values are shown by their length.
const SHOWN_CHARS_MAX: usize = 100;

/// Everything that a report says is wrong, unknown, noteworthy in the schema or not checked:
///
/// - `lost id='1'`, `extra id='1'`, ` x2` after it for copies; without a key `lost {…}` with the whole row
/// - `changed id='1': amount '10.00' -> '10.01', note NULL -> ''`
/// - `file lost|extra|changed|unverifiable PATH`
/// - `schema WHAT: HERE -> THERE`
/// - `not checked WHAT`, but for what stores hold beside their datasets, fault or not
/// - `problem CODE: MESSAGE`
pub fn lines(run: &Run) -> Vec<String> {
    let json = run.json();
    assert_eq!(json["exit_code"].as_i64(), Some(i64::from(run.code)), "the exit code of the report is another one");
    if json["message_type"] == "error" {
        return vec![problem(&json)];
    }
    let mut lines = Vec::new();
    for link in json["links"].as_array().expect("links") {
        for check in link["checks"].as_array().expect("checks") {
            of_check(check, &mut lines);
        }
        for left in link["not_checked"].as_array().expect("not_checked") {
            assert!(left["why"].as_str().is_some_and(|why| !why.is_empty()), "without a reason: {left}");
            let what = left["what"].as_str().expect("what");
            if !what.starts_with("source: ") && !what.starts_with("replica: ") {
                lines.push(format!("not checked {what}"));
            }
        }
    }
    lines
}

fn of_check(check: &Value, lines: &mut Vec<String>) {
    if !check["problem"].is_null() {
        lines.push(problem(&check["problem"]));
    }
    match check["check"].as_str().expect("kind of check") {
        "schema" => lines.extend(array(&check["differences"]).iter().map(|difference| {
            let side = |side: &str| difference[side].as_str().unwrap_or("none").to_owned();
            format!("schema {}: {} -> {}", difference["what"].as_str().expect("what"), side("source"), side("replica"))
        })),
        "parity" if check["log"].is_object() => {
            let log = &check["log"];
            assert_eq!(log["findings_truncated"], false, "not everything is listed: {check}");
            // What is no violation is part of the counts, and of no line.
            let told =
                array(&log["findings"]).iter().filter(|one| !["undecided", "expired"].contains(&text(&one["class"])));
            lines.extend(told.map(record));
            let proven = ["lost", "extra", "changed"].map(|class| check["differences"][class].as_u64().expect("count"));
            let found =
                array(&log["findings"]).iter().filter(|one| one["proof"] == "proven" && one["class"] != "expired");
            let found: u64 = found.map(|one| one["records"].as_u64().expect("records")).sum();
            assert_eq!(proven.iter().sum::<u64>(), found, "the counts say something else than the list: {check}");
        }
        "coverage" => {
            let gaps = array(&check["items"]).iter();
            lines.extend(gaps.map(|item| {
                format!("coverage {} {} {}", text(&item["verdict"]), text(&item["kind"]), text(&item["what"]))
            }));
        }
        "offsets" => {
            let told = array(&check["groups"]).iter().filter(|group| group["verdict"] != "pass");
            lines.extend(told.map(|group| {
                format!("offsets {} {}: {} lost", text(&group["verdict"]), text(&group["group"]), group["lost"])
            }));
        }
        "parity" => {
            lines.extend(array(&check["items"]).iter().map(|item| row(item, check)));
            counted(check);
            sound_parity(check);
        }
        "files" => {
            let file = |item: &Value| format!("file {} {}", text(&item["class"]), text(&item["path"]));
            lines.extend(array(&check["items"]).iter().map(file));
            counted(check);
        }
        other => panic!("an unknown kind of check: {other}"),
    }
}

/// `missing p0 source 7..9 x3`, `altered p0 source 7 replica 7 value headers`, with `unproven` or `in_flight` behind the
/// class where it is not proven.
fn record(finding: &Value) -> String {
    let span = |side: &str| {
        let offsets = finding[side].as_array()?;
        let (first, last) = (offsets.first()?, offsets.last()?);
        Some(if first == last { format!("{side} {first}") } else { format!("{side} {first}..{last}") })
    };
    let mut words = vec![text(&finding["class"]).to_owned()];
    words.extend((finding["proof"] != "proven").then(|| text(&finding["proof"]).to_owned()));
    words.push(format!("p{}", finding["partition"]));
    words.extend(["source", "replica"].iter().filter_map(|side| span(side)));
    words.extend(finding["found_in"].as_i64().map(|partition| format!("in p{partition}")));
    words.extend(finding["parts"].as_array().into_iter().flatten().map(|part| text(part).to_owned()));
    words.extend(finding["records"].as_u64().filter(|records| *records != 1).map(|records| format!("x{records}")));
    words.join(" ")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).expect("array")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn problem(problem: &Value) -> String {
    assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no hint: {problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    format!("problem {}: {} ({detail})", text(&problem["code"]), text(&problem["message"]))
}

/// The counts say what the list says, all of it proven.
fn counted(check: &Value) {
    assert_eq!(check["items_truncated"], false, "not everything is listed: {check}");
    for class in ["lost", "extra", "changed", "unverifiable"] {
        let items = array(&check["items"]).iter().filter(|item| item["class"] == class);
        let copies: u64 = items.map(|item| item["copies"].as_u64().unwrap_or(1)).sum();
        assert_eq!(check["differences"][class].as_u64(), Some(copies), "another number of {class}: {check}");
    }
    for class in ["in_flight", "unproven"] {
        assert_eq!(check["differences"][class], 0, "{class}: {check}");
    }
}

fn sound_parity(check: &Value) {
    let finished = check["problem"].is_null();
    assert_eq!(check["complete"], finished, "{check}");
    let count = |name: &str| check["differences"][name].as_i64().expect("count");
    if let (Some(source), Some(replica)) = (check["rows"]["source"].as_i64(), check["rows"]["replica"].as_i64()) {
        assert_eq!(replica - source, count("extra") - count("lost"), "rows and differences disagree: {check}");
    } else {
        assert!(!finished, "no number of rows: {check}");
        assert!(check["rows"]["why"].is_string(), "no number of rows, and no reason: {check}");
    }
}

fn row(item: &Value, check: &Value) -> String {
    let class = text(&item["class"]);
    assert_eq!(item["proof"], "proven", "{item}");
    let (ours, theirs) = (&item["source"], &item["replica"]);
    let object = |value: &Value| value.as_object().expect("object").clone();
    let keyless = array(&check["key"]).is_empty();
    let mut line = match class {
        _ if !keyless => format!("{class} {}", pairs(&item["key"])),
        "lost" => format!("lost {{{}}}", pairs(ours)),
        _ => format!("{class} {{{}}}", pairs(theirs)),
    };
    if class == "changed" {
        let columns = array(&item["columns"]);
        assert!(!columns.is_empty(), "no column named: {item}");
        assert_eq!((object(ours).len(), object(theirs).len()), (columns.len(), columns.len()), "{item}");
        let change = |column: &Value| {
            let name = text(column);
            format!("{name} {} -> {}", shown(&ours[name]), shown(&theirs[name]))
        };
        line += &format!(": {}", columns.iter().map(change).collect::<Vec<_>>().join(", "));
    } else {
        let (full, empty) = if class == "lost" { (ours, theirs) } else { (theirs, ours) };
        assert_eq!(object(full).len(), array(&check["columns"]).len(), "not the whole row: {item}");
        assert!(object(empty).is_empty(), "a row where there is none: {item}");
        for (name, value) in object(&item["key"]) {
            assert_eq!(full[&name], value, "the key is not that of the row: {item}");
        }
    }
    match item["copies"].as_u64().expect("copies") {
        1 => line,
        copies => format!("{line} x{copies}"),
    }
}

fn pairs(object: &Value) -> String {
    let pairs = object.as_object().expect("object").iter();
    pairs.map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(" ")
}

/// NULL apart from every text; numbers like texts.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.chars().count() {
        long if long > SHOWN_CHARS_MAX => format!("<{long} characters>"),
        _ => format!("'{text}'"),
    }
}

/// Whether a line is the one that was demanded. Of problems only the code and some words are demanded,
/// separated by blanks.
pub fn fits(line: &str, demanded: &str) -> bool {
    match demanded.strip_prefix("problem ") {
        Some(words) => line.starts_with("problem ") && words.split(' ').all(|word| line.contains(word)),
        None => line == demanded,
    }
}

/// What is missing from a report and what nobody asked for; nothing when the lines fit. `schema? WORDS` takes all
/// lines about the schema that hold these words, and demands one at least.
pub fn misfit(lines: &[String], demanded: &[String]) -> Option<String> {
    let mut open: Vec<&String> = lines.iter().collect();
    let mut missing = Vec::new();
    for one in demanded {
        if let Some(words) = one.strip_prefix("schema? ") {
            let before = open.len();
            open.retain(|line| !(line.starts_with("schema ") && words.split(' ').all(|word| line.contains(word))));
            if open.len() == before {
                missing.push(format!("  missing:    {one}"));
            }
            continue;
        }
        match open.iter().position(|line| fits(line, one)) {
            Some(at) => drop(open.remove(at)),
            None => missing.push(format!("  missing:    {one}")),
        }
    }
    missing.extend(open.iter().map(|line| format!("  not wanted: {line}")));
    (!missing.is_empty()).then(|| missing.join("\n"))
}
