//! What is compared with what: columns, key, canon, and the differences between two schemas.

use paritas_connect::{ColumnPair, Datasets, Description, ScanRequest};
use paritas_digest::{Canon, Incompatible, Policies};
use paritas_model::{Dataset, Schema};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How rows of both sides are matched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Matching {
    /// By key where there is one, otherwise whole.
    #[default]
    Auto,
    /// By key; without one nothing is compared.
    Keyed,
    /// Whole rows, even where there is a key.
    WholeRow,
}

/// What the user chose for a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// How rows are matched.
    pub matching: Matching,
    /// Key columns by source name; empty takes the declared key of the source, then of the replica.
    pub key: Vec<String>,
    /// Compared columns by source name; empty takes all.
    pub columns: Vec<String>,
    /// Source name to replica name.
    pub rename: BTreeMap<String, String>,
    /// Condition in the source's language.
    pub source_filter: Option<String>,
    /// Condition in the replica's language.
    pub replica_filter: Option<String>,
    /// Policies.
    pub policies: Policies,
}

/// One difference between two schemas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaDelta {
    /// What differs: `column amount`, `key`, or a fact.
    pub what: String,
    /// On the source.
    pub source: Option<String>,
    /// On the replica.
    pub replica: Option<String>,
    /// Whether it keeps the replica from holding the same data (a column, a type, a key) rather
    /// than describing it otherwise (a constraint, a default).
    pub data: bool,
    /// Whether rows can still be compared in spite of it.
    pub comparable: bool,
}

/// A comparison that can be carried out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The canon of both sides.
    pub canon: Arc<Canon>,
    /// What to read from the source.
    pub source: ScanRequest,
    /// What to read from the replica.
    pub replica: ScanRequest,
    /// Key columns by source name; empty when whole rows are compared.
    pub key: Vec<String>,
    /// Columns that exist but are not compared, with the reason.
    pub left_out: Vec<(String, String)>,
    /// Those of them that both sides have and whose types cannot be compared. Nobody chose to leave
    /// them out, so with any of them nothing can pass.
    pub incomparable: Vec<String>,
}

/// Why there is nothing to compare.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PlanError {
    /// Stable word.
    pub code: &'static str,
    /// What is wrong, lower case, no full stop.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl PlanError {
    fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: Some(hint.into()) }
    }
}

impl Plan {
    /// Decides what to compare.
    ///
    /// Columns that exist on one side only, or whose types cannot be compared, are left out and
    /// listed; a chosen column or key column that is missing is an error, because the user named it.
    ///
    /// # Errors
    /// `dataset.columns` when a named column is missing or none is left, `dataset.key` when the key
    /// cannot be used.
    pub fn new(
        source: (&dyn Datasets, &Description),
        replica: (&dyn Datasets, &Description),
        choice: &Choice,
    ) -> Result<Self, PlanError> {
        let key = choose_key(&source.1.schema, &replica.1.schema, choice)?;
        let (mut pairs, mut left_out) = pair_columns(&source.1.schema, &replica.1.schema, choice)?;
        for column in &key {
            if !pairs.iter().any(|(own, _)| own == column) {
                let hint = "name other key columns with ?key=, or rename the column with ?rename=source:replica";
                let message = format!("key column {column:?} is not on both sides or not among the compared columns");
                return Err(PlanError::new("dataset.key", message, hint));
            }
        }
        let mut incomparable = Vec::new();
        let canon = loop {
            if pairs.is_empty() {
                return Err(PlanError::new(
                    "dataset.columns",
                    "no column can be compared",
                    "declare the mapping with ?rename=source:replica, or compare through a view with equal types",
                ));
            }
            match agree_on_canon(source, replica, &pairs, &key, choice.policies) {
                Ok(canon) => break canon,
                Err(problems) => {
                    drop_incompatible(&problems, &key, choice, &mut pairs, &mut left_out)?;
                    incomparable.extend(problems.into_iter().map(|problem| problem.column));
                }
            }
        };
        let canon = Arc::new(canon);
        let request = |dataset: &Dataset, filter: &Option<String>, own: &dyn Fn(&(String, String)) -> String| {
            let columns = canon.columns.iter().filter_map(|column| {
                let pair = pairs.iter().find(|(name, _)| *name == column.name)?;
                Some(ColumnPair { canonical: column.name.clone(), own: own(pair) })
            });
            let columns = columns.collect();
            ScanRequest { dataset: dataset.clone(), columns, canon: Arc::clone(&canon), filter: filter.clone() }
        };
        Ok(Self {
            source: request(&source.1.dataset, &choice.source_filter, &|pair| pair.0.clone()),
            replica: request(&replica.1.dataset, &choice.replica_filter, &|pair| pair.1.clone()),
            canon,
            key,
            left_out,
            incomparable,
        })
    }
}

