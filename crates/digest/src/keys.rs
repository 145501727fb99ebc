//! The deployment's secret and what is derived from it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The secret of a deployment. Whoever lacks it can neither guess keys from a stored digest nor
/// make two different datasets with equal digests.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey([u8; 32]);

/// Names a [`DigestKey`] without giving it away: 8 bytes in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

const DERIVE: &str = "paritas digest v1: deployment key from a secret";
const UNKEYED: &str = "paritas digest v1: public key for unkeyed digests";
const KEY_ID: &str = "paritas digest v1: key id";

impl DigestKey {
    /// The key of everyone who configured none. Public, so such digests protect against accidents
    /// but not against people.
    pub fn unkeyed() -> Self {
        Self(blake3::derive_key(UNKEYED, &[]))
    }

    /// A key from 32 secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A key from a secret of any length.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key(DERIVE, secret))
    }

    /// The name of this key.
    pub fn id(&self) -> KeyId {
        let hash = blake3::derive_key(KEY_ID, &self.0);
        KeyId(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// A key for one purpose in one dataset.
    pub(crate) fn for_dataset(&self, context: &str, dataset: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        // The first part has a fixed length, so the two cannot run into each other.
        hasher.update(&self.0).update(dataset.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestKey({})", self.id())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printed_as_its_id_only() {
        let key = DigestKey::from_bytes(*b"0123456789abcdef0123456789abcdef");
        let text = format!("{key:?}");
        assert_eq!(text, format!("DigestKey({})", key.id()));
        assert!(!text.contains("0123456789abcdef") && !text.contains("3031323334"), "{text}");
        assert_eq!(key.id().to_string().len(), 16);
    }

    #[test]
    fn keys_differ_by_secret_purpose_and_dataset() {
        let (a, b) = (DigestKey::derive(b"a"), DigestKey::derive(b"b"));
        assert_ne!(a, b);
        assert_ne!(a, DigestKey::unkeyed());
        assert_ne!(a.for_dataset("row", "orders"), a.for_dataset("key", "orders"));
        assert_ne!(a.for_dataset("row", "orders"), a.for_dataset("row", "fills"));
        assert_ne!(a.for_dataset("row", "orders"), b.for_dataset("row", "orders"));
    }
}
