//! Whether a cluster keeps what it promises of its logs, for the report.

use super::seen::Shows;
use paritas_logs::health::{self, Leaderships, Trouble, Troubled};
use paritas_report::{HealthCheck, HealthItem};
use std::collections::{BTreeMap, BTreeSet};

/// The health check of one side; `before` is what an earlier look saw.
pub(crate) fn check(
    side: &str,
    shows: &Shows,
    logs: Option<&BTreeSet<String>>,
    before: Option<&Leaderships>,
) -> HealthCheck {
    let judged =
        health::judge(&shows.survey, logs, &shows.settings, before, &leaderships(shows), HealthCheck::ITEMS_MAX);
    HealthCheck {
        verdict: judged.verdict,
        side: side.to_owned(),
        brokers: judged.servers,
        partitions: judged.partitions,
        items: judged.troubled.iter().map(item).collect(),
        kinds: judged.counts.iter().map(|(trouble, count)| (kind(*trouble).to_owned(), *count)).collect(),
        problem: None,
    }
}

/// Who leads what, to compare a later look with.
pub(crate) fn leaderships(shows: &Shows) -> Leaderships {
    let epochs: BTreeMap<_, _> =
        shows.ends.iter().filter_map(|(partition, ends)| Some((partition.clone(), ends.value()?.epoch?))).collect();
    Leaderships::of(&shows.survey, &epochs)
}

fn kind(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Offline => "offline",
        Trouble::BelowMinimum => "below_minimum",
        Trouble::AtMinimum => "at_minimum",
        Trouble::UnderReplicated => "under_replicated",
        Trouble::Unplaced => "unplaced",
        Trouble::LeaderChanged => "leader_changed",
        Trouble::MinimumUnknown => "minimum_unknown",
    }
}

fn item(troubled: &Troubled) -> HealthItem {
    let in_sync = format!("{} of {} replicas in sync", troubled.in_sync.len(), troubled.replicas.len());
    let minimum = troubled.minimum.map(|minimum| format!(", writes need {minimum}")).unwrap_or_default();
    let words = troubled.troubles.iter().map(|trouble| match trouble {
        Trouble::Offline => "nobody leads it, so it can be neither written nor read".to_owned(),
        Trouble::BelowMinimum => format!("writes with acks=all fail: {in_sync}{minimum}"),
        Trouble::AtMinimum => format!("one loss more stops writes with acks=all: {in_sync}{minimum}"),
        Trouble::UnderReplicated => in_sync.clone(),
        Trouble::Unplaced => "a replica is on a broker that is not there".to_owned(),
        Trouble::LeaderChanged => match troubled.epochs {
            Some((before, now)) => format!("its leadership changed from epoch {before} to {now}"),
            None => "its leader changed".to_owned(),
        },
        Trouble::MinimumUnknown => "min.insync.replicas could not be read".to_owned(),
    });
    let verdicts = troubled.troubles.iter().map(|trouble| trouble.verdict());
    HealthItem {
        what: format!("partition {}", troubled.partition),
        kind: troubled.troubles.first().map_or("unknown", |trouble| kind(*trouble)).to_owned(),
        verdict: paritas_model::Verdict::combine(verdicts),
        why: words.collect::<Vec<String>>().join("; "),
    }
}
