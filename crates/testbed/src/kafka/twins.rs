//! Two clusters and a mirror between them, one set for all tests of a binary.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OnceCell;

use super::cluster::Cluster;
use super::install::Install;
use super::mirror::Mirror;
use super::mirror_options::MirrorOptions;
use super::options::Options;
use crate::Result;
use crate::scratch::Scratch;

/// Two clusters of one broker each, and a mirror from the first to the second.
///
/// Java takes its time to start, so tests that leave servers alone share one set:
///
/// ```no_run
/// # use paritas_testbed::kafka::{Topic, Twins};
/// # async fn test() -> paritas_testbed::Result<()> {
/// let Some(twins) = Twins::shared().await? else { return Ok(()) };
/// let orders = twins.name("orders");
/// twins.source.client()?.create(&Topic::new(&orders)).await?;
/// twins.mirror.wait_mirrored(&orders, 0, 0).await?;
/// # Ok(())
/// # }
/// ```
///
/// A test that wants another mirror, or one to pause or kill, starts its own between the shared clusters, with aliases
/// and topics of its own, so that it does not meet the others: [`Twins::own_mirror`].
#[derive(Debug)]
pub struct Twins {
    /// The mirror. First, so that it ends before its clusters.
    pub mirror: Mirror,
    /// The cluster that is copied.
    pub source: Cluster,
    /// The cluster with the copy.
    pub target: Cluster,
    names: AtomicU64,
}

impl Twins {
    /// Starts clusters `a` and `b`, both at the same time, and then the mirror.
    ///
    /// # Errors
    /// As [`Cluster::start`] and [`Mirror::start`].
    pub async fn start(install: &Install, scratch: &Scratch, options: MirrorOptions) -> Result<Self> {
        let (source, target) = tokio::join!(
            Cluster::start(install, scratch, "a", Options::default()),
            Cluster::start(install, scratch, "b", Options::default()),
        );
        let (source, target) = (source?, target?);
        let mirror = Mirror::start(&source, &target, options).await?;
        Ok(Self { mirror, source, target, names: AtomicU64::new(0) })
    }

    /// The set that all tests of this process share, of the version that [`Install::find`] finds; nothing where Kafka is
    /// missing and `PARITAS_REQUIRE_SERVERS` does not ask for it. The kernel ends its servers with the process, where
    /// `setpriv` is installed, and the next test binary removes the folder.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Install::unless_missing`].
    pub async fn shared() -> Result<Option<&'static Self>> {
        static SHARED: OnceCell<Option<Twins>> = OnceCell::const_new();
        let start = || async {
            match Install::unless_missing()? {
                Some(install) => Self::start(&install, &Scratch::new()?, MirrorOptions::default()).await.map(Some),
                None => Ok(None),
            }
        };
        Ok(SHARED.get_or_try_init(start).await?.as_ref())
    }

    /// A name for a topic, group or transaction that nobody else has: the word and a number.
    #[must_use]
    pub fn name(&self, word: &str) -> String {
        format!("{word}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Starts another mirror between the two, for these topics only. Its aliases are new ones, whatever the options say.
    ///
    /// # Errors
    /// As [`Mirror::start`].
    pub async fn own_mirror(&self, topics: &str, options: MirrorOptions) -> Result<Mirror> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let options = options.aliases(&format!("A{number}"), &format!("B{number}")).topics(topics);
        Mirror::start(&self.source, &self.target, options).await
    }
}
