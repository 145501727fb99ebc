//! What `paritas lag` and `paritas failover` say, as lines that a cell can demand exactly, after checking that the
//! report is true to itself.

use crate::stage::{World, reason};
use paritas_tests::lag::{LIMIT, configuration_of};
use paritas_tests::{Run, paritas};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Source and replica.
pub type Urls = (String, String);

/// The clocks of two servers must not lengthen or shorten any lag beyond this.
const CLOCKS_APART: f64 = 600.0;

/// Everything that a report on lag says is not as it should be, or is noteworthy:
///
/// - `wal/1 STATE: REASON (HINT)` for every stream that is not caught up
/// - `coverage KIND WHAT: WHY`
/// - `problem CODE: MESSAGE (DETAIL)`
/// - `note TEXT`
pub fn lines(run: &Run) -> Vec<String> {
    let json = run.json();
    assert_eq!(json["exit_code"].as_i64(), Some(i64::from(run.code)), "the exit code of the report is another one");
    let right = match run.code {
        0 => ["pass", "warn"].contains(&text(&json["verdict"])),
        1 => json["verdict"] == "fail",
        _ => json["verdict"] == "unknown",
    };
    assert!(right, "the verdict {} does not belong to exit code {}", json["verdict"], run.code);
    let mut lines = Vec::new();
    for link in array(&json["links"]) {
        for check in array(&link["checks"]) {
            if !check["problem"].is_null() {
                let problem = &check["problem"];
                assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no hint: {problem}");
                let detail = problem["detail"].as_str().unwrap_or_default();
                lines.push(format!("problem {}: {} ({detail})", text(&problem["code"]), text(&problem["message"])));
            }
            match text(&check["check"]) {
                "lag" => {
                    lines.extend(array(&check["streams"]).iter().filter_map(of_stream));
                    lines.extend(
                        check["notes"].as_array().into_iter().flatten().map(|note| format!("note {}", text(note))),
                    );
                }
                "coverage" => lines.extend(array(&check["items"]).iter().map(|item| {
                    format!("coverage {} {}: {}", text(&item["kind"]), text(&item["what"]), text(&item["why"]))
                })),
                other => panic!("an unknown kind of check: {other}"),
            }
        }
    }
    lines
}

/// Nothing is a number that nobody measured, and what is caught up has nothing to explain.
fn of_stream(stream: &Value) -> Option<String> {
    let state = text(&stream["state"]);
    for name in ["bytes", "records", "versions", "seconds", "method", "source_position", "replica_position"] {
        let why = stream["why"][name].as_str().is_some_and(|why| !why.is_empty());
        assert_eq!(stream[name].is_null(), why, "{name} needs a figure or a reason: {stream:#}");
    }
    let (low, high) = (stream["seconds"]["low"].as_f64(), stream["seconds"]["high"].as_f64());
    assert!(low.is_none_or(|low| (0.0..CLOCKS_APART).contains(&low)), "{stream:#}");
    assert!(high.is_none_or(|high| low.is_some_and(|low| low <= high) && high < CLOCKS_APART), "{stream:#}");
    if state == "caught_up" {
        assert_eq!((low, stream["reason"].is_null()), (Some(0.0), true), "{stream:#}");
        return None;
    }
    let reason = stream["reason"].as_str().unwrap_or_default();
    assert!(state == "behind" || !reason.is_empty(), "{stream:#}");
    let behind = stream["bytes"].as_u64();
    assert!(["unknown", "broken"].contains(&state) || behind.is_some_and(|bytes| bytes > 0), "{stream:#}");
    Some(format!("{} {state}: {reason} ({})", text(&stream["stream"]), stream["hint"].as_str().unwrap_or_default()))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).expect("array")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// What is missing from a report and what nobody asked for. The parts of a demanded line, between ` | `, are all in the
/// line, the first one at its beginning.
fn misfit(lines: &[String], demanded: &[&str]) -> Option<String> {
    let mut open: Vec<&String> = lines.iter().collect();
    let mut wrong = Vec::new();
    for one in demanded {
        let mut parts = one.split(" | ");
        let head = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        match open.iter().position(|line| line.starts_with(head) && parts.iter().all(|part| line.contains(part))) {
            Some(at) => drop(open.remove(at)),
            None => wrong.push(format!("  missing:    {one}")),
        }
    }
    wrong.extend(open.iter().map(|line| format!("  not wanted: {line}")));
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}

fn fits(run: &Run, code: i32, demanded: &[&str]) -> Result<(), String> {
    if run.code != code {
        return Err(format!("exit code {} instead of {code}", run.code));
    }
    let found = catch_unwind(AssertUnwindSafe(|| lines(run))).map_err(|panic| reason(panic.as_ref()))?;
    misfit(&found, demanded).map_or(Ok(()), |misfit| Err(format!("the report says something else\n{misfit}")))
}

