//! Topics as rows, so that a topic can be compared with a table, a file, or another topic whose records are laid out
//! otherwise.
//!
//! Everything here reads through [`Logs`] and knows no client. Every record is a row, or with `latest=key` the latest
//! of each key; a record that does not fit its columns is an error with its place, and never left out.

mod avro;
mod batch;
mod field;
mod json;
mod latest;
mod misfit;
mod options;
mod part;
mod record;
mod sample;
mod scan;
mod segments;
mod shape;
mod typed;

pub use options::{Format, LATEST_KEYS_MAX, RowOptions};

use crate::mm2::topic_kind;
use async_trait::async_trait;
use latest::{Keys, Latest, Terms};
use paritas_connect::logs::{Ends, Isolation, Log, Logs, Partition, Survey};
use paritas_connect::{Beside, Context, Datasets, Description, Error, FailureKind, Result, Scan, ScanRequest};
use paritas_model::{Dataset, Known, Lineage, Position, Stream};
use record::Prefixes;
use scan::{Shown, TopicScan, View};
use segments::Leading;
use shape::{Declared, Shape};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How often the end of a topic is followed while its latest records are looked for.
const ROUNDS_MAX: usize = 10;
/// Partitions whose ends are shown in a position, at most.
const ENDS_SHOWN_MAX: usize = 32;

/// The topics of a cluster as datasets.
#[derive(Debug)]
pub struct Rows {
    logs: Arc<dyn Logs>,
    topic: Option<String>,
    options: Arc<RowOptions>,
    declared: Declared,
    /// Columns that were found out when a topic was described, so that its rows have the same.
    found: Mutex<HashMap<String, Shape>>,
}

impl Rows {
    /// Topics of these logs, all laid out as the options say. With a topic only that one.
    ///
    /// # Errors
    /// `config.option` for options that contradict each other, `config.file` for a schema that cannot be read.
    pub fn new(logs: Arc<dyn Logs>, topic: Option<String>, options: RowOptions) -> Result<Self> {
        options.check()?;
        let declared = Declared::new(&options)?;
        Ok(Self { logs, topic, options: Arc::new(options), declared, found: Mutex::default() })
    }

    async fn log(&self, cx: &Context, dataset: &Dataset) -> Result<(Survey, Log)> {
        let survey = self.logs.survey(cx).await?;
        let named = self.topic.as_ref().is_none_or(|topic| *topic == dataset.0);
        match survey.log(&dataset.0).filter(|_| named).cloned() {
            Some(log) => Ok((survey, log)),
            None => Err(missing(&dataset.0)),
        }
    }

    /// Where the partitions of a topic begin and end now, all of them.
    async fn shown(&self, cx: &Context, log: &Log) -> Result<Vec<Shown>> {
        Ok(self.shown_by(cx, log).await?.0)
    }

    /// The same with how each of them is led.
    async fn shown_by(&self, cx: &Context, log: &Log) -> Result<(Vec<Shown>, Vec<Leading>)> {
        let partitions: Vec<Partition> =
            log.partitions.iter().map(|partition| Partition::new(log.name.clone(), partition.index)).collect();
        let ends = self.logs.ends(cx, &partitions).await?;
        let (mut shown, mut leading) = (Vec::with_capacity(partitions.len()), Vec::with_capacity(partitions.len()));
        for (partition, ends) in partitions.into_iter().zip(ends) {
            let Ends { start, end, stable, epoch, .. } = match ends {
                Known::Known(ends) => ends,
                Known::Unknown { why } => {
                    return Err(Error::new(
                        FailureKind::Transient,
                        "log.unreadable",
                        format!("{partition} cannot be read"),
                    )
                    .detail(why)
                    .hint("look for its leader: every partition is read, or the topic is not compared"));
                }
            };
            leading.push(Leading { epoch, whole: stable == end || self.options.isolation == Isolation::Uncommitted });
            let end = if self.options.isolation == Isolation::Committed { stable } else { end };
            shown.push((partition, start..end.max(start)));
        }
        Ok((shown, leading))
    }

    /// Finds the latest record of each key, and moves the ends of the view on to where that is true: while the keys
    /// are read, newer records may come for them, and a cleaner may take the older ones away. Whatever was gone when it
    /// was looked for has a newer record before the end that the partition has then.
    async fn latest(&self, cx: &Context, log: &Log, view: (&Shape, &Prefixes), shown: &mut [Shown]) -> Result<Latest> {
        let (shape, prefixes) = view;
        let terms = Terms {
            part: &shape.value,
            prefix: prefixes.value.as_ref(),
            keys_max: self.options.latest_max,
            isolation: self.options.isolation,
        };
        let mut keys = Keys::new(cx, shown.iter().map(|(partition, _)| partition.clone()).collect(), terms)?;
        let mut next: Vec<std::ops::Range<u64>> = shown.iter().map(|(_, range)| range.clone()).collect();
        for _ in 0..ROUNDS_MAX {
            let whole = keys.read(cx, self.logs.as_ref(), &next).await?;
            if whole {
                return keys.finish();
            }
            let now = self.shown(cx, log).await?;
            for (((_, range), (_, now)), next) in shown.iter_mut().zip(now).zip(&mut next) {
                *next = range.end..now.end.max(range.end);
                range.end = next.end;
            }
            if next.iter().all(std::ops::Range::is_empty) {
                return keys.finish();
            }
        }
        let message = format!("{} is written and compacted at the same time", log.name);
        Err(Error::new(FailureKind::Transient, "data.changed", message)
            .detail("Records were gone wherever they were looked for, and newer ones came.")
            .hint("verify when fewer keys change, or raise min.compaction.lag.ms of the topic"))
    }

