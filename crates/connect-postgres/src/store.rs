//! The store: a connection string, and one idle session kept for the next call.

use crate::conninfo::ConnInfo;
use crate::exported::HeldView;
use crate::observe::Kept;
use crate::scan::PgScan;
use crate::session::{self, Session};
use crate::who::Who;
use crate::{beside, columns, facts, probe, relation, wire};
use async_trait::async_trait;
use paritas_connect::{
    Beside, Context, CounterUse, Datasets, Description, GroupRequest, GroupsNow, Held, Lineages, LogMark, Pages,
    Places, Positions, QuickPart, QuickSum, Result, Scan, ScanRequest, Store, StoreIdentity, Surrounding, Writers,
};
use paritas_digest::{Canon, Incompatible, Policies};
use paritas_model::{Column, Dataset, Known, Schema, StoreKind};
use secrecy::SecretString;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A PostgreSQL database (14 or later). Nothing is ever written to it.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

/// How a store is opened, beyond its URL.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The password; wins over one in the URL, `PGPASSWORD` and the password file.
    pub password: Option<SecretString>,
    /// The name for reports; the URL without credentials unless set.
    pub name: Option<String>,
    /// Whether materialized views are datasets as well.
    pub materialized_views: bool,
    /// Whether every relation is split by ranges of its first key column, views and foreign tables
    /// too; otherwise only tables whose storage has no block ranges are. The key's values are read
    /// once more to find the ranges. Do not ask for it where a query can give other rows each time.
    pub split_by_key: bool,
    /// Whether a pooler between us and the server keeps one server session for each client. Otherwise a
    /// pooler is refused: settings and snapshots belong to sessions, and would meet others'.
    pub session_pooler: bool,
    /// Whether the owner of a table and the privileges granted on it belong to its schema.
    pub privileges: bool,
}

