//! Certificates for tests: an authority, good certificates, and every kind of bad one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::postgres::ServerTls;
use crate::scratch::{Scratch, set_mode};
use crate::{Error, Result};

/// Where servers of the test bed are reached.
const LOOPBACK: &[&str] = &["127.0.0.1", "localhost"];

/// A certificate authority, with its certificates in a folder of its own.
///
/// A second one with another name signs what the first one's clients must not trust.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    certificate: PathBuf,
}

/// A certificate and its private key, as PEM files.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key, which only its owner can read.
    pub key: PathBuf,
}

impl Pair {
    /// For a PostgreSQL server; with an authority, clients may identify themselves with its certificates.
    #[must_use]
    pub fn for_postgres(&self, clients: Option<&Authority>) -> ServerTls {
        ServerTls {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_ca: clients.map(|authority| authority.certificate.clone()),
        }
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority; its certificate is `<name>/ca.crt` in the scratch folder.
    ///
    /// # Errors
    /// [`Error::Certificate`], [`Error::Io`].
    pub fn new(scratch: &Scratch, name: &str) -> Result<Self> {
        let mut params = params(name, name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key(name)?).map_err(failed(name))?;
        let folder = scratch.folder(name)?;
        let certificate = folder.join("ca.crt");
        write(&certificate, &issuer.pem(), 0o644)?;
        Ok(Self { issuer, folder, certificate })
    }

    /// The authority's own certificate, for those who shall trust it.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// A server's certificate for 127.0.0.1 and localhost.
    ///
    /// # Errors
    /// [`Error::Certificate`], [`Error::Io`].
    pub fn server(&self, name: &str) -> Result<Pair> {
        self.server_for(name, LOOPBACK)
    }

    /// A server's certificate for other hosts, for example a wrong one.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn server_for(&self, name: &str, hosts: &[&str]) -> Result<Pair> {
        self.sign(name, &server_params(name, hosts)?)
    }

    /// A server's certificate that expired years ago.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn expired_server(&self, name: &str) -> Result<Pair> {
        let mut params = server_params(name, LOOPBACK)?;
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(name, &params)
    }

    /// A server's certificate that expires this long from now (whole seconds count).
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn server_valid_for(&self, name: &str, time: Duration) -> Result<Pair> {
        let mut params = server_params(name, LOOPBACK)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        params.not_after = date_time_ymd(1970, 1, 1) + now + time;
        self.sign(name, &params)
    }

    /// A client's certificate; `user` is its common name, which PostgreSQL takes for the user's name.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn client(&self, user: &str) -> Result<Pair> {
        let mut params = params(user, user, &[])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&format!("client-{user}"), &params)
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Result<Pair> {
        let key = key(name)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed(name))?;
        let pair =
            Pair { certificate: self.folder.join(format!("{name}.crt")), key: self.folder.join(format!("{name}.key")) };
        write(&pair.certificate, &certificate.pem(), 0o644)?;
        write(&pair.key, &key.serialize_pem(), 0o600)?;
        Ok(pair)
    }
}

fn server_params(name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let mut params = params(name, hosts.first().copied().unwrap_or(name), hosts)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn params(name: &str, common_name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).map_err(failed(name))?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    Ok(params)
}

fn key(name: &str) -> Result<KeyPair> {
    KeyPair::generate().map_err(failed(name))
}

fn failed(name: &str) -> impl FnOnce(rcgen::Error) -> Error {
    let name = name.to_owned();
    move |source| Error::Certificate { name, source }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text).map_err(Error::io("write", path))?;
    set_mode(path, mode)
}
