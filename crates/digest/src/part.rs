//! What the rows of one part of a dataset add to its sums, in the smaller of two forms.
//!
//! A part of few rows is a list of what each of them adds ([`RowEntries`]); one of many is smaller as sums of its own, of
//! the same capacity as those of the whole. Which form it has depends on the number of its rows alone. Either can be added
//! to sums, and so be taken out of them again.
//!
//! ```text
//! form (u8)              0: rows, 1: sums
//! rows                   as RowEntries
//! or rows (u64), words   buckets, main table, mop-up table; little-endian
//! ```

use crate::{Block, Capacity, DigestError, Digester, Incomparable, Recorder, RowEntries, Spec, Sums};
use std::sync::Arc;

/// The first byte of a list of rows, and of sums.
const FORM_ROWS: u8 = 0;
const FORM_SUMS: u8 = 1;
/// Rows of a list, at most: they are held in memory while a part is read.
const ROWS_MAX: u64 = 1 << 20;

/// What the rows of a part add.
#[derive(Debug, Clone)]
pub struct PartSum {
    capacity: Capacity,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Rows(RowEntries),
    Sums(Box<Sums>),
}

/// Rows that are kept as a list, at most.
fn rows_max(spec: &Spec, capacity: Capacity) -> u64 {
    let row = RowEntries::bytes_of(spec, 1).saturating_sub(RowEntries::bytes_of(spec, 0)).max(1);
    (capacity.bytes(spec.key_form()) / row).min(ROWS_MAX)
}

impl PartSum {
    /// A part without rows.
    pub fn new(capacity: Capacity) -> Self {
        Self { capacity, form: Form::Rows(RowEntries::default()) }
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        match &self.form {
            Form::Rows(rows) => rows.rows(),
            Form::Sums(sums) => sums.rows(),
        }
    }

    /// Bytes that a part of so many rows takes, about.
    pub fn bytes_of(spec: &Spec, capacity: Capacity, rows: u64) -> u64 {
        if rows <= rows_max(spec, capacity) {
            RowEntries::bytes_of(spec, rows)
        } else {
            capacity.bytes(spec.key_form())
        }
    }

    /// Adds the rows of another piece of the same part.
    ///
    /// # Errors
    /// [`Incomparable`] when it is of another capacity.
    pub fn merge(&mut self, spec: &Spec, other: Self) -> Result<(), Incomparable> {
        match (&mut self.form, other.form) {
            (Form::Rows(rows), Form::Rows(more)) => {
                rows.append(more);
                if rows.rows() > rows_max(spec, self.capacity) {
                    let mut sums = Sums::new(spec.key_form(), self.capacity);
                    sums.add_entries(rows);
                    self.form = Form::Sums(Box::new(sums));
                }
                Ok(())
            }
            (Form::Rows(rows), Form::Sums(mut sums)) => {
                sums.add_entries(rows);
                self.form = Form::Sums(sums);
                Ok(())
            }
            (Form::Sums(sums), Form::Rows(more)) => {
                sums.add_entries(&more);
                Ok(())
            }
            (Form::Sums(sums), Form::Sums(more)) => sums.merge(&more),
        }
    }

    /// Adds the rows to sums.
    ///
    /// # Errors
    /// [`Incomparable`] when these are of another capacity or another kind of key.
    pub fn add_to(&self, sums: &mut Sums) -> Result<(), Incomparable> {
        match &self.form {
            Form::Rows(rows) => {
                sums.add_entries(rows);
                Ok(())
            }
            Form::Sums(own) => sums.merge(own),
        }
    }

    /// Whether both are about the same rows, each as often.
    pub fn is_same(&self, spec: &Spec, other: &Self) -> bool {
        let sums = |part: &Self| {
            let mut sums = Sums::new(spec.key_form(), self.capacity);
            part.add_to(&mut sums).is_ok().then_some(sums)
        };
        match (&self.form, &other.form) {
            (Form::Rows(own), Form::Rows(other)) => own.is_same(other),
            (Form::Sums(own), Form::Sums(other)) => own == other,
            _ => sums(self).zip(sums(other)).is_some_and(|(own, other)| own == other),
        }
    }

    /// The part as bytes.
    pub fn encode(&self, spec: &Spec) -> Vec<u8> {
        match &self.form {
            Form::Rows(rows) => [&[FORM_ROWS], rows.encode(spec).as_slice()].concat(),
            Form::Sums(sums) => {
                let tables = [&sums.buckets, &sums.main, &sums.mop];
                let words: usize = tables.iter().map(|words| words.len()).sum();
                let mut bytes = Vec::with_capacity(1 + 8 + words * 8);
                bytes.push(FORM_SUMS);
                bytes.extend_from_slice(&sums.rows.to_le_bytes());
                for word in tables.into_iter().flatten() {
                    bytes.extend_from_slice(&word.to_le_bytes());
                }
                bytes
            }
        }
    }

    /// A part that was encoded; `None` for bytes that are no part of this spec and capacity.
    pub fn decode(spec: &Spec, capacity: Capacity, bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        let form = match *form {
            FORM_ROWS => Form::Rows(RowEntries::decode(spec, rest)?),
            FORM_SUMS => {
                let mut sums = Sums::new(spec.key_form(), capacity);
                let (rows, rest) = rest.split_first_chunk::<8>()?;
                sums.rows = u64::from_le_bytes(*rows);
                let (words, remainder) = rest.as_chunks::<8>();
                let wanted = sums.buckets.len() + sums.main.len() + sums.mop.len();
                if words.len() != wanted || !remainder.is_empty() {
                    return None;
                }
                let places = sums.buckets.iter_mut().chain(&mut sums.main).chain(&mut sums.mop);
                places.zip(words).for_each(|(place, word)| *place = u64::from_le_bytes(*word));
                Form::Sums(Box::new(sums))
            }
            _ => return None,
        };
        Some(Self { capacity, form })
    }
}

/// Sums up the rows of a part. Not shared between threads.
#[derive(Debug)]
pub struct PartSummer {
    spec: Arc<Spec>,
    capacity: Capacity,
    rows: RowEntries,
    recorder: Recorder,
    /// Takes the rows after those of the list, once that is full.
    digester: Option<Digester>,
}

impl PartSummer {
    /// A part without rows.
    pub fn new(spec: Arc<Spec>, capacity: Capacity) -> Self {
        let recorder = Recorder::new(Arc::clone(&spec));
        Self { spec, capacity, rows: RowEntries::default(), recorder, digester: None }
    }

    /// Adds the rows of a block.
    ///
    /// # Errors
    /// As [`Digester::add`].
    pub fn add(&mut self, block: &Block) -> Result<(), DigestError> {
        if let Some(digester) = &mut self.digester {
            return digester.add(block);
        }
        let rows = &mut self.rows;
        self.recorder.record(block, &mut |_, entry| rows.push(entry))?;
        if rows.rows() > rows_max(&self.spec, self.capacity) {
            self.digester = Some(Digester::new(Arc::clone(&self.spec), self.capacity));
        }
        Ok(())
    }

    /// What all rows add.
    pub fn finish(self) -> PartSum {
        let form = match self.digester {
            None => Form::Rows(self.rows),
            Some(digester) => {
                let mut sums = digester.finish();
                sums.add_entries(&self.rows);
                Form::Sums(Box::new(sums))
            }
        };
        PartSum { capacity: self.capacity, form }
    }
}
