//! Two Kafka clusters with MirrorMaker 2 between them, as the drivers of `verify` see them.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr)]

use paritas_connect::Context;
use paritas_connect::logs::{Isolation, Logs, Partition, Survey, Traces};
use paritas_connect_kafka::{KafkaOptions, KafkaStore};
use paritas_digest::DigestKey;
use paritas_lag::Link;
use paritas_logs::content::{Namer, Timestamps};
use paritas_logs::position::{MirrorLag, Mirrors};
use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Client, Cluster, Install, Mirror, MirrorOptions, Options, Record, Topic};
use paritas_verify::logs::{LogSide, MirrorAsk, NamedPair, SeekLimits, mirrors};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a test may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(1_200);

pub struct World {
    mirror: Option<Mirror>,
    pub here: Client,
    pub there: Client,
    a: Cluster,
    b: Cluster,
    pub source: LogSide,
    pub replica: LogSide,
    scratch: Scratch,
}

impl World {
    /// Both clusters and a mirror; `None` without Kafka.
    pub async fn start() -> Option<Self> {
        let mut world = Self::start_without_mirror().await?;
        world.mirror = Some(Mirror::start(&world.a, &world.b, MirrorOptions::default()).await.unwrap());
        Some(world)
    }

    /// Both clusters.
    pub async fn start_without_mirror() -> Option<Self> {
        let Some(install) = Install::unless_missing().unwrap() else {
            eprintln!("left out: Kafka is not installed; run `make setup`");
            return None;
        };
        let scratch = Scratch::new().unwrap();
        let (a, b) = tokio::join!(
            Cluster::start(&install, &scratch, "a", Options::default()),
            Cluster::start(&install, &scratch, "b", Options::default()),
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        let (here, there) = (a.client().unwrap(), b.client().unwrap());
        let side = |name: &str, cluster: &Cluster| {
            let url = format!("kafka://{}", cluster.bootstrap());
            let store = KafkaStore::from_url(&url, &KafkaOptions::default()).unwrap();
            LogSide::new(name, Arc::new(store) as Arc<dyn Logs>, Context::default().with_timeout(PATIENCE))
        };
        let (source, replica) = (side("a", &a), side("b", &b));
        Some(Self { mirror: None, here, there, a, b, source, replica, scratch })
    }

    pub fn mirror(&mut self) -> &mut Mirror {
        self.mirror.as_mut().unwrap()
    }

    /// A topic of the source that keeps everything.
    pub async fn topic(&self, name: &str, partitions: i32) {
        let topic = Topic::new(name).partitions(partitions).set("retention.ms", "-1");
        self.here.create(&topic).await.unwrap();
    }

    /// Writes so many records that are like no other to a partition.
    pub async fn write(&self, topic: &str, partition: i32, first: u32, count: u32) {
        let records: Vec<Record> = (first..first + count).map(|number| record(partition, number)).collect();
        self.here.produce(topic, records).await.unwrap();
    }

    pub fn pairs(&self, topic: &str, partitions: i32) -> Vec<NamedPair> {
        let namer = Arc::new(Namer::new(&DigestKey::unkeyed(), topic, Timestamps::Compare));
        let pair = |index| NamedPair {
            source: Partition::new(topic, index),
            replica: Partition::new(format!("A.{topic}"), index),
            source_id: None,
            namer: Arc::clone(&namer),
            times_kept: true,
        };
        (0..partitions).map(pair).collect()
    }

    /// One look at the mirrors of a topic.
    pub async fn look(&self, topic: &str, partitions: i32, known: &mut Mirrors) -> Vec<MirrorLag> {
        let traces = self.traces().await;
        let pairs = self.pairs(topic, partitions);
        let mut syncs: BTreeMap<Partition, (i64, i64)> = BTreeMap::new();
        for sync in &traces.0.syncs {
            syncs.insert(sync.partition.clone(), (sync.upstream, sync.downstream));
        }
        let copied = traces.1.copied.iter().map(|copied| (copied.partition.clone(), copied.last)).collect();
        let ask = MirrorAsk {
            source: &self.source,
            replica: &self.replica,
            pairs: &pairs,
            syncs: &syncs,
            copied: &copied,
            isolation: Isolation::Uncommitted,
            link: &Link::Connected,
            limits: SeekLimits::default(),
        };
        mirrors(&ask, known).await.unwrap()
    }

    /// What the mirror left on the source and on the replica.
    pub async fn traces(&self) -> (Traces, Traces) {
        let of = async |side: &LogSide| side.logs.traces(&side.cx).await.unwrap();
        (of(&self.source).await, of(&self.replica).await)
    }

    pub async fn surveys(&self) -> (Survey, Survey) {
        let of = async |side: &LogSide| side.logs.survey(&side.cx).await.unwrap();
        (of(&self.source).await, of(&self.replica).await)
    }
}

pub fn record(partition: i32, number: u32) -> Record {
    Record::new(number.to_string(), format!("fill {number}")).on(partition).header("n", Some(b"1"))
}

pub fn new_mirrors() -> Mirrors {
    Mirrors::new(Instant::now())
}
