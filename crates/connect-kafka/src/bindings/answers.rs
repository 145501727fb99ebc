//! Answers to requests as plain values.

use super::admin::Event;
use super::{Fault, each, elements, event_error, rd, text};
use paritas_connect::logs::{Member, Partition, PartitionState, Setting};
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};

unsafe extern "C" {
    // The same functions as in the bindings, with a number in place of an enumeration.
    #[link_name = "rd_kafka_ConfigResource_error"]
    fn resource_error(resource: *const rd::rd_kafka_ConfigResource_t) -> c_int;
    #[link_name = "rd_kafka_ConfigEntry_source"]
    fn entry_source(entry: *const rd::rd_kafka_ConfigEntry_t) -> c_int;
    #[link_name = "rd_kafka_ConsumerGroupDescription_state"]
    fn group_state(group: *const rd::rd_kafka_ConsumerGroupDescription_t) -> c_int;
    #[link_name = "rd_kafka_consumer_group_state_name"]
    fn group_state_name(state: c_int) -> *const c_char;
}

/// A setting that was made for the topic itself.
const SOURCE_TOPIC: c_int = rd::rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG as c_int;

/// What a user may do with something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Operations(u32);

impl Operations {
    /// Reading records.
    pub(crate) const READ: u32 = rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ as u32;
    /// Changing it: what only those may do who may do everything.
    pub(crate) const ALTER: u32 = rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ALTER as u32;
    /// Seeing its settings.
    pub(crate) const DESCRIBE_CONFIGS: u32 =
        rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS as u32;

    /// Seeing it.
    pub(crate) const DESCRIBE: u32 = rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE as u32;

    /// Whether this one is among them.
    pub(crate) fn allow(self, operation: u32) -> bool {
        self.0 >> operation & 1 == 1
    }

    /// # Safety
    /// `from` is null or points to `count` operations.
    unsafe fn read(from: *const rd::rd_kafka_AclOperation_t, count: usize) -> Option<Self> {
        // SAFETY: as this function demands; they are read as numbers, because some may have no name.
        let operations = unsafe { elements(from.cast::<u32>(), count) };
        let mask = |mask: u32, operation: &u32| mask | 1_u32.checked_shl(*operation).unwrap_or(0);
        (!from.is_null()).then(|| Self(operations.iter().fold(0, mask)))
    }
}

/// A topic.
#[derive(Debug, Clone)]
pub(crate) struct TopicSeen {
    pub(crate) name: String,
    pub(crate) fault: Option<Fault>,
    /// Absent where brokers have none.
    pub(crate) id: Option<String>,
    pub(crate) internal: bool,
    pub(crate) partitions: Vec<PartitionState>,
    pub(crate) operations: Option<Operations>,
}

/// The settings of a topic.
#[derive(Debug, Clone)]
pub(crate) struct SettingsSeen {
    pub(crate) topic: String,
    pub(crate) settings: Result<BTreeMap<String, Setting>, Fault>,
}

/// An offset of a partition.
#[derive(Debug, Clone)]
pub(crate) struct OffsetSeen {
    pub(crate) partition: Partition,
    /// -1 where there is none.
    pub(crate) offset: Result<i64, Fault>,
    pub(crate) epoch: Option<i32>,
}

/// All groups that could be listed.
#[derive(Debug, Clone)]
pub(crate) struct GroupSeen {
    pub(crate) names: Vec<String>,
    pub(crate) faults: Vec<Fault>,
}

/// What a group is doing.
#[derive(Debug, Clone)]
pub(crate) struct GroupState {
    pub(crate) group: String,
    pub(crate) fault: Option<Fault>,
    pub(crate) state: String,
    pub(crate) members: Vec<Member>,
}

/// What a group has committed.
#[derive(Debug, Clone)]
pub(crate) struct CommitsSeen {
    pub(crate) commits: Vec<(Partition, i64, String)>,
}

/// A broker as the library has it.
///
/// # Safety
/// `node` is null or a node that lives during this call.
unsafe fn node_id(node: *const rd::rd_kafka_Node_t) -> Option<i32> {
    // SAFETY: as this function demands.
    (!node.is_null()).then(|| unsafe { rd::rd_kafka_Node_id(node) }).filter(|id| *id >= 0)
}

