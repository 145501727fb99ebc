//! Groups with their figures, in as much memory as is allowed; what is more goes into a temporary file.

use super::spill::{Hasher, PARTITIONS, Segment, Spill, partition};
use paritas_connect::{Error, FailureKind, Result};
use paritas_ledger::Figures;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Bytes of a group beside its key and figures: the table's own, with room for growing.
const OVERHEAD: usize = 96;
/// Bytes in memory per byte in the file, roughly and rather too many.
const UNPACKED: usize = 6;
/// Times that one part is read again, each time for other keys, at most.
const PASSES_MAX: usize = 1 << 16;

/// The groups of a side, or of a part of it.
#[derive(Debug)]
pub(super) struct Table {
    groups: HashMap<Box<[u8]>, Figures>,
    /// Bytes that they take.
    memory: usize,
    memory_max: usize,
    columns: usize,
    spill: Arc<Spill>,
    segments: Vec<Segment>,
}

impl Table {
    /// An empty one for figures of so many columns, sharing the file of its side.
    pub(super) fn new(columns: usize, memory_max: usize, spill: &Arc<Spill>) -> Self {
        Self { groups: HashMap::new(), memory: 0, memory_max, columns, spill: Arc::clone(spill), segments: Vec::new() }
    }

    /// Lets `change` take rows into the figures of a group.
    pub(super) fn with(&mut self, key: &[u8], change: impl FnOnce(&mut Figures) -> Result<()>) -> Result<()> {
        if let Some(figures) = self.groups.get_mut(key) {
            let before = figures.memory_bytes();
            let changed = change(figures);
            self.memory = (self.memory + figures.memory_bytes()).saturating_sub(before);
            changed?;
        } else {
            let mut figures = Figures { rows: 0, columns: vec![Default::default(); self.columns] };
            change(&mut figures)?;
            self.memory += key.len() + figures.memory_bytes() + OVERHEAD;
            self.groups.insert(key.into(), figures);
        }
        if self.memory > self.memory_max { self.flush() } else { Ok(()) }
    }

