//! The right place of a group on the replica, by the content of the records around its position.
//!
//! A mirror copies a partition in its order and may copy a run of records once more. So the right place is
//! where the first copy of a record stands that the group has not had. That nothing is missing in between is
//! what a comparison of contents says, not this. Nor are records of one content and one time that stand further
//! away than the windows told apart; where times do not count, the records around the place must fit as well.

use crate::ages::Count;
use crate::items::{Hash, Item, Window};
use std::collections::HashMap;

/// What is known of the records around a group's position on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The next offset that the group wants on the source.
    pub committed: u64,
    /// Where it would go on on the replica.
    pub translated: u64,
    /// Records of the source around `committed`.
    pub source: &'a Window,
    /// Whether the source has records behind its window.
    pub source_goes_on: bool,
    /// Records of the replica around the right place, and as far as possible from there to `translated`.
    pub replica: &'a Window,
    /// Whether the replica begins with its window.
    pub replica_begins: bool,
    /// Whether the replica has records behind its window.
    pub replica_goes_on: bool,
    /// Whether times of records count: then two of them are rarely alike.
    pub times: bool,
}

/// What follows from the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aligned {
    /// The right place on the replica lies between these.
    pub exact: Count,
    /// Records that the group would miss.
    pub loss: Count,
    /// Records that it would read twice.
    pub redelivery: Count,
}

/// How often the source has a record before the group's position and from there on.
#[derive(Debug, Clone, Copy, Default)]
struct Copies {
    before: u64,
    after: u64,
}

/// On which side of the group's position a record of the replica belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Before,
    After,
    /// The source has it on both sides.
    Either,
    /// It is not in the source's window.
    Elsewhere,
}

