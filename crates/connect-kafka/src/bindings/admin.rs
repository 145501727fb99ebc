//! Requests that are sent now and answered later, into a queue.

use super::{Client, Fault, error_code, millis, name, rd};
use paritas_connect::logs::Partition;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request<'a> {
    /// Topics with the state of their partitions, and what this user may do with them.
    Topics(&'a [String]),
    /// The settings of topics.
    Settings(&'a [String]),
    /// An offset of each partition; every partition once.
    Offsets(&'a [Wanted<'a>], Spec),
    /// What this user may do with the cluster.
    Cluster,
    /// All groups.
    Groups,
    /// What groups are doing.
    GroupStates(&'a [String]),
    /// What one group has committed, everywhere.
    Commits(&'a str),
}

/// Which offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spec {
    /// The first that can be read.
    Start,
    /// Behind the last that readers can have.
    End,
    /// Behind the last that is decided: where readers of committed records end.
    Stable,
    /// The first with a timestamp that is at least the one that stands beside the partition.
    Time,
}

/// A partition, and the time for [`Spec::Time`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) partition: &'a Partition,
    pub(crate) time: i64,
}

/// Where answers arrive.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(super) queue: NonNull<rd::rd_kafka_queue_t>,
    pub(super) client: Arc<Client>,
}

// SAFETY: queues of the library have locks of their own.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

/// An answer.
#[derive(Debug)]
pub(crate) struct Event(pub(super) NonNull<rd::rd_kafka_event_t>);

