//! Choosing the key and pairing the columns of two datasets.

use crate::plan::{Choice, Matching, PlanError};
use paritas_model::Schema;
use std::collections::{BTreeMap, BTreeSet};

/// The key columns by source name; none when whole rows are compared.
pub(crate) fn choose_key(source: &Schema, replica: &Schema, choice: &Choice) -> Result<Vec<String>, PlanError> {
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

/// Pairs the columns of both sides.
pub(crate) fn pair_columns(source: &Schema, replica: &Schema, choice: &Choice) -> Result<Pairing, PlanError> {
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

pub(crate) fn nearest_hint(name: &str, schema: &Schema) -> String {
    let same = |column: &&paritas_model::Column| column.name.eq_ignore_ascii_case(name);
    if let Some(column) = schema.columns.iter().find(same) {
        return format!("did you mean {:?}? Names are compared with their case", column.name);
    }
    const NAMES_SHOWN_MAX: usize = 20;
    let names: Vec<&str> = schema.columns.iter().take(NAMES_SHOWN_MAX).map(|column| column.name.as_str()).collect();
    format!("the columns are: {}", names.join(", "))
}
