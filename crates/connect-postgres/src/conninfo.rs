//! Connection strings: `postgres://` URLs and libpq's `keyword=value` form.
//!
//! Source of the words and their meaning: PostgreSQL documentation, "Connection Strings" and
//! "Parameter Key Words". Secrets are kept in [`SecretString`] and never printed.

use crate::errors::usage;
use paritas_connect::Result;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Parameters that are understood. Anything else is an error that names the nearest of these.
const KNOWN: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "options",
    "passfile",
    "password",
    "port",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Parameters of libpq that cannot be followed, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("sslpassword", "decrypt the key once: openssl pkey -in client.key -out plain.key, then chmod 0600 plain.key"),
    ("sslcrldir", "put the revocation lists into one PEM file and give sslcrl=FILE"),
    ("ssl_min_protocol_version", "leave it out: TLS 1.2 and 1.3 are the only versions spoken"),
    ("ssl_max_protocol_version", "leave it out: TLS 1.2 and 1.3 are the only versions spoken"),
];

/// Waiting for a connection to begin when `connect_timeout` does not say otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for `connect_timeout=0`, which means no limit: that of the run ends it.
const CONNECT_TIMEOUT_NONE: Duration = Duration::from_secs(365 * 24 * 3_600);
const PORT: u16 = 5432;

/// How much TLS is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// Never.
    Disable,
    /// Only when the server refuses a plain connection.
    Allow,
    /// When the server offers it.
    Prefer,
    /// Always; the certificate is verified only when a root certificate is given.
    Require,
    /// Always, with a certificate that a known authority has signed.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

/// Where trusted authorities come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootCert {
    /// The authorities this machine trusts.
    System,
    /// A PEM file.
    File(PathBuf),
}

/// Which server of several will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetSession {
    Any,
    Primary,
    Standby,
    PreferStandby,
}

/// Whether the password exchange must be bound to the TLS channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

/// One server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// Name, address or (with a leading `/`) socket folder.
    pub(crate) host: String,
    /// Address to connect to in place of looking `host` up.
    pub(crate) hostaddr: Option<std::net::IpAddr>,
    pub(crate) port: u16,
    /// Whether `host` was given, so that a certificate can be compared with it.
    pub(crate) named: bool,
}

impl Host {
    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

/// A parsed connection string.
#[derive(Debug, Clone)]
pub(crate) struct ConnInfo {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) dbname: String,
    pub(crate) password: Option<SecretString>,
    pub(crate) passfile: Option<PathBuf>,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_root_cert: Option<RootCert>,
    pub(crate) ssl_crl: Option<PathBuf>,
    pub(crate) ssl_cert: Option<PathBuf>,
    pub(crate) ssl_key: Option<PathBuf>,
    pub(crate) connect_timeout: Duration,
    pub(crate) application_name: String,
    pub(crate) options: Option<String>,
    pub(crate) target: TargetSession,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) keepalives: bool,
    pub(crate) keepalives_idle: Option<Duration>,
    pub(crate) keepalives_interval: Option<Duration>,
    pub(crate) tcp_user_timeout: Option<Duration>,
    /// Whether the session is to understand replication commands; never part of the string.
    pub(crate) replication: bool,
    /// Whether a pooler that keeps a server session for each client may stand between; never part of the string.
    pub(crate) session_pooler: bool,
}

/// Texts by parameter name; the password apart so that it cannot be printed by accident.
#[derive(Default)]
struct Words {
    texts: BTreeMap<String, String>,
    password: Option<SecretString>,
}

