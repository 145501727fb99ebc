//! One side of a link, tried again and again: looks, writes where the server takes writes, and says what came of it.
//!
//! Each side has a task of its own, so that a server that hangs does not keep the other side from being tried.

use super::clock::Clock;
use crate::error::problem_of;
use paritas_connect::{Context, Error, FailureKind, Heartbeat, Lineages, Look, Pen, Store, Written};
use paritas_model::{Ancestry, Known, Lsn};
use paritas_probe::{Attempt, Outcome, Side, Survivor};
use paritas_report::Problem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// Reading a history takes several round trips on new connections: so many times as long as an attempt.
const IDENTIFY_TIMEOUTS: u32 = 3;
/// And no less than this: nobody waits for it.
const IDENTIFY_MIN: Duration = Duration::from_secs(5);
/// So many writes in a row a history that could not be read is asked for again; later it is asked for less and less.
const TRIED_AT_ONCE: u64 = 8;

/// What a hand reports.
#[derive(Debug)]
pub(super) enum Event {
    /// An attempt, and why it failed if it did.
    Tried(Attempt, Option<Problem>),
    /// The history of a server that took a write.
    Identified { instance: String, timeline: u32, history: Result<Ancestry, Problem> },
}

/// What both hands share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) every: Duration,
    pub(super) timeout: Duration,
    pub(super) clock: Clock,
    /// The next number of a write.
    pub(super) sequence: AtomicU64,
    /// The row of the link.
    pub(super) key: String,
    pub(super) owner: String,
    pub(super) replaces: Option<String>,
    /// Whether heartbeats are written.
    pub(super) writes: bool,
    /// The run and the timeline of the old primary: its history is known.
    pub(super) old: (Vec<String>, u32),
}

/// One side.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) side: Side,
    pub(super) store: Arc<dyn Store>,
    pub(super) pen: Box<dyn Pen>,
    pub(super) shared: Arc<Shared>,
    pub(super) events: mpsc::Sender<Event>,
    /// What the server was when it was looked at last, on this connection.
    seen: Option<Look>,
    /// What a run of a server held before its first write.
    held: Option<(String, Survivor)>,
    /// Servers whose histories were read.
    identified: Vec<(String, u32)>,
    /// The history that is being read, and how often that was tried.
    asking: Option<Asking>,
}

/// A history that is read while writes go on.
#[derive(Debug)]
struct Asking {
    server: (String, u32),
    task: JoinHandle<bool>,
    /// Writes since the first try: it is tried again after twice as many each time.
    writes: u64,
}

/// What came of a try.
struct Tried {
    outcome: Outcome,
    problem: Option<Problem>,
}

impl Hand {
    pub(super) fn new(
        side: Side,
        store: Arc<dyn Store>,
        pen: Box<dyn Pen>,
        shared: Arc<Shared>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (known, timeline) = shared.old.clone();
        let identified = known.into_iter().map(|instance| (instance, timeline)).collect();
        Self { side, store, pen, shared, events, seen: None, held: None, identified, asking: None }
    }

