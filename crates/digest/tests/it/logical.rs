//! Arrow batches: the same values in other physical types give the same digest, other values never.

use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, Int32Builder, ListBuilder, MapBuilder, StringBuilder,
    StringDictionaryBuilder,
};
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{OffsetBuffer, ScalarBuffer, i256};
use arrow_cast::cast;
use arrow_schema::{DataType, Field as ArrowField, Fields, Schema, TimeUnit as ArrowUnit};
use paritas_digest::{
    Block, Canon, CanonColumn, CanonKind, Capacity, DigestError, DigestKey, Digester, Encoder, FloatPolicy, FoundKey,
    ImagePolicy, JsonPolicy, KeyForm, Locator, Policies, Slot, Spec, Sums, decode,
};
use paritas_model::{Field, LogicalType as L, TimeUnit};
use proptest::prelude::*;
use rstest::rstest;
use std::sync::Arc;

fn canon(slots: &[Slot], key_columns: usize, policies: Policies) -> Canon {
    let columns = slots.iter().enumerate().map(|(i, slot)| CanonColumn { name: format!("c{i}"), slot: slot.clone() });
    Canon { kind: CanonKind::Logical, columns: columns.collect(), key_columns, policies }
}

fn spec(canon: &Canon) -> Arc<Spec> {
    Spec::new(&DigestKey::unkeyed(), "arrow", canon.clone()).unwrap()
}

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<ArrowField> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| ArrowField::new(format!("c{i}"), column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn try_sums(canon: &Canon, batch: &RecordBatch) -> Result<Sums, DigestError> {
    let mut digester = Digester::new(spec(canon), Capacity::MIN);
    digester.add(&Block::Arrow(batch.clone()))?;
    Ok(digester.finish())
}

fn sums(canon: &Canon, batch: &RecordBatch) -> Sums {
    try_sums(canon, batch).unwrap()
}

fn one(slot: Slot, array: ArrayRef) -> Result<Sums, DigestError> {
    try_sums(&canon(&[slot], 0, Policies::default()), &batch(vec![array]))
}

/// Values of all kinds, from which batches in several physical types are made.
#[derive(Debug, Clone)]
struct Values {
    small: Vec<Option<i8>>,
    text: Vec<Option<String>>,
    bytes: Vec<Option<Vec<u8>>>,
    flag: Vec<Option<bool>>,
    cents: Vec<Option<i32>>,
    seconds: Vec<Option<i32>>,
}

const SLOTS: [Slot; 9] = [
    Slot::Int,
    Slot::Text,
    Slot::Bytes,
    Slot::Bool,
    Slot::Decimal { scale: 2 },
    Slot::Timestamp { unit: TimeUnit::Micro, zoned: true },
    Slot::BigInt,
    Slot::DecimalAny,
    Slot::WideDecimal { scale: 4 },
];

impl Values {
    fn plain(&self) -> Vec<ArrayRef> {
        let cents = Decimal128Array::from_iter(self.cents.iter().map(|v| v.map(i128::from)));
        let cents: ArrayRef = Arc::new(cents.with_precision_and_scale(20, 2).unwrap());
        let seconds = TimestampSecondArray::from_iter(self.seconds.iter().map(|v| v.map(i64::from)));
        let seconds: ArrayRef = Arc::new(seconds.with_timezone("UTC"));
        vec![
            Arc::new(Int64Array::from_iter(self.small.iter().map(|v| v.map(i64::from)))),
            Arc::new(StringArray::from_iter(self.text.clone())),
            Arc::new(BinaryArray::from_iter(self.bytes.clone())),
            Arc::new(BooleanArray::from_iter(self.flag.clone())),
            Arc::clone(&cents),
            seconds,
            Arc::new(Int32Array::from_iter(self.small.iter().map(|v| v.map(i32::from)))),
            Arc::clone(&cents),
            cents,
        ]
    }

    /// The same values, each column in the `variant`-th of its other physical types.
    fn other(&self, variant: usize) -> Vec<ArrayRef> {
        let dictionary = |key: DataType, value: DataType| DataType::Dictionary(Box::new(key), Box::new(value));
        let unit = |unit| DataType::Timestamp(unit, None);
        let types: [Vec<DataType>; 9] = [
            vec![DataType::Int8, DataType::Int16, dictionary(DataType::Int8, DataType::Int32)],
            vec![DataType::Utf8View, DataType::LargeUtf8, dictionary(DataType::UInt16, DataType::Utf8)],
            vec![DataType::BinaryView, DataType::LargeBinary, dictionary(DataType::Int32, DataType::Binary)],
            vec![DataType::Boolean],
            vec![DataType::Decimal256(40, 2), DataType::Decimal128(38, 10), DataType::Decimal64(18, 2)],
            vec![unit(ArrowUnit::Microsecond), unit(ArrowUnit::Millisecond), unit(ArrowUnit::Nanosecond)],
            vec![DataType::Int64, DataType::Int8, dictionary(DataType::UInt8, DataType::Int64)],
            vec![DataType::Decimal128(38, 7), DataType::Decimal256(60, 3), DataType::Utf8],
            vec![DataType::Decimal128(38, 7), DataType::Decimal256(60, 3), DataType::Decimal256(76, 30)],
        ];
        let plain = self.plain();
        plain.iter().zip(types).map(|(array, types)| cast(array, &types[variant % types.len()]).unwrap()).collect()
    }
}

fn values() -> impl Strategy<Value = Values> {
    let text = || prop::option::weighted(0.9, "[a-zé]{0,40}");
    let row = (
        prop::option::weighted(0.9, any::<i8>()),
        text(),
        prop::option::weighted(0.9, prop::collection::vec(any::<u8>(), 0..40)),
        any::<Option<bool>>(),
        prop::option::weighted(0.9, any::<i32>()),
        prop::option::weighted(0.9, any::<i32>()),
    );
    prop::collection::vec(row, 1..30).prop_map(|rows| {
        let mut values =
            Values { small: vec![], text: vec![], bytes: vec![], flag: vec![], cents: vec![], seconds: vec![] };
        for (small, text, bytes, flag, cents, seconds) in rows {
            values.small.push(small);
            values.text.push(text);
            values.bytes.push(bytes);
            values.flag.push(flag);
            values.cents.push(cents);
            values.seconds.push(seconds);
        }
        values
    })
}

fn run_ends(array: &ArrayRef) -> ArrayRef {
    let ends = Int32Array::from_iter_values(1..=array.len() as i32);
    Arc::new(RunArray::try_new(&ends, array.as_ref()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn physical_types_do_not_matter(values in values(), variant in 0..3_usize, key in 0..3_usize, wide: bool) {
        let image = if wide { ImagePolicy::Wide } else { ImagePolicy::Compact };
        let canon = canon(&SLOTS, key, Policies { image, ..Policies::default() });
        let plain = batch(values.plain());
        let expected = sums(&canon, &plain);
        prop_assert_eq!(&sums(&canon, &batch(values.other(variant))), &expected);
        prop_assert_eq!(&sums(&canon, &batch(values.plain().iter().map(run_ends).collect())), &expected);
    }

    #[test]
    fn slices_are_read_where_they_lie(values in values(), variant in 0..4_usize, cut in 0..30_usize) {
        let canon = canon(&SLOTS, 1, Policies::default());
        let columns = match variant {
            3 => values.plain().iter().map(run_ends).collect(),
            _ => values.other(variant),
        };
        let whole = batch(columns);
        let cut = cut.min(whole.num_rows());
        let mut parts = sums(&canon, &whole.slice(0, cut));
        parts.merge(&sums(&canon, &whole.slice(cut, whole.num_rows() - cut))).unwrap();
        prop_assert_eq!(parts, sums(&canon, &whole));
    }

    #[test]
    fn rows_have_equal_images_exactly_when_all_their_values_are_equal(values in values(), wide: bool) {
        let image = if wide { ImagePolicy::Wide } else { ImagePolicy::Compact };
        let canon = canon(&SLOTS, 0, Policies { image, ..Policies::default() });
        let batch = batch(values.plain());
        let encoder = Encoder::new(&canon, &batch.schema()).unwrap();
        let fields = |row| (0..SLOTS.len()).map(|c| encoder.field(&batch, row, c).unwrap()).collect::<Vec<_>>();
        let first = sums(&canon, &batch.slice(0, 1));
        for row in 0..batch.num_rows() {
            prop_assert_eq!(sums(&canon, &batch.slice(row, 1)) == first, fields(row) == fields(0));
        }
    }

    #[test]
    fn keys_of_any_kind_are_found_again(values in values(), key in 1..4_usize) {
        let canon = canon(&SLOTS, key, Policies::default());
        let (spec, batch) = (spec(&canon), batch(values.plain()));
        let encoder = Encoder::new(&canon, &batch.schema()).unwrap();
        let decoded = decode(&spec, &sums(&canon, &batch));
        prop_assert!(decoded.complete);
        let mut keys: Vec<Vec<u8>> = (0..batch.num_rows()).map(|row| encoder.key(&batch, row).unwrap()).collect();
        let locator = Locator::new(spec.clone(), decoded.found.iter().map(|found| &found.key));
        let matches = locator.matches(&Block::Arrow(batch.clone())).unwrap();
        prop_assert_eq!(matches.len(), batch.num_rows());
        for (row, found) in &matches {
            if let FoundKey::Inline(bytes) = found {
                prop_assert_eq!(bytes, &keys[*row]);
            }
        }
        keys.sort();
        keys.dedup();
        prop_assert_eq!(decoded.found.len(), keys.len());
    }
}

/// Every pair of these rows differs, in ways that careless encodings miss.
#[test]
fn values_that_look_alike_differ() {
    let text = canon(&[Slot::Text, Slot::Text], 0, Policies::default());
    let rows: Vec<(Option<String>, Option<String>)> = vec![
        (Some("a".into()), Some("bc".into())),
        (Some("ab".into()), Some("c".into())),
        (None, Some(String::new())),
        (Some(String::new()), None),
        (None, None),
        (Some(String::new()), Some(String::new())),
        (Some("\0".into()), Some(String::new())),
        (Some("x".repeat(15)), None),
        (Some("x".repeat(16)), None),
        (Some("x".repeat(17)), None),
        (Some("x".repeat(16) + "\0"), None),
        (Some("x".repeat(56)), None),
        (Some("x".repeat(57)), None),
        (Some("e\u{301}".into()), None),
        (Some("\u{e9}".into()), None),
    ];
    for policies in [ImagePolicy::Compact, ImagePolicy::Wide] {
        let canon = Canon { policies: Policies { image: policies, ..Policies::default() }, ..text.clone() };
        let all: Vec<Sums> = rows
            .iter()
            .map(|(a, b)| {
                let columns: Vec<ArrayRef> =
                    vec![Arc::new(StringArray::from(vec![a.clone()])), Arc::new(StringArray::from(vec![b.clone()]))];
                sums(&canon, &batch(columns))
            })
            .collect();
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b), "{:?}", rows[i]);
        }
    }
}

