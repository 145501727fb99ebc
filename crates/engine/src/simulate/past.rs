//! What a failover would have lost at any moment of a time, from stored samples.
//!
//! At a moment that was sampled the loss is that of the sample. In between a replica lacks nothing older than it lacked at
//! the sample before, so the loss is limited by that sample's upper end and the time since. What neither says is unknown,
//! and nothing unknown passes.

use super::{levels_of, objective, together, without_objective};
use crate::history::{bounds, opened, seconds, text};
use crate::links::chosen_links;
use crate::{Options, Result};
use jiff::Timestamp;
use paritas_config::{Config, Levels};
use paritas_model::{LagState, Tier, Verdict};
use paritas_report::{
    NotIndexed, Percentiles, SCHEMA_VERSION, SimulatedLink, SimulatedStream, SimulatedTier, SimulatedTime,
    SimulationDocument, WouldHaveLost,
};
use paritas_state::history::{Aggregate, History, Span, Window, reach};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A time in the past, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulatedWindow {
    from: i64,
    to: i64,
}

impl FromStr for SimulatedWindow {
    type Err = String;

    /// `T0/T1`, each RFC 3339, `now` or a time ago such as `6h`; or one time ago, which ends now.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let now = crate::history::now();
        let moment = |text: &str| -> Result<i64, String> {
            if text == "now" {
                return Ok(now);
            }
            if let Ok(ago) = paritas_model::parse_duration(text) {
                return Ok(now.saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX)));
            }
            let at: Timestamp = text.parse().map_err(|_| {
                format!("{text:?} is no moment: write 2026-11-30T19:00:00Z, now, or a time ago such as 6h")
            })?;
            Ok(at.as_microsecond())
        };
        let (from, to) = text.split_once('/').unwrap_or((text, "now"));
        let window = Self { from: moment(from.trim())?, to: moment(to.trim())? };
        match window {
            Self { from, to } if from >= to => Err("it ends before it begins".to_owned()),
            Self { to, .. } if to > now => Err("it ends in the future".to_owned()),
            window => Ok(window),
        }
    }
}

/// A link with everything that its figures follow from.
struct Looked {
    link: SimulatedLink,
    windows: Vec<Window>,
    levels: Option<Levels>,
}

/// What failovers of the links of these names, or of all of them, would have lost.
///
/// # Errors
/// Unknown names, no state folder (exit code 2), a history that cannot be read (3).
pub fn simulate_window(
    config: &Config,
    names: &[String],
    options: &Options,
    window: SimulatedWindow,
) -> Result<SimulationDocument> {
    let chosen = chosen_links(config, names)?;
    let (_, history, not_taken) = opened(Some(config), options)?;
    let mut looked = Vec::new();
    for link in chosen {
        looked.push(look(&history, config, &link.name, link.tier, window)?);
    }
    // A stored report that could not be read may hold samples.
    let unread = (!not_taken.is_empty()).then_some(Verdict::Unknown);
    let verdict = Verdict::combine(looked.iter().map(|one| one.link.verdict).chain(unread));
    let of = |tier: Option<Tier>, links: &[&SimulatedLink]| pooled(&looked, tier, links, window);
    let links: Vec<SimulatedLink> = looked.iter().map(|one| one.link.clone()).collect();
    Ok(SimulationDocument {
        schema_version: SCHEMA_VERSION,
        message_type: "simulation".to_owned(),
        at: Timestamp::now().to_string(),
        run: None,
        window: Some(SimulatedTime { from: text(window.from), to: text(window.to) }),
        verdict,
        exit_code: verdict.exit_code(options.deny_warnings),
        tiers: together::tiers(&links, &of),
        whole: of(None, &links.iter().collect::<Vec<_>>()),
        links,
        not_indexed: not_taken.iter().map(|one| NotIndexed { run: one.run.clone(), why: one.why.clone() }).collect(),
    })
}