/// The wire canon for two stores of one engine, otherwise (or where types differ) the logical one.
fn agree_on_canon(
    source: (&dyn Datasets, &Description),
    replica: (&dyn Datasets, &Description),
    pairs: &[(String, String)],
    key: &[String],
    policies: Policies,
) -> Result<Canon, Vec<Incompatible>> {
    let engine = source.0.wire_engine();
    if engine.is_some() && engine == replica.0.wire_engine() {
        // Types that differ inside one engine (an int widened to a bigint) may still be comparable by
        // meaning; the schema check reports them apart.
        if let Ok(canon) = source.0.wire_canon(source.1, replica.1, pairs, key, policies) {
            return Ok(canon);
        }
    }
    Canon::logical(&source.1.schema, &replica.1.schema, pairs, key, policies)
}

/// Takes incompatible columns out of the comparison, unless the user or the key needs them.
fn drop_incompatible(
    problems: &[Incompatible],
    key: &[String],
    choice: &Choice,
    pairs: &mut Vec<(String, String)>,
    left_out: &mut Vec<(String, String)>,
) -> Result<(), PlanError> {
    let before = pairs.len();
    for problem in problems {
        let why = format!("{} cannot be compared with {}: {}", problem.source, problem.replica, problem.why);
        if key.contains(&problem.column) || choice.columns.contains(&problem.column) {
            let message = format!("column {:?}: {why}", problem.column);
            return Err(PlanError::new("dataset.columns", message, problem.hint.clone()));
        }
        pairs.retain(|(name, _)| *name != problem.column);
        left_out.push((problem.column.clone(), why));
    }
    if pairs.len() == before {
        // An incompatibility that names no compared column would repeat forever.
        let detail = problems.iter().map(|p| format!("{}: {}", p.column, p.why)).collect::<Vec<_>>().join("; ");
        let mut error =
            PlanError::new("dataset.columns", "the two datasets cannot be compared", "compare through views");
        error.detail = Some(detail);
        return Err(error);
    }
    Ok(())
}

fn choose_key(source: &Schema, replica: &Schema, choice: &Choice) -> Result<Vec<String>, PlanError> {
    if choice.matching == Matching::WholeRow {
        return Ok(Vec::new());
    }
    if !choice.key.is_empty() {
        let mut seen = BTreeSet::new();
        for column in &choice.key {
            if !seen.insert(column) {
                let message = format!("key column {column:?} is named twice");
                return Err(PlanError::new("dataset.key", message, "name every key column once"));
            }
            if source.column(column).is_none() {
                return Err(PlanError::new(
                    "dataset.key",
                    format!("there is no column {column:?} on the source"),
                    nearest_hint(column, source),
                ));
            }
        }
        return Ok(choice.key.clone());
    }
    let back: BTreeMap<&str, &str> = choice.rename.iter().map(|(s, r)| (r.as_str(), s.as_str())).collect();
    let from_replica = || -> Vec<String> {
        replica.key.iter().map(|name| (*back.get(name.as_str()).unwrap_or(&name.as_str())).to_owned()).collect()
    };
    let declared = if source.key.is_empty() { from_replica() } else { source.key.clone() };
    let usable = declared.iter().all(|column| {
        let own = choice.rename.get(column).unwrap_or(column);
        let chosen = choice.columns.is_empty() || choice.columns.contains(column);
        chosen && source.column(column).is_some() && replica.column(own).is_some()
    });
    if choice.matching == Matching::Keyed && (!usable || declared.is_empty()) {
        let hint = "name key columns with key = [...], or allow whole rows with mode = \"auto\"";
        return Err(PlanError::new("dataset.key", "there is no key that both sides have", hint));
    }
    // Without a usable key whole rows are compared: weaker in naming, not in proof.
    Ok(if usable { declared } else { Vec::new() })
}

/// Pairs of (source, replica) columns, and columns left out with their reasons.
type Pairing = (Vec<(String, String)>, Vec<(String, String)>);

fn pair_columns(source: &Schema, replica: &Schema, choice: &Choice) -> Result<Pairing, PlanError> {
    for (from, to) in &choice.rename {
        if source.column(from).is_none() {
            let message = format!("cannot rename {from:?}: there is no such column on the source");
            return Err(PlanError::new("dataset.columns", message, nearest_hint(from, source)));
        }
        if replica.column(to).is_none() {
            let message = format!("cannot rename {from:?} to {to:?}: there is no such column on the replica");
            return Err(PlanError::new("dataset.columns", message, nearest_hint(to, replica)));
        }
    }
    for column in &choice.columns {
        if source.column(column).is_none() {
            let message = format!("there is no column {column:?} on the source");
            return Err(PlanError::new("dataset.columns", message, nearest_hint(column, source)));
        }
    }
    let mut renamed_to = BTreeSet::new();
    for (from, to) in &choice.rename {
        if !renamed_to.insert(to.as_str()) {
            let message = format!("cannot rename {from:?} to {to:?}: another column is renamed to it as well");
            return Err(PlanError::new("dataset.columns", message, "rename every column to a column of its own"));
        }
    }
    let (mut pairs, mut left_out) = (Vec::new(), Vec::new());
    let mut taken = BTreeSet::new();
    for column in &source.columns {
        if !choice.columns.is_empty() && !choice.columns.contains(&column.name) {
            left_out.push((column.name.clone(), "not among the chosen columns".to_owned()));
            continue;
        }
        let own = choice.rename.get(&column.name).unwrap_or(&column.name);
        let given_away = !choice.rename.contains_key(&column.name) && renamed_to.contains(own.as_str());
        if given_away && choice.columns.contains(&column.name) {
            let message = format!("the replica's column {own:?} is already compared with another column");
            return Err(PlanError::new("dataset.columns", message, "rename this column as well, or leave it out"));
        } else if given_away {
            left_out.push((column.name.clone(), "another column is renamed to its name".to_owned()));
        } else if replica.column(own).is_some() {
            taken.insert(own.as_str());
            pairs.push((column.name.clone(), own.clone()));
        } else if choice.columns.contains(&column.name) {
            let message = format!("there is no column {own:?} on the replica");
            return Err(PlanError::new("dataset.columns", message, nearest_hint(own, replica)));
        } else {
            left_out.push((column.name.clone(), "not on the replica".to_owned()));
        }
    }
    if choice.columns.is_empty() {
        let extra = replica.columns.iter().filter(|column| !taken.contains(column.name.as_str()));
        left_out.extend(extra.map(|column| (column.name.clone(), "not on the source".to_owned())));
    }
    Ok((pairs, left_out))
}

