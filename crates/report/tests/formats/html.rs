//! The page: its elements are ours alone, and it holds the document.

use super::common::{differing, link, report, row, sample, values};
use super::{hostile_report, samples, with_texts, written};
use paritas_model::{Class, Value, Verdict};
use paritas_report::{Check, Html, Privacy, Report, apply_privacy};
use proptest::prelude::*;

/// Elements of a page, and attributes that they have.
const ELEMENTS: &[&str] = &[
    "html",
    "head",
    "meta",
    "link",
    "title",
    "style",
    "body",
    "a",
    "nav",
    "p",
    "ul",
    "li",
    "main",
    "header",
    "h1",
    "h2",
    "h3",
    "span",
    "dl",
    "div",
    "dt",
    "dd",
    "strong",
    "code",
    "section",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "i",
    "mark",
    "pre",
    "svg",
    "rect",
    "line",
    "circle",
    "polygon",
    "polyline",
    "text",
    "figure",
    "figcaption",
    "details",
    "summary",
    "footer",
    "script",
];
const ATTRIBUTES: &[&str] = &[
    "class",
    "id",
    "href",
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "rel",
    "role",
    "aria-label",
    "aria-hidden",
    "tabindex",
    "scope",
    "rowspan",
    "title",
    "width",
    "height",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "rx",
    "cx",
    "cy",
    "r",
    "dx",
    "text-anchor",
    "points",
    "viewBox",
    "preserveAspectRatio",
    "data-path",
    "data-size",
    "type",
];
/// Elements without an end.
const EMPTY: &[&str] = &["meta", "link"];

/// The names of all elements in their order, each checked: known, with known attributes, ended in good order. Whatever
/// stands between them is a text in which nothing is left to escape.
fn elements(page: &str) -> Vec<String> {
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("begins as HTML");
    let (mut open, mut all): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        assert!(!before.contains('>'), "{before}");
        let end = tag.find('>').expect("ends");
        let (inside, behind) = (&tag[1..end], &tag[end + 1..]);
        rest = behind;
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "near {before:?}");
            continue;
        }
        let name = inside.split([' ', '\n']).next().unwrap();
        assert!(ELEMENTS.contains(&name), "an element {name}: {inside}");
        attributes(inside[name.len()..].trim_end_matches('/'));
        all.push(name.to_owned());
        if name == "style" || name == "script" {
            let ending = format!("</{name}>");
            rest = &rest[rest.find(&ending).expect("ends") + ending.len()..];
        } else if !EMPTY.contains(&name) && !inside.ends_with('/') {
            open.push(name.to_owned());
        }
    }
    assert_eq!(open, Vec::<String>::new());
    all
}

fn attributes(mut text: &str) {
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return;
        }
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        assert!(ATTRIBUTES.contains(&name), "an attribute {name:?}");
        text = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("ends").1,
            None => value.split_once(' ').map_or("", |(_, rest)| rest),
        };
    }
}

fn page(report: &Report) -> String {
    written(&Html::default(), report)
}

/// The document in a page.
fn embedded(page: &str) -> Report {
    let begin = "<script type=\"application/json\" id=\"report\">";
    let (_, rest) = page.split_once(begin).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn seen(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}');
    c == '\n' || !c.is_control() && !invisible
}

#[test]
fn every_report_becomes_a_page_with_the_document_in_it() {
    for report in samples() {
        let page = page(&report);
        elements(&page);
        assert_eq!(embedded(&page), report);
        assert!(page.contains("Content-Security-Policy") && page.contains("default-src &#39;none&#39;"));
        let address = page.find("http:").or_else(|| page.find("https:"));
        assert_eq!(address.map(|at| &page[at..at + 40]), None);
    }
}

#[test]
fn hostile_texts_change_no_element_and_stay_what_they_were() {
    let (plain, hostile) = (with_texts(&["plain".to_owned()]), hostile_report());
    // What cannot be seen is marked, and so is what differs in a value: that is ours, and depends on texts.
    let names = |report| {
        elements(&page(report)).into_iter().filter(|name| !["i", "mark"].contains(&name.as_str())).collect::<Vec<_>>()
    };
    let (hostile_names, plain_names) = (names(&hostile), names(&plain));
    let parted = hostile_names.iter().zip(&plain_names).position(|(one, other)| one != other);
    assert_eq!((parted, hostile_names.len()), (None, plain_names.len()));
    let page = page(&hostile);
    assert_eq!(embedded(&page), hostile);
    assert!(page.chars().all(seen), "{:?}", page.chars().find(|c| !seen(*c)));
}

