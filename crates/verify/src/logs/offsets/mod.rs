//! Whether groups of readers would go on at the right record on the replica: the driver of
//! [`paritas_logs::certify`].
//!
//! What is translated is asked for first and what groups have committed on the source after it. So a group
//! that moves meanwhile can only seem to be sent further back than it is.

mod kept;
mod spot;

pub use kept::Kept;

use super::mirrors::ends;
use super::side::LogSide;
use super::windows::{Job, NamedPair, read};
use crate::rows::{Failure, Origin};
use paritas_connect::logs::{Checkpoint, Group, Isolation, Partition};
use paritas_logs::ages::Extent;
use paritas_logs::certify::{Case, Certificate, GroupCertificate, certify};
use paritas_model::Known;
use spot::Spot;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// How much is read to certify one group in one partition.
#[derive(Debug, Clone, Copy)]
pub struct CertifyLimits {
    /// Offsets on either side of a position that are read at first.
    pub context: u64,
    /// Offsets that are read at most, on either side of a link.
    pub window_max: u64,
    /// Places that are read at a time.
    pub at_once: usize,
    /// Places that are looked at in all.
    pub places_max: usize,
}

impl Default for CertifyLimits {
    fn default() -> Self {
        Self { context: 32, window_max: 65_536, at_once: 64, places_max: 20_000 }
    }
}

/// Where what is said about the source comes from.
#[derive(Clone, Copy)]
pub enum Past<'a> {
    /// From the source itself.
    Living(&'a LogSide),
    /// From a snapshot: the source is gone.
    Kept(&'a Kept<'a>),
}

/// Everything that certification needs.
#[derive(Clone, Copy)]
pub struct OffsetsAsk<'a> {
    /// The source.
    pub source: Past<'a>,
    /// The replica.
    pub replica: &'a LogSide,
    /// Partitions and their mirrors.
    pub pairs: &'a [NamedPair],
    /// Translated offsets that the mirror of this source noted.
    pub checkpoints: &'a [Checkpoint],
    /// Which groups are looked at.
    pub wanted: &'a (dyn Fn(&str) -> bool + Send + Sync),
    /// Which records the mirror reads.
    pub isolation: Isolation,
    /// How much is read.
    pub limits: CertifyLimits,
}

/// Rounds of reading further where a place was not found at once.
const ROUNDS_MAX: usize = 8;

/// Certifies all groups that have something to do with the mirrored partitions, in the order of their names.
///
/// # Errors
/// Where a side cannot be asked at all. What concerns a single group is part of its certificate.
pub async fn offsets(ask: &OffsetsAsk<'_>) -> Result<Vec<GroupCertificate>, Failure> {
    let there = groups(ask.replica, Origin::Replica).await?;
    let here = match ask.source {
        Past::Living(side) => groups(side, Origin::Source).await?,
        Past::Kept(kept) => kept.groups(),
    };
    let replicas: Vec<Partition> = ask.pairs.iter().map(|pair| pair.replica.clone()).collect();
    let sources: Vec<Partition> = ask.pairs.iter().map(|pair| pair.source.clone()).collect();
    let replica_ends = ends(ask.replica, &replicas, Origin::Replica).await?;
    let source_ends = match ask.source {
        Past::Living(side) => ends(side, &sources, Origin::Source).await?,
        Past::Kept(kept) => kept.ends(&sources),
    };
    let origin = Instant::now();
    let extents: Vec<Option<(Extent, Extent)>> = (source_ends.iter().zip(&replica_ends))
        .map(|(here, there)| Some((Extent::of(here.value()?, origin), Extent::of(there.value()?, origin))))
        .collect();
    let claims = claims(ask, &here, &there);
    let isolation = match ask.source {
        Past::Living(_) => ask.isolation,
        Past::Kept(_) => Isolation::Committed,
    };
    let mut spots: BTreeMap<(usize, u64, Option<u64>), Spot> = BTreeMap::new();
    for claim in &claims {
        let (Some(committed), Some(Some(extents))) = (claim.committed, extents.get(claim.pair)) else { continue };
        let Some(pair) = ask.pairs.get(claim.pair) else { continue };
        let translated = claim.translated();
        let readable = match ask.source {
            Past::Living(_) => true,
            Past::Kept(kept) => kept.reaches(&pair.source, committed),
        };
        if readable && spots.len() < ask.limits.places_max && committed <= extents.0.end {
            let spot = || Spot::new(pair, committed, translated, *extents, isolation, ask.limits);
            spots.entry((claim.pair, committed, translated)).or_insert_with(spot);
        }
    }
    let mut all: Vec<&mut Spot> = spots.values_mut().collect();
    for part in all.chunks_mut(ask.limits.at_once.max(1)) {
        seek(ask, part).await?;
    }
    let mut certified = certificates(ask, &claims, &extents, &spots, (&here, &there));
    if let Past::Kept(_) = ask.source {
        kept::weaken(&mut certified);
    }
    Ok(certified)
}

