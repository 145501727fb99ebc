//! A store as the logs that it has, to be shared by those who read it side by side.

use async_trait::async_trait;
use paritas_connect::logs::{Ends, Group, Logs, Partition, Range, RangeRead, RecordSink, Settings, Survey, Traces};
use paritas_connect::{Context, Error, Result, Store};
use paritas_model::Known;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The logs of a store.
#[derive(Debug)]
pub(crate) struct OfStore(pub(crate) Arc<dyn Store>);

impl OfStore {
    fn logs(&self) -> Result<&dyn Logs> {
        self.0.logs().ok_or_else(|| Error::unsupported("logs of records"))
    }
}

#[async_trait]
impl Logs for OfStore {
    async fn survey(&self, cx: &Context) -> Result<Survey> {
        self.logs()?.survey(cx).await
    }

    async fn settings(&self, cx: &Context, logs: &[String]) -> Result<BTreeMap<String, Known<Settings>>> {
        self.logs()?.settings(cx, logs).await
    }

    async fn ends(&self, cx: &Context, partitions: &[Partition]) -> Result<Vec<Known<Ends>>> {
        self.logs()?.ends(cx, partitions).await
    }

    async fn offsets_at(&self, cx: &Context, wanted: &[(Partition, i64)]) -> Result<Vec<Known<Option<u64>>>> {
        self.logs()?.offsets_at(cx, wanted).await
    }

    async fn groups(&self, cx: &Context, names: Option<&[String]>) -> Result<Vec<Group>> {
        self.logs()?.groups(cx, names).await
    }

    async fn read(&self, cx: &Context, ranges: &[Range], sink: &mut dyn RecordSink) -> Result<Vec<RangeRead>> {
        self.logs()?.read(cx, ranges, sink).await
    }

    async fn traces(&self, cx: &Context) -> Result<Traces> {
        self.logs()?.traces(cx).await
    }
}
