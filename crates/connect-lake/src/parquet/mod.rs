//! Parquet files read as one table.

mod filed;
mod footer;
mod input;
mod int96;
mod merge;
mod reader;
mod scan;
mod types;

use crate::partition::Partition;
use crate::site::Site;
use crate::source::{FoundFile, Root};
use crate::{LakeOptions, Location, dataset};
use async_trait::async_trait;
use footer::{Opened, Shape};
use paritas_connect::{Beside, Context, Datasets, Description, Result, Scan, ScanRequest, Store, StoreIdentity};
use paritas_model::{Dataset, Known, Schema, StoreKind};
use std::sync::Arc;
use tokio::runtime::Handle;

const ENDINGS: &[&str] = &[".parquet"];
const WHAT: &str = "Parquet files";

/// All Parquet files below a location as one dataset, named after the last part of the path.
///
/// Files are those that end in `.parquet`; names that begin with a dot or an underscore and files that
/// are not finished are left out. A location that is one file or a pattern takes any ending. Folders
/// called `name=value` give the column `name`, unless the files have it themselves.
#[derive(Debug)]
pub struct ParquetStore {
    site: Site,
}

/// What was pinned: the files as they are, and what they say together.
#[derive(Debug)]
pub(crate) struct View {
    /// The location for reports.
    pub(crate) shown: String,
    pub(crate) root: Root,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) partition: Partition,
    pub(crate) schema: Schema,
}

impl ParquetStore {
    /// The Parquet files of a site.
    ///
    /// # Errors
    /// `config.url` and `config.option` when no client can be made for it.
    pub fn new(location: Location, options: LakeOptions) -> Result<Self> {
        Ok(Self { site: Site::new(location, options)? })
    }

    async fn view(&self, cx: &Context, dataset: &Dataset) -> Result<View> {
        dataset::check_name(&self.site, dataset)?;
        let (root, files) = dataset::files(cx, &self.site, ENDINGS, WHAT).await?;
        let partition = Partition::of(files.iter().map(|file| file.name.as_str()))?;
        let shapes = read_footers(cx, &root, files).await?;
        let schema = merge::merge(&shapes, &partition)?;
        let shown = self.site.shown().to_owned();
        Ok(View { shown, root, shapes, partition, schema })
    }
}

async fn read_footers(cx: &Context, root: &Root, files: Vec<Arc<FoundFile>>) -> Result<Vec<Shape>> {
    let open = |cx: &Context, root: &Root, file: &Arc<FoundFile>, runtime: &Handle| {
        Opened::new(cx, root, file, runtime).map(|opened| opened.shape(file))
    };
    let mut shapes: Vec<Shape> = Vec::with_capacity(files.len());
    dataset::each(cx, root, files, open, |mut shape| {
        if let Some(before) = shapes.last().filter(|before| before.columns == shape.columns) {
            shape.columns = Arc::clone(&before.columns);
        }
        shapes.push(shape);
    })
    .await?;
    Ok(shapes)
}

#[async_trait]
impl Store for ParquetStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Parquet
    }

    fn name(&self) -> &str {
        self.site.shown()
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        let mut identity = self.site.probe(cx).await?;
        identity.version = format!("Parquet in {}", identity.version);
        Ok(identity)
    }

    fn clocks(&self) -> Option<&dyn paritas_connect::Clocks> {
        Some(&self.site)
    }

    fn datasets(&self) -> Option<&dyn Datasets> {
        Some(self)
    }
}

#[async_trait]
impl Datasets for ParquetStore {
    async fn list(&self, cx: &Context) -> Result<Vec<Dataset>> {
        dataset::files(cx, &self.site, ENDINGS, WHAT).await?;
        Ok(vec![Dataset(self.site.dataset().to_owned())])
    }

    async fn beside(&self, cx: &Context) -> Result<Vec<Beside>> {
        let (mut beside, partitioned) = dataset::beside(cx, &self.site, ENDINGS).await?;
        // Every file is opened for this, so only where folders could say anything.
        if partitioned {
            let view = self.view(cx, &Dataset(self.site.dataset().to_owned())).await?;
            beside.extend(dataset::doubled(&view.partition, &view.schema));
        }
        Ok(beside)
    }

    async fn describe(&self, cx: &Context, dataset: &Dataset) -> Result<Description> {
        let view = self.view(cx, dataset).await?;
        let groups = || view.shapes.iter().flat_map(|shape| &shape.groups);
        Ok(Description {
            dataset: dataset.clone(),
            rows_estimate: Known::Known(groups().fold(0, |sum, group| sum.saturating_add(group.rows))),
            bytes_estimate: Known::Known(groups().fold(0, |sum, group| sum.saturating_add(group.bytes))),
            schema: view.schema,
        })
    }

    fn is_filed(&self) -> bool {
        true
    }

    fn rereads_cheaply(&self) -> bool {
        self.site.is_local()
    }

    async fn open(&self, cx: &Context, request: &ScanRequest) -> Result<Box<dyn Scan>> {
        let view = self.view(cx, &request.dataset).await?;
        Ok(Box::new(scan::ParquetScan::new(cx, view, request)?))
    }
}
