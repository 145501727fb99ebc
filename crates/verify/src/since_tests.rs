//! What each piece of evidence says about a row.

use super::*;
use paritas_connect::FetchedField;
use paritas_model::{Lineage, Stream, Switch};
use rstest::rstest;

fn at(timeline: u32, value: u64) -> Position {
    let lineage = Lineage(format!("7/{timeline}"));
    Position { stream: Stream("wal".into()), lineage, value, text: Lsn(value).to_string() }
}

/// Taken between 100 and 110 of timeline 1; transaction 50 was running.
fn moment() -> Moment {
    let horizon = Horizon { oldest: 50, next: 60, running: vec![50] };
    Moment { from: Known::Known(at(1, 100)), covers: Known::Known(at(1, 110)), horizon }
}

fn promoted(left: u64) -> Known<Ancestry> {
    Known::Known(Ancestry { system: 7, timeline: 2, switches: vec![Switch { timeline: 1, at: Lsn(left) }] })
}

#[rstest]
#[case::after(promoted(110), "holds")]
#[case::before(promoted(99), "behind")]
#[case::meanwhile(promoted(100), "unordered")]
#[case::just_before_its_end(promoted(109), "unordered")]
#[case::another_cluster(Known::Known(Ancestry::first(8)), "unordered")]
#[case::not_known(Known::unknown("may not be read"), "unordered")]
fn a_promoted_replica_holds_the_snapshot_or_left_before_it(#[case] ancestry: Known<Ancestry>, #[case] word: &str) {
    assert_eq!(Relation::of(Some(&moment()), &ancestry, &Known::Known(at(2, 500))).as_str(), word);
}

#[rstest]
#[case(at(1, 110), "holds")]
#[case(at(1, 109), "waiting")]
#[case(at(2, 500), "unordered")]
fn a_standby_holds_the_snapshot_once_it_has_come_that_far(#[case] reached: Position, #[case] word: &str) {
    let ancestry = Known::Known(Ancestry::first(7));
    assert_eq!(Relation::of(Some(&moment()), &ancestry, &Known::Known(reached)).as_str(), word);
}

fn window(relation: Relation) -> Window {
    Window {
        relation,
        snapshot: Some(moment().horizon),
        now: Some(Horizon { oldest: 90, next: 90, running: Vec::new() }),
        own_from: Known::Known(55),
        promoted_at: Some(1_000),
        running_ended: false,
        same_catalog: true,
        writes: Writes::Any,
        changed_at: None,
    }
}

fn behind() -> Window {
    window(Relation::Behind { at: Lsn(90) })
}

fn row(version: Option<u64>, changed_at: &str) -> FetchedRow {
    let field = FetchedField { canonical: None, shown: Value::Text(changed_at.to_owned()) };
    FetchedRow { found: None, key: Vec::new(), fields: vec![field], place: None, version }
}

fn judged(window: &Window, class: Class, version: u64) -> Judgement {
    let row = row(Some(version), "");
    window.judge(class, 1, &[Now { row: &row, newer: false, committed_at: None }])
}

fn is_open(judgement: Judgement) -> bool {
    matches!(judgement, Judgement::Open(_))
}

#[test]
fn a_replica_that_holds_the_snapshot_is_judged_by_the_writer_of_its_row() {
    let window = window(Relation::Holds);
    for class in [Class::Extra, Class::Changed] {
        assert_eq!(judged(&window, class, 49), Judgement::Proven);
        assert_eq!(judged(&window, class, 50), Judgement::Since, "it was running");
        assert_eq!(judged(&window, class, 60), Judgement::Since);
        assert!(is_open(judged(&window, class, 55)), "it may be a part of one that was running");
        assert_eq!(judged(&window, class, 2), Judgement::Proven, "frozen long ago");
        let newest = row(Some(95), "");
        let now = Now { row: &newest, newer: true, committed_at: None };
        assert_eq!(window.judge(class, 1, &[now]), Judgement::Since);
        assert!(is_open(window.judge(class, 1, &[])));
    }
    assert!(is_open(window.judge(Class::Lost, 1, &[])));
    let changed = Window { same_catalog: false, ..window };
    assert!(is_open(judged(&changed, Class::Changed, 49)), "a changed definition changes rows and not their writers");
    assert_eq!(judged(&changed, Class::Changed, 60), Judgement::Since);
}

#[test]
fn a_replica_that_left_before_the_snapshot_is_judged_by_what_it_shares_with_the_source() {
    for class in [Class::Extra, Class::Changed] {
        assert_eq!(judged(&behind(), class, 49), Judgement::Proven);
        assert!(is_open(judged(&behind(), class, 52)), "the snapshot may not show it");
        assert!(is_open(judged(&behind(), class, 55)), "the replica's own");
        let unknown = Window { own_from: Known::unknown("another checkpoint"), ..behind() };
        assert!(is_open(judged(&unknown, class, 49)));
        let old = row(Some(49), "");
        let committed = |at| unknown.judge(class, 1, &[Now { row: &old, newer: false, committed_at: Some(at) }]);
        assert_eq!(committed(999), Judgement::Proven);
        assert!(is_open(committed(1_000)));
    }
    assert!(is_open(behind().judge(Class::Lost, 1, &[])));
}

