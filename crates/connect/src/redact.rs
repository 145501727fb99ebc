//! Addresses without what is secret in them, for names, errors and logs.

use percent_encoding::percent_decode_str;

/// What stands where a secret was.
const MASK: &str = "***";

/// Words that make a parameter secret wherever they occur in its name. Compared in lower case
/// without `-`, `_` and `.`.
const SECRET_PARTS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "secret",
    "token",
    "credential",
    "signature",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "authorization",
];

/// Names that are secret as a whole; too short to look for inside other words.
const SECRET_NAMES: [&str; 9] = ["pass", "pwd", "pw", "sig", "sas", "auth", "bearer", "jwt", "sharedkey"];

/// Schemes whose user name is a plain name and worth showing. Elsewhere it may itself be a token.
const NAMED_USER: [&str; 3] = ["postgres", "postgresql", "kafka"];

/// The same address with credentials and secret parameters replaced by `***`. Takes URLs
/// (`scheme://user:password@host/path?password=…`), addresses with a prefix (`parquet:s3://…`), the
/// keyword form of libpq (`host=… password='…'`) and plain paths, which stay as they are.
///
/// In doubt more is replaced than needed: with an `@` behind a `:` that could belong to a password
/// with unescaped characters in it, everything up to the last `@` goes.
pub fn redact_url(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(char::is_whitespace) && !scheme.contains('=') => {
            redact_after_scheme(scheme, rest)
        }
        _ if is_keyword_form(address) => redact_keywords(address),
        _ => redact_parameters(address),
    }
}

fn redact_after_scheme(scheme: &str, rest: &str) -> String {
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let colon = rest.get(..authority_end).is_some_and(|authority| authority.contains(':'));
    let at = match rest.get(..authority_end).and_then(|authority| authority.rfind('@')) {
        None if colon => rest.rfind('@'),
        // A password may hold an unescaped `/`, `?` or `#` even behind an unescaped `@`.
        Some(inside) if colon => Some(rest.rfind('@').map_or(inside, |last| last.max(inside))),
        inside => inside,
    };
    let Some(at) = at else {
        return format!("{scheme}://{}", redact_parameters(rest));
    };
    let (user_info, host) = rest.split_at(at);
    let user = user_info.split_once(':').map_or(user_info, |(user, _)| user);
    let last_scheme = scheme.rsplit(':').next().unwrap_or(scheme);
    let shown = match (NAMED_USER.contains(&last_scheme), user_info.len() == user.len()) {
        (true, true) => user.to_owned(),
        (true, false) => format!("{user}:{MASK}"),
        (false, _) => MASK.to_owned(),
    };
    format!("{scheme}://{shown}{}", redact_parameters(host))
}

/// Replaces the values of secret parameters behind the first `?` or `#`.
fn redact_parameters(text: &str) -> String {
    let start = text.find(['?', '#']).unwrap_or(text.len());
    let (before, query) = text.split_at(start);
    let mut out = before.to_owned();
    let mut rest = query;
    while let Some(separator) = rest.chars().next() {
        out.push(separator);
        let body = rest.get(separator.len_utf8()..).unwrap_or_default();
        let end = body.find(['&', ';', '#', '?']).unwrap_or(body.len());
        let (parameter, after) = body.split_at(end);
        match parameter.split_once('=') {
            Some((name, _)) if is_secret_name(name) => {
                out.push_str(name);
                out.push('=');
                out.push_str(MASK);
                // A secret may go on behind an unescaped separator: a piece without `=` belongs to it.
                rest = skip_pieces_without_name(after);
            }
            // A URL inside a parameter has secrets of its own.
            Some((name, value)) if value.contains("://") => {
                out.push_str(name);
                out.push('=');
                out.push_str(&redact_url(value));
                rest = after;
            }
            _ => {
                out.push_str(parameter);
                rest = after;
            }
        }
    }
    out
}

fn skip_pieces_without_name(mut rest: &str) -> &str {
    while let Some(separator) = rest.chars().next() {
        let body = rest.get(separator.len_utf8()..).unwrap_or_default();
        let end = body.find(['&', ';', '#', '?']).unwrap_or(body.len());
        let (piece, after) = body.split_at(end);
        if piece.contains('=') {
            break;
        }
        rest = after;
    }
    rest
}

