//! Figures of ledgers in snapshots: taken beside the rows, and held against a replica.

use super::against::Replica;
use super::document::Document;
use super::load::Loaded;
use super::rows::since_of;
use super::take::{Failed, Taking, declared};
use crate::datasets::Facing;
use crate::job::Job;
use crate::ledger::{self, Facts, LedgerKept, Reconciliation, Standing, held_against, keep, not_kept};
use crate::record::sided;
use crate::{Monitor, Options};
use paritas_connect::Held;
use paritas_model::{Dataset, Verdict};
use paritas_report::{Check, KeptDatasets, KeptLedger, LinkReport, NotChecked, Problem};
use paritas_verify::Side;

/// Bytes that the groups of all ledgers of a snapshot may take.
const LEDGERS_BYTES_MAX: usize = 64 << 20;

impl Taking<'_> {
    /// Reads the figures of every ledger of the link. One that can never be read is listed, and the others are kept.
    pub(super) async fn ledgers(
        &mut self,
        source: &Side,
        held: Option<&dyn Held>,
        document: &mut Document,
        kept: &mut KeptDatasets,
    ) -> Result<(), Failed> {
        let job = self.job;
        if job.ledgers.is_empty() {
            return Ok(());
        }
        let names = self.names(source).await?;
        let mut room = LEDGERS_BYTES_MAX;
        for ledger in &job.ledgers {
            let Some(facing) = facing(ledger, &names) else { continue };
            let on_replica = self.on_replica(&facing.replica.0).await.ok();
            let counters = self.monitor.begin(ledger.named());
            let side = crate::job::watched(source, &counters.source);
            let facts = Facts { options: self.options, source: &side, held, on_replica, bytes_max: room };
            let mut entry = KeptLedger {
                name: ledger.named().to_owned(),
                dataset: facing.source.0.clone(),
                groups: None,
                by_group: false,
                bytes: 0,
                problem: None,
            };
            match keep(ledger, &facing, &facts).await {
                Ok(figures) => {
                    entry.groups = Some(figures.groups);
                    entry.by_group = figures.is_by_group();
                    entry.bytes = figures.bytes();
                    room = room.saturating_sub(usize::try_from(figures.bytes()).unwrap_or(usize::MAX));
                    document.ledgers.push(figures);
                }
                Err((origin, problem)) => {
                    let problem = sided(origin, problem);
                    // What may pass keeps nothing, so that the snapshot before stays the last one.
                    if is_passing(&problem) {
                        return Err(Failed { problem, passing: true });
                    }
                    let what = format!("figures of ledger {:?}", entry.name);
                    self.not_checked.push(NotChecked { what, why: problem.message.clone() });
                    entry.problem = Some(problem);
                }
            }
            kept.ledgers.push(entry);
        }
        Ok(())
    }
}

/// Whether another try may succeed: these say nothing about the ledger.
fn is_passing(problem: &Problem) -> bool {
    ["store.", "run."].iter().any(|prefix| problem.code.starts_with(prefix)) && problem.code != "store.forbidden"
}

/// The datasets of a ledger: by its own words, else by those of the link.
fn facing(ledger: &Reconciliation, names: &[(String, String)]) -> Option<Facing> {
    let (dataset, own) = ledger.datasets();
    let (source, found) = match dataset {
        Some(dataset) => {
            (dataset.clone(), names.iter().find(|(name, _)| name == dataset).map(|(_, there)| there.clone()))
        }
        None => match names {
            [(name, there)] => (name.clone(), Some(there.clone())),
            _ => return None,
        },
    };
    let replica = own.cloned().or(found).unwrap_or_else(|| source.clone());
    Some(Facing { source: Dataset(source), replica: Dataset(replica) })
}

/// Holds the replica against the figures of every ledger: those that the link has, or all of a snapshot of two stores.
pub(super) async fn verify(
    job: &Job,
    replica: &Replica,
    run: (&Options, &Monitor),
    loaded: &Loaded,
    link: &mut LinkReport,
) {
    let document = &loaded.document;
    for (ledger, kept) in pairs(job, document) {
        let Some(kept) = kept else {
            link.checks.extend(ledger.map(not_kept));
            continue;
        };
        let dataset = document.datasets.iter().find(|one| one.name == kept.dataset);
        let own = declared(job, &kept.dataset);
        let declared = dataset.map_or_else(|| own.clone(), |dataset| own.or(&dataset.declared));
        let since = since_of(replica, document, dataset.and_then(|one| one.moment.as_ref()), declared.writes);
        let standing = Standing {
            replica: &replica.side,
            options: run.0,
            monitor: run.1,
            since,
            rows_settled: settled(kept, dataset.and_then(|one| one.replica_filter.as_ref()), link),
            snapshot: (&document.id, &document.taken_at),
        };
        link.checks.push(Check::Ledger(Box::new(held_against(kept, ledger, &standing).await)));
    }
}

/// The check of each ledger, none of which could begin.
pub(super) fn not_begun(job: &Job, loaded: &Loaded, problem: &Problem, link: &mut LinkReport) {
    for (ledger, kept) in pairs(job, &loaded.document) {
        let name = ledger.map_or_else(|| kept.map_or("ledger", |kept| &kept.name), Reconciliation::named);
        link.checks.push(ledger::not_begun_as(name, problem.clone()));
    }
}

type Paired<'a> = (Option<&'a Reconciliation>, Option<&'a LedgerKept>);

/// Ledgers of the link with their figures; of a link without any, the figures that there are.
fn pairs<'a>(job: &'a Job, document: &'a Document) -> Vec<Paired<'a>> {
    if job.ledgers.is_empty() {
        return document.ledgers.iter().map(|kept| (None, Some(kept))).collect();
    }
    let kept = |ledger: &Reconciliation| document.ledgers.iter().find(|kept| kept.name == ledger.named());
    job.ledgers.iter().map(|ledger| (Some(ledger), kept(ledger))).collect()
}

/// Whether the rows behind the figures were compared with the same snapshot, and all of them are right or were written
/// since.
fn settled(kept: &LedgerKept, filter: Option<&String>, link: &LinkReport) -> bool {
    // Rows that a filter left out were not compared.
    if filter.is_some() && filter != kept.source_filter.as_ref() {
        return false;
    }
    link.checks.iter().any(|check| match check {
        Check::Parity(parity) => {
            parity.dataset == kept.dataset
                && parity.complete
                && matches!(parity.verdict, Verdict::Pass | Verdict::Warn)
                && kept.columns().all(|name| parity.columns.contains(name))
        }
        _ => false,
    })
}
