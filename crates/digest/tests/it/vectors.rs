//! Test vectors for other readers of the format: `fixtures/digest/vectors.json`, described in
//! `docs/digest-format.md`. Written anew when `PARITAS_BLESS` is set.

use arrow_array::builder::{FixedSizeBinaryBuilder, Int32Builder, ListBuilder};
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{IntervalMonthDayNano, i256};
use arrow_schema::{DataType, Field, Schema};
use paritas_digest::{
    Block, Canon, CanonColumn, CanonKind, Capacity, Digest, DigestKey, Digester, Encoder, FoundKey, HeaderFacts,
    ImagePolicy, Policies, RowBlock, Slot, Spec, beyond_slot, self_test, trace,
};
use paritas_model::{Known, LogicalType, SchemaFingerprint, TimeUnit};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vector(name: &str, canon: &Canon, block: &Block, rows: &[Value]) -> Value {
    let spec = Spec::new(&DigestKey::from_bytes([0x2A; 32]), "vectors", canon.clone()).unwrap();
    let traces = trace(&spec, block, Capacity::MIN).unwrap();
    let rows: Vec<Value> = rows
        .iter()
        .zip(traces)
        .map(|(row, trace)| {
            let (kind, key) = match &trace.key {
                FoundKey::Inline(bytes) => ("inline", hex(bytes)),
                FoundKey::Fingerprint(bytes) => ("fingerprint", hex(bytes)),
            };
            json!({
                "row": row, "image": hex(&trace.image), "row_hash": hex(&trace.row_hash),
                "place": format!("{:016x}", trace.place), "key": { kind: key },
                "bucket": trace.bucket, "main": trace.main, "mop_up": trace.mop_up,
            })
        })
        .collect();
    let mut digester = Digester::new(Arc::clone(&spec), Capacity::MIN);
    digester.add(block).unwrap();
    let position = Known::unknown("a test vector");
    let facts = HeaderFacts { schema: SchemaFingerprint([0; 32]), position, store: "vectors".into() };
    let digest = Digest::taken_at(&spec, facts, digester.finish(), "2026-01-05T09:00:00Z".into());
    json!({
        "name": name, "header": digest.header, "rows": rows,
        "root": hex(&digest.root().unwrap()), "blind_root": hex(&digest.blind().root().unwrap()),
    })
}

fn wire(name: &str, width: Option<u32>, key_columns: usize, rows: &[(&[u8], Option<&[u8]>)]) -> Value {
    let column = |name: &str, fixed_width| {
        let slot = Slot::Wire { type_name: "bytes".into(), fixed_width, nullable: fixed_width.is_none() };
        CanonColumn { name: name.into(), slot }
    };
    let kind = CanonKind::Wire { engine: "example".into() };
    let columns = vec![column("id", width), column("text", None)];
    let canon = Canon { kind, columns, key_columns, policies: Policies::default() };
    let mut block = RowBlock::default();
    let mut shown = Vec::new();
    for (id, text) in rows {
        let mut image = Vec::new();
        for field in [Some(*id), *text] {
            let length = field.map_or(-1, |bytes| bytes.len() as i32);
            image.extend_from_slice(&length.to_be_bytes());
            image.extend_from_slice(field.unwrap_or_default());
        }
        let key = match (key_columns, width) {
            (0, _) => Vec::new(),
            (_, Some(_)) => id.to_vec(),
            (_, None) => [&(id.len() as i32).to_be_bytes(), *id].concat(),
        };
        block.push(&image, &key);
        shown.push(json!({ "fields": [hex(id), text.map(hex)], "key": hex(&key) }));
    }
    vector(name, &canon, &Block::Wire(block), &shown)
}

