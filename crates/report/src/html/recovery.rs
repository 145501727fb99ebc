//! What a failover cost: the decision and its reasons, achieved RPO and RTO, what was lost.

use super::interval::{self, Interval};
use super::markup::{Column, Markup};
use super::rows::{self, hidden};
use super::shell::{badge, moment};
use super::{Body, value};
use crate::human::recovery::{bounds, loss_of, seconds};
use crate::text::{counted, grouped};
use crate::{Bounds, LeftTimeline, LineageCheck, LinkReport, LostTable, Recovery, ServerLineage};
use paritas_model::format_size;

/// GO or NO-GO, and why, each reason with what to do.
pub(super) fn decision(page: &mut Markup, link: &LinkReport, recovery: &Recovery) {
    let (word, class) = if recovery.goes() { ("GO", "go") } else { ("NO-GO", "nogo") };
    page.open("p", &[("class", &format!("decision {class}"))]).element("strong", "", word);
    page.raw(" ").text(&loss_of(link, recovery)).close("p");
    if !recovery.reasons.is_empty() {
        reasons(page, recovery);
    }
    if !recovery.steps.is_empty() {
        steps(page, recovery);
    }
}

fn reasons(page: &mut Markup, recovery: &Recovery) {
    page.table("Reasons", &[Column::Text("Verdict"), Column::Text("Finding"), Column::Text("What to do")]);
    for reason in &recovery.reasons {
        page.raw("<tr><td>");
        badge(page, reason.verdict);
        page.raw("</td>").cell(&reason.text).raw("<td>");
        match (&reason.hint, &reason.next) {
            (None, None) => drop(page.raw("–")),
            (hint, next) => {
                if let Some(hint) = hint {
                    page.text(hint);
                }
                if let Some(next) = next {
                    page.raw("<div><span class=label>Next</span> ").element("code", "", next).raw("</div>");
                }
            }
        }
        page.raw("</td></tr>");
    }
    page.end_table();
}

/// What was done, in its order, with the time that it took.
fn steps(page: &mut Markup, recovery: &Recovery) {
    use Column::{Number, Text};
    page.table("Steps of the examination", &[Text("Verdict"), Text("Step"), Number("Took"), Text("What was found")]);
    for step in &recovery.steps {
        page.raw("<tr><td>");
        match step.verdict {
            Some(verdict) => badge(page, verdict),
            None => drop(page.raw("<i class=null>none</i>")),
        }
        page.raw("</td>").open("th", &[("scope", "row")]).text(&step.step.replace('_', " ")).close("th");
        page.number(&seconds(step.seconds)).cell(&step.text).raw("</tr>");
    }
    page.end_table();
}

/// Both figures as intervals against their objectives.
pub(super) fn achieved(page: &mut Markup, recovery: &Recovery) {
    let (rpo, rto) = (&recovery.rpo, &recovery.rto);
    page.raw("<div class=charts>");
    let drawn = Interval { low: rpo.seconds.low, high: rpo.seconds.high, objective: rpo.objective, warning: None };
    chart(page, "RPO", rpo.verdict.as_str(), &bounds(&rpo.seconds), drawn);
    let found = rto.seconds.unwrap_or(Bounds { low: None, high: None });
    let drawn = Interval { low: found.low, high: found.high, objective: rto.objective, warning: None };
    let words = rto.seconds.map_or_else(|| "not known".to_owned(), |found| bounds(&found));
    chart(page, "RTO", rto.verdict.map_or("", |verdict| verdict.as_str()), &words, drawn);
    page.raw("</div>");
    let known = |exact: Option<u64>, least: u64| match (exact, least) {
        (Some(exact), _) => grouped(exact),
        (None, 0) => "unknown".to_owned(),
        (None, least) => format!("at least {}", grouped(least)),
    };
    let mut facts = vec![
        ("lost transactions", known(rpo.transactions, rpo.transactions_at_least)),
        (
            "log left behind",
            rpo.bytes.map_or_else(|| format!("at least {}", format_size(rpo.bytes_at_least)), format_size),
        ),
        ("RPO found by", rpo.method.clone()),
    ];
    if rpo.records.is_some() || rpo.records_at_least > 0 {
        facts.push(("lost records", known(rpo.records, rpo.records_at_least)));
    }
    facts.extend(rpo.seconds_if_down.map(|time| {
        ("if the old primary took no write once it was seen down", format!("RPO at most {}", seconds(time)))
    }));
    facts.extend(rpo.why.clone().map(|why| ("RPO not known in full", why)));
    facts.extend(rto.method.clone().map(|method| ("RTO found by", method)));
    facts.extend(rto.failed_at.as_deref().map(|at| ("RTO counted from the failure at", moment(at))));
    facts.extend(rto.observation.clone().map(|id| ("observation", id)));
    facts.extend(rto.observed_at.as_deref().map(|at| ("writes again from", moment(at))));
    facts.extend(rto.why.clone().map(|why| ("RTO not known in full", why)));
    page.raw("<dl class=facts>");
    for (name, fact) in facts {
        page.raw("<div>").element("dt", "", name).element("dd", "", &fact).raw("</div>");
    }
    page.raw("</dl>\n");
}

