//! What the engine offers, in one place.

pub use paritas_engine::{
    Budget, Error, Method, Monitor, Options, Phase, SideProgress, StoreCheck, check_stores, looks_like_target,
    verify_links, verify_pair, with_secrets,
};
