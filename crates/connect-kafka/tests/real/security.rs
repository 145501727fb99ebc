//! TLS, logins and permissions, and what is said when they are missing.

use crate::bed::{bed_in, cx, offsets, range, read, store};
use paritas_connect::logs::{Isolation::Committed, Logs as _, Partition};
use paritas_connect::{Error, Store as _};
use paritas_connect_kafka::{KafkaOptions, KafkaStore};
use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Cluster, Listener, Options, Record, Resource, Topic};
use paritas_testbed::tls::{Authority, Pair};

const PASSWORD: &str = "c4n4ry";

fn ca(authority: &Authority) -> String {
    format!("ssl.ca.location={}", authority.certificate().display())
}

fn identity(pair: &Pair) -> String {
    format!("ssl.certificate.location={}&ssl.key.location={}", pair.certificate.display(), pair.key.display())
}

/// A store that logs in.
fn login(cluster: &Cluster, listener: Listener, mechanism: &str, user: &str, password: &str, more: &str) -> KafkaStore {
    let bootstrap = cluster.bootstrap_of(listener);
    let protocol = listener.protocol();
    let options = KafkaOptions { password: Some(password.to_owned().into()), ..KafkaOptions::default() };
    let url = format!("kafka://{user}@{bootstrap}?security.protocol={protocol}&sasl.mechanism={mechanism}&{more}");
    KafkaStore::from_url(&url, &options).unwrap()
}

async fn refused(store: &KafkaStore) -> Error {
    let error = store.probe(&cx()).await.unwrap_err();
    let everything = format!("{store:?} {} {error} {error:?}", store.name());
    assert!(!everything.contains(PASSWORD) && !everything.contains("wrong"), "{everything}");
    assert!(error.detail_text().is_some(), "{error:?}");
    error
}

#[tokio::test]
async fn connections_are_protected_and_users_are_known() {
    let scratch = Scratch::new().unwrap();
    let authority = Authority::new(&scratch, "authority").unwrap();
    let stranger = Authority::new(&scratch, "stranger").unwrap();
    let server = authority.server("broker").unwrap();
    let options = Options::default().tls(&server, Some(&authority)).user("reader", PASSWORD).acls();
    let Some(bed) = bed_in(scratch, options).await else { return };
    let cluster = &bed.cluster;
    bed.client.create(&Topic::new("orders")).await.unwrap();
    bed.client.produce("orders", (0..3).map(|_| Record::of("x"))).await.unwrap();
    bed.client.commit("billing", "orders", &[(0, 2)]).await.unwrap();

    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        for (listener, more) in [(Listener::Sasl, String::new()), (Listener::SaslTls, ca(&authority))] {
            let store = login(cluster, listener, mechanism, "reader", PASSWORD, &more);
            assert_eq!(store.probe(&cx()).await.unwrap().identity.value().map(String::as_str), Some(cluster.id()));
            let wrong = login(cluster, listener, mechanism, "reader", "wrong", &more);
            let error = refused(&wrong).await;
            assert_eq!(error.code(), "store.denied", "{error:?}");
            let hint = "check the user and the password, and that the user exists for this mechanism";
            assert_eq!(error.hint_text(), Some(hint), "{error:?}");
        }
    }
    certificates_are_verified_on_both_sides(cluster, &authority, &stranger).await;
    listeners_of_another_kind_are_told(cluster, &authority).await;
    permissions_are_named_one_by_one(cluster).await;
}

