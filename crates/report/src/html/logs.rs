//! Topics: what their copies lack, where groups of readers stand and would go on, sequences, health of clusters.

use super::files::word;
use super::markup::{Column, Markup};
use super::rows::hidden;
use super::shell::badge;
use super::{Body, value};
use crate::text::{counted, grouped};
use crate::{
    ContinuityCheck, GroupOffsets, GroupsCheck, HealthCheck, LagSeconds, LogCheck, LogFinding, OffsetsCheck,
    ParityCheck,
};

/// What a copy of a topic lacks.
pub(super) fn parity(body: &mut Body, check: &ParityCheck, log: &LogCheck) {
    use Column::{Number, Text};
    let classes: Vec<String> =
        log.classes.iter().map(|(class, count)| format!("{} {}", grouped(*count), class.replace('_', " "))).collect();
    let classes = if classes.is_empty() { "no difference".to_owned() } else { classes.join(", ") };
    let text = format!("{}: {classes}; compared by {}, timestamps {}", check.dataset, log.method, log.timestamps);
    body.page.element("p", "", &text);
    if !log.findings.is_empty() {
        findings(body, &check.dataset, log);
    }
    if log.findings_truncated {
        body.page.raw("<p class=more>The run kept no more of them; <code>--max-differences</code> keeps more.</p>");
    }
    if log.partitions.is_empty() {
        return;
    }
    let page = &mut body.page;
    page.raw("<details><summary>").text(&format!(
        "{} of {}",
        counted(log.partitions.len() as u64, "partition"),
        check.dataset
    ));
    page.raw("</summary>");
    let columns = [
        Number("Partition"),
        Text("Source offsets"),
        Text("Replica offsets"),
        Number("Source records"),
        Number("Replica records"),
        Number("Mirrored to"),
    ];
    page.table("Compared windows", &columns);
    for window in &log.partitions {
        let range = |range: Option<(u64, u64)>| {
            range.map_or_else(|| "nothing".to_owned(), |(from, to)| format!("{from} to {to}"))
        };
        page.raw("<tr>").number(&window.partition.to_string()).cell(&range(window.source)).cell(&range(window.replica));
        page.number(&grouped(window.records.source)).number(&grouped(window.records.replica));
        page.number(&known(window.mirrored_to)).raw("</tr>");
    }
    page.end_table().raw("</details>\n");
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), grouped)
}

fn findings(body: &mut Body, name: &str, log: &LogCheck) {
    use Column::{Number, Text};
    let shown = body.allow(log.findings.len());
    let page = &mut body.page;
    let columns = [
        Text("Class"),
        Number("Partition"),
        Text("Source"),
        Text("Replica"),
        Number("Records"),
        Text("Times, what differs"),
    ];
    page.table(&format!("Records of {name}"), &columns);
    for one in log.findings.iter().take(shown) {
        finding(page, one);
    }
    page.end_table();
    hidden(page, log.findings.len(), shown);
}

fn finding(page: &mut Markup, one: &LogFinding) {
    page.raw("<tr class=first><td class=class>").element(
        "span",
        &format!("cl {}", word(&one.class)),
        &one.class.replace('_', " "),
    );
    if one.proof != "proven" {
        page.element("div", "sub", &one.proof.replace('_', " "));
    }
    page.raw("</td>").number(&one.partition.to_string());
    for (side, range) in [("source", one.source), ("replica", one.replica)] {
        page.raw("<td class=d>");
        match range {
            Some((first, last)) if first == last => page.text(&first.to_string()),
            Some((first, last)) => page.text(&format!("{first} to {last}")),
            None => page.raw("<i class=null>none</i>"),
        };
        for record in one.shown.iter().filter(|record| record.side == side) {
            page.raw("<div class=record>");
            value::show(page, &record.key);
            page.raw(" = ");
            value::show(page, &record.value);
            for (name, header) in &record.headers {
                page.raw("<div class=sub>").text(name).raw(": ");
                value::show(page, header);
                page.raw("</div>");
            }
            page.raw("</div>");
        }
        page.raw("</td>");
    }
    page.number(&format!("{}{}", if one.at_least { "at least " } else { "" }, grouped(one.records))).raw("<td>");
    if let Some((first, last)) = &one.times {
        page.text(first).raw(" to ").text(last);
    }
    if !one.parts.is_empty() {
        page.element("div", "sub", &format!("differs in {}", one.parts.join(", ")));
    }
    if let Some(partition) = one.found_in {
        page.element("div", "sub", &format!("found in partition {partition}"));
    }
    one.note.iter().for_each(|note| {
        page.element("div", "sub", note);
    });
    page.raw("</td></tr>\n");
}

fn interval(seconds: Option<LagSeconds>) -> String {
    use crate::human::recovery::bounds;
    seconds
        .map_or_else(|| "unknown".to_owned(), |found| bounds(&crate::Bounds { low: Some(found.low), high: found.high }))
}