fn look(history: &History, config: &Config, name: &str, tier: Option<Tier>, asked: SimulatedWindow) -> Result<Looked> {
    let own = |error| crate::history::from_state(&error);
    let levels = levels_of(Some(config), name);
    let mut seen = Vec::new();
    for stream in history.streams(Some(name)).map_err(own)? {
        let window = history.window(&stream, asked.from, asked.to).map_err(own)?;
        if window.all.samples() > 0 || window.last.is_some() {
            seen.push((stream.name, window));
        }
    }
    // Streams that were left long before this time, as the timeline of an old primary is, do not belong to it.
    let last = seen.iter().filter_map(|(_, window)| window.last.as_ref().map(|last| last.at)).max();
    seen.retain(|(_, window)| {
        window.all.samples() > 0
            || window.last.as_ref().is_some_and(|own| last.is_some_and(|at| at - own.at <= TOGETHER))
    });
    let mut streams = Vec::new();
    let mut windows = Vec::new();
    for (stream, window) in seen {
        let ends = ends(&window, last, asked);
        let over_time = figures(&[(&window, ends, levels)]);
        let verdict = judge(&window.all, &over_time, levels.as_ref());
        streams.push(SimulatedStream { stream, verdict, state: None, now: None, over_time: Some(over_time) });
        windows.push(Window { to: ends, ..window });
    }
    let pairs: Vec<_> = windows.iter().map(|window| (window, window.to, levels)).collect();
    let over_time = if pairs.is_empty() { nothing(asked) } else { figures(&pairs) };
    let link = SimulatedLink {
        name: name.to_owned(),
        tier,
        verdict: Verdict::combine(streams.iter().map(|stream| stream.verdict)),
        objective: levels.as_ref().map(objective),
        now: None,
        over_time: Some(over_time),
        streams,
        not_checked: without_objective(levels.as_ref()).into_iter().collect(),
        problem: None,
    };
    Ok(Looked { link, windows, levels })
}

/// Samples of one measurement are no further apart than this, in microseconds.
const TOGETHER: i64 = 60_000_000;

/// A stream that its link was measured without, later on, was left by then.
fn ends(window: &Window, last_of_link: Option<i64>, asked: SimulatedWindow) -> i64 {
    match (&window.last, last_of_link) {
        (Some(own), Some(last)) if last.saturating_sub(own.at) > TOGETHER => last.min(asked.to),
        _ => asked.to,
    }
}

fn nothing(asked: SimulatedWindow) -> WouldHaveLost {
    let why = "no sample of this time is stored: run `paritas lag` from a timer";
    WouldHaveLost {
        from: text(asked.from),
        to: text(asked.to),
        moments: 0,
        unknown: 0,
        breached: 0,
        undecided: 0,
        seconds: None,
        between: None,
        gaps_unproven: 0,
        why: [("seconds", why), ("between", why)].map(|(name, why)| (name.to_owned(), why.to_owned())).into(),
    }
}

/// Streams together: each with where it ends and its objective.
fn figures(parts: &[(&Window, i64, Option<Levels>)]) -> WouldHaveLost {
    let mut all = Aggregate::default();
    let (mut breached, mut undecided, mut gaps_unproven) = (0, 0, 0);
    let mut between = Some(0_u64);
    let (mut from, mut to) = (i64::MAX, i64::MIN);
    for (window, ends, levels) in parts {
        let own = &window.all;
        all.merge(own);
        (from, to) = (from.min(window.from), to.max(window.to));
        // After the last sample it goes on as it does between two.
        let tail = window.last.as_ref().and_then(|last| reach(last, *ends));
        let widest = own.before.ranked(own.before.count()).map_or(0, |(_, highest)| highest);
        between = between.zip(tail).map(|(most, tail)| most.max(tail).max(widest)).filter(|_| own.open == 0);
        if let Some(levels) = levels {
            let critical = micros(levels.critical);
            breached += own.loss.count_above(critical);
            undecided += own.high.count_not_within(critical).saturating_sub(own.loss.count_above(critical));
            gaps_unproven += own.before.count_not_within(critical) + own.open;
            gaps_unproven += u64::from(tail.is_none_or(|tail| tail > critical));
        } else {
            gaps_unproven += own.open + u64::from(tail.is_none());
        }
    }
    let mut why = BTreeMap::new();
    let mut add = |name: &str, text: &str| drop(why.insert(name.to_owned(), text.to_owned()));
    let seconds = percentiles(&all);
    match &seconds {
        None => add("seconds", "no sample of this time knows how far the replica was behind"),
        Some(all) if all.max.high.is_none() => {
            add("seconds.high", "samples without an upper end count as larger than all others");
        }
        Some(_) => {}
    }
    if between.is_none() {
        let text = "before the first sample, and after one without an upper end, nothing limits what was not shown";
        add("between", text);
    }
    WouldHaveLost {
        from: text(from),
        to: text(to),
        moments: all.samples(),
        unknown: all.unknown() + all.unbounded,
        breached,
        undecided,
        seconds,
        between: between.map(self::seconds),
        gaps_unproven,
        why,
    }
}

