//! Taking a snapshot of a source with rows or files. It is kept whole, or not at all.

use super::cheap;
use super::document::{DOCUMENT_VERSION, DatasetKept, Document, FilesKept};
use crate::error::problem_of;
use crate::job::{Job, Sides, sides};
use crate::keep::Keeper;
use crate::record::sided;
use crate::tables::{self, choice_for};
use crate::target::Declared;
use crate::{Monitor, Options};
use jiff::Timestamp;
use paritas_connect::{Context, Description, Error, FailureKind, Held, LogMark, Moment};
use paritas_digest::{Capacity, Spec, schema_fingerprint};
use paritas_model::{Dataset, Known, Verdict};
use paritas_report::{Check, KeptDataset, KeptDatasets, LinkReport, NotChecked, Problem, SnapshotCheck};
use paritas_state::{BundleWriter, StateError};
use paritas_verify::rows::{Origin, Phase};
use paritas_verify::{Choice, Plan, Side, keep};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a replica may take to describe a dataset. It may be away.
const REPLICA_TIME: Duration = Duration::from_secs(10);
/// Bytes that one reader gets out of a store in a second at least, for planning.
const READ_RATE: u64 = 50_000_000;

/// What keeps a snapshot from being taken.
pub(super) struct Failed {
    pub(super) problem: Problem,
    /// Whether it says nothing about the dataset itself, so that another try may succeed.
    pub(super) passing: bool,
}

/// Takes a snapshot of the source of a job and keeps it. Whatever goes wrong is in the link's report.
pub(crate) async fn one(
    cx: &Context,
    job: &Job,
    options: &Options,
    (monitor, configured): (&Monitor, bool),
    keeper: &Keeper,
) -> LinkReport {
    let began = Instant::now();
    let mut taking = Taking {
        job,
        options,
        monitor,
        keeper,
        configured,
        sides: sides(cx, job, options),
        replica_away: AtomicBool::new(false),
        check: empty(),
        // A snapshot judges nothing, so that it leaves out no objective.
        not_checked: Vec::new(),
    };
    if let Err(failed) = taking.take().await {
        taking.check.problem = Some(failed.problem);
    }
    taking.check.seconds = began.elapsed().as_secs_f64();
    let checks = vec![Check::Snapshot(taking.check)];
    LinkReport {
        name: job.name.clone(),
        tier: job.tier,
        verdict: Verdict::combine(checks.iter().map(Check::verdict)),
        source: job.source.described.clone(),
        replica: job.replica.described.clone(),
        checks,
        recovery: None,
        not_checked: taking.not_checked,
    }
}

fn empty() -> SnapshotCheck {
    SnapshotCheck {
        verdict: Verdict::Unknown,
        snapshot: None,
        after: None,
        logs: 0,
        partitions: 0,
        records: 0,
        records_read: 0,
        reading: None,
        groups: 0,
        bytes: 0,
        seconds: 0.0,
        kept: None,
        notes: Vec::new(),
        problem: None,
    }
}

/// A snapshot under way.
pub(super) struct Taking<'a> {
    pub(super) job: &'a Job,
    pub(super) options: &'a Options,
    pub(super) monitor: &'a Monitor,
    keeper: &'a Keeper,
    configured: bool,
    sides: Sides,
    /// Whether the replica did not answer: it is not waited for again.
    replica_away: AtomicBool,
    pub(super) check: SnapshotCheck,
    pub(super) not_checked: Vec<NotChecked>,
}

/// A dataset that is going to be read.
struct Planned {
    name: String,
    description: Description,
    choice: Choice,
    plan: Plan,
    declared: Declared,
}

