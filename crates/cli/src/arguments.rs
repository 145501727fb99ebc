//! The table of commands and options. Help, completions and manual pages are made from it.

mod report;

pub use report::{MetricsArgs, ReportArgs, ReportFormat};

use crate::runs::{Budget, FailedAt, Method, RateLimit, SimulatedWindow, Stored, Which};
use clap::{Args, Parser, Subcommand, ValueEnum};
use paritas_digest::{DecimalPolicy, FloatPolicy, ImagePolicy, JsonPolicy, Policies, ZonePolicy};
use paritas_model::{ParseQuantityError, parse_duration, parse_size};
use std::path::PathBuf;
use std::time::Duration;

/// Largest accepted `--max-differences`: what fits into memory and a report.
const MAX_DIFFERENCES_LIMIT: u64 = 10_000_000;
/// Largest accepted `--capacity`: what the largest sketch can name in one pass.
const CAPACITY_LIMIT: u64 = 1_000_000;
/// Largest accepted `--parallel`.
const PARALLEL_LIMIT: u64 = 1_024;

/// Largest accepted `--limit`: what fits into memory and a terminal's patience.
const RUNS_LIMIT: u64 = 1_000_000;

const EXIT_CODES: &str = "\
Exit codes:
    0  everything asked was verified and passes
    1  a violation is proven: differing rows or files
    2  usage or configuration error; nothing was checked
    3  inconclusive: something could not be verified
  130  interrupted; what was found so far is reported";

/// Verifies that the data in another region is a faithful copy: every row compared in one pass,
/// every difference named.
#[derive(Debug, Parser)]
#[command(name = "paritas", version, after_help = EXIT_CODES, max_term_width = 100, subcommand_required = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Configuration file [default: ./paritas.toml, then $XDG_CONFIG_HOME/paritas/paritas.toml]
    #[arg(short, long, global = true, value_name = "FILE", env = "PARITAS_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Folder for runs and stored digests; wins over the configuration
    #[arg(long, global = true, value_name = "DIR", env = "PARITAS_STATE", hide_env_values = true)]
    pub state: Option<PathBuf>,
    /// Print exactly one JSON document, also for errors
    #[arg(long, global = true)]
    pub json: bool,
    /// Print no progress and no log, only the result and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: -v what is done, -vv details, -vvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR says otherwise
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare source and replica now: configured links, or two stores named by URL or path
    Verify(Box<VerifyArgs>),
    /// Reconcile figures: counts, exact sums and balances of groups, on both sides
    Ledger(LedgerArgs),
    /// How far replicas are behind now, and whether everything is replicated
    Lag(LagArgs),
    /// What a failover would lose now, or would have lost at any moment of a time
    Simulate(SimulateArgs),
    /// Runs, verdicts, percentiles of lag, drills and incidents over a time, from stored runs
    History(HistoryArgs),
    /// After a promotion, or before a planned one: lineage, what was lost, achieved RPO and RTO, GO or NO-GO
    Failover(FailoverArgs),
    /// How long nobody takes writes when the source fails: watched, or measured by heartbeats (PostgreSQL)
    Probe(ProbeArgs),
    /// Keep what sources hold and where their readers are, for the time when they are gone (Kafka)
    Snapshot(SnapshotArgs),
    /// What a timer calls: everything that [schedule] says is due, within its budget, and nothing else
    Run(RunArgs),
    /// Units of a timer that calls `paritas run`
    #[command(subcommand, arg_required_else_help = true)]
    Export(ExportCommand),
    /// Report a stored run again, in any format; no store is asked
    Report(ReportArgs),
    /// Write a commented paritas.toml
    Init(InitArgs),
    /// Validate or show the configuration
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Measure this machine
    #[command(subcommand, arg_required_else_help = true)]
    Bench(BenchCommand),
    /// Two regions in a temporary folder: faults injected, found, reported
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one page per command into a folder
    Man {
        /// Folder for the pages; it must exist
        dir: Option<PathBuf>,
    },
}

const VERIFY_HELP: &str = "\
Names of stores:
  postgres://user@host/db?table=public.orders   a PostgreSQL table
  kafka://host:9092/orders                      a topic; without one, every topic that is mirrored
  parquet:PATH  csv:PATH                        files read as one table
  PATH, files:PATH, s3://bucket/prefix          files, by their checksums
  digest:FILE                                   a digest from --save-digest, as the source only
  Options follow as a query: ?key=id,venue ?columns=a,b ?where=… ?rename=old:new

