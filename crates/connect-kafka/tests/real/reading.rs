//! Ranges of records: every record once, in order, with everything it has, or an error.

use crate::asking::transactions;
use crate::bed::{Keeping, Kept, bed, cx, offsets, range, read};
use paritas_connect::logs::Isolation::{Committed, Uncommitted};
use paritas_connect::logs::{Logs as _, RecordSink, Records, Want};
use paritas_connect::{Context, Error, FailureKind, Pace, Rate, Result};
use paritas_connect_kafka::KafkaStore;
use paritas_testbed::kafka::{Client, Options, Record, Topic, value_of};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn ranges_are_read_to_their_ends() {
    let Some(bed) = bed(Options::default()).await else { return };
    let (client, store) = (&bed.client, &bed.store());
    records_come_by_isolation(client, store).await;
    open_transactions_are_read_where_they_are_asked_for(client, store).await;
    ranges_of_one_partition_may_overlap(client, store).await;
    records_are_handed_out_as_they_are(client, store).await;
    every_codec_is_read(client, store).await;
    large_and_empty_records_are_read(client, store).await;
    gaps_of_compaction_neither_stop_a_range_nor_end_it(client, store).await;
    what_was_deleted_is_an_error(client, store).await;
    what_is_not_there_yet_is_an_error(client, store).await;
    a_sink_that_has_enough_gets_no_more(client, store).await;
    many_partitions_are_read_at_once(client, store).await;
    reading_obeys_pace_cancel_and_the_sink(client, store).await;
    nothing_is_left_behind(client, store).await;
}

pub async fn records_come_by_isolation(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("tx").set("retention.ms", "-1")).await.unwrap();
    transactions(client, "tx").await;
    let (_, kept) = read(store, &[range("tx", 0, 0, 13, Committed), range("tx", 0, 0, 13, Uncommitted)]).await.unwrap();
    assert_eq!(offsets(&kept[0]), [0, 1, 2, 10, 11]);
    assert_eq!(offsets(&kept[1]), [0, 1, 2, 4, 5, 6, 7, 8, 10, 11]);
    // Ends in the middle: before, on and behind markers and aborted records.
    for (from, to) in (0..=13).flat_map(|from| (from..=13).map(move |to| (from, to))) {
        let expected = |all: &[Kept]| offsets(all).into_iter().filter(|at| (from..to).contains(at)).collect::<Vec<_>>();
        let (_, some) =
            read(store, &[range("tx", 0, from, to, Committed), range("tx", 0, from, to, Uncommitted)]).await.unwrap();
        assert_eq!((offsets(&some[0]), offsets(&some[1])), (expected(&kept[0]), expected(&kept[1])), "{from}..{to}");
    }
}

async fn open_transactions_are_read_where_they_are_asked_for(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("half")).await.unwrap();
    client.produce("half", [Record::of("a")]).await.unwrap();
    let open = client.transaction("half").await.unwrap();
    open.produce("half", (0..4).map(|_| Record::of("b"))).await.unwrap();
    let ends = store.ends(&cx(), &[range("half", 0, 0, 0, Committed).partition]).await.unwrap();
    assert_eq!(ends[0].value().map(|ends| (ends.stable, ends.end)), Some((1, 5)));
    let (_, kept) =
        read(store, &[range("half", 0, 0, 1, Committed), range("half", 0, 0, 5, Uncommitted)]).await.unwrap();
    assert_eq!((offsets(&kept[0]), offsets(&kept[1])), (vec![0], vec![0, 1, 2, 3, 4]));
    // Committed records do not go so far: never a short read.
    let error = read(store, &[range("half", 0, 0, 5, Committed)]).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("log.short", "half/0 ends at offset 1, before offset 5"));
    open.abort().await.unwrap();
    let (_, kept) = read(store, &[range("half", 0, 0, 6, Committed)]).await.unwrap();
    assert_eq!(offsets(&kept[0]), [0]);
}

async fn ranges_of_one_partition_may_overlap(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("many").partitions(2)).await.unwrap();
    client.fill("many", 0, 10_000, 20).await.unwrap();
    let ranges = [(4_000, 4_500), (0, 1), (4_400, 4_600), (0, 3_000), (2_999, 3_000), (7, 7), (4_999, 5_000)];
    let ranges: Vec<_> =
        ranges.iter().flat_map(|(from, to)| [0, 1].map(|index| range("many", index, *from, *to, Committed))).collect();
    let (read, kept) = read(store, &ranges).await.unwrap();
    for (range, (read, kept)) in ranges.iter().zip(read.iter().zip(&kept)) {
        assert_eq!(read.records, range.to - range.from);
        assert!(offsets(kept).into_iter().eq(range.from..range.to));
    }
}

