//! What the engine offers, in one place.

mod stub;

pub use stub::{
    Budget, Error, Monitor, Options, Phase, SideProgress, StoreCheck, check_stores, looks_like_target, verify_links,
    verify_pair,
};