// SAFETY: an event has one owner and holds its own data.
unsafe impl Send for Event {}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: owned; whatever was read from it was copied.
        unsafe { rd::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

impl Event {
    /// The number that was given to the request.
    pub(crate) fn tag(&self) -> usize {
        // SAFETY: the event lives; the pointer is the number and is never followed.
        unsafe { rd::rd_kafka_event_opaque(self.0.as_ptr()) }.addr()
    }
}

impl Queue {
    /// A queue for answers and records.
    pub(crate) fn new(client: &Arc<Client>) -> Result<Self, Fault> {
        // SAFETY: the client lives, and is held by the queue.
        let queue = unsafe { rd::rd_kafka_queue_new(client.rk.as_ptr()) };
        let queue = NonNull::new(queue).ok_or_else(|| Fault::of(-1))?;
        Ok(Self { queue, client: Arc::clone(client) })
    }

    /// The next answer, if one comes within `wait`.
    pub(crate) fn poll(&self, wait: Duration) -> Option<Event> {
        // SAFETY: the queue lives; an event that comes is ours.
        NonNull::new(unsafe { rd::rd_kafka_queue_poll(self.queue.as_ptr(), millis(wait)) }).map(Event)
    }

    /// Sends a request whose answer carries `tag`.
    ///
    /// The library must not give a request up by itself: a broker that comes back behind that would end the whole
    /// process, because its answer has nowhere to go. So it waits for as long as it can, and whoever waits no
    /// longer ends the client before.
    pub(crate) fn ask(&self, request: Request<'_>, tag: usize) -> Result<(), Fault> {
        let options = Options::new(&self.client, request, tag)?;
        let (rk, queue, options) = (self.client.rk.as_ptr(), self.queue.as_ptr(), options.0.as_ptr());
        // SAFETY: client, queue and options live; the library copies names, lists and options before it returns.
        unsafe {
            match request {
                Request::Cluster => rd::rd_kafka_DescribeCluster(rk, options, queue),
                Request::Groups => rd::rd_kafka_ListConsumerGroups(rk, options, queue),
                Request::Topics(topics) => {
                    let names = Names::new(topics)?;
                    let mut pointers = names.pointers();
                    let topics = rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
                    rd::rd_kafka_DescribeTopics(rk, topics, options, queue);
                    rd::rd_kafka_TopicCollection_destroy(topics);
                }
                Request::GroupStates(groups) => {
                    let names = Names::new(groups)?;
                    let mut pointers = names.pointers();
                    rd::rd_kafka_DescribeConsumerGroups(rk, pointers.as_mut_ptr(), pointers.len(), options, queue);
                }
                Request::Settings(topics) => {
                    let names = Names::new(topics)?;
                    let topic = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
                    let of = |name: &CString| rd::rd_kafka_ConfigResource_new(topic, name.as_ptr());
                    let mut resources: Vec<_> = names.0.iter().map(of).collect();
                    rd::rd_kafka_DescribeConfigs(rk, resources.as_mut_ptr(), resources.len(), options, queue);
                    rd::rd_kafka_ConfigResource_destroy_array(resources.as_mut_ptr(), resources.len());
                }
                Request::Offsets(wanted, spec) => {
                    let list = Partitions::new(wanted, spec)?;
                    rd::rd_kafka_ListOffsets(rk, list.0.as_ptr(), options, queue);
                }
                Request::Commits(group) => {
                    let group = name(group)?;
                    let mut of = [rd::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), ptr::null())];
                    rd::rd_kafka_ListConsumerGroupOffsets(rk, of.as_mut_ptr(), of.len(), options, queue);
                    rd::rd_kafka_ListConsumerGroupOffsets_destroy_array(of.as_mut_ptr(), of.len());
                }
            }
        }
        Ok(())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: owned; the client is still held. What arrives later is dropped by the library.
        unsafe { rd::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Names that live while pointers to them are used.
struct Names(Vec<CString>);

impl Names {
    fn new(names: &[String]) -> Result<Self, Fault> {
        names.iter().map(|text| name(text)).collect::<Result<_, _>>().map(Self)
    }

    fn pointers(&self) -> Vec<*const c_char> {
        self.0.iter().map(|name| name.as_ptr()).collect()
    }
}

/// A list of partitions with what is wanted of each.
struct Partitions(NonNull<rd::rd_kafka_topic_partition_list_t>);

impl Partitions {
    fn new(wanted: &[Wanted<'_>], spec: Spec) -> Result<Self, Fault> {
        let size = i32::try_from(wanted.len()).unwrap_or(i32::MAX);
        // SAFETY: takes a hint of the size; the list is ours.
        let list = NonNull::new(unsafe { rd::rd_kafka_topic_partition_list_new(size) });
        let list = Self(list.ok_or_else(|| Fault::of(-1))?);
        for one in wanted {
            let topic = name(&one.partition.log)?;
            let offset = match spec {
                Spec::Start => rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
                Spec::End | Spec::Stable => rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64,
                // Negative numbers mean something else; no record is older than this.
                Spec::Time => one.time.max(0),
            };
            // SAFETY: the list lives, the name is copied, and the element that is returned is part of the list.
            unsafe {
                let added = rd::rd_kafka_topic_partition_list_add(list.0.as_ptr(), topic.as_ptr(), one.partition.index);
                (*added).offset = offset;
            }
        }
        Ok(list)
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: owned.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) }
    }
}

/// How a request is sent.
struct Options(NonNull<rd::rd_kafka_AdminOptions_t>);

impl Options {
    fn new(client: &Client, request: Request<'_>, tag: usize) -> Result<Self, Fault> {
        use rd::rd_kafka_admin_op_t as Op;
        let operation = match request {
            Request::Topics(_) => Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            Request::Settings(_) => Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
            Request::Offsets(..) => Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
            Request::Cluster => Op::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER,
            Request::Groups => Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS,
            Request::GroupStates(_) => Op::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            Request::Commits(_) => Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
        };
        // SAFETY: the client lives; the options are ours.
        let options = unsafe { rd::rd_kafka_AdminOptions_new(client.rk.as_ptr(), operation) };
        let options = Self(NonNull::new(options).ok_or_else(|| Fault::of(-1))?);
        let to = options.0.as_ptr();
        // SAFETY: the options live; without a buffer no message is written; the tag is never followed as a pointer.
        unsafe {
            rd::rd_kafka_AdminOptions_set_request_timeout(to, millis(super::REQUEST_MAX), ptr::null_mut(), 0);
            rd::rd_kafka_AdminOptions_set_opaque(to, ptr::without_provenance_mut::<c_void>(tag));
            match request {
                Request::Topics(_) | Request::Cluster => {
                    accepted(rd::rd_kafka_AdminOptions_set_include_authorized_operations(to, 1))?;
                }
                Request::Offsets(_, spec) => {
                    let level = match spec {
                        Spec::Stable => rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
                        _ => rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
                    };
                    accepted(rd::rd_kafka_AdminOptions_set_isolation_level(to, level))?;
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: owned.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) }
    }
}

/// Whether an option was taken.
///
/// # Safety
/// `error` is null or an error object that nobody else has.
unsafe fn accepted(error: *mut rd::rd_kafka_error_t) -> Result<(), Fault> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as this function demands; it is not used behind this.
    unsafe {
        let code = error_code(error);
        rd::rd_kafka_error_destroy(error);
        Err(Fault::of(code))
    }
}
