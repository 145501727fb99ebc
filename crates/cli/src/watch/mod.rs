//! `paritas lag --watch`: the lag again and again, as a view that redraws itself, or as one line each time.

mod board;
mod terminal;
mod view;

pub use terminal::restore;

use crate::failure::{Failure, INCONCLUSIVE, INTERRUPTED};
use crate::output;
use crate::runs::{LagOptions, LagRun};
use crate::session::{Session, Style};
use board::Board;
use paritas_connect::Context;
use paritas_report::Report;
use std::io;
use std::pin::pin;
use std::time::Duration;
use terminal::{Input, Screen};

/// Time between two looks.
const REFRESH: Duration = Duration::from_secs(1);

/// Why a view ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Somebody had seen enough.
    Quit,
    /// Ctrl-C, or a request to terminate.
    Interrupted,
}

/// Shows the lag until somebody quits; the exit code is 0 then, and 130 after an interrupt.
///
/// # Errors
/// When the terminal cannot be used.
pub async fn watch(session: &Session, lag: &mut LagRun, cx: &Context) -> Result<u8, Failure> {
    lag.keep_nothing();
    if session.style == Style::Human && output::stdout_is_terminal() {
        let ended = on_terminal(session, lag, cx).await;
        return match ended {
            Ok(Ended::Quit) => Ok(0),
            Ok(Ended::Interrupted) => Ok(INTERRUPTED),
            Err(error) => {
                let failure = Failure::new("output.failed", INCONCLUSIVE, "cannot use the terminal").detail(error);
                Err(failure.hint("send the output elsewhere for one line each time: paritas lag --watch | cat"))
            }
        };
    }
    Ok(in_lines(session, lag, cx).await)
}

/// One line each time. Only an interrupt ends it, or a reader that has gone.
async fn in_lines(session: &Session, lag: &mut LagRun, cx: &Context) -> u8 {
    while !cx.cancel_token().is_cancelled() {
        let report = lag.measure(cx, LagOptions::default()).await;
        if cx.cancel_token().is_cancelled() {
            break;
        }
        let line = board::line(&report);
        if session.print(line.as_bytes(), 0) != 0 {
            break;
        }
        tokio::select! {
            () = cx.cancel_token().cancelled() => {}
            () = tokio::time::sleep(REFRESH) => {}
        }
    }
    INTERRUPTED
}

async fn on_terminal(session: &Session, lag: &mut LagRun, cx: &Context) -> io::Result<Ended> {
    let mut screen = Screen::enter()?;
    let mut board = Board::default();
    let color = session.stdout_color();
    loop {
        screen.draw(|frame| view::draw(frame, &board, color))?;
        let report = match measured(lag, cx, &mut screen, &board, color).await? {
            Ok(report) => report,
            Err(ended) => return Ok(ended),
        };
        board.add(&report);
        screen.draw(|frame| view::draw(frame, &board, color))?;
        let mut pause = pin!(tokio::time::sleep(REFRESH));
        loop {
            tokio::select! {
                () = &mut pause => break,
                () = cx.cancel_token().cancelled() => return Ok(Ended::Interrupted),
                input = screen.input() => match answered(input) {
                    Some(ended) => return Ok(ended),
                    None => screen.draw(|frame| view::draw(frame, &board, color))?,
                },
            }
        }
    }
}

/// A measurement, unless somebody does not wait for it.
async fn measured(
    lag: &mut LagRun,
    cx: &Context,
    screen: &mut Screen,
    board: &Board,
    color: bool,
) -> io::Result<Result<Report, Ended>> {
    let mut measuring = pin!(lag.measure(cx, LagOptions::default()));
    loop {
        tokio::select! {
            report = &mut measuring => {
                let cancelled = cx.cancel_token().is_cancelled();
                return Ok(if cancelled { Err(Ended::Interrupted) } else { Ok(report) });
            }
            () = cx.cancel_token().cancelled() => return Ok(Err(Ended::Interrupted)),
            input = screen.input() => match answered(input) {
                Some(ended) => return Ok(Err(ended)),
                None => screen.draw(|frame| view::draw(frame, board, color))?,
            },
        }
    }
}

/// What an input asks for, apart from drawing again.
fn answered(input: Input) -> Option<Ended> {
    match input {
        Input::Quit => Some(Ended::Quit),
        Input::Interrupt => Some(Ended::Interrupted),
        Input::Resized => None,
    }
}
