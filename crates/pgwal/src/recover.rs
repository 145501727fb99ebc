//! What was lost on each timeline that a new primary left behind, from what is left of the old ones.
//!
//! A list of lost commits is a proof only of what *some server* wrote. So it is exact when it comes from the data
//! directory of the server that wrote the timeline, and that server is known to have ended where its log ends: it
//! crashed, or was shut down with the checkpoint that its control file names, and nothing runs on the directory. An
//! archive or a receiver's folder holds what was copied in time, so it gives *at least* so many.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use paritas_model::{Ancestry, Lsn, Switch};

use crate::control::{Control, State};
use crate::end::{Doubt, Why};
use crate::lost::{Commit, Lost, Tally, lost_between};
use crate::reader::{Next, Reader};
use crate::running::{Running, running};
use crate::several::{add, distinct};
use crate::xact::{Event, Prepare};
use crate::{Error, Result};

/// Segments read back from the switchpoint for the last commit that survived.
const SURVIVOR_SEGMENTS_MAX: u64 = 4;

/// What there is to read.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// Data directories of old primaries.
    pub directories: &'a [PathBuf],
    /// Folders of archived segments: of an archive command, of `pg_receivewal`, the `pg_wal` of another standby.
    pub archives: &'a [PathBuf],
    /// The history of the new primary.
    pub ancestry: &'a Ancestry,
    /// The timeline of the server that was replaced, where it is known. Switches before it are of no interest.
    pub timeline: Option<u32>,
}

/// Where the log of an abandoned timeline was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The data directory of a server.
    Directory {
        /// The directory.
        path: PathBuf,
        /// What its control file says.
        control: Control,
        /// Whether a server runs there.
        running: Running,
    },
    /// Archives only.
    Archives,
    /// Nothing of it was found.
    Nothing,
}

/// The last commit before a switchpoint: it is part of the new primary's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survivor {
    /// Where its record begins.
    pub lsn: Lsn,
    /// When it committed, by the old server's clock.
    pub time: Timestamp,
}

/// A timeline that was left behind, and what of it was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// The last position that the new primary shares with it.
    pub switch: Switch,
    /// Where its log was read.
    pub origin: Origin,
    /// Further directories that left the new primary's history at the same position.
    pub beside: Vec<PathBuf>,
    /// What follows the switchpoint; several when the old server was itself promoted on the way.
    pub stretches: Vec<Lost>,
    /// The last commit before the switchpoint, where it lies near enough in the log that is left.
    pub survivor: Option<Survivor>,
    /// Why there may be more lost commits than were found; exact when empty.
    pub doubts: Vec<String>,
}

impl Abandoned {
    /// Whether exactly the commits found are lost.
    pub fn is_proven(&self) -> bool {
        self.doubts.is_empty() && !self.stretches.is_empty()
    }

    /// The lost commits, in the order of the log.
    pub fn commits(&self) -> impl Iterator<Item = &Commit> {
        self.stretches.iter().flat_map(|stretch| &stretch.commits)
    }

    /// Transactions that were prepared and not decided when the log ends.
    pub fn undecided(&self) -> &[(Prepare, Lsn)] {
        self.stretches.last().map(|stretch| stretch.undecided.as_slice()).unwrap_or_default()
    }

    /// Transactions rolled back: nobody was told that they were kept.
    pub fn aborts(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.aborts).sum()
    }

    /// Bytes of log behind the switchpoint, lost commits or not.
    pub fn bytes(&self) -> u64 {
        self.stretches.iter().map(Lost::bytes).sum()
    }
}

/// Reads what is left of the timelines that the new primary left behind. What cannot be read is among the errors.
pub fn recover(sources: &Sources<'_>) -> (Vec<Abandoned>, Vec<Error>) {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let directories = sources.archives.iter().filter(|folder| folder.join("global/pg_control").is_file());
    errors.extend(directories.map(|folder| Error::NotAnArchive { folder: folder.clone() }));
    for directory in distinct(sources.directories) {
        match from_directory(directory, sources) {
            Ok(abandoned) => add(&mut found, abandoned),
            Err(error) => errors.push(error),
        }
    }
    let first = found.iter().map(|abandoned: &Abandoned| abandoned.switch.timeline).chain(sources.timeline).min();
    let last = sources.ancestry.switches.last().map(|switch| switch.timeline);
    for switch in &sources.ancestry.switches {
        let asked = Some(switch.timeline) >= first.or(last);
        // A directory that left this timeline elsewhere says nothing of what followed here.
        if asked && !found.iter().any(|abandoned| abandoned.switch == *switch) {
            match from_archives(*switch, sources) {
                Ok(abandoned) => found.push(abandoned),
                Err(error) => errors.push(error),
            }
        }
    }
    found.sort_by_key(|abandoned| abandoned.switch);
    (found, errors)
}

