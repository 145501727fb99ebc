//! The sources of every kind of store are gone at once, with all they had; and a clean failover after that.

use crate::called::{Folder, Run};
use crate::stage::{Pair, pair, url};
use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Cluster, Install, Mirror, MirrorOptions, Options, Record, Topic};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::path::Path;
use tokio::runtime::Runtime;

const TOPIC: &str = "orders";
/// Records that arrive, and then those that do not.
const ARRIVED: u64 = 200;
const LOST: u64 = 7;

/// Two clusters with a mirror that keeps names.
struct Clusters {
    mirror: Mirror,
    source: Cluster,
    replica: Cluster,
    scratch: Scratch,
    runtime: Runtime,
}

impl Clusters {
    fn start() -> Option<Self> {
        let Some(install) = Install::unless_missing().unwrap() else {
            eprintln!("left out: Kafka is not installed; run `make setup`");
            return None;
        };
        let (runtime, scratch) = (Runtime::new().unwrap(), Scratch::new().unwrap());
        let (source, replica, mirror) = runtime.block_on(async {
            let (source, replica) = tokio::join!(
                Cluster::start(&install, &scratch, "a", Options::default()),
                Cluster::start(&install, &scratch, "b", Options::default()),
            );
            let (source, replica) = (source.unwrap(), replica.unwrap());
            let mirror = Mirror::start(&source, &replica, MirrorOptions::default().identity()).await.unwrap();
            let topic = Topic::new(TOPIC).set("retention.ms", "-1");
            source.client().unwrap().create(&topic).await.unwrap();
            (source, replica, mirror)
        });
        Some(Self { mirror, source, replica, scratch, runtime })
    }

    fn wait<T>(&self, future: impl Future<Output = paritas_testbed::Result<T>>) -> T {
        self.runtime.block_on(future).unwrap()
    }

    fn write(&self, first: u64, count: u64) {
        let records: Vec<Record> =
            (first..first + count).map(|number| Record::new(number.to_string(), format!("order {number}"))).collect();
        let client = self.source.client().unwrap();
        self.wait(client.produce(TOPIC, records));
    }

    /// Kills the source and removes all it had.
    fn lose_source(&mut self) {
        self.runtime.block_on(self.source.kill()).unwrap();
        fs::remove_dir_all(self.scratch.path().join("a-1")).unwrap();
    }
}

fn configure(pair: &Pair, clusters: &Clusters) {
    let topic = |cluster: &Cluster| format!("kafka://{}/{TOPIC}", cluster.bootstrap());
    let store = |name: &str, kind: &str, url: &str| format!("[store.{name}]\nkind = {kind:?}\nurl = {url:?}\n");
    let link = |name: &str, stem: &str, more: &str| {
        format!("[[link]]\nname = {name:?}\nsource = \"{stem}-east\"\nreplica = \"{stem}-west\"\n{more}\n")
    };
    let text = [
        "[paritas]\nstate = \"state\"\n".to_owned(),
        store("db-east", "postgres", &url(&pair.old)),
        store("db-west", "postgres", &url(&pair.new)),
        store("topics-east", "kafka", &topic(&clusters.source)),
        store("topics-west", "kafka", &topic(&clusters.replica)),
        store("files-east", "files", "east"),
        store("files-west", "files", "west"),
        link(
            "trading",
            "db",
            "[[link.ledger]]\nname = \"balances\"\ndataset = \"public.ledger\"\ngroup_by = [\"account\"]\ncount = true\nsum = [\"amount\"]\n",
        ),
        link("events", "topics", ""),
        link("archive", "files", "[[link.dataset]]\nname = \"files\"\nwrites = \"inserts\"\n"),
    ];
    pair.folder.write("paritas.toml", text.concat());
    for side in ["east", "west"] {
        for name in ["one", "two", "three"] {
            pair.folder.write(&format!("{side}/{name}.bin"), name);
        }
    }
}

/// The only link of that name.
fn link<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["links"].as_array().unwrap().iter().find(|link| link["name"] == name).unwrap()
}

fn checks<'a>(link: &'a Value, kind: &str) -> Vec<&'a Value> {
    link["checks"].as_array().unwrap().iter().filter(|check| check["check"] == kind).collect()
}

/// Class, proof and key of every differing row of a table.
fn rows(link: &Value, table: &str) -> BTreeSet<(String, String, String)> {
    let check = checks(link, "parity").into_iter().find(|check| check["dataset"] == table).unwrap();
    assert_eq!(check["complete"], true, "{check:#}");
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let items = check["items"].as_array().unwrap().iter();
    items.map(|item| (word(&item["class"]), word(&item["proof"]), item["key"].to_string())).collect()
}

