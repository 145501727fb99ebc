//! A digest: sums and what they are about.

use crate::error::HeaderDelta;
use crate::keys::KeyId;
use crate::spec::KeyHash;
use crate::{Canon, Capacity, Incomparable, KeyForm, Spec, Sums};
use paritas_model::{Known, Position, Schema, SchemaFingerprint};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Version of the digest format. Digests of different versions are incomparable.
pub const FORMAT: u32 = 1;

/// What a digest is about. Written as JSON in front of the sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Format version.
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The name of the deployment's key.
    pub key_id: KeyId,
    /// How keys are hashed.
    pub key_hash: KeyHash,
    /// How rows become bytes.
    pub canon: Canon,
    /// Fingerprint of the schema of the store that was read; not part of being comparable.
    pub schema: SchemaFingerprint,
    /// Position of the view that was read.
    pub position: Known<Position>,
    /// When the digest was made, RFC 3339 in UTC.
    pub taken_at: String,
    /// The store that was read, by its name without credentials.
    pub store: String,
    /// Number of rows.
    pub rows: u64,
    /// Number of buckets.
    pub buckets: u32,
    /// Slots of each sub-table of the sketch.
    pub sub: Capacity,
    /// What the sketch keeps of keys.
    pub key_form: KeyForm,
    /// Whether the keys were taken out.
    pub blind: bool,
    /// The condition that chose the rows, in the language of the store; without one, all were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// What the maker of a digest knows beside its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderFacts {
    /// Fingerprint of the schema.
    pub schema: SchemaFingerprint,
    /// Position of the view that was read.
    pub position: Known<Position>,
    /// The store, by its name without credentials.
    pub store: String,
}

/// What one side says about one dataset at one position.
#[derive(Debug, Clone)]
pub struct Digest {
    /// What it is about.
    pub header: Header,
    /// What it says.
    pub sums: Sums,
    /// Known where the digest was made or after [`Digest::attach`]; lets decoded keys be checked
    /// against their hashes.
    pub(crate) spec: Option<Arc<Spec>>,
}

impl Digest {
    /// A digest taken now.
    pub fn new(spec: &Arc<Spec>, facts: HeaderFacts, sums: Sums) -> Self {
        Self::taken_at(spec, facts, sums, jiff::Timestamp::now().to_string())
    }

    /// A digest with a given time, RFC 3339 in UTC.
    pub fn taken_at(spec: &Arc<Spec>, facts: HeaderFacts, sums: Sums, taken_at: String) -> Self {
        let header = Header {
            format: FORMAT,
            dataset: spec.dataset().to_owned(),
            key_id: spec.key_id(),
            key_hash: spec.key_hash(),
            canon: spec.canon().clone(),
            schema: facts.schema,
            position: facts.position,
            taken_at,
            store: facts.store,
            rows: sums.rows,
            buckets: crate::capacity::BUCKETS as u32,
            sub: sums.capacity,
            key_form: sums.form,
            blind: sums.blind,
            filter: None,
        };
        Self { header, sums, spec: Some(Arc::clone(spec)) }
    }

    /// Gives a digest that was read from a file the keys it was made with.
    ///
    /// # Errors
    /// [`Incomparable`] when `spec` is not what the digest was made with; nothing is changed then.
    pub fn attach(&mut self, spec: &Arc<Spec>) -> Result<(), Incomparable> {
        let mut fields = Vec::new();
        let header = &self.header;
        delta(&mut fields, "dataset", &header.dataset.as_str(), &spec.dataset());
        delta(&mut fields, "key_id", &header.key_id, &spec.key_id());
        delta(&mut fields, "key_hash", &header.key_hash, &spec.key_hash());
        canon_deltas(&mut fields, &header.canon, spec.canon());
        if fields.is_empty() {
            self.spec = Some(Arc::clone(spec));
            Ok(())
        } else {
            Err(Incomparable { fields })
        }
    }

    /// The same digest as one of the rows that a condition chose. Two digests under different
    /// conditions are incomparable.
    #[must_use]
    pub fn filtered(mut self, filter: Option<String>) -> Self {
        self.header.filter = filter;
        self
    }

    /// The same digest without the keys in its sketch, fit to leave the region. The number of rows,
    /// the names of columns and the position stay in it.
    #[must_use]
    pub fn blind(&self) -> Self {
        let mut digest = self.clone();
        digest.sums.blind();
        digest.header.blind = true;
        digest
    }

    /// Halves the sketch, for a smaller file that names fewer differences. `false` at the smallest.
    pub fn fold(&mut self) -> bool {
        let folded = self.sums.fold();
        self.header.sub = self.sums.capacity;
        folded
    }

    /// Fields in which two digests must agree to be comparable, where they do not.
    pub(crate) fn incomparable_with(&self, replica: &Self) -> Vec<HeaderDelta> {
        let (ours, theirs) = (&self.header, &replica.header);
        let mut fields = Vec::new();
        delta(&mut fields, "format", &ours.format, &theirs.format);
        delta(&mut fields, "dataset", &ours.dataset, &theirs.dataset);
        delta(&mut fields, "key_id", &ours.key_id, &theirs.key_id);
        delta(&mut fields, "key_hash", &ours.key_hash, &theirs.key_hash);
        canon_deltas(&mut fields, &ours.canon, &theirs.canon);
        delta(&mut fields, "buckets", &ours.buckets, &theirs.buckets);
        delta(&mut fields, "filter", &ours.filter, &theirs.filter);
        delta(&mut fields, "key_form", &self.sums.form, &replica.sums.form);
        fields
    }
}

/// Fields that differ, by name.
fn canon_deltas(fields: &mut Vec<HeaderDelta>, ours: &Canon, theirs: &Canon) {
    delta(fields, "canon", &ours.kind, &theirs.kind);
    delta(fields, "columns", &ours.columns, &theirs.columns);
    delta(fields, "key_columns", &ours.key_columns, &theirs.key_columns);
    delta(fields, "policies", &ours.policies, &theirs.policies);
}

fn delta<T: PartialEq + Serialize>(fields: &mut Vec<HeaderDelta>, field: &'static str, ours: &T, theirs: &T) {
    if ours != theirs {
        let shown = |value: &T| serde_json::to_string(value).unwrap_or_else(|error| error.to_string());
        fields.push(HeaderDelta { field, source: shown(ours), replica: shown(theirs) });
    }
}

/// A hash over everything in a schema that replication must keep. The order of columns and of facts
/// does not matter, that of key columns does.
pub fn schema_fingerprint(schema: &Schema) -> SchemaFingerprint {
    let mut sorted = schema.clone();
    sorted.columns.sort_by(|a, b| a.name.cmp(&b.name));
    sorted.facts.sort();
    let mut hasher = blake3::Hasher::new_derive_key("paritas digest v1: schema fingerprint");
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    for column in &sorted.columns {
        part("column");
        part(&column.name);
        part(&column.engine_type);
        part(&column.logical.to_string());
        part(if column.nullable { "nullable" } else { "not null" });
    }
    for (kind, texts) in [("key", &sorted.key), ("fact", &sorted.facts)] {
        for text in texts {
            part(kind);
            part(text);
        }
    }
    SchemaFingerprint(*hasher.finalize().as_bytes())
}
