//! Who the cluster is, and all its topics, in three requests to one broker.

use crate::bindings::{Fault, Operations, Overview, Request, TopicSeen};
use crate::client::{Answer, Line};
use crate::codes;
use crate::errors::On;
use paritas_connect::logs::{Log, Survey};
use paritas_connect::{Context, Error, FailureKind, ReplicaRole, Result, StoreIdentity};
use paritas_model::Known;

/// Why the controller is not asked.
pub(crate) const UNCONTROLLED: &str = "no broker controls the others now";
/// Names at most in a list of topics that cannot be read.
const NAMED_MAX: usize = 5;

/// The only answer of a request.
pub(crate) fn one(answers: Vec<Answer>) -> Result<Answer> {
    let lost = || Error::new(FailureKind::Permanent, "store.unexpected", "a request had no answer");
    answers.into_iter().next().ok_or_else(lost)
}

/// Topics by their names, in that order. Those that are not there have a fault. Blocks.
pub(crate) fn topics(line: &Line, cx: &Context, names: &[String]) -> Result<Vec<TopicSeen>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if line.is_uncontrolled() {
        let overview = line.overview(cx)?;
        if overview.controller.is_none() {
            return Ok(names.iter().map(|name| of_name(name, &overview.topics)).collect());
        }
    }
    let doing = "describe topics";
    let answer = one(line.ask(cx, doing, &[Request::Topics(names)])?)?;
    answer.event.topics().map_err(|fault| line.failed(cx, doing, &fault, "Describe", On::Cluster))
}

/// A topic among all of them.
fn of_name(name: &str, all: &[TopicSeen]) -> TopicSeen {
    all.iter().find(|topic| topic.name == name).cloned().unwrap_or_else(|| TopicSeen {
        name: name.to_owned(),
        fault: Some(Fault::of(codes::UNKNOWN_TOPIC)),
        id: None,
        internal: false,
        partitions: Vec::new(),
        operations: None,
    })
}

/// The topics of a cluster as its controller describes them; without one as any broker lists them.
fn described(line: &Line, cx: &Context, overview: &Overview) -> Result<(Vec<TopicSeen>, Vec<String>)> {
    if overview.controller.is_none() {
        let why = format!("{UNCONTROLLED}: ids, rights and settings of topics are not known");
        return Ok((overview.topics.clone(), vec![why]));
    }
    let names: Vec<String> = overview.topics.iter().map(|topic| topic.name.clone()).collect();
    let seen = topics(line, cx, &names)?;
    let limits = hidden(line, &seen).into_iter().collect();
    Ok((seen, limits))
}

/// Everything that may be seen. Blocks.
pub(crate) fn survey(line: &Line, cx: &Context) -> Result<Survey> {
    let overview = line.overview_anew(cx)?;
    let (seen, mut limits) = described(line, cx, &overview)?;
    line.pins.expect_topics(&seen);
    let Overview { cluster, controller, brokers, .. } = overview;
    let mut logs = Vec::new();
    for topic in seen {
        match topic.fault {
            None => logs.push(log(topic)),
            // Deleted since it was listed.
            Some(fault) if fault.code == codes::UNKNOWN_TOPIC => {}
            Some(fault) => limits.push(format!("topic {} cannot be described: {}", topic.name, fault.said)),
        }
    }
    logs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Survey {
        cluster: cluster.map_or_else(|| Known::unknown("the brokers do not say"), Known::Known),
        controller: controller.map_or_else(|| Known::unknown(UNCONTROLLED), Known::Known),
        brokers,
        logs,
        limits,
    })
}

fn log(topic: TopicSeen) -> Log {
    let TopicSeen { name, id, internal, partitions, .. } = topic;
    let id = id.map_or_else(|| Known::unknown("the brokers tell no ids of topics"), Known::Known);
    Log { name, id, internal, partitions }
}

/// That a user with few rights may not see everything. The brokers do not tell what they leave out.
fn hidden(line: &Line, topics: &[TopicSeen]) -> Option<String> {
    let restricted = |topic: &TopicSeen| topic.operations.is_some_and(|allowed| !allowed.allow(Operations::ALTER));
    let why = match topics.is_empty() {
        true if line.asker.user.is_some() => "there is no topic that this user may see",
        false if topics.iter().any(restricted) => "topics that this user may not describe are not seen",
        _ => return None,
    };
    Some(format!("{why}: {}", line.asker.grant("Describe", On::Topic("'*'"))))
}

/// What the cluster is as a store. Blocks.
pub(crate) fn identity(line: &Line, cx: &Context) -> Result<StoreIdentity> {
    let overview = line.overview(cx)?;
    let (topics, mut limits) = described(line, cx, &overview)?;
    let lacking = |operation| {
        let lacks = move |topic: &&TopicSeen| topic.operations.is_some_and(|allowed| !allowed.allow(operation));
        topics.iter().filter(|topic| !topic.internal).filter(lacks).map(|topic| topic.name.as_str()).collect::<Vec<_>>()
    };
    let kinds = [
        (Operations::READ, "Read", "may not be read"),
        (Operations::DESCRIBE_CONFIGS, "DescribeConfigs", "do not show their settings"),
    ];
    for (operation, word, consequence) in kinds {
        let names = lacking(operation);
        if let Some(first) = names.first() {
            let more = if names.len() > NAMED_MAX { ", ..." } else { "" };
            let shown = names.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
            limits.push(format!(
                "{} topics {consequence} ({shown}{more}): {}",
                names.len(),
                line.asker.grant(word, On::Topic(first))
            ));
        }
    }
    if line.is_trusting() {
        limits.push("certificates of brokers are not verified: enable.ssl.certificate.verification=false".to_owned());
    }
    let brokers = overview.brokers.len();
    let id =
        overview.cluster.map_or_else(|| Known::unknown("the brokers do not say which cluster they are"), Known::Known);
    Ok(StoreIdentity {
        version: format!("Kafka cluster of {brokers} {}", if brokers == 1 { "broker" } else { "brokers" }),
        identity: id.clone(),
        place: id,
        role: ReplicaRole::Independent,
        limits,
    })
}
