//! Ctrl-C: the first ends the run in good order, the second at once.

use crate::failure::INTERRUPTED;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the run goes on while standard error takes nothing.
const SAYING_MAX: Duration = Duration::from_millis(200);

/// Whether the run was interrupted. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Waits for interrupts in the background: cancels `run` on the first, exits on the second. It does so until the
    /// process ends: also while a report is written that nobody reads.
    ///
    /// # Errors
    /// When the system refuses to hand signals over, or a thread.
    pub fn watch(run: CancellationToken) -> io::Result<Self> {
        // Of its own, because that of the run is over before the report is written.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        // Registered before anything is begun, so that no signal is lost.
        let mut signals = {
            let _inside = runtime.enter();
            Signals::register()?
        };
        let interrupt = Self::default();
        let seen = interrupt.clone();
        let wait = async move {
            signals.next().await;
            seen.0.store(true, Ordering::SeqCst);
            say("interrupted: finishing with what was found so far; interrupt again to stop at once\n");
            run.cancel();
            signals.next().await;
            crate::progress::clear();
            crate::watch::restore();
            std::process::exit(i32::from(INTERRUPTED));
        };
        std::thread::Builder::new().name("interrupts".to_owned()).spawn(move || runtime.block_on(wait))?;
        Ok(interrupt)
    }

    /// Whether there was one.
    pub fn seen(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Writes before the run ends, which would be before anything that follows; but for no longer than
/// [`SAYING_MAX`], because nobody may read it.
fn say(message: &'static str) {
    let (said, heard) = mpsc::channel();
    let saying = std::thread::Builder::new().name("interrupted".to_owned()).spawn(move || {
        crate::output::write_stderr(message.as_bytes());
        // The other end is gone only when it waited long enough.
        said.send(()).unwrap_or(());
    });
    if saying.is_ok() {
        heard.recv_timeout(SAYING_MAX).unwrap_or(());
    }
}

/// Ctrl-C and, where it exists, a request to terminate.
#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn register() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