#[rstest]
#[case::date_with_a_time(Slot::Date, Arc::new(Date64Array::from(vec![0, 1])))]
#[case::integer_beyond_64_bits(Slot::Int, Arc::new(UInt64Array::from(vec![1, u64::MAX])))]
#[case::timestamp_overflow(
    Slot::Timestamp { unit: TimeUnit::Micro, zoned: false },
    Arc::new(TimestampSecondArray::from(vec![0, i64::MAX / 1_000]))
)]
#[case::timestamp_too_fine(
    Slot::Timestamp { unit: TimeUnit::Micro, zoned: false },
    Arc::new(TimestampNanosecondArray::from(vec![0, 1_500]))
)]
#[case::time_too_fine(Slot::Time(TimeUnit::Milli), Arc::new(Time64MicrosecondArray::from(vec![0, 1])))]
#[case::duration_overflow(Slot::Duration(TimeUnit::Nano), Arc::new(DurationSecondArray::from(vec![0, i64::MAX])))]
#[case::decimal_too_fine(
    Slot::Decimal { scale: 1 },
    Arc::new(Decimal128Array::from(vec![10, 11]).with_precision_and_scale(10, 2).unwrap())
)]
#[case::decimal_too_large(
    Slot::Decimal { scale: 0 },
    Arc::new(Decimal256Array::from(vec![i256::ONE, i256::MAX]).with_precision_and_scale(76, 0).unwrap())
)]
#[case::wide_decimal_overflow(
    Slot::WideDecimal { scale: 1 },
    Arc::new(Decimal256Array::from(vec![i256::ONE, i256::MAX]).with_precision_and_scale(76, 0).unwrap())
)]
#[case::no_number(Slot::DecimalAny, Arc::new(StringArray::from(vec!["1", "one"])))]
fn a_value_that_does_not_fit_is_named_by_column_and_row(#[case] slot: Slot, #[case] array: ArrayRef) {
    let error = one(slot.clone(), array.clone()).unwrap_err();
    assert!(matches!(&error, DigestError::Value { column, row: 1, .. } if column == "c0"), "{error:?}");
    let keys = Int8Array::from(vec![0, 0, 1]);
    let coded: ArrayRef = Arc::new(DictionaryArray::new(keys, array.clone()));
    let error = one(slot.clone(), coded).unwrap_err();
    assert!(matches!(&error, DigestError::Value { row: 2, .. }), "{error:?}");
    // What no row refers to need not fit, nor what lies under a NULL.
    let unused: ArrayRef = Arc::new(DictionaryArray::new(Int8Array::from(vec![0, 0]), array));
    one(slot, unused).unwrap();
}

