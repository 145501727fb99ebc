//! Where files lie: a path, a `file:` URL or a prefix of an object store.

use crate::listing::{self, Select};
use crate::remote;
use crate::source::{Remote, Root, escape};
use crate::{LakeOptions, failure, glob};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use paritas_connect::{Context, Error, FailureKind, ReplicaRole, Result, StoreIdentity};
use paritas_model::Known;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where files lie: a single file, a folder with everything below it, or a pattern over the names in
/// a folder (`*`, `?`, `[a-z]` in the last part of the path).
///
/// Accepted: a path, `file:///path`, `s3://bucket/prefix` (also `s3a:`), `gs://…` and `az://…` where
/// the features `gcs` and `azure` are on. Keys in object stores are taken as they are written, without
/// percent decoding. Nothing is touched before the first use.
#[derive(Clone)]
pub struct Location {
    inner: Arc<Inner>,
}

struct Inner {
    target: Target,
    shown: String,
    dataset: String,
    options: LakeOptions,
}

enum Target {
    Local(PathBuf),
    Remote(Remote),
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.inner.shown).finish()
    }
}

impl Location {
    /// Reads a path or URL.
    ///
    /// # Errors
    /// `config.url` for a URL that cannot be, that carries credentials, or of a kind that this
    /// program was built without.
    pub fn parse(text: &str, options: LakeOptions) -> Result<Self> {
        let wrong =
            |why: &str| Error::new(FailureKind::Permanent, "config.url", format!("cannot read the location: {why}"));
        let scheme = text.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let (target, shown) = match scheme {
            None if text.is_empty() => return Err(wrong("it is empty").hint("write a path or s3://bucket/prefix")),
            None => (Target::Local(PathBuf::from(text.strip_prefix("file:").unwrap_or(text))), text.to_owned()),
            Some((scheme, rest)) if scheme == "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(wrong("a file URL must have an absolute path").hint("write file:///path"));
                }
                let path = percent_encoding::percent_decode_str(path).collect::<Vec<u8>>();
                (Target::Local(PathBuf::from(std::ffi::OsStr::from_bytes(&path))), text.to_owned())
            }
            Some((scheme, rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.contains('@') || bucket.contains(':') {
                    // The text itself may hold a secret, so it is not repeated.
                    return Err(wrong("credentials or a port where the bucket's name belongs")
                        .hint("give credentials in the environment (AWS_ACCESS_KEY_ID ...) or in the options of the store, and the server as AWS_ENDPOINT_URL"));
                }
                if bucket.is_empty() {
                    return Err(wrong("the bucket is missing").hint("write s3://bucket/prefix"));
                }
                let prefix = ObjectPath::parse(prefix.trim_end_matches('/'))
                    .map_err(|error| wrong("its prefix cannot be a key").because(error))?;
                let remote = remote::connect(&scheme, bucket, prefix, &options)?;
                let shown = format!("{scheme}://{bucket}/{}", remote.prefix);
                (Target::Remote(remote), shown.trim_end_matches('/').to_owned())
            }
        };
        let dataset = dataset_name(&target, &shown);
        Ok(Self { inner: Arc::new(Inner { target, shown, dataset, options }) })
    }

    /// The location for reports. It never holds credentials.
    pub fn shown(&self) -> &str {
        &self.inner.shown
    }

    /// The options that it was made with.
    pub fn options(&self) -> &LakeOptions {
        &self.inner.options
    }

    /// The name of the dataset that these files are together: the last part of the path that is no
    /// pattern.
    pub(crate) fn dataset(&self) -> &str {
        &self.inner.dataset
    }

    /// Looks what is there now: where the files lie and which of them are meant.
    pub(crate) async fn resolve(&self, cx: &Context) -> Result<(Root, Select)> {
        match &self.inner.target {
            Target::Local(path) => resolve_local(path),
            Target::Remote(remote) => cx.bound(resolve_remote(remote)).await,
        }
    }

    /// What a store at this location says about itself.
    pub(crate) async fn probe(&self, cx: &Context) -> Result<StoreIdentity> {
        let (root, select) = self.resolve(cx).await?;
        let (version, identity) = match &root {
            Root::Local(path) => {
                fs::read_dir(path).map_err(|error| failure::io(format!("list {}", path.display()), error))?;
                let path = match &select {
                    Select::One(name) => path.join(std::ffi::OsStr::from_bytes(name)),
                    _ => path.clone(),
                };
                ("local files", escape(path.as_os_str().as_bytes()))
            }
            Root::Remote(remote) => {
                let list = async {
                    let listed = remote.store.list_with_delimiter(Some(&remote.prefix)).await;
                    listed.map_err(|error| failure::object(format!("list {}", self.shown()), error))
                };
                if !matches!(select, Select::One(_)) {
                    cx.bound(list).await?;
                }
                (remote.product, self.shown().to_owned())
            }
        };
        let role = ReplicaRole::Independent;
        Ok(StoreIdentity { version: version.to_owned(), identity: Known::Known(identity), role, limits: Vec::new() })
    }

    /// The error for a location without what was looked for.
    pub(crate) fn nothing(&self, what: &str) -> Error {
        let message = format!("there are no {what} below {}", self.shown());
        Error::new(FailureKind::Permanent, "dataset.missing", message)
            .hint("check the path; where an empty location is right, say allow_empty=true")
    }
}

