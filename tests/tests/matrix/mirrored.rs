//! Faults of a mirrored topic: records and what is in them.

use crate::mirror::{Mirrored, NOON, finds, records};
use crate::stage::World;
use paritas_testbed::kafka::Record;

pub fn lost_insert(world: &World) {
    finds(world, "one record", 20, |copy| drop(copy.remove(7)), &["missing p0 source 7"]);
    finds(
        world,
        "a run of records",
        3_000,
        |copy| drop(copy.drain(1_000..1_500)),
        &["missing p0 source 1000..1499 x500"],
    );
}

/// In a compacted topic a record replaces the one before of its key.
const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("min.compaction.lag.ms", "86400000")];

fn compacted(world: &World, last: Record, demanded: &[&str], what: &str) {
    let mut honest = records(10, 1);
    honest.push(last);
    honest.push(Record::new("k9", "the last one").on(0).at(NOON + 60_000));
    let mut faulty = honest.clone();
    faulty.remove(10);
    for (code, copied, demanded) in [(0, honest.clone(), &[][..]), (1, faulty, demanded)] {
        let mirrored = Mirrored::new(world, 1, &COMPACTED);
        // The order of records, and those that later ones replaced.
        let left_out = format!("not checked records of {}", mirrored.topic);
        let demanded: Vec<&str> = demanded.iter().copied().chain([left_out.as_str()]).collect();
        mirrored.fill(&honest, &copied);
        mirrored.demand(code, &demanded, &format!("{what}: {code}"));
    }
}

pub fn lost_update(world: &World) {
    let update = Record::new("k3", "newer").on(0).at(NOON + 50_000);
    compacted(world, update, &["altered p0 source 10 replica 3"], "an update of a key");
    finds(world, "an update in a log of events", 20, |copy| drop(copy.remove(19 - 1)), &["missing p0 source 18"]);
}

pub fn lost_delete(world: &World) {
    let tombstone = Record::tombstone("k3").on(0).at(NOON + 50_000);
    compacted(world, tombstone, &["altered p0 source 10 replica 3"], "a tombstone");
}

pub fn phantom(world: &World) {
    let phantom = Record::new("phantom", "bought at the top").on(0).at(NOON + 5_500);
    finds(world, "in between", 20, |copy| copy.insert(5, phantom.clone()), &["foreign p0 replica 5"]);
    finds(world, "at the end", 20, |copy| copy.push(phantom.clone()), &["foreign p0 replica 20"]);
}

pub fn duplicates(world: &World) {
    let again = |copy: &mut Vec<Record>, from: usize, at: usize| copy.insert(at, copy[from].clone());
    finds(world, "once more", 20, |copy| again(copy, 7, 8), &["duplicate p0 source 7 replica 8"]);
    finds(
        world,
        "in pairs",
        20,
        |copy| {
            again(copy, 7, 8);
            again(copy, 12, 13);
        },
        &["duplicate p0 source 7 replica 8", "duplicate p0 source 11 replica 13"],
    );
    // Records that are alike on the source are no duplicates on the copy.
    let mut alike = records(20, 1);
    alike.extend(std::iter::repeat_n(Record::of("ping").on(0).at(NOON), 5));
    Mirrored::new(world, 1, &[]).fill(&alike, &alike).demand(0, &[], "records that are alike");
}

pub fn swapped(world: &World) {
    let swap = |copy: &mut Vec<Record>| {
        let (a, b) = (copy[4].value.clone(), copy[9].value.clone());
        (copy[4].value, copy[9].value) = (b, a);
    };
    finds(
        world,
        "two values",
        20,
        swap,
        &["altered p0 source 4 replica 4 value", "altered p0 source 9 replica 9 value"],
    );
}

fn alters(world: &World, what: &str, change: impl FnOnce(&mut Record), parts: &str) {
    let line = format!("altered p0 source 7 replica 7 {parts}");
    finds(world, what, 20, |copy| change(&mut copy[7]), &[&line]);
}

pub fn bit_in_a_value(world: &World) {
    let flip = |bytes: &mut Option<Vec<u8>>| bytes.as_mut().unwrap()[0] ^= 1;
    alters(world, "of the value", |record| flip(&mut record.value), "value");
    alters(world, "of the key", |record| flip(&mut record.key), "key");
    alters(world, "of a header", |record| flip(&mut record.headers[0].1), "headers");
    alters(world, "of the time", |record| record.timestamp = Some(record.timestamp.unwrap() ^ 1), "timestamp");
}

pub fn truncated(world: &World) {
    alters(world, "a short value", |record| record.value.as_mut().unwrap().truncate(5), "value");
    let large = |bytes: usize| {
        let mut all = records(10, 1);
        all[7].value = Some(vec![b'x'; bytes]);
        all
    };
    let mirrored = Mirrored::new(world, 1, &[]);
    mirrored.fill(&large(1_000_000), &large(65_536)).demand(
        1,
        &["altered p0 source 7 replica 7 value"],
        "64 KiB of 1 MB",
    );
    Mirrored::new(world, 1, &[]).fill(&large(0), &large(0)).demand(0, &[], "no byte at all");
}

pub fn reordered(world: &World) {
    finds(world, "two records", 20, |copy| copy.swap(7, 8), &["reordered p0 source 7 replica 8"]);
    finds(
        world,
        "one record far away",
        3_000,
        |copy| {
            let moved = copy.remove(500);
            copy.insert(2_500, moved);
        },
        &["reordered p0 source 500 replica 2500"],
    );
}

/// A fault of some records.
type Plant = fn(&mut Vec<Record>);

