//! One stream: from observations to a round, from its finding to the report.

use crate::follow::{self, Paired};
use jiff::Timestamp;
use paritas_connect::{Feed, Observation};
use paritas_lag::{
    Finding, Interval, Judgement, Levels, Link, Reading, Round, Sample, Span, Track, judge, stands_still, verdict,
};
use paritas_model::{LagState, Verdict};
use paritas_report::{LagSeconds, LagStream};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Streams of one link that are remembered; a replica has as many as subscriptions.
const STREAMS_MAX: usize = 1_000;

/// What is known about the streams of a link.
#[derive(Debug)]
pub(super) struct Streams {
    /// Where our clock begins.
    origin: Instant,
    /// By stream and history: positions of two histories never meet.
    tracks: BTreeMap<(String, String), Track>,
    /// The source's first words, for streams that are not known yet.
    first: Option<(Sample, String)>,
}

/// A stream as it is reported, and what a verdict needs of it.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) stream: LagStream,
    pub(super) interval: Option<Interval>,
    /// Whether it stands still, and only more time will show whether it is stalled.
    pub(super) stands_still: bool,
}

impl Measured {
    pub(super) fn verdict(&self, levels: Option<&Levels>) -> Verdict {
        verdict(self.stream.state, self.interval.as_ref(), levels)
    }
}

impl Streams {
    pub(super) fn new(origin: Instant) -> Self {
        Self { origin, tracks: BTreeMap::new(), first: None }
    }

    /// The source was asked before there was a round.
    pub(super) fn begin(&mut self, source: &Observation) {
        let produced = source.produced.first();
        self.first = produced.and_then(|produced| {
            produced.end.value()?;
            Some((sample(self.origin, source, produced), history(produced)))
        });
        if let Some((sample, history)) = &self.first {
            for ((_, own), track) in &mut self.tracks {
                if own == history {
                    track.source(*sample);
                }
            }
        }
    }

    /// Adds a round of one stream and says what follows.
    pub(super) fn measure(&mut self, paired: &Paired<'_>, replica: &Observation, source: &Observation) -> Measured {
        let position = Shown::of(paired);
        let finding = match (&position, paired.produced.end.value()) {
            (Some(shown), Some(_)) => Some(self.add(paired, shown, replica, source)),
            _ => None,
        };
        let judgement = judge(finding.as_ref(), &paired.link, &paired.obstacles);
        report(paired, position.as_ref(), finding.as_ref(), judgement, replica)
    }

    fn add(&mut self, paired: &Paired<'_>, shown: &Shown, replica: &Observation, source: &Observation) -> Finding {
        let key = (paired.followed.stream.0.clone(), history(paired.produced));
        if self.tracks.len() >= STREAMS_MAX && !self.tracks.contains_key(&key) {
            self.tracks.clear();
        }
        let first = self.first.as_ref().filter(|(_, history)| *history == key.1).map(|(sample, _)| *sample);
        let track = self.tracks.entry(key).or_insert_with(|| {
            let mut track = Track::default();
            if let Some(first) = first {
                track.source(first);
            }
            track
        });
        let received = paired.followed.received.value().map(|mark| mark.value);
        let sent = paired.reader.and_then(|reader| reader.sent);
        // A subscription receives, and its source decodes, long before a large transaction is applied.
        let others = if paired.followed.physical { [None, None] } else { [received, sent] };
        let progress = std::iter::once(shown.value).chain(others.into_iter().flatten()).collect();
        let reading = Reading { at: span(self.origin, replica), position: shown.value };
        let drained = received.filter(|_| paired.followed.physical && paired.followed.drained);
        track.add(&Round { replica: reading, progress, drained, source: sample(self.origin, source, paired.produced) })
    }
}

/// What the replica shows, from whoever knows it.
struct Shown {
    value: u64,
    text: String,
    /// Whether the replica may show more than this.
    at_least: bool,
}

impl Shown {
    /// Where no apply worker runs, the source still knows what was confirmed.
    fn of(paired: &Paired<'_>) -> Option<Self> {
        let applied = paired.followed.applied.value();
        let cut = matches!(paired.followed.feed, Feed::Cut { .. }) && !paired.followed.physical;
        let confirmed = paired.cursor.filter(|_| cut).and_then(|cursor| cursor.confirmed);
        match (applied, confirmed) {
            (Some(applied), Some(confirmed)) if confirmed > applied.value => {
                Some(Self { value: confirmed, text: lsn(confirmed), at_least: false })
            }
            (Some(applied), _) => Some(Self { value: applied.value, text: applied.text.clone(), at_least: false }),
            (None, Some(confirmed)) => Some(Self { value: confirmed, text: lsn(confirmed), at_least: true }),
            (None, None) => None,
        }
    }
}

fn lsn(value: u64) -> String {
    paritas_model::Lsn(value).to_string()
}

