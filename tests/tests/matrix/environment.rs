//! Faults of what is around two PostgreSQL servers while they are compared.

use crate::around::{END_BUDGET, End, SLOW, Scene, found, honest, in_time};
use crate::files;
use crate::names::{ELSEWHERE, NAME, Names, forward};
use crate::stage::{World, demand_urls, owned};
use crate::standby::{Pair, TABLE, blind};
use crate::table::Cell;
use crate::tables::many;
use paritas_testbed::faults;
use paritas_testbed::postgres::{self, Install, Mode, Options, Server};
use paritas_testbed::proxy::{Behaviour, Proxy};
use paritas_testbed::tls::Authority;
use paritas_tests::lag::{text, until_text};
use paritas_tests::{binary, ended, verify};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The faults, in the order of the page, and the cells of the column PostgreSQL.
pub const FAULTS: [(&str, Cell); 12] = [
    ("connection cut", cut),
    ("server restart (smart, fast, immediate)", restart),
    ("failover in the middle of a scan", failover),
    ("snapshot expired, or recovery conflict", snapshot),
    ("permission revoked meanwhile", revoked),
    ("throttling: sessions ended, no connection to be had", throttled),
    ("certificate expiring during the run", certificate),
    ("disk full on our side", disk_full),
    ("memory limit", memory),
    ("our own kill -9", killed),
    ("name resolution changed", renamed),
    ("half-open TCP", half_open),
];

pub const GONE: &[&str] = &["store.unreachable", "data.truncated", "run.deadline"];

/// On either side; for a moment, and for good.
fn cut(world: &World) {
    for (name, before_source) in [("cut", false), ("cut_source", true)] {
        let mut scene = Scene::placed(world, name, &Options::default(), before_source);
        let end = scene.during("cut for a moment", |scene| {
            scene.proxy.set(Behaviour::CutAfter(0));
            let before = scene.proxy.connections();
            let patience = Instant::now() + Duration::from_secs(2);
            while scene.proxy.connections() == before && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(5));
            }
            scene.proxy.set(Behaviour::Pass);
        });
        found(&end.run, "cut for a moment");
        scene.during("cut for good", |scene| scene.proxy.set(Behaviour::Refuse)).unknown(GONE, "cut for good");
        scene.during("cut again and again", |scene| scene.proxy.set(Behaviour::CutAfter(300_000)));
    }
}

fn restart(world: &World) {
    let mut scene = Scene::new(world, "restart", &Options::default());
    for mode in [Mode::Smart, Mode::Fast, Mode::Immediate] {
        let what = format!("{mode:?}");
        scene.during(&what, |scene| {
            // A smart stop waits for the comparison to leave.
            scene.proxy.set(Behaviour::Pass);
            world.run(async {
                scene.far().stop(mode).await.unwrap();
                scene.far().start_again().await.unwrap();
            });
        });
        scene.during(&format!("{what}, and it stays away"), |scene| {
            if mode == Mode::Smart {
                scene.proxy.set(Behaviour::Pass);
            }
            world.run(scene.far().stop(mode)).unwrap();
        });
        world.run(scene.far().start_again()).unwrap();
    }
    let (source, replica) = scene.urls();
    found(&verify(&source, &replica, &[]), "all is well again");
}

/// A standby is promoted while it is read; both sides go on writing, or the primary is gone.
fn failover(world: &World) {
    for (name, dies) in [("failover", false), ("failover_dies", true)] {
        let primary = world.run(Pair::begin(world, name, Options::default(), &many(2)));
        let sql = "CREATE TABLE b_large AS SELECT n AS id, repeat(md5(n::text), 30) AS note FROM generate_series(1, 20000) n; \
                   ALTER TABLE b_large ADD PRIMARY KEY (id); \
                   CREATE TABLE c_last (id int PRIMARY KEY, amount int); INSERT INTO c_last VALUES (7, 1)";
        let (standby, proxy) = world.run(async {
            primary.batch("postgres", sql).await.unwrap();
            primary.batch("postgres", "VACUUM FREEZE").await.unwrap();
            let standby = postgres::standby(&primary, &format!("{name}_standby")).await.unwrap();
            let proxy = Proxy::start(standby.port()).await.unwrap();
            (standby, proxy)
        });
        let planted = &[("public.c_last", "7")];
        let mut scene = Scene { east: primary, west: standby, proxy, before_source: false, planted };
        let (source, replica) = scene.urls();
        demand_urls(&source, &replica, &[], 0, &[], "without any fault");
        let end = scene.during("a failover", |scene| {
            world.run(async {
                if dies {
                    scene.east.stop(Mode::Immediate).await.unwrap();
                }
                postgres::promote(&scene.west).await.unwrap();
                scene.west.batch("postgres", "UPDATE c_last SET amount = 20").await.unwrap();
                if !dies {
                    scene.east.batch("postgres", "UPDATE c_last SET amount = 10").await.unwrap();
                }
            });
            scene.proxy.set(Behaviour::Pass);
        });
        assert!(!dies || end.run.code == 3, "{end:#?}");
    }
}

