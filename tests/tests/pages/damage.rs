//! Damage to a standby's files: each is found as proven, translated into rows, and nothing else is.

use crate::stage::{PAGE, Stage, TABLE, by_pages, keys, notes, quiet, tuple, unchecked};
use paritas_tests::Run;

/// Bytes of a heap tuple's header without a null bitmap.
const DATA: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn equal_tables_pass_with_every_page_and_transaction_compared() {
    let stage = Stage::new(quiet(), TABLE).await;
    let check = by_pages(stage.verify("t", &[]), 0);
    assert_eq!(check["complete"], true, "{check:#}");
    assert_eq!((&check["pages"]["differing"], &check["pages"]["unproven"]), (&0.into(), &0.into()), "{check:#}");
    assert!(check["pages"]["compared"].as_u64().unwrap() > 100, "{check:#}");
    assert!(check["pages"]["transactions"].as_u64().unwrap() >= 1, "{check:#}");
    assert!(check["pages"]["relations"].as_array().unwrap().len() >= 4, "{check:#}");
    assert!(notes(&check).contains("cross-check"), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_shown_as_the_changed_row() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    let place = stage.place(2500).await;
    // The second column: its lowest byte.
    stage
        .damage("t", |bytes| {
            let at = tuple(bytes, place) + DATA + 4;
            bytes[at] ^= 1;
        })
        .await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(keys(&check, "changed"), [2500], "{check:#}");
    assert_eq!(Run::counts(&check), (0, 0, 1), "{check:#}");
    assert_eq!(check["pages"]["differing"], 1, "{check:#}");
    let item = &check["items"][0];
    assert_eq!((item["source"]["amount"].as_i64(), item["replica"]["amount"].as_i64()), (Some(25_000), Some(25_001)));
    assert_eq!(item["place"], format!("t ({},{})", place.0, place.1).replace("t (", "public.t ("), "{item:#}");
    assert!(notes(&check).contains("damaged"), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_page_is_a_lost_write() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    let (block, _) = stage.place(2510).await;
    let file = stage.file("t").await;
    stage.stopped().await;
    let old = std::fs::read(&file).unwrap()[block * PAGE..(block + 1) * PAGE].to_vec();
    stage.started().await;
    for sql in ["DELETE FROM t WHERE id = 2510", "VACUUM t", "UPDATE t SET amount = -1 WHERE id = 2511"] {
        stage.run(sql).await;
    }
    stage.damage("t", |bytes| bytes[block * PAGE..(block + 1) * PAGE].copy_from_slice(&old)).await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(check["pages"]["differing"], 1, "{check:#}");
    assert!(notes(&check).contains("older version"), "{check:#}");
    // The old page shows the deleted row again, and the updated one with its old value.
    assert_eq!((keys(&check, "extra"), keys(&check, "changed")), (vec![2510], vec![2511]), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_zeros_is_as_many_lost_rows() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    let (block, _) = stage.place(2500).await;
    let client = stage.primary.client("postgres").await.unwrap();
    let sql = format!(
        "SELECT array_agg(id::int8 ORDER BY id) FROM t WHERE ctid >= '({block},0)' AND ctid < '({},0)'",
        block + 1
    );
    let there: Vec<i64> = client.query_one(&sql, &[]).await.unwrap().get(0);
    stage.damage("t", |bytes| bytes[block * PAGE..(block + 1) * PAGE].fill(0)).await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(keys(&check, "lost"), there, "{check:#}");
    assert_eq!(Run::counts(&check), (there.len() as u64, 0, 0), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_short_has_lost_the_rows_behind_the_cut() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    // Counted before: reading rows on the primary may log whole pages, which heals the standby's.
    let client = stage.primary.client("postgres").await.unwrap();
    let sql = "SELECT count(*) FROM t WHERE ctid >= format('(%s,0)', pg_relation_size('t') / 8192 - 2)::tid";
    let behind: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
    stage.damage("t", |bytes| bytes.truncate(bytes.len() - 2 * PAGE)).await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(Run::counts(&check), (behind as u64, 0, 0), "{check:#}");
    assert_eq!(check["pages"]["differing"], 2, "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_the_primary_does_not_have_is_extra() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    stage
        .damage("t", |bytes| {
            let copy = bytes[..PAGE].to_vec();
            bytes.extend_from_slice(&copy);
        })
        .await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(check["pages"]["differing"], 1, "{check:#}");
    let (lost, extra, changed) = Run::counts(&check);
    assert!(lost == 0 && extra > 50 && changed == 0, "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_an_index_is_named_by_its_block() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    // The key of an entry in a leaf, which ends where the special space begins.
    stage.damage("t_pkey", |bytes| bytes[2 * PAGE - 16 - 8] ^= 1).await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(Run::counts(&check), (0, 0, 0), "{check:#}");
    assert_eq!(check["items"][0]["place"], "public.t_pkey, block 1", "{check:#}");
    let text = paritas_tests::paritas(&[
        "verify",
        &format!("{}?table=t", stage.primary.url("postgres")),
        &stage.standby.url("postgres"),
    ]);
    assert!(text.stdout.contains("public.t_pkey, block 1"), "{}", text.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_a_value_stored_out_of_line_is_shown_as_its_row() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    let client = stage.primary.client("postgres").await.unwrap();
    let sql = "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 't'::regclass";
    let toast: String = client.query_one(sql, &[]).await.unwrap().get(0);
    stage.damage(&toast, |bytes| bytes[PAGE - 200] ^= 2).await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(Run::counts(&check), (0, 0, 1), "{check:#}");
    assert_eq!(keys(&check, "changed").len(), 1, "{check:#}");
    assert!(check["items"].to_string().contains("out-of-line values"), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_its_checksum_is_a_violation_with_its_block() {
    let mut stage = Stage::new(quiet(), TABLE).await;
    let (block, _) = stage.place(2500).await;
    stage.damage("t", |bytes| bytes[block * PAGE + 5000] ^= 4).await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(check["pages"]["differing"], 1, "{check:#}");
    assert!(notes(&check).contains(&format!("public.t, block {block}: the replica cannot read it")), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_that_only_one_side_has_are_no_difference() {
    let stage = Stage::new(quiet(), TABLE).await;
    stage
        .run("BEGIN; UPDATE t SET amount = 0 WHERE id < 100; ROLLBACK; DELETE FROM t WHERE id BETWEEN 200 AND 300")
        .await;
    stage.replayed().await;
    // Readers of the standby leave hints there, those of the primary on the primary.
    for (server, range) in [(&stage.standby, "id < 2500"), (&stage.primary, "id > 1500")] {
        server.batch("postgres", &format!("SELECT count(*) FROM t WHERE {range}")).await.unwrap();
    }
    let check = by_pages(stage.verify("t", &[]), 0);
    assert_eq!(check["complete"], true, "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_lies_is_shown_as_the_row_that_it_hides() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    stage.run("INSERT INTO t VALUES (6000, 1, 'new')").await;
    let place = stage.place(6000).await;
    // XMIN_INVALID: its writer is said to have aborted.
    stage
        .damage("t", |bytes| {
            let at = tuple(bytes, place) + 21;
            bytes[at] = bytes[at] & !0x03 | 0x02;
        })
        .await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert_eq!(keys(&check, "lost"), [6000], "{check:#}");
    assert_eq!(Run::counts(&check), (1, 0, 0), "{check:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_standby_takes_for_aborted_is_found_and_its_rows_named() {
    let mut stage = Stage::new(unchecked(), TABLE).await;
    let client = stage.primary.client("postgres").await.unwrap();
    let sql = "INSERT INTO t VALUES (6000, 1, 'new') RETURNING xmin::text::int8";
    let xid = client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) as usize;
    let file = stage.standby.data_dir().join("pg_xact/0000");
    stage.stopped().await;
    let mut status = std::fs::read(&file).unwrap();
    let shift = xid % 4 * 2;
    assert_eq!(status[xid / 4] >> shift & 3, 1, "committed");
    status[xid / 4] ^= 3 << shift;
    crate::stage::write(&file, &status);
    stage.started().await;
    let check = by_pages(stage.verify("t", &[]), 1);
    assert!(notes(&check).contains(&format!("transaction {xid} committed on the source and aborted")), "{check:#}");
    assert_eq!(keys(&check, "lost"), [6000], "{check:#}");
    assert_eq!(check["pages"]["differing"], 0, "{check:#}");
}
