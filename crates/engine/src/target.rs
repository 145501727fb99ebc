//! The ad-hoc form of a store: a URL or path, and Paritas' own options in its query.

use crate::{Error, Result};
use paritas_model::{StoreKind, Writes};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::path::Path;

/// A store as named on the command line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kind of store.
    pub kind: StoreKind,
    /// Where it is: a URL without Paritas' options, or a path.
    pub location: String,
    /// Datasets to compare (`table=`); empty for all, or for the only one.
    pub datasets: Vec<String>,
    /// Key columns.
    pub key: Vec<String>,
    /// Compared columns.
    pub columns: Vec<String>,
    /// Source name to replica name.
    pub rename: BTreeMap<String, String>,
    /// Condition in the store's language.
    pub filter: Option<String>,
    /// What is declared about the time after a snapshot.
    pub declared: Declared,
    /// Options of the connector itself, such as a CSV delimiter.
    pub options: BTreeMap<String, String>,
}

/// What a user declares about a dataset, for the time after a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Declared {
    /// What may be written to it.
    pub writes: Option<Writes>,
    /// The column that says when a row was written last, by its name on the source.
    pub changed_at: Option<String>,
}

impl Declared {
    /// This, and where it says nothing, the other one.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            writes: self.writes.or(other.writes),
            changed_at: self.changed_at.clone().or_else(|| other.changed_at.clone()),
        }
    }
}

/// Prefixes that name a kind of store.
const PREFIXES: [(&str, StoreKind); 4] = [
    ("parquet:", StoreKind::Parquet),
    ("csv:", StoreKind::Csv),
    ("digest:", StoreKind::Digest),
    ("files:", StoreKind::Files),
];
/// Prefixes of stores that Paritas is going to know.
const NOT_YET: [&str; 4] = ["redis:", "rediss:", "iceberg:", "delta:"];
/// The scheme of a Kafka cluster.
const KAFKA: &str = "kafka://";
/// URL schemes of object stores.
const OBJECT_SCHEMES: [&str; 7] = ["s3://", "gs://", "az://", "abfs://", "abfss://", "file://", "memory://"];

/// Whether an argument of `verify` names a store rather than a configured link: it has a scheme or a
/// known prefix, or it is an existing path.
pub fn looks_like_target(text: &str) -> bool {
    text.contains("://")
        || PREFIXES.iter().any(|(prefix, _)| text.starts_with(prefix))
        || NOT_YET.iter().any(|prefix| text.starts_with(prefix))
        || is_keyword_form(text)
        || text.contains('/')
        || Path::new(text).exists()
}

/// `host=… dbname=…`, the keyword form of a PostgreSQL connection string.
fn is_keyword_form(text: &str) -> bool {
    text.split_whitespace().any(|word| word.starts_with("host=") || word.starts_with("dbname="))
}

