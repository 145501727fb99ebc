//! Comparing a stored digest with a live replica: the source may be gone.

use crate::locate::{Wanted, Way, fetch, rows_of};
use crate::matching::Mismatch;
use crate::naming::{difference, unseen};
use crate::rows::{Failure, Origin, Outcome, Phase, incomparable};
use crate::since::{ChangedAt, Judgement, Now, Relation, Window};
use crate::{Plan, Side};
use paritas_connect::{ColumnPair, Error, FailureKind, FetchedRow, Moment, Result, Scan, ScanRequest};
use paritas_digest::{Comparison, Digest, DigestKey, Found, FoundKey, HeaderFacts, KeyForm, Spec, compare};
use paritas_model::{Ancestry, Class, Dataset, Difference, Known, Position, Proof, Writes};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// A digest and the dataset that should equal it.
pub struct Request<'a> {
    /// The stored digest of the source.
    pub digest: &'a Digest,
    /// The replica.
    pub replica: &'a Side,
    /// Name of the dataset on the replica.
    pub dataset: &'a Dataset,
    /// Source name to replica name of columns.
    pub rename: &'a BTreeMap<String, String>,
    /// Condition that chose the rows, as the digest has it.
    pub filter: Option<String>,
    /// The same in the words of the replica.
    pub read_filter: Option<String>,
    /// Key of the digest.
    pub key: &'a DigestKey,
    /// What is known about the time since the digest was taken; without it, the replica should hold the same rows.
    pub since: Option<Since<'a>>,
    /// Most rows to list.
    pub items_max: usize,
    /// Told about every phase.
    pub watch: &'a (dyn Fn(Phase) + Send + Sync),
}

/// What is known about the time since a digest was taken.
#[derive(Debug, Clone)]
pub struct Since<'a> {
    /// What the source's view showed, where its store can say.
    pub moment: Option<&'a Moment>,
    /// The version of the source's catalog then, where it has one.
    pub catalog: Option<&'a str>,
    /// The replica's history.
    pub ancestry: Known<Ancestry>,
    /// When the replica was promoted, by its own clock, in microseconds since 1970.
    pub promoted_at: Option<i64>,
    /// What may have been written since.
    pub writes: Writes,
    /// The column that says when a row was written, by its name on the source, and from when to when (in microseconds
    /// since 1970) nothing follows from it.
    pub changed_at: Option<(String, (i64, i64))>,
}

/// What a comparison with a stored digest came to.
#[derive(Debug)]
pub struct Compared {
    /// What was compared.
    pub plan: Plan,
    /// What came of it.
    pub outcome: Outcome,
    /// What told rows apart that were written since.
    pub window: Window,
    /// Rows that were written since: no differences.
    pub written_since: u64,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("dataset", &self.dataset).finish_non_exhaustive()
    }
}

/// Compares. The replica is read in the canon of the digest.
///
/// # Errors
/// When the replica cannot be read in that canon: missing columns, other types, another key.
pub async fn verify(request: &Request<'_>) -> Result<Compared> {
    let header = &request.digest.header;
    let canon = Arc::new(header.canon.clone());
    let spec = Spec::new(request.key, &header.dataset, header.canon.clone())?;
    if spec.key_id() != header.key_id {
        let error = Error::new(FailureKind::Permanent, "digest.key", "the digest was made with another digest key");
        return Err(error.hint("set [paritas] digest_key to the key of the run that made it"));
    }
    if request.filter != header.filter {
        return Err(other_filter(header.filter.as_deref()));
    }
    let columns = canon.columns.iter().map(|column| ColumnPair {
        canonical: column.name.clone(),
        own: request.rename.get(&column.name).unwrap_or(&column.name).clone(),
    });
    let scan_request = ScanRequest {
        dataset: request.dataset.clone(),
        columns: columns.collect(),
        canon: Arc::clone(&canon),
        filter: request.read_filter.clone(),
        ranges: Vec::new(),
    };
    let plan = Plan {
        key: canon.key().iter().map(|column| column.name.clone()).collect(),
        source: scan_request.clone(),
        replica: scan_request,
        canon,
        left_out: Vec::new(),
        incomparable: Vec::new(),
    };
    let mut compared = Compared { plan, outcome: Outcome::default(), window: Window::at_rest(), written_since: 0 };
    if let Err(failure) = run(request, &spec, &mut compared).await {
        compared.outcome.complete = false;
        compared.outcome.problem = Some(failure);
    }
    Ok(compared)
}

