//! What went wrong, from SQLSTATE classes and causes; server messages are quoted, not interpreted.
//!
//! Source of the classes: PostgreSQL documentation, "PostgreSQL Error Codes".

use paritas_connect::{Error, FailureKind};
use std::error::Error as _;
use std::fmt::Display;
use std::io;
use tokio_postgres::error::{DbError, SqlState};

pub(crate) const CONFLICT_HINT: &str = "set hot_standby_feedback = on, or raise max_standby_streaming_delay on the standby; \
                             or verify while less is vacuumed";

const CANCELLED_HINT: &str = "somebody cancelled it, or a limit of the server or of a pooler did: look into the server's \
                              log, and at statement_timeout and transaction_timeout of this role (ALTER ROLE)";

/// A mistake in the connection string or the request.
pub(crate) fn usage(message: impl Into<String>) -> Error {
    Error::new(FailureKind::Permanent, "config.url", message)
}

/// Bytes from the server that do not have the form they must have.
pub(crate) fn malformed(what: impl Display) -> Error {
    Error::new(FailureKind::Permanent, "data.unreadable", format!("the server sent {what}"))
        .hint("report this as a defect, with the server's version and the column types")
}

/// A stream that ended before its end.
pub(crate) fn truncated(what: impl Into<String>) -> Error {
    Error::new(FailureKind::Transient, "data.truncated", what)
        .hint("the connection was probably cut; the part is read again")
}

/// A dataset that is not there.
pub(crate) fn missing(message: impl Into<String>) -> Error {
    Error::new(FailureKind::Permanent, "dataset.missing", message)
}

/// Classifies an error of the client library. `doing` is a verb and an object: `read split 3`.
pub(crate) fn classify(doing: impl Display, error: tokio_postgres::Error) -> Error {
    if let Some(said) = error.as_db_error() {
        return from_server(doing, said);
    }
    if let Some(tls) = tls_cause(&error) {
        return tls_error(doing, &tls).because(error);
    }
    let detail = chain(&error);
    let io = find_cause::<io::Error>(&error).map(io::Error::kind);
    let (kind, code, hint) = match (error.to_string().as_str(), io) {
        // The client library names these kinds only in words.
        ("authentication error" | "invalid configuration", _) => {
            (FailureKind::Denied, "store.denied", "check the user and the password")
        }
        ("error performing TLS handshake", _) => {
            (FailureKind::Permanent, "store.tls", "check sslmode and certificates")
        }
        (_, Some(kind)) => (FailureKind::Transient, "store.unreachable", network_hint(kind)),
        _ if error.is_closed() => {
            (FailureKind::Transient, "store.unreachable", "the connection was closed; check the server's log")
        }
        _ => (FailureKind::Permanent, "store.unexpected", "report this as a defect, with the server's version"),
    };
    Error::new(kind, code, format!("{doing} failed")).detail(detail).hint(hint).because(error)
}

/// A server that could not be reached at all.
pub(crate) fn unreachable(doing: impl Display, error: io::Error) -> Error {
    let hint = network_hint(error.kind());
    let unreachable = Error::new(FailureKind::Transient, "store.unreachable", format!("{doing} failed"));
    unreachable.detail(error.to_string()).hint(hint).because(error)
}

fn network_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "check host and port, and that the server runs",
        _ => "check the network and the server's log",
    }
}