#[test]
fn what_lies_under_a_null_does_not_matter() {
    let hidden = |below: u64| -> ArrayRef {
        let nulls = arrow_buffer::NullBuffer::from(vec![true, false]);
        Arc::new(UInt64Array::new(ScalarBuffer::from(vec![1, below]), Some(nulls)))
    };
    assert_eq!(one(Slot::Int, hidden(0)).unwrap(), one(Slot::Int, hidden(u64::MAX)).unwrap());
    let text = |below: &str| -> ArrayRef {
        let nulls = arrow_buffer::NullBuffer::from(vec![false]);
        let plain = StringArray::from(vec![below]);
        Arc::new(StringArray::new(plain.offsets().clone(), plain.values().clone(), Some(nulls)))
    };
    let long = "a value long enough to be hashed";
    assert_eq!(one(Slot::Text, text("")).unwrap(), one(Slot::Text, text(long)).unwrap());
    let nothing: ArrayRef = Arc::new(NullArray::new(1));
    assert_eq!(one(Slot::Text, text(long)).unwrap(), one(Slot::Text, nothing).unwrap());
}

#[rstest]
#[case(Slot::Int, Arc::new(Float64Array::from(vec![1.0])))]
#[case(Slot::Text, Arc::new(Int64Array::from(vec![1])))]
#[case(Slot::Bytes, Arc::new(StringArray::from(vec!["a"])))]
#[case(Slot::Json, Arc::new(BinaryArray::from(vec![b"a".as_slice()])))]
#[case(Slot::Uuid, Arc::new(StringArray::from(vec!["a"])))]
#[case(Slot::Date, Arc::new(TimestampSecondArray::from(vec![1])))]
#[case(Slot::Float, Arc::new(Int64Array::from(vec![1])))]
#[case(Slot::Bool, Arc::new(Int64Array::from(vec![1])))]
#[case(Slot::Nested(L::List(Box::new(L::Text))), Arc::new(StringArray::from(vec!["a"])))]
fn a_column_of_another_type_is_refused(#[case] slot: Slot, #[case] array: ArrayRef) {
    assert!(matches!(one(slot.clone(), Arc::clone(&array)).unwrap_err(), DigestError::Type { .. }));
    let canon = canon(&[slot], 0, Policies::default());
    assert!(matches!(Encoder::new(&canon, &batch(vec![array]).schema()).unwrap_err(), DigestError::Type { .. }));
}

