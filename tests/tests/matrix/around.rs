//! A comparison that is under way, slowed down on its way to one of the servers, so that something can happen around
//! it; and what may be its end.

use crate::finding;
use crate::stage::World;
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_tests::{Run, command, ended, verify};
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Rows of the table that is read slowly; the last one differs.
pub const ROWS: u64 = 20_000;
/// So much of it has come when a run is well under way.
const UNDER_WAY_BYTES: u64 = 256 << 10;
/// Every 16 KiB of it take this long: minutes for all of it.
pub const SLOW: Behaviour = Behaviour::Delay(Duration::from_millis(100));
/// What a run may take, and by how much it may miss that.
pub const END_BUDGET: &str = "20s";
const END_LIMIT: Duration = Duration::from_secs(20 + 10);

/// What differs, as dataset and key. Everything else is alike.
pub const PLANTED: &[Planted] = &[("public.b_large", "20000"), ("public.c_last", "7")];
pub type Planted = (&'static str, &'static str);

/// Tables are taken in the order of their names: one without, two with a difference.
pub fn tables(amount: u8) -> String {
    format!(
        "CREATE TABLE a_small (id int PRIMARY KEY); INSERT INTO a_small VALUES (1), (2); \
         CREATE TABLE b_large AS SELECT n AS id, repeat(md5(n::text), 30) AS note FROM generate_series(1, {ROWS}) n; \
         UPDATE b_large SET note = '{amount}' WHERE id = {ROWS}; ALTER TABLE b_large ADD PRIMARY KEY (id); \
         CREATE TABLE c_last (id int PRIMARY KEY, amount int); INSERT INTO c_last VALUES (7, {amount})"
    )
}

/// Two servers; the way to one of them leads through a proxy.
pub struct Scene {
    pub east: Server,
    pub west: Server,
    pub proxy: Proxy,
    /// Whether the proxy is in front of the source.
    pub before_source: bool,
    /// What differs.
    pub planted: &'static [Planted],
}

impl Scene {
    pub fn new(world: &World, name: &str, options: &Options) -> Self {
        Self::placed(world, name, options, false)
    }

    pub fn placed(world: &World, name: &str, options: &Options, before_source: bool) -> Self {
        let scene = world.run(async {
            let install = Install::find().unwrap();
            let start = async |side: &str, amount: u8| {
                let name = format!("{name}_{side}");
                let server = Server::start(&install, world.scratch(), &name, options.clone()).await.unwrap();
                server.batch("postgres", &tables(amount)).await.unwrap();
                server.batch("postgres", "VACUUM FREEZE").await.unwrap();
                server
            };
            let (east, west) = (start("east", 1).await, start("west", 2).await);
            let proxy = Proxy::start(if before_source { east.port() } else { west.port() }).await.unwrap();
            Self { east, west, proxy, before_source, planted: PLANTED }
        });
        scene.control();
        scene
    }

    /// The server behind the proxy.
    pub fn far(&mut self) -> &mut Server {
        if self.before_source { &mut self.east } else { &mut self.west }
    }

    pub fn urls(&self) -> (String, String) {
        self.urls_as("postgres", "")
    }

    /// As another user behind the proxy, and with options of its address.
    pub fn urls_as(&self, user: &str, options: &str) -> (String, String) {
        let far = format!("postgresql://{user}@127.0.0.1:{}/postgres{options}", self.proxy.port());
        match self.before_source {
            true => (far, self.west.url("postgres")),
            false => (self.east.url("postgres"), far),
        }
    }

    /// Both differences, and nothing else.
    fn control(&self) {
        let (source, replica) = self.urls();
        found(&verify(&source, &replica, &[]), "without any fault");
    }

    /// Starts a comparison, and waits until the large table is being read, slowly.
    pub fn begin(&self, urls: &(String, String), more: &[&str]) -> Child {
        let before = self.proxy.bytes_from_server();
        let mut call = command(&["verify", "--json", &urls.0, &urls.1, "--parallel", "1", "--budget", END_BUDGET]);
        let child = call.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.under_way(before);
        child
    }

