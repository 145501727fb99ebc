//! What the engine offers, in one place.

mod stub;

pub use stub::{
    Budget, Config, Error, Monitor, Options, Phase, SideProgress, looks_like_target, verify_links, verify_pair,
};
