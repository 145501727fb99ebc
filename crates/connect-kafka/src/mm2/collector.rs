//! Records of MirrorMaker's own topics in, what still counts of them out.

use super::offsets::{self, Owner};
use super::syncs::{SYNCS_MAX, Syncs};
use super::{Kind, NoTrace, topic_kind, wire};
use paritas_connect::logs::{Checkpoint, Copied, Heartbeat, Partition, Traces};
use std::collections::{BTreeMap, HashMap};

/// Checkpoints, heartbeats and copied offsets that are kept in all, by subject.
pub const SUBJECTS_MAX: usize = 500_000;
/// Bytes of their names and notes in all.
pub const TEXT_BYTES_MAX: usize = 64 << 20;

/// Collects what mirroring tools have left, see [`Traces`].
///
/// Records of one partition of a topic are taken in their order; topics and partitions may come in any order. Nothing
/// that a record holds can make this fail: what is no trace is counted and named in the limits. A topic that is
/// called like one of MirrorMaker's and holds nothing that MirrorMaker would write is not among [`Traces::logs`].
#[derive(Debug, Clone)]
pub struct Collector {
    logs: Vec<Log>,
    by_name: HashMap<String, usize>,
    syncs: Syncs,
    checkpoints: Newest<(String, String, Partition), Checkpoint>,
    heartbeats: Newest<(usize, String, String), i64>,
    copied: Newest<(String, Partition), Copied>,
    budget: Budget,
}

/// A topic that was seen.
#[derive(Debug, Clone)]
struct Log {
    name: String,
    kind: Kind,
    /// Records that are traces, or belong to other connectors.
    fitting: u64,
    /// Records that are neither.
    strange: u64,
    /// What is wrong with the first of those.
    why: NoTrace,
}

/// What can still be kept.
#[derive(Debug, Clone)]
struct Budget {
    subjects: usize,
    bytes: usize,
    refused: u64,
}

/// The newest value of each subject, with the topic that holds it and when it was written.
#[derive(Debug, Clone)]
struct Newest<K, V>(BTreeMap<K, Held<V>>);

#[derive(Debug, Clone)]
struct Held<V> {
    log: usize,
    written: Option<i64>,
    value: V,
}

impl<K: Ord, V> Newest<K, V> {
    /// Keeps a value unless a newer one is there. Inside a topic the later record is newer, whatever clocks said.
    fn put(&mut self, key: K, bytes: usize, held: Held<V>, budget: &mut Budget) {
        match self.0.get_mut(&key) {
            Some(old) if old.log == held.log || held.written >= old.written => *old = held,
            Some(_) => {}
            None if budget.subjects == 0 || budget.bytes < bytes => budget.refused += 1,
            None => {
                budget.subjects -= 1;
                budget.bytes -= bytes;
                self.0.insert(key, held);
            }
        }
    }

    /// Forgets what that topic says about a subject.
    fn remove(&mut self, key: &K, log: usize) {
        if self.0.get(key).is_some_and(|held| held.log == log) {
            self.0.remove(key);
        }
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self::with_limits(SYNCS_MAX, SUBJECTS_MAX, TEXT_BYTES_MAX)
    }
}

impl Collector {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn with_limits(syncs: usize, subjects: usize, bytes: usize) -> Self {
        Self {
            logs: Vec::new(),
            by_name: HashMap::new(),
            syncs: Syncs::new(syncs),
            checkpoints: Newest(BTreeMap::new()),
            heartbeats: Newest(BTreeMap::new()),
            copied: Newest(BTreeMap::new()),
            budget: Budget { subjects, bytes, refused: 0 },
        }
    }

    /// What a topic of this name is for, if it is MirrorMaker's own.
    pub fn topic_kind(topic: &str) -> Option<Kind> {
        topic_kind(topic)
    }

    /// Says that a topic is there, also if it has no records. Topics that are not MirrorMaker's are ignored.
    pub fn note(&mut self, topic: &str) {
        self.log(topic);
    }

