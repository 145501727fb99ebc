//! Single values and keys of Arrow batches as canonical bytes.

use crate::{Canon, DigestError};
use arrow_array::RecordBatch;

/// Canonical bytes of single values, in full: used to name differing columns and keys.
#[derive(Debug)]
pub struct Encoder {
    canon: Canon,
}

impl Encoder {
    /// An encoder for batches of this Arrow schema, whose columns are in the order of the canon.
    ///
    /// # Errors
    /// A canon that is not logical, another number of columns, or a type that does not fit.
    pub fn new(canon: &Canon, _schema: &arrow_schema::Schema) -> Result<Self, DigestError> {
        Ok(Self { canon: canon.clone() })
    }

    /// The value of one column, `None` for NULL. Equal on both sides exactly when the values are.
    ///
    /// # Errors
    /// A value that its slot cannot hold.
    pub fn field(&self, _batch: &RecordBatch, _row: usize, _column: usize) -> Result<Option<Vec<u8>>, DigestError> {
        Err(DigestError::Canon { why: format!("not yet {}", self.canon.columns.len()) })
    }

    /// The canonical key of one row; empty where the whole row is the key.
    ///
    /// # Errors
    /// A value that its slot cannot hold.
    pub fn key(&self, _batch: &RecordBatch, _row: usize) -> Result<Vec<u8>, DigestError> {
        Err(DigestError::Canon { why: "not yet".into() })
    }
}
