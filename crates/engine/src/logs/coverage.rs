//! What is mirrored and what is not, for the report.

use super::seen::Seen;
use paritas_report::{CoverageCheck, CoverageItem};

/// The coverage check of what both sides show.
pub(crate) fn check(seen: &Seen) -> CoverageCheck {
    let coverage = &seen.coverage;
    let items = coverage.gaps.iter().map(|gap| CoverageItem {
        what: format!("topic {}", gap.what),
        kind: gap.kind.as_str().to_owned(),
        verdict: gap.verdict,
        why: gap.why.clone(),
        consequence: gap.consequence.clone(),
    });
    CoverageCheck {
        verdict: coverage.verdict(),
        datasets: coverage.pairs.len() as u64,
        items: items.collect(),
        problem: None,
    }
}
