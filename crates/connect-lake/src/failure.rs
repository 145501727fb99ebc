//! Failures of files and object stores as connector errors, in one place.

use paritas_connect::{Error, FailureKind};
use std::fmt;
use std::io;

/// Says that data are damaged: a finding, not a fault of ours.
pub(crate) fn damaged(what: impl fmt::Display) -> Error {
    Error::new(FailureKind::Damaged, "data.damaged", what.to_string())
}

/// A thread of ours that ended before its work did: a fault of ours, never a finding about data. A runtime that shuts
/// down takes back work that it has not begun, which is an interrupted run.
pub(crate) fn internal(what: &str, error: tokio::task::JoinError) -> Error {
    if error.is_cancelled() {
        return Error::cancelled();
    }
    Error::new(FailureKind::Permanent, "internal.thread", what)
        .hint("this is a defect of paritas: please report it")
        .because(error)
}

/// The usual advice for a damaged file.
pub(crate) const DAMAGED_HINT: &str =
    "compare the file's checksum with the other side (kind files), and copy it again from there";

/// Says that a file is not what it was when the view was pinned.
pub(crate) fn changed(file: impl fmt::Display, how: impl fmt::Display) -> Error {
    Error::new(FailureKind::Transient, "data.changed", format!("{file} changed while it was read"))
        .detail(how.to_string())
        .hint("verify when no writer replaces files, or point both sides at a snapshot")
}

/// A failure of the local file system while `doing`.
pub(crate) fn io(doing: impl fmt::Display, error: io::Error) -> Error {
    use io::ErrorKind as Kind;
    let (kind, code, hint) = match error.kind() {
        Kind::NotFound | Kind::NotADirectory => {
            (FailureKind::Permanent, "dataset.missing", "check the path; nothing is there")
        }
        Kind::PermissionDenied => {
            (FailureKind::Denied, "store.denied", "let this user read the files and enter their folders")
        }
        Kind::TimedOut
        | Kind::Interrupted
        | Kind::WouldBlock
        | Kind::ConnectionReset
        | Kind::NetworkUnreachable
        | Kind::HostUnreachable
        | Kind::NetworkDown
        | Kind::StaleNetworkFileHandle => {
            (FailureKind::Transient, "store.unreachable", "check the mount and the network below it")
        }
        // What is left when opening worked: the medium or the mount does not give the bytes back.
        _ => (FailureKind::Damaged, "data.damaged", "look for input/output errors in the system log"),
    };
    let (kind, code, hint) = match error.raw_os_error() {
        Some(EMFILE | ENFILE) => {
            (FailureKind::Transient, "store.unreachable", "raise the limit of open files (ulimit -n)")
        }
        Some(ENAMETOOLONG) => {
            (FailureKind::Permanent, "store.unreachable", "the path is longer than the system allows")
        }
        _ => (kind, code, hint),
    };
    Error::new(kind, code, format!("cannot {doing}")).hint(hint).because(error)
}

/// Open files of the whole system are at their limit (Linux and other Unix systems).
const ENFILE: i32 = 23;
/// Open files of this process are at their limit.
const EMFILE: i32 = 24;
/// A path is too long.
const ENAMETOOLONG: i32 = 36;

/// A failure of an object store while `doing`.
pub(crate) fn object(doing: impl fmt::Display, error: object_store::Error) -> Error {
    use object_store::Error as E;
    let text = chain(&error);
    let (kind, code, hint) = match &error {
        E::NotFound { .. } => (
            FailureKind::Permanent,
            "dataset.missing",
            "check the bucket and the prefix; nothing is there under this name",
        ),
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => (
            FailureKind::Denied,
            "store.denied",
            "check the credentials, and allow them to list the bucket and to read its objects",
        ),
        E::Precondition { .. } | E::NotModified { .. } => {
            (FailureKind::Transient, "data.changed", "verify when no writer replaces objects")
        }
        E::InvalidPath { .. } => (
            FailureKind::Permanent,
            "store.unsupported",
            "rename objects whose keys have empty, `.` or `..` parts; they cannot be addressed safely",
        ),
        E::NotSupported { .. } | E::NotImplemented { .. } | E::UnknownConfigurationKey { .. } => {
            (FailureKind::Permanent, "store.unsupported", "check the options of this store")
        }
        // Some servers only say in words that the bucket is missing.
        E::Generic { .. } if text.contains("NoSuchBucket") => {
            (FailureKind::Permanent, "dataset.missing", "check the name of the bucket and the region")
        }
        E::Generic { .. } if text.contains("InvalidAccessKeyId") || text.contains("SignatureDoesNotMatch") => {
            (FailureKind::Denied, "store.denied", "check the access key, its secret and the region")
        }
        _ => (
            FailureKind::Transient,
            "store.unreachable",
            "check the endpoint, the network and the credentials (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID ...)",
        ),
    };
    Error::new(kind, code, format!("cannot {doing}")).detail(text).hint(hint).because(error)
}

/// Everything an error and the errors underneath it say.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(inner) = next {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = inner.source();
    }
    text
}
