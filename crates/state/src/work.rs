//! What a run under way has finished, so that it can be gone on with after it was killed.
//!
//! ```text
//! work/<id>/run.json                          what the run verifies
//! work/<id>/<link>/<dataset>/parts.json       how the dataset is cut
//! work/<id>/<link>/<dataset>/<number>.json    what a finished part came to
//! work/<id>/<link>/<dataset>/<number>.digest  the digest of its source
//! ```
//!
//! Every file is there whole or not at all. One that is damaged counts as absent: its part is
//! verified again.

use crate::files::{WriteFailure, create_folder, read_whole, write_whole};
use crate::names::folder_name;
use crate::{Result, State, StateError, Which, sealed};
use paritas_digest::{ArtifactError, Digest};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use ulid::Ulid;

/// No kept part is larger.
const PART_BYTES_MAX: u64 = 1 << 30;
/// Runs that can be gone on with, at most; the oldest go first.
const KEPT_MAX: usize = 16;
/// After this long nobody goes on with a run.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The finished parts of one run.
#[derive(Debug, Clone)]
pub struct Work {
    id: Ulid,
    folder: PathBuf,
}

impl State {
    /// Begins to keep what a run finishes. Of earlier runs that were never gone on with, old ones and more than a
    /// few are removed.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn begin_work(&self, id: Ulid, run: &[u8]) -> Result<Work> {
        let works = self.works()?;
        let old = |id: &Ulid| SystemTime::now().duration_since(id.datetime()).is_ok_and(|age| age > KEPT_FOR);
        let surplus = (works.len() + 1).saturating_sub(KEPT_MAX);
        for (index, work) in works.iter().enumerate() {
            if index < surplus || old(work) {
                // Left over it costs room, nothing else.
                let _ = fs::remove_dir_all(self.work_folder(*work));
            }
        }
        let work = Work { id, folder: self.work_folder(id) };
        create_folder(&work.folder)?;
        write_sealed(&work.folder.join("run.json"), run)?;
        Ok(work)
    }

    /// A run that can be gone on with, and what it verifies.
    ///
    /// # Errors
    /// `state.missing` when there is none, `state.damaged` when it is not what was kept.
    pub fn load_work(&self, which: Which) -> Result<(Work, Vec<u8>)> {
        let id = match which {
            Which::Id(id) => Some(id),
            Which::Last => self.works()?.pop(),
        };
        let absent = || {
            let hint = "leave out --resume: a run that ended by itself, or that kept no state, begins anew";
            let message = format!("there is no run to go on with in {}", self.folder().display());
            StateError::new("state.missing", message, self.folder(), hint)
        };
        let id = id.ok_or_else(absent)?;
        let folder = self.work_folder(id);
        if !folder.is_dir() {
            return Err(absent());
        }
        let path = folder.join("run.json");
        let run = sealed::open(read_whole(&path, PART_BYTES_MAX)?);
        let run = run.ok_or_else(|| crate::files::damaged(&path, "Its checksum does not match its content."))?;
        Ok((Work { id, folder }, run))
    }

    /// The runs that can be gone on with, oldest first.
    fn works(&self) -> Result<Vec<Ulid>> {
        let folder = self.folder().join("work");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateError::io("list", &folder, error)),
        };
        let names =
            entries.filter_map(std::result::Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<Ulid> = names.filter_map(|name| Ulid::from_string(&name).ok()).collect();
        ids.sort();
        Ok(ids)
    }

    fn work_folder(&self, id: Ulid) -> PathBuf {
        self.folder().join("work").join(id.to_string())
    }
}

impl Work {
    /// The run that began it.
    pub fn id(&self) -> Ulid {
        self.id
    }

    /// Removes it: the run came to its end.
    pub fn end(&self) {
        // Left over it is removed by a later run.
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Keeps a JSON object about a dataset under a name.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn keep(&self, link: &str, dataset: &str, name: &str, json: &[u8]) -> Result<()> {
        write_sealed(&self.dataset(link, dataset).join(format!("{name}.json")), json)
    }

    /// What was kept under a name, if it is there and whole.
    pub fn kept(&self, link: &str, dataset: &str, name: &str) -> Option<Vec<u8>> {
        let path = self.dataset(link, dataset).join(format!("{name}.json"));
        sealed::open(read_whole(&path, PART_BYTES_MAX).ok()?)
    }

    /// Keeps the digest of a part.
    ///
    /// # Errors
    /// Those of [`State::save_run`].
    pub fn keep_digest(&self, link: &str, dataset: &str, name: &str, digest: &Digest) -> Result<()> {
        write_whole(&self.dataset(link, dataset).join(format!("{name}.digest")), |out| {
            digest.write_to(out).map_err(|error| match error {
                ArtifactError::Io(error) => WriteFailure::Io(error),
                other => WriteFailure::Content(other.into()),
            })
        })
    }

    /// The digest of a part, if it is there and whole.
    pub fn kept_digest(&self, link: &str, dataset: &str, name: &str) -> Option<Digest> {
        let path = self.dataset(link, dataset).join(format!("{name}.digest"));
        Digest::read_from(BufReader::new(File::open(path).ok()?)).ok()
    }

    /// Forgets everything about a dataset.
    pub fn forget(&self, link: &str, dataset: &str) {
        // What cannot be removed is written over, part by part.
        let _ = fs::remove_dir_all(self.dataset(link, dataset));
    }

    fn dataset(&self, link: &str, dataset: &str) -> PathBuf {
        self.folder.join(folder_name(link)).join(folder_name(dataset))
    }
}

/// Writes a JSON object with its checksum.
pub(crate) fn write_sealed(path: &Path, json: &[u8]) -> Result<()> {
    let sealed = sealed::seal(json);
    write_whole::<WriteFailure>(path, |out| match sealed {
        Some(sealed) => Ok(out.write_all(&sealed)?),
        None => Err(WriteFailure::Content("What is kept is one JSON object.".into())),
    })
}
