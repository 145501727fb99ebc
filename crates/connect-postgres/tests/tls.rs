//! Certificates over time: not valid yet, exchanged, revoked; old protocols and encrypted keys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use paritas_connect::Store;
use paritas_connect_postgres::PostgresStore;
use paritas_testbed::Scratch;
use paritas_testbed::postgres::{self, Server};
use paritas_testbed::tls::Pair;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use std::path::{Path, PathBuf};

/// An authority whose certificates have serial numbers and times of our choice.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(scratch: &Scratch, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = scratch.folder(name).unwrap();
        std::fs::write(folder.join("ca.crt"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn server(&self, serial: u8, from_year: i32) -> Pair {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from_year, 1, 1);
        params.not_after = date_time_ymd(2099, 1, 1);
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.folder.join(format!("{serial}.{end}"));
        let pair = Pair { certificate: file("crt"), key: file("key") };
        std::fs::write(&pair.certificate, certificate.pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }

    /// A list of revoked serial numbers that is renewed in this year.
    fn list(&self, name: &str, revoked: &[u8], until_year: i32) -> PathBuf {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until_year, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.folder.join(name);
        std::fs::write(&path, params.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        path
    }

    fn root(&self) -> String {
        format!("sslrootcert={}", self.folder.join("ca.crt").display())
    }
}

async fn serve(scratch: &Scratch, name: &str, pair: &Pair, settings: &[(&str, &str)]) -> Server {
    let options = postgres::Options::default().tls(pair.for_postgres(None)).hba("hostssl all all 127.0.0.1/32 trust");
    let options = settings.iter().fold(options, |options, (name, value)| options.set(name, value));
    start(scratch, name, options).await
}

fn reaching(server: &Server, query: &str) -> PostgresStore {
    store(&format!("postgres://postgres@127.0.0.1:{}/postgres?{query}", server.port()))
}

/// Reaches the server, or fails with a TLS error whose text and hint hold this.
async fn expect(store: &PostgresStore, expected: Result<(), &str>) {
    let found = store.probe(&cx()).await.map(|_| ());
    match (&found, expected) {
        (Ok(()), Ok(())) => {}
        (Err(error), Err(part))
            if error.code() == "store.tls"
                && format!("{error}; {}", error.hint_text().unwrap_or_default()).contains(part) => {}
        _ => panic!("{found:?}, expected {expected:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_valid_yet_is_refused_where_it_is_verified() {
    let scratch = Scratch::new().unwrap();
    let authority = Authority::new(&scratch, "early");
    let pair = authority.server(1, 2090);
    let server = serve(&scratch, "early_server", &pair, &[]).await;
    for mode in ["verify-ca", "verify-full"] {
        expect(&reaching(&server, &format!("sslmode={mode}&{}", authority.root())), Err("check the clocks")).await;
        // Also where the certificate itself is the trusted one.
        let own = format!("sslmode={mode}&sslrootcert={}", pair.certificate.display());
        expect(&reaching(&server, &own), Err("check the clocks")).await;
    }
    expect(&reaching(&server, "sslmode=require"), Ok(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_judged_at_the_next_connection() {
    let scratch = Scratch::new().unwrap();
    let (ours, theirs) = (Authority::new(&scratch, "ours"), Authority::new(&scratch, "theirs"));
    let mut server = serve(&scratch, "changing", &ours.server(1, 2020), &[]).await;
    let store = reaching(&server, &format!("sslmode=verify-full&{}", ours.root()));
    expect(&store, Ok(())).await;
    for (pair, expected) in
        [(ours.server(2, 2020), Ok(())), (theirs.server(3, 2020), Err("sslrootcert")), (ours.server(4, 2020), Ok(()))]
    {
        // In place, so that owner and mode stay as the server demands.
        std::fs::write(server.data_dir().join("server.crt"), std::fs::read(&pair.certificate).unwrap()).unwrap();
        std::fs::write(server.data_dir().join("server.key"), std::fs::read(&pair.key).unwrap()).unwrap();
        server.restart().await.unwrap();
        expect(&store, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_certificates_and_lists_that_do_not_tell_are_refused() {
    let scratch = Scratch::new().unwrap();
    let (ours, theirs) = (Authority::new(&scratch, "listing"), Authority::new(&scratch, "foreign"));
    let server = serve(&scratch, "listed", &ours.server(7, 2020), &[]).await;
    let with = |list: &Path| format!("sslmode=verify-full&{}&sslcrl={}", ours.root(), list.display());
    for (list, expected) in [
        (ours.list("others.crl", &[1, 2], 2090), Ok(())),
        (ours.list("this.crl", &[1, 7], 2090), Err("revoked")),
        (ours.list("old.crl", &[1], 2022), Err("renew the revocation list")),
        (theirs.list("foreign.crl", &[], 2090), Err("every authority")),
        (ours.folder.join("ca.crt"), Err("PEM file of revocation lists")),
        (ours.folder.join("none.crl"), Err("PEM file of revocation lists")),
    ] {
        expect(&reaching(&server, &with(&list)), expected).await;
    }
    // The name still counts only where the mode says so.
    let list = ours.list("name.crl", &[], 2090);
    let other = |mode: &str| {
        let url = format!("postgres://postgres@db.example.com:{}/postgres?hostaddr=127.0.0.1", server.port());
        store(&format!("{url}&sslmode={mode}&{}&sslcrl={}", ours.root(), list.display()))
    };
    expect(&other("verify-ca"), Ok(())).await;
    expect(&other("verify-full"), Err("host name")).await;
    let alone = format!("sslmode=require&sslcrl={}", list.display());
    expect(&reaching(&server, &alone), Err("give sslrootcert too")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protocols_before_tls_1_2_are_refused() {
    let scratch = Scratch::new().unwrap();
    let pair = Authority::new(&scratch, "old").server(1, 2020);
    // The security level of the machine's OpenSSL may forbid these versions for servers as well.
    let old = [
        ("ssl_min_protocol_version", "TLSv1"),
        ("ssl_max_protocol_version", "TLSv1.1"),
        ("ssl_ciphers", "ALL:@SECLEVEL=0"),
    ];
    let server = serve(&scratch, "old_server", &pair, &old).await;
    expect(&reaching(&server, "sslmode=require"), Err("the server must offer TLS 1.2 or 1.3")).await;
    // Nor does a connection that may be plain fall back where the server wants TLS.
    assert!(reaching(&server, "sslmode=prefer").probe(&cx()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_client_key_is_named_with_a_way_out() {
    let scratch = Scratch::new().unwrap();
    let authority = Authority::new(&scratch, "keys");
    let server = serve(&scratch, "keys_server", &authority.server(1, 2020), &[]).await;
    let certificate = authority.folder.join("1.crt");
    for (name, label, header) in [
        ("pkcs8", "ENCRYPTED PRIVATE KEY", ""),
        ("traditional", "EC PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"),
    ] {
        let key = authority.folder.join(name);
        let text = format!("-----BEGIN {label}-----\n{header}MIIBvTBXBgkqhkiG9w0BBQ0w\n-----END {label}-----\n");
        std::fs::write(&key, text).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let query = format!("sslmode=require&sslcert={}&sslkey={}", certificate.display(), key.display());
        expect(&reaching(&server, &query), Err("openssl pkey")).await;
    }
}
