//! Where an observation is kept while a probe runs, so that one that is killed can go on.

use paritas_probe::Observation;
use paritas_state::{RunLock, State};
use ulid::Ulid;

/// The observations of a link, if there is a state folder.
pub(super) struct Shelf {
    state: Option<State>,
    link: String,
    id: Ulid,
    /// One probe of a link at a time writes here.
    _lock: Option<RunLock>,
}

impl Shelf {
    /// The observations of that link. A folder that cannot be used is said, and the probe goes on without.
    ///
    /// # Errors
    /// When another probe of this link holds the folder.
    pub(super) fn open(state: Option<&State>, link: &str, id: Ulid) -> Result<Self, paritas_state::StateError> {
        let mut shelf = Self { state: None, link: link.to_owned(), id, _lock: None };
        let Some(state) = state else { return Ok(shelf) };
        match state.lock_observed(link) {
            Ok(lock) => (shelf.state, shelf._lock) = (Some(state.clone()), Some(lock)),
            Err(error) if error.code() == "state.locked" => return Err(error),
            Err(error) => tracing::error!("cannot keep observations: {error}; hint: {}", error.hint_text()),
        }
        Ok(shelf)
    }

    /// The id of an observation that begins now.
    pub(super) fn id(&self) -> Ulid {
        self.id
    }

    /// Whether anything is kept.
    pub(super) fn keeps(&self) -> bool {
        self.state.is_some()
    }

    /// The newest observation of the link that can be read.
    pub(super) fn newest(&self) -> Option<Observation> {
        all(self.state.as_ref()?, &self.link).next().map(|(_, observation)| observation)
    }

    /// Whether a row was written by a probe whose observation is kept here.
    pub(super) fn owns(&self, owner: &str) -> bool {
        let Some(state) = &self.state else { return false };
        let ids = state.list_observed(&self.link).unwrap_or_default();
        ids.iter().any(|id| id.to_string() == owner)
    }

    /// Keeps an observation as it is now.
    pub(super) async fn save(&self, observation: &Observation) -> Result<(), String> {
        let Some(state) = self.state.clone() else { return Ok(()) };
        let json = serde_json::to_vec(observation).map_err(|error| error.to_string())?;
        let link = self.link.clone();
        let Ok(id) = observation.owner.parse::<Ulid>() else { return Err("the observation has no id".to_owned()) };
        let saved = tokio::task::spawn_blocking(move || state.save_observed(&link, id, &json)).await;
        match saved {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The observations of a link that can be read, newest first. What cannot be read is said.
pub(crate) fn all<'a>(state: &'a State, link: &'a str) -> impl Iterator<Item = (Ulid, Observation)> + 'a {
    let ids = state.list_observed(link).unwrap_or_else(|error| {
        tracing::warn!("cannot list observations: {error}");
        Vec::new()
    });
    ids.into_iter().rev().filter_map(move |id| {
        let read = state.load_observed(link, id).map_err(|error| error.to_string());
        let parsed =
            read.and_then(|json| serde_json::from_slice::<Observation>(&json).map_err(|error| error.to_string()));
        match parsed {
            Ok(observation) if observation.is_readable() => Some((id, observation)),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!("observation {id} cannot be used: {error}");
                None
            }
        }
    })
}
