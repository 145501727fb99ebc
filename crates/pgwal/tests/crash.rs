//! Servers killed under load: what their logs hold is what their own recovery brings back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::collections::BTreeSet;

use common::{Install, Scratch, Server};
use paritas_model::Lsn;
use paritas_pgwal::lost_commits;
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

#[rstest]
#[case(14)]
#[case(18)]
fn a_killed_server_recovers_the_commits_that_were_read(#[case] major: u32) {
    let Some(install) = Install::find(major) else { return };
    let scratch = Scratch::new();
    let mut server = Server::create(&scratch, &install, "server", 1);
    server.start(&[]);
    server.sql("create table t (a int, b text)");
    let (mut proofs, mut doubts) = (0, Vec::new());
    for round in 0..ROUNDS {
        server.sql("truncate t");
        let start: Lsn = server.sql("select pg_current_wal_insert_lsn()").parse().unwrap();
        let acknowledged = server.sessions_until_killed(SESSION, SESSIONS, ACKNOWLEDGED, round % 2 == 0);
        let lost = lost_commits(&server.pg_wal(), 1, start).unwrap();
        server.start(&[]);
        let recovered: BTreeSet<String> =
            server.sql("select distinct xmin from t").lines().map(str::to_owned).collect();
        let read: BTreeSet<String> = lost.commits.iter().map(|commit| commit.xid.to_string()).collect();
        assert_eq!(read, recovered, "{}", lost.end);
        let missing: Vec<&String> = acknowledged.difference(&read).collect();
        assert!(missing.is_empty(), "acknowledged, not read: {missing:?}");
        if lost.is_proven() {
            proofs += 1;
        } else {
            doubts.push(format!("{:?}", lost.doubts));
        }
    }
    eprintln!("PostgreSQL {major}: {proofs} of {ROUNDS} ends proven; {doubts:?}");
    // A kill may leave half a record, which looks like damage; most do not.
    assert!(proofs > 0, "{doubts:?}");
}
