//! How fast a table is read and digested, against `psql` copying the same table to nowhere.
//!
//! `cargo run --release -p paritas-connect-postgres --example scan_speed [rows] [rounds]`
//! Two servers, one table each. Prints medians of wall time and of the processor time of the client
//! and of both servers, for: both plain copies side by side; both tables read; both read and digested.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use futures_util::{StreamExt, TryStreamExt, stream};
use paritas_connect::{BlockSink, ColumnPair, Context, Datasets, Result, Scan, ScanRequest};
use paritas_connect_postgres::{Options, PostgresStore};
use paritas_digest::{Block, Capacity, DigestKey, Digester, Policies, Spec, Sums};
use paritas_model::Dataset;
use paritas_testbed::postgres::{self, Install, Server};
use paritas_testbed::{Scratch, bench};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

/// Takes blocks and digests them, or only counts.
struct Sink(Option<Digester>, u64);

impl BlockSink for Sink {
    fn accept(&mut self, block: Block) -> Result<()> {
        self.1 += block.rows() as u64;
        match &mut self.0 {
            Some(digester) => digester.add(&block).map_err(Into::into),
            None => Ok(()),
        }
    }
}

async fn scan(store: &PostgresStore, request: &ScanRequest, digest: bool, parallel: usize) -> u64 {
    let cx = Context::default().with_parallel(parallel);
    let spec = Spec::new(&DigestKey::unkeyed(), "bench", (*request.canon).clone()).unwrap();
    let capacity = Capacity::for_differences(9_000);
    let scan: Arc<dyn Scan> = Arc::from(store.open(&cx, request).await.unwrap());
    let total = Sums::new(spec.key_form(), capacity);
    let (rows, _) = stream::iter(scan.splits().to_vec())
        .map(|split| {
            let (cx, spec, scan) = (cx.clone(), Arc::clone(&spec), Arc::clone(&scan));
            tokio::spawn(async move {
                let mut sink = Sink(digest.then(|| Digester::new(spec, capacity)), 0);
                scan.read(&cx, &split, &mut sink).await.unwrap();
                (sink.1, sink.0.map(Digester::finish))
            })
        })
        .buffer_unordered(parallel)
        .try_fold((0, total), |(rows, mut total), (more, sums)| async move {
            if let Some(sums) = sums {
                total.merge(&sums).unwrap();
            }
            Ok((rows + more, total))
        })
        .await
        .unwrap();
    rows
}

/// The client library alone: the same stream, thrown away chunk by chunk.
async fn copy_out(server: &Server) {
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let stream = client.copy_out("COPY t TO STDOUT (FORMAT BINARY)").await.unwrap();
    let bytes = stream.try_fold(0, |sum, chunk| async move { Ok(sum + chunk.len()) }).await.unwrap();
    assert!(bytes > 0);
    drop(client);
    connection.await.unwrap().unwrap();
}

