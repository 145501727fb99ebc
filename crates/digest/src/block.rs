//! Rows on their way from a connector to a digest.

use arrow_array::RecordBatch;

/// Some rows of one scan, in either of the two canons.
#[derive(Debug, Clone)]
pub enum Block {
    /// Canonical wire images.
    Wire(RowBlock),
    /// Arrow columns in the order of the canon's columns.
    Arrow(RecordBatch),
}

impl Block {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Wire(block) => block.len(),
            Self::Arrow(batch) => batch.num_rows(),
        }
    }
}

/// The length to which images and keys are padded with zero bytes: one BLAKE3 block. Images are
/// self-delimiting, so padding never makes two of them equal.
pub(crate) const PAD: usize = 64;

/// Canonical row images and their keys in two contiguous buffers, every entry padded to whole
/// BLAKE3 blocks so that rows of equal length hash side by side.
#[derive(Debug, Clone, Default)]
pub struct RowBlock {
    images: Vec<u8>,
    keys: Vec<u8>,
    spans: Vec<Span>,
}

/// Where a row lies: unpadded lengths, padded starts.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    image_start: usize,
    image_len: usize,
    key_start: usize,
    key_len: usize,
}

impl RowBlock {
    /// An empty block with room for that many rows and image bytes.
    pub fn with_capacity(rows: usize, image_bytes: usize) -> Self {
        Self {
            images: Vec::with_capacity(image_bytes + rows * PAD),
            keys: Vec::with_capacity(rows * PAD),
            spans: Vec::with_capacity(rows),
        }
    }

    /// Appends one row: its canonical image and its canonical key (empty where the whole row is
    /// the key).
    pub fn push(&mut self, image: &[u8], key: &[u8]) {
        let image_start = self.images.len();
        self.images.extend_from_slice(image);
        self.finish(image_start, key);
    }

    /// Appends one row whose image `write` puts at the end of the buffer it is given; what is
    /// already there must stay. Saves a copy against [`RowBlock::push`]. When `write` fails the
    /// block is left as it was.
    ///
    /// # Errors
    /// Whatever `write` returns.
    pub fn push_with<E>(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let image_start = self.images.len();
        if let Err(error) = write(&mut self.images) {
            self.images.truncate(image_start);
            return Err(error);
        }
        self.finish(image_start, key);
        Ok(())
    }

    fn finish(&mut self, image_start: usize, key: &[u8]) {
        let image_len = self.images.len() - image_start;
        let key_start = self.keys.len();
        self.keys.extend_from_slice(key);
        self.images.resize(image_start + image_len.next_multiple_of(PAD), 0);
        self.keys.resize(key_start + key.len().next_multiple_of(PAD), 0);
        self.spans.push(Span { image_start, image_len, key_start, key_len: key.len() });
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of all images with their padding.
    pub fn image_bytes(&self) -> usize {
        self.images.len()
    }

    /// The image of row `index` without padding.
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let span = self.spans.get(index)?;
        self.images.get(span.image_start..span.image_start + span.image_len)
    }

    /// The key of row `index` without padding.
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        let span = self.spans.get(index)?;
        self.keys.get(span.key_start..span.key_start + span.key_len)
    }

    /// The image of row `index` with its padding.
    pub(crate) fn padded_image(&self, index: usize) -> &[u8] {
        let span = self.spans.get(index).copied().unwrap_or_default();
        padded(&self.images, span.image_start, span.image_len)
    }

    /// The key of row `index` with its padding.
    pub(crate) fn padded_key(&self, index: usize) -> &[u8] {
        let span = self.spans.get(index).copied().unwrap_or_default();
        padded(&self.keys, span.key_start, span.key_len)
    }

    /// Removes all rows and keeps the buffers.
    pub fn clear(&mut self) {
        self.images.clear();
        self.keys.clear();
        self.spans.clear();
    }
}

fn padded(buffer: &[u8], start: usize, len: usize) -> &[u8] {
    buffer.get(start..start + len.next_multiple_of(PAD)).unwrap_or_default()
}