/// How far groups are behind.
pub(super) fn groups(page: &mut Markup, check: &GroupsCheck) {
    use Column::{Number, Text};
    if !check.groups.is_empty() {
        let columns = [
            Text("Verdict"),
            Text("Group"),
            Text("State"),
            Number("Members"),
            Number("Offsets behind"),
            Text("Time behind"),
            Text("Partitions"),
        ];
        page.table(&format!("Groups on the {}", check.side), &columns);
        let mut order: Vec<_> = check.groups.iter().collect();
        order.sort_by_key(|group| std::cmp::Reverse((group.verdict, group.offsets)));
        for group in order {
            page.raw("<tr><td>");
            badge(page, group.verdict);
            page.raw("</td>").open("th", &[("scope", "row")]).element("code", "", &group.group);
            group.why.iter().for_each(|why| {
                page.element("div", "sub", why);
            });
            page.close("th").cell(group.state.as_deref().unwrap_or("–"));
            page.number(&known(group.members)).number(&known(group.offsets)).cell(&interval(group.seconds)).raw("<td>");
            let states: Vec<String> = group
                .states
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(state, count)| format!("{} {}", grouped(*count), state.replace('_', " ")))
                .collect();
            page.text(&states.join(", "));
            for one in &group.worst {
                let behind = one.offsets.map_or_else(|| "unknown".to_owned(), |offsets| offsets.to_string());
                let mut text = format!("{} {}: {behind} behind", one.stream, one.state.replace('_', " "));
                text.extend(one.reason.iter().map(|reason| format!("; {reason}")));
                if let Some(time) = one.lost_in_seconds {
                    text.push_str(&format!(
                        "; retention deletes unread records in {}",
                        crate::human::recovery::seconds(time)
                    ));
                }
                page.element("div", "sub", &text);
            }
            page.raw("</td></tr>");
        }
        page.end_table();
    }
    super::lag::notes(page, &check.notes);
}

/// Where groups would go on.
pub(super) fn offsets(page: &mut Markup, check: &OffsetsCheck) {
    use Column::{Number, Text};
    if !check.groups.is_empty() {
        let columns = [
            Text("Verdict"),
            Text("Group"),
            Text("May go on"),
            Number("Lost to it"),
            Number("Seen again"),
            Text("Partitions that are not exact"),
        ];
        page.table("Groups on the replica", &columns);
        let mut order: Vec<_> = check.groups.iter().collect();
        order.sort_by_key(|group| std::cmp::Reverse(group.verdict));
        for group in order {
            self::group(page, group);
        }
        page.end_table();
    }
    super::lag::notes(page, &check.notes);
}

fn group(page: &mut Markup, group: &GroupOffsets) {
    page.raw("<tr><td>");
    badge(page, group.verdict);
    page.raw("</td>").name(&group.group);
    page.cell(group.may_resume.map_or("not proven", |may| if may { "yes" } else { "no" }));
    page.number(&known(group.lost)).number(&known(group.redelivered)).raw("<td>");
    for one in group.partitions.iter().filter(|one| one.standing != "exact") {
        let mut text = format!(
            "{} {}: source {}, replica {}, exact {}",
            one.stream,
            one.standing.replace('_', " "),
            known(one.source),
            known(one.replica),
            known(one.exact)
        );
        text.extend(one.why.iter().map(|why| format!("; {why}")));
        page.element("div", "sub", &text);
    }
    page.raw("</td></tr>");
}

/// Breaks in sequences.
pub(super) fn continuity(body: &mut Body, check: &ContinuityCheck) {
    use Column::{Number, Text};
    let text = format!(
        "{} on the {}: {} in {}; {} missing, {} repeated, {} out of order, {} without a number",
        check.dataset,
        check.side,
        counted(check.sequences, "sequence"),
        counted(check.records, "record"),
        grouped(check.missing),
        grouped(check.repeated),
        grouped(check.disordered),
        grouped(check.unreadable)
    );
    body.page.element("p", "", &text);
    if check.items.is_empty() {
        return;
    }
    let shown = body.allow(check.items.len());
    let page = &mut body.page;
    page.table("Breaks", &[Text("Sequence"), Text("Kind"), Text("Numbers"), Number("Count"), Number("Offset")]);
    for item in check.items.iter().take(shown) {
        let numbers =
            item.numbers.as_ref().map_or_else(|| "–".to_owned(), |(first, last)| format!("{first} to {last}"));
        page.raw("<tr>").name(&item.sequence).cell(&item.kind).cell(&numbers).number(&grouped(item.count));
        page.number(&known(item.offset)).raw("</tr>");
    }
    page.end_table();
    hidden(page, check.items.len(), shown);
}

/// What is the matter with a cluster.
pub(super) fn health(page: &mut Markup, check: &HealthCheck) {
    use Column::Text;
    let text =
        format!("{}: {}, {}", check.side, counted(check.brokers, "broker"), counted(check.partitions, "partition"));
    page.element("p", "", &text);
    if check.items.is_empty() {
        return;
    }
    page.table(&format!("Findings on the {}", check.side), &[Text("Verdict"), Text("What"), Text("Kind"), Text("Why")]);
    for item in &check.items {
        page.raw("<tr><td>");
        badge(page, item.verdict);
        page.raw("</td>").name(&item.what).cell(&item.kind.replace('_', " ")).cell(&item.why).raw("</tr>");
    }
    page.end_table();
    for (kind, count) in &check.kinds {
        let listed = check.items.iter().filter(|item| item.kind == *kind).count() as u64;
        if *count > listed {
            page.element("p", "more", &format!("{} {} in all", grouped(*count), kind.replace('_', " ")));
        }
    }
}
