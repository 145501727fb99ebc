//! Records that the source deleted before the mirror had copied them: nothing is left to compare with.

use crate::world::{World, at, found, record};
use paritas_digest::DigestKey;
use paritas_logs::content::{Chain, Class};
use paritas_model::{Proof, Verdict};
use paritas_verify::logs::{Request, snapshot};
use std::time::Duration;

/// The mirror stood still at 100 while everything before 150 was deleted, and went on.
fn world() -> World {
    let world = World::new(1);
    world.append(0, (0..400).map(record));
    world.copy(0, (0..100).chain(150..400).map(record));
    world.source.trim(&at(0), 150);
    world
}

async fn stored(world: &World, trail: usize) -> Option<Chain> {
    let (source, replica) = world.sides();
    let request = Request {
        source: &source,
        replica: &replica,
        topics: &[world.topic()],
        key: &DigestKey::unkeyed(),
        settle: Duration::ZERO,
        items_max: 10,
        partitions_at_once: 1,
        ledger: None,
        watch: &|_| {},
    };
    snapshot(&request, trail).await.pop().unwrap().1.pop().unwrap()
}

#[tokio::test]
async fn without_any_knowledge_of_before_the_older_records_are_not_checked() {
    let outcome = world().compare().await;
    assert_eq!(outcome.counts.expired_on_source, 100);
    assert_eq!((outcome.verdict(), outcome.not_checked.len()), (Verdict::Pass, 1));
}

#[tokio::test]
async fn the_mirrors_own_offsets_make_a_hole_suspicious() {
    let world = world();
    let mut topic = world.topic();
    topic.facing[0].syncs = vec![(0, 0), (50, 50), (99, 99), (150, 100), (250, 200)];
    let outcome = world.compare_topic(&topic).await;
    assert_eq!(outcome.verdict(), Verdict::Unknown);
    let hole = &outcome.findings[0];
    assert_eq!((hole.class, hole.proof, hole.records), (Class::Missing, Proof::Unproven, 50));
    let span = hole.source.unwrap();
    assert_eq!((span.first, span.last), (100, 149));
    // Pairs that agree say nothing.
    topic.facing[0].syncs = vec![(160, 110), (250, 200)];
    assert_eq!(world.compare_topic(&topic).await.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn a_stored_chain_proves_a_hole() {
    for (taken, trail, lost) in [(150, 0, 50), (150, 100, 50), (120, 0, 20), (400, 400, 50)] {
        let before = World::new(1);
        before.append(0, (0..taken).map(record));
        let chain = stored(&before, trail).await;
        let world = world();
        let mut topic = world.topic();
        topic.facing[0].stored = chain;
        let outcome = world.compare_topic(&topic).await;
        assert_eq!(outcome.verdict(), Verdict::Fail, "{taken} {trail}");
        assert_eq!(outcome.counts.missing, lost);
        assert!(outcome.findings[0].at_least);
    }
}

#[tokio::test]
async fn a_stored_chain_of_what_was_copied_proves_nothing() {
    let before = World::new(1);
    before.append(0, (0..150).map(record));
    let chain = stored(&before, 0).await;
    let world = World::new(1);
    world.append(0, (0..400).map(record));
    world.mirror(0);
    world.source.trim(&at(0), 150);
    let mut topic = world.topic();
    topic.facing[0].stored = chain;
    let outcome = world.compare_topic(&topic).await;
    assert_eq!(outcome.verdict(), Verdict::Pass);
    assert_eq!(found(&outcome).len(), 1);
}

#[tokio::test]
async fn nothing_that_differs_is_proven_where_the_stores_may_have_compacted_it_away() {
    let world = World::new(1);
    world.append(0, (0..100).map(record));
    // One is missing, one is altered, one comes twice.
    world.copy(
        0,
        (0..40).chain([40, 41, 41]).chain(43..100).map(|number| match number {
            70 => record(1_070),
            number => record(number),
        }),
    );
    let mut topic = world.topic();
    let proven = world.compare_topic(&topic).await;
    assert_eq!(proven.verdict(), Verdict::Fail);
    topic.doubt = Some("the settings may not be seen".to_owned());
    let outcome = world.compare_topic(&topic).await;
    assert_eq!((outcome.verdict(), outcome.counts.proven()), (Verdict::Unknown, 0));
    assert_eq!(outcome.counts.unproven, proven.counts.proven());
    assert!(outcome.findings.iter().all(|finding| finding.proof == Proof::Unproven), "{:#?}", outcome.findings);
    assert_eq!(outcome.notes, ["the settings may not be seen"]);
    // Equal records are equal whatever the settings say.
    let honest = World::new(1);
    honest.append(0, (0..100).map(record));
    honest.mirror(0);
    assert_eq!(honest.compare_topic(&topic).await.verdict(), Verdict::Pass);
}
