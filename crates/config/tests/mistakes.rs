//! Every mistake in a configuration is found, named with its place, and shown without secrets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use paritas_config::parse;
use rstest::rstest;

/// A valid configuration to break: two stores and a link.
const BASE: &str = r#"
[paritas]
state = "state"

[store.east]
kind = "postgres"
url = "postgres://paritas@east/db"
password = { env = "EAST" }

[store.west]
kind = "postgres"
url = "postgres://paritas@west/db"

[[link]]
name = "trading"
source = "east"
replica = "west"
"#;

/// The code, place and message of every mistake.
fn mistakes(text: &str) -> Vec<String> {
    let errors = parse("paritas.toml", text).expect_err("this must be refused");
    errors.iter().map(|error| format!("{} {error}", error.code())).collect()
}

#[test]
fn the_base_of_these_tests_is_valid() {
    let config = parse("paritas.toml", BASE).unwrap();
    assert_eq!((config.stores.len(), config.links.len(), config.warnings().len()), (2, 1, 0));
}

// Appended to the base, which has 17 lines: the link is open, further keys belong to it.
#[rstest]
#[case::unknown_key(
    "replcia = \"x\"",
    "config.unknown_key",
    "unknown key \"replcia\" in [[link]] \"trading\"",
    "replica"
)]
#[case::unknown_section(
    "[stores]\nx = 1",
    "config.unknown_key",
    "unknown key \"stores\" in the configuration",
    "store"
)]
#[case::unknown_in_schedule("[schedule]\nverfiy = \"1d\"", "config.unknown_key", "\"verfiy\" in [schedule]", "verify")]
#[case::unknown_in_privacy("[privacy]\nvalue = \"mask\"", "config.unknown_key", "\"value\" in [privacy]", "values")]
#[case::unknown_objective(
    "objectives = { ropo = \"5s\" }",
    "config.unknown_key",
    "\"ropo\" in objectives of [[link]]",
    "rpo"
)]
#[case::unknown_policy(
    "[[link.dataset]]\nname = \"d\"\npolicies = { decimals = \"value\" }",
    "config.unknown_key",
    "\"decimals\" in policies of",
    "decimal"
)]
#[case::tier_word("tier = \"worm\"", "config.value", "tier in [[link]] \"trading\" cannot be \"worm\"", "\"warm\"")]
#[case::tier_type("tier = 1", "config.type", "tier in [[link]] \"trading\" must be a text, not an integer", "")]
#[case::include_text(
    "include = \"public.*\"",
    "config.type",
    "must be a list of texts, not a text",
    "include = [\"…\"]"
)]
#[case::include_item("include = [\"a\", 5]", "config.type", "include[1] in [[link]] \"trading\" must be a text", "")]
#[case::include_empty("include = [\"\"]", "config.value", "include[0] in [[link]] \"trading\" is empty", "")]
#[case::exclude_table("exclude = { a = 1 }", "config.type", "must be a list of texts, not a table", "")]
#[case::lag_number("objectives = { lag = 5 }", "config.type", "must be a duration, not an integer", "with a unit")]
#[case::lag_unitless("objectives = { lag = \"5\" }", "config.value", "cannot read \"5\" as a duration", "500ms, 30s")]
#[case::rate_unit(
    "manners = { rate = [\"50MiB\"] }",
    "config.value",
    "rate in manners of [[link]] \"trading\"",
    "50MiB/s"
)]
#[case::rate_zero("manners = { rate = [\"0rows/s\"] }", "config.value", "rate in manners", "100000rows/s")]
#[case::rate_text("manners = { rate = \"50MiB/s\" }", "config.type", "must be a list of texts", "rate = [")]
#[case::pause_number("manners = { pause_lag = 5 }", "config.type", "pause_lag in manners", "")]
#[case::pause_word("manners = { pause_lag = \"much\" }", "config.value", "pause_lag in manners", "")]
#[case::view_zero("manners = { view_max = \"0s\" }", "config.value", "must be more than zero", "")]
#[case::unknown_manner("manners = { rates = [] }", "config.unknown_key", "\"rates\" in manners of", "rate")]
#[case::lag_zero("objectives = { lag = \"0s\" }", "config.value", "must be more than zero", "")]
#[case::lag_levels(
    "objectives = { lag = { target = \"5s\", critical = \"1s\" } }",
    "config.value",
    "must grow from target to warning to critical",
    ""
)]
#[case::lag_no_critical("objectives = { lag = { target = \"5s\" } }", "config.missing", "has no critical", "critical")]
#[case::lag_beyond_rpo(
    "objectives = { rpo = \"30s\", lag = { warning = \"5s\", critical = \"1m\" } }",
    "config.conflict",
    "lag and rpo in objectives of [[link]] \"trading\" contradict each other: a lag of 1m is allowed, and no more than 30s",
    "let lag be at most rpo"
)]
#[case::skew_beyond_quarantine(
    "objectives = { clock_skew = \"3s\", quarantine = \"2s\" }",
    "config.conflict",
    "clock_skew and quarantine in objectives of [[link]]",
    "at most quarantine"
)]
#[case::skew_beyond_the_usual_quarantine(
    "objectives = { clock_skew = \"11s\" }",
    "config.conflict",
    "clocks may be 11s apart, and what is more than 10s ahead is quarantined",
    "10s where it is not said"
)]
#[case::kind_that_contradicts_itself(
    "[kind.postgres]\nobjectives = { lag = \"2m\", rpo = \"1m\" }",
    "config.conflict",
    "lag and rpo in objectives of [kind.postgres]",
    "let lag be"
)]
#[case::quarantine_levels(
    "objectives = { quarantine = { critical = \"1s\" } }",
    "config.type",
    "must be a duration",
    ""
)]
#[case::freshness_without_age(
    "[[link.freshness]]\nname = \"f\"\ndataset = \"d\"",
    "config.missing",
    "[[link.freshness]] \"f\" of [[link]] \"trading\" has no max_age",
    "promise"
)]
#[case::freshness_without_dataset(
    "[[link.freshness]]\nname = \"f\"\nmax_age = \"1s\"",
    "config.missing",
    "\"f\" of [[link]] \"trading\" has no dataset",
    "dataset"
)]
#[case::freshness_twice(
    "[[link.freshness]]\nname = \"f\"\ndataset = \"d\"\nmax_age = \"1s\"\n[[link.freshness]]\nname = \"f\"\ndataset = \"e\"\nmax_age = \"1s\"",
    "config.duplicate",
    "freshness \"f\" of [[link]] \"trading\" is declared twice",
    ""
)]
#[case::freshness_with_two_ages(
    "[[link.freshness]]\nname = \"f\"\ndataset = \"d\"\nmax_age = \"1s\"\npromise = \"news\"\n[freshness.news]\nmax_age = \"5s\"",
    "config.conflict",
    "has a max_age and a promise",
    "remove one"
)]
#[case::promise_that_nobody_made(
    "[[link.freshness]]\nname = \"f\"\ndataset = \"d\"\npromise = \"new\"\n[freshness.news]\nmax_age = \"5s\"",
    "config.unknown_promise",
    "there is no [freshness.new]",
    "did you mean \"news\"?"
)]
#[case::promise_without_age("[freshness.news]\n", "config.missing", "[freshness.news] has no max_age", "max_age")]
#[case::objectives_text("objectives = \"5s\"", "config.type", "objectives in [[link]] \"trading\" must be a table", "")]
#[case::dataset_unnamed("[[link.dataset]]\nkey = [\"a\"]", "config.missing", "has no name", "source_name")]
#[case::dataset_twice(
    "[[link.dataset]]\nname = \"d\"\n[[link.dataset]]\nname = \"d\"",
    "config.duplicate",
    "dataset \"d\" of [[link]] \"trading\" is declared twice",
    ""
)]
#[case::dataset_table("[link.dataset]\nname = \"d\"", "config.type", "must be a list of tables", "[[link.dataset]]")]
#[case::key_twice("[[link.dataset]]\nname = \"d\"\nkey = [\"a\", \"a\"]", "config.duplicate", "key \"a\" of", "")]
#[case::key_in_multiset(
    "[[link.dataset]]\nname = \"d\"\nkey = [\"a\"]\nmode = \"multiset\"",
    "config.conflict",
    "has a key, which mode = \"multiset\" does not use",
    "remove"
)]
#[case::mode_word("[[link.dataset]]\nname = \"d\"\nmode = \"keys\"", "config.value", "cannot be \"keys\"", "keyed")]
#[case::rename_number("[[link.dataset]]\nname = \"d\"\nrename = { a = 1 }", "config.type", "must be a text", "")]
#[case::rename_collision(
    "[[link.dataset]]\nname = \"d\"\nrename = { a = \"x\", b = \"x\" }",
    "config.duplicate",
    "two columns in rename of",
    ""
)]
#[case::policy_word(
    "[[link.dataset]]\nname = \"d\"\npolicies = { zone = \"utc\" }",
    "config.value",
    "zone in policies of [[link.dataset]] \"d\" of [[link]] \"trading\" cannot be \"utc\"",
    "assume-utc"
)]
#[case::ledger_empty(
    "[[link.ledger]]\nname = \"b\"\ndataset = \"d\"",
    "config.missing",
    "reconciles nothing",
    "count = true"
)]
#[case::ledger_that_counts_nothing(
    "[[link.ledger]]\nname = \"b\"\ndataset = \"d\"\ncount = false",
    "config.missing",
    "reconciles nothing",
    "zero_sum"
)]
#[case::ledger_grouped_by_what_it_adds_up(
    "[[link.ledger]]\nname = \"b\"\ndataset = \"d\"\ngroup_by = [\"a\"]\nsum = [\"a\"]",
    "config.conflict",
    "is in group_by and in sum of",
    "remove it from one of the two"
)]
#[case::ledger_column_twice(
    "[[link.ledger]]\nname = \"b\"\ndataset = \"d\"\nsum = [\"a\", \"a\"]",
    "config.duplicate",
    "column of sum \"a\"",
    ""
)]
#[case::ledger_without_dataset("[[link.ledger]]\nname = \"b\"\ncount = true", "config.missing", "has no dataset", "")]
#[case::ledger_count_text(
    "[[link.ledger]]\nname = \"b\"\ndataset = \"d\"\ncount = \"yes\"",
    "config.type",
    "must be true or false, not a text",
    ""
)]
#[case::ledger_unknown(
    "[[link.ledger]]\nname = \"b\"\ndataset = \"d\"\ncount = true\ngroupby = [\"a\"]",
    "config.unknown_key",
    "\"groupby\"",
    "group_by"
)]
#[case::link_twice(
    "[[link]]\nname = \"trading\"\nsource = \"west\"\nreplica = \"east\"",
    "config.duplicate",
    "link \"trading\" is declared twice",
    ""
)]
#[case::link_to_itself(
    "[[link]]\nname = \"x\"\nsource = \"east\"\nreplica = \"east\"",
    "config.same_store",
    "has the same store as source and replica",
    "other region"
)]
#[case::link_to_nowhere(
    "[[link]]\nname = \"x\"\nsource = \"east\"\nreplica = \"wset\"",
    "config.unknown_store",
    "there is no store \"wset\"",
    "did you mean \"west\"?"
)]
#[case::link_without_replica(
    "[[link]]\nname = \"x\"\nsource = \"east\"",
    "config.missing",
    "has no replica",
    "replica"
)]
#[case::link_without_name(
    "[[link]]\nsource = \"east\"\nreplica = \"west\"",
    "config.missing",
    "[[link]] has no name",
    ""
)]
#[case::store_kind(
    "[store.x]\nkind = \"postgress\"\nurl = \"u\"",
    "config.value",
    "unknown kind of store \"postgress\" in [store.x]",
    "did you mean \"postgres\"?"
)]
#[case::store_kind_later(
    "[store.x]\nkind = \"redis\"\nurl = \"u\"",
    "config.unsupported",
    "redis stores are not supported by this version",
    "postgres, kafka, files, parquet, csv"
)]
#[case::store_without_kind("[store.x]\nurl = \"u\"", "config.missing", "[store.x] has no kind", "")]
#[case::store_without_url("[store.x]\nkind = \"csv\"", "config.missing", "[store.x] has no url", "")]
#[case::store_text("[store]\nx = \"u\"", "config.type", "x in [store] must be a table, not a text", "")]
#[case::store_option_list(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\noptions = { a = [1] }",
    "config.type",
    "a in options of [store.x] must be a text",
    ""
)]
#[case::recovery_unknown(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\nrecovery = { data_dir = \"/a\" }",
    "config.unknown_key",
    "\"data_dir\" in recovery of [store.x]",
    "data_directory"
)]
#[case::schedule_number("[schedule]\nlag = 30", "config.type", "lag in [schedule] must be a duration", "")]
#[case::schedule_without_every("[schedule]\nverify = { slices = 2 }", "config.missing", "has no every", "")]
#[case::schedule_slices(
    "[schedule]\nverify = { every = \"1d\", slices = 0 }",
    "config.value",
    "slices in verify of [schedule] must be between 1 and 100000",
    ""
)]
#[case::schedule_budget(
    "[schedule]\nverify = { every = \"1d\", budget = \"10\" }",
    "config.value",
    "budget in verify of [schedule] cannot be \"10\"",
    "1e8rows"
)]
#[case::privacy_word(
    "[privacy]\nvalues = \"hide\"",
    "config.value",
    "cannot be \"hide\"",
    "known are show, mask, hash"
)]
#[case::privacy_date("[privacy]\nvalues = 2026-11-21", "config.type", "must be a text, not a date", "")]
#[case::tier_unknown(
    "[tier.tepid]\nobjectives = { lag = \"1s\" }",
    "config.unknown_key",
    "unknown tier \"tepid\"",
    "hot"
)]
#[case::kind_unknown(
    "[kind.postgress]\nobjectives = {}",
    "config.unknown_key",
    "unknown kind \"postgress\"",
    "postgres"
)]
#[case::syntax("[[link]\n", "config.syntax", "not valid TOML", "")]
#[case::duplicate_key("tier = \"hot\"\ntier = \"hot\"", "config.syntax", "not valid TOML", "")]
#[case::plain_password(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\npassword = \"c4n4ry\"",
    "config.secret",
    "must be a reference to a secret, not the secret itself",
    "{ env = \"NAME\" }"
)]
#[case::password_twice(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\npassword = { env = \"A\", command = [\"c4n4ry\"] }",
    "config.secret",
    "must say exactly one place of the secret",
    ""
)]
#[case::password_as_name(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\npassword = { env = \"c4n4ry!\" }",
    "config.secret",
    "does not name an environment variable",
    ""
)]
#[case::password_place(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\npassword = { vault = \"a\" }",
    "config.secret",
    "unknown place \"vault\" of the secret password",
    ""
)]
#[case::password_command_text(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\npassword = { command = \"c4n4ry\" }",
    "config.secret",
    "must be a list of texts",
    ""
)]
#[case::password_in_url(
    "[store.x]\nkind = \"postgres\"\nurl = \"postgres://u:c4n4ry@host/db\"",
    "config.secret",
    "url in [store.x] holds a secret",
    "take it out"
)]
#[case::password_in_query(
    "[store.x]\nkind = \"postgres\"\nurl = \"postgres://host/db?password=c4n4ry\"",
    "config.secret",
    "url in [store.x] holds a secret",
    ""
)]
#[case::plain_option(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\noptions = { aws_secret_access_key = \"c4n4ry\" }",
    "config.secret",
    "aws_secret_access_key in options of [store.x] must be a reference",
    ""
)]
#[case::archive_secret(
    "[store.x]\nkind = \"csv\"\nurl = \"u\"\nrecovery = { wal_archive = \"s3://k:c4n4ry@wal/east\" }",
    "config.secret",
    "url in recovery of [store.x] holds a secret",
    ""
)]
#[case::unfinished_password("[store.x]\npassword = \"c4n4ry", "config.syntax", "not valid TOML", "")]
fn mistakes_are_named_with_their_place(
    #[case] appended: &str,
    #[case] code: &str,
    #[case] message: &str,
    #[case] hint: &str,
) {
    let errors = parse("paritas.toml", &format!("{BASE}{appended}")).expect_err("this must be refused");
    let error = errors.first();
    assert_eq!(errors.iter().count(), 1, "{}", errors.render());
    assert_eq!(error.code(), code, "{}", error.render());
    assert!(error.message().contains(message), "{}", error.render());
    assert!(error.hint_text().unwrap_or_default().contains(hint), "{}", error.render());
    assert!(error.place().is_some_and(|place| place.line >= 18 || code == "config.missing"), "{}", error.render());
    let texts = format!("{} {error:?} {errors} {errors:?}", errors.render());
    assert!(!texts.contains("c4n4ry"), "{texts}");
}

