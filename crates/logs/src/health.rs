//! Whether the servers of a cluster hold its partitions as they should: leaders, replicas in sync, changes
//! of leadership. Only what is not as it should be is listed; counts are complete.

use paritas_connect::logs::{Log, Partition, PartitionState, Settings, Survey};
use paritas_model::{Known, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is the matter with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Nobody leads it: it can be neither written nor read.
    Offline,
    /// Fewer replicas are in sync than a write needs that waits for all of them: such writes fail.
    BelowMinimum,
    /// Just as many are in sync as such writes need, and fewer than there should be: one loss more stops them.
    AtMinimum,
    /// A replica is not in sync.
    UnderReplicated,
    /// A replica is on a server that is not there.
    Unplaced,
    /// Its leadership is not the one of the look before.
    LeaderChanged,
    /// How many replicas writes need is not known.
    MinimumUnknown,
}

impl Trouble {
    /// How much it weighs.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Offline | Self::BelowMinimum => Verdict::Fail,
            Self::MinimumUnknown => Verdict::Unknown,
            Self::AtMinimum | Self::UnderReplicated | Self::Unplaced | Self::LeaderChanged => Verdict::Warn,
        }
    }
}

/// A partition that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Troubled {
    /// The partition.
    pub partition: Partition,
    /// What is the matter with it, the worst first.
    pub troubles: Vec<Trouble>,
    /// The server that leads it.
    pub leader: Option<i32>,
    /// Servers that are to have it.
    pub replicas: Vec<i32>,
    /// Those that are in sync.
    pub in_sync: Vec<i32>,
    /// Replicas that writes need.
    pub minimum: Option<u32>,
    /// The leadership before and now, where it changed and the store counts them.
    pub epochs: Option<(i32, i32)>,
}

/// What is kept of a look, to compare the next one with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaderships {
    by: BTreeMap<String, Vec<Leadership>>,
}

/// Who led a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Leadership {
    index: i32,
    leader: Option<i32>,
    epoch: Option<i32>,
}

impl Leaderships {
    /// Those of a survey, with the epochs that the store gave for partitions.
    pub fn of(survey: &Survey, epochs: &BTreeMap<Partition, i32>) -> Self {
        let of = |log: &Log, state: &PartitionState| Leadership {
            index: state.index,
            leader: state.leader,
            epoch: epochs.get(&Partition::new(log.name.as_str(), state.index)).copied(),
        };
        let logs = survey.logs.iter();
        let by = logs.map(|log| (log.name.clone(), log.partitions.iter().map(|state| of(log, state)).collect()));
        Self { by: by.collect() }
    }

    fn get(&self, log: &str, index: i32) -> Option<&Leadership> {
        self.by.get(log)?.iter().find(|leadership| leadership.index == index)
    }
}

/// The health of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The worst of everything.
    pub verdict: Verdict,
    /// Servers that are alive.
    pub servers: u64,
    /// Who controls them.
    pub controller: Known<i32>,
    /// Partitions that were looked at.
    pub partitions: u64,
    /// How many of them have each trouble.
    pub counts: BTreeMap<Trouble, u64>,
    /// Partitions that are not as they should be, the worst first, at most as many as were asked for.
    pub troubled: Vec<Troubled>,
    /// How many there are in all.
    pub troubled_all: u64,
    /// What could not be seen.
    pub limits: Vec<String>,
}

impl Health {
    /// Whether all replicas of all partitions that were looked at are in sync and on servers that are
    /// alive: what must hold before a cluster loses the next server on purpose. Unknown where nothing was
    /// looked at.
    pub fn rebuilt(&self) -> Verdict {
        let bad = [Trouble::Offline, Trouble::BelowMinimum, Trouble::UnderReplicated, Trouble::Unplaced];
        match self.partitions {
            0 => Verdict::Unknown,
            _ if bad.iter().any(|trouble| self.counts.contains_key(trouble)) => Verdict::Fail,
            _ => Verdict::Pass,
        }
    }
}

