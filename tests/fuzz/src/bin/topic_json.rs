//! Records of JSON as rows, with columns that are found out, and declared by any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_connect_kafka::rows::RowOptions;
use paritas_fuzz::{Pairs, expected, read_rows, runtime, topic_rows};

const FIELDS: [&str; 4] = [
    "a:int64,b:decimal(38,10),c:text,d:json,e:timestamp(ms, UTC),f:bytes,g:uuid,h:date",
    "a:float64,b:decimal,c:bool,d:uint8,e:time(ns),f:timestamptz,g:decimal(60,20),h:float32",
    "a,b,c,d,e,f,g,h",
    "",
];

// The first byte chooses options, the first line is a declaration of columns, and the others are records.
fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let mut lines = rest.split(|byte| *byte == b'\n');
    let declared = lines.next().map(String::from_utf8_lossy).unwrap_or_default();
    let records: Pairs = lines
        .map(|line| {
            // A key ends at the first tab.
            let at = line.iter().position(|byte| *byte == b'\t');
            let (key, value) = at.map_or((None, line), |at| (line.get(..at), line.get(at + 1..).unwrap_or_default()));
            (key.map(<[u8]>::to_vec), (!value.is_empty()).then(|| value.to_vec()))
        })
        .collect();
    let fields = FIELDS[usize::from(first & 3)];
    let mut options = vec![("format", "json")];
    match (first & 4 != 0, fields) {
        (true, _) => options.push(("fields", &declared)),
        (false, "") => {}
        (false, fields) => options.push(("fields", fields)),
    }
    if first & 8 != 0 {
        options.push(("latest", "key"));
    }
    match first >> 4 & 7 {
        1 => options.push(("key_fields", "k:int64")),
        2 => options.extend([("key_fields", "k"), ("key_format", "json")]),
        3 => options.push(("key_fields", "k:text,l:int8")),
        4 => options.extend([("key_fields", "k:int64"), ("key_format", "integer")]),
        5 => options.push(("inside", "a.b")),
        6 => options.push(("prefix", "confluent")),
        _ => {}
    }
    let read = RowOptions::from_pairs(options).and_then(|options| topic_rows(records, options));
    if let Err(error) = read.and_then(|store| runtime().block_on(read_rows(&store))) {
        expected(&error);
    }
});