/// The replica would be read under another condition than the source was.
fn other_filter(made_with: Option<&str>) -> Error {
    let message = "the digest and the replica are filtered differently";
    let error = Error::new(FailureKind::Permanent, "digest.incomparable", message);
    match made_with {
        Some(filter) => error
            .detail(format!("The digest holds the rows where {filter}."))
            .hint("give the replica the same condition with ?where=, to the letter"),
        None => error.detail("The digest holds all rows.").hint("leave ?where= out, or take a digest with it"),
    }
}

async fn run(request: &Request<'_>, spec: &Arc<Spec>, compared: &mut Compared) -> Result<(), Failure> {
    let at_replica = |error| (Origin::Replica, error);
    let header = &request.digest.header;
    let Compared { plan, outcome, .. } = &mut *compared;
    outcome.source_rows = Some(header.rows);
    outcome.source_position = Some(header.position.clone());
    outcome.notes.push(format!("the source is the digest taken at {}", header.taken_at));
    (request.watch)(Phase::Digesting);
    let scan = request.replica.open(&plan.replica).await.map_err(at_replica)?;
    let capacity = request.digest.sums.capacity();
    let read = request.replica.digest(scan, &plan.replica, spec, capacity).await.map_err(at_replica)?;
    outcome.replica_rows = Some(read.sums.rows());
    outcome.replica_bytes = read.bytes;
    outcome.replica_position = Some(read.scan.position());
    let facts = HeaderFacts {
        schema: header.schema,
        position: read.scan.position(),
        store: request.replica.store.name().to_owned(),
    };
    let theirs = Digest::new(spec, facts, read.sums.clone()).filtered(request.filter.clone());
    let comparison = compare(request.digest, &theirs).map_err(|error| incomparable(&error))?;
    if let Some(since) = &request.since {
        let changed_at = changed_at(since, spec).map_err(at_replica)?;
        let found = window(request.replica, since, &read.scan.position(), read.scan.moment()).await;
        compared.window = Window { changed_at, ..found.map_err(at_replica)? };
    }
    let outcome = &mut compared.outcome;
    outcome.equal = comparison.equal;
    outcome.complete = comparison.equal || comparison.complete;
    if comparison.equal {
        return Ok(());
    }
    outcome.proven_unequal = compared.window.is_still();
    if request.since.is_none() {
        outcome.notes.extend(position_note(&header.position, &read.scan.position()));
    }
    if !comparison.complete {
        outcome.notes.push(overflow(&comparison, request.digest.sums.capacity().differences()));
    }
    let mut found = comparison.found;
    found.sort_by(|a, b| a.key.cmp(&b.key));
    (request.watch)(Phase::Locating);
    let behind = matches!(compared.window.relation, Relation::Behind { .. });
    let rows = replica_rows(request, &read.scan, spec, (&found, behind)).await;
    let (rows, failed) = match rows {
        Ok(rows) => (rows, None),
        Err(error) => (Rows::default(), Some((Origin::Replica, error))),
    };
    judge(request, spec, compared, &found, &rows);
    failed.map_or(Ok(()), Err)
}

