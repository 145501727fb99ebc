//! What a database publishes and what it subscribes to, table by table.
//!
//! Rows are in leaf tables, names that people use are those of partitioned tables, and a publication
//! may name either: leaves are counted, and reported under the table that they are partitions of.

use crate::errors::malformed;
use crate::observe::document;
use crate::session::Session;
use crate::store::Inner;
use paritas_connect::{Context, Coverage, Offer, Offered, Result, Take};
use paritas_model::Dataset;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Leaf tables of a database that are looked at.
const TABLES_MAX: usize = 100_000;
/// The first version with row filters and column lists in publications.
const FILTERS: i32 = 15;

#[derive(Debug, Deserialize)]
struct Document {
    tables: Vec<Table>,
    offers: Vec<Published>,
    takes: Vec<Subscribed>,
}

/// A leaf table and the name of the whole that it belongs to.
#[derive(Debug, Deserialize)]
struct Table {
    oid: u32,
    root: String,
}

#[derive(Debug, Deserialize)]
struct Published {
    name: String,
    without: Vec<String>,
    tables: Vec<PublishedTable>,
}

/// A relation as it is named in a publication, and its leaves.
#[derive(Debug, Deserialize)]
struct PublishedTable {
    name: String,
    leaves: Vec<u32>,
    filter: Option<String>,
    columns: Option<Vec<String>>,
    unidentified: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Subscribed {
    name: String,
    slot: Option<String>,
    publications: Vec<String>,
    tables: Vec<(String, String)>,
}

/// Reads both directions.
pub(crate) async fn coverage(inner: &Inner, cx: &Context) -> Result<Coverage> {
    let session = inner.connect_to_any(cx).await?;
    let major = major(&session);
    let text = document(&session, cx, "read publications and subscriptions", &statement(major)).await;
    let document: Document =
        serde_json::from_str(&text?).map_err(|error| malformed("no list of publications").because(error))?;
    Ok(assemble(&document))
}

fn major(session: &Session) -> i32 {
    let digits: String = session.facts.version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

fn assemble(document: &Document) -> Coverage {
    let mut leaves: BTreeMap<&str, usize> = BTreeMap::new();
    let mut roots: BTreeMap<u32, &str> = BTreeMap::new();
    for table in &document.tables {
        *leaves.entry(&table.root).or_default() += 1;
        roots.insert(table.oid, &table.root);
    }
    let offers = document.offers.iter().map(|published| Offer {
        name: published.name.clone(),
        without: published.without.clone(),
        datasets: offered(published, &leaves, &roots),
    });
    let takes = document.takes.iter().map(|take| Take {
        name: take.name.clone(),
        cursor: take.slot.clone(),
        offers: take.publications.clone(),
        datasets: take.tables.iter().map(|(name, state)| (Dataset(name.clone()), not_following(state))).collect(),
    });
    Coverage {
        datasets: leaves.keys().map(|name| Dataset((*name).to_owned())).collect(),
        truncated: document.tables.len() >= TABLES_MAX,
        offers: offers.collect(),
        takes: takes.collect(),
    }
}

/// The tables of a publication, leaves added up to the tables that they are partitions of.
fn offered(published: &Published, leaves: &BTreeMap<&str, usize>, roots: &BTreeMap<u32, &str>) -> Vec<Offered> {
    let mut found: BTreeMap<&str, (Offered, usize)> = BTreeMap::new();
    for table in &published.tables {
        let root = table.leaves.iter().find_map(|leaf| roots.get(leaf)).copied().unwrap_or(&table.name);
        let (offered, count) = found.entry(root).or_insert_with(|| (empty(root), 0));
        *count += table.leaves.len();
        offered.members.push(Dataset(table.name.clone()));
        offered.filter = offered.filter.take().or_else(|| table.filter.clone());
        offered.columns = offered.columns.take().or_else(|| table.columns.clone());
        offered.unidentified = offered.unidentified.take().or_else(|| table.unidentified.clone());
    }
    let whole = |(root, (mut offered, count)): (&str, (Offered, usize))| {
        let all = leaves.get(root).copied().unwrap_or(0);
        if count < all && offered.filter.is_none() {
            offered.filter = Some(format!("only {count} of its {all} partitions"));
        }
        offered
    };
    found.into_iter().map(whole).collect()
}

fn empty(root: &str) -> Offered {
    Offered { dataset: Dataset(root.to_owned()), members: Vec::new(), filter: None, columns: None, unidentified: None }
}

/// What `srsubstate` means, as far as it is not `r` (PostgreSQL documentation, `pg_subscription_rel`).
fn not_following(state: &str) -> Option<String> {
    Some(match state {
        "r" => return None,
        "i" => "its first copy has not begun".to_owned(),
        "d" => "it is being copied for the first time".to_owned(),
        "f" | "s" => "it catches up after its first copy".to_owned(),
        other => format!("it is in state {other}"),
    })
}

fn statement(major: i32) -> String {
    let (filter, columns) = if major >= FILTERS {
        (
            "t.rowfilter",
            "CASE WHEN cardinality(t.attnames) < (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid \
               AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') THEN t.attnames END",
        )
    } else {
        ("NULL", "NULL")
    };
    // A whole is a table that is no partition; its rows are in its leaves.
    let name = "n.nspname || '.' || c.relname";
    format!(
        "WITH leaf AS (SELECT c.oid, coalesce(pg_partition_root(c.oid)::oid, c.oid) AS root, c.relreplident FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname <> 'information_schema' \
               AND n.nspname !~ '^pg_' LIMIT {TABLES_MAX}), \
           loose AS (SELECT l.oid FROM leaf l WHERE CASE l.relreplident WHEN 'f' THEN false WHEN 'n' THEN true \
             WHEN 'i' THEN NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = l.oid AND i.indisreplident) \
             ELSE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = l.oid AND i.indisprimary) END) \
         SELECT jsonb_build_object(\
           'tables', coalesce((SELECT jsonb_agg(jsonb_build_object('oid', l.oid::int8, 'root', {name})) FROM leaf l \
              JOIN pg_class c ON c.oid = l.root JOIN pg_namespace n ON n.oid = c.relnamespace), '[]'), \
           'offers', coalesce((SELECT jsonb_agg(jsonb_build_object('name', p.pubname, \
               'without', array_remove(ARRAY[CASE WHEN NOT p.pubinsert THEN 'insert' END, \
                 CASE WHEN NOT p.pubupdate THEN 'update' END, CASE WHEN NOT p.pubdelete THEN 'delete' END, \
                 CASE WHEN NOT p.pubtruncate THEN 'truncate' END], NULL), \
               'tables', coalesce((SELECT jsonb_agg(jsonb_build_object('name', {name}, \
                   'leaves', inside.leaves, 'filter', {filter}, 'columns', {columns}, \
                   'unidentified', CASE WHEN (p.pubupdate OR p.pubdelete) AND EXISTS (SELECT FROM loose \
                     WHERE to_jsonb(loose.oid::int8) <@ inside.leaves) THEN \
                     'it has no replica identity (no primary key, or REPLICA IDENTITY NOTHING)' END)) \
                 FROM pg_publication_tables t \
                   JOIN pg_namespace n ON n.nspname = t.schemaname \
                   JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename \
                   CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind = 'p' \
                     THEN coalesce((SELECT jsonb_agg(x.relid::oid::int8) FROM pg_partition_tree(c.oid) x \
                       WHERE x.isleaf), '[]') \
                     ELSE jsonb_build_array(c.oid::int8) END AS leaves) inside \
                 WHERE t.pubname = p.pubname), '[]'))) FROM pg_publication p), '[]'), \
           'takes', coalesce((SELECT jsonb_agg(jsonb_build_object('name', s.subname, 'slot', s.subslotname, \
               'publications', s.subpublications, \
               'tables', coalesce((SELECT jsonb_agg(jsonb_build_array({name}, r.srsubstate)) FROM pg_subscription_rel r \
                   JOIN pg_class c ON c.oid = r.srrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE r.srsubid = s.oid), '[]'))) FROM pg_subscription s \
             WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())), '[]'))::text"
    )
}
