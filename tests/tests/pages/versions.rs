//! Every supported server version: equal under load, and damage found.

use crate::faults::plant;
use crate::load::everything_is_written;
use crate::passes::pass;
use crate::stage::{Stage, TABLE, by_pages, keys, tuple, unchecked};
use paritas_testbed::postgres::Install;
use rstest::rstest;

#[rstest]
#[case(14)]
#[case(16)]
#[case(17)]
#[case(18)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn load_is_no_difference_and_damage_is(#[case] major: u32) {
    let Some(install) = Install::unless_missing(major).unwrap() else { return };
    everything_is_written(&install).await;
    let mut stage = Stage::with(&install, unchecked(), TABLE).await;
    by_pages(stage.verify("t", &[]), 0);
    let place = stage.place(2510).await;
    stage
        .damage("t", |bytes| {
            let at = tuple(bytes, place) + 28;
            bytes[at] ^= 1;
        })
        .await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(keys(&check, "changed"), [2510], "{check:#}");
}

/// A slice of the counted faults and passes.
#[rstest]
#[case(14)]
#[case(16)]
#[case(17)]
#[case(18)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_kind_of_relation_is_compared(#[case] major: u32) {
    let Some(install) = Install::unless_missing(major).unwrap() else { return };
    pass(&install, 2).await;
    plant(&install, 8).await;
}
