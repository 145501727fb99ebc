//! Which streams of a source a replica follows, and what is between the two. One side's word is not
//! enough: a subscription names a slot, and only the source can say that it is its own.

use crate::error::problem_of;
use crate::job::Sides;
use paritas_connect::{Cursor, FACT_RELAYED, Feed, Followed, Observation, Produced, Reader, ReplicaRole};
use paritas_lag::{Link, Obstacle};
use paritas_model::{Known, Lineage};
use paritas_report::Problem;
use paritas_verify::rows::Origin;

/// One stream of a replica, and what the source says about it.
#[derive(Debug)]
pub(crate) struct Paired<'a> {
    pub(crate) followed: &'a Followed,
    pub(crate) produced: &'a Produced,
    pub(crate) cursor: Option<&'a Cursor>,
    pub(crate) reader: Option<&'a Reader>,
    pub(crate) link: Link,
    pub(crate) obstacles: Vec<Obstacle>,
}

/// What a replica follows of a source.
#[derive(Debug)]
pub(crate) struct Pairing<'a> {
    pub(crate) streams: Vec<Paired<'a>>,
    /// Streams that come from elsewhere, each with why.
    pub(crate) elsewhere: Vec<String>,
}

/// Pairs the streams of a replica with those of its source. The replica was asked first.
pub(crate) fn pair<'a>(source: &'a Observation, replica: &'a Observation) -> Result<Pairing<'a>, Problem> {
    if let (Some(ours), Some(theirs)) = (source.place.value(), replica.place.value())
        && ours == theirs
    {
        return Err(problem(
            "usage.same",
            "source and replica are the same store under two names",
            Some(ours.clone()),
            "name two different stores",
        ));
    }
    if one_system(source, replica) && in_recovery(source) && !in_recovery(replica) {
        return Err(problem(
            "usage.direction",
            "source and replica are the wrong way round",
            Some("the source is a standby of the replica, which takes the writes".to_owned()),
            "name the primary first: paritas lag PRIMARY STANDBY",
        ));
    }
    let mut pairing = Pairing { streams: Vec::new(), elsewhere: Vec::new() };
    let mut slotless = Vec::new();
    for followed in &replica.followed {
        let Some(produced) = source.stream(&followed.of) else { continue };
        if !followed.physical
            && let Err(why) = source.feeds(followed)
        {
            match without_slot(source, followed).or_else(|| in_doubt(source, followed, &why)) {
                Some(gone) => slotless.push((why, followed, produced, gone)),
                None => pairing.elsewhere.push(why),
            }
            continue;
        }
        pairing.streams.push(paired(source, replica, followed, produced));
    }
    let related = !pairing.streams.is_empty();
    for (why, followed, produced, gone) in slotless {
        if related {
            let (link, obstacles) = (Link::Unknown { why: gone }, Vec::new());
            pairing.streams.push(Paired { followed, produced, cursor: None, reader: None, link, obstacles });
        } else {
            pairing.elsewhere.push(why);
        }
    }
    if pairing.streams.is_empty() { Err(nothing_follows(source, replica, &pairing.elsewhere)) } else { Ok(pairing) }
}

/// What is known about a subscription that is switched on and receives nothing, and whose slot this source
/// does not have: it may have had it. One that receives comes from elsewhere.
fn without_slot(source: &Observation, followed: &Followed) -> Option<String> {
    let name = followed.cursor.as_deref().filter(|name| source.cursor(name).is_none())?;
    let receives = matches!(followed.feed, Feed::Connected { .. }) && followed.received.value().is_some();
    (followed.enabled && !receives).then(|| {
        format!(
            "its slot is gone, or another source has it: there is no replication slot {name:?} here, and {} receives \
             nothing from anybody; if it was this source's, drop it and create it anew, with a fresh copy",
            followed.stream.0
        )
    })
}

/// What is known about a subscription whose slot is here, in this database, although something else says that it does
/// not come from here: its worker may have ended between the two questions, as one does that fails again and again.
fn in_doubt(source: &Observation, followed: &Followed, why: &str) -> Option<String> {
    let slot = followed.cursor.as_deref().and_then(|name| source.cursor(name))?;
    (slot.logical && slot.scope == source.scope)
        .then(|| format!("{why}: it has just lost its connection, or follows another source with a slot of that name"))
}

fn problem(code: &str, message: &str, detail: Option<String>, hint: &str) -> Problem {
    Problem { code: code.to_owned(), message: message.to_owned(), detail, hint: Some(hint.to_owned()) }
}

fn in_recovery(observation: &Observation) -> bool {
    observation.role == ReplicaRole::PhysicalReplica
}

fn one_system(source: &Observation, replica: &Observation) -> bool {
    matches!((source.identity.value(), replica.identity.value()), (Some(a), Some(b)) if a == b)
}

