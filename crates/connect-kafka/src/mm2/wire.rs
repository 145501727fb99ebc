//! The binary formats of MirrorMaker 2: offset syncs, checkpoints, heartbeats.
//!
//! Integers are big-endian, texts have their length in two bytes before them. Versions come first in the values of
//! checkpoints and heartbeats; offset syncs have none. Only what is consumed to its last byte is a trace.
//! Source: `OffsetSync`, `Checkpoint` and `Heartbeat` of Apache Kafka.

use super::NoTrace;
use paritas_connect::logs::Partition;

/// The version of checkpoints and heartbeats that is understood.
const VERSION: i16 = 0;
/// Bytes of a topic's name, at most. Source: `Topic.validate` of Apache Kafka.
const TOPIC_BYTES_MAX: usize = 249;

/// What is left of a key or value.
struct Bytes<'a> {
    rest: &'a [u8],
    /// `key` or `value`, for reasons.
    part: &'static str,
}

impl<'a> Bytes<'a> {
    fn of(bytes: Option<&'a [u8]>, part: &'static str) -> Result<Self, NoTrace> {
        bytes.map(|rest| Self { rest, part }).ok_or_else(|| format!("it has no {part}"))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], NoTrace> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(*taken)
    }

    fn short(&self) -> NoTrace {
        format!("its {} ends early", self.part)
    }

    fn int64(&mut self) -> Result<i64, NoTrace> {
        self.take().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Result<String, NoTrace> {
        let length = i16::from_be_bytes(self.take()?);
        let length = usize::try_from(length).map_err(|_| format!("its {} has a text of negative length", self.part))?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.short())?;
        self.rest = rest;
        let text = std::str::from_utf8(text).map_err(|_| format!("its {} has a text that is not UTF-8", self.part))?;
        Ok(text.to_owned())
    }

    fn partition(&mut self) -> Result<Partition, NoTrace> {
        let log = self.text()?;
        let index = i32::from_be_bytes(self.take()?);
        partition(log, index.into())
    }

    fn version(&mut self) -> Result<(), NoTrace> {
        match i16::from_be_bytes(self.take()?) {
            VERSION => Ok(()),
            other => Err(format!("its version is {other}, and only {VERSION} is understood")),
        }
    }

    fn end(self) -> Result<(), NoTrace> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("its {} goes on behind its end", self.part)) }
    }
}

/// A partition that Kafka can have.
pub(super) fn partition(log: String, index: i64) -> Result<Partition, NoTrace> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if log.is_empty() || log.len() > TOPIC_BYTES_MAX || !log.bytes().all(legal) {
        return Err("it names a topic that cannot be".to_owned());
    }
    match i32::try_from(index) {
        Ok(index) if index >= 0 => Ok(Partition { log, index }),
        _ => Err("it names a partition that cannot be".to_owned()),
    }
}

/// The key of an offset sync: the partition by its name on the source.
pub(super) fn sync_key(key: Option<&[u8]>) -> Result<Partition, NoTrace> {
    let mut key = Bytes::of(key, "key")?;
    let partition = key.partition()?;
    key.end().map(|()| partition)
}

/// The value of an offset sync: offsets on the source and on the target.
pub(super) fn sync_value(value: &[u8]) -> Result<(i64, i64), NoTrace> {
    let mut value = Bytes { rest: value, part: "value" };
    let pair = (value.int64()?, value.int64()?);
    value.end().map(|()| pair)
}

/// The key of a checkpoint: the group, and the partition by its name on the target.
pub(super) fn checkpoint_key(key: Option<&[u8]>) -> Result<(String, Partition), NoTrace> {
    let mut key = Bytes::of(key, "key")?;
    let subject = (key.text()?, key.partition()?);
    key.end().map(|()| subject)
}

/// The value of a checkpoint: offsets on the source and on the target, and what the group noted.
pub(super) fn checkpoint_value(value: &[u8]) -> Result<(i64, i64, String), NoTrace> {
    let mut value = Bytes { rest: value, part: "value" };
    value.version()?;
    let point = (value.int64()?, value.int64()?, value.text()?);
    value.end().map(|()| point)
}

/// The key of a heartbeat: the aliases of source and target.
pub(super) fn heartbeat_key(key: Option<&[u8]>) -> Result<(String, String), NoTrace> {
    let mut key = Bytes::of(key, "key")?;
    let aliases = (key.text()?, key.text()?);
    key.end().map(|()| aliases)
}

