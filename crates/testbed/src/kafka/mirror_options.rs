//! How MirrorMaker 2 is set up.

use std::time::Duration;

use super::client::Isolation;
use super::options::Lines;

const BASE: &str = include_str!("mirror.properties");

/// Options of a mirror. The default copies every topic and group under the default policy (`A.orders` on the target),
/// writes the groups' translated offsets on the target, and looks at everything once a second.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    source: String,
    target: String,
    identity: bool,
    separator: String,
    exactly_once: bool,
    isolation: Isolation,
    syncs_on_target: bool,
    sync_groups: bool,
    topics: String,
    groups: String,
    offset_lag_max: u64,
    flush_interval: Duration,
    heap_mib: u32,
    properties: Vec<(String, String)>,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            source: "A".to_owned(),
            target: "B".to_owned(),
            identity: false,
            separator: ".".to_owned(),
            exactly_once: false,
            isolation: Isolation::Uncommitted,
            syncs_on_target: false,
            sync_groups: true,
            topics: ".*".to_owned(),
            groups: ".*".to_owned(),
            offset_lag_max: 10,
            flush_interval: Duration::from_secs(1),
            heap_mib: 256,
            properties: Vec::new(),
        }
    }
}

impl MirrorOptions {
    /// What the mirror calls the clusters; `A` and `B` otherwise. Mirrors with different aliases do not know of each
    /// other, also between the same clusters: give each its topics.
    #[must_use]
    pub fn aliases(mut self, source: &str, target: &str) -> Self {
        (self.source, self.target) = (source.to_owned(), target.to_owned());
        self
    }

    /// Topics keep their names on the target, except heartbeats.
    #[must_use]
    pub fn identity(mut self) -> Self {
        self.identity = true;
        self
    }

    /// What stands between alias and topic in names; a dot otherwise.
    #[must_use]
    pub fn separator(mut self, separator: &str) -> Self {
        separator.clone_into(&mut self.separator);
        self
    }

    /// Copies in transactions, so that a killed mirror leaves no record twice to readers of committed records. The
    /// markers take offsets.
    #[must_use]
    pub fn exactly_once(mut self) -> Self {
        self.exactly_once = true;
        self
    }

    /// Which records it reads. Uncommitted, as MirrorMaker 2 does by itself: records of aborted transactions are copied
    /// as well.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Keeps the topic of offset pairs on the target and not on the source.
    #[must_use]
    pub fn offset_syncs_on_target(mut self) -> Self {
        self.syncs_on_target = true;
        self
    }

    /// Whether the groups' translated offsets become offsets of the same groups on the target.
    #[must_use]
    pub fn sync_group_offsets(mut self, yes: bool) -> Self {
        self.sync_groups = yes;
        self
    }

    /// Which topics are copied: names and patterns, separated by commas.
    #[must_use]
    pub fn topics(mut self, patterns: &str) -> Self {
        patterns.clone_into(&mut self.topics);
        self
    }

    /// Which groups are translated: names and patterns, separated by commas.
    #[must_use]
    pub fn groups(mut self, patterns: &str) -> Self {
        patterns.clone_into(&mut self.groups);
        self
    }

    /// A pair of offsets is written when the copy is this far behind what the last pair says; 10 otherwise, where
    /// MirrorMaker 2 itself takes 100.
    #[must_use]
    pub fn offset_lag_max(mut self, records: u64) -> Self {
        self.offset_lag_max = records;
        self
    }

    /// How often it notes how far it has come; a second otherwise, where MirrorMaker 2 itself takes a minute. What a
    /// killed mirror copies again grows with it.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Memory for its objects.
    #[must_use]
    pub fn heap_mib(mut self, mib: u32) -> Self {
        self.heap_mib = mib;
        self
    }

    /// Sets a property, with the prefix that it needs (`A->B.`, `B.`, `B.producer.`); a later one wins.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What it calls the source.
    pub(super) fn alias(&self) -> &str {
        &self.source
    }

    /// What it calls the target.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn heap(&self) -> u32 {
        self.heap_mib
    }

    pub(super) fn remote(&self, topic: &str) -> String {
        if self.identity { topic.to_owned() } else { format!("{}{}{topic}", self.source, self.separator) }
    }

    /// The source's heartbeats on the target, which both policies rename.
    pub(super) fn heartbeats(&self) -> String {
        format!("{}{}heartbeats", self.source, self.separator)
    }

    /// The file of properties, for clusters at these addresses.
    pub(super) fn file(&self, from: &str, to: &str) -> String {
        let (source, target) = (&self.source, &self.target);
        let mut lines = Lines(BASE.to_owned());
        lines.add("clusters", &format!("{source},{target}"));
        lines.add(&format!("{source}.bootstrap.servers"), from);
        lines.add(&format!("{target}.bootstrap.servers"), to);
        lines.add(&format!("{target}->{source}.enabled"), "false");
        if self.identity {
            let class = "org.apache.kafka.connect.mirror.IdentityReplicationPolicy";
            lines.add("replication.policy.class", class);
        }
        lines.add("replication.policy.separator", &self.separator);
        // Settings of the workers have the name of the cluster that they write to.
        for worker in [source, target] {
            lines.add(&format!("{worker}.offset.flush.interval.ms"), &self.flush_interval.as_millis().to_string());
            lines.add(&format!("{worker}.scheduled.rebalance.max.delay.ms"), "0");
            lines.add(&format!("{worker}.plugin.discovery"), "service_load");
        }
        let flow = |name: &str, value: &str, lines: &mut Lines| lines.add(&format!("{source}->{target}.{name}"), value);
        flow("enabled", "true", &mut lines);
        flow("topics", &self.topics, &mut lines);
        flow("groups", &self.groups, &mut lines);
        flow("offset.lag.max", &self.offset_lag_max.to_string(), &mut lines);
        flow("sync.group.offsets.enabled", if self.sync_groups { "true" } else { "false" }, &mut lines);
        flow("sync.topic.acls.enabled", "false", &mut lines);
        for name in ["refresh.topics", "refresh.groups", "sync.topic.configs", "emit.checkpoints", "sync.group.offsets"]
        {
            flow(&format!("{name}.interval.seconds"), "1", &mut lines);
        }
        if self.syncs_on_target {
            flow("offset-syncs.topic.location", "target", &mut lines);
        }
        if self.isolation == Isolation::Committed {
            lines.add(&format!("{source}.consumer.isolation.level"), "read_committed");
        }
        if self.exactly_once {
            lines.add(&format!("{target}.exactly.once.source.support"), "enabled");
        }
        for (name, value) in &self.properties {
            lines.add(name, value);
        }
        lines.0
    }
}
