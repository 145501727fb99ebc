//! The configuration that `paritas init` writes.

/// A commented configuration that is valid as it stands.
pub fn init_text() -> String {
    TEXT.to_owned()
}

const TEXT: &str = r#"# Configuration of paritas. `paritas config check` validates it, `paritas config show` prints what
# applies after all layers, with the origin of every value. All keys: docs/configuration.md.

[paritas]
# Where runs and digests are kept. A relative path is relative to this file.
state = "paritas-state"
# The deployment's secret that keys all digests. Both regions must use the same one.
# digest_key = { file = "/run/secrets/paritas.key" }
# Objectives by tier and kind of store. A file next to this one, or a pack that is built in:
# checks/tiers.toml, checks/trading-house.toml, checks/trading-bots.toml, checks/sentiment-api.toml,
# checks/genai-search.toml. Later ones win over earlier ones, this file over all of them.
extends = ["checks/tiers.toml"]

# Stores. Secrets are references: { env = "NAME" }, { file = "PATH" } or { command = ["PROGRAM", "…"] }.

[store.pg-east]
kind = "postgres"                   # postgres | files | parquet | csv
region = "us-east-1"
url = "postgres://paritas@pg-east.example.com:5432/trading?sslmode=verify-full"
password = { env = "PG_EAST_PASSWORD" }

[store.pg-west]
kind = "postgres"
region = "us-west-2"
url = "postgres://paritas@pg-west.example.com:5432/trading?sslmode=verify-full"
password = { env = "PG_WEST_PASSWORD" }

# Files in an object store; its usual environment variables apply as well.
# [store.lake-east]
# kind = "parquet"
# url = "s3://lake-east/fills/"
# options = { aws_region = "us-east-1", aws_secret_access_key = { file = "/run/secrets/lake-east" } }

# A link says what is replicated from where to where. `paritas verify trading` compares it.

[[link]]
name = "trading"
source = "pg-east"
replica = "pg-west"
tier = "warm"                       # hot | warm | cold
include = ["public.*"]              # patterns of dataset names; without it, everything
exclude = ["public.sessions"]
# What was promised. It wins over the objectives of the tier and of the kind of store.
objectives = { lag = "5s", rpo = "60s", rto = "10m" }

# How fast each side is read, and when reading waits for the replica.
# manners = { rate = ["50MiB/s"], pause_lag = "64MiB", view_max = "60s" }

# What is different for one dataset.
# [[link.dataset]]
# name = "public.fills"             # or source_name and replica_name
# key = ["venue", "fill_id"]        # without it, the declared key
# columns = ["venue", "fill_id", "price", "quantity"]
# rename = { quantity = "qty" }     # source column = replica column
# where = "traded_at < now() - interval '1 hour'"
# policies = { decimal = "value", float = "canonical", json = "canonical" }

[privacy]
values = "show"                     # show | mask | hash: what of the data reports may contain
"#;
