//! Going on with a run that was ended: which parts of its datasets are finished already.

use crate::error::{Error, Result};
use crate::job::Work as Job;
use paritas_connect::KeyRange;
use paritas_digest::Digest;
use paritas_state::{State, StateError, Which, Work};
use paritas_verify::Plan;
use paritas_verify::rows::{Done, Ledger};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// What a run verifies, as far as it decides whether another one can go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct What {
    /// Checksum of stores, datasets and choices.
    pub(crate) checksum: String,
    /// The same for people.
    pub(crate) named: String,
}

impl What {
    /// Of anything that says it.
    pub(crate) fn of(named: String, parts: &[&dyn std::fmt::Debug]) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Another version may see things differently.
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        for part in parts {
            hasher.update(format!("{part:?}\u{0}").as_bytes());
        }
        Self { checksum: hasher.finalize().to_hex().to_string(), named }
    }
}

/// Where this run keeps what it finishes, and which run it goes on with.
#[derive(Debug, Default)]
pub(crate) struct Resumption {
    work: Option<Work>,
    from: Option<Ulid>,
}

impl Resumption {
    /// Begins to keep parts, or goes on with those of another run.
    ///
    /// # Errors
    /// When a run is to be gone on with that is not there, or that verifies something else.
    pub(crate) fn begin(state: Option<&State>, id: Ulid, what: &What, resume: Option<Which>) -> Result<Self> {
        let refused = |error: &StateError| Error::usage(error.code(), error.message().to_owned(), error.hint_text());
        match (state, resume) {
            (None, None) => Ok(Self::default()),
            (None, Some(_)) => {
                let hint = "name the folder with --state DIR, or set `state` in [paritas]";
                Err(Error::usage("usage.resume", "there is no state folder, so no run can be gone on with", hint))
            }
            (Some(state), Some(which)) => {
                let (work, json) = state.load_work(which).map_err(|error| refused(&error))?;
                let before: What = serde_json::from_slice(&json).map_err(|_| other_run(&work, "something else"))?;
                if before != *what {
                    return Err(other_run(&work, &before.named));
                }
                Ok(Self { from: Some(work.id()), work: Some(work) })
            }
            (Some(state), None) => {
                let begun = serde_json::to_vec(what).ok().map(|json| state.begin_work(id, &json));
                let work = match begun {
                    Some(Ok(work)) => Some(work),
                    Some(Err(error)) => {
                        tracing::error!("cannot keep what is finished: {error}; hint: {}", error.hint_text());
                        None
                    }
                    None => None,
                };
                Ok(Self { work, from: None })
            }
        }
    }

    /// The run that is gone on with.
    pub(crate) fn from(&self) -> Option<Ulid> {
        self.from
    }

    /// Nothing is left to be gone on with.
    pub(crate) fn end(&self) {
        if let Some(work) = &self.work {
            work.end();
        }
    }

    /// The chains of the logs of a link.
    pub(crate) fn chains(&self, link: &str) -> Option<crate::logs::Chains> {
        self.work.clone().map(|work| crate::logs::Chains::new(work, link))
    }

    /// The ledger of one dataset.
    pub(crate) async fn ledger(&self, job: &Job<'_>, dataset: &str, plan: &Plan) -> Option<Parts> {
        let work = self.work.clone()?;
        // Values that may not be shown may not be kept either, and a masked part could not be gone on with.
        if job.options.privacy != paritas_report::Privacy::Show {
            return None;
        }
        // Which history a side belongs to, and which tables it has: parts of others say nothing.
        let (ours, theirs) = (standing(&job.sides.source).await?, standing(&job.sides.replica).await?);
        let (source, replica) = (&plan.source, &plan.replica);
        let options = job.options;
        let what = What::of(
            dataset.to_owned(),
            &[
                &(&source.dataset, &source.columns, &source.filter),
                &(&replica.dataset, &replica.columns, &replica.filter),
                &plan.canon,
                &plan.key,
                &(ours, theirs, job.sides.live, job.sides.physical),
                &(options.digest_key.id(), options.capacity, options.max_differences),
            ],
        );
        Some(Parts { work, link: job.job.name.clone(), dataset: dataset.to_owned(), what: what.checksum })
    }
}

/// The history and the catalog of a side, as far as it has any; `None` where they cannot be seen.
async fn standing(side: &paritas_verify::Side) -> Option<(Option<String>, Option<String>)> {
    let lineage = match side.store.positions() {
        Some(positions) => Some(side.cx.bound(positions.current(&side.cx)).await.ok()?.lineage.0),
        None => None,
    };
    let catalog = match side.store.datasets() {
        Some(datasets) => side.cx.bound(datasets.catalog_version(&side.cx)).await.ok()?,
        None => None,
    };
    Some((lineage, catalog))
}

fn other_run(work: &Work, named: &str) -> Error {
    let message = format!("run {} cannot be gone on with: it verifies {named}, or with other options", work.id());
    Error::usage("usage.resume", message, "repeat its command with --resume, or leave out --resume to begin anew")
}

/// The finished parts of one dataset.
#[derive(Debug)]
pub(crate) struct Parts {
    work: Work,
    link: String,
    dataset: String,
    what: String,
}

/// How a dataset is cut.
#[derive(Debug, Serialize, Deserialize)]
struct Cut {
    what: String,
    parts: Vec<Vec<KeyRange>>,
}

/// A finished part, and what it is a part of.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<D> {
    what: String,
    done: D,
}

impl Parts {
    fn complain(&self, error: &dyn std::fmt::Display) {
        tracing::warn!(dataset = self.dataset, "a finished part could not be kept: {error}");
    }
}

impl Ledger for Parts {
    fn parts(&self) -> Option<Vec<Vec<KeyRange>>> {
        let json = self.work.kept(&self.link, &self.dataset, "parts")?;
        let cut: Cut = serde_json::from_slice(&json).ok()?;
        (cut.what == self.what).then_some(cut.parts)
    }

    fn keep_parts(&self, parts: &[Vec<KeyRange>]) {
        // Parts of another cut must not be taken for parts of this one.
        self.work.forget(&self.link, &self.dataset);
        let cut = Cut { what: self.what.clone(), parts: parts.to_vec() };
        let kept = serde_json::to_vec(&cut).map(|json| self.work.keep(&self.link, &self.dataset, "parts", &json));
        match kept {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.complain(&error),
            Err(error) => self.complain(&error),
        }
    }

    fn part(&self, index: usize, ranges: &[KeyRange]) -> Option<(Done, Option<Digest>)> {
        let name = index.to_string();
        let json = self.work.kept(&self.link, &self.dataset, &name)?;
        let kept: Kept<Done> = serde_json::from_slice(&json).ok()?;
        let digest = self.work.kept_digest(&self.link, &self.dataset, &name);
        (kept.what == self.part_of(ranges)).then_some((kept.done, digest))
    }

    fn keep(&self, index: usize, ranges: &[KeyRange], done: &Done, digest: Option<&Digest>) {
        let name = index.to_string();
        if let Some(digest) = digest
            && let Err(error) = self.work.keep_digest(&self.link, &self.dataset, &name, digest)
        {
            return self.complain(&error);
        }
        // Last: with it the part counts as finished.
        let kept = Kept { what: self.part_of(ranges), done };
        match serde_json::to_vec(&kept).map(|json| self.work.keep(&self.link, &self.dataset, &name, &json)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.complain(&error),
            Err(error) => self.complain(&error),
        }
    }
}

impl Parts {
    fn part_of(&self, ranges: &[KeyRange]) -> String {
        What::of(String::new(), &[&self.what, &ranges]).checksum
    }
}
