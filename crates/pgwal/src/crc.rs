//! CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), eight bytes a step.

const POLYNOMIAL: u32 = 0x82F6_3B78;
const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0_u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// The sum of `parts` read one after the other.
///
/// WAL sums a record's body before its header, so the parts are not one slice.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(u32::MAX, |crc, part| update(crc, part))
}

fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    // The index is one byte, the table has 256 entries.
    let at = |table: usize, byte: u8| TABLES[table][usize::from(byte)];
    let (chunks, rest) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in chunks {
        let [p, q, r, s] = crc.to_le_bytes();
        crc = at(7, a ^ p) ^ at(6, b ^ q) ^ at(5, c ^ r) ^ at(4, d ^ s) ^ at(3, e) ^ at(2, f) ^ at(1, g) ^ at(0, h);
    }
    for &byte in rest {
        let [low, ..] = crc.to_le_bytes();
        crc = crc >> 8 ^ at(0, low ^ byte);
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    // RFC 3720, appendix B.4, and the check value of the catalogue of parametrised CRCs.
    #[rstest]
    #[case(&[], 0)]
    #[case(b"123456789", 0xE306_9283)]
    #[case(&[0; 32], 0x8A91_36AA)]
    #[case(&[0xFF; 32], 0x62A8_AB43)]
    fn known_sums_come_out(#[case] bytes: &[u8], #[case] sum: u32) {
        assert_eq!(crc32c(&[bytes]), sum);
    }

    #[test]
    fn ascending_and_descending_bytes_sum_as_published() {
        let up: Vec<u8> = (0..32).collect();
        let down: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(&[&up]), 0x46DD_794E);
        assert_eq!(crc32c(&[&down]), 0x113F_DB5C);
    }

    proptest! {
        #[test]
        fn eight_at_a_time_equals_bit_by_bit_however_it_is_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200,
        ) {
            let mut slow = u32::MAX;
            for byte in &bytes {
                slow ^= u32::from(*byte);
                for _ in 0..8 {
                    slow = if slow & 1 == 1 { slow >> 1 ^ POLYNOMIAL } else { slow >> 1 };
                }
            }
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(crc32c(&[a, b]), !slow);
        }
    }
}
