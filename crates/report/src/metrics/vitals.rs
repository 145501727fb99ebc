//! Samples of clocks, round trips and ages of rows.

use super::{Samples, number};
use crate::{ClockCheck, FreshnessCheck, LinkReport};
use paritas_model::Store;

type Labels = Vec<(&'static str, String)>;

fn region(store: &Store) -> String {
    store.region.as_ref().map(|region| region.0.clone()).unwrap_or_default()
}

/// Both clocks, by link and side, and the round trips, by where they lead.
pub(super) fn clock(samples: &mut Samples, link: &LinkReport, check: &ClockCheck) {
    let objective = |name: &str| vec![("link", link.name.clone()), ("objective", name.to_owned())];
    let critical = |levels: Option<crate::LagObjective>| levels.map(|levels| levels.critical);
    samples.put("link_objective_seconds", objective("clock_skew"), critical(check.skew_objective));
    samples.put("link_objective_seconds", objective("rtt"), critical(check.rtt_objective));
    for ((side, clock), store) in check.sides().into_iter().zip([&link.source, &link.replica]) {
        let labels = |more: (&'static str, String)| -> Labels {
            vec![("link", link.name.clone()), ("store", store.name.clone()), ("region", region(store)), more]
        };
        let size = clock.skew.map(crate::SkewSeconds::size);
        let side = || ("side", side.to_owned());
        samples.put("clock_skew_seconds", labels(side()), size.map(|(_, most)| most));
        samples.put("clock_skew_low_seconds", labels(side()), size.map(|(least, _)| least));
        let way = vec![
            ("from", check.from.as_ref().map(|from| from.0.clone()).unwrap_or_default()),
            ("to", region(store)),
            ("store", store.name.clone()),
        ];
        samples.put("region_rtt_seconds", way, clock.rtt);
        if clock.quarantined {
            samples.put("quarantined_total", labels(("kind", "clock".to_owned())), Some(1.0));
        }
    }
}

/// The newest row on both sides.
pub(super) fn freshness(samples: &mut Samples, link: &LinkReport, check: &FreshnessCheck) {
    let named = |more: (&'static str, String)| -> Labels {
        vec![("link", link.name.clone()), ("dataset", check.dataset.clone()), ("freshness", check.name.clone()), more]
    };
    let objective = named(("objective", "freshness".to_owned()));
    samples.put("link_objective_seconds", objective, Some(check.objective.critical));
    for (name, side) in check.sides() {
        let labels = || named(("side", name.to_owned()));
        samples.put("freshness_age_seconds", labels(), side.age.map(|age| age.high));
        samples.put("freshness_age_low_seconds", labels(), side.age.map(|age| age.low));
        if side.quarantined > 0 {
            let mut labels = labels();
            labels.push(("kind", "row".to_owned()));
            samples.put("quarantined_total", labels, number(side.quarantined));
        }
    }
}
