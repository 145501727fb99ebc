//! Which cluster is spoken to, and which of its topics: what a survey saw must be what is read later.
//!
//! A name may lead to another cluster from one connection to the next, and a topic may be deleted and made again. What
//! was read before then says nothing about what is read after it.

use crate::bindings::{Overview, TopicSeen};
use paritas_connect::{Error, FailureKind, Result};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the last survey saw.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    cluster: Option<String>,
    /// Topics by name, with their ids.
    topics: BTreeMap<String, String>,
}

impl Pins {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cluster is the one that was surveyed, where it says which it is.
    ///
    /// # Errors
    /// `store.changed`.
    pub(crate) fn check_cluster(&self, overview: &Overview) -> Result<()> {
        let mut seen = self.seen();
        match (&seen.cluster, &overview.cluster) {
            (Some(before), Some(now)) if before != now => {
                let message = "the address leads to another cluster than before";
                Err(Error::new(FailureKind::Permanent, "store.changed", message)
                    .detail(format!("It was cluster {before} and is {now}."))
                    .hint("run it again; name the brokers by addresses that do not move between clusters"))
            }
            (None, Some(now)) => {
                seen.cluster = Some(now.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Expects this cluster from now on. Who surveys again begins afresh.
    pub(crate) fn expect_cluster(&self, overview: &Overview) {
        let mut seen = self.seen();
        if overview.cluster.is_some() && seen.cluster != overview.cluster {
            seen.cluster.clone_from(&overview.cluster);
            seen.topics.clear();
        }
    }

    /// Expects these topics from now on.
    pub(crate) fn expect_topics(&self, topics: &[TopicSeen]) {
        let ids = topics.iter().filter_map(|topic| Some((topic.name.clone(), topic.id.clone()?)));
        self.seen().topics.extend(ids);
    }

    /// The first topic that is another one than expected. Those that were never seen are expected from now on.
    pub(crate) fn other<'a>(&self, topics: &'a [TopicSeen]) -> Option<&'a str> {
        let mut seen = self.seen();
        let mut ids = topics.iter().filter_map(|topic| Some((topic.name.as_str(), topic.id.as_ref()?)));
        ids.find(|(name, id)| seen.topics.entry((*name).to_owned()).or_insert_with(|| (*id).clone()) != *id)
            .map(|(name, _)| name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn overview(cluster: Option<&str>) -> Overview {
        Overview { cluster: cluster.map(str::to_owned), controller: None, brokers: Vec::new(), topics: Vec::new() }
    }

    fn topic(name: &str, id: Option<&str>) -> TopicSeen {
        TopicSeen {
            name: name.to_owned(),
            fault: None,
            id: id.map(str::to_owned),
            internal: false,
            partitions: Vec::new(),
            operations: None,
        }
    }

    #[test]
    fn another_cluster_is_told_until_it_is_surveyed() {
        let pins = Pins::default();
        for cluster in [None, Some("a"), None, Some("a")] {
            pins.check_cluster(&overview(cluster)).unwrap();
        }
        pins.expect_topics(&[topic("orders", Some("1"))]);
        for _ in 0..2 {
            let error = pins.check_cluster(&overview(Some("b"))).unwrap_err();
            let told = (error.code(), error.is_transient(), error.hint_text().is_some());
            assert_eq!(told, ("store.changed", false, true));
        }
        pins.expect_cluster(&overview(Some("b")));
        pins.check_cluster(&overview(Some("b"))).unwrap();
        // Its topics are others.
        assert_eq!(pins.other(&[topic("orders", Some("2"))]), None);
    }

    #[test]
    fn a_topic_is_another_one_when_its_id_is() {
        let pins = Pins::default();
        pins.expect_topics(&[topic("orders", Some("1")), topic("fills", None)]);
        assert_eq!(pins.other(&[topic("orders", Some("1")), topic("fills", None), topic("new", Some("7"))]), None);
        for _ in 0..2 {
            assert_eq!(pins.other(&[topic("new", Some("7")), topic("orders", Some("2"))]), Some("orders"));
        }
        assert_eq!(pins.other(&[topic("new", Some("8"))]), Some("new"));
        pins.expect_topics(&[topic("orders", Some("2"))]);
        assert_eq!(pins.other(&[topic("orders", Some("2"))]), None);
    }
}
