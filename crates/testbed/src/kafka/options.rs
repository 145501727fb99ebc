//! How the brokers of a cluster are set up: properties, listeners, users.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::tls::{Authority, Pair};

/// Options of a cluster. The default is one broker that listens in plain text and lets everybody do everything.
#[derive(Debug, Clone)]
pub struct Options {
    brokers: u32,
    heap_mib: u32,
    properties: Vec<(String, String)>,
    tls: Option<BrokerTls>,
    sasl: bool,
    users: Vec<(String, String)>,
    acls: bool,
    routes: Vec<Route>,
}

/// Files for TLS.
#[derive(Debug, Clone)]
struct BrokerTls {
    certificate: PathBuf,
    key: PathBuf,
    clients: Option<PathBuf>,
}

/// A listener of one broker that sends its clients to another address.
#[derive(Debug, Clone)]
struct Route {
    listener: Listener,
    port: u16,
    advertised: String,
}

/// Where clients can connect. Every broker has the plain one, which its peers and the test bed itself use; the others
/// are there where the options ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listener {
    /// Plain text; whoever connects is `User:ANONYMOUS`, who may do everything.
    Plain,
    /// Plain text, with another address advertised: [`Options::route`].
    Routed,
    /// TLS. A client with a certificate is the user of its common name.
    Tls,
    /// A name and a password in plain text, by PLAIN or SCRAM.
    Sasl,
    /// A name and a password over TLS.
    SaslTls,
}

impl Listener {
    pub(super) const ALL: [Self; 5] = [Self::Plain, Self::Routed, Self::Tls, Self::Sasl, Self::SaslTls];

    /// Its name in the properties.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Routed => "ROUTED",
            Self::Tls => "TLS",
            Self::Sasl => "SASL",
            Self::SaslTls => "SASLTLS",
        }
    }

    /// What Kafka and librdkafka call its protocol (`security.protocol`).
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Plain | Self::Routed => "PLAINTEXT",
            Self::Tls => "SSL",
            Self::Sasl => "SASL_PLAINTEXT",
            Self::SaslTls => "SASL_SSL",
        }
    }

    pub(super) fn has_sasl(self) -> bool {
        matches!(self, Self::Sasl | Self::SaslTls)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brokers: 1,
            heap_mib: 256,
            properties: Vec::new(),
            tls: None,
            sasl: false,
            users: Vec::new(),
            acls: false,
            routes: Vec::new(),
        }
    }
}

impl Options {
    /// So many brokers. The first one is the controller as well, so the others can be killed without losing it.
    #[must_use]
    pub fn brokers(mut self, brokers: u32) -> Self {
        self.brokers = brokers.max(1);
        self
    }

    /// Memory for the objects of each broker. The process takes less than 100 MiB more.
    #[must_use]
    pub fn heap_mib(mut self, mib: u32) -> Self {
        self.heap_mib = mib;
        self
    }

    /// Sets a property of every broker; a later one wins.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers TLS; with an authority, only to clients with one of its certificates.
    #[must_use]
    pub fn tls(mut self, server: &Pair, clients: Option<&Authority>) -> Self {
        let clients = clients.map(|authority| authority.certificate().to_path_buf());
        self.tls = Some(BrokerTls { certificate: server.certificate.clone(), key: server.key.clone(), clients });
        self
    }

    /// Offers a log-in to this user, by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512; over TLS too where that is offered.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.sasl = true;
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Denies everything that is not granted (`Cluster::grant`), except to clients of the plain listeners.
    #[must_use]
    pub fn acls(mut self) -> Self {
        self.acls = true;
        self
    }

    /// Adds a plain listener on this port that tells its clients to connect to `advertised` (`host:port`). The first
    /// call is for broker 1, the second for broker 2.
    ///
    /// A broker behind a proxy: take `port` from [`crate::ports::free_port`], start the proxy to it, and advertise
    /// the proxy's port; clients start at the proxy's port as well. A listener that nobody can use: advertise an
    /// address where nobody listens, and let clients start at `port`.
    #[must_use]
    pub fn route(self, port: u16, advertised: &str) -> Self {
        self.route_as(Listener::Routed, port, advertised)
    }

    /// As [`Options::route`], for a listener that the options offer otherwise as well: it gets this port, and advertises
    /// that address.
    #[must_use]
    pub fn route_as(mut self, listener: Listener, port: u16, advertised: &str) -> Self {
        self.routes.push(Route { listener, port, advertised: advertised.to_owned() });
        self
    }

