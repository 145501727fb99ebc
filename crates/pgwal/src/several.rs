//! Several directories of one abandoned timeline: what they hold together, and with every doubt about each of them.
//!
//! A copy from before the end looks like the end. So no directory outweighs another one: where one shows more, or is
//! in doubt, or its server runs, the commits found are a lower bound.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::lost::{Commit, Lost};
use crate::recover::{Abandoned, Origin};
use crate::running::Running;

/// The directories, each once, however often and by whatever name it was given.
pub(crate) fn distinct(directories: &[PathBuf]) -> Vec<&Path> {
    let mut seen = BTreeSet::new();
    // One that cannot be resolved cannot be read either, which is said once for each name.
    let place = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    directories.iter().filter(|path| seen.insert(place(path))).map(PathBuf::as_path).collect()
}

/// Adds what a directory holds; one that left the new primary's history at a known position is joined to what is known.
pub(crate) fn add(found: &mut Vec<Abandoned>, another: Abandoned) {
    match found.iter_mut().find(|known| known.switch == another.switch) {
        Some(known) => join(known, another),
        None => found.push(another),
    }
}

fn join(known: &mut Abandoned, another: Abandoned) {
    let exact = known.is_proven() && another.is_proven();
    if exact && commits(known) != commits(&another) {
        known.doubts.push(format!(
            "{} and {} do not hold the same commits: at least one of them is not the old primary's as it is now",
            shown(&known.origin),
            shown(&another.origin)
        ));
    }
    let Abandoned { switch: _, origin, beside, stretches, survivor, doubts } = another;
    for doubt in doubts {
        if !known.doubts.contains(&doubt) {
            known.doubts.push(doubt);
        }
    }
    let undecided = undecided(known.stretches.last(), stretches.last());
    for stretch in stretches {
        match known.stretches.iter_mut().find(|own| (own.timeline, own.from) == (stretch.timeline, stretch.from)) {
            Some(own) => union(own, stretch),
            None => known.stretches.push(stretch),
        }
    }
    known.stretches.sort_by_key(|stretch| (stretch.timeline, stretch.from));
    if let Some(last) = known.stretches.last_mut() {
        last.undecided = undecided;
    }
    // The later one: both are part of the history that is shared.
    known.survivor = known.survivor.into_iter().chain(survivor).max_by_key(|survivor| survivor.lsn);
    // A server that runs is named first.
    let further = if is_running(&origin) && !is_running(&known.origin) {
        std::mem::replace(&mut known.origin, origin)
    } else {
        origin
    };
    if let Origin::Directory { path, .. } = further {
        known.beside.push(path);
    }
    known.beside.extend(beside);
}

fn is_running(origin: &Origin) -> bool {
    matches!(origin, Origin::Directory { running: Running::Yes(_), .. })
}

fn shown(origin: &Origin) -> String {
    match origin {
        Origin::Directory { path, .. } => path.display().to_string(),
        Origin::Archives => "the archives".to_owned(),
        Origin::Nothing => "nothing".to_owned(),
    }
}

/// What makes a commit one: two servers on one timeline number may write different ones at one position.
fn identity(timeline: u32, commit: &Commit) -> (u32, u64, u32, i128) {
    (timeline, commit.lsn.0, commit.xid, commit.time.as_nanosecond())
}

fn commits(abandoned: &Abandoned) -> BTreeSet<(u32, u64, u32, i128)> {
    let of = |stretch: &Lost| stretch.commits.iter().map(|commit| identity(stretch.timeline, commit)).collect();
    abandoned.stretches.iter().flat_map(|stretch| -> Vec<_> { of(stretch) }).collect()
}

fn union(own: &mut Lost, mut other: Lost) {
    if other.end.lsn > own.end.lsn {
        std::mem::swap(own, &mut other);
    }
    let seen: BTreeSet<_> = own.commits.iter().map(|commit| identity(own.timeline, commit)).collect();
    let more = other.commits.into_iter().filter(|commit| !seen.contains(&identity(own.timeline, commit)));
    own.commits.extend(more.collect::<Vec<_>>());
    own.commits.sort_by_key(|commit| commit.lsn);
    own.aborts = own.aborts.max(other.aborts);
    own.records = own.records.max(other.records);
    own.last_seen = own.last_seen.max(other.last_seen);
    for doubt in other.doubts {
        if !own.doubts.contains(&doubt) {
            own.doubts.push(doubt);
        }
    }
}

/// Prepared transactions of both ends; one that only the shorter log leaves open may be decided in the longer one.
fn undecided(ours: Option<&Lost>, theirs: Option<&Lost>) -> Vec<(crate::xact::Prepare, paritas_model::Lsn)> {
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return ours.or(theirs).map(|lost| lost.undecided.clone()).unwrap_or_default();
    };
    let (longer, shorter) = if theirs.end.lsn > ours.end.lsn { (theirs, ours) } else { (ours, theirs) };
    let mut all = longer.undecided.clone();
    if longer.timeline != shorter.timeline {
        let more: Vec<_> = shorter.undecided.iter().filter(|one| !all.contains(one)).cloned().collect();
        all.extend(more);
    }
    all
}
