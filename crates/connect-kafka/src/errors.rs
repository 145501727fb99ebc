//! What went wrong, from the numbers of failures and from what was said about connections.

use crate::bindings::Fault;
use crate::codes;
use crate::heard::{Heard, Said};
use paritas_connect::{Error, FailureKind};
use std::fmt::Display;

/// A mistake in the location or the settings.
pub(crate) fn usage(message: impl Into<String>) -> Error {
    Error::new(FailureKind::Permanent, "config.url", message)
}

/// A topic or partition that is not there.
pub(crate) fn missing(message: impl Into<String>) -> Error {
    Error::new(FailureKind::Permanent, "dataset.missing", message)
        .hint("check the name; topics that this user may not describe look the same as missing ones")
}

/// Who asks, for the commands that a hint names.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// The brokers to begin with.
    pub(crate) bootstrap: String,
    /// Who we are, where it is known.
    pub(crate) user: Option<String>,
    /// Whether we show a certificate.
    pub(crate) identified: bool,
}

/// What an operation is needed on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On<'a> {
    Cluster,
    Topic(&'a str),
    Group(&'a str),
}

impl Asker {
    /// The command that grants an operation.
    pub(crate) fn grant(&self, operation: &str, on: On<'_>) -> String {
        let user = self.user.as_deref().unwrap_or("NAME");
        let on = match on {
            On::Cluster => "--cluster".to_owned(),
            On::Topic(name) => format!("--topic {name}"),
            On::Group(name) => format!("--group {name}"),
        };
        format!(
            "kafka-acls --bootstrap-server {} --add --allow-principal User:{user} --operation {operation} {on}",
            self.bootstrap
        )
    }

    /// A request that failed. `doing` is a verb and an object; `operation` on `on` is what it takes.
    pub(crate) fn failed(&self, doing: impl Display, fault: &Fault, operation: &str, on: On<'_>) -> Error {
        let (kind, code) = meaning(fault.code);
        let error = Error::new(kind, code, format!("{doing} failed")).detail(fault.said.clone());
        match code {
            "dataset.denied" | "store.denied" if kind == FailureKind::Denied => error.hint(self.grant(operation, on)),
            "dataset.missing" => error.hint("check the name; topics that this user may not describe look the same"),
            "store.unsupported" => error.hint("this broker is too old for it: Kafka 2.3 or later is needed"),
            "store.busy" => error.hint("the broker is starting up or moving its groups: try again"),
            "data.damaged" => error.hint("a broker holds damaged records: see its log, and kafka-dump-log"),
            "data.unreadable" => error.hint("raise receive.message.max.bytes and fetch.max.bytes"),
            "store.unreachable" => error.hint("see the logs of the brokers, and whether every partition has a leader"),
            _ => error.hint("report this as a defect, with the version of the brokers"),
        }
    }

    /// A cluster that gave no answer, with what was heard about its connections.
    pub(crate) fn unreachable(&self, doing: impl Display, heard: &Heard, fault: Option<&Fault>) -> Error {
        let failures = heard.failures();
        let first = |wanted: fn(&Said) -> bool| failures.iter().rev().find(|said| wanted(said));
        let telling = first(is_login)
            .or_else(|| first(is_tls))
            .or_else(|| first(|said| said.advertised))
            .or_else(|| failures.last());
        let Some(said) = telling else {
            let error = Error::new(FailureKind::Transient, "store.unreachable", format!("{doing} failed"));
            if heard.all_down() {
                // Of a connection that ends before anything was answered the library says nothing else.
                return error
                    .detail("connections are accepted, and ended before anything is answered")
                    .hint("check the port and security.protocol: the listener may speak TLS or want a login");
            }
            let waited = "no broker answered in time, and no connection failed".to_owned();
            return error
                .detail(fault.map_or(waited, |fault| fault.said.clone()))
                .hint("check that the brokers are not overloaded, and the network between");
        };
        let detail = format!("{}: {}", said.address, said.text);
        if is_login(said) {
            return Error::new(FailureKind::Denied, "store.denied", format!("{doing} failed"))
                .detail(detail)
                .hint(login_hint(&said.text));
        }
        if is_tls(said) {
            return Error::new(FailureKind::Permanent, "store.tls", format!("{doing} failed"))
                .detail(detail)
                .hint(tls_hint(&said.text, heard.refusal(), self.identified));
        }
        let reached = !failures.iter().any(|said| !said.advertised);
        if said.advertised && reached {
            let message = format!(
                "{doing} failed: {} answers, and says that a broker is at {}, which cannot be reached",
                self.bootstrap, said.address
            );
            return Error::new(FailureKind::Transient, "store.unreachable", message).detail(detail).hint(
                "if that broker runs, its advertised.listeners must be an address that this machine can reach; \
                 name the listener that is meant for this network",
            );
        }
        Error::new(FailureKind::Transient, "store.unreachable", format!("{doing} failed"))
            .detail(detail)
            .hint(network_hint(said))
    }
}

fn is_login(said: &Said) -> bool {
    said.code == codes::AUTHENTICATION || said.code == codes::SASL_FAILED
}

fn is_tls(said: &Said) -> bool {
    // Where the other side does not speak TLS, it only ends the connection.
    // And a certificate may be refused only after the handshake, when the first answer is read.
    said.code == codes::SSL || said.text.starts_with("SSL handshake failed") || said.text.contains("SSL routines")
}

/// The library tells these kinds only in words.
fn login_hint(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match () {
        () if text.trim_end().ends_with("broker's supported mechanisms:") => {
            "the listener does not ask for a login: check the port and security.protocol"
        }
        () if any(&["unsupported sasl mechanism", "broker's supported mechanisms"]) => {
            "the broker does not offer this sasl.mechanism: use one of those that the detail names"
        }
        () if any(&["disconnected", "connection closed", "unexpected"]) => {
            "the listener may not be one for logins: check the port and security.protocol"
        }
        () => "check the user and the password, and that the user exists for this mechanism",
    }
}

/// Numbers of OpenSSL (`x509_vfy.h`) for what is wrong with a certificate.
mod x509 {
    pub(super) const NOT_YET_VALID: i32 = 9;
    pub(super) const EXPIRED: i32 = 10;
    pub(super) const REVOKED: i32 = 23;
    pub(super) const OTHER_HOST: i32 = 62;
    pub(super) const OTHER_ADDRESS: i32 = 64;
}

/// `refusal` is why our side refused a certificate.
fn tls_hint(text: &str, refusal: Option<i32>, identified: bool) -> &'static str {
    let lower = text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let alert = any(&["alert"]) && any(&["certificate", "unknown ca"]);
    match () {
        () if alert && !identified => {
            "the broker demands a client certificate: give ssl.certificate.location and ssl.key.location"
        }
        () if alert => {
            "the broker refused the client certificate: check ssl.certificate.location and the broker's truststore"
        }
        () if any(&["certificate verify failed", "could not be verified"]) => match refusal {
            Some(x509::EXPIRED) => "renew the certificate of the broker",
            Some(x509::NOT_YET_VALID) => "the certificate of the broker is not valid yet: check the clocks",
            Some(x509::REVOKED) => "the certificate of the broker was revoked: give the broker a new one",
            Some(x509::OTHER_HOST | x509::OTHER_ADDRESS) => {
                "name the broker as its certificate does, and let its advertised.listeners do the same"
            }
            _ => "give the authority that signed the certificate of the broker as ssl.ca.location",
        },
        () if any(&["wrong version number", "packet length too long", "record layer", "plaintext broker listener"]) => {
            "the listener does not speak TLS: check the port and security.protocol"
        }
        () => "check security.protocol, ssl.ca.location and the certificates",
    }
}

