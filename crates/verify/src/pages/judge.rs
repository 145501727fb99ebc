//! What the readings of one round say about one page.
//!
//! The source's page is read before the fence and again after the replica's, which was read once the
//! replica had replayed everything up to the fence. A version stands for one log record, so a page
//! that has the same version in both readings of the source was there unchanged all the time, and
//! the replica must show it. A page that the source does not have has no version: there it takes a
//! second round. If the replica shows one version in both, and the source had no such page in between,
//! then the replica did not follow.

use paritas_connect::{Likeness, Page};

/// In what way a page of the replica is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An older version: a write that never arrived, or that was undone.
    Stale,
    /// The right version with other content.
    Corrupt,
    /// A version that the source does not have.
    Foreign,
    /// There is no page, or only zeros.
    Missing,
    /// A page that the source does not have.
    Extra,
    /// A map that says of pages, these and maybe more, what they are not.
    Wrong(Vec<u64>),
    /// A version beyond the end of the log, which no log record can have written.
    Beyond,
    /// The store cannot read it: what it said.
    Unreadable(String),
}

impl Fault {
    /// A sentence for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Stale => "the replica holds an older version: a write was lost".to_owned(),
            Self::Corrupt => "the replica holds other content under the same version: its copy is damaged".to_owned(),
            Self::Foreign => "the replica holds a version that the source does not have".to_owned(),
            Self::Missing => "the replica does not have this page, or only zeros".to_owned(),
            Self::Extra => "the replica has this page and the source does not".to_owned(),
            Self::Wrong(blocks) => {
                let blocks: Vec<String> = blocks.iter().map(u64::to_string).collect();
                format!(
                    "the replica says of pages that all their rows are visible or frozen, and they are not (blocks {}): \
                     index-only scans and vacuum go wrong there",
                    blocks.join(", ")
                )
            }
            Self::Beyond => "the replica holds a version beyond the end of the log: later writes to this page are not \
                             replayed until the log has come there"
                .to_owned(),
            Self::Unreadable(said) => format!("the replica cannot read it: {said}"),
        }
    }
}

/// A page of the replica that the source did not have in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unmatched {
    /// Its version.
    pub(crate) version: u64,
}

/// What a round says about a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Equal, or the replica follows.
    Settled,
    /// Proven to differ.
    Proven(Fault),
    /// The source cannot read it, so nothing can be said.
    Unreadable(String),
    /// It was written meanwhile.
    Open(Option<Unmatched>),
}

/// The pages of one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readings<'a> {
    pub(crate) before: Page<'a>,
    pub(crate) replica: Page<'a>,
    pub(crate) after: Page<'a>,
    /// What the round before left open.
    pub(crate) last: Option<Unmatched>,
    /// Where the source's log ended after all this.
    pub(crate) end: End,
}

/// How far the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Its position, in versions.
    pub(crate) version: u64,
    /// Whether that is the end of the log. Where the source only replays it, the replica may be further.
    pub(crate) is_last: bool,
}

impl End {
    /// What it means that the replica holds a version behind it.
    fn passed(self) -> Judgement {
        if self.is_last { Judgement::Proven(Fault::Beyond) } else { Judgement::Open(None) }
    }
}

/// Stands for the version of a page that cannot be read.
const UNREAD: Unmatched = Unmatched { version: u64::MAX };

