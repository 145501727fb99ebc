//! What the engine offers, in one place.

pub use paritas_engine::{
    Budget, Error, Failover, LagOptions, LagRun, Manners, Method, Monitor, Options, Phase, ProbeOptions, RateLimit,
    Reconcile, SideProgress, SnapshotOptions, StoreCheck, Stored, StoredRun, Until, Which, check_stores,
    failover_links, failover_pair, ledger_links, ledger_pair, looks_like_target, probe_link, probe_pair, probe_setup,
    snapshot_links, snapshot_pair, stored_run, verify_links, verify_links_against, verify_pair, verify_pair_against,
    with_secrets,
};
