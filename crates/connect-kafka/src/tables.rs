//! A cluster whose topics are also rows, as options lay them out.

use crate::KafkaStore;
use crate::rows::{RowOptions, Rows};
use async_trait::async_trait;
use paritas_connect::logs::Logs;
use paritas_connect::{Context, Datasets, Result, Store, StoreIdentity};
use paritas_model::StoreKind;
use std::sync::Arc;

/// A Kafka cluster with its topics as datasets.
#[derive(Debug)]
pub struct KafkaTables {
    store: KafkaStore,
    rows: Rows,
}

impl KafkaTables {
    /// The topics of a cluster laid out as the options say; with a topic only that one.
    ///
    /// # Errors
    /// Those of [`Rows::new`].
    pub fn new(store: KafkaStore, topic: Option<String>, options: RowOptions) -> Result<Self> {
        let rows = Rows::new(Arc::new(store.clone()), topic, options)?;
        Ok(Self { store, rows })
    }
}

#[async_trait]
impl Store for KafkaTables {
    fn kind(&self) -> StoreKind {
        self.store.kind()
    }

    fn name(&self) -> &str {
        self.store.name()
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        self.store.probe(cx).await
    }

    fn clocks(&self) -> Option<&dyn paritas_connect::Clocks> {
        self.store.clocks()
    }

    fn datasets(&self) -> Option<&dyn Datasets> {
        Some(&self.rows)
    }

    fn logs(&self) -> Option<&dyn Logs> {
        self.store.logs()
    }
}