Examples:
  paritas verify                                every configured link
  paritas verify trading ledger                 two of them
  paritas verify parquet:/east/fills parquet:/west/fills
  paritas verify 'postgres://a/db?table=orders' 'postgres://b/db?table=orders'";

/// Options of `verify`.
#[derive(Debug, Clone, Args)]
#[command(after_help = VERIFY_HELP, override_usage = "paritas verify [OPTIONS] [LINK]...\n       paritas verify [OPTIONS] SOURCE REPLICA")]
pub struct VerifyArgs {
    /// Names of configured links (none: all of them), or a source and a replica
    #[arg(value_name = "LINK|STORE")]
    pub what: Vec<String>,
    /// Make a warning count as a violation (exit code 1)
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// Stop after a time, a number of bytes or of rows: 10m, 5GiB, 1e8rows
    #[arg(long, value_name = "LIMIT", value_parser = budget)]
    pub budget: Option<Budget>,
    /// List at most that many differing rows or files per dataset [default: 1000, of which 20 as text]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MAX_DIFFERENCES_LIMIT))]
    pub max_differences: Option<u64>,
    /// Whose exit codes and output to use
    #[arg(long, value_name = "STYLE", conflicts_with = "json")]
    pub exit_style: Option<ExitStyle>,
    /// Splits, connections and threads per side at a time [default: number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=PARALLEL_LIMIT))]
    pub parallel: Option<u64>,
    /// How many differing rows per dataset one pass is made to name [default: 9000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CAPACITY_LIMIT))]
    pub capacity: Option<u64>,
    /// How long to wait for a replica to catch up, and for rows in flight to settle [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub settle: Option<Duration>,
    /// What to compare between a primary and its physical standby: auto (pages where possible), rows,
    /// pages [default: auto]
    #[arg(long, value_name = "METHOD")]
    pub method: Option<Method>,
    /// How to compare (repeatable): decimal=value, float=canonical, json=canonical, zone=assume-utc,
    /// image=wide
    #[arg(long, value_name = "KEY=VALUE", value_parser = policy)]
    pub policy: Vec<Policy>,
    /// Let servers sum up hashes first and read rows only where sums differ. For standbys; equal sums
    /// are no proof and end as unknown
    #[arg(long, conflicts_with = "save_digest")]
    pub quick: bool,
    /// Read each side no faster (repeatable): 50MiB/s, 100000rows/s
    #[arg(long, value_name = "RATE")]
    pub rate: Vec<RateLimit>,
    /// Hold reading while the replica is behind by more than this: 64MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub pause_lag: Option<u64>,
    /// Hold one view (snapshot) of a table no longer than about this; larger tables are read in parts by
    /// their key [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = view_max)]
    pub view_max: Option<Duration>,
    /// Go on with a run that was killed, interrupted or short of its budget: parts that it finished are
    /// not read again (needs a state folder)
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true, default_missing_value = "last", value_parser = resume)]
    pub resume: Option<Which>,
    /// Verify the replica against a snapshot of the source, which may be gone: last, the id of one, a file,
    /// or the URL of a copy
    #[arg(long, value_name = "SNAPSHOT", conflicts_with_all = ["save_digest", "quick", "resume", "method", "pause_lag"])]
    pub against: Option<Stored>,
    /// Also write the source's digest into a file (with SOURCE and REPLICA only)
    #[arg(long, value_name = "FILE")]
    pub save_digest: Option<PathBuf>,
}

const LEDGER_HELP: &str = "\
Configured links have their ledgers in [[link.ledger]]; two stores are reconciled by the options.

Examples:
  paritas ledger                                every ledger of every configured link
  paritas ledger trading                        those of one link
  paritas ledger --group-by account,currency --sum amount 'postgres://a/db?table=ledger' 'postgres://b/db?table=ledger'
  paritas ledger --group-by transfer --zero-sum amount 'postgres://a/db?table=entries' parquet:/lake/entries";

