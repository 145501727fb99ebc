//! What a store says about replication at one moment: its own streams, what it follows and how, who
//! reads from it, and what it offers to be replicated.
//!
//! Free of any particular store: a write-ahead log, a partition and a replication stream all have an
//! end, a reader and a position. What only one kind of store knows is a named fact.

use crate::ReplicaRole;
use paritas_model::{Dataset, Known, Lineage, Stream};
use std::time::{Duration, Instant};

/// A position in the store's own way of writing, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Monotone inside the lineage.
    pub value: u64,
    /// As the store writes it.
    pub text: String,
}

/// Something that only this kind of store knows, for people: name and value.
pub type Fact = (&'static str, String);

/// The fact that the server it copies takes changes from somewhere else itself; its value is their names.
pub const FACT_RELAYED: &str = "subscriptions of its primary";

/// What a store said about replication, and when.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The question was about to be sent.
    pub begin: Instant,
    /// The answer was there.
    pub end: Instant,
    /// How it takes part in replication.
    pub role: ReplicaRole,
    /// What tells the store, with all its copies, from every other of its kind.
    pub identity: Known<String>,
    /// The running server and what of it is looked at; equal for one place under two names.
    pub place: Known<String>,
    /// Where changes go that are made here.
    pub scope: Option<String>,
    /// The server's clock, in seconds since 1970, somewhere between `begin` and `end`.
    pub clock: Known<f64>,
    /// Streams that others can follow from here.
    pub produced: Vec<Produced>,
    /// Streams of others that it follows.
    pub followed: Vec<Followed>,
    /// Who reads from it now.
    pub readers: Vec<Reader>,
    /// Places in its streams that it keeps for readers, connected or not.
    pub cursors: Vec<Cursor>,
    /// What else there is to know.
    pub facts: Vec<Fact>,
    /// What could not be seen, each with what to do.
    pub limits: Vec<String>,
}

/// A stream that others can follow.
#[derive(Debug, Clone)]
pub struct Produced {
    /// The stream.
    pub stream: Stream,
    /// The history that its positions belong to.
    pub lineage: Known<Lineage>,
    /// No change that anybody can see lies beyond it.
    pub end: Known<Mark>,
    /// No reader can have come further than this; not before `end`.
    pub limit: u64,
    /// Readers can have everything up to here; not beyond `end`.
    pub written: u64,
    /// What can be seen is written after that long at the latest, where the store promises that.
    pub settles: Option<Duration>,
    /// The first position that can still be read here.
    pub oldest: Known<Mark>,
}

/// A stream of another store that this one follows.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The stream, as reports call it.
    pub stream: Stream,
    /// The stream of the source that its positions lie in.
    pub of: Stream,
    /// Whether it replays that stream byte by byte; otherwise it applies what was decoded from it.
    pub physical: bool,
    /// The history that its positions belong to; unknown where only the source can say.
    pub lineage: Known<Lineage>,
    /// Everything up to here can be seen.
    pub applied: Known<Mark>,
    /// Everything up to here has arrived. It says nothing unless the feed is connected.
    pub received: Known<Mark>,
    /// Whether it says that it has applied what it received, but for the beginning of a record whose rest
    /// it waits for.
    pub drained: bool,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Where new changes come from.
    pub feed: Feed,
    /// The name under which the source keeps its place.
    pub cursor: Option<String>,
    /// Whether it can also read what its source has thrown away from an archive; `None` where that
    /// may not be seen.
    pub archive: Option<bool>,
    /// What is in its way.
    pub obstacles: Vec<Halt>,
    /// What else there is to know.
    pub facts: Vec<Fact>,
}

/// Where a replica takes new changes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// It is connected.
    Connected {
        /// To whom, as far as it says.
        from: String,
    },
    /// It reads an archive only.
    Archive,
    /// It is not connected.
    Cut {
        /// What is known about it.
        why: String,
    },
    /// It may not be seen.
    Unknown {
        /// Why, and what to do.
        why: String,
    },
}

/// Something in the way of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// Whether it cannot follow any more without a repair.
    pub fatal: bool,
    /// Whether it may be over in a moment, as a lock may.
    pub passing: bool,
    /// What it is, without a full stop.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Somebody who reads from a store now.
#[derive(Debug, Clone)]
pub struct Reader {
    /// What it calls itself.
    pub name: String,
    /// The cursor it uses.
    pub cursor: Option<String>,
    /// How far it was sent.
    pub sent: Option<u64>,
    /// What it says it has applied.
    pub applied: Option<u64>,
    /// Whether it takes a copy of the store, and follows nothing.
    pub copies: bool,
    /// What else there is to know.
    pub facts: Vec<Fact>,
}

