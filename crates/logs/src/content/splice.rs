//! What of a stored chain is that of a log which begins later now, and ends later.
//!
//! Where a segment ends depends on the records of the segment alone. So a chain that begins inside of a stored segment
//! has other segments at first, and the same ones from the first cut on that both have.

use super::Segment;

/// The segments of a stored chain that a log which begins at `start` still has records of: the number of the first, and
/// whether the beginning of it is gone.
pub fn standing(segments: &[Segment], start: u64) -> (usize, bool) {
    let first = segments.partition_point(|segment| segment.last < start);
    (first, segments.get(first).is_some_and(|segment| segment.first < start))
}

/// The first cut that both have: the number of the segment before it among those that were read and those that were
/// stored. From there on all are equal.
pub fn meeting(read: &[Segment], stored: &[Segment]) -> Option<(usize, usize)> {
    read.iter().enumerate().find_map(|(number, segment)| {
        let at = stored.binary_search_by_key(&segment.last, |stored| stored.last).ok()?;
        Some((number, at))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Builder, Chain, Id, Namer, Step, Terms, Timestamps};
    use super::*;
    use paritas_digest::DigestKey;
    use proptest::prelude::*;

    fn chain(names: &[u64], from: u64, to: u64) -> Chain {
        let key = DigestKey::unkeyed();
        let namer = Namer::new(&key, "a", Timestamps::Ignore);
        let mut builder = Builder::new(Terms::new(&key, "a", Timestamps::Ignore), from, 0);
        for offset in from..to {
            let name = *names.get(usize::try_from(offset).unwrap()).unwrap();
            let id = Id(u128::from(name.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | u128::from(offset) << 64);
            builder.push(&namer, Step { offset, id, time: None }, 1);
        }
        builder.read_to(to);
        builder.finish(&namer)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_chain_that_is_put_together_is_the_one_that_reading_everything_gives(
            names in prop::collection::vec(any::<u64>(), 1..12_000),
            end in 0.0..1.0_f64,
            start in 0.0..1.0_f64,
        ) {
            let all = names.len() as u64;
            let end = ((all as f64) * end) as u64;
            let start = ((end as f64) * start) as u64;
            let stored = chain(&names, 0, end);
            let full = chain(&names, start, all);
            let (first, cut) = standing(&stored.segments, start);
            let rest = stored.segments.get(first..).unwrap();
            if cut {
                if let Some((read, kept)) = meeting(&full.segments, rest) {
                    let behind = rest.get(kept + 1..).unwrap();
                    prop_assert_eq!(full.segments.get(read + 1..read + 1 + behind.len()).unwrap(), behind);
                }
            } else {
                prop_assert_eq!(full.segments.get(..rest.len()).unwrap(), rest);
            }
        }
    }
}
