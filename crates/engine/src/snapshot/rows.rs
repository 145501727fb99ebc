//! Rows of a replica against the digests of a snapshot.

use super::against::Replica;
use super::document::{DatasetKept, Document};
use super::load::Loaded;
use super::take::{declared, describe};
use crate::error::problem_of;
use crate::job::{Job, watched};
use crate::record::{self, Compared};
use crate::tables::{choice_for, face, is_named, list};
use crate::target::Declared;
use crate::{Monitor, Options};
use jiff::{SignedDuration, Timestamp};
use paritas_connect::{Description, FACT_UNLOGGED, Moment};
use paritas_digest::CanonKind;
use paritas_model::{Dataset, StoreKind, Verdict, Writes};
use paritas_report::{Against, Check, LinkReport, NotChecked, ParityCheck, Problem};
use paritas_state::StateError;
use paritas_verify::rows::Origin;
use paritas_verify::stored::{self, Since};
use paritas_verify::{Choice, Matching, SchemaDelta, Typing, compare_schemas};
use std::time::Instant;

/// A transaction that wrote a row may have begun this long before the snapshot and have ended after it.
const TRANSACTION_SECONDS_MAX: i64 = 600;
/// Clocks of writers may be this far ahead.
const CLOCK_SKEW_SECONDS_MAX: i64 = 10;

/// Verifies every dataset of a snapshot that the link takes.
pub(super) async fn verify(
    job: &Job,
    replica: &Replica,
    run: (&Options, &Monitor),
    loaded: &Loaded,
    link: &mut LinkReport,
) {
    let names: Vec<Dataset> = loaded.document.datasets.iter().map(|one| Dataset(one.name.clone())).collect();
    let theirs = match list(replica.side.clone()).await {
        Ok(theirs) => theirs,
        Err(error) => return not_listed(link, Origin::Replica, problem_of(&error)),
    };
    let facings = match face(job, &names, &theirs) {
        Ok(facings) => facings,
        Err((origin, problem)) => return not_listed(link, origin, problem),
    };
    let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| crate::datasets::matches(pattern, name));
    let takes =
        |dataset: &Dataset| (job.include.is_empty() || any(&job.include, &dataset.0)) && !any(&job.exclude, &dataset.0);
    let work = Work { job, replica, options: run.0, monitor: run.1, loaded };
    for dataset in facings.source_only.iter().filter(|dataset| takes(dataset)) {
        if let Some(kept) = work.kept(dataset) {
            link.checks.push(Check::Parity(work.gone(kept)));
        }
    }
    for dataset in facings.replica_only.iter().filter(|dataset| takes(dataset)) {
        let why = "not in the snapshot: it was made since, or was left out".to_owned();
        link.not_checked.push(NotChecked { what: format!("rows of {dataset}"), why });
    }
    for facing in facings.pairs.iter().filter(|facing| takes(&facing.source)) {
        match work.kept(&facing.source) {
            Some(kept) => work.verify(kept, &facing.replica, link).await,
            None => {
                let why = "not in the snapshot".to_owned();
                link.not_checked.push(NotChecked { what: format!("rows of {}", facing.source), why });
            }
        }
    }
    if !link.checks.iter().any(|check| matches!(check, Check::Parity(_))) {
        let problem = Problem {
            code: "snapshot.dataset".to_owned(),
            message: "the snapshot and the replica have no dataset in common".to_owned(),
            detail: Some(format!("The snapshot is one of {}.", loaded.document.source.name)),
            hint: Some("check include and exclude of the link, or name another snapshot".to_owned()),
        };
        link.checks.push(Check::Parity(record::not_begun("datasets", problem)));
    }
}

fn not_listed(link: &mut LinkReport, origin: Origin, problem: Problem) {
    link.checks.push(Check::Parity(record::not_begun("datasets", record::sided(origin, problem))));
}

struct Work<'a> {
    job: &'a Job,
    replica: &'a Replica,
    options: &'a Options,
    monitor: &'a Monitor,
    loaded: &'a Loaded,
}

