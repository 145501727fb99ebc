//! A comparison of two Kafka clusters that is under way, slowed down on its way to the brokers of one of them, so that
//! something can happen around it; and what may be its end.

use crate::around::{END_BUDGET, End, SLOW, in_time};
use crate::finding;
use crate::mirror::{forever, records};
use crate::names::{HERE, Names};
use crate::stage::World;
use paritas_testbed::kafka::{Cluster, Install, Listener, Options, Record};
use paritas_testbed::ports;
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_tests::{Run, command, verify};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Records of the topic that is read slowly; the last one differs.
pub const RECORDS: usize = 20_000;
/// So much of it has come when a run is well under way.
const UNDER_WAY_BYTES: u64 = 256 << 10;
/// Longest wait until it is.
const UNDER_WAY_LIMIT: Duration = Duration::from_secs(60);

/// What differs, as topic and offset. Everything else is alike.
const PLANTED: [(&str, u64); 2] = [("b_large", RECORDS as u64 - 1), ("c_last", 2)];

/// Two clusters; the way to every broker of one of them leads through a proxy.
pub struct Scene {
    pub east: Cluster,
    pub west: Cluster,
    proxies: Vec<Proxy>,
    host: String,
    /// What the names of hosts mean to the comparison, where the system's do not.
    pub names: Option<Names>,
    before_source: bool,
    user: String,
    settings: String,
}

/// How the cluster behind the proxies is set up and spoken to.
pub struct Far {
    pub options: Options,
    pub listener: Listener,
    /// The name or address under which the brokers are known.
    pub host: String,
    /// In front of its address, with an `@`.
    pub user: String,
    /// Settings of the client.
    pub settings: String,
    pub before_source: bool,
}

impl Default for Far {
    fn default() -> Self {
        Self {
            options: Options::default(),
            listener: Listener::Routed,
            host: HERE.to_owned(),
            user: String::new(),
            settings: String::new(),
            before_source: false,
        }
    }
}

impl Scene {
    /// With `brokers` in the cluster behind the proxies.
    pub fn new(world: &World, name: &str, brokers: u32, far: Far) -> Self {
        world.run(async {
            let install = Install::find().unwrap();
            let (mut proxies, mut options) = (Vec::new(), far.options.brokers(brokers));
            for _ in 0..brokers {
                let port = ports::free_port().unwrap();
                let proxy = Proxy::start(port).await.unwrap();
                options = options.route_as(far.listener, port, &format!("{}:{}", far.host, proxy.port()));
                proxies.push(proxy);
            }
            let (near_name, far_name) = (format!("{name}near"), format!("{name}far"));
            let (near, behind) = tokio::join!(
                Cluster::start(&install, world.scratch(), &near_name, Options::default()),
                Cluster::start(&install, world.scratch(), &far_name, options),
            );
            let (near, behind) = (near.unwrap(), behind.unwrap());
            let (east, west) = if far.before_source { (behind, near) } else { (near, behind) };
            for (cluster, planted) in [(&east, false), (&west, true)] {
                let many = cluster.brokers().len() > 1;
                fill(cluster, planted, many).await;
            }
            let Far { host, user, settings, before_source, .. } = far;
            Self { east, west, proxies, host, names: None, before_source, user, settings }
        })
    }

    /// The cluster behind the proxies.
    pub fn far(&mut self) -> &mut Cluster {
        if self.before_source { &mut self.east } else { &mut self.west }
    }

    pub fn set(&self, behaviour: Behaviour) {
        self.proxies.iter().for_each(|proxy| proxy.set(behaviour));
    }

    /// The ports of the proxies.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.proxies.iter().map(Proxy::port)
    }

    pub fn connections(&self) -> u64 {
        self.proxies.iter().map(Proxy::connections).sum()
    }

    pub fn urls(&self) -> (String, String) {
        let routed: Vec<String> = self.ports().map(|port| format!("{}:{port}", self.host)).collect();
        let far = format!("kafka://{}{}?policy=identity{}", self.user, routed.join(","), self.settings);
        let near = if self.before_source { &self.west } else { &self.east };
        let near = format!("kafka://{}?policy=identity", near.bootstrap());
        if self.before_source { (far, near) } else { (near, far) }
    }

    /// Both differences, and nothing else.
    pub fn control(&self) {
        let (source, replica) = self.urls();
        match &self.names {
            None => found(&verify(&source, &replica, &[]), "without any fault"),
            Some(names) => {
                let child = names.command(&["verify", "--json", &source, &replica]).spawn().unwrap();
                found(&in_time(child, Instant::now(), "by name"), "by name");
            }
        }
    }

    /// Starts a comparison, and waits until the large topic is being read, slowly.
    pub fn begin(&self, more: &[&str]) -> Child {
        let (source, replica) = self.urls();
        let before = self.bytes();
        let call = ["verify", "--json", &source, &replica, "--budget", END_BUDGET];
        let mut call = self.names.as_ref().map_or_else(|| command(&call), |names| names.command(&call));
        let child = call.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + UNDER_WAY_LIMIT;
        while self.bytes() < before + UNDER_WAY_BYTES {
            assert!(Instant::now() < deadline, "it does not read the large topic");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.set(SLOW);
        child
    }

    fn bytes(&self) -> u64 {
        self.proxies.iter().map(Proxy::bytes_from_server).sum()
    }

    /// What a comparison comes to when this happens meanwhile.
    pub fn during(&mut self, what: &str, fault: impl FnOnce(&mut Self)) -> End {
        let begun = Instant::now();
        let child = self.begin(&[]);
        fault(self);
        let end = honest(&in_time(child, begun, what), what);
        self.set(Behaviour::Pass);
        end
    }
}