#[test]
fn verdict_figures_and_what_was_left_out_stand_on_the_page() {
    let page = page(&sample::everything());
    for text in [
        "6 links: ",
        "public.sessions",
        "left out by include and exclude of the link",
        "connection to 10.0.0.6:5432 refused",
        "check that the server runs",
        "90071992547409.93",
        "replica has 0.01 more in amount",
        "10.0<mark>1</mark>",
        "at least 12.3s, objective 5s",
        "51 records lie between",
        "18446744073709551610 to 18446744073709551612",
        "tenant-7/2026-11-20.tar.gz",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let page = super::html::page(&sample::failover());
    for text in
        ["NO-GO", "exactly 37 committed transactions are lost", "timeline 3, holds pg-west", "41s to 41.4s", "48199.25"]
    {
        assert!(page.contains(text), "{text}");
    }
}

fn all_of(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_drill_is_called_one_and_tells_what_was_achieved_by_every_scope() {
    let drill = sample::drill();
    let page = page(&drill);
    let (before, links) = page.split_once("id=\"link-0\"").unwrap();
    all_of(before, &["<strong>DRILL</strong> <span>west, fourth quarter</span>", "DRILL · NO-GO"]);
    all_of(before, &["Achieved RPO and RTO", "all links", "<code>warm</code>", "<code>s3-east</code>"]);
    all_of(before, &["<code>orders</code>", "at least 1.5s", "41s to 41.4s", "orders: partition 4 could not be read"]);
    all_of(before, &["37 transactions", "110 rows", "at least 51 records", "2 files", "997KiB of log"]);
    all_of(before, &["48199.25", "<td class=\"n\">7.25</td>", "not proven", "a ledger"]);
    all_of(links, &["Steps of the examination", "new primary", "2.75s", "no group of readers belongs to this link"]);
    all_of(links, &["RTO counted from the failure at", "2026-11-21 02:58:00 UTC"]);
    all_of(links, &["paritas failover trading --max-differences 37"]);
    let page = super::html::page(&sample::failover());
    assert!(!page.contains("DRILL") && page.contains("Achieved RPO and RTO"));
}

#[test]
fn sequences_slices_curves_and_what_a_snapshot_holds_stand_on_the_page() {
    let page = page(&sample::everything());
    all_of(&page, &["4 sequences against the columns", "public.orders_id", ">1000001<", ">1000032<", ">1000033<"]);
    all_of(&page, &["it hands out numbers in use", "SELECT setval(", "for public.orders.order_id"]);
    all_of(&page, &["12 of 96 parts, the rest in later runs"]);
    all_of(&page, &["Against snapshot 01K00000000000000000000001", "17 groups written since", "17 rows written since"]);
    all_of(
        &page,
        &[
            "Replica minus source, as a whole: fee -7.25",
            "every group, and the total",
            "Values of 4 sequences are kept",
        ],
    );
    all_of(&page, &["<strong>snapshot, public.fills</strong>", "<strong>snapshot, positions</strong>"]);
    all_of(&page, &["25 samples, largest lag at least 6s, no time known at 2, stalled or broken at 4"]);
    let curves = page.matches("class=\"curve fail\"").count();
    // Two stretches in which a time is known, and two moments between them in which none is.
    assert!(curves > 0, "a proven breach");
    assert_eq!(page.matches("class=\"band\"").count(), 2 * curves);
    assert_eq!(page.matches("class=\"gap\"").count(), 2 * curves);
}

#[test]
fn privacy_hides_what_a_system_says_of_what_a_snapshot_could_not_keep() {
    let mut report = report(vec![link("kept", vec![sample::snapshot()])]);
    let said = "connection to 10.0.0.6:5432 refused";
    assert!(serde_json::to_string(&report).unwrap().contains(said));
    apply_privacy(&mut report, Privacy::Mask);
    assert!(!serde_json::to_string(&report).unwrap().contains(said));
}

#[test]
fn no_check_is_missing_on_the_page() {
    let page =
        page(&report(vec![link("equal", vec![super::common::schema("public.equal", Verdict::Pass, Vec::new())])]));
    all_of(&page, &["Other checks", "schema of public.equal"]);
    for report in samples() {
        let page = super::html::page(&report);
        for (number, link) in report.links.iter().enumerate() {
            for check in &link.checks {
                let kind = serde_json::to_value(check).unwrap()["check"].as_str().unwrap().to_owned();
                let section = format!("id=\"link-{number}-{kind}\"");
                assert!(
                    page.contains(&section) || page.contains(&format!("<td>{kind}</td>")),
                    "{kind} of {}",
                    link.name
                );
            }
        }
    }
}

#[test]
fn megabytes_in_names_and_values_do_not_make_a_megabyte_of_page() {
    let long = "x<\u{202e}".repeat(1 << 18);
    let value = |end: &str| Value::Text(format!("{long}{end}"));
    let rows = vec![
        row(Class::Changed, 1, values([("a", value("1"))]), values([("a", value("2"))])),
        row(Class::Lost, 2, vec![(long.clone(), value("3"))], Vec::new()),
    ];
    let mut one = link(&long, vec![Check::Parity(differing(&long, 10, rows))]);
    one.source.name.clone_from(&long);
    let report = report(vec![one]);
    let page = page(&report);
    elements(&page);
    let (before, _) = page.split_once("<script type=").unwrap();
    assert!(before.len() < 1_500_000, "{}", before.len());
    assert_eq!(embedded(&page), report);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_text_whatever_gets_out(texts in proptest::collection::vec(any::<String>(), 1..40)) {
        let report = with_texts(&texts);
        let page = page(&report);
        elements(&page);
        prop_assert!(page.chars().all(seen));
        prop_assert_eq!(embedded(&page), report);
    }
}