/// # Safety
/// `nodes` is null or points to `count` nodes, some of which may be null.
unsafe fn node_ids(nodes: *mut *const rd::rd_kafka_Node_t, count: usize) -> Vec<i32> {
    // SAFETY: as this function demands.
    unsafe { elements(nodes, count) }.iter().filter_map(|node| unsafe { node_id(*node) }).collect()
}

impl Event {
    /// What kept the whole request from an answer.
    fn whole(&self) -> Result<(), Fault> {
        // SAFETY: the event lives; its message is copied.
        unsafe {
            match event_error(self.0.as_ptr()) {
                0 => Ok(()),
                code => {
                    let said = text(rd::rd_kafka_event_error_string(self.0.as_ptr()));
                    Err(said.map_or_else(|| Fault::of(code), |said| Fault { code, said }))
                }
            }
        }
    }

    /// The answer to [`super::Request::Topics`], in the order of the question.
    pub(crate) fn topics(&self) -> Result<Vec<TopicSeen>, Fault> {
        self.whole()?;
        // SAFETY: everything is read from the event, which lives, and copied. A result of another kind is null, of
        // which nothing is read.
        unsafe {
            let result = rd::rd_kafka_event_DescribeTopics_result(self.0.as_ptr());
            if result.is_null() {
                return Err(unexpected());
            }
            let mut count = 0;
            let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            Ok(elements(topics, count).iter().map(|seen| topic(*seen)).collect())
        }
    }

    /// The answer to [`super::Request::Settings`].
    pub(crate) fn settings(&self) -> Result<Vec<SettingsSeen>, Fault> {
        self.whole()?;
        // SAFETY: as in `topics`.
        unsafe {
            let result = rd::rd_kafka_event_DescribeConfigs_result(self.0.as_ptr());
            if result.is_null() {
                return Err(unexpected());
            }
            let mut count = 0;
            let resources = rd::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            Ok(elements(resources, count).iter().map(|seen| settings(*seen)).collect())
        }
    }

    /// The answer to [`super::Request::Offsets`], in the order of the question.
    pub(crate) fn offsets(&self) -> Result<Vec<OffsetSeen>, Fault> {
        self.whole()?;
        // SAFETY: as in `topics`.
        unsafe {
            let result = rd::rd_kafka_event_ListOffsets_result(self.0.as_ptr());
            if result.is_null() {
                return Err(unexpected());
            }
            let mut count = 0;
            let infos = rd::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            let of = |info: &*const _| offset(rd::rd_kafka_ListOffsetsResultInfo_topic_partition(*info));
            Ok(elements(infos, count).iter().map(of).collect())
        }
    }

    /// The answer to [`super::Request::Cluster`]; `None` where brokers do not tell.
    pub(crate) fn cluster_operations(&self) -> Result<Option<Operations>, Fault> {
        self.whole()?;
        // SAFETY: as in `topics`.
        unsafe {
            let result = rd::rd_kafka_event_DescribeCluster_result(self.0.as_ptr());
            if result.is_null() {
                return Err(unexpected());
            }
            let mut count = 0;
            let allowed = rd::rd_kafka_DescribeCluster_result_authorized_operations(result, &raw mut count);
            Ok(Operations::read(allowed, count))
        }
    }

    /// The answer to [`super::Request::Groups`].
    pub(crate) fn groups(&self) -> Result<GroupSeen, Fault> {
        self.whole()?;
        // SAFETY: as in `topics`.
        unsafe {
            let result = rd::rd_kafka_event_ListConsumerGroups_result(self.0.as_ptr());
            if result.is_null() {
                return Err(unexpected());
            }
            let (mut count, mut bad) = (0, 0);
            let valid = rd::rd_kafka_ListConsumerGroups_result_valid(result, &raw mut count);
            let errors = rd::rd_kafka_ListConsumerGroups_result_errors(result, &raw mut bad);
            let name = |group: &*const _| text(rd::rd_kafka_ConsumerGroupListing_group_id(*group));
            Ok(GroupSeen {
                names: elements(valid, count).iter().filter_map(name).collect(),
                faults: elements(errors, bad).iter().filter_map(|error| Fault::behind(*error)).collect(),
            })
        }
    }