/// With a threshold of 0 a server takes snapshots of the last five seconds for new ones (`snapmgr.c`, up to 16).
const TOO_OLD: Duration = Duration::from_secs(6);

/// What a snapshot needs is removed: by replay on a standby, or by a limit on its age.
fn snapshot(world: &World) {
    let primary = world.run(Pair::begin(world, "conflict", blind(), &many(2)));
    let sql = "DROP TABLE s.t; CREATE TABLE public.b_large AS SELECT n AS id, CASE n WHEN 20000 THEN 'needle' ELSE \
               repeat(md5(n::text), 30) END AS note FROM generate_series(1, 20000) n; \
               ALTER TABLE public.b_large ADD PRIMARY KEY (id); \
               CREATE SCHEMA x; CREATE TABLE x.x AS SELECT 1 AS id";
    // Two standbys are compared: with the primary as the source its own snapshot would keep everything.
    let (first, standby) = world.run(async {
        primary.batch("postgres", sql).await.unwrap();
        primary.batch("postgres", "VACUUM FREEZE").await.unwrap();
        let first = postgres::standby(&primary, "conflict_first").await.unwrap();
        (first, postgres::standby(&primary, "conflict_west").await.unwrap())
    });
    let mut pair = Pair { primary, standby };
    pair.plant(world, &TABLE.replace("s.t", "b_large"), |file| {
        drop(faults::files::flip_bit(file, files::find(file, b"needle"), 0).unwrap());
    });
    let proxy = world.run(async {
        for sql in ["ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()"] {
            pair.standby.batch("postgres", sql).await.unwrap();
        }
        postgres::wait_replayed(&pair.primary, &first).await.unwrap();
        Proxy::start(pair.standby.port()).await.unwrap()
    });
    let planted = &[("b_large", "20000")];
    let mut scene = Scene { east: first, west: pair.standby, proxy, before_source: false, planted };
    let (source, replica) = scene.urls_as("postgres", "?table=b_large");
    let urls = (source + "?table=b_large", replica);
    let line = "changed id='20000': note 'needle' -> 'oeedle'";
    demand_urls(&urls.0, &urls.1, &[], 1, &owned(&[line]), "without any fault");
    scene.during_of(&urls, "recovery conflicts", |scene| {
        world.run(async {
            for sql in ["UPDATE x.x SET id = id + 1", "VACUUM x.x"] {
                pair.primary.batch("postgres", sql).await.unwrap();
            }
            let end = text(&pair.primary, "SELECT pg_current_wal_flush_lsn()::text").await;
            let arrived = format!("SELECT (pg_last_wal_receive_lsn() >= '{end}')::text");
            until_text(&scene.west, &arrived, "true").await;
        });
        scene.proxy.set(Behaviour::Pass);
    });
    let cancelled = "SELECT (sum(confl_snapshot) > 0)::text FROM pg_stat_database_conflicts";
    world.run(until_text(&scene.west, cancelled, "true"));

    let options = Options::default().set("old_snapshot_threshold", "0").set("autovacuum", "off");
    let mut scene = Scene::placed(world, "expired", &options, true);
    scene.during("an old snapshot", |scene| {
        std::thread::sleep(TOO_OLD);
        world.run(async {
            for sql in ["UPDATE b_large SET note = note WHERE id > 10000", "VACUUM b_large"] {
                scene.east.batch("postgres", sql).await.unwrap();
            }
        });
        scene.proxy.set(Behaviour::Pass);
    });
    assert!(scene.east.log_tail().contains("snapshot too old"), "{}", scene.east.log_tail());
}

/// Ends all sessions of the user of comparisons.
fn end_sessions(world: &World, server: &Server, more: &str) {
    let end = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = 'reader'";
    world.run(async {
        server.batch("postgres", more).await.unwrap();
        server.batch("postgres", end).await.unwrap();
    });
}

