//! Servers and files to try things on by hand:
//! `cargo run -p paritas-testbed --example playground -- [logical|standby|files|bench|kafka|kafka3]`
//!
//! Prints where everything is, and takes it away again on Ctrl-C.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use paritas_testbed::kafka::{self, Cluster, MirrorOptions, Topic, Twins};
use paritas_testbed::ledger::{self, CsvOptions, ParquetOptions, Plan, TABLES};
use paritas_testbed::postgres::{self, Install, Options, Server};
use paritas_testbed::{Result, Scratch, bench};

/// Rows of the bench table.
const BENCH_ROWS: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<()> {
    let what = std::env::args().nth(1).unwrap_or_else(|| "logical".into());
    let scratch = Scratch::new()?;
    println!("folder     {}", scratch.path().display());
    if what.starts_with("kafka") {
        return brokers(&scratch, what == "kafka3").await;
    }
    let _servers = match what.as_str() {
        "files" => files(&scratch).map(|()| Vec::new())?,
        "standby" => standby(&scratch).await?,
        "bench" => twins(&scratch).await?,
        _ => logical(&scratch).await?,
    };
    wait().await;
    Ok(())
}

async fn wait() {
    println!("Ctrl-C ends it");
    // Where there are no signals to wait for, it ends at once.
    let _ended = tokio::signal::ctrl_c().await;
}

/// Two clusters with a mirror, or one of three brokers.
async fn brokers(scratch: &Scratch, three: bool) -> Result<()> {
    let (install, clock) = (kafka::Install::find()?, Instant::now());
    println!("version    {}", install.version());
    println!("tools      java -cp '{}/*' CLASS --bootstrap-server ADDRESS ...", install.libraries().display());
    if three {
        let cluster = Cluster::start(&install, scratch, "three", kafka::Options::default().brokers(3)).await?;
        println!("brokers    {}   after {:.1?}", cluster.bootstrap(), clock.elapsed());
        wait().await;
        return Ok(());
    }
    let twins = Twins::start(&install, scratch, MirrorOptions::default()).await?;
    println!("a          {}   {}", twins.source.bootstrap(), twins.source.id());
    println!("b          {}   {}", twins.target.bootstrap(), twins.target.id());
    println!("mirror     A->B   after {:.1?}", clock.elapsed());
    let client = twins.source.client()?;
    client.create(&Topic::new("orders").partitions(3)).await?;
    let clock = Instant::now();
    client.fill("orders", 0, BENCH_ROWS, 200).await?;
    println!("orders     {BENCH_ROWS} records of 200 bytes, written after {:.1?}", clock.elapsed());
    twins.mirror.wait_caught_up("orders").await?;
    println!("A.orders   there after {:.1?}", clock.elapsed());
    wait().await;
    Ok(())
}

async fn primary(scratch: &Scratch) -> Result<Server> {
    let install = Install::find()?;
    println!("version    {}", install.version());
    let clock = Instant::now();
    let primary = Server::start(&install, scratch, "primary", Options::default()).await?;
    println!("primary    {}   after {:.1?}", primary.url("postgres"), clock.elapsed());
    Ok(primary)
}

async fn logical(scratch: &Scratch) -> Result<Vec<Server>> {
    let (primary, plan) = (primary(scratch).await?, Plan::default());
    let clock = Instant::now();
    ledger::load(&primary.client("postgres").await?, &plan).await?;
    println!("rows       {}   after {:.1?}", plan.total(), clock.elapsed());
    let clock = Instant::now();
    let replica = postgres::logical_replica(&primary, "replica", &ledger::schema_sql(), &ledger::table_names()).await?;
    println!("replica    {}   after {:.1?}", replica.url("postgres"), clock.elapsed());
    Ok(vec![primary, replica])
}

async fn standby(scratch: &Scratch) -> Result<Vec<Server>> {
    let primary = primary(scratch).await?;
    ledger::load(&primary.client("postgres").await?, &Plan::default()).await?;
    let clock = Instant::now();
    let standby = postgres::standby(&primary, "standby").await?;
    println!("standby    {}   after {:.1?}", standby.url("postgres"), clock.elapsed());
    Ok(vec![primary, standby])
}

/// Two servers that know nothing of each other, with the same bench table.
async fn twins(scratch: &Scratch) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for name in ["east", "west"] {
        let clock = Instant::now();
        let server = Server::start(&Install::find()?, scratch, name, Options::default()).await?;
        bench::bench_table(&server.client("postgres").await?, "bench", BENCH_ROWS).await?;
        println!("{name}       {}   after {:.1?}", server.url("postgres"), clock.elapsed());
        servers.push(server);
    }
    Ok(servers)
}

fn files(scratch: &Scratch) -> Result<()> {
    let plan = Plan::default();
    let clock = Instant::now();
    for table in TABLES {
        ledger::write_parquet(
            table,
            &plan,
            &scratch.path().join("parquet").join(table.name),
            &ParquetOptions::default(),
        )?;
        ledger::write_csv(table, &plan, &scratch.path().join("csv").join(table.name), &CsvOptions::default())?;
    }
    println!("parquet, csv   {} rows each, after {:.1?}", plan.total(), clock.elapsed());
    Ok(())
}
