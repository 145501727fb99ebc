//! How a client shows who it is, and whom it trusts.

use super::client::Client;
use super::cluster::Cluster;
use super::options::Listener;
use crate::Result;
use crate::tls::{Authority, Pair};

/// How a name and a password are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// As they are.
    Plain,
    /// By a proof with SHA-256.
    Scram256,
    /// By a proof with SHA-512.
    Scram512,
}

impl Mechanism {
    /// Its name, as Kafka and librdkafka (`sasl.mechanism`) know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram256 => "SCRAM-SHA-256",
            Self::Scram512 => "SCRAM-SHA-512",
        }
    }
}

impl Cluster {
    /// A client of one of the listeners. Where a log-in is asked for, it logs in as the first user of the options by
    /// PLAIN, until [`Client::login`] says otherwise; where TLS is spoken, it still has to say whom it trusts.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub fn client_of(&self, listener: Listener) -> Result<Client> {
        let bootstrap = self.bootstrap_of(listener);
        let mut settings = vec![("bootstrap.servers", bootstrap.as_str()), ("security.protocol", listener.protocol())];
        if let Some((name, password)) = self.first_user().filter(|_| listener.has_sasl()) {
            settings.push(("sasl.mechanism", Mechanism::Plain.name()));
            settings.extend([("sasl.username", name), ("sasl.password", password)]);
        }
        self.client()?.with(&settings)
    }
}

impl Client {
    /// Trusts servers whose certificates this authority has signed.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn trust(&self, authority: &Authority) -> Result<Self> {
        self.with(&[("ssl.ca.location", &authority.certificate().display().to_string())])
    }

    /// Shows this certificate.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn identify(&self, pair: &Pair) -> Result<Self> {
        let (certificate, key) = (pair.certificate.display().to_string(), pair.key.display().to_string());
        self.with(&[("ssl.certificate.location", &certificate), ("ssl.key.location", &key)])
    }

    /// Logs in.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn login(&self, mechanism: Mechanism, user: &str, password: &str) -> Result<Self> {
        self.with(&[("sasl.mechanism", mechanism.name()), ("sasl.username", user), ("sasl.password", password)])
    }
}
