//! How the records of a topic become rows, from a configuration or from the query of a URL.

use super::field::{Field, parse_list};
use paritas_connect::logs::Isolation;
use paritas_connect::{Error, FailureKind, Result};
use std::path::PathBuf;

/// Different keys of a topic of which only the latest value counts, at most, unless the options say otherwise.
pub const LATEST_KEYS_MAX: usize = 7_340_032;

/// What the bytes of a key or value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Bytes as they are.
    Raw,
    /// A JSON object, or for a key also a single value.
    Json,
    /// Avro in its binary form.
    Avro,
    /// UTF-8 text, for keys.
    Text,
    /// A big-endian integer of 4 or 8 bytes, for keys.
    Integer,
}

/// Something of a record that is neither in its key nor in its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    Key,
    Headers,
    Timestamp,
    Partition,
    Offset,
}

impl Extra {
    pub(super) const ALL: [Self; 5] = [Self::Key, Self::Headers, Self::Timestamp, Self::Partition, Self::Offset];

    /// The name of its column.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Headers => "headers",
            Self::Timestamp => "timestamp",
            Self::Partition => "partition",
            Self::Offset => "offset",
        }
    }
}

/// How records become rows.
#[derive(Debug, Clone, PartialEq)]
pub struct RowOptions {
    /// What values are.
    pub format: Format,
    /// What keys are; nothing where no column comes from them.
    pub key_format: Option<Format>,
    /// Whether only the latest value of each key is a row, and a key whose latest record has no value is none.
    pub latest: bool,
    /// How many different keys there may be then.
    pub latest_max: usize,
    /// Which records are read.
    pub isolation: Isolation,
    pub(super) fields: Option<Vec<Field>>,
    pub(super) schema: Option<PathBuf>,
    pub(super) key_fields: Option<Vec<Field>>,
    pub(super) key_schema: Option<PathBuf>,
    /// Whether a zero byte and the id of a schema stand before JSON or Avro; by default before Avro.
    pub(super) prefix: Option<bool>,
    pub(super) schema_id: Option<u32>,
    /// The members that lead to the object which counts.
    pub(super) inside: Vec<String>,
    pub(super) with: Option<Vec<Extra>>,
}

impl Default for RowOptions {
    fn default() -> Self {
        Self {
            format: Format::Raw,
            key_format: None,
            latest: false,
            latest_max: LATEST_KEYS_MAX,
            isolation: Isolation::Committed,
            fields: None,
            schema: None,
            key_fields: None,
            key_schema: None,
            prefix: None,
            schema_id: None,
            inside: Vec::new(),
            with: None,
        }
    }
}

impl RowOptions {
    /// The names that [`RowOptions::set`] takes.
    pub const NAMES: [&'static str; 13] = [
        "format",
        "fields",
        "schema",
        "schema_id",
        "prefix",
        "inside",
        "key_format",
        "key_fields",
        "key_schema",
        "with",
        "latest",
        "latest_max",
        "isolation",
    ];

