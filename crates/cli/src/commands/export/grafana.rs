//! A dashboard for Grafana.

use serde_json::{Value, json};

/// Which source of data and which links are shown, is chosen on the page.
const SOURCE: &str = "${datasource}";
/// Width of the page in units of its grid.
const GRID_WIDTH: u64 = 24;
/// The form of the document.
const SCHEMA_VERSION: u64 = 39;

/// Verdicts by their numbers, with the colours of reports.
const VERDICTS: [(&str, &str, &str); 4] =
    [("0", "pass", "green"), ("1", "warn", "yellow"), ("2", "fail", "red"), ("3", "unknown", "purple")];

/// A curve: its expression, in which `@` is the prefix of metrics, and its legend.
type Curve = (&'static str, &'static str);

/// A panel, in the order of the page.
struct Panel {
    title: &'static str,
    says: &'static str,
    kind: &'static str,
    unit: &'static str,
    width: u64,
    height: u64,
    curves: &'static [Curve],
}

const PANELS: [Panel; 12] = [
    Panel {
        title: "Verdicts",
        says: "The last verdict of every check.",
        kind: "state-timeline",
        unit: "verdict",
        width: 16,
        height: 9,
        curves: &[(r#"@check_verdict{link=~"$link",drill=""}"#, "{{link}} {{check}} {{dataset}} {{side}}")],
    },
    Panel {
        title: "Health of regions",
        says: "With everything unknown counted as 0, and as 1.",
        kind: "timeseries",
        unit: "percentunit",
        width: 8,
        height: 9,
        curves: &[("@region_health_score", "{{region}} at least"), ("@region_health_score_high", "{{region}} at most")],
    },
    Panel {
        title: "Lag",
        says: "Upper and lower end of the interval that holds the true lag, and the objective. A gap is a lag that is not known.",
        kind: "timeseries",
        unit: "s",
        width: 16,
        height: 9,
        curves: &[
            (r#"@link_lag_seconds{link=~"$link"}"#, "{{link}} {{stream}} at most"),
            (r#"@link_lag_low_seconds{link=~"$link"}"#, "{{link}} {{stream}} at least"),
            (r#"@link_objective_seconds{link=~"$link",objective="lag"}"#, "{{link}} objective"),
        ],
    },
    Panel {
        title: "Lag in bytes",
        says: "Bytes of history that the replica does not show.",
        kind: "timeseries",
        unit: "bytes",
        width: 8,
        height: 9,
        curves: &[(r#"@link_lag_bytes{link=~"$link"}"#, "{{link}} {{stream}}")],
    },
    Panel {
        title: "Differences",
        says: "By class; of datasets that were not read to the end only what was found.",
        kind: "timeseries",
        unit: "short",
        width: 8,
        height: 8,
        curves: &[
            (r#"sum by (link, class) (@differences{link=~"$link"})"#, "{{link}} {{class}}"),
            (r#"sum by (link, class) (@differences_at_least{link=~"$link"})"#, "{{link}} {{class}} at least"),
        ],
    },
    Panel {
        title: "Groups of a ledger that break their rule",
        says: "Absent where not everything was read.",
        kind: "timeseries",
        unit: "short",
        width: 8,
        height: 8,
        curves: &[(r#"@ledger_groups_mismatched{link=~"$link"}"#, "{{link}} {{ledger}}")],
    },
    Panel {
        title: "Consumer groups",
        says: "Age of the first record that a group has not read: the upper end.",
        kind: "timeseries",
        unit: "s",
        width: 8,
        height: 8,
        curves: &[(r#"@group_lag_seconds{link=~"$link"}"#, "{{link}} {{group}} {{side}}")],
    },
    Panel {
        title: "Clocks",
        says: "Distance of a store's clock from that of the machine that asks: the upper end.",
        kind: "timeseries",
        unit: "s",
        width: 8,
        height: 8,
        curves: &[(r#"@clock_skew_seconds{link=~"$link"}"#, "{{store}} {{side}}")],
    },
    Panel {
        title: "Round trips",
        says: "The quickest question, from the machine that asks.",
        kind: "timeseries",
        unit: "s",
        width: 8,
        height: 8,
        curves: &[("@region_rtt_seconds", "{{from}} to {{to}} {{store}}")],
    },
    Panel {
        title: "Age of the newest row",
        says: "The upper end of the interval.",
        kind: "timeseries",
        unit: "s",
        width: 8,
        height: 8,
        curves: &[(r#"@freshness_age_seconds{link=~"$link"}"#, "{{link}} {{freshness}} {{side}}")],
    },
    Panel {
        title: "RPO and RTO that failovers achieved",
        says: "Upper ends of the intervals. Drills have their names.",
        kind: "timeseries",
        unit: "s",
        width: 16,
        height: 8,
        curves: &[
            (r#"@achieved_rpo_seconds{link=~"$link"}"#, "{{link}} RPO {{drill}}"),
            (r#"@achieved_rto_seconds{link=~"$link"}"#, "{{link}} RTO {{drill}}"),
        ],
    },
    Panel {
        title: "Since the last run",
        says: "What is shown here is as old as that.",
        kind: "stat",
        unit: "s",
        width: 8,
        height: 8,
        curves: &[("time() - @run_end_timestamp_seconds", "{{command}}")],
    },
];

/// The dashboard, ready to be imported.
pub(super) fn dashboard(prefix: &str) -> String {
    let (mut x, mut y, mut row) = (0, 0, 0);
    let mut panels = Vec::new();
    for (panel, id) in PANELS.iter().zip(1_u64..) {
        if x + panel.width > GRID_WIDTH {
            (x, y, row) = (0, y + row, 0);
        }
        panels.push(drawn(panel, id, x, y, prefix));
        x += panel.width;
        row = row.max(panel.height);
    }
    let document = json!({
        "title": "Paritas",
        "uid": "paritas",
        "tags": ["replication", "paritas"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": true,
        "refresh": "1m",
        "time": { "from": "now-24h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus" },
            {
                "name": "link", "label": "Link", "type": "query", "datasource": source(),
                "query": format!("label_values({prefix}check_verdict, link)"),
                "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
                "current": { "text": "All", "value": "$__all" },
            },
        ] },
        "panels": panels,
    });
    format!("{document:#}\n")
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": SOURCE })
}

fn drawn(panel: &Panel, id: u64, x: u64, y: u64, prefix: &str) -> Value {
    let targets: Vec<Value> = panel
        .curves
        .iter()
        .zip('A'..='Z')
        .map(|((expression, legend), name)| {
            let expression = expression.replace('@', prefix);
            json!({ "refId": name, "datasource": source(), "expr": expression, "legendFormat": legend })
        })
        .collect();
    let defaults = match panel.unit {
        "verdict" => {
            let options: serde_json::Map<String, Value> = VERDICTS
                .iter()
                .map(|(number, text, color)| ((*number).to_owned(), json!({ "text": text, "color": color })))
                .collect();
            json!({ "mappings": [{ "type": "value", "options": options }], "color": { "mode": "fixed", "fixedColor": "text" } })
        }
        // Lines are not drawn over times of which nothing is known.
        unit => json!({ "unit": unit, "min": 0, "custom": { "spanNulls": false, "showPoints": "auto" } }),
    };
    json!({
        "id": id,
        "title": panel.title,
        "description": panel.says,
        "type": panel.kind,
        "datasource": source(),
        "gridPos": { "x": x, "y": y, "w": panel.width, "h": panel.height },
        "fieldConfig": { "defaults": defaults, "overrides": [] },
        "targets": targets,
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::rules::names_in;
    use super::*;
    use paritas_report::Metrics;

    #[test]
    fn every_metric_on_the_page_is_written() {
        for (expression, _) in PANELS.iter().flat_map(|panel| panel.curves) {
            let mut names = names_in(expression, "@").peekable();
            assert!(names.peek().is_some(), "{expression}");
            assert!(names.all(|name| Metrics::names().any(|own| own == name)), "{expression}");
        }
    }

    #[test]
    fn panels_fill_rows_and_none_lies_on_another() {
        let page: Value = serde_json::from_str(&dashboard("paritas_")).unwrap_or_default();
        let mut cells = std::collections::BTreeSet::new();
        for panel in page["panels"].as_array().into_iter().flatten() {
            let [x, y, w, h] =
                ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().unwrap_or(GRID_WIDTH + 1));
            assert!(x + w <= GRID_WIDTH, "{panel}");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{panel}");
            }
        }
        let height = cells.iter().map(|(_, y)| y + 1).max().unwrap_or(0);
        assert_eq!(cells.len() as u64, GRID_WIDTH * height);
    }
}
