//! Every record of a busy log, of every version, beside what that version's own `pg_waldump` says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use common::{Server, install, scratch};
use paritas_model::Lsn;
use paritas_pgwal::{Block, Compression, Event, Finish, Next, Reader, Record, Version, Why, lost_commits};
use rstest::rstest;

const RECORDS_MIN: usize = 100_000;

/// Statements that make records of every form a commit can have, and records longer than a segment.
const FORMS: &str = "
    create table big (id int primary key, body text);
    alter table big alter body set storage external;
    insert into big select i, string_agg(md5((i * 10000 + j)::text), '') from generate_series(1, 30) i,
        generate_series(1, 2000) j group by i;
    select count(pg_logical_emit_message(true, 'paritas', repeat('x', 3000000)));
    select count(pg_logical_emit_message(false, 'paritas', repeat('y', 70)));
    begin; insert into t values (-1, 'a'); savepoint s; insert into t values (-2, 'b'); savepoint s2;
    insert into t values (-3, 'c'); rollback to s2; insert into t values (-4, 'd'); commit;
    begin; insert into t values (-5, 'e'); savepoint s; insert into t values (-6, 'f');
    prepare transaction 'one with a name'; commit prepared 'one with a name';
    begin; insert into t values (-7, 'g'); prepare transaction 'two'; rollback prepared 'two';
    begin; insert into t values (-8, 'h'); rollback;
    begin; create table dropped_again (a int primary key, b text); insert into dropped_again values (1, 'x');
    prepare transaction 'three'; commit prepared 'three';
    create function f() returns int language sql as 'select 1';
    begin; drop table dropped_again; drop function f(); prepare transaction 'four'; commit prepared 'four';
    create table short (a int); truncate short; drop table short;
    begin; create table gone (a int primary key); rollback;
    create database other;
    drop database other;
    select pg_switch_wal() is not null;
    checkpoint;
    update t set b = 'after a checkpoint' where a % 10 = 0;
    select pg_replication_origin_create('elsewhere') > 0;
    select pg_replication_origin_session_setup('elsewhere') is not null;
    begin; select pg_replication_origin_xact_setup('AB/CDEF0123', '2020-02-29 12:34:56.789+00') is not null;
    insert into t values (-9, 'from elsewhere'); commit;
    select pg_replication_origin_session_reset() is not null;
    select pg_create_restore_point('here') is not null;
    begin; insert into t values (-10, 'undecided'); savepoint s; insert into t values (-11, 'too');
    prepare transaction 'left';
";

/// Subtransactions enough for assignment records, and rollbacks of some.
const SUBTRANSACTIONS: &str = "
    do $$ begin
        for i in 1..150 loop
            begin
                insert into s values (i, repeat('s', i));
                if i % 7 = 0 then raise exception 'undone'; end if;
            exception when raise_exception then null;
            end;
        end loop;
    end $$;
";

fn load(server: &Server, rows: u32) {
    server.sql("drop table if exists big, t, s; drop function if exists f()");
    server.sql("create table t (a int primary key, b text); create table s (a int, b text); create index on s (a)");
    server.sql(&format!("insert into t select i, md5(i::text) from generate_series(1, {rows}) i"));
    server.sql("update t set a = a + 100000000, b = b || 'x' where a % 2 = 0");
    for compression in ["pglz", "lz4", "zstd"] {
        let update = format!("update t set b = '{compression}' || b where a % 50 = 0");
        // Which methods there are depends on version and build; 14 knows only `on`.
        let name = if server.major() == 14 { "on" } else { compression };
        let output = server.try_sql(&format!("set wal_compression = {name}; checkpoint; {update}"));
        assert!(output.status.success() || compression != "pglz", "{}", String::from_utf8_lossy(&output.stderr));
    }
    server.pgbench("insert into s select i, 'p' from generate_series(1, 5) i; delete from s where a = 3;", 4, 20);
    server.sql(SUBTRANSACTIONS);
    server.sql(FORMS);
    server.sql("commit prepared 'left'; select pg_replication_origin_drop('elsewhere') is not null");
}