fn resolve_local(path: &Path) -> Result<(Root, Select)> {
    let doing = || format!("open {}", path.display());
    let name = listing::last_part(path);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let real = fs::canonicalize(path).map_err(|error| failure::io(doing(), error))?;
            Ok((Root::Local(real), Select::All))
        }
        Ok(_) => {
            // A link to a single file is followed first: its folder is the root then.
            let real = fs::canonicalize(path).map_err(|error| failure::io(doing(), error))?;
            let parent = real.parent().unwrap_or(Path::new("/")).to_owned();
            Ok((Root::Local(parent), Select::One(listing::last_part(&real).to_owned())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && glob::is_pattern(name) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let real =
                fs::canonicalize(parent).map_err(|error| failure::io(format!("open {}", parent.display()), error))?;
            Ok((Root::Local(real), Select::Pattern(name.to_owned())))
        }
        Err(error) => Err(failure::io(doing(), error)),
    }
}

/// An object under the very name wins over a prefix; a pattern is one where neither could be.
async fn resolve_remote(remote: &Remote) -> Result<(Root, Select)> {
    let Some((parent, name)) = listing::split_last(&remote.prefix) else {
        return Ok((Root::Remote(remote.clone()), Select::All));
    };
    let at_parent = |select| (Root::Remote(Remote { prefix: parent.clone(), ..remote.clone() }), select);
    if glob::is_pattern(name.as_bytes()) {
        return Ok(at_parent(Select::Pattern(name.into_bytes())));
    }
    match remote.store.head(&remote.prefix).await {
        // Empty objects stand for folders more often than for data.
        Ok(meta) if meta.size > 0 => Ok(at_parent(Select::One(name.into_bytes()))),
        Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok((Root::Remote(remote.clone()), Select::All)),
        Err(error) => Err(failure::object(format!("look at {}", remote.prefix), error)),
    }
}

fn dataset_name(target: &Target, shown: &str) -> String {
    let parts: Vec<String> = match target {
        Target::Local(path) => {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            whole
                .components()
                .filter_map(|part| match part {
                    std::path::Component::Normal(name) => Some(escape(name.as_bytes())),
                    _ => None,
                })
                .collect()
        }
        Target::Remote(_) => {
            shown.split_once("://").map_or(shown, |(_, rest)| rest).split('/').map(str::to_owned).collect()
        }
    };
    let named = parts.iter().rev().find(|part| !part.is_empty() && !glob::is_pattern(part.as_bytes()));
    named.cloned().unwrap_or_else(|| "files".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/data/east/orders", "orders")]
    #[case("/data/east/orders/*.parquet", "orders")]
    #[case("/data/orders.parquet", "orders.parquet")]
    #[case("file:///data/a%20b/", "a b")]
    #[case("/", "files")]
    fn a_dataset_is_called_after_the_last_part_of_its_path(#[case] text: &str, #[case] name: &str) {
        assert_eq!(Location::parse(text, LakeOptions::default()).unwrap().dataset(), name);
    }

    #[rstest]
    #[case("s3://key:canary@bucket/x")]
    #[case("s3:///x")]
    #[case("file://host/x")]
    #[case("ftp://host/x")]
    #[case("s3://bucket/a//b")]
    #[case("")]
    fn locations_that_cannot_be_are_refused_without_showing_secrets(#[case] text: &str) {
        let error = Location::parse(text, LakeOptions::default()).unwrap_err();
        assert_eq!(error.code(), "config.url");
        assert!(!format!("{error:?} {error}").contains("canary"));
    }
}
