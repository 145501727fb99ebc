//! A configuration whose meaning is known.

use crate::source::Place;
use paritas_connect::Manners;
use paritas_connect::SecretRef;
use paritas_digest::Policies;
use paritas_model::{Objective, Region, StoreKind, Tier, Writes, format_duration};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// One configured store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreConfig {
    /// Its name, as links use it.
    pub name: String,
    /// What kind of store it is.
    pub kind: StoreKind,
    /// Where it runs.
    pub region: Option<Region>,
    /// Address or path, without any credentials.
    pub url: String,
    /// Where its password is kept.
    pub password: Option<SecretRef>,
    /// What a recovery after a failover may read.
    pub recovery: Option<RecoveryConfig>,
    /// Options of the connector.
    pub options: BTreeMap<String, OptionValue>,
    /// Where it is declared.
    pub place: Option<Place>,
}

/// An option of a connector, as text, or where it is kept if it is secret.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// The value.
    Plain(String),
    /// Where the value is kept.
    Secret(SecretRef),
}

/// What a recovery after a failover may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryConfig {
    /// Data directory of the lost primary.
    pub data_directory: Option<String>,
    /// Archive of its write-ahead log.
    pub wal_archive: Option<String>,
}

/// One configured link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkConfig {
    /// Its name.
    pub name: String,
    /// Name of the source store.
    pub source: String,
    /// Name of the replica store.
    pub replica: String,
    /// How fast it is meant to be.
    pub tier: Option<Tier>,
    /// Patterns of dataset names to take; empty takes all. `*` stands for any text, `?` for one
    /// character.
    pub include: Vec<String>,
    /// Patterns of dataset names to leave out.
    pub exclude: Vec<String>,
    /// What was promised, the link's own words before those of its tier before those of the source's
    /// kind.
    pub objectives: Objectives,
    /// How its stores are treated when they are read.
    pub manners: Manners,
    /// What is different for single datasets.
    pub datasets: Vec<DatasetConfig>,
    /// Reconciliations of figures.
    pub ledgers: Vec<LedgerConfig>,
    /// How new rows have to be.
    pub freshness: Vec<FreshnessConfig>,
    /// Where it is declared.
    pub place: Option<Place>,
}

/// What was promised, each with up to three levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Objectives {
    /// Replication lag.
    pub lag: Option<Levels>,
    /// Recovery point objective.
    pub rpo: Option<Levels>,
    /// Recovery time objective.
    pub rto: Option<Levels>,
    /// How far the clocks of the stores may be from ours, and from each other.
    pub clock_skew: Option<Levels>,
    /// The round trip to each store.
    pub rtt: Option<Levels>,
    /// Times further ahead than this are no times: what carries them is set apart, neither lost nor fresh.
    pub quarantine: Option<Duration>,
}

/// What is aimed at, what deserves a look, what is a breach. A plain duration is the breach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Aimed at.
    pub target: Option<Duration>,
    /// More than this is a warning.
    pub warning: Option<Duration>,
    /// More than this is a breach.
    pub critical: Duration,
}

impl Objectives {
    /// The breaches alone.
    pub fn limits(&self) -> Objective {
        let limit = |levels: Option<Levels>| levels.map(|levels| levels.critical);
        Objective { lag: limit(self.lag), rpo: limit(self.rpo), rto: limit(self.rto) }
    }

    /// These, filled up from others where they are silent.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            lag: self.lag.or(others.lag),
            rpo: self.rpo.or(others.rpo),
            rto: self.rto.or(others.rto),
            clock_skew: self.clock_skew.or(others.clock_skew),
            rtt: self.rtt.or(others.rtt),
            quarantine: self.quarantine.or(others.quarantine),
        }
    }

    /// Times further ahead than this are set apart.
    pub fn quarantine(&self) -> Duration {
        self.quarantine.unwrap_or(QUARANTINE)
    }

    /// What of these contradicts itself, each with the two that cannot be kept at once.
    pub(crate) fn contradictions(&self) -> Vec<Contradiction> {
        let critical = |levels: Option<Levels>| levels.map(|levels| levels.critical);
        let mut found = Vec::new();
        if let (Some(lag), Some(rpo)) = (critical(self.lag), critical(self.rpo))
            && lag > rpo
        {
            let why = format!(
                "a lag of {} is allowed, and no more than {} of history may be lost",
                format_duration(lag),
                format_duration(rpo)
            );
            found.push(Contradiction { names: ["lag", "rpo"], why, hint: "let lag be at most rpo" });
        }
        if let Some(skew) = critical(self.clock_skew).filter(|skew| *skew > self.quarantine()) {
            let why = format!(
                "clocks may be {} apart, and what is more than {} ahead is quarantined",
                format_duration(skew),
                format_duration(self.quarantine())
            );
            found.push(Contradiction {
                names: ["clock_skew", "quarantine"],
                why,
                hint: "let clock_skew be at most quarantine (10s where it is not said)",
            });
        }
        found
    }
}

