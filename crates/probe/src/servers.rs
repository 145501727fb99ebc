//! Servers that took writes, each run of a server process on its own, and how they are related to the old primary.

use crate::clock::Moment;
use crate::observation::{Side, Survivor, Took};
use paritas_model::{Ancestry, Lsn, Switch};
use serde::{Deserialize, Serialize};

/// How a server is related to the history that the observation began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kin {
    /// It writes that very history: the old primary, started again or not.
    Old,
    /// It left that history behind, by a promotion.
    New {
        /// Its own timeline.
        timeline: u32,
        /// Where it left the old one.
        at: Lsn,
    },
    /// It writes under the old timeline's number without being the old primary: a copy that was started without a
    /// promotion.
    Twin,
    /// It belongs to another history.
    Stranger {
        /// Which, in words.
        why: String,
    },
}

/// One run of a server process that took writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// What tells this run from all others.
    pub instance: String,
    /// The timeline that it wrote.
    pub timeline: u32,
    /// How it is related; unknown until its history was read.
    pub kin: Option<Kin>,
    /// Where its first write was sent.
    pub side: Side,
    /// Its first write.
    pub first: Took,
    /// Its last write.
    pub last: Took,
    /// How many it took.
    pub count: u64,
    /// What it held of the old primary's writes before it took its first one.
    pub survivor: Option<Survivor>,
    /// The end of the first attempt that failed on the old primary before.
    pub(crate) down_since: Option<Moment>,
    /// The begin of the last attempt that failed on this server before.
    pub(crate) down_until: Option<Moment>,
}

/// How a server with this history is related to the old primary's; `None` where it is on another timeline by now.
pub(crate) fn kin(old: &Ancestry, server: &Ancestry, timeline: u32, seen_as_old: bool) -> Option<Kin> {
    let stranger = |why: String| Some(Kin::Stranger { why });
    if server.system != old.system {
        return stranger(format!("it belongs to another cluster, {}", server.system));
    }
    if server.timeline != timeline {
        return None;
    }
    if server == old {
        return Some(if seen_as_old { Kin::Old } else { Kin::Twin });
    }
    match old.fork(server) {
        Some(Switch { timeline: left, at }) if left == old.timeline && server.left(left) == Some(at) => {
            Some(Kin::New { timeline, at })
        }
        Some(fork) => stranger(format!("it went another way after timeline {} at {}", fork.timeline, fork.at)),
        None => stranger("it has no timeline in common with the old primary".to_owned()),
    }
}
