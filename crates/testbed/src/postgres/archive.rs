//! An archive of a server's log: finished segments, copied by the server itself.

use std::path::Path;

use super::server::Server;
use crate::Result;
use crate::wait::{Seen, until};
use crate::{Error, postgres::replica::REPLICA_LIMIT};

/// Ends the current segment of the log and waits until it lies in the archive, with all before it.
///
/// Returns the segment's name.
///
/// # Errors
/// [`Error::Unfit`] when the server's options name no archive; [`Error::TimedOut`] with what the archiver says.
pub async fn archived(server: &Server) -> Result<String> {
    let Some(folder) = server.options.archive_folder() else {
        let what = format!("server {} has no archive", server.name());
        return Err(Error::Unfit { what, hint: "start it with Options::archive" });
    };
    let client = server.client("postgres").await?;
    // Something must be in it: an empty segment is not switched.
    let sql = "SELECT pg_logical_emit_message(false, 'testbed', 'archive')::text";
    client.query_one(sql, &[]).await.map_err(Error::postgres("write a message to the log"))?;
    let row = client.query_one("SELECT pg_walfile_name(pg_switch_wal())", &[]).await;
    let name: String = row.map_err(Error::postgres("end the segment"))?.get(0);
    let file = folder.join(&name);
    until(&format!("archiving of {name}"), REPLICA_LIMIT, async || {
        if file.is_file() {
            return Ok(Seen::Done(()));
        }
        let row = client.query_one("SELECT a::text FROM pg_stat_archiver AS a", &[]).await;
        Ok(Seen::NotYet(row.map_err(Error::postgres("read pg_stat_archiver"))?.get(0)))
    })
    .await?;
    Ok(name)
}

/// The command with which the server copies a finished segment: never twice, and under its name only when whole.
pub(super) fn command(folder: &Path) -> String {
    let folder = folder.display();
    format!("test ! -f \"{folder}/%f\" && cp \"%p\" \"{folder}/%f.part\" && mv \"{folder}/%f.part\" \"{folder}/%f\"")
}

/// The command with which a server in recovery fetches a segment.
pub(super) fn restore_command(folder: &Path) -> String {
    format!("cp \"{}/%f\" \"%p\"", folder.display())
}
