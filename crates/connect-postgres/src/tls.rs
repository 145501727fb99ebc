//! TLS as libpq's `sslmode` means it, over rustls.
//!
//! Source: PostgreSQL documentation, "SSL Support": what each mode protects against, the default
//! certificate files, `sslrootcert=system`, and host names in certificates without alternative names.

use crate::conninfo::{ConnInfo, RootCert, SslMode};
use paritas_connect::{Error, FailureKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_cert::der::{Decode, oid::db::rfc4519::CN, oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME};

/// The client's side of TLS for a connection string.
///
/// # Errors
/// `store.tls` when a certificate or key file cannot be used.
pub(crate) fn client_config(info: &ConnInfo) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier { trust: trust(info, &provider)?, algorithms: provider.signature_verification_algorithms };
    let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("set up TLS", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    match client_certificate(info)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
            failed("use the client certificate", error.to_string()).hint("check that sslkey belongs to sslcert")
        }),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn failed(doing: &str, detail: String) -> Error {
    Error::new(FailureKind::Permanent, "store.tls", format!("cannot {doing}")).detail(detail)
}

/// What is trusted; `None` trusts every certificate, which only encrypts.
fn trust(info: &ConnInfo, provider: &Arc<CryptoProvider>) -> Result<Option<Trust>> {
    let must_verify = matches!(info.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull);
    let file = match &info.ssl_root_cert {
        Some(RootCert::System) => {
            return Trust::new(info, provider, system_roots(), Vec::new()).map(Some);
        }
        Some(RootCert::File(path)) => path.clone(),
        // A root certificate at libpq's own place turns verification on, also for weaker modes.
        None => match default_file("root.crt") {
            Some(path) if path.is_file() => path,
            _ if must_verify => {
                let detail = "there is no root certificate to verify the server with".to_owned();
                return Err(failed("verify the server", detail).hint("give sslrootcert=FILE or sslrootcert=system"));
            }
            _ if info.ssl_crl.is_some() => {
                let detail = "nothing says which authorities its lists belong to".to_owned();
                return Err(failed("use sslcrl", detail).hint("give sslrootcert too"));
            }
            _ => return Ok(None),
        },
    };
    let certificates = read_certificates(&file)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    if roots.is_empty() {
        return Err(failed("read sslrootcert", format!("{} holds no usable certificate", file.display())));
    }
    Trust::new(info, provider, roots, certificates).map(Some)
}

fn default_file(name: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(Path::new(&home).join(".postgresql").join(name))
}

/// The authorities of this machine, or the well-known public ones where it names none.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error: rustls::pki_types::pem::Error| {
        failed("read a certificate file", format!("{}: {error}", path.display())).hint("give a PEM file")
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let certificates = read.map_err(unreadable)?;
    if certificates.is_empty() {
        let detail = format!("{} holds no certificate", path.display());
        return Err(failed("read a certificate file", detail).hint("give a PEM file"));
    }
    Ok(certificates)
}

type Chain = Vec<CertificateDer<'static>>;

/// Certificate and key given, or at libpq's own place.
fn client_certificate(info: &ConnInfo) -> Result<Option<(Chain, PrivateKeyDer<'static>)>> {
    let default = |name| default_file(name).filter(|path| path.is_file());
    let Some(certificate) = info.ssl_cert.clone().or_else(|| default("postgresql.crt")) else { return Ok(None) };
    let Some(key) = info.ssl_key.clone().or_else(|| default("postgresql.key")) else {
        let detail = format!("{} has no key", certificate.display());
        return Err(failed("use the client certificate", detail).hint("give sslkey"));
    };
    let chain = read_certificates(&certificate)?;
    if !private(&key) {
        let detail = format!("others can read {}", key.display());
        return Err(failed("use the client key", detail).hint("chmod 0600 the key file"));
    }
    // Both PEM forms of encrypted keys have the word in their first lines.
    if std::fs::read_to_string(&key).is_ok_and(|text| text.contains("ENCRYPTED")) {
        let hint = "decrypt it once: openssl pkey -in client.key -out plain.key, then chmod 0600 plain.key";
        return Err(failed("use the client key", format!("{} is encrypted", key.display())).hint(hint));
    }
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| {
        failed("read the client key", format!("{}: {error}", key.display())).hint("give an unencrypted PEM key")
    })?;
    Ok(Some((chain, key)))
}

