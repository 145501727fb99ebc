//! Records of Avro as rows: any bytes under a schema with every type, and any schema.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_connect_kafka::rows::RowOptions;
use paritas_fuzz::{expected, place, read_rows, runtime, topic_rows};

const SCHEMA: &str = include_str!("../../../../fixtures/kafka/fill.avsc");

// The first byte says whether a schema comes first, up to a zero byte; what follows is one value.
fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let (schema, value) = match first & 1 {
        0 => (SCHEMA.as_bytes(), rest),
        _ => {
            let at = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            (&rest[..at], rest.get(at + 1..).unwrap_or_default())
        }
    };
    let path = place("schema.avsc");
    std::fs::write(&path, schema).expect("write the schema");
    let prefix = if first & 2 == 0 { "none" } else { "confluent" };
    let path = path.to_string_lossy();
    let options = RowOptions::from_pairs([("format", "avro"), ("schema", &*path), ("prefix", prefix)]);
    let records = vec![(None, Some(value.to_vec()))];
    let read = options.and_then(|options| topic_rows(records, options));
    if let Err(error) = read.and_then(|store| runtime().block_on(read_rows(&store))) {
        expected(&error);
    }
});