/// Judges the partitions of these logs (of all, if `logs` is `None`); lists at most `max` of them.
pub fn judge(
    survey: &Survey,
    logs: Option<&BTreeSet<String>>,
    settings: &BTreeMap<String, Known<Settings>>,
    before: Option<&Leaderships>,
    now: &Leaderships,
    max: usize,
) -> Health {
    let alive: BTreeSet<i32> = survey.brokers.iter().map(|broker| broker.id).collect();
    let mut health = Health {
        verdict: Verdict::Unknown,
        servers: alive.len() as u64,
        controller: survey.controller.clone(),
        partitions: 0,
        counts: BTreeMap::new(),
        troubled: Vec::new(),
        troubled_all: 0,
        limits: survey.limits.clone(),
    };
    for log in survey.logs.iter().filter(|log| logs.is_none_or(|logs| logs.contains(&log.name))) {
        let minimum = minimum(settings.get(&log.name));
        for state in &log.partitions {
            health.partitions += 1;
            let leaderships = before.and_then(|before| before.get(&log.name, state.index));
            let changed = leaderships.zip(now.get(&log.name, state.index)).filter(|(old, new)| changed(old, new));
            let troubles = troubles(state, minimum, &alive, changed.is_some());
            if troubles.is_empty() {
                continue;
            }
            for trouble in &troubles {
                *health.counts.entry(*trouble).or_default() += 1;
            }
            health.troubled.push(Troubled {
                partition: Partition::new(log.name.as_str(), state.index),
                troubles,
                leader: state.leader,
                replicas: state.replicas.clone(),
                in_sync: state.in_sync.clone(),
                minimum,
                epochs: changed.and_then(|(old, new)| Some((old.epoch?, new.epoch?))),
            });
        }
    }
    let verdicts = health.counts.keys().map(|trouble| trouble.verdict());
    let whole = if health.partitions == 0 { Verdict::Unknown } else { Verdict::Pass };
    health.verdict = Verdict::combine(verdicts.chain([whole]));
    health.troubled_all = health.troubled.len() as u64;
    health.troubled.sort_by(|a, b| (&a.troubles, &a.partition).cmp(&(&b.troubles, &b.partition)));
    health.troubled.truncate(max);
    health
}

/// How many replicas a write needs that waits for all of them.
fn minimum(settings: Option<&Known<Settings>>) -> Option<u32> {
    settings?.value()?.get("min.insync.replicas")?.trim().parse().ok()
}

fn changed(old: &Leadership, new: &Leadership) -> bool {
    match (old.epoch, new.epoch) {
        // A server that comes back may lead again, in another epoch.
        (Some(old), Some(new)) => old != new,
        _ => old.leader != new.leader && old.leader.is_some() && new.leader.is_some(),
    }
}

