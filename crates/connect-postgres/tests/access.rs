//! Reaching a server: TLS in every mode against good and bad certificates, passwords, errors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::{Context, Datasets, FailureKind, Store};
use paritas_connect_postgres::{Options, PostgresStore};
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Mode, Server};
use paritas_testbed::tls::{Authority, Pair};
use std::path::Path;
use std::time::Duration;

const HBA: &[&str] = &[
    "hostnossl all plain 127.0.0.1/32 trust",
    "hostssl all certified 127.0.0.1/32 cert",
    "host all scram 127.0.0.1/32 scram-sha-256",
    "hostssl all all 127.0.0.1/32 trust",
];

struct Tls {
    scratch: Scratch,
    good: Authority,
    bad: Authority,
}

impl Tls {
    fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        let good = Authority::new(&scratch, "good").unwrap();
        let bad = Authority::new(&scratch, "bad").unwrap();
        Self { scratch, good, bad }
    }

    async fn server(&self, name: &str, pair: &Pair) -> Server {
        let options = HBA.iter().fold(postgres::Options::default(), |options, line| options.hba(line));
        let server = start(&self.scratch, name, options.tls(pair.for_postgres(Some(&self.good)))).await;
        let sql = "SET password_encryption = 'scram-sha-256'; CREATE ROLE plain LOGIN; CREATE ROLE certified LOGIN;
                   CREATE ROLE scram LOGIN PASSWORD 'it''s:@/ secret'; CREATE ROLE anyone LOGIN";
        server.batch("postgres", sql).await.unwrap();
        server
    }
}

/// `Ok` or the error's code, and whether the connection was encrypted.
async fn reach(server: &Server, user: &str, query: &str) -> Result<(), (String, String)> {
    reach_host(server, "127.0.0.1", user, query).await
}

async fn reach_host(server: &Server, host: &str, user: &str, query: &str) -> Result<(), (String, String)> {
    let url = format!("postgres://{user}@{host}:{}/postgres?{query}", server.port());
    let options = Options { password: Some("it's:@/ secret".to_owned().into()), ..Options::default() };
    let store = PostgresStore::from_url(&url, options).unwrap();
    let result = store.probe(&cx()).await;
    result.map(|_| ()).map_err(|error| {
        assert!(!format!("{error:?}").contains("it's:@/"), "{error:?}");
        (error.code().to_owned(), format!("{error}; {}", error.hint_text().unwrap_or_default()))
    })
}

fn root(authority: &Authority) -> String {
    format!("sslrootcert={}", authority.certificate().display())
}

fn client(pair: &Pair) -> String {
    format!("sslcert={}&sslkey={}", pair.certificate.display(), pair.key.display())
}

