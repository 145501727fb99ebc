//! The clock of a location: that of this machine, or the one that dates the answers of an object store.

use crate::site::Site;
use crate::source::{Remote, Root};
use crate::{failure, listing};
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use paritas_connect::{ClockReading, ClockShows, ClockStamp, Clocks, Context, Error, FailureKind, Result};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// `Date` has whole seconds, and servers renew it once a second: it is at most this much behind, in microseconds.
const RESOLUTION_US: i64 = 2_000_000 - 1;

/// The last answer that a client heard, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Option<ClockReading>>>);

impl Heard {
    fn take(&self) -> Option<ClockReading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    #[cfg_attr(not(any(feature = "s3", feature = "gcs", feature = "azure")), allow(dead_code))]
    fn put(&self, reading: ClockReading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
    }
}

#[async_trait]
impl Clocks for Site {
    async fn clock(&self, cx: &Context) -> Result<ClockReading> {
        let begin = ClockStamp::now();
        let (root, _) = self.resolve(cx).await?;
        let Root::Remote(_) = &root else {
            let Root::Local(path) = root else { return Err(Error::unsupported("a clock")) };
            return Ok(ClockReading { begin, end: ClockStamp::now(), shows: local(&path) });
        };
        let Some(remote) = self.remote() else { return Err(Error::unsupported("a clock")) };
        cx.bound(ask(remote)).await
    }

    fn method(&self) -> &'static str {
        if self.is_local() { "this machine" } else { "HTTP Date" }
    }
}

/// One request whose answer is dated, whatever it says.
async fn ask(remote: &Remote) -> Result<ClockReading> {
    // What earlier requests heard is of another time.
    let _ = remote.heard.take();
    let doing = || format!("ask {} for anything", remote.product);
    let answer = match listing::split_last(&remote.prefix) {
        Some(_) => remote.store.head(&remote.prefix).await.map(|_| ()),
        None => remote.store.list(Some(&remote.prefix)).try_next().await.map(|_| ()),
    };
    match (remote.heard.take(), answer) {
        (Some(reading), _) => Ok(reading),
        (None, Err(error)) => Err(failure::object(doing(), error)),
        (None, Ok(())) => Err(Error::new(FailureKind::Permanent, "store.unexpected", "a request had no answer")),
    }
}

/// Local files have the times of this machine, unless they lie on another one.
fn local(path: &Path) -> ClockShows {
    match elsewhere(path) {
        Ok(false) => ClockShows::Ours,
        Ok(true) => ClockShows::Untold {
            why: "the files lie on another machine, which shows its clock to those who write only".to_owned(),
        },
        Err(error) => ClockShows::Untold { why: format!("the kind of the file system is not known: {error}") },
    }
}

/// Whether a path lies on a file system of the network.
#[cfg(target_os = "linux")]
fn elsewhere(path: &Path) -> std::io::Result<bool> {
    // NFS, SMB, CIFS, SMB2, FUSE, 9P, Ceph, AFS, Coda, Lustre, VirtualBox. Source: statfs(2) and linux/magic.h.
    const NETWORKS: [i64; 11] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x00c3_6400,
        0x5346_414f,
        0x7375_7245,
        0x0bd0_0bd0,
        0x786f_4256,
    ];
    #[allow(clippy::useless_conversion)] // of another width on other machines
    let kind = i64::from(rustix::fs::statfs(path)?.f_type);
    Ok(NETWORKS.contains(&(kind & 0xffff_ffff)))
}

#[cfg(not(target_os = "linux"))]
fn elsewhere(_: &Path) -> std::io::Result<bool> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod listening {
    use super::{ClockReading, ClockStamp, Heard};
    use async_trait::async_trait;
    use object_store::ClientOptions;
    use object_store::client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
    };

    /// Makes the library's own clients, and notes when each answer came and how it was dated.
    #[derive(Debug)]
    pub(crate) struct Listening(pub(crate) Heard);

    #[derive(Debug)]
    struct Listener {
        inner: HttpClient,
        heard: Heard,
    }

    impl HttpConnector for Listening {
        fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
            let inner = ReqwestConnector::default().connect(options)?;
            Ok(HttpClient::new(Listener { inner, heard: self.0.clone() }))
        }
    }

    #[async_trait]
    impl HttpService for Listener {
        async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
            let begin = ClockStamp::now();
            let answer = self.inner.execute(request).await;
            let end = ClockStamp::now();
            if let Ok(answer) = &answer {
                let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap_or_default());
                let shows = super::dated(header("date"), header("age").is_some());
                self.heard.put(ClockReading { begin, end, shows });
            }
            answer
        }
    }
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(crate) use listening::Listening;

/// What the headers of an answer say about the clock of whoever made it. Source: RFC 9110, section 6.6.1; RFC 9111,
/// section 5.1.
#[cfg_attr(not(any(feature = "s3", feature = "gcs", feature = "azure")), allow(dead_code))]
fn dated(date: Option<&str>, cached: bool) -> ClockShows {
    let untold = |why: &str| ClockShows::Untold { why: why.to_owned() };
    let Some(date) = date else { return untold("its answers have no Date") };
    if cached {
        return untold("its answers come from a cache (they have an Age), so their Date is old");
    }
    match jiff::fmt::rfc2822::parse(date) {
        Ok(at) => {
            let low_us = at.timestamp().as_microsecond();
            ClockShows::Time { low_us, high_us: low_us.saturating_add(RESOLUTION_US) }
        }
        Err(_) => untold("the Date of its answers is none"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_date_is_a_time_within_its_second_and_the_next_one() {
        let shows = dated(Some("Sun, 06 Nov 1994 08:49:37 GMT"), false);
        assert_eq!(shows, ClockShows::Time { low_us: 784_111_777_000_000, high_us: 784_111_778_999_999 });
    }

    #[test]
    fn answers_without_a_date_of_their_own_tell_nothing() {
        for (date, cached) in [(None, false), (Some("yesterday"), false), (Some("Sun, 06 Nov 1994 08:49:37 GMT"), true)]
        {
            assert!(matches!(dated(date, cached), ClockShows::Untold { .. }), "{date:?}");
        }
    }

    #[test]
    fn a_folder_of_this_machine_has_its_clock() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(local(folder.path()), ClockShows::Ours);
        assert!(matches!(local(Path::new("/nonexistent/folder")), ClockShows::Untold { .. }));
    }

    proptest! {
        #[test]
        fn any_header_is_a_time_or_none(text in ".{0,60}") {
            let _ = dated(Some(&text), false);
        }
    }
}
