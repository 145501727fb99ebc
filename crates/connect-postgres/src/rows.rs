//! From COPY tuples to blocks, in either canon.

use crate::bytes::{Reader, put_field, put_null};
use crate::decode::Decoder;
use crate::errors::malformed;
use crate::grouped::GroupRows;
use crate::plan::Plan;
use crate::rewrite::Rewrite;
use paritas_connect::Result;
use paritas_digest::{Block, CanonKind, KeyForm, RowBlock};

/// A block is handed on when it has this many rows or bytes.
const ROWS_MAX: usize = 4_096;
const BYTES_MAX: usize = 256 << 10;

/// Collects tuples into blocks.
pub(crate) enum Rows {
    Wire(WireRows),
    Arrow(Decoder),
    Groups(GroupRows),
}

impl Rows {
    pub(crate) fn new(plan: &Plan, exact: bool) -> Result<Self> {
        if let Some(grouping) = &plan.grouping {
            return GroupRows::new(plan, grouping, exact).map(Self::Groups);
        }
        Ok(match plan.canon.kind {
            CanonKind::Wire { .. } => Self::Wire(WireRows::new(plan)),
            CanonKind::Logical => Self::Arrow(Decoder::new(plan)?),
        })
    }

    /// Takes a tuple: fields, each with its length in front.
    #[inline]
    pub(crate) fn push(&mut self, tuple: &[u8]) -> Result<()> {
        match self {
            Self::Wire(rows) => rows.push(tuple),
            Self::Arrow(decoder) => decoder.push(tuple),
            Self::Groups(groups) => groups.push(tuple),
        }
    }

    /// Whether it is time to hand the block on.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        let (rows, bytes) = match self {
            Self::Wire(rows) => (rows.block.len(), rows.block.image_bytes()),
            Self::Arrow(decoder) => (decoder.rows(), decoder.bytes()),
            Self::Groups(groups) => (groups.rows(), groups.bytes()),
        };
        rows >= ROWS_MAX || bytes >= BYTES_MAX
    }

    /// What was collected since the last block; `None` if nothing was.
    pub(crate) fn take(&mut self) -> Result<Option<Block>> {
        match self {
            Self::Wire(rows) if rows.block.is_empty() => Ok(None),
            Self::Wire(rows) => {
                // The next block will need about as much room as this one.
                let next = RowBlock::with_capacity(rows.block.len(), rows.block.image_bytes());
                Ok(Some(Block::Wire(std::mem::replace(&mut rows.block, next))))
            }
            Self::Arrow(decoder) if decoder.rows() == 0 => Ok(None),
            Self::Arrow(decoder) => decoder.finish().map(|batch| Some(Block::Arrow(batch))),
            Self::Groups(groups) if groups.rows() == 0 => Ok(None),
            Self::Groups(groups) => groups.finish().map(|batch| Some(Block::Arrow(batch))),
        }
    }
}

/// Wire images: tuples as they come, except for columns that need canonical bytes.
pub(crate) struct WireRows {
    rewrites: Vec<Rewrite>,
    as_is: bool,
    form: KeyForm,
    key_columns: usize,
    block: RowBlock,
    key: Vec<u8>,
    image: Vec<u8>,
}

impl WireRows {
    fn new(plan: &Plan) -> Self {
        let rewrites: Vec<Rewrite> = plan.columns.iter().map(|column| column.rewrite.clone()).collect();
        Self {
            as_is: rewrites.iter().all(|rewrite| *rewrite == Rewrite::Keep),
            rewrites,
            form: plan.canon.key_form(),
            key_columns: plan.canon.key_columns,
            block: RowBlock::with_capacity(0, 0),
            key: Vec::new(),
            image: Vec::new(),
        }
    }

    #[inline]
    fn push(&mut self, tuple: &[u8]) -> Result<()> {
        if self.as_is {
            key_of(self.form, self.key_columns, tuple, &mut self.key)?;
            self.block.push(tuple, &self.key);
            return Ok(());
        }
        self.image.clear();
        canonical_image(&self.rewrites, tuple, &mut self.image)?;
        key_of(self.form, self.key_columns, &self.image, &mut self.key)?;
        self.block.push(&self.image, &self.key);
        Ok(())
    }
}

/// Appends the canonical image of a tuple.
pub(crate) fn canonical_image(rewrites: &[Rewrite], tuple: &[u8], image: &mut Vec<u8>) -> Result<()> {
    let mut reader = Reader::new(tuple);
    for rewrite in rewrites {
        match (reader.field()?, rewrite) {
            (None, _) => put_null(image),
            (Some(value), Rewrite::Keep) => put_field(image, |image| {
                image.extend_from_slice(value);
                Ok(())
            })?,
            (Some(value), rewrite) => put_field(image, |image| rewrite.canonical(value, image))?,
        }
    }
    reader.end()
}

/// The canonical key of a canonical image, whose first fields it is made of.
#[inline]
pub(crate) fn key_of(form: KeyForm, columns: usize, image: &[u8], key: &mut Vec<u8>) -> Result<()> {
    key.clear();
    match form {
        KeyForm::WholeRow => {}
        KeyForm::Inline8 | KeyForm::Inline16 => {
            let mut reader = Reader::new(image);
            for _ in 0..columns {
                key.extend_from_slice(reader.field()?.ok_or_else(|| malformed("NULL in a key that cannot be NULL"))?);
            }
        }
        KeyForm::Fingerprint => {
            let mut reader = Reader::new(image);
            for _ in 0..columns {
                reader.field()?;
            }
            let length = image.len() - reader.rest().len();
            key.extend_from_slice(image.get(..length).unwrap_or_default());
        }
    }
    Ok(())
}
