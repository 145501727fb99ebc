//! One link: its sections, what decides first.

use super::markup::{Column, Markup};
use super::shell::{badge, found, tier};
use super::{
    Body, Place, files, lag, ledger, lineage, logs, open, parity, probe, recovery, rows, sequences, snapshot, vitals,
};
use crate::summary::{kind, subject};
use crate::{Check, LinkReport, Report};
use paritas_model::{Store, Verdict};
use std::collections::BTreeSet;

/// The checks of one kind.
macro_rules! checks {
    ($link:expr, $kind:ident) => {
        $link.checks.iter().filter_map(|check| match check {
            Check::$kind(check) => Some(&*check),
            _ => None,
        })
    };
}

/// Everything about one link.
pub(super) fn write(body: &mut Body, report: &Report, number: usize, link: &LinkReport) {
    let id = format!("link-{number}");
    body.places.push(Place { id: id.clone(), title: link.name.clone(), verdict: Some(link.verdict), deep: false });
    body.page.open("section", &[("class", "link"), ("id", &id)]).raw("<h2>");
    badge(&mut body.page, link.verdict);
    body.page.raw(" ").text(&link.name).raw("</h2>\n");
    route(&mut body.page, link);
    body.page.element("p", "found", &found(report, link));
    let mut one = Link { body, id: &id, told: BTreeSet::new() };
    judged(&mut one, link);
    streams(&mut one, link);
    datasets(&mut one, number, link);
    logs_of(&mut one, link);
    let kept: Vec<_> = checks!(link, Snapshot).collect();
    one.section("snapshot", "Snapshot", worst(kept.iter().map(|check| check.verdict)), |body| {
        kept.iter().for_each(|check| snapshot::write(&mut body.page, check));
    });
    others(&mut one, link);
    one.section("not-checked", "Not checked, and why", None, |body| open::not_checked(&mut body.page, link));
    one.section("problems", "Problems", None, |body| open::problems(&mut body.page, link));
    body.page.raw("</section>\n");
}

/// Where sections of a link go.
struct Link<'a> {
    body: &'a mut Body,
    id: &'a str,
    /// Keys of the sections that are on the page. Those of checks are the kinds of the checks in them.
    told: BTreeSet<&'static str>,
}

impl Link<'_> {
    /// A section, unless there is nothing to write in it.
    fn section(&mut self, key: &'static str, title: &str, verdict: Option<Verdict>, write: impl FnOnce(&mut Body)) {
        let outer = std::mem::take(&mut self.body.page);
        write(self.body);
        let inner = std::mem::replace(&mut self.body.page, outer);
        if inner.is_empty() {
            return;
        }
        self.told.insert(key);
        let id = format!("{}-{key}", self.id);
        let page = &mut self.body.page;
        page.open("section", &[("id", &id)]).open("h3", &[]).text(title);
        if let Some(verdict) = verdict {
            page.raw(" ");
            badge(page, verdict);
        }
        page.close("h3").raw("\n").append(&inner).raw("</section>\n");
        self.body.places.push(Place { id, title: title.to_owned(), verdict, deep: true });
    }
}

fn worst(verdicts: impl Iterator<Item = Verdict>) -> Option<Verdict> {
    verdicts.max()
}

/// `source → replica`.
fn route(page: &mut Markup, link: &LinkReport) {
    let store = |page: &mut Markup, side: &'static str, store: &Store| {
        let region = store.region.as_ref().map(|region| format!(", {}", region.0)).unwrap_or_default();
        page.open("div", &[("class", "store")]).element("span", "label", side).element("code", "", &store.name);
        page.element("span", "sub", &format!("{}{region}", store.kind)).close("div");
    };
    page.raw("<div class=route>");
    store(page, "source", &link.source);
    page.raw("<span class=arrow aria-hidden=true>→</span>");
    store(page, "replica", &link.replica);
    if link.tier.is_some() {
        page.open("div", &[("class", "store")]).element("span", "label", "tier").element("span", "", tier(link));
        page.close("div");
    }
    page.raw("</div>\n");
}

/// What a failover cost, and the histories of the servers.
fn judged(one: &mut Link<'_>, link: &LinkReport) {
    if let Some(found) = &link.recovery {
        one.section("decision", "Decision", Some(found.verdict()), |body| {
            recovery::decision(&mut body.page, link, found);
        });
        let kept = [Some(found.rpo.verdict), found.rto.verdict].into_iter().flatten();
        one.section("recovery", "Achieved RPO and RTO", worst(kept), |body| recovery::achieved(&mut body.page, found));
    }
    let lineages: Vec<_> = checks!(link, Lineage).collect();
    one.section("lineage", "Lineage", worst(lineages.iter().map(|check| check.verdict)), |body| {
        lineage::draw(&mut body.page, link, lineages.first().copied());
        lineages.iter().for_each(|check| recovery::lineage(&mut body.page, link, check));
    });
    if let Some(found) = &link.recovery {
        one.section("lost", "What was lost", None, |body| recovery::timelines(body, found));
    }
    let probes: Vec<_> = checks!(link, Probe).collect();
    one.section("probe", "Probe", worst(probes.iter().map(|check| check.verdict)), |body| {
        probes.iter().for_each(|check| probe::write(&mut body.page, check));
    });
}

