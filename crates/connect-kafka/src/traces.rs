//! What mirroring tools have left: their topics are read as they are now.

use crate::KafkaStore;
use paritas_connect::logs::{Logs as _, Traces};
use paritas_connect::{Context, Result};

/// Reads everything that MirrorMaker 2 keeps in this cluster.
pub(crate) async fn traces(store: &KafkaStore, cx: &Context) -> Result<Traces> {
    let survey = store.survey(cx).await?;
    Ok(Traces { limits: survey.limits, ..Traces::default() })
}