/// The loss at the sampled moments: its lower end is what was lost for certain.
fn percentiles(all: &Aggregate) -> Option<Percentiles> {
    let of = |thousandths: u64| {
        let span = all.lag(thousandths)?;
        let rank = all.known().saturating_mul(thousandths).div_ceil(1_000).max(1);
        let low = all.loss.ranked(rank).map(|(lowest, _)| lowest);
        Some(bounds(Span { low, high: span.high }))
    };
    Some(Percentiles { p50: of(500)?, p95: of(950)?, p99: of(990)?, max: of(1_000)? })
}

/// The verdict on one stream.
fn judge(all: &Aggregate, figures: &WouldHaveLost, levels: Option<&Levels>) -> Verdict {
    if figures.breached > 0 || all.seen(LagState::Broken) > 0 {
        return Verdict::Fail;
    }
    if figures.moments == 0 || figures.unknown > 0 || figures.undecided > 0 || figures.gaps_unproven > 0 {
        return Verdict::Unknown;
    }
    let Some(levels) = levels else { return Verdict::Pass };
    let passing = levels.warning.or(levels.target).unwrap_or(levels.critical).min(levels.critical);
    let most = figures.between.is_none_or(|between| between > passing.as_secs_f64());
    let sampled = all.high.count_not_within(micros(passing)) > 0;
    if most || sampled || all.seen(LagState::Stalled) > 0 { Verdict::Warn } else { Verdict::Pass }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Links of a tier over the time, all moments of all of their streams together.
fn pooled(looked: &[Looked], tier: Option<Tier>, links: &[&SimulatedLink], asked: SimulatedWindow) -> SimulatedTier {
    let named = |one: &&Looked| links.iter().any(|link| link.name == one.link.name);
    let own: Vec<&Looked> = looked.iter().filter(named).collect();
    let parts: Vec<(&Window, i64, Option<Levels>)> =
        own.iter().flat_map(|one| one.windows.iter().map(|window| (window, window.to, one.levels))).collect();
    // A link without any sample leaves all of them open.
    let blank = own.iter().any(|one| one.windows.is_empty());
    let mut over_time = if parts.is_empty() { nothing(asked) } else { figures(&parts) };
    if blank && !parts.is_empty() {
        let why = "of a link no sample of this time is stored";
        over_time.between = None;
        over_time.why.insert("between".to_owned(), why.to_owned());
    }
    SimulatedTier {
        tier,
        verdict: Verdict::combine(links.iter().map(|link| link.verdict)),
        links: links.iter().map(|link| link.name.clone()).collect(),
        now: None,
        over_time: Some(over_time),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_state::State;
    use paritas_state::history::{LinkEntry, Retention, RunEntry, Sample};
    use rstest::rstest;
    use ulid::Ulid;

    /// 2026-01-01T00:00:00Z.
    const START: i64 = 1_767_225_600_000_000;
    const SECOND: i64 = 1_000_000;
    const CONFIG: &str = "[store.a]\nkind = \"postgres\"\nurl = \"postgres://a/d\"\n[store.b]\nkind = \"postgres\"\n\
                          url = \"postgres://b/d\"\n[[link]]\nname = \"trading\"\nsource = \"a\"\nreplica = \"b\"\n\
                          tier = \"hot\"\n";

    #[test]
    fn a_time_is_two_moments_in_order_and_not_in_the_future() {
        let window = |text: &str| text.parse::<SimulatedWindow>();
        let day = window("2026-01-01T00:00:00Z/2026-01-02T00:00:00Z");
        assert_eq!(day.map(|day| day.to - day.from), Ok(86_400_000_000));
        assert!(window("6h").is_ok_and(|last| last.to - last.from == 21_600_000_000));
        assert!(window("6h/1h").is_ok_and(|part| part.to - part.from == 18_000_000_000));
        assert!(window("6h/now").is_ok());
        for bad in ["", "yesterday", "1h/6h", "now", "2026-01-01T00:00:00Z/2999-01-01T00:00:00Z", "a/b/c"] {
            assert!(window(bad).is_err(), "{bad}");
        }
    }

    /// A sample each second from a second before the start on: milliseconds of what was lost for certain, of the upper
    /// end, and whether anything is known.
    fn looked(samples: &[(u64, Option<u64>, LagState)], objective: &str) -> SimulationDocument {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let mut history = state.history(Retention::default()).unwrap();
        for (n, (loss, high, lag)) in (-1_i64..).zip(samples) {
            let at = START + n * SECOND;
            let known = *lag != LagState::Unknown;
            let micros = |millis: u64| millis * 1_000;
            let sample = Sample {
                at,
                state: *lag,
                bytes: None,
                records: None,
                versions: None,
                low: known.then_some(micros(*loss)),
                high: high.map(micros).filter(|_| known),
                loss: known.then_some(micros(*loss)),
                method: None,
                why: None,
            };
            let link = LinkEntry {
                name: "trading".to_owned(),
                tier: None,
                verdict: Verdict::Pass,
                checks: Vec::new(),
                samples: vec![("wal/1".to_owned(), sample)],
                unseen: None,
                recovery: None,
            };
            let run = RunEntry {
                id: Ulid::from_parts((at / 1_000).cast_unsigned(), 1),
                command: "lag".to_owned(),
                started: at,
                ended: at,
                verdict: Verdict::Pass,
                exit_code: 0,
                drill: None,
                links: vec![link],
            };
            history.record_all(&[run]).unwrap();
        }
        let config = paritas_config::parse("paritas.toml", &format!("{CONFIG}{objective}")).unwrap();
        let options = Options { state: Some(dir.path().to_owned()), ..Options::default() };
        let window = SimulatedWindow { from: START, to: START + 3 * SECOND };
        simulate_window(&config, &[], &options, window).unwrap()
    }

    const OBJECTIVE: &str = "objectives = { rpo = { warning = \"3s\", critical = \"5s\" } }\n";
    const FINE: (u64, Option<u64>, LagState) = (0, Some(500), LagState::Behind);

    #[rstest]
    #[case::within([FINE; 4], Verdict::Pass)]
    #[case::proven_breach([FINE, FINE, (5_500, Some(6_000), LagState::Behind), FINE], Verdict::Fail)]
    #[case::perhaps([FINE, FINE, (1_000, Some(6_000), LagState::Behind), FINE], Verdict::Unknown)]
    #[case::no_upper_end([FINE, FINE, (1_000, None, LagState::Behind), FINE], Verdict::Unknown)]
    #[case::not_seen([FINE, FINE, (0, None, LagState::Unknown), FINE], Verdict::Unknown)]
    #[case::broken([FINE, FINE, (0, None, LagState::Broken), FINE], Verdict::Fail)]
    #[case::warning([FINE, FINE, (0, Some(3_500), LagState::Behind), FINE], Verdict::Warn)]
    #[case::between([FINE, (0, Some(2_500), LagState::Behind), FINE, FINE], Verdict::Warn)]
    #[case::not_proven_in_between([FINE, (0, Some(4_500), LagState::Behind), FINE, FINE], Verdict::Unknown)]
    #[case::stalled([FINE, FINE, (0, Some(500), LagState::Stalled), FINE], Verdict::Warn)]
    fn only_what_every_moment_proves_passes(
        #[case] samples: [(u64, Option<u64>, LagState); 4],
        #[case] expected: Verdict,
    ) {
        let found = looked(&samples, OBJECTIVE);
        assert_eq!(found.verdict, expected, "{found:#?}");
        assert_eq!(
            (found.links[0].verdict, found.whole.verdict, found.tiers[0].verdict),
            (expected, expected, expected)
        );
        assert_eq!(found.links[0].over_time.as_ref().unwrap().moments, 3);
    }

    #[test]
    fn the_bound_in_between_is_the_earlier_end_and_the_time_since() {
        let found = looked(&[FINE; 4], OBJECTIVE);
        let all = found.links[0].over_time.clone().unwrap();
        // 500 ms and a second, to a thousandth.
        assert!(all.between.is_some_and(|most| (1.5..1.502).contains(&most)), "{all:#?}");
        let typical = all.seconds.unwrap().p50;
        assert!(typical.low == Some(0.0) && typical.high.is_some_and(|high| (0.5..0.501).contains(&high)));
    }

    #[test]
    fn before_the_first_sample_and_without_any_nothing_is_known() {
        let none = looked(&[], OBJECTIVE);
        assert_eq!((none.verdict, none.exit_code), (Verdict::Unknown, 3));
        let late = looked(&[], "");
        assert_eq!(late.links[0].not_checked.len(), 1);
        // The sample a second before the start is what limits the time up to the next.
        assert_eq!(looked(&[FINE; 4], "").verdict, Verdict::Pass);
    }
}
