//! Files of two stores.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use async_trait::async_trait;
use common::side;
use paritas_connect::{
    Call, Context, Error, FailureKind, Fault, FaultyStore, FileEntry, FileManifest, Files, ReplicaRole, Result, Rule,
    Store, StoreIdentity, When,
};
use paritas_model::{Class, Known, StoreKind, Verdict};
use paritas_verify::files::{Outcome, verify};
use paritas_verify::rows::Origin;
use rstest::rstest;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Folder(Vec<FileEntry>);

#[async_trait]
impl Store for Folder {
    fn kind(&self) -> StoreKind {
        StoreKind::Files
    }

    fn name(&self) -> &str {
        "folder"
    }

    async fn probe(&self, _: &Context) -> Result<StoreIdentity> {
        let (version, identity, place) = (String::new(), Known::unknown("a test"), Known::unknown("a test"));
        Ok(StoreIdentity { version, identity, place, role: ReplicaRole::Independent, limits: Vec::new() })
    }

    fn files(&self) -> Option<&dyn Files> {
        Some(self)
    }
}

#[async_trait]
impl Files for Folder {
    async fn manifest(&self, _: &Context) -> Result<FileManifest> {
        Ok(FileManifest { files: self.0.clone(), single: false })
    }
}

fn good(path: &str, content: u8) -> FileEntry {
    FileEntry { path: path.into(), size_bytes: 10, blake3: Known::Known([content; 32]), damaged: false }
}

fn bad(path: &str, damaged: bool) -> FileEntry {
    FileEntry { path: path.into(), size_bytes: 10, blake3: Known::unknown("input/output error"), damaged }
}

fn faulty(files: Vec<FileEntry>, rules: Vec<Rule>) -> Arc<dyn Store> {
    Arc::new(FaultyStore::new(Arc::new(Folder(files)), rules))
}

async fn compared(source: Vec<FileEntry>, replica: Vec<FileEntry>) -> Outcome {
    verify(&side(faulty(source, Vec::new())), &side(faulty(replica, Vec::new())), 10).await
}

type Named<'a> = &'a [(&'a str, Option<Class>)];

#[rstest]
#[case::equal(vec![good("a", 1)], vec![good("a", 1)], Verdict::Pass, &[])]
#[case::changed(vec![good("a", 1)], vec![good("a", 2)], Verdict::Fail, &[("a", Some(Class::Changed))])]
#[case::lost(vec![good("a", 1), good("b", 1)], vec![good("a", 1)], Verdict::Fail, &[("b", Some(Class::Lost))])]
#[case::extra(vec![good("a", 1)], vec![good("a", 1), good("b", 1)], Verdict::Fail, &[("b", Some(Class::Extra))])]
#[case::unread_on_the_source(vec![bad("a", false)], vec![good("a", 1)], Verdict::Unknown, &[("a", None)])]
#[case::unread_on_the_replica(vec![good("a", 1)], vec![bad("a", false)], Verdict::Unknown, &[("a", None)])]
#[case::unread_on_both(vec![bad("a", false)], vec![bad("a", false)], Verdict::Unknown, &[("a", None)])]
#[case::damaged_source(vec![bad("a", true)], vec![good("a", 1)], Verdict::Unknown, &[("a", None)])]
#[case::damaged_replica(vec![good("a", 1)], vec![bad("a", true)], Verdict::Fail, &[("a", Some(Class::Changed))])]
#[case::damaged_on_both(vec![bad("a", true)], vec![bad("a", true)], Verdict::Unknown, &[("a", None)])]
#[case::both_empty(vec![], vec![], Verdict::Unknown, &[])]
#[case::empty_source(vec![], vec![good("a", 1)], Verdict::Fail, &[("a", Some(Class::Extra))])]
#[case::in_any_order(vec![good("b", 1), good("a", 2)], vec![good("a", 2), good("b", 1)], Verdict::Pass, &[])]
#[case::path_twice(vec![good("a", 1), good("a", 1)], vec![good("a", 1)], Verdict::Fail, &[("a", Some(Class::Lost))])]
#[tokio::test]
async fn every_pair_of_files_is_judged(
    #[case] source: Vec<FileEntry>,
    #[case] replica: Vec<FileEntry>,
    #[case] verdict: Verdict,
    #[case] expected: Named<'_>,
) {
    let outcome = compared(source, replica).await;
    let items: Vec<_> = outcome.items.iter().map(|item| (item.path.as_str(), item.class)).collect();
    assert_eq!((outcome.verdict(), items.as_slice()), (verdict, expected));
}

#[tokio::test]
async fn a_cut_list_leaves_the_counts_whole() {
    let source = (0..50).map(|n| good(&format!("{n:02}"), 1)).collect();
    let outcome = compared(source, vec![]).await;
    assert_eq!((outcome.items.len(), outcome.items_truncated, outcome.counts.lost), (10, true, 50));
}

#[rstest]
#[case::source(true, FailureKind::Permanent, Verdict::Unknown)]
#[case::replica(false, FailureKind::Permanent, Verdict::Unknown)]
#[case::damaged_source(true, FailureKind::Damaged, Verdict::Unknown)]
#[case::damaged_replica(false, FailureKind::Damaged, Verdict::Fail)]
#[tokio::test]
async fn a_side_that_cannot_be_listed_is_named(
    #[case] on_source: bool,
    #[case] kind: FailureKind,
    #[case] verdict: Verdict,
) {
    let rules = |hit: bool| match hit {
        true => vec![Rule::new(Call::Manifest, When::Always, Fault::Fail(kind, "test.gone"))],
        false => Vec::new(),
    };
    let (east, west) = (faulty(vec![good("a", 1)], rules(on_source)), faulty(vec![good("a", 1)], rules(!on_source)));
    let outcome = verify(&side(east), &side(west), 10).await;
    assert_eq!(outcome.verdict(), verdict);
    assert_eq!(outcome.problem.unwrap().0, if on_source { Origin::Source } else { Origin::Replica });
}

#[tokio::test]
async fn a_short_fault_is_tried_again() {
    let rule = Rule::new(Call::Manifest, When::Nth(1), Fault::Fail(FailureKind::Transient, "test.cut"));
    let (east, west) = (faulty(vec![good("a", 1)], vec![rule]), faulty(vec![good("a", 1)], Vec::new()));
    assert_eq!(verify(&side(east), &side(west), 10).await.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn a_deadline_ends_a_listing_that_hangs() {
    let rule = Rule::new(Call::Manifest, When::Always, Fault::Hang);
    let (mut east, mut west) = (side(faulty(vec![], vec![rule])), side(faulty(vec![good("a", 1)], Vec::new())));
    let cx = east.cx.clone().with_timeout(Duration::from_millis(30));
    (east.cx, west.cx) = (cx.clone(), cx);
    let outcome = verify(&east, &west, 10).await;
    assert_eq!(outcome.verdict(), Verdict::Unknown);
    assert_eq!(outcome.problem.map(|(_, error): (Origin, Error)| error.kind()), Some(FailureKind::Deadline));
}
