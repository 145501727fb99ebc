//! Holding the readers of a link while its replica is too far behind, so that they are not why it stays so.

use crate::job::Sides;
use paritas_connect::{Error, Observation};
use paritas_verify::Side;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often a replica is looked at; readers are held within this time and one more look.
const LOOK: Duration = Duration::from_millis(500);
/// Readers go on when it is behind by less than this part of the limit.
const ENOUGH: u64 = 2;

/// Watches a link until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard(JoinHandle<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Holds both sides while the replica is behind by more than `limit` bytes.
pub(crate) fn watch(sides: &Sides, limit: u64) -> Guard {
    let (source, replica) = (sides.source.clone(), sides.replica.clone());
    Guard(tokio::spawn(async move {
        let mut held = false;
        loop {
            match behind(&source, &replica).await {
                Ok(Some(bytes)) if bytes > limit && !held => {
                    tracing::warn!(bytes, limit, "the replica is too far behind, reading is held");
                    held = true;
                }
                Ok(Some(bytes)) if held && bytes <= limit / ENOUGH => {
                    tracing::info!(bytes, "the replica has caught up, reading goes on");
                    held = false;
                }
                Ok(_) => {}
                // What cannot be seen holds nobody; a link that is down is noticed elsewhere.
                Err(error) => tracing::debug!(%error, "how far the replica is behind could not be seen"),
            }
            source.cx.pace().pause(held);
            replica.cx.pace().pause(held);
            tokio::time::sleep(LOOK).await;
        }
    }))
}

/// Bytes of history that the replica has not applied, of the stream that is the furthest behind.
async fn behind(source: &Side, replica: &Side) -> Result<Option<u64>, Error> {
    let theirs = observe(replica).await?;
    let ours = observe(source).await?;
    let gaps = theirs.followed.iter().filter_map(|followed| {
        let produced = ours.produced.iter().find(|produced| produced.stream == followed.of)?;
        produced.end.value()?.value.checked_sub(followed.applied.value()?.value)
    });
    Ok(gaps.max())
}

async fn observe(side: &Side) -> Result<Observation, Error> {
    let positions = side.store.positions().ok_or_else(|| Error::unsupported("positions"))?;
    side.cx.bound(positions.observe(&side.cx)).await
}