    /// Takes a record; its timestamp in milliseconds since 1970. Records of other topics are ignored.
    pub fn take(&mut self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>, timestamp: Option<i64>) {
        let Some((log, kind)) = self.log(topic) else { return };
        let taken = match kind {
            Kind::Syncs { .. } => self.sync(log, key, value),
            Kind::Checkpoints { alias } => self.checkpoint(log, alias, key, value, timestamp),
            Kind::Heartbeats => self.heartbeat(log, key, value),
            Kind::Offsets { .. } => self.offset(log, key, value, timestamp),
            Kind::Workers => Ok(()),
        };
        let Some(log) = self.logs.get_mut(log) else { return };
        match taken {
            Ok(()) => log.fitting += 1,
            Err(why) => {
                if log.strange == 0 {
                    log.why = why;
                }
                log.strange += 1;
            }
        }
    }

    fn log(&mut self, topic: &str) -> Option<(usize, Kind)> {
        if let Some(index) = self.by_name.get(topic) {
            return self.logs.get(*index).map(|log| (*index, log.kind.clone()));
        }
        let kind = topic_kind(topic)?;
        let index = self.logs.len();
        let name = topic.to_owned();
        self.logs.push(Log { name, kind: kind.clone(), fitting: 0, strange: 0, why: NoTrace::new() });
        self.by_name.insert(topic.to_owned(), index);
        Some((index, kind))
    }

    fn sync(&mut self, log: usize, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), NoTrace> {
        let partition = wire::sync_key(key)?;
        match value.map(wire::sync_value).transpose()? {
            Some((upstream, downstream)) => self.syncs.push(log, partition, upstream, downstream),
            None => self.syncs.remove(log, partition),
        }
        Ok(())
    }

    fn checkpoint(
        &mut self,
        log: usize,
        alias: String,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        written: Option<i64>,
    ) -> Result<(), NoTrace> {
        let (group, partition) = wire::checkpoint_key(key)?;
        let subject = (alias.clone(), group.clone(), partition.clone());
        match value.map(wire::checkpoint_value).transpose()? {
            Some((upstream, downstream, metadata)) => {
                // Names are there twice, in the subject and in the value.
                let bytes = 2 * (alias.len() + group.len() + partition.log.len()) + metadata.len();
                let value = Checkpoint { alias, group, partition, upstream, downstream, metadata, written };
                self.checkpoints.put(subject, bytes, Held { log, written, value }, &mut self.budget);
            }
            None => self.checkpoints.remove(&subject, log),
        }
        Ok(())
    }

    fn heartbeat(&mut self, log: usize, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), NoTrace> {
        let (source, target) = wire::heartbeat_key(key)?;
        let bytes = source.len() + target.len();
        let subject = (log, source, target);
        match value.map(wire::heartbeat_value).transpose()? {
            Some(value) => {
                self.heartbeats.put(subject, bytes, Held { log, written: Some(value), value }, &mut self.budget);
            }
            None => self.heartbeats.remove(&subject, log),
        }
        Ok(())
    }

    fn offset(
        &mut self,
        log: usize,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        written: Option<i64>,
    ) -> Result<(), NoTrace> {
        let Owner::Mirrored(alias, partition) = offsets::key(key)? else { return Ok(()) };
        let subject = (alias.clone(), partition.clone());
        match offsets::value(value)? {
            Some(last) => {
                let bytes = 2 * (alias.len() + partition.log.len());
                let value = Copied { alias, partition, last, written };
                self.copied.put(subject, bytes, Held { log, written, value }, &mut self.budget);
            }
            None => self.copied.remove(&subject, log),
        }
        Ok(())
    }

