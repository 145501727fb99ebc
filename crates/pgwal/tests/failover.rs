//! The exact loss after a failover, and none after a clean switchover, on a real pair.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{Install, Scratch, Server, install, scratch};
use paritas_model::Lsn;
use paritas_pgwal::{Doubt, Lost, Segment, SegmentSize, Why, lost_commits};
use rstest::rstest;

/// The version that Debian 12 has; the test beside `pg_waldump` runs on all.
const MAJOR: u32 = 15;

fn pair(scratch: &Scratch, install: &Install, name: &str) -> (Server, Server) {
    let primary = common::primary(scratch, install, &format!("{name}_old"));
    let standby = primary.standby(&format!("{name}_new"));
    (primary, standby)
}

/// Promotes, and reads the switchpoint from the history file.
fn promote(standby: &Server) -> Lsn {
    standby.promote();
    let history = fs::read_to_string(standby.pg_wal().join("00000002.history")).unwrap();
    history.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn xids(lost: &Lost) -> BTreeSet<String> {
    lost.commits.iter().map(|commit| commit.xid.to_string()).collect()
}

#[test]
fn a_hard_failover_loses_exactly_the_commits_that_were_not_sent() {
    let Some(install) = install(MAJOR) else { return };
    let scratch = scratch();
    let (mut old, new) = pair(&scratch, &install, "hard");
    old.sql("begin; insert into t values (1, 'sent'); prepare transaction 'sent before'");
    let sent = old.sql("select pg_current_wal_lsn()");
    new.wait_for(&format!("select pg_last_wal_replay_lsn() >= '{sent}'"));
    new.cut_off();

    let mut expected = BTreeSet::new();
    for i in 0..37 {
        let xid = old.sql(&format!("insert into t values ({i}, 'lost') returning xmin"));
        expected.insert(xid);
        old.sql("begin; insert into t select i, 'rolled back' from generate_series(1, 300) i; rollback");
    }
    let subxacts = old.sql(
        "begin; insert into t values (1, 'a') returning xmin; savepoint s; insert into t values (2, 'b'); \
         savepoint u; insert into t values (3, 'c'); rollback to u; release s; commit",
    );
    expected.insert(subxacts);
    expected.insert(old.sql("begin; insert into t values (4, 'd') returning xmin; prepare transaction 'decided'"));
    old.sql("commit prepared 'decided'");
    let before = old.sql("select transaction from pg_prepared_xacts where gid = 'sent before'");
    expected.insert(before.clone());
    old.sql("commit prepared 'sent before'");
    old.sql("begin; insert into t values (5, 'e'); prepare transaction 'undecided'");
    let last = old.sql("insert into t values (6, 'f') returning xmin");
    expected.insert(last.clone());
    let database = old.sql("select oid from pg_database where datname = 'postgres'");
    old.stop(true);

    let switchpoint = promote(&new);
    let lost = lost_commits(&old.pg_wal(), 1, switchpoint).unwrap();
    assert!(lost.is_proven(), "{:?}", lost.doubts);
    assert_eq!(xids(&lost), expected);
    assert_eq!(lost.commits.len(), expected.len());
    assert_eq!(lost.commits.last().unwrap().xid.to_string(), last);
    assert_eq!(lost.undecided.iter().map(|(prepare, _)| prepare.gid.as_str()).collect::<Vec<_>>(), ["undecided"]);
    // 37 rollbacks, and the savepoint's.
    assert_eq!(lost.aborts, 38);
    let sent_before = lost.commits.iter().find(|commit| commit.xid.to_string() == before);
    assert_eq!(sent_before.map(|commit| (commit.prepared, commit.subxacts.len())), Some((true, 0)));
    let decided = lost.commits.iter().find(|commit| commit.gid.as_deref() == Some("decided"));
    assert!(decided.is_some_and(|commit| commit.prepared && commit.bytes > 200), "{decided:?}");
    for commit in lost.commits.iter().filter(|commit| Some(*commit) != sent_before) {
        assert_eq!(commit.database.map(|oid| oid.to_string()).as_ref(), Some(&database), "{commit:?}");
        assert!(commit.bytes >= 64, "{commit:?}");
    }
    assert_eq!(lost.commits.iter().filter(|commit| commit.subxacts.len() == 1).count(), 1);

    // Nothing is lost after the end, and a position amid a record is no switchpoint.
    let none = lost_commits(&old.pg_wal(), 1, lost.end.lsn).unwrap();
    assert_eq!((none.commits.len(), none.records, none.is_proven()), (0, 0, true), "{:?}", none.doubts);
    let amid = lost_commits(&old.pg_wal(), 1, Lsn(lost.commits[3].lsn.0 + 8)).unwrap();
    assert!(matches!(amid.doubts[..], [Doubt::InsideRecord { record: Some(_) }]), "{:?}", amid.doubts);
    assert_eq!(amid.commits.len(), lost.commits.len() - 3);
    let ahead = lost_commits(&old.pg_wal(), 1, Lsn(lost.end.lsn.0 + 4096)).unwrap();
    assert!(!ahead.is_proven());

    // An archive that both wrote to: the winner's segments do not count.
    let archive = copy(&old);
    for entry in fs::read_dir(new.pg_wal()).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if name.to_str().unwrap().starts_with("00000002") {
            fs::copy(path, archive.path().join(name)).unwrap();
        }
    }
    assert_eq!(lost_commits(archive.path(), 1, switchpoint).unwrap(), lost);

    // The winner's own log, after its promotion: no commit yet, and the end-of-recovery record is found.
    let own = lost_commits(&new.pg_wal(), 2, switchpoint).unwrap();
    assert_eq!(own.commits, []);
    assert!(own.records > 0);
}