    /// The answer to [`super::Request::GroupStates`].
    pub(crate) fn group_states(&self) -> Result<Vec<GroupState>, Fault> {
        self.whole()?;
        // SAFETY: as in `topics`.
        unsafe {
            let result = rd::rd_kafka_event_DescribeConsumerGroups_result(self.0.as_ptr());
            if result.is_null() {
                return Err(unexpected());
            }
            let mut count = 0;
            let groups = rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
            Ok(elements(groups, count).iter().map(|group| state(*group)).collect())
        }
    }

    /// The answer to [`super::Request::Commits`].
    pub(crate) fn commits(&self) -> Result<CommitsSeen, Fault> {
        self.whole()?;
        // SAFETY: as in `topics`.
        unsafe {
            let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(self.0.as_ptr());
            let mut count = 0;
            let groups = match result.is_null() {
                true => return Err(unexpected()),
                false => rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count),
            };
            let Some(group) = elements(groups, count).first() else { return Err(unexpected()) };
            if let Some(fault) = Fault::behind(rd::rd_kafka_group_result_error(*group)) {
                return Err(fault);
            }
            let mut commits = Vec::new();
            for place in listed(rd::rd_kafka_group_result_partitions(*group)) {
                let seen = offset(place);
                let metadata = elements((*place).metadata.cast::<u8>(), (*place).metadata_size);
                commits.push((seen.partition, seen.offset?, String::from_utf8_lossy(metadata).into_owned()));
            }
            Ok(CommitsSeen { commits })
        }
    }
}

fn unexpected() -> Fault {
    Fault::of(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_TYPE as i32)
}

/// The places of the elements of a list of partitions.
///
/// # Safety
/// `list` is null or a list that lives as long as the iterator is used.
unsafe fn listed(
    list: *const rd::rd_kafka_topic_partition_list_t,
) -> impl Iterator<Item = *const rd::rd_kafka_topic_partition_t> {
    // SAFETY: as this function demands.
    unsafe {
        let (from, count) = if list.is_null() { (std::ptr::null_mut(), 0) } else { ((*list).elems, (*list).cnt) };
        each(from.cast_const(), usize::try_from(count).unwrap_or(0))
    }
}

/// # Safety
/// `place` is a partition that lives during this call.
unsafe fn partition(place: *const rd::rd_kafka_topic_partition_t) -> Partition {
    // SAFETY: as this function demands; the name is copied.
    unsafe { Partition { log: text((*place).topic).unwrap_or_default(), index: (*place).partition } }
}

/// # Safety
/// `place` is a partition that lives during this call.
unsafe fn offset(place: *const rd::rd_kafka_topic_partition_t) -> OffsetSeen {
    // SAFETY: as this function demands; the error is read as a number.
    unsafe {
        let code = (&raw const (*place).err).cast::<c_int>().read();
        let epoch = rd::rd_kafka_topic_partition_get_leader_epoch(place);
        OffsetSeen {
            partition: partition(place),
            offset: if code == 0 { Ok((*place).offset) } else { Err(Fault::of(code)) },
            epoch: Some(epoch).filter(|epoch| *epoch >= 0),
        }
    }
}

/// # Safety
/// `seen` is a topic that lives during this call.
unsafe fn topic(seen: *const rd::rd_kafka_TopicDescription_t) -> TopicSeen {
    // SAFETY: as this function demands; everything is copied.
    unsafe {
        let (mut count, mut operations) = (0, 0);
        let partitions = rd::rd_kafka_TopicDescription_partitions(seen, &raw mut count);
        let allowed = rd::rd_kafka_TopicDescription_authorized_operations(seen, &raw mut operations);
        let mut partitions: Vec<_> = elements(partitions, count).iter().map(|state| partition_state(*state)).collect();
        partitions.sort_unstable_by_key(|state| state.index);
        let id = rd::rd_kafka_TopicDescription_topic_id(seen);
        let known = !id.is_null()
            && (rd::rd_kafka_Uuid_most_significant_bits(id), rd::rd_kafka_Uuid_least_significant_bits(id)) != (0, 0);
        TopicSeen {
            name: text(rd::rd_kafka_TopicDescription_name(seen)).unwrap_or_default(),
            fault: Fault::behind(rd::rd_kafka_TopicDescription_error(seen)),
            id: if known { text(rd::rd_kafka_Uuid_base64str(id)) } else { None },
            internal: rd::rd_kafka_TopicDescription_is_internal(seen) != 0,
            partitions,
            operations: Operations::read(allowed, operations),
        }
    }
}

