//! From what was explained to the outcome of a log.

use super::holes::holes;
use super::outcome::{Outcome, Window};
use super::pair::Pair;
use paritas_logs::content::{Class, Explained, Finding, Of, Policy, Timestamps};

/// The outcome of the pairs of one log, without any records shown.
pub(super) fn outcome(pairs: &mut [Pair<'_>], explained: Explained, policy: Policy, items_max: usize) -> Outcome {
    let mut outcome = Outcome { complete: true, ..Outcome::default() };
    let Explained { mut findings, counts, behind, first, doubts, coarse } = explained;
    for (index, pair) in pairs.iter_mut().enumerate() {
        pair.is_sound();
        let next = pair.source.closed().map(|chain| chain.next);
        let mut counts = counts.get(index).copied().unwrap_or_default();
        for hole in holes(pair, first.get(index).copied().flatten(), counts.expired_on_source) {
            counts.add(hole.class, hole.proof, Of::Source, hole.records);
            findings.push(hole);
        }
        let mut window = pair.window();
        window.counts = counts;
        let common = first.get(index).copied().flatten();
        let none = |read: &Option<super::Read>| read.as_ref().is_none_or(|read| read.records == 0);
        let apart = common.is_none() && !none(&window.source_read) && !none(&window.replica_read);
        let not_yet = behind.get(index).copied().flatten();
        // Where the sides have nothing in common nobody knows how far the replica has got.
        window.mirrored_to = if apart || window.problem.is_some() { None } else { not_yet.or(next) };
        if apart {
            window.unknown.push("the replica and the source have no record in common".to_owned());
        }
        let doubt = doubts.get(index).cloned().flatten();
        if window.counts.unproven > 0 {
            window.unknown.push(doubt.unwrap_or_else(|| "what is suspected cannot be proven any more".to_owned()));
        }
        if window.counts.not_yet_mirrored > 0 {
            window.unknown.push(format!(
                "{} records that were on the source when the run began are not on the replica yet",
                window.counts.not_yet_mirrored
            ));
        }
        outcome.complete &= window.problem.is_none();
        outcome.counts.absorb(&window.counts);
        outcome.not_checked.extend(not_checked(&window));
        window.decide();
        outcome.partitions.push(window);
    }
    if coarse {
        outcome.notes.push(
            "so many records are on one side only that some were only counted: what is said to be missing or foreign \
             may also be at another place"
                .to_owned(),
        );
    }
    if policy.timestamps == Timestamps::Ignore {
        outcome.not_checked.push("times of records: they are not compared".to_owned());
    }
    sort(&mut findings);
    outcome.findings_truncated = findings.len() > items_max;
    findings.truncate(items_max);
    outcome.findings = findings;
    outcome
}

/// Violations first, then by partition and offset.
fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| {
        let offset = finding.source.or(finding.replica).map(|span| span.first);
        let weight = match finding.class {
            Class::Expired => 2,
            class => u8::from(!class.is_violation()),
        };
        (weight, finding.partition, offset, finding.class)
    });
}

/// What retention has put out of sight.
fn not_checked(window: &Window) -> Vec<String> {
    let (source, replica) = (&window.source, &window.replica);
    let mut left_out = Vec::new();
    if window.counts.expired_on_replica > 0 {
        left_out.push(format!(
            "{source}: its first {} records, which are older than what {replica} still has",
            window.counts.expired_on_replica
        ));
    }
    if window.counts.expired_on_source > 0 {
        left_out.push(format!(
            "{replica}: its first {} records, which are older than what {source} still has",
            window.counts.expired_on_source
        ));
    }
    left_out
}
