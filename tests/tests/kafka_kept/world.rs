//! A cluster, and snapshots of its topics by both ways: as rows, and as chains of records.

use paritas_connect::{Context, Datasets, Error, Store};
use paritas_connect_kafka::rows::RowOptions;
use paritas_connect_kafka::{KafkaOptions, KafkaStore, KafkaTables};
use paritas_digest::{Digest, DigestKey, Spec, schema_fingerprint};
use paritas_engine::thrift::{SegmentThrift, keep_segments};
use paritas_model::Dataset;
use paritas_report::{KeptReading, SegmentReading};
use paritas_state::{RangesFolder, State};
use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Client, Cluster, Install, Isolation, Options, Record, Topic};
use paritas_tests::{Run, paritas};
use paritas_verify::keep::{self, Request};
use paritas_verify::{Choice, Plan, Side};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How long a snapshot may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(300);
/// Offsets of a segment of rows.
pub const SEGMENT: u64 = 1_024;

pub struct World {
    pub cluster: Cluster,
    pub client: Client,
    pub scratch: Scratch,
    pub within: Duration,
    pub bytes_max: u64,
    state: State,
}

/// A snapshot that reads less, and one that reads everything.
#[derive(Debug)]
pub struct Taken {
    pub reading: KeptReading,
    pub segments: SegmentReading,
    pub digest: Digest,
}

impl Taken {
    /// Everything was read, for a reason that says this.
    pub fn all_read(self, why: &str) -> Self {
        let said = self.reading.why.clone().unwrap_or_default();
        assert!(said.contains(why), "{said:?} does not say {why:?}");
        assert_eq!((self.segments.records_read, self.segments.records_kept), (self.digest.header.rows, 0));
        self
    }

    /// No more than so many records were read, beside segments that had their turn.
    pub fn read_at_most(self, records: u64) -> Self {
        assert_eq!(self.reading.why, None);
        let SegmentReading { records_read, records_kept, segments_reread, .. } = self.segments;
        assert!(records_read <= records + segments_reread * SEGMENT, "{:?}", self.segments);
        assert_eq!(records_read + records_kept, self.digest.header.rows, "{:?}", self.segments);
        self
    }

    /// A partition was read whole, for a reason that says this.
    pub fn one_whole(self, why: &str) -> Self {
        let whole: Vec<&str> = self.segments.whole.iter().map(|whole| whole.why.as_str()).collect();
        assert!(matches!(whole[..], [said] if said.contains(why)), "{whole:?} does not say {why:?}");
        self
    }
}

impl World {
    /// One broker; `None` without Kafka.
    pub async fn start() -> Option<Self> {
        Self::start_with(Options::default()).await
    }

    pub async fn start_with(options: Options) -> Option<Self> {
        let Some(install) = Install::unless_missing().unwrap() else {
            eprintln!("left out: Kafka is not installed; run `make setup`");
            return None;
        };
        let scratch = Scratch::new().unwrap();
        let cluster = Cluster::start(&install, &scratch, "kept", options).await.unwrap();
        let client = cluster.client().unwrap();
        let state = State::open(scratch.path().join("state")).unwrap();
        Some(Self { cluster, client, scratch, within: DAY, bytes_max: 1 << 30, state })
    }

    pub async fn topic(&self, name: &str, partitions: i32) {
        self.client.create(&Topic::new(name).partitions(partitions).set("retention.ms", "-1")).await.unwrap();
    }

