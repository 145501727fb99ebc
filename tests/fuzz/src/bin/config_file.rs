//! The configuration file: a configuration that can be shown, or mistakes with their places.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match paritas_config::parse("paritas.toml", text) {
        Ok(config) => {
            let _ = (config.show().len(), config.canonical_text().len(), config.warnings().len());
            let _ = config.not_executed(None).len();
        }
        Err(errors) => assert!(!errors.render().is_empty()),
    }
});
