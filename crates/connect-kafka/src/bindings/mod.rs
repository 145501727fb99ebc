//! The only place that calls librdkafka: handles that have an owner, and what comes back as plain values.
//!
//! Error codes are kept as numbers here and above: a broker may send one that this version of the library
//! has no name for, and such a number must never become a value of the library's enumeration. Every
//! client is a consumer without a group, so nothing can be written, joined or committed through it.
#![allow(unsafe_code)]

mod admin;
mod answers;
mod consume;

pub(crate) use admin::{Event, Queue, Request, Spec, Wanted};
pub(crate) use answers::{CommitsSeen, GroupState, OffsetSeen, Operations, TopicSeen};
pub(crate) use consume::{Feed, Message, Topic};

use paritas_connect::logs::{Broker, PartitionState};
use rdkafka::bindings as rd;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

/// The longest message about a setting or a client that is kept.
const ERROR_BYTES_MAX: usize = 512;
/// No answer to one request is waited for longer than this; the library refuses more than an hour.
const REQUEST_MAX: Duration = Duration::from_secs(3_600);

unsafe extern "C" {
    // The same functions as in the bindings, with a number in place of an enumeration.
    #[link_name = "rd_kafka_event_error"]
    fn event_error(event: *mut rd::rd_kafka_event_t) -> c_int;
    #[link_name = "rd_kafka_error_code"]
    fn error_code(error: *const rd::rd_kafka_error_t) -> c_int;
    #[link_name = "rd_kafka_err2str"]
    fn code_text(code: c_int) -> *const c_char;
    #[link_name = "rd_kafka_metadata"]
    fn all_metadata(
        rk: *mut rd::rd_kafka_t,
        all: c_int,
        only: *mut rd::rd_kafka_topic_t,
        metadata: *mut *const rd::rd_kafka_metadata,
        timeout_ms: c_int,
    ) -> c_int;
}

/// What went wrong, by the library's number (negative for its own, positive for a broker's) and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: i32,
    pub(crate) said: String,
}

impl Fault {
    /// A fault of which only the number is known.
    pub(crate) fn of(code: i32) -> Self {
        // SAFETY: takes any number, and returns a string that is never freed.
        let said = unsafe { text(code_text(code)) };
        Self { code, said: said.unwrap_or_default() }
    }

    /// The fault behind an error object; `None` where there is none.
    ///
    /// # Safety
    /// `error` is null or an error object that lives during this call.
    unsafe fn behind(error: *const rd::rd_kafka_error_t) -> Option<Self> {
        // SAFETY: as this function demands; the string belongs to the error object.
        let (code, said) = unsafe { (error_code(error), text(rd::rd_kafka_error_string(error))) };
        (code != 0).then(|| Self { code, said: said.unwrap_or_default() })
    }
}

/// Hears what the library says without being asked.
pub(crate) trait Ear: Send + Sync + 'static {
    /// A line of its log; a low level is a serious one.
    fn line(&self, level: i32, facility: &str, line: &str);
    /// A failure that belongs to no request: of a connection, mostly.
    fn fault(&self, fault: Fault);
    /// A certificate that was refused, by the number that OpenSSL has for the reason.
    fn refused(&self, reason: i32);
}

/// A copy of a string of the library.
///
/// # Safety
/// `from` is null or ends with a zero byte, and lives during this call.
unsafe fn text(from: *const c_char) -> Option<String> {
    // SAFETY: as this function demands.
    (!from.is_null()).then(|| unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned())
}

/// The elements of an array of the library.
///
/// # Safety
/// `from` is null or points to `count` elements that live as long as the slice is used.
unsafe fn elements<'a, T>(from: *const T, count: usize) -> &'a [T] {
    if from.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: as this function demands.
    unsafe { std::slice::from_raw_parts(from, count) }
}

/// The places of the elements of an array of the library.
///
/// # Safety
/// `from` is null or points to `count` elements that live as long as the iterator is used.
unsafe fn each<T>(from: *const T, count: usize) -> impl Iterator<Item = *const T> {
    // SAFETY: as this function demands, all of these are elements.
    (0..if from.is_null() { 0 } else { count }).map(move |index| unsafe { from.add(index) })
}