fn network_hint(said: &Said) -> &'static str {
    let lower = said.text.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    match said.code {
        codes::RESOLVE => "check the name of the host",
        _ if any(&["refused"]) => "check host and port, and that the broker runs",
        _ if any(&["ssl", "security.protocol", "disconnected"]) => {
            "check the port and security.protocol: the listener may speak TLS or want a login"
        }
        _ => "check host, port and the network between",
    }
}

/// Kind and code for a number.
pub(crate) fn meaning(code: i32) -> (FailureKind, &'static str) {
    use FailureKind::{Damaged, Denied, Permanent, Transient};
    match code {
        codes::TOPIC_DENIED => (Denied, "dataset.denied"),
        codes::GROUP_DENIED | codes::CLUSTER_DENIED => (Denied, "store.denied"),
        codes::AUTHENTICATION | codes::SASL_FAILED => (Denied, "store.denied"),
        codes::SSL => (Permanent, "store.tls"),
        codes::UNKNOWN_TOPIC
        | codes::UNKNOWN_TOPIC_ID
        | codes::INVALID_TOPIC
        | codes::LOCAL_UNKNOWN_TOPIC
        | codes::LOCAL_UNKNOWN_PARTITION => (Permanent, "dataset.missing"),
        codes::UNSUPPORTED_VERSION | codes::UNSUPPORTED_FEATURE | codes::NOT_IMPLEMENTED => {
            (Permanent, "store.unsupported")
        }
        codes::COORDINATOR_LOADING | codes::COORDINATOR_NOT_AVAILABLE | codes::NOT_COORDINATOR => {
            (Transient, "store.busy")
        }
        codes::BAD_MSG | codes::BAD_COMPRESSION | codes::CORRUPT => (Damaged, "data.damaged"),
        codes::MSG_TOO_LARGE => (Permanent, "data.unreadable"),
        code if codes::is_connection(code) || codes::leader_moves(code) => (Transient, "store.unreachable"),
        _ => (Permanent, "store.unexpected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(29, FailureKind::Denied, "dataset.denied")]
    #[case(30, FailureKind::Denied, "store.denied")]
    #[case(31, FailureKind::Denied, "store.denied")]
    #[case(3, FailureKind::Permanent, "dataset.missing")]
    #[case(-190, FailureKind::Permanent, "dataset.missing")]
    #[case(35, FailureKind::Permanent, "store.unsupported")]
    #[case(14, FailureKind::Transient, "store.busy")]
    #[case(6, FailureKind::Transient, "store.unreachable")]
    #[case(-195, FailureKind::Transient, "store.unreachable")]
    #[case(-185, FailureKind::Transient, "store.unreachable")]
    #[case(-199, FailureKind::Damaged, "data.damaged")]
    #[case(12345, FailureKind::Permanent, "store.unexpected")]
    fn numbers_have_a_kind_and_a_code(#[case] number: i32, #[case] kind: FailureKind, #[case] code: &str) {
        assert_eq!(meaning(number), (kind, code));
    }
}