async fn expect(server: &Server, user: &str, query: &str, expected: Result<(), (&str, &str)>) {
    let found = reach(server, user, query).await;
    match (&found, expected) {
        (Ok(()), Ok(())) => {}
        (Err((code, text)), Err((want, part))) if code == want && text.contains(part) => {}
        _ => panic!("{user} {query}: {found:?}, expected {expected:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_verifies_what_it_promises() {
    let tls = Tls::new();
    let server = tls.server("good_server", &tls.good.server("good").unwrap()).await;
    let (good, bad) = (root(&tls.good), root(&tls.bad));
    let unknown = Err(("store.tls", "sslrootcert"));
    // Weak modes take any certificate, unless a root certificate is given.
    for mode in ["prefer", "require"] {
        expect(&server, "anyone", &format!("sslmode={mode}"), Ok(())).await;
        expect(&server, "anyone", &format!("sslmode={mode}&{good}"), Ok(())).await;
    }
    expect(&server, "anyone", &format!("sslmode=require&{bad}"), unknown).await;
    for mode in ["verify-ca", "verify-full"] {
        expect(&server, "anyone", &format!("sslmode={mode}&{good}"), Ok(())).await;
        expect(&server, "anyone", &format!("sslmode={mode}&{bad}"), unknown).await;
    }
    expect(&server, "anyone", "sslmode=verify-full&sslrootcert=system", unknown).await;
    expect(&server, "anyone", "sslmode=verify-ca", Err(("store.tls", "sslrootcert"))).await;
    expect(&server, "anyone", "sslmode=verify-ca&sslrootcert=/nonexistent", Err(("store.tls", "PEM"))).await;
    // Modes that need or refuse encryption, against a server that refuses or needs it.
    expect(&server, "anyone", "sslmode=disable", Err(("store.denied", "pg_hba.conf"))).await;
    expect(&server, "anyone", "sslmode=allow", Ok(())).await;
    expect(&server, "plain", "sslmode=disable", Ok(())).await;
    expect(&server, "plain", "sslmode=allow", Ok(())).await;
    // The host name is compared also when the connection goes to an address given apart.
    assert!(reach_host(&server, "localhost", "anyone", &format!("sslmode=verify-full&{good}")).await.is_ok());
    let by_address = format!("hostaddr=127.0.0.1&sslmode=verify-full&{good}");
    let wrong = reach_host(&server, "db.example.com", "anyone", &by_address).await.unwrap_err();
    assert!(wrong.0 == "store.tls" && wrong.1.contains("host name"), "{wrong:?}");
    let by_address = format!("hostaddr=127.0.0.1&sslmode=verify-ca&{good}");
    assert!(reach_host(&server, "db.example.com", "anyone", &by_address).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_are_refused_and_named() {
    let tls = Tls::new();
    let good = root(&tls.good);
    for (name, pair, code) in [
        ("expired", tls.good.expired_server("expired").unwrap(), "renew"),
        ("unknown", tls.bad.server("unknown").unwrap(), "sslrootcert"),
        ("other_host", tls.good.server_for("other", &["db.example.com"]).unwrap(), "host name"),
    ] {
        let server = tls.server(name, &pair).await;
        expect(&server, "anyone", &format!("sslmode=verify-full&{good}"), Err(("store.tls", code))).await;
        let verified = if name == "other_host" { Ok(()) } else { Err(("store.tls", code)) };
        expect(&server, "anyone", &format!("sslmode=verify-ca&{good}"), verified).await;
        expect(&server, "anyone", "sslmode=require", Ok(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn self_signed_and_nameless_certificates_work_as_with_libpq() {
    let tls = Tls::new();
    // Marked as an authority, as self-signed ones usually are, and without alternative names.
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let folder = tls.scratch.folder("self").unwrap();
    let pair = Pair { certificate: folder.join("self.crt"), key: folder.join("self.key") };
    std::fs::write(&pair.certificate, certificate.pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    let server = tls.server("self_signed", &pair).await;
    let own = format!("sslrootcert={}", pair.certificate.display());
    expect(&server, "anyone", &format!("sslmode=verify-ca&{own}"), Ok(())).await;
    assert!(reach_host(&server, "localhost", "anyone", &format!("sslmode=verify-full&{own}")).await.is_ok());
    expect(&server, "anyone", &format!("sslmode=verify-full&{own}"), Err(("store.tls", "host name"))).await;
    expect(&server, "anyone", &format!("sslmode=verify-ca&{}", root(&tls.good)), Err(("store.tls", ""))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_sent_and_refusals_named() {
    let tls = Tls::new();
    let server = tls.server("clients", &tls.good.server("good").unwrap()).await;
    let right = tls.good.client("certified").unwrap();
    let other = tls.good.client("somebody").unwrap();
    let forged = tls.bad.client("certified").unwrap();
    let require = "sslmode=require";
    expect(&server, "certified", &format!("{require}&{}", client(&right)), Ok(())).await;
    expect(&server, "certified", require, Err(("store.denied", ""))).await;
    expect(&server, "certified", &format!("{require}&{}", client(&other)), Err(("store.denied", ""))).await;
    expect(&server, "certified", &format!("{require}&{}", client(&forged)), Err(("store.tls", "client certificate")))
        .await;
    let lone = format!("{require}&sslcert={}", right.certificate.display());
    expect(&server, "certified", &lone, Err(("store.tls", "sslkey"))).await;
    let mixed = format!("{require}&sslcert={}&sslkey={}", right.certificate.display(), other.key.display());
    expect(&server, "certified", &mixed, Err(("store.tls", "sslkey belongs to sslcert"))).await;
    open_to_all(&right.key);
    expect(&server, "certified", &format!("{require}&{}", client(&right)), Err(("store.tls", "chmod 0600"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_same_by_every_way_to_the_server() {
    let tls = Tls::new();
    let server = tls.server("ways", &tls.good.server("good").unwrap()).await;
    let sql = "CREATE TABLE t AS SELECT n AS id, repeat('x', n % 5000) AS pad FROM generate_series(1, 20000) n;
               ALTER TABLE t ADD PRIMARY KEY (id); GRANT SELECT ON t TO PUBLIC; ANALYZE t";
    server.batch("postgres", sql).await.unwrap();
    let port = server.port();
    let mut seen = Vec::new();
    for url in [
        format!("postgres://plain@127.0.0.1:{port}/postgres?sslmode=disable"),
        format!("postgres://anyone@127.0.0.1:{port}/postgres?sslmode=verify-full&{}", root(&tls.good)),
        format!("host={} port={port} user=postgres dbname=postgres", server.socket_dir().display()),
    ] {
        let store = PostgresStore::from_url(&url, Options::default()).unwrap();
        let description = store.describe(&cx(), &dataset("t")).await.unwrap();
        let canon = canon_of(&store, &description, paritas_digest::Policies::default());
        let scan = store.open(&cx().with_parallel(2), &request("t", canon)).await.unwrap();
        assert!(scan.splits().len() > 1);
        seen.push(read_all(&*scan).await.unwrap().images());
    }
    assert_eq!(seen[0].len(), 20_000);
    assert!(seen.iter().all(|images| *images == seen[0]));
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_exchanged_with_and_without_channel_binding() {
    let tls = Tls::new();
    let server = tls.server("scram", &tls.good.server("good").unwrap()).await;
    for query in
        ["sslmode=require&channel_binding=require", "sslmode=require&channel_binding=disable", "sslmode=disable"]
    {
        expect(&server, "scram", query, Ok(())).await;
    }
    expect(&server, "scram", "sslmode=disable&channel_binding=require", Err(("store.denied", "channel binding"))).await;
    let wrong = Options { password: Some("hunter2-canary".to_owned().into()), ..Options::default() };
    let url = format!("postgres://scram@127.0.0.1:{}/postgres", server.port());
    let store = PostgresStore::from_url(&url, wrong).unwrap();
    let error = store.probe(&cx()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("store.denied", FailureKind::Denied));
    assert!(!format!("{error:?} {store:?} {}", store.name()).contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_and_where() {
    let server = server().await;
    let error = store(&server.url("nothing_here")).probe(&cx()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("store.missing", FailureKind::Permanent));
    let error = store("postgres://postgres@127.0.0.1:1/x?sslmode=disable").probe(&cx()).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("store.unreachable", FailureKind::Transient));
    assert!(error.message().contains("127.0.0.1:1"), "{error}");
    let error = store("postgres://postgres@no-such-host.invalid/x").probe(&cx()).await.unwrap_err();
    assert_eq!(error.code(), "store.unreachable");

    // Sockets, several hosts, and the server that is asked for.
    let socket = format!("host={} port={} user=postgres dbname=postgres", server.socket_dir().display(), server.port());
    assert!(store(&socket).probe(&cx()).await.is_ok());
    let both = format!("postgres://postgres@127.0.0.1:1,127.0.0.1:{}/postgres", server.port());
    assert!(store(&both).probe(&cx()).await.is_ok());
    let standby = format!("{}?target_session_attrs=standby", server.url("postgres"));
    let error = store(&standby).probe(&cx()).await.unwrap_err();
    assert!(error.hint_text().unwrap().contains("target_session_attrs"), "{error:?}");
    let prefer = format!("{}?target_session_attrs=prefer-standby", server.url("postgres"));
    assert!(store(&prefer).probe(&cx()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_deadline_and_when_it_is_cancelled() {
    let scratch = Scratch::new().unwrap();
    let mut server = start(&scratch, "frozen", postgres::Options::default()).await;
    let store = store(&server.url("postgres"));
    store.probe(&cx()).await.unwrap();
    server.pause().unwrap();
    let error = store.probe(&Context::default().with_timeout(Duration::from_millis(300))).await.unwrap_err();
    assert_eq!(error.code(), "run.deadline");
    let context = Context::default();
    let token = context.cancel_token().clone();
    let (result, ()) = tokio::join!(store.probe(&context), async { token.cancel() });
    assert_eq!(result.unwrap_err().code(), "run.cancelled");
    server.resume().unwrap();
    store.probe(&cx()).await.unwrap();
    // An idle session that the server has ended meanwhile is replaced.
    server.restart().await.unwrap();
    store.probe(&cx()).await.unwrap();
    server.stop(Mode::Fast).await.unwrap();
    assert_eq!(store.probe(&cx()).await.unwrap_err().code(), "store.unreachable");
}