/// A name for the library; one with a zero byte in it exists nowhere.
fn name(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault::of(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG as i32))
}

fn millis(wait: Duration) -> c_int {
    c_int::try_from(wait.min(REQUEST_MAX).as_millis()).unwrap_or(c_int::MAX)
}

/// Why a setting was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no setting of this name.
    Unknown,
    /// Its value is not possible; the words may repeat it.
    Invalid(String),
}

/// Settings of a client that is not there yet.
#[derive(Debug)]
pub(crate) struct Conf(NonNull<rd::rd_kafka_conf_t>);

// SAFETY: a configuration has one owner and no thread of its own.
unsafe impl Send for Conf {}

impl Conf {
    /// The settings that the library takes by itself.
    pub(crate) fn new() -> Result<Self, Fault> {
        // SAFETY: takes nothing; what it returns is owned by us.
        let conf = unsafe { rd::rd_kafka_conf_new() };
        NonNull::new(conf).map(Self).ok_or_else(|| Fault::of(-1))
    }

    /// Sets one.
    pub(crate) fn set(&mut self, setting: &str, value: &str) -> Result<(), Refusal> {
        let setting = CString::new(setting).map_err(|_| Refusal::Unknown)?;
        let value = CString::new(value).map_err(|_| Refusal::Invalid("it holds a zero byte".to_owned()))?;
        let mut said = [0_u8; ERROR_BYTES_MAX];
        // SAFETY: both strings end with a zero byte and are copied; the buffer has the length that is given.
        let result = unsafe {
            rd::rd_kafka_conf_set(
                self.0.as_ptr(),
                setting.as_ptr(),
                value.as_ptr(),
                said.as_mut_ptr().cast(),
                said.len(),
            )
        };
        match result {
            rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => Err(Refusal::Unknown),
            rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => Err(Refusal::Invalid(buffer_text(&said))),
        }
    }

    /// The names of all settings that there are.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut count = 0;
        // SAFETY: the array holds `count` strings, names and values in turn, until it is freed; all are copied.
        unsafe {
            let all = rd::rd_kafka_conf_dump(self.0.as_ptr(), &raw mut count);
            let names = elements(all, count).iter().step_by(2).filter_map(|name| text(*name)).collect();
            rd::rd_kafka_conf_dump_free(all, count);
            names
        }
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: owned, and given to no client.
        unsafe { rd::rd_kafka_conf_destroy(self.0.as_ptr()) }
    }
}

