//! `paritas demo`.

use crate::arguments::DemoArgs;
use crate::failure::{Failure, INCONCLUSIVE};
use crate::session::Session;

/// Not there yet.
pub fn run(_: &Session, _: &DemoArgs) -> Result<u8, Failure> {
    Err(Failure::new("internal", INCONCLUSIVE, "the demo is not built in"))
}
