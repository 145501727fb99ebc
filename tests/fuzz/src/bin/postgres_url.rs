//! Connection strings of PostgreSQL, as URLs and as words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_connect_postgres::{Options, PostgresStore};

fuzz_target!(|text: &str| {
    match PostgresStore::from_url(text, Options::default()) {
        Ok(store) => assert!(!format!("{store:?}").is_empty()),
        Err(error) => paritas_fuzz::expected(&error),
    }
});