#[test]
fn a_failed_digester_stays_failed() {
    let canon = canon(&[Slot::Int], 1, Policies::default());
    let mut digester = Digester::new(spec(&canon), Capacity::MIN);
    let good = Block::Arrow(batch(vec![Arc::new(Int64Array::from(vec![1]))]));
    digester.add(&good).unwrap();
    assert!(digester.add(&Block::Arrow(batch(vec![Arc::new(UInt64Array::from(vec![u64::MAX]))]))).is_err());
    assert_eq!(digester.add(&good), Err(DigestError::Incomplete));
}

#[test]
fn rows_without_columns_are_counted() {
    let logical = canon(&[], 0, Policies::default());
    let wire = Canon { kind: CanonKind::Wire { engine: "example".into() }, ..logical.clone() };
    let of = |rows: usize, canon: &Canon| {
        let block = match canon.kind {
            CanonKind::Logical => {
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let schema = Arc::new(Schema::empty());
                Block::Arrow(RecordBatch::try_new_with_options(schema, Vec::new(), &options).unwrap())
            }
            CanonKind::Wire { .. } => {
                let mut block = paritas_digest::RowBlock::default();
                (0..rows).for_each(|_| block.push(&[], &[]));
                Block::Wire(block)
            }
        };
        let mut digester = Digester::new(spec(canon), Capacity::MIN);
        digester.add(&block).unwrap();
        digester.finish()
    };
    assert_eq!(of(700, &logical), of(700, &wire));
    for canon in [&logical, &wire] {
        assert_eq!((of(700, canon).rows(), of(0, canon).rows()), (700, 0));
        assert_ne!(of(700, canon), of(699, canon));
        assert_ne!(of(700, canon), of(0, canon));
    }
}

