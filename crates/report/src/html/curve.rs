//! How the lag of a stream went, drawn: at each moment a band that contains the true lag, against what was promised.

use super::markup::Markup;
use super::shell::moment;
use crate::human::recovery::seconds;
use crate::text::{counted, grouped};
use crate::{LagCheck, LagCurve, LagObjective, LagPoint};
use paritas_model::LagState;

/// Curves that are drawn; the document holds all of them.
const CHARTS_MAX: usize = 24;
/// Moments of one curve that are drawn; more are drawn together.
const MOMENTS_MAX: usize = 200;
/// The drawing's own units.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 100.0;
/// Half the width of a moment that has no neighbour.
const ALONE: f64 = 4.0;
/// Pixels above the drawing.
const TOP: f64 = 16.0;
/// Part of the height that lies above the largest number.
const MARGIN: f64 = 1.15;
/// An objective so many times larger than everything that was seen would flatten the curve to a line.
const BEYOND: f64 = 8.0;

/// One moment that is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    /// Seconds since 1970.
    at: f64,
    /// The last one of those that are drawn together; the same where it stands for itself.
    until: f64,
    /// Both ends of the lag, the upper one where there is one; nothing where no time is known.
    band: Option<(f64, Option<f64>)>,
}

/// All curves of a check, those with the largest lag first.
pub(super) fn write(page: &mut Markup, check: &LagCheck) {
    if check.curves.is_empty() {
        return;
    }
    let worst = |curve: &LagCurve| {
        let ends = curve.points.iter().filter_map(|point| point.seconds).map(|one| one.high.unwrap_or(one.low));
        ends.filter(|end| end.is_finite()).fold(0.0, f64::max)
    };
    let mut order: Vec<(f64, &LagCurve)> = check.curves.iter().map(|curve| (worst(curve), curve)).collect();
    order.sort_by(|one, other| other.0.total_cmp(&one.0));
    page.raw("<div class=\"charts curves\">");
    for (_, curve) in order.iter().take(CHARTS_MAX) {
        draw(page, curve, check.objective);
    }
    page.raw("</div>\n");
    page.raw("<p class=sub>Lag over the time of the measurement. The band contains the true lag; where nothing proves an upper end it reaches the top, and where no time is known there is none, but a mark below. Lines join the samples; between two of them nothing is claimed.");
    if order.len() > CHARTS_MAX {
        page.raw(" ").text(&counted((order.len() - CHARTS_MAX) as u64, "further curve"));
        page.raw(" with less lag: the document in this file holds them.");
    }
    page.raw("</p>\n");
}

/// The moments of a curve in their order, and how many points say no time of theirs.
fn moments(points: &[LagPoint]) -> (Vec<Moment>, usize) {
    let at = |point: &LagPoint| point.at.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond() as f64 / 1_000.0);
    let band = |point: &LagPoint| {
        let found = point.seconds.filter(|one| one.low.is_finite())?;
        Some((found.low, found.high.filter(|high| high.is_finite())))
    };
    let mut all: Vec<Moment> =
        points.iter().filter_map(|point| at(point).map(|at| Moment { at, until: at, band: band(point) })).collect();
    all.sort_by(|one, other| one.at.total_cmp(&other.at));
    let without = points.len() - all.len();
    (all, without)
}

/// At most [`MOMENTS_MAX`] of them. One that stands for several has a band that contains the bands of all.
fn thinned(all: &[Moment]) -> Vec<Moment> {
    let size = all.len().div_ceil(MOMENTS_MAX).max(1);
    let joined = |part: &[Moment]| {
        let bands = part.iter().filter_map(|one| one.band);
        let band = bands.reduce(|(low, high), (low2, high2)| {
            (low.min(low2), high.zip(high2).map(|(one, other)| f64::max(one, other)))
        });
        part.first().zip(part.last()).map(|(first, last)| Moment { at: first.at, until: last.until, band })
    };
    all.chunks(size).filter_map(joined).collect()
}

/// Where things are in the drawing.
#[derive(Debug, Clone, Copy)]
struct Scale {
    from: f64,
    to: f64,
    largest: f64,
}

impl Scale {
    fn x(&self, at: f64) -> f64 {
        if self.to > self.from { (at - self.from) / (self.to - self.from) * WIDTH } else { WIDTH / 2.0 }
    }

    fn y(&self, seconds: f64) -> f64 {
        HEIGHT - (seconds / self.largest * HEIGHT).clamp(0.0, HEIGHT)
    }
}