    async fn find(&self, cx: &Context, shown: &[Shown]) -> Result<Shape> {
        let names = if self.declared.is_open() {
            sample::names(cx, self.logs.as_ref(), &self.options, shown).await?
        } else {
            Vec::new()
        };
        self.declared.shape(&self.options, names)
    }
}

fn missing(topic: &str) -> Error {
    Error::new(FailureKind::Permanent, "dataset.missing", format!("there is no topic {topic:?}"))
        .hint("check its name, and that this user may describe it")
}

/// Whether a topic belongs to the cluster or to a mirror, and holds no data.
fn is_own(log: &Log) -> bool {
    log.internal || log.name.starts_with("__") || topic_kind(&log.name).is_some()
}

/// Where a view ends, as one number that grows: the sum of the ends of all partitions.
fn position(survey: &Survey, log: &Log, shown: &[Shown]) -> Known<Position> {
    let ends = shown.iter().take(ENDS_SHOWN_MAX).map(|(partition, range)| format!("{}:{}", partition.index, range.end));
    let mut text = ends.collect::<Vec<_>>().join(" ");
    if shown.len() > ENDS_SHOWN_MAX {
        text.push_str(&format!(" and {} more", shown.len() - ENDS_SHOWN_MAX));
    }
    match (&log.id, &survey.cluster) {
        (Known::Known(id), Known::Known(cluster)) => Known::Known(Position {
            stream: Stream(log.name.clone()),
            lineage: Lineage(format!("{cluster}/{id}")),
            value: shown.iter().fold(0, |sum, (_, range)| range.end.saturating_add(sum)),
            text,
        }),
        (Known::Unknown { why }, _) | (_, Known::Unknown { why }) => {
            Known::unknown(format!("read up to {text}, of a topic that cannot be told from its namesakes ({why})"))
        }
    }
}

#[async_trait]
impl Datasets for Rows {
    async fn list(&self, cx: &Context) -> Result<Vec<Dataset>> {
        let survey = self.logs.survey(cx).await?;
        match &self.topic {
            Some(topic) => match survey.log(topic) {
                Some(_) => Ok(vec![Dataset(topic.clone())]),
                None => Err(missing(topic)),
            },
            None => Ok(survey.logs.into_iter().filter(|log| !is_own(log)).map(|log| Dataset(log.name)).collect()),
        }
    }

    async fn describe(&self, cx: &Context, dataset: &Dataset) -> Result<Description> {
        let (_, log) = self.log(cx, dataset).await?;
        let shown = self.shown(cx, &log).await?;
        let shape = self.find(cx, &shown).await?;
        let schema = shape.schema().clone();
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(log.name, shape);
        let offsets = shown.iter().fold(0_u64, |sum, (_, range)| sum.saturating_add(range.end - range.start));
        Ok(Description {
            dataset: dataset.clone(),
            schema,
            rows_estimate: Known::Known(offsets),
            bytes_estimate: Known::unknown("brokers do not say how large the records of a range are"),
        })
    }

    async fn beside(&self, cx: &Context) -> Result<Vec<Beside>> {
        if self.topic.is_some() {
            return Ok(Vec::new());
        }
        let own = self.logs.survey(cx).await?.logs.into_iter().filter(is_own).map(|log| log.name);
        Ok(Beside::of("topics", own, "they belong to the cluster or to a mirror").into_iter().collect())
    }

    async fn open(&self, cx: &Context, request: &ScanRequest) -> Result<Box<dyn Scan>> {
        let (survey, log) = self.log(cx, &request.dataset).await?;
        let (mut shown, leading) = self.shown_by(cx, &log).await?;
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&log.name).cloned();
        let shape = match known {
            Some(shape) => shape,
            None => self.find(cx, &shown).await?,
        };
        let prefixes = Prefixes::new(&self.options);
        scan::check(request, &shape, &prefixes)?;
        let latest = match self.options.latest {
            true => Some(self.latest(cx, &log, (&shape, &prefixes), &mut shown).await?),
            false => None,
        };
        let position = position(&survey, &log, &shown);
        let view = View { shown, position, prefixes, latest, leading };
        Ok(Box::new(TopicScan::new(cx, Arc::clone(&self.logs), Arc::clone(&self.options), shape, request, view)))
    }
}