fn streams(one: &mut Link<'_>, link: &LinkReport) {
    let lags: Vec<_> = checks!(link, Lag).collect();
    one.section("lag", "Lag", worst(lags.iter().map(|check| check.verdict)), |body| {
        lags.iter().for_each(|check| lag::write(&mut body.page, check));
    });
    let clocks: Vec<_> = checks!(link, Clock).collect();
    one.section("clock", "Clocks", worst(clocks.iter().map(|check| check.verdict)), |body| {
        clocks.iter().for_each(|check| vitals::clock(&mut body.page, check));
    });
    let fresh: Vec<_> = checks!(link, Freshness).collect();
    one.section("freshness", "Freshness", worst(fresh.iter().map(|check| check.verdict)), |body| {
        fresh.iter().for_each(|check| vitals::freshness(&mut body.page, check));
    });
    let covered: Vec<_> = checks!(link, Coverage).collect();
    one.section("coverage", "Coverage", worst(covered.iter().map(|check| check.verdict)), |body| {
        covered.iter().for_each(|check| lag::coverage(&mut body.page, check));
    });
}

/// Rows, schemas, files, figures.
fn datasets(one: &mut Link<'_>, number: usize, link: &LinkReport) {
    let parities: Vec<_> = checks!(link, Parity).collect();
    one.section("parity", "Parity", worst(parities.iter().map(|check| check.verdict)), |body| {
        if !parities.is_empty() {
            parity::table(&mut body.page, &parities);
        }
    });
    one.section("schema", "Schema differences", None, |body| {
        checks!(link, Schema).for_each(|check| schema(&mut body.page, check));
    });
    one.section("differences", "Differences by key", None, |body| {
        for (place, check) in link.checks.iter().enumerate() {
            match check {
                Check::Parity(check) => {
                    let path = format!("{number}.{place}.items");
                    rows::write(body, &check.dataset, &check.items, &path, &parity::more(check));
                }
                Check::Ledger(check) => {
                    let path = format!("{number}.{place}.rows");
                    rows::write(body, &check.name, &check.rows, &path, "");
                }
                _ => {}
            }
        }
    });
    let sets: Vec<_> = checks!(link, Files).collect();
    one.section("files", "Files", worst(sets.iter().map(|check| check.verdict)), |body| {
        sets.iter().for_each(|check| files::write(body, check));
    });
    let counters: Vec<_> = checks!(link, Sequences).collect();
    one.section("sequences", "Sequences", worst(counters.iter().map(|check| check.verdict)), |body| {
        counters.iter().for_each(|check| sequences::write(body, check));
    });
    let ledgers: Vec<_> = checks!(link, Ledger).collect();
    one.section("ledger", "Ledger", worst(ledgers.iter().map(|check| check.verdict)), |body| {
        ledgers.iter().for_each(|check| ledger::write(body, check));
    });
}

/// Topics, their readers, their clusters.
fn logs_of(one: &mut Link<'_>, link: &LinkReport) {
    let copies: Vec<_> = checks!(link, Parity).filter_map(|check| check.log.as_ref().map(|log| (check, log))).collect();
    one.section("records", "Records of topics", worst(copies.iter().map(|(check, _)| check.verdict)), |body| {
        copies.iter().for_each(|(check, log)| logs::parity(body, check, log));
    });
    let offsets: Vec<_> = checks!(link, Offsets).collect();
    one.section("offsets", "Offsets of groups", worst(offsets.iter().map(|check| check.verdict)), |body| {
        offsets.iter().for_each(|check| logs::offsets(&mut body.page, check));
    });
    let groups: Vec<_> = checks!(link, Groups).collect();
    one.section("groups", "Lag of groups", worst(groups.iter().map(|check| check.verdict)), |body| {
        groups.iter().for_each(|check| logs::groups(&mut body.page, check));
    });
    let sequences: Vec<_> = checks!(link, Continuity).collect();
    one.section("continuity", "Continuity", worst(sequences.iter().map(|check| check.verdict)), |body| {
        sequences.iter().for_each(|check| logs::continuity(body, check));
    });
    let health: Vec<_> = checks!(link, Health).collect();
    one.section("health", "Health of clusters", worst(health.iter().map(|check| check.verdict)), |body| {
        health.iter().for_each(|check| logs::health(&mut body.page, check));
    });
}

/// Everything that has no section of its own, so that no check is ever missing: kinds that no section knows, checks
/// that their section has nothing to say about, and schemas in which nothing differs.
fn others(one: &mut Link<'_>, link: &LinkReport) {
    let untold = |check: &&Check| match check {
        Check::Schema(check) => check.differences.is_empty(),
        other => !one.told.contains(kind(other)),
    };
    let others: Vec<&Check> = link.checks.iter().filter(untold).collect();
    one.section("others", "Other checks", worst(others.iter().map(|check| check.verdict())), |body| {
        if others.is_empty() {
            return;
        }
        let shown = body.allow(others.len());
        let page = &mut body.page;
        page.table(
            "Checks without a section of their own",
            &[Column::Text("Verdict"), Column::Text("Kind"), Column::Text("Subject")],
        );
        let mut order = others;
        order.sort_by_key(|check| std::cmp::Reverse(check.verdict()));
        for check in order.iter().take(shown) {
            page.raw("<tr><td>");
            badge(page, check.verdict());
            page.raw("</td>").cell(kind(check)).cell(&subject(check)).raw("</tr>\n");
        }
        page.end_table();
        rows::hidden(page, order.len(), shown);
    });
}

/// How two schemas differ.
fn schema(page: &mut Markup, check: &crate::SchemaCheck) {
    use Column::Text;
    if check.differences.is_empty() {
        return;
    }
    page.table(&check.dataset, &[Text("What"), Text("Source"), Text("Replica"), Text("Rows can be compared")]);
    for one in &check.differences {
        page.raw("<tr>").name(&one.what);
        for side in [&one.source, &one.replica] {
            match side {
                Some(text) => page.open("td", &[("class", "d")]).text(text).close("td"),
                None => page.raw("<td class=d><i class=null>absent</i></td>"),
            };
        }
        page.cell(if one.comparable { "yes" } else { "no" }).raw("</tr>");
    }
    page.end_table();
}