async fn certificates_are_verified_on_both_sides(cluster: &Cluster, authority: &Authority, stranger: &Authority) {
    let reader = authority.client("reader").unwrap();
    let bootstrap = cluster.bootstrap_of(Listener::Tls);
    let tls = |more: &[String]| store(&bootstrap, &format!("security.protocol=SSL&{}", more.join("&")));
    let good = tls(&[ca(authority), identity(&reader)]);
    assert_eq!(good.probe(&cx()).await.unwrap().identity.value().map(String::as_str), Some(cluster.id()));
    let blind = tls(&[identity(&reader), "enable.ssl.certificate.verification=false".to_owned()]);
    let limits = blind.probe(&cx()).await.unwrap().limits;
    assert!(limits.iter().any(|limit| limit.starts_with("certificates of brokers are not verified")), "{limits:?}");

    let unknown = "give the authority that signed the certificate of the broker as ssl.ca.location";
    let demanded = "the broker demands a client certificate: give ssl.certificate.location and ssl.key.location";
    let refused_one =
        "the broker refused the client certificate: check ssl.certificate.location and the broker's truststore";
    let cases = [
        (tls(&[ca(stranger), identity(&reader)]), unknown),
        (tls(&[ca(authority)]), demanded),
        (tls(&[ca(authority), identity(&stranger.client("reader").unwrap())]), refused_one),
    ];
    for (store, hint) in cases {
        let error = refused(&store).await;
        assert_eq!((error.code(), error.hint_text()), ("store.tls", Some(hint)), "{error:?}");
    }
    let error = refused(&tls(&["ssl.ca.location=/nowhere/ca.pem".to_owned()])).await;
    assert_eq!((error.code(), error.message()), ("store.tls", "the client of the cluster cannot be made"), "{error:?}");
}

async fn listeners_of_another_kind_are_told(cluster: &Cluster, authority: &Authority) {
    let tls_to_plain = store(&cluster.bootstrap(), &format!("security.protocol=SSL&{}", ca(authority)));
    let error = refused(&tls_to_plain).await;
    assert_eq!(error.code(), "store.tls", "{error:?}");
    assert!(error.hint_text().unwrap().contains("security.protocol"), "{error:?}");
    for listener in [Listener::Tls, Listener::Sasl, Listener::SaslTls] {
        let error = refused(&store(&cluster.bootstrap_of(listener), "")).await;
        assert!(error.hint_text().unwrap().contains("security.protocol"), "{listener:?}: {error:?}");
    }
    let query = "security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN&sasl.username=reader&sasl.password=c4n4ry";
    let error = refused(&store(&cluster.bootstrap(), query)).await;
    assert!(error.hint_text().unwrap().contains("security.protocol"), "{error:?}");
}

