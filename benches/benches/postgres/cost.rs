//! What one way of comparing costs: wall time, CPU of servers and clients, and bytes over the loopback.
//!
//! All from `/proc`, so that a way may be any program. Bytes count both directions' payload and headers
//! once; nobody else may use the loopback meanwhile.

use paritas_testbed::postgres::Server;
use std::time::{Duration, Instant};

/// The kernel's unit of CPU time on Linux, in seconds (`USER_HZ` is 100 for every process that asks).
const TICK: f64 = 0.01;
/// A round must not be charged for the one before: servers get this long to fall silent.
const QUIET_LIMIT: Duration = Duration::from_secs(30);

/// What one run costs, or the median of several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Wall time in seconds.
    pub wall: f64,
    /// CPU seconds of both servers with all their processes.
    pub servers: f64,
    /// CPU seconds of the programs that were started.
    pub client: f64,
    /// Bytes over the loopback.
    pub moved: f64,
}

impl Cost {
    /// The median of each figure by itself.
    pub fn median(costs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut values: Vec<f64> = costs.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self { wall: of(|c| c.wall), servers: of(|c| c.servers), client: of(|c| c.client), moved: of(|c| c.moved) }
    }
}

/// Runs `way` and says what it cost, with its answer.
pub fn of<T>(servers: &[&Server], way: impl FnOnce() -> T) -> (Cost, T) {
    let busy = || servers.iter().map(|server| tree_cpu(server.pid().expect("a running server"))).sum::<f64>();
    let (cpu, own, moved, started) = (settled(busy), waited_for(), loopback(), Instant::now());
    let answer = way();
    let wall = started.elapsed().as_secs_f64();
    // Backends that are still ending are counted with the postmaster's children before and after.
    let cost = Cost { wall, servers: busy() - cpu, client: waited_for() - own, moved: loopback() - moved };
    (cost, answer)
}

/// CPU seconds of the servers once nothing is going on in them (checkpoints and vacuum of the round before).
fn settled(busy: impl Fn() -> f64) -> f64 {
    let started = Instant::now();
    let mut before = busy();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = busy();
        if now - before < 2.0 * TICK || started.elapsed() > QUIET_LIMIT {
            return now;
        }
        before = now;
    }
}

/// The numbers of `/proc/PID/stat` behind the name, which may hold spaces.
fn stat(pid: &str) -> Option<Vec<f64>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect())
}

/// Fields 14 to 17 of proc(5), counted from the state, which is field 3.
fn cpu(fields: &[f64], own: bool, children: bool) -> f64 {
    let sum = |from: usize| fields.get(from..from + 2).map_or(0.0, |pair| pair.iter().sum());
    TICK * (if own { sum(11) } else { 0.0 } + if children { sum(13) } else { 0.0 })
}

/// A process, the children it has, and those it had.
fn tree_cpu(pid: i32) -> f64 {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = all.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|name| stat(&name).map(|fields| (name, fields)))
        .filter(|(name, fields)| *name == pid.to_string() || fields.get(1).copied() == Some(f64::from(pid)))
        .map(|(_, fields)| cpu(&fields, true, true))
        .sum()
}

/// CPU seconds of the children that this process has waited for.
fn waited_for() -> f64 {
    stat("self").map_or(0.0, |fields| cpu(&fields, false, true))
}

fn loopback() -> f64 {
    let text = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).unwrap_or(0.0)
}
