//! What a view shows: the newest word on every stream, and how it got there.

use paritas_model::{LagState, Verdict, format_size};
use paritas_report::{Check, LagStream, LinkReport, Report, escape};
use std::collections::{BTreeMap, VecDeque};

/// Points of one stream that are remembered: no terminal is wider.
const POINTS_MAX: usize = 1_000;
/// Streams that are remembered; of a cluster with more the worst are shown.
const STREAMS_MAX: usize = 5_000;

/// The upper end of a lag in milliseconds; `None` where it is not known.
pub(super) type Point = Option<u64>;

/// Everything that is shown.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// When it was measured last.
    pub(super) at: String,
    /// The verdict over all links.
    pub(super) verdict: Option<Verdict>,
    /// The streams, the worst first.
    pub(super) rows: Vec<Row>,
    points: BTreeMap<(String, String), VecDeque<Point>>,
}

/// One stream, or a link of which none was seen.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) link: String,
    pub(super) stream: String,
    pub(super) verdict: Verdict,
    pub(super) state: LagState,
    /// What is said about it in a few words.
    pub(super) text: String,
    /// The objective in milliseconds.
    pub(super) limit: Option<u64>,
    pub(super) points: Vec<Point>,
}

impl Board {
    /// Takes what was just measured.
    pub(super) fn add(&mut self, report: &Report) {
        self.at = time(&report.run.ended_at);
        self.verdict = Some(report.verdict);
        let mut rows: Vec<Row> = report.links.iter().flat_map(rows).collect();
        let seen: Vec<(String, String)> = rows.iter().map(|row| (row.link.clone(), row.stream.clone())).collect();
        // A stream that was not seen this time has a hole in its line.
        for (key, points) in &mut self.points {
            if !seen.contains(key) {
                push(points, None);
            }
        }
        for row in &mut rows {
            let key = (row.link.clone(), row.stream.clone());
            if self.points.len() < STREAMS_MAX || self.points.contains_key(&key) {
                let points = self.points.entry(key).or_default();
                push(points, row.points.first().copied().flatten());
                row.points = points.iter().copied().collect();
            }
        }
        rows.sort_by(|a, b| (b.verdict, &a.link, &a.stream).cmp(&(a.verdict, &b.link, &b.stream)));
        self.rows = rows;
    }
}

fn push(points: &mut VecDeque<Point>, point: Point) {
    if points.len() >= POINTS_MAX {
        points.pop_front();
    }
    points.push_back(point);
}

fn rows(link: &LinkReport) -> Vec<Row> {
    let lag = link.checks.iter().find_map(|check| match check {
        Check::Lag(lag) => Some(lag),
        _ => None,
    });
    let limit = lag.and_then(|lag| lag.objective.as_ref()).and_then(|objective| millis(objective.critical));
    let name = escape(&link.name);
    let problem = lag.and_then(|lag| lag.problem.as_ref()).map(|problem| escape(&problem.message));
    let streams = lag.map(|lag| lag.streams.as_slice()).unwrap_or_default();
    if streams.is_empty() {
        let text = problem.unwrap_or_else(|| "no stream was seen".to_owned());
        let stream = String::new();
        let state = LagState::Unknown;
        return vec![Row { link: name, stream, verdict: link.verdict, state, text, limit, points: vec![None] }];
    }
    let row = |stream: &LagStream| Row {
        link: name.clone(),
        stream: escape(&stream.stream),
        verdict: link.verdict,
        state: stream.state,
        text: words(stream),
        limit,
        points: vec![point(stream)],
    };
    streams.iter().map(row).collect()
}

