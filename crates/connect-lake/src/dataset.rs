//! The one dataset that the files of a location are together.

use crate::failure;
use crate::listing::{self, Select};
use crate::partition::{FOLDER_TYPE, Partition};
use crate::site::Site;
use crate::source::{self, FoundFile, Root};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use paritas_connect::{Beside, Context, Error, FailureKind, Result};
use paritas_model::{Dataset, Schema};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Beginnings or ends of files that are read at a time over a network, at most.
const REMOTE_FILES_MAX: usize = 16;

/// Errors with `dataset.missing` unless it is the one dataset of a site.
pub(crate) fn check_name(site: &Site, dataset: &Dataset) -> Result<()> {
    if dataset.0 == site.dataset() {
        return Ok(());
    }
    let message = format!("there is no dataset {dataset} in {}", site.shown());
    Err(Error::new(FailureKind::Permanent, "dataset.missing", message)
        .hint(format!("this location holds one dataset, {}", site.dataset())))
}

/// The files of a location's dataset, sorted by name.
pub(crate) async fn files(
    cx: &Context,
    site: &Site,
    endings: &[&str],
    what: &str,
) -> Result<(Root, Vec<Arc<FoundFile>>)> {
    cx.check()?;
    let (root, select) = site.resolve(cx).await?;
    let found = listing::list(cx, &root, &select).await?;
    if let Some((_, error)) = found.troubles.into_iter().find(|(name, _)| !source::is_hidden(name)) {
        // Rows may hide behind it, so the rest is not the dataset.
        return Err(error);
    }
    let files: Vec<_> =
        found.files.into_iter().filter(|file| sort(&select, endings, &file.name) == Sort::Rows).map(Arc::new).collect();
    if files.is_empty() && !site.options().allow_empty {
        return Err(site.nothing(what));
    }
    Ok((root, files))
}

/// What a file is to a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// It holds rows.
    Rows,
    /// Its name says that it is none of the data.
    Hidden,
    /// It has another ending.
    Other,
}

fn sort(select: &Select, endings: &[&str], name: &str) -> Sort {
    let chosen = match select {
        Select::All => false,
        Select::One(_) => return Sort::Rows,
        Select::Pattern(_) => !name.contains('/'),
    };
    let lower = name.to_ascii_lowercase();
    match () {
        () if source::is_hidden(name) => Sort::Hidden,
        () if chosen || endings.iter().any(|ending| lower.ends_with(ending)) => Sort::Rows,
        () => Sort::Other,
    }
}

/// Files below the location that are not read, and whether others lie in folders of partitions.
pub(crate) async fn beside(cx: &Context, site: &Site, endings: &[&str]) -> Result<(Vec<Beside>, bool)> {
    let (root, select) = site.resolve(cx).await?;
    let found = listing::list(cx, &root, &select).await?;
    let troubles = found.troubles.into_iter().map(|(name, _)| name).filter(|name| source::is_hidden(name));
    let names: Vec<String> = found.files.into_iter().map(|file| file.name).chain(troubles).collect();
    let of =
        |wanted: Sort| names.iter().filter(|name| sort(&select, endings, name) == wanted).cloned().collect::<Vec<_>>();
    let hidden = "names like these are bookkeeping of other tools, not data";
    let others = format!("rows are read from files that end in {}", endings.join(" or "));
    let rows = of(Sort::Rows);
    let partitioned = Partition::of(rows.iter().map(String::as_str)).is_ok_and(|found| !found.names().is_empty());
    let lists =
        [Beside::of("hidden files", of(Sort::Hidden), hidden), Beside::of("other files", of(Sort::Other), &others)];
    Ok((lists.into_iter().flatten().collect(), partitioned))
}

/// Folders that name a column which the files hold themselves.
pub(crate) fn doubled(partition: &Partition, schema: &Schema) -> Option<Beside> {
    let in_files = |name: &&String| schema.column(name).is_some_and(|column| column.engine_type != FOLDER_TYPE);
    let names: Vec<_> = partition.names().iter().filter(in_files).cloned().collect();
    Beside::of("partition columns in names of folders", names, "the files hold these columns as well, and are read")
}

/// Does something with every file on threads that may block, some at a time, and takes the results
/// in the order of the files.
pub(crate) async fn each<T: Send + 'static>(
    cx: &Context,
    root: &Root,
    files: Vec<Arc<FoundFile>>,
    work: impl Fn(&Context, &Root, &Arc<FoundFile>, &Handle) -> Result<T> + Clone + Send + 'static,
    mut take: impl FnMut(T),
) -> Result<()> {
    let at_once = match root {
        Root::Local(_) => cx.parallel(),
        Root::Remote(_) => REMOTE_FILES_MAX,
    };
    let mut results = stream::iter(files)
        .map(|file| {
            let (cx, root, runtime, work) = (cx.clone(), root.clone(), Handle::current(), work.clone());
            async move {
                let done = tokio::task::spawn_blocking(move || work(&cx, &root, &file, &runtime)).await;
                done.map_err(|error| failure::internal("cannot read a file", error))?
            }
        })
        .buffered(at_once);
    while let Some(result) = cx.bound(results.try_next()).await? {
        take(result);
    }
    Ok(())
}