impl Words {
    /// Takes a parameter. Errors never repeat the value.
    fn set(&mut self, name: &str, value: String) -> Result<()> {
        let name = match name {
            // The old spelling in URLs of other drivers.
            "ssl" if value == "true" => return self.set("sslmode", "require".to_owned()),
            "database" => "dbname",
            other => other,
        };
        if let Some((_, hint)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            return Err(usage(format!("{name} is not supported")).hint(*hint));
        }
        if !KNOWN.contains(&name) {
            let error = usage(format!("{name:?} is not a connection parameter"));
            return Err(match nearest(name) {
                Some(known) => error.hint(format!("did you mean {known}?")),
                None => error.hint(format!("known parameters: {}", KNOWN.join(", "))),
            });
        }
        if name == "password" {
            self.password = Some(value.into());
        } else {
            self.texts.insert(name.to_owned(), value);
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.texts.remove(name).filter(|text| !text.is_empty())
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    const CLOSE_ENOUGH: f64 = 0.7;
    let scored = KNOWN.iter().map(|known| (strsim::jaro_winkler(name, known), *known));
    scored.filter(|(score, _)| *score > CLOSE_ENOUGH).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

impl ConnInfo {
    /// Reads a URL or a `keyword=value` string. `password` wins over one in the string.
    ///
    /// # Errors
    /// `config.url` for anything that is not understood.
    pub(crate) fn parse(text: &str, password: Option<SecretString>) -> Result<Self> {
        let mut words = match text.split_once("://") {
            Some(("postgres" | "postgresql", rest)) => parse_url(rest)?,
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
                return Err(usage(format!("{scheme}:// is not a PostgreSQL URL"))
                    .hint("use postgres://user@host:port/database"));
            }
            _ => parse_keywords(text)?,
        };
        if password.is_some() {
            words.password = password;
        }
        Self::from_words(words)
    }

    fn from_words(mut words: Words) -> Result<Self> {
        let hosts = hosts(&mut words)?;
        let user = words.take("user").or_else(|| env("PGUSER")).or_else(|| env("USER"));
        let user = user.unwrap_or_else(|| "postgres".to_owned());
        let dbname = words.take("dbname").or_else(|| env("PGDATABASE")).unwrap_or_else(|| user.clone());
        let ssl_root_cert = words.take("sslrootcert").map(|text| match text.as_str() {
            "system" => RootCert::System,
            path => RootCert::File(path.into()),
        });
        let ssl_mode = ssl_mode(words.take("sslmode").as_deref(), ssl_root_cert.as_ref())?;
        if ssl_mode == SslMode::VerifyFull && hosts.iter().any(|host| !host.named) {
            return Err(usage("sslmode=verify-full needs a host name to compare the certificate with")
                .hint("give host= beside hostaddr="));
        }
        gss(words.take("gssencmode").as_deref())?;
        Ok(Self {
            hosts,
            user,
            dbname,
            password: words.password.take(),
            passfile: words.take("passfile").map(Into::into),
            ssl_mode,
            ssl_root_cert,
            ssl_crl: words.take("sslcrl").map(Into::into),
            ssl_cert: words.take("sslcert").map(Into::into),
            ssl_key: words.take("sslkey").map(Into::into),
            connect_timeout: match words.texts.contains_key("connect_timeout") {
                true => seconds(&mut words, "connect_timeout")?.unwrap_or(CONNECT_TIMEOUT_NONE),
                false => CONNECT_TIMEOUT,
            },
            application_name: words.take("application_name").unwrap_or_else(|| "paritas".to_owned()),
            options: words.take("options"),
            target: target(words.take("target_session_attrs").as_deref())?,
            channel_binding: channel_binding(words.take("channel_binding").as_deref())?,
            keepalives: words.take("keepalives").as_deref() != Some("0"),
            keepalives_idle: seconds(&mut words, "keepalives_idle")?,
            keepalives_interval: seconds(&mut words, "keepalives_interval")?,
            tcp_user_timeout: number(&mut words, "tcp_user_timeout")?.map(Duration::from_millis),
            replication: false,
            session_pooler: false,
        })
    }

    /// The store's name in reports: a URL without credentials and without parameters.
    pub(crate) fn display_name(&self) -> String {
        let hosts: Vec<String> = self
            .hosts
            .iter()
            .map(|host| {
                let port = if host.port == PORT { String::new() } else { format!(":{}", host.port) };
                format!("{}{port}", host.host)
            })
            .collect();
        format!("postgres://{}@{}/{}", self.user, hosts.join(","), self.dbname)
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn ssl_mode(text: Option<&str>, root: Option<&RootCert>) -> Result<SslMode> {
    let mode = match text {
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        Some("prefer") => SslMode::Prefer,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        // As libpq: trusting every public authority is only sound together with the host name.
        None if root == Some(&RootCert::System) => SslMode::VerifyFull,
        None => SslMode::Prefer,
        Some(other) => {
            return Err(usage(format!("{other:?} is not an sslmode"))
                .hint("use disable, allow, prefer, require, verify-ca or verify-full"));
        }
    };
    if root == Some(&RootCert::System) && mode != SslMode::VerifyFull {
        return Err(usage("sslrootcert=system is too weak with this sslmode").hint("use sslmode=verify-full"));
    }
    Ok(mode)
}

fn gss(text: Option<&str>) -> Result<()> {
    match text {
        None | Some("disable" | "prefer") => Ok(()),
        Some(_) => Err(usage("GSSAPI encryption is not supported").hint("use sslmode=verify-full instead")),
    }
}

fn target(text: Option<&str>) -> Result<TargetSession> {
    match text {
        None | Some("any") => Ok(TargetSession::Any),
        Some("primary" | "read-write") => Ok(TargetSession::Primary),
        Some("standby" | "read-only") => Ok(TargetSession::Standby),
        Some("prefer-standby") => Ok(TargetSession::PreferStandby),
        Some(other) => Err(usage(format!("{other:?} is not a target_session_attrs"))
            .hint("use any, primary, read-write, standby, read-only or prefer-standby")),
    }
}

fn channel_binding(text: Option<&str>) -> Result<ChannelBinding> {
    match text {
        None | Some("prefer") => Ok(ChannelBinding::Prefer),
        Some("disable") => Ok(ChannelBinding::Disable),
        Some("require") => Ok(ChannelBinding::Require),
        Some(other) => Err(usage(format!("{other:?} is not a channel_binding")).hint("use disable, prefer or require")),
    }
}

fn number(words: &mut Words, name: &str) -> Result<Option<u64>> {
    match words.take(name) {
        None => Ok(None),
        Some(text) => match text.trim().parse::<i64>() {
            // Zero and negative numbers mean "not set", as in libpq.
            Ok(number) => Ok(u64::try_from(number).ok().filter(|number| *number > 0)),
            Err(_) => Err(usage(format!("{name} must be a whole number"))),
        },
    }
}

fn seconds(words: &mut Words, name: &str) -> Result<Option<Duration>> {
    Ok(number(words, name)?.map(Duration::from_secs))
}

fn hosts(words: &mut Words) -> Result<Vec<Host>> {
    let split = |text: Option<String>| -> Vec<String> {
        text.map(|text| text.split(',').map(|part| part.trim().to_owned()).collect()).unwrap_or_default()
    };
    let names = split(words.take("host").or_else(|| env("PGHOST").filter(|_| !words.texts.contains_key("hostaddr"))));
    let addresses = split(words.take("hostaddr"));
    let ports = split(words.take("port").or_else(|| env("PGPORT")));
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return Err(usage("host and hostaddr name different numbers of servers"));
    }
    let count = names.len().max(addresses.len()).max(1);
    if ports.len() > 1 && ports.len() != count {
        return Err(usage("port and host name different numbers of servers"));
    }
    (0..count)
        .map(|index| {
            let address = addresses.get(index).filter(|text| !text.is_empty());
            let hostaddr = address.map(|text| text.parse()).transpose();
            let hostaddr = hostaddr.map_err(|_| usage("hostaddr must be an IP address").hint("use host for names"))?;
            let name = names.get(index).filter(|text| !text.is_empty());
            let port = ports.get(index).or(if ports.len() == 1 { ports.first() } else { None });
            let port = match port.map(String::as_str) {
                None | Some("") => PORT,
                Some(text) => text.parse().map_err(|_| {
                    // Never the text itself: with a slash in a password, that is what stands here.
                    usage("the port is not a number from 0 to 65535")
                        .hint("write /, ?, # and @ in a user or password as %2F, %3F, %23 and %40")
                })?,
            };
            let host = name.or(address).cloned().unwrap_or_else(|| "localhost".to_owned());
            Ok(Host { host, hostaddr, port, named: name.is_some() || address.is_none() })
        })
        .collect()
}

/// Everything after `postgres://`.
fn parse_url(rest: &str) -> Result<Words> {
    let mut words = Words::default();
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(rest, path)| (rest, Some(path)));
    let (credentials, servers) = match authority.rsplit_once('@') {
        Some((credentials, servers)) => (Some(credentials), servers),
        None => (None, authority),
    };
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').map_or((credentials, None), |(u, p)| (u, Some(p)));
        words.set("user", decode(user, "the user")?)?;
        if let Some(password) = password {
            words.set("password", decode(password, "the password")?)?;
        }
    }
    url_servers(&mut words, servers)?;
    if let Some(path) = path {
        words.set("dbname", decode(path, "the database")?)?;
    }
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| usage("a parameter of the URL has no value").hint("write ?name=value&name=value"))?;
        let name = decode(name, "a parameter")?;
        let value = decode(value, &name)?;
        words.set(&name, value)?;
    }
    Ok(words)
}

