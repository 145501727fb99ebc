//! Files that are there whole or not at all.

use crate::{Result, StateError};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use ulid::Ulid;

/// How names of unfinished files begin.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// Folders are not looked into deeper than this for unfinished files: digests/link/dataset.
pub(crate) const DEPTH_MAX: usize = 3;

/// What was begun this long ago and is still unfinished belongs to no run any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// Creates a folder and those above it, open to this user only.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let absent = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let created: Vec<&Path> = path.ancestors().take_while(absent).collect();
    builder.create(path).map_err(|error| StateError::io("create the folder", path, error))?;
    for above in created.into_iter().filter_map(Path::parent) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        // A folder above may be closed to us for reading; then the system's own pace has to do.
        let _ = File::open(above).and_then(|above| above.sync_all());
    }
    Ok(())
}

/// Writes a file so that after a crash at any moment either the old or the new content is there:
/// written beside, flushed to the disk, renamed, and the folder flushed as well.
pub(crate) fn write_whole<E>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<()>
where
    E: Into<WriteFailure>,
{
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let unfinished = folder.join(format!("{UNFINISHED}{}", Ulid::generate()));
    let outcome = write_beside(&unfinished, write).and_then(|()| {
        fs::rename(&unfinished, path).map_err(WriteFailure::Io)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(WriteFailure::Io)
    });
    outcome.map_err(|failure| {
        // Nothing more can be done about it here, and a later run removes what is left.
        let _ = fs::remove_file(&unfinished);
        match failure {
            WriteFailure::Io(error) => StateError::io("write", path, error),
            WriteFailure::Content(error) => {
                let hint = "this is a defect of paritas: please report it";
                StateError::new("state.content", format!("cannot write {}", path.display()), path, hint).because(error)
            }
        }
    })
}

/// Why content could not be written: the disk, or the content itself.
#[derive(Debug)]
pub(crate) enum WriteFailure {
    Io(io::Error),
    Content(Box<dyn std::error::Error + Send + Sync>),
}

impl From<io::Error> for WriteFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Creates a file that is not there yet, open to this user only.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write_beside<E>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), WriteFailure>
where
    E: Into<WriteFailure>,
{
    let mut writer = BufWriter::new(create_private(path)?);
    write(&mut writer).map_err(Into::into)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(file.sync_all()?)
}

/// Reads a file of at most `bytes_max` bytes.
pub(crate) fn read_whole(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|error| StateError::io("read", path, error))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| StateError::io("read", path, error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(damaged(path, format!("It is larger than {bytes_max} bytes.")));
    }
    Ok(bytes)
}

pub(crate) fn damaged(path: &Path, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StateError {
    let hint = "restore the file from a backup, or remove it: it is not used for anything else";
    StateError::new("state.damaged", format!("{} is damaged", path.display()), path, hint).because(why)
}

/// The ids of the files `<id>.<extension>` in a folder, oldest first. Other files are left alone; a
/// folder that does not exist has none.
pub(crate) fn ids(folder: &Path, extension: &str) -> Result<Vec<Ulid>> {
    let failed = |error| StateError::io("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let path: PathBuf = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|own| own == extension) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            ids.extend(stem.and_then(|stem| Ulid::from_string(stem).ok().filter(|id| id.to_string() == stem)));
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Removes what runs that were killed have left unfinished. Only called under the lock.
pub(crate) fn remove_unfinished(folder: &Path, depth: usize) {
    remove(folder, depth, &|_| true);
}

/// Removes what was left unfinished so long ago that nobody can be writing it. Needs no lock.
pub(crate) fn remove_abandoned(folder: &Path, depth: usize) {
    let Some(before) = SystemTime::now().checked_sub(ABANDONED_AFTER) else { return };
    // When it was begun stands in its name.
    remove(folder, depth, &|id| Ulid::from_string(id).is_ok_and(|id| id.datetime() < before));
}

fn remove(folder: &Path, depth: usize, chosen: &dyn Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let unfinished = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED)).is_some_and(chosen);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => remove(&entry.path(), depth - 1, chosen),
            // What cannot be removed does no harm: such names are never read.
            Ok(kind) if kind.is_file() && unfinished => drop(fs::remove_file(entry.path())),
            _ => {}
        }
    }
}
