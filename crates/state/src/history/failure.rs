//! What SQLite says, in the words of a state.

use crate::StateError;
use rusqlite::ErrorCode;
use std::path::Path;

/// What failed while something was done with the history.
pub(super) fn failed(doing: &str, path: &Path, error: rusqlite::Error) -> StateError {
    let shown = path.display();
    let other_place = "or name another folder with --state DIR";
    let (code, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => return damaged(path, error.to_string()),
        Some(ErrorCode::DiskFull) => ("state.full", format!("free space on the disk of {shown}, {other_place}")),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            let hint = format!("make {shown} and its folder writable for the user paritas runs as, {other_place}");
            ("state.denied", hint)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let hint = "another program holds the file for long: end it, or try again when it has ended";
            ("state.busy", hint.to_owned())
        }
        Some(_) => ("state.io", format!("check the disk, {other_place}")),
        // A value of another type than the table holds: nobody but this program writes into it.
        None => return damaged(path, error.to_string()),
    };
    StateError::new(code, format!("cannot {doing} the history {shown}"), path, hint).because(error)
}

/// The history is not what was written.
pub(super) fn damaged(path: &Path, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StateError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hint = format!(
        "move {name}, {name}-wal and {name}-shm out of the state folder: the history is then made anew from the stored \
         reports, in which every verdict is kept"
    );
    StateError::new("state.damaged", format!("the history {} is damaged", path.display()), path, hint).because(why)
}

/// The history was written by a newer program.
pub(super) fn newer(path: &Path, found: i64, known: i64) -> StateError {
    let message = format!("the history {} has version {found}, and this program knows {known}", path.display());
    let hint = "use the version of Paritas that wrote it, or a newer one; or name another folder with --state DIR";
    StateError::new("state.version", message, path, hint)
}