/// `host:port,host:port`, with IPv6 addresses in brackets.
fn url_servers(words: &mut Words, servers: &str) -> Result<()> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for server in servers.split(',').filter(|_| !servers.is_empty()) {
        let (host, port) = match server.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(|| usage("an IPv6 address lacks its ]"))?;
                (host, after.strip_prefix(':').unwrap_or_default())
            }
            None => server.rsplit_once(':').unwrap_or((server, "")),
        };
        hosts.push(decode(host, "the host")?);
        ports.push(port.to_owned());
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        words.set("host", hosts.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        words.set("port", ports.join(","))?;
    }
    Ok(())
}

fn decode(text: &str, what: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| usage(format!("{what} in the URL is not UTF-8 after percent-decoding")))
}

/// `keyword = value` pairs; values may stand in single quotes, with `\'` and `\\` inside.
fn parse_keywords(text: &str) -> Result<Words> {
    let mut words = Words::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| {
            usage("this is neither a PostgreSQL URL nor keyword=value pairs")
                .hint("use postgres://user@host:port/database, or host=... dbname=...")
        })?;
        let (value, after) = keyword_value(after.trim_start())?;
        words.set(name.trim(), value)?;
        rest = after.trim_start();
    }
    if words.texts.is_empty() && words.password.is_none() {
        return Err(usage("the connection string is empty").hint("use postgres://user@host:port/database"));
    }
    Ok(words)
}

fn keyword_value(text: &str) -> Result<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            c if c.is_whitespace() && !quoted => return Ok((value, text.get(at..).unwrap_or_default())),
            c => value.push(c),
        }
    }
    if quoted { Err(usage("a quoted value in the connection string has no end")) } else { Ok((value, "")) }
}

#[cfg(test)]
#[path = "conninfo_tests.rs"]
mod tests;