#[test]
fn sources_of_every_kind_are_gone_and_exactly_what_is_lost_of_each_is_named() {
    let Some(mut clusters) = Clusters::start() else { return };
    let Some(mut pair) = pair("") else { return };
    configure(&pair, &clusters);
    clusters.write(0, ARRIVED);
    clusters.wait(clusters.mirror.wait_caught_up(TOPIC));
    // The baseline: everything is equal.
    let report = pair.call(&["verify"]).code(0).json();
    assert_eq!(report["links"].as_array().unwrap().iter().filter(|link| link["verdict"] == "pass").count(), 3);

    everything_is_written_that_never_arrives(&mut pair, &mut clusters);
    let said = pair.folder.paritas(&["snapshot"]).code(0).stdout;
    for kept in ["PASS  trading: kept ", "PASS  events: kept ", "PASS  archive: kept "] {
        assert!(said.contains(kept), "{said}");
    }
    pair.lose_source();
    clusters.lose_source();
    fs::remove_dir_all(pair.folder.path().join("east")).unwrap();
    pair.promote();

    let report = pair.call(&["failover", "--max-differences", "2000"]).code(1).json();
    assert_eq!(report["recovery"]["whole"]["decision"], "no-go", "{report:#}");
    what_is_lost_is_named(&report);
    a_clean_failover_after_that_goes(&mut pair);
}

fn everything_is_written_that_never_arrives(pair: &mut Pair, clusters: &mut Clusters) {
    pair.new.cut_off();
    clusters.runtime.block_on(clusters.mirror.kill()).unwrap();
    pair.old.sql("insert into orders (note) select 'lost ' || i from generate_series(1, 3) i");
    pair.old.sql("update orders set note = 'changed' where id = 20; delete from orders where id = 17");
    pair.old.sql("insert into ledger (account, amount) values (7, 1000.25)");
    clusters.write(ARRIVED, LOST);
    pair.folder.write("east/four.bin", "four");
    pair.folder.write("east/two.bin", "two, written again");
}

fn what_is_lost_is_named(report: &Value) {
    let row = |class: &str, id: u32| (class.to_owned(), "proven".to_owned(), format!("{{\"id\":{id}}}"));
    let trading = link(report, "trading");
    let lost: Vec<_> = [301, 302, 303].map(|id| row("lost", id)).into();
    let orders: BTreeSet<_> = lost.into_iter().chain([row("changed", 20), row("extra", 17)]).collect();
    assert_eq!(rows(trading, "public.orders"), orders);
    assert_eq!(rows(trading, "public.ledger"), BTreeSet::from([row("lost", 2001)]));
    let ledger = checks(trading, "ledger")[0];
    assert_eq!((&ledger["mismatched"], &ledger["items"][0]["group"]), (&json!(1), &json!({"account": 7})));

    let events = link(report, "events");
    assert_eq!(events["recovery"]["rpo"]["records_at_least"], LOST);
    let findings = checks(events, "parity")[0]["log"]["findings"].as_array().unwrap().clone();
    let named: Vec<_> = findings.iter().map(|one| (&one["class"], &one["source"])).collect();
    assert_eq!(named, [(&json!("missing"), &json!([ARRIVED, ARRIVED + LOST - 1]))], "{events:#}");

    let files = checks(link(report, "archive"), "files")[0];
    let named: BTreeSet<String> =
        files["items"].as_array().unwrap().iter().map(|one| one["path"].to_string()).collect();
    assert_eq!(named, BTreeSet::from(["\"four.bin\"".to_owned(), "\"two.bin\"".to_owned()]), "{files:#}");
    for link in report["links"].as_array().unwrap() {
        assert_eq!(link["recovery"]["decision"], "no-go", "{}", link["name"]);
    }
    // Lost is what is missing; what was changed is named above.
    assert_eq!(report["recovery"]["whole"]["rpo"]["records"]["at_least"], LOST);
    assert_eq!(report["recovery"]["whole"]["rpo"]["files"]["at_least"], 1, "{:#}", report["recovery"]["whole"]);
}

/// The new primary gets a standby of its own, and is then stopped in good order: a second failover in a row.
fn a_clean_failover_after_that_goes(pair: &mut Pair) {
    let third = pair.new.standby("third");
    crate::testbed::caught_up(&pair.new, &third);
    let folder = Folder::new();
    for name in ["one", "two", "three"] {
        for side in ["west", "third"] {
            folder.write(&format!("{side}/{name}.bin"), name);
        }
    }
    let text = format!(
        "[paritas]\nstate = \"state\"\n[store.west]\nkind = \"postgres\"\nurl = {:?}\n\
         recovery = {{ data_directory = {:?} }}\n[store.third]\nkind = \"postgres\"\nurl = {:?}\n\
         [store.f-west]\nkind = \"files\"\nurl = \"west\"\n[store.f-third]\nkind = \"files\"\nurl = \"third\"\n\
         [[link]]\nname = \"trading\"\nsource = \"west\"\nreplica = \"third\"\n\
         [[link]]\nname = \"archive\"\nsource = \"f-west\"\nreplica = \"f-third\"\n",
        url(&pair.new),
        pair.new.data(),
        url(&third)
    );
    folder.write("paritas.toml", text);
    let call = |args: &[&str]| -> Run { folder.paritas(&[args, &["--json"]].concat()) };
    call(&["snapshot"]).code(0);
    pair.new.stop(false);
    fs::remove_dir_all(Path::new(folder.path()).join("west")).unwrap();
    third.promote();
    third.wait_for("select timeline_id > 2 from pg_control_checkpoint()");
    let report = call(&["failover"]).code(0).json();
    let whole = &report["recovery"]["whole"];
    assert_eq!((&whole["decision"], &whole["rpo"]["transactions"]["exact"]), (&json!("go"), &json!(0)), "{report:#}");
    assert_eq!(checks(link(&report, "trading"), "lineage")[0]["relation"], "promoted");
}
