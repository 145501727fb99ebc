//! Whether everything that should be replicated is: tables, kinds of changes, rows, columns, slots.

use crate::error::problem_of;
use crate::follow;
use crate::record::sided;
use crate::registry::Opened;
use paritas_connect::{Context, Coverage, Error, Observation, Offer, Offered, Result, Take};
use paritas_model::Verdict;
use paritas_report::{CoverageCheck, CoverageItem};
use paritas_verify::rows::Origin;
use std::collections::{BTreeMap, BTreeSet};

/// Things that are listed; what is beyond is counted in one more item.
const ITEMS_MAX: usize = 1_000;

/// Both stores.
pub(super) struct Sides<'a> {
    pub(super) source: &'a Opened,
    pub(super) replica: &'a Opened,
}

/// What both stores said about replication.
pub(super) struct Seen<'a> {
    pub(super) source: &'a Observation,
    pub(super) replica: &'a Observation,
}

/// The check of one link; nothing where there is nothing that could be missing.
pub(super) async fn check(
    cx: &Context,
    sides: &Sides<'_>,
    seen: &Seen<'_>,
    chosen: &(dyn Fn(&str) -> bool + Sync),
    declared: bool,
) -> Option<CoverageCheck> {
    let pairing = follow::pair(seen.source, seen.replica).ok()?;
    let cursors: Vec<&str> = pairing
        .streams
        .iter()
        .filter(|paired| !paired.followed.physical)
        // Also where its slot is gone: what it should bring is subscribed to all the same.
        .filter_map(|paired| paired.followed.cursor.as_deref())
        .collect();
    let mut items = promotion(seen, &cursors);
    if cursors.is_empty() {
        let any = seen.source.cursors.iter().any(|cursor| cursor.logical);
        return any.then(|| finish(0, items));
    }
    let (ours, theirs) = tokio::join!(coverage(cx, sides.source), coverage(cx, sides.replica));
    let failed = |origin, error: &Error| {
        let problem = Some(sided(origin, problem_of(error)));
        Some(CoverageCheck { verdict: Verdict::Unknown, datasets: 0, items: Vec::new(), problem })
    };
    let ours = match ours {
        Ok(ours) => ours,
        Err(error) => return failed(Origin::Source, &error),
    };
    let theirs = match theirs {
        Ok(theirs) => theirs,
        Err(error) => return failed(Origin::Replica, &error),
    };
    let takes: Vec<&Take> =
        theirs.takes.iter().filter(|take| take.cursor.as_deref().is_some_and(|own| cursors.contains(&own))).collect();
    let datasets = ours.datasets.iter().filter(|dataset| chosen(&dataset.0)).count() as u64;
    items.extend(tables(&ours, &takes, chosen, declared));
    Some(finish(datasets, items))
}

async fn coverage(cx: &Context, opened: &Opened) -> Result<Coverage> {
    let positions = opened.store.positions().ok_or_else(|| Error::unsupported("positions"))?;
    cx.bound(positions.coverage(cx)).await
}

fn finish(datasets: u64, mut items: Vec<CoverageItem>) -> CoverageCheck {
    let verdict = items.iter().map(|item| item.verdict).max().unwrap_or(Verdict::Pass);
    items.sort_by(|a, b| (b.verdict, &a.what).cmp(&(a.verdict, &b.what)));
    let beyond = items.len().saturating_sub(ITEMS_MAX);
    items.truncate(ITEMS_MAX);
    if beyond > 0 {
        items.push(item("more", "truncated", verdict, &format!("{beyond} more are not listed"), "see the first ones"));
    }
    CoverageCheck { verdict, datasets, items, problem: None }
}

fn item(what: &str, kind: &str, verdict: Verdict, why: &str, consequence: &str) -> CoverageItem {
    let text = str::to_owned;
    CoverageItem { what: text(what), kind: text(kind), verdict, why: text(why), consequence: text(consequence) }
}

