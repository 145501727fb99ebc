//! Options of lake stores, from a configuration or from the query of a URL.

use paritas_connect::{Error, FailureKind, Result};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// How a location is read.
#[derive(Debug, Clone, Default)]
pub struct LakeOptions {
    /// Settings of the object store under the names its environment variables have, in lower case
    /// (`aws_access_key_id`, `aws_endpoint_url`, `google_service_account`, `azure_storage_account_name` ...). They
    /// win over the environment. Values may be secrets and are never shown.
    pub settings: BTreeMap<String, SecretString>,
    /// Whether a location without files is an empty dataset rather than an error.
    pub allow_empty: bool,
    /// How CSV files are written.
    pub csv: CsvOptions,
}

/// How CSV files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// Whether the first record of each file names the columns. Without it, columns are called
    /// `column1`, `column2` ...
    pub header: bool,
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields that need it; doubled inside them.
    pub quote: u8,
    /// The unquoted text that stands for NULL. By default nothing at all: an unquoted empty field is
    /// NULL, `""` is empty text.
    pub null: String,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { header: true, delimiter: b',', quote: b'"', null: String::new() }
    }
}

impl LakeOptions {
    /// The names that [`LakeOptions::set`] takes besides settings of object stores.
    pub const NAMES: [&'static str; 5] = ["allow_empty", "header", "delimiter", "quote", "null"];

    /// Options from names and values.
    ///
    /// # Errors
    /// `config.option` for an unknown name or a value that cannot be.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in pairs {
            options.set(name, value)?;
        }
        Ok(options)
    }

    /// Sets one option by its name.
    ///
    /// # Errors
    /// `config.option` for an unknown name or a value that cannot be.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "allow_empty" => self.allow_empty = truth(name, value)?,
            "header" => self.csv.header = truth(name, value)?,
            "delimiter" => self.csv.delimiter = byte(name, value)?,
            "quote" => self.csv.quote = byte(name, value)?,
            "null" => value.clone_into(&mut self.csv.null),
            other if ["aws_", "google_", "azure_"].iter().any(|family| other.starts_with(family)) => {
                self.settings.insert(lower, SecretString::from(value));
            }
            _ => {
                return Err(wrong(format!("unknown option {name:?}"))
                    .hint(format!("options are {}, and aws_…, google_…, azure_… settings", Self::NAMES.join(", "))));
            }
        }
        if self.csv.delimiter == self.csv.quote {
            return Err(wrong("delimiter and quote are the same".into()));
        }
        Ok(())
    }
}

fn wrong(message: String) -> Error {
    Error::new(FailureKind::Permanent, "config.option", message)
}

fn truth(name: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(wrong(format!("option {name} is {value:?}")).hint("write true or false")),
    }
}

fn byte(name: &str, value: &str) -> Result<u8> {
    match value.as_bytes() {
        _ if value == "\\t" || value == "tab" => Ok(b'\t'),
        [b'\r' | b'\n'] => Err(wrong(format!("option {name} cannot be a line end"))),
        [one] if one.is_ascii() => Ok(*one),
        _ => Err(wrong(format!("option {name} is {value:?}")).hint("write one ASCII character, or tab")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn options_are_read_by_name_and_secrets_stay_hidden() {
        let options =
            LakeOptions::from_pairs([("delimiter", "tab"), ("header", "false"), ("AWS_SECRET_ACCESS_KEY", "canary")])
                .unwrap();
        assert_eq!((options.csv.delimiter, options.csv.header), (b'\t', false));
        assert!(!format!("{options:?}").contains("canary"));
    }

    #[rstest]
    #[case("delimiter", ",,")]
    #[case("delimiter", "\n")]
    #[case("delimiter", "\"")]
    #[case("header", "maybe")]
    #[case("colour", "red")]
    fn options_that_cannot_be_are_refused(#[case] name: &str, #[case] value: &str) {
        assert_eq!(LakeOptions::default().set(name, value).unwrap_err().code(), "config.option");
    }
}
