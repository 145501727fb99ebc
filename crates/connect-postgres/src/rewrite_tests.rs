//! Canonical forms of nested values.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn canonical(rewrite: &Rewrite, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    rewrite.canonical(value, &mut out).unwrap();
    out
}

fn array(flag: i32, oid: u32, elements: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [1, flag, oid.cast_signed(), i32::try_from(elements.len()).unwrap(), 1] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for element in elements {
        match element {
            Some(bytes) => put_field(&mut out, |out| {
                out.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap(),
            None => put_null(&mut out),
        }
    }
    out
}

#[test]
fn arrays_lose_their_type_number_and_a_stale_null_flag() {
    let rewrite = Rewrite::Array(16_500, Box::new(Rewrite::Keep));
    let a = canonical(&rewrite, &array(1, 16_500, &[Some(b"x")]));
    let b = canonical(&rewrite, &array(0, 24_700, &[Some(b"x")]));
    assert_eq!(a, b);
    assert_ne!(a, canonical(&rewrite, &array(1, 16_500, &[None])));
    assert_ne!(a, canonical(&rewrite, &array(0, 16_500, &[Some(b"")])));
    let mut restored = Vec::new();
    rewrite.restore(&a, &mut restored).unwrap();
    assert_eq!(restored, array(0, 16_500, &[Some(b"x")]));
}

#[test]
fn composites_lose_their_type_numbers_and_get_them_back() {
    let value = |oid: u32| {
        let mut out = vec![0, 0, 0, 2];
        out.extend_from_slice(&oid.to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 1, b'x']);
        out.extend_from_slice(&25_u32.to_be_bytes());
        put_null(&mut out);
        out
    };
    let rewrite = Rewrite::Composite(vec![(16_384, Rewrite::Keep), (25, Rewrite::Keep)]);
    assert_eq!(canonical(&rewrite, &value(16_384)), canonical(&rewrite, &value(20_000)));
    let mut restored = Vec::new();
    rewrite.restore(&canonical(&rewrite, &value(20_000)), &mut restored).unwrap();
    assert_eq!(restored, value(16_384));
}

#[test]
fn floats_have_one_zero_and_one_nan() {
    let rewrite = Rewrite::Float8After(0);
    let bits = |number: f64| number.to_bits().to_be_bytes();
    assert_eq!(canonical(&rewrite, &bits(-0.0)), bits(0.0));
    assert_eq!(canonical(&rewrite, &bits(-f64::NAN)), bits(f64::NAN));
    assert_eq!(canonical(&rewrite, &bits(-1e-20)), bits(-1e-20));
    assert_eq!(canonical(&Rewrite::Float4, &(-0.0_f32).to_bits().to_be_bytes()), [0; 4]);
}

proptest! {
    #[test]
    fn no_bytes_of_any_kind_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let nested = Rewrite::Composite(vec![(25, Rewrite::Keep), (1700, Rewrite::Numeric)]);
        for rewrite in [
            Rewrite::Array(25, Box::new(nested.clone())),
            nested,
            Rewrite::Range(Box::new(Rewrite::Numeric)),
            Rewrite::Multirange(Box::new(Rewrite::Range(Box::new(Rewrite::Numeric)))),
            Rewrite::Numeric,
            Rewrite::Float4,
            Rewrite::Float8After(5),
            Rewrite::JsonAfter(1),
        ] {
            let mut out = Vec::new();
            let _ = rewrite.canonical(&bytes, &mut out);
            let _ = rewrite.restore(&bytes, &mut out);
        }
    }
}