#[test]
fn all_mistakes_are_found_at_once_in_the_order_of_their_places() {
    let text = "[store.a]\nkind = \"postgres\"\nurl = 5\nport = 1\n[[link]]\nname = \"l\"\nsource = \"a\"\n\
                replica = \"b\"\ntier = \"icy\"\n[privacy]\nvalues = true\n";
    insta::assert_snapshot!(mistakes(text).join("\n"));
}

#[test]
fn a_long_list_of_mistakes_is_cut_and_says_so() {
    let text: String = (0..80).map(|i| format!("unknown{i} = 1\n")).collect();
    let errors = parse("paritas.toml", &text).expect_err("this must be refused");
    assert_eq!((errors.iter().count(), errors.left_out()), (50, 30));
    assert!(errors.render().ends_with("and 30 more"));
}

#[test]
fn mistakes_are_shown_with_their_line() {
    let texts = [
        "[paritas]\nstate = \"s\"\n\n[[link]]\nname = \"trading\"\nsource = \"east\"\nreplcia = \"west\"\n",
        "[store.east]\nkind = \"postgres\"\nurl = \"postgres://u:c4n4ry@host/db\"\n",
        "[store.east]\nkind = \"postgres\"\nurl = \"postgres://host/db\"\npassword = \"c4n4ry\"\n",
        "[paritas]\nextends = [\"checks/tier.toml\"]\n",
        "[schedule]\nlag = \"30\"\n",
        "[[link]\n",
    ];
    let render = |text: &&str| parse("paritas.toml", text).expect_err("this must be refused").render();
    insta::assert_snapshot!(texts.iter().map(render).collect::<Vec<_>>().join("\n\n"));
}

