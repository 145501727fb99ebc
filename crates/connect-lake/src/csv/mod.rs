//! CSV files read as one table.

mod file;
mod filed;
mod record;

use crate::drive::drive;
use crate::partition::{FOLDER_TYPE, Partition};
use crate::site::Site;
use crate::source::{FoundFile, Root};
use crate::{LakeOptions, Location, dataset, rows};
use async_trait::async_trait;
use file::{Header, Reading};
use paritas_connect::text::TextColumn;
use paritas_connect::{
    Beside, BlockSink, Context, Datasets, Description, Error, FailureKind, FetchedRow, Filed, Result, Scan,
    ScanRequest, Split, SplitDone, Store, StoreIdentity,
};
use paritas_digest::Block;
use paritas_model::{Column, Dataset, Known, LogicalType, Position, Schema, StoreKind};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;

const ENDINGS: &[&str] = &[".csv", ".csv.gz"];
const WHAT: &str = "CSV files";

/// Files smaller than this together are read as one split.
const SPLIT_BYTES: u64 = 16 << 20;

/// All CSV files below a location as one dataset, named after the last part of the path.
///
/// Files are those that end in `.csv` or `.csv.gz`; which names are left out is as for Parquet. Fields
/// are text of no declared type: they take the types of the other side. An unquoted field that is the
/// null text (by default nothing) is NULL, a quoted one never is. A file is read by one thread, as
/// only a reading from its start can tell line ends inside quotes from those between records.
#[derive(Debug)]
pub struct CsvStore {
    site: Site,
}

struct View {
    /// The location for reports.
    shown: String,
    root: Root,
    headers: Vec<Header>,
    partition: Partition,
    schema: Schema,
}

impl CsvStore {
    /// The CSV files of a site.
    ///
    /// # Errors
    /// `config.url` and `config.option` when no client can be made for it.
    pub fn new(location: Location, options: LakeOptions) -> Result<Self> {
        Ok(Self { site: Site::new(location, options)? })
    }

    async fn view(&self, cx: &Context, name: &Dataset) -> Result<View> {
        dataset::check_name(&self.site, name)?;
        let (root, files) = dataset::files(cx, &self.site, ENDINGS, WHAT).await?;
        let partition = Partition::of(files.iter().map(|file| file.name.as_str()))?;
        let mut headers: Vec<Header> = Vec::with_capacity(files.len());
        let options = Arc::new(self.site.options().csv.clone());
        let read = move |cx: &Context, root: &Root, file: &Arc<FoundFile>, runtime: &Handle| {
            file::header(cx, root, file, runtime, &options)
        };
        dataset::each(cx, &root, files, read, |mut header| {
            if let Some(before) = headers.last().filter(|before| before.names == header.names) {
                header.names = Arc::clone(&before.names);
            }
            headers.push(header);
        })
        .await?;
        if !self.site.options().csv.header {
            headers = without_empty(headers)?;
        }
        let schema = schema(&headers, &partition);
        let shown = self.site.shown().to_owned();
        Ok(View { shown, root, headers, partition, schema })
    }
}

/// Without headers, columns only have numbers: all files with rows must have as many.
fn without_empty(headers: Vec<Header>) -> Result<Vec<Header>> {
    let filled: Vec<Header> = headers.into_iter().filter(|header| !header.names.is_empty()).collect();
    let mut pairs = filled.iter().zip(filled.iter().skip(1));
    if let Some((a, b)) = pairs.find(|(a, b)| a.names.len() != b.names.len()) {
        let message = "files of one dataset have different numbers of columns";
        let (x, y) = (a.names.len(), b.names.len());
        return Err(Error::new(FailureKind::Permanent, "schema.mismatch", message)
            .detail(format!("{} has {x} columns and {} has {y}.", a.file.name, b.file.name))
            .hint("compare files of one layout by themselves, with a pattern in the path"));
    }
    Ok(filled)
}

/// The columns of all files by name, in the order in which they first occur.
fn schema(headers: &[Header], partition: &Partition) -> Schema {
    let mut columns: Vec<Column> = Vec::new();
    let mut index = HashMap::new();
    let mut add = |name: &String, engine_type: &str| {
        index.entry(name.clone()).or_insert_with(|| {
            let engine_type = engine_type.to_owned();
            columns.push(Column { name: name.clone(), engine_type, logical: LogicalType::Untyped, nullable: true });
        });
    };
    let mut before: Option<&Arc<[String]>> = None;
    for header in headers {
        if !before.is_some_and(|before| Arc::ptr_eq(before, &header.names)) {
            header.names.iter().for_each(|name| add(name, "CSV field"));
        }
        before = Some(&header.names);
    }
    partition.names().iter().for_each(|name| add(name, FOLDER_TYPE));
    Schema { columns, key: Vec::new(), facts: Vec::new() }
}