impl Work<'_> {
    fn kept(&self, dataset: &Dataset) -> Option<&DatasetKept> {
        self.loaded.document.datasets.iter().find(|one| one.name == dataset.0)
    }

    fn declared(&self, kept: &DatasetKept) -> Declared {
        declared(self.job, &kept.name).or(&kept.declared)
    }

    /// A dataset that the replica does not have. It may have been dropped since.
    fn gone(&self, kept: &DatasetKept) -> ParityCheck {
        let writes = self.declared(kept).writes.unwrap_or_default();
        let problem = Problem {
            code: "dataset.missing".to_owned(),
            message: format!("{} is missing on the replica; it had {} rows in the snapshot", kept.name, kept.rows),
            detail: None,
            hint: Some("see whether it was dropped since, and take a new snapshot if it was".to_owned()),
        };
        let mut check = record::not_begun(&kept.name, problem);
        check.rows.source = Some(kept.rows);
        if writes != Writes::Any && kept.rows > 0 {
            check.verdict = Verdict::Fail;
        }
        check
    }

    async fn verify(&self, kept: &DatasetKept, replica_name: &Dataset, link: &mut LinkReport) {
        let started = Instant::now();
        let not_begun = |problem| Check::Parity(record::not_begun(&kept.name, problem));
        let theirs = match describe(&self.replica.side, &replica_name.0).await {
            Ok(theirs) => theirs,
            Err(error) if error.code() == "dataset.missing" => {
                return link.checks.push(Check::Parity(self.gone(kept)));
            }
            Err(error) => {
                return link.checks.push(Check::Parity(record::not_begun_at(&kept.name, Origin::Replica, &error)));
            }
        };
        let facing = crate::datasets::Facing { source: Dataset(kept.name.clone()), replica: replica_name.clone() };
        let unlogged = kept.schema.facts.iter().any(|fact| fact == FACT_UNLOGGED);
        if unlogged && self.shares_log(kept) && !is_named(self.job, &facing) {
            let why = "the table is unlogged: its rows are not in the log, so no standby has them".to_owned();
            return link.not_checked.push(NotChecked { what: format!("rows of {}", kept.name), why });
        }
        let digest = match self.loaded.bundle.digest(kept.digest) {
            Ok(digest) => digest,
            Err(error) => return link.checks.push(not_begun(of_state(&error))),
        };
        let wire = matches!(digest.header.canon.kind, CanonKind::Wire { .. });
        let choice = self.choice(kept, &facing);
        let deltas = compare_schemas(&kept.schema, &theirs.schema, &choice, self.typing());
        if let Some(problem) = other_schema(kept, &deltas, wire) {
            link.checks.push(Check::Schema(softened(record::schema(&kept.name, &deltas))));
            return link.checks.push(not_begun(problem));
        }
        link.checks.push(Check::Schema(softened(record::schema(&kept.name, &deltas))));
        self.left_out(kept, &theirs, &choice, link);
        let counters = self.monitor.begin(&kept.name);
        let side = watched(&self.replica.side, &counters.replica);
        let request = stored::Request {
            digest: &digest,
            replica: &side,
            dataset: replica_name,
            rename: &choice.rename,
            filter: digest.header.filter.clone(),
            read_filter: kept.replica_filter.clone(),
            key: &self.options.digest_key,
            since: Some(self.since(kept)),
            items_max: self.options.max_differences,
            watch: &|phase| self.monitor.enter(phase),
        };
        link.checks.push(Check::Parity(match stored::verify(&request).await {
            Ok(compared) => self.check(kept, replica_name, compared, started),
            Err(error) => record::not_begun_at(&kept.name, Origin::Replica, &error),
        }));
    }

    /// Whether the replica is a copy, page by page, of the store that the snapshot is of.
    fn shares_log(&self, kept: &DatasetKept) -> bool {
        let lineage =
            kept.moment.as_ref().and_then(|moment| moment.covers.value()).map(|covers| covers.lineage.0.clone());
        let system = self.replica.ancestry.value().map(|ancestry| format!("{}/", ancestry.system));
        lineage.zip(system).is_some_and(|(lineage, system)| lineage.starts_with(&system))
    }

    fn since<'k>(&'k self, kept: &'k DatasetKept) -> Since<'k> {
        let declared = self.declared(kept);
        let document = &self.loaded.document;
        let at = |text: &str, seconds: i64| {
            let at: Option<Timestamp> = text.parse().ok();
            let moved = at.and_then(|at| at.checked_add(SignedDuration::from_secs(seconds)).ok());
            moved.map(Timestamp::as_microsecond)
        };
        let bounds =
            at(&document.began_at, -TRANSACTION_SECONDS_MAX).zip(at(&document.taken_at, CLOCK_SKEW_SECONDS_MAX));
        let since = since_of(self.replica, document, kept.moment.as_ref(), declared.writes);
        Since { changed_at: declared.changed_at.zip(bounds), ..since }
    }

    /// What was compared then, by the names of now.
    fn choice(&self, kept: &DatasetKept, facing: &crate::datasets::Facing) -> Choice {
        let asked = choice_for(self.job, facing, self.options.policies);
        let mut rename = kept.rename.clone();
        rename.extend(asked.rename);
        Choice { rename, columns: Vec::new(), matching: Matching::Auto, ..asked }
    }

    fn same_kind(&self) -> bool {
        self.loaded.document.source.kind == self.job.replica.described.kind
    }

    fn typing(&self) -> Typing {
        match (self.same_kind(), self.job.replica.described.kind) {
            (true, StoreKind::Postgres) => Typing::Engine,
            (true, _) => Typing::Format,
            (false, _) => Typing::Meaning,
        }
    }

    fn left_out(&self, kept: &DatasetKept, theirs: &Description, choice: &Choice, link: &mut LinkReport) {
        let entry = |what: String, why: String| NotChecked { what, why };
        for (column, why) in &kept.left_out {
            link.not_checked.push(entry(format!("column {column} of {}", kept.name), why.clone()));
        }
        let known = |name: &str| {
            kept.schema
                .columns
                .iter()
                .any(|own| choice.rename.get(&own.name).map_or(own.name.as_str(), String::as_str) == name)
        };
        for column in theirs.schema.columns.iter().filter(|column| !known(&column.name)) {
            let why = "not in the snapshot".to_owned();
            link.not_checked.push(entry(format!("column {} of {}", column.name, kept.name), why));
        }
    }

    fn check(
        &self,
        kept: &DatasetKept,
        replica_name: &Dataset,
        compared: stored::Compared,
        started: Instant,
    ) -> ParityCheck {
        let stored::Compared { mut plan, outcome, window, written_since } = compared;
        plan.left_out.clone_from(&kept.left_out);
        plan.incomparable.clone_from(&kept.incomparable);
        let names = Compared { source_name: &kept.name, replica_name: &replica_name.0 };
        let mut check = record::parity(&names, &plan, outcome, started.elapsed());
        if written_since > 0 {
            check.notes.push(format!("{written_since} rows were written since the snapshot: they are no differences"));
        }
        if check.differences.unproven > 0 {
            check.notes.push(open_window(&check));
        }
        check.against = Some(Against {
            snapshot: self.loaded.document.id.clone(),
            taken_at: self.loaded.document.taken_at.clone(),
            capacity: Some(kept.capacity),
            relation: window.relation.as_str().to_owned(),
            why: window.relation.to_string(),
            writes: window.writes.as_str().to_owned(),
            still: window.is_still(),
            written_since,
            unsettled: window.unsettled().filter(|_| check.differences.unproven > 0).map(str::to_owned),
        });
        check
    }
}

