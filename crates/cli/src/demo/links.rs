//! What the demo verifies: eight links, each as one would type it.

use super::regions::Regions;
use paritas_model::Verdict;
use paritas_report::{Check, Report};

/// One `paritas verify SOURCE REPLICA`.
pub(super) struct DemoLink {
    /// Short name, used to say where a fault was planted.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) title: &'static str,
    pub(super) source: String,
    pub(super) replica: String,
}

/// The link between two Kafka clusters.
pub(super) const MIRROR: &str = "kafka-mirror";

/// All links, those with PostgreSQL only where there is one.
pub(super) fn all(regions: &Regions) -> Vec<DemoLink> {
    let (east, west) = regions.lakes();
    let path = |lake: &std::path::Path, name: &str| lake.join(name).display().to_string();
    let mut links = Vec::new();
    if let Some(servers) = &regions.servers {
        let [primary, standby, logical] =
            [&servers.primary, &servers.standby, &servers.logical].map(|server| server.url("postgres"));
        let (title, source) = ("PostgreSQL -> streaming standby", primary.clone());
        links.push(DemoLink { name: "pg-standby", title, source, replica: standby });
        let (title, source) = ("PostgreSQL -> logical replica", primary.clone());
        links.push(DemoLink { name: "pg-logical", title, source, replica: logical });
        let with = if primary.contains('?') { '&' } else { '?' };
        links.push(DemoLink {
            name: "pg-lake",
            title: "PostgreSQL ledger -> Parquet",
            source: format!("{primary}{with}table=public.ledger"),
            replica: format!("parquet:{}", path(&west, "ledger")),
        });
    }
    if let Some(clusters) = &regions.clusters {
        let (source, replica) = clusters.urls();
        links.push(DemoLink { name: MIRROR, title: "Kafka topics -> MirrorMaker 2", source, replica });
    }
    if let Some(mocks) = &regions.mocks {
        let (source, replica) = mocks.urls();
        links.push(DemoLink { name: MIRROR, title: "Kafka topic -> copy (mocked)", source, replica });
    }
    let parquet = |lake, name| format!("parquet:{}", path(lake, name));
    links.push(DemoLink {
        name: "lake-fills",
        title: "Parquet fills -> other layout",
        source: format!("{}?key=fill_id", parquet(&east, "fills")),
        replica: parquet(&west, "fills"),
    });
    links.push(DemoLink {
        name: "lake-positions",
        title: "Parquet positions -> other layout",
        source: format!("{}?key=account,symbol,as_of", parquet(&east, "positions")),
        replica: parquet(&west, "positions"),
    });
    links.push(DemoLink {
        name: "lake-orders",
        title: "CSV orders -> Parquet",
        source: format!("csv:{}?key=order_id", path(&east, "orders")),
        replica: parquet(&west, "orders"),
    });
    links.push(DemoLink {
        name: "lake-archive",
        title: "files of the archive",
        source: path(&east, "archive"),
        replica: path(&west, "archive"),
    });
    links
}

/// Datasets, rows or files compared, and differences found in a report.
pub(super) struct Totals {
    pub(super) datasets: usize,
    pub(super) rows: u64,
    pub(super) files: u64,
    pub(super) differences: u64,
    pub(super) seconds: f64,
}

/// Adds a report up for one line.
pub(super) fn totals(report: &Report) -> Totals {
    let mut totals = Totals { datasets: 0, rows: 0, files: 0, differences: 0, seconds: 0.0 };
    for check in report.links.iter().flat_map(|link| &link.checks) {
        match check {
            Check::Parity(parity) => {
                totals.datasets += 1;
                totals.rows += parity.rows.source.unwrap_or(0);
                totals.differences += parity.differences.proven();
                totals.seconds += parity.seconds;
            }
            Check::Files(files) => {
                totals.files += files.files.source;
                totals.differences += files.differences.proven();
                totals.seconds += files.seconds;
            }
            Check::Schema(schema) if schema.verdict == Verdict::Fail => {
                totals.differences += schema.differences.len() as u64;
            }
            _ => {}
        }
    }
    totals
}