async fn groups(side: &LogSide, origin: Origin) -> Result<BTreeMap<String, Group>, Failure> {
    let groups = side.cx.bound(side.logs.groups(&side.cx, None)).await.map_err(|error| (origin, error))?;
    Ok(groups.into_iter().map(|group| (group.name.clone(), group)).collect())
}

/// What is known about a group in a partition.
#[derive(Debug)]
struct Claim {
    group: String,
    pair: usize,
    committed: Option<u64>,
    on_replica: Option<u64>,
    checkpoint: Option<(i64, i64)>,
}

impl Claim {
    fn translated(&self) -> Option<u64> {
        let checkpoint = self.checkpoint.and_then(|(_, downstream)| u64::try_from(downstream).ok());
        self.on_replica.or(checkpoint)
    }
}

/// All groups that are wanted, in all partitions in which they or the mirror have left anything.
fn claims(ask: &OffsetsAsk<'_>, here: &BTreeMap<String, Group>, there: &BTreeMap<String, Group>) -> Vec<Claim> {
    let mut checkpoints: BTreeMap<(&str, &Partition), (i64, i64)> = BTreeMap::new();
    for checkpoint in ask.checkpoints {
        let offsets = (checkpoint.upstream, checkpoint.downstream);
        checkpoints.insert((checkpoint.group.as_str(), &checkpoint.partition), offsets);
    }
    let noted = ask.checkpoints.iter().map(|checkpoint| checkpoint.group.as_str());
    let names: BTreeSet<&str> =
        here.keys().map(String::as_str).chain(noted).filter(|name| (ask.wanted)(name)).collect();
    let committed = |groups: &BTreeMap<String, Group>, name: &str, partition: &Partition| {
        Some(groups.get(name)?.offsets.value()?.get(partition)?.offset)
    };
    let mut claims = Vec::new();
    for name in names {
        for (pair, partitions) in ask.pairs.iter().enumerate() {
            let claim = Claim {
                group: name.to_owned(),
                pair,
                committed: committed(here, name, &partitions.source),
                on_replica: committed(there, name, &partitions.replica),
                checkpoint: checkpoints.get(&(name, &partitions.replica)).copied(),
            };
            if claim.committed.is_some() || claim.translated().is_some() {
                claims.push(claim);
            }
        }
    }
    claims
}

/// Reads what is needed to place these, together.
async fn seek(ask: &OffsetsAsk<'_>, spots: &mut [&mut Spot]) -> Result<(), Failure> {
    for _ in 0..ROUNDS_MAX {
        let here = jobs(spots, Spot::source_job);
        match ask.source {
            Past::Living(side) => take(side, Origin::Source, spots, &here, Spot::take_source).await?,
            Past::Kept(kept) => {
                for (at, job) in &here {
                    if let Some(spot) = spots.get_mut(*at) {
                        spot.take_source(kept.window(&job.range));
                    }
                }
            }
        }
        times(ask, spots).await?;
        let there = jobs(spots, Spot::replica_job);
        take(ask.replica, Origin::Replica, spots, &there, Spot::take_replica).await?;
        if here.is_empty() && there.is_empty() {
            break;
        }
        for spot in spots.iter_mut() {
            spot.grow();
        }
    }
    Ok(())
}

