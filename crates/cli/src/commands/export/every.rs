//! An interval in the words of calendars.

use std::time::Duration;

/// How often a timer calls: the longest interval that a calendar can say and that is no longer than wanted. What is
/// not due yet when it calls is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Every {
    Seconds(u64),
    Minutes(u64),
    Hours(u64),
    Day,
}

/// Numbers that divide a minute or an hour, largest first.
const OF_SIXTY: [u64; 11] = [30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1];
/// Those that divide a day.
const OF_DAY: [u64; 7] = [12, 8, 6, 4, 3, 2, 1];

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Every {
    pub(super) fn of(interval: Duration) -> Self {
        let seconds = interval.as_secs();
        let fitting = |all: &[u64], unit: u64| all.iter().copied().find(|number| number * unit <= seconds);
        match seconds {
            DAY.. => Self::Day,
            HOUR.. => Self::Hours(fitting(&OF_DAY, HOUR).unwrap_or(1)),
            MINUTE.. => Self::Minutes(fitting(&OF_SIXTY, MINUTE).unwrap_or(1)),
            _ => Self::Seconds(fitting(&OF_SIXTY, 1).unwrap_or(1)),
        }
    }

    /// As `OnCalendar=` of systemd takes it.
    pub(super) fn calendar(self) -> String {
        match self {
            Self::Seconds(1) => "*-*-* *:*:*".to_owned(),
            Self::Seconds(number) => format!("*-*-* *:*:0/{number}"),
            Self::Minutes(1) => "*-*-* *:*:00".to_owned(),
            Self::Minutes(number) => format!("*-*-* *:0/{number}:00"),
            Self::Hours(1) => "*-*-* *:00:00".to_owned(),
            Self::Hours(number) => format!("*-*-* 0/{number}:00:00"),
            Self::Day => "*-*-* 00:00:00".to_owned(),
        }
    }

    /// As cron takes it, which knows no seconds.
    pub(super) fn cron(self) -> String {
        match self {
            Self::Seconds(_) | Self::Minutes(1) => "* * * * *".to_owned(),
            Self::Minutes(number) => format!("*/{number} * * * *"),
            Self::Hours(1) => "0 * * * *".to_owned(),
            Self::Hours(number) => format!("0 */{number} * * *"),
            Self::Day => "0 0 * * *".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, "*-*-* *:*:*", "* * * * *")]
    #[case(7, "*-*-* *:*:0/6", "* * * * *")]
    #[case(30, "*-*-* *:*:0/30", "* * * * *")]
    #[case(45, "*-*-* *:*:0/30", "* * * * *")]
    #[case(60, "*-*-* *:*:00", "* * * * *")]
    #[case(900, "*-*-* *:0/15:00", "*/15 * * * *")]
    #[case(3_600, "*-*-* *:00:00", "0 * * * *")]
    #[case(5 * 3_600, "*-*-* 0/4:00:00", "0 */4 * * *")]
    #[case(86_400, "*-*-* 00:00:00", "0 0 * * *")]
    #[case(700_000, "*-*-* 00:00:00", "0 0 * * *")]
    fn an_interval_is_said_by_both_calendars(#[case] seconds: u64, #[case] calendar: &str, #[case] cron: &str) {
        let every = Every::of(Duration::from_secs(seconds));
        assert_eq!((every.calendar().as_str(), every.cron().as_str()), (calendar, cron));
    }
}
