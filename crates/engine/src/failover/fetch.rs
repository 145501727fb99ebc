//! Archives that are no folders: the segments that are needed are copied to this machine, and removed afterwards.

use crate::error::problem_of;
use crate::registry;
use crate::{Error, Result, Target};
use paritas_connect::{Context, redact_url};
use paritas_connect_lake::{FilesStore, ListedFiles};
use paritas_model::{Ancestry, StoreKind, Switch};
use paritas_pgwal::{SegmentSize, segment_of, segment_size_in, timeline_of};
use paritas_report::Problem;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Segments before a switchpoint that are fetched as well: transactions that it cuts through began there.
const SEGMENTS_BEFORE: u64 = 4;
/// Bytes that are fetched of one archive at most.
const FETCHED_MAX: u64 = 16 << 30;
/// Segments that are looked into for their size.
const PROBES_MAX: usize = 3;
const PREFIX: &str = "paritas-wal-";
/// A folder that a killed run left behind is removed after this long.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3_600);

/// Folders to read, of which some exist as long as this does.
#[derive(Debug, Default)]
pub(super) struct Archives {
    pub(super) folders: Vec<PathBuf>,
    pub(super) problems: Vec<Problem>,
    temporary: Vec<TempDir>,
}

/// An archive in an object store.
fn remote(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains("://") && !text.starts_with("file://"))
}

/// Refuses URLs that can be no archive, before anything is asked.
///
/// # Errors
/// A usage error.
pub(super) fn check(archives: &[PathBuf]) -> Result<()> {
    archives.iter().filter_map(|path| remote(path)).try_for_each(|url| open(url).map(|_| ()))
}

fn open(url: &str) -> Result<FilesStore> {
    let target = Target::parse(url)?;
    if target.kind != StoreKind::Files {
        let message = format!("{} is no archive of segments", redact_url(url));
        return Err(Error::usage("usage.archive", message, "name a folder, or s3://bucket/prefix"));
    }
    registry::files(&target)
}

/// Makes all archives folders. `from` says where the new primary left timelines that are of interest.
pub(super) async fn fetch(cx: &Context, archives: &[PathBuf], from: &[Switch], state: Option<&Path>) -> Archives {
    let mut all = Archives::default();
    for path in archives {
        if let Some(url) = remote(path) {
            if let Err(problem) = one(cx, url, from, state, &mut all).await {
                all.problems.push(problem);
            }
        } else {
            let local = path.to_str().and_then(|text| text.strip_prefix("file://"));
            let local = local.map(|rest| PathBuf::from(rest.strip_prefix("localhost").unwrap_or(rest)));
            all.folders.push(local.unwrap_or_else(|| path.clone()));
        }
    }
    all
}

/// The timelines whose ends are of interest: those that the old server was on, or the last one.
pub(super) fn of_interest(ancestry: &Ancestry, timeline: Option<u32>, several: bool) -> Vec<Switch> {
    let last = ancestry.switches.last().map(|switch| switch.timeline);
    let taken = |switch: &&Switch| several || Some(switch.timeline) >= timeline.or(last);
    ancestry.switches.iter().filter(taken).copied().collect()
}

async fn one(
    cx: &Context,
    url: &str,
    from: &[Switch],
    state: Option<&Path>,
    all: &mut Archives,
) -> std::result::Result<(), Problem> {
    let store = open(url).map_err(|error| error.problem().clone())?;
    let listed = store.listed(cx).await.map_err(|error| problem_of(&error))?;
    let folder = folder(state)?;
    all.folders.push(folder.path().to_owned());
    let fetched = Fetch { cx, url, listed: &listed, folder: folder.path(), bytes: 0 }.run(from).await;
    all.temporary.push(folder);
    fetched
}

struct Fetch<'a> {
    cx: &'a Context,
    url: &'a str,
    listed: &'a ListedFiles,
    folder: &'a Path,
    bytes: u64,
}

impl Fetch<'_> {
    async fn run(mut self, from: &[Switch]) -> std::result::Result<(), Problem> {
        let listed = self.listed;
        // The last part of a path is the file's name; of several with one name the first is taken.
        let mut names: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
        for (path, bytes) in listed.iter() {
            names.entry(path.rsplit('/').next().unwrap_or(path)).or_insert((path, bytes));
        }
        let is_history = |name: &str| name.strip_suffix(".history").is_some_and(|digits| digits.len() == 8);
        for (name, (path, bytes)) in names.iter().filter(|(name, _)| is_history(name)) {
            self.copy(name, path, *bytes).await?;
        }
        for switch in from {
            let of = |name: &&&str| timeline_of(name) == Some(switch.timeline);
            let candidates: Vec<&str> = names.keys().filter(of).copied().collect();
            let Some(size) = self.size(&candidates, &names).await? else { continue };
            let first = (switch.at.0 / size.bytes()).saturating_sub(SEGMENTS_BEFORE);
            let needed = |name: &&&str| segment_of(name, size).is_some_and(|segment| segment.number >= first);
            for name in candidates.iter().filter(needed) {
                if let Some((path, bytes)) = names.get(name) {
                    self.copy(name, path, *bytes).await?;
                }
            }
        }
        Ok(())
    }

    /// The size of segments: the last ones are needed in any case.
    async fn size(
        &mut self,
        candidates: &[&str],
        names: &BTreeMap<&str, (&str, u64)>,
    ) -> std::result::Result<Option<SegmentSize>, Problem> {
        for name in candidates.iter().rev().take(PROBES_MAX) {
            if let Some((path, bytes)) = names.get(name) {
                self.copy(name, path, *bytes).await?;
                // What cannot be read is told when the log is read.
                if let Ok(Some(size)) = segment_size_in(&self.folder.join(name)) {
                    return Ok(Some(size));
                }
            }
        }
        Ok(None)
    }

    async fn copy(&mut self, name: &str, path: &str, bytes: u64) -> std::result::Result<(), Problem> {
        let to = self.folder.join(name);
        if to.exists() {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > FETCHED_MAX {
            return Err(Problem {
                code: "recovery.archive".to_owned(),
                message: format!("more of {} is needed than is fetched at a time", redact_url(self.url)),
                detail: Some(format!("The limit is {} GiB; {name} was not fetched.", FETCHED_MAX >> 30)),
                hint: Some("copy the segments into a folder, and name that with --wal-archive".to_owned()),
            });
        }
        self.listed.copy(self.cx, path, &to).await.map_err(|error| problem_of(&error))
    }
}

/// A folder of our own in the state folder, or among temporary files.
fn folder(state: Option<&Path>) -> std::result::Result<TempDir, Problem> {
    let place = state.filter(|state| state.is_dir()).map_or_else(std::env::temp_dir, Path::to_owned);
    left_behind(&place);
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(&place).map_err(|error| Problem {
        code: "recovery.io".to_owned(),
        message: format!("could not make a folder for segments in {}", place.display()),
        detail: Some(error.to_string()),
        hint: Some("name a folder that can be written to with --state, or TMPDIR".to_owned()),
    })
}

/// Removes what killed runs left: they could not do it themselves.
fn left_behind(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|modified| SystemTime::now().duration_since(modified).is_ok_and(|age| age > LEFT_BEHIND));
        if old && entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // Left over it costs room, nothing else; somebody else's cannot be removed.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
