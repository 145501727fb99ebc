//! Clients of one cluster: made when they are needed, kept while they work, asked with patience.

use crate::bindings::{Client, Event, Fault, Overview, Queue, Request};
use crate::errors::{Asker, On};
use crate::heard::Heard;
use crate::options::Settings;
use crate::pins::Pins;
use crate::{codes, errors};
use paritas_connect::logs::Isolation;
use paritas_connect::{Context, Error, FailureKind, Result};
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// A thread that waits looks this often whether it still has to.
pub(crate) const SLICE: Duration = Duration::from_millis(100);
/// No request is waited for longer than this, connecting included.
const REQUEST_MAX: Duration = Duration::from_secs(15);
/// When no broker can be reached, one may come back within this time.
const ALL_DOWN_MAX: Duration = Duration::from_secs(1);
/// A cluster without a controller may elect one within this time.
const ELECTION_MAX: Duration = Duration::from_secs(2);
/// A client whose answers nobody waits for any more is kept for them this long, and ended then.
const LATE_MAX: Duration = Duration::from_secs(20);

/// A client that is open, and what it says.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) client: Arc<Client>,
    pub(crate) heard: Arc<Heard>,
}

/// An answer, and when it was there.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) event: Event,
    pub(crate) at: Instant,
}

/// All clients of one cluster.
#[derive(Debug)]
pub(crate) struct Line {
    settings: Settings,
    pub(crate) asker: Asker,
    /// The one that is asked.
    asked: Mutex<Option<Arc<Open>>>,
    /// Those that have read to the end and wait for the next ranges, one for each isolation.
    idle: Mutex<Vec<(Isolation, Arc<Open>)>>,
    /// Whether no broker controlled the others when the cluster was last looked at: requests for a controller would
    /// wait until there is one.
    uncontrolled: AtomicBool,
    /// What the last survey saw.
    pub(crate) pins: Pins,
}

impl Line {
    pub(crate) fn new(settings: Settings, bootstrap: String) -> Self {
        let asker = Asker { bootstrap, user: settings.user.clone(), identified: settings.identified };
        Self {
            settings,
            asker,
            asked: Mutex::default(),
            idle: Mutex::default(),
            uncontrolled: AtomicBool::new(false),
            pins: Pins::default(),
        }
    }

    /// Whether certificates of brokers are believed without looking.
    pub(crate) fn is_trusting(&self) -> bool {
        self.settings.trusting
    }

    /// Whether there was no controller at the last look.
    pub(crate) fn is_uncontrolled(&self) -> bool {
        self.uncontrolled.load(Ordering::Acquire)
    }

    fn open(&self, isolation: Isolation) -> Result<Arc<Open>> {
        let heard = Arc::new(Heard::default());
        let client = Client::open(self.settings.conf(isolation)?, Arc::clone(&heard) as _).map_err(|said| {
            // The library checks files and combinations of settings only here.
            let code = if said.contains("ssl.") || said.contains("SSL") { "store.tls" } else { "config.url" };
            Error::new(FailureKind::Permanent, code, "the client of the cluster cannot be made")
                .detail(said)
                .hint("check the settings in the URL and the files that they name")
        })?;
        Ok(Arc::new(Open { client: Arc::new(client), heard }))
    }