    /// Options from names and values.
    ///
    /// # Errors
    /// `config.option` for an unknown name, a value that cannot be, or options that contradict each other.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in pairs {
            options.set(name, value)?;
        }
        options.check()?;
        Ok(options)
    }

    /// Sets one option by its name.
    ///
    /// # Errors
    /// `config.option` for an unknown name or a value that cannot be.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "format" => self.format = format(name, value, &[Format::Raw, Format::Json, Format::Avro])?,
            "key_format" => {
                let all = [Format::Json, Format::Avro, Format::Text, Format::Integer];
                self.key_format = Some(format(name, value, &all)?);
            }
            "fields" => self.fields = Some(parse_list(value)?),
            "key_fields" => self.key_fields = Some(parse_list(value)?),
            "schema" => self.schema = Some(PathBuf::from(value)),
            "key_schema" => self.key_schema = Some(PathBuf::from(value)),
            "schema_id" => self.schema_id = Some(number(name, value)?),
            "prefix" => {
                self.prefix = Some(match value {
                    "confluent" => true,
                    "none" => false,
                    _ => return Err(wrong(name, value).hint("write confluent or none")),
                });
            }
            "inside" => self.inside = path(name, value)?,
            "with" => self.with = Some(extras(name, value)?),
            "latest" => {
                self.latest = match value {
                    "key" => true,
                    "none" => false,
                    _ => return Err(wrong(name, value).hint("write key, for the latest value of each key, or none")),
                }
            }
            "latest_max" => self.latest_max = number(name, value)?,
            "isolation" => {
                self.isolation = match value {
                    "committed" => Isolation::Committed,
                    "uncommitted" => Isolation::Uncommitted,
                    _ => return Err(wrong(name, value).hint("write committed or uncommitted")),
                }
            }
            _ => {
                let message = format!("unknown option {name:?} of a topic's rows");
                return Err(Error::new(FailureKind::Permanent, "config.option", message)
                    .hint(format!("options are {}", Self::NAMES.join(", "))));
            }
        }
        Ok(())
    }

    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// `config.option`.
    pub fn check(&self) -> Result<()> {
        let refuse = |message: &str, hint: &str| {
            Err(Error::new(FailureKind::Permanent, "config.option", message.to_owned()).hint(hint.to_owned()))
        };
        if self.format == Format::Raw && (self.fields.is_some() || self.schema.is_some() || !self.inside.is_empty()) {
            return refuse("raw values have no fields", "name the format, as in format=json");
        }
        if self.fields.is_some() && self.schema.is_some() {
            return refuse("fields and schema are both given", "declare the columns once");
        }
        if self.format == Format::Avro && self.schema.is_none() {
            return refuse(
                "Avro is not read without its schema",
                "name the file of the schema, as in schema=orders.avsc",
            );
        }
        if self.format == Format::Avro && !self.inside.is_empty() {
            return refuse("`inside` leads into JSON only", "leave it out, or compare the columns of the record");
        }
        let prefixed = self.prefix.unwrap_or(self.format == Format::Avro);
        if self.schema_id.is_some() && !prefixed {
            return refuse("schema_id is given, and values have no prefix", "leave it out, or set prefix=confluent");
        }
        if self.key_fields.is_some() && self.key_schema.is_some() {
            return refuse("key_fields and key_schema are both given", "declare the columns of the key once");
        }
        match (self.key_format(), &self.key_fields) {
            (Some(Format::Avro), _) if self.key_schema.is_none() => {
                refuse("an Avro key is not read without its schema", "name its file, as in key_schema=key.avsc")
            }
            (Some(Format::Json | Format::Text | Format::Integer), None) => {
                refuse("no column comes from the key", "name one, as in key_fields=id:int64")
            }
            (Some(Format::Text | Format::Integer), Some(fields)) if fields.len() > 1 => {
                refuse("a key that is one value has several fields", "name one field, or set key_format=json")
            }
            _ => Ok(()),
        }
    }

    /// What keys are; by default a text where a column is to come from them.
    pub(super) fn key_format(&self) -> Option<Format> {
        self.key_format.or(match (&self.key_schema, &self.key_fields) {
            (Some(_), _) => Some(Format::Avro),
            (None, Some(fields)) if fields.len() > 1 => Some(Format::Json),
            (None, Some(_)) => Some(Format::Text),
            (None, None) => None,
        })
    }

    /// Whether a zero byte and the id of a schema stand before bytes of a format.
    pub(super) fn is_prefixed(&self, format: Format) -> bool {
        match format {
            Format::Json => self.prefix.unwrap_or(false),
            Format::Avro => self.prefix.unwrap_or(true),
            Format::Raw | Format::Text | Format::Integer => false,
        }
    }

    /// What else of a record is a column: of raw records everything that a copy keeps, of others nothing.
    pub(super) fn extras(&self) -> Vec<Extra> {
        match (&self.with, self.format) {
            (Some(extras), _) => extras.clone(),
            (None, Format::Raw) => vec![Extra::Key, Extra::Headers, Extra::Timestamp],
            (None, _) => Vec::new(),
        }
    }
}