/// `host=a port=1 password='b c'`: begins with a word and `=`, without a path before it.
fn is_keyword_form(text: &str) -> bool {
    let word = text.trim_start().split_once('=').map(|(word, _)| word.trim_end());
    word.is_some_and(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'))
}

fn redact_keywords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((name, value)) = rest.split_once('=') {
        out.push_str(name);
        out.push('=');
        let end = keyword_value_end(value);
        let (value, after) = value.split_at(end);
        let secret = is_secret_name(name.trim());
        out.push_str(if secret { MASK } else { value });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Where a value of the keyword form ends: quoted by `'` with `\` escapes, or up to white space.
fn keyword_value_end(value: &str) -> usize {
    let leading = value.len() - value.trim_start().len();
    let quoted = value.trim_start().starts_with('\'');
    let mut escaped = false;
    for (i, c) in value.char_indices().skip_while(|(i, _)| *i < leading + usize::from(quoted)) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' if quoted => return i + 1,
            c if !quoted && c.is_whitespace() => return i,
            _ => {}
        }
    }
    value.len()
}

/// Whether the value of a parameter or option of this name must not be shown.
pub fn is_secret_name(name: &str) -> bool {
    let decoded = percent_decode_str(name).decode_utf8_lossy().to_lowercase();
    let plain: String = decoded.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ' | '+')).collect();
    SECRET_NAMES.contains(&plain.as_str())
        || SECRET_PARTS.iter().any(|part| plain.contains(part)) && !plain.ends_with("file") && !plain.ends_with("env")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const CANARY: &str = "c4n4ry";

    #[rstest]
    #[case("postgres://paritas:c4n4ry@host/db")]
    #[case("postgresql://paritas:c4n4ry@host:5432/db?sslmode=require")]
    #[case("postgres://paritas:a@c4n4ry@host/db")]
    #[case("postgres://paritas:a/c4n4ry@host/db")]
    #[case("postgres://paritas:a?c4n4ry@host/db")]
    #[case("postgres://paritas:a#c4n4ry@host/db")]
    #[case("postgres://paritas:a@b/c4n4ry@host/db")]
    #[case("postgres://paritas:12/c4n4ry@host/db")]
    #[case("postgres://host/db?user=a&password=c4n4ry")]
    #[case("postgres://host/db?PassWord=c4n4ry&x=1")]
    #[case("postgres://host/db?pass%77ord=c4n4ry")]
    #[case("postgres://host/db?sslpassword=c4n4ry")]
    #[case("postgres://host/db?password=a;c4n4ry&x=1")]
    #[case("postgres://host/db?password=a&c4n4ry")]
    #[case("host=a user=b password=c4n4ry dbname=d")]
    #[case("host=a password='b c4n4ry' dbname=d")]
    #[case(r"host=a password = 'it\'s c4n4ry' dbname=d")]
    #[case(r"password=b\ c4n4ry host=a")]
    #[case("redis://:c4n4ry@host:6379/0")]
    #[case("redis://c4n4ry@host:6379/0")]
    #[case("https://c4n4ry@host/path")]
    #[case("s3://AKIA:c4n4ry@bucket/prefix")]
    #[case("s3://bucket/prefix?aws_secret_access_key=c4n4ry")]
    #[case("s3://bucket/prefix?X-Amz-Signature=c4n4ry&X-Amz-Credential=a")]
    #[case("https://host/path?X-Amz-Security-Token=c4n4ry")]
    #[case("https://account.blob/container?sv=1&sig=c4n4ry&se=2")]
    #[case("parquet:s3://key:c4n4ry@bucket/a.parquet")]
    #[case("parquet:/data?token=c4n4ry")]
    #[case("https://host/callback#access_token=c4n4ry")]
    #[case("kafka://host/topic?registry=https://u:c4n4ry@registry/")]
    #[case("kafka://paritas:c4n4ry@b1:9093,b2:9093")]
    fn no_canary_survives(#[case] address: &str) {
        let shown = redact_url(address);
        assert!(!shown.contains(CANARY), "{shown}");
        assert!(shown.contains(MASK), "{shown}");
        assert_eq!(redact_url(&shown), shown, "redacting twice changes nothing");
    }

    #[rstest]
    #[case("postgres://paritas@10.0.0.5:5432/trading?sslmode=verify-full")]
    #[case("postgres://host/db?table=public.orders&key=id,venue")]
    #[case("postgres://host/db?sslrootcert=/etc/ca.pem&connect_timeout=5")]
    #[case("kafka://host:9092/topic")]
    #[case("kafka://paritas@b1.west:9093,b2.west:9093")]
    #[case("s3://bucket/a@b/part-1.parquet")]
    #[case("/data/lake/orders=1/part.parquet")]
    #[case("parquet:/data/lake")]
    #[case("host=/run/postgresql dbname=trading")]
    #[case("")]
    fn what_is_not_secret_stays(#[case] address: &str) {
        assert_eq!(redact_url(address), address);
    }

    #[test]
    fn the_rest_of_the_address_stays_readable() {
        assert_eq!(
            redact_url("postgres://u:p@host/db?password=p&sslmode=require"),
            "postgres://u:***@host/db?password=***&sslmode=require"
        );
        assert_eq!(redact_url("host=a password='b c' dbname=d"), "host=a password=*** dbname=d");
        assert_eq!(redact_url("redis://:p@host:6379/0"), "redis://***@host:6379/0");
    }

    proptest! {
        #[test]
        fn a_password_of_any_characters_never_survives(head in "[ -~]{0,6}", tail in "[ -~]{0,6}") {
            let shown = redact_url(&format!("postgres://user:{head}{CANARY}{tail}@host/db"));
            prop_assert!(!shown.contains(CANARY), "{}", shown);
        }

        #[test]
        fn any_text_is_taken_without_a_panic(text in ".{0,60}") {
            let _ = redact_url(&text);
        }
    }
}
