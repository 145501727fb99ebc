//! How far mirrors have copied their partitions: the driver of [`paritas_logs::position`].
//!
//! The replica is asked first: its ends and its last records. Then the source: its ends, and the records
//! among which those last ones must be. All partitions are asked for together; only those that are not found
//! at once are looked for further.

mod seek;

use super::side::LogSide;
use super::windows::{Job, NamedPair, read};
use crate::rows::{Failure, Origin};
use paritas_connect::logs::{Ends, Isolation, Partition};
use paritas_connect::{Error, FailureKind};
use paritas_lag::Link;
use paritas_logs::position::{Look, MirrorLag, Mirrors, PartitionLook};
use paritas_model::Known;
use seek::{Seek, Wants};
use std::collections::BTreeMap;

/// How much is read to find a position.
#[derive(Debug, Clone, Copy)]
pub struct SeekLimits {
    /// Offsets at the end of a mirrored partition that are read at first.
    pub tail: u64,
    /// Offsets there that are read at most, where records look alike or nothing can be read.
    pub tail_max: u64,
    /// Offsets of the source that are read at first.
    pub window: u64,
    /// Offsets of the source that are read at most.
    pub window_max: u64,
    /// Records that are held in memory at a time, all partitions together.
    pub records_max: u64,
}

impl Default for SeekLimits {
    fn default() -> Self {
        Self { tail: 32, tail_max: 16_384, window: 4_096, window_max: 1 << 20, records_max: 1 << 20 }
    }
}

/// Everything that one look at mirrors needs.
#[derive(Debug, Clone, Copy)]
pub struct MirrorAsk<'a> {
    /// The source.
    pub source: &'a LogSide,
    /// The replica.
    pub replica: &'a LogSide,
    /// Partitions and their mirrors.
    pub pairs: &'a [NamedPair],
    /// The newest pair of offsets that the mirror noted, by partition of the source: source first.
    pub syncs: &'a BTreeMap<Partition, (i64, i64)>,
    /// The last offset that the mirror notes as copied, by partition of the source.
    pub copied: &'a BTreeMap<Partition, u64>,
    /// Which records the mirror reads. MirrorMaker 2 reads all of them unless told otherwise.
    pub isolation: Isolation,
    /// What is known about the mirror as a whole.
    pub link: &'a Link,
    /// How much is read.
    pub limits: SeekLimits,
}

/// Rounds of looking further for what was not found at once.
const ROUNDS_MAX: usize = 16;

/// One look at all mirrors.
///
/// # Errors
/// Where a side cannot be asked at all. What concerns a single partition is part of its result.
pub async fn mirrors(ask: &MirrorAsk<'_>, known: &mut Mirrors) -> Result<Vec<MirrorLag>, Failure> {
    let replicas: Vec<Partition> = ask.pairs.iter().map(|pair| pair.replica.clone()).collect();
    let sources: Vec<Partition> = ask.pairs.iter().map(|pair| pair.source.clone()).collect();
    if !ask.pairs.iter().all(|pair| known.knows(&pair.source)) {
        let ends = ends(ask.source, &sources, Origin::Source).await?;
        for (pair, ends) in ask.pairs.iter().zip(&ends) {
            if let Known::Known(ends) = ends {
                known.begin(&pair.source, ends, pair.source_id.as_deref(), ask.pairs.len());
            }
        }
    }
    let replica_ends = ends(ask.replica, &replicas, Origin::Replica).await?;
    let mut seeks: Vec<Seek<'_>> = Vec::with_capacity(ask.pairs.len());
    for (pair, ends) in ask.pairs.iter().zip(&replica_ends) {
        seeks.push(Seek::new(pair, ends.value().cloned(), ask));
    }
    tails(ask, &mut seeks).await?;
    let source_ends = ends(ask.source, &sources, Origin::Source).await?;
    for (seek, ends) in seeks.iter_mut().zip(&source_ends) {
        seek.source = ends.value().cloned();
    }
    times(ask.source, Origin::Source, &mut seeks).await?;
    for _ in 0..ROUNDS_MAX {
        if !windows(ask, &mut seeks).await? {
            break;
        }
        tails(ask, &mut seeks).await?;
        times(ask.replica, Origin::Replica, &mut seeks).await?;
    }
    let placed: Vec<_> = seeks.iter().map(Seek::place).collect();
    let looks: Vec<PartitionLook<'_>> = (seeks.iter().zip(&placed))
        .zip(source_ends.iter().zip(&replica_ends))
        .map(|((seek, placed), (source_ends, replica_ends))| PartitionLook {
            source: &seek.pair.source,
            replica: &seek.pair.replica,
            replica_ends,
            source_ends,
            placed,
            window: seek.window.as_ref(),
            incarnation: seek.pair.source_id.as_deref(),
        })
        .collect();
    Ok(known.look(&Look { partitions: &looks, link: ask.link }))
}