impl Target {
    /// Takes an argument apart.
    ///
    /// # Errors
    /// `usage.url` for an unknown prefix, an option that is not known or has no value.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(prefix) = NOT_YET.iter().find(|prefix| text.starts_with(**prefix)) {
            let known =
                "this version verifies postgres://, kafka://, parquet:, csv:, digest:, and files (a path or s3://)";
            return Err(Error::usage("usage.url", format!("{prefix} stores are not supported yet"), known));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Self::with_query(StoreKind::Postgres, text);
        }
        if text.starts_with(KAFKA) {
            return Self::kafka(text);
        }
        if is_keyword_form(text) && !text.contains("://") {
            return Self::keywords(text);
        }
        for (prefix, kind) in PREFIXES {
            if let Some(rest) = text.strip_prefix(prefix) {
                if rest.is_empty() {
                    let hint = format!("write a path or URL after it, such as {prefix}exports/fills/");
                    return Err(Error::usage("usage.url", format!("{prefix} names no place"), hint));
                }
                return Self::with_query(kind, rest);
            }
        }
        if OBJECT_SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Self::with_query(StoreKind::Files, text);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let hint =
                "known are postgres://, kafka://, s3://, file://, and the prefixes parquet:, csv:, digest:, files:";
            return Err(Error::usage("usage.url", format!("unknown kind of store {scheme:?}"), hint));
        }
        // A plain path is taken as it stands: `?` may be part of a file name.
        Ok(Self::at(StoreKind::Files, text))
    }

    /// A target without options.
    pub fn at(kind: StoreKind, location: &str) -> Self {
        Self {
            kind,
            location: location.to_owned(),
            datasets: Vec::new(),
            key: Vec::new(),
            columns: Vec::new(),
            rename: BTreeMap::new(),
            filter: None,
            declared: Declared::default(),
            options: BTreeMap::new(),
        }
    }

    fn with_query(kind: StoreKind, text: &str) -> Result<Self> {
        let Some((location, query)) = text.split_once('?') else {
            return Ok(Self::at(kind, text));
        };
        let mut target = Self::at(kind, location);
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
            // A plus sign stays one: only forms, not URLs in general, mean a space by it.
            let value = percent_decode_str(raw).decode_utf8().map_err(|_| {
                Error::usage("usage.url", format!("option {name:?} is not UTF-8"), "percent-encode it as UTF-8")
            })?;
            if !target.take(name, &value)? {
                kept.push(pair);
            }
        }
        if kind == StoreKind::Postgres && !kept.is_empty() {
            target.location = format!("{location}?{}", kept.join("&"));
        }
        Ok(target)
    }

    /// `kafka://host:port[,host:port…][/topic]`.
    fn kafka(text: &str) -> Result<Self> {
        let mut target = Self::with_query(StoreKind::Kafka, text)?;
        let servers = target.location.strip_prefix(KAFKA).unwrap_or_default();
        let (servers, topic) = servers.split_once('/').unwrap_or((servers, ""));
        if servers.is_empty() {
            let hint = "write the address of a broker: kafka://host:9092/topic";
            return Err(Error::usage("usage.url", "the URL names no broker", hint));
        }
        if !topic.is_empty() {
            let topic = percent_decode_str(topic).decode_utf8().map_err(|_| {
                Error::usage("usage.url", "the name of the topic is not UTF-8", "percent-encode it as UTF-8")
            })?;
            target.datasets.insert(0, topic.into_owned());
        }
        target.location = format!("{KAFKA}{servers}");
        Ok(target)
    }

    fn keywords(text: &str) -> Result<Self> {
        let mut target = Self::at(StoreKind::Postgres, "");
        let mut kept = Vec::new();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            if !target.take(name, value)? {
                kept.push(word);
            }
        }
        target.location = kept.join(" ");
        Ok(target)
    }

    /// Takes one of Paritas' own options; false when it belongs to the connector's URL.
    fn take(&mut self, name: &str, value: &str) -> Result<bool> {
        let list = || value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
        match name {
            "table" | "dataset" => self.datasets.push(value.to_owned()),
            "topic" if self.kind == StoreKind::Kafka => self.datasets.push(value.to_owned()),
            "key" => add(&mut self.key, name, list())?,
            "columns" => add(&mut self.columns, name, list())?,
            "where" if self.kind == StoreKind::Postgres => self.filter = Some(value.to_owned()),
            "changed_at" => self.declared.changed_at = Some(value.to_owned()),
            "writes" => {
                let known = |error| Error::usage("usage.url", format!("?writes={error}"), "write ?writes=inserts");
                self.declared.writes = Some(value.parse().map_err(known)?);
            }
            "rename" => {
                for pair in list() {
                    let Some((from, to)) = pair.split_once(':') else {
                        let hint = "write ?rename=source_name:replica_name";
                        return Err(Error::usage("usage.url", format!("cannot read rename {pair:?}"), hint));
                    };
                    self.rename.insert(from.to_owned(), to.to_owned());
                }
            }
            "pooler" | "split" | "privileges" if self.kind == StoreKind::Postgres => {
                self.options.insert(name.to_owned(), value.to_owned());
            }
            _ if self.kind == StoreKind::Postgres => return Ok(false),
            _ => {
                self.options.insert(name.to_owned(), value.to_owned());
                return Ok(true);
            }
        }
        let needs_value = value.is_empty();
        if needs_value {
            return Err(Error::usage("usage.url", format!("option {name:?} has no value"), format!("write {name}=…")));
        }
        Ok(true)
    }
}

