//! From what is known about a group in a partition to its certificate.

use super::{Around, Certificate, Standing, Translation, align};
use crate::ages::{Count, Extent};
use crate::items::Window;
use paritas_connect::logs::Partition;
use paritas_model::Known;

/// What is known about a group in a partition.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The group.
    pub group: &'a str,
    /// The partition on the source and on the replica.
    pub partitions: (&'a Partition, &'a Partition),
    /// What the group has committed on the source.
    pub committed: Option<u64>,
    /// What it has committed on the replica.
    pub on_replica: Option<u64>,
    /// What the mirror noted: the offset on the source for which it did, and the one on the replica.
    pub checkpoint: Option<(i64, i64)>,
    /// Where the partition of the source begins and ends.
    pub source: &'a Extent,
    /// Where that of the replica does.
    pub replica: &'a Extent,
    /// Whether times of records count when they are compared.
    pub times: bool,
    /// Records around the group's position on the source and on the replica, where they were read.
    pub windows: Option<(&'a Window, &'a Window)>,
}

impl Case<'_> {
    /// Where the group would go on, and who says so.
    pub fn translation(&self) -> Option<(u64, Translation)> {
        let checkpoint = self.checkpoint.and_then(|(_, downstream)| u64::try_from(downstream).ok());
        let committed = self.on_replica.map(|offset| (offset, Translation::Committed));
        committed.or_else(|| Some((checkpoint?, Translation::Checkpoint)))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let (Some(committed), Some((upstream, downstream))) = (self.committed, self.checkpoint) else { return notes };
        let (committed, upstream) = (i128::from(committed), i128::from(upstream));
        if upstream < committed {
            let behind = committed - upstream;
            notes.push(format!("the mirror's checkpoint is {behind} offsets older than what the group has committed"));
        } else if upstream > committed {
            let ahead = upstream - committed;
            notes.push(format!(
                "the group was set back on the source by {ahead} offsets since the mirror made its checkpoint"
            ));
        }
        if self.on_replica.is_some_and(|offset| i128::from(offset) != i128::from(downstream)) {
            notes.push(format!("the mirror's checkpoint says {downstream}, the group's commit on the replica counts"));
        }
        notes
    }
}

/// Certifies one group in one partition.
pub fn certify(case: &Case<'_>) -> Certificate {
    let translation = case.translation();
    let why = "the records around the group's position were not read";
    let mut certificate = Certificate {
        committed: case.committed,
        translated: translation.map(|(offset, _)| offset),
        translation: translation.map(|(_, translation)| translation),
        notes: case.notes(),
        ..Certificate::unknown(case.group, case.partitions, why)
    };
    let Some(committed) = case.committed else {
        let why = "the group has committed nothing on the source";
        certificate.standing = Standing::NeverCommitted;
        say(&mut certificate, why);
        return certificate;
    };
    if committed > case.source.end {
        let by = committed - case.source.end;
        say(&mut certificate, &format!("the group's position lies {by} offsets beyond the end of the source"));
        return certificate;
    }
    let Some((translated, _)) = translation else {
        untranslated(&mut certificate, case, committed);
        return certificate;
    };
    if translated > case.replica.end {
        let by = translated - case.replica.end;
        certificate.standing = Standing::BeyondEnd;
        say(&mut certificate, &format!("the translated offset lies {by} offsets beyond the end of the replica"));
        return certificate;
    }
    if translated < case.replica.start {
        let by = case.replica.start - translated;
        certificate.standing = Standing::BelowStart;
        say(&mut certificate, &format!("the replica begins {by} offsets behind the translated offset"));
        return certificate;
    }
    if let Some((loss, redelivery)) = placed(&mut certificate, case, committed, translated) {
        certificate.loss = Known::Known(loss);
        certificate.redelivery = Known::Known(redelivery);
        certificate.standing = match (loss, redelivery) {
            (Count { low: 1.., .. }, _) => Standing::Loss,
            (Count { high: 1.., .. }, _) => Standing::Unproven,
            (_, Count { high: 0, .. }) => Standing::Exact,
            _ => Standing::Redelivery,
        };
    }
    certificate
}

/// Nobody left an offset: the reader's settings decide. Where the replica begins with the first record that the
/// group wants, a reader that begins at the earliest record misses nothing.
fn untranslated(certificate: &mut Certificate, case: &Case<'_>, committed: u64) {
    let why = "neither the group nor the mirror has left an offset for it on the replica";
    let begins = placed(certificate, case, committed, case.replica.start);
    let at_start = begins.is_some_and(|(loss, redelivery)| loss.high == 0 && redelivery.high == 0);
    certificate.loss = Known::unknown(why);
    certificate.redelivery = Known::unknown(why);
    let decides = if at_start {
        certificate.standing = Standing::AtStart;
        "it misses nothing if its reader begins at the earliest record (auto.offset.reset=earliest), and everything \
         that is there if it begins at the latest"
    } else {
        certificate.standing = Standing::Untranslated;
        "the reader's settings decide where it begins"
    };
    certificate.notes.push(format!("{why}: {decides}"));
}

/// The right place, and what the group would miss and read twice from `translated` on.
fn placed(certificate: &mut Certificate, case: &Case<'_>, committed: u64, translated: u64) -> Option<(Count, Count)> {
    let (source, replica) = case.windows?;
    let around = Around {
        committed: committed.max(case.source.start),
        translated,
        source,
        source_goes_on: source.to < case.source.visible(source.isolation),
        replica,
        replica_begins: replica.from <= case.replica.start,
        replica_goes_on: replica.to < case.replica.visible(replica.isolation),
        times: case.times,
    };
    match align(&around) {
        Ok(aligned) => {
            certificate.exact = match aligned.exact.exact() {
                Some(offset) => Known::Known(offset),
                None => Known::unknown(format!(
                    "identical records stand there: it lies between {} and {}",
                    aligned.exact.low, aligned.exact.high
                )),
            };
            Some((aligned.loss, aligned.redelivery))
        }
        Err(why) => {
            say(certificate, why);
            None
        }
    }
}

/// Nothing can be counted, and that is why.
fn say(certificate: &mut Certificate, why: &str) {
    certificate.exact = Known::unknown(why);
    certificate.loss = Known::unknown(why);
    certificate.redelivery = Known::unknown(why);
}
