//! A location with its client: what is there now.

use crate::listing::{self, Select};
use crate::location::Target as Parsed;
use crate::remote;
use crate::source::{Remote, Root, escape};
use crate::{LakeOptions, Location, failure, glob};
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use paritas_connect::{Context, Error, FailureKind, ReplicaRole, Result, StoreIdentity};
use paritas_model::Known;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A location, the options of its store, and a client where it needs one.
#[derive(Debug)]
pub(crate) struct Site {
    target: Target,
    location: Location,
    options: LakeOptions,
}

#[derive(Debug)]
enum Target {
    Local(PathBuf),
    Remote(Root),
}

impl Site {
    /// Makes the client. Nothing is sent yet.
    pub(crate) fn new(location: Location, options: LakeOptions) -> Result<Self> {
        let target = match location.target() {
            Parsed::Local(path) => Target::Local(path.clone()),
            Parsed::Remote { scheme, bucket, prefix } => {
                Target::Remote(Root::Remote(remote::connect(scheme, bucket, prefix.clone(), &options)?))
            }
        };
        Ok(Self { target, location, options })
    }

    /// The location for reports. It never holds credentials.
    pub(crate) fn shown(&self) -> &str {
        self.location.shown()
    }

    /// Whether it is a folder of this machine, or mounted there.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.target, Target::Local(_))
    }

    /// The object store, where it is one.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        match &self.target {
            Target::Remote(Root::Remote(remote)) => Some(remote),
            Target::Remote(Root::Local(_)) | Target::Local(_) => None,
        }
    }

    /// The options that it was made with.
    pub(crate) fn options(&self) -> &LakeOptions {
        &self.options
    }

    /// The name of the dataset that these files are together: the last part of the path that is no
    /// pattern.
    pub(crate) fn dataset(&self) -> &str {
        self.location.dataset()
    }

    /// Looks what is there now: where the files lie and which of them are meant.
    pub(crate) async fn resolve(&self, cx: &Context) -> Result<(Root, Select)> {
        cx.check()?;
        match &self.target {
            Target::Local(path) | Target::Remote(Root::Local(path)) => resolve_local(path),
            Target::Remote(Root::Remote(remote)) => cx.bound(resolve_remote(remote)).await,
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
        // A bucket's name says nothing about where its endpoint leads.
        let place = match (&root, &select) {
            (Root::Remote(_), _) => Known::unknown("objects are known by name only"),
            (Root::Local(_), Select::Pattern(pattern)) => Known::Known(format!("{identity}/{}", escape(pattern))),
            (Root::Local(_), _) => Known::Known(identity.clone()),
        };
        Ok(StoreIdentity {
            version: version.to_owned(),
            identity: Known::Known(identity),
            place,
            role: ReplicaRole::Independent,
            limits: Vec::new(),
        })
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