/// An error that the server reported.
fn from_server(doing: impl Display, said: &DbError) -> Error {
    let state = said.code();
    let (kind, code) = if is_lost_file(said) { (FailureKind::Damaged, "data.damaged") } else { meaning(state) };
    let mut detail = format!("{} (SQLSTATE {})", said.message(), state.code());
    if let Some(more) = said.detail() {
        detail = format!("{detail}. {more}");
    }
    let error = Error::new(kind, code, format!("{doing} failed")).detail(detail).because(said.clone());
    match (code, said.hint()) {
        ("store.conflict", _) if state.code().starts_with("72") => {
            error.hint("raise old_snapshot_threshold, or verify while less is written")
        }
        ("store.conflict", _) => error.hint(CONFLICT_HINT),
        ("store.cancelled", None) => error.hint(CANCELLED_HINT),
        ("store.unreachable", None) => {
            error.hint("the server starts or stops, or ended the session: see its log, and try again")
        }
        ("store.busy", None) if *state == SqlState::LOCK_NOT_AVAILABLE => {
            error.hint("another session holds a lock against readers: see pg_locks, or try again later")
        }
        ("store.damaged", None) => error.hint("the server cannot read its own files: see its log, and pg_amcheck"),
        ("store.missing", None) => error.hint("check the name of the database in the URL; it is part of its path"),
        (_, Some(hint)) => error.hint(hint),
        ("store.denied", None) => error.hint("check the user, the password and the server's pg_hba.conf"),
        // The routine's name, because messages are in the server's language.
        ("dataset.denied", _) if said.routine() == Some("check_enable_rls") => {
            error.hint("row-level security hides rows from this user: connect as the owner or a role with BYPASSRLS")
        }
        ("dataset.denied", None) => error.hint("GRANT SELECT on the table and USAGE on its schema to this user"),
        ("store.refused", None) if state.code().starts_with("42") => {
            error.hint("check the names and the condition in key=, columns= and where= for this side")
        }
        ("data.damaged", None) => {
            error.hint("look into the server's log and at its disk; pg_checksums and amcheck find damaged pages")
        }
        ("store.busy", None) => {
            error.hint("the server is short of something; try again later or with fewer connections")
        }
        _ => error,
    }
}

/// Whether a file of a relation is gone: its storage manager (`md.c`) cannot open it.
fn is_lost_file(said: &DbError) -> bool {
    let storage = |routine: &str| routine.starts_with("md") || routine.starts_with("_mdfd");
    *said.code() == SqlState::UNDEFINED_FILE && said.routine().is_some_and(storage)
}

/// Kind and code for a SQLSTATE.
fn meaning(state: &SqlState) -> (FailureKind, &'static str) {
    use FailureKind::{Damaged, Denied, Permanent, Transient};
    let class = state.code().get(..2).unwrap_or_default();
    match state {
        s if *s == SqlState::INSUFFICIENT_PRIVILEGE => (Denied, "dataset.denied"),
        s if *s == SqlState::UNDEFINED_TABLE || *s == SqlState::INVALID_SCHEMA_NAME => (Permanent, "dataset.missing"),
        s if *s == SqlState::UNDEFINED_DATABASE || class == "3D" => (Permanent, "store.missing"),
        // Our own deadline ends a call before the server's time-out does, so this was somebody else.
        s if *s == SqlState::QUERY_CANCELED => (Transient, "store.cancelled"),
        // Time-outs of a transaction (25P04 from PostgreSQL 17 on) end the session.
        s if ["25P03", "25P04"].contains(&s.code()) => (Transient, "store.cancelled"),
        s if *s == SqlState::LOCK_NOT_AVAILABLE => (Transient, "store.busy"),
        s if *s == SqlState::DATA_CORRUPTED || *s == SqlState::INDEX_CORRUPTED => (Damaged, "data.damaged"),
        _ => match class {
            "28" => (Denied, "store.denied"),
            // 72: the snapshot is too old (up to PostgreSQL 16).
            "40" | "72" => (Transient, "store.conflict"),
            "08" | "57" => (Transient, "store.unreachable"),
            "53" => (Transient, "store.busy"),
            "58" | "XX" => (Permanent, "store.damaged"),
            _ => (Permanent, "store.refused"),
        },
    }
}

/// Whether a server refuses this kind of connection (encrypted or not) rather than the user.
pub(crate) fn refuses_connection(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// The TLS failure underneath, if there is one.
pub(crate) fn tls_cause(error: &tokio_postgres::Error) -> Option<rustls::Error> {
    let mut cause = error.source();
    while let Some(this) = cause {
        if let Some(tls) = this.downcast_ref::<rustls::Error>() {
            return Some(tls.clone());
        }
        if let Some(io) = this.downcast_ref::<io::Error>()
            && let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return Some(tls.clone());
        }
        cause = this.source();
    }
    None
}

