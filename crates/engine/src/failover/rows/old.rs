//! The old primary's server, started again where nobody else reaches it.

use super::super::{Evidence, Job};
use paritas_connect::{Context, Standing, Store};
use paritas_pgwal::Abandoned;
use std::sync::Arc;

/// A server that may be the old primary.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) store: Arc<dyn Store>,
    pub(super) name: String,
    standing: Standing,
}

const HOW: &str = "start the old primary where nobody else reaches it, and name it with --old-primary";

/// The server that was named, or the link's source when it answers; else why there is none.
pub(super) async fn server(cx: &Context, job: &Job, evidence: &Evidence) -> Result<Old, String> {
    let (store, name, standing) = match &job.old_primary {
        Some(opened) => {
            let lineages = opened.store.lineages().ok_or("the old primary is no server that can be asked")?;
            let standing = cx
                .bound(lineages.standing(cx))
                .await
                .map_err(|error| format!("{} does not answer: {}", opened.described.name, error.message()))?;
            (Arc::clone(&opened.store), opened.described.name.clone(), standing)
        }
        None => match &evidence.source {
            Ok(standing) => (Arc::clone(&job.source.store), job.source_name().to_owned(), standing.clone()),
            Err(_) => return Err(format!("values of the old primary were not read: {HOW}")),
        },
    };
    if evidence.replica.as_ref().is_ok_and(|replica| replica.instance == standing.instance) {
        return Err(format!("values of the old primary were not read: {name} is the new one; {HOW}"));
    }
    Ok(Old { store, name, standing })
}

impl Old {
    pub(super) fn takes_writes(&self) -> bool {
        self.standing.takes_writes()
    }

    /// Whether the server has this timeline, and all of it that was read.
    pub(super) fn fits(&self, abandoned: &Abandoned) -> Result<(), String> {
        let refused = |why: String| Err(format!("values of the old primary were not read: {} {why}", self.name));
        let Some(last) = abandoned.stretches.last() else { return refused("has nothing of it".to_owned()) };
        let ancestry = match (self.standing.ancestry.value(), self.standing.ancestry.why()) {
            (Some(ancestry), _) => ancestry,
            (None, why) => return refused(format!("does not tell its history: {}", why.unwrap_or("no reason"))),
        };
        if ancestry.system != last.system_identifier {
            return refused("is of another cluster".to_owned());
        }
        if ancestry.timeline != last.timeline {
            return refused(format!("is on timeline {}, and not on {}; {HOW}", ancestry.timeline, last.timeline));
        }
        match self.standing.reached.value() {
            Some(reached) if *reached >= last.end.lsn => Ok(()),
            Some(reached) => refused(format!("has come to {reached} only, and the log to {}", last.end.lsn)),
            None => refused("does not say how far it has come".to_owned()),
        }
    }
}
