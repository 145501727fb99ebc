//! What belongs to the stores of a link beside its datasets.

use crate::error::problem_of;
use crate::job::{Failure, Work};
use crate::record;
use paritas_connect::{Error, Surrounding};
use paritas_model::{Dataset, Verdict};
use paritas_report::{Check, LinkReport, NotChecked};
use paritas_verify::rows::Origin;
use paritas_verify::{Side, catch_up, compare_surroundings, held};

/// The name of the check in reports.
const NAME: &str = "beside the tables";

/// Compares sequences, extensions and the like; with `owners` only what belongs to these (source,
/// replica) datasets.
pub(crate) async fn verify(work: &Work<'_>, owners: Option<(Vec<Dataset>, Vec<Dataset>)>, link: &mut LinkReport) {
    let sides = &work.sides;
    let engine = |side: &Side| side.store.datasets().and_then(paritas_connect::Datasets::wire_engine);
    // Other engines have other things.
    if engine(&sides.source).is_none() || engine(&sides.source) != engine(&sides.replica) {
        return;
    }
    let (ours, theirs, missed) = match read(work, owners).await {
        Ok(read) => read,
        Err((origin, problem)) => {
            let why = record::sided(origin, problem).message;
            link.not_checked.push(NotChecked { what: "sequences and extensions".to_owned(), why });
            return;
        }
    };
    // An index of a logical replica is made by its own rules.
    let kept = |all: Vec<Surrounding>| -> Vec<Surrounding> {
        all.into_iter().filter(|one| work.sides.physical || !one.copies_only).collect()
    };
    let (ours, theirs) = (kept(ours), kept(theirs));
    let mut found = compare_surroundings(&ours, &theirs);
    if let Some(why) = missed {
        // What is behind may be on its way.
        for delta in std::mem::take(&mut found.deltas) {
            link.not_checked.push(NotChecked { what: delta.what, why: why.clone() });
        }
    }
    link.not_checked.extend(found.not_checked.into_iter().map(|(what, why)| NotChecked { what, why }));
    if ours.is_empty() && theirs.is_empty() {
        return;
    }
    let check = record::schema(NAME, &found.deltas);
    debug_assert!(check.verdict != Verdict::Fail, "nothing here holds data");
    link.checks.push(Check::Schema(check));
}

/// The source first: a counter of a replica that has caught up since is not behind.
async fn read(
    work: &Work<'_>,
    owners: Option<(Vec<Dataset>, Vec<Dataset>)>,
) -> Result<(Vec<Surrounding>, Vec<Surrounding>, Option<String>), Failure> {
    let (ours, theirs) = owners.map_or((None, None), |(ours, theirs)| (Some(ours), Some(theirs)));
    let sides = &work.sides;
    let source = load(&sides.source, ours.as_deref()).await.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let missed = if sides.physical {
        let waited = catch_up(&sides.source, &sides.replica, work.options.settle).await;
        match waited.map_err(|(origin, error)| (origin, problem_of(&error)))? {
            None => held(&sides.source).await.map_err(|error| (Origin::Source, problem_of(&error)))?,
            missed => missed,
        }
    } else {
        None
    };
    let replica =
        load(&sides.replica, theirs.as_deref()).await.map_err(|error| (Origin::Replica, problem_of(&error)))?;
    Ok((source, replica, missed))
}

async fn load(side: &Side, owners: Option<&[Dataset]>) -> Result<Vec<Surrounding>, Error> {
    let datasets = side.store.datasets().ok_or_else(|| Error::unsupported("rows"))?;
    side.cx.bound(datasets.surroundings(&side.cx, owners)).await
}
