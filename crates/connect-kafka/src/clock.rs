//! The round trip to a cluster. Its clock cannot be read: no request of the protocol asks for it, and the only times
//! that brokers set are those of records that somebody appends.

use crate::bindings::Request;
use crate::client::Line;
use crate::survey;
use paritas_connect::{ClockReading, ClockShows, ClockStamp, Context, Result};

const DOING: &str = "measure the round trip";
/// A name that is asked for where no topic is known. Asking makes no topic.
const ANY_TOPIC: &str = "__paritas_nothing";
/// Why the clock is not known.
const UNTOLD: &str = "no request of Kafka's protocol asks a broker what time it is, and nothing is written to find out";

/// One small request for the state of one topic, which may be missing. Blocks.
pub(crate) fn round_trip(line: &Line, cx: &Context, topic: Option<&str>) -> Result<ClockReading> {
    if line.is_uncontrolled() {
        // The request would wait for a controller, and that is no round trip.
        line.overview(cx)?;
    }
    let names = [topic.unwrap_or(ANY_TOPIC).to_owned()];
    let begin = ClockStamp::now();
    let answer = survey::one(line.ask(cx, DOING, &[Request::Topics(&names)])?)?;
    let mut end = ClockStamp::now();
    let late = end.at.saturating_duration_since(answer.at);
    end.wall_us = end.wall_us.saturating_sub(i64::try_from(late.as_micros()).unwrap_or(0));
    end.at = answer.at;
    // Whether the topic is there does not matter; whether somebody answered does.
    answer.event.topics().map_err(|fault| line.failed(cx, DOING, &fault, "Describe", crate::errors::On::Cluster))?;
    Ok(ClockReading { begin, end, shows: ClockShows::Untold { why: UNTOLD.to_owned() } })
}