/// What scans and look-ups share with the store.
pub(crate) struct Inner {
    info: ConnInfo,
    name: String,
    materialized_views: bool,
    pub(crate) split_by_key: bool,
    privileges: bool,
    idle: Mutex<Option<Session>>,
    watch: Mutex<Option<Kept>>,
    /// The server of the first session.
    who: OnceLock<Who>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PostgresStore {
    /// Takes a `postgres://` or `postgresql://` URL or a `keyword=value` string in libpq's words,
    /// free of Paritas' own options. Does not connect yet.
    ///
    /// # Errors
    /// `config.url` for a string that is not understood, with the nearest valid parameter.
    pub fn from_url(url: &str, options: Options) -> Result<Self> {
        let mut info = ConnInfo::parse(url, options.password)?;
        info.session_pooler = options.session_pooler;
        let name = options.name.unwrap_or_else(|| info.display_name());
        let Options { materialized_views, split_by_key, privileges, .. } = options;
        let (idle, watch) = (Mutex::new(None), Mutex::new(None));
        let who = OnceLock::new();
        let inner = Inner { info, name, materialized_views, split_by_key, privileges, idle, watch, who };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl PostgresStore {
    pub(crate) fn shared(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Inner {
    /// A session with time-outs for this call: the idle one, or a new connection.
    pub(crate) async fn session(&self, cx: &Context) -> Result<Session> {
        cx.check()?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(session) = idle.filter(|session| !session.is_closed()) {
            match session.renew(cx).await {
                Ok(()) => return Ok(session),
                // It ended while nobody looked; a fresh one says what is wrong, if anything is.
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
        self.connect(cx).await
    }

    /// Keeps a session that is outside any transaction for the next call.
    pub(crate) fn give_back(&self, session: Session) {
        if !session.is_closed() {
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        }
    }

    /// The session that is kept for observing, if there is one.
    pub(crate) fn take_watch(&self) -> Option<Kept> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps a session for the next observation.
    pub(crate) fn keep_watch(&self, kept: Kept) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }

    /// A connection that understands replication commands, beside SQL by the simple protocol.
    pub(crate) async fn connect_for_replication(&self, cx: &Context) -> Result<Session> {
        session::connect(&ConnInfo { replication: true, ..self.info.clone() }, cx).await
    }

    /// The user that connects, by its own word.
    pub(crate) fn user(&self) -> &str {
        &self.info.user
    }

    /// A connection of its own, for a transaction that lasts. Fails where it ends at another server than the first
    /// one did.
    pub(crate) async fn connect(&self, cx: &Context) -> Result<Session> {
        let session = self.connect_to_any(cx).await?;
        self.who.get_or_init(|| session.facts.who.clone()).same(&session.facts.who)?;
        Ok(session)
    }

    /// A connection to whatever server is there now, for those who ask what it is.
    pub(crate) async fn connect_to_any(&self, cx: &Context) -> Result<Session> {
        session::connect(&self.info, cx).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Postgres
    }

    fn name(&self) -> &str {
        &self.inner.name
    }

    async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        let session = self.inner.session(cx).await?;
        let identity = probe::identity(&session, cx).await?;
        self.inner.give_back(session);
        Ok(identity)
    }

    fn positions(&self) -> Option<&dyn Positions> {
        Some(&*self.inner)
    }

    fn lineages(&self) -> Option<&dyn Lineages> {
        Some(&*self.inner)
    }

    fn clocks(&self) -> Option<&dyn paritas_connect::Clocks> {
        Some(&*self.inner)
    }

    fn heartbeats(&self) -> Option<&dyn paritas_connect::Heartbeats> {
        Some(self)
    }

    fn datasets(&self) -> Option<&dyn Datasets> {
        Some(self)
    }

    fn pages(&self) -> Option<&dyn Pages> {
        Some(self)
    }

    fn places(&self) -> Option<&dyn Places> {
        Some(&*self.inner)
    }

    fn writers(&self) -> Option<&dyn Writers> {
        Some(&*self.inner)
    }
}

#[async_trait]
impl Datasets for PostgresStore {
    async fn list(&self, cx: &Context) -> Result<Vec<Dataset>> {
        let session = self.inner.session(cx).await?;
        let names = relation::list(&session, cx, self.inner.materialized_views).await?;
        self.inner.give_back(session);
        Ok(names)
    }

    async fn list_copied(&self, cx: &Context) -> Result<Vec<Dataset>> {
        let session = self.inner.session(cx).await?;
        let tables = crate::large::tables(&session, cx).await?;
        self.inner.give_back(session);
        Ok(tables)
    }

    async fn beside(&self, cx: &Context) -> Result<Vec<Beside>> {
        let session = self.inner.session(cx).await?;
        let beside = beside::load(&session, cx, self.inner.materialized_views).await;
        self.inner.give_back(session);
        beside
    }

    async fn catalog_version(&self, cx: &Context) -> Result<Option<String>> {
        let session = self.inner.session(cx).await?;
        let version = crate::catalog::version(&session, cx).await;
        self.inner.give_back(session);
        version.map(Some)
    }

    async fn surroundings(&self, cx: &Context, owners: Option<&[Dataset]>) -> Result<Vec<Surrounding>> {
        let session = self.inner.session(cx).await?;
        let found = crate::surroundings::load(&session, cx, owners).await;
        self.inner.give_back(session);
        found
    }

    async fn newest(
        &self,
        cx: &Context,
        request: &paritas_connect::NewestRequest,
    ) -> Result<Known<paritas_connect::NewestSeen>> {
        let session = self.inner.session(cx).await?;
        let found = crate::clock::newest(&session, cx, request).await;
        self.inner.give_back(session);
        found.map(Known::Known)
    }

    async fn counters(&self, cx: &Context) -> Result<Vec<CounterUse>> {
        let session = self.inner.session(cx).await?;
        let found = crate::counters::load(&session, cx).await;
        self.inner.give_back(session);
        found
    }

    async fn describe(&self, cx: &Context, dataset: &Dataset) -> Result<Description> {
        let session = self.inner.session(cx).await?;
        let description = describe(&session, cx, dataset, self.inner.privileges).await;
        self.inner.give_back(session);
        description
    }

    async fn key_cuts(&self, cx: &Context, request: &ScanRequest, parts: usize) -> Result<Known<Vec<String>>> {
        // A session of its own: it ends with the settings it was given.
        let session = self.inner.connect(cx).await?;
        crate::cuts::find(&session, cx, request, parts).await
    }

    async fn quick_parts(&self, cx: &Context, request: &ScanRequest) -> Result<Known<Vec<QuickPart>>> {
        let session = self.inner.session(cx).await?;
        let parts = crate::quick::parts(&session, cx, request).await;
        self.inner.give_back(session);
        parts
    }

    async fn quick_sum(&self, cx: &Context, request: &ScanRequest, part: &QuickPart) -> Result<QuickSum> {
        // Parts are summed up side by side.
        let session = self.inner.connect(cx).await?;
        crate::quick::sum(&session, cx, request, part).await
    }

    fn wire_engine(&self) -> Option<&'static str> {
        Some(wire::ENGINE)
    }

    fn wire_canon(
        &self,
        source: &Description,
        replica: &Description,
        pairs: &[(String, String)],
        key: &[String],
        policies: Policies,
    ) -> Result<Canon, Vec<Incompatible>> {
        wire::canon(source, replica, pairs, key, policies)
    }

    async fn open_grouped(&self, cx: &Context, request: &GroupRequest) -> Result<Known<Box<dyn Scan>>> {
        crate::grouped::open(Arc::clone(&self.inner), cx, request).await
    }

    async fn groups_now(&self, cx: &Context, request: &GroupRequest, keys: &[Vec<u8>]) -> Result<GroupsNow> {
        let session = self.inner.session(cx).await?;
        let now = crate::grouped::now(&session, cx, request, keys).await?;
        self.inner.give_back(session);
        Ok(now)
    }

    async fn hold(&self, cx: &Context) -> Result<Option<Box<dyn Held>>> {
        Ok(Some(Box::new(HeldView::begin(Arc::clone(&self.inner), cx).await?)))
    }

    async fn mark(&self, cx: &Context, settle: Duration) -> Result<Option<Known<LogMark>>> {
        let session = self.inner.session(cx).await?;
        let mark = crate::ranged::mark(&session, cx, settle).await;
        self.inner.give_back(session);
        mark.map(Some)
    }

    async fn open(&self, cx: &Context, request: &ScanRequest) -> Result<Box<dyn Scan>> {
        Ok(Box::new(PgScan::open(Arc::clone(&self.inner), cx, request).await?))
    }
}

async fn describe(session: &Session, cx: &Context, dataset: &Dataset, privileges: bool) -> Result<Description> {
    let relation = relation::resolve(session, cx, dataset).await?;
    let (infos, types) = columns::load(session, cx, &relation).await?;
    let (key, facts, parts) = tokio::try_join!(
        columns::key(session, cx, &relation),
        facts::load(session, cx, &relation, &infos, &types, privileges),
        relation::parts(session, cx, &relation),
    )?;
    let rows: Option<u64> = parts.iter().map(|part| part.rows).sum();
    let columns = infos
        .iter()
        .map(|info| Column {
            name: info.name.clone(),
            engine_type: info.engine_type.clone(),
            logical: columns::logical(&types, info.type_oid, info.modifier),
            nullable: info.nullable,
        })
        .collect();
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let measured = matches!(relation.kind, 'r' | 'p' | 'm');
    Ok(Description {
        dataset: Dataset(relation.shown()),
        schema: Schema { columns, key, facts },
        rows_estimate: rows.filter(|_| measured).map_or_else(|| Known::unknown("not analysed yet"), Known::Known),
        bytes_estimate: if measured { Known::Known(bytes) } else { Known::unknown("this relation has no size") },
    })
}