#[rstest]
#[case::arrays(format!("a = {}", "[".repeat(100_000)))]
#[case::closed_arrays(format!("a = {}{}", "[".repeat(10_000), "]".repeat(10_000)))]
#[case::inline_tables(format!("a = {}", "{ a = ".repeat(100_000)))]
#[case::dotted_keys(format!("{}a = 1", "a.".repeat(200_000)))]
#[case::headers(format!("[{}a]\nx = 1", "a.".repeat(200_000)))]
#[case::dotted_in_link(format!("[[link]]\nobjectives.{}a = 1", "a.".repeat(100_000)))]
#[case::many_links("[[link]]\nname = \"a\"\n".repeat(20_000))]
#[case::long_line(format!("a = \"{}\"", "x".repeat(1_000_000)))]
#[case::nul("a\0 = 1".to_owned())]
#[case::bidi("\u{202e}a = 1".to_owned())]
#[case::huge_integer("[schedule]\nverify = { every = \"1d\", slices = 999999999999999999999999 }".to_owned())]
#[case::bare_cr("a = 1\rb = 2".to_owned())]
fn hostile_texts_are_refused_without_a_panic(#[case] text: String) {
    let errors = parse("paritas.toml", &text).expect_err("this must be refused");
    assert!(errors.render().len() < 100_000, "{}", errors.render().len());
}