/// Finds the right place and counts.
///
/// # Errors
/// Why it cannot be found in these windows; a wider one of the replica may help.
pub fn align(around: &Around<'_>) -> Result<Aligned, &'static str> {
    if !(around.source.from..=around.source.to).contains(&around.committed) {
        return Err("the records around the group's position were not read");
    }
    let copies = copies(around);
    let belongs: Vec<Belongs> = around.replica.items.iter().map(|item| side(&copies, item)).collect();
    let exact = place(around, &copies, &belongs)?;
    if !around.times && !fits(around, exact) {
        return Err("records that look alike stand around the group's position");
    }
    let items = &around.replica.items;
    let within = |from: u64, to: u64| items.iter().filter(|item| (from..to).contains(&item.offset())).count() as u64;
    let (from, to) = (around.replica.from, around.replica.to);
    let translated = around.translated;
    // Offsets outside the window may all be records, or none.
    let unseen_before = from.saturating_sub(translated);
    let redelivery = Count {
        low: within(translated, exact.low),
        high: within(translated, exact.high).saturating_add(if exact.high > translated { unseen_before } else { 0 }),
    };
    let unseen_behind = translated.saturating_sub(to.max(exact.low));
    let ahead = within(exact.low, translated).saturating_add(unseen_behind);
    let loss = if ahead == 0 { Count::exactly(0) } else { loss(around, &copies, ahead) };
    Ok(Aligned { exact, loss, redelivery })
}

fn copies(around: &Around<'_>) -> HashMap<Hash, Copies> {
    let mut copies: HashMap<Hash, Copies> = HashMap::new();
    for item in &around.source.items {
        let own = copies.entry(item.hash).or_default();
        let slot = if item.offset() < around.committed { &mut own.before } else { &mut own.after };
        *slot += 1;
    }
    copies
}

fn side(copies: &HashMap<Hash, Copies>, item: &Item) -> Belongs {
    match copies.get(&item.hash) {
        None => Belongs::Elsewhere,
        Some(Copies { before: 0, .. }) => Belongs::After,
        Some(Copies { after: 0, .. }) => Belongs::Before,
        Some(_) => Belongs::Either,
    }
}

/// Between which offsets of the replica the right place lies.
fn place(around: &Around<'_>, copies: &HashMap<Hash, Copies>, belongs: &[Belongs]) -> Result<Count, &'static str> {
    let items = &around.replica.items;
    let first = belongs.iter().position(|belongs| *belongs == Belongs::After);
    if first.is_none() && around.replica_goes_on && !nothing_after(around, copies) {
        return Err("the record that the group wants next was not found on the replica");
    }
    let until = belongs.get(..first.unwrap_or(belongs.len())).unwrap_or_default();
    let last = until.iter().rposition(|belongs| *belongs == Belongs::Before);
    if last.is_none() && !around.replica_begins && first.is_none_or(|first| first == 0) {
        return Err("no record that the group has had was found on the replica");
    }
    // Without a record that the group wants, the place is right behind the last one that it has had.
    let had_too = |belongs: &Belongs| matches!(belongs, Belongs::Before | Belongs::Either);
    let had_last = until.iter().rposition(had_too);
    let at_position = around.source.items.partition_point(|item| item.offset() < around.committed);
    let nearest = at_position.checked_sub(1).and_then(|at| around.source.items.get(at));
    let same = |a: Option<&Item>, b: Option<&Item>| a.map(|item| item.hash) == b.map(|item| item.hash);
    if first.is_none() && around.replica_goes_on && !same(had_last.and_then(|at| items.get(at)), nearest) {
        return Err("the last record that the group has had was not found on the replica");
    }
    let ends = match (first, had_last) {
        (Some(first), _) => items.get(first).map_or(around.replica.to, Item::offset),
        (None, Some(had)) if had + 1 < items.len() && around.source_goes_on => {
            return Err("records that are further on on the source follow those that the group has had");
        }
        (None, Some(had)) => items.get(had).map_or(around.replica.from, |item| item.offset() + 1),
        (None, None) if items.is_empty() => around.replica.to,
        (None, None) => return Err("no record around the group's position was found on the replica"),
    };
    let alike = Alike::around(around, copies);
    if alike.had + alike.wants == 0 {
        return Ok(Count::exactly(ends));
    }
    let all: Vec<usize> = (0..until.len()).filter(|at| until.get(*at) == Some(&Belongs::Either)).collect();
    let at = |index: usize| all.get(index).and_then(|at| items.get(*at)).map_or(ends, Item::offset);
    // As many of them as the source has belong before the place, if they follow the record that they follow
    // on the source, and that one was not copied twice.
    let same = |at: usize| items.get(at).is_some_and(|item| Some(item.hash) == alike.follow);
    let one_pass = match (alike.follow, last) {
        (None, None) => around.source.from == 0,
        (Some(_), Some(last)) => same(last) && all.iter().all(|at| *at > last) && alike.follows_once,
        _ => false,
    };
    let near = all.iter().filter(|at| last.is_none_or(|last| **at > last)).count();
    if one_pass && !alike.open && near <= alike.had + alike.wants {
        return Ok(Count::exactly(at(alike.had.min(near))));
    }
    Ok(Count { low: at(0).min(ends), high: ends })
}

/// Records on either side of a place that must fit where times do not count.
const FITTING: usize = 8;

/// Whether the records around a place of the replica are those around the group's position, there and nowhere
/// else in the window.
fn fits(around: &Around<'_>, exact: Count) -> bool {
    let split = |window: &Window, at: u64| window.items.partition_point(|item| item.offset() < at);
    let (source, replica) = (&around.source.items, &around.replica.items);
    let (before, behind) = source.split_at(split(around.source, around.committed));
    let fits_at = |at: usize| {
        let (had, wants) = replica.split_at(at);
        let alike = |(a, b): (&Item, &Item)| a.hash == b.hash;
        // The mirror may not have copied everything yet, and either side may have removed what came first.
        before.iter().rev().zip(had.iter().rev()).take(FITTING).all(alike)
            && behind.iter().zip(wants).take(FITTING).all(alike)
            && (had.len().min(before.len()) > 0 || wants.len().min(behind.len()) > 0 || replica.is_empty())
    };
    let place = split(around.replica, exact.high);
    exact.exact().is_some() && (0..=replica.len()).all(|at| fits_at(at) == (at == place))
}

/// Records around the group's position on the source that it has on both sides of it, in an unbroken run.
#[derive(Debug)]
struct Alike {
    had: usize,
    wants: usize,
    /// The record before that run, and whether the source has it once.
    follow: Option<Hash>,
    follows_once: bool,
    /// The run goes on outside of the window.
    open: bool,
}

impl Alike {
    fn around(around: &Around<'_>, copies: &HashMap<Hash, Copies>) -> Self {
        let items = &around.source.items;
        let at = items.partition_point(|item| item.offset() < around.committed);
        let (before, behind) = items.split_at(at);
        let is_either = |item: &&Item| side(copies, item) == Belongs::Either;
        let had = before.iter().rev().take_while(is_either).count();
        let wants = behind.iter().take_while(is_either).count();
        let follow = before.iter().rev().nth(had).map(|item| item.hash);
        let follows_once = follow.and_then(|hash| copies.get(&hash)).is_some_and(|copies| copies.before == 1);
        let before_it = had == before.len() && around.source.from > 0;
        let open = before_it || (wants == behind.len() && around.source_goes_on);
        Self { had, wants, follow, follows_once, open }
    }
}

/// Whether the source has nothing behind the group's position.
fn nothing_after(around: &Around<'_>, copies: &HashMap<Hash, Copies>) -> bool {
    !around.source_goes_on && copies.values().all(|copies| copies.after == 0)
}

/// Records that the group wants and that stand only before the translated offset.
fn loss(around: &Around<'_>, copies: &HashMap<Hash, Copies>, ahead: u64) -> Count {
    let mut there: HashMap<Hash, (u64, u64)> = HashMap::new();
    for item in &around.replica.items {
        let (all, behind) = there.entry(item.hash).or_default();
        *all += 1;
        *behind += u64::from(item.offset() >= around.translated);
    }
    let missed = copies.iter().filter(|(_, copies)| copies.after > 0).map(|(hash, copies)| {
        let (all, behind) = there.get(hash).copied().unwrap_or_default();
        // Copies before the offset may be those of a record that the group has had, or of one record twice.
        let surely = copies.before == 0 && all > 0 && behind == 0;
        Count { low: u64::from(surely), high: copies.after.min(all).saturating_sub(behind) }
    });
    let missed = missed.fold(Count::exactly(0), Count::plus);
    let whole = !around.replica_goes_on && !around.source_goes_on;
    Count {
        // Another copy may stand behind the window.
        low: if around.replica_goes_on { 0 } else { missed.low },
        high: if whole && around.replica.to >= around.translated { missed.high } else { ahead.max(missed.high) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ages::Found;
    use crate::content::Id;
    use paritas_connect::logs::Isolation;
    use proptest::prelude::*;
    use rstest::rstest;

    /// A window in which every byte but a space is a record.
    fn window(text: &str) -> Window {
        let all = text.bytes().enumerate().filter(|(_, byte)| *byte != b' ');
        let item = |(at, byte): (usize, u8)| Item {
            found: Found { offset: at as u64, timestamp: None, appended: false },
            hash: Id(byte.into()),
        };
        Window { from: 0, to: text.len() as u64, isolation: Isolation::Uncommitted, items: all.map(item).collect() }
    }

    fn aligned(source: &str, committed: u64, replica: &str, translated: u64) -> Result<Aligned, &'static str> {
        let (source, replica) = (window(source), window(replica));
        align(&Around {
            committed,
            translated,
            source: &source,
            source_goes_on: false,
            replica: &replica,
            replica_begins: true,
            replica_goes_on: false,
            times: true,
        })
    }

    #[rstest]
    #[case::exact("abcdef", 3, "abcdef", 3, 3, 0, 0)]
    #[case::never_ahead("abcdef", 3, "abcdef", 1, 3, 0, 2)]
    #[case::far_behind("abcdef", 5, "abcdef", 0, 5, 0, 5)]
    #[case::too_far("abcdef", 3, "abcdef", 5, 3, 2, 0)]
    #[case::at_the_end("abcdef", 6, "abcdef", 6, 6, 0, 0)]
    #[case::behind_a_marker_at_the_end("abc ", 4, "abc", 3, 3, 0, 0)]
    #[case::the_replica_has_markers("abcdef", 3, "ab  c d ", 5, 6, 0, 0)]
    #[case::not_mirrored_yet("abcdef", 3, "abc", 3, 3, 0, 0)]
    #[case::the_mirror_is_behind_the_group("abcdef", 5, "abc", 3, 3, 0, 0)]
    #[case::from_the_start("abcdef", 0, "abcdef", 0, 0, 0, 0)]
    #[case::a_run_came_twice_behind("abcdef", 3, "abcdebcdef", 3, 3, 0, 0)]
    #[case::a_run_came_twice_before("abcdef", 4, "abcabcdef", 6, 7, 0, 1)]
    #[case::the_copy_behind_saves_it("abcdef", 3, "abcdebcdef", 5, 3, 0, 0)]
    #[case::records_are_missing_on_the_replica("abcdef", 4, "abef", 2, 2, 0, 0)]
    #[case::others_write_there("abcdef", 3, "abXcdef", 4, 4, 0, 0)]
    #[case::records_alike_around_the_place("assb", 2, "assb", 2, 2, 0, 0)]
    #[case::records_alike_far_away("sabs", 2, "sabs", 2, 2, 0, 0)]
    fn the_right_place_is_found_and_records_are_counted(
        #[case] source: &str,
        #[case] committed: u64,
        #[case] replica: &str,
        #[case] translated: u64,
        #[case] exact: u64,
        #[case] loss: u64,
        #[case] redelivery: u64,
    ) {
        let aligned = aligned(source, committed, replica, translated);
        let exactly = Count::exactly;
        let expected = Aligned { exact: exactly(exact), loss: exactly(loss), redelivery: exactly(redelivery) };
        assert_eq!(aligned, Ok(expected));
    }

    #[test]
    fn a_copy_behind_the_window_may_save_what_looks_lost() {
        let (source, replica) = (window("abcdef"), window("abcde"));
        let around = Around {
            committed: 3,
            translated: 5,
            source: &source,
            source_goes_on: false,
            replica: &replica,
            replica_begins: true,
            replica_goes_on: true,
            times: true,
        };
        assert_eq!(align(&around).map(|aligned| aligned.loss), Ok(Count { low: 0, high: 2 }));
    }

    #[test]
    fn a_window_that_shows_neither_side_of_the_place_proves_nothing() {
        let (source, replica) = (window("abcdef"), window("XY"));
        for (replica_begins, replica_goes_on) in [(true, true), (false, false)] {
            let around = Around {
                committed: 3,
                translated: 1,
                source: &source,
                source_goes_on: true,
                replica: &replica,
                replica_begins,
                replica_goes_on,
                times: true,
            };
            assert!(align(&around).is_err());
        }
        assert!(aligned("abc", 9, "abc", 0).is_err());
    }

    /// A mirror that copies in order and goes back now and then.
    fn mirrored(source: &Window, backs: &[(usize, usize)], until: usize) -> Vec<Item> {
        let mut copied: Vec<Item> = Vec::new();
        let mut at = 0;
        let mut backs = backs.iter();
        let mut next = backs.next();
        while at < until.min(source.items.len()) {
            copied.extend(source.items.get(at));
            at += 1;
            if let Some((when, by)) = next
                && *when == at
            {
                at = at.saturating_sub(*by);
                next = backs.next();
            }
        }
        copied
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn loss_redelivery_and_place_lie_within_their_bounds(
            source in "[a-h ]{1,30}", backs in prop::collection::vec((1_usize..30, 1_usize..10), 0..3), until in 0_usize..32,
            committed in 0_u64..30, translated in 0_u64..60, unique: bool,
        ) {
            let mut source = window(&source);
            if unique {
                for item in &mut source.items {
                    item.hash = Id(item.found.offset.into());
                }
            }
            let committed = committed.min(source.to);
            let mut backs = backs;
            backs.sort_unstable();
            let copied = mirrored(&source, &backs, until);
            let item = |(at, item): (usize, &Item)| Item { found: Found { offset: at as u64, ..item.found }, ..*item };
            let items: Vec<Item> = copied.iter().enumerate().map(item).collect();
            let replica = Window { from: 0, to: items.len() as u64, isolation: Isolation::Uncommitted, items };
            let translated = translated.min(replica.to);
            let around = Around { committed, translated, source: &source, source_goes_on: false, replica: &replica,
                                  replica_begins: true, replica_goes_on: false, times: true };
            let aligned = align(&around).map_err(TestCaseError::fail)?;
            let is_after = |item: &Item| item.offset() >= committed;
            let last_had = copied.iter().rposition(|item| !is_after(item)).map_or(0, |at| at + 1);
            let exact = copied.iter().position(is_after).unwrap_or(last_had) as u64;
            prop_assert!((aligned.exact.low..=aligned.exact.high).contains(&exact), "{aligned:?} {exact}");
            if unique {
                prop_assert_eq!(aligned.exact, Count::exactly(exact));
            }
            let redelivery = exact.saturating_sub(translated);
            prop_assert!((aligned.redelivery.low..=aligned.redelivery.high).contains(&redelivery), "{aligned:?}");
            // By content: of each record as many copies as the group has not had must stand behind the offset.
            let mut wanted: HashMap<Hash, (std::collections::HashSet<u64>, u64)> = HashMap::new();
            for (at, item) in copied.iter().enumerate() {
                let (offsets, behind) = wanted.entry(item.hash).or_default();
                if is_after(item) {
                    offsets.insert(item.offset());
                }
                *behind += u64::from(at as u64 >= translated);
            }
            let lost: u64 = wanted.values().map(|(offsets, behind)| (offsets.len() as u64).saturating_sub(*behind)).sum();
            prop_assert!((aligned.loss.low..=aligned.loss.high).contains(&lost), "{aligned:?} {lost}");
            if unique {
                prop_assert_eq!(aligned.loss, Count::exactly(lost));
            }
        }
    }
}