#[rstest]
#[case(14, 16)]
#[case(15, 1)]
#[case(16, 16)]
#[case(17, 1)]
#[case(18, 64)]
fn every_record_is_read_as_pg_waldump_reads_it(#[case] major: u32, #[case] segment_mib: u32) {
    let Some(install) = install(major) else { return };
    let scratch = scratch();
    let mut server = Server::start(&scratch, &install, "server", segment_mib, &[("wal_level", "replica")]);
    let start = server.sql("select pg_current_wal_insert_lsn()");
    load(&server, 30_000);
    server.stop(false);
    server.start_again(&[("wal_level", "logical")]);
    load(&server, 10_000);
    server.sql("begin; insert into t values (-20, 'undecided'); prepare transaction 'undecided'");
    let last = server.sql("insert into t values (-21, 'last') returning xmin");
    server.stop(true);

    let from: Lsn = start.parse().unwrap();
    let mut reader = Reader::open(&server.pg_wal(), 1, from).unwrap();
    assert_eq!(reader.version().major(), major);
    assert_eq!(reader.segment_size().bytes(), u64::from(segment_mib) << 20);
    let lines = server.waldump(&start);
    let mut seen = Seen::default();
    for line in &lines {
        let Next::Record(record) = reader.step().unwrap() else {
            panic!("the reader ended early: {:?} at {line}", reader.end())
        };
        assert_eq!(describe(&record, reader.version(), line, &mut seen), Ok(()), "{line}\n{record:?}");
    }
    let Next::End(end) = reader.step().unwrap() else { panic!("more records than pg_waldump saw") };
    assert!(lines.len() >= RECORDS_MIN, "only {} records", lines.len());
    assert!(matches!(end.why, Why::NeverWritten | Why::Recycled { .. }), "{end:?}");
    assert_eq!(end.doubt(), None);
    seen.check(reader.version());

    let lost = lost_commits(&server.pg_wal(), 1, from).unwrap();
    assert!(lost.is_proven(), "{:?}", lost.doubts);
    assert_eq!(lost.commits.len(), seen.commits);
    assert_eq!(lost.records, lines.len() as u64);
    assert_eq!(lost.commits.last().unwrap().xid.to_string(), last);
    let undecided: Vec<&str> = lost.undecided.iter().map(|(prepare, _)| prepare.gid.as_str()).collect();
    assert_eq!(undecided, ["undecided"]);
    eprintln!("PostgreSQL {major}: {} records, {} commits, {}", lines.len(), seen.commits, lost.end);
}

/// What was met, so that a load that does not make it is noticed.
#[derive(Default, Debug)]
struct Seen {
    commits: usize,
    prepared: usize,
    aborts: usize,
    assignments: usize,
    invalidations: usize,
    toplevel: usize,
    subxacts: usize,
    origins: usize,
    origin_records: usize,
    relations: usize,
    statistics: usize,
    databases: usize,
    checkpoints: usize,
    pglz: usize,
    longest: u32,
}

impl Seen {
    fn check(&self, version: Version) {
        let counts = [
            self.commits,
            self.prepared,
            self.aborts,
            self.assignments,
            self.invalidations,
            self.toplevel,
            self.subxacts,
            self.origins,
            self.origin_records,
            self.relations,
            self.databases,
            self.checkpoints,
            self.pglz,
        ];
        assert!(counts.iter().all(|count| *count > 0), "{self:?}");
        assert_eq!(self.statistics > 0, version >= Version::V15, "{self:?}");
        assert!(self.longest > 2 << 20, "{self:?}");
    }
}

/// Compares one record with the line about it; says which field differs.
fn describe(record: &Record, version: Version, line: &str, seen: &mut Seen) -> Result<(), String> {
    let after = |word: &str| line.split_once(word).map(|(_, rest)| rest.trim_start()).ok_or(format!("no {word}"));
    let field = |word: &str| after(word).map(|rest| rest.split([',', ' ']).next().unwrap_or_default());
    let same = |what: &str, ours: String, theirs: &str| {
        if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours} is not {theirs}")) }
    };
    same("manager", record.manager_name(), field("rmgr: ")?)?;
    let images: u32 = record.blocks.iter().filter_map(|block| block.image).map(|(bytes, _)| u32::from(bytes)).sum();
    let lengths = after("len (rec/tot):")?.split(',').next().unwrap_or_default().replace(' ', "");
    same("lengths", format!("{}/{}", record.bytes - images, record.bytes), &lengths)?;
    same("tx", record.xid.to_string(), field("tx: ")?)?;
    let lsn = |text: &str| text.parse::<Lsn>().unwrap().to_string();
    same("lsn", record.lsn.to_string(), &lsn(field("lsn: ")?))?;
    same("prev", record.prev.to_string(), &lsn(field("prev ")?))?;
    let said: Vec<String> = line.split("blkref #").skip(1).map(|text| text.trim_end_matches(", ").to_owned()).collect();
    same(
        "blocks",
        format!("{:?}", record.blocks.iter().map(block).collect::<Vec<_>>()),
        &format!("{:?}", blocks(&said)),
    )?;
    seen.longest = seen.longest.max(record.bytes);
    seen.toplevel += usize::from(record.toplevel_xid.is_some());
    seen.origin_records += usize::from(record.origin.is_some());
    let pglz = |block: &&Block| matches!(block.image, Some((_, Compression::Pglz)));
    seen.pglz += record.blocks.iter().filter(pglz).count();
    event(record, version, after("desc: ")?, seen)
}

fn block(block: &Block) -> String {
    let fork = ["", " fork fsm", " fork vm", " fork init"][usize::from(block.fork)];
    let relation = block.relation;
    let image = if block.image.is_some() { " FPW" } else { "" };
    let name = format!("{}/{}/{}", relation.tablespace, relation.database, relation.number);
    format!("{}: rel {name}{fork} blk {}{image}", block.id, block.number)
}

