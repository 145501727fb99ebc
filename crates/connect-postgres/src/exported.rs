//! A pinned view of a whole database: a transaction that exported its snapshot and stays open. Scans of any number of
//! tables import it, so that all of them show one moment.

use crate::errors::malformed;
use crate::positions;
use crate::scan::{BEGIN, PgScan};
use crate::session::{Session, get};
use crate::store::Inner;
use async_trait::async_trait;
use paritas_connect::{Context, GroupRequest, Held, Horizon, Moment, Result, Scan, ScanRequest};
use paritas_model::{Known, Position};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

const EXPORT: &str = "SELECT pg_export_snapshot(), pg_current_snapshot()::text";

/// The transaction that owns a view.
pub(crate) struct Exported {
    session: Mutex<Session>,
    name: String,
    in_recovery: bool,
    position: Known<Position>,
    moment: Moment,
}

impl fmt::Debug for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exported").field("name", &self.name).field("moment", &self.moment).finish_non_exhaustive()
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        self.session.get_mut().end_view();
    }
}

impl Exported {
    /// Pins a view.
    pub(crate) async fn begin(store: &Arc<Inner>, cx: &Context) -> Result<Self> {
        let session = store.connect(cx).await?;
        let history = positions::history(&session, cx).await?;
        let before = positions::lsn(&session, cx).await?;
        session.batch(cx, "begin the view", BEGIN).await?;
        let row = session.query_one(cx, "export the view", EXPORT, &[]).await?;
        let (name, text): (String, &str) = (get(&row, 0)?, get(&row, 1)?);
        let horizon = Horizon::parse(text).ok_or_else(|| malformed(format!("{text:?} for a snapshot")))?;
        let after = positions::lsn(&session, cx).await?;
        let in_recovery = session.facts.in_recovery;
        let (from, covers) = (positions::known(&history, before), positions::known(&history, after));
        let position = if in_recovery { from.clone() } else { covers.clone() };
        Ok(Self { session: Mutex::new(session), name, in_recovery, position, moment: Moment { from, covers, horizon } })
    }

    /// The session of the transaction, for questions that the view itself must answer.
    pub(crate) async fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().await
    }

    /// The name under which others import the view.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was pinned on a server that replays a log.
    pub(crate) fn in_recovery(&self) -> bool {
        self.in_recovery
    }

    /// On a primary, covers everything that the view shows; on a standby, everything before it is shown.
    pub(crate) fn position(&self) -> &Known<Position> {
        &self.position
    }

    /// What the view shows.
    pub(crate) fn moment(&self) -> &Moment {
        &self.moment
    }
}

/// A view that is shared by the scans of several tables.
#[derive(Debug)]
pub(crate) struct HeldView {
    store: Arc<Inner>,
    exported: Arc<Exported>,
}

impl HeldView {
    /// Pins a view.
    pub(crate) async fn begin(store: Arc<Inner>, cx: &Context) -> Result<Self> {
        let exported = Arc::new(Exported::begin(&store, cx).await?);
        Ok(Self { store, exported })
    }
}

#[async_trait]
impl Held for HeldView {
    fn moment(&self) -> Moment {
        self.exported.moment().clone()
    }

    async fn open(&self, cx: &Context, request: &ScanRequest) -> Result<Box<dyn Scan>> {
        let exported = Arc::clone(&self.exported);
        Ok(Box::new(PgScan::open_in(Arc::clone(&self.store), cx, request, exported).await?))
    }

    async fn open_grouped(&self, cx: &Context, request: &GroupRequest) -> Result<Known<Box<dyn Scan>>> {
        crate::grouped::open_in(Arc::clone(&self.store), cx, request, Arc::clone(&self.exported)).await
    }
}
