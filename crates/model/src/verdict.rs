//! The four verdicts and how they add up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The answer to a check. Nothing unverified is ever `Pass`.
///
/// The order is the order of precedence when verdicts are combined: a proven violation wins over
/// something unknown, which wins over a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Verified, and as it should be.
    Pass,
    /// Verified, and within bounds, but something deserves a look.
    Warn,
    /// Could not be verified; nothing was proven wrong.
    Unknown,
    /// A violation is proven.
    Fail,
}

impl Verdict {
    /// The verdict of a whole from its parts. No parts at all is `Unknown`: nothing was verified.
    pub fn combine(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().max().unwrap_or(Self::Unknown)
    }

    /// The process exit code of the contract: 0 verified, 1 violation proven, 3 inconclusive.
    pub fn exit_code(self, deny_warnings: bool) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Warn => u8::from(deny_warnings),
            Self::Fail => 1,
            Self::Unknown => 3,
        }
    }

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proven_violation_wins_over_unknown_and_nothing_verified_is_unknown() {
        use Verdict::{Fail, Pass, Unknown, Warn};
        assert_eq!(Verdict::combine([Pass, Unknown, Fail, Warn]), Fail);
        assert_eq!(Verdict::combine([Pass, Unknown, Warn]), Unknown);
        assert_eq!(Verdict::combine([Pass, Warn]), Warn);
        assert_eq!(Verdict::combine([]), Unknown);
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let codes = |deny| [Verdict::Pass, Verdict::Warn, Verdict::Unknown, Verdict::Fail].map(|v| v.exit_code(deny));
        assert_eq!(codes(false), [0, 0, 3, 1]);
        assert_eq!(codes(true), [0, 1, 3, 1]);
    }
}
