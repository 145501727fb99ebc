//! JUnit's XML for build servers: one test case for each check, and one for each thing that was not checked.
//!
//! Source: the schema that Jenkins and GitLab read, `testsuites/testsuite/testcase` with `failure`, `error`, `skipped`.

use crate::markdown::finding;
use crate::summary::{elapsed_seconds, kind, subject};
use crate::text::is_hostile;
use crate::{Check, Format, LinkReport, RenderOptions, Report};
use paritas_model::Verdict;
use std::io::{self, Write};

/// Characters of one message.
const MESSAGE_MAX: usize = 4_096;

/// Failures are what is proven wrong, errors what could not be verified.
#[derive(Debug, Clone, Copy, Default)]
pub struct Junit;

/// One test case.
#[derive(Debug)]
struct Case {
    name: String,
    verdict: Verdict,
    seconds: f64,
    kind: String,
    message: String,
    skipped: bool,
}

impl Format for Junit {
    fn name(&self) -> &str {
        "junit"
    }

    fn write(&self, report: &Report, _: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let suites: Vec<(&LinkReport, Vec<Case>)> = report.links.iter().map(|link| (link, cases(link))).collect();
        let all: Vec<&Case> = suites.iter().flat_map(|(_, cases)| cases).collect();
        let time = elapsed_seconds(report).unwrap_or(0.0);
        let drill = match report.run.drill.as_deref() {
            None => String::new(),
            Some("") => " (drill)".to_owned(),
            Some(name) => format!(" (drill {})", xml(name)),
        };
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(
            out,
            "<testsuites name=\"paritas {}{drill}\" {} time=\"{time:.3}\">",
            xml(&report.run.command),
            counts(&all)
        )?;
        for (link, cases) in &suites {
            let name = xml(&link.name);
            let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
            write!(
                out,
                "  <testsuite name=\"{name}\" {} time=\"{seconds:.3}\"",
                counts(&cases.iter().collect::<Vec<_>>())
            )?;
            writeln!(out, " timestamp=\"{}\" id=\"{}\">", xml(&report.run.started_at), xml(&report.run.id))?;
            cases.iter().try_for_each(|case| one(out, &name, case))?;
            writeln!(out, "  </testsuite>")?;
        }
        writeln!(out, "</testsuites>")
    }
}

fn counts(cases: &[&Case]) -> String {
    let count = |wanted: Verdict| cases.iter().filter(|case| !case.skipped && case.verdict == wanted).count();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        cases.len(),
        count(Verdict::Fail),
        count(Verdict::Unknown),
        cases.iter().filter(|case| case.skipped).count()
    )
}

fn cases(link: &LinkReport) -> Vec<Case> {
    let mut cases: Vec<Case> = link.checks.iter().map(case).collect();
    if let Some(recovery) = &link.recovery {
        let reason = |one: &crate::Reason| {
            let next = one.next.as_ref().map(|next| format!("\nnext: {next}")).unwrap_or_default();
            format!("{}: {}{next}", one.verdict, one.text)
        };
        let texts: Vec<String> = recovery.reasons.iter().map(reason).collect();
        // Without a reason for it, nothing else says that nothing is proven.
        let verdict = if recovery.goes() { recovery.verdict() } else { recovery.verdict().max(Verdict::Unknown) };
        cases.push(Case {
            name: "failover decision".to_owned(),
            verdict,
            seconds: recovery.steps.iter().map(|step| step.seconds).filter(|time| *time > 0.0).sum(),
            kind: recovery.decision.clone(),
            message: texts.join("\n"),
            skipped: false,
        });
    }
    if cases.is_empty() {
        cases.push(Case {
            name: "link".to_owned(),
            verdict: link.verdict,
            seconds: 0.0,
            kind: "no check".to_owned(),
            message: "no check was made".to_owned(),
            skipped: false,
        });
    }
    cases.extend(link.not_checked.iter().map(|open| Case {
        name: format!("not checked: {}", open.what),
        verdict: Verdict::Unknown,
        seconds: 0.0,
        kind: "not checked".to_owned(),
        message: open.why.clone(),
        skipped: true,
    }));
    cases
}

fn case(check: &Check) -> Case {
    let seconds = match check {
        Check::Parity(check) => check.seconds,
        Check::Files(check) => check.seconds,
        Check::Lag(check) => check.seconds,
        Check::Ledger(check) => check.seconds,
        Check::Groups(check) => check.seconds,
        Check::Offsets(check) => check.seconds,
        Check::Continuity(check) => check.seconds,
        Check::Snapshot(check) => check.seconds,
        Check::Sequences(check) => check.seconds,
        Check::Clock(check) => check.seconds,
        Check::Freshness(check) => check.seconds,
        _ => 0.0,
    };
    let mut message = finding(check);
    if let Some(problem) = check.problem() {
        let more = [&problem.detail, &problem.hint].into_iter().flatten();
        more.for_each(|text| message.push_str(&format!("\n{text}")));
    }
    Case {
        name: subject(check),
        verdict: check.verdict(),
        seconds: if seconds.is_finite() { seconds.max(0.0) } else { 0.0 },
        kind: check.problem().map_or_else(|| kind(check).to_owned(), |problem| problem.code.clone()),
        message,
        skipped: false,
    }
}

fn one(out: &mut dyn Write, suite: &str, case: &Case) -> io::Result<()> {
    write!(out, "    <testcase classname=\"{suite}\" name=\"{}\" time=\"{:.3}\"", xml(&case.name), case.seconds)?;
    let element = match (case.skipped, case.verdict) {
        (true, _) => "skipped",
        (_, Verdict::Pass) => return writeln!(out, "/>"),
        (_, Verdict::Warn) => {
            return writeln!(out, "><system-out>warning: {}</system-out></testcase>", xml(&case.message));
        }
        (_, Verdict::Fail) => "failure",
        (_, Verdict::Unknown) => "error",
    };
    let first = xml(case.message.lines().next().unwrap_or_default());
    let kind = if case.skipped { String::new() } else { format!(" type=\"{}\"", xml(&case.kind)) };
    writeln!(out, "><{element}{kind} message=\"{first}\">{}</{element}></testcase>", xml(&case.message))
}

/// A text for an element or an attribute. XML 1.0 has no way to write most control characters, so what cannot be seen
/// is written out; line breaks stay.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars().take(MESSAGE_MAX) {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\n' => safe.push_str("&#10;"),
            c if is_hostile(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_written_out() {
        assert_eq!(xml("<a b='&\"'>\n"), "&lt;a b=&apos;&amp;&quot;&apos;&gt;&#10;");
        assert_eq!(xml("\u{0}\u{8}\u{ffff}\u{202e}é"), "\\u{0}\\u{8}\\u{ffff}\\u{202e}é");
    }
}