fn wrong(name: &str, value: &str) -> Error {
    Error::new(FailureKind::Permanent, "config.option", format!("option {name} is {value:?}"))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| wrong(name, value).hint("write a whole number"))
}

fn format(name: &str, value: &str, possible: &[Format]) -> Result<Format> {
    let named = |format: &Format| match format {
        Format::Raw => "raw",
        Format::Json => "json",
        Format::Avro => "avro",
        Format::Text => "text",
        Format::Integer => "integer",
    };
    let found = possible.iter().find(|format| named(format) == value);
    let names = || possible.iter().map(named).collect::<Vec<_>>().join(", ");
    found.copied().ok_or_else(|| wrong(name, value).hint(format!("formats are {}", names())))
}

/// Members of an object, separated by dots.
fn path(name: &str, value: &str) -> Result<Vec<String>> {
    let parts: Vec<String> = value.split('.').map(str::to_owned).collect();
    if parts.iter().any(String::is_empty) {
        return Err(wrong(name, value).hint("write the members that lead to the row, as in payload.after"));
    }
    Ok(parts)
}

fn extras(name: &str, value: &str) -> Result<Vec<Extra>> {
    let mut extras = Vec::new();
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let found = Extra::ALL.into_iter().find(|extra| extra.name() == word && !extras.contains(extra));
        extras.push(found.ok_or_else(|| {
            wrong(name, value).hint("write some of key, headers, timestamp, partition and offset, each once")
        })?);
    }
    Ok(extras)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn options(text: &str) -> Result<RowOptions> {
        RowOptions::from_pairs(
            text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap()),
        )
    }

    #[test]
    fn a_topic_is_bytes_unless_a_format_is_named() {
        let raw = options("").unwrap();
        assert_eq!((raw.format, raw.latest, raw.isolation), (Format::Raw, false, Isolation::Committed));
        assert_eq!(raw.extras(), [Extra::Key, Extra::Headers, Extra::Timestamp]);
        assert_eq!(options("with=offset,partition").unwrap().extras(), [Extra::Offset, Extra::Partition]);
        assert!(options("format=json").unwrap().extras().is_empty());
    }

    #[rstest]
    #[case("key_fields=id", Some(Format::Text))]
    #[case("key_fields=a,b", Some(Format::Json))]
    #[case("key_fields=id:int64&key_format=integer", Some(Format::Integer))]
    #[case("key_schema=k.avsc", Some(Format::Avro))]
    #[case("", None)]
    fn what_a_key_is_follows_from_its_fields(#[case] text: &str, #[case] format: Option<Format>) {
        assert_eq!(options(text).unwrap().key_format(), format);
    }

    #[rstest]
    #[case("colour=red")]
    #[case("format=xml")]
    #[case("format=text")]
    #[case("key_format=raw")]
    #[case("latest=value")]
    #[case("latest_max=-1")]
    #[case("isolation=some")]
    #[case("prefix=maybe")]
    #[case("schema_id=x")]
    #[case("with=key,key")]
    #[case("with=colour")]
    #[case("format=json&inside=a..b")]
    #[case("fields=a")]
    #[case("inside=a")]
    #[case("format=avro")]
    #[case("format=avro&schema=a&fields=b")]
    #[case("format=avro&schema=a&inside=b")]
    #[case("format=json&schema_id=4")]
    #[case("key_format=json")]
    #[case("key_format=avro")]
    #[case("key_format=text&key_fields=a,b")]
    #[case("key_fields=a&key_schema=b")]
    fn options_that_cannot_be_are_refused_with_advice(#[case] text: &str) {
        let error = options(text).unwrap_err();
        assert_eq!((error.code(), error.hint_text().is_some()), ("config.option", true), "{error}");
    }
}
