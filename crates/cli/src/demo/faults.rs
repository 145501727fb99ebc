//! The faults of the demo: each one that a count or a naive comparison misses is among them.

use super::Result;
use super::regions::{Regions, Servers};
use paritas_testbed::faults::{self, Injected};
use paritas_testbed::ledger;
use std::io;
use std::path::{Path, PathBuf};

/// A fault and the link whose verification has to find it.
pub(super) struct Planted {
    pub(super) link: &'static str,
    pub(super) fault: Injected,
}

/// Plants all faults into the west region.
pub(super) async fn inject(regions: &mut Regions) -> Result<Vec<Planted>> {
    let mut planted = Vec::new();
    if let Some(servers) = &regions.servers {
        inject_postgres(servers, &mut planted).await?;
    }
    if let Some(clusters) = &mut regions.clusters {
        planted.extend(clusters.inject(super::links::MIRROR).await?);
    }
    if let Some(mocks) = &regions.mocks {
        planted.extend(mocks.inject(super::links::MIRROR).await?);
    }
    let (_, west) = regions.lakes();
    inject_lake(&west, &mut planted)?;
    Ok(planted)
}

async fn inject_postgres(servers: &Servers, planted: &mut Vec<Planted>) -> Result<()> {
    let client = servers.logical.client("postgres").await?;
    let mut add = |fault| planted.push(Planted { link: "pg-logical", fault });
    let mut orders = faults::postgres::Target::of(&client, &ledger::ORDERS);
    add(orders.lose(4_711).await?);
    add(orders.change_amount(17, "amount").await?);
    let mut fills = faults::postgres::Target::of(&client, &ledger::FILLS);
    add(fills.add(1_000).await?);
    for swapped in fills.swap(2_000, "price").await? {
        add(swapped);
    }
    add(faults::postgres::Target::of(&client, &ledger::QUOTES).duplicate(55).await?);
    add(faults::postgres::Target::of(&client, &ledger::POSITIONS).retype("cost", "numeric(24,2)").await?);
    Ok(())
}

fn inject_lake(west: &Path, planted: &mut Vec<Planted>) -> Result<()> {
    let part = |dataset: &str, number: u32| west.join(dataset).join(format!("part-{number:05}.parquet"));
    let mut add = |link, fault| planted.push(Planted { link, fault });
    let fills = |number| faults::lake::Target::new(&part("fills", number), "fills", &["fill_id"]);
    add("lake-fills", fills(0).lose(123)?);
    add("lake-fills", fills(1).change(456, "price")?);
    add("lake-fills", fills(2).duplicate(789)?);
    add("lake-fills", fills(0).add(12)?);
    let positions = faults::lake::Target::new(&part("positions", 1), "positions", &["account", "symbol", "as_of"]);
    add("lake-positions", positions.change(77, "closed_at").or_else(|_| positions.set_null(77, "cost"))?);
    let orders = faults::lake::Target::new(&part("orders", 2), "orders", &["order_id"]);
    add("lake-orders", orders.change(33, "placed_at")?);
    let archive = files_in(&west.join("archive"))?;
    let at = |index: usize| archive.get(index).ok_or_else(|| io::Error::other("the archive is smaller than planned"));
    add("lake-archive", faults::files::truncate(at(1)?, 10_000)?);
    add("lake-archive", faults::files::flip_bit(at(3)?, 5_000, 3)?);
    add("lake-archive", faults::files::delete(at(5)?)?);
    Ok(())
}

fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}
