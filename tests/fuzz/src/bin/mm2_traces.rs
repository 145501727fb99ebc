//! Records of MirrorMaker's own topics with any bytes in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_connect_kafka::mm2::{Collector, topic_kind};

const TOPICS: [&str; 7] = [
    "mm2-offset-syncs.B.internal",
    "mm2-offset-syncs_A_internal",
    "A.checkpoints.internal",
    "heartbeats",
    "A.heartbeats",
    "mm2-offsets.A.internal",
    "mm2-status.A.internal",
];

/// A part of the input with its length before it; nothing at 255.
fn part<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = data.split_first()?;
    let (part, rest) = rest.split_at(usize::from(*length).min(rest.len()));
    *data = rest;
    (*length < 255).then_some(part)
}

// An input is a list of records: the topic, the lengths and bytes of key and value, and whether there is a time. The
// last part is taken for the name of a topic as well.
fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let mut collector = Collector::new();
    let mut records = 0;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let topic = TOPICS[usize::from(first & 7) % TOPICS.len()];
        let (key, value) = (part(&mut rest), part(&mut rest));
        let time = (first & 8 != 0).then_some(i64::from(*first));
        collector.take(topic, key, value, time);
        if let Some(name) = value.and_then(|value| std::str::from_utf8(value).ok()) {
            let _ = topic_kind(name);
            collector.take(name, key, value, time);
            records += 1;
        }
        records += 1;
    }
    let traces = collector.finish();
    let kept = traces.syncs.len() + traces.checkpoints.len() + traces.heartbeats.len() + traces.copied.len();
    assert!(kept <= records);
    assert!(traces.limits.iter().all(|limit| !limit.is_empty()));
});