fn history(produced: &paritas_connect::Produced) -> String {
    produced.lineage.value().map(|lineage| lineage.0.clone()).unwrap_or_default()
}

fn span(origin: Instant, observation: &Observation) -> Span {
    let since = |at: Instant| at.saturating_duration_since(origin);
    Span { begin: since(observation.begin), end: since(observation.end) }
}

fn sample(origin: Instant, source: &Observation, produced: &paritas_connect::Produced) -> Sample {
    Sample {
        at: span(origin, source),
        end: produced.end.value().map_or(0, |end| end.value),
        written: produced.written,
        settles: produced.settles,
    }
}

fn report(
    paired: &Paired<'_>,
    shown: Option<&Shown>,
    finding: Option<&Finding>,
    judgement: Judgement,
    replica: &Observation,
) -> Measured {
    let Judgement { state, reason, hint } = judgement;
    let timeline = history(paired.produced).rsplit('/').next().map(str::to_owned).unwrap_or_default();
    let placed = |text: &str| if timeline.is_empty() { text.to_owned() } else { format!("{timeline}/{text}") };
    let mut why = BTreeMap::new();
    for unit in ["records", "versions"] {
        why.insert(unit.to_owned(), "a write-ahead log is counted in bytes".to_owned());
    }
    let unseen = || reason.clone().unwrap_or_else(|| "the positions could not be compared".to_owned());
    // A replica that is not connected lacks at least what is seen; that nothing is seen says nothing.
    let finding = finding.filter(|finding| match (&paired.link, state) {
        (Link::Unknown { .. }, _) => false,
        (_, LagState::Unknown) => finding.behind > 0,
        _ => true,
    });
    let interval = finding.map(|finding| Interval {
        low: if shown.is_some_and(|shown| shown.at_least) { Duration::ZERO } else { finding.seconds.low },
        ..finding.seconds
    });
    if finding.is_none() {
        why.insert("bytes".to_owned(), unseen());
        why.insert("seconds".to_owned(), unseen());
        why.insert("method".to_owned(), "nothing was measured".to_owned());
    }
    if interval.is_some_and(|interval| interval.high.is_none()) {
        let text = "it was behind already when sampling began, so there is no upper end yet: use --for longer than the \
                    critical level, which finds one or proves the breach";
        why.insert("seconds.high".to_owned(), text.to_owned());
    }
    let source_position = paired.produced.end.value().map(|end| placed(&end.text));
    let replica_position = shown.map(|shown| placed(&shown.text));
    for (name, position, known) in [
        ("source_position", &source_position, paired.produced.end.why()),
        ("replica_position", &replica_position, paired.followed.applied.why()),
    ] {
        if position.is_none() {
            why.insert(name.to_owned(), known.unwrap_or("it was not read").to_owned());
        }
    }
    let stream = LagStream {
        stream: paired.followed.stream.0.clone(),
        state,
        bytes: finding.map(|finding| finding.behind),
        source_lineage: paired.produced.lineage.value().map(|lineage| lineage.0.clone()),
        records: None,
        versions: None,
        seconds: interval.map(|Interval { low, high }| LagSeconds {
            low: low.as_secs_f64(),
            high: high.map(|high| high.as_secs_f64()),
        }),
        method: finding.is_some().then(|| "curve".to_owned()),
        source_position,
        replica_position,
        observed_at: wall(replica.begin).map(|at| at.to_string()),
        details: details(paired, finding, shown),
        why,
        reason,
        hint,
    };
    let stands_still = stands_still(stream.state, finding.and_then(|finding| finding.stuck));
    Measured { stream, interval, stands_still }
}

/// The wall clock at that moment, for people; nothing is computed from it.
fn wall(at: Instant) -> Option<Timestamp> {
    let ago = jiff::SignedDuration::try_from(at.elapsed()).ok()?;
    Timestamp::now().checked_sub(ago).ok()
}

fn details(paired: &Paired<'_>, finding: Option<&Finding>, shown: Option<&Shown>) -> BTreeMap<String, String> {
    let mut details = BTreeMap::new();
    let facts = paired.followed.facts.iter().chain(paired.reader.iter().flat_map(|reader| &reader.facts));
    details.extend(facts.map(|(name, value)| ((*name).to_owned(), value.clone())));
    match &paired.followed.feed {
        Feed::Connected { from } => drop(details.insert("connected to".to_owned(), from.clone())),
        Feed::Archive => {
            let text = "it replays from an archive only; nobody sees whether that goes on".to_owned();
            details.insert("feed".to_owned(), text);
        }
        Feed::Cut { .. } | Feed::Unknown { .. } => {}
    }
    if let Some(received) = paired.followed.received.value() {
        details.insert("received".to_owned(), received.text.clone());
    }
    if let Some(cursor) = paired.cursor {
        let active = if cursor.active { "active" } else { "not active" };
        let danger = cursor.endangered.as_ref().map(|danger| format!("; {danger}")).unwrap_or_default();
        details.insert("slot".to_owned(), format!("{}, {active}{danger}", cursor.name));
    }
    if let Some(finding) = finding.filter(|finding| finding.unwritten > 0) {
        let text = format!("{} bytes of it are not yet written by the source", finding.unwritten);
        details.insert("unwritten".to_owned(), text);
    }
    if shown.is_some_and(|shown| shown.at_least) {
        details
            .insert("replica_position".to_owned(), "what the source's slot has confirmed; it may be more".to_owned());
    }
    details
}