/// As `block` writes it: the form differs a little between versions.
fn blocks(said: &[String]) -> Vec<String> {
    let plain = |text: &String| {
        let image = if text.contains("FPW") { " FPW" } else { "" };
        let words: Vec<&str> = text.split([' ', ',', ';']).collect();
        let until = words.iter().position(|word| *word == "blk").unwrap() + 2;
        format!("{}{image}", words[..until].join(" "))
    };
    said.iter().map(plain).collect()
}

fn event(record: &Record, version: Version, desc: &str, seen: &mut Seen) -> Result<(), String> {
    let word = desc.split(' ').next().unwrap_or_default();
    let needs = |part: String| if desc.contains(&part) { Ok(()) } else { Err(format!("{part:?} is not in it")) };
    let kind = |expected: &str| if word == expected { Ok(()) } else { Err(format!("read as {expected}")) };
    match record.event(version).map_err(|_| "not understood".to_owned())? {
        Event::Commit(finish, prepared) => {
            seen.commits += 1;
            seen.prepared += usize::from(prepared);
            seen.databases += usize::from(finish.database.is_some());
            seen.statistics += usize::from(finish.dropped_statistics > 0);
            seen.origins += usize::from(finish.origin.is_some());
            seen.relations += usize::from(!finish.dropped_relations.is_empty());
            seen.subxacts += usize::from(!finish.subxacts.is_empty());
            kind(if prepared { "COMMIT_PREPARED" } else { "COMMIT" })?;
            ended(&finish, prepared, desc)
        }
        Event::Abort(finish, prepared) => {
            seen.aborts += 1;
            kind(if prepared { "ABORT_PREPARED" } else { "ABORT" })?;
            ended(&finish, prepared, desc)
        }
        Event::Prepare(prepare) => {
            kind("PREPARE")?;
            needs(format!("{}", prepare.time.strftime("%Y-%m-%d %H:%M:%S%.6f UTC")))?;
            needs(prepare.gid.clone())?;
            if prepare.xid == record.xid { list(desc, "subxacts:", &prepare.subxacts) } else { Err("xid".into()) }
        }
        Event::Assignment { top, subxacts } => {
            seen.assignments += 1;
            kind("ASSIGNMENT")?;
            needs(format!("xtop {top}"))?;
            list(desc, "subxacts:", &subxacts)
        }
        Event::Invalidations { count } => {
            seen.invalidations += 1;
            if count > 0 { kind("INVALIDATION") } else { Err("no invalidations".into()) }
        }
        Event::Checkpoint { redo, timelines: (this, before), shutdown } => {
            seen.checkpoints += 1;
            kind(if shutdown { "CHECKPOINT_SHUTDOWN" } else { "CHECKPOINT_ONLINE" })?;
            let said = desc.split_once("redo ").unwrap().1.split(';').next().unwrap();
            assert_eq!(said.parse::<Lsn>().unwrap(), redo);
            needs(format!("tli {this}; prev tli {before};"))
        }
        Event::EndOfRecovery { .. } => kind("END_OF_RECOVERY"),
        Event::Other if record.manager == 1 || word.contains("CHECKPOINT_ONLINE") => Err("not recognised".into()),
        Event::Other => Ok(()),
    }
}

fn ended(finish: &Finish, prepared: bool, desc: &str) -> Result<(), String> {
    let needs = |part: String| if desc.contains(&part) { Ok(()) } else { Err(format!("{part:?} is not in it")) };
    needs(format!("{}", finish.time.strftime("%Y-%m-%d %H:%M:%S%.6f UTC")))?;
    if prepared {
        needs(format!(" {}: ", finish.xid))?;
    }
    list(desc, "subxacts:", &finish.subxacts)?;
    let counted = |word: &str| match desc.split_once(word) {
        Some((_, rest)) => rest.split(';').next().unwrap().split_whitespace().count(),
        None => 0,
    };
    let dropped = finish.dropped_relations.len();
    if counted("; rels: ") != dropped && counted("; rels:") != dropped {
        return Err(format!("{dropped} dropped relations"));
    }
    if counted("; dropped stats:") != finish.dropped_statistics {
        return Err(format!("{} dropped statistics", finish.dropped_statistics));
    }
    if let Some((lsn, time)) = finish.origin.filter(|(lsn, _)| lsn.0 != 0) {
        let said = desc.split_once("lsn ").ok_or("no origin")?.1.split(',').next().unwrap().parse::<Lsn>().unwrap();
        assert_eq!(said, lsn);
        needs(format!("{}", time.strftime("at %Y-%m-%d %H:%M:%S%.6f UTC")))?;
    }
    Ok(())
}

fn list(desc: &str, word: &str, ours: &[u32]) -> Result<(), String> {
    let theirs: Vec<u32> = match desc.split_once(word) {
        Some((_, rest)) => rest.split(';').next().unwrap().split_whitespace().map_while(|id| id.parse().ok()).collect(),
        None => Vec::new(),
    };
    if theirs == ours { Ok(()) } else { Err(format!("{word} {ours:?} is not {theirs:?}")) }
}