/// Options of `ledger`.
#[derive(Debug, Clone, Args)]
#[command(after_help = LEDGER_HELP, override_usage = "paritas ledger [OPTIONS] [LINK]...\n       paritas ledger [OPTIONS] SOURCE REPLICA")]
pub struct LedgerArgs {
    /// Names of configured links (none: all that have a ledger), or a source and a replica
    #[arg(value_name = "LINK|STORE")]
    pub what: Vec<String>,
    /// Columns that make groups [default: everything is one group] (with SOURCE and REPLICA only, as the next five)
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub group_by: Vec<String>,
    /// Columns with equal sums in every group
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub sum: Vec<String>,
    /// Columns with equal smallest values in every group
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub min: Vec<String>,
    /// Columns with equal largest values in every group
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub max: Vec<String>,
    /// Columns that add up to zero in every group of either side (double entry)
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub zero_sum: Vec<String>,
    /// Do not compare numbers of rows and of NULLs
    #[arg(long)]
    pub no_count: bool,
    /// Hold the replica against the figures of a snapshot of the source, which may be gone: last, the id of one, or a file
    #[arg(long, value_name = "SNAPSHOT", conflicts_with_all = ["group_by", "sum", "min", "max", "zero_sum", "no_count", "pause_lag"])]
    pub against: Option<Stored>,
    /// Memory for groups; more of them go into a temporary file [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = ledger_memory)]
    pub memory: Option<u64>,
    /// Make a warning count as a violation (exit code 1)
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// Stop after a time, a number of bytes or of rows: 10m, 5GiB, 1e8rows
    #[arg(long, value_name = "LIMIT", value_parser = budget)]
    pub budget: Option<Budget>,
    /// List at most that many groups per ledger [default: 1000, of which 20 as text]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MAX_DIFFERENCES_LIMIT))]
    pub max_differences: Option<u64>,
    /// Whose exit codes and output to use
    #[arg(long, value_name = "STYLE", conflicts_with = "json")]
    pub exit_style: Option<ExitStyle>,
    /// Splits, connections and threads per side at a time [default: number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=PARALLEL_LIMIT))]
    pub parallel: Option<u64>,
    /// How long to wait for a replica to catch up, and for groups in flight to settle [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub settle: Option<Duration>,
    /// Read each side no faster (repeatable): 50MiB/s, 100000rows/s
    #[arg(long, value_name = "RATE")]
    pub rate: Vec<RateLimit>,
    /// Hold reading while the replica is behind by more than this: 64MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub pause_lag: Option<u64>,
}

const LAG_HELP: &str = "\
Examples:
  paritas lag                                   every configured link, against its objective
  paritas lag trading --for 30s                 sampled for 30 seconds
  paritas lag --watch                           a live view; q ends it
  paritas lag postgres://a/db postgres://b/db   two servers, source first
  paritas lag kafka://a:9092 kafka://b:9092     mirrored topics, their readers, both clusters' health";

/// Options of `lag`.
#[derive(Debug, Clone, Args)]
#[command(after_help = LAG_HELP, override_usage = "paritas lag [OPTIONS] [LINK]...\n       paritas lag [OPTIONS] SOURCE REPLICA")]
pub struct LagArgs {
    /// Names of configured links (none: all of them), or a source and a replica
    #[arg(value_name = "LINK|STORE")]
    pub what: Vec<String>,
    /// Sample for that long [default: until the answer is known, 1.5s at most]
    #[arg(long = "for", value_name = "TIME", value_parser = run_for)]
    pub run_for: Option<Duration>,
    /// Show it again every second: a view on a terminal (q quits), otherwise a line each time
    #[arg(long, conflicts_with_all = ["run_for", "json", "exit_style"])]
    pub watch: bool,
    /// Make a warning count as a violation (exit code 1)
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// Whose exit codes and output to use
    #[arg(long, value_name = "STYLE", conflicts_with = "json")]
    pub exit_style: Option<ExitStyle>,
}

const SIMULATE_HELP: &str = "\
Without --window the lag is measured, as `paritas lag` does. With it no store is asked: samples that
`paritas lag` has stored are looked at, and what they do not say is unknown.

Examples:
  paritas simulate                              every configured link, against its RPO
  paritas simulate trading --window 24h         at every moment of the last day
  paritas simulate --window 2026-11-30T09:00:00Z/2026-11-30T17:00:00Z
  paritas simulate postgres://a/db postgres://b/db";

