//! A browser without a window, led over its own pipe: what a page asks for, what it complains about, what it shows.
//!
//! Source: Chrome DevTools Protocol, messages over a pipe, each ended by a zero byte.

use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Names by which the browser is called, in the order in which they are tried.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// No answer takes longer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// So long it may take to end.
const END_MAX: Duration = Duration::from_secs(10);

pub struct Browser {
    child: Child,
    input: File,
    messages: Receiver<Value>,
    calls: u64,
    session: Option<String>,
    events: Vec<Value>,
    _folder: TempDir,
}

/// The program, if there is one. Where `PARITAS_REQUIRE_SERVERS` is 1, none is a failure.
fn program() -> Option<&'static str> {
    let there = |name: &&str| {
        Command::new(name).arg("--version").stderr(Stdio::null()).output().is_ok_and(|run| run.status.success())
    };
    let found = NAMES.into_iter().find(there);
    let required = std::env::var_os("PARITAS_REQUIRE_SERVERS").is_some_and(|value| value == "1");
    assert!(found.is_some() || !required, "chromium is not installed: run `make setup`, or apt-get install chromium");
    found
}

impl Browser {
    /// Starts it; nothing where it is not installed and nobody insists.
    pub fn start() -> Option<Self> {
        let program = program()?;
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let pipes = [path("in"), path("out")];
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        // Opened for both directions, so that nobody waits for the other end.
        let open = |pipe: &Path| OpenOptions::new().read(true).write(true).open(pipe).unwrap();
        let (input, output) = (open(&pipes[0]), open(&pipes[1]));
        let script = r#"exec "$0" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
            --disable-background-networking --disable-component-update --disable-sync --disable-extensions \
            --user-data-dir="$3" --remote-debugging-pipe about:blank 3<"$1" 4>"$2""#;
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(program).args(&pipes).arg(path("profile"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (send, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Ok(message) = message else { return };
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self { child, input, messages, calls: 0, session: None, events: Vec::new(), _folder: folder };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session =
            Some(browser.call("Target.attachToTarget", &attach)["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.next(method);
            if answer["id"] == self.calls {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn next(&mut self, waiting_for: &str) -> Value {
        let message = self.messages.recv_timeout(ANSWER_MAX);
        message.unwrap_or_else(|error| panic!("the browser does not answer ({waiting_for}): {error}"))
    }

    /// Opens a file and waits until all of it is loaded. What was seen of earlier pages is forgotten.
    pub fn open(&mut self, page: &Path) {
        self.events.clear();
        self.call("Page.navigate", &json!({"url": format!("file://{}", page.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next("load");
            self.events.push(event);
        }
    }

    /// The value of an expression; one that throws is a failure.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Everything that the page asked for, itself included.
    pub fn requests(&mut self) -> Vec<String> {
        // An answer to this comes behind everything that happened before.
        self.value("1");
        let of = |event: &Value| {
            (event["method"] == "Network.requestWillBeSent").then(|| event["params"]["request"]["url"].clone())
        };
        self.events.iter().filter_map(of).map(|url| url.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Errors and warnings of the console, the page's and the browser's own, and dialogues.
    pub fn complaints(&mut self) -> Vec<String> {
        self.value("1");
        let bad = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => true,
            Some("Runtime.consoleAPICalled") => event["params"]["type"] != "log",
            Some("Log.entryAdded") => event["params"]["entry"]["level"] != "verbose",
            _ => false,
        };
        self.events.iter().filter(bad).map(ToString::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        let _ = self.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
