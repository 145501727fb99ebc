//! The demo is a proof: exactly the injected faults are found, with and without PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_testbed::Scratch;
use paritas_tests::{command, run};

/// Runs the demo where these servers are missing.
fn demo(without: &[&str]) -> String {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().join("demo");
    let mut call = command(&["demo", folder.to_str().unwrap()]);
    for variable in without {
        // A folder for one, a version for the other; neither is there.
        call.env(variable, scratch.path().join("no-servers-here"));
    }
    let run = run(call).expect_code(0);
    assert!(run.stdout.contains("every injected fault was found, and nothing else"), "{run:#?}");
    assert!(folder.join("report.json").exists());
    run.stdout
}

#[test]
fn the_demo_finds_every_injected_fault_and_nothing_else() {
    let text = demo(&[]);
    assert!(text.contains("PostgreSQL -> logical replica"), "{text}");
    assert!(!text.contains("left out") && !text.contains("mocked"), "{text}");
}

#[test]
fn without_servers_lakes_and_mocked_clusters_are_verified_and_the_demo_says_what_was_left_out() {
    let text = demo(&["PARITAS_PGBIN", "PARITAS_KAFKA"]);
    assert!(text.contains("left out: PostgreSQL"), "{text}");
    assert!(text.contains("left out: Apache Kafka and MirrorMaker 2, two mocked clusters stand in"), "{text}");
    assert!(text.contains("Kafka topic -> copy (mocked)"), "{text}");
    assert!(!text.contains("logical replica"), "{text}");
}