fn draw(page: &mut Markup, curve: &LagCurve, objective: Option<LagObjective>) {
    let (all, without) = moments(&curve.points);
    let drawn = thinned(&all);
    let ends = all.iter().filter_map(|one| one.band).flat_map(|(low, high)| [Some(low), high]).flatten();
    let seen = ends.fold(0.0, f64::max);
    page.raw("<div class=chart>").element("code", "", &curve.stream).raw(" ");
    page.element("span", "sub", &words(curve, &all, without));
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        page.raw("</div>");
        return;
    };
    let limit = objective.map(|levels| levels.critical).filter(|limit| limit.is_finite());
    let shown = limit.filter(|limit| seen <= 0.0 || *limit <= seen * BEYOND);
    let top = seen.max(shown.unwrap_or(0.0));
    let scale = Scale { from: first.at, to: last.at, largest: if top > 0.0 { top * MARGIN } else { 1.0 } };
    let class = format!("curve {}", class(&all, limit));
    let height = format!("{:.0}", TOP + HEIGHT + 18.0);
    page.open("svg", &[("class", &class), ("role", "img"), ("width", "100%"), ("height", &height)]);
    page.element("title", "", &format!("lag of {}: {}", curve.stream, words(curve, &all, without)));
    let view = format!("0 0 {WIDTH:.0} {HEIGHT:.0}");
    let (y, inner) = (format!("{TOP:.0}"), format!("{HEIGHT:.0}"));
    page.open(
        "svg",
        &[
            ("x", "0"),
            ("y", &y),
            ("width", "100%"),
            ("height", &inner),
            ("viewBox", &view),
            ("preserveAspectRatio", "none"),
        ],
    );
    bands(page, &drawn, scale);
    line(page, "base", (0.0, WIDTH), (HEIGHT, HEIGHT));
    for (level, class) in [(objective.and_then(|levels| levels.warning), "warnline"), (shown, "limit")] {
        if let Some(level) = level.filter(|level| *level <= scale.largest) {
            line(page, class, (0.0, WIDTH), (scale.y(level), scale.y(level)));
        }
    }
    for gap in drawn.iter().filter(|one| one.band.is_none()) {
        line(page, "gap", (scale.x(gap.at), scale.x(gap.at)), (HEIGHT, HEIGHT - 8.0));
    }
    page.close("svg");
    labels(page, (first.at, last.at), scale, limit.zip(Some(shown)));
    page.close("svg").raw("</div>");
}

/// Bands and their edges, one for each stretch in which a time is known.
fn bands(page: &mut Markup, drawn: &[Moment], scale: Scale) {
    for stretch in drawn.split(|one| one.band.is_none()).filter(|stretch| !stretch.is_empty()) {
        let mut corners: Vec<(f64, f64, Option<f64>)> = Vec::with_capacity(stretch.len() + 1);
        for one in stretch {
            let Some((low, high)) = one.band else { continue };
            let (from, to) = (scale.x(one.at), scale.x(one.until));
            if to > from {
                corners.extend([from, to].map(|x| (x, low, high)));
            } else if stretch.len() == 1 {
                corners.extend([from - ALONE, from + ALONE].map(|x| (x, low, high)));
            } else {
                corners.push((from, low, high));
            }
        }
        let open =
            |place: Option<usize>| place.and_then(|at| corners.get(at)).is_some_and(|(_, _, high)| high.is_none());
        let upper = corners.iter().enumerate().flat_map(|(at, (x, _, high))| {
            let Some(high) = high else { return vec![(*x, 0.0)] };
            // Beside a moment without an upper end nothing is known between the two, so the band goes straight up.
            let top = |beside: bool| beside.then_some((*x, 0.0));
            [top(open(at.checked_sub(1))), Some((*x, scale.y(*high))), top(open(at.checked_add(1)))]
                .into_iter()
                .flatten()
                .collect()
        });
        let lower = corners.iter().map(|(x, low, _)| (*x, scale.y(*low)));
        page.shape("polygon", "band", upper.chain(lower.clone().rev()));
        page.shape("polyline", "edge", lower);
        for known in corners.split(|(_, _, high)| high.is_none()).filter(|known| !known.is_empty()) {
            let edge = known.iter().filter_map(|(x, _, high)| Some((*x, scale.y((*high)?))));
            page.shape("polyline", "edge", edge);
        }
    }
}

fn line(page: &mut Markup, class: &str, (x1, x2): (f64, f64), (y1, y2): (f64, f64)) {
    let [x1, x2, y1, y2] = [x1, x2, y1, y2].map(|number| format!("{number:.1}"));
    page.open("line", &[("class", class), ("x1", &x1), ("x2", &x2), ("y1", &y1), ("y2", &y2)]).close("line");
}

/// What the drawing's edges stand for, and the objective.
fn labels(page: &mut Markup, (from, to): (f64, f64), scale: Scale, limit: Option<(f64, Option<f64>)>) {
    let bottom = format!("{:.0}", TOP + HEIGHT + 14.0);
    let time = |at: f64| {
        let at = jiff::Timestamp::from_millisecond((at * 1_000.0) as i64);
        at.map_or_else(|_| "?".to_owned(), |at| moment(&at.to_string()))
    };
    page.open("text", &[("class", "axis"), ("x", "0"), ("y", "10")]).text(&seconds(scale.largest)).close("text");
    page.open("text", &[("class", "axis"), ("x", "0"), ("y", &bottom)]).text(&time(from)).close("text");
    if to > from {
        page.open("text", &[("class", "axis"), ("x", "100%"), ("y", &bottom), ("text-anchor", "end")]);
        page.text(&time(to)).close("text");
    }
    let Some((limit, shown)) = limit else { return };
    let place = if shown.is_some() { "dashed" } else { "above this drawing" };
    let words = format!("objective {}, {place}", seconds(limit));
    page.open("text", &[("class", "axis"), ("x", "100%"), ("y", "10"), ("text-anchor", "end")]);
    page.text(&words).close("text");
}

