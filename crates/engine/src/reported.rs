//! Stored runs, to be reported again. No store is asked for anything.

use crate::error::{Error, Result};
use paritas_report::{Problem, Report, SCHEMA_VERSION};
use paritas_state::{RunRecord, State, StateError, Which};
use serde::Deserialize;
use std::path::Path;

/// A run as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRun {
    /// The document, byte for byte.
    pub json: Vec<u8>,
    /// What it says.
    pub report: Report,
}

/// What every version of the document begins with.
#[derive(Deserialize)]
struct Version {
    schema_version: u64,
}

/// A run of a state folder; one that was interrupted only by its id.
///
/// # Errors
/// Exit code 2 when there is no folder or no such run; 3 when it is damaged, cannot be read, or was kept by a version
/// whose documents this one does not know.
pub fn stored_run(folder: Option<&Path>, which: Which) -> Result<StoredRun> {
    let Some(folder) = folder else {
        let hint = "name it with --state DIR, or set `state` in [paritas] of the configuration";
        return Err(Error::usage("usage.state", "there is no state folder to take a run from", hint));
    };
    // Opening a folder makes it, and a mistyped name must not be made.
    if !folder.is_dir() {
        let hint = "name the folder that runs are kept in with --state DIR";
        return Err(Error::usage("state.missing", format!("there is no folder {}", folder.display()), hint));
    }
    let state = State::open(folder).map_err(|error| of_state(&error))?;
    let record = load(&state, which).map_err(|error| of_state(&error))?;
    let report = read(&record)?;
    Ok(StoredRun { json: record.json, report })
}

/// What an interrupted run found is kept elsewhere than reports of finished ones.
fn load(state: &State, which: Which) -> Result<RunRecord, StateError> {
    state.load_run(which).or_else(|error| match which {
        Which::Id(_) if error.code() == "state.missing" => state.load_partial(which).map_err(|_| error),
        _ => Err(error),
    })
}

fn read(record: &RunRecord) -> Result<Report> {
    let inconclusive = |code: &str, message: String, detail: String, hint: &str| {
        Error::inconclusive(Problem {
            code: code.to_owned(),
            message,
            detail: Some(detail),
            hint: Some(hint.to_owned()),
        })
    };
    let unreadable = |error: serde_json::Error| {
        let message = format!("run {} cannot be understood", record.id);
        inconclusive("report.unreadable", message, error.to_string(), "use the version of paritas that made it")
    };
    let Version { schema_version } = serde_json::from_slice(&record.json).map_err(unreadable)?;
    if schema_version > u64::from(SCHEMA_VERSION) {
        return Err(inconclusive(
            "report.version",
            format!("run {} was kept by a newer version of paritas", record.id),
            format!("Its document has version {schema_version}, and this program knows {SCHEMA_VERSION}."),
            "use the version of paritas that made it, or a newer one",
        ));
    }
    serde_json::from_slice(&record.json).map_err(unreadable)
}

fn of_state(error: &StateError) -> Error {
    let problem = Problem {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail_text().map(str::to_owned),
        hint: Some(error.hint_text().to_owned()),
    };
    if error.code() == "state.missing" { Error::absent(problem) } else { Error::inconclusive(problem) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;
    use ulid::Ulid;

    #[rstest]
    #[case(r#"{"schema_version":2,"message_type":"report","elsewhere":[]}"#, "report.version")]
    #[case(r#"{"schema_version":1,"message_type":"report","run":{}}"#, "report.unreadable")]
    #[case(r#"{"message_type":"report"}"#, "report.unreadable")]
    fn what_is_not_understood_is_said_and_not_guessed(#[case] json: &str, #[case] code: &str) {
        let folder = tempfile::tempdir().unwrap();
        let record = RunRecord { id: Ulid::from_parts(1, 2), json: json.as_bytes().to_vec() };
        State::open(folder.path()).unwrap().save_run(&record).unwrap();
        let error = stored_run(Some(folder.path()), Which::Last).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), (code, 3));
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("stat");
        let error = stored_run(Some(&absent), Which::Last).unwrap_err();
        assert_eq!((error.code(), error.exit_code()), ("state.missing", 2));
        assert!(!absent.exists());
        assert_eq!(stored_run(None, Which::Last).unwrap_err().exit_code(), 2);
    }
}
