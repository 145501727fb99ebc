//! Posts: short, and nothing of them but ours is markup.

use super::common::{link, report};
use super::{hostile_report, sample, samples, with_texts, written};
use paritas_model::Verdict;
use paritas_report::{Check, Markdown, Report};

fn post(report: &Report) -> String {
    written(&Markdown::default(), report)
}

/// The text with its code spans taken out, by the rule of CommonMark: a span ends at a run of as many backticks as it
/// began with.
fn outside(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        kept.push_str(&rest[..at]);
        let fence = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let mut from = at + fence;
        rest = loop {
            let Some(next) = rest[from..].find('`') else { panic!("a span is not ended: {}", &rest[at..]) };
            let run = rest[from + next..].len() - rest[from + next..].trim_start_matches('`').len();
            from += next + run;
            if run == fence {
                break &rest[from..];
            }
        };
        kept.push('¤');
    }
    kept.push_str(rest);
    kept
}

#[test]
fn a_post_says_the_verdict_the_checks_and_the_next_command() {
    let text = post(&sample::large(450));
    assert!(text.starts_with("### FAIL\n\n`trading: 450 rows differ in public.orders"), "{text}");
    assert!(text.contains("| **fail** | `trading` | `parity of public.orders` | `150 lost, 150 extra, 150 changed` |"));
    assert!(text.contains("… 440 more rows") && text.contains("**Next:** `paritas verify trading"), "{text}");
    let text = post(&sample::failover());
    assert!(text.starts_with("### NO-GO\n") && text.contains("RPO `300ms to 400ms`, RTO `41s to 41.4s`"), "{text}");
    let text = post(&sample::drill());
    assert!(
        text.contains("**DRILL** `west, fourth quarter`") && text.contains("**All links** RPO `at least 1.5s`"),
        "{text}"
    );
    assert!(text.contains("· next `paritas failover trading --max-differences 37`"), "{text}");
    let text = post(&sample::everything());
    assert!(text.contains("`public.orders_id: it hands out numbers in use; public.secret_id: "), "{text}");
    assert!(text.contains("- `public.sessions`: `left out by include and exclude of the link`"), "{text}");
    assert!(text.lines().count() < 80);
}

#[test]
fn hostile_texts_stay_inside_code_spans() {
    let plain = outside(&post(&with_texts(&["plain".to_owned()])));
    let hostile = outside(&post(&hostile_report()));
    // A text that is empty is shown as a dash, and has no span.
    let shape = |text: &str| text.replace('–', "¤");
    assert_eq!(shape(&hostile), shape(&plain));
    for report in samples().into_iter().chain([hostile_report()]) {
        let text = post(&report);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'));
        let rows = text.lines().filter(|line| line.starts_with('|'));
        // Inside a cell a bar stands behind a backslash.
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(rows.clone().all(|line| (4..=6).contains(&cells(line))), "{text}");
    }
}

#[test]
fn a_finding_in_some_parts_says_how_many() {
    let Check::Parity(mut check) = sample::sliced() else { panic!("parity") };
    (check.verdict, check.differences.lost) = (Verdict::Fail, 3);
    let text = post(&report(vec![link("west", vec![Check::Parity(check)])]));
    assert!(text.contains("`at least 3 lost (12 of 96 parts)`"), "{text}");
}
