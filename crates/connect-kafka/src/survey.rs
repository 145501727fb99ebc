//! Who the cluster is, and all its topics, in three requests to one broker.

use crate::bindings::{Operations, Overview, Request, TopicSeen};
use crate::client::{Answer, Line};
use crate::codes;
use crate::errors::On;
use paritas_connect::logs::{Log, Survey};
use paritas_connect::{Context, Error, FailureKind, ReplicaRole, Result, StoreIdentity};
use paritas_model::Known;

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
    let doing = "describe topics";
    let answer = one(line.ask(cx, doing, &[Request::Topics(names)])?)?;
    answer.event.topics().map_err(|fault| line.failed(cx, doing, &fault, "Describe", On::Cluster))
}

/// Everything that may be seen. Blocks.
pub(crate) fn survey(line: &Line, cx: &Context) -> Result<Survey> {
    let Overview { cluster, controller, brokers, topics: names } = line.overview(cx)?;
    let (mut limits, mut logs) = (Vec::new(), Vec::new());
    let seen = topics(line, cx, &names)?;
    limits.extend(hidden(line, &seen));
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
        controller: controller.map_or_else(|| Known::unknown("no broker controls the others now"), Known::Known),
        brokers,
        logs,
        limits,
    })
}

fn log(topic: TopicSeen) -> Log {
    let TopicSeen { name, id, internal, partitions, .. } = topic;
    let id = id.map_or_else(|| Known::unknown("topics have no ids before Kafka 2.8"), Known::Known);
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
    let topics = topics(line, cx, &overview.topics)?;
    let mut limits: Vec<String> = hidden(line, &topics).into_iter().collect();
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
