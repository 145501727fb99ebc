//! What the fuzz targets share: a runtime, a file in memory, stores over it, and the rule for their errors.

mod forged;
mod lake;
mod topic;

pub use forged::{Forged, Words, digest_bytes};
pub use lake::read_rows;
pub use topic::{Pairs, TopicStore, topic_rows};

use std::path::PathBuf;
use std::sync::{Once, OnceLock};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Lets panics unwind. libFuzzer's own hook ends the process before, and some panics of decoders, which have threads of
/// their own, are caught on purpose. Those that are not caught end the process all the same: on this thread in the
/// fuzzer, on others by [`expected`].
pub fn calm() {
    static ONCE: Once = Once::new();
    let fuzzer = std::thread::current().id();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        // libFuzzer's hook is the one that was there, so it is only asked on its own thread.
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().id() == fuzzer {
                usual(panic);
            }
        }));
    });
}

/// A runtime that lives as long as the process.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(4).enable_all().build().expect("a runtime")
    })
}

/// The path of the one file of this process that inputs are written to; in memory where the system has such a place.
pub fn place(name: &str) -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder for temporary files")
    });
    folder.path().join(name)
}

/// An error that hostile bytes may cause; any other one is a defect.
///
/// # Panics
/// When the error is an internal one: a panic on another thread, or a contradiction inside of the program.
pub fn expected(error: &paritas_connect::Error) {
    assert!(!error.code().starts_with("internal."), "{error:?}");
    assert!(!error.message().is_empty());
}
