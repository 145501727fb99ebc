//! What the engine offers, in one place.

pub use paritas_engine::{
    Budget, Call, Error, FailedAt, Failover, HistoryQuery, LagOptions, LagRun, Manners, Method, Monitor, Options,
    Phase, ProbeOptions, RateLimit, Reconcile, SideProgress, SimulatedWindow, SnapshotOptions, StoreCheck, Stored,
    StoredRun, ThriftOptions, Until, Which, check_stores, failover_links, failover_pair, history, last_runs,
    ledger_links, ledger_links_against, ledger_pair, ledger_pair_against, looks_like_target, probe_link, probe_pair,
    probe_setup, run_due, simulate_window, simulated, snapshot_links, snapshot_pair, stored_run, verify_links,
    verify_links_against, verify_pair, verify_pair_against, with_secrets,
};