/// What is known about the time since a view of a snapshot.
pub(super) fn since_of<'a>(
    replica: &Replica,
    document: &'a Document,
    moment: Option<&'a Moment>,
    writes: Option<Writes>,
) -> Since<'a> {
    Since {
        moment,
        catalog: document.catalog.as_deref(),
        ancestry: replica.ancestry.clone(),
        promoted_at: replica.promoted_at,
        writes: writes.unwrap_or_default(),
        changed_at: None,
    }
}

/// What is said where rows could not be told apart.
fn open_window(check: &ParityCheck) -> String {
    let text = |position: &Option<String>| position.clone().unwrap_or_else(|| "an unknown position".to_owned());
    format!(
        "{} rows may have been written between {} and {}, and nothing tells; declare what may happen to the dataset \
         (writes) or its column with the time of change (changed_at)",
        check.differences.unproven,
        text(&check.positions.source),
        text(&check.positions.replica)
    )
}

/// The schema is compared with that of an earlier time: what is new since is no violation.
fn softened(mut check: paritas_report::SchemaCheck) -> paritas_report::SchemaCheck {
    if check.verdict == Verdict::Fail {
        check.verdict = Verdict::Warn;
    }
    check
}

/// Why rows cannot be compared with a snapshot of this schema.
fn other_schema(kept: &DatasetKept, deltas: &[SchemaDelta], wire: bool) -> Option<Problem> {
    let compared = |name: &str| {
        kept.schema.columns.iter().any(|column| column.name == name)
            && !kept.left_out.iter().any(|(left, _)| left == name)
    };
    let concerns = |delta: &&SchemaDelta| {
        let column = delta.source.is_some() && delta.what.strip_prefix("column ").is_some_and(compared);
        // In the engine's own values another type has other bytes; by meaning, the reading decides.
        column && (delta.replica.is_none() || (wire && delta.data))
    };
    let found: Vec<String> = deltas
        .iter()
        .filter(concerns)
        .map(|delta| {
            let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "absent".to_owned());
            format!("{}: {} in the snapshot, {} on the replica", delta.what, text(&delta.source), text(&delta.replica))
        })
        .collect();
    (!found.is_empty()).then(|| Problem {
        code: "snapshot.schema".to_owned(),
        message: format!("the snapshot is one of another schema of {}", kept.name),
        detail: Some(format!("{}.", found.join("; "))),
        hint: Some(
            "take a snapshot after each change of the schema, or name one of this schema with --against ID".to_owned(),
        ),
    })
}

fn of_state(error: &StateError) -> Problem {
    Problem {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail_text().map(str::to_owned),
        hint: Some(error.hint_text().to_owned()),
    }
}
