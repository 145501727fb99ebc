//! What records say about rows: which versions they make and end. Source: `access/heapam_xlog.h`, `heapam.c`,
//! `storage_xlog.h`, `standbydefs.h`, `catalog/pg_control.h`; the same in versions 14 to 18.

use crate::fields::Fields;
use crate::record::{Record, Relation};

const MANAGER_XLOG: u8 = 0;
const MANAGER_STORAGE: u8 = 2;
const MANAGER_STANDBY: u8 = 8;
const MANAGER_HEAP2: u8 = 9;
const MANAGER_HEAP: u8 = 10;
/// Numbers from here on are of extensions.
const CUSTOM_MANAGER_MIN: u8 = 128;

const KIND: u8 = 0x70;
const INIT_PAGE: u8 = 0x80;
const HEAP_INSERT: u8 = 0x00;
const HEAP_DELETE: u8 = 0x10;
const HEAP_UPDATE: u8 = 0x20;
const HEAP_HOT_UPDATE: u8 = 0x40;
const HEAP2_MULTI_INSERT: u8 = 0x50;

const ANY_KIND: u8 = 0xF0;
const STORAGE_CREATE: u8 = 0x10;
const STORAGE_TRUNCATE: u8 = 0x20;
const RUNNING_TRANSACTIONS: u8 = 0x10;
const CHECKPOINT_ONLINE: u8 = 0x10;

const MAIN_FORK: u8 = 0;
/// Where `CheckPoint` has the next transaction, of which the lower half is the number that rows have.
const CHECKPOINT_NEXT_XID: usize = 24;
/// Transaction numbers below this one are not of transactions.
pub(crate) const XID_MIN: u32 = 3;

/// Where a version of a row stands: its `ctid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The page.
    pub block: u32,
    /// The item in it, from 1.
    pub item: u16,
}

/// What a record does to rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// New rows.
    Insert(Relation, Vec<Place>),
    /// A new version of a row: the old place, and the new one.
    Update(Relation, Place, Place),
    /// The end of a row.
    Delete(Relation, Place),
    /// A file is made for a relation.
    Create(Relation),
    /// Pages from this one on are cut off.
    Truncate(Relation, u32),
    /// Of an extension, so that nobody knows.
    Foreign(u8),
    /// Nothing.
    Nothing,
}

/// What a record does; `None` when it is not of the form that servers write.
pub(crate) fn deed(record: &Record) -> Option<Deed> {
    let mut fields = Fields::new(&record.data);
    match (record.manager, record.info & KIND) {
        (MANAGER_HEAP, HEAP_INSERT) => {
            let (relation, block) = block(record, 0)?;
            Some(Deed::Insert(relation, vec![Place { block, item: fields.u16()? }]))
        }
        (MANAGER_HEAP, HEAP_DELETE) => {
            let (relation, block) = block(record, 0)?;
            let _xmax = fields.u32()?;
            Some(Deed::Delete(relation, Place { block, item: fields.u16()? }))
        }
        (MANAGER_HEAP, HEAP_UPDATE | HEAP_HOT_UPDATE) => {
            let (relation, new) = block(record, 0)?;
            // The old page is named only where it is another one.
            let old = if record.blocks.iter().any(|block| block.id == 1) { block(record, 1)?.1 } else { new };
            let (_xmax, old_item) = (fields.u32()?, fields.u16()?);
            let (_bits, _flags, _new_xmax, new_item) = (fields.u8()?, fields.u8()?, fields.u32()?, fields.u16()?);
            Some(Deed::Update(relation, Place { block: old, item: old_item }, Place { block: new, item: new_item }))
        }
        (MANAGER_HEAP2, HEAP2_MULTI_INSERT) => {
            let (relation, block) = block(record, 0)?;
            let (_flags, _padding, count) = (fields.u8()?, fields.u8()?, fields.u16()?);
            // A page that is begun anew is filled from its first item on.
            let items = if record.info & INIT_PAGE != 0 {
                (1..=count).collect()
            } else {
                (0..count).map(|_| fields.u16()).collect::<Option<Vec<u16>>>()?
            };
            Some(Deed::Insert(relation, items.into_iter().map(|item| Place { block, item }).collect()))
        }
        (MANAGER_STORAGE, _) => storage(record, fields),
        (manager, _) if manager >= CUSTOM_MANAGER_MIN => Some(Deed::Foreign(manager)),
        _ => Some(Deed::Nothing),
    }
}

fn block(record: &Record, id: u8) -> Option<(Relation, u32)> {
    let block = record.blocks.iter().find(|block| block.id == id && block.fork == MAIN_FORK)?;
    Some((block.relation, block.number))
}