fn buffer_text(buffer: &[u8]) -> String {
    CStr::from_bytes_until_nul(buffer).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A client with its connections and threads. Dropping it returns at once: it is ended in a thread of its own,
/// because that waits for the library's threads.
#[derive(Debug)]
pub(crate) struct Client {
    rk: NonNull<rd::rd_kafka_t>,
    ear: NonNull<Arc<dyn Ear>>,
}

// SAFETY: the library's handle may be used by several threads at once, by its documentation.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Makes a client. Connections are made when something is asked. The error is what the library says about
    /// settings that do not go together and files that it cannot read.
    pub(crate) fn open(conf: Conf, ear: Arc<dyn Ear>) -> Result<Self, String> {
        let ear = NonNull::from(Box::leak(Box::new(ear)));
        let mut said = [0_u8; ERROR_BYTES_MAX];
        // SAFETY: the ear outlives the client, after whose end it is freed; the buffer has the length that is given.
        let rk = unsafe {
            rd::rd_kafka_conf_set_opaque(conf.0.as_ptr(), ear.as_ptr().cast());
            rd::rd_kafka_conf_set_events(conf.0.as_ptr(), rd::RD_KAFKA_EVENT_ERROR);
            rd::rd_kafka_conf_set_background_event_cb(conf.0.as_ptr(), Some(hear));
            rd::rd_kafka_conf_set_log_cb(conf.0.as_ptr(), Some(hear_line));
            rd::rd_kafka_conf_set_ssl_cert_verify_cb(conf.0.as_ptr(), Some(hear_certificate));
            rd::rd_kafka_new(
                rd::rd_kafka_type_t::RD_KAFKA_CONSUMER,
                conf.0.as_ptr(),
                said.as_mut_ptr().cast(),
                said.len(),
            )
        };
        let Some(rk) = NonNull::new(rk) else {
            // SAFETY: made above, and known to nobody else: there is no client.
            drop(unsafe { Box::from_raw(ear.as_ptr()) });
            return Err(buffer_text(&said));
        };
        // The client owns it now.
        std::mem::forget(conf);
        // SAFETY: both queues are references of ours and are given back; what was forwarded stays forwarded.
        unsafe {
            let background = rd::rd_kafka_queue_get_background(rk.as_ptr());
            let main = rd::rd_kafka_queue_get_main(rk.as_ptr());
            rd::rd_kafka_queue_forward(main, background);
            rd::rd_kafka_queue_destroy(main);
            rd::rd_kafka_queue_destroy(background);
        }
        Ok(Self { rk, ear })
    }

    /// The cluster, its brokers and the names of all topics that may be seen. Blocks for at most `wait`.
    ///
    /// The request for this that is answered into a queue ends the whole process where a cluster has no broker for a
    /// moment, as when all are started again.
    pub(crate) fn overview(&self, wait: Duration) -> Result<Overview, Fault> {
        let mut metadata = ptr::null();
        // SAFETY: on success the structure is ours until it is destroyed; names in it are copied. No reference to
        // a topic is made, because its error may be a number without a name. The id of the cluster is ours.
        unsafe {
            let code = all_metadata(self.rk.as_ptr(), 1, ptr::null_mut(), &raw mut metadata, millis(wait));
            if code != 0 || metadata.is_null() {
                return Err(Fault::of(code));
            }
            let (topics, count) = ((*metadata).topics, (*metadata).topic_cnt);
            let topics = each(topics.cast_const(), usize::try_from(count).unwrap_or(0));
            let topics = topics.filter_map(|topic| listed(topic)).collect();
            let (brokers, count) = ((*metadata).brokers, (*metadata).broker_cnt);
            let brokers = each(brokers.cast_const(), usize::try_from(count).unwrap_or(0));
            let broker = |at: *const rd::rd_kafka_metadata_broker| Broker {
                id: (*at).id,
                address: address(&text((*at).host).unwrap_or_default(), (*at).port),
            };
            // Both are known by now: they came with the rest.
            let id = rd::rd_kafka_clusterid(self.rk.as_ptr(), 0);
            let brokers: Vec<Broker> = brokers.map(broker).collect();
            let controller = rd::rd_kafka_controllerid(self.rk.as_ptr(), 0);
            let overview = Overview {
                cluster: text(id).filter(|id| !id.is_empty()),
                controller: brokers.iter().map(|broker| broker.id).find(|id| *id == controller),
                brokers,
                topics,
            };
            rd::rd_kafka_mem_free(self.rk.as_ptr(), id.cast());
            rd::rd_kafka_metadata_destroy(metadata);
            Ok(overview)
        }
    }
}

/// A cluster at a glance.
#[derive(Debug, Clone)]
pub(crate) struct Overview {
    pub(crate) cluster: Option<String>,
    /// The broker that controls the others; `None` where none of them does.
    pub(crate) controller: Option<i32>,
    pub(crate) brokers: Vec<Broker>,
    /// Topics without what only a controller is asked for: ids and rights.
    pub(crate) topics: Vec<TopicSeen>,
}

