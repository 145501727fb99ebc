//! Waiting for a state: looked at again and again until it is there or the deadline has passed.

use std::time::{Duration, Instant};

use crate::process::POLL;
use crate::{Error, Result};

/// What one look found.
pub(crate) enum Seen<T> {
    /// The state waited for.
    Done(T),
    /// Something else, in words for the error.
    NotYet(String),
}

/// Calls `look` until it is done; an error ends the wait at once.
pub(crate) async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<Seen<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look().await? {
            Seen::Done(value) => return Ok(value),
            Seen::NotYet(last) if Instant::now() >= deadline => {
                return Err(Error::TimedOut { waiting_for: what.to_owned(), limit, last });
            }
            Seen::NotYet(_) => tokio::time::sleep(POLL).await,
        }
    }
}
