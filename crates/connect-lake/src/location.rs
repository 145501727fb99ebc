//! Where files lie: a path, a `file:` URL or a prefix of an object store.

use crate::glob;
use crate::source::escape;
use object_store::path::Path as ObjectPath;
use paritas_connect::{Error, FailureKind, Result};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, PathBuf};

/// Where files lie: a single file, a folder with everything below it, or a pattern over the names in
/// a folder (`*`, `?`, `[a-z]` in the last part of the path).
///
/// Accepted: a path, `file:///path`, `s3://bucket/prefix` (also `s3a:`), `gs://…` and `az://…` where
/// the features `gcs` and `azure` are on. Keys in object stores are taken as they are written, without
/// percent decoding. Nothing is touched before the first use.
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    target: Target,
    shown: String,
    dataset: String,
}

/// The parts of a location.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Local(PathBuf),
    Remote { scheme: String, bucket: String, prefix: ObjectPath },
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.shown).finish()
    }
}

impl Location {
    /// Reads a path or URL.
    ///
    /// # Errors
    /// `config.url` for a URL that cannot be or that carries credentials.
    pub fn parse(text: &str) -> Result<Self> {
        let scheme = text.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let (target, shown) = match scheme {
            None if text.is_empty() => {
                return Err(wrong("it is empty").hint("write a path or s3://bucket/prefix"));
            }
            None => (Target::Local(PathBuf::from(text.strip_prefix("file:").unwrap_or(text))), text.to_owned()),
            Some((scheme, rest)) if scheme == "file" => (file(rest)?, text.to_owned()),
            Some((scheme, rest)) => remote(scheme, rest)?,
        };
        let dataset = dataset_name(&target);
        Ok(Self { target, shown, dataset })
    }

    /// The location for reports. It never holds credentials.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The name of the dataset that the files are together: the last part of the path that is no
    /// pattern.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

fn wrong(why: &str) -> Error {
    Error::new(FailureKind::Permanent, "config.url", format!("cannot read the location: {why}"))
}

fn file(rest: &str) -> Result<Target> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(wrong("a file URL must have an absolute path").hint("write file:///path"));
    }
    let path = percent_encoding::percent_decode_str(path).collect::<Vec<u8>>();
    Ok(Target::Local(PathBuf::from(OsStr::from_bytes(&path))))
}

fn remote(scheme: String, rest: &str) -> Result<(Target, String)> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.contains(['@', ':']) {
        // The text itself may hold a secret, so it is not repeated.
        let hint = "give credentials in the environment (AWS_ACCESS_KEY_ID ...) or in the options of the store, and \
                    the server as AWS_ENDPOINT_URL";
        return Err(wrong("credentials or a port where the bucket's name belongs").hint(hint));
    }
    if bucket.is_empty() {
        return Err(wrong("the bucket is missing").hint("write s3://bucket/prefix"));
    }
    let prefix = ObjectPath::parse(prefix.trim_end_matches('/'))
        .map_err(|error| wrong("its prefix cannot be a key").because(error))?;
    let shown = format!("{scheme}://{bucket}/{prefix}").trim_end_matches('/').to_owned();
    Ok((Target::Remote { scheme, bucket: bucket.to_owned(), prefix }, shown))
}

fn dataset_name(target: &Target) -> String {
    let parts: Vec<String> = match target {
        Target::Local(path) => {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let names = whole.components().filter_map(|part| match part {
                Component::Normal(name) => Some(escape(name.as_bytes())),
                _ => None,
            });
            names.collect()
        }
        Target::Remote { bucket, prefix, .. } => {
            std::iter::once(bucket.clone()).chain(prefix.parts().map(|part| part.as_ref().to_owned())).collect()
        }
    };
    let named = parts.iter().rev().find(|part| !glob::is_pattern(part.as_bytes()));
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
    #[case("s3://bucket", "bucket")]
    #[case("s3://bucket/east/orders/*.csv", "orders")]
    fn a_dataset_is_called_after_the_last_part_of_its_path(#[case] text: &str, #[case] name: &str) {
        assert_eq!(Location::parse(text).unwrap().dataset(), name);
    }

    #[rstest]
    #[case("s3://key:canary@bucket/x")]
    #[case("s3:///x")]
    #[case("file://host/x")]
    #[case("s3://bucket/a//b")]
    #[case("")]
    fn locations_that_cannot_be_are_refused_without_showing_secrets(#[case] text: &str) {
        let error = Location::parse(text).unwrap_err();
        assert_eq!(error.code(), "config.url");
        assert!(!format!("{error:?} {error}").contains("canary"));
    }
}
