//! Whether all sessions of a run end at one server. An address can lead to another one from one moment to the next: a
//! name that is resolved anew, an address that was moved in a failover, a balancer. Rows of two servers prove nothing.

use paritas_connect::{Error, FailureKind, Result};
use std::fmt;
use tokio_postgres::error::SqlState;

/// The cluster (PostgreSQL documentation, `pg_control_system`), which everybody may read unless that was revoked.
/// Here and below nothing is named that a schema of the user's search path could hold as well.
pub(crate) const SYSTEM: &str = "(SELECT system_identifier FROM pg_catalog.pg_control_system())";
/// In its place where it may not be read.
pub(crate) const HIDDEN: &str = "NULL";
/// The address that the server was reached at, and when it was started.
pub(crate) const PLACE: &str = "pg_catalog.concat(pg_catalog.inet_server_addr(), ' port ', \
    pg_catalog.current_setting('port')), pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())";

/// Whether an error says that [`SYSTEM`] cannot be had.
pub(crate) fn is_hidden(error: &tokio_postgres::Error) -> bool {
    // The second one: old versions can catch the file while it is written.
    matches!(error.code(), Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE || *code == SqlState::INTERNAL_ERROR)
}

/// What tells one server from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    system: Option<String>,
    address: String,
    started: String,
    in_recovery: bool,
}

impl Who {
    pub(crate) fn new(system: Option<&str>, address: &str, started: &str, in_recovery: bool) -> Self {
        let (address, started) = (address.to_owned(), started.to_owned());
        Self { system: system.map(str::to_owned), address, started, in_recovery }
    }

    /// Fails unless a later session is at the same server. It may have been restarted, or be reached by another of its
    /// addresses, but not both.
    pub(crate) fn same(&self, later: &Self) -> Result<()> {
        let known = self.system.is_some() && later.system.is_some();
        let one_cluster = !known || self.system == later.system;
        let one_place = self.address == later.address || self.started == later.started;
        if one_cluster && one_place && self.in_recovery == later.in_recovery {
            return Ok(());
        }
        let promoted = one_cluster && one_place;
        let message = if promoted {
            "the server changed its role while it was read"
        } else {
            "the address leads to another server than when the run began"
        };
        Err(Error::new(FailureKind::Permanent, "store.changed", message)
            .detail(format!("It was {self} and is {later}."))
            .hint("run it again; name a server itself, and no address that moves between servers or is shared by them"))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.in_recovery { "a standby" } else { "a primary" };
        let system = self.system.as_deref().unwrap_or("an unknown cluster");
        write!(f, "{role} of {system} at {}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::itself(Some("1"), "a port 1", "noon", true, true)]
    #[case::restarted(Some("1"), "a port 1", "one", true, true)]
    #[case::by_another_address(Some("1"), "b port 1", "noon", true, true)]
    #[case::another_of_the_cluster(Some("1"), "b port 1", "one", true, false)]
    #[case::promoted(Some("1"), "a port 1", "noon", false, false)]
    #[case::another_cluster(Some("2"), "a port 1", "noon", true, false)]
    #[case::hidden(None, "a port 1", "one", true, true)]
    #[case::hidden_and_elsewhere(None, "b port 1", "one", true, false)]
    fn a_later_session_is_at_the_same_server(
        #[case] system: Option<&str>,
        #[case] address: &str,
        #[case] started: &str,
        #[case] in_recovery: bool,
        #[case] same: bool,
    ) {
        let first = Who::new(Some("1"), "a port 1", "noon", true);
        let compared = first.same(&Who::new(system, address, started, in_recovery));
        assert_eq!(compared.is_ok(), same);
        assert!(compared.err().is_none_or(|error| error.code() == "store.changed" && error.hint_text().is_some()));
    }
}
