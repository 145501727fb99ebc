//! How the lag of streams went while it was measured, round by round.

use jiff::Timestamp;
use paritas_model::LagState;
use paritas_report::{LagCurve, LagPoint, LagStream};
use std::collections::BTreeMap;

/// Points of one curve. A measurement makes a few hundred rounds; of more, every second point is left out.
const POINTS_MAX: usize = 2_000;
/// Streams with a curve; the lag of the others is known at the end alone.
const CURVES_MAX: usize = 1_000;

/// The curves of a link.
#[derive(Debug, Default)]
pub(super) struct Curves {
    of: BTreeMap<String, Vec<LagPoint>>,
}

impl Curves {
    /// Adds what a round saw.
    pub(super) fn add<'a>(&mut self, streams: impl Iterator<Item = &'a LagStream>) {
        for stream in streams {
            let Some(point) = stream.point() else { continue };
            if self.of.len() < CURVES_MAX || self.of.contains_key(&stream.stream) {
                push(self.of.entry(stream.stream.clone()).or_default(), point);
            }
        }
    }

    /// Adds that a round saw nothing of the streams that are known.
    pub(super) fn unseen(&mut self, why: &str) {
        let at = Timestamp::now().to_string();
        for points in self.of.values_mut() {
            let point = LagPoint {
                at: at.clone(),
                state: LagState::Unknown,
                bytes: None,
                records: None,
                versions: None,
                seconds: None,
                lost: None,
                method: None,
                why: Some(why.to_owned()),
            };
            push(points, point);
        }
    }

    /// The curves.
    pub(super) fn finish(self) -> Vec<LagCurve> {
        self.of.into_iter().map(|(stream, points)| LagCurve { stream, points }).collect()
    }
}

/// What is unknown is never left out.
fn push(points: &mut Vec<LagPoint>, point: LagPoint) {
    points.push(point);
    if points.len() > POINTS_MAX {
        let mut odd = false;
        points.retain(|point| {
            odd = !odd;
            odd || point.state == LagState::Unknown
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_curve_stays_short_and_keeps_what_is_unknown() {
        let stream: LagStream = serde_json::from_value(json!({
            "stream": "wal/1", "state": "behind", "bytes": 10, "records": null, "versions": null,
            "seconds": {"low": 0.1, "high": 0.2}, "method": "curve", "source_position": "1/0/50",
            "replica_position": "1/0/40", "observed_at": "2026-01-01T00:00:00Z"
        }))
        .unwrap();
        let mut curves = Curves::default();
        curves.unseen("nothing is known yet");
        for round in 0..POINTS_MAX * 3 {
            curves.add(std::iter::once(&stream));
            if round % 1_000 == 0 {
                curves.unseen("no answer");
            }
        }
        let found = curves.finish();
        let points = &found[0].points;
        assert_eq!(found.len(), 1);
        assert!(points.len() <= POINTS_MAX);
        assert_eq!(points.iter().filter(|point| point.state == LagState::Unknown).count(), 6);
        assert_eq!((points[0].bytes, points[0].lost), (Some(10), Some(0.1)));
    }
}
