//! The differences between two schemas.

use crate::plan::Choice;
use paritas_digest::{Canon, Policies, ZonePolicy};
use paritas_model::{Column, Schema};
use std::collections::BTreeSet;

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

/// How the types of two stores are held against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// One engine: its own types are part of the data, and one that differs is a difference.
    Engine,
    /// One kind of files: physical types that differ are stated. They are a difference only where no
    /// value of the one can be compared with one of the other.
    Format,
    /// Two kinds of store: types are compared by meaning.
    Meaning,
}

/// Everything in which two schemas differ.
pub fn compare_schemas(source: &Schema, replica: &Schema, choice: &Choice, typing: Typing) -> Vec<SchemaDelta> {
    let same_kind = typing != Typing::Meaning;
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
        let same = match same_kind {
            true => column.engine_type == other.engine_type,
            false => untyped || column.logical == other.logical,
        };
        if !same {
            let (source, replica) = (Some(column.engine_type.clone()), Some(other.engine_type.clone()));
            // Between kinds the canon decides whether the types can meet; it says so by itself.
            let data = match typing {
                Typing::Engine => true,
                Typing::Format => !meet(column, other, choice),
                Typing::Meaning => false,
            };
            deltas.push(SchemaDelta { what, source, replica, data, comparable: true });
        } else if same_kind && column.nullable != other.nullable {
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
    if same_kind {
        compare_keys_and_facts(source, replica, choice, &mut deltas);
    }
    deltas
}

/// Whether values of two columns can be compared, if need be under another policy than was chosen.
fn meet(source: &Column, replica: &Column, choice: &Choice) -> bool {
    let alone = |column: &Column| Schema { columns: vec![column.clone()], ..Schema::default() };
    let pair = [(source.name.clone(), replica.name.clone())];
    let policies = Policies { zone: ZonePolicy::AssumeUtc, ..choice.policies };
    Canon::logical(&alone(source), &alone(replica), &pair, &[], policies).is_ok()
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
