//! Servers killed under load: what their logs hold is what their own recovery brings back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use common::{Server, install, scratch};
use paritas_model::Lsn;
use paritas_pgwal::{Reader, Segment, SegmentSize, Why, lost_commits};
use rstest::rstest;

const ROUNDS: usize = 4;
const SESSIONS: usize = 6;
/// Acknowledged commits after which a round's server is killed.
const ACKNOWLEDGED: usize = 150;

/// Commits of one to forty rows, and rollbacks, in an endless loop.
const SESSION: &str = "
    insert into t select i, repeat('x', 40 * i) from generate_series(1, (random() * 39)::int + 1) i
        returning (case when a = 1 then xmin end);
    begin; insert into t values (0, 'rolled back'); rollback;
";

/// Fills segments that the next checkpoints rename for reuse.
const RECYCLE: &str = "
    create table filler as select repeat(i::text, 200) from generate_series(1, 20000) i;
    drop table filler; checkpoint; checkpoint;
";

#[rstest]
#[case::segments_made_new(14, false)]
#[case::segments_reused(15, true)]
#[case::segments_reused(18, true)]
fn a_killed_server_recovers_the_commits_that_were_read(#[case] major: u32, #[case] recycle: bool) {
    let Some(install) = install(major) else { return };
    let scratch = scratch();
    let settings: &[(&str, &str)] = if recycle { &[("wal_keep_size", "0"), ("max_wal_size", "100MB")] } else { &[] };
    let mut server = Server::start(&scratch, &install, "server", 1, settings);
    server.sql("create table t (a int, b text)");
    let (mut proofs, mut ends, mut doubts) = (0, Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        server.sql(if recycle { RECYCLE } else { "checkpoint" });
        server.sql("truncate t");
        let start: Lsn = server.sql("select pg_current_wal_insert_lsn()").parse().unwrap();
        let acknowledged = server.sessions_until_killed(SESSION, SESSIONS, ACKNOWLEDGED, round % 2 == 0);
        let lost = lost_commits(&server.pg_wal(), 1, start).unwrap();
        assert!(!recycle || segments_of_old(&server, lost.end.lsn) > 0, "no segment was reused");
        server.start_again(&[]);
        let recovered: BTreeSet<String> =
            server.sql("select distinct xmin from t").lines().map(str::to_owned).collect();
        let read: BTreeSet<String> = lost.commits.iter().map(|commit| commit.xid.to_string()).collect();
        assert_eq!(read, recovered, "{}", lost.end);
        let missing: Vec<&String> = acknowledged.difference(&read).collect();
        assert!(missing.is_empty(), "acknowledged, not read: {missing:?}");
        if lost.is_proven() {
            proofs += 1;
            ends.push(lost.end.to_string());
        } else {
            doubts.push(format!("{:?}", lost.doubts));
        }
    }
    eprintln!("PostgreSQL {major}: {proofs} of {ROUNDS} ends proven: {ends:?}; {doubts:?}");
    // A record may go on in a segment that was not made yet, which looks like one taken away; most do not.
    assert!(proofs > 0, "{doubts:?}");
}

/// How many segment files behind this one (of 1 MiB) have something in them.
fn segments_of_old(server: &Server, end: Lsn) -> usize {
    let size = SegmentSize::new(1 << 20).unwrap();
    let names = fs::read_dir(server.pg_wal()).unwrap().map(|entry| entry.unwrap().path());
    let behind = names.filter(|path| {
        let segment = Segment::parse(path.file_name().unwrap().to_str().unwrap(), size);
        segment.is_some_and(|(segment, _)| segment.number > end.0 / size.bytes())
    });
    behind.filter(|path| fs::read(path).unwrap().iter().any(|byte| *byte != 0)).count()
}

/// The kind of the record that stands in for the rest of a broken one.
const OVERWRITE_CONTRECORD: (u8, u8) = (0, 0xD0);

#[rstest]
#[case(14)]
#[case(17)]
fn a_record_torn_by_a_crash_is_read_over_when_recovery_did(
    #[case] major: u32,
    #[values(1, 100)] pages_kept: u64,
    #[values(false, true)] recycled: bool,
) {
    let Some(install) = install(major) else { return };
    let scratch = scratch();
    let mut server = Server::start(&scratch, &install, "server", 1, &[]);
    server.sql("create table earlier as select repeat(i::text, 200) from generate_series(1, 5000) i");
    server.sql("create table t (a int)");
    server.sql("checkpoint");
    let from = server.sql("select pg_current_wal_insert_lsn()");
    let start: Lsn = from.parse().unwrap();
    let kept = server.sql("insert into t values (1) returning xmin");
    server.sql("select pg_logical_emit_message(true, 'paritas', repeat('x', 3000000)) is not null");
    server.stop(true);

    // What a crash of the machine leaves that had written only so much of the long record.
    let (size, records) = {
        let reader = Reader::open(&server.pg_wal(), 1, start).unwrap();
        (reader.segment_size(), reader.map(|record| record.unwrap()).collect::<Vec<_>>())
    };
    let torn = records.iter().find(|record| record.bytes > 2_000_000).unwrap();
    let end = records.last().unwrap().end.0;
    let mut page = torn.lsn.0 - torn.lsn.0 % 8192 + pages_kept * 8192;
    while page < end {
        let name = Segment { timeline: 1, number: page / size.bytes() }.name(size);
        let file = OpenOptions::new().write(true).open(server.pg_wal().join(name)).unwrap();
        let mut content = [0; 8192];
        if recycled {
            // What a segment renamed for reuse has there: the same page of an earlier one.
            let earlier = Segment { timeline: 1, number: torn.lsn.0 / size.bytes() - 1 }.name(size);
            let earlier = File::open(server.pg_wal().join(earlier)).unwrap();
            earlier.read_exact_at(&mut content, page % size.bytes()).unwrap();
        }
        file.write_all_at(&content, page % size.bytes()).unwrap();
        page += 8192;
    }
    let lost = lost_commits(&server.pg_wal(), 1, start).unwrap();
    assert!(lost.is_proven() && lost.end.lsn == torn.lsn, "{:?} {:?}", lost.end, lost.doubts);
    assert_eq!(matches!(lost.end.why, Why::Recycled { .. }), recycled, "{:?}", lost.end);
    assert_eq!(
        lost.commits.iter().map(|commit| commit.xid.to_string()).collect::<Vec<_>>(),
        std::slice::from_ref(&kept)
    );

    server.start_again(&[]);
    let after = server.sql("insert into t values (2) returning xmin");
    server.stop(true);
    let lost = lost_commits(&server.pg_wal(), 1, start).unwrap();
    assert!(lost.is_proven(), "{:?} {:?}", lost.end, lost.doubts);
    assert_eq!(lost.commits.iter().map(|commit| commit.xid.to_string()).collect::<Vec<_>>(), [kept, after]);
    let reader = Reader::open(&server.pg_wal(), 1, start).unwrap();
    let read: Vec<_> = reader.map(|record| record.unwrap()).collect();
    assert_eq!(read.iter().filter(|record| (record.manager, record.info & 0xF0) == OVERWRITE_CONTRECORD).count(), 1);
    // pg_waldump reads over it as well.
    assert_eq!(server.waldump(&from).len(), read.len());
}