fn psql(server: &Server) -> std::process::Child {
    Command::new("psql")
        .args(["-XAtq", &server.url("postgres"), "-c", "COPY t TO STDOUT (FORMAT BINARY)"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Processor seconds of a process, or of its children that have ended.
fn cpu(stat: &str, ended_children: bool) -> f64 {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let fields: Vec<f64> =
        text.rsplit(')').next().unwrap_or("").split_whitespace().map(|w| w.parse().unwrap_or(0.0)).collect();
    let (user, system) = if ended_children { (13, 14) } else { (11, 12) };
    (fields.get(user).unwrap_or(&0.0) + fields.get(system).unwrap_or(&0.0)) / 100.0
}

#[derive(Default)]
struct Figures {
    wall: Vec<f64>,
    client: Vec<f64>,
    servers: Vec<f64>,
}

impl Figures {
    fn median(values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn print(&self, name: &str, floor: f64) {
        let wall = Self::median(&self.wall);
        let (client, servers) = (Self::median(&self.client), Self::median(&self.servers));
        println!("{name:<34} wall {wall:.2} s ({:.2}x)   client {client:.2} s   servers {servers:.2} s", wall / floor);
    }
}

fn client_cpu() -> f64 {
    cpu("/proc/self/stat", false) + cpu("/proc/self/stat", true)
}

/// Looks at a server that its sessions are gone, at most.
const LOOKS_MAX: u32 = 1_000;

/// A server's sessions are children of its main process, counted there once they have ended.
fn servers_cpu(servers: &[&Server; 2]) -> f64 {
    servers.iter().map(|server| cpu(&format!("/proc/{}/stat", server.pid().unwrap()), true)).sum()
}

/// Waits until the server's main process has taken note of the end of every session: their time
/// counts from then on, which is later than they vanish from the server's own views.
async fn settled(servers: &[&Server; 2], quiet: &[usize; 2]) {
    for (server, quiet) in servers.iter().zip(quiet) {
        for look in 0.. {
            if children(server) <= *quiet {
                break;
            }
            assert!(look < LOOKS_MAX, "sessions stay on the server");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// Processes of a server besides its main one.
fn children(server: &Server) -> usize {
    let pid = server.pid().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().count()
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().unwrap());
    let (rows, rounds) = (args.next().unwrap_or(1_000_000), args.next().unwrap_or(7));
    let scratch = Scratch::new().unwrap();
    let install = Install::find().unwrap();
    let options = || postgres::Options::default().set("shared_buffers", "512MB").set("autovacuum", "off");
    let one = Server::start(&install, &scratch, "one", options()).await.unwrap();
    let two = Server::start(&install, &scratch, "two", options()).await.unwrap();
    let quiet = [children(&one), children(&two)];
    for server in [&one, &two] {
        bench::bench_table(&server.client("postgres").await.unwrap(), "t", rows).await.unwrap();
    }
    // A store keeps an idle session; each round has stores of its own, so that sessions end and count.
    let open =
        || [&one, &two].map(|server| PostgresStore::from_url(&server.url("postgres"), Options::default()).unwrap());
    let stores = open();
    let dataset = Dataset("public.t".to_owned());
    let description = stores[0].describe(&Context::default(), &dataset).await.unwrap();
    let pairs: Vec<(String, String)> =
        description.schema.columns.iter().map(|c| (c.name.clone(), c.name.clone())).collect();
    let canon =
        stores[0].wire_canon(&description, &description, &pairs, &["id".to_owned()], Policies::default()).unwrap();
    let columns = pairs_of(&canon);
    drop(stores);
    let request = ScanRequest { dataset, columns, canon: Arc::new(canon), filter: None, ranges: Vec::new() };

    let names = [
        "psql COPY, both side by side",
        "copy_out to nowhere, both",
        "read, both side by side",
        "read and digest, both",
        "read and digest, 2 splits each",
        "read and digest, 3 splits each",
        "read and digest, 4 splits each",
    ];
    let mut figures: Vec<Figures> = names.iter().map(|_| Figures::default()).collect();
    for _ in 0..rounds {
        for (way, figures) in figures.iter_mut().enumerate() {
            settled(&[&one, &two], &quiet).await;
            let before = (Instant::now(), client_cpu(), servers_cpu(&[&one, &two]));
            match way {
                0 => {
                    for mut child in [psql(&one), psql(&two)] {
                        assert!(child.wait().unwrap().success());
                    }
                }
                1 => {
                    tokio::join!(copy_out(&one), copy_out(&two));
                }
                _ => {
                    let parallel = way.saturating_sub(2).max(1);
                    let [a, b] = open();
                    let (x, y) = (request.clone(), request.clone());
                    let a = tokio::spawn(async move { scan(&a, &x, way > 2, parallel).await });
                    let b = tokio::spawn(async move { scan(&b, &y, way > 2, parallel).await });
                    assert_eq!((a.await.unwrap(), b.await.unwrap()), (rows, rows));
                }
            }
            figures.wall.push(before.0.elapsed().as_secs_f64());
            settled(&[&one, &two], &quiet).await;
            figures.client.push(client_cpu() - before.1);
            figures.servers.push(servers_cpu(&[&one, &two]) - before.2);
        }
    }
    let floor = Figures::median(&figures[0].wall);
    for (name, figures) in names.iter().zip(&figures) {
        figures.print(name, floor);
    }
}

fn pairs_of(canon: &paritas_digest::Canon) -> Vec<ColumnPair> {
    let pair =
        |column: &paritas_digest::CanonColumn| ColumnPair { canonical: column.name.clone(), own: column.name.clone() };
    canon.columns.iter().map(pair).collect()
}
