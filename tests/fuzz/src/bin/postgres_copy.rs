//! Rows as a PostgreSQL server sends them, decoded into both canons.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    paritas_fuzz::calm();
    if let Err(error) = paritas_connect_postgres::fuzzing::copy(data) {
        paritas_fuzz::expected(&error);
    }
});
