//! What stands for a page whose bytes stay where they are, and for the transactions that it depends on.
//!
//! Most pages of a replica are those of its source. To know that, it is enough that both stores digest
//! their own: only pages whose digests differ need to be read.

/// Bytes of a digest.
pub const SEAL_BYTES: usize = 32;

/// A page by everything that decides whether two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Its version.
    pub version: u64,
    /// Marks that the digest does not cover, in the connector's bits.
    pub marks: u16,
    /// SHA-256 of what is left. It may cover more than what is logged: equal digests are equal pages,
    /// unequal ones say nothing.
    pub digest: [u8; SEAL_BYTES],
}

/// The seals of neighbouring pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealRange {
    /// Number of the first page.
    pub first: u64,
    /// Seals of the pages that exist, one after the other from the first one on.
    pub seals: Vec<Seal>,
    /// Bytes that came for them.
    pub bytes: u64,
}

impl SealRange {
    /// The seal of the page of that number, if there is one.
    pub fn seal(&self, block: u64) -> Option<&Seal> {
        let index = block.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.seals.get(index))
    }
}

/// Between which numbers the transactions lie that rows of the dataset can depend on. What has ended
/// before `oldest` for all rows is written into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionSpan {
    /// The oldest transaction, as a full number.
    pub oldest: u64,
    /// The next one that will be handed out.
    pub next: u64,
    /// The oldest group of transactions.
    pub oldest_group: u32,
    /// The next one that will be handed out.
    pub next_group: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_does_not_exist_has_no_seal() {
        let seal = Seal { version: 3, marks: 0, digest: [7; SEAL_BYTES] };
        let range = SealRange { first: 10, seals: vec![seal, Seal { version: 4, ..seal }], bytes: 0 };
        assert_eq!(range.seal(10), Some(&seal));
        assert_eq!(range.seal(11).map(|seal| seal.version), Some(4));
        for beyond in [0, 9, 12, u64::MAX] {
            assert_eq!(range.seal(beyond), None, "{beyond}");
        }
    }
}
