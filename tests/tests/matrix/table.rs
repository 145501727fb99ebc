//! The table: which fault can occur in which kind of store, and which cells are filled.

use crate::environment::FAULTS as FAULTS_AROUND;
use crate::environment_logs;
use crate::following;
use crate::lake;
use crate::lake_meta;
use crate::logical::LOGICAL;
use crate::rows::{self, CROSS, LAKE};
use crate::stage::World;
use crate::standby;
use crate::values;
use crate::{cross, cross_state};
use crate::{mirror_state, mirrored};
use crate::{subscribed, subscriber};

/// Plants a fault and demands its finding; panics otherwise.
pub type Cell = fn(&World);

/// The kinds of store, in the order of the columns.
pub const COLUMNS: [&str; 8] = ["PGp", "PGl", "K", "R", "F", "I", "D", "X"];

/// A row of the table.
pub struct Fault {
    pub number: u8,
    pub name: &'static str,
    /// For each column `x` where the fault can occur, and `-` where it cannot.
    pub occurs: &'static str,
    /// The cells that are filled.
    pub filled: &'static [(&'static str, Cell)],
}

const fn fault(number: u8, name: &'static str, occurs: &'static str, filled: &'static [(&'static str, Cell)]) -> Fault {
    Fault { number, name, occurs, filled }
}