fn nearest_hint(name: &str, schema: &Schema) -> String {
    let same = |column: &&paritas_model::Column| column.name.eq_ignore_ascii_case(name);
    if let Some(column) = schema.columns.iter().find(same) {
        return format!("did you mean {:?}? Names are compared with their case", column.name);
    }
    const NAMES_SHOWN_MAX: usize = 20;
    let names: Vec<&str> = schema.columns.iter().take(NAMES_SHOWN_MAX).map(|column| column.name.as_str()).collect();
    format!("the columns are: {}", names.join(", "))
}

/// Everything in which two schemas differ. `same_engine` tells whether engine types and facts can
/// be held against each other; otherwise types are compared by meaning.
pub fn compare_schemas(source: &Schema, replica: &Schema, choice: &Choice, same_engine: bool) -> Vec<SchemaDelta> {
    let mut deltas = Vec::new();
    let mut taken = BTreeSet::new();
    let chosen = |name: &str| choice.columns.is_empty() || choice.columns.iter().any(|column| column == name);
    for column in source.columns.iter().filter(|column| chosen(&column.name)) {
        let own = choice.rename.get(&column.name).unwrap_or(&column.name);
        let what = format!("column {}", column.name);
        let Some(other) = replica.column(own) else {
            let source = Some(column.engine_type.clone());
            deltas.push(SchemaDelta { what, source, replica: None, data: true, comparable: false });
            continue;
        };
        taken.insert(own.as_str());
        let untyped = [&column.logical, &other.logical].iter().any(|l| **l == paritas_model::LogicalType::Untyped);
        let same = match same_engine {
            true => column.engine_type == other.engine_type,
            false => untyped || column.logical == other.logical,
        };
        if !same {
            let (source, replica) = (Some(column.engine_type.clone()), Some(other.engine_type.clone()));
            // Between engines the canon decides whether the types can meet; it says so by itself.
            deltas.push(SchemaDelta { what, source, replica, data: same_engine, comparable: true });
        } else if same_engine && column.nullable != other.nullable {
            let word = |nullable: bool| Some(if nullable { "nullable" } else { "not null" }.to_owned());
            let (source, replica) = (word(column.nullable), word(other.nullable));
            deltas.push(SchemaDelta { what, source, replica, data: false, comparable: true });
        }
    }
    if choice.columns.is_empty() {
        for column in replica.columns.iter().filter(|column| !taken.contains(column.name.as_str())) {
            let (what, replica) = (format!("column {}", column.name), Some(column.engine_type.clone()));
            deltas.push(SchemaDelta { what, source: None, replica, data: true, comparable: false });
        }
    }
    if same_engine {
        compare_keys_and_facts(source, replica, choice, &mut deltas);
    }
    deltas
}

fn compare_keys_and_facts(source: &Schema, replica: &Schema, choice: &Choice, deltas: &mut Vec<SchemaDelta>) {
    let renamed: Vec<&String> = source.key.iter().map(|name| choice.rename.get(name).unwrap_or(name)).collect();
    if !renamed.iter().copied().eq(replica.key.iter()) {
        let show = |key: &[String]| (!key.is_empty()).then(|| key.join(", "));
        let (source, replica) = (show(&source.key), show(&replica.key));
        deltas.push(SchemaDelta { what: "key".to_owned(), source, replica, data: false, comparable: true });
    }
    let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (source.facts.iter().collect(), replica.facts.iter().collect());
    let fact = |what: &String, on_source: bool| SchemaDelta {
        what: what.clone(),
        source: on_source.then(|| "present".to_owned()),
        replica: (!on_source).then(|| "present".to_owned()),
        data: false,
        comparable: true,
    };
    deltas.extend(ours.difference(&theirs).map(|what| fact(what, true)));
    deltas.extend(theirs.difference(&ours).map(|what| fact(what, false)));
}
