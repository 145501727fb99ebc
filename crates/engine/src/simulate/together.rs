//! Several streams, or several links, together.

use paritas_model::{Tier, Verdict};
use paritas_report::{Bounds, SimulatedLink, SimulatedTier, WouldLose};
use std::collections::BTreeMap;

/// The largest time and the sums. What one of them does not know nobody knows of all; `why` says so where one could not
/// be looked at at all.
pub(super) fn lose(all: &[&WouldLose], why: Option<&str>) -> WouldLose {
    let mut reasons: BTreeMap<String, String> = BTreeMap::new();
    let nothing = all.is_empty().then_some("nothing was measured");
    let missing = why.or(nothing);
    for one in all {
        for (name, reason) in &one.why {
            reasons.entry(name.clone()).or_insert_with(|| reason.clone());
        }
    }
    let sum = |pick: &dyn Fn(&WouldLose) -> Option<u64>| {
        let total = all.iter().try_fold(0_u64, |sum, one| Some(sum.saturating_add(pick(one)?)));
        total.filter(|_| missing.is_none())
    };
    let lows = all.iter().filter_map(|one| one.seconds.low);
    let low = lows.fold(None, |most: Option<f64>, low| Some(most.map_or(low, |most| most.max(low))));
    let high = all.iter().try_fold(0.0_f64, |most, one| Some(most.max(one.seconds.high?)));
    let found = WouldLose {
        seconds: Bounds { low, high: high.filter(|_| missing.is_none()) },
        bytes: sum(&|one| one.bytes),
        records: sum(&|one| one.records),
        versions: sum(&|one| one.versions),
        method: all.iter().find_map(|one| one.method.clone()),
        why: BTreeMap::new(),
    };
    let absent = [
        ("seconds", found.seconds.low.is_none() && found.seconds.high.is_none()),
        ("seconds.high", found.seconds.low.is_some() && found.seconds.high.is_none()),
        ("bytes", found.bytes.is_none()),
        ("records", found.records.is_none()),
        ("versions", found.versions.is_none()),
        ("method", found.method.is_none()),
    ];
    let reason = |name: &str| {
        let own = reasons.get(name).or_else(|| reasons.get("seconds")).cloned();
        missing.map(str::to_owned).or(own).unwrap_or_else(|| "not every part of it is known".to_owned())
    };
    let why = absent.into_iter().filter(|(_, absent)| *absent).map(|(name, _)| (name.to_owned(), reason(name)));
    WouldLose { why: why.collect(), ..found }
}

/// Links by tier, those without one last.
pub(super) fn tiers(
    links: &[SimulatedLink],
    of: &dyn Fn(Option<Tier>, &[&SimulatedLink]) -> SimulatedTier,
) -> Vec<SimulatedTier> {
    [Some(Tier::Hot), Some(Tier::Warm), Some(Tier::Cold), None]
        .into_iter()
        .filter_map(|tier| {
            let own: Vec<&SimulatedLink> = links.iter().filter(|link| link.tier == tier).collect();
            (!own.is_empty()).then(|| of(tier, &own))
        })
        .collect()
}

/// Links of a tier, now.
pub(super) fn now(tier: Option<Tier>, links: &[&SimulatedLink]) -> SimulatedTier {
    let lost: Vec<&WouldLose> = links.iter().filter_map(|link| link.now.as_ref()).collect();
    SimulatedTier {
        tier,
        verdict: Verdict::combine(links.iter().map(|link| link.verdict)),
        links: links.iter().map(|link| link.name.clone()).collect(),
        now: Some(lose(&lost, None)),
        over_time: None,
    }
}
