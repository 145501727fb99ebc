//! A digest file: bytes that are read give the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_digest::Digest;

fuzz_target!(|data: &[u8]| {
    let Ok(digest) = Digest::read_from(data) else { return };
    let mut again = Vec::new();
    digest.write_to(&mut again).expect("what was read can be written");
    // The header is JSON, which has many spellings; everything else has one.
    assert_eq!(Digest::read_from(&again[..]).expect("what was written can be read").header, digest.header);
});