pub const FAULTS: [Fault; 28] = [
    fault(
        1,
        "lost insert",
        "-xxxxxxx",
        &[
            ("PGl", |w| rows::lost_insert(w, &LOGICAL)),
            ("K", mirrored::lost_insert),
            ("F", |w| rows::lost_insert(w, &LAKE)),
            ("X", |w| rows::lost_insert(w, &CROSS)),
        ],
    ),
    fault(
        2,
        "lost update",
        "-xxxxxxx",
        &[
            ("PGl", |w| rows::lost_update(w, &LOGICAL)),
            ("K", mirrored::lost_update),
            ("F", |w| rows::lost_update(w, &LAKE)),
            ("X", |w| rows::lost_update(w, &CROSS)),
        ],
    ),
    fault(
        3,
        "lost delete (row comes back)",
        "-xxxxxxx",
        &[
            ("PGl", |w| rows::lost_delete(w, &LOGICAL)),
            ("K", mirrored::lost_delete),
            ("F", |w| rows::lost_delete(w, &LAKE)),
            ("X", |w| rows::lost_delete(w, &CROSS)),
        ],
    ),
    fault(
        4,
        "phantom row, only on the copy",
        "-xxxxxxx",
        &[
            ("PGl", |w| rows::phantom(w, &LOGICAL)),
            ("K", mirrored::phantom),
            ("F", |w| rows::phantom(w, &LAKE)),
            ("X", |w| rows::phantom(w, &CROSS)),
        ],
    ),
    fault(
        5,
        "exact duplicate row, twice and in pairs (XOR-blind)",
        "-xx-xxxx",
        &[
            ("PGl", |w| rows::duplicates(w, &LOGICAL)),
            ("K", mirrored::duplicates),
            ("F", |w| rows::duplicates(w, &LAKE)),
            ("X", |w| rows::duplicates(w, &CROSS)),
        ],
    ),
    fault(
        6,
        "values swapped between two rows, column sums unchanged",
        "-xxxxxxx",
        &[
            ("PGl", |w| rows::swapped(w, &LOGICAL)),
            ("K", mirrored::swapped),
            ("F", |w| rows::swapped(w, &LAKE)),
            ("X", |w| rows::swapped(w, &CROSS)),
        ],
    ),
    fault(
        7,
        "one bit flipped in a value",
        "xxxxxxxx",
        &[
            ("PGp", standby::bit_in_a_value),
            ("PGl", subscriber::bit_in_a_value),
            ("K", mirrored::bit_in_a_value),
            ("F", lake::bit_in_a_value),
            ("X", cross::bit_in_a_value),
        ],
    ),
    fault(
        8,
        "one bit flipped in a page, file or segment on disk",
        "xxxxxxxx",
        &[
            ("PGp", standby::bit_on_disk),
            ("PGl", subscriber::bit_on_disk),
            ("K", mirror_state::bit_on_disk),
            ("F", lake::bit_in_a_file),
            ("X", cross::bit_on_disk),
        ],
    ),
    fault(
        9,
        "value truncated (varchar, TOAST, 64 KiB, large)",
        "-xxxxxxx",
        &[
            ("PGl", |w| values::truncated(w, &LOGICAL)),
            ("K", mirrored::truncated),
            ("F", |w| values::truncated(w, &LAKE)),
            ("X", |w| values::truncated(w, &CROSS)),
        ],
    ),
    fault(
        10,
        "file, segment or tail truncated",
        "x-xxxxxx",
        &[
            ("PGp", standby::tail_cut),
            ("K", mirror_state::tail_truncated),
            ("F", lake::tail_cut),
            ("X", cross::tail_cut),
        ],
    ),
    fault(
        11,
        "order changed where order means something",
        "--xxxx-x",
        &[("K", mirrored::reordered), ("F", lake::order_changed), ("X", cross::order_changed)],
    ),
    fault(
        12,
        "NULL, empty and missing exchanged",
        "-xxxxxxx",
        &[
            ("PGl", |w| values::null_and_empty(w, &LOGICAL)),
            ("K", mirrored::nothings),
            ("F", |w| values::null_and_empty(w, &LAKE)),
            ("X", |w| values::null_and_empty(w, &CROSS)),
        ],
    ),
    fault(
        13,
        "precision lost (scale, f64 to f32, us to ms)",
        "-xxxxxxx",
        &[
            ("PGl", |w| values::precision(w, &LOGICAL)),
            ("K", mirrored::precision),
            ("F", |w| values::precision(w, &LAKE)),
            ("X", |w| values::precision(w, &CROSS)),
        ],
    ),
    fault(
        14,
        "time-zone or DST shift",
        "-xxxxxxx",
        &[
            ("PGl", |w| values::zones(w, &LOGICAL)),
            ("K", mirrored::zone),
            ("F", |w| values::zones(w, &LAKE)),
            ("X", |w| values::zones(w, &CROSS)),
        ],
    ),
    fault(
        15,
        "encoding, normalisation, collation (latin1, NFC/NFD, -0.0, NaN, key order in JSON)",
        "-xxxxxxx",
        &[
            ("PGl", |w| values::encoding(w, &LOGICAL)),
            ("K", mirrored::encoding),
            ("F", |w| values::encoding(w, &LAKE)),
            ("X", |w| values::encoding(w, &CROSS)),
        ],
    ),
    fault(
        16,
        "column dropped, added, renamed, reordered, widened",
        "-xx-xxxx",
        &[("PGl", subscriber::columns), ("K", mirrored::columns), ("F", lake_meta::columns), ("X", cross::columns)],
    ),
    fault(
        17,
        "defaults, generated columns, sequences, TTL drift",
        "-x-x-xxx",
        &[("PGl", subscriber::defaults), ("X", cross::defaults)],
    ),
    fault(
        18,
        "partial replication (table, partition, topic, slot, prefix left out)",
        "-xxxxxxx",
        &[
            ("PGl", subscriber::partial),
            ("K", mirror_state::partial),
            ("F", lake::prefix_left_out),
            ("X", cross_state::partial),
        ],
    ),
    fault(
        19,
        "stuck replica: heartbeat fine, nothing applied",
        "xxxxxxxx",
        &[
            ("PGp", following::stuck),
            ("PGl", subscribed::stuck),
            ("K", mirror_state::stuck),
            ("F", lake::stuck),
            ("X", cross_state::stuck),
        ],
    ),
    fault(
        20,
        "stale read: old snapshot served as new",
        "xxxxxxxx",
        &[
            ("PGp", following::stale),
            ("PGl", subscribed::stale),
            ("K", mirror_state::stale),
            ("F", lake::stale),
            ("X", |w| cross_state::stale(w, &CROSS)),
        ],
    ),
    fault(
        21,
        "lag beyond the objective; 0 shown on an idle primary",
        "xxxx-xxx",
        &[("PGp", following::late), ("PGl", subscribed::late), ("K", mirror_state::beyond_objective)],
    ),
    fault(
        22,
        "split brain, other timeline, epoch, run id, cluster id",
        "xxxx-xxx",
        &[("PGp", following::forked), ("PGl", subscribed::forked), ("K", mirror_state::split_brain)],
    ),
    fault(
        23,
        "batch replayed",
        "-xxxxxxx",
        &[
            ("PGl", subscriber::replayed),
            ("K", mirrored::replayed),
            ("F", lake::replayed),
            ("X", |w| cross_state::replayed(w, &CROSS)),
        ],
    ),
    fault(
        24,
        "applied out of order",
        "-xxx-xxx",
        &[("PGl", subscriber::out_of_order), ("K", mirrored::disordered), ("X", cross_state::out_of_order)],
    ),
    fault(
        25,
        "transaction torn across tables or partitions",
        "-xxx-xxx",
        &[("PGl", subscriber::torn), ("K", mirrored::torn), ("X", cross_state::torn)],
    ),
    fault(
        26,
        "clocks one hour apart (lag must not come from clocks)",
        "xxxxxxxx",
        &[
            ("PGp", following::clocks),
            ("PGl", subscribed::clocks),
            ("K", mirror_state::clocks),
            ("F", lake_meta::clocks),
            ("X", cross_state::clocks),
        ],
    ),
    fault(
        27,
        "history gone (retention, compaction, vacuum, expiry)",
        "xxxxxxxx",
        &[
            ("PGp", following::log_gone),
            ("PGl", subscribed::slot_gone),
            ("K", mirror_state::history_gone),
            ("F", lake::expired),
            ("X", cross_state::expired),
        ],
    ),
    fault(
        28,
        "metadata lies (manifest, statistics, row count, etag)",
        "-xxxxxxx",
        &[
            ("PGl", subscriber::lies),
            ("K", mirror_state::metadata_lies),
            ("F", lake_meta::lies),
            ("X", cross_state::lies),
        ],
    ),
];

