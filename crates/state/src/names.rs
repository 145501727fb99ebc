//! Names of links and datasets as names of folders.

use std::fmt::Write as _;

/// Longer names are cut and told apart by a checksum.
const NAME_BYTES_MAX: usize = 120;

/// A folder name for any text: different for different texts, also where the file system does not
/// tell capital from small letters, and never a way out of the folder above.
pub(crate) fn folder_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if plain || (byte == b'.' && index > 0) {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "%{byte:02x}");
        }
    }
    if name.is_empty() {
        return "%".to_owned();
    }
    if name.len() > NAME_BYTES_MAX {
        let checksum = blake3::hash(text.as_bytes()).to_hex();
        name.truncate(NAME_BYTES_MAX);
        name.push('~');
        name.push_str(&checksum.as_str()[..32]);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn any_text_becomes_a_harmless_name_of_its_own() {
        let long = "x".repeat(500);
        let longer = "x".repeat(501);
        let texts =
            ["", ".", "..", "%", "a", "A", "a/b", "a%2fb", "public.orders", "é", "../../etc", "a\0b", &long, &longer];
        let names: BTreeSet<String> = texts.iter().map(|text| folder_name(text).to_lowercase()).collect();
        assert_eq!(names.len(), texts.len());
        for name in &names {
            assert!(name.len() < 200 && !name.starts_with('.') && !name.contains(['/', '\0']), "{name}");
        }
        assert_eq!(folder_name("public.orders"), "public.orders");
        assert_eq!(folder_name("balance by account"), "balance%20by%20account");
    }
}
