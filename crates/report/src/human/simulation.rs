//! A simulation for people: what would be lost, the worst first, then by tier.

use super::history::{bounds, duration, minute};
use super::page::{Page, Paint};
use super::{dataset, headline, headline_word};
use crate::simulation::{SimulatedLink, SimulatedTier, SimulationDocument, WouldHaveLost, WouldLose};
use crate::text::{counted, escape};
use crate::{LagObjective, RenderOptions};
use paritas_model::{LagState, Tier, Verdict, format_size};
use std::io::{self, Write};

/// Links that pass are listed up to here, and streams of a link, unless everything is asked for.
const LINES_MAX: usize = 20;

/// Writes a simulation as text.
///
/// # Errors
/// Those of `out`.
pub fn write_simulation(all: &SimulationDocument, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let page = &mut Page::new(out, *options);
    let when = match &all.window {
        None => "a failover now would lose".to_owned(),
        Some(time) => {
            format!("a failover between {} and {} would have lost", minute(&time.from), minute(&time.to))
        }
    };
    let whole = amount(all.whole.now.as_ref(), all.whole.over_time.as_ref());
    headline(page, all.verdict, &format!("{when} {whole}"))?;
    let mut order: Vec<&SimulatedLink> = all.links.iter().collect();
    order.sort_by_key(|link| std::cmp::Reverse(link.verdict));
    let shown = page.limit(LINES_MAX, order.len());
    for one in order.iter().take(shown) {
        link(page, one)?;
    }
    page.more(0, order.len() - shown, "link")?;
    tiers(page, &all.tiers)?;
    if !all.not_indexed.is_empty() {
        page.blank()?;
        let count = counted(all.not_indexed.len() as u64, "stored report");
        let text = format!("{count} could not be read, so their samples are missing; see `paritas history`");
        page.line(0, &page.paint(Paint::Unknown, &text))?;
    }
    Ok(())
}

/// What would be lost, or would have been, in a few words.
fn amount(now: Option<&WouldLose>, over_time: Option<&WouldHaveLost>) -> String {
    match (now, over_time) {
        (Some(now), _) => would_lose(now),
        (None, Some(over_time)) => would_have_lost(over_time),
        (None, None) => "an unknown amount".to_owned(),
    }
}

fn would_lose(now: &WouldLose) -> String {
    let mut parts = vec![match bounds(now.seconds) {
        text if text == "0s" => "nothing".to_owned(),
        text if text == "unknown" => "an unknown time of work".to_owned(),
        text => format!("{text} of work"),
    }];
    if now.seconds.high != Some(0.0) {
        parts.extend(now.bytes.map(|bytes| format!("at most {}", format_size(bytes))));
        parts.extend(now.records.map(|records| format!("at most {}", counted(records, "record"))));
    }
    parts.join(", ")
}

fn would_have_lost(all: &WouldHaveLost) -> String {
    let Some(seconds) = all.seconds else { return "an unknown time of work".to_owned() };
    let between = all.between.map_or_else(|| "unknown".to_owned(), |between| format!("at most {}", duration(between)));
    format!(
        "typically {}, p99 {}, worst {} of {}; in between {between}",
        bounds(seconds.p50),
        bounds(seconds.p99),
        bounds(seconds.max),
        counted(all.moments, "moment"),
    )
}

fn link(page: &mut Page<'_>, link: &SimulatedLink) -> io::Result<()> {
    page.blank()?;
    let tier = link.tier.map(|tier| format!(" ({})", tier_text(tier))).unwrap_or_default();
    let amount = amount(link.now.as_ref(), link.over_time.as_ref());
    headline(page, link.verdict, &format!("{}{tier}: {amount}", escape(&link.name)))?;
    if let Some(objective) = &link.objective {
        page.line(2, &page.paint(Paint::Dim, &format!("objective: RPO {}", levels(objective))))?;
    }
    if let Some(all) = &link.over_time {
        moments(page, all)?;
    }
    if link.streams.len() > 1 || link.verdict != Verdict::Pass || page.verbose() {
        let mut order: Vec<_> = link.streams.iter().collect();
        order.sort_by_key(|stream| std::cmp::Reverse(stream.verdict));
        let shown = page.limit(LINES_MAX, order.len());
        for one in order.iter().take(shown) {
            let state = one.state.map(|state| format!("{}, ", words(state))).unwrap_or_default();
            let verdict = page.paint(Paint::of(one.verdict), one.verdict.as_str());
            let lost = self::amount(one.now.as_ref(), one.over_time.as_ref());
            page.line(2, &format!("{verdict} {}: {state}{lost}", escape(&one.stream)))?;
            for why in one.now.iter().flat_map(|now| now.why.get("seconds").or_else(|| now.why.get("seconds.high"))) {
                page.labelled(4, Paint::Dim, "why:", why)?;
            }
        }
        page.more(2, order.len() - shown, "stream")?;
    }
    for one in &link.not_checked {
        page.wrapped(2, &format!("not checked: {}: {}", one.what, one.why))?;
    }
    dataset::problem(page, link.problem.as_ref())
}

/// What is not within the objective for certain.
fn moments(page: &mut Page<'_>, all: &WouldHaveLost) -> io::Result<()> {
    for (count, paint, what) in [
        (all.breached, Paint::Fail, "broke the objective"),
        (all.undecided, Paint::Unknown, "may have broken the objective"),
        (all.unknown, Paint::Unknown, "unknown"),
    ] {
        if count > 0 {
            page.line(2, &page.paint(paint, &format!("{} {what}", counted(count, "moment"))))?;
        }
    }
    if all.gaps_unproven > 0 {
        let text = format!("in {} between samples the objective is not proven", counted(all.gaps_unproven, "gap"));
        page.line(2, &page.paint(Paint::Unknown, &text))?;
    }
    for why in all.why.values() {
        page.labelled(2, Paint::Dim, "why:", why)?;
    }
    Ok(())
}

fn tiers(page: &mut Page<'_>, tiers: &[SimulatedTier]) -> io::Result<()> {
    if tiers.len() < 2 {
        return Ok(());
    }
    page.blank()?;
    for one in tiers {
        let name = one.tier.map_or("no tier", tier_text);
        let text = format!("{name}: {}", amount(one.now.as_ref(), one.over_time.as_ref()));
        headline_word(page, &one.verdict.as_str().to_uppercase(), Paint::of(one.verdict), &text)?;
    }
    Ok(())
}

fn levels(objective: &LagObjective) -> String {
    let named = [("target", objective.target), ("warning", objective.warning)];
    let mut texts: Vec<String> = vec![duration(objective.critical)];
    texts.extend(named.into_iter().filter_map(|(name, level)| Some(format!("{name} {}", duration(level?)))));
    texts.join(", ")
}

fn tier_text(tier: Tier) -> &'static str {
    match tier {
        Tier::Hot => "hot",
        Tier::Warm => "warm",
        Tier::Cold => "cold",
    }
}

fn words(state: LagState) -> String {
    state.as_str().replace('_', " ")
}
