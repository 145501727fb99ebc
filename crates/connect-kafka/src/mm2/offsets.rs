//! How far MirrorMaker's source connector has come, as Kafka Connect keeps it: JSON in keys and values.
//!
//! The key is `["<connector>",{"cluster":…,"partition":…,"topic":…}]`, the value `{"offset":…}`. Members come in any
//! order. Other connectors keep their offsets beside, under keys of their own.
//! Source: `MirrorUtils.wrapPartition` and Kafka Connect's `OffsetStorageWriter`.

use super::NoTrace;
use super::wire::partition;
use paritas_connect::logs::Partition;
use serde_json::Value;

/// Whose offset a record is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A partition of the cluster with this alias.
    Mirrored(String, Partition),
    /// Something that another connector reads.
    Other,
}

/// The key of an offset.
pub(super) fn key(key: Option<&[u8]>) -> Result<Owner, NoTrace> {
    let key = key.ok_or("it has no key")?;
    let wrong = || "its key is no JSON array of a connector and what it reads".to_owned();
    let value: Value = serde_json::from_slice(key).map_err(|_| wrong())?;
    let (connector, read) = match value.as_array().map(Vec::as_slice) {
        Some([connector, read]) => (connector, read),
        _ => return Err(wrong()),
    };
    if !connector.is_string() {
        return Err(wrong());
    }
    let Some(read) = read.as_object() else {
        // Connect allows a connector whatever converts to JSON.
        return Ok(Owner::Other);
    };
    match (read.get("cluster"), read.get("topic"), read.get("partition")) {
        (Some(Value::String(cluster)), Some(Value::String(topic)), Some(Value::Number(index))) if read.len() == 3 => {
            let index = index.as_i64().ok_or("it names a partition that cannot be")?;
            Ok(Owner::Mirrored(cluster.clone(), partition(topic.clone(), index)?))
        }
        _ => Ok(Owner::Other),
    }
}

/// The value of an offset; `None` where it was taken back.
pub(super) fn value(value: Option<&[u8]>) -> Result<Option<u64>, NoTrace> {
    let Some(value) = value else { return Ok(None) };
    let parsed: Value = serde_json::from_slice(value).map_err(|_| "its value is no JSON".to_owned())?;
    if parsed.is_null() {
        return Ok(None);
    }
    let offset = parsed.get("offset").and_then(Value::as_u64);
    offset.map(Some).ok_or_else(|| "its value has no offset".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::encode;
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn mirrored(cluster: &str, topic: &str, index: i32) -> Owner {
        Owner::Mirrored(cluster.to_owned(), Partition::new(topic, index))
    }

    #[rstest]
    #[case(r#"["MirrorSourceConnector",{"cluster":"A","partition":0,"topic":"orders"}]"#, mirrored("A", "orders", 0))]
    #[case(r#"["MirrorSourceConnector",{"topic":"orders","cluster":"A","partition":11}]"#, mirrored("A", "orders", 11))]
    #[case(r#" [ "east to west" , { "topic":"a", "cluster":"A",  "partition":1 } ] "#, mirrored("A", "a", 1))]
    #[case(r#"["MirrorHeartbeatConnector",{"sourceClusterAlias":"A","targetClusterAlias":"B"}]"#, Owner::Other)]
    #[case(r#"["MirrorCheckpointConnector",{"group":"g","partition":0,"topic":"A.a"}]"#, Owner::Other)]
    #[case(r#"["jdbc",{"protocol":"1","table":"x"}]"#, Owner::Other)]
    #[case(r#"["file",null]"#, Owner::Other)]
    #[case(r#"["x",{"cluster":"A","partition":"0","topic":"a"}]"#, Owner::Other)]
    fn keys_say_whose_offset_it_is(#[case] text: &str, #[case] owner: Owner) {
        assert_eq!(key(Some(text.as_bytes())).unwrap(), owner);
    }

    #[rstest]
    #[case("")]
    #[case("[]")]
    #[case(r#"["a"]"#)]
    #[case(r#"[1,{}]"#)]
    #[case(r#"{"cluster":"A"}"#)]
    #[case(r#"["MirrorSourceConnector",{"cluster":"A","partition":0,"topic":"orders"}"#)]
    #[case(r#"["m",{"cluster":"A","partition":-1,"topic":"orders"}]"#)]
    #[case(r#"["m",{"cluster":"A","partition":1.5,"topic":"orders"}]"#)]
    #[case(r#"["m",{"cluster":"A","partition":2147483648,"topic":"orders"}]"#)]
    #[case(r#"["m",{"cluster":"A","partition":0,"topic":""}]"#)]
    fn keys_that_cannot_be_are_refused(#[case] text: &str) {
        assert!(key(Some(text.as_bytes())).is_err());
        assert!(key(None).is_err());
    }

    #[rstest]
    #[case(Some(r#"{"offset":41}"#), Ok(Some(41)))]
    #[case(Some(r#"{"offset":9223372036854775807,"more":[]}"#), Ok(Some(9_223_372_036_854_775_807)))]
    #[case(None, Ok(None))]
    #[case(Some("null"), Ok(None))]
    #[case(Some(r#"{"offset":-1}"#), Err(()))]
    #[case(Some(r#"{"offset":"41"}"#), Err(()))]
    #[case(Some(r#"{"offset":1e2}"#), Err(()))]
    #[case(Some("{}"), Err(()))]
    #[case(Some(""), Err(()))]
    fn values_are_offsets_or_taken_back(#[case] text: Option<&str>, #[case] offset: Result<Option<u64>, ()>) {
        assert_eq!(value(text.map(str::as_bytes)).map_err(|_| ()), offset);
    }

    #[test]
    fn json_that_is_nested_without_end_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(key(Some(deep.as_bytes())).is_err() && value(Some(deep.as_bytes())).is_err());
    }

    proptest! {
        #[test]
        fn decoding_gives_back_what_was_encoded(
            order in Just(["cluster", "partition", "topic"]).prop_shuffle(),
            cluster in "\\PC{0,20}", topic in "[a-zA-Z0-9._-]{1,40}", index in 0..=i32::MAX, last in 0..=i64::MAX as u64,
        ) {
            let partition = Partition { log: topic, index };
            let (k, v) = encode::copied(order, &cluster, &partition, last);
            prop_assert_eq!(key(Some(&k)).unwrap(), Owner::Mirrored(cluster, partition));
            prop_assert_eq!(value(Some(&v)).unwrap(), Some(last));
        }
    }
}