/// Two objectives that cannot be kept at once.
pub(crate) struct Contradiction {
    pub(crate) names: [&'static str; 2],
    pub(crate) why: String,
    pub(crate) hint: &'static str,
}

/// Times further ahead than this are set apart unless something else is said.
const QUARANTINE: Duration = Duration::from_secs(10);

/// How new the newest row of a dataset has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshnessConfig {
    /// Its name.
    pub name: String,
    /// Name of the dataset on the source.
    pub dataset: String,
    /// Name of the dataset on the replica, where it is given.
    pub replica_dataset: Option<String>,
    /// The column with the time of a row, by source name; without one, the times that a store of records keeps.
    pub column: Option<String>,
    /// How old the newest row may be.
    pub max_age: Levels,
    /// A condition in the store's own language, for both sides.
    pub filter: Option<String>,
    /// Where it is declared.
    pub place: Option<Place>,
}

/// What is different for one dataset.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatasetConfig {
    /// Name on the source.
    pub source_name: String,
    /// Name on the replica.
    pub replica_name: String,
    /// How rows are matched.
    pub mode: Mode,
    /// Key columns by source name; empty takes the declared key.
    pub key: Vec<String>,
    /// Compared columns by source name; empty takes all.
    pub columns: Vec<String>,
    /// Source name to replica name.
    pub rename: BTreeMap<String, String>,
    /// A condition in the store's own language, for both sides.
    pub filter: Option<String>,
    /// What may be written to it after a snapshot.
    pub writes: Option<Writes>,
    /// The column that says when a row was written last, by its name on the source.
    pub changed_at: Option<String>,
    /// Policies; those not given are strict.
    pub policies: Policies,
    /// Whether any policy is given.
    pub own_policies: bool,
    /// Where it is declared.
    pub place: Option<Place>,
}

/// How rows are matched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// By key where there is one, otherwise whole.
    #[default]
    Auto,
    /// By key; without one nothing is compared.
    Keyed,
    /// Whole rows, even where there is a key.
    Multiset,
}

/// Reconciliation of figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Its name.
    pub name: String,
    /// Name of the dataset on the source.
    pub dataset: String,
    /// Name of the dataset on the replica, where it is given.
    pub replica_dataset: Option<String>,
    /// Columns to group by, by source name; none makes one group of everything.
    pub group_by: Vec<String>,
    /// Whether rows are counted.
    pub count: bool,
    /// Columns with equal sums on both sides.
    pub sum: Vec<String>,
    /// Columns with equal smallest values on both sides.
    pub min: Vec<String>,
    /// Columns with equal largest values on both sides.
    pub max: Vec<String>,
    /// Columns whose sum is 0 in every group of either side.
    pub zero_sum: Vec<String>,
    /// Source name to replica name.
    pub rename: BTreeMap<String, String>,
    /// A condition in the store's own language, for both sides.
    pub filter: Option<String>,
    /// Where it is declared.
    pub place: Option<Place>,
}

/// What a timer does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// How often lag is sampled.
    pub lag: Option<Duration>,
    /// How often a snapshot is taken.
    pub snapshot: Option<Duration>,
    /// How often everything is compared.
    pub verify: Option<VerifySchedule>,
}

/// How often everything is compared, and in how many parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifySchedule {
    /// Everything once in this time.
    pub every: Duration,
    /// In so many parts.
    pub slices: u32,
    /// No part takes more than this: a time, a size or a number of rows.
    pub budget: Option<String>,
}

/// What of the data may be seen in reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ValuePrivacy {
    /// Everything.
    #[default]
    Show,
    /// No values.
    Mask,
    /// Keyed hashes, equal for equal values.
    Hash,
}

impl ValuePrivacy {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Show => "show",
            Self::Mask => "mask",
            Self::Hash => "hash",
        }
    }
}

/// A part of the configuration that this version does not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotExecuted {
    /// What: `[schedule]`.
    pub what: String,
    /// Why, and what to do instead.
    pub why: String,
    /// Where it stands.
    pub place: Option<Place>,
}