fn same_cluster(found: u64, folder: &Path, sources: &Sources<'_>) -> Result<()> {
    let expected = sources.ancestry.system;
    if found == expected {
        return Ok(());
    }
    Err(Error::Foreign { folder: folder.to_owned(), found, expected })
}

fn from_directory(directory: &Path, sources: &Sources<'_>) -> Result<Abandoned> {
    let control = Control::read(directory)?;
    same_cluster(control.system_identifier, directory, sources)?;
    let server = running(directory)?;
    let old = history(directory, &control, sources.archives)?;
    let pg_wal = directory.join("pg_wal");
    let origin = Origin::Directory { path: directory.to_owned(), control: control.clone(), running: server };
    let Some(switch) = old.fork(sources.ancestry) else {
        return Err(Error::Follows { folder: directory.to_owned(), timeline: control.timeline });
    };
    let mut abandoned =
        Abandoned { switch, origin, beside: Vec::new(), stretches: Vec::new(), survivor: None, doubts: Vec::new() };
    if let Running::Yes(process) = server {
        let what =
            format!("a server runs on {} (process {process}): what it writes has no end yet", directory.display());
        abandoned.doubts.push(what);
        return Ok(abandoned);
    }
    let folders: Vec<&Path> =
        [pg_wal.as_path()].into_iter().chain(sources.archives.iter().map(PathBuf::as_path)).collect();
    let mut tally = Tally::default();
    let mut from = switch.at;
    let later = old.switches.iter().filter(|left| left.timeline >= switch.timeline);
    let steps = later.map(|left| (left.timeline, Some(left.at))).chain([(old.timeline, None)]);
    for (timeline, until) in steps {
        let lost = lost_between(&folders, timeline, from, until, &mut tally)?;
        same_cluster(lost.system_identifier, &pg_wal, sources)?;
        from = until.unwrap_or(lost.end.lsn);
        abandoned.stretches.push(lost);
    }
    abandoned.doubts = directory_doubts(directory, &control, &abandoned.stretches);
    if abandoned.doubts.is_empty() {
        abandoned.doubts.extend(moved(directory, &control, server, &folders, old.timeline, from)?);
    }
    abandoned.survivor = survivor(&folders, switch, control.segment.bytes());
    Ok(abandoned)
}