    /// Waits until readers of committed records can have everything up to an offset of the first partition: a transaction
    /// ends a moment after its producer was told.
    pub async fn decided(&self, topic: &str, end: u64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.client.ends(topic, Isolation::Committed).await.unwrap()[0].end < end {
            assert!(std::time::Instant::now() < deadline, "{topic} never ended at {end}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where rows of a topic are kept.
    pub fn folder(&self, topic: &str) -> RangesFolder {
        self.state.ranges("link", topic)
    }

    /// The folder itself.
    pub fn path(&self, topic: &str) -> PathBuf {
        self.state.folder().join("ranges").join("link").join(topic)
    }

    /// A snapshot of a topic as rows, equal to one that reads everything.
    pub async fn take(&self, topic: &str, options: &[(&str, &str)]) -> Taken {
        self.try_take(topic, options).await.unwrap()
    }

    pub async fn try_take(&self, topic: &str, options: &[(&str, &str)]) -> Result<Taken, Error> {
        let url = format!("kafka://{}", self.cluster.bootstrap());
        let store = KafkaStore::from_url(&url, &KafkaOptions::default())?;
        let options = RowOptions::from_pairs(options.iter().copied())?;
        let tables = Arc::new(KafkaTables::new(store, Some(topic.to_owned()), options)?);
        let cx = Context::default().with_timeout(PATIENCE).with_parallel(2);
        let rows: &dyn Datasets = tables.datasets().unwrap();
        let description = rows.describe(&cx, &Dataset(topic.to_owned())).await?;
        let choice = Choice { key: vec!["n".to_owned()], ..Choice::default() };
        let choice =
            if description.schema.columns.iter().any(|column| column.name == "n") { choice } else { Choice::default() };
        let plan = Plan::new((rows, &description), (rows, &description), &choice).unwrap();
        let spec = Spec::new(&DigestKey::unkeyed(), topic, (*plan.canon).clone()).unwrap();
        let side = Side::new(Arc::clone(&tables) as Arc<dyn Store>, cx.clone());
        let request = Request {
            side: &side,
            held: None,
            scan: &plan.source,
            spec: &spec,
            schema: schema_fingerprint(&description.schema),
            capacity: 1_000,
        };
        let thrift = SegmentThrift { folder: self.folder(topic), within: self.within, bytes_max: self.bytes_max };
        let (kept, reading) = keep_segments(&request, &thrift).await?;
        let full = keep::keep(&request).await?;
        let reading = reading.expect("topics have segments");
        assert!(kept.digest.sums == full.digest.sums, "the digest is wrong: {reading:?}");
        let facts = |digest: &Digest| {
            let header = &digest.header;
            (header.rows, header.schema, header.position.clone(), header.canon.clone())
        };
        assert_eq!(facts(&kept.digest), facts(&full.digest));
        let segments = reading.segments.clone().expect("records were counted");
        Ok(Taken { reading, segments, digest: kept.digest })
    }

    /// `paritas snapshot` of a topic as chains, into a state folder of that name.
    pub async fn snapshot(&self, topic: &str, state: &str, more: &[&str]) -> Run {
        let bootstrap = self.cluster.bootstrap();
        let url = |name: &str| format!("kafka://{bootstrap}/{name}?policy=identity&groups=none");
        let state = self.scratch.path().join(state).display().to_string();
        let mut args: Vec<String> = ["snapshot", "--json", "--state"].map(str::to_owned).into();
        args.extend([state, url(topic), url("copy")]);
        args.extend(more.iter().map(|more| (*more).to_owned()));
        tokio::task::spawn_blocking(move || paritas(&args)).await.unwrap()
    }

    /// The newest snapshot in a state folder of that name, and where it is.
    pub fn newest(&self, state: &str) -> (PathBuf, Value) {
        let folder = self.scratch.path().join(state).join("snapshots");
        let files = |folder: &PathBuf| -> Vec<PathBuf> {
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
        };
        let mut all: Vec<PathBuf> = files(&folder).iter().flat_map(files).collect();
        all.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        // Their names are ids, which ascend; their folders are those of links.
        all.sort_by_key(|path| path.file_name().map(std::ffi::OsStr::to_owned));
        let path = all.pop().expect("a snapshot");
        let json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path, json)
    }

    /// A snapshot that goes on from the one before, with the same content as one that reads everything.
    pub async fn chained(&self, topic: &str) -> SegmentReading {
        let run = self.snapshot(topic, "state", &[]).await.expect_code(0);
        self.same(topic).await;
        reading(&run)
    }

    /// The newest snapshot has the same content as one that reads everything.
    pub async fn same(&self, topic: &str) {
        self.snapshot(topic, "full", &["--full"]).await.expect_code(0);
        let chains = |state: &str| -> Vec<Value> {
            let logs = self.newest(state).1["logs"].as_array().unwrap().clone();
            let partitions = logs.iter().flat_map(|log| log["partitions"].as_array().unwrap());
            partitions.map(|partition| partition["chain"].clone()).collect()
        };
        let (ours, full) = (chains("state"), chains("full"));
        assert!(ours.iter().all(Value::is_object), "{ours:?}");
        assert!(ours == full, "the chain is not the one that reading everything gives");
    }
}

/// What a snapshot of chains has read.
pub fn reading(run: &Run) -> SegmentReading {
    serde_json::from_value(run.checks("snapshot")[0]["reading"].clone()).unwrap()
}

/// A record whose value is a JSON object.
pub fn row(partition: i32, number: u64) -> Record {
    let value = format!("{{\"n\":{number},\"text\":\"row {}\"}}", number.wrapping_mul(7_919));
    Record::new(number.to_string(), value).on(partition)
}

pub fn rows(partition: i32, numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(|number| row(partition, number)).collect()
}