/// The topics of one side.
pub async fn fill(cluster: &Cluster, planted: bool, many: bool) {
    let client = cluster.client().unwrap();
    for (name, count, bytes) in [("a_small", 10, 0), ("b_large", RECORDS, 900), ("c_last", 5, 0)] {
        let topic = forever(name);
        client.create(&if many { topic.on(&[2, 3]) } else { topic }).await.unwrap();
        let mut all = records(count, 1);
        for record in &mut all {
            record.value.as_mut().unwrap().resize(bytes + 20, b'.');
        }
        if let Some((_, offset)) = PLANTED.iter().find(|(planted, _)| *planted == name).filter(|_| planted) {
            let at = usize::try_from(*offset).unwrap();
            all[at] = Record { value: Some(b"another".to_vec()), ..all[at].clone() };
        }
        client.produce(name, all).await.unwrap();
    }
}

/// The exact end of a comparison that nothing disturbs.
pub fn found(run: &Run, what: &str) {
    assert_eq!(run.code, 1, "{what}: {run:#?}");
    let mut lines = finding::lines(run);
    lines.sort();
    let mut wanted = PLANTED.map(|(_, at)| format!("altered p0 source {at} replica {at} value"));
    wanted.sort();
    assert_eq!(lines, wanted, "{what}: {run:#?}");
}

/// The right verdict or unknown: what differs is never passed over, what is reported as proven is true, and what could
/// not be verified says why and what to do.
pub fn honest(run: &Run, what: &str) -> End {
    let json = run.json();
    assert!([1, 3].contains(&run.code) && json["exit_code"] == run.code, "{what}: {run:#?}");
    let mut end = End { run: run.clone(), codes: Vec::new(), said: String::new() };
    if json["message_type"] == "error" {
        problem(&json, &mut end, what);
        return end;
    }
    assert_eq!(json["verdict"], if run.code == 1 { "fail" } else { "unknown" }, "{what}: {run:#?}");
    let mut proven = 0;
    for check in json["links"][0]["checks"].as_array().unwrap() {
        if !check["problem"].is_null() {
            problem(&check["problem"], &mut end, what);
            assert!(["unknown", "fail"].contains(&check["verdict"].as_str().unwrap()), "{what}: {check:#}");
        }
        if check["check"] == "parity" {
            let partitions = check["log"]["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
            partitions.iter().map(|one| &one["problem"]).filter(|one| !one.is_null()).for_each(|one| {
                problem(one, &mut end, what);
            });
            proven += proven_of(check, what);
        }
    }
    assert_eq!(proven > 0, run.code == 1, "{what}: {run:#?}");
    end
}

fn proven_of(check: &Value, what: &str) -> usize {
    let planted = PLANTED.iter().find(|(topic, _)| check["dataset"] == *topic);
    assert!(planted.is_none() || check["verdict"] != "pass", "{what}: {check:#}");
    let findings = check["log"]["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let proven = findings.iter().filter(|one| one["proof"] == "proven" && one["class"] != "expired");
    let mut count = 0;
    for one in proven {
        let at = &one["source"][0];
        assert!(planted.is_some_and(|(_, offset)| at == *offset), "{what}: {one:#}");
        assert_eq!(one["class"], "altered", "{what}: {one:#}");
        count += 1;
    }
    count
}

fn problem(problem: &Value, end: &mut End, what: &str) {
    let part = |name: &str| problem[name].as_str().unwrap_or_default();
    assert!(!part("message").is_empty() && !part("hint").is_empty(), "{what}: {problem:#}");
    end.codes.push(part("code").to_owned());
    end.said += &format!("{}\n{}\n{}\n", part("message"), part("detail"), part("hint"));
}
