//! Differences between a source and a replica.

use crate::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of difference a row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// On the source only.
    Lost,
    /// On the replica only.
    Extra,
    /// On both sides under the same key, with other values.
    Changed,
}

impl Class {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Extra => "extra",
            Self::Changed => "changed",
        }
    }
}

/// How sure a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Seen on both sides at positions that must agree.
    Proven,
    /// Explained by replication that has not arrived yet.
    InFlight,
    /// Seen, but not at positions that must agree.
    Unproven,
}

/// One differing row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Lost, extra or changed.
    pub class: Class,
    /// How sure it is.
    pub proof: Proof,
    /// Key columns by name, in key order. Empty if the key could not be named.
    #[serde(with = "pairs")]
    #[schemars(with = "pairs::Object")]
    pub key: Vec<(String, Value)>,
    /// How many copies of the row differ; 1 except for exact duplicates.
    pub copies: u64,
    /// Names of the columns that differ, in schema order; only for `Changed`.
    pub columns: Vec<String>,
    /// The differing columns' values on the source (for a lost row: all columns).
    #[serde(with = "pairs")]
    #[schemars(with = "pairs::Object")]
    pub source: Vec<(String, Value)>,
    /// The differing columns' values on the replica (for an extra row: all columns).
    #[serde(with = "pairs")]
    #[schemars(with = "pairs::Object")]
    pub replica: Vec<(String, Value)>,
    /// Where the row stands, where a place says more than the key: a file and row number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
    /// What more there is to say, such as why the row could not be shown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// Complete counts per class and proof, also where the list of items is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceCounts {
    /// Proven rows on the source only.
    pub lost: u64,
    /// Proven rows on the replica only.
    pub extra: u64,
    /// Proven rows with other values.
    pub changed: u64,
    /// Rows explained by replication in flight.
    pub in_flight: u64,
    /// Rows seen to differ without proof.
    pub unproven: u64,
    /// Rows that could not be compared at all.
    pub unverifiable: u64,
    /// Differing rows that carry a time which no clock can have shown: neither proven differences nor equal.
    #[serde(skip_serializing_if = "none", default)]
    pub quarantined: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn none(count: &u64) -> bool {
    *count == 0
}

impl DifferenceCounts {
    /// Counts one difference, `copies` times.
    pub fn add(&mut self, class: Class, proof: Proof, copies: u64) {
        let slot = match (proof, class) {
            (Proof::InFlight, _) => &mut self.in_flight,
            (Proof::Unproven, _) => &mut self.unproven,
            (Proof::Proven, Class::Lost) => &mut self.lost,
            (Proof::Proven, Class::Extra) => &mut self.extra,
            (Proof::Proven, Class::Changed) => &mut self.changed,
        };
        *slot = slot.saturating_add(copies);
    }

    /// Takes over the counts of another part.
    pub fn absorb(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.lost, other.lost),
            (&mut self.extra, other.extra),
            (&mut self.changed, other.changed),
            (&mut self.in_flight, other.in_flight),
            (&mut self.unproven, other.unproven),
            (&mut self.unverifiable, other.unverifiable),
            (&mut self.quarantined, other.quarantined),
        ] {
            *own = own.saturating_add(other);
        }
    }

    /// Sets a proven difference apart.
    pub fn quarantine(&mut self, class: Class, copies: u64) {
        let slot = match class {
            Class::Lost => &mut self.lost,
            Class::Extra => &mut self.extra,
            Class::Changed => &mut self.changed,
        };
        let moved = copies.min(*slot);
        *slot -= moved;
        self.quarantined = self.quarantined.saturating_add(moved);
    }

    /// All proven differences.
    pub fn proven(&self) -> u64 {
        self.lost.saturating_add(self.extra).saturating_add(self.changed)
    }

    /// Everything that keeps the verdict from being a pass without proving a violation.
    pub fn unsettled(&self) -> u64 {
        let open = self.in_flight.saturating_add(self.unproven).saturating_add(self.unverifiable);
        open.saturating_add(self.quarantined)
    }
}

/// Writes ordered name-value pairs as a JSON object (for `#[serde(with)]`).
pub mod pairs {
    use crate::Value;
    use serde::de::{MapAccess, Visitor};
    use serde::ser::SerializeMap;
    use serde::{Deserializer, Serializer};
    use std::collections::BTreeMap;
    use std::fmt;

    /// What such pairs are in a schema.
    pub type Object = BTreeMap<String, Value>;

    /// Writes the pairs in their order.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(pairs: &[(String, Value)], serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(pairs.len()))?;
        for (name, value) in pairs {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }

    /// Reads pairs in their order.
    ///
    /// # Errors
    /// What is no object of values.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Value)>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(String, Value)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of column values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_keeps_its_column_order_through_json() {
        let difference = Difference {
            class: Class::Changed,
            proof: Proof::Proven,
            key: vec![("venue".into(), "X".into()), ("id".into(), Value::Int(42))],
            copies: 1,
            columns: vec!["amount".into()],
            source: vec![("amount".into(), "10.00".into())],
            replica: vec![("amount".into(), "10.01".into())],
            place: None,
            note: None,
        };
        let json = serde_json::to_string(&difference).unwrap();
        assert!(json.contains(r#""key":{"venue":"X","id":42}"#), "{json}");
        assert_eq!(serde_json::from_str::<Difference>(&json).unwrap(), difference);
    }

    #[test]
    fn only_proven_differences_count_as_violations() {
        let mut counts = DifferenceCounts::default();
        counts.add(Class::Lost, Proof::Proven, 2);
        counts.add(Class::Changed, Proof::InFlight, 1);
        counts.add(Class::Extra, Proof::Unproven, 1);
        assert_eq!((counts.proven(), counts.unsettled()), (2, 2));
    }
}
