//! Reading records: partitions feed a queue, and messages are owned one by one.

use super::admin::Queue;
use super::{Client, Fault, millis, name, rd, text};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

unsafe extern "C" {
    // The same functions as in the bindings, with a number in place of an enumeration.
    #[link_name = "rd_kafka_last_error"]
    fn last_error() -> c_int;
    #[link_name = "rd_kafka_position"]
    fn positions(rk: *mut rd::rd_kafka_t, partitions: *mut rd::rd_kafka_topic_partition_list_t) -> c_int;
    #[link_name = "rd_kafka_message_headers"]
    fn message_headers(message: *const rd::rd_kafka_message_t, headers: *mut *mut rd::rd_kafka_headers_t) -> c_int;
    #[link_name = "rd_kafka_message_timestamp"]
    fn message_timestamp(message: *const rd::rd_kafka_message_t, kind: *mut c_int) -> i64;
}

/// No such headers: a record without any.
const NO_HEADERS: c_int = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NOENT as c_int;
const TIME_NONE: c_int = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE as c_int;
const TIME_APPENDED: c_int = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME as c_int;

/// A topic that is read from.
#[derive(Debug)]
pub(crate) struct Topic {
    topic: NonNull<rd::rd_kafka_topic_t>,
    /// Held, because topics end before their client.
    client: Arc<Client>,
}