/// Whether the replica was a copy of the source's server and now goes its own way.
pub(crate) fn promoted(source: &Observation, replica: &Observation) -> Option<String> {
    if !one_system(source, replica) || in_recovery(replica) || in_recovery(source) {
        return None;
    }
    let history = |observation: &Observation| {
        observation.produced.first().and_then(|produced| produced.lineage.value()).and_then(timeline)
    };
    match (history(source), history(replica)) {
        (Some(ours), Some(theirs)) if ours != theirs => Some(format!(
            "the replica was promoted: it takes writes on timeline {theirs}, the source is on timeline {ours}"
        )),
        _ => None,
    }
}

fn timeline(lineage: &Lineage) -> Option<u32> {
    lineage.0.rsplit('/').next().and_then(|text| text.parse().ok())
}

fn nothing_follows(source: &Observation, replica: &Observation, elsewhere: &[String]) -> Problem {
    if let Some(why) = promoted(source, replica) {
        return problem(
            "lineage.forked",
            &why,
            None,
            "one of them must be rebuilt from the other before it can follow",
        );
    }
    let detail = if elsewhere.is_empty() {
        "It is no standby, and this database of it has no subscription.".to_owned()
    } else {
        elsewhere.join("; ")
    };
    problem(
        "replication.none",
        "no replication leads from the source to the replica",
        Some(detail),
        "name the server and database that the replica follows, and the database that holds the subscription",
    )
}

fn paired<'a>(
    source: &'a Observation,
    replica: &'a Observation,
    followed: &'a Followed,
    produced: &'a Produced,
) -> Paired<'a> {
    let cursor = followed.cursor.as_deref().and_then(|name| source.cursor(name));
    let reader = followed.cursor.as_deref().and_then(|name| source.reader(name));
    let mut obstacles: Vec<Obstacle> = lost(followed, produced, cursor).into_iter().collect();
    let mut link = link(followed);
    if followed.physical {
        match history(source, replica, followed, produced) {
            History::One => {}
            History::Other(why) => {
                let hint = Some("rebuild the replica, or name the source that it follows".to_owned());
                obstacles.push(Obstacle { fatal: true, passing: false, what: why, hint });
            }
            History::Unclear(why) => link = Link::Unknown { why },
        }
    }
    let halts = followed.obstacles.iter();
    obstacles.extend(halts.map(|halt| Obstacle {
        fatal: halt.fatal,
        passing: halt.passing,
        what: halt.what.clone(),
        hint: halt.hint.clone(),
    }));
    if link == Link::Connected
        && let Some(why) = unfed(source, followed)
    {
        link = Link::Unknown { why };
    }
    if let (Known::Unknown { why }, false) = (&produced.end, matches!(link, Link::Unknown { .. })) {
        link = Link::Unknown { why: why.clone() };
    }
    // Asked afterwards, a source cannot be behind what a replica got from it.
    if let Some(applied) = followed.applied.value()
        && !in_recovery(source)
        && applied.value > produced.limit
    {
        let end = produced.end.value().map_or("?", |end| end.text.as_str());
        let why = format!("it is at {}, beyond the source's end {end}: it follows another source", applied.text);
        link = Link::Unknown { why };
    }
    Paired { followed, produced, cursor, reader, link, obstacles }
}

fn link(followed: &Followed) -> Link {
    match &followed.feed {
        Feed::Connected { .. } => match &followed.applied {
            Known::Known(_) => Link::Connected,
            Known::Unknown { why } => Link::Unknown { why: why.clone() },
        },
        Feed::Archive => Link::Archive,
        Feed::Cut { why } => Link::Cut { why: why.clone() },
        Feed::Unknown { why } => Link::Unknown { why: why.clone() },
    }
}

/// Why a replica that is connected to somebody cannot have its stream from this source, not even through
/// other standbys: nobody reads it here. A copy of the source has the same identifier, the same timeline
/// and a history of its own.
fn unfed(source: &Observation, followed: &Followed) -> Option<String> {
    let Feed::Connected { from } = &followed.feed else { return None };
    let logical = |reader: &Reader| {
        let cursor = reader.cursor.as_deref().and_then(|name| source.cursor(name));
        cursor.is_some_and(|cursor| cursor.logical)
    };
    let feeds = source.readers.iter().any(|reader| !reader.copies && !logical(reader));
    (followed.physical && !feeds)
        .then(|| format!("the source feeds nobody; the replica is connected to {from}: name that server as the source"))
}

enum History {
    One,
    /// The replica cannot follow this source.
    Other(String),
    Unclear(String),
}

