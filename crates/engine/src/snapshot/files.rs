//! Files of a replica against those of a snapshot.

use super::document::FilesKept;
use super::load::Loaded;
use super::take::{FILES, declared};
use crate::error::problem_of;
use crate::job::{Job, watched};
use crate::record;
use crate::{Monitor, Options};
use paritas_connect::Error;
use paritas_model::{Class, DifferenceCounts, Writes};
use paritas_report::{Against, Check};
use paritas_verify::Side;
use paritas_verify::files::{Outcome, compare};
use paritas_verify::rows::{Origin, Phase};
use std::time::Instant;

/// Compares the files of the replica with a listing that was kept.
pub(super) async fn verify(
    job: &Job,
    replica: &Side,
    options: &Options,
    monitor: &Monitor,
    (loaded, kept): (&Loaded, &FilesKept),
) -> Check {
    let started = Instant::now();
    let counters = monitor.begin("files");
    monitor.enter(Phase::Digesting);
    let side = watched(replica, &counters.replica);
    let mut outcome = Outcome::default();
    let read = match side.store.files() {
        Some(files) => side.cx.bound(files.manifest(&side.cx)).await,
        None => Err(Error::unsupported("files")),
    };
    let writes = declared(job, FILES).or(&kept.declared).writes.unwrap_or_default();
    let mut written_since = false;
    match read {
        Err(error) => outcome.problem = Some((Origin::Replica, error)),
        Ok(manifest) => {
            compare(kept.manifest(), manifest, options.max_differences, &mut outcome);
            written_since = settle(&mut outcome, writes);
        }
    }
    let problem = outcome.problem.as_ref().map(|(origin, error)| record::sided(*origin, problem_of(error)));
    let mut check = record::files("files", &outcome, started.elapsed());
    check.bytes_read.source = 0;
    check.problem = problem;
    check.against = Some(Against {
        snapshot: loaded.document.id.clone(),
        taken_at: loaded.document.taken_at.clone(),
        capacity: None,
        relation: "unordered".to_owned(),
        why: if written_since {
            "files may have been added, changed or removed since the snapshot, and nothing tells which: declare what \
             may happen to them with ?writes=none, inserts or upserts"
                .to_owned()
        } else {
            format!("declared with writes = {:?}", writes.as_str())
        },
        writes: writes.as_str().to_owned(),
        still: writes == Writes::None,
        written_since: 0,
        unsettled: None,
    });
    Check::Files(check)
}

/// What may have happened since is no proof of anything. Whether there is such a file.
fn settle(outcome: &mut Outcome, writes: Writes) -> bool {
    let proven = |class: Class| match writes {
        Writes::None => true,
        Writes::Inserts => class != Class::Extra,
        Writes::Upserts => class == Class::Lost,
        Writes::Any => false,
    };
    let counts = outcome.counts;
    let mut settled = DifferenceCounts { unverifiable: counts.unverifiable, ..DifferenceCounts::default() };
    for (class, count) in [(Class::Lost, counts.lost), (Class::Extra, counts.extra), (Class::Changed, counts.changed)] {
        let proof = if proven(class) { paritas_model::Proof::Proven } else { paritas_model::Proof::Unproven };
        settled.add(class, proof, count);
    }
    outcome.counts = settled;
    for item in &mut outcome.items {
        if item.class.is_some_and(|class| !proven(class)) {
            let note = "it may have been written since the snapshot";
            item.why = Some(item.why.take().map_or_else(|| note.to_owned(), |why| format!("{why}; {note}")));
        }
    }
    settled.unproven > 0
}
