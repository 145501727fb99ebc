//! A few lines of Markdown for a channel in which people work on an incident.
//!
//! Everything that comes from a report stands in a code span: there nothing is markup, nobody is called by their name,
//! and no number becomes a link.

use crate::human::{next_command, probe, recovery};
use crate::summary::{LAG, elapsed_seconds, link_lag_line, link_line, report_line, subject};
use crate::text::{counted, escape, fit, grouped};
use crate::{Called, Check, Format, LinkReport, RenderOptions, Report};
use paritas_model::{Class, Difference, Verdict};
use std::io::{self, Write};

/// Rows of one table.
const ROWS_MAX: usize = 20;
/// Differing rows that are listed, all datasets together.
const ITEMS_MAX: usize = 10;
/// Columns of one text; a post is read on a telephone.
const TEXT_MAX: usize = 200;
/// Columns of a key, a value.
const VALUE_MAX: usize = 60;

/// A post.
#[derive(Debug, Clone, Default)]
pub struct Markdown {
    /// How the command was called, for the next command.
    pub called: Called,
}

impl Format for Markdown {
    fn name(&self) -> &str {
        "markdown"
    }

    fn write(&self, report: &Report, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "### {}\n", word(report))?;
        if let Some(name) = &report.run.drill {
            writeln!(out, "**DRILL** {}: an exercise, judged like an incident\n", code(name, VALUE_MAX))?;
        }
        writeln!(out, "{}\n", code(&headline(report), TEXT_MAX))?;
        achieved(report, out)?;
        links(report, out)?;
        checks(report, out)?;
        reasons(report, out)?;
        items(report, out)?;
        let open: usize = report.links.iter().map(|link| link.not_checked.len()).sum();
        if open > 0 {
            writeln!(out, "**Not checked:** {}\n", counted(open as u64, "thing"))?;
            let all = report.links.iter().flat_map(|link| &link.not_checked);
            for one in all.take(ROWS_MAX) {
                writeln!(out, "- {}: {}", code(&one.what, VALUE_MAX), code(&one.why, TEXT_MAX))?;
            }
            writeln!(out)?;
        }
        if let Some(next) = next_command(report, &self.called, options) {
            writeln!(out, "**Next:** {}\n", code(&next, TEXT_MAX))?;
        }
        let took =
            elapsed_seconds(report).map(|time| format!(", took {}", recovery::seconds(time))).unwrap_or_default();
        let run = &report.run;
        writeln!(
            out,
            "<sub>paritas {}, run {} of {}{took}</sub>",
            code(&run.command, 20),
            code(&run.id, 30),
            code(&run.started_at, 40)
        )
    }
}

fn judged(report: &Report) -> bool {
    report.links.iter().any(|link| link.recovery.is_some())
}

fn word(report: &Report) -> &'static str {
    if judged(report) {
        let goes = report.links.iter().all(|link| link.recovery.as_ref().is_some_and(crate::Recovery::goes));
        return if goes { "GO" } else { "NO-GO" };
    }
    match report.verdict {
        Verdict::Pass => "PASS",
        Verdict::Warn => "WARN",
        Verdict::Unknown => "UNKNOWN",
        Verdict::Fail => "FAIL",
    }
}

fn found(report: &Report, link: &LinkReport) -> String {
    if link.recovery.is_some() {
        recovery::line(link)
    } else if report.run.command == LAG {
        link_lag_line(link)
    } else if link.checks.iter().any(|check| matches!(check, Check::Probe(_))) {
        probe::line(link)
    } else {
        link_line(link)
    }
}

fn headline(report: &Report) -> String {
    match report.links.as_slice() {
        [only] => found(report, only),
        _ => report_line(report),
    }
}

/// A code span that nothing gets out of, also in a cell of a table.
fn code(text: &str, max: usize) -> String {
    let text = fit(&escape(text), max);
    if text.is_empty() {
        return "–".to_owned();
    }
    let runs = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(runs + 1);
    let space = if text.starts_with('`') || text.ends_with('`') || text.trim() != text { " " } else { "" };
    // A bar would end the cell; inside a code span only a backslash before it is taken away again.
    format!("{fence}{space}{}{space}{fence}", text.replace('|', "\\|"))
}