fn chart(page: &mut Markup, name: &'static str, class: &str, words: &str, drawn: Interval) {
    page.raw("<div class=chart>").element("strong", "", name).raw(" ").element("span", "figure", words);
    interval::draw(page, name, class, drawn);
    page.raw("</div>");
}

/// Where both servers stand.
pub(super) fn lineage(page: &mut Markup, link: &LinkReport, check: &LineageCheck) {
    let fork = check.forked_at.as_ref().map(|at| format!(", parted at {at}")).unwrap_or_default();
    page.raw("<p>").element("strong", "", &check.relation.replace('_', " ")).text(&fork).raw(": ");
    page.text(&check.summary).raw("</p>");
    let servers = [(&link.source, &check.source), (&link.replica, &check.replica)];
    if servers.iter().all(|(_, server)| server.is_none()) {
        return;
    }
    use Column::{Number, Text};
    let columns =
        [Text("Server"), Text("System"), Number("Timeline"), Text("Position"), Text("Role"), Text("Not known, why")];
    page.table("Servers", &columns);
    for (store, server) in servers {
        if let Some(server) = server {
            stands(page, &store.name, server);
        }
    }
    page.end_table();
}

fn stands(page: &mut Markup, name: &str, server: &ServerLineage) {
    let role = match (server.in_recovery, server.read_only) {
        (true, _) => "standby",
        (false, true) => "primary, read only by default",
        (false, false) => "primary, takes writes",
    };
    page.raw("<tr>").name(name).cell(server.system_identifier.as_deref().unwrap_or("unknown"));
    page.number(&server.timeline.map_or_else(|| "unknown".to_owned(), |timeline| timeline.to_string()));
    page.open("td", &[("class", "d")]).text(server.position.as_deref().unwrap_or("unknown")).close("td");
    page.cell(role).cell(server.why.as_deref().unwrap_or("–")).raw("</tr>");
}

/// Every timeline that was left, with its lost transactions and rows.
pub(super) fn timelines(body: &mut Body, recovery: &Recovery) {
    for timeline in &recovery.timelines {
        one(body, timeline);
    }
    held(&mut body.page, recovery);
}

fn one(body: &mut Body, left: &LeftTimeline) {
    let lost = if left.exact {
        counted(left.transactions, "commit")
    } else {
        format!("at least {}", counted(left.transactions, "commit"))
    };
    let text = format!(
        "Timeline {}: {lost} in {} of log behind {}; {} rolled back; read from {}",
        left.timeline,
        format_size(left.bytes),
        left.switchpoint,
        grouped(left.rolled_back),
        left.read_from
    );
    body.page.element("p", "", &text);
    let mut times = Vec::new();
    times.extend(left.last_surviving.as_deref().map(|at| format!("last surviving commit {at}")));
    times.extend(left.surviving_to_last_lost.map(|time| format!("to the last lost commit {}", seconds(time))));
    times.extend(left.first_to_last_lost.map(|time| format!("first to last lost commit {}", seconds(time))));
    if left.surviving_to_failure != Bounds::default() {
        times.push(format!("to the failure {}", bounds(&left.surviving_to_failure)));
    }
    if !times.is_empty() {
        body.page.element("p", "sub", &times.join("; "));
    }
    for doubt in &left.doubts {
        body.page.element("p", "doubt", doubt);
    }
    transactions(body, left);
    let Some(lost) = &left.rows else { return };
    for why in &lost.why {
        body.page.element("p", "doubt", why);
    }
    for table in &lost.tables {
        self::table(body, table);
    }
}