/// The upper end; where nothing limits it, what is proven.
fn point(stream: &LagStream) -> Point {
    let seconds = stream.seconds?;
    millis(seconds.high.unwrap_or(seconds.low)).filter(|_| stream.state != LagState::Unknown)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded, and not negative
fn millis(seconds: f64) -> Option<u64> {
    let millis = (seconds * 1e3).ceil();
    (millis.is_finite() && millis >= 0.0).then(|| millis.min(1e15) as u64)
}

/// `behind, 16.0MiB, 12.3s to 12.4s`.
fn words(stream: &LagStream) -> String {
    let mut parts = vec![stream.state.as_str().replace('_', " ")];
    if stream.state != LagState::CaughtUp {
        parts.extend(stream.bytes.map(format_size));
        parts.extend(stream.records.map(|records| format!("{records} records")));
        parts.extend(stream.seconds_text());
        parts.extend(stream.reason.as_deref().map(escape));
    }
    parts.join(", ")
}

/// `19:04:05` of a time of RFC 3339.
fn time(text: &str) -> String {
    text.get(11..19).map_or_else(|| escape(text), |time| format!("{time} UTC"))
}

/// A measurement as one line: the worst stream of every link.
pub(super) fn line(report: &Report) -> String {
    let link = |link: &LinkReport| {
        let mut all = rows(link);
        all.sort_by_key(|row| std::cmp::Reverse(weight(row.state)));
        all.first().map(|row| {
            let stream = if row.stream.is_empty() { String::new() } else { format!(" {}", row.stream) };
            let more = if all.len() > 1 { format!(" (worst of {})", all.len()) } else { String::new() };
            format!("{}{stream}{more}: {}", row.link, row.text)
        })
    };
    let at = report.run.ended_at.get(..19).unwrap_or(&report.run.ended_at);
    let links: Vec<String> = report.links.iter().filter_map(link).collect();
    format!("{at}Z {} {}\n", report.verdict.as_str(), links.join("; "))
}

fn weight(state: LagState) -> u8 {
    match state {
        LagState::CaughtUp => 0,
        LagState::Behind => 1,
        LagState::Unknown => 2,
        LagState::Stalled => 3,
        LagState::Broken => 4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A measurement of one link with these states and seconds.
    pub(crate) fn report(streams: &[(&str, &str, Option<f64>)]) -> Report {
        let stream = |(name, state, high): &(&str, &str, Option<f64>)| {
            json!({
                "stream": name, "state": state, "bytes": high.map(|_| 2_048), "records": null, "versions": null,
                "seconds": high.map(|high| json!({"low": 0.0, "high": high})), "method": null,
                "source_position": null, "replica_position": null, "observed_at": "2026-11-30T19:04:05Z"
            })
        };
        let store = json!({"store": "east", "kind": "postgres", "region": null});
        let streams: Vec<_> = streams.iter().map(stream).collect();
        serde_json::from_value(json!({
            "schema_version": 1, "message_type": "report", "verdict": "pass", "exit_code": 0,
            "run": {"id": "x", "command": "lag", "started_at": "2026-11-30T19:04:04Z",
                    "ended_at": "2026-11-30T19:04:05.5Z", "version": "", "config": null},
            "links": [{"name": "trading\u{1b}[2J", "tier": null, "verdict": "pass", "source": store, "replica": store,
                       "not_checked": [], "checks": [{"check": "lag", "verdict": "pass",
                       "objective": {"target": null, "warning": null, "critical": 5.0}, "streams": streams,
                       "samples": 1, "seconds": 0.1}]}]
        }))
        .unwrap()
    }

    #[test]
    fn a_line_names_the_worst_stream_and_lets_nothing_through_to_the_terminal() {
        let line = line(&report(&[("wal/1", "caught_up", Some(0.0)), ("s", "behind", Some(1.5))]));
        assert_eq!(line, "2026-11-30T19:04:05Z pass trading\\u{1b}[2J s (worst of 2): behind, 2.00KiB, at most 1.5s\n");
    }

    #[test]
    fn what_is_not_seen_is_a_hole_and_never_zero() {
        let mut board = Board::default();
        board.add(&report(&[("wal/1", "behind", Some(1.5))]));
        board.add(&report(&[("wal/1", "unknown", None)]));
        board.add(&report(&[]));
        assert_eq!((board.rows.len(), board.rows[0].text.as_str()), (1, "no stream was seen"));
        board.add(&report(&[("wal/1", "caught_up", Some(0.0))]));
        assert_eq!(board.rows[0].points, [Some(1_500), None, None, Some(0)]);
        for _ in 0..POINTS_MAX {
            board.add(&report(&[("wal/1", "caught_up", Some(0.0))]));
        }
        assert_eq!(board.rows[0].points.len(), POINTS_MAX);
    }
}
