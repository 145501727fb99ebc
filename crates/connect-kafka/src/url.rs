//! Locations: `kafka://[user@]host:port[,host:port…][/topic][?setting=value&…]`.

use crate::errors::usage;
use paritas_connect::Result;
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use std::fmt;

/// The scheme of a location.
const SCHEME: &str = "kafka://";
/// Where brokers listen that are named without a port.
const PORT: u16 = 9092;
/// Brokers in a location, at most; the others are learned from these.
const SERVERS_MAX: usize = 64;
/// The longest name of a topic that a broker takes.
const TOPIC_BYTES_MAX: usize = 249;

const HINT: &str = "write kafka://user@host:port,host:port/topic, and settings of the client behind a question mark";

const ENCODE: &str = "write / ? # @ and : in a user, a password or a value as %2F %3F %23 %40 and %3A";

/// A broker to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    host: String,
    port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A location, taken apart.
#[derive(Debug)]
pub(crate) struct Location {
    /// At least one.
    pub(crate) servers: Vec<Server>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<SecretString>,
    pub(crate) topic: Option<String>,
    /// Settings of the client library, in their order. Some may be secret.
    pub(crate) settings: Vec<(String, SecretString)>,
}

impl Location {
    /// Takes a location apart. No error repeats what could be secret.
    ///
    /// # Errors
    /// `config.url` for anything that is not understood.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| usage("this is not a Kafka URL").hint(HINT))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (front, behind) = rest.split_at(end);
        if front.contains(':') && behind.contains('@') {
            // A password that is not encoded may reach as far as that; its parts would be taken for names.
            return Err(usage("the URL has an @ behind its brokers").hint(ENCODE));
        }
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(rest, path)| (rest, path));
        let (credentials, servers) = match authority.rsplit_once('@') {
            Some((credentials, servers)) => (Some(credentials), servers),
            None => (None, authority),
        };
        let (user, password) = match credentials.map(|both| both.split_once(':').unwrap_or((both, ""))) {
            Some((user, password)) => (Some(decode(user, "the user")?), Some(decode(password, "the password")?)),
            None => (None, None),
        };
        if user.as_deref() == Some("") {
            return Err(usage("the URL has an @ and no user before it").hint(HINT));
        }
        Ok(Self {
            servers: parse_servers(servers)?,
            user,
            password: password.filter(|password| !password.is_empty()).map(Into::into),
            topic: topic(path)?,
            settings: parse_settings(query)?,
        })
    }

    /// The store's name in reports.
    pub(crate) fn shown(&self) -> String {
        format!("{SCHEME}{}", self.bootstrap())
    }

    /// The brokers as the client library takes them.
    pub(crate) fn bootstrap(&self) -> String {
        self.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

fn parse_servers(text: &str) -> Result<Vec<Server>> {
    if text.is_empty() {
        return Err(usage("the URL names no broker").hint(HINT));
    }
    let servers: Vec<&str> = text.split(',').collect();
    if servers.len() > SERVERS_MAX {
        return Err(usage(format!("the URL names more than {SERVERS_MAX} brokers"))
            .hint("name a few of them; the others are learned from these"));
    }
    servers.into_iter().map(server).collect()
}

fn server(text: &str) -> Result<Server> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(|| usage("an IPv6 address lacks its ]").hint(HINT))?;
            (host, after.strip_prefix(':').unwrap_or(after))
        }
        None => text.rsplit_once(':').unwrap_or((text, "")),
    };
    let host = decode(host, "a host")?;
    let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(good) || (host.contains(':') && !text.starts_with('[')) {
        // Never the text itself: with a slash in a password, a part of that stands here.
        return Err(usage("the name of a broker cannot be read")
            .hint(format!("write host:port, with IPv6 addresses in brackets, and {ENCODE}")));
    }
    let port = match port {
        "" => PORT,
        text => text
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| usage("the port of a broker is not a number from 1 to 65535").hint(ENCODE))?,
    };
    Ok(Server { host, port })
}

fn topic(path: &str) -> Result<Option<String>> {
    if path.is_empty() {
        return Ok(None);
    }
    let topic = decode(path, "the topic")?;
    if !is_topic_name(&topic) {
        return Err(usage("the URL's path is no name of a topic")
            .hint("names of topics have letters, digits, '.', '_' and '-'; write / in a user or password as %2F"));
    }
    Ok(Some(topic))
}

