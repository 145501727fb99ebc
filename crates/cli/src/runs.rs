//! What the engine offers, in one place.

pub use paritas_engine::{
    Budget, Error, Failover, LagOptions, LagRun, Manners, Method, Monitor, Options, Phase, RateLimit, SideProgress,
    StoreCheck, Which, check_stores, failover_links, failover_pair, looks_like_target, verify_links, verify_pair,
    with_secrets,
};