fn storage(record: &Record, mut fields: Fields<'_>) -> Option<Deed> {
    match record.info & ANY_KIND {
        STORAGE_CREATE => {
            let relation = Relation::read(&mut fields)?;
            Some(if fields.u32()? == u32::from(MAIN_FORK) { Deed::Create(relation) } else { Deed::Nothing })
        }
        STORAGE_TRUNCATE => {
            let block = fields.u32()?;
            Some(Deed::Truncate(Relation::read(&mut fields)?, block))
        }
        _ => Some(Deed::Nothing),
    }
}

/// The next transaction that a snapshot of running ones or a checkpoint names.
pub(crate) fn next_xid(record: &Record) -> Option<u32> {
    let mut fields = Fields::new(&record.data);
    match (record.manager, record.info & ANY_KIND) {
        (MANAGER_STANDBY, RUNNING_TRANSACTIONS) => {
            // Counts, whether there are too many subtransactions, padding.
            fields.take(12)?;
            fields.u32()
        }
        (MANAGER_XLOG, 0 | CHECKPOINT_ONLINE) => {
            fields.take(CHECKPOINT_NEXT_XID)?;
            fields.u32()
        }
        _ => None,
    }
}

/// Whether a transaction number is before another one. Numbers are reused after 2^32, and none is ever as far as half
/// of that from the ones that count.
pub(crate) fn precedes(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::Block;
    use paritas_model::Lsn;
    use rstest::rstest;

    const RELATION: Relation = Relation { tablespace: 1663, database: 5, number: 16384 };

    fn record(manager: u8, info: u8, blocks: &[u32], data: &[u8]) -> Record {
        let block = |(id, number): (usize, &u32)| Block {
            id: u8::try_from(id).unwrap(),
            fork: 0,
            relation: RELATION,
            number: *number,
            data_bytes: 0,
            image: None,
        };
        Record {
            lsn: Lsn(8),
            end: Lsn(16),
            prev: Lsn(0),
            xid: 700,
            bytes: 30,
            manager,
            info,
            origin: None,
            toplevel_xid: None,
            blocks: blocks.iter().enumerate().map(block).collect(),
            data: data.to_vec(),
        }
    }

    fn at(block: u32, item: u16) -> Place {
        Place { block, item }
    }

    #[rstest]
    #[case::insert(record(10, 0x80, &[7], &[3, 0, 0]), Deed::Insert(RELATION, vec![at(7, 3)]))]
    #[case::delete(record(10, 0x10, &[7], &[9, 9, 9, 9, 3, 0, 0, 0]), Deed::Delete(RELATION, at(7, 3)))]
    #[case::hot(record(10, 0x40, &[7], &[9, 9, 9, 9, 3, 0, 0, 0, 0, 0, 0, 0, 4, 1]), Deed::Update(RELATION, at(7, 3), at(7, 260)))]
    #[case::moved(record(10, 0x20, &[8, 7], &[9, 9, 9, 9, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0]), Deed::Update(RELATION, at(7, 3), at(8, 1)))]
    #[case::several(record(9, 0x50, &[7], &[0, 0, 2, 0, 5, 0, 9, 0]), Deed::Insert(RELATION, vec![at(7, 5), at(7, 9)]))]
    #[case::new_page(record(9, 0xD0, &[7], &[0, 0, 2, 0]), Deed::Insert(RELATION, vec![at(7, 1), at(7, 2)]))]
    #[case::lock(record(10, 0x60, &[7], &[0; 8]), Deed::Nothing)]
    #[case::in_place(record(10, 0x70, &[7], &[0; 8]), Deed::Nothing)]
    #[case::extension(record(128, 0, &[], &[]), Deed::Foreign(128))]
    fn a_record_names_the_row_versions_that_it_makes_and_ends(#[case] record: Record, #[case] expected: Deed) {
        assert_eq!(deed(&record).unwrap(), expected);
    }

    #[rstest]
    #[case(record(10, 0x00, &[7], &[3]))]
    #[case(record(10, 0x00, &[], &[3, 0, 0]))]
    #[case(record(10, 0x20, &[7], &[9, 9, 9, 9, 3, 0]))]
    #[case(record(9, 0x50, &[7], &[0, 0, 200, 0, 5, 0]))]
    fn a_record_of_another_form_is_not_understood(#[case] record: Record) {
        assert_eq!(deed(&record), None);
    }

    #[rstest]
    #[case(3, 4, true)]
    #[case(4, 3, false)]
    #[case(4, 4, false)]
    #[case(u32::MAX, 3, true)]
    #[case(3, u32::MAX, false)]
    fn numbers_of_transactions_go_round(#[case] one: u32, #[case] other: u32, #[case] expected: bool) {
        assert_eq!(precedes(one, other), expected);
    }
}