/// A deterministic stream of pseudo-random numbers (splitmix64).
fn numbers(mut seed: u64) -> impl FnMut() -> usize {
    move || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 8).unwrap()
    }
}

#[test]
fn mutated_configurations_never_panic() {
    let text: Vec<char> = include_str!("full.toml").chars().collect();
    let mut next = numbers(1);
    for _ in 0..1_000 {
        let mut mutated = text.clone();
        for _ in 0..=next() % 4 {
            let at = next() % mutated.len();
            match next() % 4 {
                0 => mutated.truncate(at.max(1)),
                1 => mutated[at] = ['"', '[', '{', '=', '.', '\n', '\u{0}', 'é'][next() % 8],
                2 => drop(mutated.remove(at)),
                _ => mutated.insert(at, ['"', '[', '}', '=', ',', '\\', '#', '9'][next() % 8]),
            }
            if mutated.is_empty() {
                break;
            }
        }
        let mutated: String = mutated.into_iter().collect();
        let _ = parse("paritas.toml", &mutated).map_err(|errors| errors.render());
    }
}

/// The base with a retention.
fn retained(text: &str) -> String {
    BASE.replace("state = \"state\"", &format!("state = \"state\"\nretention = {text}"))
}

#[test]
fn a_retention_is_read_and_what_is_not_said_is_left_to_the_state() {
    let kept = parse("paritas.toml", &retained("{ raw = \"7d\", runs = \"800d\" }")).unwrap().retention;
    let days = |days: u64| Some(std::time::Duration::from_secs(days * 86_400));
    assert_eq!((kept.raw, kept.runs, kept.minutes), (days(7), days(800), None));
}

