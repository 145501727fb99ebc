//! How a server is set up: settings, certificates, who may connect.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::archive::{command, restore_command};

/// Options of a server. The default is a server for tests: trusting, without fsync, ready for any replication.
#[derive(Debug, Clone, Default)]
pub struct Options {
    port: Option<u16>,
    durable: bool,
    settings: Vec<(String, String)>,
    tls: Option<ServerTls>,
    hba: Vec<String>,
    archive: Option<PathBuf>,
    segment_mib: Option<u32>,
}

/// Files for TLS; the server gets copies with the owner and modes that it demands.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// The server's certificate (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// Certificates of those who may sign client certificates (PEM), for `cert` authentication.
    pub client_ca: Option<PathBuf>,
}

impl Options {
    /// Listens on this port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Switches fsync on, for tests that crash the server.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Sets a configuration parameter; a later one wins.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers TLS.
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Adds a line of `pg_hba.conf`, for example `hostssl all app 127.0.0.1/32 scram-sha-256`.
    ///
    /// The first such line takes the place of trusting every TCP connection; the socket stays open to all, and so do
    /// replication connections, because the test bed itself uses them.
    #[must_use]
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.to_owned());
        self
    }

    /// Copies finished segments of the log to this folder, which is made. A standby archives there as well once it is
    /// promoted, under its new timeline's names.
    #[must_use]
    pub fn archive(mut self, folder: &Path) -> Self {
        self.archive = Some(folder.to_path_buf());
        self
    }

    /// Fetches segments in recovery from this folder, where streaming does not have them.
    #[must_use]
    pub fn restore_from(self, folder: &Path) -> Self {
        self.set("restore_command", &restore_command(folder))
    }

    /// Makes the log of segments of this size in MiB, a power of two, instead of 16.
    #[must_use]
    pub fn segment_mib(mut self, mib: u32) -> Self {
        self.segment_mib = Some(mib);
        self
    }

    pub(super) fn archive_folder(&self) -> Option<&Path> {
        self.archive.as_deref()
    }

    /// Further arguments for `initdb`.
    pub(super) fn initdb(&self) -> Option<String> {
        self.segment_mib.map(|mib| format!("--wal-segsize={mib}"))
    }

    pub(super) fn fixed_port(&self) -> Option<u16> {
        self.port
    }

    /// For a replica that takes its primary's options.
    pub(super) fn clear_port(&mut self) {
        self.port = None;
    }

    pub(super) fn server_tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    pub(super) fn hba_file(&self) -> String {
        let mut text = String::from("local all all trust\nlocal replication all trust\n");
        text.push_str("host replication all 127.0.0.1/32 trust\n");
        for line in &self.hba {
            text.push_str(line);
            text.push('\n');
        }
        if self.hba.is_empty() {
            text.push_str("host all all 127.0.0.1/32 trust\n");
        }
        text
    }

    /// Everything that does not depend on the place and port of the server.
    pub(super) fn settings_file(&self) -> String {
        let mut all: Vec<(&str, &str)> = BASE.to_vec();
        all.push(("fsync", if self.durable { "on" } else { "off" }));
        if let Some(tls) = &self.tls {
            all.extend([("ssl", "on"), ("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")]);
            if tls.client_ca.is_some() {
                all.push(("ssl_ca_file", "client-ca.crt"));
            }
        }
        let archive = self.archive.as_deref().map(command).unwrap_or_default();
        if self.archive.is_some() {
            all.extend([("archive_mode", "on"), ("archive_command", archive.as_str())]);
        }
        all.extend(self.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        lines(all)
    }
}

/// Fits two dozen servers into a small machine and lets any of them be a primary, standby, publisher or subscriber.
const BASE: &[(&str, &str)] = &[
    ("wal_level", "logical"),
    ("max_wal_senders", "10"),
    ("max_replication_slots", "10"),
    ("max_logical_replication_workers", "8"),
    ("max_sync_workers_per_subscription", "4"),
    ("max_worker_processes", "16"),
    ("hot_standby", "on"),
    ("wal_log_hints", "on"),
    ("full_page_writes", "on"),
    ("track_commit_timestamp", "on"),
    ("max_prepared_transactions", "10"),
    ("synchronous_commit", "local"),
    ("shared_buffers", "32MB"),
    ("max_connections", "60"),
    ("wal_keep_size", "128MB"),
    ("max_wal_size", "512MB"),
    // Subscribers report what they have flushed, so a quick writer makes waiting short.
    ("wal_writer_delay", "10ms"),
    ("wal_receiver_status_interval", "1s"),
    ("wal_retrieve_retry_interval", "200ms"),
];

/// Lines of `postgresql.conf`.
pub(super) fn lines<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in settings {
        // Writing to a string cannot fail.
        let _ok = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    }
    text
}