/// Where partitions begin and end, tried again after transient failures.
pub(super) async fn ends(side: &LogSide, of: &[Partition], origin: Origin) -> Result<Vec<Known<Ends>>, Failure> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let mut attempt = 1;
    loop {
        match side.cx.bound(side.logs.ends(&side.cx, of)).await {
            Ok(ends) if ends.len() == of.len() => return Ok(ends),
            Ok(ends) => {
                let what = format!("{} partitions were asked for and {} answered", of.len(), ends.len());
                return Err((origin, Error::new(FailureKind::Permanent, "log.short", what)));
            }
            Err(error) if error.is_transient() && attempt < side.retry.attempts_max => {
                attempt += 1;
                let pause = async {
                    tokio::time::sleep(side.retry.pause).await;
                    Ok(())
                };
                side.cx.bound(pause).await.map_err(|error| (origin, error))?;
            }
            Err(error) => return Err((origin, error)),
        }
    }
}

/// Reads the tails that are wanted, on the replica.
async fn tails(ask: &MirrorAsk<'_>, seeks: &mut [Seek<'_>]) -> Result<(), Failure> {
    for _ in 0..ROUNDS_MAX {
        let share = ask.limits.records_max / seeks.len().max(1) as u64;
        let jobs: Vec<(usize, Job)> =
            seeks.iter().enumerate().filter_map(|(at, seek)| Some((at, seek.tail_job(share)?))).collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Job> = jobs.iter().map(|(_, job)| job.clone()).collect();
        let windows = read(ask.replica, &wanted).await.map_err(|error| (Origin::Replica, error))?;
        for ((at, _), window) in jobs.iter().zip(windows) {
            if let Some(seek) = seeks.get_mut(*at) {
                seek.take_tail(window);
            }
        }
    }
    Ok(())
}

/// Asks where records of the time of the tails' last ones begin.
async fn times(side: &LogSide, origin: Origin, seeks: &mut [Seek<'_>]) -> Result<(), Failure> {
    let of = |seek: &Seek<'_>| match origin {
        Origin::Source => seek.time_on_source(),
        _ => seek.time_on_replica(),
    };
    let wanted: Vec<(usize, (Partition, i64))> =
        seeks.iter().enumerate().filter_map(|(at, seek)| Some((at, of(seek)?))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let asked: Vec<(Partition, i64)> = wanted.iter().map(|(_, one)| one.clone()).collect();
    let found = side.cx.bound(side.logs.offsets_at(&side.cx, &asked)).await.map_err(|error| (origin, error))?;
    for ((at, _), found) in wanted.iter().zip(found) {
        if let Some(seek) = seeks.get_mut(*at) {
            let offset = found.value().copied().flatten();
            match origin {
                Origin::Source => seek.since = offset,
                _ => seek.replica_since = Some(offset),
            }
        }
    }
    Ok(())
}

/// Reads what is wanted of the source. Answers whether anything was.
async fn windows(ask: &MirrorAsk<'_>, seeks: &mut [Seek<'_>]) -> Result<bool, Failure> {
    let mut jobs: Vec<(usize, Job)> = Vec::new();
    let open = seeks.iter().filter(|seek| seek.wants() == Wants::Window).count();
    let share = ask.limits.records_max / open.max(1) as u64;
    for (at, seek) in seeks.iter_mut().enumerate() {
        if let Some(job) = seek.window_job(share) {
            jobs.push((at, job));
        }
    }
    if jobs.is_empty() {
        return Ok(seeks.iter().any(|seek| seek.wants() == Wants::Tail));
    }
    let wanted: Vec<Job> = jobs.iter().map(|(_, job)| job.clone()).collect();
    let found = read(ask.source, &wanted).await.map_err(|error| (Origin::Source, error))?;
    for ((at, _), window) in jobs.iter().zip(found) {
        if let Some(seek) = seeks.get_mut(*at) {
            seek.take_window(window);
        }
    }
    Ok(true)
}
