//! What becomes of each file: it is taken over, read because it is not what it was, or read again to see whether what is
//! kept of it is right.

use super::super::decide::Before;
use super::identity_of;
use super::rotate::{Clock, Unwritten, due};
use paritas_connect::FiledPart;
use paritas_state::{KeptPart, KeptRange};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decided {
    /// Files to read, by their numbers, with what is kept of them.
    pub(super) read: BTreeMap<usize, Before>,
    /// Files that are taken over.
    pub(super) kept: BTreeMap<usize, KeptRange>,
    /// Files that are there no more, or under another name.
    pub(super) gone: Vec<KeptRange>,
}

/// Opening a file costs as much as reading so many bytes.
const OPENING_BYTES: u64 = 64 << 10;
/// In the place of a range's place in the log: whoever wrote to the file after it was read changed its identity.
pub(super) const SETTLED: u64 = 1;
/// It may have been written again without showing it.
pub(super) const UNSETTLED: u64 = 0;

impl Decided {
    /// Only what was written since the snapshot before, and what has its turn; everything, if nothing was kept.
    pub(super) fn since(old: &[KeptPart], files: &[FiledPart], clock: Clock, within: Duration) -> Self {
        let mut before: BTreeMap<&str, (&KeptPart, KeptRange)> = BTreeMap::new();
        for part in old {
            before.extend(part.ranges.first().map(|range| (part.sql.as_str(), (part, *range))));
        }
        let mut decided = Self::default();
        let mut unwritten = Vec::new();
        for (number, file) in files.iter().enumerate() {
            match before.get(file.name.as_str()) {
                None => drop(decided.read.insert(number, Before::Nothing)),
                Some((part, range)) if is_same(part, range, file) => {
                    unwritten.push(Unwritten { file: number, read_at: range.read_at, bytes: cost(file) });
                    decided.kept.insert(number, *range);
                }
                Some((_, range)) => drop(decided.read.insert(number, Before::Written(*range))),
            }
        }
        let total = files.iter().map(cost).fold(0, u64::saturating_add);
        for number in due(unwritten, total, clock, within) {
            if let Some(kept) = decided.kept.remove(&number) {
                decided.read.insert(number, Before::Same(kept));
            }
        }
        let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let gone = before.into_iter().filter(|(name, _)| !names.contains(name));
        decided.gone = gone.map(|(_, (_, range))| range).collect();
        decided
    }
}

/// What reading a file costs, in bytes.
fn cost(file: &FiledPart) -> u64 {
    file.bytes.saturating_add(OPENING_BYTES)
}

/// Whether a file certainly has the rows that were kept of it.
fn is_same(part: &KeptPart, range: &KeptRange, file: &FiledPart) -> bool {
    let identity = identity_of(file);
    range.at == SETTLED && !identity.is_empty() && part.storage == identity
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_model::Known;
    use rstest::rstest;

    const DAY: Duration = Duration::from_secs(86_400);

    fn file(name: &str, identity: Option<&str>) -> FiledPart {
        let identity = identity.map_or_else(|| Known::unknown("no tag"), |text| Known::Known(text.to_owned()));
        FiledPart { name: name.to_owned(), bytes: 10, rows: Known::Known(1), identity, changed_at: 0, pieces: 1 }
    }

    fn range(at: u64) -> KeptRange {
        KeptRange { blocks: 1, rows: 1, at, read_at: 1_000, place: None }
    }

    fn decided(part: (&str, &str, u64), file: &FiledPart) -> Decided {
        let (name, identity, at) = part;
        let part = KeptPart { sql: name.to_owned(), storage: identity.to_owned(), ranges: vec![range(at)] };
        let clock = Clock { before: 1_000, now: 1_060 };
        Decided::since(&[part], std::slice::from_ref(file), clock, DAY)
    }

    #[rstest]
    #[case::the_same(("a", "i", SETTLED), file("a", Some("i")), None)]
    #[case::another_identity(("a", "i", SETTLED), file("a", Some("j")), Some(Before::Written(range(SETTLED))))]
    #[case::read_too_soon_after_its_change(("a", "i", UNSETTLED), file("a", Some("i")), Some(Before::Written(range(UNSETTLED))))]
    #[case::without_an_identity(("a", "", SETTLED), file("a", None), Some(Before::Written(range(SETTLED))))]
    fn a_file_is_taken_over_only_where_it_is_certainly_the_same(
        #[case] part: (&str, &str, u64),
        #[case] file: FiledPart,
        #[case] read: Option<Before>,
    ) {
        let decided = decided(part, &file);
        assert_eq!(decided.read.get(&0).copied(), read);
        assert_eq!(decided.kept.is_empty(), read.is_some());
        assert!(decided.gone.is_empty());
    }

    #[test]
    fn a_file_under_another_name_is_gone_and_new() {
        let decided = decided(("day=1/a", "i", SETTLED), &file("day=2/a", Some("i")));
        assert_eq!(decided.read.get(&0), Some(&Before::Nothing));
        assert_eq!(decided.gone, [range(SETTLED)]);
    }

    #[test]
    fn without_anything_kept_everything_is_read() {
        let clock = Clock { before: 0, now: 0 };
        let decided = Decided::since(&[], &[file("a", Some("i")), file("b", None)], clock, DAY);
        assert_eq!(decided.read.values().copied().collect::<Vec<_>>(), [Before::Nothing; 2]);
    }
}
