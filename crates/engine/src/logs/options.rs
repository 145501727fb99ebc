//! What a URL or a configuration says about logs and their copies, beside how to reach them.

use crate::datasets::matches;
use crate::{Error, Result, Target};
use paritas_logs::sequence::{Counting, FieldAt};
use paritas_model::parse_duration;
use std::time::Duration;

/// How two stores of logs belong together, and what is asked of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    /// What the mirror calls the source.
    pub(crate) alias: Option<String>,
    /// Whether copies have the names of their originals.
    pub(crate) identity: Option<bool>,
    /// What stands between the alias and the name of the original.
    pub(crate) separator: Option<String>,
    /// Whether the times of records do not count.
    pub(crate) ignore_timestamps: bool,
    /// Whether records of aborted transactions may be on the replica.
    pub(crate) allow_aborted: bool,
    /// Groups to look at, by patterns; empty takes all.
    pub(crate) groups: Vec<String>,
    /// Whether no group is looked at.
    pub(crate) groupless: bool,
    /// Whether logs are compacted, where their settings do not tell.
    pub(crate) compacted: Option<bool>,
    /// How far clocks of producers and brokers may be from ours; without it they prove nothing.
    pub(crate) clock: Option<Duration>,
    /// Where a record has a number that follows the one before, and whose number it is.
    pub(crate) counting: Option<Counting>,
    /// Where a record names the transaction that it belongs to.
    pub(crate) transaction: Option<FieldAt>,
}

/// Written for groups: none is looked at, and the store is not asked for any.
const NO_GROUP: &str = "none";

/// Options of a store of logs that its connector does not know.
pub(crate) const NAMES: [&str; 11] = [
    "alias",
    "policy",
    "separator",
    "timestamps",
    "aborted",
    "groups",
    "cleanup",
    "clock",
    "sequence",
    "sequence_of",
    "transaction",
];

impl LogOptions {
    /// What both sides of a link say. What only one of them says holds for both; both must not contradict
    /// each other.
    ///
    /// # Errors
    /// `usage.url` for a value that means nothing, or two that contradict each other.
    pub(crate) fn of(source: &Target, replica: &Target) -> Result<Self> {
        let mut options = Self::default();
        for name in NAMES {
            let value = match (source.options.get(name), replica.options.get(name)) {
                (Some(ours), Some(theirs)) if ours != theirs => {
                    let message = format!("option {name} is {ours:?} on the source and {theirs:?} on the replica");
                    return Err(Error::usage("usage.url", message, "write it once, on either side"));
                }
                (Some(value), _) | (None, Some(value)) => value,
                (None, None) => continue,
            };
            options.take(name, value)?;
        }
        let either = |name: &str| source.options.get(name).or_else(|| replica.options.get(name));
        options.counting = match (either("sequence"), either("sequence_of")) {
            (Some(number), of) => {
                let hint =
                    "write key, value, header:NAME, json:MEMBER.MEMBER or bytes:AT:LENGTH, such as sequence=json:seq";
                let counting = super::continuity::counting(number, of.map(String::as_str));
                Some(counting.map_err(|why| Error::usage("usage.url", why, hint))?)
            }
            (None, Some(_)) => {
                let hint = "name the number as well: sequence=json:seq";
                let message = "sequence_of says whose number it is, and no number is named";
                return Err(Error::usage("usage.url", message, hint));
            }
            (None, None) => None,
        };
        Ok(options)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<()> {
        let choice = |first: &str, second: &str| match value {
            _ if value == first => Ok(false),
            _ if value == second => Ok(true),
            _ => {
                let message = format!("option {name} cannot be {value:?}");
                Err(Error::usage("usage.url", message, format!("write {name}={first} or {name}={second}")))
            }
        };
        match name {
            "alias" => self.alias = Some(value.to_owned()),
            "policy" => self.identity = Some(choice("default", "identity")?),
            "separator" => self.separator = Some(value.to_owned()),
            "timestamps" => self.ignore_timestamps = choice("compare", "ignore")?,
            "aborted" => self.allow_aborted = choice("refuse", "allow")?,
            "cleanup" => self.compacted = Some(choice("delete", "compact")?),
            "groups" if value == NO_GROUP => self.groupless = true,
            "groups" => {
                let patterns = value.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
                self.groups = patterns.map(str::to_owned).collect();
            }
            "clock" => {
                let hint = "write a duration, such as clock=100ms";
                let clock = parse_duration(value);
                self.clock = Some(clock.map_err(|error| Error::usage("usage.url", error.to_string(), hint))?);
            }
            "transaction" => {
                let hint = "write key, value, header:NAME or json:MEMBER.MEMBER, such as transaction=header:tx";
                let field = value.parse::<FieldAt>().map_err(|why| Error::usage("usage.url", why, hint))?;
                self.transaction = Some(field);
            }
            // Both parts of it are read together.
            _ => {}
        }
        Ok(())
    }

    /// Whether a group is to be looked at.
    pub(crate) fn takes_group(&self, name: &str) -> bool {
        !self.groupless && (self.groups.is_empty() || self.groups.iter().any(|pattern| matches(pattern, name)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn target(query: &str) -> Target {
        Target::parse(&format!("kafka://h:1/orders?{query}")).unwrap()
    }

    #[test]
    fn what_one_side_says_holds_for_both() {
        let options = LogOptions::of(&target("aborted=allow&groups=a,b*"), &target("alias=A&clock=100ms")).unwrap();
        assert_eq!((options.alias.as_deref(), options.allow_aborted), (Some("A"), true));
        assert_eq!(options.clock, Some(Duration::from_millis(100)));
        assert!(options.takes_group("a") && options.takes_group("billing") && !options.takes_group("c"));
        assert!(LogOptions::default().takes_group("c"));
    }

    #[rstest]
    #[case("alias=A", "alias=B")]
    #[case("policy=other", "")]
    #[case("cleanup=sometimes", "")]
    #[case("", "timestamps=maybe")]
    #[case("clock=soon", "")]
    #[case("", "sequence_of=json:venue")]
    #[case("transaction=nothing", "")]
    fn what_means_nothing_or_contradicts_itself_is_a_usage_error(#[case] source: &str, #[case] replica: &str) {
        let error = LogOptions::of(&target(source), &target(replica)).unwrap_err();
        assert_eq!((error.exit_code(), error.hint_text().is_some()), (2, true));
    }
}
