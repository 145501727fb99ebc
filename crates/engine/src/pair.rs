//! `verify SOURCE REPLICA`: two stores named by URL or path.

use crate::job::{Job, verify_job};
use crate::keep::Keeper;
use crate::links::hide;
use crate::registry::{self, Secrets};
use crate::resume::What;
use crate::{Error, Monitor, Options, Result, Target};
use paritas_connect::Context;
use paritas_model::StoreKind;
use paritas_report::{Report, apply_privacy};

/// Verifies two stores named by URL or path.
///
/// # Errors
/// Usage errors (exit code 2), and stores that cannot be reached at all (exit code 3). Everything
/// after that is part of the report.
pub async fn verify_pair(
    cx: &Context,
    source: &str,
    replica: &str,
    options: &Options,
    monitor: &Monitor,
) -> Result<Report> {
    let (ours, theirs) = (Target::parse(source)?, Target::parse(replica)?);
    hide(options);
    if theirs.kind == StoreKind::Digest {
        let hint = "put the digest first: a stored digest stands in for a source that may be gone";
        return Err(Error::usage("usage.url", "a digest cannot be the replica", hint));
    }
    if ours.kind == StoreKind::Digest {
        let keeper = Keeper::begin(options, None);
        let link = crate::stored::verify(cx, &ours, &theirs, options, monitor).await?;
        let mut report = keeper.finish(None, vec![link], options.deny_warnings);
        apply_privacy(&mut report, options.privacy);
        keeper.report(cx, &report);
        return Ok(report);
    }
    if ours == theirs {
        let hint = "name two different stores: comparing a store with itself proves nothing";
        return Err(Error::usage("usage.same", "source and replica are the same", hint));
    }
    let databases = ours.kind == StoreKind::Postgres && theirs.kind == StoreKind::Postgres;
    if databases && ours.filter.is_some() != theirs.filter.is_some() {
        let hint = "write where= on both sides, each in the words of its own columns";
        return Err(Error::usage("usage.where", "a condition stands on one side only", hint));
    }
    same_privileges(&ours, &theirs)?;
    let job = job(&ours, &theirs)?;
    let what = What::of(job.name.clone(), &[&ours, &theirs, &options.policies]);
    let keeper = Keeper::begin(options, None).resumable(options, &what)?;
    let link = verify_job(cx, job, options, monitor, &keeper).await;
    let mut report = keeper.finish(None, vec![link], options.deny_warnings);
    // Before anything is kept: what may not be printed may not be stored either.
    apply_privacy(&mut report, options.privacy);
    keeper.report(cx, &report);
    Ok(report)
}

/// Two stores that were named by URL or path, opened.
pub(crate) fn job(source: &Target, replica: &Target) -> Result<Job> {
    let source = registry::open(source, Secrets::default(), None)?;
    let replica = registry::open(replica, Secrets::default(), None)?;
    Ok(Job {
        name: format!("{} -> {}", source.store.name(), replica.store.name()),
        tier: None,
        source,
        replica,
        include: Vec::new(),
        exclude: Vec::new(),
        overrides: Vec::new(),
        ledgers: Vec::new(),
        vitals: crate::vitals::Vitals::default(),
        figures_only: false,
        not_checked: Vec::new(),
    })
}

/// Owners and grants are facts of a schema that one side alone would never share with the other.
pub(crate) fn same_privileges(source: &Target, replica: &Target) -> Result<()> {
    const OPTION: &str = "privileges";
    if source.options.get(OPTION) == replica.options.get(OPTION) {
        return Ok(());
    }
    let hint = "write privileges=compare on both sides";
    Err(Error::usage("usage.privileges", "owners and grants are asked for on one side only", hint))
}