async fn permissions_are_named_one_by_one(cluster: &Cluster) {
    let store = login(cluster, Listener::Sasl, "SCRAM-SHA-512", "reader", PASSWORD, "");
    let bootstrap = cluster.bootstrap_of(Listener::Sasl);
    let grant = |operation: &str, on: &str| {
        format!(
            "kafka-acls --bootstrap-server {bootstrap} --add --allow-principal User:reader --operation {operation} {on}"
        )
    };
    let orders = [Partition::new("orders", 0)];
    let wanted = [range("orders", 0, 0, 3, Committed)];
    let names = ["orders".to_owned()];
    let billing = ["billing".to_owned()];

    // Nothing is permitted.
    let survey = store.survey(&cx()).await.unwrap();
    assert!(survey.logs.is_empty() && survey.cluster.value().is_some(), "{survey:?}");
    assert!(survey.limits.iter().any(|limit| limit.ends_with(&grant("Describe", "--topic '*'"))), "{survey:?}");
    let ends = store.ends(&cx(), &orders).await.unwrap();
    assert_eq!(ends[0].why(), Some(format!("not permitted: {}", grant("Describe", "--topic orders")).as_str()));
    let settings = store.settings(&cx(), &names).await.unwrap();
    assert_eq!(
        settings["orders"].why(),
        Some(format!("not permitted: {}", grant("DescribeConfigs", "--topic orders")).as_str())
    );
    let error = read(&store, &wanted).await.unwrap_err();
    assert_eq!(
        (error.code(), error.hint_text()),
        ("dataset.denied", Some(grant("Describe", "--topic orders").as_str()))
    );
    // Brokers leave out groups that may not be seen, so a list that is not known to be whole is none.
    let error = store.groups(&cx(), None).await.unwrap_err();
    assert_eq!((error.code(), error.hint_text()), ("store.denied", Some(grant("Describe", "--cluster").as_str())));
    let groups = store.groups(&cx(), Some(&billing)).await.unwrap();
    let why = format!("not permitted: {}", grant("Describe", "--group billing"));
    assert_eq!((groups[0].state.why(), groups[0].offsets.why()), (Some(why.as_str()), Some(why.as_str())));

    // Seeing is not reading.
    cluster.grant("reader", &[Resource::Topic("orders")], &["Describe"]).await.unwrap();
    assert_eq!(store.ends(&cx(), &orders).await.unwrap()[0].value().map(|ends| ends.end), Some(3));
    assert_eq!(store.survey(&cx()).await.unwrap().logs.len(), 1);
    let limits = store.probe(&cx()).await.unwrap().limits;
    let unread = format!("1 topics may not be read (orders): {}", grant("Read", "--topic orders"));
    assert!(limits.contains(&unread), "{limits:?}");
    let error = read(&store, &wanted).await.unwrap_err();
    assert_eq!((error.code(), error.hint_text()), ("dataset.denied", Some(grant("Read", "--topic orders").as_str())));

    cluster.grant("reader", &[Resource::Topic("orders")], &["Read", "DescribeConfigs"]).await.unwrap();
    cluster.grant("reader", &[Resource::Group("billing")], &["Describe"]).await.unwrap();
    let (_, kept) = read(&store, &wanted).await.unwrap();
    assert_eq!(offsets(&kept[0]), [0, 1, 2]);
    assert!(store.settings(&cx(), &names).await.unwrap()["orders"].value().is_some());
    assert_eq!(store.groups(&cx(), None).await.unwrap_err().code(), "store.denied");
    let groups = store.groups(&cx(), Some(&billing)).await.unwrap();
    assert_eq!(groups[0].state.value().map(String::as_str), Some("Empty"), "{groups:?}");
    cluster.grant("reader", &[Resource::Cluster], &["Describe"]).await.unwrap();
    let groups = store.groups(&cx(), None).await.unwrap();
    assert_eq!(groups[0].offsets.value().and_then(|all| all.get(&orders[0])).map(|commit| commit.offset), Some(2));
}

#[tokio::test]
async fn a_certificate_of_another_host_or_time_is_refused() {
    let scratch = Scratch::new().unwrap();
    let authority = Authority::new(&scratch, "authority").unwrap();
    let expired = authority.expired_server("expired").unwrap();
    let options = Options::default().tls(&expired, None).user("reader", PASSWORD);
    let Some(bed) = bed_in(scratch, options.set("sasl.enabled.mechanisms", "SCRAM-SHA-512")).await else { return };
    let tls = |cluster: &Cluster| {
        store(&cluster.bootstrap_of(Listener::Tls), &format!("security.protocol=SSL&{}", ca(&authority)))
    };
    let error = refused(&tls(&bed.cluster)).await;
    let hint = Some("renew the certificate of the broker");
    assert_eq!((error.code(), error.hint_text()), ("store.tls", hint), "{error:?}");
    let error = refused(&login(&bed.cluster, Listener::Sasl, "PLAIN", "reader", PASSWORD, "")).await;
    assert_eq!(error.code(), "store.denied", "{error:?}");
    assert!(error.hint_text().unwrap().starts_with("the broker does not offer this sasl.mechanism"), "{error:?}");

    let scratch = Scratch::new().unwrap();
    let other = authority.server_for("other", &["kafka.example"]).unwrap();
    let Some(bed) = bed_in(scratch, Options::default().tls(&other, None)).await else { return };
    let error = refused(&tls(&bed.cluster)).await;
    assert_eq!(error.code(), "store.tls", "{error:?}");
    assert!(error.hint_text().unwrap().starts_with("name the broker as its certificate does"), "{error:?}");
}