/// What is known about rows that were written since, for a view of the replica that stands at `reached`.
pub(crate) async fn window(
    side: &Side,
    since: &Since<'_>,
    reached: &Known<Position>,
    now: Option<Moment>,
) -> Result<Window> {
    let relation = Relation::of(since.moment, &since.ancestry, reached);
    let ordered = !matches!(relation, Relation::Unordered { .. });
    let snapshot = since.moment.map(|moment| moment.horizon.clone()).filter(|_| ordered);
    let (mut own_from, mut running_ended) = (Known::unknown("the replica's history is its own"), false);
    if let (Some(snapshot), Some(writers)) = (&snapshot, side.store.writers()) {
        let ancestry = since.ancestry.value();
        own_from = side.again("see who writes", || writers.authorship(&side.cx, ancestry)).await?.own_from;
        if !snapshot.running.is_empty() {
            // Asked after the view was pinned: one that was prepared may be committed at any time.
            let running = &snapshot.running;
            let committed = side.again("look for transactions", || writers.committed(&side.cx, running)).await?;
            running_ended = committed == Known::Known(0);
        }
    }
    let same_catalog = match (since.catalog, side.store.datasets()) {
        (Some(then), Some(datasets)) if ordered => {
            let now = side.again("look for changes of the catalog", || datasets.catalog_version(&side.cx)).await?;
            now.as_deref() == Some(then)
        }
        _ => false,
    };
    Ok(Window {
        relation,
        snapshot,
        now: now.map(|moment| moment.horizon),
        own_from,
        promoted_at: since.promoted_at,
        running_ended,
        same_catalog,
        writes: since.writes,
        changed_at: None,
    })
}

/// Where rows say when they were written, among the compared columns.
fn changed_at(since: &Since<'_>, spec: &Spec) -> Result<Option<ChangedAt>> {
    let Some((name, (old_before, new_from))) = &since.changed_at else { return Ok(None) };
    let index = spec.canon().columns.iter().position(|column| column.name == *name);
    let index = index.ok_or_else(|| {
        let message = format!("column {name:?} is not in the snapshot");
        let error = Error::new(FailureKind::Permanent, "snapshot.columns", message);
        error.hint("name one of the compared columns with changed_at")
    })?;
    Ok(Some(ChangedAt { index, old_before: *old_before, new_from: *new_from }))
}

/// What is said when the sketch was too small for all that differs.
fn overflow(comparison: &Comparison, capacity: u64) -> String {
    let estimate = match comparison.estimate.value() {
        Some(number) => format!("about {number} rows differ"),
        None => "very many rows differ".to_owned(),
    };
    format!(
        "{estimate}, more than the {capacity} that this digest can name: {} are named, at least {} are lost and at least \
         {} extra; take digests with a larger capacity (--capacity)",
        comparison.found.len(),
        comparison.lost_at_least,
        comparison.extra_at_least
    )
}

/// Rows of the replica by key, and when their writers committed.
#[derive(Debug, Default)]
struct Rows {
    by_key: HashMap<FoundKey, Vec<FetchedRow>>,
    committed: HashMap<u64, i64>,
    newer: HashSet<u64>,
}

impl Rows {
    fn of(&self, key: &FoundKey) -> Vec<Now<'_>> {
        let rows = self.by_key.get(key).into_iter().flatten();
        rows.map(|row| Now {
            row,
            newer: row.version.is_some_and(|version| self.newer.contains(&version)),
            committed_at: row.version.and_then(|version| self.committed.get(&version).copied()),
        })
        .collect()
    }
}

/// The rows behind the found keys, and when they were committed if that is asked for. Where nobody asks who wrote them,
/// only those that are shown.
async fn replica_rows(
    request: &Request<'_>,
    scan: &Arc<dyn Scan>,
    spec: &Arc<Spec>,
    (found, commit_times): (&[Found], bool),
) -> Result<Rows> {
    let listed = found.get(..request.items_max).unwrap_or(found);
    let judged = if request.since.is_some() { found } else { listed };
    let keys: Vec<FoundKey> = judged.iter().filter(|one| one.class != Class::Lost).map(|one| one.key.clone()).collect();
    let wanted = Wanted { shown: keys.iter().cloned().collect(), keys };
    let side = request.replica;
    let mut rows = rows_of(side, scan, spec, &wanted).await?;
    if request.since.is_some() && scan.lookup().is_some() {
        versions(side, &**scan, &mut rows).await?;
    }
    let mut versions: Vec<u64> = rows.iter().filter_map(|row| row.version).collect();
    versions.sort_unstable();
    versions.dedup();
    let mut all = Rows::default();
    if let (Some(writers), true) = (side.store.writers(), commit_times && !versions.is_empty()) {
        let times = side.again("read commit times", || writers.commit_times(&side.cx, &versions)).await?;
        all.committed = versions.iter().zip(times).filter_map(|(version, time)| Some((*version, time?))).collect();
    }
    all.newer = versions.into_iter().filter(|version| scan.is_newer(*version)).collect();
    for row in rows {
        if let Some(key) = row.found.clone() {
            all.by_key.entry(key).or_default().push(row);
        }
    }
    Ok(all)
}