    /// Everything that was collected. Syncs are in the order in which they came, the rest is sorted by its subject.
    pub fn finish(self) -> Traces {
        let Self { logs, syncs, checkpoints, heartbeats, copied, budget, .. } = self;
        let mut limits = strange_limits(&logs);
        let name = |log: usize| logs.get(log).map(|log| log.name.clone()).unwrap_or_default();
        let alias = |log: usize| match logs.get(log).map(|log| &log.kind) {
            Some(Kind::Syncs { alias }) => alias.clone(),
            _ => None,
        };
        let (syncs, dropped) = syncs.finish(|log| (name(log), alias(log)));
        if dropped > 0 {
            limits.push(format!(
                "{dropped} older offset syncs were left out: {} are kept at most; let the topics of offset syncs be compacted",
                syncs.len()
            ));
        }
        if budget.refused > 0 {
            limits.push(format!(
                "{} records about more groups, partitions or mirrors than are kept ({SUBJECTS_MAX} with {} MiB of names) \
                 were left out: let the topics of checkpoints and offsets be compacted, and delete old groups",
                budget.refused,
                TEXT_BYTES_MAX >> 20
            ));
        }
        let heartbeat = |((log, source, target), held): ((usize, String, String), Held<i64>)| Heartbeat {
            held_in: name(log),
            source,
            target,
            sent: held.value,
        };
        let mut heartbeats: Vec<Heartbeat> = heartbeats.0.into_iter().map(heartbeat).collect();
        heartbeats.sort_by(|a, b| (&a.held_in, &a.source, &a.target).cmp(&(&b.held_in, &b.source, &b.target)));
        let mut names: Vec<String> = logs.iter().filter(|log| log.is_own()).map(|log| log.name.clone()).collect();
        names.sort();
        Traces {
            syncs,
            checkpoints: checkpoints.0.into_values().map(|held| held.value).collect(),
            heartbeats,
            copied: copied.0.into_values().map(|held| held.value).collect(),
            logs: names,
            limits,
        }
    }
}

impl Log {
    /// Whether it is MirrorMaker's indeed, and so no data.
    fn is_own(&self) -> bool {
        match self.kind {
            // Other connectors use topics of these names, too.
            Kind::Offsets { dedicated: false } => self.fitting > 0,
            _ => self.fitting > 0 || self.strange == 0,
        }
    }
}

