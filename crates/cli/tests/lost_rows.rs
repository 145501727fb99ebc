//! `paritas failover` with the old primary's server started again: exactly the lost rows and amounts, by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "../../pgwal/tests/common/mod.rs"]
mod common;

use common::{Install, Scratch, Server};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

const MAJOR: u32 = 15;

/// Tables with everything that makes rows hard to follow.
const TABLES: &str = "
create table orders (id bigint primary key, account int, amount numeric(18,2), note text, fee money, rate float8);
insert into orders select i, i % 10, i * 1.25, repeat('x', 50), '1.00', 0.5 from generate_series(1, 200) i;
create table balances (account text primary key, amount numeric);
insert into balances select 'a' || i, 100 from generate_series(1, 20) i;
create table ticks (venue text, price numeric) with (fillfactor = 50);
insert into ticks select 'X', i from generate_series(1, 50) i;
create table fills (id int, region text, qty int, primary key (id, region)) partition by list (region);
create table fills_eu partition of fills for values in ('eu');
create table fills_us partition of fills for values in ('us');
insert into fills select i, case when i % 2 = 0 then 'eu' else 'us' end, i from generate_series(1, 20) i;
create table docs (id int primary key, body text);
insert into docs select i, string_agg(md5((i * 1000 + j)::text), '') from generate_series(1, 3) i, generate_series(1, 500) j group by i;
create table old_stuff (id int primary key);
insert into old_stuff select generate_series(1, 5);
create table notes (id int references orders (id), body text, primary key (id));
";

struct Pair {
    old: Server,
    new: Server,
    /// A copy of what the log needs, from before the old server was started again.
    copy: tempfile::TempDir,
    _scratch: Scratch,
}

/// A failover: `kept` is on both, `lost` only on the old primary, which crashes and is started again in isolation.
fn pair(install: &Install, kept: &str, lost: &str) -> Pair {
    let scratch = common::scratch();
    let mut old = Server::start(&scratch, install, "old", 1, &[]);
    old.sql(TABLES);
    let new = old.standby("new");
    old.sql(kept);
    let sent = old.sql("select pg_current_wal_lsn()");
    new.wait_for(&format!("select coalesce(pg_last_wal_replay_lsn() >= '{sent}', false)"));
    new.cut_off();
    old.sql(lost);
    old.stop(true);
    new.promote();
    let copy = copy(&old);
    old.start_again(&[]);
    Pair { old, new, copy, _scratch: scratch }
}

fn copy(server: &Server) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for below in ["global", "pg_wal"] {
        fs::create_dir(folder.path().join(below)).unwrap();
        for entry in fs::read_dir(server.data().join(below)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, folder.path().join(below).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    folder
}

fn url(server: &Server) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port())
}