fn transactions(body: &mut Body, left: &LeftTimeline) {
    use Column::{Number, Text};
    if !left.lost.is_empty() {
        let shown = body.allow(left.lost.len());
        let page = &mut body.page;
        let columns =
            [Number("xid"), Text("Committed at"), Text("Database"), Text("Position"), Number("Bytes"), Text("Rows")];
        page.table(&format!("Lost transactions of timeline {}", left.timeline), &columns);
        for lost in left.lost.iter().take(shown) {
            page.raw("<tr>").number(&lost.xid.to_string()).cell(&lost.committed_at);
            page.cell(lost.database.as_deref().unwrap_or("–")).cell(&lost.lsn).number(&grouped(lost.bytes)).raw("<td>");
            for touched in &lost.touched {
                page.text(&touched.dataset).raw(" ").text(&grouped(touched.changes.total())).raw(" ");
            }
            if let Some(gid) = &lost.gid {
                page.raw("prepared as ").element("code", "", gid);
            }
            page.raw("</td></tr>");
        }
        page.end_table();
        hidden(page, left.lost.len(), shown);
    }
    if left.lost_truncated {
        body.page.raw("<p class=more>The run kept no more of them; <code>--max-differences</code> keeps more.</p>");
    }
    if !left.undecided.is_empty() {
        let page = &mut body.page;
        page.table("Prepared, not decided", &[Number("xid"), Text("Name"), Text("Database"), Text("Prepared at")]);
        for one in &left.undecided {
            page.raw("<tr>").number(&one.xid.to_string()).name(&one.gid);
            page.cell(one.database.as_deref().unwrap_or("–")).cell(&one.prepared_at).raw("</tr>");
        }
        page.end_table();
    }
}

fn table(body: &mut Body, table: &LostTable) {
    let (lost, page) = (&table.lost, &mut body.page);
    let complete = if table.complete { "" } else { "; not every row is accounted for" };
    let text = format!(
        "{}: {} inserted, {} updated, {} deleted and not on the new primary; {} there by now, {} not named{complete}",
        table.dataset,
        grouped(lost.inserted),
        grouped(lost.updated),
        grouped(lost.deleted),
        grouped(table.present),
        grouped(table.unnamed)
    );
    page.element("p", "", &text);
    for why in &table.why {
        page.element("p", "doubt", why);
    }
    for note in &table.notes {
        page.element("p", "sub", note);
    }
    if !table.amounts.is_empty() {
        use Column::{Number, Text};
        let columns = [Text("Column"), Number("Inserted"), Number("Updated"), Number("Deleted"), Number("Net")];
        page.table(&format!("Amounts of {} that the new primary lacks", table.dataset), &columns);
        for amount in &table.amounts {
            page.raw("<tr>").open("th", &[("scope", "row")]).element("code", "", &amount.column);
            amount.why.iter().for_each(|why| {
                page.element("div", "sub", why);
            });
            page.close("th");
            for sum in [&amount.inserted, &amount.updated, &amount.deleted, &amount.net] {
                page.number(sum.as_deref().unwrap_or("unknown"));
            }
            page.raw("</tr>");
        }
        page.end_table();
    }
    if table.items.is_empty() {
        return;
    }
    let shown = body.allow(table.items.len());
    let page = &mut body.page;
    rows::begin(page, &format!("Lost rows of {}", table.dataset));
    for item in table.items.iter().take(shown) {
        rows::row(page, &item.row);
    }
    page.end_table();
    hidden(page, table.items.len(), shown);
    if table.items_truncated {
        page.raw("<p class=more>The run kept no more of them; <code>--max-differences</code> keeps more.</p>");
    }
}

/// Prepared transactions on the new primary.
fn held(page: &mut Markup, recovery: &Recovery) {
    use Column::{Number, Text};
    if recovery.prepared.is_empty() {
        return;
    }
    let columns = [
        Number("xid"),
        Text("Name"),
        Text("Database"),
        Text("Owner"),
        Text("Prepared at"),
        Text("Before the promotion"),
    ];
    page.table("Prepared transactions that the new primary holds", &columns);
    for held in &recovery.prepared {
        let before = held.before_promotion.map_or("unknown", |before| if before { "yes" } else { "no" });
        page.raw("<tr>").number(&held.xid.to_string()).raw("<td>");
        value::show(page, &paritas_model::Value::Text(held.gid.clone()));
        page.raw("</td>").cell(&held.database).cell(&held.owner).cell(&held.prepared_at).cell(before).raw("</tr>");
    }
    page.end_table();
}
