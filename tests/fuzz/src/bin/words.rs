//! Small texts that users and servers write: quantities, positions, budgets, URLs to be masked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_model::{Lsn, Position, parse_duration, parse_size};

/// Sizes from here on are shown in units that nobody needs to write.
const LARGE: u64 = 1 << 49;

fuzz_target!(|text: &str| {
    // What is shown is rounded, and can be given back.
    if let Ok(duration) = parse_duration(text) {
        assert!(parse_duration(&paritas_model::format_duration(duration)).is_ok());
    }
    if let Ok(size) = parse_size(text)
        && size < LARGE
    {
        assert!(parse_size(&paritas_model::format_size(size)).is_ok());
    }
    if let Ok(lsn) = text.parse::<Lsn>() {
        assert_eq!(lsn.to_string().parse(), Ok(lsn));
    }
    if let Ok(position) = serde_json::from_str::<Position>(text) {
        let _ = (position.order(&position), position.gap_to(&position), position.to_string());
    }
    let _ = text.parse::<paritas_engine::Budget>();
    let _ = paritas_connect::redact_url(text);
    // Whatever stands around it, a password in its usual place never comes out again.
    if !text.contains("canary") {
        let url = format!("postgres://user:canary@host/db?{text}");
        assert!(!paritas_connect::redact_url(&url).contains("canary"), "{url}");
    }
});
