//! Where files are, and the options of their store. A password never comes out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_connect_lake::{FilesStore, LakeOptions, Location};

/// One in so many lengths of an input makes a client.
const CLIENT_EVERY: usize = 64;

fuzz_target!(|text: &str| {
    let (place, options) = text.split_once('\n').unwrap_or((text, ""));
    let pairs = options.lines().filter_map(|line| line.split_once('='));
    let options = LakeOptions::from_pairs(pairs);
    if let Err(error) = &options {
        paritas_fuzz::expected(error);
    }
    match Location::parse(place) {
        Ok(location) => {
            let _ = (location.shown().len(), location.dataset().len());
            // Making the client of an object store takes a thousand times as long as reading its name.
            if text.len() % CLIENT_EVERY == 0
                && let Err(error) = FilesStore::new(location, options.unwrap_or_default())
            {
                paritas_fuzz::expected(&error);
            }
        }
        Err(error) => paritas_fuzz::expected(&error),
    }
});