/// # Safety
/// `seen` is a partition that lives during this call.
unsafe fn partition_state(seen: *const rd::rd_kafka_TopicPartitionInfo_t) -> PartitionState {
    // SAFETY: as this function demands; everything is copied.
    unsafe {
        let (mut replicas, mut in_sync) = (0, 0);
        let replicas_of = rd::rd_kafka_TopicPartitionInfo_replicas(seen, &raw mut replicas);
        let in_sync_of = rd::rd_kafka_TopicPartitionInfo_isr(seen, &raw mut in_sync);
        PartitionState {
            index: rd::rd_kafka_TopicPartitionInfo_partition(seen),
            leader: node_id(rd::rd_kafka_TopicPartitionInfo_leader(seen)),
            replicas: node_ids(replicas_of, replicas),
            in_sync: node_ids(in_sync_of, in_sync),
        }
    }
}

/// # Safety
/// `seen` is a resource that lives during this call.
unsafe fn settings(seen: *const rd::rd_kafka_ConfigResource_t) -> SettingsSeen {
    // SAFETY: as this function demands; everything is copied.
    unsafe {
        let topic = text(rd::rd_kafka_ConfigResource_name(seen)).unwrap_or_default();
        let code = resource_error(seen);
        if code != 0 {
            let said = text(rd::rd_kafka_ConfigResource_error_string(seen));
            return SettingsSeen {
                topic,
                settings: Err(said.map_or_else(|| Fault::of(code), |said| Fault { code, said })),
            };
        }
        let mut count = 0;
        let entries = rd::rd_kafka_ConfigResource_configs(seen, &raw mut count);
        let entry = |entry: &*const rd::rd_kafka_ConfigEntry_t| {
            let secret = rd::rd_kafka_ConfigEntry_is_sensitive(*entry) == 1;
            let value = text(rd::rd_kafka_ConfigEntry_value(*entry)).filter(|_| !secret);
            let setting = Setting { value, own: entry_source(*entry) == SOURCE_TOPIC };
            Some((text(rd::rd_kafka_ConfigEntry_name(*entry))?, setting))
        };
        SettingsSeen { topic, settings: Ok(elements(entries, count).iter().filter_map(entry).collect()) }
    }
}

/// # Safety
/// `seen` is a group that lives during this call.
unsafe fn state(seen: *const rd::rd_kafka_ConsumerGroupDescription_t) -> GroupState {
    // SAFETY: as this function demands; everything is copied.
    unsafe {
        let count = rd::rd_kafka_ConsumerGroupDescription_member_count(seen);
        let member = |index| {
            let member = rd::rd_kafka_ConsumerGroupDescription_member(seen, index);
            let assigned = rd::rd_kafka_MemberDescription_assignment(member);
            let partitions = match assigned.is_null() {
                true => Vec::new(),
                false => listed(rd::rd_kafka_MemberAssignment_partitions(assigned)).map(|at| partition(at)).collect(),
            };
            Member {
                client: text(rd::rd_kafka_MemberDescription_client_id(member)).unwrap_or_default(),
                host: text(rd::rd_kafka_MemberDescription_host(member)).unwrap_or_default(),
                partitions,
            }
        };
        GroupState {
            group: text(rd::rd_kafka_ConsumerGroupDescription_group_id(seen)).unwrap_or_default(),
            fault: Fault::behind(rd::rd_kafka_ConsumerGroupDescription_error(seen)),
            state: text(group_state_name(group_state(seen))).unwrap_or_default(),
            members: (0..count).map(member).collect(),
        }
    }
}