/// Options of `simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SIMULATE_HELP, override_usage = "paritas simulate [OPTIONS] [LINK]...\n       paritas simulate [OPTIONS] SOURCE REPLICA")]
pub struct SimulateArgs {
    /// Names of configured links (none: all of them), or a source and a replica
    #[arg(value_name = "LINK|STORE")]
    pub what: Vec<String>,
    /// A time that has passed: T0/T1, each a moment, a time ago or `now`; or one time ago, up to now
    #[arg(long, value_name = "T0/T1", value_parser = simulated_window)]
    pub window: Option<SimulatedWindow>,
    /// Make a warning count as a violation (exit code 1)
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
}

const HISTORY_HELP: &str = "\
No store is asked. Runs are recorded where a state folder is: --state DIR, or `state` in [paritas].

Examples:
  paritas history                               every link, the last seven days
  paritas history trading --since 24h --limit 100
  paritas history --since 400d --json";

/// Options of `history`.
#[derive(Debug, Clone, Args)]
#[command(after_help = HISTORY_HELP)]
pub struct HistoryArgs {
    /// Name of a link [default: all of them]
    #[arg(value_name = "LINK")]
    pub link: Option<String>,
    /// How far back [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Duration>,
    /// List at most that many runs [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=RUNS_LIMIT))]
    pub limit: Option<u64>,
}

const FAILOVER_HELP: &str = "\
The old primary may be gone. What it lost is read from its data directory, without starting it.

Examples:
  paritas failover                              every configured link
  paritas failover trading --data-directory /mnt/old/main --failed-at 2026-11-30T19:04:05Z
  paritas failover --drill=spring               the same, labelled as an exercise
  paritas failover --planned                    before a planned switch: are both sides identical?
  paritas failover postgres://old/db postgres://new/db --data-directory /mnt/old/main --wal-archive /wal";

/// Options of `failover`.
#[derive(Debug, Clone, Args)]
#[command(after_help = FAILOVER_HELP, override_usage = "paritas failover [OPTIONS] [LINK]...\n       paritas failover [OPTIONS] SOURCE REPLICA")]
pub struct FailoverArgs {
    /// Names of configured links (none: all of them), or the old primary and the new one
    #[arg(value_name = "LINK|STORE")]
    pub what: Vec<String>,
    /// Data directory of a stopped old primary (repeatable: one for each server that was primary since)
    #[arg(long, value_name = "DIR")]
    pub data_directory: Vec<PathBuf>,
    /// Folder or s3://bucket/prefix with archived or received segments of its log (repeatable)
    #[arg(long, value_name = "DIR|URL")]
    pub wal_archive: Vec<PathBuf>,
    /// The old primary's server, started where nobody else reaches it, if it is not at the source's address: lost rows
    /// are read from it
    #[arg(long, value_name = "URL")]
    pub old_primary: Option<String>,
    /// When the source failed, with a zone: 2026-11-30T19:04:05Z. Bounds RTO and RPO where nothing measured them
    #[arg(long, value_name = "TIME")]
    pub failed_at: Option<FailedAt>,
    /// Hold the new side against this snapshot: last, the id of one, or a file [default: the newest, if there is one]
    #[arg(long, value_name = "SNAPSHOT")]
    pub against: Option<Stored>,
    /// Label the run as a drill, with a name; it is judged like any other
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub drill: Option<String>,
    /// Nothing has failed: may the two sides change places now? Both must be there and identical
    #[arg(long, conflicts_with_all = ["failed_at", "against", "data_directory", "wal_archive", "old_primary"])]
    pub planned: bool,
    /// Make a warning count as a violation (exit code 1)
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// Stop after a time: 10m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub budget: Option<Duration>,
    /// List at most that many lost transactions per timeline, and lost rows per table [default: 1000, of which 20 as text]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=MAX_DIFFERENCES_LIMIT))]
    pub max_differences: Option<u64>,
    /// Whose exit codes and output to use
    #[arg(long, value_name = "STYLE", conflicts_with = "json")]
    pub exit_style: Option<ExitStyle>,
}

const PROBE_HELP: &str = "\
Without --heartbeat nothing is written, and only a lower bound of the RTO can be proven.

Examples:
  paritas probe trading                         watch both servers until interrupted
  paritas probe trading --heartbeat paritas.heartbeat --print-sql
                                                what a DBA has to run before heartbeats can be written
  paritas probe trading --heartbeat paritas.heartbeat --every 200ms --until recovered
                                                measure a failover; `paritas failover trading` then shows it
  paritas probe postgres://a/db postgres://b/db --for 1h";

