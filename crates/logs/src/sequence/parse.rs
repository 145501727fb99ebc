//! Fields of records as a URL or a configuration writes them.

use super::{FieldAt, Part, Written};
use std::str::FromStr;

impl FromStr for FieldAt {
    type Err = String;

    /// `key`, `value` (the whole part as text), `header:NAME`, `json:MEMBER.MEMBER` (of the value),
    /// `bytes:AT:LENGTH` and `bytes:AT:LENGTH:little` (of the value); `key:json:…` and `key:bytes:…` mean the key.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || format!("cannot read {text:?} as a field of a record");
        if let Some(name) = text.strip_prefix("header:").filter(|name| !name.is_empty()) {
            return Ok(Self { part: Part::Header(name.to_owned()), written: Written::Text });
        }
        let (part, rest) = match text {
            "key" => (Part::Key, None),
            "value" => (Part::Value, None),
            _ => match text.strip_prefix("key:") {
                Some(rest) => (Part::Key, Some(rest)),
                None => (Part::Value, Some(text.strip_prefix("value:").unwrap_or(text))),
            },
        };
        let written = match rest {
            None => Written::Text,
            Some(rest) => written(rest).ok_or_else(unreadable)?,
        };
        Ok(Self { part, written })
    }
}

fn written(text: &str) -> Option<Written> {
    if let Some(path) = text.strip_prefix("json:") {
        let members: Vec<String> = path.split('.').map(str::to_owned).collect();
        return members.iter().all(|member| !member.is_empty()).then_some(Written::Json(members));
    }
    let mut parts = text.strip_prefix("bytes:")?.split(':');
    let (at, length) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let little = match (parts.next(), parts.next()) {
        (None, _) => false,
        (Some("little"), None) => true,
        _ => return None,
    };
    Some(Written::Bytes { at, length, little })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("key", Part::Key, Written::Text)]
    #[case("value", Part::Value, Written::Text)]
    #[case("header:seq", Part::Header("seq".into()), Written::Text)]
    #[case("json:a.b", Part::Value, Written::Json(vec!["a".into(), "b".into()]))]
    #[case("key:json:a", Part::Key, Written::Json(vec!["a".into()]))]
    #[case("bytes:4:8", Part::Value, Written::Bytes { at: 4, length: 8, little: false })]
    #[case("key:bytes:0:4:little", Part::Key, Written::Bytes { at: 0, length: 4, little: true })]
    fn fields_are_read(#[case] text: &str, #[case] part: Part, #[case] written: Written) {
        assert_eq!(text.parse::<FieldAt>().unwrap(), FieldAt { part, written });
    }

    #[rstest]
    #[case("")]
    #[case("seq")]
    #[case("header:")]
    #[case("json:")]
    #[case("json:a..b")]
    #[case("bytes:1")]
    #[case("bytes:1:2:big")]
    #[case("bytes:x:2")]
    #[case("key:seq")]
    fn what_is_no_field_is_refused(#[case] text: &str) {
        assert!(text.parse::<FieldAt>().is_err());
    }
}
