//! What a digest is made with: the canon and the keys of one dataset.

use crate::hash::Lanes;
use crate::keys::{DigestKey, KeyId};
use crate::{Canon, CanonKind, DigestError, KeyForm, Slot};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Canon and derived keys of one dataset. Shared by all digesters of both sides.
#[derive(Debug)]
pub struct Spec {
    canon: Canon,
    key_form: KeyForm,
    key_width: usize,
    dataset: String,
    key_id: KeyId,
    pub(crate) key_lanes: Lanes,
    pub(crate) row_lanes: Lanes,
    pub(crate) value_lanes: Lanes,
    pub(crate) null_lanes: Lanes,
}

/// How the key hash is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyHash {
    /// Keyed BLAKE3.
    #[default]
    Blake3,
}

const KEY: &str = "paritas digest v1: key hash";
const ROW: &str = "paritas digest v1: row hash";
const VALUE: &str = "paritas digest v1: long value";
const NULL_KEY: &str = "paritas digest v1: key hash of an inline key with NULL";

impl Spec {
    /// Derives the keys for `dataset`, a name that must be the same on both sides.
    ///
    /// # Errors
    /// [`DigestError::Canon`] when the canon has more key columns than columns, or slots of the other
    /// kind. Without any column all rows are alike, and only their number counts.
    pub fn new(key: &DigestKey, dataset: &str, canon: Canon) -> Result<Arc<Self>, DigestError> {
        check_canon(&canon)?;
        let key_form = canon.key_form();
        let key_width = canon.key_width();
        let lanes = |context| Lanes::new(key.for_dataset(context, dataset));
        Ok(Arc::new(Self {
            key_form,
            key_width,
            dataset: dataset.to_owned(),
            key_id: key.id(),
            key_lanes: lanes(KEY),
            row_lanes: lanes(ROW),
            value_lanes: lanes(VALUE),
            null_lanes: lanes(NULL_KEY),
            canon,
        }))
    }

    /// How rows become bytes.
    pub fn canon(&self) -> &Canon {
        &self.canon
    }

    /// What the sketch keeps of a key.
    pub fn key_form(&self) -> KeyForm {
        self.key_form
    }

    /// The dataset's name.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The name of the deployment's key.
    pub fn key_id(&self) -> KeyId {
        self.key_id.clone()
    }

    /// How the key hash is computed.
    pub fn key_hash(&self) -> KeyHash {
        KeyHash::Blake3
    }

    /// Bytes of an inline key.
    pub(crate) fn key_width(&self) -> usize {
        self.key_width
    }
}

fn check_canon(canon: &Canon) -> Result<(), DigestError> {
    let error = |why: &str| Err(DigestError::Canon { why: why.to_owned() });
    if canon.key_columns > canon.columns.len() {
        return error("it has more key columns than columns");
    }
    let wire = matches!(canon.kind, CanonKind::Wire { .. });
    if canon.columns.iter().any(|column| matches!(column.slot, Slot::Wire { .. }) != wire) {
        return error("it mixes wire and logical slots");
    }
    Ok(())
}
