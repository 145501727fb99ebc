//! Connection strings, good and bad.

#![allow(clippy::unwrap_used)]

use super::*;
use rstest::rstest;
use secrecy::ExposeSecret;

fn parse(text: &str) -> ConnInfo {
    ConnInfo::parse(text, None).unwrap()
}

#[rstest]
#[case("postgres://u@h:5433/db", "postgres://u@h:5433/db")]
#[case("postgresql://u:secret@h/db?sslmode=require", "postgres://u@h/db")]
#[case("postgres://u@[::1]:6000/db", "postgres://u@::1:6000/db")]
#[case("postgres://u@a:1,b:2/db", "postgres://u@a:1,b:2/db")]
#[case("postgres://u@%2Frun%2Fpg/db", "postgres://u@/run/pg/db")]
#[case("postgres:///db?host=/run/pg&user=u&port=7", "postgres://u@/run/pg:7/db")]
#[case("host=h port=5433 dbname=db user=u password='s e\\'c'", "postgres://u@h:5433/db")]
#[case("host = h  dbname = 'my db' user=u", "postgres://u@h/my db")]
#[case("postgres://u%40x@h/d%2Fb", "postgres://u@x@h/d/b")]
fn names_show_where_and_never_a_secret(#[case] text: &str, #[case] name: &str) {
    assert_eq!(parse(text).display_name(), name);
}

#[rstest]
#[case("postgres://u:p%3Aw%2F@h/db", "p:w/")]
#[case("postgres://u@h/db?password=query", "query")]
#[case("host=h user=u dbname=d password='a b\\'c\\\\'", "a b'c\\")]
#[case("postgres://u:with@at@h/db", "with@at")]
fn passwords_are_read_and_not_printed(#[case] text: &str, #[case] password: &str) {
    let info = parse(text);
    assert_eq!(info.password.as_ref().unwrap().expose_secret(), password);
    let printed = format!("{info:?} {}", info.display_name());
    assert!(!printed.contains(password), "{printed}");
    let given = ConnInfo::parse(text, Some("other".to_owned().into())).unwrap();
    assert_eq!(given.password.unwrap().expose_secret(), "other");
}

#[rstest]
#[case("sslmod=require", "did you mean sslmode?")]
#[case("applicaton_name=x", "did you mean application_name?")]
#[case("sslmode=full", "use disable, allow")]
#[case("sslmode=require&sslrootcert=system", "use sslmode=verify-full")]
#[case("hostaddr=nine&host=", "use host for names")]
#[case("target_session_attrs=master", "use any, primary")]
#[case("channel_binding=maybe", "use disable, prefer")]
#[case("gssencmode=require", "use sslmode=verify-full")]
#[case("sslpassword=x", "openssl pkey")]
#[case("sslcrldir=/x", "sslcrl=FILE")]
#[case("ssl_min_protocol_version=TLSv1", "TLS 1.2 and 1.3")]
#[case("qqq=1", "known parameters: ")]
#[case("connect_timeout", "write ?name=value")]
fn mistakes_are_errors_with_a_way_out(#[case] query: &str, #[case] hint: &str) {
    let error = ConnInfo::parse(&format!("postgres://u@h/d?{query}"), None).unwrap_err();
    assert_eq!(error.code(), "config.url");
    assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
}

#[rstest]
#[case("mysql://u@h/d")]
#[case("")]
#[case("just words")]
#[case("host='open")]
#[case("postgres://u@[::1/d")]
#[case("postgres://u@h:port/d")]
#[case("postgres://u@h/d?hostaddr=1.2.3.4,1.2.3.5")]
#[case("hostaddr=127.0.0.1 user=u sslmode=verify-full")]
#[case("postgres://u%ff@h/d")]
fn strings_that_mean_nothing_are_refused(#[case] text: &str) {
    assert_eq!(ConnInfo::parse(text, None).unwrap_err().code(), "config.url");
}

#[test]
fn an_error_never_repeats_a_password() {
    for text in ["postgres://u:hunter2@h/d?sslmod=x", "user=u password=hunter2 port=x", "password='hunter2"] {
        let error = ConnInfo::parse(text, None).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn system_roots_mean_verify_full() {
    assert_eq!(parse("postgres://u@h/d?sslrootcert=system").ssl_mode, SslMode::VerifyFull);
    assert_eq!(parse("postgres://u@h/d").ssl_mode, SslMode::Prefer);
}

#[rstest]
#[case("postgres://u@h/d", CONNECT_TIMEOUT)]
#[case("postgres://u@h/d?connect_timeout=3", Duration::from_secs(3))]
#[case("postgres://u@h/d?connect_timeout=0", CONNECT_TIMEOUT_NONE)]
#[case("postgres://u@h/d?connect_timeout=-1", CONNECT_TIMEOUT_NONE)]
fn no_seconds_to_connect_in_mean_no_limit(#[case] text: &str, #[case] limit: Duration) {
    assert_eq!(parse(text).connect_timeout, limit);
}