impl Taking<'_> {
    async fn take(&mut self) -> Result<(), Failed> {
        let began_at = Timestamp::now().to_string();
        let source = self.sides.source.clone();
        let identity =
            source.cx.bound(source.store.probe(&source.cx)).await.map_err(|error| of_source(&error))?.identity;
        let Some(state) = self.keeper.state() else {
            let problem = Problem {
                code: "state.missing".to_owned(),
                message: "there is no state folder in which the snapshot could be kept".to_owned(),
                detail: None,
                hint: Some("name one with --state DIR, or set `state` in [paritas]".to_owned()),
            };
            return Err(lasting(problem));
        };
        let mut writer = state.begin_bundle(&self.job.name, self.keeper.id()).map_err(|error| of_state(&error))?;
        let mut document = Document {
            version: DOCUMENT_VERSION,
            link: self.job.name.clone(),
            configured: self.configured,
            id: self.keeper.id().to_string(),
            began_at,
            taken_at: String::new(),
            key: self.options.digest_key.id(),
            source: self.job.source.described.clone(),
            identity,
            catalog: None,
            one_view: false,
            datasets: Vec::new(),
            files: None,
            not_kept: Vec::new(),
            ledgers: Vec::new(),
            sequences: None,
        };
        let mut kept = KeptDatasets::default();
        if source.store.datasets().is_some() {
            self.rows(&source, &mut writer, &mut document, &mut kept).await?;
        } else {
            self.files(&source, &mut document, &mut kept).await?;
        }
        document.taken_at = Timestamp::now().to_string();
        document.not_kept.clone_from(&self.not_checked);
        let whole = kept.datasets.iter().all(|dataset| dataset.problem.is_none())
            && kept.ledgers.iter().all(|ledger| ledger.problem.is_none());
        let json = serde_json::to_value(&document).map_err(|error| of_defect(&error))?;
        let (_, bytes) = writer.finish(json).map_err(|error| of_state(&error))?;
        self.check.bytes = bytes;
        self.check.snapshot = Some(self.keeper.id().to_string());
        self.check.verdict = if whole { Verdict::Pass } else { Verdict::Unknown };
        self.check.kept = Some(kept);
        Ok(())
    }

    async fn files(&self, source: &Side, document: &mut Document, kept: &mut KeptDatasets) -> Result<(), Failed> {
        let files = source.store.files().ok_or_else(|| of_source(&Error::unsupported("rows or files")))?;
        self.monitor.enter(Phase::Digesting);
        let manifest = source.cx.bound(files.manifest(&source.cx)).await.map_err(|error| of_source(&error))?;
        if manifest.files.is_empty() {
            let error = Error::new(FailureKind::Permanent, "dataset.empty", "there are no files on the source");
            return Err(of_source(&error.hint("check the path: a snapshot of nothing proves nothing")));
        }
        let unread = manifest.files.iter().filter_map(|file| Some((&file.path, file.blake3.why()?)));
        if let Some((path, why)) = unread.into_iter().next() {
            let error = Error::new(FailureKind::Permanent, "files.unread", format!("{path} could not be read: {why}"));
            return Err(of_source(&error.hint("take the snapshot again when nothing writes to it")));
        }
        kept.files = Some(manifest.files.len() as u64);
        document.files = Some(FilesKept::of(manifest, declared(self.job, FILES)));
        Ok(())
    }

    async fn rows(
        &mut self,
        source: &Side,
        writer: &mut BundleWriter,
        document: &mut Document,
        kept: &mut KeptDatasets,
    ) -> Result<(), Failed> {
        let planned = self.plan(source, kept).await?;
        if planned.is_empty() && kept.datasets.is_empty() {
            let error = Error::new(
                FailureKind::Permanent,
                "dataset.none",
                "there is no dataset of which a snapshot could be taken",
            );
            return Err(of_source(&error.hint("check include and exclude of the link, or name a table with ?table=")));
        }
        let before = catalog(source).await?;
        let mark = self.mark(source).await?;
        let held = self.hold(source, &planned).await?;
        kept.one_view = held.is_some() || planned.len() == 1;
        document.one_view = kept.one_view;
        for one in planned {
            let (dataset, entry) = self.read(source, (held.as_deref(), mark.as_ref()), &one, writer).await?;
            kept.datasets.push(entry);
            document.datasets.push(dataset);
        }
        self.ledgers(source, held.as_deref(), document, kept).await?;
        drop(held);
        self.sequences(source, document, kept).await;
        if catalog(source).await? == before {
            document.catalog = before;
        } else {
            self.unchanged(source, &document.datasets).await?;
        }
        Ok(())
    }

    /// What is read of each dataset. Those that cannot be read at all are listed, and the others are kept.
    async fn plan(&mut self, source: &Side, kept: &mut KeptDatasets) -> Result<Vec<Planned>, Failed> {
        let mut planned = Vec::new();
        for (name, replica_name) in self.names(source).await? {
            match self.plan_one(source, &name, &replica_name).await {
                Ok(one) => planned.push(one),
                Err(failed) if failed.passing => return Err(failed),
                Err(Failed { problem, .. }) => {
                    self.not_checked.push(NotChecked { what: format!("rows of {name}"), why: problem.message.clone() });
                    let capacity = Capacity::for_differences(self.options.capacity).differences();
                    let (dataset, problem) = (name, Some(problem));
                    kept.datasets.push(KeptDataset {
                        dataset,
                        rows: None,
                        capacity,
                        bytes: 0,
                        position: None,
                        reading: None,
                        problem,
                    });
                }
            }
        }
        Ok(planned)
    }

    /// Names on the source, each with that on the replica.
    pub(super) async fn names(&self, source: &Side) -> Result<Vec<(String, String)>, Failed> {
        let (ours, theirs) = (&self.job.source.target.datasets, &self.job.replica.target.datasets);
        if !ours.is_empty() {
            let same = ours.len() == theirs.len();
            return Ok(ours
                .iter()
                .enumerate()
                .map(|(index, name)| {
                    let replica = theirs.get(index).filter(|_| same).unwrap_or(name);
                    (name.clone(), replica.clone())
                })
                .collect());
        }
        let any =
            |patterns: &[String], name: &str| patterns.iter().any(|pattern| crate::datasets::matches(pattern, name));
        let job = self.job;
        let mut names: Vec<(String, String)> = tables::list(source.clone())
            .await
            .map_err(|error| of_source(&error))?
            .into_iter()
            .map(|dataset| (dataset.0.clone(), dataset.0))
            .collect();
        if !theirs.is_empty() {
            names = match (names.as_slice(), theirs.as_slice()) {
                ([(only, _)], [replica]) => vec![(only.clone(), replica.clone())],
                _ => theirs.iter().map(|name| (name.clone(), name.clone())).collect(),
            };
        }
        for chosen in &job.overrides {
            names.retain(|(name, _)| *name != chosen.source_name);
            names.push((chosen.source_name.clone(), chosen.replica_name.clone()));
        }
        names.retain(|(name, _)| (job.include.is_empty() || any(&job.include, name)) && !any(&job.exclude, name));
        names.sort();
        Ok(names)
    }

    async fn plan_one(&self, source: &Side, name: &str, replica_name: &str) -> Result<Planned, Failed> {
        let rows = source.store.datasets().ok_or_else(|| of_source(&Error::unsupported("rows")))?;
        let description = describe(source, name).await.map_err(|error| of_source(&error))?;
        let facing =
            crate::datasets::Facing { source: Dataset(name.to_owned()), replica: Dataset(replica_name.to_owned()) };
        let choice = choice_for(self.job, &facing, self.options.policies);
        let there = self.on_replica(replica_name).await;
        let same_kind = self.job.source.described.kind == self.job.replica.described.kind;
        let replica = self.sides.replica.store.datasets();
        let plan = match (&there, replica) {
            (Ok(theirs), Some(replica)) => Plan::new((rows, &description), (replica, theirs), &choice),
            _ if same_kind => {
                let choice = Choice { rename: std::collections::BTreeMap::new(), ..choice.clone() };
                Plan::new((rows, &description), (rows, &description), &choice)
            }
            (Err(error), _) => return Err(of(Origin::Replica, error)),
            (_, None) => return Err(of_source(&Error::unsupported("rows"))),
        };
        let plan = plan.map_err(|error| {
            let paritas_verify::PlanError { code, message, detail, hint } = error;
            lasting(Problem { code: code.to_owned(), message, detail, hint })
        })?;
        let declared = declared(self.job, name);
        if let Some(column) = &declared.changed_at
            && !plan.canon.columns.iter().any(|one| one.name == *column)
        {
            let problem = Problem {
                code: "dataset.columns".to_owned(),
                message: format!(
                    "column {column:?}, declared as changed_at, is not among the compared columns of {name}"
                ),
                detail: None,
                hint: Some("name a compared column that holds the time of the last change".to_owned()),
            };
            return Err(lasting(problem));
        }
        Ok(Planned { name: name.to_owned(), description, choice, plan, declared })
    }

    /// The dataset as the replica describes it: both sides then agree on how it is read.
    pub(super) async fn on_replica(&self, name: &str) -> Result<Description, Error> {
        let side = &self.sides.replica;
        if self.replica_away.load(Ordering::Relaxed) {
            return Err(Error::new(FailureKind::Transient, "store.unreachable", "it did not answer a moment ago"));
        }
        let side = Side { cx: side.cx.clone().with_timeout(REPLICA_TIME), ..side.clone() };
        let described = describe(&side, name).await;
        if let Err(error) = &described
            && matches!(error.kind(), FailureKind::Transient | FailureKind::Deadline)
        {
            self.replica_away.store(true, Ordering::Relaxed);
        }
        described
    }

    /// A mark from before the view, so that what is read in it can be taken over by the next snapshot.
    async fn mark(&self, source: &Side) -> Result<Option<Known<LogMark>>, Failed> {
        let Some(rows) = source.store.datasets().filter(|_| !self.options.thrift.full) else { return Ok(None) };
        match source.cx.bound(rows.mark(&source.cx, cheap::SETTLE)).await {
            Ok(mark) => Ok(mark),
            Err(error) => {
                let failed = of_source(&error);
                // Without it everything is read.
                if failed.passing { Err(failed) } else { Ok(Some(Known::unknown(error.to_string()))) }
            }
        }
    }

    /// One view of everything, unless it would be held for too long.
    async fn hold(&mut self, source: &Side, planned: &[Planned]) -> Result<Option<Box<dyn Held>>, Failed> {
        let Some(rows) = source.store.datasets() else { return Ok(None) };
        let bytes: u64 = planned.iter().filter_map(|one| one.description.bytes_estimate.value()).sum();
        let readers = READ_RATE.saturating_mul(source.cx.parallel().max(1) as u64);
        let rate = self.options.manners.rate.bytes.map_or(readers, |limit| limit.min(readers)).max(1);
        let limit = self.options.manners.view_max();
        if planned.len() > 1 && bytes / rate > limit.as_secs() {
            self.check.notes.push(format!(
                "each dataset was read in a view of its own: one view of all might have been held for more than {} s \
                 (--view-max)",
                limit.as_secs()
            ));
            return Ok(None);
        }
        source.cx.bound(rows.hold(&source.cx)).await.map_err(|error| of_source(&error))
    }

    async fn read(
        &self,
        source: &Side,
        (held, mark): (Option<&dyn Held>, Option<&Known<LogMark>>),
        one: &Planned,
        writer: &mut BundleWriter,
    ) -> Result<(DatasetKept, KeptDataset), Failed> {
        let counters = self.monitor.begin(&one.name);
        self.monitor.enter(Phase::Digesting);
        let side = crate::job::watched(source, &counters.source);
        let canon = (*one.plan.canon).clone();
        let spec = Spec::new(&self.options.digest_key, &one.name, canon).map_err(|error| of_source(&error.into()))?;
        let request = keep::Request {
            side: &side,
            held,
            scan: &one.plan.source,
            spec: &spec,
            schema: schema_fingerprint(&one.description.schema),
            capacity: self.options.capacity,
        };
        let read = self.digest(source, &request, mark, one).await;
        let (kept, reading) = read.map_err(|error| of_source(&error.context(&one.name)))?;
        let capacity = kept.digest.sums.capacity();
        let header = &kept.digest.header;
        let entry = KeptDataset {
            dataset: one.name.clone(),
            rows: Some(header.rows),
            capacity: capacity.differences(),
            bytes: capacity.bytes(header.key_form),
            position: kept.moment.as_ref().and_then(position_text),
            reading,
            problem: None,
        };
        let dataset = DatasetKept {
            name: one.name.clone(),
            schema: one.description.schema.clone(),
            rename: one.choice.rename.clone(),
            replica_filter: one.choice.replica_filter.clone(),
            left_out: one.plan.left_out.clone(),
            incomparable: one.plan.incomparable.clone(),
            rows: header.rows,
            capacity: capacity.differences(),
            moment: kept.moment.clone(),
            declared: one.declared.clone(),
            digest: writer.add(&kept.digest).map_err(|error| of_state(&error))?,
        };
        Ok((dataset, entry))
    }

    /// Digests a dataset, taking over what may be.
    async fn digest(
        &self,
        source: &Side,
        request: &keep::Request<'_>,
        mark: Option<&Known<LogMark>>,
        one: &Planned,
    ) -> Result<cheap::Thrifty, Error> {
        let thrift = &self.options.thrift;
        let (within, bytes_max) = (thrift.within, thrift.bytes_max);
        let folder = self.keeper.state().map(|state| state.ranges(&self.job.name, &one.name));
        let is_filed = source.store.datasets().is_some_and(paritas_connect::Datasets::is_filed);
        match (folder, mark) {
            (Some(folder), Some(mark)) => {
                let rows_estimate = one.description.rows_estimate.value().copied().unwrap_or(0);
                let thrift = cheap::Thrift { folder, mark: mark.clone(), within, bytes_max, rows_estimate };
                cheap::keep(request, &thrift).await
            }
            (Some(folder), None) if is_filed && !thrift.full => {
                let unsettled = cheap::files::UNSETTLED;
                let thrift = cheap::files::FilesThrift { folder, within, bytes_max, unsettled };
                cheap::files::keep(request, &thrift).await
            }
            (Some(folder), None) if source.store.logs().is_some() && !thrift.full => {
                cheap::segments::keep(request, &cheap::segments::Thrift { folder, within, bytes_max }).await
            }
            _ => Ok((keep::keep(request).await?, None)),
        }
    }

    /// Something in the catalog changed meanwhile; the schemas of what was read must not have.
    async fn unchanged(&self, source: &Side, datasets: &[DatasetKept]) -> Result<(), Failed> {
        for dataset in datasets {
            let now = describe(source, &dataset.name).await.map_err(|error| of_source(&error))?;
            if now.schema != dataset.schema {
                let message = format!("the schema of {} changed while the snapshot was taken", dataset.name);
                let error = Error::new(FailureKind::Permanent, "store.changed", message);
                return Err(of_source(&error.hint("take the snapshot again")));
            }
        }
        Ok(())
    }
}