/// A place that a store keeps for a reader.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// Its name.
    pub name: String,
    /// Whether row changes are decoded from it; otherwise it is for copies byte by byte.
    pub logical: bool,
    /// What of the store it is about; see [`Observation::scope`].
    pub scope: Option<String>,
    /// Whether it is in use now.
    pub active: bool,
    /// What its reader has confirmed.
    pub confirmed: Option<u64>,
    /// Why it cannot be read from any more.
    pub lost: Option<String>,
    /// Why it may soon be lost.
    pub endangered: Option<String>,
    /// Whether it lives on where a replica takes over: declared so, or copied from there. `None`
    /// where the store knows no such thing.
    pub survives: Option<bool>,
}

/// What a store offers for replication, and what it takes, dataset by dataset.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// All datasets that could be replicated.
    pub datasets: Vec<Dataset>,
    /// Whether there are more datasets than are listed.
    pub truncated: bool,
    /// Sets of datasets that are offered.
    pub offers: Vec<Offer>,
    /// What is taken from another store.
    pub takes: Vec<Take>,
}

/// A named set of datasets whose changes can be subscribed to.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// Kinds of changes that are left out, such as `delete`.
    pub without: Vec<String>,
    /// Its datasets.
    pub datasets: Vec<Offered>,
}

/// One dataset of an offer.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The dataset.
    pub dataset: Dataset,
    /// What subscribers see of it: itself, or its parts by their own names.
    pub members: Vec<Dataset>,
    /// The condition that rows must meet.
    pub filter: Option<String>,
    /// The columns that are offered, where not all are.
    pub columns: Option<Vec<String>>,
    /// Why its rows cannot be told apart in a change.
    pub unidentified: Option<String>,
}

/// A subscription to offers of another store.
#[derive(Debug, Clone)]
pub struct Take {
    /// Its name.
    pub name: String,
    /// The cursor at the source.
    pub cursor: Option<String>,
    /// Names of the offers.
    pub offers: Vec<String>,
    /// Datasets it takes, by their names here, with why one does not follow yet.
    pub datasets: Vec<(Dataset, Option<String>)>,
}

impl Observation {
    /// An observation that says nothing yet.
    pub fn nothing(begin: Instant, end: Instant, role: ReplicaRole) -> Self {
        Self {
            begin,
            end,
            role,
            identity: Known::unknown("the store did not say who it is"),
            place: Known::unknown("the store did not say where it is"),
            scope: None,
            clock: Known::unknown("the store did not say what time it is"),
            produced: Vec::new(),
            followed: Vec::new(),
            readers: Vec::new(),
            cursors: Vec::new(),
            facts: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// The cursor of that name.
    pub fn cursor(&self, name: &str) -> Option<&Cursor> {
        self.cursors.iter().find(|cursor| cursor.name == name)
    }

    /// Whoever reads with the cursor of that name now.
    pub fn reader(&self, cursor: &str) -> Option<&Reader> {
        self.readers.iter().find(|reader| reader.cursor.as_deref() == Some(cursor))
    }

    /// The stream of that name that others can follow from here.
    pub fn stream(&self, stream: &Stream) -> Option<&Produced> {
        self.produced.iter().find(|produced| produced.stream == *stream)
    }

    /// Whether a stream that `replica` follows by a cursor is one of this source: the cursor is here,
    /// is of the same kind, belongs to what is looked at here, and the replica has not come further
    /// than this source ever was. The replica must have been asked first.
    ///
    /// # Errors
    /// Why it is not, without a full stop.
    pub fn feeds(&self, followed: &Followed) -> Result<(), String> {
        let Some(name) = &followed.cursor else {
            return Err(format!("{} has no slot at any source", followed.stream.0));
        };
        let Some(cursor) = self.cursor(name) else {
            return Err(format!("the source has no replication slot {name:?}, which {} reads from", followed.stream.0));
        };
        if cursor.logical == followed.physical {
            return Err(format!("the slot {name:?} of the source is of another kind than {}", followed.stream.0));
        }
        if cursor.logical && cursor.scope != self.scope {
            let other = cursor.scope.as_deref().unwrap_or("none");
            return Err(format!("the slot {name:?} of the source is in another database ({other})"));
        }
        let connected = matches!(followed.feed, Feed::Connected { .. });
        if connected && !cursor.active {
            let stream = &followed.stream.0;
            return Err(format!("{stream} is connected, and nobody reads from the slot {name:?} of this source"));
        }
        let limit = self.stream(&followed.of).map(|produced| produced.limit);
        match (followed.applied.value(), limit) {
            (Some(applied), Some(limit)) if applied.value > limit => {
                Err(format!("{} is at {}, where this source has never been", followed.stream.0, applied.text))
            }
            _ => Ok(()),
        }
    }
}
