//! Every supported server version: equal under load, and damage found.

use crate::load::everything_is_written;
use crate::stage::{Stage, TABLE, by_pages, keys, tuple, unchecked};
use paritas_testbed::postgres::Install;
use rstest::rstest;
use std::path::PathBuf;

/// Names the folder with one folder of binaries for each version, in place of the usual one.
const FOLDER: &str = "PARITAS_POSTGRES_VERSIONS";

fn install(major: &str) -> Install {
    let usual = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/paritas/postgres");
    let folder = std::env::var_os(FOLDER).map_or_else(usual, PathBuf::from);
    let versions = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let of_major = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(major));
    let found = versions.filter(of_major).max().unwrap_or_else(|| panic!("no {major} in {}", folder.display()));
    Install::at(&found.join("bin")).unwrap()
}

#[rstest]
#[case::v14("14.")]
#[case::v16("16.")]
#[case::v17("17.")]
#[case::v18("18.")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the binaries of all versions, see PARITAS_POSTGRES_VERSIONS"]
async fn load_is_no_difference_and_damage_is(#[case] major: &str) {
    let install = install(major);
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
