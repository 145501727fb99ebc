//! Reads the write-ahead log (WAL) of a PostgreSQL server that does not run: which commits does it hold after a
//! position? After a failover that is the exact loss, counted in commits, not in bytes.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lost = paritas_pgwal::lost_commits("/old/pg_wal".as_ref(), 1, "0/5000148".parse()?)?;
//! let verdict = if lost.is_proven() { "exactly" } else { "at least" };
//! let text = format!("{verdict} {} commits are lost; {}", lost.commits.len(), lost.end);
//! # Ok(()) }
//! ```
//!
//! [`recover`] puts that together for a failover: which timelines a new primary left behind, what the data directories
//! and archives of the old ones hold of them, and whether that is all.
//!
//! # The format, and where it is written down
//!
//! All integers are those of the server's machine; only little-endian ones are read. Names of PostgreSQL's source
//! files are given, of versions 14 to 18.
//!
//! - **Segments** (`access/xlog_internal.h`): files of 1 MiB to 1 GiB, named by timeline and number in 24 hexadecimal
//!   digits; how the number is split depends on the size, which only the first page says. A file that a promotion or
//!   an unfinished transfer left is named `.partial`. Archives may pack them (`.gz`, `.zst`, `.lz4`). Files are recycled: renamed to a later name, old content inside.
//! - **Pages** (`access/xlog_internal.h`, `xlogreader.c`): 8 KiB, with a header of 24 bytes, of 40 in the first page of
//!   a segment. The magic number tells the version: 14 D10D, 15 D110, 16 D113, 17 D116, 18 D118. A page says its own
//!   position, so a recycled one is found out; the header has no checksum, so everything it says is checked against
//!   the chain of records.
//! - **Records** (`access/xlogrecord.h`, `xlogreader.c`): begin at multiples of eight, go on over pages and segments
//!   (flag, and bytes remaining, in the next page's header). Header of 24 bytes: length, transaction, position of the
//!   record before, kind, resource manager, CRC-32C of body, then header. Then references to blocks (with images,
//!   which 14 marks by one bit for pglz, later versions by one for each of pglz, lz4, zstd), origin, top-level
//!   transaction, main data; then the bytes in the same order.
//! - **A record given up**: when a server crashed amid a record, its next start overwrites the rest. The next page is
//!   flagged, and begins with a record that names the broken one.
//! - **A switch** (`pg_switch_wal`): the rest of the segment is empty.
//! - **Transactions** (`access/xact.h`, `xactdesc.c`, `twophase.c`): time, then flagged parts. 15 added dropped
//!   statistics to commits and to prepare records, 18 made these four bytes longer each. Plain commits name their
//!   database only when `wal_level` is `logical` or caches were invalidated; else it is taken from the pages changed.
//! - **Rows** (`access/heapam_xlog.h`): inserts, updates and deletes name the page and the item of each row version they
//!   make or end; what a row holds is not read. See [`touched`].
//! - **Timelines** (`catalog/pg_control.h`): checkpoints and the end-of-recovery record name the timeline.
//! - **The control file** (`catalog/pg_control.h`): see [`Control`].
//!
//! # What the end proves
//!
//! A server that stops leaves zeros or a recycled page behind the last page written. So [`Why::NeverWritten`] and
//! [`Why::Recycled`] are an end, if no later page in the folder belongs to the log: else there is a hole. All else
//! (a checksum that differs, a missing or short file) may be damage and gives a [`Doubt`], though recovery of the
//! server itself would end there too. What was zeroed or cut off together with everything behind it cannot be told
//! from what was never written: the proof is of what the folder holds.

mod archived;
mod content;
mod control;
mod crc;
#[cfg(test)]
mod damage;
mod end;
mod error;
mod fields;
mod folder;
mod heap;
mod lost;
mod page;
mod reader;
mod record;
mod recover;
mod rows;
mod running;
mod segment;
mod several;
#[cfg(test)]
mod synthetic;
mod touched;
mod xact;

pub use archived::{segment_of, segment_size_in, timeline_of};
pub use control::{Control, State};
pub use end::{Doubt, End, Why};
pub use error::{Error, Result};
pub use lost::{Commit, Lost, lost_commits};
pub use page::Version;
pub use reader::{Next, Reader, Start};
pub use record::{Block, Compression, Record, Relation};
pub use recover::{Abandoned, Origin, Sources, Survivor, recover};
pub use rows::{Changes, Effect, Place, RowChange, Table};
pub use running::{Running, running};
pub use segment::{Segment, SegmentSize};
pub use touched::{Touched, touched};
pub use xact::{Event, Finish, Prepare, Unparsed};
