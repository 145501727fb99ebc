//! The one error of this crate: what failed (primary), what the system said (detail), what to do (hint).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What can go wrong while servers are started and data is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that the test bed needs is not on this machine.
    NotInstalled {
        /// The program or package.
        what: &'static str,
        /// Where it was looked for.
        looked: String,
        /// How it is installed.
        hint: &'static str,
    },
    /// A file or folder operation failed.
    Io {
        /// Verb and object, for example `create the data folder`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program ended with an error, or could not be started.
    Program {
        /// The program's name.
        program: String,
        /// Its exit status, or why it was not started.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A server answered with an error.
    Postgres {
        /// Verb and object.
        doing: String,
        /// The client's error.
        source: tokio_postgres::Error,
    },
    /// A Kafka client or a broker answered with an error.
    Kafka {
        /// Verb and object.
        doing: String,
        /// The client's error.
        source: Box<rdkafka::error::KafkaError>,
    },
    /// Something did not happen before its deadline.
    TimedOut {
        /// What was waited for.
        waiting_for: String,
        /// The deadline that has passed.
        limit: Duration,
        /// The last state seen.
        last: String,
    },
    /// An Arrow or Parquet operation failed.
    Lake {
        /// Verb and object.
        doing: String,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A certificate could not be made.
    Certificate {
        /// Which one.
        name: String,
        /// What the library said.
        source: rcgen::Error,
    },
    /// A request to a server over HTTP was refused, or its answer was not understood.
    Http {
        /// Method and path.
        request: String,
        /// The answer's first line, or what was wrong with it.
        answer: String,
    },
    /// The caller asked for something that cannot be done.
    Unfit {
        /// What was asked, and why it does not work.
        what: String,
        /// What to do instead.
        hint: &'static str,
    },
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What failed: lower case, without a full stop.
    #[must_use]
    pub fn primary(&self) -> String {
        match self {
            Self::NotInstalled { what, .. } => format!("{what} is not installed"),
            Self::Io { doing, path, .. } => format!("could not {doing}: {}", path.display()),
            Self::Program { program, status, .. } => format!("{program} failed: {status}"),
            Self::Postgres { doing, .. } | Self::Kafka { doing, .. } | Self::Lake { doing, .. } => {
                format!("could not {doing}")
            }
            Self::TimedOut { waiting_for, limit, .. } => {
                format!("{waiting_for} did not happen within {} s", limit.as_secs_f64())
            }
            Self::Certificate { name, .. } => format!("could not make the certificate {name}"),
            Self::Http { request, .. } => format!("request failed: {request}"),
            Self::Unfit { what, .. } => what.clone(),
        }
    }

    /// What the system said, where it said something.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        let text = match self {
            Self::NotInstalled { looked, .. } => format!("looked in {looked}"),
            Self::Io { source, .. } => source.to_string(),
            Self::Program { output, .. } => output.clone(),
            Self::Postgres { source, .. } => said_by_server(source),
            Self::Kafka { source, .. } => source.to_string(),
            Self::TimedOut { last, .. } => last.clone(),
            Self::Lake { source, .. } => source.to_string(),
            Self::Certificate { source, .. } => source.to_string(),
            Self::Http { answer, .. } => answer.clone(),
            Self::Unfit { .. } => String::new(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotInstalled { hint, .. } | Self::Unfit { hint, .. } => Some(hint),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some space, or set TMPDIR to a folder on another disk")
            }
            _ => None,
        }
    }

    /// For `map_err` on file operations.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// For `map_err` on calls of the PostgreSQL client.
    pub(crate) fn postgres(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Postgres { doing, source }
    }

    /// For `map_err` on calls of the Kafka client.
    pub(crate) fn kafka(doing: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> Self {
        let doing = doing.into();
        move |source| Self::Kafka { doing, source: Box::new(source) }
    }

    /// For `map_err` on Arrow and Parquet operations.
    pub(crate) fn lake<E>(doing: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let doing = doing.into();
        move |source| Self::Lake { doing, source: Box::new(source) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.primary())?;
        if let Some(detail) = self.detail() {
            write!(f, ": {detail}")?;
        }
        if let Some(hint) = self.hint() {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

/// The client's own text for a server error is only "db error": take the server's words instead.
fn said_by_server(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let detail = db.detail().map(|d| format!(" ({d})")).unwrap_or_default();
            format!("{} {}{detail}", db.code().code(), db.message())
        }
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
