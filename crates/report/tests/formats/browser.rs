//! Pages in a browser: they ask for nothing, complain about nothing, and their script shows what the page would.

use super::common::browser::Browser;
use super::common::{differing, hostile, link, report, row, values};
use super::{hostile_report, samples, written};
use paritas_model::{Class, Difference, Value};
use paritas_report::{Check, Html, Report};
use std::path::PathBuf;
use tempfile::TempDir;

fn save(folder: &TempDir, name: &str, page: &str) -> PathBuf {
    let path = folder.path().join(format!("{name}.html"));
    std::fs::write(&path, page).unwrap();
    path
}

/// Differing rows with hostile names and values, on more than one page of a list.
fn rows() -> Report {
    let text = |at: usize| Value::from(hostile::TEXTS[at % hostile::TEXTS.len()]);
    let long = "y".repeat(1_000);
    let item = |at: usize| {
        let name = |more: usize| format!("c{}", hostile::TEXTS[(at + more) % hostile::TEXTS.len()]);
        let one = |more: usize| vec![(name(more), text(at + more)), ("other".to_owned(), Value::Int(at as i64))];
        match at % 4 {
            0 => {
                let (a, b) = (format!("{long}{at}{long}"), format!("{long}{}{long}", at + 1));
                let both = |last: &str, text: Value| values([("a", text), ("b", last.into()), ("n", Value::Null)]);
                row(Class::Changed, at as i64, both(&a, text(at)), both(&b, text(at + 1)))
            }
            1 => row(Class::Lost, at as i64, one(1), Vec::new()),
            2 => row(Class::Extra, at as i64, Vec::new(), one(2)),
            _ => Difference {
                copies: 3,
                place: Some(format!("{}", text(at))),
                key: one(3),
                ..row(Class::Changed, at as i64, one(0), one(0))
            },
        }
    };
    report(vec![link("rows", vec![Check::Parity(differing("public.orders", 10_000, (0..450).map(item).collect()))])])
}

#[test]
fn pages_open_without_a_complaint_and_without_a_request() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    // What is looked for below would be found.
    let control = "<script>console.error('no')</script><img src=\"http://127.0.0.1:9/x.png\">";
    browser.open(&save(&folder, "control", control));
    assert!(browser.requests().iter().any(|url| url.ends_with("/x.png")));
    assert!(browser.complaints().len() > 1, "{:?}", browser.complaints());

    let reports = samples().into_iter().chain([hostile_report(), rows()]);
    for (number, report) in reports.enumerate() {
        let path = save(&folder, &number.to_string(), &written(&Html::default(), &report));
        browser.open(&path);
        let own = format!("file://{}", path.display());
        let others: Vec<String> = browser.requests().into_iter().filter(|url| *url != own && url != "data:,").collect();
        assert_eq!((others, browser.complaints()), (Vec::new(), Vec::new()), "page {number}");
        let foreign =
            "window.hit === undefined && document.querySelectorAll('img, iframe, object, form, base').length === 0";
        assert_eq!(browser.value(foreign), true);
        let document = browser.value("document.getElementById('report').textContent");
        assert_eq!(serde_json::from_str::<Report>(document.as_str().unwrap()).unwrap(), report);
    }
}

#[test]
fn the_script_shows_the_rows_that_the_page_would_and_finds_the_others() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    browser.open(&save(&folder, "rows", &written(&Html::default(), &rows())));
    let body = "document.querySelector('.rows tbody')";
    let shown = format!("{body}.textContent.replace(/\\s/g, '')");
    let marked = format!(
        "[...{body}.querySelectorAll('mark, .x, .null, .cut, .cl')].map((one) => one.className + one.textContent).join()"
    );
    let by_page = (browser.value(&shown), browser.value(&marked));
    browser.value("document.querySelectorAll('.bar button')[1].click()");
    assert_eq!(browser.value("document.querySelector('.bar output').value"), "201 to 400 of 450");
    assert_eq!(browser.value(&format!("{body}.querySelectorAll('tr.first').length")), 200);
    browser.value("document.querySelectorAll('.bar button')[0].click()");
    let by_script = (browser.value(&shown), browser.value(&marked));
    assert_eq!(by_page, by_script);

    let choose = "(() => { const kinds = document.querySelector('.bar select'); kinds.value = 'lost'; kinds.dispatchEvent(new Event('change')); })()";
    browser.value(choose);
    assert_eq!(browser.value("document.querySelector('.bar output').value"), "1 to 113 of 113");
    let find = "new Promise((done) => {
        const words = document.querySelector('.bar input'), where = document.querySelector('.bar output');
        new MutationObserver(() => done(where.value)).observe(where, { childList: true, characterData: true, subtree: true });
        words.value = '\"id\":449'; words.dispatchEvent(new Event('input'));
    })";
    assert_eq!(browser.value(find), "1 to 1 of 1");
    assert_eq!((browser.complaints(), browser.value("window.hit === undefined")), (Vec::new(), true.into()));
}