/// Judges one page. `compare` compares a source's page with another.
pub(crate) fn judge(
    readings: &Readings<'_>,
    version: impl Fn(&[u8]) -> u64,
    mut compare: impl FnMut(&[u8], &[u8]) -> Likeness,
) -> Judgement {
    use Page::{Bytes, Damaged, Empty};
    match (readings.before, readings.replica, readings.after) {
        (Damaged(said), _, _) | (_, _, Damaged(said)) => Judgement::Unreadable(said.to_owned()),
        (Bytes(before), Bytes(replica), Bytes(after)) => {
            let still = compare(before, after) == Likeness::Equal;
            match (compare(before, replica), still) {
                // Equal to what the source had, or has: that version did arrive.
                (Likeness::Equal, _) => Judgement::Settled,
                _ if version(replica) > readings.end.version => readings.end.passed(),
                (Likeness::Renumbered, true) => Judgement::Settled,
                (Likeness::Different, true) => Judgement::Proven(match version(replica).cmp(&version(before)) {
                    std::cmp::Ordering::Less => Fault::Stale,
                    std::cmp::Ordering::Equal => Fault::Corrupt,
                    std::cmp::Ordering::Greater => Fault::Foreign,
                }),
                (_, false) if compare(after, replica) == Likeness::Equal => Judgement::Settled,
                (_, false) => Judgement::Open(None),
            }
        }
        (Bytes(before), Empty, Bytes(after)) if compare(before, after) == Likeness::Equal => {
            Judgement::Proven(Fault::Missing)
        }
        // Whatever was written meanwhile, there was a page all the time.
        (Bytes(_), Damaged(said), Bytes(_)) => Judgement::Proven(Fault::Unreadable(said.to_owned())),
        (Empty, Bytes(replica), Bytes(after)) if compare(after, replica) == Likeness::Equal => Judgement::Settled,
        (Empty, Bytes(replica), Empty) => {
            let now = Unmatched { version: version(replica) };
            if readings.last == Some(now) { Judgement::Proven(Fault::Extra) } else { Judgement::Open(Some(now)) }
        }
        // Files behind the end, in two rounds.
        (Empty, Damaged(said), Empty) if readings.last == Some(UNREAD) => {
            Judgement::Proven(Fault::Unreadable(said.to_owned()))
        }
        (Empty, Damaged(_), Empty) => Judgement::Open(Some(UNREAD)),
        (Empty, Empty, _) | (_, Empty, Empty) => Judgement::Settled,
        _ => Judgement::Open(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A page of two bytes: a version and its content.
    fn judged(before: Page<'_>, replica: Page<'_>, after: Page<'_>, last: Option<u64>) -> Judgement {
        let last = last.map(|version| Unmatched { version });
        let version = |page: &[u8]| page.first().copied().map_or(0, u64::from);
        let end = End { version: 9, is_last: true };
        judge(&Readings { before, replica, after, last, end }, version, |ours, theirs| {
            match (ours.first() == theirs.first(), ours.get(1) == theirs.get(1)) {
                (true, true) => Likeness::Equal,
                (false, true) => Likeness::Renumbered,
                (_, false) => Likeness::Different,
            }
        })
    }

    const V1: Page<'static> = Page::Bytes(&[1, 10]);
    const V2: Page<'static> = Page::Bytes(&[2, 20]);
    const V3: Page<'static> = Page::Bytes(&[3, 30]);
    const V2_BAD: Page<'static> = Page::Bytes(&[2, 21]);
    const V1_LIKE_V2: Page<'static> = Page::Bytes(&[1, 20]);
    const V10_LIKE_V2: Page<'static> = Page::Bytes(&[10, 20]);
    const NONE: Page<'static> = Page::Empty;
    const BAD: Page<'static> = Page::Damaged("said");

    fn proven(fault: Fault) -> Judgement {
        Judgement::Proven(fault)
    }

    #[rstest]
    #[case::equal(V2, V2, V2, None, Judgement::Settled)]
    #[case::arrived_then_written(V1, V1, V2, None, Judgement::Settled)]
    #[case::written_then_arrived(V1, V2, V2, None, Judgement::Settled)]
    #[case::in_motion(V1, V2, V3, None, Judgement::Open(None))]
    #[case::stale(V2, V1, V2, None, proven(Fault::Stale))]
    #[case::stale_while_written(V2, V1, V3, None, Judgement::Open(None))]
    #[case::corrupt(V2, V2_BAD, V2, None, proven(Fault::Corrupt))]
    #[case::corrupt_and_then_written(V2, V2_BAD, V3, None, Judgement::Open(None))]
    #[case::foreign(V1, V2, V1, None, proven(Fault::Foreign))]
    #[case::another_version_of_the_same_content(V2, V1_LIKE_V2, V2, None, Judgement::Settled)]
    #[case::that_while_written(V2, V1_LIKE_V2, V3, None, Judgement::Open(None))]
    #[case::missing(V2, NONE, V2, None, proven(Fault::Missing))]
    #[case::missing_while_written(V2, NONE, V3, None, Judgement::Open(None))]
    #[case::truncated(V2, NONE, NONE, None, Judgement::Settled)]
    #[case::about_to_be_extended(NONE, NONE, V1, None, Judgement::Settled)]
    #[case::extended(NONE, V1, V1, None, Judgement::Settled)]
    #[case::extended_and_written(NONE, V1, V2, None, Judgement::Open(None))]
    #[case::truncated_late(V2, V2, NONE, None, Judgement::Open(None))]
    #[case::unmatched_once(NONE, V2, NONE, None, Judgement::Open(Some(Unmatched { version: 2 })))]
    #[case::unmatched_with_another_version(NONE, V2, NONE, Some(1), Judgement::Open(Some(Unmatched { version: 2 })))]
    #[case::unmatched_twice(NONE, V2, NONE, Some(2), proven(Fault::Extra))]
    #[case::unreadable(V2, BAD, V2, None, proven(Fault::Unreadable("said".to_owned())))]
    #[case::unreadable_while_written(V2, BAD, V3, None, proven(Fault::Unreadable("said".to_owned())))]
    #[case::unreadable_where_nothing_is(NONE, BAD, NONE, None, Judgement::Open(Some(UNREAD)))]
    #[case::unreadable_there_again(NONE, BAD, NONE, Some(u64::MAX), proven(Fault::Unreadable("said".to_owned())))]
    #[case::beyond_the_end(V2, V10_LIKE_V2, V2, None, proven(Fault::Beyond))]
    #[case::beyond_the_end_while_written(V1, V10_LIKE_V2, V3, None, proven(Fault::Beyond))]
    #[case::both_beyond_the_end(V10_LIKE_V2, V10_LIKE_V2, V10_LIKE_V2, None, Judgement::Settled)]
    #[case::unreadable_on_the_source(BAD, V2, BAD, None, Judgement::Unreadable("said".to_owned()))]
    fn a_difference_is_proven_only_where_the_source_stood_still(
        #[case] before: Page<'_>,
        #[case] replica: Page<'_>,
        #[case] after: Page<'_>,
        #[case] last: Option<u64>,
        #[case] expected: Judgement,
    ) {
        assert_eq!(judged(before, replica, after, last), expected);
    }

    #[test]
    fn a_replica_may_be_further_than_a_source_that_only_replays() {
        let (end, page) = (End { version: 1, is_last: false }, |content: u8| vec![content, content]);
        let (old, new) = (page(1), page(2));
        let [before, after] = [Page::Bytes(&old), Page::Bytes(&old)];
        let readings = Readings { before, replica: Page::Bytes(&new), after, last: None, end };
        let judged = judge(
            &readings,
            |page| u64::from(page[0]),
            |ours, theirs| {
                if ours == theirs { Likeness::Equal } else { Likeness::Different }
            },
        );
        assert_eq!(judged, Judgement::Open(None));
    }
}