#[test]
fn narrow_floats_are_the_same_however_they_are_carried() {
    let sums_of = |policy, array: ArrayRef| {
        let policies = Policies { float: policy, ..Policies::default() };
        sums(&canon(&[Slot::Float32], 0, policies), &batch(vec![array]))
    };
    let single = |value: f32| -> ArrayRef { Arc::new(Float32Array::from(vec![value])) };
    let widened = |value: f32| -> ArrayRef { Arc::new(Float64Array::from(vec![f64::from(value)])) };
    for policy in [FloatPolicy::Bits, FloatPolicy::Canonical] {
        for value in [0.1, -0.0, f32::MAX, f32::MIN_POSITIVE / 3.0, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(sums_of(policy, single(value)), sums_of(policy, widened(value)), "{value}");
        }
        assert_ne!(sums_of(policy, single(0.1)), sums_of(policy, single(0.100_000_01)));
    }
    assert_ne!(sums_of(FloatPolicy::Bits, single(-0.0)), sums_of(FloatPolicy::Bits, single(0.0)));
    assert_eq!(sums_of(FloatPolicy::Canonical, single(-0.0)), sums_of(FloatPolicy::Canonical, single(0.0)));
    let wide: ArrayRef = Arc::new(Float64Array::from(vec![0.1]));
    assert!(matches!(one(Slot::Float32, wide).unwrap_err(), DigestError::Value { .. }));
}

