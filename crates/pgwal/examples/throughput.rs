//! How fast a log is read: `throughput PG_WAL TIMELINE START`, for example `throughput /old/pg_wal 1 0/2000000`.
#![allow(clippy::print_stdout)]

use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(folder), Some(timeline), Some(start)) = (words.next(), words.next(), words.next()) else {
        return Err("name a folder of segments, a timeline and a position".into());
    };
    let begun = Instant::now();
    let lost = paritas_pgwal::lost_commits(folder.as_ref(), timeline.parse()?, start.parse()?)?;
    let (seconds, megabytes) = (begun.elapsed().as_secs_f64(), lost.bytes() as f64 / 1e6);
    println!(
        "{} records, {} commits, {megabytes:.0} MB in {seconds:.2} s: {:.0} MB/s",
        lost.records,
        lost.commits.len(),
        megabytes / seconds
    );
    println!("{}; proven: {}", lost.end, lost.is_proven());
    Ok(())
}
