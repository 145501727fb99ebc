//! Clusters that do not tell everything: no settings of topics, no groups, no controller.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::kafka::{Mock, Record};
use paritas_tests::{Run, verify};

fn fill(number: i64) -> Record {
    Record::new(format!("k{number}"), format!("value {number}")).on(0).at(1_700_000_000_000 + number)
}

/// Two clusters that hold records of a topic; both are mocked, because real ones tell more.
async fn clusters(source: &[i64], replica: &[i64]) -> (Mock, Mock) {
    let (east, west) = (Mock::start().unwrap(), Mock::start().unwrap());
    for (cluster, numbers) in [(&east, source), (&west, replica)] {
        cluster.create("orders", 1).unwrap();
        let records: Vec<Record> = numbers.iter().map(|number| fill(*number)).collect();
        cluster.client().unwrap().produce("orders", records).await.unwrap();
    }
    (east, west)
}

fn compared((east, west): &(Mock, Mock), options: &str) -> Run {
    let source = format!("kafka://{}/orders{options}", east.bootstrap());
    verify(&source, &format!("kafka://{}/orders", west.bootstrap()), &["--settle", "0s"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_is_proven_only_where_it_is_known_that_nothing_was_compacted() {
    let clusters = clusters(&[1, 2, 3, 4, 5], &[1, 2, 4, 5]).await;
    let run = compared(&clusters, "?groups=none").expect_code(3);
    assert!(run.stdout.contains(r#""lost":0,"extra":0,"changed":0,"in_flight":0,"unproven":1"#), "{run:#?}");
    assert!(run.stdout.contains("?cleanup=delete or ?cleanup=compact"), "{run:#?}");
    let run = compared(&clusters, "?groups=none&cleanup=delete").expect_code(1);
    assert!(run.stdout.contains(r#""lost":1,"extra":0,"changed":0,"in_flight":0,"unproven":0"#), "{run:#?}");
    // The latest record of each key counts then, and one key is gone.
    compared(&clusters, "?groups=none&cleanup=compact").expect_code(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_cannot_be_listed_make_the_verdict_unknown_unless_none_is_asked_for() {
    let clusters = clusters(&[1, 2, 3], &[1, 2, 3]).await;
    let run = compared(&clusters, "").expect_code(3);
    assert!(run.stdout.contains("whether there are groups that this user may not see is not known"), "{run:#?}");
    compared(&clusters, "?groups=none").expect_code(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_copy_is_compared_by_its_own_name_or_the_one_that_is_told() {
    let (east, south) = (Mock::start().unwrap(), Mock::start().unwrap());
    for (cluster, topic, numbers) in [(&east, "orders", &[1, 2, 3][..]), (&south, "west.east.orders", &[1, 3])] {
        cluster.create(topic, 1).unwrap();
        let records: Vec<Record> = numbers.iter().map(|number| fill(*number)).collect();
        cluster.client().unwrap().produce(topic, records).await.unwrap();
    }
    let options = "?groups=none&cleanup=delete";
    for (source, replica) in [("", ""), ("/orders", "/west.east.orders")] {
        let source = format!("kafka://{}{source}{options}", east.bootstrap());
        let run = verify(&source, &format!("kafka://{}{replica}", south.bootstrap()), &["--settle", "0s"]);
        let run = run.expect_code(1);
        assert!(run.stdout.contains(r#""lost":1,"extra":0,"changed":0,"in_flight":0,"unproven":0"#), "{run:#?}");
        assert!(run.stdout.contains("west.east.orders"), "{run:#?}");
    }
}