/// Whether TLS could not be agreed on at all.
pub(crate) fn is_tls(error: &tokio_postgres::Error) -> bool {
    tls_cause(error).is_some() || error.to_string() == "error performing TLS handshake"
}

fn tls_error(doing: impl Display, tls: &rustls::Error) -> Error {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
    let hint = match tls {
        Tls::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => "renew the server's certificate",
        Tls::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet: check the clocks"
        }
        Tls::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "connect with a host name that the certificate holds, or use sslmode=verify-ca"
        }
        Tls::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "give the authority that signed the server's certificate as sslrootcert"
        }
        Tls::InvalidCertificate(Bad::Revoked) => "the server's certificate was revoked: give the server a new one",
        Tls::InvalidCertificate(Bad::UnknownRevocationStatus) => {
            "add the revocation list of every authority in the server's chain to the file that sslcrl names"
        }
        Tls::InvalidCertificate(Bad::ExpiredRevocationList | Bad::ExpiredRevocationListContext { .. }) => {
            "renew the revocation list that sslcrl names"
        }
        Tls::AlertReceived(Alert::CertificateRequired | Alert::HandshakeFailure) => {
            "the server demands a client certificate: give sslcert and sslkey"
        }
        Tls::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::DecryptError,
        ) => "the server refused the client certificate: check sslcert and the server's ssl_ca_file",
        Tls::AlertReceived(Alert::ProtocolVersion) | Tls::PeerIncompatible(_) => {
            "the server must offer TLS 1.2 or 1.3 (ssl_min_protocol_version)"
        }
        _ => "check sslmode, sslrootcert, sslcert and sslkey",
    };
    Error::new(FailureKind::Permanent, "store.tls", format!("{doing} failed")).detail(tls.to_string()).hint(hint)
}

fn find_cause<T: std::error::Error + 'static>(error: &tokio_postgres::Error) -> Option<&T> {
    let mut cause = error.source();
    while let Some(this) = cause {
        if let Some(found) = this.downcast_ref::<T>() {
            return Some(found);
        }
        cause = this.source();
    }
    None
}

/// All causes in one line; the client library keeps the telling one at the bottom.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(this) = cause {
        let text = this.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = this.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("28P01", FailureKind::Denied, "store.denied")]
    #[case("28000", FailureKind::Denied, "store.denied")]
    #[case("42501", FailureKind::Denied, "dataset.denied")]
    #[case("3D000", FailureKind::Permanent, "store.missing")]
    #[case("42P01", FailureKind::Permanent, "dataset.missing")]
    #[case("57P01", FailureKind::Transient, "store.unreachable")]
    #[case("57P03", FailureKind::Transient, "store.unreachable")]
    #[case("57014", FailureKind::Transient, "store.cancelled")]
    #[case("08006", FailureKind::Transient, "store.unreachable")]
    #[case("25P03", FailureKind::Transient, "store.cancelled")]
    #[case("25P04", FailureKind::Transient, "store.cancelled")]
    #[case("72000", FailureKind::Transient, "store.conflict")]
    #[case("40001", FailureKind::Transient, "store.conflict")]
    #[case("40P01", FailureKind::Transient, "store.conflict")]
    #[case("53300", FailureKind::Transient, "store.busy")]
    #[case("55P03", FailureKind::Transient, "store.busy")]
    #[case("XX001", FailureKind::Damaged, "data.damaged")]
    #[case("XX000", FailureKind::Permanent, "store.damaged")]
    #[case("42601", FailureKind::Permanent, "store.refused")]
    fn states_have_a_kind_and_a_code(#[case] state: &str, #[case] kind: FailureKind, #[case] code: &str) {
        assert_eq!(meaning(&SqlState::from_code(state)), (kind, code));
    }
}
