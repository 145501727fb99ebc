//! `paritas history`: what stored runs found over a time.

use crate::arguments::HistoryArgs;
use crate::configuration;
use crate::failure::{Failure, INCONCLUSIVE};
use crate::runs::{self, HistoryQuery, Options};
use crate::session::Session;
use paritas_report::write_history;
use std::time::Duration;

/// How far back, if nothing is said.
const SINCE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Runs that are listed, if nothing is said.
const LIMIT: usize = 20;

/// Reads and reports; the exit code says whether everything could be read.
pub fn run(session: &Session, arguments: &HistoryArgs) -> Result<u8, Failure> {
    // A state folder that is named needs no configuration, but what one says holds.
    let config = configuration::load_if_any(session)?;
    let options = Options { state: session.state.clone(), ..Options::default() };
    let query = HistoryQuery {
        link: arguments.link.clone(),
        since: arguments.since.unwrap_or(SINCE),
        limit: arguments.limit.map_or(LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
    };
    let history = runs::history(config.as_ref(), &options, &query)?;
    let mut text = Vec::new();
    write_history(&history, &session.render_options(), &mut text)
        .map_err(|error| Failure::new("output.failed", INCONCLUSIVE, "cannot write the history").detail(error))?;
    session.print_either(&String::from_utf8_lossy(&text), &history, history.exit_code)
}