fn links(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.links.len() < 2 {
        return Ok(());
    }
    writeln!(out, "| | link | what was found |\n|---|---|---|")?;
    let mut order: Vec<&LinkReport> = report.links.iter().collect();
    order.sort_by_key(|link| std::cmp::Reverse(link.verdict));
    for link in order.iter().take(ROWS_MAX) {
        let (name, line) = (code(&link.name, VALUE_MAX), code(&found(report, link), TEXT_MAX));
        writeln!(out, "| **{}** | {name} | {line} |", link.verdict)?;
    }
    rest(order.len(), ROWS_MAX, "link", out)
}

fn rest(all: usize, shown: usize, noun: &str, out: &mut dyn Write) -> io::Result<()> {
    if all > shown {
        writeln!(out, "\n… {}", counted((all - shown) as u64, &format!("more {noun}")))?;
    }
    writeln!(out)
}

/// Checks that do not pass.
fn checks(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let all: Vec<(&LinkReport, &Check)> = report
        .links
        .iter()
        .flat_map(|link| link.checks.iter().map(move |check| (link, check)))
        .filter(|(_, check)| check.verdict() != Verdict::Pass)
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "| | link | check | finding |\n|---|---|---|---|")?;
    for (link, check) in all.iter().take(ROWS_MAX) {
        let verdict = check.verdict();
        let (name, about) = (code(&link.name, VALUE_MAX), code(&subject(check), VALUE_MAX));
        writeln!(out, "| **{verdict}** | {name} | {about} | {} |", code(&finding(check), TEXT_MAX))?;
    }
    rest(all.len(), ROWS_MAX, "check", out)
}

/// One check in a few words.
pub(crate) fn finding(check: &Check) -> String {
    if let Some(problem) = check.problem() {
        return format!("{} ({})", problem.message, problem.code);
    }
    let counts = match check {
        Check::Parity(check) => Some((&check.differences, check.complete)),
        Check::Files(check) => Some((&check.differences, true)),
        _ => None,
    };
    if let Some((counts, complete)) = counts {
        let parts = [
            (counts.lost, "lost"),
            (counts.extra, "extra"),
            (counts.changed, "changed"),
            (counts.in_flight, "in flight"),
            (counts.unproven, "unproven"),
            (counts.unverifiable, "not comparable"),
            (counts.quarantined, "quarantined"),
        ];
        let named: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{} {word}", grouped(*count)))
            .collect();
        let at_least = if complete { "" } else { "at least " };
        let slice = match check {
            Check::Parity(check) => check.slice.map(|slice| format!(" ({} of {} parts)", slice.parts, slice.of)),
            _ => None,
        };
        let slice = slice.unwrap_or_default();
        let words = if named.is_empty() { check.verdict().to_string() } else { named.join(", ") };
        return format!("{}{words}{slice}", if named.is_empty() { "" } else { at_least });
    }
    match check {
        Check::Ledger(check) => {
            format!("{} mismatched, {} unproven", counted(check.mismatched, "group"), grouped(check.unproven))
        }
        Check::Lag(check) => {
            let streams = check.streams.iter().filter(|stream| crate::lag::weight(stream.state) > 0);
            let words = streams.map(|stream| {
                let time = stream.seconds_text().map(|text| format!(", {text}")).unwrap_or_default();
                format!("{} {}{time}", stream.stream, crate::lag::state_text(stream.state))
            });
            words.collect::<Vec<_>>().join("; ")
        }
        Check::Schema(check) => counted(check.differences.len() as u64, "difference"),
        Check::Lineage(check) => check.summary.clone(),
        Check::Probe(check) => check.summary.clone(),
        Check::Coverage(check) => format!("{} not replicated whole", counted(check.items.len() as u64, "thing")),
        Check::Health(check) => format!("{} wrong", counted(check.items.len() as u64, "thing")),
        Check::Continuity(check) => format!(
            "{} missing, {} repeated, {} out of order",
            grouped(check.missing),
            grouped(check.repeated),
            grouped(check.disordered)
        ),
        Check::Clock(check) => words(check.judged()),
        Check::Freshness(check) => words(check.judged()),
        Check::Sequences(check) => {
            let behind = check.items.iter().filter(|item| item.verdict != Verdict::Pass).take(ROWS_MAX);
            let words: Vec<String> = behind.map(|item| format!("{}: {}", item.sequence, item.why)).collect();
            if words.is_empty() { counted(check.sequences, "sequence") } else { words.join("; ") }
        }
        Check::Groups(check) => worst(check.groups.iter().map(|group| (group.verdict, &group.group))),
        Check::Offsets(check) => worst(check.groups.iter().map(|group| (group.verdict, &group.group))),
        Check::Parity(_) | Check::Files(_) | Check::Snapshot(_) => check.verdict().to_string(),
    }
}

