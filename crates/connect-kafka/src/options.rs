//! Settings of the client library: which are passed through, which are refused, and which are ours.
//!
//! Source of names and meanings: librdkafka, "Configuration properties".

use crate::bindings::{Conf, Refusal};
use crate::errors::usage;
use crate::url::Location;
use paritas_connect::logs::Isolation;
use paritas_connect::{Error, Result, is_secret_name};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;

/// How a store is opened, beyond its URL.
#[derive(Debug, Clone, Default)]
pub struct KafkaOptions {
    /// The password of the user in the URL; wins over one in the URL.
    pub password: Option<SecretString>,
    /// Settings of the client library (librdkafka) by their names; they win over those in the URL.
    pub settings: BTreeMap<String, String>,
    /// Settings whose values are secret, such as `ssl.key.password`; they win over all others.
    pub secret_settings: Vec<(String, SecretString)>,
    /// The name for reports; the URL's brokers unless set.
    pub name: Option<String>,
}

/// What settings must not change, by the beginning of their names or (without a dot at the end) their whole names.
const REFUSED: &[(&str, &str)] = &[
    ("group.", "no group is joined"),
    ("enable.auto.commit", "no offset is committed"),
    ("auto.commit.", "no offset is committed"),
    ("enable.auto.offset.store", "no offset is committed"),
    ("offset.store.", "no offset is committed"),
    ("session.timeout.ms", "no group is joined"),
    ("heartbeat.interval.ms", "no group is joined"),
    ("coordinator.query.interval.ms", "no group is joined"),
    ("partition.assignment.strategy", "no group is joined"),
    ("auto.offset.reset", "what is gone must not be skipped"),
    ("isolation.level", "each check says which records it reads"),
    ("enable.partition.eof", "the end of a partition must be seen"),
    ("check.crcs", "damaged records must be seen"),
    ("transactional.id", "nothing is written"),
    ("transaction.", "nothing is written"),
    ("enable.idempotence", "nothing is written"),
    ("enable.metrics.push", "nothing is sent to the cluster"),
    ("allow.auto.create.topics", "no topic is made"),
    ("bootstrap.servers", "the brokers are those of the URL"),
    ("metadata.broker.list", "the brokers are those of the URL"),
    ("plugin.", "no foreign code is loaded"),
    ("test.", "only real brokers are read"),
    ("log.queue", "the log is taken already"),
    ("sasl.kerberos.", "this build has no Kerberos: use SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"),
    ("sasl.oauthbearer.", "this build has no OAuth: use SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"),
    ("enable.sasl.oauthbearer.", "this build has no OAuth: use SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"),
];

/// Names of the Java client, with what stands for them here.
const JAVA: &[(&str, &str)] = &[
    ("ssl.truststore.location", "give the authority as a PEM file: ssl.ca.location=FILE"),
    ("ssl.truststore.password", "give the authority as a PEM file: ssl.ca.location=FILE"),
    ("ssl.truststore.type", "give the authority as a PEM file: ssl.ca.location=FILE"),
    ("ssl.keystore.type", "give certificate and key as PEM files: ssl.certificate.location and ssl.key.location"),
    ("sasl.jaas.config", "write the user into the URL, and give the password as a secret"),
];

/// Mechanisms of SASL that this build has.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What reading needs, for every client.
const FIXED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "error"),
    ("check.crcs", "true"),
    ("allow.auto.create.topics", "false"),
    ("enable.metrics.push", "false"),
];

/// What is right for most, and may be set otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "paritas"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    // A broker that has restarted is found again soon.
    ("reconnect.backoff.max.ms", "1000"),
    ("socket.connection.setup.timeout.ms", "10000"),
    // How long the last answer of a partition waits for records that do not come.
    ("fetch.wait.max.ms", "20"),
    ("fetch.error.backoff.ms", "100"),
    ("fetch.queue.backoff.ms", "5"),
    // The records that wait for us, in kilobytes and in number, and how much one answer may add to them.
    ("queued.max.messages.kbytes", "32768"),
    ("queued.min.messages", "1000000"),
    ("fetch.message.max.bytes", "2097152"),
    ("fetch.max.bytes", "16777216"),
];

/// How a client is made, again and again.
#[derive(Debug)]
pub(crate) struct Settings {
    list: Vec<(String, SecretString)>,
    /// Who we are, where we say so with a password.
    pub(crate) user: Option<String>,
    /// Whether certificates of brokers are believed without looking.
    pub(crate) trusting: bool,
    /// Whether we show a certificate.
    pub(crate) identified: bool,
}

