//! What the engine offers, in one place.

pub use paritas_engine::{
    Budget, Error, LagOptions, LagRun, Monitor, Options, Phase, Rate, SideProgress, StoreCheck, Which, check_stores,
    looks_like_target, verify_links, verify_pair, with_secrets,
};
