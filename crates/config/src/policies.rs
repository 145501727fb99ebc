//! Policies by their words, for the configuration and the command line alike.

use crate::ConfigError;
use crate::reader::{Section, known_words};
use crate::tree::Value;
use paritas_digest::{DecimalPolicy, FloatPolicy, ImagePolicy, JsonPolicy, Policies, ZonePolicy};

/// Names of the policies.
pub const POLICY_NAMES: [&str; 5] = ["decimal", "float", "json", "zone", "image"];

/// Sets one policy: `decimal` = `exact` or `value`, `float` = `bits` or `canonical`, `json` = `bytes`
/// or `canonical`, `zone` = `strict` or `assume-utc`, `image` = `compact` or `wide`.
///
/// # Errors
/// The words that are known instead.
pub fn set_policy(policies: &mut Policies, name: &str, value: &str) -> Result<(), &'static [&'static str]> {
    fn pick<T>(slot: &mut T, value: Option<T>, known: &'static [&'static str]) -> Result<(), &'static [&'static str]> {
        *slot = value.ok_or(known)?;
        Ok(())
    }
    match name {
        "decimal" => {
            let word = match value {
                "exact" => Some(DecimalPolicy::Exact),
                "value" => Some(DecimalPolicy::Value),
                _ => None,
            };
            pick(&mut policies.decimal, word, &["exact", "value"])
        }
        "float" => {
            let word = match value {
                "bits" => Some(FloatPolicy::Bits),
                "canonical" => Some(FloatPolicy::Canonical),
                _ => None,
            };
            pick(&mut policies.float, word, &["bits", "canonical"])
        }
        "json" => {
            let word = match value {
                "bytes" => Some(JsonPolicy::Bytes),
                "canonical" => Some(JsonPolicy::Canonical),
                _ => None,
            };
            pick(&mut policies.json, word, &["bytes", "canonical"])
        }
        "zone" => {
            let word = match value {
                "strict" => Some(ZonePolicy::Strict),
                "assume-utc" => Some(ZonePolicy::AssumeUtc),
                _ => None,
            };
            pick(&mut policies.zone, word, &["strict", "assume-utc"])
        }
        "image" => {
            let word = match value {
                "compact" => Some(ImagePolicy::Compact),
                "wide" => Some(ImagePolicy::Wide),
                _ => None,
            };
            pick(&mut policies.image, word, &["compact", "wide"])
        }
        _ => Err(&POLICY_NAMES),
    }
}

/// `policies = { decimal = "value", … }`.
pub(crate) fn decode(section: Section<'_>) -> Policies {
    let mut policies = Policies::default();
    for name in POLICY_NAMES {
        let Some(entry) = section.entry(name) else { continue };
        let Value::Text(text) = &entry.node.value else {
            section.wrong(name, &entry.node, "a text");
            continue;
        };
        if let Err(known) = set_policy(&mut policies, name, text) {
            let error = ConfigError::new("config.value", format!("{name} in {} cannot be {text:?}", section.title));
            section.mistake(entry.node.span, error.hint(known_words(text, known)));
        }
    }
    section.finish();
    policies
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_word_sets_its_policy_and_others_name_the_known_ones() {
        let mut policies = Policies::default();
        for (name, value) in [
            ("decimal", "value"),
            ("float", "canonical"),
            ("json", "canonical"),
            ("zone", "assume-utc"),
            ("image", "wide"),
        ] {
            set_policy(&mut policies, name, value).unwrap();
        }
        let expected = Policies {
            decimal: DecimalPolicy::Value,
            float: FloatPolicy::Canonical,
            json: JsonPolicy::Canonical,
            zone: ZonePolicy::AssumeUtc,
            image: ImagePolicy::Wide,
        };
        assert_eq!(policies, expected);
        assert_eq!(set_policy(&mut policies, "zone", "utc"), Err(&["strict", "assume-utc"][..]));
        assert_eq!(set_policy(&mut policies, "colour", "red"), Err(&POLICY_NAMES[..]));
    }
}