#[test]
fn floats_follow_their_policy() {
    let sums_of = |policy, array: ArrayRef| {
        let policies = Policies { float: policy, ..Policies::default() };
        sums(&canon(&[Slot::Float], 0, policies), &batch(vec![array]))
    };
    let double = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
    let single = |value: f32| -> ArrayRef { Arc::new(Float32Array::from(vec![value])) };
    let half = |value: f32| -> ArrayRef { Arc::new(Float16Array::from(vec![half::f16::from_f32(value)])) };
    use FloatPolicy::{Bits, Canonical};
    let odd_nan = f64::from_bits(0xFFF0_0000_0000_0001);
    assert_eq!(sums_of(Canonical, double(-0.0)), sums_of(Canonical, double(0.0)));
    assert_eq!(sums_of(Canonical, double(odd_nan)), sums_of(Canonical, single(f32::NAN)));
    assert_ne!(sums_of(Bits, double(-0.0)), sums_of(Bits, double(0.0)));
    assert_ne!(sums_of(Bits, double(odd_nan)), sums_of(Bits, double(f64::NAN)));
    for policy in [Bits, Canonical] {
        assert_eq!(sums_of(policy, double(1.5)), sums_of(policy, single(1.5)));
        assert_eq!(sums_of(policy, double(1.5)), sums_of(policy, half(1.5)));
        assert_ne!(sums_of(policy, double(0.1)), sums_of(policy, single(0.1)));
        assert_eq!(sums_of(policy, double(f64::NAN)), sums_of(policy, single(f32::NAN)));
        assert_eq!(sums_of(policy, double(f64::NEG_INFINITY)), sums_of(policy, half(f32::NEG_INFINITY)));
    }
}

#[test]
fn json_follows_its_policy() {
    let sums_of = |policy, text: &str| {
        let policies = Policies { json: policy, ..Policies::default() };
        try_sums(&canon(&[Slot::Json], 0, policies), &batch(vec![Arc::new(StringArray::from(vec![text]))]))
    };
    let (a, b) = (r#"{"b": 1, "a": [1, 2]}"#, r#"{"a":[1,2],"b":1}"#);
    assert_ne!(sums_of(JsonPolicy::Bytes, a), sums_of(JsonPolicy::Bytes, b));
    assert_eq!(sums_of(JsonPolicy::Canonical, a), sums_of(JsonPolicy::Canonical, b));
    assert!(sums_of(JsonPolicy::Canonical, "{").is_err());
    assert!(sums_of(JsonPolicy::Bytes, "{").is_ok());
}

#[test]
fn decimals_keep_their_scale_only_where_the_slot_says_so() {
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    assert_eq!(one(Slot::DecimalAny, text("1.50")), one(Slot::DecimalAny, text("1.5")));
    assert_ne!(one(Slot::DecimalExact, text("1.50")), one(Slot::DecimalExact, text("1.5")));
    let typed: ArrayRef = Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).unwrap());
    assert_eq!(one(Slot::DecimalAny, text("1.5")), one(Slot::DecimalAny, Arc::clone(&typed)));
    assert_eq!(one(Slot::DecimalExact, text("1.50")), one(Slot::DecimalExact, typed));
    assert_eq!(one(Slot::DecimalAny, text("7.0")), one(Slot::DecimalAny, Arc::new(UInt8Array::from(vec![7]))));
}

#[test]
fn intervals_of_all_arrow_kinds_meet() {
    use arrow_buffer::{IntervalDayTime, IntervalMonthDayNano};
    let full = |months, days, nanoseconds| -> ArrayRef {
        Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano { months, days, nanoseconds }]))
    };
    let months: ArrayRef = Arc::new(IntervalYearMonthArray::from(vec![-14]));
    let days: ArrayRef = Arc::new(IntervalDayTimeArray::from(vec![IntervalDayTime { days: 3, milliseconds: -5 }]));
    assert_eq!(one(Slot::Interval, months), one(Slot::Interval, full(-14, 0, 0)));
    assert_eq!(one(Slot::Interval, days), one(Slot::Interval, full(0, 3, -5_000_000)));
    assert_ne!(one(Slot::Interval, full(1, 0, 0)), one(Slot::Interval, full(0, 30, 0)));
}

