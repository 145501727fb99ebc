//! Hiding values: `[privacy] values = "mask" | "hash"`.

use crate::{Achieved, Check, LedgerCheck, LedgerFigures, LogCheck, LostSum, Problem, Recovery, Report};
use paritas_model::{Difference, Value};

/// What happens to keys and values of rows before a report leaves the run.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Privacy {
    /// Values are shown.
    #[default]
    Show,
    /// Every value becomes `***`.
    Mask,
    /// Every value becomes a keyed hash: equal values stay equal inside and across reports of one
    /// deployment, and nobody without its key can try values out.
    Hash {
        /// A secret of the deployment, used for nothing else.
        key: [u8; 32],
    },
}

impl std::fmt::Debug for Privacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Show => "Show",
            Self::Mask => "Mask",
            Self::Hash { .. } => "Hash { key: *** }",
        })
    }
}

const MASK: &str = "***";
/// What a system says about a failure may quote a value, so it is hidden as a whole.
const HIDDEN_DETAIL: &str = "hidden, because privacy settings hide values";
/// The code of what a server refuses for reasons of its own.
const REFUSED: &str = "store.refused";
/// Hexadecimal digits of a hashed value: 64 bits.
const HASH_DIGITS: usize = 16;

/// Replaces keys and values of all differences, consistently. Names (of stores, datasets, columns
/// and files) are not values and stay.
pub fn apply_privacy(report: &mut Report, privacy: Privacy) {
    if privacy == Privacy::Show {
        return;
    }
    for sum in report.recovery.iter_mut().flat_map(hidden_sums) {
        // A sum of hidden amounts would be one more value.
        sum.lost = sum.lost.take().map(|lost| hidden(&Value::Text(lost), privacy));
    }
    for recovery in report.links.iter_mut().filter_map(|link| link.recovery.as_mut()) {
        hide_names(recovery, privacy);
    }
    for check in report.links.iter_mut().flat_map(|link| &mut link.checks) {
        hide_detail(check.problem_mut());
        if let Check::Parity(check) = check {
            check.items.iter_mut().for_each(|item| hide(item, privacy));
            check.log.iter_mut().for_each(|log| hide_records(log, privacy));
        } else if let Check::Ledger(check) = check {
            hide_figures(check, privacy);
        } else if let Check::Snapshot(check) = check {
            if let Some(kept) = &mut check.kept {
                kept.datasets.iter_mut().for_each(|one| hide_detail(&mut one.problem));
                kept.ledgers.iter_mut().for_each(|one| hide_detail(&mut one.problem));
            }
        } else if let Check::Freshness(check) = check {
            for newest in [&mut check.source, &mut check.replica].into_iter().flatten().map(|side| &mut side.newest) {
                *newest = newest.take().map(|time| hidden(&Value::Text(time), privacy));
            }
        } else if let Check::Sequences(check) = check {
            let numbers = check.items.iter_mut().flat_map(|one| [&mut one.next, &mut one.used, &mut one.snapshot]);
            for number in numbers.flatten() {
                *number = hidden(&Value::Text(std::mem::take(number)), privacy);
            }
        }
    }
}

/// All sums of lost amounts, in every section.
fn hidden_sums(achieved: &mut Achieved) -> impl Iterator<Item = &mut LostSum> {
    let sections = achieved.tiers.iter_mut().chain(&mut achieved.stores).chain(&mut achieved.links);
    std::iter::once(&mut achieved.whole).chain(sections).flat_map(|one| &mut one.rpo.amounts)
}

/// What groups are made of and what they amount to are values; how many rows and groups there are is not.
fn hide_figures(check: &mut LedgerCheck, privacy: Privacy) {
    check.rows.iter_mut().for_each(|item| hide(item, privacy));
    for (_, value) in &mut check.difference {
        *value = Value::Text(hidden(value, privacy));
    }
    for item in &mut check.items {
        for (_, value) in item.group.iter_mut().chain(&mut item.difference) {
            *value = Value::Text(hidden(value, privacy));
        }
    }
    let sides = [&mut check.source, &mut check.replica].into_iter().filter_map(|side| side.total.as_mut());
    let items = check.items.iter_mut().flat_map(|item| [&mut item.source, &mut item.replica].into_iter().flatten());
    for LedgerFigures { columns, .. } in sides.chain(items) {
        for column in columns {
            let amounts = [Some(&mut column.sum), column.min.as_mut(), column.max.as_mut()];
            for amount in amounts.into_iter().flatten() {
                *amount = hidden(&Value::Text(std::mem::take(amount)), privacy);
            }
        }
    }
}

/// Keys, values and headers of records are values, and so is what a system says about a window.
fn hide_records(log: &mut LogCheck, privacy: Privacy) {
    for window in &mut log.partitions {
        hide_detail(&mut window.problem);
    }
    for finding in &mut log.findings {
        for record in &mut finding.shown {
            let headers = record.headers.iter_mut().map(|(_, value)| value);
            for value in [&mut record.key, &mut record.value].into_iter().chain(headers) {
                *value = Value::Text(hidden(value, privacy));
            }
        }
    }
}

fn hide_detail(problem: &mut Option<Problem>) {
    let Some(problem) = problem else { return };
    if let Some(detail) = &mut problem.detail {
        HIDDEN_DETAIL.clone_into(detail);
    }
    // Of these the hint is the server's own, too.
    if problem.code == REFUSED {
        problem.hint = None;
    }
}

/// Names of prepared transactions are chosen by applications.
fn hide_names(recovery: &mut Recovery, privacy: Privacy) {
    for held in &mut recovery.prepared {
        held.gid = hidden(&Value::Text(std::mem::take(&mut held.gid)), privacy);
    }
    for timeline in &mut recovery.timelines {
        let lost = timeline.lost.iter_mut().filter_map(|lost| lost.gid.as_mut());
        for gid in lost.chain(timeline.undecided.iter_mut().map(|undecided| &mut undecided.gid)) {
            *gid = hidden(&Value::Text(std::mem::take(gid)), privacy);
        }
        for table in timeline.rows.iter_mut().flat_map(|rows| &mut rows.tables) {
            table.items.iter_mut().for_each(|item| hide(&mut item.row, privacy));
            let sums = table.amounts.iter_mut();
            let sums = sums.flat_map(|one| [&mut one.inserted, &mut one.updated, &mut one.deleted, &mut one.net]);
            for sum in sums.flatten() {
                *sum = hidden(&Value::Text(std::mem::take(sum)), privacy);
            }
        }
    }
}

fn hidden(value: &Value, privacy: Privacy) -> String {
    match privacy {
        Privacy::Hash { key } => hash(&key, value),
        Privacy::Mask | Privacy::Show => MASK.to_owned(),
    }
}

fn hide(item: &mut Difference, privacy: Privacy) {
    for (_, value) in item.key.iter_mut().chain(&mut item.source).chain(&mut item.replica) {
        *value = Value::Text(hidden(value, privacy));
    }
}

/// One value under the key; NULL and the text `NULL` differ.
fn hash(key: &[u8; 32], value: &Value) -> String {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&[u8::from(matches!(value, Value::Null))]);
    hasher.update(value.to_string().as_bytes());
    let digits: String = hasher.finalize().to_hex().chars().take(HASH_DIGITS).collect();
    format!("hash:{digits}")
}
