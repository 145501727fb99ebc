//! What a snapshot holds of a source that is gone: positions of groups, and the last records of each partition one by
//! one. A group may have gone on since, so what is found about it is weaker than what a source that is there says.

use paritas_connect::logs::{Committed, Ends, Group, Isolation, Partition, Range};
use paritas_logs::ages::{Count, Found};
use paritas_logs::certify::{Certificate, GroupCertificate, Standing};
use paritas_logs::content::Chain;
use paritas_logs::items::{Item, Window};
use paritas_model::Known;
use std::collections::BTreeMap;
use std::time::Instant;

/// A source as it was.
#[derive(Debug, Clone, Default)]
pub struct Kept<'a> {
    /// The content of partitions, with the end of all their records.
    pub partitions: BTreeMap<Partition, (&'a Chain, u64)>,
    /// What groups had committed.
    pub groups: BTreeMap<String, BTreeMap<Partition, u64>>,
}

/// The first offset from which on every record is known by itself.
fn begins(chain: &Chain) -> u64 {
    match chain.trail.first() {
        Some(step) if (chain.trail.len() as u64) < chain.records() => step.offset,
        Some(_) => chain.from,
        None => chain.next,
    }
}

impl Kept<'_> {
    pub(super) fn groups(&self) -> BTreeMap<String, Group> {
        let now = Instant::now();
        let group = |(name, offsets): (&String, &BTreeMap<Partition, u64>)| {
            let committed = |offset: u64| Committed { offset, metadata: String::new() };
            let offsets = offsets.iter().map(|(partition, offset)| (partition.clone(), committed(*offset)));
            let group = Group {
                name: name.clone(),
                state: Known::unknown("the source is gone"),
                members: Known::unknown("the source is gone"),
                offsets: Known::Known(offsets.collect()),
                asked: now,
                answered: now,
            };
            (name.clone(), group)
        };
        self.groups.iter().map(group).collect()
    }

    /// Where partitions begin, as far as their records are known one by one, and end.
    pub(super) fn ends(&self, partitions: &[Partition]) -> Vec<Known<Ends>> {
        let now = Instant::now();
        let of = |partition: &Partition| match self.partitions.get(partition) {
            Some((chain, end)) => Known::Known(Ends {
                start: begins(chain),
                end: *end,
                stable: chain.next,
                epoch: None,
                asked: now,
                answered: now,
            }),
            None => Known::unknown("the snapshot holds no content of it"),
        };
        partitions.iter().map(of).collect()
    }

    /// The records of a range.
    pub(super) fn window(&self, range: &Range) -> Result<Window, String> {
        let nothing = || format!("the snapshot does not hold the records of {} one by one", range.partition);
        let (chain, _) = self.partitions.get(&range.partition).ok_or_else(nothing)?;
        if range.from < begins(chain) || range.to > chain.next {
            return Err(nothing());
        }
        let inside = chain.trail.iter().filter(|step| (range.from..range.to).contains(&step.offset));
        let item = |step: &paritas_logs::content::Step| Item {
            found: Found { offset: step.offset, timestamp: step.time, appended: false },
            hash: step.id,
        };
        Ok(Window {
            from: range.from,
            to: range.to,
            isolation: Isolation::Committed,
            items: inside.map(item).collect(),
        })
    }

    /// Whether the records around a position are known.
    pub(super) fn reaches(&self, partition: &Partition, committed: u64) -> bool {
        let chain = self.partitions.get(partition).map(|(chain, _)| *chain);
        chain.is_some_and(|chain| (begins(chain)..=chain.next).contains(&committed))
    }
}

/// What remains of certificates when the positions are older than the failure.
pub(super) fn weaken(groups: &mut [GroupCertificate]) {
    for certificate in groups.iter_mut().flat_map(|group| &mut group.partitions) {
        of_partition(certificate);
    }
}

fn of_partition(certificate: &mut Certificate) {
    let note = match certificate.standing {
        Standing::Exact | Standing::Redelivery => {
            let least = certificate.redelivery.value().map_or(0, |count| count.low);
            certificate.redelivery = Known::unknown(format!("at least {least} records: the group may have gone on"));
            certificate.standing = Standing::Redelivery;
            "its position is that of the snapshot: nothing is lost to it unless it was set back since"
        }
        Standing::Loss => {
            let most = certificate.loss.value().map_or(u64::MAX, |count| count.high);
            certificate.loss = Known::Known(Count { low: 0, high: most });
            certificate.standing = Standing::Unproven;
            "its position is that of the snapshot: it would lose these records, unless it has read them since"
        }
        Standing::NeverCommitted => {
            certificate.standing = Standing::Unproven;
            "the snapshot holds no position of it"
        }
        _ => return,
    };
    certificate.notes.push(note.to_owned());
}
