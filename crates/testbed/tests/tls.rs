//! Certificates that a real server takes and a real client (libpq) judges.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;
use std::time::Duration;

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_testbed::tls::{Authority, Pair};
use rstest::rstest;

struct Client<'a> {
    server: &'a Server,
    roots: &'a Authority,
}

impl Client<'_> {
    /// What psql says: the answer, or the error.
    fn ask(&self, pair: Option<&Pair>) -> Result<String, String> {
        let mut url = format!(
            "host=127.0.0.1 port={} user=app dbname=postgres sslmode=verify-full sslrootcert={}",
            self.server.port(),
            self.roots.certificate().display()
        );
        if let Some(pair) = pair {
            url += &format!(" sslcert={} sslkey={}", pair.certificate.display(), pair.key.display());
        }
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let output =
            Command::new(self.server.install().program("psql")).args(["-XAtq", "-c", sql, &url]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

async fn server(scratch: &Scratch, pair: &Pair, clients: Option<&Authority>) -> Server {
    let method = if clients.is_some() { "cert" } else { "trust" };
    let options =
        Options::default().tls(pair.for_postgres(clients)).hba(&format!("hostssl all all 127.0.0.1/32 {method}"));
    let server = Server::start(&Install::find().unwrap(), scratch, "s", options).await.unwrap();
    server.batch("postgres", "CREATE ROLE app LOGIN; CREATE ROLE other LOGIN").await.unwrap();
    server
}

#[tokio::test]
async fn client_certificates_identify_their_user_only() {
    let scratch = Scratch::new().unwrap();
    let (ca, stranger) = (Authority::new(&scratch, "ca").unwrap(), Authority::new(&scratch, "stranger").unwrap());
    let server = server(&scratch, &ca.server("server").unwrap(), Some(&ca)).await;
    let client = Client { server: &server, roots: &ca };
    assert_eq!(client.ask(Some(&ca.client("app").unwrap())).unwrap(), "t");
    assert!(client.ask(None).is_err());
    assert!(client.ask(Some(&ca.client("other").unwrap())).is_err());
    assert!(client.ask(Some(&stranger.client("app").unwrap())).is_err());
    let trusting_stranger = Client { server: &server, roots: &stranger };
    assert!(trusting_stranger.ask(Some(&ca.client("app").unwrap())).is_err());
}

type Make = fn(&Authority) -> Pair;

#[rstest]
#[case::good(|ca: &Authority| ca.server("s").unwrap(), None)]
#[case::good_for_an_hour(|ca: &Authority| ca.server_valid_for("s", Duration::from_secs(3600)).unwrap(), None)]
#[case::expired(|ca: &Authority| ca.expired_server("s").unwrap(), Some("certificate verify failed"))]
#[case::wrong_host(|ca: &Authority| ca.server_for("s", &["db.example.org"]).unwrap(), Some("does not match"))]
#[tokio::test]
async fn a_client_accepts_only_the_good_server_certificate(#[case] make: Make, #[case] refused: Option<&str>) {
    let scratch = Scratch::new().unwrap();
    let ca = Authority::new(&scratch, "ca").unwrap();
    let server = server(&scratch, &make(&ca), None).await;
    let answer = Client { server: &server, roots: &ca }.ask(None);
    match refused {
        None => assert_eq!(answer.unwrap(), "t"),
        Some(why) => assert!(answer.as_ref().is_err_and(|e| e.contains(why)), "{answer:?}"),
    }
}
