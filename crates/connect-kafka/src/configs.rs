//! Settings of topics.

use crate::bindings::Request;
use crate::client::Line;
use crate::codes;
use crate::errors::On;
use crate::survey::{UNCONTROLLED, one};
use paritas_connect::logs::Settings;
use paritas_connect::{Context, Result};
use paritas_model::Known;
use std::collections::{BTreeMap, BTreeSet};

/// The settings of these topics, by name. Blocks.
pub(crate) fn settings(line: &Line, cx: &Context, logs: &[String]) -> Result<BTreeMap<String, Known<Settings>>> {
    let names: Vec<String> = logs.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    if line.is_uncontrolled() {
        return Ok(names.into_iter().map(|name| (name, Known::unknown(UNCONTROLLED))).collect());
    }
    let doing = "ask for the settings of topics";
    let answer = one(line.ask(cx, doing, &[Request::Settings(&names)])?)?;
    let failed = |fault| line.failed(cx, doing, &fault, "DescribeConfigs", On::Cluster);
    let mut found: BTreeMap<String, Known<Settings>> = BTreeMap::new();
    for seen in answer.event.settings().map_err(failed)? {
        let known = match seen.settings {
            Ok(settings) => Known::Known(Settings(settings)),
            Err(fault) => Known::unknown(match fault.code {
                codes::TOPIC_DENIED | codes::CLUSTER_DENIED => {
                    format!("not permitted: {}", line.asker.grant("DescribeConfigs", On::Topic(&seen.topic)))
                }
                codes::UNKNOWN_TOPIC => format!("there is no topic {}", seen.topic),
                _ => fault.said,
            }),
        };
        found.insert(seen.topic, known);
    }
    for name in names {
        found.entry(name).or_insert_with(|| Known::unknown("the brokers did not say"));
    }
    Ok(found)
}
