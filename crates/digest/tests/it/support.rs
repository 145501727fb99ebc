//! Rows in the wire canon, and a naive comparison to hold the digest against.

use paritas_digest::{
    Block, Canon, CanonColumn, CanonKind, Capacity, Digest, DigestKey, Digester, Found, FoundKey, HeaderFacts, KeyForm,
    Policies, RowBlock, Slot, Spec, Sums,
};
use paritas_model::{Class, Known, SchemaFingerprint};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const FORMS: [KeyForm; 4] = [KeyForm::Inline8, KeyForm::Inline16, KeyForm::Fingerprint, KeyForm::WholeRow];

/// A row: a key and a value. In the whole-row form both together are the key.
pub type Row = (u64, u32);

pub fn wire(name: &str, fixed_width: Option<u32>) -> CanonColumn {
    let slot = Slot::Wire { type_name: "bigint".into(), fixed_width, nullable: false };
    CanonColumn { name: name.into(), slot }
}

pub fn spec(form: KeyForm) -> Arc<Spec> {
    let (width, key_columns) = match form {
        KeyForm::Inline8 => (Some(8), 1),
        KeyForm::Inline16 => (Some(16), 1),
        KeyForm::Fingerprint => (None, 1),
        KeyForm::WholeRow => (Some(8), 0),
    };
    let kind = CanonKind::Wire { engine: "test".into() };
    let columns = vec![wire("id", width), wire("value", None)];
    let canon = Canon { kind, columns, key_columns, policies: Policies::default() };
    assert_eq!(canon.key_form(), form);
    Spec::new(&DigestKey::from_bytes([9; 32]), "test.rows", canon).unwrap()
}

/// Spreads keys over the whole range of their type.
pub fn key_bytes(form: KeyForm, key: u64) -> Vec<u8> {
    let spread = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    match form {
        KeyForm::Inline8 => key.to_be_bytes().to_vec(),
        KeyForm::Inline16 => [spread.to_be_bytes(), key.to_be_bytes()].concat(),
        KeyForm::Fingerprint => format!("key number {key} of many").into_bytes(),
        KeyForm::WholeRow => Vec::new(),
    }
}

pub fn block(form: KeyForm, rows: &[Row]) -> Block {
    let mut block = RowBlock::with_capacity(rows.len(), rows.len() * 64);
    for (key, value) in rows {
        let bytes = key_bytes(form, *key);
        let mut image = Vec::new();
        // Images of several lengths, so that batches of several lengths occur.
        let text = "x".repeat(*value as usize % 150);
        for field in [bytes.as_slice(), &key.to_be_bytes(), &value.to_be_bytes(), text.as_bytes()] {
            image.extend_from_slice(&(field.len() as i32).to_be_bytes());
            image.extend_from_slice(field);
        }
        block.push(&image, &bytes);
    }
    Block::Wire(block)
}

pub fn sums(spec: &Arc<Spec>, capacity: Capacity, rows: &[Row]) -> Sums {
    let mut digester = Digester::new(Arc::clone(spec), capacity);
    digester.add(&block(spec.key_form(), rows)).unwrap();
    assert_eq!(digester.rows(), rows.len() as u64);
    digester.finish()
}

pub fn digest(spec: &Arc<Spec>, capacity: Capacity, rows: &[Row]) -> Digest {
    Digest::taken_at(spec, facts(), sums(spec, capacity, rows), "2026-01-05T09:00:00Z".into())
}

pub fn facts() -> HeaderFacts {
    let position = Known::unknown("no stream");
    HeaderFacts { schema: SchemaFingerprint([1; 32]), position, store: "test".into() }
}

/// What differs, by sorting and comparing. Keys are those of [`Row`]; in the whole-row form every
/// row is its own key.
pub fn oracle(form: KeyForm, source: &[Row], replica: &[Row]) -> Vec<(Row, Class, u64)> {
    let mut groups: BTreeMap<Row, BTreeMap<u32, i64>> = BTreeMap::new();
    for (rows, sign) in [(source, 1), (replica, -1)] {
        for (key, value) in rows {
            let id = if form == KeyForm::WholeRow { (*key, *value) } else { (*key, 0) };
            *groups.entry(id).or_default().entry(*value).or_default() += sign;
        }
    }
    let differs = |(id, values): (Row, BTreeMap<u32, i64>)| {
        if values.values().all(|count| *count == 0) {
            return None;
        }
        let net: i64 = values.values().sum();
        let class = match net {
            0 => Class::Changed,
            1.. => Class::Lost,
            _ => Class::Extra,
        };
        Some((id, class, net.unsigned_abs().max(1)))
    };
    groups.into_iter().filter_map(differs).collect()
}

/// The key under which a row is found, by asking the sketch of that row alone.
pub fn found_key(spec: &Arc<Spec>, row: Row) -> FoundKey {
    let alone = sums(spec, Capacity::MIN, &[row]);
    let decoded = paritas_digest::decode(spec, &alone);
    assert!(decoded.complete);
    decoded.found[0].key.clone()
}

/// The oracle's answer in the digest's words.
pub fn expected(spec: &Arc<Spec>, source: &[Row], replica: &[Row]) -> Vec<Found> {
    let named = oracle(spec.key_form(), source, replica).into_iter().map(|(row, class, copies)| {
        let key = match spec.key_form() {
            KeyForm::Inline8 | KeyForm::Inline16 => FoundKey::Inline(key_bytes(spec.key_form(), row.0)),
            _ => found_key(spec, row),
        };
        Found { key, class, copies }
    });
    let mut found: Vec<Found> = named.collect();
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}
