//! The configuration file: reading, validation, secret references, origins.
//!
//! [`load`] finds `paritas.toml`, lays it over the packs it extends and returns a [`Config`], or
//! every mistake in it with its place. Unknown keys are mistakes. Nothing here opens a store or
//! reads a secret.

mod check;
mod decode;
mod error;
mod init;
mod layers;
mod packs;
mod policies;
mod reader;
mod show;
mod source;
mod tree;
mod types;

pub use error::{ConfigError, ConfigErrors, ConfigWarning};
pub use init::init_text;
pub use layers::{FILE_NAME, Surroundings, load, load_in, parse};
pub use packs::{PACKS, Pack};
pub use policies::{POLICY_NAMES, set_policy};
pub use source::Place;
pub use types::{
    Config, CopyConfig, DatasetConfig, FreshnessConfig, LedgerConfig, Levels, LinkConfig, Mode, NotExecuted,
    Objectives, OptionValue, RecoveryConfig, Reread, RetentionConfig, Schedule, StoreConfig, ValuePrivacy,
    VerifySchedule,
};