/// A topic in a list of all; `None` for one without a name.
///
/// # Safety
/// `seen` is a topic of metadata that lives during this call.
unsafe fn listed(seen: *const rd::rd_kafka_metadata_topic) -> Option<TopicSeen> {
    // SAFETY: as this function demands; counts are those of the lists beside them, and everything is copied.
    unsafe {
        let name = text((*seen).topic)?;
        let ids = |from: *mut i32, count: c_int| {
            each(from.cast_const(), usize::try_from(count).unwrap_or(0)).map(|id| *id).collect::<Vec<i32>>()
        };
        let partition = |state: *const rd::rd_kafka_metadata_partition| PartitionState {
            index: (*state).id,
            leader: Some((*state).leader).filter(|leader| *leader >= 0),
            replicas: ids((*state).replicas, (*state).replica_cnt),
            in_sync: ids((*state).isrs, (*state).isr_cnt),
        };
        let count = usize::try_from((*seen).partition_cnt).unwrap_or(0);
        let mut partitions: Vec<_> = each((*seen).partitions.cast_const(), count).map(partition).collect();
        partitions.sort_unstable_by_key(|state| state.index);
        // Read as the number that it is: it may be one that the library has no name for.
        let code = (&raw const (*seen).err).cast::<c_int>().read();
        let fault = (code != 0).then(|| Fault::of(code));
        Some(TopicSeen { internal: name.starts_with("__"), name, fault, id: None, partitions, operations: None })
    }
}

fn address(host: &str, port: c_int) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Drop for Client {
    fn drop(&mut self) {
        let ending = Ending { rk: self.rk, ear: self.ear };
        // Where no thread can be had, the client stays: it must not be waited for here.
        let _ = std::thread::Builder::new().name("kafka-end".to_owned()).spawn(move || ending.run());
    }
}

/// A client on its way out.
struct Ending {
    rk: NonNull<rd::rd_kafka_t>,
    ear: NonNull<Arc<dyn Ear>>,
}

// SAFETY: as for the client.
unsafe impl Send for Ending {}

impl Ending {
    fn run(self) {
        // SAFETY: everything that used the client held it, so nothing does any more. Its threads, which call the
        // ear, have ended when it is destroyed.
        unsafe {
            rd::rd_kafka_destroy_flags(self.rk.as_ptr(), rd::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
            drop(Box::from_raw(self.ear.as_ptr()));
        }
    }
}

/// Called in threads of the library for every line of its log, also before there is a client.
unsafe extern "C" fn hear_line(rk: *const rd::rd_kafka_t, level: c_int, facility: *const c_char, line: *const c_char) {
    if rk.is_null() {
        return;
    }
    // SAFETY: the ear was given to the client before it was made, and lives as long. Strings live during this call.
    unsafe {
        let ear: *const Arc<dyn Ear> = rd::rd_kafka_opaque(rk).cast();
        if let Some(ear) = ear.as_ref() {
            ear.line(level, &text(facility).unwrap_or_default(), &text(line).unwrap_or_default());
        }
    }
}

/// Called in threads of the library for every certificate, when it has been judged; only listens. The library tells
/// nobody else what is wrong with one.
unsafe extern "C" fn hear_certificate(
    _: *mut rd::rd_kafka_t,
    _: *const c_char,
    _: i32,
    reason: *mut c_int,
    _: c_int,
    _: *const c_char,
    _: usize,
    _: *mut c_char,
    _: usize,
    ear: *mut c_void,
) -> c_int {
    // SAFETY: the number lives during this call; the ear was given to the client before it was made, and lives as long.
    unsafe {
        let reason = *reason;
        let ear: *const Arc<dyn Ear> = ear.cast();
        if let Some(ear) = ear.as_ref().filter(|_| reason != 0) {
            ear.refused(reason);
        }
        // What was refused stays refused.
        c_int::from(reason == 0)
    }
}

/// Called in a thread of the library for every failure that nobody asked for.
unsafe extern "C" fn hear(_: *mut rd::rd_kafka_t, event: *mut rd::rd_kafka_event_t, ear: *mut c_void) {
    // SAFETY: the ear was given to the client when it was made, and lives as long. The event is ours; its strings
    // live as long as it does.
    unsafe {
        let ear: &Arc<dyn Ear> = &*ear.cast();
        if rd::rd_kafka_event_type(event) == rd::RD_KAFKA_EVENT_ERROR {
            let said = text(rd::rd_kafka_event_error_string(event)).unwrap_or_default();
            ear.fault(Fault { code: event_error(event), said });
        }
        rd::rd_kafka_event_destroy(event);
    }
}
