//! The clocks of both stores against ours and against each other, and the round trip to each.

use crate::{LagObjective, Problem};
use paritas_model::{Region, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far clocks are apart, and how long a question takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockCheck {
    /// Fails only where a breach is proven, passes only where everything that was promised is.
    pub verdict: Verdict,
    /// What was promised of distances between clocks; `null` where nothing was.
    pub skew_objective: Option<LagObjective>,
    /// What was promised of round trips; `null` where nothing was.
    pub rtt_objective: Option<LagObjective>,
    /// A store whose clock is further away than this, in seconds, has its times quarantined.
    pub quarantine: f64,
    /// Where the questions came from, if that was declared.
    pub from: Option<Region>,
    /// The source's clock.
    pub source: ClockSide,
    /// The replica's clock.
    pub replica: ClockSide,
    /// The replica's clock minus the source's; `null` where one of them is not known.
    pub between: Option<SkewSeconds>,
    /// The verdict on that; absent where nothing was promised or nobody could know.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub between_verdict: Option<Verdict>,
    /// Duration of the check.
    pub seconds: f64,
    /// Why the check could not be finished.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<Problem>,
}

/// One store's clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockSide {
    /// What was asked: `clock_timestamp()`, `HTTP Date`, `this machine`.
    pub method: Option<String>,
    /// How often it was asked.
    pub samples: u64,
    /// The store's clock minus that of this machine.
    pub skew: Option<SkewSeconds>,
    /// The verdict on that; absent where nothing was promised or the store tells nobody.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub skew_verdict: Option<Verdict>,
    /// The round trip of the quickest question, in seconds.
    pub rtt: Option<f64>,
    /// That of the slowest one.
    pub rtt_slowest: Option<f64>,
    /// The verdict on the quickest one; absent where nothing was promised or there is no round trip.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rtt_verdict: Option<Verdict>,
    /// Which clock was set while it was read: `ours` or `theirs`; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jumped: Option<String>,
    /// Whether its clock is proven to be so far away that its times are quarantined.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub quarantined: bool,
    /// For each member above that is `null`, by its name, why it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub why: BTreeMap<String, String>,
}

/// An interval of seconds that contains the true distance; negative is behind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkewSeconds {
    /// No less than this.
    pub low: f64,
    /// No more than this.
    pub high: f64,
}

impl SkewSeconds {
    /// The smallest and the largest distance without sign.
    pub fn size(self) -> (f64, f64) {
        let (low, high) = (self.low.abs(), self.high.abs());
        let least = if self.low <= 0.0 && self.high >= 0.0 { 0.0 } else { low.min(high) };
        (least, low.max(high))
    }

    /// For people: `1.2ms ahead`, `30s to 31s behind`, `at most 400us off`.
    pub fn text(self) -> String {
        let text = |seconds: f64| {
            std::time::Duration::try_from_secs_f64(seconds)
                .map_or_else(|_| "?".to_owned(), paritas_model::format_duration)
        };
        let (least, most) = self.size();
        if most == 0.0 {
            return "the same clock".to_owned();
        }
        if least == 0.0 {
            return format!("at most {} off", text(most));
        }
        let way = if self.low > 0.0 { "ahead" } else { "behind" };
        match (text(least), text(most)) {
            (least, most) if least == most => format!("{most} {way}"),
            (least, most) => format!("{least} to {most} {way}"),
        }
    }
}

impl ClockSide {
    /// Everything that was judged of this side.
    pub fn verdict(&self) -> Option<Verdict> {
        [self.skew_verdict, self.rtt_verdict].into_iter().flatten().max()
    }
}

impl ClockCheck {
    /// Both sides by their names.
    pub fn sides(&self) -> [(&'static str, &ClockSide); 2] {
        [("source", &self.source), ("replica", &self.replica)]
    }
}

/// One thing that was judged, in words, for every format.
pub(crate) struct Judged {
    pub(crate) verdict: Option<Verdict>,
    pub(crate) text: String,
}

impl ClockCheck {
    /// Everything that was measured, with its verdict.
    pub(crate) fn judged(&self) -> Vec<Judged> {
        let mut list = Vec::new();
        for (name, side) in self.sides() {
            let why = |member: &str| side.why.get(member).map_or("it was not asked", String::as_str);
            let mut text = match side.skew {
                Some(skew) => format!("{name}: {}", skew.text()),
                None => format!("{name}: clock not known: {}", why("skew")),
            };
            if let Some(who) = &side.jumped {
                text.push_str(if who == "ours" {
                    "; our own clock was set meanwhile"
                } else {
                    "; it was set meanwhile"
                });
            }
            if side.quarantined {
                text.push_str("; its times are quarantined");
            }
            list.push(Judged { verdict: side.skew_verdict, text });
            if let Some(rtt) = side.rtt {
                let rtt = std::time::Duration::try_from_secs_f64(rtt).unwrap_or_default();
                let text = format!("{name}: round trip {}", paritas_model::format_duration(rtt));
                list.push(Judged { verdict: side.rtt_verdict, text });
            }
        }
        if let Some(between) = self.between {
            let text = format!("replica against source: {}", between.text());
            list.push(Judged { verdict: self.between_verdict, text });
        }
        list
    }
}