/// Options of `probe`.
#[derive(Debug, Clone, Args)]
#[command(after_help = PROBE_HELP, override_usage = "paritas probe [OPTIONS] LINK\n       paritas probe [OPTIONS] SOURCE REPLICA")]
pub struct ProbeArgs {
    /// Name of a configured link, or the primary and its standby
    #[arg(value_name = "LINK|STORE")]
    pub what: Vec<String>,
    /// Write heartbeats into this table, made by --print-sql's statements: one row per link
    #[arg(long, value_name = "SCHEMA.TABLE")]
    pub heartbeat: Option<String>,
    /// Print the statements that make the table and its grants, and end
    #[arg(long, requires = "heartbeat")]
    pub print_sql: bool,
    /// Time between two attempts on each side: the resolution of the answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = every)]
    pub every: Duration,
    /// Longest time of one attempt, connecting included
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = attempt_timeout)]
    pub timeout: Duration,
    /// End after that long [default: never]
    #[arg(long = "for", value_name = "TIME", value_parser = run_for)]
    pub run_for: Option<Duration>,
    /// What ends it
    #[arg(long, value_name = "WHAT", default_value = "interrupted")]
    pub until: UntilArg,
    /// Make a warning count as a violation (exit code 1)
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// Whose exit codes and output to use
    #[arg(long, value_name = "STYLE", conflicts_with = "json")]
    pub exit_style: Option<ExitStyle>,
}

const SNAPSHOT_HELP: &str = "\
After the source is gone, `paritas verify --against last` and `paritas failover` use the newest snapshot in its place.
Of topics, only what came since the last snapshot is read.

Examples:
  paritas snapshot                              every configured link whose stores can be kept
  paritas snapshot orders --positions-only      ends and offsets of groups, no content
  paritas snapshot trading --capacity 100000    tables in which that many rows may change until it is needed
  paritas snapshot --state /var/lib/paritas kafka://east:9092 kafka://west:9092
  paritas snapshot --state DIR 'postgres://east/db?table=public.orders' postgres://west/db";

/// Options of `snapshot`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SNAPSHOT_HELP, override_usage = "paritas snapshot [OPTIONS] [LINK]...\n       paritas snapshot [OPTIONS] SOURCE REPLICA")]
pub struct SnapshotArgs {
    /// Names of configured links (none: all of them), or a source and a replica
    #[arg(value_name = "LINK|STORE")]
    pub what: Vec<String>,
    /// Keep ends of logs and offsets of groups only, and read no content (Kafka)
    #[arg(long)]
    pub positions_only: bool,
    /// Read everything, and take nothing over from the snapshot before
    #[arg(long)]
    pub full: bool,
    /// How many differing rows per dataset the snapshot is made to name: all that will be written until it is used, and
    /// all that may be lost [default: 9000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CAPACITY_LIMIT))]
    pub capacity: Option<u64>,
    /// Splits, connections and threads at a time [default: number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=PARALLEL_LIMIT))]
    pub parallel: Option<u64>,
    /// Read the source no faster (repeatable): 50MiB/s, 100000rows/s
    #[arg(long, value_name = "RATE")]
    pub rate: Vec<RateLimit>,
    /// Hold one view of all tables no longer than about this; otherwise each is read in a view of its own [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = view_max)]
    pub view_max: Option<Duration>,
    /// How to compare (repeatable), as with `verify`: decimal=value, float=canonical, json=canonical, zone=assume-utc,
    /// image=wide
    #[arg(long, value_name = "KEY=VALUE", value_parser = policy)]
    pub policy: Vec<Policy>,
    /// Stop after a time: 10m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub budget: Option<Duration>,
    /// Make a warning count as a violation (exit code 1)
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// Whose exit codes and output to use
    #[arg(long, value_name = "STYLE", conflicts_with = "json")]
    pub exit_style: Option<ExitStyle>,
}

/// What ends a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UntilArg {
    /// Only an interrupt, or --for
    Interrupted,
    /// A failover that was seen to its end
    Recovered,
}

/// What to deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Deny {
    /// Warnings count as violations
    Warnings,
}

