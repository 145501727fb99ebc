//! Ledgers of configured links: by `ledger` and by `verify`, in every format, with privacy.

use crate::stage::{Two, broken};
use paritas_tests::{Run, command, run};
use serde_json::Value;
use std::fs;

/// A link with two ledgers, and one without any.
async fn configured(privacy: &str, changes: &str) -> Two {
    let tables = "CREATE TABLE entries (id int PRIMARY KEY, transfer int, account text, amount numeric(20,2)); \
        INSERT INTO entries SELECT n, n / 2, 'account ' || n % 3, CASE WHEN n % 2 = 0 THEN 12.34 ELSE -12.34 END \
        FROM generate_series(2, 201) n; CREATE TABLE other (id int PRIMARY KEY)";
    let changes = format!("ALTER TABLE entries RENAME COLUMN account TO konto; {changes}");
    let two = Two::start(tables, &changes).await;
    let (east, west) = (two.server.url("east"), two.server.url("west"));
    let text = format!(
        "[store.east]\nkind = \"postgres\"\nurl = \"{east}\"\n[store.west]\nkind = \"postgres\"\nurl = \"{west}\"\n{privacy}\n\
         [[link]]\nname = \"books\"\nsource = \"east\"\nreplica = \"west\"\ninclude = [\"public.entries\"]\n\
         [[link.dataset]]\nname = \"public.entries\"\nrename = {{ account = \"konto\" }}\n\
         [[link.ledger]]\nname = \"balance by account\"\ndataset = \"public.entries\"\ngroup_by = [\"account\"]\ncount = true\nsum = [\"amount\"]\n\
         [[link.ledger]]\nname = \"double entry\"\ndataset = \"public.entries\"\ngroup_by = [\"transfer\"]\nzero_sum = [\"amount\"]\n\
         [[link]]\nname = \"plain\"\nsource = \"east\"\nreplica = \"west\"\ninclude = [\"public.other\"]\n"
    );
    fs::write(two.scratch.path().join("paritas.toml"), text).unwrap();
    two
}

fn called(two: &Two, args: &[&str]) -> Run {
    let mut call = command(args);
    call.current_dir(two.scratch.path());
    run(call)
}

fn ledgers(run: &Run) -> Vec<Value> {
    run.checks("ledger")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ledger_of_a_link_is_carried_out_and_its_rename_is_kept() {
    let two = configured("", "UPDATE entries SET amount = amount + 0.01 WHERE id = 9").await;
    let found = called(&two, &["ledger", "--json"]).expect_code(1);
    let checks = ledgers(&found);
    assert_eq!(found.json()["links"].as_array().unwrap().len(), 1, "{found:#?}");
    let names: Vec<&str> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, ["balance by account", "double entry"]);
    assert_eq!(broken(&checks[0]), ["account=account 0: sum of amount"]);
    assert_eq!(broken(&checks[1]), ["transfer=4: replica: sum of amount is not zero"]);
    // A verification of the link has them as well.
    let verified = called(&two, &["verify", "--json", "books"]).expect_code(1);
    assert_eq!(ledgers(&verified).len(), 2, "{verified:#?}");
    assert_eq!(verified.checks("parity").len(), 1);
    let plain = called(&two, &["ledger", "plain"]).expect_code(2);
    assert!(plain.stderr.contains("link \"plain\" has no ledger"), "{plain:#?}");
    let options = called(&two, &["ledger", "books", "--sum", "amount"]).expect_code(2);
    assert!(options.stderr.contains("links say it themselves"), "{options:#?}");
    let nagios = called(&two, &["ledger", "--exit-style", "nagios"]).expect_code(2);
    assert!(nagios.stdout.contains("groups=103 groups_mismatched=2;;0 groups_unproven=0;0"), "{nagios:#?}");
    let text = called(&two, &["ledger"]).expect_code(1);
    assert!(text.stdout.contains("1 group of 3 breaks the rule"), "{}", text.stdout);
    assert!(text.stdout.contains("next: paritas ledger books"), "{}", text.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_of_a_group_and_no_amount_is_shown_where_values_are_hidden() {
    let two = configured("[privacy]\nvalues = \"mask\"", "UPDATE entries SET amount = 98765432.10 WHERE id = 9").await;
    for args in [&["ledger", "--json"][..], &["ledger"], &["ledger", "-vvv"], &["verify", "--json", "books"]] {
        let found = called(&two, args).expect_code(1);
        for secret in ["98765432", "account 0", "12.34"] {
            assert!(!found.stdout.contains(secret) && !found.stderr.contains(secret), "{args:?} {secret}: {found:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_books_pass_and_a_lost_table_is_no_pass() {
    let two = configured("", "SELECT").await;
    called(&two, &["ledger"]).expect_code(0);
    called(&two, &["verify", "books"]).expect_code(0);
    two.server.batch("west", "DROP TABLE entries").await.unwrap();
    let lost = called(&two, &["ledger", "--json"]).expect_code(3);
    assert_eq!(ledgers(&lost)[0]["problem"]["code"], "dataset.missing");
}
