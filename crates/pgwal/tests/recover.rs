//! What is left of old primaries, on real servers: exact where their directories are whole, *at least* everywhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Server, primary, standby};
use paritas_model::{Ancestry, Lsn};
use paritas_pgwal::{Abandoned, Control, Error, Origin, Running, Sources, State, recover, running};
use rstest::rstest;

/// A commit that these standbys have: a base backup ends with a segment, and this is in the next one.
fn kept(primary: &Server, standbys: &[&Server]) {
    let sent = primary.sql("insert into t values (1, 'kept'); select pg_current_wal_lsn()");
    for standby in standbys {
        standby.wait_for(&format!("select pg_last_wal_replay_lsn() >= '{sent}'"));
    }
}

fn promote(standby: &Server) -> Ancestry {
    standby.promote();
    ancestry(standby)
}

fn ancestry(server: &Server) -> Ancestry {
    let system: i64 = server.sql("select system_identifier from pg_control_system()").parse().unwrap();
    let name = server.sql("select pg_walfile_name(pg_current_wal_lsn())");
    let timeline = u32::from_str_radix(&name[..8], 16).unwrap();
    let history = fs::read_to_string(server.pg_wal().join(format!("{timeline:08X}.history"))).unwrap_or_default();
    Ancestry::parse(system.cast_unsigned(), timeline, &history).unwrap()
}

/// Commits so many transactions, with rollbacks in between, and names them.
fn commits(server: &Server, count: u32) -> BTreeSet<u32> {
    let commit = |i| {
        server.sql("begin; insert into t values (0, 'rolled back'); rollback");
        server.sql(&format!("insert into t values ({i}, 'lost') returning xmin")).parse().unwrap()
    };
    (0..count).map(commit).collect()
}

fn xids(abandoned: &Abandoned) -> BTreeSet<u32> {
    abandoned.commits().map(|commit| commit.xid).collect()
}

fn read(directories: &[&Path], archives: &[&Path], ancestry: &Ancestry) -> (Vec<Abandoned>, Vec<Error>) {
    let owned = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect::<Vec<PathBuf>>();
    let (directories, archives) = (owned(directories), owned(archives));
    recover(&Sources { directories: &directories, archives: &archives, ancestry, timeline: None })
}

fn only(read: (Vec<Abandoned>, Vec<Error>)) -> Abandoned {
    let (mut found, errors) = read;
    assert!(errors.is_empty() && found.len() == 1, "{found:?} {errors:?}");
    found.pop().unwrap()
}

