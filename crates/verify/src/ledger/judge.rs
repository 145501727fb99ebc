//! What the readings of one round say about one group of a live link.
//!
//! The rules rest on the version of a group, which changes whenever one of its rows is written, comes or
//! goes, and on the order of the readings: source, fence, replica, source.
//!
//! - A source that shows the same version before the fence and afterwards had exactly these rows when the
//!   replica reached the fence, and the replica may show more only for what came and went in between.
//! - A replica that shows the same version as in the round before had all of these rows at every moment between,
//!   also when the source was read at the beginning of this round. A faithful replica had the source's rows
//!   of that moment, neither more nor less. So where both hold and the figures differ, the replica is not
//!   faithful: *proven*.
//!
//! One round alone proves nothing, as a row may come and go between two readings of the source.

use paritas_ledger::{Deviation, Figures, Rule};

/// A group as one reading shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    /// Its figures; `None` where there is no row of it.
    pub(super) figures: Option<Figures>,
    /// Its version; `None` where it is just being written. No row at all is a version, too.
    pub(super) version: Option<String>,
}

impl Reading {
    /// No row of the group.
    pub(super) fn nothing() -> Self {
        Self { figures: None, version: Some(String::new()) }
    }
}

/// One group, in the order in which it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round<'a> {
    /// On the source, before the fence.
    pub(super) before: &'a Reading,
    /// On the replica, once it had reached the fence.
    pub(super) replica: &'a Reading,
    /// On the source again.
    pub(super) after: &'a Reading,
    /// On the replica in the round before; `None` in the first.
    pub(super) last: Option<&'a Reading>,
    /// Whether the source may hold commits back that the replica shows.
    pub(super) held: bool,
}

/// What one round says about a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Both sides agree, or the replica follows.
    Arrived,
    /// The rule is broken, and no write in flight explains it.
    Proven,
    /// It was written meanwhile.
    Open,
}

fn unchanged(one: &Reading, other: &Reading) -> bool {
    one.version.is_some() && one.version == other.version
}

/// Judges one group.
pub(super) fn judge(rule: &Rule, round: &Round<'_>) -> Judgement {
    let between = between(rule, round);
    if between != Judgement::Arrived {
        return between;
    }
    // Both sides agree; what is left is the balance of each.
    let broken = rule.deviations(round.after.figures.as_ref(), round.replica.figures.as_ref());
    let source = broken.iter().any(|one| matches!(one, Deviation::SourceUnbalanced(_)));
    let replica = broken.iter().any(|one| matches!(one, Deviation::ReplicaUnbalanced(_)));
    let stayed = round.last.is_some_and(|last| unchanged(last, round.replica));
    match (source, replica) {
        (false, false) => Judgement::Arrived,
        (true, _) if unchanged(round.before, round.after) => Judgement::Proven,
        (_, true) if stayed => Judgement::Proven,
        _ => Judgement::Open,
    }
}

fn between(rule: &Rule, round: &Round<'_>) -> Judgement {
    let Round { before, replica, after, last, held } = *round;
    let agrees = |source: &Reading| rule.agree(source.figures.as_ref(), replica.figures.as_ref());
    let still = unchanged(before, after);
    if still && agrees(before) {
        return Judgement::Arrived;
    }
    // A replica that shows one reading of a group in motion proves nothing by itself: figures that go back
    // and forth would meet a replica that is stuck. It must have moved as well.
    let moved = last.is_some_and(|last| !unchanged(last, replica));
    if moved && (agrees(before) || agrees(after)) {
        return Judgement::Arrived;
    }
    let stayed = last.is_some_and(|last| unchanged(last, replica));
    if still && stayed && !held { Judgement::Proven } else { Judgement::Open }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_ledger::{Amount, ColumnRule};
    use rstest::rstest;

    /// `amount@version`; `-` is no row, `?` a group that is being written.
    fn reading(text: &str) -> Reading {
        if text == "-" {
            return Reading::nothing();
        }
        let (amount, version) = text.split_once('@').unwrap();
        let mut figures = Figures::of(&rule(false));
        figures.rows = 1;
        figures.columns[0].add(&amount.parse::<Amount>().unwrap(), false);
        Reading { figures: Some(figures), version: (version != "?").then(|| version.to_owned()) }
    }

    fn rule(zero_sum: bool) -> Rule {
        Rule { count: true, columns: vec![ColumnRule { sum: true, zero_sum, ..ColumnRule::named("a") }] }
    }

    fn judged(zero_sum: bool, texts: [&str; 3], last: Option<&str>, held: bool) -> Judgement {
        let [before, replica, after] = texts.map(reading);
        let last = last.map(reading);
        let round = Round { before: &before, replica: &replica, after: &after, last: last.as_ref(), held };
        judge(&rule(zero_sum), &round)
    }

    #[rstest]
    #[case::equal(["5@1", "5@9", "5@1"], None, Judgement::Arrived)]
    #[case::gone_on_both(["-", "-", "-"], None, Judgement::Arrived)]
    #[case::one_round_proves_nothing(["5@1", "6@9", "5@1"], None, Judgement::Open)]
    #[case::differs_twice(["5@1", "6@9", "5@1"], Some("6@9"), Judgement::Proven)]
    #[case::differs_in_another_way_each_time(["5@1", "6@9", "5@1"], Some("6@8"), Judgement::Open)]
    #[case::lost(["5@1", "-", "5@1"], Some("-"), Judgement::Proven)]
    #[case::extra(["-", "6@9", "-"], Some("6@9"), Judgement::Proven)]
    #[case::came_and_went(["-", "6@9", "-"], None, Judgement::Open)]
    #[case::written_between(["5@1", "6@9", "6@2"], None, Judgement::Open)]
    #[case::follows(["5@1", "6@9", "6@2"], Some("5@8"), Judgement::Arrived)]
    #[case::stuck_where_the_source_was(["5@1", "5@9", "6@2"], Some("5@9"), Judgement::Open)]
    #[case::written_and_back(["5@1", "6@9", "5@2"], Some("6@9"), Judgement::Open)]
    #[case::just_being_written(["5@?", "6@9", "5@?"], Some("6@9"), Judgement::Open)]
    #[case::replica_without_versions(["5@1", "6@?", "5@1"], Some("6@?"), Judgement::Open)]
    fn only_what_no_write_explains_is_proven(
        #[case] texts: [&str; 3],
        #[case] last: Option<&str>,
        #[case] expected: Judgement,
    ) {
        assert_eq!(judged(false, texts, last, false), expected);
        if expected == Judgement::Proven {
            assert_eq!(judged(false, texts, last, true), Judgement::Open, "commits may be held back");
        }
    }

    #[rstest]
    #[case::source_stands_still(["5@1", "5@9", "5@1"], None, Judgement::Proven)]
    #[case::balanced(["0@1", "0.00@9", "0@1"], None, Judgement::Arrived)]
    #[case::in_motion(["0@1", "5@9", "5@2"], Some("0@8"), Judgement::Open)]
    fn a_balance_in_motion_is_not_proven(
        #[case] texts: [&str; 3],
        #[case] last: Option<&str>,
        #[case] expected: Judgement,
    ) {
        assert_eq!(judged(true, texts, last, false), expected);
    }
}
