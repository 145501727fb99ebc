//! The page of privileges: what it grants is enough, and each right that is taken away is named.

use crate::page::{self, What};
use crate::world::{World, read};
use paritas_testbed::Scratch;
use paritas_testbed::kafka::{Cluster, Install, Listener, Options, Resource, Topic};
use tokio::runtime::Runtime;

const PAGE: &str = "privileges.md";
const PASSWORD: &str = "c4n4ry";
const CHECK: &str = "paritas --config /etc/paritas/paritas.toml config check --connect";

/// A cluster that allows nothing to anybody but its operator.
struct Guarded {
    cluster: Cluster,
    /// One that everybody may ask, to compare it with.
    open: Cluster,
    runtime: Runtime,
    _scratch: Scratch,
}

impl Guarded {
    fn start() -> Option<Self> {
        let Some(install) = Install::unless_missing().unwrap() else {
            eprintln!("left out: Kafka is not installed; run `make setup`");
            return None;
        };
        let (runtime, scratch) = (Runtime::new().unwrap(), Scratch::new().unwrap());
        let options = Options::default().user("paritas", PASSWORD).acls();
        let (cluster, open) = runtime.block_on(async {
            tokio::join!(
                Cluster::start(&install, &scratch, "guarded", options),
                Cluster::start(&install, &scratch, "open", Options::default())
            )
        });
        Some(Self { cluster: cluster.unwrap(), open: open.unwrap(), runtime, _scratch: scratch })
    }

    /// Its address for the user of the page.
    fn url(&self) -> String {
        let address = self.cluster.bootstrap_of(Listener::Sasl);
        format!("kafka://paritas:{PASSWORD}@{address}?security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN")
    }
}

/// The statements of the page's first block that give a right, each with the one that takes it away.
fn rights() -> Vec<(String, String)> {
    let steps = page::steps(&read(PAGE)).unwrap();
    let first = steps.iter().find_map(|step| match &step.what {
        What::Sql { text, .. } => Some(text.clone()),
        _ => None,
    });
    let mut rights = Vec::new();
    for line in first.unwrap().lines().filter(|line| !line.starts_with("--")) {
        let statement = line.trim_end_matches(';');
        if let Some(rest) = statement.strip_prefix("GRANT ") {
            rights.push((statement.to_owned(), format!("REVOKE {}", rest.replace(" TO paritas", " FROM paritas"))));
        } else if statement.ends_with(" REPLICATION") {
            rights.push((statement.to_owned(), statement.replace(" REPLICATION", " NOREPLICATION")));
        } else {
            assert!(statement.starts_with("CREATE ROLE paritas"), "{statement} gives what nothing takes away");
        }
    }
    rights
}

/// What has to be named of a right: it is named for the one object that lacks it.
fn named(right: &str) -> &str {
    match right {
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO paritas" => "GRANT SELECT on",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO paritas" => {
            "GRANT SELECT ON SEQUENCE public.orders_id_seq TO paritas"
        }
        // What is asked of every server; a standby is asked for its recovery as well.
        "GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint(), pg_control_recovery() TO paritas" => {
            "GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint()"
        }
        other => other,
    }
}

#[test]
fn rights_of_the_page_are_enough_and_each_that_is_taken_away_is_named() {
    let Some(mut world) = World::start() else { return };
    world.prepare("scheduled-job.md");
    // What everybody has by default would stand in for what the page gives.
    world.sql(
        "db-east",
        "REVOKE ALL ON DATABASE shop FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC; REVOKE EXECUTE ON FUNCTION \
         pg_control_system(), pg_control_checkpoint(), pg_control_recovery() FROM PUBLIC",
    );
    let guarded = Guarded::start();
    give_tools(&mut world, guarded.as_ref());
    world.follow(PAGE, &mut |_, words| panic!("nothing does {words:?}"));
    let everything = ["verify", "snapshot", "lag trading", "failover --planned"];
    for command in everything {
        let (code, printed) = world.shell(&format!("paritas --config /etc/paritas/paritas.toml {command}"));
        assert_eq!(code, 0, "{command}: {printed}");
        assert!(!printed.contains("GRANT"), "{command}: {printed}");
    }
    let rights = rights();
    assert!(rights.len() >= 7, "the page has lost its rights: {rights:?}");
    for (right, taken) in &rights {
        world.sql("db-east", taken);
        world.caught_up();
        let (code, printed) = world.shell(CHECK);
        let words = printed.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(named(right)), "without {right:?} (exit code {code}):\n{printed}");
        world.sql("db-east", right);
        world.caught_up();
    }
    let (code, printed) = world.shell(CHECK);
    assert!(code == 0 && !printed.contains("limit:"), "{printed}");
    if let Some(guarded) = &guarded {
        each_operation_is_named(&mut world, guarded);
    }
}