/// A replica that was promoted has a stream of its own, which cannot follow any more.
pub(super) fn forked(source: &Observation, replica: &Observation) -> Option<Measured> {
    let reason = follow::promoted(source, replica)?;
    let of = |observation: &Observation| {
        let produced = observation.produced.first()?;
        let timeline = history(produced).rsplit('/').next().map(str::to_owned).unwrap_or_default();
        Some((timeline.clone(), format!("{timeline}/{}", produced.end.value()?.text)))
    };
    let ((_, ours), (timeline, theirs)) = (of(source)?, of(replica)?);
    let no_order = "positions of two timelines have no order".to_owned();
    let unknown = ["bytes", "records", "versions", "seconds", "method"];
    let stream = LagStream {
        stream: format!("wal/{timeline}"),
        state: LagState::Broken,
        reason: Some(reason),
        hint: Some("rebuild one of them from the other".to_owned()),
        bytes: None,
        source_lineage: None,
        records: None,
        versions: None,
        seconds: None,
        method: None,
        source_position: Some(ours),
        replica_position: Some(theirs),
        observed_at: wall(replica.begin).map(|at| at.to_string()),
        why: unknown.iter().map(|name| ((*name).to_owned(), no_order.clone())).collect(),
        details: BTreeMap::new(),
    };
    Some(Measured { stream, interval: None, stands_still: false })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_connect::{Context, MemoryStore, Positions, ReplicaRole};
    use paritas_model::{Known, Lineage, Position, Stream};

    fn store(role: ReplicaRole, value: u64) -> MemoryStore {
        let store = MemoryStore::new(&format!("{role:?}")).with_role(role);
        let (stream, lineage) = (Stream("wal".into()), Lineage("7/1".into()));
        store.set_position(Position { stream, lineage, value, text: lsn(value) });
        store
    }

    /// A round in which both servers say what time it is.
    async fn round(streams: &mut Streams, source: u64, replica: u64, clocks: (f64, f64)) -> Measured {
        let observe = async |store: MemoryStore, clock: f64| {
            let mut seen = store.observe(&Context::default()).await.unwrap();
            seen.clock = Known::Known(clock);
            seen
        };
        let there = observe(store(ReplicaRole::PhysicalReplica, replica), clocks.1).await;
        let here = observe(store(ReplicaRole::Primary, source), clocks.0).await;
        let pairing = follow::pair(&here, &there).unwrap();
        streams.measure(pairing.streams.first().unwrap(), &there, &here)
    }

    #[tokio::test]
    async fn clocks_of_servers_an_hour_apart_make_no_lag_and_hide_none() {
        let mut streams = Streams::new(Instant::now());
        for clocks in [(0.0, 3_600.0), (3_600.0, 0.0)] {
            let measured = round(&mut streams, 500, 500, clocks).await;
            assert_eq!(measured.stream.state, LagState::CaughtUp);
            assert_eq!(measured.interval, Some(Interval { low: Duration::ZERO, high: Some(Duration::ZERO) }));
            let behind = round(&mut streams, 600, 500, clocks).await;
            assert_eq!((behind.stream.state, behind.stream.bytes), (LagState::Behind, Some(100)));
            assert!(behind.interval.unwrap().high.unwrap() < Duration::from_secs(60));
            let caught_up = round(&mut streams, 600, 600, clocks).await;
            assert_eq!(caught_up.stream.state, LagState::CaughtUp);
            // The next pair of clocks begins with a source of its own.
            streams = Streams::new(Instant::now());
        }
    }

    #[tokio::test]
    async fn a_replica_beyond_its_source_is_unknown_and_every_missing_figure_says_why() {
        let mut streams = Streams::new(Instant::now());
        let ahead = round(&mut streams, 500, 501, (0.0, 0.0)).await.stream;
        assert_eq!(ahead.state, LagState::Unknown);
        assert!(ahead.reason.unwrap().contains("beyond the source's end"));
        assert_eq!((ahead.bytes, ahead.seconds), (None, None));
        for name in ["bytes", "records", "versions", "seconds", "method"] {
            assert!(ahead.why.contains_key(name), "{name}");
        }
    }
}
