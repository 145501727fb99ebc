//! Reconciling figures of rows, with stores that fail in every way.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::*;
use paritas_connect::{Call, Context, FailureKind, Fault, MemoryTable, Rule as FaultRule, Store, When};
use paritas_ledger::{ColumnRule, Rule};
use paritas_model::{Dataset, Proof, Verdict};
use paritas_verify::Side;
use paritas_verify::ledger::{Asked, LedgerPlan, Outcome, Request, verify};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn asked(group_by: &[&str]) -> Asked {
    let amount = ColumnRule { sum: true, min: true, max: true, ..ColumnRule::named("amount") };
    let group_by = group_by.iter().map(|name| (*name).to_owned()).collect();
    Asked { group_by, rule: Rule { count: true, columns: vec![amount] }, ..Asked::default() }
}

async fn plan(source: &Side, replica: &Side, asked: &Asked) -> LedgerPlan {
    let (cx, dataset) = (Context::default(), Dataset(DATASET.to_owned()));
    let ours = source.store.datasets().unwrap().describe(&cx, &dataset).await.unwrap();
    let theirs = replica.store.datasets().unwrap().describe(&cx, &dataset).await.unwrap();
    LedgerPlan::new(&ours, &theirs, asked).unwrap()
}

async fn reconcile(source: Arc<dyn Store>, replica: Arc<dyn Store>, asked: &Asked, items_max: usize) -> Outcome {
    let (source, replica) = (side(source), side(replica));
    let plan = plan(&source, &replica, asked).await;
    let request = Request {
        source: &source,
        replica: &replica,
        plan: &plan,
        live: false,
        memory_max: 1 << 20,
        items_max,
        settle: std::time::Duration::from_secs(5),
        rows: None,
        watch: &|_| {},
    };
    verify(&request).await
}

/// Rows of `(id, account, amount)`.
fn entries(rows: &[(i64, i64, Option<i64>)]) -> MemoryTable {
    let columns = [
        ("id", ints(rows.iter().map(|row| row.0))),
        ("account", ints(rows.iter().map(|row| row.1))),
        ("amount", Col::Int(rows.iter().map(|row| row.2).collect())),
    ];
    table(&columns, &["id"])
}

fn many() -> Vec<(i64, i64, Option<i64>)> {
    (0..950).map(|n| (n, n % 10, (n % 7 != 0).then_some(n * 3))).collect()
}

fn groups(outcome: &Outcome) -> Vec<String> {
    outcome.items.iter().map(|item| item.group.iter().map(|(_, value)| value.to_string()).collect()).collect()
}

#[tokio::test]
async fn a_split_that_failed_is_read_again_and_counted_once() {
    let east = store("east", entries(&many()));
    let when = When::Split { index: 3, nth: 1 };
    let faults = [
        Fault::Fail(FailureKind::Transient, "store.unreachable"),
        Fault::Cut { rows: 40, kind: FailureKind::Transient },
    ];
    for fault in faults {
        let west = faulty(&store("west", entries(&many())), vec![FaultRule { call: Call::Read, when, fault }]);
        let outcome = reconcile(Arc::new(east.clone()), west, &asked(&["account"]), 10).await;
        assert_eq!((outcome.verdict(), outcome.groups), (Verdict::Pass, Some(10)), "{outcome:#?}");
        assert_eq!(outcome.replica.total.unwrap().rows, 950);
    }
}

#[tokio::test]
async fn a_side_that_cannot_be_read_to_its_end_is_never_a_pass() {
    let east = store("east", entries(&many()));
    let faults = [
        (Fault::Fail(FailureKind::Permanent, "store.refused"), "store.refused"),
        (Fault::Swallow { rows: 40 }, "data.truncated"),
        (Fault::Repeat, "data.truncated"),
    ];
    for (fault, code) in faults {
        let rule = FaultRule { call: Call::Read, when: When::Nth(4), fault };
        let west = faulty(&store("west", entries(&many())), vec![rule]);
        let outcome = reconcile(Arc::new(east.clone()), west, &asked(&["account"]), 10).await;
        let came_to = (outcome.verdict(), outcome.complete, outcome.groups);
        assert_eq!(came_to, (Verdict::Unknown, false, None), "{outcome:#?}");
        assert_eq!(outcome.problem.unwrap().1.code(), code);
    }
}

