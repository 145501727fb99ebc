//! Finding a logical canon in which two schemas meet.

use crate::{Canon, Policies};
use paritas_model::Schema;

/// A pair of columns whose types cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatible {
    /// The column's name on the source.
    pub column: String,
    /// Its type on the source.
    pub source: String,
    /// Its type on the replica.
    pub replica: String,
    /// Why they do not meet.
    pub why: String,
    /// What to do.
    pub hint: String,
}

impl Canon {
    /// The logical canon for pairs of (source, replica) columns. `key` are source names; empty means
    /// that the whole row is the key.
    ///
    /// # Errors
    /// Every pair that cannot be compared.
    pub fn logical(
        _source: &Schema,
        _replica: &Schema,
        _pairs: &[(String, String)],
        _key: &[String],
        _policies: Policies,
    ) -> Result<Self, Vec<Incompatible>> {
        Err(Vec::new())
    }
}
