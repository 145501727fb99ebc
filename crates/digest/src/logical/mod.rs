//! Rows of Arrow columns as bytes.

use crate::rows::Parts;
use crate::{DigestError, Spec};
use arrow_array::RecordBatch;
use std::ops::Range;

#[derive(Debug, Default)]
pub(crate) struct ImagerScratch {
    images: Vec<u8>,
}
impl ImagerScratch {
    pub(crate) fn keys(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.images.chunks(64).enumerate()
    }
}

pub(crate) struct Imager<'a> {
    spec: &'a Spec,
}
impl<'a> Imager<'a> {
    pub(crate) fn new(spec: &'a Spec, _batch: &'a RecordBatch, _parts: Parts) -> Result<Self, DigestError> {
        Ok(Self { spec })
    }
    pub(crate) fn encode(&self, _rows: Range<usize>, _scratch: &mut ImagerScratch) -> Result<(), DigestError> {
        Err(DigestError::Canon { why: format!("not yet {}", self.spec.dataset()) })
    }
    pub(crate) fn encode_keys(&self, _rows: Range<usize>, _scratch: &mut ImagerScratch) -> Result<(), DigestError> {
        Err(DigestError::Canon { why: "not yet".into() })
    }
    pub(crate) fn inline_key<'s>(&self, scratch: &'s ImagerScratch, _row: usize) -> &'s [u8] {
        &scratch.images
    }
    pub(crate) fn image<'s>(&self, scratch: &'s ImagerScratch, _row: usize) -> &'s [u8] {
        &scratch.images
    }
    pub(crate) fn null_keys(
        &self,
        _rows: Range<usize>,
        _scratch: &ImagerScratch,
    ) -> Result<Vec<(usize, Vec<u8>)>, DigestError> {
        Ok(Vec::new())
    }
}