/// Whose exit codes and output to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExitStyle {
    /// One line with performance data; 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN
    Nagios,
}

const RUN_HELP: &str = "\
Examples:
  paritas run                                   what is due of all links
  paritas run trading                           of one link
  paritas export systemd                        a service and a timer that call it";

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub struct RunArgs {
    /// Names of configured links (none: all of them)
    #[arg(value_name = "LINK")]
    pub what: Vec<String>,
    /// Write metrics of the last run of every job into this file, for the textfile collector of Prometheus
    #[arg(long, value_name = "FILE")]
    pub textfile: Option<PathBuf>,
    /// End each verification after a time, a number of bytes or of rows, whatever [schedule] says: 10m, 5GiB, 1e8rows
    #[arg(long, value_name = "LIMIT", value_parser = budget)]
    pub budget: Option<Budget>,
    /// Splits, connections and threads at a time [default: number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=PARALLEL_LIMIT))]
    pub parallel: Option<u64>,
    /// Read each side no faster (repeatable): 50MiB/s, 100000rows/s
    #[arg(long, value_name = "RATE")]
    pub rate: Vec<RateLimit>,
    /// Make a warning count as a violation (exit code 1)
    #[arg(long, value_name = "WHAT")]
    pub deny: Option<Deny>,
    /// Whose exit codes and output to use
    #[arg(long, value_name = "STYLE", conflicts_with = "json")]
    pub exit_style: Option<ExitStyle>,
}

/// What to export.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// A service and a timer of systemd
    Systemd(SystemdArgs),
    /// A CronJob of Kubernetes
    Cronjob(CronjobArgs),
    /// Rules of alerts for Prometheus
    PrometheusRules(MetricsArgs),
    /// A dashboard for Grafana
    Grafana(MetricsArgs),
}

/// Options of `export systemd`.
#[derive(Debug, Args)]
pub struct SystemdArgs {
    /// Write paritas.service and paritas.timer into this folder, rather than print them
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The program that the service calls [default: this one]
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,
    /// The user that the service runs as [default: root]
    #[arg(long, value_name = "NAME", value_parser = plain_name)]
    pub user: Option<String>,
}

/// Options of `export cronjob`.
#[derive(Debug, Args)]
pub struct CronjobArgs {
    /// The image of the container, in which `paritas` is the entry point
    #[arg(long, value_name = "IMAGE")]
    pub image: String,
    /// The namespace
    #[arg(long, value_name = "NAME", value_parser = plain_name)]
    pub namespace: Option<String>,
}

/// A name that needs no quotes anywhere.
fn plain_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("write letters, digits, dots, underscores and hyphens only".to_owned()),
    }
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Where to write
    #[arg(default_value = "paritas.toml")]
    pub path: PathBuf,
    /// Overwrite a file that exists
    #[arg(long)]
    pub force: bool,
}

/// Commands about the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Validate the configuration
    Check {
        /// Also try the stores and their privileges
        #[arg(long)]
        connect: bool,
    },
    /// Show every setting and where it comes from; secrets are masked
    Show,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Checksum throughput of this machine, in about five seconds
    Hash,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for its files [default: paritas-demo in the folder for temporary files]
    pub dir: Option<PathBuf>,
}

/// The longest time that `lag` samples in one go.
const RUN_FOR_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn simulated_window(text: &str) -> Result<SimulatedWindow, String> {
    text.parse()
}

fn since(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(since) if since.is_zero() => Err("it must be more than zero".to_owned()),
        Ok(since) => Ok(since),
        Err(error) => Err(format!("{error}: {}", error.hint)),
    }
}

fn run_for(text: &str) -> Result<Duration, ParseQuantityError> {
    let time = parse_duration(text)?;
    if time > RUN_FOR_MAX {
        let hint = "write 7d at most, or use --watch";
        return Err(ParseQuantityError { what: "time", text: text.to_owned(), hint });
    }
    Ok(time)
}

/// Bounds of `--every`: less than the first is a load, more than the second no measurement.
const EVERY_MIN: Duration = Duration::from_millis(10);
const EVERY_MAX: Duration = Duration::from_secs(60 * 60);
/// Bounds of `--timeout`.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);

fn within(text: &str, least: Duration, most: Duration, hint: &'static str) -> Result<Duration, ParseQuantityError> {
    let time = parse_duration(text)?;
    if time < least || time > most {
        return Err(ParseQuantityError { what: "time", text: text.to_owned(), hint });
    }
    Ok(time)
}

