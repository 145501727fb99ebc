//! The quick look at one dataset: what it may say, and when rows have to be read after all.

use crate::job::Work;
use crate::record;
use paritas_model::Verdict;
use paritas_report::{ParityCheck, Problem, RowCounts};
use paritas_verify::rows::{QuickLook, Request, quick_look};
use std::time::Instant;

/// Names of parts in a note, at most.
const NAMED_MAX: usize = 5;

/// The check, if the look was enough, or why it was not.
pub(crate) async fn look(work: &Work<'_>, request: &Request<'_>, started: Instant) -> Result<ParityCheck, String> {
    if !work.sides.physical {
        return Err("no quick look: the replica is no standby of the source".to_owned());
    }
    match quick_look(request).await {
        Ok(QuickLook::Equal { rows, parts }) => Ok(equal(request, rows, parts, started)),
        Ok(QuickLook::Differs(labels)) => {
            let more = if labels.len() > NAMED_MAX { ", ..." } else { "" };
            let named: Vec<&str> = labels.iter().take(NAMED_MAX).map(String::as_str).collect();
            Err(format!("quick look: sums differ in {}{more}; all rows were read", named.join(", ")))
        }
        Ok(QuickLook::Unavailable(why)) => Err(format!("no quick look: {why}")),
        Err((_, error)) => Err(format!("no quick look: {error}")),
    }
}

fn equal(request: &Request<'_>, rows: u64, parts: usize, started: Instant) -> ParityCheck {
    let problem = Problem {
        code: "quick.equal".to_owned(),
        message: "quick look equal".to_owned(),
        detail: Some(format!("the sums of hashes of {rows} rows in {parts} parts are equal, which is no proof")),
        hint: Some("leave out --quick for a proof".to_owned()),
    };
    let mut check = record::not_begun(request.dataset, problem);
    check.verdict = Verdict::Unknown;
    check.rows = RowCounts { source: Some(rows), replica: Some(rows), why: None };
    check.seconds = started.elapsed().as_secs_f64();
    check
}
