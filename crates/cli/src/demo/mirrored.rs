//! Two Kafka clusters and MirrorMaker 2 between them: a mirror that looks right and lacks records.

use super::Result;
use super::faults::Planted;
use paritas_testbed::Scratch;
use paritas_testbed::faults::{Class, Injected};
use paritas_testbed::kafka::{Cluster, Install, Mirror, MirrorOptions, Options, Record, Topic};

/// Records of the large topic.
const FILLS: u64 = 30_000;
/// Bytes of their values.
const FILL_BYTES: usize = 100;
/// Partitions of the large topic.
const PARTITIONS: i32 = 3;
/// Records of the topic that is made anew, before and after.
const QUOTES_BEFORE: u64 = 100;
const QUOTES_AFTER: u64 = 300;

/// Both clusters and the mirror, in the order in which they stop.
pub(super) struct Clusters {
    mirror: Mirror,
    west: Cluster,
    east: Cluster,
    _scratch: Scratch,
}

impl Clusters {
    /// Starts two clusters, fills two topics and waits until they are mirrored.
    pub(super) async fn start(install: &Install) -> Result<Self> {
        let scratch = Scratch::new()?;
        let (east, west) = tokio::try_join!(
            Cluster::start(install, &scratch, "east", Options::default()),
            Cluster::start(install, &scratch, "west", Options::default()),
        )?;
        let client = east.client()?;
        client.create(&Topic::new("fills").partitions(PARTITIONS)).await?;
        client.create(&Topic::new("quotes")).await?;
        client.fill("fills", 0, FILLS, FILL_BYTES).await?;
        client.produce("quotes", quotes("before", QUOTES_BEFORE)).await?;
        let mirror = Mirror::start(&east, &west, MirrorOptions::default()).await?;
        mirror.wait_caught_up("fills").await?;
        mirror.wait_caught_up("quotes").await?;
        Ok(Self { mirror, west, east, _scratch: scratch })
    }

    /// Version of the servers.
    pub(super) fn version(&self) -> &str {
        self.east.install().version()
    }

    /// Both clusters as one would type them.
    pub(super) fn urls(&self) -> (String, String) {
        let url = |cluster: &Cluster| format!("kafka://{}", cluster.bootstrap());
        (url(&self.east), url(&self.west))
    }

    /// A record that only the copy has; and a topic that is deleted and made anew with more records while the mirror
    /// does not look: it goes on at its old offset, counts and ends agree, and nobody logs an error.
    pub(super) async fn inject(&mut self, link: &'static str) -> Result<Vec<Planted>> {
        let copies = self.west.client()?;
        let phantom = Record::new("phantom", "bought at the top").on(1);
        let place = copies.produce(&self.mirror.remote("fills"), vec![phantom]).await?;
        let offset = place.first().map_or(0, |place| place.offset);
        self.mirror.pause()?;
        let client = self.east.client()?;
        client.delete("quotes").await?;
        client.create(&Topic::new("quotes")).await?;
        client.produce("quotes", quotes("after", QUOTES_AFTER)).await?;
        self.mirror.resume()?;
        self.mirror.wait_mirrored("quotes", 0, QUOTES_AFTER).await?;
        let lost = format!("0..{}", QUOTES_BEFORE - 1);
        let fault = |class, dataset: &str, what: &str, partition: &str, (side, offsets): (&str, String)| Planted {
            link,
            fault: Injected {
                what: what.to_owned(),
                dataset: dataset.to_owned(),
                key: vec![("partition".to_owned(), partition.to_owned()), (side.to_owned(), offsets)],
                column: None,
                before: None,
                after: None,
                class,
            },
        };
        Ok(vec![
            fault(Class::Extra, "fills", "record written to the copy", "1", ("replica", offset.to_string())),
            fault(
                Class::Lost,
                "quotes",
                "topic made anew, its first records never arrive",
                "0",
                ("source", lost.clone()),
            ),
            fault(Class::Extra, "quotes", "records of the old topic stay on the copy", "0", ("replica", lost)),
        ])
    }
}

fn quotes(when: &'static str, count: u64) -> Vec<Record> {
    (0..count).map(|number| Record::new(format!("{when}-{number}"), format!("{when} {number}"))).collect()
}