fn history(source: &Observation, replica: &Observation, followed: &Followed, produced: &Produced) -> History {
    let (ours, theirs) = match (&produced.lineage, &followed.lineage) {
        (Known::Known(ours), Known::Known(theirs)) => (ours, theirs),
        (Known::Unknown { why }, _) => return History::Unclear(format!("{why} (on the source)")),
        (_, Known::Unknown { why }) => return History::Unclear(format!("{why} (on the replica)")),
    };
    if ours == theirs {
        return History::One;
    }
    if let Some((_, names)) = replica.facts.iter().find(|(name, _)| *name == FACT_RELAYED)
        && !one_system(source, replica)
    {
        return History::Unclear(format!(
            "it is a standby of a server that subscribes to others ({names}): name that server as the replica"
        ));
    }
    if !one_system(source, replica) {
        return History::Other(format!(
            "it replays another cluster: it is in history {}, the source in {}",
            theirs.0, ours.0
        ));
    }
    match (timeline(ours), timeline(theirs)) {
        (Some(ours), Some(theirs)) if theirs > ours => History::Other(format!(
            "it follows timeline {theirs}, which left the source's timeline {ours}: another server was promoted"
        )),
        _ => History::Unclear(format!(
            "it is in history {}, the source in {}: it has not switched over, or follows another server",
            theirs.0, ours.0
        )),
    }
}

/// Whether what the replica needs next is gone.
fn lost(followed: &Followed, produced: &Produced, cursor: Option<&Cursor>) -> Option<Obstacle> {
    // A standby whose slot was lost may still stream what is there, or read an archive.
    let connected = matches!(followed.feed, Feed::Connected { .. });
    let fatal = !followed.physical || followed.archive != Some(true);
    if followed.physical && (connected || followed.feed == Feed::Archive) {
        return None;
    }
    let hint =
        if followed.physical { "rebuild the replica" } else { "create the subscription anew, with a fresh copy" };
    if let Some(what) = cursor.and_then(|cursor| cursor.lost.clone()) {
        return Some(Obstacle { fatal, passing: false, what, hint: Some(hint.to_owned()) });
    }
    let (applied, oldest) = (followed.applied.value()?, produced.oldest.value()?);
    (followed.physical && applied.value < oldest.value).then(|| Obstacle {
        fatal: followed.archive == Some(false),
        passing: false,
        what: format!(
            "the log it needs was removed: it is at {}, the source's begins at {}",
            applied.text, oldest.text
        ),
        hint: Some(hint.to_owned()),
    })
}

/// A standby that is not one of the source's cluster: nothing says when rows of the source reach it, if ever.
pub(crate) fn other_cluster(ours: &Known<String>, theirs: &Known<String>) -> (Origin, Problem) {
    let (code, message, detail, hint) = match (ours, theirs) {
        (Known::Known(ours), Known::Known(theirs)) => (
            "replication.none",
            "the replica is a standby of another cluster than the source",
            format!("The source is in cluster {ours}, the replica in {theirs}."),
            "name a standby of the source; rows of two clusters are compared with the primary of the other one",
        ),
        (Known::Unknown { why }, _) | (_, Known::Unknown { why }) => (
            "replication.unproven",
            "it cannot be seen whether the replica is a standby of the source",
            why.clone(),
            "let both users read it, or compare with a primary",
        ),
    };
    (Origin::Comparison, problem(code, message, Some(detail), hint))
}

/// Fails unless a subscription of the replica comes from this source. A fence of a stranger would prove
/// nothing, and through another server in between rows may be on their way.
///
/// # Errors
/// `replication.none` where none does, `replication.unproven` where it cannot be seen: a standby of the
/// publisher has no slots of its own.
pub(crate) async fn stranger(sides: &Sides, role: &ReplicaRole) -> Result<(), (Origin, Problem)> {
    let observe = async |side: &paritas_verify::Side| {
        let positions = side.store.positions().ok_or_else(|| paritas_connect::Error::unsupported("positions"))?;
        side.cx.bound(positions.observe(&side.cx)).await
    };
    let replica = observe(&sides.replica).await.map_err(|error| (Origin::Replica, problem_of(&error)))?;
    let source = observe(&sides.source).await.map_err(|error| (Origin::Source, problem_of(&error)))?;
    let mut whys = Vec::new();
    for followed in replica.followed.iter().filter(|followed| !followed.physical) {
        match source.feeds(followed) {
            Ok(()) => return Ok(()),
            Err(why) => whys.push(why),
        }
    }
    let why = Some(whys.join("; "));
    let (code, message, hint) = if *role == ReplicaRole::PhysicalReplica {
        let message = "it cannot be seen whether the replica follows this source, which is a standby";
        ("replication.unproven", message, "name the publisher itself as the source")
    } else {
        let hint = "name the server that the replica is subscribed to, and compare a chain of subscribers one step at a \
                    time; if it is this one, the slot was dropped and the replica has to be made anew";
        ("replication.none", "the replica's subscriptions do not lead to the source", hint)
    };
    Err((Origin::Comparison, problem(code, message, why, hint)))
}
