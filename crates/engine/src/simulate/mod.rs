//! `paritas simulate`: what a failover would lose, now or at any moment of a time.
//!
//! What a replica lacks is lost when it is promoted, but for what a physical one has received and would still replay. The
//! lag of a stream is an interval, and so is the loss: its upper end is that of the lag, its lower end what would be lost
//! for certain. Nothing is written, no store is touched beyond what `paritas lag` asks.

mod now;
mod past;
mod together;

pub use now::simulated;
pub use past::{SimulatedWindow, simulate_window};

use paritas_config::{Config, Levels};
use paritas_report::{LagObjective, NotChecked};

/// The objective for the RPO of a link.
fn levels_of(config: Option<&Config>, link: &str) -> Option<Levels> {
    config.and_then(|config| config.link(link)).and_then(|link| link.objectives.rpo)
}

fn objective(levels: &Levels) -> LagObjective {
    LagObjective {
        target: levels.target.map(|target| target.as_secs_f64()),
        warning: levels.warning.map(|warning| warning.as_secs_f64()),
        critical: levels.critical.as_secs_f64(),
    }
}

/// Where nothing was promised nothing can be breached, and a reader should know.
fn without_objective(levels: Option<&Levels>) -> Option<NotChecked> {
    let why = "the link has no objective for the RPO: what is known passes";
    levels.is_none().then(|| NotChecked { what: "RPO objective".to_owned(), why: why.to_owned() })
}
