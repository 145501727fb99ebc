//! Known answers, cheap enough for every start.

use crate::hash::Lanes;
use crate::{
    Block, Canon, CanonColumn, CanonKind, Capacity, DigestError, DigestKey, Digester, Policies, RowBlock, Slot, Spec,
    Sums, decode,
};
use std::sync::Arc;

/// Number of rows in the known answer.
const ROWS: u64 = 100;
/// BLAKE3 over the sums of the known rows.
const KNOWN: &str = "5a741ea5e7d9444d9162cd6f0daf89b1f9080078d86d4cb56499762fdf27dbbd";

/// Computes known answers on this machine: batched hashing against the definition, a small digest
/// against its checksum, and decoding against what was put in. Takes some hundred microseconds.
///
/// # Errors
/// [`DigestError::SelfTest`] naming what came out wrong. Nothing this process computes should be
/// believed then.
pub fn self_test() -> Result<(), DigestError> {
    let fail = |what| Err(DigestError::SelfTest { what });
    let abc = blake3::hash(b"abc").to_hex();
    if abc.as_str() != "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85" {
        return fail("BLAKE3 of abc");
    }
    let spec = known_spec()?;
    let sums = known_sums(&spec)?;
    if checksum(&sums) != KNOWN {
        return fail("the sums of known rows");
    }
    let decoded = decode(&spec, &sums);
    if !decoded.complete || decoded.found.len() as u64 != ROWS {
        return fail("decoding known rows");
    }
    Ok(())
}

/// Whether rows are hashed side by side on this machine, rather than one by one because the batched
/// call did not pass its test.
pub fn is_batched() -> bool {
    Lanes::new([0; 32]).is_batched()
}

fn known_spec() -> Result<Arc<Spec>, DigestError> {
    let column = |name: &str, fixed_width| {
        let slot = Slot::Wire { type_name: "known".to_owned(), fixed_width, nullable: false };
        CanonColumn { name: name.to_owned(), slot }
    };
    let kind = CanonKind::Wire { engine: "known".to_owned() };
    let columns = vec![column("id", Some(8)), column("text", None)];
    let canon = Canon { kind, columns, key_columns: 1, policies: Policies::default() };
    Spec::new(&DigestKey::unkeyed(), "self-test", canon)
}

fn known_sums(spec: &Arc<Spec>) -> Result<Sums, DigestError> {
    let mut block = RowBlock::default();
    for id in 0..ROWS {
        // Images from 20 to 1,109 bytes: every length class of the batched call, and beyond it.
        let text = vec![id as u8; id as usize * 11];
        let mut image = Vec::new();
        for field in [id.to_be_bytes().as_slice(), &text] {
            image.extend_from_slice(&(field.len() as u32).to_be_bytes());
            image.extend_from_slice(field);
        }
        block.push(&image, &id.to_be_bytes());
    }
    let mut digester = Digester::new(Arc::clone(spec), Capacity::MIN);
    digester.add(&Block::Wire(block))?;
    Ok(digester.finish())
}

fn checksum(sums: &Sums) -> String {
    let mut hasher = blake3::Hasher::new();
    for word in sums.buckets.iter().chain(&sums.main).chain(&sums.mop) {
        hasher.update(&word.to_le_bytes());
    }
    hasher.finalize().to_hex().as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_come_out() {
        assert_eq!(known_spec().and_then(|spec| known_sums(&spec)).map(|sums| checksum(&sums)), Ok(KNOWN.to_owned()));
        assert_eq!(self_test(), Ok(()));
        assert!(is_batched());
    }
}
