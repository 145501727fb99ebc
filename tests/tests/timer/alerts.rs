//! Exported alerts and the exported dashboard, held to Prometheus' own tool.

use paritas_testbed::Scratch;
use paritas_testbed::prometheus::promtool;
use paritas_tests::paritas;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two folders of one CSV file each, the second without its last row, and a timer that compares them.
fn configured(scratch: &Scratch) -> PathBuf {
    let folder = scratch.path();
    let mut text = format!("[paritas]\nstate = {:?}\n", folder.join("state"));
    for (side, rows) in [("east", "1,10.00\n2,5.00\n"), ("west", "1,10.00\n")] {
        fs::create_dir(folder.join(side)).unwrap();
        fs::write(folder.join(side).join("a.csv"), format!("id,amount\n{rows}")).unwrap();
        text += &format!("[store.{side}]\nkind = \"csv\"\nurl = {:?}\n", folder.join(side));
    }
    text += "[[link]]\nname = \"orders\"\nsource = \"east\"\nreplica = \"west\"\n";
    text += "[[link.dataset]]\nsource_name = \"east\"\nreplica_name = \"west\"\nkey = [\"id\"]\n";
    text += "[schedule]\nlag = \"30s\"\nverify = \"1d\"\n";
    let config = folder.join("paritas.toml");
    fs::write(&config, text).unwrap();
    config
}

fn exported(config: &Path, what: &str) -> String {
    paritas(&["--config", config.to_str().unwrap(), "export", what]).expect_code(0).stdout
}

/// What the tool says, when it finds nothing wrong.
fn checked(tool: &Path, folder: &Path, words: [&str; 3]) -> String {
    let output = Command::new(tool).args(words).current_dir(folder).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn alerts_fire_for_what_is_proven_or_silent_and_for_nothing_else() {
    let Some(tool) = promtool().unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    fs::write(scratch.path().join("rules.yml"), exported(&configured(&scratch), "prometheus-rules")).unwrap();
    let said = checked(&tool, scratch.path(), ["check", "rules", "rules.yml"]);
    assert!(said.contains("12 rules found"), "{said}");
    fs::write(scratch.path().join("tests.yml"), include_str!("alerts.yaml")).unwrap();
    checked(&tool, scratch.path(), ["test", "rules", "tests.yml"]);
}

#[test]
fn the_textfile_of_a_run_that_found_a_lost_row_raises_the_alert() {
    let Some(tool) = promtool().unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let config = configured(&scratch);
    let textfile = scratch.path().join("paritas.prom");
    let words = ["--config", config.to_str().unwrap(), "run", "--textfile", textfile.to_str().unwrap()];
    paritas(&words).expect_code(1);
    let written = fs::read_to_string(&textfile).unwrap();
    let mut series = String::new();
    for line in written.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        writeln!(series, "      - series: '{name}'\n        values: '{value}x5'").unwrap();
    }
    let test = format!(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{series}    \
         promql_expr_test:\n      - expr: 'count by (alertname, link, check) (ALERTS{{alertstate=\"firing\"}})'\n        \
         eval_time: 3m\n        exp_samples: [{{ labels: '{{alertname=\"ParitasViolation\", link=\"orders\", \
         check=\"parity\"}}', value: 1 }}]\n"
    );
    fs::write(scratch.path().join("rules.yml"), exported(&config, "prometheus-rules")).unwrap();
    fs::write(scratch.path().join("tests.yml"), test).unwrap();
    checked(&tool, scratch.path(), ["test", "rules", "tests.yml"]);
}

#[test]
fn every_expression_of_the_dashboard_can_be_asked() {
    let Some(tool) = promtool().unwrap() else { return };
    let scratch = Scratch::new().unwrap();
    let page: Value = serde_json::from_str(&exported(&configured(&scratch), "grafana")).unwrap();
    let mut rules = "groups:\n  - name: page\n    rules:\n".to_owned();
    let panels = page["panels"].as_array().unwrap();
    for (number, target) in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()).enumerate() {
        // The value of the variable, as Grafana puts it in.
        let expression = target["expr"].as_str().unwrap().replace("$link", ".*");
        writeln!(rules, "      - record: page:{number}\n        expr: '{expression}'").unwrap();
    }
    fs::write(scratch.path().join("page.yml"), rules).unwrap();
    let said = checked(&tool, scratch.path(), ["check", "rules", "page.yml"]);
    assert!(said.contains("SUCCESS") && panels.len() > 10, "{said}");
}
