//! Finding rows again whose keys came out of a sketch.

use crate::rows::{BlockHasher, CHUNK_ROWS, Parts, Scratch, words_of};
use crate::sums::{FINGERPRINT_BIT, Item};
use crate::{Block, DigestError, FoundKey, KeyForm, Spec};
use std::collections::HashMap;
use std::sync::Arc;

/// What tells keys apart: place and rest of a fingerprint, or the bytes of an inline key.
type Identity = (Option<u64>, [u64; 2]);

/// Recognises the rows of wanted keys in a second pass over a live side.
#[derive(Debug)]
pub struct Locator {
    spec: Arc<Spec>,
    wanted: HashMap<Identity, FoundKey>,
    /// From blind digests only the first half of a fingerprint is known.
    halves: HashMap<u64, FoundKey>,
}

impl Locator {
    /// A locator for these keys.
    pub fn new<'a>(spec: Arc<Spec>, wanted: impl IntoIterator<Item = &'a FoundKey>) -> Self {
        let inline = matches!(spec.key_form(), KeyForm::Inline8 | KeyForm::Inline16);
        let mut locator = Self { spec, wanted: HashMap::new(), halves: HashMap::new() };
        for key in wanted {
            match key {
                FoundKey::Fingerprint(bytes) => {
                    let [place, rest] = words_of(bytes);
                    if inline && rest == 0 {
                        locator.halves.insert(place, key.clone());
                    } else {
                        locator.wanted.insert((Some(place), [rest, 0]), key.clone());
                    }
                }
                // No row has a key of another length than the canon's.
                FoundKey::Inline(bytes) if bytes.len() != locator.spec.key_width() => {}
                FoundKey::Inline(bytes) => {
                    locator.wanted.insert((None, words_of(bytes)), key.clone());
                }
            }
        }
        locator
    }

    /// The wanted rows of a block, by number, each with the key it was wanted for.
    ///
    /// # Errors
    /// A row whose key cannot be brought into canonical form.
    pub fn matches(&self, block: &Block) -> Result<Vec<(usize, FoundKey)>, DigestError> {
        let mut result = Vec::new();
        if self.wanted.is_empty() && self.halves.is_empty() {
            return Ok(result);
        }
        let hasher = BlockHasher::new(&self.spec, block, Parts::Keys)?;
        let mut scratch = Scratch::default();
        for start in (0..block.rows()).step_by(CHUNK_ROWS) {
            let rows = start..block.rows().min(start + CHUNK_ROWS);
            hasher.keys(rows.clone(), &mut scratch)?;
            if self.spec.key_form() == KeyForm::WholeRow {
                hasher.rows(rows.clone(), &mut scratch);
            }
            for (row, item) in rows.zip(&scratch.items) {
                if let Some(key) = self.wanted_as(item) {
                    result.push((row, key));
                }
            }
        }
        Ok(result)
    }

    fn wanted_as(&self, item: &Item) -> Option<FoundKey> {
        let place = (item.place & FINGERPRINT_BIT != 0).then_some(item.place);
        self.wanted.get(&(place, item.name)).or_else(|| self.halves.get(&item.place)).cloned()
    }
}