    /// The client that is asked.
    fn asked(&self) -> Result<Arc<Open>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*asked {
            return Ok(Arc::clone(open));
        }
        let open = self.open(Isolation::Committed)?;
        *asked = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Leaves a client that reached nobody; the next one begins afresh, and says again what is wrong.
    fn forget(&self, open: &Arc<Open>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, open)) {
            *asked = None;
        }
    }

    /// The next request is sent by a new client. The library keeps who leads a partition, and the epoch of that, as long
    /// as its connections live, and asks with them again when a broker has refused them for offsets: a leader that was
    /// another one for a moment would refuse for ever.
    pub(crate) fn begin_afresh(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A client that reads nothing yet.
    pub(crate) fn reader(&self, isolation: Isolation) -> Result<Arc<Open>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match idle.iter().position(|(kept, _)| *kept == isolation) {
            Some(at) => Ok(idle.swap_remove(at).1),
            None => {
                drop(idle);
                self.open(isolation)
            }
        }
    }

    /// Keeps a client that has read to the end for the next ranges.
    pub(crate) fn give_back(&self, isolation: Isolation, open: Arc<Open>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.iter().all(|(kept, _)| *kept != isolation) {
            idle.push((isolation, open));
        }
    }

    /// Sends requests at once and waits for all answers, in the order of the requests. Blocks.
    ///
    /// # Errors
    /// `run.deadline`, `run.cancelled`, or what keeps the cluster from being reached.
    pub(crate) fn ask(&self, cx: &Context, doing: &str, requests: &[Request<'_>]) -> Result<Vec<Answer>> {
        cx.check()?;
        let open = self.asked()?;
        let begun = Instant::now();
        let patience = patience(cx);
        let broken = |fault: &Fault| self.asker.failed(doing, fault, "Describe", On::Cluster);
        let queue = Queue::new(&open.client).map_err(|fault| broken(&fault))?;
        let mut waiting = Waiting { line: self, open: &open, queue: Some(queue), missing: 0 };
        for (tag, request) in requests.iter().enumerate() {
            waiting.ask(*request, tag).map_err(|fault| broken(&fault))?;
        }
        let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
        while waiting.missing > 0 {
            cx.check()?;
            if let Some(event) = waiting.poll(SLICE) {
                let at = Instant::now();
                let tag = event.tag();
                if let Some(slot) = answers.get_mut(tag).filter(|slot| slot.is_none()) {
                    *slot = Some(Answer { event, at });
                    waiting.missing -= 1;
                }
                continue;
            }
            let all_down = begun.elapsed() > ALL_DOWN_MAX && open.heard.all_down_since(begun);
            if all_down || begun.elapsed() > patience {
                return Err(self.unreached(cx, doing, &open.heard, None));
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The cluster, its brokers and all topics that may be seen. A controller that is being elected is waited for
    /// briefly. Blocks.
    ///
    /// # Errors
    /// `store.changed` when it is not the cluster that was surveyed, and what keeps it from being reached.
    pub(crate) fn overview(&self, cx: &Context) -> Result<Overview> {
        let overview = self.whole(cx)?;
        self.pins.check_cluster(&overview)?;
        Ok(overview)
    }

    /// The same for a survey, which may be one of another cluster, after it has said so once. Blocks.
    pub(crate) fn overview_anew(&self, cx: &Context) -> Result<Overview> {
        let overview = self.whole(cx)?;
        let checked = self.pins.check_cluster(&overview);
        self.pins.expect_cluster(&overview);
        checked.map(|()| overview)
    }

    fn whole(&self, cx: &Context) -> Result<Overview> {
        let begun = Instant::now();
        loop {
            let overview = self.look(cx)?;
            let uncontrolled = overview.controller.is_none();
            // Who was without one a moment ago is not waited for again.
            if !uncontrolled || self.is_uncontrolled() || begun.elapsed() > ELECTION_MAX {
                self.uncontrolled.store(uncontrolled, Ordering::Release);
                return Ok(overview);
            }
            std::thread::sleep(SLICE);
        }
    }

    fn look(&self, cx: &Context) -> Result<Overview> {
        cx.check()?;
        let doing = "ask who the cluster is";
        let open = self.asked()?;
        let (begun, patience) = (Instant::now(), patience(cx));
        let (sender, receiver) = mpsc::sync_channel(1);
        let client = Arc::clone(&open.client);
        // The library cannot be interrupted here.
        let work = move || sender.send(client.overview(patience));
        std::thread::Builder::new().name("kafka-overview".to_owned()).spawn(work).map_err(no_thread)?;
        let fault = loop {
            match receiver.recv_timeout(SLICE) {
                Ok(Ok(overview)) => return Ok(overview),
                Ok(Err(fault)) => break Some(fault),
                Err(mpsc::RecvTimeoutError::Disconnected) => break None,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            cx.check()?;
            if begun.elapsed() > ALL_DOWN_MAX && open.heard.all_down_since(begun) {
                break None;
            }
        };
        self.forget(&open);
        Err(match fault {
            Some(fault) => self.failure(cx, doing, &fault, "Describe", On::Cluster, &open.heard),
            None => self.unreached(cx, doing, &open.heard, None),
        })
    }

    /// A request that was answered with a failure, by the client that is asked.
    pub(crate) fn failed(&self, cx: &Context, doing: &str, fault: &Fault, operation: &str, on: On<'_>) -> Error {
        match self.asked() {
            Ok(open) => self.failure(cx, doing, fault, operation, on, &open.heard),
            Err(error) => error,
        }
    }

    /// A failure of one client.
    pub(crate) fn failure(
        &self,
        cx: &Context,
        doing: &str,
        fault: &Fault,
        operation: &str,
        on: On<'_>,
        heard: &Heard,
    ) -> Error {
        match codes::is_connection(fault.code) {
            true => self.unreached(cx, doing, heard, Some(fault)),
            false => self.asker.failed(doing, fault, operation, on),
        }
    }

    /// Why nobody answered.
    pub(crate) fn unreached(&self, cx: &Context, doing: &str, heard: &Heard, fault: Option<&Fault>) -> Error {
        match cx.check() {
            // What was heard says more than that time ran out.
            Err(over) if !heard.any() || over.kind() == FailureKind::Cancelled => over,
            _ => self.asker.unreachable(doing, heard, fault),
        }
    }
}

/// Answers that are waited for. When they are not any more, their client is left.
struct Waiting<'a> {
    line: &'a Line,
    open: &'a Arc<Open>,
    queue: Option<Queue>,
    missing: usize,
}

impl Waiting<'_> {
    fn ask(&mut self, request: Request<'_>, tag: usize) -> Result<(), Fault> {
        self.queue.as_ref().map_or(Ok(()), |queue| queue.ask(request, tag))?;
        self.missing += 1;
        Ok(())
    }

    fn poll(&self, wait: Duration) -> Option<Event> {
        self.queue.as_ref()?.poll(wait)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take().filter(|_| self.missing > 0) else { return };
        self.line.forget(self.open);
        let (begun, mut missing) = (Instant::now(), self.missing);
        // Ending a client is safest when it has nothing to do any more. Where no thread can be had it ends at once.
        let late = move || {
            while missing > 0 && begun.elapsed() < LATE_MAX {
                missing -= usize::from(queue.poll(SLICE).is_some());
            }
        };
        let _ = std::thread::Builder::new().name("kafka-late".to_owned()).spawn(late);
    }
}

/// How long a request is waited for: long enough to say why there is no answer before time runs out.
fn patience(cx: &Context) -> Duration {
    match cx.remaining() {
        Some(left) => left.saturating_sub(SLICE * 2).clamp(SLICE, REQUEST_MAX),
        None => REQUEST_MAX,
    }
}

fn no_thread(error: std::io::Error) -> Error {
    Error::new(FailureKind::Transient, "store.busy", "no thread can be started for the client").because(error)
}

/// Runs work that blocks in a thread of its own. Returns as soon as `cx` ends, also before the thread does, which then
/// finds out by itself.
pub(crate) async fn apart<T: Send + 'static>(
    cx: &Context,
    what: impl Display,
    work: impl FnOnce(&Context) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let inside = cx.clone();
    let thread = std::thread::Builder::new().name(format!("kafka-{what}"));
    thread
        .spawn(move || {
            // Nobody waits any more where the other end is gone.
            let _ = sender.send(work(&inside));
        })
        .map_err(no_thread)?;
    let lost = || Error::new(FailureKind::Permanent, "store.unexpected", "a thread of the client ended without a word");
    cx.bound(async { receiver.await.unwrap_or_else(|_| Err(lost())) }).await
}

/// An error for a partition in a list of results, rather than for the whole request.
pub(crate) fn why(asker: &Asker, fault: &Fault, partition: &paritas_connect::logs::Partition) -> String {
    match fault.code {
        codes::UNKNOWN_TOPIC | codes::LOCAL_UNKNOWN_TOPIC | codes::UNKNOWN_TOPIC_ID | codes::INVALID_TOPIC => {
            format!("there is no topic {}, or this user may not describe it", partition.log)
        }
        codes::LOCAL_UNKNOWN_PARTITION => format!("there is no partition {partition}"),
        codes::LEADER_NOT_AVAILABLE | codes::NO_ENTRY => format!("no broker leads {partition}"),
        codes::TOPIC_DENIED => {
            format!("not permitted: {}", asker.grant("Describe", On::Topic(&partition.log)))
        }
        code if errors::meaning(code).1 == "store.unreachable" => {
            format!("the broker that leads {partition} does not answer ({})", fault.said)
        }
        _ => format!("{partition}: {}", fault.said),
    }
}
