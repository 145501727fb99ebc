//! The histories of two servers, drawn: one lane for each timeline, where it was left, and what lies behind.

use super::markup::Markup;
use crate::text::{counted, grouped};
use crate::{LineageCheck, LinkReport, Recovery};
use paritas_model::format_size;

/// Lanes that are drawn; a table lists all of them.
const LANES_MAX: usize = 24;
/// Pixels.
const LANE_HEIGHT: usize = 56;
const TOP: usize = 26;
const BOTTOM: usize = 28;
/// Where lanes begin, and where the newest one ends, in percent.
const BEGIN: f64 = 11.0;
const END: f64 = 74.0;
/// How far a history that was left goes on behind the point where it was left.
const BEHIND: f64 = 15.0;

/// One timeline.
#[derive(Debug, Clone, Default, PartialEq)]
struct Lane {
    name: String,
    /// Where it was left.
    left_at: Option<String>,
    /// What lies behind that.
    behind: Option<String>,
    /// Where its log ends.
    end: Option<String>,
    /// Servers that stand on it.
    servers: Vec<String>,
    /// Whether something that was committed is, or may be, lost on it.
    loses: bool,
}

/// The lanes of a link, the oldest first; empty where nothing about histories is known.
fn lanes(link: &LinkReport, lineage: Option<&LineageCheck>, recovery: Option<&Recovery>) -> Vec<Lane> {
    let mut lanes: Vec<(u32, Lane)> = Vec::new();
    for left in recovery.map(|recovery| recovery.timelines.as_slice()).unwrap_or_default() {
        let lost = match (left.exact, left.transactions) {
            (true, count) => counted(count, "commit"),
            (false, 0) => "loss not known".to_owned(),
            (false, count) => format!("at least {}", counted(count, "commit")),
        };
        let lane = Lane {
            name: format!("timeline {}", left.timeline),
            left_at: Some(left.switchpoint.clone()),
            behind: Some(format!("{lost}, {}", format_size(left.bytes))),
            end: left.end.clone(),
            servers: Vec::new(),
            loses: !left.exact || left.transactions > 0,
        };
        lanes.push((left.timeline, lane));
    }
    let Some(check) = lineage else { return sorted(lanes) };
    for (store, server) in [(&link.source, &check.source), (&link.replica, &check.replica)] {
        let Some(server) = server else { continue };
        let Some(timeline) = server.timeline else { continue };
        let role = if server.in_recovery { "standby" } else { "primary" };
        let position = server.position.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
        let words = format!("{} ({role}{position})", store.name);
        match lanes.iter_mut().find(|(number, _)| *number == timeline) {
            Some((_, lane)) => lane.servers.push(words),
            None => lanes.push((
                timeline,
                Lane { name: format!("timeline {timeline}"), servers: vec![words], ..Lane::default() },
            )),
        }
    }
    let mut lanes = sorted(lanes);
    // Without a look at what was lost, the point where two histories part is all there is.
    let last = lanes.len().saturating_sub(1);
    if let (Some(fork), Some(first)) = (&check.forked_at, lanes.first_mut())
        && last > 0
        && first.left_at.is_none()
    {
        first.left_at = Some(fork.clone());
    }
    lanes
}

