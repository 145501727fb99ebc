//! Reading a source alone, for the time when it is gone.

use crate::Side;
use paritas_connect::{Held, Moment, Result, ScanRequest};
use paritas_digest::{Capacity, Digest, HeaderFacts, Spec};
use paritas_model::SchemaFingerprint;
use std::fmt;
use std::sync::Arc;

/// One dataset to keep.
pub struct Request<'a> {
    /// The source.
    pub side: &'a Side,
    /// A view of all its datasets, where it has one that can still be read.
    pub held: Option<&'a dyn Held>,
    /// What to read.
    pub scan: &'a ScanRequest,
    /// Canon and keys of the digest.
    pub spec: &'a Arc<Spec>,
    /// Fingerprint of the schema.
    pub schema: SchemaFingerprint,
    /// How many differing rows the digest is made to name.
    pub capacity: u64,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("dataset", &self.scan.dataset).finish_non_exhaustive()
    }
}

/// What a dataset held.
#[derive(Debug)]
pub struct Kept {
    /// Its digest.
    pub digest: Digest,
    /// What the view showed, where its store can say.
    pub moment: Option<Moment>,
    /// Bytes read.
    pub bytes: u64,
}

/// Digests a dataset to its end. In a shared view, a view that is lost is an error; without one, another view is
/// opened and read anew.
///
/// # Errors
/// Those of the source.
pub async fn keep(request: &Request<'_>) -> Result<Kept> {
    let Request { side, scan, spec, .. } = *request;
    let capacity = Capacity::for_differences(request.capacity);
    let (view, sums, bytes) = match request.held {
        Some(held) => {
            let view = side.again("open a scan", || held.open(&side.cx, scan)).await?;
            let view: Arc<dyn paritas_connect::Scan> = Arc::from(view);
            let (sums, bytes) = side.digest_view(&view, spec, capacity, None).await?;
            (view, sums, bytes)
        }
        None => {
            let view = side.open(scan).await?;
            let read = side.digest(view, scan, spec, capacity).await?;
            (read.scan, read.sums, read.bytes)
        }
    };
    let facts = HeaderFacts { schema: request.schema, position: view.position(), store: side.store.name().to_owned() };
    let digest = Digest::new(spec, facts, sums).filtered(scan.filter.clone());
    Ok(Kept { digest, moment: view.moment(), bytes })
}
