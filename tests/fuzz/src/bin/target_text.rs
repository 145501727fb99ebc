//! A store as it is named on the command line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_engine::Target;

fuzz_target!(|text: &str| {
    if let Ok(target) = Target::parse(text) {
        let _ = format!("{target:?}");
    }
});
