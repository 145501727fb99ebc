//! Faults of what is around two Kafka clusters while they are compared.

use crate::around_logs::{Far, RECORDS, Scene, fill, found, honest};
use crate::environment::{GONE, limited};
use crate::names::{ELSEWHERE, NAME, Names, forward};
use crate::stage::World;
use crate::table::Cell;
use paritas_testbed::kafka::{Cluster, Install, Listener, Options, Resource};
use paritas_testbed::ports;
use paritas_testbed::proxy::Behaviour;
use paritas_testbed::tls::Authority;
use paritas_tests::{ended, verify};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The cells of the column Kafka, in the order of the page; none where the fault cannot occur.
pub const CELLS: [Option<Cell>; 12] = [
    Some(cut),
    Some(restart),
    Some(failover),
    Some(history),
    Some(revoked),
    Some(throttled),
    Some(certificate),
    Some(disk_full),
    Some(memory),
    Some(killed),
    Some(renamed),
    Some(half_open),
];

/// On either side; for a moment, and for good.
fn cut(world: &World) {
    for (name, before_source) in [("kcut", false), ("kcutsource", true)] {
        let mut scene = Scene::new(world, name, 1, Far { before_source, ..Far::default() });
        scene.control();
        let end = scene.during("cut for a moment", |scene| {
            let before = scene.connections();
            scene.set(Behaviour::CutAfter(0));
            let patience = Instant::now() + Duration::from_secs(2);
            while scene.connections() == before && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(5));
            }
            scene.set(Behaviour::Pass);
        });
        found(&end.run, "cut for a moment");
        scene.during("cut for good", |scene| scene.set(Behaviour::Refuse)).unknown(GONE, "cut for good");
        scene.during("cut again and again", |scene| scene.set(Behaviour::CutAfter(300_000)));
    }
}

fn restart(world: &World) {
    let mut scene = Scene::new(world, "krestart", 1, Far::default());
    scene.during("stopped and started", |scene| {
        scene.set(Behaviour::Pass);
        world.run(async {
            scene.far().stop().await.unwrap();
            scene.far().start_again().await.unwrap();
        });
    });
    scene.during("killed, and it stays away", |scene| world.run(scene.far().kill()).unwrap());
    world.run(scene.far().start_again()).unwrap();
    scene.control();
}

/// The broker that leads all topics dies, and another one that has all records takes over.
fn failover(world: &World) {
    let mut scene = Scene::new(world, "kfailover", 3, Far::default());
    scene.control();
    scene.during("another leader", |scene| {
        world.run(async {
            scene.far().broker(2).unwrap().kill().await.unwrap();
            let client = scene.far().client().unwrap();
            client.wait_placed("b_large", |placed| placed[0].leader == Some(3)).await.unwrap();
        });
        scene.set(Behaviour::Pass);
    });
    scene.control();
}

/// Records that are being read are deleted, on either side.
fn history(world: &World) {
    for (name, before_source) in [("khistory", false), ("khistorysource", true)] {
        let mut scene = Scene::new(world, name, 1, Far { before_source, ..Far::default() });
        let half = RECORDS as u64 / 2;
        scene.during("records are deleted", |scene| {
            world.run(async {
                let client = scene.far().client().unwrap();
                client.delete_records("b_large", 0, half).await.unwrap();
            });
            scene.set(Behaviour::Pass);
        });
    }
}

const PASSWORD: &str = "c4n4ry";