fn lists(values: &[Option<Vec<Option<i32>>>]) -> ListArray {
    let mut builder = ListBuilder::new(Int32Builder::new());
    values.iter().for_each(|list| builder.append_option(list.clone()));
    builder.finish()
}

#[test]
fn lists_of_all_arrow_kinds_meet() {
    let slot = Slot::Nested(L::List(Box::new(L::Int { bits: 64, signed: true })));
    let plain = lists(&[Some(vec![Some(1), None]), Some(vec![Some(3), Some(4)]), None]);
    let expected = one(slot.clone(), Arc::new(plain.clone())).unwrap();
    let item = |data_type| Arc::new(ArrowField::new("item", data_type, true));
    let types = [
        DataType::LargeList(item(DataType::Int64)),
        DataType::FixedSizeList(item(DataType::Int16), 2),
        DataType::List(item(DataType::Decimal128(10, 0))),
    ];
    for data_type in &types[..2] {
        let other = cast(&plain, data_type).unwrap();
        assert_eq!(one(slot.clone(), other).unwrap(), expected, "{data_type}");
    }
    assert!(one(slot.clone(), cast(&plain, &types[2]).unwrap()).is_err());
    let view: ListViewArray = plain.clone().into();
    assert_eq!(one(slot.clone(), Arc::new(view)).unwrap(), expected);
    for other in [
        lists(&[Some(vec![Some(1)]), Some(vec![None, Some(3), Some(4)]), None]),
        lists(&[Some(vec![Some(1), None]), Some(vec![Some(4), Some(3)]), None]),
        lists(&[Some(vec![Some(1), None]), Some(vec![Some(3), Some(4)]), Some(vec![])]),
    ] {
        assert_ne!(one(slot.clone(), Arc::new(other)).unwrap(), expected);
    }
}

#[test]
fn structs_are_compared_by_name_and_maps_in_order() {
    let field = |name: &str, logical| Field { name: name.into(), logical };
    let int = L::Int { bits: 64, signed: true };
    let slot = Slot::Nested(L::Struct(vec![field("a", int.clone()), field("b", L::Text)]));
    let (numbers, texts): (ArrayRef, ArrayRef) =
        (Arc::new(Int32Array::from(vec![1, 2])), Arc::new(StringArray::from(vec![Some("x"), None])));
    let make = |columns: &[(&str, &ArrayRef)]| -> ArrayRef {
        let fields: Fields =
            columns.iter().map(|(name, array)| ArrowField::new(*name, array.data_type().clone(), true)).collect();
        Arc::new(StructArray::new(fields, columns.iter().map(|(_, array)| Arc::clone(array)).collect(), None))
    };
    let forward = one(slot.clone(), make(&[("a", &numbers), ("b", &texts)])).unwrap();
    let backward = one(slot.clone(), make(&[("b", &texts), ("a", &numbers)])).unwrap();
    assert_eq!(forward, backward);
    assert!(one(slot.clone(), make(&[("a", &numbers)])).is_err());
    assert!(one(slot, make(&[("a", &numbers), ("c", &texts)])).is_err());

    let slot = Slot::Nested(L::Map(Box::new(L::Text), Box::new(int)));
    let map = |entries: &[(&str, Option<i32>)]| -> ArrayRef {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        for (key, value) in entries {
            builder.keys().append_value(key);
            builder.values().append_option(*value);
        }
        builder.append(true).unwrap();
        Arc::new(builder.finish())
    };
    let (a, b) = (map(&[("x", Some(1)), ("y", None)]), map(&[("y", None), ("x", Some(1))]));
    assert_ne!(one(slot.clone(), a.clone()).unwrap(), one(slot.clone(), b).unwrap());
    assert_eq!(one(slot.clone(), a.clone()).unwrap(), one(slot, a).unwrap());
}