impl Settings {
    /// Puts everything together that was said about a store, and looks whether it can be meant.
    ///
    /// # Errors
    /// `config.url` for settings that are not known or refused, and for a user without a way to say so.
    pub(crate) fn new(location: &Location, options: &KafkaOptions) -> Result<Self> {
        let mut all: BTreeMap<String, SecretString> = BTreeMap::new();
        let plain = options.settings.iter().map(|(name, value)| (name.clone(), SecretString::from(value.clone())));
        for (name, value) in location.settings.iter().cloned().chain(plain) {
            if name == "ssl.key.pem" {
                return Err(usage("ssl.key.pem is a secret and must not stand in the open")
                    .hint("give ssl.key.location=FILE, or the key as a secret of the store"));
            }
            all.insert(canonical(&name), value);
        }
        all.extend(options.secret_settings.iter().map(|(name, value)| (canonical(name), value.clone())));
        all.keys().try_for_each(|name| allowed(name))?;
        if let Some(user) = &location.user {
            all.insert("sasl.username".to_owned(), user.clone().into());
        }
        if let Some(password) = options.password.as_ref().or(location.password.as_ref()) {
            all.insert("sasl.password".to_owned(), password.clone());
        }
        let get = |name: &str| all.get(name).map(|value| value.expose_secret().to_owned());
        let security = Security::of(&get)?;
        security.check(&get)?;
        let user = get("sasl.username").filter(|_| security.sasl);
        let trusting = get("enable.ssl.certificate.verification").is_some_and(|value| value == "false");
        all.insert("bootstrap.servers".to_owned(), location.bootstrap().into());
        let shown = ["ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"];
        let identified = shown.iter().any(|name| all.contains_key(*name));
        let trusting = trusting && security.tls;
        let settings = Self { list: all.into_iter().collect(), user, trusting, identified };
        settings.conf(Isolation::Committed)?;
        Ok(settings)
    }

    /// A configuration for a client that reads these records.
    pub(crate) fn conf(&self, isolation: Isolation) -> Result<Conf> {
        let mut conf =
            Conf::new().map_err(|fault| usage("the client library gives no configuration").detail(fault.said))?;
        let level = match isolation {
            Isolation::Committed => "read_committed",
            Isolation::Uncommitted => "read_uncommitted",
        };
        let ours = FIXED.iter().copied().chain([("isolation.level", level)]);
        let given = self.list.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
        for (name, value) in DEFAULTS.iter().copied().chain(given).chain(ours) {
            conf.set(name, value).map_err(|refusal| refused(&Conf::names(&conf), name, &refusal))?;
        }
        Ok(conf)
    }
}

/// The name under which a setting is kept; some have two.
fn canonical(name: &str) -> String {
    let name = name.trim();
    if name == "sasl.mechanism" { "sasl.mechanisms".to_owned() } else { name.to_owned() }
}

fn allowed(name: &str) -> Result<()> {
    if !name.contains('.') {
        return Err(usage(format!("{name:?} is not a setting of the client"))
            .hint("settings are librdkafka's, such as security.protocol or ssl.ca.location"));
    }
    if let Some((_, instead)) = JAVA.iter().find(|(java, _)| *java == name) {
        return Err(usage(format!("{name} is a setting of the Java client")).hint(*instead));
    }
    let is = |refused: &str| if refused.ends_with('.') { name.starts_with(refused) } else { name == refused };
    match REFUSED.iter().find(|(refused, _)| is(refused)) {
        Some((_, why)) => Err(usage(format!("{name} cannot be set: {why}")).hint("leave it out")),
        None => Ok(()),
    }
}

fn refused(names: &[String], name: &str, refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Unknown => {
            let error = usage(format!("{name:?} is not a setting of the client"));
            match nearest(names, name) {
                Some(known) => error.hint(format!("did you mean {known}?")),
                None => error.hint("settings are librdkafka's, such as security.protocol or ssl.ca.location"),
            }
        }
        // The library may repeat the value.
        Refusal::Invalid(_) if is_secret_name(name) || name.ends_with(".pem") => {
            usage(format!("the value of {name} is not possible"))
        }
        Refusal::Invalid(said) => usage(format!("the value of {name} is not possible")).detail(said.clone()),
    }
}

/// Settings that are likely to be given, and that the library leaves out of its own list as long as they have no value.
const UNSET: [&str; 9] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
    "ssl.cipher.suites",
    "sasl.username",
    "sasl.mechanism",
    "client.rack",
];