#[tokio::test]
async fn items_are_those_with_the_smallest_keys_and_all_groups_are_counted() {
    let mut rows = many();
    rows.iter_mut().for_each(|row| row.2 = row.2.map(|amount| amount + 1));
    let (east, west) = (store("east", entries(&many())), store("west", entries(&rows)));
    let outcome = reconcile(Arc::new(east), Arc::new(west), &asked(&["account"]), 3).await;
    assert_eq!((outcome.verdict(), outcome.mismatched, outcome.items_truncated), (Verdict::Fail, 10, true));
    assert_eq!(groups(&outcome), ["0", "1", "2"]);
    assert!(outcome.items.iter().all(|item| item.proof == Proof::Proven));
}

#[tokio::test]
async fn everything_is_one_group_without_columns_and_nothing_equals_nothing() {
    let (east, west) = (store("east", entries(&many())), store("west", entries(&many())));
    let whole = reconcile(Arc::new(east.clone()), Arc::new(west), &asked(&[]), 3).await;
    assert_eq!((whole.verdict(), whole.groups), (Verdict::Pass, Some(1)));
    let counting = Asked { rule: Rule { count: true, columns: Vec::new() }, ..Asked::default() };
    let (empty, bare) = (store("empty", entries(&[])), store("bare", entries(&[])));
    let nothing = reconcile(Arc::new(empty.clone()), Arc::new(bare), &counting, 3).await;
    assert_eq!((nothing.verdict(), nothing.groups), (Verdict::Pass, Some(0)));
    let lost = reconcile(Arc::new(east), Arc::new(empty), &counting, 3).await;
    assert_eq!((lost.verdict(), lost.mismatched), (Verdict::Fail, 1), "{lost:#?}");
}

type Row = (i64, i64, Option<i64>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    proptest::collection::vec((any::<i64>(), -3..3_i64, proptest::option::of(any::<i64>())), 0..250)
}

/// Per account: rows, NULLs, sum, smallest, largest.
type Naive = BTreeMap<i64, (u64, u64, i128, Option<i64>, Option<i64>)>;

fn naive(rows: &[Row]) -> Naive {
    let mut groups = Naive::new();
    for (_, account, amount) in rows {
        let own = groups.entry(*account).or_insert((0, 0, 0, None, None));
        own.0 += 1;
        match amount {
            Some(amount) => {
                own.2 += i128::from(*amount);
                own.3 = Some(own.3.map_or(*amount, |least| least.min(*amount)));
                own.4 = Some(own.4.map_or(*amount, |most| most.max(*amount)));
            }
            None => own.1 += 1,
        }
    }
    groups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn exactly_those_groups_deviate_that_do_so_when_added_up_by_hand(ours in rows(), change in rows(), keep in 0..2_u8) {
        let theirs: Vec<Row> = if keep == 0 { change } else { ours.iter().rev().copied().chain(change.into_iter().take(2)).collect() };
        let (a, b) = (naive(&ours), naive(&theirs));
        let all: std::collections::BTreeSet<i64> = a.keys().chain(b.keys()).copied().collect();
        let mut expected: Vec<String> = all.iter().filter(|account| a.get(account) != b.get(account)).map(ToString::to_string).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (east, west) = (store("east", entries(&ours)), store("west", entries(&theirs)));
        let outcome = runtime.block_on(reconcile(Arc::new(east), Arc::new(west), &asked(&["account"]), 100));
        let mut found = groups(&outcome);
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(outcome.groups, Some(all.len() as u64));
        for item in &outcome.items {
            let account: i64 = item.group[0].1.to_string().parse().unwrap();
            let of = |figures: &Option<paritas_ledger::Figures>| figures.as_ref().map(|own| (own.rows, own.columns[0].nulls, own.columns[0].sum.to_string()));
            let by_hand = |groups: &Naive| groups.get(&account).map(|own| (own.0, own.1, own.2.to_string()));
            prop_assert_eq!(of(&item.source), by_hand(&a));
            prop_assert_eq!(of(&item.replica), by_hand(&b));
        }
    }
}