/// Whether a topic can have this name. Of others the client library asks in vain, again and again.
pub(crate) fn is_topic_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= TOPIC_BYTES_MAX && name.chars().all(legal)
}

fn parse_settings(query: &str) -> Result<Vec<(String, SecretString)>> {
    let mut settings = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| usage("a setting in the URL has no value").hint("write ?name=value&name=value"))?;
        settings.push((decode(name, "a setting")?, decode(value, "a setting")?.into()));
    }
    Ok(settings)
}

fn decode(text: &str, what: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| usage(format!("{what} in the URL is not UTF-8 after percent-decoding")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use secrecy::ExposeSecret as _;

    const CANARY: &str = "c4n4ry";

    #[rstest]
    #[case("kafka://h:9093", "kafka://h:9093", None)]
    #[case("kafka://h", "kafka://h:9092", None)]
    #[case("kafka://a:1,b:2,[::1]:3/orders", "kafka://a:1,b:2,[::1]:3", Some("orders"))]
    #[case("kafka://u:c4n4ry@a:1/", "kafka://a:1", None)]
    #[case("kafka://[fe80::1%25eth0]:9092/a.b_c-d?x.y=1#z", "kafka://[fe80::1%eth0]:9092", Some("a.b_c-d"))]
    fn locations_name_brokers_and_a_topic(#[case] text: &str, #[case] shown: &str, #[case] topic: Option<&str>) {
        let location = Location::parse(text).unwrap();
        assert_eq!((location.shown().as_str(), location.topic.as_deref()), (shown, topic));
    }

    #[test]
    fn users_passwords_and_settings_are_decoded_and_never_printed() {
        let text = "kafka://u%40x:c4n4ry%2F@h:1?sasl.mechanism=PLAIN&ssl.key.password=c4n4ry%26";
        let location = Location::parse(text).unwrap();
        assert_eq!(location.user.as_deref(), Some("u@x"));
        assert_eq!(location.password.as_ref().unwrap().expose_secret(), "c4n4ry/");
        let settings: Vec<_> =
            location.settings.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(settings, [("sasl.mechanism", "PLAIN"), ("ssl.key.password", "c4n4ry&")]);
        assert!(!format!("{location:?} {}", location.shown()).contains(CANARY));
    }

    #[rstest]
    #[case("http://h:1", "this is not a Kafka URL")]
    #[case("kafka://", "the URL names no broker")]
    #[case("kafka:///orders", "the URL names no broker")]
    #[case("kafka://@h:1", "the URL has an @ and no user before it")]
    #[case("kafka://h:1,", "the name of a broker cannot be read")]
    #[case("kafka://h:1,,i:2", "the name of a broker cannot be read")]
    #[case("kafka://::1:9092", "the name of a broker cannot be read")]
    #[case("kafka://[::1:9092", "an IPv6 address lacks its ]")]
    #[case("kafka://h:0", "the port of a broker is not a number from 1 to 65535")]
    #[case("kafka://h:70000", "the port of a broker is not a number from 1 to 65535")]
    #[case("kafka://u:c4/n4ry@h:1", "the URL has an @ behind its brokers")]
    #[case("kafka://u:@c4?n4ry@h:1", "the URL has an @ behind its brokers")]
    #[case("kafka://h:1?client.id=a@b", "the URL has an @ behind its brokers")]
    #[case("kafka://h:1/or ders", "the URL's path is no name of a topic")]
    #[case("kafka://h:1/a/b", "the URL's path is no name of a topic")]
    #[case("kafka://h:1?security.protocol", "a setting in the URL has no value")]
    #[case("kafka://h:1/%ff", "the topic in the URL is not UTF-8 after percent-decoding")]
    fn what_is_not_understood_is_said(#[case] text: &str, #[case] message: &str) {
        let error = Location::parse(text).unwrap_err();
        assert_eq!((error.code(), error.message()), ("config.url", message));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_without_a_panic_and_a_password_never_shows(head in "[ -~]{0,6}", tail in "[ -~]{0,6}") {
            let text = format!("kafka://user:{head}{CANARY}{tail}@host:1/topic");
            let printed = match Location::parse(&text) {
                Ok(location) => format!("{location:?} {}", location.shown()),
                Err(error) => format!("{error:?}"),
            };
            prop_assert!(!printed.contains(CANARY), "{}", printed);
        }
    }
}
