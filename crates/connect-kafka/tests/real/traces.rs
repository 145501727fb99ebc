//! What MirrorMaker 2 leaves, as it works.

use crate::bed::{cx, store};
use paritas_connect::logs::{Logs as _, Partition};
use paritas_testbed::kafka::{Record, Topic, Twins};

#[tokio::test]
async fn a_mirror_is_seen_by_its_traces_and_what_is_new_is_added() {
    let Some(twins) = Twins::shared().await.unwrap() else { return };
    let (source, target) = (twins.source.client().unwrap(), twins.target.client().unwrap());
    let topic = twins.name("traced");
    source.create(&Topic::new(&topic)).await.unwrap();
    source.produce(&topic, (0..100).map(|number| Record::of(number.to_string()))).await.unwrap();
    twins.mirror.wait_mirrored(&topic, 0, 100).await.unwrap();
    let (source_store, target_store) = (store(&twins.source.bootstrap(), ""), store(&twins.target.bootstrap(), ""));

    let place = Partition::new(topic.clone(), 0);
    let on_source = source_store.traces(&cx()).await.unwrap();
    assert!(on_source.syncs.iter().any(|sync| sync.partition == place), "{on_source:?}");
    assert!(on_source.logs.iter().any(|log| log.starts_with("mm2-offset-syncs.")), "{:?}", on_source.logs);
    let on_target = target_store.traces(&cx()).await.unwrap();
    assert!(!on_target.heartbeats.is_empty(), "{on_target:?}");
    assert!(on_target.limits.is_empty() && on_source.limits.is_empty(), "{:?}", on_target.limits);

    source.produce(&topic, (100..300).map(|number| Record::of(number.to_string()))).await.unwrap();
    twins.mirror.wait_mirrored(&topic, 0, 300).await.unwrap();
    let later = source_store.traces(&cx()).await.unwrap();
    let of =
        |traces: &paritas_connect::logs::Traces| traces.syncs.iter().filter(|sync| sync.partition == place).count();
    assert!(of(&later) >= of(&on_source));
    let fresh = store(&twins.source.bootstrap(), "").traces(&cx()).await.unwrap();
    assert!(
        fresh
            .syncs
            .iter()
            .filter(|sync| sync.partition == place)
            .all(|sync| later.syncs.contains(sync) || sync.upstream >= 100)
    );
    let _ = target;
}
