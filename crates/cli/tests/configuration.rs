//! `init` and `config`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Folder, run};

#[test]
fn what_init_writes_is_valid_and_is_never_overwritten_unasked() {
    let folder = Folder::new();
    let first = folder.paritas(&["init"]).code(0);
    assert!(first.stdout.starts_with("paritas.toml written"), "{first:#?}");
    let checked = folder.paritas(&["config", "check"]).code(0);
    assert!(checked.stdout.starts_with("paritas.toml is valid: 2 stores, 1 link\n"), "{checked:#?}");
    let file = folder.write("paritas.toml", "# mine\n");
    let refused = folder.paritas(&["init"]).code(2);
    assert_eq!(
        refused.stderr,
        "error: paritas.toml exists already\n  hint: keep it, write to another PATH, or overwrite it with `--force`\n"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "# mine\n");
    folder.paritas(&["init", "--force"]).code(0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("[[link]]"));
}

#[test]
fn init_writes_where_it_is_told() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    folder.paritas(&["init", "etc"]).code(0);
    folder.paritas(&["config", "check", "-c", "etc/paritas.toml"]).code(0);
    let missing = folder.paritas(&["init", "nowhere/paritas.toml"]).code(2);
    assert!(missing.stderr.contains("make its folder first"), "{missing:#?}");
    let json = folder.paritas(&["init", "--json", "b.toml"]).code(0).json();
    assert_eq!((&json["message_type"], &json["path"]), (&"init".into(), &"b.toml".into()));
}

#[test]
fn an_unknown_key_is_a_mistake_with_its_place_and_the_nearest_name() {
    let folder = Folder::new();
    folder.write("paritas.toml", "[store.a]\nkind = \"files\"\nurll = \"/tmp\"\n");
    let run = folder.paritas(&["config", "check"]).code(2);
    assert!(run.stderr.contains("paritas.toml:3:1") && run.stderr.contains("did you mean \"url\"?"), "{run:#?}");
    let json = folder.paritas(&["verify", "--json"]).code(2).json();
    assert!(json["code"].as_str().unwrap().starts_with("config."), "{json}");
    let text = json.to_string();
    assert!(text.contains("urll"), "{text}");
}

#[test]
fn the_configuration_is_looked_for_in_its_places() {
    let folder = Folder::new();
    let broken = |name: &str| format!("# {name}\n[store.{name}]\nkind = \"nonsense\"\nurl = \"/\"\n");
    let used = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = folder.command(args);
        command.envs(variables.iter().copied());
        run(command).code(2).stderr
    };
    let user = folder.write("home/.config/paritas/paritas.toml", broken("user"));
    let show = ["config", "show"];
    assert!(used(&show, &[]).contains("[store.user]") || used(&show, &[]).contains("paritas/paritas.toml:"));
    folder.write("xdg/paritas/paritas.toml", broken("xdg"));
    let xdg = folder.path().join("xdg");
    assert!(used(&show, &[("XDG_CONFIG_HOME", xdg.to_str().unwrap())]).contains("xdg/paritas/paritas.toml:"));
    folder.write("paritas.toml", broken("here"));
    assert!(used(&show, &[]).contains("error: paritas.toml:"));
    assert!(used(&show, &[("PARITAS_CONFIG", user.to_str().unwrap())]).contains(".config/paritas/paritas.toml:"));
    let missing = used(&["config", "show", "-c", "missing.toml"], &[]);
    assert!(missing.contains("cannot read the configuration missing.toml"), "{missing}");
}

#[test]
fn secrets_are_shown_nowhere() {
    let folder = Folder::new();
    folder.write("key", "canary-key");
    let text = "[paritas]\ndigest_key = { file = \"key\" }\n[store.a]\nkind = \"postgres\"\n\
                url = \"postgres://u@h/db\"\npassword = { env = \"CANARY\" }\n\
                [store.b]\nkind = \"postgres\"\nurl = \"postgres://u@i/db\"\npassword = { command = [\"echo\", \"canary-command\"] }\n\
                [[link]]\nname = \"l\"\nsource = \"a\"\nreplica = \"b\"\n";
    folder.write("paritas.toml", text);
    for args in
        [&["config", "show"][..], &["config", "check"], &["config", "show", "--json"], &["config", "check", "-vvv"]]
    {
        let mut command = folder.command(args);
        command.env("CANARY", "canary-env");
        let shown = run(command).code(0);
        assert!(!format!("{shown:?}").contains("canary-"), "{shown:#?}");
    }
}

#[test]
fn configuration_is_one_json_document() {
    let folder = Folder::new();
    folder.paritas(&["init"]).code(0);
    let check = folder.paritas(&["config", "check", "--json"]).code(0).json();
    assert_eq!((&check["message_type"], &check["links"][0]), (&"config_check".into(), &"trading".into()));
    let show = folder.paritas(&["config", "show", "--json"]).code(0).json();
    assert!(show["toml"].as_str().unwrap().contains("[store.pg-east]"), "{show}");
}

#[test]
fn links_and_stores_are_told_apart() {
    let folder = Folder::new();
    folder.paritas(&["init"]).code(0);
    let hint = |args: &[&str]| folder.paritas(args).code(2).stderr;
    assert!(hint(&["verify", "tradin"]).contains("did you mean `trading`?"));
    assert!(hint(&["verify", "trading", "/tmp"]).contains("a link and a store cannot be mixed: `trading` and `/tmp`"));
    std::fs::create_dir(folder.path().join("trading")).unwrap();
    assert!(hint(&["verify", "trading", "./x"]).contains("write `./trading` for the path"), "the link wins");
}