pub fn nothings(world: &World) {
    let mut honest = records(20, 1);
    honest[7].key = None;
    honest[8].value = None;
    honest[9].headers = vec![("a".into(), None), ("a".into(), Some(Vec::new()))];
    let planted: [(&str, Plant, &str); 5] = [
        ("an empty key for none", |copy| copy[7].key = Some(Vec::new()), "altered p0 source 7 replica 7 key"),
        ("an empty value for none", |copy| copy[8].value = Some(Vec::new()), "altered p0 source 8 replica 8 value"),
        (
            "an empty header for none",
            |copy| copy[9].headers[0].1 = Some(Vec::new()),
            "altered p0 source 9 replica 9 headers",
        ),
        ("a header left out", |copy| drop(copy[9].headers.remove(1)), "altered p0 source 9 replica 9 headers"),
        ("headers in another order", |copy| copy[9].headers.swap(0, 1), "altered p0 source 9 replica 9 headers"),
    ];
    Mirrored::new(world, 1, &[]).fill(&honest, &honest).demand(0, &[], "without any fault");
    for (what, plant, line) in planted {
        let mut faulty = honest.clone();
        plant(&mut faulty);
        Mirrored::new(world, 1, &[]).fill(&honest, &faulty).demand(1, &[line], what);
    }
}

fn retells(world: &World, what: &str, from: &str, to: &str) {
    let replace = |record: &mut Record| {
        let text = String::from_utf8(record.value.clone().unwrap()).unwrap();
        assert!(text.contains(from), "{text}");
        record.value = Some(text.replace(from, to).into_bytes());
    };
    alters(world, what, replace, "value");
}

pub fn precision(world: &World) {
    retells(world, "scale", "700.25", "700.250");
    retells(world, "a cent", "700.25", "700.3");
    alters(world, "seconds for milliseconds", |record| record.timestamp = Some(NOON + 7_000 - 500), "timestamp");
}

pub fn zone(world: &World) {
    alters(world, "an hour", |record| record.timestamp = Some(NOON + 7_000 + 3_600_000), "timestamp");
}

pub fn encoding(world: &World) {
    let texts: [(&str, &[u8], &[u8]); 3] = [
        ("latin1 for UTF-8", "Zürich".as_bytes(), b"Z\xfcrich"),
        ("decomposed letters", "é".as_bytes(), "e\u{301}".as_bytes()),
        ("another order of members", b"{\"a\":1,\"b\":2}", b"{\"b\":2,\"a\":1}"),
    ];
    for (what, ours, theirs) in texts {
        let with = |value: &[u8]| {
            let mut all = records(10, 1);
            all[7].value = Some(value.to_vec());
            all
        };
        let mirrored = Mirrored::new(world, 1, &[]);
        mirrored.fill(&with(ours), &with(theirs)).demand(1, &["altered p0 source 7 replica 7 value"], what);
    }
}

pub fn columns(world: &World) {
    retells(world, "a member left out", ",\"note\":\"n7\"", "");
    retells(world, "a member more", "\"note\":\"n7\"", "\"note\":\"n7\",\"more\":1");
    retells(world, "a member renamed", "\"note\"", "\"remark\"");
    retells(world, "a text for a number", "\"id\":7", "\"id\":\"7\"");
}

pub fn replayed(world: &World) {
    let replay = |copy: &mut Vec<Record>| {
        let run: Vec<Record> = copy[1_000..2_000].to_vec();
        copy.splice(2_000..2_000, run);
    };
    finds(
        world,
        "a run that was copied twice",
        3_000,
        replay,
        &["duplicate p0 source 1000..1999 replica 2000..2999 x1000"],
    );
}

pub fn disordered(world: &World) {
    let swap_blocks = |copy: &mut Vec<Record>| {
        let block: Vec<Record> = copy.drain(100..110).collect();
        copy.splice(1_000..1_000, block);
    };
    finds(world, "a block", 2_000, swap_blocks, &["reordered p0 source 100..109 replica 1000..1009 x10"]);
}

pub fn torn(world: &World) {
    let honest = records(20, 2);
    let mut faulty = honest.clone();
    // Records 10 and 11 are of one transaction, in two partitions.
    faulty.remove(11);
    let mirrored = Mirrored::new(world, 2, &[]);
    mirrored.fill(&honest, &faulty).demand(1, &["missing p1 source 5"], "one of two records");
    let wrong = |copy: &mut Vec<Record>| copy[10].partition = Some(1);
    let mut elsewhere = honest.clone();
    wrong(&mut elsewhere);
    let mirrored = Mirrored::new(world, 2, &[]);
    mirrored.fill(&honest, &elsewhere).demand(
        1,
        &["wrong_partition p0 source 5 replica 5 in p1"],
        "in the wrong partition",
    );
    aborted(world);
}

/// Records of a transaction that was aborted on the source.
fn aborted(world: &World) {
    let mirrored = Mirrored::new(world, 1, &[]);
    let all = records(10, 1);
    mirrored.fill(&all[..5], &all);
    world.run(async {
        let transaction = mirrored.east().transaction(&format!("{}-aborted", mirrored.topic)).await.unwrap();
        transaction.produce(&mirrored.topic, all[5..8].to_vec()).await.unwrap();
        transaction.abort().await.unwrap();
        mirrored.east().produce(&mirrored.topic, all[8..].to_vec()).await.unwrap();
    });
    mirrored.demand(1, &["aborted p0 source 5..7 replica 5..7 x3"], "aborted on the source");
    mirrored.demand_with("aborted=allow", &[], 0, &[], "aborted on the source, and allowed");
}
