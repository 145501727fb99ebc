//! Files that extend each other, where a configuration is looked for, and what it shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_config::{
    Config, ConfigErrors, Mode, OptionValue, PACKS, Surroundings, ValuePrivacy, init_text, load_in, parse,
};
use paritas_connect::Manners;
use paritas_connect::SecretRef;
use paritas_digest::{DecimalPolicy, FloatPolicy};
use paritas_model::{StoreKind, Tier};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

struct Folder {
    dir: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self { dir, variables: BTreeMap::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn load(&self, explicit: Option<&str>) -> Result<Config, ConfigErrors> {
        let variable = |name: &str| self.variables.get(name).cloned();
        let surroundings = Surroundings { folder: self.dir.path().to_owned(), variable: &variable };
        load_in(explicit.map(Path::new), &surroundings)
    }

    /// The error with the folder's name taken out.
    fn refused(&self, explicit: Option<&str>) -> String {
        let error = self.load(explicit).expect_err("this must be refused");
        error.render().replace(&self.dir.path().display().to_string(), "FOLDER")
    }
}

const STORES: &str = "[store.a]\nkind = \"postgres\"\nurl = \"postgres://a/db\"\n\
                      [store.b]\nkind = \"csv\"\nurl = \"exports\"\n";
const LINK: &str = "[[link]]\nname = \"l\"\nsource = \"a\"\nreplica = \"b\"\n";

#[test]
fn every_key_of_the_contract_is_read() {
    let config = parse("paritas.toml", include_str!("full.toml")).unwrap();
    assert_eq!(config.state.as_deref(), Some(Path::new("/var/lib/paritas")));
    assert_eq!(config.digest_key, Some(SecretRef::File("/run/secrets/paritas.key".into())));
    assert_eq!(config.values, ValuePrivacy::Hash);

    let east = config.store("pg-east").unwrap();
    assert_eq!((east.kind, east.region.as_ref().unwrap().0.as_str()), (StoreKind::Postgres, "us-east-1"));
    assert_eq!(east.password, Some(SecretRef::Env("PG_EAST_PASSWORD".into())));
    assert_eq!(east.recovery.as_ref().unwrap().wal_archive.as_deref(), Some("s3://wal/east"));
    let lake = config.store("lake").unwrap();
    assert_eq!(lake.options.get("allow_http"), Some(&OptionValue::Plain("true".into())));
    let command = SecretRef::Command(vec!["pass".into(), "show".into(), "lake".into()]);
    assert_eq!(lake.options.get("aws_secret_access_key"), Some(&OptionValue::Secret(command)));

    let link = config.link("trading").unwrap();
    assert_eq!((link.source.as_str(), link.replica.as_str(), link.tier), ("pg-east", "pg-west", Some(Tier::Warm)));
    assert_eq!(
        (&link.include[..], &link.exclude[..]),
        (&["public.*".to_owned()][..], &["public.sessions".to_owned()][..])
    );
    let limits = link.objectives.limits();
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!((limits.lag, limits.rpo, limits.rto), (seconds(5), seconds(60), seconds(600)));

    let manners = link.manners;
    assert_eq!((manners.rate.bytes, manners.rate.rows), (Some(50 << 20), Some(100_000)));
    assert_eq!((manners.pause_lag, manners.view_max), (Some(64 << 20), seconds(30)));
    assert_eq!(config.link("other").unwrap().manners, Manners::default());

    let [fills, trades] = &link.datasets[..] else { panic!("two datasets") };
    assert_eq!((fills.source_name.as_str(), fills.replica_name.as_str()), ("public.fills", "public.fills"));
    assert_eq!((fills.policies.decimal, fills.policies.float), (DecimalPolicy::Value, FloatPolicy::Canonical));
    assert_eq!(fills.rename.get("quantity").map(String::as_str), Some("qty"));
    assert_eq!((trades.source_name.as_str(), trades.replica_name.as_str()), ("public.trades", "archive.trades"));
    assert_eq!((trades.mode, trades.filter.as_deref()), (Mode::Multiset, Some("id > 5")));
    let [balance, entries] = &link.ledgers[..] else { panic!("two ledgers") };
    assert_eq!(
        (&balance.group_by[..], &balance.sum[..]),
        (&["account".to_owned(), "currency".to_owned()][..], &["amount".to_owned()][..])
    );
    assert_eq!((balance.count, balance.replica_dataset.as_deref()), (true, None));
    assert_eq!(entries.replica_dataset.as_deref(), Some("archive.ledger"));
    assert_eq!(
        (&entries.zero_sum[..], &entries.min[..], &entries.max[..]),
        (&["amount".to_owned()][..], &["fee".to_owned()][..], &["fee".to_owned()][..])
    );
    assert_eq!(
        (entries.rename.get("fee").map(String::as_str), entries.filter.as_deref()),
        (Some("charge"), Some("id > 5"))
    );

    let schedule = config.schedule.as_ref().unwrap();
    let verify = schedule.verify.as_ref().unwrap();
    assert_eq!((schedule.lag, verify.slices, verify.budget.as_deref()), (seconds(30), 24, Some("10m")));
}

#[test]
fn what_is_not_executed_is_listed() {
    let config = parse("paritas.toml", include_str!("full.toml")).unwrap();
    let list = |link| config.not_executed(link).into_iter().map(|part| part.what).collect::<Vec<_>>();
    assert_eq!(list(Some("trading")), ["objectives of link \"trading\""]);
    let all = list(None);
    // `run` does what is scheduled.
    assert!(!all.iter().any(|what| what.contains("schedule")), "{all:?}");
    // A failover reads what is left of a store.
    assert!(!all.iter().any(|what| what.contains("recovery")), "{all:?}");
    assert_eq!(list(Some("other")), ["objectives of link \"other\""]);
}

#[test]
fn the_configuration_is_shown_with_origins_and_without_secrets() {
    let folder = Folder::new(&[
        ("paritas.toml", include_str!("full.toml")),
        (
            "checks/own.toml",
            "[store.pg-west]\nregion = \"nowhere\"\noptions = { token = { command = [\"get\", \"c4n4ry\"] } }\n",
        ),
    ])
    .with("PARITAS_STATE", "/elsewhere");
    let text = std::fs::read_to_string(folder.dir.path().join("paritas.toml")).unwrap();
    let text = text.replace("\"checks/tiers.toml\"", "\"checks/tiers.toml\", \"checks/own.toml\"");
    std::fs::write(folder.dir.path().join("paritas.toml"), text).unwrap();
    let config = folder.load(None).unwrap();
    let shown = config.show().replace(&folder.dir.path().display().to_string(), "FOLDER");
    assert!(!shown.contains("c4n4ry"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn what_is_shown_reads_back_as_the_same_configuration() {
    let config = parse("paritas.toml", include_str!("full.toml")).unwrap();
    // Arguments of commands are masked, so they are taken out of the comparison.
    let again = parse("shown", config.show()).unwrap();
    assert_eq!(again.canonical_text(), config.canonical_text());
    assert_eq!(
        again.links.iter().map(|l| (&l.name, l.objectives)).collect::<Vec<_>>(),
        config.links.iter().map(|l| (&l.name, l.objectives)).collect::<Vec<_>>()
    );
}

#[test]
fn later_layers_win_and_the_file_itself_wins_over_all() {
    let folder = Folder::new(&[
        (
            "paritas.toml",
            &format!(
                "[paritas]\nextends = [\"one.toml\", \"two.toml\"]\n[store.a]\nregion = \"own\"\n{LINK}tier = \"hot\"\n"
            ),
        ),
        (
            "one.toml",
            &format!(
                "[paritas]\nstate = \"one\"\n{STORES}region = \"one\"\n[store.a.options]\nx = 1\n[tier.hot]\nobjectives = {{ lag = \"1s\", rpo = \"1s\" }}\n"
            ),
        ),
        (
            "two.toml",
            "[paritas]\nstate = \"two\"\n[store.b]\nregion = \"two\"\n[tier.hot]\nobjectives = { lag = \"2s\" }\n[kind.postgres]\nobjectives = { lag = \"9s\", rto = \"9s\" }\n",
        ),
    ]);
    let config = folder.load(None).unwrap();
    assert_eq!(config.state.unwrap(), folder.dir.path().join("two"));
    let region = |name: &str| config.stores.iter().find(|s| s.name == name).unwrap().region.clone().unwrap().0;
    assert_eq!((region("a"), region("b")), ("own".to_owned(), "two".to_owned()));
    let limits = config.links.first().unwrap().objectives.limits();
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!((limits.lag, limits.rpo, limits.rto), (seconds(2), seconds(1), seconds(9)));
}

#[test]
fn relative_paths_are_meant_from_the_folder_of_the_configuration() {
    let folder = Folder::new(&[(
        "etc/paritas.toml",
        "[paritas]\nstate = \"s\"\ndigest_key = { file = \"k\" }\n[store.b]\nkind = \"csv\"\nurl = \"exports\"\n[store.c]\nkind = \"csv\"\nurl = \"s3://bucket/x\"\n",
    )]);
    let config = folder.load(Some("etc/paritas.toml")).unwrap();
    let etc = folder.dir.path().join("etc");
    assert_eq!(config.state, Some(etc.join("s")));
    assert_eq!(config.digest_key, Some(SecretRef::File(etc.join("k"))));
    let urls: Vec<_> = config.stores.iter().map(|store| PathBuf::from(&store.url)).collect();
    assert_eq!(urls, [etc.join("exports"), PathBuf::from("s3://bucket/x")]);
}

#[test]
fn a_configuration_is_found_here_or_at_home() {
    let both = Folder::new(&[("paritas.toml", "[paritas]\nstate = \"/here\"\n"), ("home/paritas/paritas.toml", "")]);
    let home = both.dir.path().join("home").display().to_string();
    let both = both.with("XDG_CONFIG_HOME", &home);
    assert_eq!(both.load(None).unwrap().state, Some(PathBuf::from("/here")));
    std::fs::remove_file(both.dir.path().join("paritas.toml")).unwrap();
    assert_eq!(both.load(None).unwrap().path, both.dir.path().join("home/paritas/paritas.toml"));
    insta::assert_snapshot!(Folder::new(&[]).with("HOME", "/root-of-nobody").refused(None));
}

#[test]
fn files_that_cannot_be_used_are_clear_errors() {
    let folder = Folder::new(&[
        ("paritas.toml", "[paritas]\nextends = [\"a.toml\"]\n"),
        ("a.toml", "[paritas]\nextends = \"b.toml\"\n"),
        ("b.toml", "[paritas]\nextends = [\"./a.toml\"]\n"),
        ("broken.toml", "[paritas]\nextends = [\"sub/broken.toml\"]\n"),
        ("sub/broken.toml", "state = \n"),
        ("missing.toml", "[paritas]\nextends = [\"checks/trading-hous.toml\"]\n"),
        ("number.toml", "[paritas]\nextends = 5\n"),
        ("itself.toml", "[paritas]\nextends = [\"itself.toml\"]\n"),
    ]);
    std::fs::write(folder.dir.path().join("binary.toml"), [0xFF, 0xFE, 0x00]).unwrap();
    std::fs::write(folder.dir.path().join("large.toml"), "#".repeat((4 << 20) + 1)).unwrap();
    let names = [
        "paritas.toml",
        "broken.toml",
        "missing.toml",
        "number.toml",
        "itself.toml",
        "nowhere.toml",
        "binary.toml",
        "large.toml",
        "sub",
    ];
    let texts: Vec<String> = names.iter().map(|name| folder.refused(Some(name))).collect();
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn a_chain_of_extends_has_a_limit() {
    let files: Vec<(String, String)> =
        (0..40).map(|i| (format!("{i}.toml"), format!("[paritas]\nextends = [\"{}.toml\"]\n", i + 1))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert!(Folder::new(&files).refused(Some("0.toml")).contains("too often"));
}

#[test]
fn every_pack_is_valid_and_gives_objectives() {
    for pack in PACKS {
        let text = format!("[paritas]\nextends = [\"{}\"]\n{STORES}{LINK}tier = \"warm\"\n", pack.name);
        let config = parse("paritas.toml", &text).unwrap_or_else(|errors| panic!("{}", errors.render()));
        let objectives = config.links.first().unwrap().objectives.limits();
        assert!(objectives.lag.is_some() || objectives.rpo.is_some(), "{}", pack.name);
        let on_disk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(pack.name);
        assert_eq!(std::fs::read_to_string(on_disk).unwrap(), pack.text);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checks");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), PACKS.len(), "every pack in checks/ is built in");
}

#[test]
fn the_trading_house_has_the_objectives_of_its_runbook() {
    let text = format!("[paritas]\nextends = [\"trading-house\", \"tiers\"]\n{STORES}{LINK}");
    let limits = parse("paritas.toml", &text).unwrap().links.first().unwrap().objectives.limits();
    let seconds = |s| Some(Duration::from_secs(s));
    assert_eq!((limits.lag, limits.rpo, limits.rto), (None, seconds(60), seconds(600)));
    let hot = parse("paritas.toml", &format!("{text}tier = \"hot\"\n")).unwrap().links.first().unwrap().objectives;
    assert_eq!(hot.lag.unwrap().target, Some(Duration::from_millis(500)));
    assert_eq!((hot.limits().lag, hot.limits().rpo, hot.limits().rto), (seconds(5), seconds(60), seconds(30)));
}

#[test]
fn what_init_writes_is_valid_and_has_no_warnings() {
    let config = parse("paritas.toml", &init_text()).unwrap_or_else(|errors| panic!("{}", errors.render()));
    assert_eq!((config.stores.len(), config.links.len()), (2, 1));
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
    // Everything that is commented out is valid as well.
    let all: Vec<String> = init_text()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                rest.to_owned()
            }
            _ => line.to_owned(),
        })
        .collect();
    let config = parse("paritas.toml", &all.join("\n")).unwrap_or_else(|errors| panic!("{}", errors.render()));
    assert_eq!((config.stores.len(), config.links.first().unwrap().datasets.len()), (3, 1));
    assert!(config.digest_key.is_some());
}

#[test]
fn two_stores_at_one_address_and_open_secret_files_are_warned_about() {
    let folder = Folder::new(&[
        (
            "paritas.toml",
            "[store.a]\nkind = \"csv\"\nurl = \"x\"\npassword = { file = \"key\" }\n[store.b]\nkind = \"csv\"\nurl = \"x\"\n[[link]]\nname = \"l\"\nsource = \"a\"\nreplica = \"b\"\n",
        ),
        ("key", "s3cret"),
    ]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder.dir.path().join("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let warnings: Vec<String> =
        folder.load(None).unwrap().warnings().iter().map(|warning| warning.message.clone()).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("same address")));
    assert!(warnings.iter().any(|text| text.contains("readable by every user")));
    assert!(warnings.iter().any(|text| text.contains("does not use")));
}

#[test]
fn clocks_round_trips_and_quarantine_come_from_the_tier_and_the_link_wins() {
    let text = |own: &str| format!("paritas.extends = [\"tiers\"]\n{STORES}{LINK}tier = \"hot\"\n{own}");
    let of = |own: &str| parse("paritas.toml", &text(own)).unwrap().links.first().unwrap().objectives;
    let millis = Duration::from_millis;
    let hot = of("");
    let skew = hot.clock_skew.unwrap();
    assert_eq!((skew.target, skew.warning, skew.critical), (Some(millis(100)), Some(millis(500)), millis(1_000)));
    let rtt = hot.rtt.unwrap();
    assert_eq!((rtt.target, rtt.warning, rtt.critical), (Some(millis(150)), Some(millis(200)), millis(500)));
    assert_eq!(hot.quarantine(), millis(10_000));
    let own = of("objectives = { clock_skew = \"2s\", quarantine = \"1m\" }");
    assert_eq!((own.clock_skew.unwrap().critical, own.quarantine()), (millis(2_000), millis(60_000)));
    // What the link does not say stays.
    assert_eq!(own.rtt, hot.rtt);
}

#[test]
fn a_promise_of_a_pack_is_an_age_by_name_and_may_be_laid_over() {
    let fresh = "[[link.freshness]]\nname = \"posts\"\ndataset = \"posts\"\ncolumn = \"at\"\npromise = \"social\"\n";
    let text = |more: &str| format!("paritas.extends = [\"sentiment-api\"]\n{STORES}{LINK}{fresh}{more}");
    let age = |more: &str| {
        let config = parse("paritas.toml", &text(more)).unwrap();
        config.links.first().unwrap().freshness.first().unwrap().max_age.critical
    };
    assert_eq!(age(""), Duration::from_secs(1));
    assert_eq!(age("[freshness.social]\nmax_age = \"3s\"\n"), Duration::from_secs(3));
}

#[test]
fn objectives_of_two_layers_that_contradict_each_other_deserve_a_look_and_are_no_mistake() {
    let text = format!("paritas.extends = [\"tiers\", \"trading-house\"]\n{STORES}{LINK}tier = \"warm\"\n");
    let warnings = parse("paritas.toml", &text).unwrap().warnings();
    let [one] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(one.message.contains("lag and rpo of link \"l\""), "{one:?}");
    assert!(one.message.contains("a lag of 5m is allowed, and no more than 1m"), "{one:?}");
    // The same where a file says one half and the one that extends it the other.
    let folder = Folder::new(&[
        ("base.toml", "[tier.warm]\nobjectives.lag = \"5m\"\n"),
        (
            "paritas.toml",
            &format!(
                "paritas.extends = [\"base.toml\"]\n{STORES}{LINK}tier = \"warm\"\n[tier.warm]\nobjectives.rpo = \"1m\"\n"
            ),
        ),
    ]);
    assert_eq!(folder.load(None).unwrap().warnings().len(), 1);
}

#[test]
fn where_this_machine_is_can_be_said() {
    let config = parse("paritas.toml", "[paritas]\nregion = \"us-east-1\"\n").unwrap();
    assert_eq!(config.region.unwrap().0, "us-east-1");
}