fn nearest<'a>(names: &'a [String], name: &str) -> Option<&'a str> {
    const CLOSE_ENOUGH: f64 = 0.8;
    let all = names.iter().map(String::as_str).chain(UNSET);
    let scored = all.map(|known| (strsim::normalized_damerau_levenshtein(name, known), known));
    scored.filter(|(score, _)| *score > CLOSE_ENOUGH).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

/// How the connection is to be protected.
struct Security {
    tls: bool,
    sasl: bool,
}

impl Security {
    fn of(get: &impl Fn(&str) -> Option<String>) -> Result<Self> {
        let (tls, sasl) = match get("security.protocol").map(|name| name.to_ascii_lowercase()).as_deref() {
            None | Some("plaintext") => (false, false),
            Some("ssl") => (true, false),
            Some("sasl_plaintext") => (false, true),
            Some("sasl_ssl") => (true, true),
            Some(_) => {
                return Err(usage("security.protocol is not one that there is")
                    .hint("use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"));
            }
        };
        Ok(Self { tls, sasl })
    }

    /// Refuses what would be ignored in silence: a password that is never asked for, a certificate that is never
    /// looked at.
    fn check(&self, get: &impl Fn(&str) -> Option<String>) -> Result<()> {
        let (mechanism, user) = (get("sasl.mechanisms"), get("sasl.username"));
        if !self.tls
            && [
                "ssl.ca.location",
                "ssl.ca.pem",
                "ssl.certificate.location",
                "ssl.key.location",
                "ssl.keystore.location",
            ]
            .iter()
            .any(|name| get(name).is_some())
        {
            return Err(usage("certificates are given for a connection without TLS")
                .hint("add security.protocol=SSL, or SASL_SSL where a user logs in"));
        }
        if !self.sasl {
            return match (&mechanism, &user) {
                (None, None) => Ok(()),
                _ => Err(usage("a user is given for a connection that does not log in")
                    .hint("add security.protocol=SASL_SSL (or SASL_PLAINTEXT, without encryption) and sasl.mechanism=SCRAM-SHA-512")),
            };
        }
        let known = MECHANISMS.join(", ");
        match mechanism {
            None => {
                return Err(usage("the mechanism of the login is not given")
                    .hint(format!("add sasl.mechanism: one of {known}")));
            }
            Some(mechanism) if !MECHANISMS.contains(&mechanism.as_str()) => {
                return Err(
                    usage(format!("the mechanism {mechanism:?} is not supported")).hint(format!("use one of {known}"))
                );
            }
            Some(_) => {}
        }
        if user.is_none() {
            return Err(usage("no user is given for the login").hint("write kafka://user@host:port"));
        }
        if get("sasl.password").is_none() {
            return Err(usage("no password is given for the user").hint("give it by reference in the configuration"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;

    const CANARY: &str = "c4n4ry";

    fn settings(url: &str, options: &KafkaOptions) -> Result<Settings> {
        Settings::new(&Location::parse(url).unwrap(), options)
    }

    fn get(settings: &Settings, name: &str) -> Option<String> {
        settings.list.iter().find(|(known, _)| known == name).map(|(_, value)| value.expose_secret().to_owned())
    }

    #[test]
    fn settings_are_passed_through_and_the_nearer_ones_win() {
        let mut options = KafkaOptions::default();
        options.settings.insert("client.id".to_owned(), "b".to_owned());
        options.settings.insert("socket.timeout.ms".to_owned(), "5000".to_owned());
        options.secret_settings.push(("socket.timeout.ms".to_owned(), "6000".to_owned().into()));
        let settings = settings("kafka://h:1?client.id=a&fetch.wait.max.ms=7", &options).unwrap();
        assert_eq!(get(&settings, "client.id").as_deref(), Some("b"));
        assert_eq!(get(&settings, "socket.timeout.ms").as_deref(), Some("6000"));
        assert_eq!(get(&settings, "fetch.wait.max.ms").as_deref(), Some("7"));
        assert_eq!(get(&settings, "bootstrap.servers").as_deref(), Some("h:1"));
        assert_eq!(settings.user, None);
    }

    #[test]
    fn a_user_logs_in_with_the_password_that_is_given_apart() {
        let url = "kafka://u:a@h:1?security.protocol=SASL_SSL&sasl.mechanism=SCRAM-SHA-512";
        let options = KafkaOptions { password: Some(CANARY.to_owned().into()), ..KafkaOptions::default() };
        let made = settings(url, &options).unwrap();
        assert_eq!((get(&made, "sasl.password").as_deref(), made.user.as_deref()), (Some(CANARY), Some("u")));
        assert_eq!(get(&made, "sasl.mechanisms").as_deref(), Some("SCRAM-SHA-512"));
        assert!(!format!("{made:?}").contains(CANARY));
        assert_eq!(get(&settings(url, &KafkaOptions::default()).unwrap(), "sasl.password").as_deref(), Some("a"));
    }

    #[rstest]
    #[case("group.id=a", "group.id cannot be set: no group is joined", "leave it out")]
    #[case("group.instance.id=a", "group.instance.id cannot be set: no group is joined", "leave it out")]
    #[case("enable.auto.commit=true", "enable.auto.commit cannot be set: no offset is committed", "leave it out")]
    #[case(
        "isolation.level=read_committed",
        "isolation.level cannot be set: each check says which records it reads",
        "leave it out"
    )]
    #[case("transactional.id=a", "transactional.id cannot be set: nothing is written", "leave it out")]
    #[case("plugin.library.paths=a", "plugin.library.paths cannot be set: no foreign code is loaded", "leave it out")]
    #[case(
        "test.mock.num.brokers=1",
        "test.mock.num.brokers cannot be set: only real brokers are read",
        "leave it out"
    )]
    #[case(
        "ssl.ca.locatoin=a&security.protocol=ssl",
        "\"ssl.ca.locatoin\" is not a setting of the client",
        "did you mean ssl.ca.location?"
    )]
    #[case("fetch.max.byte=1", "\"fetch.max.byte\" is not a setting of the client", "did you mean fetch.max.bytes?")]
    #[case(
        "tls=1",
        "\"tls\" is not a setting of the client",
        "settings are librdkafka's, such as security.protocol or ssl.ca.location"
    )]
    #[case(
        "ssl.truststore.location=a",
        "ssl.truststore.location is a setting of the Java client",
        "give the authority as a PEM file: ssl.ca.location=FILE"
    )]
    #[case(
        "security.protocol=tls",
        "security.protocol is not one that there is",
        "use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )]
    #[case(
        "ssl.ca.location=a",
        "certificates are given for a connection without TLS",
        "add security.protocol=SSL, or SASL_SSL where a user logs in"
    )]
    #[case(
        "sasl.mechanism=PLAIN",
        "a user is given for a connection that does not log in",
        "add security.protocol=SASL_SSL (or SASL_PLAINTEXT, without encryption) and sasl.mechanism=SCRAM-SHA-512"
    )]
    #[case(
        "security.protocol=SASL_SSL",
        "the mechanism of the login is not given",
        "add sasl.mechanism: one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
    )]
    #[case(
        "security.protocol=SASL_SSL&sasl.mechanism=GSSAPI",
        "the mechanism \"GSSAPI\" is not supported",
        "use one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
    )]
    #[case(
        "security.protocol=SASL_SSL&sasl.mechanism=PLAIN",
        "no user is given for the login",
        "write kafka://user@host:port"
    )]
    #[case(
        "security.protocol=SASL_SSL&sasl.mechanism=PLAIN&sasl.username=u",
        "no password is given for the user",
        "give it by reference in the configuration"
    )]
    #[case(
        "ssl.key.pem=c4n4ry",
        "ssl.key.pem is a secret and must not stand in the open",
        "give ssl.key.location=FILE, or the key as a secret of the store"
    )]
    fn what_cannot_be_meant_is_refused(#[case] query: &str, #[case] message: &str, #[case] hint: &str) {
        let error = settings(&format!("kafka://h:1?{query}"), &KafkaOptions::default()).unwrap_err();
        assert_eq!((error.code(), error.message(), error.hint_text()), ("config.url", message, Some(hint)));
    }

    #[test]
    fn a_user_without_a_mechanism_is_told_how_to_log_in() {
        let error = settings("kafka://u@h:1", &KafkaOptions::default()).unwrap_err();
        assert_eq!(error.message(), "a user is given for a connection that does not log in");
    }

    #[rstest]
    #[case("socket.timeout.ms=soon", true)]
    #[case("ssl.keystore.password=c4n4ry\0", false)]
    fn a_value_that_is_not_possible_is_said_without_secrets(#[case] query: &str, #[case] detailed: bool) {
        let error = settings(&format!("kafka://h:1?{query}"), &KafkaOptions::default()).unwrap_err();
        assert!(error.message().ends_with("is not possible"), "{error}");
        assert_eq!(error.detail_text().is_some(), detailed);
        assert!(!format!("{error:?}").contains(CANARY));
    }
}
