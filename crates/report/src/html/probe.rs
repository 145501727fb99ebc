//! What a probe saw: how long nobody took writes, and what of the acknowledged ones is gone.

use super::interval::{self, Interval};
use super::markup::{Column, Markup};
use super::shell::moment;
use crate::ProbeCheck;
use crate::human::recovery::{bounds, seconds};
use crate::text::grouped;

/// One probe.
pub(super) fn write(page: &mut Markup, check: &ProbeCheck) {
    use Column::{Number, Text};
    page.element("p", "", &check.summary);
    let rto = &check.rto;
    let found = rto.seconds.unwrap_or_default();
    let words = rto.seconds.map_or_else(|| "not known".to_owned(), |found| bounds(&found));
    page.raw("<div class=charts><div class=chart><strong>RTO</strong> ").element("span", "figure", &words);
    let drawn = Interval { low: found.low, high: found.high, objective: rto.objective, warning: None };
    interval::draw(page, "RTO", rto.verdict.map_or("", |verdict| verdict.as_str()), drawn);
    page.raw("</div></div>");
    let mut facts = vec![
        ("method", check.method.clone()),
        ("every", seconds(check.every)),
        ("ended", check.ended.clone()),
        ("gaps", grouped(check.gaps.count)),
    ];
    facts.extend(check.begun_at.as_deref().map(|at| ("begun", moment(at))));
    facts.extend(check.heartbeat.clone().map(|table| ("heartbeats in", table)));
    facts.extend(rto.why.clone().map(|why| ("not known in full", why)));
    page.raw("<dl class=facts>");
    for (name, fact) in facts {
        page.raw("<div>").element("dt", "", name).element("dd", "", &fact).raw("</div>");
    }
    page.raw("</dl>\n");
    let columns = [
        Text("Side"),
        Number("Attempts"),
        Number("Acknowledged"),
        Number("Refused"),
        Number("Without answer"),
        Number("Void"),
    ];
    page.table("Attempts", &columns);
    for (side, counts) in [("source", &check.source), ("replica", &check.replica)] {
        page.raw("<tr>").open("th", &[("scope", "row")]).text(side).close("th");
        for count in [counts.attempts, counts.acknowledged, counts.refused, counts.unknown, counts.void] {
            page.number(&grouped(count));
        }
        page.raw("</tr>");
    }
    page.end_table();
    failover(page, check);
    if !check.outages.is_empty() {
        page.table("Outages that were no failover", &[Text("Kind"), Text("How long"), Text("From"), Text("To")]);
        for outage in &check.outages {
            page.raw("<tr>").cell(&outage.kind).cell(&bounds(&outage.seconds)).cell(&outage.from).cell(&outage.to);
            page.raw("</tr>");
        }
        page.end_table();
    }
    super::lag::notes(page, &check.notes);
}

fn failover(page: &mut Markup, check: &ProbeCheck) {
    if let Some(failover) = &check.failover {
        let lost = match (failover.heartbeats.lost, failover.heartbeats.lost_at_least) {
            (Some(lost), _) => format!("{} acknowledged heartbeats are lost", grouped(lost)),
            (None, least) => format!("at least {} acknowledged heartbeats are lost", grouped(least)),
        };
        let text = format!(
            "Timeline {} was left at {}; timeline {} took writes at the address of the {} from {}; {lost}",
            failover.old_timeline,
            failover.switchpoint,
            failover.new_timeline,
            failover.side,
            failover.first_after.acknowledged_at
        );
        page.element("p", "", &text);
    }
    if let Some(split) = &check.split_brain {
        let text = format!(
            "Split brain: another server took a write that was acknowledged at {}, and the old primary one that was sent at {}",
            split.other.acknowledged_at, split.old.sent_at
        );
        page.element("p", "doubt", &text);
    }
}
