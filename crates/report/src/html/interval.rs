//! An interval against an objective, drawn: what is proven, what is not ruled out, what was promised.

use super::markup::Markup;
use crate::human::recovery::seconds;

/// Part of the width that lies behind the largest known number.
const MARGIN: f64 = 1.18;
/// An interval narrower than this is drawn this wide, in percent.
const NARROWEST: f64 = 0.4;

/// What is drawn.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Interval {
    /// Proven: no less than this.
    pub(super) low: Option<f64>,
    /// No more than this; nothing where there is no upper bound.
    pub(super) high: Option<f64>,
    /// What was promised.
    pub(super) objective: Option<f64>,
    /// Above this a warning is given.
    pub(super) warning: Option<f64>,
}

impl Interval {
    fn largest(&self) -> f64 {
        let all = [self.low, self.high, self.objective, self.warning];
        all.into_iter().flatten().filter(|number| number.is_finite()).fold(0.0, f64::max)
    }

    /// In words: `0.3s to 0.4s, objective 60s`.
    fn words(&self) -> String {
        let mut text = crate::human::recovery::bounds(&crate::Bounds { low: self.low, high: self.high });
        if let Some(limit) = self.objective {
            text.push_str(&format!(", objective {}", seconds(limit)));
        }
        text
    }
}

fn percent(number: f64) -> String {
    format!("{:.2}%", number.clamp(0.0, 100.0))
}

/// Draws one interval; nothing where nothing is known. `class` is the word of a verdict, or empty.
pub(super) fn draw(page: &mut Markup, name: &str, class: &str, interval: Interval) {
    let known = interval.low.is_some() || interval.high.is_some();
    if !known && interval.objective.is_none() {
        return;
    }
    let largest = interval.largest();
    let scale = if largest > 0.0 { 100.0 / (largest * MARGIN) } else { 1.0 };
    let at = |number: f64| number * scale;
    let class = format!("interval {class}");
    page.open("svg", &[("class", &class), ("role", "img"), ("width", "100%"), ("height", "40")]);
    page.element("title", "", &format!("{name}: {}", interval.words()));
    page.raw("<rect class=track x=0 y=12 width=\"100%\" height=10 rx=2 />");
    if known {
        let low = at(interval.low.unwrap_or(0.0));
        let high = interval.high.map(at);
        let width = (high.unwrap_or(100.0) - low).max(NARROWEST);
        let kind = if high.is_some() { "range" } else { "range endless" };
        let (x, width) = (percent(low.min(100.0 - NARROWEST)), percent(width));
        page.open("rect", &[("class", kind), ("x", &x), ("y", "12"), ("width", &width), ("height", "10"), ("rx", "2")]);
        page.close("rect");
    }
    page.raw("<text class=axis x=0 y=36>0</text>");
    if let Some(warning) = interval.warning {
        line(page, at(warning), "warnline", "", false);
    }
    if let Some(limit) = interval.objective {
        line(page, at(limit), "limit", &format!("objective {}", seconds(limit)), true);
    }
    page.close("svg");
}

fn line(page: &mut Markup, at: f64, class: &str, label: &str, labelled: bool) {
    let x = percent(at);
    page.open("line", &[("class", class), ("x1", &x), ("x2", &x), ("y1", "6"), ("y2", "28")]).close("line");
    if labelled {
        // Beside the line where there is room.
        let (anchor, dx) = if at > 60.0 { ("end", "-4") } else { ("start", "4") };
        page.open("text", &[("class", "axis"), ("x", &x), ("y", "36"), ("dx", dx), ("text-anchor", anchor)]);
        page.text(label).close("text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(interval: Interval) -> String {
        let mut page = Markup::default();
        draw(&mut page, "RPO", "fail", interval);
        page.as_str().to_owned()
    }

    #[test]
    fn an_interval_without_an_upper_bound_reaches_to_the_end_and_says_so() {
        let svg = drawn(Interval { low: Some(2.0), high: None, objective: Some(8.0), warning: None });
        assert!(svg.contains("range endless") && svg.contains("at least 2s, objective 8s"), "{svg}");
        assert!(svg.contains("x=\"21.19%\" y=\"12\" width=\"78.81%\""), "{svg}");
    }

    #[test]
    fn what_is_not_known_is_not_drawn_as_nought() {
        assert_eq!(drawn(Interval::default()), "");
        let svg = drawn(Interval { objective: Some(5.0), ..Interval::default() });
        assert!(!svg.contains("\"range") && svg.contains("not known, objective 5s"), "{svg}");
    }
}