/// `fail` where a breach is proven at some moment, `pass` where none is possible at any.
fn class(all: &[Moment], limit: Option<f64>) -> &'static str {
    let Some(limit) = limit else { return "" };
    let over = |one: &Moment| one.band.is_some_and(|(low, _)| low > limit);
    let within = |one: &Moment| one.band.and_then(|(_, high)| high).is_some_and(|high| high <= limit);
    if all.iter().any(over) {
        "fail"
    } else if all.iter().all(within) {
        "pass"
    } else {
        "unknown"
    }
}

/// The curve in words.
fn words(curve: &LagCurve, all: &[Moment], without: usize) -> String {
    let mut parts = vec![counted(curve.points.len() as u64, "sample")];
    let lows = all.iter().filter_map(|one| one.band).map(|(low, _)| low).reduce(f64::max);
    let highs: Option<Vec<f64>> = all.iter().filter_map(|one| one.band).map(|(_, high)| high).collect();
    let high = highs.and_then(|highs| highs.into_iter().reduce(f64::max));
    if lows.is_some() {
        parts.push(format!("largest lag {}", crate::human::recovery::bounds(&crate::Bounds { low: lows, high })));
    }
    let unknown = all.iter().filter(|one| one.band.is_none()).count();
    if unknown > 0 {
        parts.push(format!("no time known at {}", grouped(unknown as u64)));
    }
    let stopped = |point: &&LagPoint| matches!(point.state, LagState::Stalled | LagState::Broken);
    match curve.points.iter().filter(stopped).count() {
        0 => {}
        count => parts.push(format!("stalled or broken at {}", grouped(count as u64))),
    }
    let lost = curve.points.iter().filter_map(|point| point.lost).filter(|lost| lost.is_finite()).fold(0.0, f64::max);
    if lost > 0.0 {
        parts.push(format!("a failover would have lost {} at the worst moment for certain", seconds(lost)));
    }
    if without > 0 {
        parts.push(format!("{} without a time that can be read", grouped(without as u64)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: f64, band: Option<(f64, Option<f64>)>) -> Moment {
        Moment { at, until: at, band }
    }

    #[test]
    fn moments_that_are_drawn_together_keep_both_ends_of_all() {
        let all: Vec<Moment> =
            (0..1_000).map(|n| moment(f64::from(n), Some((f64::from(n), Some(f64::from(n) + 0.5))))).collect();
        let few = thinned(&all);
        assert!(few.len() <= MOMENTS_MAX);
        assert_eq!(few.first(), Some(&Moment { until: 4.0, ..moment(0.0, Some((0.0, Some(4.5)))) }));
        assert_eq!(few.last().map(|one| one.until), Some(999.0));
        let open = thinned(&[vec![moment(0.0, Some((1.0, None)))], all].concat());
        assert_eq!(open.first().and_then(|one| one.band), Some((0.0, None)));
    }

    #[test]
    fn a_long_curve_is_drawn_to_its_last_moment() {
        let point = |number: i64| LagPoint {
            at: jiff::Timestamp::from_second(1_795_230_000 + number).map(|at| at.to_string()).unwrap_or_default(),
            state: LagState::Behind,
            bytes: None,
            records: None,
            versions: None,
            seconds: Some(crate::LagSeconds { low: 1.0, high: (number % 7 > 0).then_some(2.0) }),
            lost: None,
            method: None,
            why: None,
        };
        let mut page = Markup::default();
        draw(&mut page, &LagCurve { stream: "wal/1".to_owned(), points: (0..200).map(point).collect() }, None);
        let band =
            page.as_str().split_once("<polygon").and_then(|(_, rest)| rest.split_once('>')).map_or("", |one| one.0);
        // From the left above to the right, and back below: the lower edge has 200 corners.
        let corners: Vec<&str> = band.split_once("points=\"").map_or("", |one| one.1).split(' ').collect();
        assert!(corners.len() > 400 && corners.iter().filter(|one| one.starts_with("1000.0,")).count() >= 2);
        assert_eq!(
            corners.first().map(|one| one.starts_with("0.0,")),
            corners.last().map(|one| one.starts_with("0.0,"))
        );
    }

    #[test]
    fn one_moment_that_may_be_over_the_objective_makes_no_pass() {
        let good = moment(0.0, Some((0.0, Some(1.0))));
        assert_eq!(class(&[good], Some(5.0)), "pass");
        assert_eq!(class(&[good, moment(1.0, None)], Some(5.0)), "unknown");
        assert_eq!(class(&[good, moment(1.0, Some((1.0, None)))], Some(5.0)), "unknown");
        assert_eq!(class(&[good, moment(1.0, Some((6.0, None)))], Some(5.0)), "fail");
        assert_eq!(class(&[good], None), "");
    }
}
