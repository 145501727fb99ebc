//! Pages of every kind of relation as a PostgreSQL server hands them out, compared with each other.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (itself, symmetric, sealed) = paritas_connect_postgres::fuzzing::pages(data);
    assert!(itself, "a page differs from itself");
    assert!(symmetric, "two pages are alike in one direction only");
    assert!(sealed, "pages with seals that are alike differ");
});