/// What was found among traces and is none.
fn strange_limits(logs: &[Log]) -> Vec<String> {
    let mut limits = Vec::new();
    for log in logs.iter().filter(|log| log.strange > 0) {
        let Log { name, fitting, strange, why, .. } = log;
        let (what, all) = (log.kind.what(), fitting + strange);
        limits.push(if log.is_own() {
            format!(
                "{name}: {strange} of {all} records are no {what} (of the first, {why}), and what they were to say is \
                 missing; find out who else writes to this topic"
            )
        } else {
            format!(
                "{name} is called like a topic of {what}, and none of its {all} records is one (of the first, {why}); it \
                 is taken for data: give it another name if MirrorMaker is to mirror it"
            )
        });
    }
    limits.sort();
    limits
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::encode;
    use super::*;
    use paritas_connect::logs::Sync;
    use proptest::prelude::*;

    const SYNCS: &str = "mm2-offset-syncs.B.internal";
    const CHECKPOINTS: &str = "A.checkpoints.internal";
    const OFFSETS: &str = "mm2-offsets.A.internal";

    fn put(collector: &mut Collector, topic: &str, (key, value): (Vec<u8>, Vec<u8>), at: i64) {
        collector.take(topic, Some(&key), Some(&value), Some(at));
    }

    fn delete(collector: &mut Collector, topic: &str, (key, _): (Vec<u8>, Vec<u8>)) {
        collector.take(topic, Some(&key), None, Some(99));
    }

    fn copied(cluster: &str, topic: &str, last: u64) -> (Vec<u8>, Vec<u8>) {
        encode::copied(["cluster", "partition", "topic"], cluster, &Partition::new(topic, 0), last)
    }

    #[test]
    fn all_syncs_are_kept_in_their_order() {
        let mut collector = Collector::new();
        let at = Partition::new("orders", 2);
        put(&mut collector, SYNCS, encode::sync(&at, 0, 0), 1);
        put(&mut collector, "mm2-offset-syncs_A_internal", encode::sync(&at, 9, 9), 1);
        put(&mut collector, SYNCS, encode::sync(&at, 150, 100), 2);
        let traces = collector.finish();
        let sync = |held_in: &str, alias: &str, upstream, downstream| Sync {
            held_in: held_in.to_owned(),
            alias: Some(alias.to_owned()),
            partition: at.clone(),
            upstream,
            downstream,
        };
        let expected =
            [sync(SYNCS, "B", 0, 0), sync("mm2-offset-syncs_A_internal", "A", 9, 9), sync(SYNCS, "B", 150, 100)];
        assert_eq!(traces.syncs, expected);
        assert_eq!(traces.logs, [SYNCS, "mm2-offset-syncs_A_internal"]);
        assert!(traces.limits.is_empty());
    }

    #[test]
    fn the_last_checkpoint_of_a_group_and_partition_counts() {
        let mut collector = Collector::new();
        let at = Partition::new("A.orders", 0);
        put(&mut collector, CHECKPOINTS, encode::checkpoint("g", &at, 50, 89, ""), 2);
        put(&mut collector, CHECKPOINTS, encode::checkpoint("h", &at, 1, 1, ""), 2);
        put(&mut collector, CHECKPOINTS, encode::checkpoint("gone", &at, 1, 1, ""), 2);
        // The clock of the second mirror is behind: what was written later counts.
        put(&mut collector, CHECKPOINTS, encode::checkpoint("g", &at, 400, 338, "note"), 1);
        delete(&mut collector, CHECKPOINTS, encode::checkpoint("gone", &at, 0, 0, ""));
        let traces = collector.finish();
        let groups: Vec<_> = traces.checkpoints.iter().map(|point| (point.group.as_str(), point.downstream)).collect();
        assert_eq!(groups, [("g", 338), ("h", 1)]);
        let first = traces.checkpoints.first().unwrap();
        let (alias, metadata, written) = (first.alias.as_str(), first.metadata.as_str(), first.written);
        assert_eq!((alias, metadata, written, &first.partition), ("A", "note", Some(1), &at));
    }

    #[test]
    fn heartbeats_are_told_apart_by_the_topic_that_holds_them() {
        let mut collector = Collector::new();
        put(&mut collector, "heartbeats", encode::heartbeat("A", "B", 5), 1);
        put(&mut collector, "A.heartbeats", encode::heartbeat("B", "A", 6), 1);
        put(&mut collector, "heartbeats", encode::heartbeat("A", "B", 7), 1);
        let beats = collector.finish().heartbeats;
        let beats: Vec<_> =
            beats.iter().map(|b| (b.held_in.as_str(), b.source.as_str(), b.target.as_str(), b.sent)).collect();
        assert_eq!(beats, [("A.heartbeats", "B", "A", 6), ("heartbeats", "A", "B", 7)]);
    }

    #[test]
    fn offsets_of_other_connectors_are_no_trace_and_no_fault() {
        let mut collector = Collector::new();
        put(&mut collector, OFFSETS, copied("A", "orders", 41), 1);
        put(&mut collector, OFFSETS, copied("A", "gone", 1), 1);
        let key = br#"["MirrorHeartbeatConnector",{"sourceClusterAlias":"A","targetClusterAlias":"B"}]"#;
        collector.take(OFFSETS, Some(key), Some(b"{\"offset\":1}"), None);
        // The same partition under a key that is written otherwise.
        let other = encode::copied(["topic", "cluster", "partition"], "A", &Partition::new("orders", 0), 77);
        put(&mut collector, OFFSETS, other, 1);
        delete(&mut collector, OFFSETS, copied("A", "gone", 0));
        let traces = collector.finish();
        let partition = Partition::new("orders", 0);
        assert_eq!(traces.copied, [Copied { alias: "A".into(), partition, last: 77, written: Some(1) }]);
        assert!(traces.limits.is_empty());
    }

    #[test]
    fn of_two_topics_about_one_subject_the_one_written_later_counts() {
        for topics in [[OFFSETS, "connect-offsets"], ["connect-offsets", OFFSETS]] {
            let mut collector = Collector::new();
            for topic in topics {
                let (last, at) = if topic == OFFSETS { (7, 10) } else { (9, 5) };
                put(&mut collector, topic, copied("A", "orders", last), at);
            }
            assert_eq!(collector.finish().copied.first().unwrap().last, 7);
        }
    }

    #[test]
    fn bytes_that_are_no_trace_are_counted_and_named() {
        let mut collector = Collector::new();
        put(&mut collector, SYNCS, encode::sync(&Partition::new("orders", 0), 1, 1), 1);
        collector.take(SYNCS, Some(b"x"), Some(b"y"), None);
        collector.take(SYNCS, None, None, None);
        let traces = collector.finish();
        assert_eq!((traces.syncs.len(), traces.logs.as_slice()), (1, &[SYNCS.to_owned()][..]));
        let limit = traces.limits.first().unwrap();
        assert!(limit.starts_with("mm2-offset-syncs.B.internal: 2 of 3 records are no offset syncs"), "{limit}");
        assert!(limit.contains("its key ends early"), "{limit}");
    }

    #[test]
    fn a_users_topic_with_such_a_name_stays_data() {
        let mut collector = Collector::new();
        collector.take("sensors.heartbeats", Some(b"sensor 1"), Some(b"{\"alive\":true}"), None);
        collector.note("A.heartbeats");
        collector.note("orders");
        collector.note("connect-offsets");
        collector.note("mm2-status.A.internal");
        let traces = collector.finish();
        assert_eq!(traces.logs, ["A.heartbeats", "mm2-status.A.internal"]);
        let limit = traces.limits.first().unwrap();
        assert!(limit.contains("is taken for data"), "{limit}");
    }

    #[test]
    fn memory_is_bounded_and_what_is_left_out_is_said() {
        let mut collector = Collector::with_limits(4, 2, 1_000);
        let at = Partition::new("orders", 0);
        (0..10).for_each(|up| put(&mut collector, SYNCS, encode::sync(&at, up, up), 1));
        for group in ["a", "b", "c", "a"] {
            put(&mut collector, CHECKPOINTS, encode::checkpoint(group, &at, 1, 1, ""), 1);
        }
        put(&mut collector, "heartbeats", encode::heartbeat(&"A".repeat(2_000), "B", 1), 1);
        let traces = collector.finish();
        assert_eq!(traces.syncs.iter().map(|sync| sync.upstream).collect::<Vec<_>>(), [6, 7, 8, 9]);
        assert_eq!((traces.checkpoints.len(), traces.heartbeats.len()), (2, 0));
        assert!(traces.limits.iter().any(|limit| limit.starts_with("6 older offset syncs were left out: 4 are kept")));
        assert!(traces.limits.iter().any(|limit| limit.starts_with("2 records about more groups")));
    }

    proptest! {
        #[test]
        fn garbage_never_breaks_anything(
            records in prop::collection::vec((0..6_usize, prop::option::of(prop::collection::vec(prop_oneof![0..5_u8, any::<u8>()], 0..32)),
                prop::option::of(prop::collection::vec(prop_oneof![0..5_u8, any::<u8>()], 0..32))), 0..40),
        ) {
            let topics = [SYNCS, CHECKPOINTS, "heartbeats", OFFSETS, "connect-offsets", "orders"];
            let mut collector = Collector::new();
            for (topic, key, value) in &records {
                collector.take(topics[*topic], key.as_deref(), value.as_deref(), None);
            }
            let traces = collector.finish();
            let kept = traces.syncs.len() + traces.checkpoints.len() + traces.heartbeats.len() + traces.copied.len();
            prop_assert!(kept <= records.len());
        }
    }
}
