//! The store: a location, and clients of its cluster.

use crate::client::{Line, apart};
use crate::options::{KafkaOptions, Settings};
use crate::traces::Collected;
use crate::url::Location;
use crate::{clock, configs, ends, groups, reading, survey, traces};
use async_trait::async_trait;
use paritas_connect::logs::{
    Ends, Group, Logs, Partition, Range, RangeRead, RecordSink, Settings as LogSettings, Survey, Traces,
};
use paritas_connect::{ClockReading, Clocks, Context, Result, Store, StoreIdentity};
use paritas_model::{Known, StoreKind};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A Kafka cluster. Nothing is written to it, no group is joined and no offset is committed.
#[derive(Clone)]
pub struct KafkaStore {
    name: Arc<str>,
    topic: Option<Arc<str>>,
    line: Arc<Line>,
    /// What was collected of mirrors so far.
    traces: Arc<Mutex<Option<Collected>>>,
}

impl fmt::Debug for KafkaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaStore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl KafkaStore {
    /// Takes a `kafka://` URL, free of Paritas' own options, with settings of librdkafka in its query. Does not
    /// connect yet.
    ///
    /// # Errors
    /// `config.url` for a location or settings that are not understood, with the nearest valid name.
    pub fn from_url(url: &str, options: &KafkaOptions) -> Result<Self> {
        let location = Location::parse(url)?;
        let settings = Settings::new(&location, options)?;
        let name = options.name.clone().unwrap_or_else(|| location.shown()).into();
        let topic = location.topic.as_deref().map(Into::into);
        let line = Arc::new(Line::new(settings, location.bootstrap()));
        Ok(Self { name, topic, line, traces: Arc::default() })
    }

    /// The topic that the URL names.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    async fn apart<T: Send + 'static>(
        &self,
        cx: &Context,
        what: &str,
        work: impl FnOnce(&Line, &Context) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let line = Arc::clone(&self.line);
        apart(cx, what, move |cx| work(&line, cx)).await
    }
}

#[async_trait]
impl Store for KafkaStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Kafka
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        self.apart(cx, "probe", survey::identity).await
    }

    fn clocks(&self) -> Option<&dyn Clocks> {
        Some(self)
    }

    fn logs(&self) -> Option<&dyn Logs> {
        Some(self)
    }
}

#[async_trait]
impl Clocks for KafkaStore {
    async fn clock(&self, cx: &Context) -> Result<ClockReading> {
        let topic = self.topic.clone();
        self.apart(cx, "round trip", move |line, cx| clock::round_trip(line, cx, topic.as_deref())).await
    }

    fn method(&self) -> &'static str {
        "round trip of a request for a topic"
    }
}

#[async_trait]
impl Logs for KafkaStore {
    async fn survey(&self, cx: &Context) -> Result<Survey> {
        self.apart(cx, "survey", survey::survey).await
    }

    async fn settings(&self, cx: &Context, logs: &[String]) -> Result<BTreeMap<String, Known<LogSettings>>> {
        let logs = logs.to_vec();
        self.apart(cx, "settings", move |line, cx| configs::settings(line, cx, &logs)).await
    }

    async fn ends(&self, cx: &Context, partitions: &[Partition]) -> Result<Vec<Known<Ends>>> {
        let partitions = partitions.to_vec();
        self.apart(cx, "ends", move |line, cx| ends::ends(line, cx, &partitions)).await
    }

    async fn offsets_at(&self, cx: &Context, wanted: &[(Partition, i64)]) -> Result<Vec<Known<Option<u64>>>> {
        let wanted = wanted.to_vec();
        self.apart(cx, "times", move |line, cx| ends::offsets_at(line, cx, &wanted)).await
    }

    async fn groups(&self, cx: &Context, names: Option<&[String]>) -> Result<Vec<Group>> {
        let names = names.map(<[String]>::to_vec);
        self.apart(cx, "groups", move |line, cx| groups::groups(line, cx, names.as_deref())).await
    }

    async fn read(&self, cx: &Context, ranges: &[Range], sink: &mut dyn RecordSink) -> Result<Vec<RangeRead>> {
        reading::read(&self.line, cx, ranges, sink).await
    }

    async fn traces(&self, cx: &Context) -> Result<Traces> {
        let mut kept = cx.bound(async { Ok(self.traces.lock().await) }).await?;
        traces::traces(self, cx, &mut kept).await
    }
}