fn position_text(moment: &Moment) -> Option<String> {
    moment.covers.value().map(|position| position.text.clone())
}

/// What the files of a link are called as a dataset.
pub(super) const FILES: &str = "files";

/// What is declared about a dataset: by its own part of the configuration, or by the URLs.
pub(super) fn declared(job: &Job, name: &str) -> Declared {
    let own = job.overrides.iter().find(|own| own.source_name == name).map(|own| own.declared.clone());
    own.unwrap_or_default().or(&job.replica.target.declared).or(&job.source.target.declared)
}

pub(super) async fn describe(side: &Side, name: &str) -> Result<Description, Error> {
    let rows = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
    side.cx.bound(rows.describe(&side.cx, &Dataset(name.to_owned()))).await
}

async fn catalog(side: &Side) -> Result<Option<String>, Failed> {
    let Some(rows) = side.store.datasets() else { return Ok(None) };
    side.cx.bound(rows.catalog_version(&side.cx)).await.map_err(|error| of_source(&error))
}

fn of_source(error: &Error) -> Failed {
    of(Origin::Source, error)
}

fn of(origin: Origin, error: &Error) -> Failed {
    let passing = matches!(error.kind(), FailureKind::Transient | FailureKind::Deadline | FailureKind::Cancelled);
    Failed { problem: sided(origin, problem_of(error)), passing }
}

/// A failure that another try would meet as well.
fn lasting(problem: Problem) -> Failed {
    Failed { problem, passing: false }
}

fn of_state(error: &StateError) -> Failed {
    let problem = Problem {
        code: error.code().to_owned(),
        message: format!("the snapshot cannot be kept: {}", error.message()),
        detail: error.detail_text().map(str::to_owned),
        hint: Some(error.hint_text().to_owned()),
    };
    Failed { problem, passing: true }
}

fn of_defect(error: &serde_json::Error) -> Failed {
    lasting(Problem {
        code: "internal.document".to_owned(),
        message: "the snapshot cannot be written down".to_owned(),
        detail: Some(error.to_string()),
        hint: Some("this is a defect of paritas: please report it".to_owned()),
    })
}

/// Whether a store has anything of which a snapshot can be taken here.
pub(crate) fn can_be_kept(job: &Job) -> bool {
    job.source.store.datasets().is_some() || job.source.store.files().is_some()
}