const READER: &str =
    "CREATE ROLE reader LOGIN; GRANT pg_monitor TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader";

fn revoked(world: &World) {
    let mut scene = Scene::new(world, "revoked", &Options::default());
    world.run(scene.west.batch("postgres", READER)).unwrap();
    let urls = scene.urls_as("reader", "");
    found(&verify(&urls.0, &urls.1, &[]), "as another user");
    let end = scene.during_of(&urls, "the right to read the last table", |scene| {
        world.run(scene.west.batch("postgres", "REVOKE SELECT ON c_last FROM reader")).unwrap();
        scene.proxy.set(Behaviour::Pass);
    });
    let end = end.because(&["dataset.denied"], "the right to read the last table");
    assert!(end.said.contains("GRANT SELECT ON"), "{end:#?}");
    world.run(scene.west.batch("postgres", "GRANT SELECT ON c_last TO reader")).unwrap();
    let end = scene.during_of(&urls, "the right to connect", |scene| {
        end_sessions(world, &scene.west, "ALTER ROLE reader NOLOGIN");
        scene.proxy.set(Behaviour::Pass);
    });
    end.unknown(&["store.denied"], "the right to connect");
}

fn throttled(world: &World) {
    let mut scene = Scene::new(world, "throttled", &Options::default());
    world.run(scene.west.batch("postgres", READER)).unwrap();
    let urls = scene.urls_as("reader", "");
    let end = scene.during_of(&urls, "sessions ended", |scene| {
        end_sessions(world, &scene.west, "SELECT 1");
        scene.proxy.set(Behaviour::Pass);
    });
    found(&end.run, "sessions ended once");
    let end = scene.during_of(&urls, "no connection to be had", |scene| {
        end_sessions(world, &scene.west, "ALTER ROLE reader CONNECTION LIMIT 0");
        scene.proxy.set(Behaviour::Pass);
    });
    end.unknown(&["store.busy"], "no connection to be had");
}

/// How long the certificate is still valid when a comparison begins.
const VALID: Duration = Duration::from_secs(6);

fn certificate(world: &World) {
    let authority = Authority::new(world.scratch(), "around").unwrap();
    let pair = authority.server("lasting").unwrap();
    let options = Options::default().tls(pair.for_postgres(None));
    let mut scene = Scene::new(world, "certified", &options);
    world.run(scene.west.batch("postgres", READER)).unwrap();
    let tls = format!("?sslmode=verify-full&sslrootcert={}", authority.certificate().display());
    let urls = scene.urls_as("reader", &tls);
    found(&verify(&urls.0, &urls.1, &[]), "over TLS");
    let short = authority.server_valid_for("short", VALID).unwrap();
    let expires = Instant::now() + VALID;
    for (from, to) in [(&short.certificate, "server.crt"), (&short.key, "server.key")] {
        // In place: owner and mode stay.
        fs::write(scene.west.data_dir().join(to), fs::read(from).unwrap()).unwrap();
    }
    world.run(scene.west.batch("postgres", "SELECT pg_reload_conf()")).unwrap();
    let end = scene.during_of(&urls, "an expired certificate", |scene| {
        std::thread::sleep(expires.saturating_duration_since(Instant::now()) + Duration::from_secs(1));
        end_sessions(world, &scene.west, "SELECT 1");
        scene.proxy.set(Behaviour::Pass);
    });
    let end = end.unknown(&["store.tls"], "an expired certificate");
    assert!(end.said.contains("renew the server's certificate"), "{end:#?}");
}

/// The comparison with a limit of its shell, in a state of its own.
pub fn limited(world: &World, urls: &(String, String), limit: &str, stdout: Stdio) -> paritas_tests::Run {
    let state = world.folder("state");
    let mut call = Command::new("sh");
    call.args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]).arg(binary());
    call.args(["verify", "--json", &urls.0, &urls.1, "--budget", END_BUDGET, "--state"]).arg(state);
    call.env_remove("PARITAS_CONFIG").env_remove("PARITAS_STATE").stdin(Stdio::null());
    let begun = Instant::now();
    in_time(call.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap(), begun, limit)
}