    /// Waits until so much more has come that the large table is being read, and slows it down.
    pub fn under_way(&self, before: u64) {
        let deadline = Instant::now() + END_LIMIT;
        while self.proxy.bytes_from_server() < before + UNDER_WAY_BYTES {
            assert!(Instant::now() < deadline, "it does not read the large table");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.proxy.set(SLOW);
    }

    /// What a comparison comes to when this happens meanwhile.
    pub fn during(&mut self, what: &str, fault: impl FnOnce(&mut Self)) -> End {
        let urls = self.urls();
        self.during_of(&urls, what, fault)
    }

    pub fn during_of(&mut self, urls: &(String, String), what: &str, fault: impl FnOnce(&mut Self)) -> End {
        let begun = Instant::now();
        let child = self.begin(urls, &[]);
        fault(self);
        let end = honest_beside(&in_time(child, begun, what), self.planted, what);
        self.proxy.set(Behaviour::Pass);
        end
    }
}

/// Waits for the end of a comparison, which must not be later than its deadline and ten seconds.
pub fn in_time(child: Child, begun: Instant, what: &str) -> Run {
    // Read meanwhile, or a full pipe would be what keeps it from ending.
    let pid = child.id().to_string();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(ended(child)));
    let left = END_LIMIT.saturating_sub(begun.elapsed());
    receive.recv_timeout(left).unwrap_or_else(|_| {
        drop(Command::new("kill").args(["-KILL", &pid]).status());
        panic!("{what}: it did not end in time")
    })
}

/// The exact end of a comparison that nothing disturbs.
pub fn found(run: &Run, what: &str) {
    assert_eq!(run.code, 1, "{what}: {run:#?}");
    let lines = finding::lines(run);
    let large = format!("changed id='{ROWS}': note '1' -> '2'");
    let fits = |line: &String| *line == large || line == "changed id='7': amount '1' -> '2'";
    assert!(lines.len() == 2 && lines[0] != lines[1] && lines.iter().all(fits), "{what}: {lines:?}\n{run:#?}");
}

/// How a comparison ended.
#[derive(Debug)]
pub struct End {
    pub run: Run,
    /// Codes of what could not be verified.
    pub codes: Vec<String>,
    /// All texts of those.
    pub said: String,
}

impl End {
    /// Demands that nothing was proven and that this was the reason.
    pub fn unknown(self, codes: &[&str], what: &str) -> Self {
        assert_eq!(self.run.code, 3, "{what}: {:#?}", self.run);
        self.because(codes, what)
    }

    /// Demands that something could not be verified for one of these reasons.
    pub fn because(self, codes: &[&str], what: &str) -> Self {
        assert!(self.codes.iter().any(|code| codes.contains(&code.as_str())), "{what}: {codes:?}: {self:#?}");
        self
    }
}

/// The right verdict or unknown: what differs is never passed over, what is reported is true, and what could not be
/// verified says why and what to do.
pub fn honest(run: &Run, what: &str) -> End {
    honest_beside(run, PLANTED, what)
}

fn honest_beside(run: &Run, planted: &[Planted], what: &str) -> End {
    let json = run.json();
    assert!([1, 3].contains(&run.code) && json["exit_code"] == run.code, "{what}: {run:#?}");
    let mut end = End { run: run.clone(), codes: Vec::new(), said: String::new() };
    let mut problem = |problem: &Value| {
        let part = |name: &str| problem[name].as_str().unwrap_or_default();
        assert!(!part("message").is_empty() && !part("hint").is_empty(), "{what}: {problem:#}");
        end.codes.push(part("code").to_owned());
        end.said += &format!("{}\n{}\n{}\n", part("message"), part("detail"), part("hint"));
    };
    if json["message_type"] == "error" {
        problem(&json);
        return end;
    }
    assert_eq!(json["verdict"], if run.code == 1 { "fail" } else { "unknown" }, "{what}: {run:#?}");
    let mut proven = 0;
    for check in json["links"][0]["checks"].as_array().unwrap() {
        if !check["problem"].is_null() {
            problem(&check["problem"]);
            assert!(["unknown", "fail"].contains(&check["verdict"].as_str().unwrap()), "{what}: {check:#}");
        }
        if check["check"] != "parity" {
            continue;
        }
        let differs = planted.iter().find(|(dataset, _)| check["dataset"] == *dataset);
        assert!(differs.is_none() || check["verdict"] != "pass", "{what}: {check:#}");
        for item in check["items"].as_array().unwrap().iter().filter(|item| item["proof"] == "proven") {
            let key = item["key"]["id"].to_string();
            assert!(differs.is_some_and(|(_, planted)| key.trim_matches('"') == *planted), "{what}: {item:#}");
            assert_eq!(item["class"], "changed", "{what}: {item:#}");
            proven += 1;
        }
    }
    assert_eq!(proven > 0, run.code == 1, "{what}: {run:#?}");
    end
}
