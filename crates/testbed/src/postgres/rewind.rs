//! An old primary becomes a standby of the new one.

use std::fs;

use super::options::lines;
use super::replica::{upstream, wait_streaming};
use super::server::Server;
use crate::{Error, Result};

/// Runs `pg_rewind` on a stopped server against the running new primary, and returns what it said.
///
/// Nothing is started; [`follow`] does that. Up to version 15 the new primary's control file names the old timeline
/// until its next checkpoint, so that right after a promotion the answer is "no rewind required", and rows that only
/// the old primary has stay where they are. Whoever wants a proper rewind runs `CHECKPOINT` there first.
///
/// # Errors
/// [`Error::Program`] with what it said when it fails, for example on a server that runs.
pub async fn rewind(old: &Server, new: &Server) -> Result<String> {
    let source = format!("host={} port={} user=postgres dbname=postgres", new.socket_dir().display(), new.port());
    let log = old.program_log("pg_rewind");
    let _no_earlier_one = fs::remove_file(&log);
    let args = ["--target-pgdata".into(), old.data_dir().into_os_string(), "--source-server".into(), source.into()];
    old.run("pg_rewind", args.into_iter().chain(["--no-sync".into()])).await?;
    fs::read_to_string(&log).map_err(Error::io("read the log", &log))
}

/// Makes a stopped server a standby of a running one, with a slot of its name, and waits until it streams.
///
/// # Errors
/// As [`super::standby`]; [`Error::TimedOut`] with the server's log when it has rows that the other never had.
pub async fn follow(standby: &mut Server, primary: &Server) -> Result<()> {
    let name = standby.name().to_owned();
    let client = primary.client("postgres").await?;
    let sql = "SELECT pg_create_physical_replication_slot($1) WHERE NOT EXISTS \
               (SELECT FROM pg_replication_slots WHERE slot_name = $1)";
    client.execute(sql, &[&name]).await.map_err(Error::postgres("create the slot"))?;
    let from = upstream(&name, primary.port());
    standby
        .write("postgresql.auto.conf", &lines([("primary_conninfo", from.as_str()), ("primary_slot_name", &name)]))?;
    standby.write("standby.signal", "")?;
    standby.start_on_free_port().await?;
    wait_streaming(primary, &name).await.map_err(|error| match error {
        Error::TimedOut { waiting_for, limit, last } => {
            Error::TimedOut { waiting_for, limit, last: format!("{last}; log: {}", standby.log_tail()) }
        }
        other => other,
    })
}
