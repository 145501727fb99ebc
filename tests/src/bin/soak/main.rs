//! `make soak`: verifies loaded links again and again, with drifts planted and servers stopped at random, and counts
//! what must not be: false alarms, missed drifts, leaks, growth. Ends with status 1 when there was any.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod board;
mod call;
mod dice;
mod drift;
mod region;

use board::Board;
use call::{Answer, Disturbance};
use dice::Dice;
use drift::Drift;
use region::Regions;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Minutes unless `SOAK_MINUTES` says otherwise.
const MINUTES: u64 = 30;
/// A line of figures this often.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// A whole number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no whole number")),
        _ => otherwise,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let minutes = number("SOAK_MINUTES", MINUTES);
    let seed = number("SOAK_SEED", u64::from(std::process::id()));
    println!("soak for {minutes} min, SOAK_SEED={seed}");
    let mut regions = Regions::start().await;
    let mut board = Board::new(&regions).await;
    let mut dice = Dice::new(seed);
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut said = Instant::now();
    while Instant::now() < end {
        round(&mut regions, &mut board, &mut dice).await;
        if said.elapsed() >= SAY_EVERY {
            println!("{}", board.line());
            said = Instant::now();
        }
    }
    let good = board.finish(&regions).await;
    println!("{}", board.table());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One verification: plant, call, judge, heal.
async fn round(regions: &mut Regions, board: &mut Board, dice: &mut Dice) {
    let standby = dice.one_in(3);
    let binary = dice.one_in(2);
    let disturbance = Disturbance::draw(dice, standby, binary);
    // A standby takes no writes of its own.
    let drifts = if standby || dice.one_in(3) { Vec::new() } else { Drift::draw(dice) };
    regions.plant(&drifts).await;
    let answer: Answer = call::verify(regions, standby, binary, disturbance).await;
    board.judge(standby, disturbance, &drifts, &answer);
    regions.mend(disturbance).await;
    regions.heal(&drifts).await;
    board.look(regions).await;
}