/// What a promotion would lose: of a physical replica the source's slots that it does not have, of a
/// subscription its own slot where the source has standbys.
fn promotion(seen: &Seen<'_>, cursors: &[&str]) -> Vec<CoverageItem> {
    let logical = seen.source.cursors.iter().filter(|cursor| cursor.logical);
    if cursors.is_empty() {
        let kept = |name: &str| {
            seen.replica.cursor(name).is_some_and(|own| own.logical && own.survives == Some(true) && own.lost.is_none())
        };
        let lost = logical.filter(|cursor| !kept(&cursor.name));
        let consequence =
            "after a promotion its subscriber has lost its place: it must be copied again, or misses changes";
        return lost
            .map(|cursor| {
                let what = format!("slot {}", cursor.name);
                item(
                    &what,
                    "slot",
                    Verdict::Warn,
                    "a logical slot of the source that the replica does not have",
                    consequence,
                )
            })
            .collect();
    }
    if !seen.source.cursors.iter().any(|cursor| !cursor.logical) {
        return Vec::new();
    }
    let consequence = "a promotion of a standby of the source loses it: the subscription must be copied again";
    let lost = logical.filter(|cursor| cursors.contains(&cursor.name.as_str()) && cursor.survives != Some(true));
    lost.map(|cursor| {
        item(&format!("slot {}", cursor.name), "slot", Verdict::Warn, "it is no failover slot", consequence)
    })
    .collect()
}

/// Tables, kinds of changes, rows and columns that do not reach the replica.
fn tables(source: &Coverage, takes: &[&Take], chosen: &dyn Fn(&str) -> bool, declared: bool) -> Vec<CoverageItem> {
    let mut items = Vec::new();
    let mut offered: BTreeMap<&str, Vec<&Offered>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for take in takes {
        for name in &take.offers {
            if !seen.insert(name) {
                continue;
            }
            let Some(offer) = source.offers.iter().find(|offer| offer.name == *name) else {
                let why = format!("subscription {} asks for it, and the source does not have it", take.name);
                let consequence = "nothing of it is replicated, and the apply worker fails as soon as it is asked for";
                items.push(item(&format!("publication {name}"), "missing", Verdict::Fail, &why, consequence));
                continue;
            };
            items.extend(partial(offer));
            for dataset in &offer.datasets {
                offered.entry(&dataset.dataset.0).or_default().push(dataset);
            }
        }
    }
    let names: Vec<&str> = takes.iter().map(|take| take.name.as_str()).collect();
    for dataset in source.datasets.iter().filter(|dataset| chosen(&dataset.0)) {
        match offered.get(dataset.0.as_str()) {
            None => {
                let verdict = if declared { Verdict::Fail } else { Verdict::Warn };
                let why = format!("no publication of subscription {} has it", names.join(", "));
                items.push(item(&dataset.0, "not_published", verdict, &why, "its rows never reach the replica"));
            }
            Some(offers) => items.extend(whole(&dataset.0, offers, takes)),
        }
    }
    for (dataset, why) in takes.iter().flat_map(|take| &take.datasets) {
        if let Some(why) = why {
            let consequence = "it does not show what the source shows until that is done";
            items.push(item(&dataset.0, "not_ready", Verdict::Unknown, why, consequence));
        }
    }
    if source.truncated {
        let why = "the source has more tables than are looked at";
        items.push(item("tables", "truncated", Verdict::Unknown, why, "what is beyond was not checked"));
    }
    items
}

/// Kinds of changes that a publication leaves out.
fn partial(offer: &Offer) -> Option<CoverageItem> {
    let without = offer.without.join(", ");
    let why = format!("it publishes no {without}");
    let consequence = "those changes never reach the replica";
    let what = format!("publication {}", offer.name);
    (!without.is_empty()).then(|| item(&what, "partial", Verdict::Warn, &why, consequence))
}