    /// Takes in what another one of the same side holds.
    pub(super) fn absorb(&mut self, other: Self) -> Result<()> {
        self.segments.extend(other.segments);
        for (key, figures) in other.groups {
            let added = match self.groups.entry(key) {
                Entry::Occupied(mut own) => {
                    let before = own.get().memory_bytes();
                    own.get_mut().merge(&figures);
                    own.get().memory_bytes().saturating_sub(before)
                }
                Entry::Vacant(place) => {
                    let added = place.key().len() + figures.memory_bytes() + OVERHEAD;
                    place.insert(figures);
                    added
                }
            };
            self.memory += added;
            if self.memory > self.memory_max {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Whether some of it is in the file.
    pub(super) fn has_spilled(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Writes everything into the file.
    fn flush(&mut self) -> Result<()> {
        let mut pieces: Vec<Vec<u8>> = vec![Vec::new(); PARTITIONS];
        for (key, figures) in std::mem::take(&mut self.groups) {
            if let Some(piece) = pieces.get_mut(partition(self.spill.hash(&key))) {
                piece.extend_from_slice(&(key.len() as u64).to_le_bytes());
                piece.extend_from_slice(&key);
                figures.encode(piece);
            }
        }
        self.memory = 0;
        for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.is_empty()) {
            self.segments.push(self.spill.write(at, piece)?);
        }
        Ok(())
    }

    /// Bytes of one part in the file.
    fn bytes(&self, partition: usize) -> usize {
        self.segments.iter().filter(|one| one.partition == partition).map(|one| one.length).sum()
    }

    /// The groups of one part whose hashes `wanted` takes.
    fn load(&self, partition: usize, wanted: impl Fn(u64) -> bool) -> Result<HashMap<Box<[u8]>, Figures>> {
        let mut groups: HashMap<Box<[u8]>, Figures> = HashMap::new();
        for segment in self.segments.iter().filter(|one| one.partition == partition) {
            let bytes = self.spill.read(*segment)?;
            let mut rest = bytes.as_slice();
            while let Some((length, after)) = rest.split_first_chunk::<8>() {
                let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
                let (key, figures) = after.split_at_checked(length).ok_or_else(damaged)?;
                rest = figures;
                let figures = Figures::decode(self.columns, &mut rest).map_err(|_| damaged())?;
                if !wanted(self.spill.hash(key)) {
                    continue;
                }
                match groups.entry(key.into()) {
                    Entry::Occupied(mut own) => own.get_mut().merge(&figures),
                    Entry::Vacant(place) => drop(place.insert(figures)),
                }
            }
            if !rest.is_empty() {
                return Err(damaged());
            }
        }
        Ok(groups)
    }
}

fn damaged() -> Error {
    Error::new(FailureKind::Permanent, "ledger.spill", "groups in a temporary file are not what was written")
        .hint("check the disk where temporary files are kept, or set TMPDIR to another folder")
}

/// The figures of one group on both sides.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&[u8], Option<&Figures>, Option<&Figures>);

/// Shows `visit` every group once, with what either side has for it. Takes no more memory than `memory_max`
/// at a time, as long as single groups do not.
pub(super) fn join(mut source: Table, mut replica: Table, memory_max: usize, visit: Visit<'_>) -> Result<()> {
    if !source.has_spilled() && !replica.has_spilled() {
        pair(&source.groups, std::mem::take(&mut replica.groups), visit);
        return Ok(());
    }
    source.flush()?;
    replica.flush()?;
    for partition in 0..PARTITIONS {
        let unpacked = source.bytes(partition).saturating_add(replica.bytes(partition)).saturating_mul(UNPACKED);
        let passes = unpacked.div_ceil(memory_max.max(1)).clamp(1, PASSES_MAX) as u64;
        for pass in 0..passes {
            let wanted = |hash: u64| (hash & 0x00FF_FFFF_FFFF_FFFF) % passes == pass;
            pair(&source.load(partition, wanted)?, replica.load(partition, wanted)?, visit);
        }
    }
    Ok(())
}

fn pair(source: &HashMap<Box<[u8]>, Figures>, mut replica: HashMap<Box<[u8]>, Figures>, visit: Visit<'_>) {
    for (key, figures) in source {
        let other = replica.remove(key);
        visit(key, Some(figures), other.as_ref());
    }
    for (key, figures) in &replica {
        visit(key, None, Some(figures));
    }
}

/// Two empty tables' files and the hash that they share.
pub(super) fn spills() -> (Arc<Spill>, Arc<Spill>) {
    let hasher = Hasher::default();
    (Spill::new(&hasher), Spill::new(&hasher))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_ledger::Decimal;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Sums = BTreeMap<Vec<u8>, (u64, String)>;

    fn fill(table: &mut Table, rows: &[(u16, i64)]) {
        for (group, amount) in rows {
            let add = |figures: &mut Figures| {
                figures.rows += 1;
                figures.columns[0].sum.add(&Decimal::new((*amount).into(), 2));
                Ok(())
            };
            table.with(&group.to_le_bytes(), add).unwrap();
        }
    }

    fn sums(figures: Option<&Figures>) -> Option<(u64, String)> {
        figures.map(|figures| (figures.rows, figures.columns[0].sum.to_string()))
    }

    fn joined(source: Table, replica: Table, memory_max: usize) -> (Sums, Sums, usize) {
        let (mut ours, mut theirs, mut visits) = (Sums::new(), Sums::new(), 0);
        join(source, replica, memory_max, &mut |key, a, b| {
            visits += 1;
            ours.extend(sums(a).map(|sums| (key.to_vec(), sums)));
            theirs.extend(sums(b).map(|sums| (key.to_vec(), sums)));
        })
        .unwrap();
        (ours, theirs, visits)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_does_not_fit_into_memory_comes_to_the_same(
            ours in proptest::collection::vec((0..400_u16, any::<i64>()), 0..600),
            theirs in proptest::collection::vec((0..400_u16, any::<i64>()), 0..600),
            cut in 0..600_usize,
        ) {
            let build = |memory_max: usize, join_max: usize| {
                let (a, b) = spills();
                let (mut source, mut replica) = (Table::new(1, memory_max, &a), Table::new(1, memory_max, &b));
                let cut = cut.min(ours.len());
                fill(&mut source, &ours[..cut]);
                let mut part = Table::new(1, memory_max / 2, &a);
                fill(&mut part, &ours[cut..]);
                source.absorb(part).unwrap();
                fill(&mut replica, &theirs);
                joined(source, replica, join_max)
            };
            let all = build(usize::MAX, usize::MAX);
            prop_assert_eq!(&build(2_000, usize::MAX), &all);
            prop_assert_eq!(&build(2_000, 300), &all);
            let groups: std::collections::BTreeSet<_> = ours.iter().chain(&theirs).map(|(group, _)| group).collect();
            prop_assert_eq!(all.2, groups.len());
        }
    }

    #[test]
    fn memory_stays_below_its_limit() {
        let (spill, _) = spills();
        let mut table = Table::new(1, 50_000, &spill);
        let mut highest = 0;
        for group in 0..20_000_u32 {
            let add = |figures: &mut Figures| {
                figures.rows += 1;
                Ok(())
            };
            table.with(&group.to_le_bytes(), add).unwrap();
            highest = highest.max(table.memory);
        }
        assert!(table.has_spilled());
        assert!(highest <= 50_000, "{highest}");
        assert!(table.groups.len() * size_of::<Figures>() <= 50_000);
    }

    #[test]
    fn what_a_failed_part_wrote_is_not_counted() {
        let (a, b) = spills();
        let mut source = Table::new(1, usize::MAX, &a);
        let mut failed = Table::new(1, 10, &a);
        fill(&mut failed, &[(1, 5), (2, 5)]);
        assert!(failed.has_spilled());
        drop(failed);
        let mut again = Table::new(1, 10, &a);
        fill(&mut again, &[(1, 5), (2, 5)]);
        source.absorb(again).unwrap();
        let (ours, _, _) = joined(source, Table::new(1, usize::MAX, &b), usize::MAX);
        assert_eq!(ours.values().cloned().collect::<Vec<_>>(), [(1, "0.05".to_owned()), (1, "0.05".to_owned())]);
    }
}