/// What a user of Paritas needs.
const NEEDED: [(&[Resource<'static>], &[&str]); 3] = [
    (&[Resource::Topic("*")], &["Describe", "DescribeConfigs", "Read"]),
    (&[Resource::Group("*")], &["Describe"]),
    (&[Resource::Cluster], &["Describe", "DescribeConfigs"]),
];

fn known(name: &str, world: &World) -> Scene {
    let far = Far {
        options: Options::default().user("reader", PASSWORD).acls(),
        listener: Listener::Sasl,
        user: format!("reader:{PASSWORD}@"),
        settings: "&security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN".to_owned(),
        ..Far::default()
    };
    let mut scene = Scene::new(world, name, 1, far);
    world.run(async {
        for (resources, operations) in NEEDED {
            scene.far().grant("reader", resources, operations).await.unwrap();
        }
    });
    scene
}

fn revoked(world: &World) {
    let mut scene = known("krevoked", world);
    scene.control();
    let end = scene.during("the right to read", |scene| {
        world.run(scene.far().revoke("reader", &[Resource::Topic("*")], &["Read"])).unwrap();
        scene.set(Behaviour::Pass);
    });
    let end = end.because(&["dataset.denied", "store.denied"], "the right to read");
    assert!(end.said.contains("kafka-acls"), "{end:#?}");
}

/// A quota of bytes: enough for the end of it, and far from enough.
fn throttled(world: &World) {
    let scene = Scene::new(world, "kthrottled", 1, Far::default());
    let quota = |rate: &str| {
        let set = format!("consumer_byte_rate={rate}");
        let args = ["--alter", "--add-config", &set, "--entity-type", "clients", "--entity-default"];
        world.run(scene.west.tool("kafka.admin.ConfigCommand", &args)).unwrap();
    };
    let (source, replica) = scene.urls();
    quota("10000000");
    found(&verify(&source, &replica, &[]), "slowly");
    quota("1000");
    let end = honest(&limited(world, &scene.urls(), "true", Stdio::piped()), "starved");
    end.unknown(&["run.deadline", "store.unreachable"], "starved");
}

/// How long the certificate is valid from its making; the brokers start meanwhile.
const VALID: Duration = Duration::from_secs(45);
/// What is left of that when the comparison begins.
const LEFT: Duration = Duration::from_secs(6);

fn certificate(world: &World) {
    let authority = Authority::new(world.scratch(), "karound").unwrap();
    let short = authority.server_valid_for("kshort", VALID).unwrap();
    let expires = Instant::now() + VALID;
    let far = Far {
        options: Options::default().tls(&short, None),
        listener: Listener::Tls,
        settings: format!("&security.protocol=SSL&ssl.ca.location={}", authority.certificate().display()),
        ..Far::default()
    };
    let mut scene = Scene::new(world, "kcertified", 1, far);
    assert!(Instant::now() < expires, "brokers start too slowly for this test");
    // A comparison takes no longer than its budget, so it begins late.
    std::thread::sleep(expires.saturating_duration_since(Instant::now()).saturating_sub(LEFT));
    scene.during("an expired certificate", |scene| {
        std::thread::sleep(expires.saturating_duration_since(Instant::now()) + Duration::from_secs(1));
        // Connections that are there stay; new ones are not made any more.
        scene.set(Behaviour::CutAfter(0));
        std::thread::sleep(Duration::from_millis(100));
        scene.set(Behaviour::Pass);
    });
    let (source, replica) = scene.urls();
    let end = honest(&verify(&source, &replica, &[]), "an expired certificate from the beginning");
    let end = end.unknown(&["store.tls"], "an expired certificate from the beginning");
    assert!(end.said.contains("renew the certificate of the broker"), "{end:#?}");
}

fn disk_full(world: &World) {
    let scene = Scene::new(world, "kfull", 1, Far::default());
    let urls = scene.urls();
    found(&limited(world, &urls, "true", Stdio::piped()), "without a limit");
    // Every write to a file beyond this fails, as on a full disk.
    for blocks in [0, 1, 8] {
        let what = format!("trap '' XFSZ; ulimit -f {blocks}");
        honest(&limited(world, &urls, &what, Stdio::piped()), &what);
    }
    let full = Stdio::from(fs::File::options().write(true).open("/dev/full").unwrap());
    let run = limited(world, &urls, "true", full);
    assert!([1, 3].contains(&run.code) && !run.stderr.is_empty(), "{run:#?}");
}

fn memory(world: &World) {
    let scene = Scene::new(world, "kmemory", 1, Far::default());
    let urls = scene.urls();
    for mib in [24, 96, 384, 1_024] {
        let what = format!("ulimit -v {}", mib * 1_024);
        let run = limited(world, &urls, &what, Stdio::piped());
        // It says what it found, or cannot even say that; it never says that all is well.
        if [1, 3].contains(&run.code) && !run.stdout.is_empty() {
            honest(&run, &what);
        } else {
            assert!(run.code != 0 && !run.stdout.contains("\"pass\""), "{what}: {run:#?}");
        }
    }
    found(&limited(world, &urls, &format!("ulimit -v {}", 8 << 20), Stdio::piped()), "8 GiB");
}

/// Killed at several moments; the next run ends as if nothing had been.
fn killed(world: &World) {
    let scene = Scene::new(world, "kkilled", 1, Far::default());
    let (source, replica) = scene.urls();
    let state = world.folder("state");
    let with_state = ["--state", state.to_str().unwrap()];
    for pause in [0, 50, 500] {
        let child = scene.begin(&with_state);
        std::thread::sleep(Duration::from_millis(pause));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        let run = ended(child);
        assert!(run.code == -1 && run.stdout.is_empty(), "{run:#?}");
        scene.set(Behaviour::Pass);
    }
    found(&verify(&source, &replica, &with_state), "after three kills");
    found(&verify(&source, &replica, &[&with_state[..], &["--resume"]].concat()), "after three kills, resumed");
}

/// The name leads to another cluster from now on, which does not differ: half of it was never looked at.
fn renamed(world: &World) {
    let Some(names) = Names::new(world) else { return };
    let mut scene = Scene::new(world, "krenamed", 1, Far { host: NAME.to_owned(), ..Far::default() });
    scene.names = Some(names);
    let port = scene.ports().next().unwrap();
    let behind = ports::free_port().unwrap();
    let options = Options::default().route_as(Listener::Routed, behind, &format!("{NAME}:{port}"));
    let _stranger = world.run(async {
        let install = Install::find().unwrap();
        let stranger = Cluster::start(&install, world.scratch(), "krenamedto", options).await.unwrap();
        fill(&stranger, false, false).await;
        stranger
    });
    let forward = forward(world, port, behind);
    scene.control();
    let end = scene.during("another cluster", |scene| {
        scene.names.as_ref().unwrap().lead_to(ELSEWHERE);
        scene.set(Behaviour::Refuse);
    });
    end.unknown(&["store.changed", "dataset.changed", "data.changed"], "another cluster");
    forward.abort();
}

fn half_open(world: &World) {
    for (name, before_source) in [("khung", false), ("khungsource", true)] {
        let mut scene = Scene::new(world, name, 1, Far { before_source, ..Far::default() });
        let end = scene.during("half open", |scene| scene.set(Behaviour::Hang));
        end.unknown(GONE, "half open");
        scene.during("half open for a moment", |scene| {
            scene.set(Behaviour::Hang);
            std::thread::sleep(Duration::from_secs(1));
            scene.set(Behaviour::Pass);
        });
    }
}