fn paritas(args: &[OsString]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paritas"));
    command.args(args).env_remove("PARITAS_CONFIG").env_remove("PARITAS_STATE").current_dir("/");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

impl Pair {
    fn failover(&self, directory: &Path, more: &[&str]) -> (i32, String) {
        // Nobody answers at the address of the source.
        let mut args: Vec<OsString> =
            ["failover", "postgres://postgres@127.0.0.1:1/postgres", &url(&self.new)].map(OsString::from).to_vec();
        args.extend(["--data-directory".into(), directory.as_os_str().to_owned()]);
        args.extend(more.iter().map(OsString::from));
        paritas(&args)
    }

    /// The rows of the only timeline.
    fn rows(&self, more: &[&str]) -> Value {
        let with_json: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
        let (_, text) = self.failover(self.copy.path(), &with_json);
        let json: Value = serde_json::from_str(&text).unwrap();
        let timelines = &json["links"][0]["recovery"]["timelines"];
        assert_eq!(timelines.as_array().map(Vec::len), Some(1), "{json:#}");
        timelines[0]["rows"].clone()
    }

    fn named(&self) -> Value {
        self.rows(&["--old-primary", &url(&self.old)])
    }
}

fn table<'a>(rows: &'a Value, name: &str) -> &'a Value {
    let found = rows["tables"].as_array().unwrap().iter().find(|table| table["dataset"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {rows:#}"))
}

/// Change and key of each item.
fn items(table: &Value) -> Vec<(String, Value)> {
    let of = |item: &Value| (item["change"].as_str().unwrap().to_owned(), item["key"].clone());
    let mut items: Vec<_> = table["items"].as_array().unwrap().iter().map(of).collect();
    items.sort_by_key(|(change, key)| (change.clone(), key.to_string()));
    items
}

fn net(table: &Value) -> BTreeMap<String, String> {
    let of = |sum: &Value| Some((sum["column"].as_str()?.to_owned(), sum["net"].as_str()?.to_owned()));
    table["amounts"].as_array().unwrap().iter().filter_map(of).collect()
}

const LOST: &str = "
insert into orders values (1001, 1, 1000.00, 'lost', '2.50', 0.25), (1002, 1, 234.50, 'lost', null, 1e-7);
begin; insert into orders values (1003, 1, 9, 'rolled back', '0', 0); rollback;
begin; insert into orders values (1004, 1, 0.01, 'kept part', '0', 0); savepoint s;
  insert into orders values (1005, 1, 5, 'rolled back part', '0', 0); rollback to s;
  savepoint t; insert into orders values (1006, 1, 0.02, 'second part', '0', 0); release t; commit;
begin; insert into orders values (1007, 1, 7, 'prepared', '0', 0); prepare transaction 'decided';
begin; insert into orders values (1008, 1, 8, 'undecided', '0', 0); prepare transaction 'undecided';
begin; update orders set amount = 0 where id = 60; prepare transaction 'refused';
commit prepared 'decided';
rollback prepared 'refused';
update balances set amount = amount - 20 where account = 'a1';
update balances set amount = amount - 20 where account = 'a1';
update balances set amount = amount + 0 where account = 'a2';
update balances set account = 'renamed' where account = 'a3';
begin; insert into balances values ('brief', 1); delete from balances where account = 'brief'; commit;
begin; update balances set amount = 1 where account = 'a4'; delete from balances where account = 'a4'; commit;
delete from balances where account = 'a5';
begin; delete from balances where account = 'a6'; insert into balances values ('a6', 50); commit;
begin; select * from balances where account = 'a7' for update; commit;
insert into ticks values ('X', 1), ('Y', 2.5), ('Y', 2.5);
delete from ticks where price = 50;
update ticks set price = 490 where price = 49;
insert into fills values (100, 'eu', 7), (101, 'us', 8);
update fills set region = 'us' where id = 2;
update docs set body = body || 'z' where id = 1;
insert into docs select 9, string_agg(md5(j::text), '') from generate_series(1, 400) j;
insert into notes values (5, 'refers');
create table fresh (id int primary key, amount numeric); insert into fresh values (1, 1.5);
create table brief (id int); insert into brief values (1); drop table brief;
vacuum balances; vacuum ticks;
insert into balances values ('late', 3);
";

#[rstest]
#[case(14)]
#[case(15)]
#[case(16)]
#[case(17)]
#[case(18)]
fn exactly_the_lost_rows_are_named_with_their_amounts(#[case] major: u32) {
    let Some(install) = common::install(major) else { return };
    let pair = pair(&install, "update balances set amount = amount where account = 'a9'", LOST);
    let rows = pair.named();
    assert_eq!((&rows["complete"], &rows["why"]), (&true.into(), &json!([])), "{rows:#}");
    let key = |name: &str, value: Value| json!({ name: value });

    let orders = table(&rows, "public.orders");
    let expected: Vec<_> = [1001, 1002, 1004, 1006, 1007].map(|id| ("insert".to_owned(), key("id", id.into()))).into();
    assert_eq!(items(orders), expected, "{orders:#}");
    let sums = net(orders);
    assert_eq!((sums["amount"].as_str(), sums["fee"].as_str()), ("1241.53", "2.50"), "{orders:#}");
    assert_eq!((sums["rate"].as_str(), sums.contains_key("id")), ("0.2500001", false));

    let balances = table(&rows, "public.balances");
    let expected =
        [("delete", "a4"), ("delete", "a5"), ("insert", "late"), ("update", "a1"), ("update", "a3"), ("update", "a6")];
    let expected: Vec<_> = expected.map(|(change, account)| (change.to_owned(), key("account", account.into()))).into();
    assert_eq!(items(balances), expected, "{balances:#}");
    assert_eq!(balances["present"], 1, "an update that changes nothing: {balances:#}");
    // -40 and -50 of updates, -100 of each delete, 3 inserted.
    assert_eq!(net(balances)["amount"], "-287");
    let a1 = balances["items"].as_array().unwrap().iter().find(|item| item["key"]["account"] == "a1").unwrap();
    assert_eq!((&a1["source"], &a1["replica"]), (&json!({"amount": "60"}), &json!({"amount": "100"})));
    let a3 = balances["items"].as_array().unwrap().iter().find(|item| item["key"]["account"] == "a3").unwrap();
    assert_eq!((&a3["columns"], &a3["source"]), (&json!(["account"]), &json!({"account": "renamed"})));

    let ticks = table(&rows, "public.ticks");
    assert_eq!(ticks["lost"], json!({"inserted": 3, "updated": 1, "deleted": 1}), "{ticks:#}");
    assert_eq!(net(ticks)["price"], "397.0");

    let fills = table(&rows, "public.fills");
    let expected = [("insert", 100, "eu"), ("insert", 101, "us"), ("insert", 2, "us"), ("delete", 2, "eu")];
    let mut expected: Vec<_> =
        expected.map(|(change, id, region)| (change.to_owned(), json!({"id": id, "region": region}))).into();
    expected.sort_by_key(|(change, key)| (change.clone(), key.to_string()));
    assert_eq!((items(fills), net(fills)["qty"].as_str()), (expected, "15"), "{fills:#}");

    let docs = table(&rows, "public.docs");
    assert_eq!(docs["lost"], json!({"inserted": 1, "updated": 1, "deleted": 0}), "{docs:#}");
    let long = docs["items"][0]["source"]["body"].as_str().unwrap().len();
    assert_eq!(long, 400 * 32, "a value that is stored out of line");
    assert_eq!(items(table(&rows, "public.notes")).len(), 1);
    let fresh = table(&rows, "public.fresh");
    assert_eq!((items(fresh).len(), net(fresh)["amount"].as_str()), (1, "1.5"));
    assert!(fresh["notes"][0].as_str().unwrap().contains("created"), "{fresh:#}");
    assert_eq!(rows["tables"].as_array().unwrap().len(), 7, "{rows:#}");
    for table in rows["tables"].as_array().unwrap() {
        assert_eq!((&table["complete"], &table["unnamed"]), (&true.into(), &0.into()), "{table:#}");
    }
    assert!(rows["catalog"]["inserted"].as_u64().unwrap() > 0);
}

#[test]
fn what_was_entered_again_is_not_lost_and_what_the_new_primary_changed_is_told() {
    let Some(install) = common::install(MAJOR) else { return };
    let lost = "
        insert into orders values (1001, 1, 10, 'again', '0', 0), (1002, 1, 20, 'taken', '0', 0), (1003, 1, 40, 'gone', '0', 0);
        update balances set amount = 1 where account = 'a1'; update balances set amount = 2 where account = 'a2';
        update balances set amount = 3 where account = 'a3'; delete from balances where account in ('a4', 'a5');
        insert into ticks values ('Z', 1), ('Z', 1), ('Z', 2);
        create table fresh (id int primary key, amount int); insert into fresh values (1, 10), (2, 20)";
    let pair = pair(&install, "", lost);
    pair.new.sql(
        "insert into orders values (1001, 1, 10, 'again', '0', 0), (1002, 9, 1, 'another', '0', 0);
         update balances set amount = 1 where account = 'a1'; update balances set amount = 77 where account = 'a2';
         delete from balances where account = 'a3'; update balances set amount = 5 where account = 'a5';
         insert into ticks values ('Z', 1);
         create table another (a int); create table fresh (id int primary key, amount int); insert into fresh values (1, 10)",
    );
    let rows = pair.named();
    let orders = table(&rows, "public.orders");
    assert_eq!((&orders["present"], &orders["conflicting"]), (&1.into(), &1.into()), "{orders:#}");
    assert_eq!((&orders["lost"]["inserted"], net(orders)["amount"].as_str()), (&2.into(), "60.00"));
    let taken = orders["items"].as_array().unwrap().iter().find(|item| item["key"]["id"] == 1002).unwrap();
    assert_eq!((&taken["source"]["note"], &taken["replica"]["note"]), (&"taken".into(), &"another".into()));
    assert!(taken["note"].as_str().unwrap().contains("other values"));
    let balances = table(&rows, "public.balances");
    // a1 again, a2 changed since, a3 gone, a4 still there; a5 was changed, so that nobody can say which row it was.
    assert_eq!(balances["lost"], json!({"inserted": 0, "updated": 2, "deleted": 1}), "{balances:#}");
    assert_eq!((&balances["present"], &balances["unnamed"]), (&1.into(), &1.into()));
    assert_eq!((&balances["complete"], &rows["complete"]), (&false.into(), &false.into()));
    assert!(balances["why"].to_string().contains("has changed or removed them since"), "{balances:#}");
    let ticks = table(&rows, "public.ticks");
    assert_eq!((&ticks["lost"]["inserted"], &ticks["present"]), (&2.into(), &1.into()), "{ticks:#}");

    let fresh = table(&rows, "public.fresh");
    assert_eq!(
        (items(fresh), &fresh["present"]),
        (vec![("insert".to_owned(), json!({"id": 2}))], &1.into()),
        "{fresh:#}"
    );
    assert!(fresh["notes"][0].as_str().unwrap().contains("another table of this name"), "{fresh:#}");

    // Who asked for rows, and does not get all of them, is told in the decision.
    let (code, text) = pair.failover(pair.copy.path(), &["--old-primary", &url(&pair.old)]);
    assert!(code == 1 && text.contains("not every lost row could be named"), "{text}");
    assert!(text.contains("public.orders: 2 rows inserted and not on the new primary, 1 row there by now"), "{text}");
    assert!(text.contains("amount +60.00"), "{text}");
    let (_, text) =
        pair.failover(pair.copy.path(), &["--old-primary", &url(&pair.old), "--max-differences", "1", "--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    let orders = table(&json["links"][0]["recovery"]["timelines"][0]["rows"], "public.orders").clone();
    assert_eq!((orders["items"].as_array().unwrap().len(), &orders["items_truncated"]), (1, &true.into()));
    assert_eq!((&orders["lost"]["inserted"], net(&orders)["amount"].as_str()), (&2.into(), "60.00"));
}

#[test]
fn without_the_old_server_the_log_and_the_new_primary_name_what_they_can() {
    let Some(install) = common::install(MAJOR) else { return };
    let lost =
        "insert into orders values (1001, 1, 10, 'lost', '0', 0); update orders set amount = 0 where id in (3, 4);
                delete from orders where id = 5; delete from old_stuff where id > 3";
    let pair = pair(&install, "", lost);
    let rows = pair.rows(&[]);
    assert_eq!((&rows["complete"], &rows["values_from"]), (&false.into(), &Value::Null));
    assert!(rows["why"].to_string().contains("--old-primary"), "{rows:#}");
    let orders = table(&rows, "public.orders");
    assert_eq!(orders["log"], json!({"inserted": 1, "updated": 2, "deleted": 1}), "{orders:#}");
    assert_eq!(orders["unnamed"], 1);
    let expected = [("delete", 5), ("update", 3), ("update", 4)];
    let expected: Vec<_> = expected.map(|(change, id)| (change.to_owned(), json!({ "id": id }))).into();
    assert_eq!(items(orders), expected, "{orders:#}");
    let old_stuff = table(&rows, "public.old_stuff");
    assert_eq!((items(old_stuff).len(), &old_stuff["complete"]), (2, &true.into()), "{old_stuff:#}");

    // Each lost transaction says what it touched.
    let (_, text) = pair.failover(pair.copy.path(), &["--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    let touched: Vec<Value> = json["links"][0]["recovery"]["timelines"][0]["lost"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|lost| lost.get("touched").cloned())
        .collect();
    assert_eq!(touched.len(), 4, "{json:#}");
    assert_eq!(touched[1], json!([{"dataset": "public.orders", "inserted": 0, "updated": 2, "deleted": 0}]));

    // Neither the new primary nor a server of another cluster stands in for the old one.
    let rows = pair.rows(&["--old-primary", &url(&pair.new)]);
    assert!(rows["why"].to_string().contains("is the new one"), "{rows:#}");
    let scratch = common::scratch();
    let other = Server::start(&scratch, &install, "other", 1, &[]);
    let rows = pair.rows(&["--old-primary", &url(&other)]);
    assert!(rows["why"].to_string().contains("another cluster"), "{rows:#}");
    let rows = pair.rows(&["--old-primary", "postgres://postgres@127.0.0.1:1/postgres"]);
    assert!(rows["why"].to_string().contains("does not answer"), "{rows:#}");
}

#[rstest]
#[case::emptied("truncate old_stuff; insert into old_stuff values (7)", "public.old_stuff", "emptied or rewrote")]
#[case::rewritten(
    "delete from old_stuff where id = 1; vacuum full old_stuff",
    "public.old_stuff",
    "emptied or rewrote"
)]
#[case::dropped("drop table old_stuff", "public.old_stuff", "dropped public.old_stuff")]
#[case::widened(
    "alter table old_stuff add column extra int; insert into old_stuff values (8, 8)",
    "public.old_stuff",
    "column extra"
)]
fn a_table_that_a_lost_transaction_replaced_is_never_complete(
    #[case] lost: &str,
    #[case] dataset: &str,
    #[case] why: &str,
) {
    let Some(install) = common::install(MAJOR) else { return };
    let pair = pair(&install, "", lost);
    let rows = pair.named();
    let table = table(&rows, dataset);
    assert!(rows["complete"] == false && table["complete"] == false, "{rows:#}");
    assert!(table["why"].to_string().contains(why), "{table:#}");
}

#[test]
fn what_the_restarted_server_writes_is_not_counted() {
    let Some(install) = common::install(MAJOR) else { return };
    let pair =
        pair(&install, "", "insert into orders values (1001, 1, 10, 'lost', '0', 0), (1002, 1, 20, 'lost', '0', 0)");
    pair.old.sql("insert into orders values (2000, 1, 99, 'after', '0', 0); vacuum freeze orders");
    let rows = pair.named();
    let orders = table(&rows, "public.orders");
    assert_eq!((items(orders).len(), net(orders)["amount"].as_str(), &rows["complete"]), (2, "30.00", &true.into()));
    pair.old.sql("update orders set amount = 1 where id = 1001");
    let rows = pair.named();
    let orders = table(&rows, "public.orders");
    assert_eq!((items(orders).len(), &orders["unnamed"], &rows["complete"]), (1, &1.into(), &false.into()));
    assert!(orders["why"].to_string().contains("written to, or rewritten, since"), "{orders:#}");
}

#[test]
fn a_transaction_that_began_before_the_switchpoint_is_lost_with_all_its_rows() {
    let Some(install) = common::install(MAJOR) else { return };
    let scratch = common::scratch();
    let mut old = Server::start(&scratch, &install, "old", 1, &[]);
    old.sql(TABLES);
    let new = old.standby("new");
    // Rows before the switchpoint, of a transaction that commits behind it.
    old.sql(
        "begin; insert into orders values (1001, 1, 10, 'early', '0', 0); delete from old_stuff where id = 1; \
             prepare transaction 'long'",
    );
    old.sql("insert into old_stuff select generate_series(100, 20000); checkpoint");
    let sent = old.sql("select pg_current_wal_lsn()");
    new.wait_for(&format!("select coalesce(pg_last_wal_replay_lsn() >= '{sent}', false)"));
    new.cut_off();
    old.sql("commit prepared 'long'");
    old.stop(true);
    new.promote();
    new.sql("rollback prepared 'long'");
    let copy = copy(&old);
    old.start_again(&[]);
    let pair = Pair { old, new, copy, _scratch: scratch };
    let rows = pair.named();
    assert_eq!(items(table(&rows, "public.orders")), [("insert".to_owned(), json!({"id": 1001}))], "{rows:#}");
    assert_eq!(items(table(&rows, "public.old_stuff")), [("delete".to_owned(), json!({"id": 1}))], "{rows:#}");
    assert_eq!(rows["complete"], true, "{rows:#}");
    // Without the log from before, nobody can say what it did.
    let switch = pair.new.sql("select pg_read_file('pg_wal/00000002.history')");
    let low = u64::from_str_radix(switch.split(['/', '\t', ' ']).nth(2).unwrap(), 16).unwrap() >> 20;
    for entry in fs::read_dir(pair.copy.path().join("pg_wal")).unwrap() {
        let path = entry.unwrap().path();
        let number = u64::from_str_radix(&path.file_name().unwrap().to_string_lossy()[16..], 16);
        if number.is_ok_and(|number| number < low) {
            fs::remove_file(path).unwrap();
        }
    }
    let rows = pair.named();
    assert_eq!(rows["complete"], false, "{rows:#}");
    assert!(rows["why"].to_string().contains("may have changed rows before"), "{rows:#}");
}