/// As libpq demands: nobody but the owner, or the group of a file that root owns.
#[cfg(unix)]
fn private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(true, |meta| {
        let forbidden = if meta.uid() == 0 { 0o027 } else { 0o077 };
        meta.mode() & forbidden == 0
    })
}

#[cfg(not(unix))]
fn private(_: &Path) -> bool {
    true
}

#[derive(Debug)]
struct Trust {
    roots: RootCertStore,
    /// The root file's certificates themselves: a server may use one of them as its own.
    certificates: Chain,
    /// Verifies the chain against revocation lists as well, where there are any.
    with_lists: Option<Arc<WebPkiServerVerifier>>,
    check_name: bool,
}

impl Trust {
    fn new(info: &ConnInfo, provider: &Arc<CryptoProvider>, roots: RootCertStore, certificates: Chain) -> Result<Self> {
        let check_name = info.ssl_mode == SslMode::VerifyFull;
        let file = info.ssl_crl.clone().or_else(|| default_file("root.crl").filter(|path| path.is_file()));
        let Some(file) = file else { return Ok(Self { roots, certificates, with_lists: None, check_name }) };
        let unusable = |detail: String| {
            failed("read sslcrl", format!("{}: {detail}", file.display())).hint("give a PEM file of revocation lists")
        };
        let lists = CertificateRevocationListDer::pem_file_iter(&file).map_err(|error| unusable(error.to_string()))?;
        let lists: Vec<_> = lists.collect::<Result<_, _>>().map_err(|error| unusable(error.to_string()))?;
        if lists.is_empty() {
            return Err(unusable("it holds no revocation list".to_owned()));
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(provider)).with_crls(lists);
        let verifier = verifier.enforce_revocation_expiration().build();
        let verifier = verifier.map_err(|error| unusable(error.to_string()))?;
        Ok(Self { roots, certificates, with_lists: Some(verifier), check_name })
    }
}

#[derive(Debug)]
struct Verifier {
    trust: Option<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        // OpenSSL accepts a trusted certificate that is the server's own, also when it is marked as
        // an authority, as self-signed ones usually are; webpki alone would refuse that.
        if let Some(verifier) = &trust.with_lists {
            // The chain comes before the name there; the name is looked at below, where the mode asks.
            match verifier.verify_server_cert(end_entity, intermediates, server_name, &[], now) {
                Err(rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                )) => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        } else if trust.certificates.iter().any(|own| own.as_ref() == end_entity.as_ref()) {
            valid_now(end_entity, now)?;
        } else {
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &trust.roots, intermediates, now, algorithms)?;
        }
        if trust.check_name
            && let Err(error) = verify_server_name(&parsed, server_name)
            && !common_name_matches(end_entity, server_name)
        {
            return Err(error);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse(certificate: &CertificateDer<'_>) -> Result<x509_cert::Certificate, rustls::Error> {
    x509_cert::Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

fn valid_now(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let validity = parse(certificate)?.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// A certificate without alternative names names its host in its subject, as libpq reads it.
fn common_name_matches(certificate: &CertificateDer<'_>, server_name: &ServerName<'_>) -> bool {
    let Ok(parsed) = parse(certificate) else { return false };
    let tbs = parsed.tbs_certificate;
    let extensions = tbs.extensions.unwrap_or_default();
    if extensions.iter().any(|extension| extension.extn_id == ID_CE_SUBJECT_ALT_NAME) {
        return false;
    }
    let host = server_name.to_str();
    let attributes = tbs.subject.0.iter().flat_map(|name| name.0.iter());
    let names = attributes.filter(|attribute| attribute.oid == CN).map(|attribute| attribute.value.value());
    names.filter_map(|bytes| std::str::from_utf8(bytes).ok()).any(|name| host_matches(name, &host))
}

/// Equal without regard to case, or `*.` in place of exactly one first label.
fn host_matches(pattern: &str, host: &str) -> bool {
    if let Some(suffix) = pattern.strip_prefix("*.") {
        return host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(suffix));
    }
    pattern.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("db.example.com", "DB.example.com", true)]
    #[case("*.example.com", "db.example.com", true)]
    #[case("*.example.com", "a.db.example.com", false)]
    #[case("*.example.com", ".example.com", false)]
    #[case("*.example.com", "example.com", false)]
    #[case("db", "db.example.com", false)]
    fn common_names_match_hosts(#[case] pattern: &str, #[case] host: &str, #[case] expected: bool) {
        assert_eq!(host_matches(pattern, host), expected);
    }
}