    /// Tries at the interval until the run is cancelled or nobody listens.
    pub(super) async fn run(mut self, cx: Context) {
        let mut ticks = tokio::time::interval_at(Instant::now(), self.shared.every);
        // Late is late: attempts are not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = cx.cancel_token().cancelled() => return,
                _ = ticks.tick() => {}
            }
            let sent = self.shared.clock.now();
            let tried = self.attempt(&cx.clone().with_timeout(self.shared.timeout)).await;
            let ended = self.shared.clock.now();
            if cx.check().is_err() {
                // An attempt that was given up by us says nothing.
                return;
            }
            let took = match &tried.outcome {
                Outcome::Took { instance, timeline, .. } => Some((instance.clone(), *timeline)),
                _ => None,
            };
            let attempt = Attempt { side: self.side, sent, ended, outcome: tried.outcome };
            if self.events.send(Event::Tried(attempt, tried.problem)).await.is_err() {
                return;
            }
            if let Some(server) = took {
                self.identify(&cx, server).await;
            }
        }
    }

    async fn attempt(&mut self, cx: &Context) -> Tried {
        // A connection that was ended says nothing about the server: another one is made first.
        let look = match self.seen.take().filter(|_| self.shared.writes && self.pen.is_open()) {
            // A primary becomes a standby by a restart only, which ends the connection.
            Some(look) if !look.in_recovery => look,
            _ => match self.pen.look(cx).await {
                Ok(look) => look,
                Err(error) => return failed(&error),
            },
        };
        let tried = if look.in_recovery {
            Tried { outcome: Outcome::Down, problem: None }
        } else if self.shared.writes {
            self.write(cx, &look).await
        } else {
            self.watch(&look)
        };
        let keeps = matches!(tried.outcome, Outcome::Took { .. } | Outcome::Down) && tried.problem.is_none();
        self.seen = keeps.then_some(look);
        tried
    }

    /// Without writing: whether the server could take writes.
    fn watch(&self, look: &Look) -> Tried {
        let down = |message: &str, hint: &str| Tried {
            outcome: Outcome::Down,
            problem: Some(problem("store.read_only", message, hint)),
        };
        match (&look.waits, look.timeline) {
            _ if look.read_only => down("sessions are read only by default", "check default_transaction_read_only"),
            (Known::Known(true), _) => {
                down("commits wait for a standby that is not there", "check synchronous_standby_names")
            }
            (Known::Unknown { why }, _) => {
                Tried { outcome: Outcome::Void, problem: Some(problem("store.denied", why, "see the message")) }
            }
            (Known::Known(false), Some(timeline)) => Tried {
                outcome: Outcome::Took {
                    sequence: self.shared.sequence.fetch_add(1, Ordering::Relaxed),
                    instance: look.instance.clone(),
                    timeline,
                    reached: look.reached,
                    survivor: None,
                },
                problem: None,
            },
            (Known::Known(false), None) => Tried { outcome: Outcome::Void, problem: None },
        }
    }

    async fn write(&mut self, cx: &Context, look: &Look) -> Tried {
        let shared = Arc::clone(&self.shared);
        // What is there must be read before it is written over for the first time, also by a write without an answer.
        if self.held.as_ref().is_none_or(|(instance, _)| *instance != look.instance) {
            let survivor = match self.pen.read(cx, &shared.key).await {
                Ok(None) => Survivor::Missing,
                Ok(Some(row)) => Survivor::Row { owner: row.owner, sequence: row.sequence, timeline: row.timeline },
                Err(error) => return undecided(&error),
            };
            self.held = Some((look.instance.clone(), survivor));
        }
        let survivor = self.held.as_ref().map(|(_, survivor)| survivor.clone());
        let sequence = shared.sequence.fetch_add(1, Ordering::Relaxed);
        let beat = Heartbeat { key: &shared.key, owner: &shared.owner, replaces: shared.replaces.as_deref(), sequence };
        match self.pen.write(cx, &beat).await {
            Written::Acknowledged { timeline, reached } => {
                Tried { outcome: took(sequence, &look.instance, timeline, reached, survivor), problem: None }
            }
            Written::Foreign => {
                let message = "another probe writes the row of this link, or wrote a greater number";
                let hint = "stop the other probe, or name another table for it";
                Tried { outcome: Outcome::Void, problem: Some(problem("probe.taken", message, hint)) }
            }
            Written::Refused(error) => failed(&error),
            Written::Unknown(error) => Tried { outcome: Outcome::Unknown, problem: Some(problem_of(&error)) },
        }
    }

    /// Reads the history of a server that took a write: beside the writes, until it was read once.
    async fn identify(&mut self, cx: &Context, server: (String, u32)) {
        if self.identified.contains(&server) {
            return;
        }
        let mut writes = 1;
        if let Some(asking) = self.asking.take_if(|asking| asking.server == server) {
            writes = asking.writes + 1;
            if !asking.task.is_finished() || !writes.is_power_of_two() && asking.writes > TRIED_AT_ONCE {
                self.asking = Some(Asking { writes, ..asking });
                return;
            }
            // A task that was ended early did not read it.
            if asking.task.await.unwrap_or(false) {
                self.identified.push(server);
                return;
            }
        }
        let limit = (self.shared.timeout * IDENTIFY_TIMEOUTS).max(IDENTIFY_MIN);
        let (store, events, cx, asked) = (Arc::clone(&self.store), self.events.clone(), cx.clone(), server.clone());
        let task = tokio::spawn(async move {
            let (instance, timeline) = asked;
            let history = match store.lineages() {
                Some(lineages) => history(&cx, lineages, limit, &instance).await,
                None => Err(problem_of(&Error::unsupported("lineage"))),
            };
            let read = history.is_ok();
            // Nobody listens any more when the probe ends.
            events.send(Event::Identified { instance, timeline, history }).await.is_ok() && read
        });
        self.asking = Some(Asking { server, task, writes });
    }
}

fn took(sequence: u64, instance: &str, timeline: u32, reached: Lsn, survivor: Option<Survivor>) -> Outcome {
    Outcome::Took { sequence, instance: instance.to_owned(), timeline, reached: Some(reached), survivor }
}

/// The history of the very server that took the write.
async fn history(cx: &Context, lineages: &dyn Lineages, limit: Duration, instance: &str) -> Result<Ancestry, Problem> {
    let cx = cx.clone().with_timeout(limit);
    let standing = cx.bound(lineages.standing(&cx)).await.map_err(|error| problem_of(&error))?;
    if run_of(&standing.instance) != instance {
        let hint = "name a single host in the URL";
        return Err(problem("lineage.moved", "another server answered when the history was asked for", hint));
    }
    match standing.ancestry {
        Known::Known(ancestry) => Ok(ancestry),
        Known::Unknown { why } => Err(problem("lineage.unknown", &why, "let the user of the URL read the history")),
    }
}

/// The run of a server in [`paritas_connect::Standing::instance`], as a look names it.
pub(super) fn run_of(instance: &str) -> &str {
    instance.rsplit('/').next().unwrap_or(instance)
}

pub(super) fn problem(code: &str, message: &str, hint: &str) -> Problem {
    Problem { code: code.to_owned(), message: message.to_owned(), detail: None, hint: Some(hint.to_owned()) }
}

/// A failure before anything was committed. It counts only when it shows that the server took no writes, or when it
/// does not answer; a privilege that is missing or a row that is locked shows neither.
fn failed(error: &Error) -> Tried {
    let outcome = match (error.kind(), error.code()) {
        (FailureKind::Transient, "store.silent") => Outcome::Unknown,
        (FailureKind::Deadline, _)
        | (_, "store.unreachable" | "store.cancelled" | "store.read_only" | "store.full") => Outcome::Down,
        _ => Outcome::Void,
    };
    let mut problem = problem_of(error);
    if error.kind() == FailureKind::Deadline {
        // The words of the run's own deadline would mislead.
        problem = self::problem("store.unreachable", "no answer within --timeout", "check the network and the server");
    }
    Tried { outcome, problem: Some(problem) }
}

/// A failure on a connection that had just answered: what the server took then is open.
fn undecided(error: &Error) -> Tried {
    let tried = failed(error);
    Tried { outcome: if tried.outcome == Outcome::Down { Outcome::Unknown } else { tried.outcome }, ..tried }
}
