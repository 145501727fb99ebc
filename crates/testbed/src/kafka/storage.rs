//! Data folders of brokers, formatted without waiting for Java each time.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;

use super::install::Install;
use crate::{Error, Result, Scratch};

/// What tells a folder's cluster and node.
const META: &str = "meta.properties";
/// The first records of the cluster's metadata: features, users.
const BOOTSTRAP: &str = "bootstrap.checkpoint";

/// First records of folders that were formatted alike. Nothing in the records depends on the node or the cluster, so
/// one run of the tool is enough for all servers of a test binary.
static FORMATTED: Mutex<BTreeMap<Like, Vec<u8>>> = Mutex::const_new(BTreeMap::new());

/// Libraries and further arguments.
type Like = (PathBuf, Vec<String>);

/// The data folder of a node that is to be made.
pub(super) struct Folder<'a> {
    pub path: &'a Path,
    pub cluster: &'a str,
    pub node: u32,
    /// The node's properties, which the tool reads.
    pub properties: &'a Path,
}

/// Makes an empty data folder.
pub(super) async fn format(install: &Install, scratch: &Scratch, folder: &Folder<'_>, more: &[String]) -> Result<()> {
    let key = (install.libraries().to_path_buf(), more.to_vec());
    let mut formatted = FORMATTED.lock().await;
    let bootstrap = folder.path.join(BOOTSTRAP);
    if let Some(bytes) = formatted.get(&key) {
        fs::create_dir_all(folder.path).map_err(Error::io("create the data folder", folder.path))?;
        fs::write(&bootstrap, bytes).map_err(Error::io("write", &bootstrap))?;
        let meta = format!(
            "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
            folder.cluster,
            folder.node,
            random_id()
        );
        let path = folder.path.join(META);
        return fs::write(&path, meta).map_err(Error::io("write", &path));
    }
    let properties = folder.properties.display().to_string();
    let mut args = vec!["format", "-t", folder.cluster, "-c", &properties];
    args.extend(more.iter().map(String::as_str));
    install.tool(scratch, "kafka.tools.StorageTool", &args).await?;
    formatted.insert(key, fs::read(&bootstrap).map_err(Error::io("read", &bootstrap))?);
    Ok(())
}

/// Sixteen random bytes as Kafka writes them: 22 characters, of which the last has two bits.
pub(super) fn random_id() -> String {
    const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let digit = |_| {
        let random = RandomState::new().build_hasher().finish() % DIGITS.len() as u64;
        usize::try_from(random).ok().and_then(|at| DIGITS.get(at)).map_or('A', |digit| char::from(*digit))
    };
    (0..21).map(digit).chain(['A']).collect()
}
