//! Verifying configured links.

use crate::error::problem_of;
use crate::job::{Job, Override, verify_job};
use crate::keep::Keeper;
use crate::ledger::Reconciliation;
use crate::pair::same_privileges;
use crate::registry::{self, Named};
use crate::resume::What;
use crate::{Error, Monitor, Options, Result, Target, ThriftOptions};
use paritas_config::{Config, DatasetConfig, LinkConfig, Mode, OptionValue, Reread, StoreConfig, ValuePrivacy};
use paritas_connect::{Context, StoreIdentity};
use paritas_digest::DigestKey;
use paritas_model::{Dataset, StoreKind};
use paritas_report::{LinkReport, NotChecked, Privacy, Problem, Report, apply_privacy};
use paritas_verify::{Choice, Matching};
use secrecy::ExposeSecret as _;

/// Verifies the links of these names, or all of them, one after the other.
///
/// # Errors
/// Unknown names, unusable stores, secrets that cannot be had (exit code 2).
pub async fn verify_links(
    cx: &Context,
    config: &Config,
    names: &[String],
    options: &Options,
    monitor: &Monitor,
) -> Result<Report> {
    let chosen = chosen_links(config, names)?;
    let options = &with_secrets(config, options)?;
    hide(options);
    let mut jobs = Vec::new();
    for link in chosen {
        let manners = options.manners.or(link.manners);
        jobs.push((job(config, link, options)?, Options { manners, ..options.clone() }));
    }
    let checksum = format!("blake3:{}", blake3::hash(config.canonical_text().as_bytes()).to_hex());
    let named: Vec<&str> = jobs.iter().map(|(job, _)| job.name.as_str()).collect();
    let what = What::of(named.join(", "), &[&checksum, &named, &options.policies]);
    let keeper = Keeper::begin(options, config.state.as_deref()).resumable(options, &what)?;
    let mut links = Vec::new();
    for (job, options) in jobs {
        if let Err(error) = cx.check() {
            links.push(not_reached(&job, &problem_of(&error)));
            continue;
        }
        links.push(verify_job(cx, job, &options, monitor, &keeper).await);
    }
    let mut report = keeper.finish(Some(checksum), links, options.deny_warnings);
    // Before anything is kept: what may not be printed may not be stored either.
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    Ok(report)
}

pub(crate) fn chosen_links<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a LinkConfig>> {
    if names.is_empty() {
        if config.links.is_empty() {
            let hint = "add a [[link]] with source and replica";
            return Err(Error::usage("config.links", "there is no link in the configuration", hint));
        }
        return Ok(config.links.iter().collect());
    }
    let find = |name: &String| {
        config.link(name).ok_or_else(|| {
            let known = || {
                let names: Vec<&str> = config.links.iter().map(|link| link.name.as_str()).collect();
                format!("configured links are: {}", names.join(", "))
            };
            let hint = config.nearest_link(name).map_or_else(known, |near| format!("did you mean {near:?}?"));
            Error::usage("usage.link", format!("there is no link {name:?}"), hint)
        })
    };
    names.iter().map(find).collect()
}

/// Separates the key of hashed values in reports from every other use of the digest key.
const PRIVACY_CONTEXT: &str = "paritas report v1: key of hashed values";

/// Keeps values out of everything that is written from here on, if the run may not show them.
pub(crate) fn hide(options: &Options) {
    if options.privacy != Privacy::Show {
        paritas_connect::hide_details();
    }
}

/// The options of a run under a configuration: its digest key, and what of values it lets be shown.
///
/// # Errors
/// A secret that cannot be had, or is needed and not there.
pub fn with_secrets(config: &Config, options: &Options) -> Result<Options> {
    let secret = match &config.digest_key {
        Some(secret) => Some(secret.resolve().map_err(|error| registry::usage(error.context("digest_key")))?),
        None => None,
    };
    let bytes = secret.as_ref().map(|secret| secret.expose_secret().as_bytes());
    let privacy = match (config.values, bytes) {
        (ValuePrivacy::Show, _) => Privacy::Show,
        (ValuePrivacy::Mask, _) => Privacy::Mask,
        (ValuePrivacy::Hash, Some(secret)) => Privacy::Hash { key: blake3::derive_key(PRIVACY_CONTEXT, secret) },
        // Hashes without a secret could be tried out.
        (ValuePrivacy::Hash, None) => {
            let message = "`values = \"hash\"` in [privacy] needs a digest_key in [paritas]";
            return Err(Error::usage("config.value", message, "give one, or write `values = \"mask\"`"));
        }
    };
    let digest = bytes.map_or_else(|| options.digest_key.clone(), DigestKey::derive);
    let retention = crate::history::retention(config.retention);
    let snapshot_copy = config.snapshot_copy.clone();
    let thrift = thrift(config, options.thrift);
    Ok(Options { digest_key: digest, privacy, retention, snapshot_copy, thrift, ..options.clone() })
}

