//! What mirroring tools have left: their topics are read once, and from then on what is new in them.

use crate::mm2::{self, Collector};
use paritas_connect::logs::{Isolation, Logs, Partition, Range, RecordSink, Records, Traces, Want};
use paritas_connect::{Context, Error, FailureKind, Result};
use paritas_model::Known;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// After this long without a look, everything is read again: the end of a subject may have come and gone meanwhile.
const KEPT_MAX: Duration = Duration::from_secs(3_600);

/// What was collected so far.
#[derive(Debug, Clone)]
pub(crate) struct Collected {
    collector: Collector,
    /// For each partition that was read the offset that comes next, and the id of its topic.
    read: BTreeMap<Partition, (Option<String>, u64)>,
    looked: Instant,
}

impl Collected {
    fn new() -> Self {
        Self { collector: Collector::new(), read: BTreeMap::new(), looked: Instant::now() }
    }
}

/// Looks for topics of MirrorMaker 2, and reads what is new in them. `kept` is what the last look left.
pub(crate) async fn traces(logs: &dyn Logs, cx: &Context, kept: &mut Option<Collected>) -> Result<Traces> {
    let survey = logs.survey(cx).await?;
    let mut limits = Vec::new();
    let mut topics: Vec<(Partition, Option<String>)> = Vec::new();
    let mut names = Vec::new();
    for log in &survey.logs {
        let Some(kind) = mm2::topic_kind(&log.name) else { continue };
        names.push(log.name.as_str());
        if kind.has_traces() {
            let id = log.id.value().cloned();
            let place = |state: &paritas_connect::logs::PartitionState| Partition::new(log.name.clone(), state.index);
            topics.extend(log.partitions.iter().map(|state| (place(state), id.clone())));
        }
    }
    let same = |(partition, (id, _)): (&Partition, &(Option<String>, u64))| {
        topics.iter().any(|(now, id_now)| now == partition && id_now == id)
    };
    let fresh = |old: &&Collected| old.looked.elapsed() < KEPT_MAX && old.read.iter().all(same);
    let mut collected = kept.as_ref().filter(fresh).cloned().unwrap_or_else(Collected::new);
    names.into_iter().for_each(|name| collected.collector.note(name));
    let partitions: Vec<Partition> = topics.iter().map(|(partition, _)| partition.clone()).collect();
    for (ends, (partition, id)) in logs.ends(cx, &partitions).await?.into_iter().zip(topics) {
        let ends = match ends {
            Known::Known(ends) => ends,
            Known::Unknown { why } => {
                limits.push(format!("{partition} holds traces of a mirror and cannot be read: {why}"));
                continue;
            }
        };
        let next = collected.read.get(&partition).map_or(0, |(_, next)| *next);
        let from = next.max(ends.start);
        if ends.stable < next {
            // The log is shorter than it was: what was collected is of another history.
            *kept = None;
            return Err(Error::new(FailureKind::Transient, "data.changed", format!("{partition} has lost its end"))
                .hint("ask again"));
        }
        let range = Range { partition: partition.clone(), from, to: ends.stable, isolation: Isolation::Committed };
        let mut sink = Sink { collector: &mut collected.collector, topic: &partition.log };
        match logs.read(cx, std::slice::from_ref(&range), &mut sink).await {
            Ok(_) => {
                collected.read.insert(partition, (id, ends.stable));
            }
            Err(error) if error.kind() == FailureKind::Denied => {
                let hint = error.hint_text().map(|hint| format!(": {hint}")).unwrap_or_default();
                limits.push(format!("{partition} holds traces of a mirror and may not be read{hint}"));
            }
            Err(error) => return Err(error.context("look for traces of mirrors")),
        }
    }
    collected.looked = Instant::now();
    let mut traces = collected.collector.clone().finish();
    traces.limits.append(&mut limits);
    *kept = Some(collected);
    Ok(traces)
}

/// Gives records to the collector.
struct Sink<'a> {
    collector: &'a mut Collector,
    topic: &'a str,
}

impl RecordSink for Sink<'_> {
    fn accept(&mut self, _: usize, records: &dyn Records) -> Result<Want> {
        for record in (0..records.len()).filter_map(|index| records.get(index)) {
            self.collector.take(self.topic, record.key, record.value, record.timestamp);
        }
        Ok(Want::More)
    }
}
