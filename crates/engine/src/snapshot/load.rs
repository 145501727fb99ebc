//! Finding a snapshot, and refusing one that says nothing about what is asked.

use super::document::{DOCUMENT_VERSION, Document};
use crate::job::Job;
use crate::{Error, Result};
use paritas_connect::redact_url;
use paritas_digest::DigestKey;
use paritas_report::Problem;
use paritas_state::{Bundle, State, StateError, Which};
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use ulid::Ulid;

/// Which snapshot is meant: the newest one, one by its id, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The newest one of the link.
    Last,
    /// One of the link.
    Id(Ulid),
    /// A file that was copied from somewhere.
    File(PathBuf),
    /// A copy somewhere else, without any credentials.
    Url(String),
}

impl FromStr for Stored {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text, Ulid::from_string(text)) {
            ("last", _) => Self::Last,
            (_, Ok(id)) => Self::Id(id),
            (url, Err(_)) if url.contains("://") => Self::Url(url.to_owned()),
            (path, Err(_)) => Self::File(PathBuf::from(path)),
        })
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Id(id) => write!(f, "{id}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(&redact_url(url)),
        }
    }
}

/// A snapshot that can be used.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) document: Document,
    pub(crate) bundle: Bundle,
}

/// Loads a snapshot of a link. `configured` tells a name of a configuration from one made of two stores.
///
/// # Errors
/// Exit code 3 when there is none or it is damaged, 2 when it is one of something else or of another digest key.
pub(crate) fn load(
    stored: &Stored,
    folder: Option<&Path>,
    (job, configured): (&Job, bool),
    key: &DigestKey,
) -> Result<Loaded> {
    let bundle = match stored {
        Stored::File(path) => Bundle::open(path).map_err(|error| from_state(&error))?,
        // It was brought here before.
        Stored::Url(url) => {
            let hint = "name its file, or a place that is read: s3://bucket/prefix/ID.snapshot";
            return Err(Error::usage("usage.against", format!("{} cannot be read here", redact_url(url)), hint));
        }
        Stored::Last | Stored::Id(_) => {
            let state = State::open(folder.ok_or_else(no_state)?).map_err(|error| from_state(&error))?;
            let which = if let Stored::Id(id) = stored { Which::Id(*id) } else { Which::Last };
            state.load_bundle(&job.name, which).map_err(|error| from_state(&error))?.1
        }
    };
    let document = read(&bundle)?;
    if configured && document.configured {
        of_link(&document, job)?;
    }
    if document.key != key.id() {
        let hint = "set [paritas] digest_key to the key of the run that took it; two stores take it from the \
                    configuration that is named with --config";
        let error = Error::usage("digest.key", "the snapshot was taken with another digest key", hint);
        return Err(error.detail(format!("It has the key {}, this run {}.", document.key, key.id())));
    }
    Ok(Loaded { document, bundle })
}

/// Whether it is one of this link, and of the side that is its source now.
fn of_link(document: &Document, job: &Job) -> Result<()> {
    if document.link != job.name {
        let message = format!("the snapshot is one of the link {:?}, not of {:?}", document.link, job.name);
        return Err(Error::usage("snapshot.link", message, format!("verify {:?} against it", document.link)));
    }
    let (kept, source, replica) = (&document.source.name, &job.source.described.name, &job.replica.described.name);
    if kept == replica && kept != source {
        let message = format!("the snapshot was taken of {kept}, which is the replica of {:?} now", job.name);
        let hint = "the sides of the link were swapped: take a snapshot of the new source, or name the link anew";
        return Err(Error::usage("snapshot.sides", message, hint));
    }
    Ok(())
}

fn read(bundle: &Bundle) -> Result<Document> {
    let version = bundle.document().get("version").and_then(serde_json::Value::as_u64);
    let inconclusive = |detail: String| {
        Error::inconclusive(Problem {
            code: "snapshot.version".to_owned(),
            message: "the snapshot cannot be understood".to_owned(),
            detail: Some(detail),
            hint: Some("use the version of Paritas that took it, or another snapshot: --against ID".to_owned()),
        })
    };
    if version != Some(u64::from(DOCUMENT_VERSION)) {
        let found = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
        return Err(inconclusive(format!("It has {found}, and this program reads version {DOCUMENT_VERSION}.")));
    }
    serde_json::from_value(bundle.document().clone()).map_err(|error| inconclusive(error.to_string()))
}

fn no_state() -> Error {
    let hint = "name it with --state DIR, set `state` in [paritas], or name a snapshot's file: --against FILE";
    Error::usage("usage.state", "there is no state folder to take a snapshot from", hint)
}

fn from_state(error: &StateError) -> Error {
    Error::inconclusive(Problem {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail_text().map(str::to_owned),
        hint: Some(error.hint_text().to_owned()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_the_last_one_an_id_or_a_file() {
        assert_eq!("last".parse(), Ok(Stored::Last));
        let id = Ulid::from_parts(1, 2);
        assert_eq!(id.to_string().parse(), Ok(Stored::Id(id)));
        assert_eq!("./last".parse(), Ok(Stored::File("./last".into())));
        assert_eq!("s3://b/p".parse(), Ok(Stored::Url("s3://b/p".into())));
    }
}