/// Adds names to a list that has each of them once.
fn add(names: &mut Vec<String>, option: &str, more: impl Iterator<Item = String>) -> Result<()> {
    for name in more {
        if names.contains(&name) {
            let hint = format!("name each column once: ?{option}=a,b");
            return Err(Error::usage("usage.url", format!("?{option}= names {name:?} twice"), hint));
        }
        names.push(name);
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn own_options_are_taken_off_a_postgres_url_and_the_others_stay() {
        let target = Target::parse(
            "postgres://u@h:5/db?sslmode=require&table=public.orders&key=id,venue&where=id%3E1&rename=a:b",
        )
        .unwrap();
        assert_eq!(target.location, "postgres://u@h:5/db?sslmode=require");
        assert_eq!(target.datasets, ["public.orders"]);
        assert_eq!(target.key, ["id", "venue"]);
        assert_eq!(target.filter.as_deref(), Some("id>1"));
        assert_eq!(target.rename.get("a").map(String::as_str), Some("b"));
    }

    #[test]
    fn the_keyword_form_is_a_postgres_store() {
        let target = Target::parse("host=h dbname=db table=fills").unwrap();
        assert_eq!((target.kind, target.location.as_str()), (StoreKind::Postgres, "host=h dbname=db"));
        assert_eq!(target.datasets, ["fills"]);
    }

    #[test]
    fn a_kafka_url_names_brokers_topics_and_settings_of_the_client() {
        let text = "kafka://u@a:1,b:2/orders?topic=fills&security.protocol=SSL&key=id";
        let target = Target::parse(text).unwrap();
        assert_eq!((target.kind, target.location.as_str()), (StoreKind::Kafka, "kafka://u@a:1,b:2"));
        assert_eq!(target.datasets, ["orders", "fills"]);
        assert_eq!(target.key, ["id"]);
        assert_eq!(target.options.get("security.protocol").map(String::as_str), Some("SSL"));
        assert!(Target::parse("kafka://a:1").unwrap().datasets.is_empty());
    }

    #[rstest]
    #[case("parquet:exports/fills/", StoreKind::Parquet, "exports/fills/")]
    #[case("csv:a.csv", StoreKind::Csv, "a.csv")]
    #[case("parquet:s3://b/p", StoreKind::Parquet, "s3://b/p")]
    #[case("s3://b/p", StoreKind::Files, "s3://b/p")]
    #[case("./a?b", StoreKind::Files, "./a?b")]
    #[case("digest:x.digest", StoreKind::Digest, "x.digest")]
    fn kinds_follow_from_prefixes(#[case] text: &str, #[case] kind: StoreKind, #[case] location: &str) {
        let target = Target::parse(text).unwrap();
        assert_eq!((target.kind, target.location.as_str()), (kind, location));
    }

    #[rstest]
    #[case("kafka://")]
    #[case("kafka:///orders")]
    #[case("redis://h:1/0")]
    #[case("mysql://h/db")]
    #[case("parquet:")]
    #[case("parquet:x?rename=a")]
    #[case("parquet:x?key=")]
    #[case("parquet:x?key=id,id")]
    #[case("parquet:x?columns=a,b&columns=a")]
    fn what_cannot_be_read_is_a_usage_error_with_a_hint(#[case] text: &str) {
        let error = Target::parse(text).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.hint_text().is_some());
    }
}
