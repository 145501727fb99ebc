//! Records that the source lost before the mirror had copied them.
//!
//! Where retention overtakes a mirror, or records are deleted while it stands still, the mirror goes on with the next
//! record that is left: the replica has no gap, and on the source nothing is left to compare with. What tells of it is
//! what was known before: a stored chain of the source, or the pairs of offsets that the mirror itself left.

use super::pair::Pair;
use paritas_logs::content::{Between, Chain, Class, Finding, Span};
use paritas_model::Proof;

/// Records that vanished between the ones that both sides have.
///
/// `common` is the first record that both sides have, by its offsets, and `older` says how many records the replica has
/// before it.
pub(super) fn holes(pair: &Pair<'_>, common: Option<(u64, u64)>, older: u64) -> Vec<Finding> {
    let start = pair.source.from();
    if start == 0 || pair.problem.is_some() {
        return Vec::new();
    }
    let stored = pair.facing.stored.as_ref().filter(|chain| chain.terms == pair.source.what.terms);
    let by_chain = stored.and_then(|chain| by_chain(pair, chain, start, common, older));
    if let Some(found) = by_chain {
        return vec![found];
    }
    common.map(|common| by_syncs(pair, start, common)).unwrap_or_default()
}

/// A stored chain that begins with the log says how many records there were before those that are left; a replica that
/// still has its beginning has as many, or it lacks some.
fn by_chain(pair: &Pair<'_>, stored: &Chain, start: u64, common: Option<(u64, u64)>, older: u64) -> Option<Finding> {
    if stored.from > 0 || pair.replica.from() > 0 {
        return None;
    }
    let gone: u64 = stored.all().filter(|segment| segment.last < start).map(|segment| segment.records).sum();
    // Of the segment that is gone in part the trail may say more.
    let rest = stored.all().find(|segment| segment.first < start && segment.last >= start);
    let known = |first: u64| stored.trail.first().is_some_and(|step| step.offset <= first);
    let rest = rest.filter(|segment| known(segment.first)).map_or(0, |segment| {
        stored.trail.iter().filter(|step| (segment.first..start).contains(&step.offset)).count() as u64
    });
    let lost = (gone + rest).checked_sub(older).filter(|lost| *lost > 0)?;
    // They are among the last ones before what is left, but the replica may lack others.
    let first = stored.all().find(|segment| segment.first < start).map_or(0, |segment| segment.first);
    let last = start.min(stored.next).saturating_sub(1);
    let proof = if common.is_some() { Proof::Proven } else { Proof::Unproven };
    let note = "the source has deleted them; a stored chain of it says how many there were".to_owned();
    Some(missing(pair, proof, lost, (first, last), common.map(|(_, replica)| replica), note))
}

/// Between two records of which the mirror says that they belong together there are as many on both sides, unless the
/// source has offsets without records. Where what is left of it has none, there were none before either, probably.
fn by_syncs(pair: &Pair<'_>, start: u64, common: (u64, u64)) -> Vec<Finding> {
    let Some(chain) = pair.source.closed() else { return Vec::new() };
    let dense = chain.records() == chain.next.saturating_sub(chain.from) && pair.source.end == pair.source.stable;
    if !dense {
        return Vec::new();
    }
    let mut pairs: Vec<(u64, u64)> = pair.facing.syncs.iter().copied().filter(|sync| sync.0 < start).collect();
    pairs.push(common);
    pairs.sort_unstable();
    pairs.dedup();
    let mut found = Vec::new();
    for two in pairs.windows(2) {
        let [(upstream, downstream), (next, after)] = two else { continue };
        let Some((there, here)) = next.checked_sub(*upstream).zip(after.checked_sub(*downstream)) else { continue };
        if let Some(lost) = there.checked_sub(here).filter(|lost| *lost > 0) {
            let span = (upstream.saturating_add(1), next.saturating_sub(1));
            let note = "the source has deleted them; the offsets that the mirror noted say that they are not on the \
                        replica"
                .to_owned();
            found.push(missing(pair, Proof::Unproven, lost, span, Some(*after), note));
        }
    }
    found
}

fn missing(
    pair: &Pair<'_>,
    proof: Proof,
    records: u64,
    (first, last): (u64, u64),
    before: Option<u64>,
    note: String,
) -> Finding {
    Finding {
        class: Class::Missing,
        proof,
        partition: pair.facing.source.index,
        found_in: None,
        records,
        at_least: true,
        source: Some(Span { first, last: last.max(first), first_time: None, last_time: None }),
        replica: None,
        between: Some(Between { after: None, before }),
        parts: Vec::new(),
        shown: Vec::new(),
        note: Some(note),
    }
}