/// The worst first.
fn troubles(state: &PartitionState, minimum: Option<u32>, alive: &BTreeSet<i32>, changed: bool) -> Vec<Trouble> {
    let in_sync = state.in_sync.len();
    let lacking = in_sync < state.replicas.len();
    let mut troubles = Vec::new();
    if state.leader.is_none() {
        troubles.push(Trouble::Offline);
    }
    match minimum.map(|minimum| minimum as usize) {
        Some(minimum) if in_sync < minimum => troubles.push(Trouble::BelowMinimum),
        Some(minimum) if in_sync == minimum && lacking => troubles.push(Trouble::AtMinimum),
        _ => {}
    }
    if lacking {
        troubles.push(Trouble::UnderReplicated);
    }
    if state.replicas.iter().any(|replica| !alive.contains(replica)) {
        troubles.push(Trouble::Unplaced);
    }
    if changed {
        troubles.push(Trouble::LeaderChanged);
    }
    if minimum.is_none() {
        troubles.push(Trouble::MinimumUnknown);
    }
    troubles
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_connect::logs::{Broker, Setting};
    use rstest::rstest;

    fn survey(alive: &[i32], leader: Option<i32>, replicas: &[i32], in_sync: &[i32]) -> Survey {
        let (replicas, in_sync) = (replicas.to_vec(), in_sync.to_vec());
        let partitions = vec![PartitionState { index: 0, leader, replicas, in_sync }];
        let log = Log { name: "orders".into(), id: Known::unknown("old"), internal: false, partitions };
        let broker = |id: &i32| Broker { id: *id, address: format!("127.0.0.1:{id}") };
        Survey {
            cluster: Known::Known("c".into()),
            controller: Known::Known(1),
            brokers: alive.iter().map(broker).collect(),
            logs: vec![log],
            limits: Vec::new(),
        }
    }

    fn minimum(value: Option<&str>) -> BTreeMap<String, Known<Settings>> {
        let setting = |value: &str| Setting { value: Some(value.to_owned()), own: true };
        let settings = value.map(|value| Settings([("min.insync.replicas".to_owned(), setting(value))].into()));
        let settings = settings.map_or_else(|| Known::unknown("no privilege"), Known::Known);
        [("orders".to_owned(), settings)].into()
    }

    fn epochs(epoch: i32) -> BTreeMap<Partition, i32> {
        [(Partition::new("orders", 0), epoch)].into()
    }

    #[rstest]
    #[case::whole(Some(1), &[1, 2, 3], &[], Verdict::Pass)]
    #[case::one_of_three_is_gone(Some(1), &[1, 2], &[Trouble::AtMinimum, Trouble::UnderReplicated], Verdict::Warn)]
    #[case::two_of_three_are_gone(Some(1), &[1], &[Trouble::BelowMinimum, Trouble::UnderReplicated], Verdict::Fail)]
    #[case::nobody_leads(None, &[], &[Trouble::Offline, Trouble::BelowMinimum, Trouble::UnderReplicated], Verdict::Fail)]
    fn replicas_in_sync_are_held_against_what_writes_need(
        #[case] leader: Option<i32>,
        #[case] in_sync: &[i32],
        #[case] expected: &[Trouble],
        #[case] verdict: Verdict,
    ) {
        let survey = survey(&[1, 2, 3], leader, &[1, 2, 3], in_sync);
        let now = Leaderships::of(&survey, &BTreeMap::new());
        let health = judge(&survey, None, &minimum(Some("2")), None, &now, 10);
        assert_eq!(health.verdict, verdict);
        assert_eq!(health.troubled.first().map_or(&[][..], |troubled| &troubled.troubles), expected);
        assert_eq!(health.rebuilt() == Verdict::Pass, in_sync.len() == 3);
    }

    #[test]
    fn a_single_replica_that_is_in_sync_is_not_at_its_minimum() {
        let survey = survey(&[1], Some(1), &[1], &[1]);
        let now = Leaderships::default();
        assert_eq!(judge(&survey, None, &minimum(Some("1")), None, &now, 10).verdict, Verdict::Pass);
    }

    #[test]
    fn what_writes_need_is_not_guessed() {
        let survey = survey(&[1, 2, 3], Some(1), &[1, 2, 3], &[1]);
        let health = judge(&survey, None, &minimum(None), None, &Leaderships::default(), 10);
        assert_eq!(health.verdict, Verdict::Unknown);
        assert_eq!(health.counts.get(&Trouble::MinimumUnknown), Some(&1));
        assert_eq!(health.counts.get(&Trouble::BelowMinimum), None);
    }

    #[test]
    fn no_partition_at_all_is_unknown() {
        let mut survey = survey(&[1], None, &[], &[]);
        survey.logs.clear();
        let health = judge(&survey, None, &BTreeMap::new(), None, &Leaderships::default(), 10);
        assert_eq!((health.verdict, health.rebuilt()), (Verdict::Unknown, Verdict::Unknown));
    }

    #[test]
    fn the_same_leader_in_another_epoch_is_a_change_and_another_look_is_none() {
        let survey = survey(&[1, 2, 3], Some(1), &[1, 2, 3], &[1, 2, 3]);
        let (before, now) = (Leaderships::of(&survey, &epochs(4)), Leaderships::of(&survey, &epochs(5)));
        let health = judge(&survey, None, &minimum(Some("2")), Some(&before), &now, 10);
        assert_eq!(health.troubled[0].epochs, Some((4, 5)));
        assert_eq!((health.verdict, health.rebuilt()), (Verdict::Warn, Verdict::Pass));
        let same = judge(&survey, None, &minimum(Some("2")), Some(&now), &now, 10);
        assert_eq!(same.verdict, Verdict::Pass);
    }

    #[test]
    fn the_list_is_cut_and_the_counts_are_complete() {
        let mut survey = survey(&[1, 2], Some(1), &[1, 2, 3], &[1, 2]);
        let state = survey.logs[0].partitions[0].clone();
        survey.logs[0].partitions = (0..50).map(|index| PartitionState { index, ..state.clone() }).collect();
        survey.logs[0].partitions[33].leader = None;
        let health = judge(&survey, None, &minimum(Some("2")), None, &Leaderships::default(), 3);
        assert_eq!((health.troubled.len(), health.troubled_all), (3, 50));
        assert_eq!(health.counts.get(&Trouble::Unplaced), Some(&50));
        assert_eq!(health.troubled[0].partition.index, 33);
    }
}
