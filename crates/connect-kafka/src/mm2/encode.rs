//! Records as MirrorMaker 2 writes them, for tests of what reads them.

use paritas_connect::logs::Partition;

fn text(out: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

fn place(out: &mut Vec<u8>, partition: &Partition) {
    text(out, &partition.log);
    out.extend(partition.index.to_be_bytes());
}

pub(super) fn sync(partition: &Partition, upstream: i64, downstream: i64) -> (Vec<u8>, Vec<u8>) {
    let mut key = Vec::new();
    place(&mut key, partition);
    (key, [upstream.to_be_bytes(), downstream.to_be_bytes()].concat())
}

pub(super) fn checkpoint(group: &str, at: &Partition, up: i64, down: i64, metadata: &str) -> (Vec<u8>, Vec<u8>) {
    let mut key = Vec::new();
    text(&mut key, group);
    place(&mut key, at);
    let mut value = vec![0, 0];
    value.extend(up.to_be_bytes());
    value.extend(down.to_be_bytes());
    text(&mut value, metadata);
    (key, value)
}

pub(super) fn heartbeat(source: &str, target: &str, sent: i64) -> (Vec<u8>, Vec<u8>) {
    let mut key = Vec::new();
    text(&mut key, source);
    text(&mut key, target);
    let mut value = vec![0, 0];
    value.extend(sent.to_be_bytes());
    (key, value)
}

/// With the names in the key in this order.
pub(super) fn copied(order: [&str; 3], cluster: &str, partition: &Partition, last: u64) -> (Vec<u8>, Vec<u8>) {
    let member = |name: &str| match name {
        "cluster" => format!("\"cluster\":{}", serde_json::Value::from(cluster)),
        "partition" => format!("\"partition\":{}", partition.index),
        _ => format!("\"topic\":\"{}\"", partition.log),
    };
    let members = order.map(member).join(",");
    let key = format!("[\"MirrorSourceConnector\",{{{members}}}]");
    (key.into_bytes(), format!("{{\"offset\":{last}}}").into_bytes())
}
