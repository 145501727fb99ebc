//! Clocks, freshness, and the scores of regions.

use super::markup::{Column, Markup};
use super::shell::badge;
use crate::clock::Judged;
use crate::{ClockCheck, FreshnessCheck, RegionHealth};

/// Both clocks and the round trips to them.
pub(super) fn clock(page: &mut Markup, check: &ClockCheck) {
    judged(page, "Clocks and round trips", check.judged());
}

/// The newest row on both sides.
pub(super) fn freshness(page: &mut Markup, check: &FreshnessCheck) {
    judged(page, &format!("{} ({})", check.name, check.dataset), check.judged());
    for note in &check.notes {
        page.element("p", "sub", note);
    }
}

fn judged(page: &mut Markup, title: &str, list: Vec<Judged>) {
    page.table(title, &[Column::Text("Verdict"), Column::Text("Finding")]);
    for one in list {
        page.raw("<tr><td>");
        match one.verdict {
            Some(verdict) => badge(page, verdict),
            None => {
                page.raw("–");
            }
        }
        page.raw("</td>").cell(&one.text).raw("</tr>\n");
    }
    page.end_table();
}

/// The scores of all regions with what they are made of, so that anybody can work them out again.
pub(super) fn regions(page: &mut Markup, regions: &[RegionHealth]) {
    let columns = [
        Column::Text("Region"),
        Column::Text("State"),
        Column::Number("Score"),
        Column::Text("Parts"),
        Column::Text("Unknown"),
        Column::Text("Not included"),
    ];
    page.table("Health of regions", &columns);
    for one in regions {
        let parts = one.parts.iter().map(|part| {
            let value = if part.value == part.value_high {
                part.value.to_string()
            } else {
                format!("{} to {}", part.value, part.value_high)
            };
            format!("{} {value} (weight {})", part.part, part.weight)
        });
        let unknown: Vec<&str> = one.unknown().collect();
        page.raw("<tr>").name(&one.region.0).cell(&one.state).number(&one.text());
        page.cell(&parts.collect::<Vec<_>>().join(", ")).cell(&unknown.join(", "));
        page.cell(&one.not_included.join(", ")).raw("</tr>\n");
    }
    page.end_table();
}