    pub(super) fn first_user(&self) -> Option<(&str, &str)> {
        self.users.first().map(|(name, password)| (name.as_str(), password.as_str()))
    }

    pub(super) fn count(&self) -> u32 {
        self.brokers
    }

    pub(super) fn heap(&self) -> u32 {
        self.heap_mib
    }

    /// Whether the broker of this number has the listener.
    pub(super) fn has(&self, listener: Listener, node: u32) -> bool {
        match listener {
            Listener::Plain => true,
            Listener::Routed => self.routed(listener, node).is_some(),
            Listener::Tls => self.tls.is_some(),
            Listener::Sasl => self.sasl,
            Listener::SaslTls => self.sasl && self.tls.is_some(),
        }
    }

    fn routed(&self, listener: Listener, node: u32) -> Option<&Route> {
        let route = self.routes.get(usize::try_from(node.checked_sub(1)?).ok()?);
        route.filter(|route| route.listener == listener)
    }

    /// The port that the options say, for listeners that have a fixed one.
    pub(super) fn fixed_port(&self, listener: Listener, node: u32) -> Option<u16> {
        self.routed(listener, node).map(|route| route.port)
    }

    pub(super) fn advertised(&self, listener: Listener, node: u32, port: u16) -> String {
        match self.routed(listener, node) {
            Some(route) => route.advertised.clone(),
            None => format!("127.0.0.1:{port}"),
        }
    }

    /// What the certificate and its key are read from.
    pub(super) fn tls_files(&self) -> Option<(&Path, &Path)> {
        self.tls.as_ref().map(|tls| (tls.certificate.as_path(), tls.key.as_path()))
    }

    /// Further arguments for formatting: users are in the first records of the cluster.
    pub(super) fn format_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        for (name, password) in &self.users {
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                args.push("--add-scram".to_owned());
                args.push(format!("{mechanism}=[name={name},password={password}]"));
            }
        }
        args
    }

    /// Everything that does not depend on the place, the number and the ports of the broker. `store` is the file with
    /// the server's certificate and key.
    pub(super) fn properties(&self, store: &Path) -> String {
        let mut all = Lines::default();
        let replicas = self.brokers.min(3).to_string();
        for topic in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
            all.add(&format!("{topic}.replication.factor"), &replicas);
        }
        for name in ["transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"] {
            all.add(name, "1");
        }
        if let Some(tls) = &self.tls {
            all.add("ssl.keystore.type", "PEM");
            all.add("ssl.keystore.location", &store.display().to_string());
            all.add("ssl.principal.mapping.rules", "RULE:^CN=([^,]+).*$/$1/,DEFAULT");
            if let Some(clients) = &tls.clients {
                all.add("ssl.truststore.type", "PEM");
                all.add("ssl.truststore.location", &clients.display().to_string());
                all.add("listener.name.tls.ssl.client.auth", "required");
            }
        }
        if self.sasl {
            let users: String =
                self.users.iter().map(|(name, password)| format!(" user_{name}=\"{password}\"")).collect();
            all.add("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512");
            for listener in Listener::ALL.into_iter().filter(|listener| listener.has_sasl()) {
                let prefix = format!("listener.name.{}", listener.name().to_lowercase());
                let module = "org.apache.kafka.common.security";
                let plain = format!("{module}.plain.PlainLoginModule required{users};");
                all.add(&format!("{prefix}.plain.sasl.jaas.config"), &plain);
                for mechanism in ["scram-sha-256", "scram-sha-512"] {
                    let scram = format!("{module}.scram.ScramLoginModule required;");
                    all.add(&format!("{prefix}.{mechanism}.sasl.jaas.config"), &scram);
                }
            }
        }
        if self.acls {
            all.add("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
            all.add("super.users", "User:ANONYMOUS");
        }
        for (name, value) in &self.properties {
            all.add(name, value);
        }
        all.0
    }
}

/// Lines of a file of properties.
#[derive(Debug, Default)]
pub(super) struct Lines(pub String);

impl Lines {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        // A backslash begins an escape there.
        let value = value.replace('\\', "\\\\");
        // Writing to a string cannot fail.
        let _ok = writeln!(self.0, "{name}={value}");
    }
}