/// How long what is kept; what is not said is up to the state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Single samples of lag.
    pub raw: Option<Duration>,
    /// Samples of a minute, added up.
    pub minutes: Option<Duration>,
    /// Samples of an hour, added up.
    pub hours: Option<Duration>,
    /// Runs of `lag` that passed.
    pub lag_runs: Option<Duration>,
    /// Other runs.
    pub runs: Option<Duration>,
    /// Runs that tell what a failover cost.
    pub recoveries: Option<Duration>,
}

/// When rows are read again that were not written since a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// At every snapshot.
    Always,
    /// Within this time, some of them at each snapshot.
    Within(Duration),
}

/// Where files are copied to.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyConfig {
    /// A folder or a prefix of an object store, without any credentials.
    pub url: String,
    /// Settings of the object store.
    pub options: BTreeMap<String, OptionValue>,
}

/// Everything that a configuration says.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was asked for.
    pub path: PathBuf,
    /// Where runs and digests are kept.
    pub state: Option<PathBuf>,
    /// Where this machine is.
    pub region: Option<Region>,
    /// How long what is kept there.
    pub retention: RetentionConfig,
    /// Where snapshots are copied to.
    pub snapshot_copy: Option<CopyConfig>,
    /// When rows are read again that were not written since a snapshot.
    pub snapshot_reread: Option<Reread>,
    /// Bytes that the rows of one dataset may take between snapshots.
    pub snapshot_keep_max: Option<u64>,
    /// Where the deployment's digest key is kept.
    pub digest_key: Option<SecretRef>,
    /// Stores in the order of their places.
    pub stores: Vec<StoreConfig>,
    /// Links in the order of their places.
    pub links: Vec<LinkConfig>,
    /// What a timer does.
    pub schedule: Option<Schedule>,
    /// What of the data may be seen in reports.
    pub values: ValuePrivacy,
    pub(crate) warnings: Vec<crate::ConfigWarning>,
    pub(crate) with_origins: String,
    pub(crate) plain: String,
}

impl Config {
    /// The store of that name.
    pub fn store(&self, name: &str) -> Option<&StoreConfig> {
        self.stores.iter().find(|store| store.name == name)
    }

    /// The link of that name.
    pub fn link(&self, name: &str) -> Option<&LinkConfig> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The link name that was probably meant.
    pub fn nearest_link(&self, name: &str) -> Option<&str> {
        crate::reader::nearest(name, self.links.iter().map(|link| link.name.as_str()))
    }

    /// What is unwise. Secret files are looked at now.
    pub fn warnings(&self) -> Vec<crate::ConfigWarning> {
        let mut warnings = self.warnings.clone();
        let passwords = self.stores.iter().flat_map(|store| {
            let options = store.options.values().filter_map(|value| match value {
                OptionValue::Secret(secret) => Some(secret),
                OptionValue::Plain(_) => None,
            });
            store.password.iter().chain(options).map(|secret| (secret, store.place.clone()))
        });
        let of_copy =
            self.snapshot_copy.iter().flat_map(|copy| copy.options.values()).filter_map(|value| match value {
                OptionValue::Secret(secret) => Some((secret, None)),
                OptionValue::Plain(_) => None,
            });
        let passwords = passwords.chain(of_copy);
        for (secret, place) in self.digest_key.iter().map(|key| (key, None)).chain(passwords) {
            if let Some(message) = secret.warning() {
                warnings.push(crate::ConfigWarning { message, hint: None, place });
            }
        }
        warnings
    }

    /// What this version does not carry out of what concerns the link of that name, or of everything
    /// for `None`. A verification lists these under what it did not check.
    pub fn not_executed(&self, link: Option<&str>) -> Vec<NotExecuted> {
        let mut list = Vec::new();
        for link in self.links.iter().filter(|own| link.is_none_or(|name| own.name == name)) {
            let Objectives { lag, rpo, rto, .. } = link.objectives;
            if lag.or(rpo).or(rto).is_some() {
                list.push(NotExecuted {
                    what: format!("objectives of link {:?}", link.name),
                    why: "a verification measures neither lag (`paritas lag` does) nor RPO and RTO (`paritas failover` does)"
                        .to_owned(),
                    place: link.place.clone(),
                });
            }
        }
        list
    }

    /// The configuration as it stands after all layers, each value with its origin, without secrets.
    pub fn show(&self) -> &str {
        &self.with_origins
    }

    /// The same without origins: equal for two configurations exactly when they say the same (apart
    /// from the values of secrets, which it does not contain).
    pub fn canonical_text(&self) -> &str {
        &self.plain
    }
}