fn measure(urls: &Urls, more: &[&str]) -> Run {
    let words: Vec<&str> = ["lag", "--json", &urls.0, &urls.1].into_iter().chain(more.iter().copied()).collect();
    paritas(&words)
}

/// Measures two stores by their names, and demands an exit code and exactly these lines.
pub fn demand_lag(urls: &Urls, more: &[&str], code: i32, demanded: &[&str], what: &str) -> Run {
    let run = measure(urls, more);
    let fit = fits(&run, code, demanded);
    fit.unwrap_or_else(|why| panic!("lag, {what}: {why}\n  {} {}\n{}{}", urls.0, urls.1, run.stdout, run.stderr));
    run
}

/// As [`demand_lag`], where it takes a moment until it is so.
pub fn await_lag(urls: &Urls, code: i32, demanded: &[&str], what: &str) -> Run {
    let deadline = Instant::now() + LIMIT;
    loop {
        let run = measure(urls, &[]);
        match fits(&run, code, demanded) {
            Ok(()) => return run,
            Err(why) if Instant::now() >= deadline => {
                panic!("lag, {what}: {why}\n  {} {}\n{}{}", urls.0, urls.1, run.stdout, run.stderr)
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Measures for that long as a configured link with this objective.
pub fn measure_objective(world: &World, urls: &Urls, (objective, time): (&str, &str)) -> Run {
    let folder = world.folder("configured");
    let link = format!("objectives = {{ lag = \"{objective}\" }}");
    let file = configuration_of(&folder, &urls.0, &urls.1, &link);
    paritas(&["lag", "--json", "-c", file.to_str().unwrap(), "--for", time])
}

/// As [`measure_objective`], and demands an exit code and exactly these lines.
pub fn demand_objective(
    world: &World,
    urls: &Urls,
    (objective, time): (&str, &str),
    code: i32,
    demanded: &[&str],
    what: &str,
) -> Run {
    let run = measure_objective(world, urls, (objective, time));
    let fit = fits(&run, code, demanded);
    fit.unwrap_or_else(|why| panic!("lag beside {objective}, {what}: {why}\n{}{}", run.stdout, run.stderr));
    run
}

/// Proves by measuring longer than the objective that it is breached, and that nobody says so without an objective.
pub fn demand_breach(world: &World, urls: &Urls, demanded: &[&str], what: &str) {
    await_lag(urls, 3, demanded, what);
    let run = demand_objective(world, urls, ("1s", "2500ms"), 1, demanded, what);
    let late = run.checks("lag")[0]["streams"].as_array().cloned().unwrap_or_default();
    let late = late.iter().filter(|stream| stream["seconds"]["low"].as_f64().is_some_and(|low| low > 1.0)).count();
    assert_eq!(late, demanded.len(), "lag, {what}: {run:#?}");
}

/// What `paritas failover` is to say.
#[derive(Debug)]
pub struct Judged<'a> {
    pub code: i32,
    pub relation: &'a str,
    /// Begin of the position at which the histories parted.
    pub forked_at: Option<&'a str>,
    pub decision: &'a str,
    /// `VERDICT: WORDS` for every reason that is not a pass.
    pub reasons: &'a [&'a str],
}

/// Judges two servers after a failover, and demands exactly this.
pub fn demand_failover(urls: &Urls, more: &[&str], judged: &Judged<'_>, what: &str) -> Run {
    let words: Vec<&str> = ["failover", "--json", &urls.0, &urls.1].into_iter().chain(more.iter().copied()).collect();
    let run = paritas(&words);
    let json = run.json();
    let link = &json["links"][0];
    let (lineage, recovery) = (&link["checks"][0], &link["recovery"]);
    let seen = (run.code, lineage["relation"].as_str().unwrap_or_default(), recovery["decision"].as_str());
    assert_eq!(seen, (judged.code, judged.relation, Some(judged.decision)), "failover, {what}: {run:#?}");
    let forked = lineage["forked_at"].as_str();
    let right = match (forked, judged.forked_at) {
        (Some(forked), Some(begin)) => forked.starts_with(begin),
        (None, None) => true,
        _ => false,
    };
    assert!(right, "failover, {what}: parted at {forked:?}: {run:#?}");
    let reasons = array(&recovery["reasons"]).iter().filter(|reason| reason["verdict"] != "pass");
    let reasons: Vec<String> =
        reasons.map(|reason| format!("{}: {}", text(&reason["verdict"]), text(&reason["text"]))).collect();
    let misfit = misfit(&reasons, judged.reasons);
    assert!(misfit.is_none(), "failover, {what}:\n{}\n{run:#?}", misfit.unwrap_or_default());
    run
}