/// Rows that were found by reading everything know their key and not their writer.
async fn versions(side: &Side, scan: &dyn Scan, rows: &mut [FetchedRow]) -> Result<()> {
    let keys: Vec<Vec<u8>> = rows.iter().filter(|row| row.version.is_none()).map(|row| row.key.clone()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let mut by_key: HashMap<Vec<u8>, Vec<FetchedRow>> = HashMap::new();
    for row in fetch(side, scan, &keys, Way::Indexed).await? {
        by_key.entry(row.key.clone()).or_default().push(row);
    }
    for row in rows.iter_mut().filter(|row| row.version.is_none()) {
        // The same row, and no later one with its key.
        let same = |other: &&FetchedRow| {
            let values = |one: &FetchedRow| one.fields.iter().map(|f| f.canonical.clone()).collect::<Vec<_>>();
            values(other) == values(row)
        };
        row.version = by_key.get(&row.key).into_iter().flatten().find(same).and_then(|other| other.version);
    }
    Ok(())
}

/// Judges, counts and lists what was found.
fn judge(request: &Request<'_>, spec: &Spec, compared: &mut Compared, found: &[Found], rows: &Rows) {
    let Compared { outcome, window, written_since, .. } = compared;
    for one in found {
        let now = rows.of(&one.key);
        let (proof, why) = match window.judge(one.class, one.copies, &now) {
            Judgement::Since => {
                *written_since = written_since.saturating_add(one.copies);
                continue;
            }
            Judgement::Proven => (Proof::Proven, None),
            Judgement::Open(why) => (Proof::Unproven, Some(why)),
        };
        outcome.counts.add(one.class, proof, one.copies);
        if outcome.items.len() < request.items_max {
            outcome.items.push(item(spec, one, now.first().map(|now| now.row), (proof, why)));
        } else {
            outcome.items_truncated = true;
        }
    }
}

/// What the two positions mean for the differences; `None` where they agree or mean nothing.
fn position_note(digest: &Known<Position>, replica: &Known<Position>) -> Option<String> {
    let (digest, replica) = digest.value().zip(replica.value())?;
    match digest.order(replica) {
        Some(Ordering::Equal) => None,
        Some(Ordering::Less) => Some(format!(
            "the digest was taken at {digest} and the replica is at {replica}: rows written in between differ as well"
        )),
        Some(Ordering::Greater) => Some(format!(
            "the replica is at {replica}, before the digest's position {digest}: what was written in between is missing"
        )),
        None => Some(format!(
            "the replica has left the history in which the digest was taken (at {digest}): rows written since differ \
             as well"
        )),
    }
}

/// What can be said of a row whose source is gone: its key, and what the replica holds.
fn item(spec: &Spec, found: &Found, row: Option<&FetchedRow>, (proof, why): (Proof, Option<&str>)) -> Difference {
    let note = match (found.class, spec.key_form()) {
        (Class::Lost, KeyForm::Inline8 | KeyForm::Inline16) => "its values were only on the source",
        (Class::Lost, _) => "only its fingerprint is known: its key was only on the source",
        (Class::Changed, _) => "the source's values are not in the digest",
        (Class::Extra, _) => "not on the source when the digest was taken",
    };
    let note = why.unwrap_or(note).to_owned();
    match row {
        Some(row) => {
            let mismatch =
                Mismatch { class: Class::Extra, copies: found.copies, source: None, replica: Some(row.clone()) };
            let mut difference = difference(spec.canon(), &mismatch, proof);
            difference.class = found.class;
            difference.note = Some(note);
            difference
        }
        None => unseen(spec.canon(), found, proof, &note),
    }
}