async fn records_are_handed_out_as_they_are(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("odd").set("retention.ms", "-1")).await.unwrap();
    client.create(&Topic::new("stamped").set("message.timestamp.type", "LogAppendTime")).await.unwrap();
    let records = [
        Record::default().at(7),
        Record::new("", "").at(1),
        Record::tombstone("key").at(2),
        Record::of("value").at(1_700_000_000_000),
        Record::new([0, 255], [0]).at(3),
        Record::new("h", "v")
            .at(4)
            .header("a", Some(b"1"))
            .header("a", None)
            .header("", Some(b""))
            .header("\u{e9}", Some(&[0, 255])),
    ];
    client.produce("odd", records.clone()).await.unwrap();
    client.produce("stamped", [Record::of("x").at(5)]).await.unwrap();
    let (_, kept) =
        read(store, &[range("odd", 0, 0, 6, Committed), range("stamped", 0, 0, 1, Committed)]).await.unwrap();
    for (kept, record) in kept[0].iter().zip(&records) {
        assert_eq!((&kept.key, &kept.value, &kept.headers), (&record.key, &record.value, &record.headers));
        assert_eq!((kept.timestamp, kept.appended), (record.timestamp, false));
    }
    assert_eq!(kept[0].len(), records.len());
    let stamped = &kept[1][0];
    assert!(stamped.appended && stamped.timestamp.is_some_and(|time| time > 1_700_000_000_000), "{stamped:?}");
}

async fn every_codec_is_read(client: &Client, store: &KafkaStore) {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("codec-{codec}");
        client.create(&Topic::new(&topic)).await.unwrap();
        let writer = client.with(&[("compression.codec", codec), ("linger.ms", "50")]).unwrap();
        let records = (0..500).map(|number| Record::new(format!("key {number}"), "value ".repeat(number % 7)));
        writer.produce(&topic, records).await.unwrap();
        let (_, kept) =
            read(store, &[range(&topic, 0, 0, 500, Committed), range(&topic, 0, 250, 499, Uncommitted)]).await.unwrap();
        assert!(offsets(&kept[0]).into_iter().eq(0..500) && offsets(&kept[1]).into_iter().eq(250..499), "{codec}");
        let good = |kept: &Kept| {
            let number = usize::try_from(kept.offset).unwrap();
            kept.key == Some(format!("key {number}").into_bytes())
                && kept.value == Some("value ".repeat(number % 7).into_bytes())
        };
        assert!(kept.iter().flatten().all(good), "{codec}");
    }
}

async fn large_and_empty_records_are_read(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("large").set("max.message.bytes", "6000000")).await.unwrap();
    let writer = client.with(&[("message.max.bytes", "6000000")]).unwrap();
    let large = |number: u64, bytes: usize| {
        let mut value = vec![0; bytes];
        value_of(number, &mut value);
        value
    };
    let sizes = [1 << 20, 0, 5 << 20, 1 << 20, 0, (1 << 20) + 1];
    let values: Vec<_> = sizes.iter().enumerate().map(|(number, size)| large(number as u64, *size)).collect();
    let records: Vec<_> = values.iter().map(|value| Record::of(value.clone())).collect();
    writer.produce("large", records).await.unwrap();
    let (read, kept) = read(store, &[range("large", 0, 0, 6, Committed)]).await.unwrap();
    assert!(kept[0].iter().map(|kept| kept.value.as_ref().unwrap()).eq(&values));
    assert_eq!(read[0].bytes, sizes.iter().sum::<usize>() as u64);
}

async fn gaps_of_compaction_neither_stop_a_range_nor_end_it(client: &Client, store: &KafkaStore) {
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1000"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "2000"),
    ];
    let topic = settings.iter().fold(Topic::new("compact"), |topic, (name, value)| topic.set(name, value));
    client.create(&topic).await.unwrap();
    client.produce("compact", (0..1_000).map(|number| Record::new(format!("k{}", number % 10), "v"))).await.unwrap();
    // The segment that is written to is never compacted: begin others until the first is.
    let mut end = 1_000;
    let kept = loop {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        client.produce("compact", [Record::new("tick", "t")]).await.unwrap();
        end += 1;
        let (_, kept) = read(store, &[range("compact", 0, 0, end, Committed)]).await.unwrap();
        if kept[0].len() < 100 {
            break kept.into_iter().next().unwrap();
        }
        assert!(end < 1_060, "the cleaner does not work");
    };
    let there = offsets(&kept);
    for (from, to) in [(0, 500), (1, 2), (500, 501), (500, 990), (0, 995), (998, 1_000), (990, end), (5, end - 1)] {
        let (_, some) = read(store, &[range("compact", 0, from, to, Committed)]).await.unwrap();
        let expected: Vec<u64> = there.iter().copied().filter(|at| (from..to).contains(at)).collect();
        assert!(
            offsets(&some[0]).is_sorted() && expected.iter().all(|at| offsets(&some[0]).contains(at) || *at >= 1_000),
            "{from}..{to}"
        );
    }
}

