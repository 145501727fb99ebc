//! JSON objects with a checksum of their own text as the last member.

/// Between the text and its checksum.
const BEFORE: &[u8] = b",\"checksum\":\"blake3:";
/// After the checksum.
const AFTER: &[u8] = b"\"}";
/// Hexadecimal digits of a checksum.
const DIGITS: usize = 64;

/// The same object with a checksum; `None` for what is no object with members.
pub(crate) fn seal(json: &[u8]) -> Option<Vec<u8>> {
    let text = json.trim_ascii_end();
    let open = text.strip_suffix(b"}")?;
    if !text.trim_ascii_start().starts_with(b"{") || open.trim_ascii_end().ends_with(b"{") {
        return None;
    }
    Some([open, BEFORE, blake3::hash(json).to_hex().as_bytes(), AFTER].concat())
}

/// What was sealed; `None` when there is no checksum or it is that of another text.
pub(crate) fn open(mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let length = sealed.len().checked_sub(BEFORE.len() + DIGITS + AFTER.len())?;
    let checksum = sealed.split_off(length);
    let digits = checksum.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    sealed.push(b'}');
    (blake3::hash(&sealed).to_hex().as_bytes() == digits).then_some(sealed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_json_and_comes_out_as_it_was() {
        for json in ["{\"a\":1}", "{\n  \"a\": {}\n}", "{\"checksum\":\"mine\"}"] {
            let sealed = seal(json.as_bytes()).unwrap();
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&sealed).is_ok());
            assert_eq!(open(sealed).unwrap(), json.as_bytes());
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let sealed = seal(b"{\"verdict\":\"fail\",\"rows\":10}").unwrap();
        for at in 0..sealed.len() {
            assert_eq!(open(sealed.get(..at).unwrap().to_vec()), None);
            for bit in 0..8 {
                let mut other = sealed.clone();
                *other.get_mut(at).unwrap() ^= 1 << bit;
                assert_eq!(open(other), None, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn only_objects_with_members_are_sealed() {
        for json in ["", "1", "[1]", "\"}\"", "{}", "{ }", "}"] {
            assert_eq!(seal(json.as_bytes()), None, "{json}");
        }
    }
}