#[test]
fn a_null_in_an_inline_key_is_kept_by_its_fingerprint() {
    let canon = canon(&[Slot::Int, Slot::Text], 1, Policies::default());
    assert_eq!(canon.key_form(), KeyForm::Inline8);
    let (spec, text): (_, ArrayRef) = (spec(&canon), Arc::new(StringArray::from(vec!["a", "b", "c", "d"])));
    // 255 as an inline key and NULL as a delimited one begin with the same byte.
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None, Some(255), None]));
    let rows = batch(vec![keys, text]);
    let decoded = decode(&spec, &sums(&canon, &rows));
    assert!(decoded.complete);
    let inline: Vec<_> = decoded.found.iter().filter(|found| matches!(found.key, FoundKey::Inline(_))).collect();
    assert_eq!((decoded.found.len(), inline.len()), (3, 2));
    let null = decoded.found.iter().find(|found| matches!(found.key, FoundKey::Fingerprint(_))).unwrap();
    assert_eq!(null.copies, 2);
    let matches = Locator::new(spec, [&null.key]).matches(&Block::Arrow(rows.clone())).unwrap();
    assert_eq!(matches.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 3]);
    let encoder = Encoder::new(&canon, &rows.schema()).unwrap();
    assert_eq!(encoder.key(&rows, 0).unwrap(), 0_i64.to_le_bytes());
    assert_eq!(encoder.key(&rows, 1).unwrap(), [0xFF]);
}

#[test]
fn uuids_and_dictionaries_of_long_texts_are_read() {
    let mut uuids = FixedSizeBinaryBuilder::new(16);
    uuids.append_value([7; 16]).unwrap();
    uuids.append_null();
    one(Slot::Uuid, Arc::new(uuids.finish())).unwrap();
    let mut coded = StringDictionaryBuilder::<Int8Type>::new();
    let words =
        ["a text of more than thirty-one bytes, surely", "short", "a text of more than thirty-one bytes, surely"];
    words.iter().for_each(|word| coded.append_value(word));
    coded.append_null();
    let mut plain = StringBuilder::new();
    words.iter().for_each(|word| plain.append_value(word));
    plain.append_null();
    assert_eq!(one(Slot::Text, Arc::new(coded.finish())), one(Slot::Text, Arc::new(plain.finish())));
    let mut bytes = BinaryBuilder::new();
    bytes.append_value(b"x");
    assert_eq!(
        one(Slot::Bytes, Arc::new(bytes.finish())),
        one(
            Slot::Bytes,
            Arc::new({
                let mut fixed = FixedSizeBinaryBuilder::new(1);
                fixed.append_value(b"x").unwrap();
                fixed.finish()
            })
        )
    );
}

#[test]
fn blocks_and_canons_of_different_kinds_do_not_mix() {
    let logical = canon(&[Slot::Int, Slot::Int], 1, Policies::default());
    let mut digester = Digester::new(spec(&logical), Capacity::MIN);
    assert!(matches!(digester.add(&Block::Wire(Default::default())), Err(DigestError::Kind { .. })));
    let one_column = batch(vec![Arc::new(Int64Array::from(vec![1]))]);
    assert!(matches!(try_sums(&logical, &one_column), Err(DigestError::Columns { found: 1, expected: 2 })));
}

#[test]
fn empty_offsets_and_empty_batches_are_read() {
    let empty = StringArray::new(OffsetBuffer::new_empty(), arrow_buffer::Buffer::from(&[]), None);
    assert_eq!(one(Slot::Text, Arc::new(empty)).unwrap().rows(), 0);
}