/// What of a published table does not arrive. Several publications add up.
fn whole(name: &str, offers: &[&Offered], takes: &[&Take]) -> Vec<CoverageItem> {
    let mut items = Vec::new();
    let taken = |member: &str| takes.iter().any(|take| take.datasets.iter().any(|(own, _)| own.0 == member));
    let mut members: Vec<&str> = offers.iter().flat_map(|offer| &offer.members).map(|own| own.0.as_str()).collect();
    members.sort_unstable();
    members.dedup();
    for member in members.into_iter().filter(|member| !taken(member)) {
        let consequence = "its rows do not reach the replica before ALTER SUBSCRIPTION ... REFRESH PUBLICATION";
        items.push(item(
            member,
            "not_subscribed",
            Verdict::Fail,
            "it is published, and not subscribed to",
            consequence,
        ));
    }
    if let Some(filters) = offers.iter().map(|offer| offer.filter.as_deref()).collect::<Option<Vec<&str>>>() {
        let why = format!("rows are filtered: {}", filters.join(" or "));
        items.push(item(name, "filtered", Verdict::Warn, &why, "other rows never reach the replica"));
    }
    if let Some(columns) = offers.iter().map(|offer| offer.columns.as_deref()).collect::<Option<Vec<&[String]>>>() {
        let why = format!("only some columns are published: {}", columns.concat().join(", "));
        items.push(item(name, "filtered", Verdict::Warn, &why, "the others never reach the replica"));
    }
    if let Some(why) = offers.iter().find_map(|offer| offer.unidentified.as_deref()) {
        let consequence = "UPDATE and DELETE on it fail on the source";
        items.push(item(name, "unidentified", Verdict::Warn, why, consequence));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use paritas_model::Dataset;
    use rstest::rstest;

    fn offered(name: &str) -> Offered {
        let dataset = Dataset(name.into());
        Offered { members: vec![dataset.clone()], dataset, filter: None, columns: None, unidentified: None }
    }

    fn take(tables: &[(&str, Option<&str>)]) -> Take {
        let datasets = tables.iter().map(|(name, why)| (Dataset((*name).into()), why.map(str::to_owned))).collect();
        Take { name: "s".into(), cursor: Some("s".into()), offers: vec!["p".into()], datasets }
    }

    /// A source with `a` and `b` that publishes `a`, after a change.
    fn source(change: impl Fn(&mut Offer)) -> Coverage {
        let mut offer = Offer { name: "p".into(), without: Vec::new(), datasets: vec![offered("a")] };
        change(&mut offer);
        let datasets = ["a", "b"].map(|name| Dataset(name.into())).to_vec();
        Coverage { datasets, truncated: false, offers: vec![offer], takes: Vec::new() }
    }

    fn kinds(source: &Coverage, take: &Take, chosen: &dyn Fn(&str) -> bool) -> Vec<(String, String, Verdict)> {
        let items = tables(source, &[take], chosen, true);
        items.into_iter().map(|item| (item.kind, item.what, item.verdict)).collect()
    }

    #[rstest]
    #[case::whole(|_: &mut Offer| {}, &[("a", None)], None)]
    #[case::not_subscribed(|_: &mut Offer| {}, &[], Some(("not_subscribed", "a", Verdict::Fail)))]
    #[case::copying(|_: &mut Offer| {}, &[("a", Some("copying"))], Some(("not_ready", "a", Verdict::Unknown)))]
    #[case::rows(|p: &mut Offer| p.datasets[0].filter = Some("id > 5".into()), &[("a", None)], Some(("filtered", "a", Verdict::Warn)))]
    #[case::columns(|p: &mut Offer| p.datasets[0].columns = Some(vec!["id".into()]), &[("a", None)], Some(("filtered", "a", Verdict::Warn)))]
    #[case::changes(|p: &mut Offer| p.without.push("delete".into()), &[("a", None)], Some(("partial", "publication p", Verdict::Warn)))]
    #[case::identity(|p: &mut Offer| p.datasets[0].unidentified = Some("no key".into()), &[("a", None)], Some(("unidentified", "a", Verdict::Warn)))]
    fn what_does_not_arrive_whole_is_named(
        #[case] change: fn(&mut Offer),
        #[case] taken: &[(&str, Option<&str>)],
        #[case] expected: Option<(&str, &str, Verdict)>,
    ) {
        let only_a = |name: &str| name == "a";
        let expected: Vec<_> =
            expected.into_iter().map(|(kind, what, v)| (kind.to_owned(), what.to_owned(), v)).collect();
        assert_eq!(kinds(&source(change), &take(taken), &only_a), expected);
    }

    #[test]
    fn a_table_in_no_publication_is_a_breach_of_what_was_declared_and_a_warning_otherwise() {
        let source = source(|_| {});
        let found = kinds(&source, &take(&[("a", None)]), &|_| true);
        assert_eq!(found, [("not_published".into(), "b".into(), Verdict::Fail)]);
        let ad_hoc = tables(&source, &[&take(&[("a", None)])], &|_| true, false);
        assert_eq!(ad_hoc[0].verdict, Verdict::Warn);
    }

    #[test]
    fn a_missing_publication_is_named() {
        let source = source(|offer| offer.name = "other".into());
        let found = kinds(&source, &take(&[]), &|name| name == "a");
        assert_eq!(found[0], ("missing".into(), "publication p".into(), Verdict::Fail));
    }
}