#[test]
fn a_clean_switchover_loses_nothing() {
    let Some(install) = install(MAJOR) else { return };
    let scratch = scratch();
    let (mut old, new) = pair(&scratch, &install, "clean");
    old.pgbench("insert into t values (7, 'kept');", 4, 50);
    old.stop(false);
    let switchpoint = promote(&new);
    let lost = lost_commits(&old.pg_wal(), 1, switchpoint).unwrap();
    assert!(lost.is_proven(), "{:?}", lost.doubts);
    assert_eq!((lost.commits.as_slice(), lost.records, lost.bytes()), ([].as_slice(), 0, 0));
    assert_eq!(lost.end.lsn, switchpoint);
}

/// Copies the segments of a stopped server, so that each case can spoil its own.
fn copy(from: &Server) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from.pg_wal()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

#[rstest]
fn a_log_with_a_piece_missing_is_no_proof() {
    let Some(install) = install(MAJOR) else { return };
    let scratch = scratch();
    let mut server = Server::start(&scratch, &install, "server", 1, &[]);
    server.sql("create table t (a int, b text)");
    let start: Lsn = server.sql("select pg_current_wal_lsn()").parse().unwrap();
    for _ in 0..4 {
        server.sql("insert into t select i, repeat(md5(i::text), 9) from generate_series(1, 3000) i");
    }
    server.stop(true);
    let whole = lost_commits(&server.pg_wal(), 1, start).unwrap();
    assert!(whole.is_proven() && whole.commits.len() == 4, "{whole:?}");
    let size = SegmentSize::new(1 << 20).unwrap();
    let name = |number: u64| Segment { timeline: 1, number }.name(size);
    let (first, last) = (start.0 >> 20, whole.end.lsn.0 >> 20);
    assert!(last > first + 2);

    let folder = copy(&server);
    fs::remove_file(folder.path().join(name(first + 1))).unwrap();
    let lost = lost_commits(folder.path(), 1, start).unwrap();
    assert!(matches!(lost.doubts[..], [Doubt::Hole { .. }]), "{:?}", lost.doubts);
    assert_eq!(lost.end.why, Why::MissingSegment { name: name(first + 1) });
    assert!(whole.commits.starts_with(&lost.commits));

    let folder = copy(&server);
    fs::rename(folder.path().join(name(last)), folder.path().join(name(last) + ".partial")).unwrap();
    let partial = lost_commits(folder.path(), 1, start).unwrap();
    assert_eq!((&partial.commits, partial.end.lsn, partial.end.partial), (&whole.commits, whole.end.lsn, true));

    let folder = copy(&server);
    fs::OpenOptions::new().write(true).open(folder.path().join(name(last))).unwrap().set_len(5000).unwrap();
    let lost = lost_commits(folder.path(), 1, start).unwrap();
    assert!(matches!(lost.end.why, Why::ShortSegment { .. }) && !lost.is_proven(), "{lost:?}");

    let folder = copy(&server);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap() >= name(last).as_str() {
            fs::remove_file(path).unwrap();
        }
    }
    let lost = lost_commits(folder.path(), 1, start).unwrap();
    assert!(matches!(lost.doubts[..], [Doubt::End { why: Why::MissingSegment { .. }, .. }]), "{:?}", lost.doubts);

    // Another cluster's file of that name.
    let mut other = Server::start(&scratch, &install, "other", 1, &[]);
    other.sql("create table t (a int, b text)");
    other.sql("insert into t select i, repeat(md5(i::text), 9) from generate_series(1, 20000) i");
    other.stop(true);
    let folder = copy(&server);
    fs::copy(other.pg_wal().join(name(first + 2)), folder.path().join(name(first + 2))).unwrap();
    let lost = lost_commits(folder.path(), 1, start).unwrap();
    assert!(!lost.is_proven(), "{lost:?}");
    assert!(whole.commits.starts_with(&lost.commits));
}