/// The value of a heartbeat: the mirror's clock in milliseconds since 1970.
pub(super) fn heartbeat_value(value: &[u8]) -> Result<i64, NoTrace> {
    let mut value = Bytes { rest: value, part: "value" };
    value.version()?;
    let sent = value.int64()?;
    value.end().map(|()| sent)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::encode;
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn bytes_of_a_real_mirror_are_understood() {
        let key = b"\x00\x01\x67\x00\x06\x6f\x72\x64\x65\x72\x73\x00\x00\x00\x01";
        assert_eq!(checkpoint_key(Some(key)), Ok(("g".to_owned(), Partition::new("orders", 1))));
        let value = b"\0\0\0\0\0\0\0\0\0\x64\0\0\0\0\0\0\0\x41\0\0";
        assert_eq!(checkpoint_value(value), Ok((100, 65, String::new())));

        let key = b"\0\x06orders\0\0\0\x02";
        assert_eq!(sync_key(Some(key)), Ok(Partition::new("orders", 2)));
        let value = b"\0\0\0\0\0\0\0\x96\0\0\0\0\0\0\0\x64";
        assert_eq!(sync_value(value), Ok((150, 100)));

        assert_eq!(heartbeat_key(Some(b"\0\x01B\0\x01A")), Ok(("B".to_owned(), "A".to_owned())));
        let value = b"\0\0\0\0\x01\x9a\xcf\x1d\x48\x00";
        assert_eq!(heartbeat_value(value), Ok(1_764_411_394_048));
    }

    #[rstest]
    #[case::nothing(None, "it has no key")]
    #[case::empty(Some(&b""[..]), "its key ends early")]
    #[case::length_beyond_the_end(Some(&b"\x7f\xffx"[..]), "its key ends early")]
    #[case::negative_length(Some(&b"\xff\xff"[..]), "its key has a text of negative length")]
    #[case::no_utf8(Some(&b"\0\x01\xff\0\0\0\0"[..]), "its key has a text that is not UTF-8")]
    #[case::no_topic(Some(&b"\0\0\0\0\0\0"[..]), "it names a topic that cannot be")]
    #[case::odd_topic(Some(&b"\0\x03a b\0\0\0\0"[..]), "it names a topic that cannot be")]
    #[case::negative_partition(Some(&b"\0\x01a\xff\xff\xff\xff"[..]), "it names a partition that cannot be")]
    #[case::more(Some(&b"\0\x01a\0\0\0\0x"[..]), "its key goes on behind its end")]
    fn what_is_no_key_of_a_sync_is_refused_with_a_reason(#[case] key: Option<&[u8]>, #[case] why: &str) {
        assert_eq!(sync_key(key).unwrap_err(), why);
    }

    #[test]
    fn a_version_that_is_not_known_is_not_guessed_at() {
        let why = "its version is 1, and only 0 is understood";
        assert_eq!(heartbeat_value(b"\0\x01\0\0\0\0\0\0\0\0").unwrap_err(), why);
        assert_eq!(checkpoint_value(b"\0\x01\0\0").unwrap_err(), why);
    }

    fn topic() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9._-]{1,249}"
    }

    proptest! {
        #[test]
        fn decoding_gives_back_what_was_encoded(
            group in "\\PC{0,40}", topic in topic(), index in 0..=i32::MAX, up: i64, down: i64, note in "\\PC{0,20}",
        ) {
            let partition = Partition { log: topic, index };
            let (key, value) = encode::sync(&partition, up, down);
            prop_assert_eq!(sync_key(Some(&key)), Ok(partition.clone()));
            prop_assert_eq!(sync_value(&value), Ok((up, down)));
            let (key, value) = encode::checkpoint(&group, &partition, up, down, &note);
            prop_assert_eq!(checkpoint_key(Some(&key)), Ok((group.clone(), partition)));
            prop_assert_eq!(checkpoint_value(&value), Ok((up, down, note.clone())));
            let (key, value) = encode::heartbeat(&group, &note, up);
            prop_assert_eq!(heartbeat_key(Some(&key)), Ok((group, note)));
            prop_assert_eq!(heartbeat_value(&value), Ok(up));
        }

        #[test]
        fn a_trace_that_is_cut_anywhere_is_none(cut: prop::sample::Index, topic in topic(), up: i64) {
            let partition = Partition { log: topic, index: 7 };
            let (key, value) = encode::checkpoint("g", &partition, up, 1, "m");
            prop_assert!(checkpoint_key(key.get(..cut.index(key.len()))).is_err());
            prop_assert!(checkpoint_value(&value[..cut.index(value.len())]).is_err());
            let (key, value) = encode::sync(&partition, up, 1);
            prop_assert!(sync_key(key.get(..cut.index(key.len()))).is_err());
            prop_assert!(sync_value(&value[..cut.index(value.len())]).is_err());
        }

        #[test]
        fn what_decodes_is_the_only_spelling_of_its_meaning(bytes in prop::collection::vec(prop_oneof![Just(0_u8), 0..4_u8, any::<u8>()], 0..40)) {
            if let Ok(partition) = sync_key(Some(&bytes)) {
                prop_assert_eq!(encode::sync(&partition, 0, 0).0, bytes.clone());
            }
            if let Ok((up, down)) = sync_value(&bytes) {
                prop_assert_eq!(encode::sync(&Partition::new("a", 0), up, down).1, bytes.clone());
            }
            if let Ok((group, partition)) = checkpoint_key(Some(&bytes)) {
                prop_assert_eq!(encode::checkpoint(&group, &partition, 0, 0, "").0, bytes.clone());
            }
            if let Ok((up, down, note)) = checkpoint_value(&bytes) {
                prop_assert_eq!(encode::checkpoint("", &Partition::new("a", 0), up, down, &note).1, bytes.clone());
            }
            if let Ok((source, target)) = heartbeat_key(Some(&bytes)) {
                prop_assert_eq!(encode::heartbeat(&source, &target, 0).0, bytes.clone());
            }
            if let Ok(sent) = heartbeat_value(&bytes) {
                prop_assert_eq!(encode::heartbeat("", "", sent).1, bytes);
            }
        }
    }
}