async fn what_was_deleted_is_an_error(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("short")).await.unwrap();
    client.produce("short", (0..10).map(|_| Record::of("x"))).await.unwrap();
    client.delete_records("short", 0, 4).await.unwrap();
    let error = read(store, &[range("short", 0, 3, 10, Committed)]).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("log.truncated", "short/0 begins at offset 4, behind offset 3"));
    let error =
        read(store, &[range("many", 0, 0, 5_000, Committed), range("short", 0, 0, 2, Committed)]).await.unwrap_err();
    assert_eq!(error.code(), "log.truncated");
    let (_, kept) = read(store, &[range("short", 0, 4, 10, Committed)]).await.unwrap();
    assert_eq!(offsets(&kept[0]), [4, 5, 6, 7, 8, 9]);
}

async fn what_is_not_there_yet_is_an_error(_: &Client, store: &KafkaStore) {
    let error = read(store, &[range("short", 0, 4, 11, Committed)]).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("log.short", "short/0 ends at offset 10, before offset 11"));
    let error = read(store, &[range("short", 0, 20, 30, Uncommitted)]).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("log.short", "short/0 ends at offset 10, before offset 30"));
    let error = read(store, &[range("missing", 0, 0, 1, Committed)]).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("dataset.missing", "there is no topic missing"));
    let error = read(store, &[range("short", 1, 0, 1, Committed)]).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("dataset.missing", "topic short has no partition 1"));
    let error = read(store, &[range("short", 0, 2, 1, Committed)]).await.unwrap_err();
    assert_eq!(error.code(), "usage.range");
    let (read, _) = read(store, &[range("short", 0, 5, 5, Committed)]).await.unwrap();
    assert_eq!((read[0].records, read[0].next), (0, 5));
}

async fn a_sink_that_has_enough_gets_no_more(client: &Client, store: &KafkaStore) {
    let ranges = [
        range("many", 0, 0, 5_000, Committed),
        range("many", 0, 100, 200, Committed),
        range("many", 1, 0, 5_000, Committed),
        range("many", 1, 0, 5_000, Uncommitted),
    ];
    let mut keeping = Keeping { max: 1, ..Keeping::new(ranges.len()) };
    let read = store.read(&cx(), &ranges, &mut keeping).await.unwrap();
    for (kept, read) in keeping.ranges.iter().zip(&read) {
        let last = kept.last().unwrap().offset;
        assert_eq!((read.records, read.next), (kept.len() as u64, last + 1));
        // What came with the first of them is handed over, and no other batch.
        assert!((1..=2_000).contains(&kept.len()), "{}", kept.len());
    }
    let _ = client;
}

async fn many_partitions_are_read_at_once(client: &Client, store: &KafkaStore) {
    client.create(&Topic::new("wide").partitions(100)).await.unwrap();
    client.fill("wide", 0, 20_000, 10).await.unwrap();
    let ranges: Vec<_> = (0..100).map(|index| range("wide", index, 0, 200, Committed)).collect();
    let (_, kept) = read(store, &ranges).await.unwrap();
    assert!(kept.iter().all(|kept| offsets(kept).into_iter().eq(0..200)));
}

/// Cancels the run, or fails, at its first records.
struct Stubborn(Option<Context>);

impl RecordSink for Stubborn {
    fn accept(&mut self, _: usize, _: &dyn Records) -> Result<Want> {
        match &self.0 {
            Some(cx) => {
                cx.cancel_token().cancel();
                Ok(Want::More)
            }
            None => Err(Error::new(FailureKind::Permanent, "test.sink", "the sink is full")),
        }
    }
}

async fn reading_obeys_pace_cancel_and_the_sink(_: &Client, store: &KafkaStore) {
    let ranges = [range("many", 0, 0, 5_000, Committed)];
    let error = store.read(&cx(), &ranges, &mut Stubborn(None)).await.unwrap_err();
    assert_eq!(error.code(), "test.sink");
    let cancelled = cx();
    let error = store.read(&cancelled, &ranges, &mut Stubborn(Some(cancelled.clone()))).await.unwrap_err();
    assert_eq!(error.code(), "run.cancelled");
    // A pace that 5,000 records do not keep within the time.
    let pace = Arc::new(Pace::new(Rate { rows: Some(100), bytes: None }));
    let slow = Context::default().with_timeout(Duration::from_secs(3)).with_pace(pace);
    let error = store.read(&slow, &ranges, &mut Keeping::new(1)).await.unwrap_err();
    assert_eq!(error.code(), "run.deadline");
    assert!(slow.progress().rows() >= 100 && slow.progress().bytes() > 0);
    let (_, kept) = read(store, &ranges).await.unwrap();
    assert!(offsets(&kept[0]).into_iter().eq(0..5_000));
}

async fn nothing_is_left_behind(client: &Client, store: &KafkaStore) {
    // Neither a group nor the topic in which brokers keep what groups commit.
    let none = ["paritas".to_owned()];
    let groups = store.groups(&cx(), Some(&none)).await.unwrap();
    assert_eq!(groups[0].state.value().map(String::as_str), Some("Dead"));
    assert!(store.groups(&cx(), None).await.unwrap().is_empty());
    assert!(client.partitions("__consumer_offsets").await.unwrap().is_empty());
}