/// A copy of a data directory, so that each case can spoil its own: control file and log.
fn copy(from: &Server) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for below in ["global", "pg_wal"] {
        fs::create_dir(folder.path().join(below)).unwrap();
    }
    fs::copy(from.data().join("global/pg_control"), folder.path().join("global/pg_control")).unwrap();
    for path in segments(&from.pg_wal()) {
        fs::copy(&path, folder.path().join("pg_wal").join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

#[rstest]
#[case(14)]
#[case(15)]
#[case(16)]
#[case(17)]
#[case(18)]
fn a_failover_and_a_switchover_on_each_version(#[case] major: u32) {
    let Some(install) = common::install(major) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    let control = Control::read(&old.data()).unwrap();
    assert_eq!((control.state, control.timeline), (State::InProduction, 1));
    assert_eq!(control.checkpoint.to_string(), old.sql("select checkpoint_lsn from pg_control_checkpoint()"));
    assert_eq!(control.segment.bytes(), 1 << 20);
    assert_eq!(Control::read(&new.data()).unwrap().state, State::InArchiveRecovery);
    assert!(matches!(running(&old.data()).unwrap(), Running::Yes(_)));

    new.cut_off();
    let expected = commits(&old, 7);
    let undecided = old.sql("begin; insert into t values (5, 'e'); prepare transaction 'undecided'; select 1");
    assert_eq!(undecided, "1");
    let history = promote(&new);
    // As long as the old one runs, its end is not known.
    let running = only(read(&[&old.data()], &[], &history));
    assert!(!running.is_proven() && running.doubts[0].contains("a server runs"), "{running:?}");
    old.stop(true);
    let lost = only(read(&[&old.data()], &[], &history));
    assert!(lost.is_proven(), "{:?}", lost.doubts);
    assert_eq!(xids(&lost), expected);
    assert_eq!((lost.switch.timeline, Some(lost.switch.at)), (1, history.left(1)));
    assert_eq!(lost.undecided().len(), 1);
    let (survivor, first) = (lost.survivor.unwrap(), lost.commits().next().unwrap());
    assert!(survivor.lsn < lost.switch.at && survivor.time <= first.time);

    // Started and shut down: the end is the checkpoint of the shutdown, though no segment follows it.
    old.start_again(&[]);
    old.stop(false);
    let whole = copy(&old);
    let end = only(read(&[&old.data()], &[], &history)).stretches[0].end.lsn;
    for path in segments(&whole.path().join("pg_wal")) {
        let number = u64::from_str_radix(&path.file_name().unwrap().to_str().unwrap()[16..], 16).unwrap_or(u64::MAX);
        if number > end.0 >> 20 {
            fs::remove_file(path).unwrap();
        }
    }
    let lost = only(read(&[whole.path()], &[], &history));
    assert!(lost.is_proven(), "{:?}", lost.doubts);
    assert_eq!(xids(&lost), expected);
    let Origin::Directory { control, .. } = &lost.origin else { panic!("{lost:?}") };
    assert_eq!(control.state, State::ShutDown);

    // A switchover: the next standby has it all, and nothing is lost.
    let mut new = new;
    let next = standby(&new, "next");
    commits(&new, 3);
    new.stop(false);
    let history = promote(&next);
    let none = only(read(&[&new.data()], &[], &history));
    assert!(none.is_proven(), "{:?}", none.doubts);
    assert_eq!((xids(&none).len(), none.bytes(), none.switch.timeline), (0, 0, 2));
}

#[test]
fn two_failovers_in_a_row_lose_commits_on_each_timeline() {
    let Some(install) = common::install(15) else { return };
    let scratch = common::scratch();
    let mut first = primary(&scratch, &install, "first");
    let mut second = standby(&first, "second");
    let other = standby(&first, "other");
    other.cut_off();
    let early = commits(&first, 2);
    let sent = first.sql("select pg_current_wal_lsn()");
    second.wait_for(&format!("select pg_last_wal_replay_lsn() >= '{sent}'"));
    second.cut_off();
    let on_first = commits(&first, 5);
    first.stop(true);
    promote(&second);
    let second_kept = second.sql("insert into t values (1, 'kept') returning xmin");
    let third = standby(&second, "third");
    third.cut_off();
    let on_second = commits(&second, 4);
    second.stop(true);
    let history = promote(&third);

    let (found, errors) = read(&[&second.data(), &first.data()], &[], &history);
    assert!(errors.is_empty() && found.iter().all(Abandoned::is_proven), "{found:?} {errors:?}");
    let named: Vec<_> = found.iter().map(|abandoned| (abandoned.switch.timeline, xids(abandoned))).collect();
    assert_eq!(named, [(1, on_first.clone()), (2, on_second.clone())]);

    // With the first directory alone, nothing is known of the second timeline.
    let (found, errors) = read(&[&first.data()], &[], &history);
    let proven: Vec<_> = found.iter().map(|abandoned| (abandoned.switch.timeline, abandoned.is_proven())).collect();
    assert!(errors.is_empty());
    assert_eq!(proven, [(1, true), (2, false)]);
    assert_eq!(found[1].origin, Origin::Nothing);
    // The second server's directory says nothing of the first timeline, which it never lost.
    let last = only(read(&[&second.data()], &[], &history));
    assert_eq!((last.switch.timeline, xids(&last)), (2, on_second.clone()));

    // A server that left the first timeline before the second one did: what the second had of both is lost.
    let kept: u32 = second_kept.parse().unwrap();
    let parted = promote(&other);
    assert_eq!(parted.timeline, 2);
    let lost = only(read(&[&second.data()], &[], &parted));
    assert!(lost.is_proven(), "{:?}", lost.doubts);
    assert_eq!(lost.stretches.iter().map(|stretch| stretch.timeline).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(xids(&lost), early.into_iter().chain([kept]).chain(on_second).collect());
}

#[test]
fn what_only_an_archive_holds_is_a_lower_bound() {
    let Some(install) = common::install(15) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    // A base backup ends with a segment; this is in the next one.
    let sent = old.sql("insert into t values (1, 'sent'); select pg_current_wal_lsn()");
    new.wait_for(&format!("select pg_last_wal_replay_lsn() >= '{sent}'"));
    new.cut_off();
    // What a new primary archives of the timeline that it leaves: its last segment, as far as it has it.
    let shared = tempfile::tempdir().unwrap();
    let replayed: Lsn = new.sql("select pg_last_wal_replay_lsn()").parse().unwrap();
    let segment = format!("{:08X}{:08X}{:08X}", 1, 0, replayed.0 >> 20);
    let partial = shared.path().join(format!("{segment}.partial"));
    fs::copy(new.pg_wal().join(&segment), &partial).unwrap();
    let archived = commits(&old, 3);
    old.sql("select pg_switch_wal()");
    let expected: BTreeSet<u32> = commits(&old, 2).into_iter().chain(archived.clone()).collect();
    let current = old.sql("select pg_walfile_name(pg_current_wal_lsn())");
    old.stop(true);
    let history = promote(&new);

    let archive = tempfile::tempdir().unwrap();
    for path in segments(&old.pg_wal()) {
        if path.file_name().unwrap().to_str().unwrap() < current.as_str() {
            fs::copy(&path, archive.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let lower = only(read(&[], &[archive.path()], &history));
    assert_eq!((lower.is_proven(), xids(&lower), &lower.origin), (false, archived.clone(), &Origin::Archives));

    // The new primary's own last piece of the old timeline ends at the switchpoint: it proves nothing.
    let nothing = only(read(&[], &[shared.path()], &history));
    assert!(!nothing.is_proven() && xids(&nothing).is_empty());
    // Beside the whole files it does no harm.
    fs::copy(&partial, archive.path().join(partial.file_name().unwrap())).unwrap();
    assert_eq!(xids(&only(read(&[], &[archive.path()], &history))), archived);

    // A directory whose older segments were removed after they were archived.
    let rest = copy(&old);
    for path in segments(&rest.path().join("pg_wal")) {
        if path.file_name().unwrap().to_str().unwrap() < current.as_str() {
            fs::remove_file(path).unwrap();
        }
    }
    let alone = only(read(&[rest.path()], &[], &history));
    assert!(!alone.is_proven(), "{alone:?}");
    let together = only(read(&[rest.path()], &[archive.path()], &history));
    assert!(together.is_proven(), "{:?}", together.doubts);
    assert_eq!(xids(&together), expected);

    // A receiver's folder, and nothing at all.
    let (found, errors) = read(&[], &[], &history);
    assert!(errors.is_empty());
    assert_eq!((found.len(), &found[0].origin, found[0].is_proven()), (1, &Origin::Nothing, false));
}

#[test]
fn directories_that_are_not_the_old_primarys_prove_nothing() {
    let Some(install) = common::install(15) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    let mut beside = standby(&old, "beside");
    new.cut_off();
    let seen = commits(&old, 3);
    let sent = old.sql("select pg_current_wal_lsn()");
    beside.wait_for(&format!("select pg_last_wal_replay_lsn() >= '{sent}'"));
    beside.cut_off();
    let all: BTreeSet<u32> = commits(&old, 2).into_iter().chain(seen.clone()).collect();
    old.stop(true);
    beside.stop(false);
    let history = promote(&new);

    // Another standby had more than the promoted one, and not all.
    let lower = only(read(&[&beside.data()], &[], &history));
    assert_eq!((lower.is_proven(), xids(&lower)), (false, seen.clone()));
    assert!(lower.doubts.iter().any(|doubt| doubt.contains("is a standby's")), "{:?}", lower.doubts);
    let lower = only(read(&[], &[&beside.pg_wal()], &history));
    assert_eq!((lower.is_proven(), xids(&lower)), (false, seen.clone()));
    // Its log may stand beside the primary's own; its directory adds what it does not know.
    let exact = only(read(&[&old.data()], &[&beside.pg_wal()], &history));
    assert_eq!((exact.is_proven(), xids(&exact)), (true, all.clone()));
    for directories in [[&beside.data(), &old.data()], [&old.data(), &beside.data()]] {
        let both = only(read(&directories.map(PathBuf::as_path), &[], &history));
        assert_eq!((both.is_proven(), xids(&both), both.commits().count()), (false, all.clone(), all.len()));
        assert!(both.doubts.iter().any(|doubt| doubt.contains("is a standby's")), "{:?}", both.doubts);
        assert_eq!((both.bytes(), both.survivor), (exact.bytes(), exact.survivor));
    }

    // The end of the log may not come from elsewhere: nothing of it is left in the directory, or not the last of it.
    let all_gone = copy(&old);
    let last_gone = copy(&old);
    let current = format!("{:08X}{:08X}{:08X}", 1, 0, exact.stretches[0].end.lsn.0 >> 20);
    for path in segments(&all_gone.path().join("pg_wal")) {
        fs::remove_file(path).unwrap();
    }
    for path in segments(&last_gone.path().join("pg_wal")) {
        if path.file_name().unwrap().to_str().unwrap() >= current.as_str() {
            fs::remove_file(path).unwrap();
        }
    }
    for (folder, archive) in [(&all_gone, beside.pg_wal()), (&last_gone, beside.pg_wal()), (&all_gone, old.pg_wal())] {
        let elsewhere = only(read(&[folder.path()], &[&archive], &history));
        assert!(!elsewhere.is_proven(), "{elsewhere:?}");
        assert!(elsewhere.doubts.iter().any(|doubt| doubt.contains("is not in the pg_wal of")), "{elsewhere:?}");
        assert!(xids(&elsewhere).is_superset(&seen), "{elsewhere:?}");
    }

    // What follows the new primary has nothing of its own.
    let follower = standby(&new, "follower");
    for data in [&follower.data(), &new.data()] {
        let (found, errors) = read(&[data], &[], &history);
        assert!(matches!(errors[..], [Error::Follows { timeline: 2, .. }]), "{errors:?}");
        assert!(found.iter().all(|abandoned| !abandoned.is_proven()));
    }
    let foreign = primary(&scratch, &install, "foreign");
    let (_, errors) = read(&[&foreign.data()], &[], &history);
    assert!(matches!(errors[..], [Error::Foreign { .. }]), "{errors:?}");
    let (_, errors) = read(&[], &[&foreign.pg_wal()], &history);
    assert!(matches!(errors[..], [Error::Foreign { .. }]), "{errors:?}");
    let (_, errors) = read(&[&old.pg_wal()], &[], &history);
    assert!(matches!(errors[..], [Error::Io { .. }]), "{errors:?}");

    // Damage, at each place: never fewer, never proven.
    let end = exact.stretches[0].end.lsn;
    let first = exact.commits().next().unwrap().lsn;
    for at in (first.0..end.0).step_by(97) {
        let folder = copy(&old);
        flip(&folder.path().join("pg_wal"), Lsn(at));
        let spoilt = only(read(&[folder.path()], &[], &history));
        assert!(!spoilt.is_proven() || xids(&spoilt) == all, "a bit at {at:X}: {spoilt:?}");
    }
    let folder = copy(&old);
    let control = folder.path().join("global/pg_control");
    let mut bytes = fs::read(&control).unwrap();
    bytes[40] ^= 1;
    fs::write(&control, bytes).unwrap();
    let (_, errors) = read(&[folder.path()], &[], &history);
    assert!(matches!(errors[..], [Error::BadControl { .. }]), "{errors:?}");
}

#[test]
fn of_several_directories_every_one_must_say_the_same() {
    let Some(install) = common::install(15) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let new = standby(&old, "new");
    kept(&old, &[&new]);
    new.cut_off();
    let stale = copy(&old);
    let lost = commits(&old, 3);
    let history = promote(&new);

    // A server runs on one of them.
    let while_it_runs = copy(&old);
    for directories in [[while_it_runs.path(), &old.data()], [&old.data(), while_it_runs.path()]] {
        let running = only(read(&directories, &[], &history));
        assert_eq!((running.is_proven(), xids(&running)), (false, lost.clone()), "{running:?}");
        assert!(running.doubts.iter().any(|doubt| doubt.contains("a server runs")), "{running:?}");
        assert!(matches!(running.origin, Origin::Directory { running: Running::Yes(_), .. }), "{running:?}");
        assert_eq!(running.beside, [while_it_runs.path()]);
    }
    old.stop(true);

    // One directory by three names is one.
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(old.data(), &link).unwrap();
    let slash = old.data().join("");
    let same = only(read(&[&old.data(), &slash, &link], &[], &history));
    assert_eq!((same.is_proven(), same.commits().count(), xids(&same)), (true, 3, lost.clone()), "{same:?}");
    assert!(same.beside.is_empty());
    // So are two that agree.
    let whole = copy(&old);
    let agreed = only(read(&[&old.data(), whole.path()], &[], &history));
    assert_eq!((agreed.is_proven(), agreed.commits().count()), (true, 3), "{agreed:?}");

    // A copy from before looks like a server that crashed then.
    let alone = only(read(&[stale.path()], &[], &history));
    assert_eq!((alone.is_proven(), alone.commits().count()), (true, 0), "{alone:?}");
    for directories in [[stale.path(), &old.data()], [&old.data(), stale.path()]] {
        let differ = only(read(&directories, &[], &history));
        assert_eq!((differ.is_proven(), xids(&differ)), (false, lost.clone()), "{differ:?}");
        assert!(differ.doubts[0].contains("do not hold the same commits"), "{differ:?}");
    }
    // It outweighs none that shows more without proving it.
    let damaged = copy(&old);
    flip(&damaged.path().join("pg_wal"), same.commits().last().unwrap().lsn);
    let lower = only(read(&[stale.path(), damaged.path()], &[], &history));
    assert_eq!((lower.is_proven(), lower.commits().count()), (false, 2), "{lower:?}");
}

#[test]
fn a_directory_that_left_the_timeline_elsewhere_says_nothing_of_the_old_primary() {
    let Some(install) = common::install(15) else { return };
    let scratch = common::scratch();
    let old = primary(&scratch, &install, "old");
    let mut early = standby(&old, "early");
    let new = standby(&old, "new");
    kept(&old, &[&early, &new]);
    early.cut_off();
    promote(&early);
    early.stop(true);
    kept(&old, &[&new]);
    new.cut_off();
    let history = promote(&new);
    let (found, errors) = read(&[&early.data()], &[], &history);
    assert!(errors.is_empty(), "{errors:?}");
    let known: Vec<_> = found.iter().map(|one| (Some(one.switch.at) == history.left(1), one.is_proven())).collect();
    assert_eq!(known, [(false, true), (true, false)], "{found:?}");
}

/// Flips a bit of the log at a position.
fn flip(pg_wal: &Path, at: Lsn) {
    let path = pg_wal.join(format!("{:08X}{:08X}{:08X}", 1, at.0 >> 32, (at.0 & 0xFFFF_FFFF) >> 20));
    let mut bytes = fs::read(&path).unwrap();
    bytes[(at.0 & 0xF_FFFF) as usize] ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_cascading_standby_that_takes_over_left_the_primarys_timeline() {
    let Some(install) = common::install(15) else { return };
    let scratch = common::scratch();
    let mut old = primary(&scratch, &install, "old");
    let between = standby(&old, "between");
    let last = standby(&between, "last");
    last.cut_off();
    let expected = commits(&old, 6);
    let sent = old.sql("select pg_current_wal_lsn()");
    between.wait_for(&format!("select pg_last_wal_replay_lsn() >= '{sent}'"));
    old.stop(true);
    let history = promote(&last);
    let lost = only(read(&[&old.data()], &[], &history));
    assert!(lost.is_proven(), "{:?}", lost.doubts);
    assert_eq!(xids(&lost), expected);
}
