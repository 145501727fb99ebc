//! What is said about the rows of topics that are kept, and whether a partition still has them.

use super::super::facts::other_term;
use super::cut::Log;
use paritas_connect::logs::Anchor;
use paritas_connect::{Result, Segmented, SegmentedPart, SegmentedSurvey, Terms};
use paritas_report::SegmentReading;
use paritas_state::KeptPart;
use serde::{Deserialize, Serialize};

/// The version of what is kept by segments.
pub(super) const VERSION: u32 = 1;

/// Beside the rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Version of segments.
    pub(super) segments: u32,
    /// What the rows depend on beside their records, each with its name.
    pub(super) terms: Terms,
    /// When the snapshot was taken, in seconds since 1970.
    pub(super) taken_at: i64,
    /// What reading had found out.
    pub(super) found: Vec<Option<u64>>,
}

/// How a partition was when its rows were kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Led {
    /// Its leadership; `None` where it changed while it was read, or is not known.
    pub(super) epoch: Option<i32>,
    /// Its last record, where that proves everything before.
    pub(super) anchor: Option<Anchor>,
}

impl Led {
    /// As it is kept beside the segments of a partition.
    pub(super) fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn read(text: &str) -> Self {
        // What cannot be understood proves nothing.
        serde_json::from_str(text).unwrap_or_default()
    }
}

impl Facts {
    /// Why rows that were kept under these facts say nothing now, if they do not.
    pub(super) fn contradiction(&self, terms: &Terms) -> Option<String> {
        if self.segments != VERSION {
            return Some("what was kept is of another version".to_owned());
        }
        other_term(&self.terms, terms).map(|name| format!("the {name} is not what it was at the snapshot before"))
    }
}

/// A partition, how it was led when it was kept, and what it was decided by.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) log: Log,
    /// How it was led when its rows were kept.
    pub(super) then: Led,
}

/// Which partitions still have what was kept of them. Those that do not are noted.
pub(super) async fn standing(
    logs: &dyn Segmented,
    cx: &paritas_connect::Context,
    survey: &SegmentedSurvey,
    old: &[KeptPart],
    reading: &mut SegmentReading,
) -> Result<Vec<Standing>> {
    let mut all = Vec::with_capacity(survey.parts.len());
    let mut asked = Vec::new();
    for (number, part) in survey.parts.iter().enumerate() {
        let kept = old.iter().find(|kept| kept.sql == part.key);
        let then = kept.map(|kept| Led::read(&kept.storage)).unwrap_or_default();
        let end = kept.map_or(0, ends_at);
        let (stands, why) = match (then.epoch, part.epoch) {
            _ if kept.is_none() => (false, Some("nothing was kept of it".to_owned())),
            _ if part.shown.end < end => (false, Some("it ends before the place where it ended".to_owned())),
            (Some(then), Some(now)) if then == now => (true, None),
            _ if then.anchor.is_some() => (false, None),
            _ => (false, Some(unproven(part))),
        };
        if let (Some(anchor), false, None) = (then.anchor, stands, &why) {
            asked.push((number, anchor));
        }
        if let Some(why) = why {
            reading.read_whole(&part.name, &why);
        }
        let log = Log { key: part.key.clone(), shown: part.shown.clone(), stands };
        all.push(Standing { log, then });
    }
    if asked.is_empty() {
        return Ok(all);
    }
    for ((number, _), there) in asked.iter().zip(logs.still_there(cx, &asked).await?) {
        if let (Some(one), Some(part)) = (all.get_mut(*number), survey.parts.get(*number)) {
            one.log.stands = there;
            if !there {
                let why = "another leader was elected, and the last record that was kept is not there any more";
                reading.read_whole(&part.name, why);
            }
        }
    }
    Ok(all)
}

/// Where the segments that were kept of a partition end.
fn ends_at(kept: &KeptPart) -> u64 {
    kept.ranges.iter().map(|range| super::cut::offsets_of(range).end).max().unwrap_or(0)
}

fn unproven(part: &SegmentedPart) -> String {
    let why = match part.epoch {
        None => "which leader it has had is not known",
        Some(_) => "another leader was elected, and nothing proves that it has everything",
    };
    why.to_owned()
}