fn worst<'a>(groups: impl Iterator<Item = (Verdict, &'a String)>) -> String {
    let names: Vec<&str> =
        groups.filter(|(verdict, _)| *verdict != Verdict::Pass).map(|(_, name)| name.as_str()).take(ROWS_MAX).collect();
    names.join(", ")
}

/// What was achieved over all links, where there are several.
fn achieved(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Some(whole) = report.recovery.as_ref().filter(|_| report.links.len() > 1).map(|found| &found.whole) else {
        return Ok(());
    };
    let rto = whole.rto.seconds.map_or_else(|| "not known".to_owned(), |seconds| recovery::bounds(&seconds));
    let rpo = recovery::bounds(&whole.rpo.seconds);
    writeln!(out, "**All links** RPO {}, RTO {}\n", code(&rpo, VALUE_MAX), code(&rto, VALUE_MAX))
}

/// What speaks against going on after a failover.
fn reasons(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let all: Vec<_> =
        report.links.iter().filter_map(|link| link.recovery.as_ref().map(|found| (link, found))).collect();
    for (link, recovery) in all.iter().take(ROWS_MAX) {
        let bounds = |bounds: &crate::Bounds| recovery::bounds(bounds);
        let rto = recovery.rto.seconds.as_ref().map_or_else(|| "not known".to_owned(), bounds);
        let rpo = bounds(&recovery.rpo.seconds);
        writeln!(
            out,
            "**{}** RPO {}, RTO {}\n",
            code(&link.name, VALUE_MAX),
            code(&rpo, VALUE_MAX),
            code(&rto, VALUE_MAX)
        )?;
        for reason in recovery.reasons.iter().take(ROWS_MAX) {
            let hint = reason.hint.as_ref().map(|hint| format!(" → {}", code(hint, TEXT_MAX))).unwrap_or_default();
            let next = reason.next.as_ref().map(|next| format!(" · next {}", code(next, TEXT_MAX))).unwrap_or_default();
            writeln!(out, "- **{}** {}{hint}{next}", reason.verdict, code(&reason.text, TEXT_MAX))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The first differing rows.
fn items(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let parities = report.links.iter().flat_map(|link| &link.checks).filter_map(|check| match check {
        Check::Parity(check) => Some(check),
        _ => None,
    });
    let all: Vec<(&str, &Difference)> =
        parities.flat_map(|check| check.items.iter().map(move |item| (check.dataset.as_str(), item))).collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "| class | dataset | key | source | replica |\n|---|---|---|---|---|")?;
    for (dataset, item) in all.iter().take(ITEMS_MAX) {
        let pairs = |pairs: &[(String, paritas_model::Value)]| {
            let words: Vec<String> =
                pairs.iter().map(|(name, value)| format!("{name}={}", crate::text::value(value))).collect();
            code(&words.join(" "), VALUE_MAX)
        };
        let class = match item.class {
            Class::Lost => "− lost",
            Class::Extra => "+ extra",
            Class::Changed => "~ changed",
        };
        let (key, source, replica) = (pairs(&item.key), pairs(&item.source), pairs(&item.replica));
        writeln!(out, "| {class} | {} | {key} | {source} | {replica} |", code(dataset, VALUE_MAX))?;
    }
    rest(all.len(), ITEMS_MAX, "row", out)
}

/// What was judged, in one line.
fn words(list: Vec<crate::clock::Judged>) -> String {
    list.into_iter().map(|one| one.text).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_a_code_span() {
        assert_eq!(code("plain", 20), "`plain`");
        assert_eq!(code("a`b", 20), "``a`b``");
        assert_eq!(code("``", 20), "``` `` ```");
        assert_eq!(code("a|b\nc", 20), "`a\\|b\\nc`");
        assert_eq!(code("", 20), "–");
        assert_eq!(code(&"x".repeat(100), 5), "`xxxx…`");
    }
}