/// `kafka-acls` as it is called on the page.
fn give_tools(world: &mut World, guarded: Option<&Guarded>) {
    let Some(guarded) = guarded else {
        world.program("kafka-acls", "#!/bin/sh\nexit 0\n");
        return;
    };
    let install = guarded.cluster.install();
    let old = install.version().starts_with('3');
    let class = if old { "kafka.admin.AclCommand" } else { "org.apache.kafka.tools.AclCommand" };
    let libraries = install.libraries().display();
    world.program("kafka-acls", &format!("#!/bin/sh\nexec java -cp '{libraries}/*' {class} \"$@\"\n"));
    world.name("kafka-east:9092", &guarded.cluster.bootstrap());
    let client = guarded.cluster.client().unwrap();
    guarded.runtime.block_on(async {
        client.create(&Topic::new("orders")).await.unwrap();
        guarded.open.client().unwrap().create(&Topic::new("orders")).await.unwrap();
        client.fill("orders", 0, 10, 20).await.unwrap();
        client.commit("billing", "orders", &[(0, 3)]).await.unwrap();
    });
}

/// Each operation of the table, with the command that misses it.
fn each_operation_is_named(world: &mut World, guarded: &Guarded) {
    let url = guarded.url();
    let address = guarded.cluster.bootstrap_of(Listener::Sasl);
    let login = "\"security.protocol\" = \"SASL_PLAINTEXT\", \"sasl.mechanism\" = \"PLAIN\", \"sasl.username\" = \"paritas\", \
                 \"sasl.password\" = { env = \"KAFKA_PASSWORD\" }";
    let store = format!("[store.guarded]\nkind = \"kafka\"\nurl = \"kafka://{address}\"\noptions = {{ {login} }}\n");
    world.write("/etc/paritas/kafka.toml", &store);
    let check = format!("KAFKA_PASSWORD={PASSWORD} paritas -c /etc/paritas/kafka.toml config check --connect");
    let open = guarded.open.bootstrap();
    let snapshot = format!("paritas snapshot --state /var/lib/paritas '{url}' 'kafka://{open}?policy=identity'");
    let (code, printed) = world.shell(&snapshot);
    assert_eq!(code, 0, "what the page gives is not enough:\n{printed}");
    let lag = format!("paritas lag -v '{url}' 'kafka://{open}?policy=identity'");
    let cases: [(Resource<'_>, &str, &str, &str); 5] = [
        (Resource::Topic("*"), "Read", "--topic orders", &check),
        (Resource::Topic("*"), "DescribeConfigs", "--topic orders", &check),
        (Resource::Topic("*"), "Describe", "--topic", &check),
        (Resource::Group("*"), "Describe", "--group", &lag),
        (Resource::Cluster, "Describe", "--cluster", &lag),
    ];
    for (resource, operation, on, command) in cases {
        // A right to read includes that to describe.
        let taken: &[&str] = if operation == "Describe" && on == "--topic" {
            &["Describe", "DescribeConfigs", "Read"]
        } else {
            &[operation]
        };
        guarded.runtime.block_on(guarded.cluster.revoke("paritas", &[resource], taken)).unwrap();
        let (code, printed) = world.shell(command);
        let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = format!("--operation {operation} {on}");
        assert!(words.contains(&wanted), "without {operation} {on} (exit code {code}):\n{printed}");
        guarded.runtime.block_on(guarded.cluster.grant("paritas", &[resource], taken)).unwrap();
    }
}
