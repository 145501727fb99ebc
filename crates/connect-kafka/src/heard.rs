//! What the client library said by itself: the only place where it tells why a connection failed.

use crate::bindings::{Ear, Fault};
use crate::codes;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that are kept; the oldest goes first.
const KEPT_MAX: usize = 64;
/// A failure that is older than this explains nothing any more. The library repeats one twice a minute at most.
const FRESH: Duration = Duration::from_secs(60);
/// Up to this level, lines of the library's log are errors.
const LEVEL_ERROR: i32 = 3;

/// A failure of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// When it was said.
    at: Instant,
    /// The library's number for it.
    pub(crate) code: i32,
    /// The address that it is about; empty where it is about none.
    pub(crate) address: String,
    /// Whether the cluster itself gave that address, rather than the URL.
    pub(crate) advertised: bool,
    /// The words, without the address in front and the time behind.
    pub(crate) text: String,
}

impl Said {
    /// Takes apart `ssl://host:9092/1: Disconnected (after 3ms in state UP)`.
    fn new(fault: &Fault, at: Instant) -> Self {
        let (who, text) = match fault.said.split_once(": ") {
            Some((who, text)) if is_broker(who) => (who, text),
            _ => ("", fault.said.as_str()),
        };
        let (address, id) = who.rsplit_once('/').unwrap_or((who, ""));
        let address = address.split_once("://").map_or(address, |(_, address)| address);
        let text = match text.rsplit_once(" (after ") {
            Some((text, state)) if state.contains(" in state ") => text,
            _ => text,
        };
        let advertised = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        Self { at, code: fault.code, address: address.to_owned(), advertised, text: text.to_owned() }
    }
}

/// `sasl_ssl://host:9092/bootstrap`, `host:9092/3`.
fn is_broker(text: &str) -> bool {
    !text.contains(' ')
        && text
            .rsplit_once('/')
            .is_some_and(|(address, id)| address.contains(':') && !id.is_empty() && !id.contains(':'))
}

/// Keeps what was said lately. Shared with the library's own threads.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    said: Mutex<VecDeque<Said>>,
    /// When a certificate was refused last, and why.
    refused: Mutex<Option<(Instant, i32)>>,
}

impl Ear for Heard {
    fn line(&self, level: i32, facility: &str, line: &str) {
        tracing::debug!(target: "librdkafka", level, facility, error = level <= LEVEL_ERROR, "{line}");
    }

    fn fault(&self, fault: Fault) {
        tracing::debug!(target: "librdkafka", code = fault.code, "{}", fault.said);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= KEPT_MAX {
            said.pop_front();
        }
        said.push_back(Said::new(&fault, Instant::now()));
    }

    fn refused(&self, reason: i32) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), reason));
    }
}

impl Heard {
    /// Why a certificate was refused lately, by OpenSSL's number.
    pub(crate) fn refusal(&self) -> Option<i32> {
        let refused = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, reason)| reason)
    }

    /// The newest failure of each address that still counts, oldest first.
    pub(crate) fn failures(&self) -> Vec<Said> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest: Vec<Said> = Vec::new();
        for one in said.iter().filter(|one| one.at.elapsed() < FRESH && !one.address.is_empty()) {
            newest.retain(|other| (&other.address, other.advertised) != (&one.address, one.advertised));
            newest.push(one.clone());
        }
        newest
    }

    /// Whether a failure was heard of that still counts.
    pub(crate) fn any(&self) -> bool {
        !self.failures().is_empty() || self.all_down()
    }

    /// Whether it was said lately that no broker at all could be reached.
    pub(crate) fn all_down(&self) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().any(|one| one.at.elapsed() < FRESH && one.code == codes::ALL_BROKERS_DOWN)
    }

    /// Whether no broker at all could be reached, by what was said since then.
    pub(crate) fn all_down_since(&self, since: Instant) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().any(|one| one.at >= since && one.code == codes::ALL_BROKERS_DOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
        ("127.0.0.1:9092", false, "Connect to ipv4#127.0.0.1:9092 failed: Connection refused")
    )]
    #[case("sasl_ssl://kafka-1:9093/7: Disconnected (after 3ms in state UP, 2 identical error(s) suppressed)",
        ("kafka-1:9093", true, "Disconnected"))]
    #[case("[::1]:9092/1: Failed to resolve '[::1]:9092': Name or service not known (after 1ms in state CONNECT)",
        ("[::1]:9092", true, "Failed to resolve '[::1]:9092': Name or service not known"))]
    #[case("1/1 brokers are down", ("", false, "1/1 brokers are down"))]
    #[case("GroupCoordinator: a/b", ("", false, "GroupCoordinator: a/b"))]
    fn a_failure_names_the_address_and_where_it_came_from(#[case] said: &str, #[case] expected: (&str, bool, &str)) {
        let said = Said::new(&Fault { code: -195, said: said.to_owned() }, Instant::now());
        assert_eq!((said.address.as_str(), said.advertised, said.text.as_str()), expected);
    }

    #[test]
    fn the_newest_failure_of_each_address_is_kept_and_the_number_is_limited() {
        let heard = Heard::default();
        let fail = |port: usize, text: &str| {
            heard.fault(Fault { code: -195, said: format!("h:{port}/bootstrap: {text}") });
        };
        for port in 0..KEPT_MAX * 2 {
            fail(port, "first");
        }
        fail(KEPT_MAX * 2 - 1, "second");
        let failures = heard.failures();
        assert_eq!(failures.len(), KEPT_MAX - 1);
        assert_eq!(failures.last().map(|said| said.text.as_str()), Some("second"));
    }

    #[test]
    fn that_all_brokers_are_down_counts_from_a_moment_on() {
        let heard = Heard::default();
        let before = Instant::now();
        heard.fault(Fault { code: codes::ALL_BROKERS_DOWN, said: "1/1 brokers are down".to_owned() });
        assert!(heard.all_down_since(before));
        assert!(!heard.all_down_since(Instant::now() + Duration::from_secs(1)));
        assert!(heard.failures().is_empty());
    }
}