/// How the server of this directory came to its timeline.
fn history(directory: &Path, control: &Control, archives: &[PathBuf]) -> Result<Ancestry> {
    let timeline = control.timeline;
    if timeline <= 1 {
        return Ok(Ancestry::first(control.system_identifier));
    }
    let name = format!("{timeline:08X}.history");
    let bad = |what: String| Error::BadHistory { folder: directory.to_owned(), timeline, what };
    let places = [directory.join("pg_wal")];
    for folder in places.iter().chain(archives) {
        match fs::read(folder.join(&name)) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let parsed = Ancestry::parse(control.system_identifier, timeline, &text);
                return parsed.map_err(|error| bad(error.to_string()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(bad(error.to_string())),
        }
    }
    Err(bad(format!("there is no {name}")))
}

/// Why the log of a directory may not be all that its server wrote.
fn directory_doubts(directory: &Path, control: &Control, stretches: &[Lost]) -> Vec<String> {
    let mut doubts = Vec::new();
    let Some((last, before)) = stretches.split_last() else { return vec!["nothing was read".to_owned()] };
    let end = &last.end;
    let closed = control.state == State::ShutDown && end.shutdown && end.last == Some(control.checkpoint);
    for doubt in before.iter().flat_map(|lost| &lost.doubts).chain(&last.doubts) {
        // Nothing follows the checkpoint of a clean shutdown that the control file names.
        let over = closed && matches!(doubt, Doubt::End { at, why } if *at == end.lsn && !matches!(why, Why::Left));
        if !over {
            doubts.push(doubt.to_string());
        }
    }
    let shown = directory.display();
    if control.state.is_standby() {
        doubts.push(format!(
            "{shown} is a standby's ({}): it holds what it received, and the primary may have written more",
            control.state
        ));
    } else if control.state == State::ShutDown && !closed {
        doubts.push(format!(
            "the server was shut down with a checkpoint at {}, and the log in {shown} ends at {}",
            control.checkpoint, end.lsn
        ));
    } else if end.lsn <= control.checkpoint {
        doubts.push(format!(
            "the control file names a checkpoint at {}, and the log in {shown} ends before it, at {}",
            control.checkpoint, end.lsn
        ));
    }
    if !end.first {
        doubts.push(format!(
            "the end of the log, at {}, is not in the pg_wal of {shown}: what its server wrote after that may be missing",
            end.lsn
        ));
    }
    if end.partial {
        doubts.push("the last segment is there only in part".to_owned());
    }
    doubts
}

/// Looks again whether the end is still the end: a server on another machine may write here.
fn moved(
    directory: &Path,
    control: &Control,
    server: Running,
    folders: &[&Path],
    timeline: u32,
    end: Lsn,
) -> Result<Option<String>> {
    let again = lost_between(folders, timeline, end, None, &mut Tally::default())?;
    let same = Control::read(directory)? == *control && running(directory)? == server && again.records == 0;
    Ok((!same).then(|| format!("{} changed while it was read: a server writes there", directory.display())))
}

/// What archives hold of a timeline after it was left.
fn from_archives(switch: Switch, sources: &Sources<'_>) -> Result<Abandoned> {
    let mut abandoned = Abandoned {
        switch,
        origin: Origin::Nothing,
        beside: Vec::new(),
        stretches: Vec::new(),
        survivor: None,
        doubts: Vec::new(),
    };
    let folders: Vec<&Path> = sources.archives.iter().map(PathBuf::as_path).collect();
    let read = if folders.is_empty() {
        None
    } else {
        match lost_between(&folders, switch.timeline, switch.at, None, &mut Tally::default()) {
            Ok(lost) => Some(lost),
            Err(Error::NoSegment { .. }) => None,
            Err(error) => return Err(error),
        }
    };
    let Some(lost) = read else {
        abandoned.doubts.push(format!("nothing is left of the log of timeline {} that could be read", switch.timeline));
        return Ok(abandoned);
    };
    for folder in &folders {
        same_cluster(lost.system_identifier, folder, sources)?;
    }
    abandoned.doubts.extend(lost.doubts.iter().map(ToString::to_string));
    abandoned.doubts.push(format!(
        "an archive ends where the last segment was archived, here at {}: what the old primary wrote after that is not \
         in it",
        lost.end.lsn
    ));
    abandoned.origin = Origin::Archives;
    let segment = Reader::open_all(&folders, switch.timeline, switch.at)?.segment_size().bytes();
    abandoned.survivor = survivor(&folders, switch, segment);
    abandoned.stretches.push(lost);
    Ok(abandoned)
}

/// The last commit before the switchpoint; `None` when there is none near it in what is left.
fn survivor(folders: &[&Path], switch: Switch, segment: u64) -> Option<Survivor> {
    let mut before = switch.at.0;
    for _ in 0..SURVIVOR_SEGMENTS_MAX {
        let start = before.checked_sub(1)? / segment * segment;
        // A position that cannot be read is none that proves a time; the reader says no more than that.
        let mut reader = Reader::open_all(folders, switch.timeline, Lsn(start)).ok()?;
        let version = reader.version();
        let mut found = None;
        while let Ok(Next::Record(record)) = reader.step() {
            if record.end.0 > before {
                break;
            }
            if let Ok(Event::Commit(finish, _)) = record.event(version) {
                found = Some(Survivor { lsn: record.lsn, time: finish.time });
            }
        }
        if found.is_some() {
            return found;
        }
        before = start;
    }
    None
}