fn sorted(mut lanes: Vec<(u32, Lane)>) -> Vec<Lane> {
    lanes.sort_by_key(|(number, _)| *number);
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

/// Draws the histories of a link.
pub(super) fn draw(page: &mut Markup, link: &LinkReport, lineage: Option<&LineageCheck>) {
    let all = lanes(link, lineage, link.recovery.as_ref());
    if all.is_empty() {
        return;
    }
    let shown = all.get(all.len().saturating_sub(LANES_MAX)..).unwrap_or(&all);
    let height = (TOP + (shown.len() - 1) * LANE_HEIGHT + BOTTOM).to_string();
    page.raw("<figure class=lineage>");
    page.open("svg", &[("class", "lanes"), ("role", "img"), ("width", "100%"), ("height", &height)]);
    page.element("title", "", &words(shown));
    // Lanes take equal steps: the drawing shows what follows from what, and is not to scale.
    let steps = shown.len().saturating_sub(1).max(1) as f64;
    let at = |step: usize| BEGIN + (END - BEGIN - BEHIND) * (step as f64 + 1.0) / (steps + 0.4);
    for (step, lane) in shown.iter().enumerate() {
        let from = if step == 0 { BEGIN } else { at(step - 1) };
        let last = step + 1 == shown.len();
        self::lane(page, lane, step, (from, if last { END } else { at(step) }), last);
    }
    page.close("svg");
    page.raw("<figcaption>Histories of the servers, not to scale. ");
    if shown.len() < all.len() {
        page.text(&grouped((all.len() - shown.len()) as u64)).raw(" older timelines are not drawn. ");
    }
    page.raw("A dashed line is what was written behind the point where a history was left.</figcaption></figure>\n");
}

fn percent(number: f64) -> String {
    format!("{number:.2}%")
}

fn lane(page: &mut Markup, lane: &Lane, step: usize, (from, to): (f64, f64), last: bool) {
    let y = TOP + step * LANE_HEIGHT;
    let (above, below) = ((y - 7).to_string(), (y + 16).to_string());
    let y = y.to_string();
    let text = |page: &mut Markup, class: &str, x: f64, y: &str, words: &str| {
        page.open("text", &[("class", class), ("x", &percent(x)), ("y", y)]).text(words).close("text");
    };
    let line = |page: &mut Markup, class: &str, (x1, x2): (f64, f64), (y1, y2): (&str, &str)| {
        let (x1, x2) = (percent(x1), percent(x2));
        page.open("line", &[("class", class), ("x1", &x1), ("x2", &x2), ("y1", y1), ("y2", y2)]).close("line");
    };
    text(page, "lanename", 0.0, &y, &lane.name);
    if step > 0 {
        let up = (TOP + (step - 1) * LANE_HEIGHT).to_string();
        line(page, "kept", (from, from), (&up, &y));
    }
    line(page, "kept", (from, to), (&y, &y));
    let mut end = to;
    if lane.left_at.is_some() && !last {
        end = to + BEHIND;
        line(page, if lane.loses { "gone" } else { "idle" }, (to, end), (&y, &y));
        page.open("circle", &[("class", "switch"), ("cx", &percent(to)), ("cy", &y), ("r", "4")]).close("circle");
        text(page, "pos", to - 0.0, &above, lane.left_at.as_deref().unwrap_or_default());
        if let Some(behind) = &lane.behind {
            text(page, if lane.loses { "lossy" } else { "pos" }, to + 1.0, &below, behind);
        }
    }
    if last {
        page.open("circle", &[("class", "tip"), ("cx", &percent(end)), ("cy", &y), ("r", "4")]).close("circle");
    }
    let mut words = lane.servers.clone();
    words.extend(lane.end.iter().filter(|_| !last).map(|end| format!("log ends at {end}")));
    if !words.is_empty() {
        text(page, "server", end + 1.2, &((TOP + step * LANE_HEIGHT) + 4).to_string(), &words.join(", "));
    }
}

/// The drawing in words.
fn words(lanes: &[Lane]) -> String {
    let each = lanes.iter().map(|lane| {
        let left = lane.left_at.as_ref().map(|at| format!(", left at {at}")).unwrap_or_default();
        let behind = lane.behind.as_ref().map(|behind| format!(", behind it {behind}")).unwrap_or_default();
        let servers =
            if lane.servers.is_empty() { String::new() } else { format!(", holds {}", lane.servers.join(" and ")) };
        format!("{}{left}{behind}{servers}", lane.name)
    });
    each.collect::<Vec<_>>().join("; ")
}
