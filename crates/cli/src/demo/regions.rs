//! The two regions: PostgreSQL servers, where they can be had, and two lakes of files.

use super::mirrored::Clusters;
use super::mocked::Mocks;
use super::{Error, Result};
use paritas_report::Report;
use paritas_testbed::Scratch;
use paritas_testbed::ledger::{self, Codec, CsvOptions, Order, ParquetOptions, Plan};
use paritas_testbed::postgres::{Install, Options, Server, logical_replica, standby, wait_replayed, wait_subscribed};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Seed of the west lake's row order: another one than the order of generation.
const WEST_ORDER: u64 = 7;

/// Both regions, running.
pub(super) struct Regions {
    folder: PathBuf,
    /// PostgreSQL, if it can be had.
    pub(super) servers: Option<Servers>,
    /// Kafka, if it can be had.
    pub(super) clusters: Option<Clusters>,
    /// What stands in for it where it cannot.
    pub(super) mocks: Option<Mocks>,
    /// What is left out, and why.
    pub(super) left_out: Vec<String>,
    summary: String,
}

/// The three servers. Their order here is the order in which they stop: replicas first.
pub(super) struct Servers {
    pub(super) logical: Server,
    pub(super) standby: Server,
    pub(super) primary: Server,
    _scratch: Scratch,
}

impl Regions {
    /// Starts servers and writes files.
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let plan = Plan::default();
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let lakes = {
            let (folder, plan) = (folder.to_owned(), plan.clone());
            tokio::task::spawn_blocking(move || write_lakes(&folder, &plan))
        };
        let mut left_out = Vec::new();
        let mut missing = |what: &str, error: &paritas_testbed::Error| {
            left_out.push(format!("{what} ({}; {})", error.primary(), error.hint().unwrap_or("see make setup")));
        };
        let servers = match Install::find() {
            Ok(install) => Some(Servers::start(&install, &plan).await?),
            Err(error) => {
                missing("PostgreSQL", &error);
                None
            }
        };
        let (clusters, mocks) = match paritas_testbed::kafka::Install::find() {
            Ok(install) => (Some(Clusters::start(&install).await?), None),
            Err(error) => {
                missing("Apache Kafka and MirrorMaker 2, two mocked clusters stand in for them", &error);
                (None, Some(Mocks::start().await?))
            }
        };
        lakes.await.map_err(io::Error::other)??;
        let servers_text = match &servers {
            Some(servers) => {
                format!("PostgreSQL {}, a standby, a logical replica, ", servers.primary.install().version())
            }
            None => String::new(),
        };
        let clusters_text = match &clusters {
            Some(clusters) => format!("two Kafka {} clusters with MirrorMaker 2, ", clusters.version()),
            None => "two mocked Kafka clusters, ".to_owned(),
        };
        let summary = format!("{servers_text}{clusters_text}two lakes, {} rows", plan.total());
        Ok(Self { folder: folder.to_owned(), servers, clusters, mocks, left_out, summary })
    }

    /// One line about what was started.
    pub(super) fn summary(&self) -> &str {
        &self.summary
    }

    /// The folders of the east and west lakes.
    pub(super) fn lakes(&self) -> (PathBuf, PathBuf) {
        (self.folder.join("east"), self.folder.join("west"))
    }

    /// Writes the reports of a verification as one JSON array.
    pub(super) fn save(&self, reports: &[Report]) -> Result<PathBuf> {
        let path = self.folder.join("report.json");
        fs::write(&path, serde_json::to_vec_pretty(reports).map_err(io::Error::other)?)?;
        Ok(path)
    }
}

impl Servers {
    async fn start(install: &Install, plan: &Plan) -> Result<Self, Error> {
        let scratch = Scratch::new()?;
        let primary = Server::start(install, &scratch, "east", Options::default()).await?;
        let standby = standby(&primary, "west_standby").await?;
        let client = primary.client("postgres").await?;
        ledger::load(&client, plan).await?;
        // The first reader of fresh rows marks them as committed, which is logged but not flushed at
        // once; a standby of an idle primary would receive it seconds later only.
        primary.batch("postgres", "VACUUM (FREEZE, ANALYZE)").await?;
        let tables = ledger::table_names();
        let logical = logical_replica(&primary, "west_logical", &ledger::schema_sql(), &tables).await?;
        wait_replayed(&primary, &standby).await?;
        wait_subscribed(&primary, &logical).await?;
        Ok(Self { logical, standby, primary, _scratch: scratch })
    }
}

/// East and west hold the same rows in different layouts, and an archive that is copied byte by byte.
fn write_lakes(folder: &Path, plan: &Plan) -> Result<()> {
    let (east, west) = (folder.join("east"), folder.join("west"));
    let plain = ParquetOptions::default();
    let other = ParquetOptions {
        files: 3,
        row_group_rows: 7_000,
        codec: Codec::Zstd,
        order: Order::Shuffled(WEST_ORDER),
        ..ParquetOptions::default()
    };
    for table in [&ledger::FILLS, &ledger::POSITIONS, &ledger::LEDGER] {
        ledger::write_parquet(table, plan, &east.join(table.name), &plain)?;
        ledger::write_parquet(table, plan, &west.join(table.name), &other)?;
    }
    let files = CsvOptions { files: 3, ..CsvOptions::default() };
    ledger::write_csv(&ledger::ORDERS, plan, &east.join("orders"), &files)?;
    ledger::write_parquet(&ledger::ORDERS, plan, &west.join("orders"), &other)?;
    let archive = ParquetOptions { files: 8, ..ParquetOptions::default() };
    let files = ledger::write_parquet(&ledger::FILLS, plan, &east.join("archive"), &archive)?;
    fs::create_dir_all(west.join("archive"))?;
    for file in files {
        if let Some(name) = file.file_name() {
            fs::copy(&file, west.join("archive").join(name))?;
        }
    }
    Ok(())
}