#[rstest]
#[case::shorter("{ raw = \"3d\", minutes = \"2d\" }", "minutes of retention of [paritas] is shorter than raw")]
#[case::much_shorter("{ raw = \"3d\", hours = \"2d\" }", "hours of retention of [paritas] is shorter than raw")]
#[case::runs("{ runs = \"3d\", recoveries = \"2d\" }", "recoveries of retention of [paritas] is shorter than runs")]
#[case::unknown("{ days = \"3d\" }", "unknown key \"days\" in retention of [paritas]")]
#[case::nothing("{ raw = \"0s\" }", "raw in retention of [paritas] must be more than zero")]
#[case::no_table("\"3d\"", "retention in [paritas] must be a table")]
fn a_retention_that_cannot_be_is_a_mistake(#[case] text: &str, #[case] expected: &str) {
    let found = mistakes(&retained(text));
    assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
}

#[test]
fn a_place_for_copies_is_a_url_or_a_table_and_holds_no_secret() {
    let copy = |text: &str| BASE.replace("state = \"state\"", &format!("state = \"state\"\nsnapshot_copy = {text}"));
    let found = parse("paritas.toml", &copy("\"s3://dr/east\"")).unwrap().snapshot_copy.unwrap();
    assert_eq!((found.url.as_str(), found.options.len()), ("s3://dr/east", 0));
    let table = "{ url = \"copies\", options = { aws_secret_access_key = { env = \"KEY\" }, aws_region = \"r\" } }";
    assert_eq!(parse("paritas.toml", &copy(table)).unwrap().snapshot_copy.unwrap().options.len(), 2);
    for (text, expected) in [
        ("\"s3://key:canary@dr/east\"", "config.secret"),
        ("{ url = \"s3://dr\", options = { aws_secret_access_key = \"canary\" } }", "config.secret"),
        ("{ options = {} }", "config.missing"),
        ("{ url = \"s3://dr\", key = 1 }", "config.unknown_key"),
        ("3", "config.type"),
    ] {
        let found = mistakes(&copy(text));
        assert!(
            found.len() == 1 && found[0].starts_with(expected) && !found[0].contains("canary"),
            "{text}: {found:?}"
        );
    }
}
