//! Where servers stand in the history of their cluster: before, right after and long after promotions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::{Standing, Store};
use paritas_connect_postgres::PostgresStore;
use paritas_model::{Ancestry, Kinship, Known};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Mode, promote, standby, wait_replayed};
use paritas_testbed::tls::Authority;

async fn standing(store: &PostgresStore) -> Standing {
    store.lineages().unwrap().standing(&cx()).await.unwrap()
}

fn ancestry(standing: &Standing) -> &Ancestry {
    match &standing.ancestry {
        Known::Known(ancestry) => ancestry,
        Known::Unknown { why } => panic!("{why}"),
    }
}

fn kinship(ours: &Standing, theirs: &Standing) -> Kinship {
    let reached = |standing: &Standing| *standing.reached.value().unwrap();
    ancestry(ours).kinship(reached(ours), ancestry(theirs), reached(theirs))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_seen_at_once_and_a_fork_with_its_position() {
    let scratch = Scratch::new().unwrap();
    let primary = start(&scratch, "p1", postgres::Options::default().set("autovacuum", "off")).await;
    primary.batch("postgres", "CREATE TABLE t (id int)").await.unwrap();
    let second = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &second).await.unwrap();
    let (old, new) = (store(&primary.url("postgres")), store(&second.url("postgres")));

    let (ours, theirs) = (standing(&old).await, standing(&new).await);
    assert_eq!(kinship(&ours, &theirs), Kinship::Same);
    assert!(ours.takes_writes() && theirs.in_recovery && !theirs.takes_writes());
    assert!(ours.databases.values().any(|name| name == "postgres"));
    assert_eq!(ours.databases, theirs.databases);
    assert_ne!(ours.instance, theirs.instance);
    assert_eq!(ours.promoted_at.value(), None);

    primary.batch("postgres", "ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    primary.batch("postgres", "SELECT pg_reload_conf()").await.unwrap();
    assert!(standing(&old).await.read_only);
    let mut primary = primary;
    primary.stop(Mode::Fast).await.unwrap();

    // No checkpoint follows a promotion at once: the control file still names the first timeline.
    promote(&second).await.unwrap();
    let theirs = standing(&new).await;
    assert_eq!(ancestry(&theirs).timeline, 2);
    assert!(theirs.takes_writes());
    let promoted = *theirs.promoted_at.value().unwrap();
    assert!(promoted > 1_600_000_000_000_000, "{promoted}");
    let Kinship::Ancestor(fork) = kinship(&ours, &theirs) else { panic!("{ours:?} {theirs:?}") };
    assert_eq!((fork.timeline, Some(fork.at)), (1, ancestry(&theirs).left(1)));

    // The old one starts again and goes on.
    primary.start_again().await.unwrap();
    primary.batch("postgres", "BEGIN READ WRITE; INSERT INTO t VALUES (1); COMMIT").await.unwrap();
    let ours = standing(&old).await;
    assert_eq!(kinship(&ours, &theirs), Kinship::Forked(fork));
    assert_eq!(kinship(&theirs, &ours), Kinship::Forked(fork));

    // A standby of the new one came by the same way; after the next promotion it is further on.
    let third = standby(&second, "p3").await.unwrap();
    wait_replayed(&second, &third).await.unwrap();
    let grandchild = store(&third.url("postgres"));
    assert_eq!(kinship(&standing(&grandchild).await, &standing(&new).await), Kinship::Same);
    promote(&third).await.unwrap();
    let last = standing(&grandchild).await;
    assert_eq!(ancestry(&last).switches.len(), 2);
    assert_eq!(kinship(&ours, &last), Kinship::Forked(fork));
    assert!(
        matches!(kinship(&standing(&new).await, &last), Kinship::Ancestor(at) | Kinship::Forked(at) if at.timeline == 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_privileges_the_history_is_unknown_and_says_what_gives_it() {
    let scratch = Scratch::new().unwrap();
    let primary = start(&scratch, "p1", postgres::Options::default()).await;
    let roles = "CREATE ROLE plain LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE sender LOGIN REPLICATION; \
                 GRANT EXECUTE ON FUNCTION pg_read_file(text) TO reader";
    primary.batch("postgres", roles).await.unwrap();
    let second = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &second).await.unwrap();
    let url = |user: &str| second.url("postgres").replace("postgres@", &format!("{user}@"));
    // The first timeline has no history that could be hidden.
    assert_eq!(ancestry(&standing(&store(&url("plain"))).await).timeline, 1);
    promote(&second).await.unwrap();
    let full = standing(&store(&second.url("postgres"))).await;
    for user in ["reader", "sender"] {
        let standing = standing(&store(&url(user))).await;
        assert_eq!(standing.ancestry, full.ancestry, "{user}");
        assert!(standing.promoted_at.why().unwrap().contains("GRANT pg_monitor"), "{standing:?}");
    }
    let unknown = standing(&store(&url("plain"))).await;
    let why = unknown.ancestry.why().unwrap();
    assert!(why.contains("ALTER ROLE \"plain\" REPLICATION") && why.contains("pg_read_file(text)"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_two_clusters_are_strangers() {
    let scratch = Scratch::new().unwrap();
    let one = start(&scratch, "p1", postgres::Options::default()).await;
    let other = start(&scratch, "p2", postgres::Options::default()).await;
    let (one, other) = (standing(&store(&one.url("postgres"))).await, standing(&store(&other.url("postgres"))).await);
    assert_eq!(kinship(&one, &other), Kinship::Strangers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_read_over_tls_and_with_a_password_as_well() {
    let scratch = Scratch::new().unwrap();
    let pair = Authority::new(&scratch, "ca").unwrap().server("server").unwrap();
    let options = postgres::Options::default().tls(pair.for_postgres(None)).set("password_encryption", "scram-sha-256");
    // A line for replication does not hold for this kind of session.
    let options = options.hba("hostssl all app 127.0.0.1/32 scram-sha-256").hba("host all postgres 127.0.0.1/32 trust");
    let primary = start(&scratch, "p1", options).await;
    primary.batch("postgres", "CREATE ROLE app LOGIN REPLICATION PASSWORD 'secret'").await.unwrap();
    let second = standby(&primary, "p2").await.unwrap();
    wait_replayed(&primary, &second).await.unwrap();
    promote(&second).await.unwrap();
    let url = second.url("postgres").replace("postgres@", "app:secret@");
    let encrypted = standing(&store(&format!("{url}?sslmode=require"))).await;
    assert_eq!(ancestry(&encrypted).switches.len(), 1);
    assert_eq!(encrypted.ancestry, standing(&store(&second.url("postgres"))).await.ancestry);
}
