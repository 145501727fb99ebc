//! Brokers that are not there, not where they say, frozen, or gone in the middle.

use crate::bed::{Keeping, bed, cx, offsets, range, store};
use paritas_connect::logs::Isolation::Committed;
use paritas_connect::logs::{Logs as _, Partition, RecordSink, Records, Want};
use paritas_connect::{Context, Result, Store as _};
use paritas_testbed::kafka::{Client, Election, Listener, Options, Record, Topic};
use paritas_testbed::ports::free_port;
use std::sync::mpsc;
use std::time::Duration;

/// No call that is to fail takes as long as this.
const HANG: Duration = Duration::from_secs(45);

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, work).await.expect("a call hangs")
}

#[tokio::test]
async fn where_nobody_listens_is_said_at_once() {
    let port = free_port().unwrap();
    let error = within(store(&format!("127.0.0.1:{port}"), "").probe(&cx())).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("store.unreachable", "ask who the cluster is failed"), "{error:?}");
    assert!(error.is_transient() && error.detail_text().unwrap().contains(&format!("127.0.0.1:{port}")), "{error:?}");
    assert_eq!(error.hint_text(), Some("check host and port, and that the broker runs"));
    let error = within(store("nowhere.invalid:9092", "").probe(&cx())).await.unwrap_err();
    assert_eq!(
        (error.code(), error.hint_text()),
        ("store.unreachable", Some("check the name of the host")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_broker_that_sends_clients_elsewhere_is_named_with_both_addresses() {
    let (port, elsewhere) = (free_port().unwrap(), free_port().unwrap());
    let Some(bed) = bed(Options::default().route(port, &format!("127.0.0.1:{elsewhere}"))).await else { return };
    bed.client.create(&Topic::new("orders")).await.unwrap();
    bed.client.produce("orders", [Record::of("x")]).await.unwrap();
    let store = store(&bed.cluster.bootstrap_of(Listener::Routed), "");
    let asked = within(store.ends(&cx(), &[Partition::new("orders", 0)])).await;
    let read = within(store.read(
        &Context::default().with_timeout(Duration::from_secs(10)),
        &[range("orders", 0, 0, 1, Committed)],
        &mut Keeping::new(1),
    ))
    .await;
    for error in [asked.map(|_| ()).unwrap_err(), read.map(|_| ()).unwrap_err()] {
        assert_eq!(error.code(), "store.unreachable", "{error:?}");
        for address in [port, elsewhere] {
            assert!(error.message().contains(&format!("127.0.0.1:{address}")), "{error:?}");
        }
        assert!(error.hint_text().unwrap().contains("advertised.listeners"), "{error:?}");
    }
}

#[tokio::test]
async fn a_frozen_broker_hangs_no_call_beyond_its_deadline() {
    let Some(mut bed) = bed(Options::default()).await else { return };
    bed.client.create(&Topic::new("orders")).await.unwrap();
    bed.client.produce("orders", [Record::of("x")]).await.unwrap();
    let store = bed.store();
    store.probe(&cx()).await.unwrap();
    bed.cluster.pause().unwrap();
    let orders = [Partition::new("orders", 0)];
    let short = || Context::default().with_timeout(Duration::from_secs(2));
    let cancelled = Context::default();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancelled.cancel_token().cancel();
    };
    let codes = within(async {
        let wanted = [range("orders", 0, 0, 1, Committed)];
        let ends = store.ends(&short(), &orders).await.map(|_| ()).unwrap_err();
        let survey = store.survey(&short()).await.map(|_| ()).unwrap_err();
        let groups = store.groups(&short(), None).await.map(|_| ()).unwrap_err();
        let read = store.read(&short(), &wanted, &mut Keeping::new(1)).await.map(|_| ()).unwrap_err();
        let (probe, ()) = tokio::join!(store.probe(&cancelled), cancel);
        [ends, survey, groups, read, probe.map(|_| ()).unwrap_err()].map(|error| error.code())
    })
    .await;
    let [asked @ .., probe] = codes;
    assert!(asked.iter().all(|code| ["run.deadline", "store.unreachable"].contains(code)), "{asked:?}");
    assert_eq!(probe, "run.cancelled");
    bed.cluster.resume().unwrap();
    // A broker that was away so long needs a while until it leads again: until then it is out of reach, or its ends are unknown.
    let end = within(async {
        loop {
            match store.ends(&cx(), &orders).await {
                Err(error) if error.is_transient() => {}
                Err(error) => panic!("{error:?}"),
                Ok(ends) => {
                    if let Some(ends) = ends[0].value() {
                        break ends.end;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(end.await, 1);
}

#[tokio::test]
async fn a_leader_that_was_another_one_for_a_moment_is_asked_again() {
    let Some(bed) = bed(Options::default().brokers(2)).await else { return };
    bed.client.create(&Topic::new("orders").on(&[1, 2])).await.unwrap();
    bed.client.produce("orders", [Record::of("x")]).await.unwrap();
    let (store, orders) = (bed.store(), [Partition::new("orders", 0)]);
    let before = store.ends(&cx(), &orders).await.unwrap()[0].value().unwrap().clone();
    // No connection ends meanwhile: nothing tells the client that it was not the leader.
    for replicas in [[2, 1], [1, 2]] {
        bed.cluster.reassign("orders", 0, &replicas).await.unwrap();
        // It may have been elected already, which is an error.
        let _ = bed.cluster.elect("orders", 0, Election::Preferred).await;
        bed.client.wait_placed("orders", |placed| placed[0].leader == Some(replicas[0])).await.unwrap();
    }
    let after = store.ends(&cx(), &orders).await.unwrap()[0].value().unwrap().clone();
    assert!(after.end == 1 && after.epoch > before.epoch, "{before:?} {after:?}");
    let begin = store.offsets_at(&cx(), &[(orders[0].clone(), 0)]).await.unwrap();
    assert_eq!(begin[0].value(), Some(&Some(0)), "{begin:?}");
}

/// Waits at its first records until it may go on, and says so.
struct Waiting {
    keeping: Keeping,
    reached: Option<tokio::sync::oneshot::Sender<()>>,
    go_on: mpsc::Receiver<()>,
}

impl RecordSink for Waiting {
    fn accept(&mut self, range: usize, records: &dyn Records) -> Result<Want> {
        if let Some(reached) = self.reached.take() {
            reached.send(()).unwrap();
            self.go_on.recv().unwrap();
        }
        self.keeping.accept(range, records)
    }
}

fn waiting() -> (Waiting, tokio::sync::oneshot::Receiver<()>, mpsc::Sender<()>) {
    let (reached, is_reached) = tokio::sync::oneshot::channel();
    let (may_go_on, go_on) = mpsc::channel();
    (Waiting { keeping: Keeping::new(1), reached: Some(reached), go_on }, is_reached, may_go_on)
}

/// More than a client holds before anybody takes it.
const RECORDS: u64 = 30_000;

async fn fill(client: &Client) {
    client.create(&Topic::new("orders")).await.unwrap();
    client.fill("orders", 0, RECORDS, 2_000).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_in_the_middle_costs_time_and_no_record() {
    let Some(mut bed) = bed(Options::default()).await else { return };
    fill(&bed.client).await;
    let store = bed.store();
    let (mut sink, reached, go_on) = waiting();
    let reading = tokio::spawn(async move {
        let read = store.read(&cx(), &[range("orders", 0, 0, RECORDS, Committed)], &mut sink).await;
        (read, sink.keeping.ranges)
    });
    reached.await.unwrap();
    bed.cluster.kill().await.unwrap();
    go_on.send(()).unwrap();
    bed.cluster.start_again().await.unwrap();
    let (read, kept) = reading.await.unwrap();
    assert_eq!(read.unwrap()[0].records, RECORDS);
    assert!(offsets(&kept[0]).into_iter().eq(0..RECORDS));

    // One that does not come back is an error, never a short read.
    let store = bed.store();
    let (mut sink, reached, go_on) = waiting();
    let reading = tokio::spawn(async move {
        let soon = Context::default().with_timeout(Duration::from_secs(10));
        let wanted = [range("orders", 0, 0, RECORDS, Committed)];
        let read = store.read(&soon, &wanted, &mut sink).await;
        (read, sink.keeping.ranges)
    });
    reached.await.unwrap();
    bed.cluster.kill().await.unwrap();
    go_on.send(()).unwrap();
    let (read, kept) = within(reading).await.unwrap();
    let error = read.unwrap_err();
    assert_eq!(error.code(), "store.unreachable", "{error:?}");
    assert!(offsets(&kept[0]).into_iter().eq(0..kept[0].len() as u64) && (kept[0].len() as u64) < RECORDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_made_again_while_it_is_read_is_an_error() {
    let Some(bed) = bed(Options::default()).await else { return };
    fill(&bed.client).await;
    let store = bed.store();
    let (mut sink, reached, go_on) = waiting();
    let reading =
        tokio::spawn(async move { store.read(&cx(), &[range("orders", 0, 0, RECORDS, Committed)], &mut sink).await });
    reached.await.unwrap();
    bed.client.delete("orders").await.unwrap();
    fill(&bed.client).await;
    go_on.send(()).unwrap();
    let error = within(reading).await.unwrap().unwrap_err();
    assert!(["data.changed", "log.truncated", "log.short", "dataset.missing"].contains(&error.code()), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_fail_one_by_one_are_seen_and_no_lost_record_is_read() {
    let Some(mut bed) = bed(Options::default().brokers(3)).await else { return };
    let (client, store) = (bed.client.clone(), bed.store());
    let unclean = ("unclean.leader.election.enable", "true");
    client.create(&Topic::new("pair").on(&[2, 3]).set(unclean.0, unclean.1)).await.unwrap();
    client.create(&Topic::new("spread").on(&[1]).on(&[3])).await.unwrap();
    client.fill("pair", 0, RECORDS / 3, 2_000).await.unwrap();
    client.fill("spread", 0, 10, 10).await.unwrap();
    let survey = store.survey(&cx()).await.unwrap();
    assert_eq!(survey.brokers.iter().map(|broker| broker.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(survey.log("pair").unwrap().partitions[0].in_sync, [2, 3]);

    bed.cluster.broker(3).unwrap().kill().await.unwrap();
    client.wait_placed("pair", |placed| placed[0].in_sync == [2]).await.unwrap();
    client.wait_placed("spread", |placed| placed[1].leader.is_none()).await.unwrap();
    let survey = store.survey(&cx()).await.unwrap();
    assert_eq!(survey.log("pair").unwrap().partitions[0].in_sync, [2]);
    assert_eq!(survey.log("spread").unwrap().partitions[1].leader, None);
    let spread = [0, 1].map(|index| Partition::new("spread", index));
    let ends = store.ends(&cx(), &spread).await.unwrap();
    assert_eq!((ends[0].value().is_some(), ends[1].why()), (true, Some("no broker leads spread/1")));
    let ends = store.ends(&cx(), &spread[1..]).await.unwrap();
    assert_eq!(ends[0].why(), Some("no broker leads spread/1"));
    let error = store.read(&cx(), &[range("spread", 1, 0, 1, Committed)], &mut Keeping::new(1)).await.unwrap_err();
    assert_eq!((error.code(), error.message()), ("store.unreachable", "no broker leads spread/1"));

    // Broker 2 has records that broker 3 never had, and the reader is among them when 3 takes over without them.
    client.fill("pair", RECORDS / 3, RECORDS - RECORDS / 3, 2_000).await.unwrap();
    let (mut sink, reached, go_on) = waiting();
    let reading =
        tokio::spawn(async move { store.read(&cx(), &[range("pair", 0, 0, RECORDS, Committed)], &mut sink).await });
    reached.await.unwrap();
    bed.cluster.broker(2).unwrap().kill().await.unwrap();
    bed.cluster.start_broker(3).await.unwrap();
    // It may have been elected already, which is an error.
    let _ = bed.cluster.elect("pair", 0, Election::Unclean).await;
    client.wait_placed("pair", |placed| placed[0].leader == Some(3)).await.unwrap();
    go_on.send(()).unwrap();
    let error = within(reading).await.unwrap().unwrap_err();
    // Where it still believes in the dead broker, it gives up on that.
    assert!(["log.truncated", "log.short", "store.unreachable"].contains(&error.code()), "{error:?}");
}
