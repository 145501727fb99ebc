//! Two Kafka clusters that every cell of the column K shares. A copy is written by the cell itself, as any mirror may
//! write it: record by record, with one fault.

use crate::finding::{lines, misfit};
use crate::stage::{World, owned};
use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Client, Cluster, Install, Options, Record, Topic};
use paritas_tests::{Run, verify};

/// The time of the first record. Brokers take none from the future, so topics keep old ones.
pub const NOON: i64 = 1_700_000_000_000;
/// How long a cell waits for a copy that will not come.
const SETTLE: [&str; 2] = ["--settle", "1s"];

/// Both clusters.
pub struct Clusters {
    pub east: Cluster,
    pub west: Cluster,
}

impl Clusters {
    pub async fn start(scratch: &Scratch) -> Self {
        let install = Install::find().unwrap();
        let (east, west) = tokio::join!(
            Cluster::start(&install, scratch, "matrixeast", Options::default()),
            Cluster::start(&install, scratch, "matrixwest", Options::default()),
        );
        Self { east: east.unwrap(), west: west.unwrap() }
    }
}

/// Some records: so many, in so many partitions, one after the other.
pub fn records(count: usize, partitions: i32) -> Vec<Record> {
    let one = |number: usize| {
        let partition = i32::try_from(number).unwrap() % partitions;
        let amount = number * 100;
        Record::new(
            format!("k{number}"),
            format!("{{\"id\":{number},\"amount\":\"{amount}.25\",\"note\":\"n{number}\"}}"),
        )
        .on(partition)
        .at(NOON + i64::try_from(number).unwrap() * 1_000)
        .header("trace", Some(b"t"))
    };
    (0..count).map(one).collect()
}

/// A topic that keeps records of any age.
pub fn forever(name: &str) -> Topic {
    Topic::new(name).set("retention.ms", "-1")
}

/// A topic and its copy.
pub struct Mirrored<'w> {
    pub world: &'w World,
    pub topic: String,
    pub partitions: i32,
}

impl<'w> Mirrored<'w> {
    /// A topic on both sides, with these settings, and nothing in it.
    pub fn new(world: &'w World, partitions: i32, settings: &[(&str, &str)]) -> Self {
        let topic = format!("t{}", world.number());
        let mirrored = Self { world, topic, partitions };
        for client in [mirrored.east(), mirrored.west()] {
            mirrored.create(&client, settings);
        }
        mirrored
    }

    fn create(&self, client: &Client, settings: &[(&str, &str)]) {
        let topic = forever(&self.topic).partitions(self.partitions);
        let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        self.world.run(client.create(&topic)).unwrap();
    }

    pub fn east(&self) -> Client {
        self.world.clusters().east.client().unwrap()
    }

    pub fn west(&self) -> Client {
        self.world.clusters().west.client().unwrap()
    }

    /// Writes records to the source, and others to the copy.
    pub fn fill(&self, source: &[Record], copy: &[Record]) -> &Self {
        self.world.run(async {
            self.east().produce(&self.topic, source.to_vec()).await.unwrap();
            self.west().produce(&self.topic, copy.to_vec()).await.unwrap();
        });
        self
    }

    /// Both names as on the command line.
    pub fn urls(&self, options: &str) -> (String, String) {
        let clusters = self.world.clusters();
        let of = |cluster: &Cluster| format!("kafka://{}/{}", cluster.bootstrap(), self.topic);
        let source = of(&clusters.east);
        (if options.is_empty() { source } else { format!("{source}?{options}") }, of(&clusters.west))
    }

    /// Verifies, and demands an exit code and exactly these lines.
    pub fn demand(&self, code: i32, demanded: &[&str], what: &str) -> Run {
        self.demand_with("", &[], code, demanded, what)
    }

    /// The same with options of the URL and of the command.
    pub fn demand_with(&self, options: &str, more: &[&str], code: i32, demanded: &[&str], what: &str) -> Run {
        let (source, replica) = self.urls(options);
        let more: Vec<&str> = SETTLE.iter().chain(more).copied().collect();
        let run = verify(&source, &replica, &more);
        assert_eq!(run.code, code, "{what}: {run:#?}");
        if let Some(misfit) = misfit(&lines(&run), &owned(demanded)) {
            panic!("{what}: the report says something else\n{misfit}\n{}", run.stdout);
        }
        run
    }
}

/// A copy with one fault, and an honest one: the fault is found, and nothing else.
pub fn finds(world: &World, what: &str, count: usize, plant: impl FnOnce(&mut Vec<Record>), demanded: &[&str]) {
    let honest = records(count, 1);
    let mut faulty = honest.clone();
    plant(&mut faulty);
    Mirrored::new(world, 1, &[]).fill(&honest, &honest).demand(0, &[], &format!("{what}: without any fault"));
    Mirrored::new(world, 1, &[]).fill(&honest, &faulty).demand(1, demanded, what);
}
