//! Finished segments of chains, kept so that a run that was ended can be gone on with.
//!
//! Every batch of segments is a document of its own, which names the one before it by its checksum: what an
//! earlier attempt left behind is never taken for a continuation.

use paritas_logs::content::{Chain, Of, Segment};
use paritas_state::Work;
use paritas_verify::logs::{ChainOf, Ledger};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Batches of one chain that are read, at most.
const BATCHES_MAX: usize = 1_000_000;

/// The chains of one link.
#[derive(Debug)]
pub(crate) struct Chains {
    work: Work,
    link: String,
    /// What is written of each chain: where each batch ends, and its checksum.
    written: Mutex<BTreeMap<String, Vec<(usize, String)>>>,
}

/// Some segments of a chain.
#[derive(Serialize, Deserialize)]
struct Batch {
    /// What the chain is of.
    what: String,
    /// The offset at which the chain begins.
    from: u64,
    /// Checksum of the batch before; empty for the first.
    after: String,
    segments: Vec<Segment>,
}

impl Chains {
    pub(crate) fn new(work: Work, link: &str) -> Self {
        Self { work, link: link.to_owned(), written: Mutex::default() }
    }

    fn written(&self) -> MutexGuard<'_, BTreeMap<String, Vec<(usize, String)>>> {
        // What is listed there was written before, whatever happened since.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batch(&self, dataset: &str, index: usize) -> Option<(Batch, String)> {
        let json = self.work.kept(&self.link, dataset, &index.to_string())?;
        let sum = blake3::hash(&json).to_hex().to_string();
        Some((serde_json::from_slice(&json).ok()?, sum))
    }
}

/// A folder for the chain of a side and partition.
fn dataset(what: &ChainOf) -> String {
    let side = match what.of {
        Of::Source => "source",
        Of::Replica => "replica",
    };
    format!("{side} {}", what.partition)
}

/// Tells chains from those of another log of the same name, or made with other terms.
fn checksum(what: &ChainOf) -> String {
    blake3::hash(format!("{what:?}").as_bytes()).to_hex().to_string()
}

impl Ledger for Chains {
    fn finished(&self, what: &ChainOf) -> Option<Chain> {
        let (dataset, own) = (dataset(what), checksum(what));
        let mut chain: Option<Chain> = None;
        let mut written: Vec<(usize, String)> = Vec::new();
        for _ in 0..BATCHES_MAX {
            let (index, after) = written.last().map_or((0, ""), |(end, sum)| (*end, sum.as_str()));
            let Some((batch, sum)) = self.batch(&dataset, index) else { break };
            let from = chain.as_ref().map_or(batch.from, |chain| chain.from);
            let Some(last) = batch.segments.last().map(|segment| segment.last) else { break };
            if batch.what != own || batch.after != after || batch.from != from {
                break;
            }
            let chain = chain.get_or_insert_with(|| Chain::new(what.terms.clone(), batch.from));
            chain.segments.extend(batch.segments);
            chain.next = last.saturating_add(1);
            written.push((chain.segments.len(), sum));
        }
        self.written().insert(dataset, written);
        chain
    }

    fn keep(&self, what: &ChainOf, from: u64, index: usize, segments: &[Segment]) {
        let dataset = dataset(what);
        let mut all = self.written();
        let written = all.entry(dataset.clone()).or_default();
        while written.last().is_some_and(|(end, _)| *end > index) {
            written.pop();
        }
        let (end, after) = written.last().map_or((0, String::new()), |(end, sum)| (*end, sum.clone()));
        if end != index || segments.is_empty() {
            return;
        }
        let batch = Batch { what: checksum(what), from, after, segments: segments.to_vec() };
        let kept = serde_json::to_vec(&batch).map_err(|error| error.to_string()).and_then(|json| {
            self.work.keep(&self.link, &dataset, &index.to_string(), &json).map_err(|error| error.to_string())
        });
        match kept {
            // Read again: what is on the disk is what a later run will see.
            Ok(()) => {
                if let Some((_, sum)) = self.batch(&dataset, index) {
                    written.push((index + segments.len(), sum));
                }
            }
            Err(error) => tracing::warn!(partition = %what.partition, "finished segments could not be kept: {error}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_connect::logs::Partition;
    use paritas_digest::DigestKey;
    use paritas_logs::content::{CHAIN_VERSION, Id, Terms, Timestamps};
    use paritas_state::{State, Which};
    use ulid::Ulid;

    fn what(log_id: &str) -> ChainOf {
        let key_id = DigestKey::unkeyed().id();
        let terms = Terms { version: CHAIN_VERSION, log: "orders".into(), timestamps: Timestamps::Compare, key_id };
        ChainOf { of: Of::Source, partition: Partition::new("orders", 0), log_id: Some(log_id.into()), terms }
    }

    fn segments(from: u64, count: u64) -> Vec<Segment> {
        let one = |n: u64| Segment {
            records: 10,
            first: n * 10,
            last: n * 10 + 9,
            bytes: 1,
            ordered: Id::default(),
            sum: Id::default(),
            times: None,
        };
        (from..from + count).map(one).collect()
    }

    #[test]
    fn a_chain_goes_on_where_another_run_ended_and_nothing_stale_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let open = || Chains::new(state.load_work(Which::Last).unwrap().0, "trading");
        state.begin_work(Ulid::from_parts(1, 1), b"{\"n\":1}").unwrap();
        let first = open();
        assert_eq!(first.finished(&what("a")), None);
        first.keep(&what("a"), 0, 0, &segments(0, 3));
        first.keep(&what("a"), 0, 3, &segments(3, 2));
        first.keep(&what("a"), 0, 5, &segments(5, 1));
        let chain = open().finished(&what("a")).unwrap();
        assert_eq!((chain.segments.len(), chain.from, chain.next, chain.tail), (6, 0, 60, None));
        // Another log under the same name has nothing in common with it.
        assert_eq!(open().finished(&what("b")), None);
        // What is replaced takes everything behind it along.
        let second = open();
        second.finished(&what("a")).unwrap();
        second.keep(&what("a"), 0, 3, &segments(7, 2));
        assert_eq!(open().finished(&what("a")).unwrap().segments.len(), 5);
        // A gap is never kept.
        second.keep(&what("a"), 0, 9, &segments(9, 1));
        assert_eq!(open().finished(&what("a")).unwrap().segments.len(), 5);
    }
}
