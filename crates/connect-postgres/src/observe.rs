//! What a server says about replication, in one round trip on a session that is kept.
//!
//! One statement reads everything, so that its parts belong together, and the same statement serves a
//! primary, a standby and a subscriber: a server can become another one between two calls.

mod seen;
mod source;
mod sql;
mod standby;
mod subscriber;

use crate::errors::{classify, malformed};
use crate::quote;
use crate::session::{Session, timeouts};
use crate::store::Inner;
use paritas_connect::{Context, FACT_RELAYED, Observation, ReplicaRole, Result};
use paritas_model::{Known, Lineage, Stream};
use seen::{Seen, Settings};
use std::time::{Duration, Instant};
use tokio_postgres::SimpleQueryMessage;

/// Settings and privileges are read again after that long.
const SETTINGS_AGE_MAX: Duration = Duration::from_secs(10);
/// A kept session may have ended unseen; then one new one is tried.
const ATTEMPTS_MAX: usize = 2;

/// A session that is used for observing only, and what it may see.
#[derive(Debug)]
pub(crate) struct Kept {
    session: Session,
    settings: Settings,
    read: Instant,
}

/// One answer, and when it was given.
struct Sampled {
    seen: Seen,
    begin: Instant,
    end: Instant,
}

/// What the server says now.
pub(crate) async fn observe(inner: &Inner, cx: &Context) -> Result<Observation> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let idle = inner.take_watch().filter(|kept| !kept.session.is_closed());
        let reused = idle.is_some();
        match once(inner, cx, idle).await {
            Ok((kept, observation)) => {
                inner.keep_watch(kept);
                return Ok(observation);
            }
            Err(error) if reused && error.is_transient() && attempt < ATTEMPTS_MAX => {}
            Err(error) => return Err(error),
        }
    }
}

async fn once(inner: &Inner, cx: &Context, idle: Option<Kept>) -> Result<(Kept, Observation)> {
    let kept = match idle {
        Some(kept) if kept.read.elapsed() < SETTINGS_AGE_MAX => kept,
        Some(kept) => with_settings(kept.session, cx).await?,
        None => with_settings(inner.connect_to_any(cx).await?, cx).await?,
    };
    let statement = sql::sample(&kept.settings);
    let begin = Instant::now();
    let text = document(&kept.session, cx, "observe replication", &statement).await?;
    let end = Instant::now();
    let seen = serde_json::from_str(&text).map_err(|error| malformed("no report on replication").because(error))?;
    let observation = assemble(&kept, &Sampled { seen, begin, end });
    Ok((kept, observation))
}

async fn with_settings(session: Session, cx: &Context) -> Result<Kept> {
    let text = document(&session, cx, "read what may be seen", &sql::settings()).await?;
    let mut settings: Settings =
        serde_json::from_str(&text).map_err(|error| malformed("no list of settings").because(error))?;
    if settings.files {
        settings.oldest = Some(document(&session, cx, "list the files of the log", sql::OLDEST).await?);
    }
    Ok(Kept { session, settings, read: Instant::now() })
}

/// The one text that a statement answers with, in one round trip with the time-outs of this call.
pub(crate) async fn document(session: &Session, cx: &Context, doing: &str, statement: &str) -> Result<String> {
    let all = format!("{}; {statement}", timeouts(cx));
    let run = async { session.client.simple_query(&all).await.map_err(|error| classify(doing, error)) };
    let messages = cx.bound(run).await?;
    let text = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    text.map(str::to_owned).ok_or_else(|| malformed("no row where one must be").context(doing))
}

fn assemble(kept: &Kept, sampled: &Sampled) -> Observation {
    let Sampled { seen, begin, end } = sampled;
    let user = quote::ident(&kept.session.facts.user);
    let names: Vec<String> = seen.subscriptions.iter().map(|subscription| subscription.name.clone()).collect();
    let relayed = names.join(", ");
    let role = match (seen.recovery, names.is_empty()) {
        (true, _) => ReplicaRole::PhysicalReplica,
        (false, true) => ReplicaRole::Primary,
        (false, false) => ReplicaRole::LogicalReplica { subscriptions: names },
    };
    let mut observation = Observation::nothing(*begin, *end, role);
    let control = || {
        Known::unknown(format!(
            "the system identifier may not be read: GRANT EXECUTE ON FUNCTION pg_control_system(), \
             pg_control_checkpoint(), pg_control_recovery() TO {user}"
        ))
    };
    observation.identity = seen.system_text().map_or_else(control, Known::Known);
    let kind = if seen.recovery { "standby" } else { "primary" };
    observation.place = match &observation.identity {
        Known::Known(system) => Known::Known(format!("{system}/{kind}/{}/{}", seen.started, kept.settings.database)),
        Known::Unknown { why } => Known::unknown(why.clone()),
    };
    observation.scope = Some(kept.settings.database.clone());
    observation.clock = Known::Known(seen.clock);
    let lineage = match (&observation.identity, seen.timeline) {
        (Known::Known(system), Some(timeline)) => Known::Known(Lineage(format!("{system}/{timeline}"))),
        (Known::Unknown { why }, _) => Known::unknown(why.clone()),
        (Known::Known(_), None) => Known::unknown("the server does not say on which timeline it is"),
    };
    if !kept.settings.stats {
        observation.limits.push(format!("statistics of replication are hidden: GRANT pg_monitor TO {user}"));
    }
    source::fill(&mut observation, seen, &kept.settings, &lineage);
    if seen.recovery {
        observation.followed.push(standby::followed(seen, &kept.settings, lineage, &user));
        // They came with the copy; no worker of a standby applies anything.
        if !relayed.is_empty() {
            observation.facts.push((FACT_RELAYED, relayed));
        }
    } else {
        observation.followed.extend(seen.subscriptions.iter().map(subscriber::followed));
    }
    observation
}

/// The stream of a server's write-ahead log.
fn wal() -> Stream {
    Stream("wal".to_owned())
}
