//! What a store in memory says about replication: its position, as the test set it.

use crate::{Error, Feed, Followed, Mark, Observation, Produced, Reader, ReplicaRole, Result};
use paritas_model::{Known, Position};
use std::time::Instant;

/// On a source the position is the end of its stream, on a replica what it has applied.
pub(super) fn now(name: &str, role: &ReplicaRole, at: Option<Position>) -> Result<Observation> {
    let begin = Instant::now();
    let at = at.ok_or_else(|| Error::unsupported("positions"))?;
    let mut seen = Observation::nothing(begin, Instant::now(), role.clone());
    seen.place = Known::Known(format!("memory:{name}"));
    let mark = Mark { value: at.value, text: at.text };
    match role {
        ReplicaRole::PhysicalReplica | ReplicaRole::LogicalReplica { .. } => seen.followed.push(Followed {
            stream: at.stream.clone(),
            of: at.stream,
            physical: true,
            lineage: Known::Known(at.lineage),
            applied: Known::Known(mark.clone()),
            received: Known::Known(mark),
            drained: true,
            enabled: true,
            feed: Feed::Connected { from: "memory".to_owned() },
            cursor: None,
            archive: Some(false),
            obstacles: Vec::new(),
            facts: Vec::new(),
        }),
        ReplicaRole::Primary | ReplicaRole::Independent => {
            seen.readers.push(Reader {
                name: "memory".to_owned(),
                cursor: None,
                sent: None,
                applied: None,
                copies: false,
                facts: Vec::new(),
            });
            seen.produced.push(Produced {
                stream: at.stream,
                lineage: Known::Known(at.lineage),
                limit: mark.value,
                written: mark.value,
                end: Known::Known(mark),
                settles: None,
                oldest: Known::unknown("a store in memory keeps no history"),
            });
        }
    }
    Ok(seen)
}
