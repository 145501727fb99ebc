//! Where Java is missing: two mocked clusters inside this process, and a copy made by the demo itself.

use super::Result;
use super::faults::Planted;
use paritas_testbed::faults::{Class, Injected};
use paritas_testbed::kafka::{Client, Mock, Record};

/// The topic.
const TOPIC: &str = "fills";
/// Its records at the beginning.
const FILLS: u64 = 20_000;
/// Its partitions.
const PARTITIONS: i32 = 3;
/// Records that are written to the source later; the one in the middle is not copied.
const LATER: usize = 3;

/// Both clusters.
pub(super) struct Mocks {
    west: Mock,
    east: Mock,
}

impl Mocks {
    /// Starts two clusters that hold the same.
    pub(super) async fn start() -> Result<Self> {
        let mocks = Self { west: Mock::start()?, east: Mock::start()? };
        for cluster in [&mocks.east, &mocks.west] {
            cluster.create(TOPIC, PARTITIONS)?;
            let partitions = (0..PARTITIONS).cycle();
            let fills = (0..FILLS).zip(partitions).map(|(number, partition)| fill("fill", number).on(partition));
            cluster.client()?.produce(TOPIC, fills).await?;
        }
        Ok(mocks)
    }

    /// Both topics as one would type them: a mocked cluster does not say how its topics are cleaned, nor list groups.
    pub(super) fn urls(&self) -> (String, String) {
        let url = |cluster: &Mock, options: &str| format!("kafka://{}/{TOPIC}{options}", cluster.bootstrap());
        (url(&self.east, "?cleanup=delete&groups=none"), url(&self.west, ""))
    }

    /// A record that is not copied although those behind it are, and one that only the copy has.
    pub(super) async fn inject(&self, link: &'static str) -> Result<Vec<Planted>> {
        let (east, west): (Client, Client) = (self.east.client()?, self.west.client()?);
        let later: Vec<Record> = (FILLS..).take(LATER).map(|number| fill("late", number).on(0)).collect();
        let places = east.produce(TOPIC, later.clone()).await?;
        let hole = LATER / 2;
        let copied = later.into_iter().enumerate().filter(|(index, _)| *index != hole).map(|(_, record)| record);
        west.produce(TOPIC, copied.collect::<Vec<_>>()).await?;
        let phantom = fill("phantom", 1).on(1);
        let phantom = west.produce(TOPIC, vec![phantom]).await?;
        let fault = |class, what: &str, partition: i32, (side, offset): (&str, Option<u64>)| Planted {
            link,
            fault: Injected {
                what: what.to_owned(),
                dataset: TOPIC.to_owned(),
                key: vec![
                    ("partition".to_owned(), partition.to_string()),
                    (side.to_owned(), offset.unwrap_or_default().to_string()),
                ],
                column: None,
                before: None,
                after: None,
                class,
            },
        };
        let lost = places.get(hole).map(|place| place.offset);
        let extra = phantom.first().map(|place| place.offset);
        Ok(vec![
            fault(Class::Lost, "record left out by the copy", 0, ("source", lost)),
            fault(Class::Extra, "record written to the copy", 1, ("replica", extra)),
        ])
    }
}

/// A fill that is the same on both sides, its time included.
fn fill(key: &str, number: u64) -> Record {
    let time = 1_760_000_000_000_i64.saturating_add_unsigned(number);
    Record::new(format!("{key}-{number}"), format!("{number} at {}.{:02}", number % 997, number % 100)).at(time)
}
