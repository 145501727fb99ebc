//! One verification, in this process or by the binary, and what happens meanwhile.

use crate::dice::Dice;
use crate::region::Regions;
use paritas_connect::Context;
use paritas_engine::{Monitor, Options, verify_pair};
use paritas_testbed::postgres::Mode;
use paritas_tests::command;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// How long a run waits for its replica.
const SETTLE: Duration = Duration::from_secs(10);
/// The longest wait before something happens during a run.
const WITHIN_MILLIS: u64 = 1_500;

/// What happens during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    None,
    /// A server stops and starts again.
    Restart {
        source: bool,
        mode: Mode,
        after: Duration,
    },
    /// The sessions of the run are ended by an operator.
    Terminate {
        source: bool,
        after: Duration,
    },
    /// The standby applies nothing.
    PauseReplay,
    /// The run itself is killed.
    Kill {
        after: Duration,
    },
}

impl Disturbance {
    pub fn draw(dice: &mut Dice, standby: bool, binary: bool) -> Self {
        let after = Duration::from_millis(dice.below(WITHIN_MILLIS));
        let source = dice.one_in(2);
        let mode = if dice.one_in(2) { Mode::Fast } else { Mode::Immediate };
        match dice.below(10) {
            0 | 1 => Self::Restart { source, mode, after },
            2 => Self::Terminate { source, after },
            3 if standby => Self::PauseReplay,
            4 if binary => Self::Kill { after },
            _ => Self::None,
        }
    }

    /// A short word for the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "quiet",
            Self::Restart { .. } => "server restarted",
            Self::Terminate { .. } => "sessions ended",
            Self::PauseReplay => "replay paused",
            Self::Kill { .. } => "run killed",
        }
    }
}

/// What a run said.
#[derive(Debug)]
pub struct Answer {
    /// `pass`, `warn`, `fail`, `unknown`; `killed` where the run was.
    pub verdict: String,
    /// Proven rows: dataset, class, key.
    pub proven: BTreeSet<String>,
    /// The first problem of the report, or the error instead of one.
    pub problem: String,
    /// Whether the process said something against the contract.
    pub broken: Option<String>,
}

/// Verifies one link while something happens.
pub async fn verify(regions: &mut Regions, standby: bool, binary: bool, disturbance: Disturbance) -> Answer {
    let source = regions.primary.url("postgres");
    let replica = regions.replica(standby).url("postgres");
    let state = regions.scratch.path().join("state");
    let temporary = regions.scratch.folder("tmp").unwrap();
    if disturbance == Disturbance::PauseReplay {
        regions.replay("pause").await;
    }
    if !binary {
        let options = Options { state: Some(state), settle: SETTLE, ..Options::default() };
        let (cx, monitor) = (Context::default(), Monitor::default());
        let (result, ()) = tokio::join!(
            verify_pair(&cx, &source, &replica, &options, &monitor),
            disturb(regions, standby, disturbance, None)
        );
        return match result {
            Ok(report) => read(&serde_json::to_value(&report).unwrap(), None),
            Err(error) => error_answer(&error.to_string()),
        };
    }
    let mut child = start(&source, &replica, &state, &temporary);
    let mut out = child.stdout.take().unwrap();
    let reader = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    disturb(regions, standby, disturbance, Some(&mut child)).await;
    let text = reader.await.unwrap().unwrap();
    let status = child.wait().unwrap();
    match (status.code(), serde_json::from_str::<Value>(&text)) {
        (None, _) if matches!(disturbance, Disturbance::Kill { .. }) => {
            Answer { verdict: "killed".into(), ..error_answer("") }
        }
        (Some(code), Ok(json)) => read(&json, Some(code)),
        (code, _) => Answer { broken: Some(format!("exit code {code:?}, output {text:?}")), ..error_answer("") },
    }
}

fn start(source: &str, replica: &str, state: &Path, temporary: &Path) -> Child {
    let mut call = command(&["verify", "--json", "-q", source, replica, "--settle", "10s"]);
    call.arg("--state").arg(state).env("TMPDIR", temporary);
    call.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("start the binary")
}

async fn disturb(regions: &mut Regions, standby: bool, disturbance: Disturbance, child: Option<&mut Child>) {
    match disturbance {
        Disturbance::None | Disturbance::PauseReplay => {}
        Disturbance::Restart { source, mode, after } => {
            tokio::time::sleep(after).await;
            let server = if source { &mut regions.primary } else { regions.replica(standby) };
            server.stop(mode).await.unwrap();
            server.start_again().await.unwrap();
        }
        Disturbance::Terminate { source, after } => {
            tokio::time::sleep(after).await;
            let server = if source { &regions.primary } else { &*regions.replica(standby) };
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'paritas'";
            server.batch("postgres", sql).await.unwrap();
        }
        Disturbance::Kill { after } => {
            tokio::time::sleep(after).await;
            if let Some(child) = child {
                child.kill().unwrap();
            }
        }
    }
}

fn error_answer(problem: &str) -> Answer {
    Answer { verdict: "unknown".into(), proven: BTreeSet::new(), problem: problem.to_owned(), broken: None }
}

/// Takes a document apart, and holds the exit code against its verdict.
fn read(json: &Value, code: Option<i32>) -> Answer {
    if json["message_type"] == "error" {
        let broken = code.filter(|code| *code != 3).map(|code| format!("exit code {code} with {json}"));
        return Answer { broken, ..error_answer(&json["message"].to_string()) };
    }
    let verdict = json["verdict"].as_str().unwrap_or("none").to_owned();
    let right = match verdict.as_str() {
        "pass" | "warn" => 0,
        "fail" => 1,
        _ => 3,
    };
    let broken = code.filter(|code| *code != right).map(|code| format!("exit code {code} for {verdict}"));
    let (mut proven, mut problem) = (BTreeSet::new(), String::new());
    let checks = json["links"][0]["checks"].as_array().cloned().unwrap_or_default();
    for check in checks {
        let dataset = check["dataset"].as_str().unwrap_or_default().trim_start_matches("public.").to_owned();
        if problem.is_empty() && check["verdict"] != "pass" {
            let why =
                [&check["problem"]["message"], &check["problem"]["detail"], &check["notes"], &check["differences"]];
            problem = format!("{dataset}: {}", why.map(Value::to_string).join(" "));
        }
        if check["check"] == "schema" && check["verdict"] == "fail" {
            proven.insert(format!("{dataset} schema"));
        }
        for item in check["items"].as_array().into_iter().flatten().filter(|item| item["proof"] == "proven") {
            let values = item["key"].as_object().into_iter().flatten().map(|(_, value)| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            let key: Vec<String> = values.collect();
            proven.insert(format!("{dataset} {} {}", item["class"].as_str().unwrap_or_default(), key.join(",")));
        }
    }
    Answer { verdict, proven, problem, broken }
}