fn every(text: &str) -> Result<Duration, ParseQuantityError> {
    within(text, EVERY_MIN, EVERY_MAX, "write 10ms at least and 1h at most")
}

fn attempt_timeout(text: &str) -> Result<Duration, ParseQuantityError> {
    within(text, TIMEOUT_MIN, TIMEOUT_MAX, "write 10ms at least and 10m at most")
}

/// Bounds of `--memory`: less than the first writes a file for nothing.
const LEDGER_MEMORY_MIN: u64 = 1 << 20;
const LEDGER_MEMORY_MAX: u64 = 1 << 40;

fn ledger_memory(text: &str) -> Result<u64, ParseQuantityError> {
    let size = parse_size(text)?;
    if (LEDGER_MEMORY_MIN..=LEDGER_MEMORY_MAX).contains(&size) {
        return Ok(size);
    }
    Err(ParseQuantityError { what: "size", text: text.to_owned(), hint: "write 1MiB at least and 1TiB at most" })
}

fn view_max(text: &str) -> Result<Duration, ParseQuantityError> {
    let time = parse_duration(text)?;
    if time.is_zero() {
        let hint = "write a time above zero, such as 60s";
        return Err(ParseQuantityError { what: "time", text: text.to_owned(), hint });
    }
    Ok(time)
}

fn resume(text: &str) -> Result<Which, ParseQuantityError> {
    if text == "last" {
        return Ok(Which::Last);
    }
    let hint = "write --resume for the last one, or --resume=ID with the id that its report shows";
    let id = text.parse().map_err(|_| ParseQuantityError { what: "run", text: text.to_owned(), hint })?;
    Ok(Which::Id(id))
}

fn budget(text: &str) -> Result<Budget, ParseQuantityError> {
    text.parse()
}

/// One declared way of comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// `decimal=`
    Decimal(DecimalPolicy),
    /// `float=`
    Float(FloatPolicy),
    /// `json=`
    Json(JsonPolicy),
    /// `zone=`
    Zone(ZonePolicy),
    /// `image=`
    Image(ImagePolicy),
}

const POLICY_HINT: &str = "known are decimal=exact|value, float=bits|canonical, json=bytes|canonical, \
                           zone=strict|assume-utc, image=compact|wide";

/// Every policy as it is written.
const POLICIES: [(&str, Policy); 10] = [
    ("decimal=exact", Policy::Decimal(DecimalPolicy::Exact)),
    ("decimal=value", Policy::Decimal(DecimalPolicy::Value)),
    ("float=bits", Policy::Float(FloatPolicy::Bits)),
    ("float=canonical", Policy::Float(FloatPolicy::Canonical)),
    ("json=bytes", Policy::Json(JsonPolicy::Bytes)),
    ("json=canonical", Policy::Json(JsonPolicy::Canonical)),
    ("zone=strict", Policy::Zone(ZonePolicy::Strict)),
    ("zone=assume-utc", Policy::Zone(ZonePolicy::AssumeUtc)),
    ("image=compact", Policy::Image(ImagePolicy::Compact)),
    ("image=wide", Policy::Image(ImagePolicy::Wide)),
];

fn policy(text: &str) -> Result<Policy, ParseQuantityError> {
    let error = || ParseQuantityError { what: "policy", text: text.to_owned(), hint: POLICY_HINT };
    POLICIES.iter().find(|(written, _)| *written == text).map(|(_, policy)| *policy).ok_or_else(error)
}

/// A policy as it is written on the command line.
pub fn policy_text(policy: Policy) -> &'static str {
    POLICIES.iter().find(|(_, known)| *known == policy).map_or("", |(written, _)| written)
}

/// Puts declared policies together; the last one of a kind wins.
pub fn policies(declared: &[Policy]) -> Policies {
    let mut policies = Policies::default();
    for policy in declared {
        match *policy {
            Policy::Decimal(decimal) => policies.decimal = decimal,
            Policy::Float(float) => policies.float = float,
            Policy::Json(json) => policies.json = json,
            Policy::Zone(zone) => policies.zone = zone,
            Policy::Image(image) => policies.image = image,
        }
    }
    policies
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_table_is_consistent() {
        Cli::command().debug_assert();
    }
}
