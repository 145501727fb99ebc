//! The one place that knows every connector: from a target to an opened store.

use crate::record::described;
use crate::{Error, Result, Target};
use paritas_connect::{Store, redact_url};
use paritas_connect_kafka::rows::RowOptions;
use paritas_connect_kafka::{KafkaOptions, KafkaStore, KafkaTables};
use paritas_connect_lake::{CsvStore, FilesStore, LakeOptions, Location, ParquetStore};
use paritas_connect_postgres::{Options as PostgresOptions, PostgresStore};
use paritas_model::StoreKind;
use secrecy::SecretString;
use std::sync::Arc;

/// A store that is ready to be asked, and what was said about it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) target: Target,
    pub(crate) described: paritas_model::Store,
}

/// A name and a region that a configuration gives to a store.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) region: Option<String>,
}

/// Secrets that belong to a store and never stand in its target.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    pub(crate) password: Option<SecretString>,
    pub(crate) options: Vec<(String, SecretString)>,
}

/// Makes the connector for a target. Nothing is contacted yet.
pub(crate) fn open(target: &Target, secrets: Secrets, named: Option<Named>) -> Result<Opened> {
    let store: Arc<dyn Store> = match target.kind {
        StoreKind::Postgres => Arc::new(
            PostgresStore::from_url(&target.location, postgres_options(target, secrets.password)?).map_err(usage)?,
        ),
        StoreKind::Kafka => kafka(target, secrets)?,
        StoreKind::Files => {
            Arc::new(FilesStore::new(location(target)?, lake_options(target, secrets)?).map_err(usage)?)
        }
        StoreKind::Parquet => {
            Arc::new(ParquetStore::new(location(target)?, lake_options(target, secrets)?).map_err(usage)?)
        }
        StoreKind::Csv => Arc::new(CsvStore::new(location(target)?, lake_options(target, secrets)?).map_err(usage)?),
        StoreKind::Digest | StoreKind::Memory => {
            let hint = "a digest stands in for the source of an ad-hoc verify only";
            return Err(Error::usage("usage.url", format!("a {} store cannot be opened here", target.kind), hint));
        }
    };
    let name = named.as_ref().map_or_else(|| redact_url(store.name()), |named| named.name.clone());
    let described = described(&name, target.kind, named.and_then(|named| named.region));
    Ok(Opened { store, target: target.clone(), described })
}

/// The files at a target, to be read as they are.
pub(crate) fn files(target: &Target) -> Result<FilesStore> {
    FilesStore::new(location(target)?, lake_options(target, Secrets::default())?).map_err(usage)
}

/// Paritas' own options of a PostgreSQL URL.
fn postgres_options(target: &Target, password: Option<SecretString>) -> Result<PostgresOptions> {
    let mut options = PostgresOptions { password, ..PostgresOptions::default() };
    for (name, value) in &target.options {
        match (name.as_str(), value.as_str()) {
            ("pooler", "session") => options.session_pooler = true,
            ("split", "key") => options.split_by_key = true,
            ("privileges", "compare") => options.privileges = true,
            _ => {
                let hint = "known are ?pooler=session, ?split=key and ?privileges=compare";
                return Err(Error::usage("usage.url", format!("option {name} cannot be {value:?}"), hint));
            }
        }
    }
    Ok(options)
}

/// A cluster; one whose topics are also rows where somebody says how they are laid out.
fn kafka(target: &Target, secrets: Secrets) -> Result<Arc<dyn Store>> {
    let store = KafkaStore::from_url(&target.location, &kafka_options(target, secrets)?).map_err(usage)?;
    let is_of_rows = |name: &&String| RowOptions::NAMES.contains(&name.as_str());
    if !target.options.keys().any(|name| is_of_rows(&name)) {
        return Ok(Arc::new(store));
    }
    let pairs = target.options.iter().filter(|(name, _)| is_of_rows(name));
    let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
    // A key that is declared is one of the fields, and not an option of the layout.
    let options = RowOptions::from_pairs(pairs).map_err(usage)?;
    let topic = match target.datasets.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    Ok(Arc::new(KafkaTables::new(store, topic, options).map_err(usage)?))
}

/// The settings of the client library, which have dots in their names; what is left must be known here.
fn kafka_options(target: &Target, secrets: Secrets) -> Result<KafkaOptions> {
    let mut options = KafkaOptions { password: secrets.password, ..KafkaOptions::default() };
    for (name, value) in &target.options {
        if name.contains('.') {
            options.settings.insert(name.clone(), value.clone());
        } else if !crate::logs::NAMES.contains(&name.as_str()) && !RowOptions::NAMES.contains(&name.as_str()) {
            let known = [crate::logs::NAMES.as_slice(), &RowOptions::NAMES].concat().join(", ");
            let hint = format!("known are {known}, and librdkafka's settings, such as security.protocol");
            return Err(Error::usage("usage.url", format!("unknown option {name:?} of a Kafka cluster"), hint));
        }
    }
    options.secret_settings = secrets.options;
    Ok(options)
}

fn location(target: &Target) -> Result<Location> {
    Location::parse(&target.location).map_err(usage)
}

fn lake_options(target: &Target, secrets: Secrets) -> Result<LakeOptions> {
    let pairs = target.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut options = LakeOptions::from_pairs(pairs).map_err(usage)?;
    for (name, value) in secrets.options {
        options.settings.insert(name.to_ascii_lowercase(), value);
    }
    Ok(options)
}

/// What a constructor refuses is a mistake in the URL or the configuration.
#[expect(clippy::needless_pass_by_value, reason = "handed to map_err as it is")]
pub(crate) fn usage(error: paritas_connect::Error) -> Error {
    let hint = error.hint_text().unwrap_or("see docs/cli.md for the forms of a store").to_owned();
    let usage = Error::usage(error.code(), error.message(), hint);
    match error.detail_text() {
        Some(detail) => usage.detail(detail),
        None => usage,
    }
}
