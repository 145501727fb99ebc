//! Probe, listing, description, files.

use super::Suite;
use crate::{Context, Datasets, Description, Files, ReplicaRole};
use paritas_model::Dataset;
use std::collections::BTreeSet;

/// Identity is stable, positions only move forward, and a cancelled context ends everything.
pub(super) async fn check(suite: &Suite<'_>) {
    let store = suite.fixture.store;
    suite.saw(format_args!("{} {store:?}", store.name()));
    let first = suite.soon("probe", store.probe(&suite.cx)).await.and_then(|result| suite.expect("probe", result));
    let again = suite.soon("probe", store.probe(&suite.cx)).await.and_then(|result| suite.expect("probe", result));
    if let (Some(first), Some(again)) = (&first, &again) {
        suite.saw(format_args!("{first:?}"));
        if (&first.version, &first.identity, &first.role) != (&again.version, &again.identity, &again.role) {
            suite.wrong("probe", format_args!("changes from {first:?} to {again:?}"));
        }
    }
    let cancelled = cancelled();
    if let Some(result) = suite.soon("cancelled probe", store.probe(&cancelled)).await {
        suite.expect_code("cancelled probe", "run.cancelled", result);
    }
    let Some(positions) = store.positions() else { return };
    let current = suite.expect("position", positions.current(&suite.cx).await);
    let later = suite.expect("position", positions.current(&suite.cx).await);
    let (Some(current), Some(later)) = (current, later) else { return };
    if current.gap_to(&later).is_none() {
        suite.wrong("position", format_args!("goes from {current:?} to {later:?}"));
    }
    if let Some(result) = suite.soon("cancelled position", positions.current(&cancelled)).await {
        suite.expect_code("cancelled position", "run.cancelled", result);
    }
    if first.is_some_and(|identity| identity.role != ReplicaRole::Primary) {
        let reached = suite.soon("wait", positions.wait_for(&suite.cx, &current)).await;
        if let Some(reached) = reached.and_then(|result| suite.expect("wait", result))
            && current.gap_to(&reached).is_none()
        {
            suite.wrong("wait", format_args!("for {current} ends at {reached}"));
        }
    }
}

/// A context that is cancelled already.
pub(super) fn cancelled() -> Context {
    let cx = Context::default();
    cx.cancel_token().cancel();
    cx
}

pub(super) async fn check_list(suite: &Suite<'_>, datasets: &dyn Datasets, dataset: &Dataset) {
    if let Some(list) = suite.expect("list", datasets.list(&suite.cx).await) {
        if !list.is_sorted() {
            suite.wrong("list", format_args!("is not sorted: {list:?}"));
        }
        if !list.contains(dataset) {
            suite.wrong("list", format_args!("does not contain {dataset}"));
        }
        if list.iter().collect::<BTreeSet<_>>().len() != list.len() {
            suite.wrong("list", "names a dataset twice");
        }
    }
    if let Some(result) = suite.soon("cancelled list", datasets.list(&cancelled())).await {
        suite.expect_code("cancelled list", "run.cancelled", result);
    }
}

pub(super) async fn check_describe(
    suite: &Suite<'_>,
    datasets: &dyn Datasets,
    dataset: &Dataset,
) -> Option<Description> {
    let missing = datasets.describe(&suite.cx, &suite.fixture.missing).await;
    suite.expect_code("describe of a missing dataset", "dataset.missing", missing);
    if let Some(result) = suite.soon("cancelled describe", datasets.describe(&cancelled(), dataset)).await {
        suite.expect_code("cancelled describe", "run.cancelled", result);
    }
    let description = suite.expect("describe", datasets.describe(&suite.cx, dataset).await)?;
    let again = suite.expect("describe", datasets.describe(&suite.cx, dataset).await)?;
    if description.schema != again.schema {
        suite.wrong("describe", "gives another schema the second time");
    }
    let schema = &description.schema;
    if schema.columns.is_empty() {
        suite.wrong("describe", "gives no columns");
    }
    let names: BTreeSet<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
    if names.len() != schema.columns.len() {
        suite.wrong("describe", "names a column twice");
    }
    for key in schema.key.iter().filter(|key| !names.contains(key.as_str())) {
        suite.wrong("describe", format_args!("key column {key:?} is not a column"));
    }
    Some(description)
}

pub(super) async fn check_files(suite: &Suite<'_>, files: &dyn Files) {
    let first = suite.expect("manifest", files.manifest(&suite.cx).await);
    let again = suite.expect("manifest", files.manifest(&suite.cx).await);
    if let (Some(first), Some(again)) = (first, again) {
        if first != again {
            suite.wrong("manifest", "is another one the second time");
        }
        if !first.files.windows(2).all(|pair| matches!(pair, [a, b] if a.path < b.path)) {
            suite.wrong("manifest", "is not sorted by path, or names a file twice");
        }
    }
    if let Some(result) = suite.soon("cancelled manifest", files.manifest(&cancelled())).await {
        suite.expect_code("cancelled manifest", "run.cancelled", result);
    }
}