fn jobs(spots: &mut [&mut Spot], job: impl Fn(&Spot) -> Option<Job>) -> Vec<(usize, Job)> {
    spots.iter().enumerate().filter_map(|(at, spot)| Some((at, job(spot)?))).collect()
}

async fn take(
    side: &LogSide,
    origin: Origin,
    spots: &mut [&mut Spot],
    jobs: &[(usize, Job)],
    take: impl Fn(&mut Spot, Result<paritas_logs::items::Window, String>),
) -> Result<(), Failure> {
    if jobs.is_empty() {
        return Ok(());
    }
    let wanted: Vec<Job> = jobs.iter().map(|(_, job)| job.clone()).collect();
    let windows = read(side, &wanted).await.map_err(|error| (origin, error))?;
    for ((at, _), window) in jobs.iter().zip(windows) {
        if let Some(spot) = spots.get_mut(*at) {
            take(spot, window);
        }
    }
    Ok(())
}

/// Asks where records of the time of the groups' positions begin on the replica.
async fn times(ask: &OffsetsAsk<'_>, spots: &mut [&mut Spot]) -> Result<(), Failure> {
    let wanted: Vec<(usize, (Partition, i64))> =
        spots.iter().enumerate().filter_map(|(at, spot)| Some((at, spot.time()?))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let asked: Vec<(Partition, i64)> = wanted.iter().map(|(_, one)| one.clone()).collect();
    let (side, at_replica) = (ask.replica, |error| (Origin::Replica, error));
    let found = side.cx.bound(side.logs.offsets_at(&side.cx, &asked)).await.map_err(at_replica)?;
    for ((at, _), found) in wanted.iter().zip(found) {
        if let Some(spot) = spots.get_mut(*at) {
            spot.since = Some(found.value().copied().flatten());
        }
    }
    Ok(())
}

fn certificates(
    ask: &OffsetsAsk<'_>,
    claims: &[Claim],
    extents: &[Option<(Extent, Extent)>],
    spots: &BTreeMap<(usize, u64, Option<u64>), Spot>,
    (here, there): (&BTreeMap<String, Group>, &BTreeMap<String, Group>),
) -> Vec<GroupCertificate> {
    let mut by_group: BTreeMap<&str, Vec<Certificate>> = BTreeMap::new();
    for claim in claims {
        let Some(pair) = ask.pairs.get(claim.pair) else { continue };
        let partitions = (&pair.source, &pair.replica);
        let list = by_group.entry(&claim.group).or_default();
        let Some(Some((source, replica))) = extents.get(claim.pair) else {
            list.push(Certificate::unknown(&claim.group, partitions, "where the partition ends is not known"));
            continue;
        };
        let spot = claim.committed.and_then(|committed| spots.get(&(claim.pair, committed, claim.translated())));
        let mut certificate = certify(&Case {
            group: &claim.group,
            partitions,
            committed: claim.committed,
            on_replica: claim.on_replica,
            checkpoint: claim.checkpoint,
            source,
            replica,
            times: pair.times_kept,
            windows: spot.and_then(Spot::windows),
        });
        certificate.notes.extend(spot.and_then(|spot| spot.problem.clone()));
        list.push(certificate);
    }
    let wanted = here.values().filter(|group| (ask.wanted)(&group.name) && group.offsets.value().is_none());
    for group in wanted {
        by_group.entry(&group.name).or_default();
    }
    let active = |name: &str| match there.get(name).map(|group| &group.members) {
        None => Known::Known(false),
        Some(members) => members.clone().map(|members| !members.is_empty()),
    };
    let why = |name: &str| here.get(name).and_then(|group| group.offsets.why()).map(str::to_owned);
    let of = |(name, partitions): (&str, Vec<Certificate>)| GroupCertificate {
        group: name.to_owned(),
        active_on_replica: active(name),
        partitions,
        why: why(name),
    };
    by_group.into_iter().map(of).collect()
}