/// Three rows with a column for every slot: ordinary values, extreme ones, NULLs (but in the key).
fn all_slots(first: ArrayRef) -> Vec<(Slot, ArrayRef)> {
    let mut uuids = FixedSizeBinaryBuilder::new(16);
    uuids.append_value([0x11; 16]).unwrap();
    uuids.append_value([0xFF; 16]).unwrap();
    uuids.append_null();
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None, Some(-3)]);
    lists.append_value([]);
    lists.append_null();
    let long = "a value of more than thirty-one bytes is hashed";
    let decimal =
        |values: [Option<i128>; 3]| Decimal128Array::from(values.to_vec()).with_precision_and_scale(20, 2).unwrap();
    let wide = [Some(i256::from_i128(12_345)), Some(i256::from_parts(u128::MAX, 1)), None];
    let interval = IntervalMonthDayNano { months: 14, days: -3, nanoseconds: 5_000_000_000 };
    let text = |values: [Option<&str>; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let list = LogicalType::List(Box::new(LogicalType::Int { bits: 64, signed: true }));
    let at = |unit| Slot::Timestamp { unit, zoned: true };
    let instants = [Some(1_767_603_600_000_000), Some(-1), None];
    vec![
        (Slot::Int, first),
        (Slot::Bool, Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        (Slot::BigInt, Arc::new(UInt64Array::from(vec![Some(7), Some(u64::MAX), None]))),
        (Slot::Decimal { scale: 4 }, Arc::new(decimal([Some(1_050), Some(-1), None]))),
        (
            Slot::WideDecimal { scale: 2 },
            Arc::new(Decimal256Array::from(wide.to_vec()).with_precision_and_scale(76, 2).unwrap()),
        ),
        (Slot::DecimalAny, text([Some("0012.500"), Some("-Infinity"), None])),
        (Slot::DecimalExact, text([Some("0012.500"), Some("123456789012345678901234567890.5"), None])),
        (Slot::Float, Arc::new(Float64Array::from(vec![Some(1.5), Some(-0.0), None]))),
        (Slot::Text, text([Some("fifteen bytes.."), Some(long), None])),
        (Slot::Bytes, Arc::new(BinaryArray::from(vec![Some(b"".as_slice()), Some(b"sixteen bytes..."), None]))),
        (Slot::Uuid, Arc::new(uuids.finish())),
        (Slot::Date, Arc::new(Date32Array::from(vec![Some(20_458), Some(-1), None]))),
        (Slot::Time(TimeUnit::Micro), Arc::new(Time32SecondArray::from(vec![Some(86_399), Some(0), None]))),
        (at(TimeUnit::Micro), Arc::new(TimestampMicrosecondArray::from(instants.to_vec()).with_timezone("UTC"))),
        (at(TimeUnit::Nano), Arc::new(TimestampMicrosecondArray::from(instants.to_vec()).with_timezone("UTC"))),
        (Slot::Duration(TimeUnit::Milli), Arc::new(DurationSecondArray::from(vec![Some(60), Some(-60), None]))),
        (
            Slot::Interval,
            Arc::new(PrimitiveArray::<IntervalMonthDayNanoType>::from(vec![
                Some(interval),
                Some(IntervalMonthDayNano::ZERO),
                None,
            ])),
        ),
        (Slot::Json, text([Some(r#"{"b":1}"#), Some("[]"), None])),
        (Slot::Nested(list), Arc::new(lists.finish())),
        (Slot::Float32, Arc::new(Float32Array::from(vec![Some(0.1), Some(-0.0), None]))),
    ]
}

fn logical(name: &str, image: ImagePolicy, key_columns: usize, first: ArrayRef) -> Value {
    let (slots, columns): (Vec<Slot>, Vec<ArrayRef>) = all_slots(first).into_iter().unzip();
    let named = |(i, slot)| CanonColumn { name: format!("c{i:02}"), slot };
    let canon = Canon {
        kind: CanonKind::Logical,
        columns: slots.into_iter().enumerate().map(named).collect(),
        key_columns,
        policies: Policies { image, ..Policies::default() },
    };
    let named = canon.columns.iter().map(|column| column.name.clone()).zip(columns);
    let batch = RecordBatch::try_from_iter_with_nullable(named.map(|(name, array)| (name, array, true))).unwrap();
    let encoder = Encoder::new(&canon, &batch.schema()).unwrap();
    let shown: Vec<Value> = (0..batch.num_rows())
        .map(|row| {
            let field = |column| encoder.field(&batch, row, column).unwrap().map(|bytes| hex(&bytes));
            let fields: Vec<_> = (0..canon.columns.len()).map(field).collect();
            json!({ "fields": fields, "key": hex(&encoder.key(&batch, row).unwrap()) })
        })
        .collect();
    vector(name, &canon, &Block::Arrow(batch), &shown)
}

/// A key and a number at a scale of 2, of which one or the other is a text beyond its slot.
fn beyond(name: &str, key_columns: usize, key: &str, value: Option<&str>) -> Value {
    let column = |name: &str, slot| CanonColumn { name: name.into(), slot };
    let canon = Canon {
        kind: CanonKind::Logical,
        columns: vec![column("id", Slot::Int), column("value", Slot::Decimal { scale: 2 })],
        key_columns,
        policies: Policies::default(),
    };
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringViewArray::from(vec![value])) };
    let (id, id_array): (Field, ArrayRef) = match key.parse::<i64>() {
        Ok(id) => (Field::new("id", DataType::Int64, true), Arc::new(Int64Array::from(vec![id]))),
        Err(_) => (beyond_slot("id"), text(Some(key))),
    };
    let schema = Arc::new(Schema::new(vec![id, beyond_slot("value")]));
    let batch = RecordBatch::try_new(schema, vec![id_array, text(value)]).unwrap();
    let encoder = Encoder::new(&canon, &batch.schema()).unwrap();
    let fields: Vec<_> =
        (0..2).map(|column| encoder.field(&batch, 0, column).unwrap().map(|bytes| hex(&bytes))).collect();
    let row = json!({ "fields": fields, "beyond": [key.parse::<i64>().is_err(), value.is_some()], "key": hex(&encoder.key(&batch, 0).unwrap()) });
    vector(name, &canon, &Block::Arrow(batch), &[row])
}

fn vectors() -> Value {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(i64::MIN), Some(3)]));
    let with_null: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(255), None]));
    let long = [b'x'; 1_500];
    let rows: [(&[u8], Option<&[u8]>); 4] = [
        (b"\0\0\0\0\0\0\0\x01", Some(b"a")),
        (b"\0\0\0\0\0\0\0\x02", None),
        (b"\0\0\0\0\0\0\0\x03", Some(b"")),
        (b"\0\0\0\0\0\0\0\x04", Some(&long)),
    ];
    let uuids: [(&[u8], Option<&[u8]>); 2] = [(&[0x11; 16], Some(b"a")), (&[0xFF; 16], None)];
    json!([
        wire("wire, key of 8 bytes", Some(8), 1, &rows),
        wire("wire, key of 16 bytes", Some(16), 1, &uuids),
        wire("wire, key of any length", None, 1, &rows),
        wire("wire, no key", Some(8), 0, &[rows[0], rows[0], rows[1]]),
        logical("logical, key of 8 bytes", ImagePolicy::Compact, 1, numbers.clone()),
        logical("logical, key of 8 bytes with a NULL", ImagePolicy::Compact, 1, with_null),
        logical("logical, wide image, key of 9 bytes with a NULL", ImagePolicy::Wide, 2, numbers.clone()),
        logical("logical, key of many columns", ImagePolicy::Compact, 9, numbers.clone()),
        logical("logical, no key", ImagePolicy::Compact, 0, numbers),
        beyond("logical, a value beyond its slot", 1, "1", Some("1.005")),
        beyond("logical, a key and a value beyond their slots", 1, "1.5", Some("1.005")),
        beyond("logical, no key, a value beyond its slot, and a NULL", 0, "1.5", None),
    ])
}

#[test]
fn the_published_vectors_still_hold() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/digest/vectors.json");
    let now = format!("{}\n", serde_json::to_string_pretty(&vectors()).unwrap());
    if std::env::var_os("PARITAS_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(published == now, "the format changed: {} no longer holds", path.display());
}

#[test]
fn the_self_test_passes() {
    self_test().unwrap();
}