/// What a configuration says about reading less; what the run was told comes first.
fn thrift(config: &Config, asked: ThriftOptions) -> ThriftOptions {
    let bytes_max = config.snapshot_keep_max.unwrap_or(asked.bytes_max);
    match config.snapshot_reread {
        None => ThriftOptions { bytes_max, ..asked },
        Some(Reread::Always) => ThriftOptions { full: true, bytes_max, ..asked },
        Some(Reread::Within(within)) => ThriftOptions { within, bytes_max, ..asked },
    }
}

/// Opens both stores of a link.
pub(crate) fn job(config: &Config, link: &LinkConfig, options: &Options) -> Result<Job> {
    let store = |name: &str| {
        let found = config.store(name);
        found.ok_or_else(|| {
            let message = format!("link {:?} names a store {name:?} that does not exist", link.name);
            Error::usage("config.reference", message, "declare it as a [store.NAME] section")
        })
    };
    let overrides = link.datasets.iter().map(|dataset| choice(dataset, options));
    let not_executed = config.not_executed(Some(&link.name)).into_iter();
    let (source, replica) = (open(store(&link.source)?)?, open(store(&link.replica)?)?);
    same_privileges(&source.target, &replica.target)?;
    Ok(Job {
        name: link.name.clone(),
        tier: link.tier,
        source,
        replica,
        include: link.include.clone(),
        exclude: link.exclude.clone(),
        overrides: overrides.collect(),
        ledgers: link.ledgers.iter().map(|ledger| Reconciliation::configured(ledger, link, options)).collect(),
        vitals: crate::vitals::Vitals::configured(config, link),
        figures_only: false,
        not_checked: not_executed.map(|part| NotChecked { what: part.what, why: part.why }).collect(),
    })
}

fn choice(dataset: &DatasetConfig, options: &Options) -> Override {
    let policies = if dataset.own_policies { dataset.policies } else { options.policies };
    Override {
        source_name: dataset.source_name.clone(),
        replica_name: dataset.replica_name.clone(),
        choice: Choice {
            matching: match dataset.mode {
                Mode::Auto => Matching::Auto,
                Mode::Keyed => Matching::Keyed,
                Mode::Multiset => Matching::WholeRow,
            },
            key: dataset.key.clone(),
            columns: dataset.columns.clone(),
            rename: dataset.rename.clone(),
            source_filter: dataset.filter.clone(),
            replica_filter: dataset.filter.clone(),
            policies,
        },
        declared: crate::target::Declared { writes: dataset.writes, changed_at: dataset.changed_at.clone() },
    }
}

/// Opens a configured store.
pub(crate) fn open(store: &StoreConfig) -> Result<registry::Opened> {
    let mut target = match store.kind {
        StoreKind::Postgres | StoreKind::Kafka => Target::parse(&store.url)?,
        kind => Target::at(kind, &store.url),
    };
    let doing = |error: paritas_connect::Error| registry::usage(error.context(format_args!("store {:?}", store.name)));
    let mut secrets = Vec::new();
    for (name, value) in &store.options {
        match value {
            OptionValue::Plain(value) => {
                target.options.insert(name.clone(), value.clone());
            }
            OptionValue::Secret(secret) => secrets.push((name.clone(), secret.resolve().map_err(doing)?)),
        }
    }
    let password = store.password.as_ref().map(|secret| secret.resolve().map_err(doing)).transpose()?;
    let named = Named { name: store.name.clone(), region: store.region.as_ref().map(|region| region.0.clone()) };
    registry::open(&target, registry::Secrets { password, options: secrets }, Some(named))
}

pub(crate) fn not_reached(job: &Job, problem: &Problem) -> LinkReport {
    LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: paritas_model::Verdict::Unknown,
        source: job.source.described.clone(),
        replica: job.replica.described.clone(),
        checks: Vec::new(),
        recovery: None,
        not_checked: vec![NotChecked { what: format!("link {}", job.name), why: problem.message.clone() }],
    }
}

/// What `config check --connect` says about one store.
#[derive(Debug)]
pub struct StoreCheck {
    /// Its configured name.
    pub name: String,
    /// Version and role, or why it cannot be used.
    pub result: Result<String, Problem>,
    /// What will not work, each with what to do.
    pub limits: Vec<String>,
}

/// Asks a store who it is, and for the datasets that its URL names.
async fn probe(cx: &Context, opened: &registry::Opened) -> Result<StoreIdentity, paritas_connect::Error> {
    let identity = opened.store.probe(cx).await?;
    if let Some(datasets) = opened.store.datasets() {
        for name in &opened.target.datasets {
            datasets.describe(cx, &Dataset(name.clone())).await?;
        }
    }
    Ok(identity)
}

/// Connects to every configured store and asks for its privileges and for the datasets that its URL names.
pub async fn check_stores(cx: &Context, config: &Config) -> Vec<StoreCheck> {
    let mut checks = Vec::new();
    for store in &config.stores {
        let name = store.name.clone();
        checks.push(match open(store) {
            Err(error) => StoreCheck { name, result: Err(error.problem().clone()), limits: Vec::new() },
            Ok(opened) => match cx.bound(probe(cx, &opened)).await {
                Ok(identity) => StoreCheck { name, result: Ok(identity.version), limits: identity.limits },
                Err(error) => StoreCheck { name, result: Err(problem_of(&error)), limits: Vec::new() },
            },
        });
    }
    checks
}