#[async_trait]
impl Store for CsvStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Csv
    }

    fn name(&self) -> &str {
        self.site.shown()
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        let mut identity = self.site.probe(cx).await?;
        identity.version = format!("CSV in {}", identity.version);
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
impl Datasets for CsvStore {
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
        Ok(Description {
            dataset: dataset.clone(),
            schema: view.schema,
            rows_estimate: Known::unknown("CSV files do not say how many rows they have"),
            bytes_estimate: Known::Known(view.headers.iter().map(|header| header.file.size).sum()),
        })
    }

    fn is_filed(&self) -> bool {
        true
    }

    async fn open(&self, cx: &Context, request: &ScanRequest) -> Result<Box<dyn Scan>> {
        let view = self.view(cx, &request.dataset).await?;
        Ok(Box::new(CsvScan::new(cx, view, request, self.site.options().csv.clone())?))
    }
}

/// A view with its splits.
#[derive(Debug)]
struct CsvScan {
    /// The location for reports.
    shown: String,
    reading: Arc<Reading>,
    /// Every file, where rows are read by files.
    headers: Vec<Header>,
    parts: Vec<Arc<[Header]>>,
    splits: Vec<Split>,
}

impl CsvScan {
    fn new(cx: &Context, view: View, request: &ScanRequest, options: crate::CsvOptions) -> Result<Self> {
        if request.filter.is_some() {
            return Err(Error::unsupported("conditions on files").hint("leave out `where`"));
        }
        for pair in &request.columns {
            if view.schema.column(&pair.own).is_none() {
                let message = format!("there is no column {:?} in {}", pair.own, request.dataset);
                return Err(Error::new(FailureKind::Permanent, "column.missing", message)
                    .hint("check `columns`, `key` and `rename` of this dataset"));
            }
        }
        for (pair, column) in request.columns.iter().zip(&request.canon.columns) {
            if TextColumn::new(&column.slot, request.canon.policies).is_none() {
                let message = format!("column {:?} has a type without text form", pair.own);
                return Err(Error::new(FailureKind::Permanent, "schema.mismatch", message)
                    .hint("leave the column out, or compare it as text through a view on the other side"));
            }
        }
        cx.progress().expect(0, view.headers.iter().map(|header| header.file.size).sum());
        let headers = view.headers.clone();
        let parts = group(view.headers);
        let splits =
            parts.iter().enumerate().map(|(index, part)| Split { index, label: label(part), rows_estimate: 0 });
        let splits = splits.collect();
        let View { shown, root, partition, .. } = View { headers: Vec::new(), ..view };
        let reading = Arc::new(Reading { root, options, partition, request: request.clone() });
        Ok(Self { shown, reading, headers, parts, splits })
    }
}

/// Puts small files together.
fn group(headers: Vec<Header>) -> Vec<Arc<[Header]>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0_u64);
    for header in headers {
        if !part.is_empty() && bytes.saturating_add(header.file.size) > SPLIT_BYTES {
            parts.push(std::mem::take(&mut part).into());
            bytes = 0;
        }
        bytes = bytes.saturating_add(header.file.size);
        part.push(header);
    }
    if !part.is_empty() {
        parts.push(part.into());
    }
    parts
}

fn label(part: &[Header]) -> String {
    match part {
        [one] => one.file.name.clone(),
        [first, .., last] => format!("{} to {}", first.file.name, last.file.name),
        [] => "nothing".into(),
    }
}

#[async_trait]
impl Scan for CsvScan {
    fn position(&self) -> Known<Position> {
        Known::unknown("CSV files have no position")
    }

    fn splits(&self) -> &[Split] {
        &self.splits
    }

    fn filed(&self) -> Option<&dyn Filed> {
        Some(self)
    }

    async fn read(&self, cx: &Context, split: &Split, sink: &mut dyn BlockSink) -> Result<SplitDone> {
        let part = self.parts.get(split.index).cloned().ok_or_else(|| {
            Error::new(FailureKind::Permanent, "internal.split", format!("there is no split {}", split.index))
        })?;
        let (reading, work_cx) = (Arc::clone(&self.reading), cx.clone());
        drive(cx, sink, move |runtime, emit| {
            let mut done = SplitDone::default();
            for header in part.iter() {
                let read = reading.read(&work_cx, header, runtime, emit)?;
                done.rows += read.rows;
                done.bytes += read.bytes;
            }
            Ok(done)
        })
        .await
    }

    async fn render(&self, cx: &Context, block: &Block, rows: &[usize]) -> Result<Vec<FetchedRow>> {
        cx.check()?;
        rows::render(&self.reading.request.canon, block, rows)
    }
}
