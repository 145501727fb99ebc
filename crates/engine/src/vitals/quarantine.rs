//! Differences in rows that carry a time which no clock can have shown yet: set apart, neither lost nor equal.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use paritas_model::{Difference, Proof, Value, Verdict};
use paritas_report::ParityCheck;
use std::time::Duration;

/// Sets those differences of a check apart whose `column` lies more than `limit` ahead of `now`. Only rows that are
/// listed can be looked at: others stay what they are.
pub(crate) fn quarantine(check: &mut ParityCheck, column: &str, limit: Duration, now: Timestamp) {
    let Some(beyond) = jiff::SignedDuration::try_from(limit).ok().and_then(|limit| now.checked_add(limit).ok()) else {
        return;
    };
    let mut found = 0_u64;
    for item in check.items.iter_mut().filter(|item| item.proof == Proof::Proven) {
        let Some(at) = latest(item, column).filter(|at| *at > beyond) else { continue };
        check.differences.quarantine(item.class, item.copies);
        item.proof = Proof::Unproven;
        item.note = Some(match item.note.take() {
            Some(note) => format!("{note}; quarantined: {column} is {at}"),
            None => format!("quarantined: {column} is {at}"),
        });
        found += 1;
    }
    if found == 0 {
        return;
    }
    check.notes.push(format!(
        "{found} of the differences are quarantined: {column} is more than {} ahead of the clock",
        paritas_model::format_duration(limit)
    ));
    if check.differences.proven() == 0 && check.verdict == Verdict::Fail {
        check.verdict = Verdict::Unknown;
    }
}

/// The latest time that a row carries, on whichever side.
fn latest(item: &Difference, column: &str) -> Option<Timestamp> {
    let values = item.source.iter().chain(&item.replica).chain(&item.key);
    values.filter(|(name, _)| name == column).filter_map(|(_, value)| time(value)).max()
}

/// A time as stores write it: with a zone, or without one in UTC.
fn time(value: &Value) -> Option<Timestamp> {
    let Value::Text(text) = value else { return None };
    if text == "infinity" {
        return Some(Timestamp::MAX);
    }
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    // PostgreSQL writes whole hours of a zone alone: +00.
    if let Ok(at) = format!("{text}:00").parse::<Timestamp>() {
        return Some(at);
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::not_begun;
    use paritas_model::{Class, DifferenceCounts};
    use rstest::rstest;

    fn item(class: Class, at: &str) -> Difference {
        Difference {
            class,
            proof: Proof::Proven,
            key: vec![("id".to_owned(), Value::Int(1))],
            copies: 1,
            columns: Vec::new(),
            source: vec![("at".to_owned(), Value::Text(at.to_owned()))],
            replica: Vec::new(),
            place: None,
            note: None,
        }
    }

    fn check(items: Vec<Difference>) -> ParityCheck {
        let mut counts = DifferenceCounts::default();
        items.iter().for_each(|item| counts.add(item.class, item.proof, item.copies));
        let problem = paritas_report::Problem { code: String::new(), message: String::new(), detail: None, hint: None };
        ParityCheck { verdict: Verdict::Fail, items, differences: counts, problem: None, ..not_begun("t", problem) }
    }

    const NOW: &str = "2026-01-05T12:00:00Z";

    #[rstest]
    #[case::a_zone("2026-01-05 12:00:11+00", true)]
    #[case::another_zone("2026-01-05 14:00:11.5+02", true)]
    #[case::half_hours("2026-01-05 17:30:11+05:30", true)]
    #[case::rfc("2026-01-05T12:00:11Z", true)]
    #[case::no_zone("2026-01-05 12:00:11", true)]
    #[case::forever("infinity", true)]
    #[case::within_the_limit("2026-01-05 12:00:10+00", false)]
    #[case::the_past("2026-01-05 11:00:00+00", false)]
    #[case::no_time("tomorrow", false)]
    fn a_row_from_beyond_the_limit_is_neither_lost_nor_equal(#[case] at: &str, #[case] apart: bool) {
        let mut one = check(vec![item(Class::Lost, at)]);
        quarantine(&mut one, "at", Duration::from_secs(10), NOW.parse().unwrap());
        let expected = if apart { (0, 1, Verdict::Unknown) } else { (1, 0, Verdict::Fail) };
        assert_eq!((one.differences.lost, one.differences.quarantined, one.verdict), expected);
    }

    #[test]
    fn other_differences_keep_the_verdict() {
        let mut two = check(vec![item(Class::Changed, "2030-01-01T00:00:00Z"), item(Class::Extra, NOW)]);
        quarantine(&mut two, "at", Duration::from_secs(10), NOW.parse().unwrap());
        let counts = two.differences;
        assert_eq!((counts.changed, counts.extra, counts.quarantined, two.verdict), (0, 1, 1, Verdict::Fail));
        // Another column says nothing.
        let mut other = check(vec![item(Class::Lost, "2030-01-01T00:00:00Z")]);
        quarantine(&mut other, "changed", Duration::from_secs(10), NOW.parse().unwrap());
        assert_eq!(other.differences.lost, 1);
    }
}