// SAFETY: topics of the library have locks of their own.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Topic {
    /// A topic by its name. Nothing is sent yet.
    pub(crate) fn new(client: &Arc<Client>, topic: &str) -> Result<Self, Fault> {
        let topic = name(topic)?;
        // SAFETY: the client lives and is held; the name is copied; no settings of its own are given.
        let topic = unsafe { rd::rd_kafka_topic_new(client.rk.as_ptr(), topic.as_ptr(), ptr::null_mut()) };
        // SAFETY: asks for what the last call of this thread left.
        let topic = NonNull::new(topic).ok_or_else(|| Fault::of(unsafe { last_error() }))?;
        Ok(Self { topic, client: Arc::clone(client) })
    }

    /// Where reading of a partition stands: behind what was taken from the queue, markers included. `None` where
    /// nothing was taken.
    pub(crate) fn position(&self, partition: i32) -> Option<i64> {
        // SAFETY: the topic lives, and its name with it. The list is ours until it is destroyed; the library
        // changes the element in place.
        unsafe {
            let list = NonNull::new(rd::rd_kafka_topic_partition_list_new(1))?;
            let topic = rd::rd_kafka_topic_name(self.topic.as_ptr());
            let place = rd::rd_kafka_topic_partition_list_add(list.as_ptr(), topic, partition);
            let done = positions(self.client.rk.as_ptr(), list.as_ptr());
            let offset = (*place).offset;
            rd::rd_kafka_topic_partition_list_destroy(list.as_ptr());
            Some(offset).filter(|offset| done == 0 && *offset >= 0)
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: owned; the client is still held.
        unsafe { rd::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}

/// Where the records of all partitions that were started arrive.
#[derive(Debug)]
pub(crate) struct Feed(Queue);

impl Feed {
    pub(crate) fn new(client: &Arc<Client>) -> Result<Self, Fault> {
        Queue::new(client).map(Self)
    }

    /// Lets a partition feed this queue, from an offset on.
    pub(crate) fn start(&self, topic: &Topic, partition: i32, from: i64) -> Result<(), Fault> {
        // SAFETY: topic and queue live.
        let done =
            unsafe { rd::rd_kafka_consume_start_queue(topic.topic.as_ptr(), partition, from, self.0.queue.as_ptr()) };
        // SAFETY: asks for what the last call of this thread left.
        if done == 0 { Ok(()) } else { Err(Fault::of(unsafe { last_error() })) }
    }

    /// Ends that. What the partition has already fed is not handed out any more.
    pub(crate) fn stop(topic: &Topic, partition: i32) {
        // SAFETY: the topic lives. Stopping what does not run is refused, and no harm.
        unsafe { rd::rd_kafka_consume_stop(topic.topic.as_ptr(), partition) };
    }

    /// Takes at most `max` messages, into `taken`. Returns as soon as there are `max`, or after `wait`.
    pub(crate) fn take(&self, taken: &mut Vec<Message>, max: usize, wait: Duration) {
        taken.reserve(max);
        // SAFETY: there is room for `max` messages behind those that are there, and a message is laid out as a
        // pointer. The first of these hold messages of ours afterwards, as many as is returned.
        unsafe {
            let room = taken.as_mut_ptr().add(taken.len()).cast::<*mut rd::rd_kafka_message_t>();
            let count = rd::rd_kafka_consume_batch_queue(self.0.queue.as_ptr(), millis(wait), room, max);
            taken.set_len(taken.len() + usize::try_from(count).unwrap_or(0).min(max));
        }
    }
}

/// A record, or something that is said about a partition between records. Its bytes are those that the client
/// received. It must end before its client does.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Message(NonNull<rd::rd_kafka_message_t>);

// SAFETY: a message has one owner, and what it shares with others is counted atomically.
unsafe impl Send for Message {}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: owned; slices that were handed out ended before.
        unsafe { rd::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// A header: its name and its value.
pub(crate) type Header<'a> = (&'a str, Option<&'a [u8]>);

impl Message {
    /// What is said in place of a record.
    pub(crate) fn fault(&self) -> Option<Fault> {
        // SAFETY: the message lives; the error is read as a number, and its words are copied.
        unsafe {
            let code = (&raw const (*self.0.as_ptr()).err).cast::<c_int>().read();
            if code == 0 {
                return None;
            }
            let said = text(rd::rd_kafka_message_errstr(self.0.as_ptr()));
            Some(said.map_or_else(|| Fault::of(code), |said| Fault { code, said }))
        }
    }

    /// Which topic it is of: the same number for messages of one topic, as long as one of them lives.
    pub(crate) fn topic(&self) -> usize {
        // SAFETY: the message lives.
        unsafe { (*self.0.as_ptr()).rkt }.addr()
    }

    /// The name of its topic.
    pub(crate) fn topic_name(&self) -> Option<String> {
        // SAFETY: the message lives and holds its topic; the name is copied.
        unsafe {
            let topic = (*self.0.as_ptr()).rkt;
            if topic.is_null() { None } else { text(rd::rd_kafka_topic_name(topic)) }
        }
    }

    /// The number of its partition.
    pub(crate) fn partition(&self) -> i32 {
        // SAFETY: the message lives.
        unsafe { (*self.0.as_ptr()).partition }
    }

    /// Its offset, or the one where something was said.
    pub(crate) fn offset(&self) -> i64 {
        // SAFETY: the message lives.
        unsafe { (*self.0.as_ptr()).offset }
    }

    /// The number of the leadership under which it was appended, where its format has one.
    pub(crate) fn epoch(&self) -> Option<i32> {
        // SAFETY: the message lives.
        let epoch = unsafe { rd::rd_kafka_message_leader_epoch(self.0.as_ptr()) };
        Some(epoch).filter(|epoch| *epoch >= 0)
    }

    /// Its time, and whether the broker set it.
    pub(crate) fn timestamp(&self) -> (Option<i64>, bool) {
        let mut kind = TIME_NONE;
        // SAFETY: the message lives.
        let time = unsafe { message_timestamp(self.0.as_ptr(), &raw mut kind) };
        (Some(time).filter(|time| kind != TIME_NONE && *time != -1), kind == TIME_APPENDED)
    }

    /// Its key; an empty one is there.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        // SAFETY: the message lives as long as the slice is borrowed, and its bytes with it.
        unsafe { bytes((*self.0.as_ptr()).key, (*self.0.as_ptr()).key_len) }
    }

    /// Its value; an empty one is there.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        // SAFETY: as above.
        unsafe { bytes((*self.0.as_ptr()).payload, (*self.0.as_ptr()).len) }
    }

    /// Its headers in their order. `None` where their bytes are not headers, or a name is not UTF-8. The library
    /// ends names at a zero byte.
    pub(crate) fn headers(&self) -> Option<Vec<Header<'_>>> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message lives. The library takes headers apart on the first call and keeps them in the
        // message; nobody else has it, because messages are not shared between threads.
        let code = unsafe { message_headers(self.0.as_ptr(), &raw mut headers) };
        if code == NO_HEADERS {
            return Some(Vec::new());
        }
        if code != 0 || headers.is_null() {
            return None;
        }
        // SAFETY: the headers live as long as the message does.
        let count = unsafe { rd::rd_kafka_header_cnt(headers) };
        (0..count).map(|index| unsafe { header(headers, index) }).collect()
    }
}

/// # Safety
/// `headers` lives as long as what is returned is used, and is not changed meanwhile.
unsafe fn header<'a>(headers: *const rd::rd_kafka_headers_t, index: usize) -> Option<Header<'a>> {
    let (mut name, mut value, mut size): (*const c_char, *const c_void, usize) = (ptr::null(), ptr::null(), 0);
    // SAFETY: as this function demands; the name ends with a zero byte.
    unsafe {
        let code = rd::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size);
        if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return None;
        }
        Some((CStr::from_ptr(name).to_str().ok()?, bytes(value.cast_mut(), size)))
    }
}

/// # Safety
/// `from` is null or points to `count` bytes that live as long as the slice is used.
unsafe fn bytes<'a>(from: *mut c_void, count: usize) -> Option<&'a [u8]> {
    // SAFETY: as this function demands.
    (!from.is_null()).then(|| unsafe { std::slice::from_raw_parts(from.cast::<u8>(), count) })
}
