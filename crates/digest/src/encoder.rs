//! Single values and keys of Arrow batches as canonical bytes.

use crate::logical::{marked, named, write_beyond, write_key, write_value};
use crate::{Canon, CanonKind, DigestError, KeyForm};
use arrow_array::{RecordBatch, new_empty_array};

/// Canonical bytes of single values, in full: used to name differing columns and keys.
#[derive(Debug, Clone)]
pub struct Encoder {
    canon: Canon,
    inline: bool,
}

impl Encoder {
    /// An encoder for batches of this Arrow schema, whose columns are in the order of the canon.
    ///
    /// # Errors
    /// A canon that is not logical, another number of columns, or a type that does not fit.
    pub fn new(canon: &Canon, schema: &arrow_schema::Schema) -> Result<Self, DigestError> {
        if canon.kind != CanonKind::Logical {
            return Err(DigestError::Kind { found: "Arrow", expected: "wire" });
        }
        let found = schema.fields().len();
        if found != canon.columns.len() {
            return Err(DigestError::Columns { found, expected: canon.columns.len() });
        }
        for (column, field) in canon.columns.iter().zip(schema.fields()) {
            if crate::logical::is_marked(field) {
                continue;
            }
            let empty = new_empty_array(field.data_type());
            crate::logical::check_type(empty.as_ref(), column, &canon.policies)?;
        }
        let inline = matches!(canon.key_form(), KeyForm::Inline8 | KeyForm::Inline16);
        Ok(Self { canon: canon.clone(), inline })
    }

    /// The value of one column, `None` for NULL. Equal on both sides exactly when the values are.
    ///
    /// # Errors
    /// A value that its slot cannot hold, or a column or row that is not there.
    pub fn field(&self, batch: &RecordBatch, row: usize, column: usize) -> Result<Option<Vec<u8>>, DigestError> {
        let expected = self.canon.columns.len();
        let missing = DigestError::Columns { found: batch.num_columns(), expected };
        let place = self.canon.columns.get(column).zip(batch.columns().get(column));
        let (canon, array) = place.ok_or(missing)?;
        check_row(batch, row, &canon.name)?;
        let mut bytes = Vec::new();
        let present = match marked(batch, column) {
            true => write_beyond(array.as_ref(), row, canon.slot.fixed_width().unwrap_or(0) as usize, &mut bytes),
            false => write_value(array.as_ref(), &canon.slot, &self.canon.policies, row, &mut bytes),
        };
        let present = present.map_err(|misfit| named(misfit, canon, array.as_ref()))?;
        Ok(present.then_some(bytes))
    }

    /// The canonical key of one row: slot bytes side by side for inline keys without NULL, otherwise
    /// every column with a mark and its length; empty where the whole row is the key.
    ///
    /// # Errors
    /// A value that its slot cannot hold, or a row that is not there.
    pub fn key(&self, batch: &RecordBatch, row: usize) -> Result<Vec<u8>, DigestError> {
        let mut key = Vec::new();
        check_row(batch, row, "")?;
        if self.inline {
            let mut whole = true;
            for (index, _) in self.canon.key().iter().enumerate() {
                match self.field(batch, row, index)? {
                    Some(_) if marked(batch, index) => whole = false,
                    Some(bytes) => key.extend_from_slice(&bytes),
                    None => whole = false,
                }
            }
            if whole {
                return Ok(key);
            }
            key.clear();
        }
        write_key(self.canon.key(), &self.canon.policies, batch, row, &mut key)?;
        Ok(key)
    }
}

fn check_row(batch: &RecordBatch, row: usize, column: &str) -> Result<(), DigestError> {
    if row < batch.num_rows() {
        return Ok(());
    }
    let why = format!("the batch has only {} rows", batch.num_rows());
    Err(DigestError::Value { column: column.to_owned(), row, why })
}