/// What stands in a cell.
fn mark(fault: &Fault, column: usize) -> &'static str {
    let filled = fault.filled.iter().any(|(name, _)| *name == COLUMNS[column]);
    match (fault.occurs.as_bytes()[column], filled) {
        (b'x', true) => "x",
        (b'x', false) => "planned",
        (b'-', false) => "-",
        _ => panic!("fault {} cannot occur in {}", fault.number, COLUMNS[column]),
    }
}

/// How many cells can occur, and how many of them are filled.
pub fn counts() -> (usize, usize) {
    let occurs = FAULTS.iter().map(|fault| fault.occurs.matches('x').count()).sum();
    (occurs, FAULTS.iter().map(|fault| fault.filled.len()).sum())
}

/// The table in Markdown.
pub fn markdown() -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line([&["#", "fault"], &COLUMNS[..]].concat());
    text += &line(vec!["---"; COLUMNS.len() + 2]);
    for fault in &FAULTS {
        let number = fault.number.to_string();
        let marks = (0..COLUMNS.len()).map(|column| mark(fault, column));
        text += &line([number.as_str(), fault.name].into_iter().chain(marks).collect());
    }
    text
}

/// The whole page.
pub fn page() -> String {
    let (occurs, filled) = counts();
    let around = around();
    format!("{INTRODUCTION}\n{}\n{filled} of {occurs} cells are filled.\n{CLOSING}{AROUND}\n{around}", markdown())
}

/// The second table: what is around the stores.
fn around() -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&["#", "fault", "PostgreSQL", "Kafka", "Redis", "S3", "cluster engine"]);
    text += &line(&["---"; 7]);
    for (at, (name, _)) in FAULTS_AROUND.iter().enumerate() {
        let number = format!("E{}", at + 1);
        let kafka = environment_logs::CELLS.get(at).is_some_and(Option::is_some);
        text += &line(&[&number, name, "x", if kafka { "x" } else { "planned" }, "planned", "planned", "planned"]);
    }
    text
}

const AROUND: &str = "
## What is around the stores

Two stores with known differences are compared, slowly enough that one of these can happen meanwhile. The right answer
is the right verdict or `unknown`, never `pass`: what differs is never passed over, what is reported as proven is one of
the known differences, what could not be verified carries a code and a hint, and the run ends no later than ten seconds
after its deadline.
";

const INTRODUCTION: &str = "\
# The fault matrix

What can go wrong between two regions, and where Paritas is proven to find it. This page is written by
`tests/tests/matrix`, and a test demands that it is up to date (`UPDATE=1 cargo test -p paritas-tests
--test matrix` writes it).

Every filled cell is a function in that folder. It makes an honest pair of stores, demands that it
verifies, plants one fault on real files and real servers, runs the binary as a user would, and demands
the verdict, the exit code, the class, the place (key, column and values, or file), and that nothing else
is reported. Most cells plant several variants of their fault.

Columns: **PGp** PostgreSQL physical replica, **PGl** PostgreSQL logical replica, **K** Kafka mirror,
**R** Redis replica, **F** files (rows of Parquet and CSV files in another layout, and files byte by
byte), **I** Iceberg, **D** Delta, **X** two kinds of store (PostgreSQL, Parquet and CSV, facing each other
in both directions).

- `x`: detected, named and located, by a test
- `planned`: the fault can occur there, and no test plants it yet
- `-`: the fault cannot occur there
";

const CLOSING: &str = "
What some cells mean where the words allow more than one reading:

- 7, 8, 10 in PGp: planted in the standby's files while it is stopped, after a restart point, so that nothing is
  replayed that would bring the page back. A page whose checksum does not fit is damage; without a look at
  checksums the values tell.
- 11: rows of tables and files are a multiset. A changed order is found where files are compared as
  files, and must not be reported where rows are compared.
- 17 in PGl: generated columns, defaults, and sequences: one that is behind on the subscriber, or has another
  definition, is a warning, because no row differs yet.
- 19, 20, 27 where there is no log to follow: a store that is stuck, stale or has expired shows as rows or files
  that are lost, extra or changed. Time is not judged there.
- 19, 21, 22, 26, 27 in PGp and PGl: answered by `paritas lag`, `paritas failover` and `paritas verify`. Lag says
  stalled, broken or unknown and why, and that an objective is breached once that is proven by time; a comparison says
  that nothing is proven, because the rows may still come. 20 is rows again: an old file or an old copy is caught up by
  its positions; a standby that is late on purpose is a matter of lag.
- 22 in PGp: what was lost is read from the files of the old primary once it is fenced.
- 26 in PGp and PGl: the replica's server runs with a clock an hour ahead, and an hour behind.
- 26 in F and X: modification times and session time zones an hour apart must not change any verdict.
- 28: statistics that lie must not change the verdict; row counts that lie are damage.
";
