//! Comparing a stored digest with a live replica: the source may be gone.

use crate::locate::{Wanted, rows_of};
use crate::matching::Mismatch;
use crate::naming::{difference, unseen};
use crate::rows::{Failure, Origin, Outcome, Phase, incomparable};
use crate::{Plan, Side};
use paritas_connect::{ColumnPair, Error, FailureKind, FetchedRow, Result, ScanRequest};
use paritas_digest::{Digest, DigestKey, Found, FoundKey, HeaderFacts, KeyForm, Spec, compare};
use paritas_model::{Class, Dataset, Difference, Known, Position, Proof};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
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
    /// Condition in the replica's language.
    pub filter: Option<String>,
    /// Key of the digest.
    pub key: &'a DigestKey,
    /// Most rows to list.
    pub items_max: usize,
    /// Told about every phase.
    pub watch: &'a (dyn Fn(Phase) + Send + Sync),
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
pub async fn verify(request: &Request<'_>) -> Result<(Plan, Outcome)> {
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
        filter: request.filter.clone(),
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
    let mut outcome = Outcome::default();
    if let Err(failure) = run(request, &spec, &plan, &mut outcome).await {
        outcome.complete = false;
        outcome.problem = Some(failure);
    }
    Ok((plan, outcome))
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

async fn run(request: &Request<'_>, spec: &Arc<Spec>, plan: &Plan, outcome: &mut Outcome) -> Result<(), Failure> {
    let at_replica = |error| (Origin::Replica, error);
    let header = &request.digest.header;
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
    let comparison =
        compare(request.digest, &Digest::new(spec, facts, read.sums.clone()).filtered(request.filter.clone()))
            .map_err(|error| incomparable(&error))?;
    outcome.equal = comparison.equal;
    outcome.complete = comparison.equal || comparison.complete;
    outcome.proven_unequal = !comparison.equal;
    if comparison.equal {
        return Ok(());
    }
    outcome.notes.extend(position_note(&header.position, &read.scan.position()));
    if !comparison.complete {
        let estimate = comparison.estimate.value().map_or_else(|| "more".to_owned(), |n| format!("about {n}"));
        outcome.notes.push(format!(
            "{estimate} rows differ, more than this digest can name: {} are named; take digests with a larger capacity",
            comparison.found.len()
        ));
    }
    let mut found = comparison.found;
    found.sort_by(|a, b| a.key.cmp(&b.key));
    for one in &found {
        outcome.counts.add(one.class, Proof::Proven, one.copies);
    }
    outcome.items_truncated = found.len() > request.items_max;
    found.truncate(request.items_max);
    (request.watch)(Phase::Locating);
    let keys: Vec<FoundKey> = found.iter().filter(|f| f.class != Class::Lost).map(|f| f.key.clone()).collect();
    let wanted = Wanted { shown: keys.iter().cloned().collect(), keys };
    let (rows, failed) = match rows_of(request.replica, &read.scan, spec, &wanted).await {
        Ok(rows) => (rows, None),
        Err(error) => (Vec::new(), Some((Origin::Replica, error))),
    };
    let mut by_key: HashMap<FoundKey, FetchedRow> = HashMap::new();
    for row in rows {
        if let Some(key) = row.found.clone() {
            by_key.insert(key, row);
        }
    }
    outcome.items.extend(found.iter().map(|one| item(spec, one, by_key.get(&one.key))));
    failed.map_or(Ok(()), Err)
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
fn item(spec: &Spec, found: &Found, row: Option<&FetchedRow>) -> Difference {
    let note = match (found.class, spec.key_form()) {
        (Class::Lost, KeyForm::Inline8 | KeyForm::Inline16) => "its values were only on the source",
        (Class::Lost, _) => "only its fingerprint is known: its key was only on the source",
        (Class::Changed, _) => "the source's values are not in the digest",
        (Class::Extra, _) => "not on the source when the digest was taken",
    };
    match row {
        Some(row) => {
            let mismatch =
                Mismatch { class: Class::Extra, copies: found.copies, source: None, replica: Some(row.clone()) };
            let mut difference = difference(spec.canon(), &mismatch, Proof::Proven);
            difference.class = found.class;
            difference.note = Some(note.to_owned());
            difference
        }
        None => unseen(spec.canon(), found, Proof::Proven, note),
    }
}
