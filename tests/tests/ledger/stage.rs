//! Two databases of one server, and calls of `paritas ledger`.

use paritas_testbed::Scratch;
use paritas_testbed::postgres::{Install, Options, Server};
use paritas_tests::{Run, paritas};
use serde_json::Value;

/// Two databases of one server.
pub struct Two {
    pub server: Server,
    pub scratch: Scratch,
}

impl Two {
    /// Both with the same tables; `west` is then changed by more statements.
    pub async fn start(tables: &str, changes: &str) -> Self {
        let scratch = Scratch::new().unwrap();
        let server = Server::start(&Install::find().unwrap(), &scratch, "one", Options::default()).await.unwrap();
        for database in ["east", "west"] {
            server.create_database(database).await.unwrap();
            server.batch(database, tables).await.unwrap();
        }
        server.batch("west", changes).await.unwrap();
        Self { server, scratch }
    }

    pub fn url(&self, database: &str, options: &str) -> String {
        format!("{}?{options}", self.server.url(database))
    }

    pub fn urls(&self, options: &str) -> (String, String) {
        (self.url("east", options), self.url("west", options))
    }

    /// One value as text.
    pub async fn value(&self, database: &str, sql: &str) -> String {
        let client = self.server.client(database).await.unwrap();
        client.query_one(&format!("SELECT ({sql})::text"), &[]).await.unwrap().get(0)
    }
}

/// `paritas ledger --json` of two stores.
pub fn ledger(urls: &(String, String), more: &[&str]) -> Run {
    let mut args = vec!["ledger", "--json", &urls.0, &urls.1];
    args.extend(more);
    paritas(&args)
}

/// The only check of a report.
pub fn check(run: &Run) -> Value {
    let checks = run.checks("ledger");
    assert_eq!(checks.len(), 1, "{run:#?}");
    checks.into_iter().next().unwrap()
}

/// The groups that break the rule, each with its deviations: `account=7: sum of amount`.
pub fn broken(check: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |item: &Value| {
        let group = item["group"].as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", text(value)));
        let deviations: Vec<String> = item["deviations"].as_array().unwrap().iter().map(text).collect();
        format!("{}: {}", group.collect::<Vec<_>>().join(" "), deviations.join(", "))
    };
    check["items"].as_array().unwrap().iter().map(line).collect()
}

/// How many groups are proven to break the rule, and how many are unproven.
pub fn counts(check: &Value) -> (u64, u64) {
    (check["mismatched"].as_u64().unwrap(), check["unproven"].as_u64().unwrap())
}

/// The sum of the first column over a whole side.
pub fn total<'a>(check: &'a Value, side: &str) -> &'a str {
    check[side]["total"]["columns"][0]["sum"].as_str().unwrap()
}
