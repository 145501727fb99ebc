#![allow(clippy::unwrap_used)]
use paritas_connect::logs::*;
use paritas_connect::{Context, Result, Store};
use paritas_connect_kafka::{KafkaOptions, KafkaStore};
use rdkafka::ClientConfig;
use rdkafka::admin::*;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::time::{Duration, Instant};

struct All(Vec<(usize, u64)>, bool);
impl RecordSink for All {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        for i in 0..records.len() {
            let r = records.get(i).unwrap();
            if self.1 {
                println!("{range} {r:?}");
            }
            self.0.push((range, r.offset));
        }
        Ok(Want::More)
    }
}

#[tokio::test]
async fn smoke() {
    let servers = std::env::var("KAFKA").unwrap();
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
    let topic = format!("t{}", std::process::id());
    admin
        .create_topics(
            &[NewTopic::new(&topic, 3, TopicReplication::Fixed(1)).set("retention.ms", "-1")],
            &AdminOptions::new(),
        )
        .await
        .unwrap();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &servers).set("transactional.id", &topic).create().unwrap();
    let t = Duration::from_secs(30);
    producer.init_transactions(t).unwrap();
    for (n, commit) in [(3, true), (5, false), (2, true)] {
        producer.begin_transaction().unwrap();
        for _ in 0..n {
            producer.send(BaseRecord::<str, str>::to(&topic).partition(0).key("k").payload("v")).unwrap();
        }
        producer.flush(t).unwrap();
        if commit { producer.commit_transaction(t).unwrap() } else { producer.abort_transaction(t).unwrap() }
    }
    producer.begin_transaction().unwrap();
    for _ in 0..4 {
        producer.send(BaseRecord::<str, str>::to(&topic).partition(1).key("k").payload("v")).unwrap();
    }
    producer.flush(t).unwrap();

    let store = KafkaStore::from_url(&format!("kafka://{servers}"), &KafkaOptions::default()).unwrap();
    let cx = Context::default().with_timeout(Duration::from_secs(60));
    let at = Instant::now();
    println!("{:?} {:?}", store.probe(&cx).await, at.elapsed());
    let at = Instant::now();
    let survey = store.survey(&cx).await.unwrap();
    println!("{:?} {:?} {:?} {:?}", survey.cluster, survey.log(&topic), survey.limits, at.elapsed());
    let parts: Vec<_> = (0..4).map(|p| Partition::new(&topic, p)).chain([Partition::new("nope", 0)]).collect();
    for _ in 0..2 {
        let at = Instant::now();
        let ends = store.ends(&cx, &parts).await.unwrap();
        println!("{:#?} {:?}", ends, at.elapsed());
    }
    println!("{:?}", store.ends(&cx, &[Partition::new("nope", 0)]).await);
    println!(
        "{:?}",
        store
            .offsets_at(
                &cx,
                &[(parts[0].clone(), 0), (parts[0].clone(), i64::MAX), (parts[0].clone(), -5), (parts[2].clone(), 5)]
            )
            .await
    );
    let s = store.settings(&cx, &[topic.clone(), "nope".to_owned()]).await.unwrap();
    println!("{:?} {:?}", s["nope"], s[&topic].value().map(|s| (s.get("retention.ms"), s.0.len())));
    let r = |p: u32, from, to, isolation| Range { partition: parts[p as usize].clone(), from, to, isolation };
    use Isolation::*;
    for ranges in [
        vec![r(0, 0, 13, Committed)],
        vec![r(0, 0, 13, Uncommitted)],
        vec![r(1, 0, 4, Uncommitted)],
        vec![r(0, 0, 13, Committed), r(0, 0, 5, Committed), r(0, 3, 7, Committed), r(0, 3, 12, Uncommitted)],
        vec![r(0, 0, 14, Committed)],
        vec![r(1, 0, 4, Committed)],
        vec![r(0, 20, 24, Committed)],
        vec![r(2, 0, 1, Committed)],
    ] {
        let mut sink = All(vec![], false);
        let at = Instant::now();
        let got = store.read(&cx, &ranges, &mut sink).await;
        println!("{:?}\n  {:?} {:?}", got, sink.0, at.elapsed());
    }
    let at = Instant::now();
    println!("{:?} {:?}", store.groups(&cx, None).await, at.elapsed());
    println!("{:?} {:?}", store.groups(&cx, Some(&["nope".to_owned()])).await, at.elapsed());
    let at = Instant::now();
    for url in [
        "kafka://127.0.0.1:1",
        "kafka://nope.invalid:9092",
        &format!("kafka://{servers}?security.protocol=ssl"),
        &format!("kafka://u:p@{servers}?security.protocol=sasl_plaintext&sasl.mechanism=PLAIN"),
    ] {
        let store = KafkaStore::from_url(url, &KafkaOptions::default()).unwrap();
        println!("{:?} {:?}", store.probe(&cx).await, at.elapsed());
    }
}