fn disk_full(world: &World) {
    let scene = Scene::new(world, "full", &Options::default());
    let urls = scene.urls();
    found(&limited(world, &urls, "true", Stdio::piped()), "without a limit");
    // Every write to a file beyond this fails, as on a full disk.
    for blocks in [0, 1, 8] {
        let what = format!("trap '' XFSZ; ulimit -f {blocks}");
        honest(&limited(world, &urls, &what, Stdio::piped()), &what);
    }
    // Nobody can read the report: neither of a difference nor of a pair that is alike.
    let full = || Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let run = limited(world, &urls, "true", full());
    assert!([1, 3].contains(&run.code) && !run.stderr.is_empty(), "{run:#?}");
    let alike = (format!("{}?table=a_small", urls.0), format!("{}?table=a_small", urls.1));
    demand_urls(&alike.0, &alike.1, &[], 0, &[], "alike");
    let run = limited(world, &alike, "true", full());
    assert!([1, 3].contains(&run.code) && !run.stderr.is_empty(), "{run:#?}");
}

fn memory(world: &World) {
    let scene = Scene::new(world, "memory", &Options::default());
    let urls = scene.urls();
    let mut ends = Vec::new();
    for mib in [24, 48, 96, 192, 384, 4_096] {
        let what = format!("ulimit -v {}", mib * 1_024);
        let run = limited(world, &urls, &what, Stdio::piped());
        // It says what it found, or cannot even say that; it never says that all is well.
        if [1, 3].contains(&run.code) && !run.stdout.is_empty() {
            honest(&run, &what);
        } else {
            assert!(run.code != 0 && !run.stdout.contains("\"pass\""), "{what}: {run:#?}");
        }
        ends.push((mib, run.code));
    }
    assert_eq!(ends.last(), Some(&(4_096, 1)), "{ends:?}");
}

/// Killed at several moments; the next run ends as if nothing had been.
fn killed(world: &World) {
    let scene = Scene::new(world, "killed", &Options::default());
    let urls = scene.urls();
    let state = world.folder("state");
    let with_state = ["--state", state.to_str().unwrap()];
    for pause in [0, 50, 500] {
        let child = scene.begin(&urls, &with_state);
        std::thread::sleep(Duration::from_millis(pause));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        let run = ended(child);
        assert!(run.code == -1 && run.stdout.is_empty(), "{run:#?}");
        scene.proxy.set(Behaviour::Pass);
    }
    found(&verify(&urls.0, &urls.1, &with_state), "after three kills");
}

/// The name leads to another server from now on, which does not differ: half of it was never looked at.
fn renamed(world: &World) {
    let scene = Scene::new(world, "renamed", &Options::default());
    let stranger = world.run(async {
        let install = Install::find().unwrap();
        let stranger = Server::start(&install, world.scratch(), "renamed_to", Options::default()).await.unwrap();
        for sql in [READER.split(';').next().unwrap(), "ALTER ROLE reader SUPERUSER"] {
            stranger.batch("postgres", sql).await.unwrap();
        }
        scene.west.batch("postgres", READER).await.unwrap();
        stranger.batch("postgres", &crate::around::tables(1)).await.unwrap();
        stranger
    });
    let Some(names) = Names::new(world) else { return };
    // The same port at another address.
    let forward = forward(world, scene.proxy.port(), stranger.port());
    let far = format!("postgresql://reader@{NAME}:{}/postgres", scene.proxy.port());
    let near = scene.east.url("postgres");
    let call = ["verify", "--json", &near, &far, "--parallel", "1", "--budget", END_BUDGET];
    let call = || names.command(&call).spawn().unwrap();
    found(&in_time(call(), Instant::now(), "by name"), "by name");
    let before = scene.proxy.bytes_from_server();
    let (begun, child) = (Instant::now(), call());
    scene.under_way(before);
    names.lead_to(ELSEWHERE);
    end_sessions(world, &scene.west, "SELECT 1");
    scene.proxy.set(Behaviour::Pass);
    let end = honest(&in_time(child, begun, "another address"), "another address");
    end.unknown(&["store.changed"], "another address");
    forward.abort();
}

fn half_open(world: &World) {
    for (name, before_source) in [("hung", false), ("hung_source", true)] {
        let mut scene = Scene::placed(world, name, &Options::default(), before_source);
        let end: End = scene.during("half open", |scene| scene.proxy.set(Behaviour::Hang));
        end.unknown(GONE, "half open");
        scene.during("half open for a moment", |scene| {
            scene.proxy.set(Behaviour::Hang);
            std::thread::sleep(Duration::from_secs(1));
            scene.proxy.set(SLOW);
            scene.proxy.set(Behaviour::Pass);
        });
    }
}