#[test]
fn where_nobody_wrote_since_everything_is_proven() {
    let quiet = |next: u64| Some(Horizon { oldest: next, next, running: Vec::new() });
    let settled = Some(Horizon { oldest: 60, next: 60, running: Vec::new() });
    let holds = Window { snapshot: settled.clone(), now: quiet(60), ..window(Relation::Holds) };
    assert_eq!(holds.judge(Class::Lost, 1, &[]), Judgement::Proven);
    assert!(is_open(Window { now: quiet(61), ..holds.clone() }.judge(Class::Lost, 1, &[])));
    let unsettled = Window { now: quiet(60), ..window(Relation::Holds) };
    assert!(is_open(unsettled.judge(Class::Lost, 1, &[])), "one that was running may have deleted it");

    let left = Window { now: quiet(55), running_ended: true, ..behind() };
    assert_eq!(left.judge(Class::Lost, 1, &[]), Judgement::Proven);
    assert!(is_open(Window { running_ended: false, ..left.clone() }.judge(Class::Lost, 1, &[])));
    assert_eq!(
        Window { running_ended: false, snapshot: settled, ..left.clone() }.judge(Class::Lost, 1, &[]),
        Judgement::Proven
    );
    assert!(is_open(Window { now: quiet(56), ..left.clone() }.judge(Class::Lost, 1, &[])));
    let later = Window { own_from: Known::Known(61), now: quiet(61), ..left };
    assert!(is_open(later.judge(Class::Lost, 1, &[])), "the snapshot may not show all that was decided");
}

#[rstest]
#[case(Writes::Any, [false, false, false])]
#[case(Writes::Upserts, [true, false, false])]
#[case(Writes::Inserts, [true, true, false])]
#[case(Writes::None, [true, true, true])]
fn what_is_declared_never_to_happen_is_a_violation(#[case] writes: Writes, #[case] proven: [bool; 3]) {
    let window = Window { writes, ..window(Relation::Unordered { why: String::new() }) };
    let row = row(None, "");
    let found = [Class::Lost, Class::Changed, Class::Extra].map(|class| {
        let rows = [Now { row: &row, newer: false, committed_at: None }];
        let rows: &[Now<'_>] = if class == Class::Lost { &[] } else { &rows };
        window.judge(class, 1, rows) == Judgement::Proven
    });
    assert_eq!(found, proven);
    let waiting = Window { writes, relation: Relation::Waiting { at: "0/1".into() }, ..window };
    assert!(is_open(waiting.judge(Class::Lost, 1, &[])), "it may be on its way");
}

#[rstest]
#[case("2026-11-30 12:00:00+00", Some(Judgement::Proven))]
#[case("2026-11-30T12:09:59.999999Z", Some(Judgement::Proven))]
#[case("2026-11-30 12:15:00", None)]
#[case("2026-11-30 15:20:00+03", Some(Judgement::Since))]
#[case("yesterday", None)]
fn a_column_says_when_a_row_was_written(#[case] text: &str, #[case] expected: Option<Judgement>) {
    let micros = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
    let changed_at =
        ChangedAt { index: 0, old_before: micros("2026-11-30T12:10:00Z"), new_from: micros("2026-11-30T12:20:00Z") };
    let unordered = Relation::Unordered { why: String::new() };
    let window = Window { changed_at: Some(changed_at), ..window(unordered) };
    let row = row(None, text);
    let now = Now { row: &row, newer: false, committed_at: None };
    for class in [Class::Extra, Class::Changed] {
        match expected {
            Some(expected) => assert_eq!(window.judge(class, 1, &[now]), expected),
            None => assert!(is_open(window.judge(class, 1, &[now]))),
        }
    }
}

#[test]
fn of_several_rows_with_one_key_as_many_as_are_extra_must_be_new() {
    let window = window(Relation::Holds);
    let (old, new) = (row(Some(40), ""), row(Some(70), ""));
    let now = |row| Now { row, newer: false, committed_at: None };
    assert_eq!(window.judge(Class::Extra, 1, &[now(&old), now(&new)]), Judgement::Since);
    assert!(is_open(window.judge(Class::Extra, 2, &[now(&old), now(&new)])));
    assert_eq!(window.judge(Class::Extra, 1, &[now(&old), now(&old)]), Judgement::Proven);
    assert!(is_open(window.judge(Class::Changed, 1, &[now(&old), now(&new)])));
}
