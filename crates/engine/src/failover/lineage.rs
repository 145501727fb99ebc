//! How source and replica are related after a failover: one history or two, and who takes writes.

use paritas_connect::{Error, FailureKind, Standing};
use paritas_model::{Ancestry, Kinship, Known, Lsn, Switch, Verdict};
use paritas_report::{LineageCheck, ServerLineage};

use crate::error::problem_of;

/// What both servers said, and their names in reports.
#[derive(Debug)]
pub(crate) struct Servers<'a> {
    pub(crate) source: &'a Result<Standing, Error>,
    pub(crate) replica: &'a Result<Standing, Error>,
    pub(crate) source_name: &'a str,
    pub(crate) replica_name: &'a str,
    /// Whether the directory of the old primary shows that it does not run.
    pub(crate) stopped: bool,
}

/// A finding in words.
struct Found {
    verdict: Verdict,
    relation: &'static str,
    fork: Option<Switch>,
    summary: String,
}

impl Found {
    fn new(verdict: Verdict, relation: &'static str, fork: Option<Switch>, summary: String) -> Self {
        Self { verdict, relation, fork, summary }
    }
}

/// The lineage of a link.
pub(crate) fn judge(servers: &Servers<'_>) -> LineageCheck {
    let found = match (servers.source, servers.replica) {
        (_, Err(_)) => {
            let summary = format!("{} does not answer, so nothing is known of its history", servers.replica_name);
            Found::new(Verdict::Unknown, "unknown", None, summary)
        }
        (Err(error), Ok(replica)) => alone(servers, error, replica),
        (Ok(source), Ok(replica)) => both(servers, source, replica),
    };
    let problem = servers.replica.as_ref().err().or_else(|| {
        // A source that is gone is what a failover is about; one that refuses us is not gone.
        servers.source.as_ref().err().filter(|error| !is_gone(error))
    });
    LineageCheck {
        verdict: found.verdict,
        relation: found.relation.to_owned(),
        forked_at: found.fork.map(|fork| format!("{}/{}", fork.timeline, fork.at)),
        source: servers.source.as_ref().ok().map(described),
        replica: servers.replica.as_ref().ok().map(described),
        summary: found.summary,
        problem: problem.map(problem_of),
    }
}

/// Whether nobody answered at all.
pub(crate) fn is_gone(error: &Error) -> bool {
    // A server that starts up or shuts down says so, with a state.
    let answered = error.detail_text().is_some_and(|detail| detail.contains("(SQLSTATE"));
    error.code() == "store.unreachable" && error.kind() == FailureKind::Transient && !answered
}

fn described(standing: &Standing) -> ServerLineage {
    let ancestry = standing.ancestry.value();
    ServerLineage {
        system_identifier: ancestry.map(|ancestry| ancestry.system.to_string()),
        timeline: ancestry.map(|ancestry| ancestry.timeline),
        position: standing.reached.value().map(ToString::to_string),
        in_recovery: standing.in_recovery,
        read_only: standing.read_only,
        why: standing.ancestry.why().or(standing.reached.why()).map(str::to_owned),
    }
}

/// The source does not answer.
fn alone(servers: &Servers<'_>, error: &Error, replica: &Standing) -> Found {
    let (source, name) = (servers.source_name, servers.replica_name);
    let fork = replica.ancestry.value().and_then(|ancestry| ancestry.switches.last().copied());
    let left = match (&replica.ancestry, fork) {
        (Known::Unknown { why }, _) => return unknown(format!("the history of {name} is unknown: {why}")),
        (Known::Known(ancestry), Some(fork)) => {
            format!("{name} left timeline {} at {} and is on timeline {}", fork.timeline, fork.at, ancestry.timeline)
        }
        (Known::Known(_), None) => format!("{name} was never promoted"),
    };
    if servers.stopped && is_gone(error) {
        return Found::new(Verdict::Pass, "promoted", fork, format!("{left}; {source} does not run"));
    }
    let silent = if is_gone(error) { "does not answer" } else { "does not let itself be asked" };
    let summary = format!("{left}; {source} {silent}, and whether it takes writes behind a cut network is not known");
    Found::new(Verdict::Unknown, "promoted", fork, summary)
}

/// The source's address leads to the replica, as after a failover that moved it.
fn moved(servers: &Servers<'_>, replica: &Standing) -> Found {
    let fork = replica.ancestry.value().and_then(|ancestry| ancestry.switches.last().copied());
    let text = format!("the address of {} leads to {} now", servers.source_name, servers.replica_name);
    if servers.stopped {
        return Found::new(Verdict::Pass, "promoted", fork, format!("{text}; the old server does not run"));
    }
    unknown(format!("{text}; whether the old server takes writes is not known"))
}

fn unknown(summary: String) -> Found {
    Found::new(Verdict::Unknown, "unknown", None, summary)
}

fn both(servers: &Servers<'_>, source: &Standing, replica: &Standing) -> Found {
    let (old, new) = (servers.source_name, servers.replica_name);
    let writers = source.takes_writes() && replica.takes_writes();
    let known = |standing: &Standing| standing.ancestry.clone().zip(standing.reached.clone());
    let ((ours, reached), (theirs, other)) = match known(source).zip(known(replica)) {
        Known::Known(known) => known,
        Known::Unknown { why } => {
            let both = if writers { ", and both take writes" } else { "" };
            return unknown(format!("how {old} and {new} are related is unknown: {why}{both}"));
        }
    };
    if source.instance == replica.instance {
        return moved(servers, replica);
    }
    related(Sides { old, new, source, replica, writers }, &ours, reached, &theirs, other)
}

#[derive(Clone, Copy)]
struct Sides<'a> {
    old: &'a str,
    new: &'a str,
    source: &'a Standing,
    replica: &'a Standing,
    writers: bool,
}

fn related(sides: Sides<'_>, ours: &Ancestry, reached: Lsn, theirs: &Ancestry, other: Lsn) -> Found {
    let Sides { old, new, source, replica, writers } = sides;
    let at = |fork: Switch| format!("timeline {} at {}", fork.timeline, fork.at);
    match ours.kinship(reached, theirs, other) {
        Kinship::Strangers => {
            let summary = if ours.system == theirs.system {
                format!("{old} and {new} have no timeline in common")
            } else {
                format!("{old} and {new} are two clusters, {} and {}", ours.system, theirs.system)
            };
            Found::new(Verdict::Fail, "stranger", None, summary)
        }
        Kinship::Same if !source.in_recovery && !replica.in_recovery => {
            // Neither follows, so they parted somewhere on this timeline.
            let text = format!("{old} and {new} are both on timeline {} and neither follows the other", ours.timeline);
            let (verdict, relation) =
                if writers { (Verdict::Fail, "split_brain") } else { (Verdict::Unknown, "unknown") };
            Found::new(verdict, relation, None, text)
        }
        Kinship::Same => same(sides, ours.timeline, reached, other),
        Kinship::Ancestor(fork) | Kinship::Descendant(fork) | Kinship::Forked(fork) if writers => {
            let text = format!("split brain: both take writes; {old} and {new} parted on {}", at(fork));
            Found::new(Verdict::Fail, "split_brain", Some(fork), text)
        }
        Kinship::Ancestor(fork) if source.in_recovery => {
            let text = format!("{old} can follow {new}, which left {}", at(fork));
            Found::new(Verdict::Pass, "follows", Some(fork), text)
        }
        Kinship::Descendant(fork) if replica.in_recovery => {
            let text = format!("{new} can follow {old}, which left {}", at(fork));
            Found::new(Verdict::Pass, "follows", Some(fork), text)
        }
        Kinship::Ancestor(fork) | Kinship::Descendant(fork) => {
            let text = format!(
                "{new} and {old} parted on {}; {old} is no standby, and only its default keeps it from taking writes",
                at(fork)
            );
            Found::new(Verdict::Unknown, "forked", Some(fork), text)
        }
        Kinship::Forked(fork) => {
            let text = format!("{old} and {new} went separate ways after {}: neither can follow the other", at(fork));
            Found::new(Verdict::Fail, "forked", Some(fork), text)
        }
    }
}

/// One timeline by number and switchpoint, and at least one standby. Two servers that were both promoted from one
/// position say the same, so that is no proof: a standby must also stream, and must not be ahead of what it follows.
fn same(sides: Sides<'_>, timeline: u32, reached: Lsn, other: Lsn) -> Found {
    let Sides { old, new, source, replica, .. } = sides;
    let on = format!("on timeline {timeline}");
    let ahead = |standby: &str, primary: &str| {
        format!("{standby} is a standby {on} and is ahead of {primary}, {} {on}", "a primary")
    };
    if source.in_recovery && !replica.in_recovery && reached > other {
        let text = format!("{}: they wrote different histories ({reached} and {other})", ahead(old, new));
        return Found::new(Verdict::Fail, "forked", None, text);
    }
    if replica.in_recovery && !source.in_recovery && other > reached {
        return unknown(format!(
            "{}: it has more than its primary, or the primary was asked too early",
            ahead(new, old)
        ));
    }
    let standbys = [(old, source), (new, replica)].into_iter().filter(|(_, standing)| standing.in_recovery);
    for (name, standing) in standbys {
        let why = match &standing.streams {
            Known::Known(true) => continue,
            Known::Known(false) => "it does not stream from any server".to_owned(),
            Known::Unknown { why } => why.clone(),
        };
        let text = format!("{old} and {new} are both {on}, and that {name} follows is not proven: {why}");
        return Found::new(Verdict::Unknown, "same", None, text);
    }
    Found::new(Verdict::Pass, "same", None, format!("{old} and {new} share one history {on}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paritas_connect::Synchrony;
    use rstest::rstest;
    use std::collections::BTreeMap;

    fn standing(ancestry: Ancestry, reached: u64, in_recovery: bool, read_only: bool) -> Standing {
        let instance = format!("{ancestry:?}{reached}{in_recovery}");
        Standing {
            ancestry: Known::Known(ancestry),
            reached: Known::Known(Lsn(reached)),
            in_recovery,
            read_only,
            promoted_at: Known::unknown("not asked"),
            databases: BTreeMap::new(),
            streams: Known::Known(in_recovery),
            synchrony: Known::Known(Synchrony::default()),
            prepared: Vec::new(),
            instance,
        }
    }

    fn first() -> Ancestry {
        Ancestry::first(7)
    }

    fn second() -> Ancestry {
        Ancestry { system: 7, timeline: 2, switches: vec![Switch { timeline: 1, at: Lsn(50) }] }
    }

    const PRIMARY: (bool, bool) = (false, false);
    const FENCED: (bool, bool) = (false, true);
    const STANDBY: (bool, bool) = (true, false);

    #[rstest]
    #[case::healthy((first(), 60, PRIMARY), (first(), 55, STANDBY), Verdict::Pass, "same")]
    #[case::follows((first(), 50, STANDBY), (second(), 90, PRIMARY), Verdict::Pass, "follows")]
    #[case::rebuilt((second(), 80, STANDBY), (second(), 90, PRIMARY), Verdict::Pass, "same")]
    #[case::promoted_to_one_number((second(), 91, STANDBY), (second(), 90, PRIMARY), Verdict::Fail, "forked")]
    #[case::ahead_of_its_primary((second(), 90, PRIMARY), (second(), 91, STANDBY), Verdict::Unknown, "unknown")]
    #[case::never_streams((first(), 51, STANDBY), (second(), 90, PRIMARY), Verdict::Fail, "forked")]
    #[case::both_write((first(), 51, PRIMARY), (second(), 90, PRIMARY), Verdict::Fail, "split_brain")]
    #[case::both_write_at_the_fork((first(), 50, PRIMARY), (second(), 90, PRIMARY), Verdict::Fail, "split_brain")]
    #[case::both_write_on_one_timeline((first(), 60, PRIMARY), (first(), 60, PRIMARY), Verdict::Fail, "split_brain")]
    #[case::fenced_at_the_fork((first(), 50, FENCED), (second(), 90, PRIMARY), Verdict::Unknown, "forked")]
    #[case::fenced_beyond((first(), 51, FENCED), (second(), 90, PRIMARY), Verdict::Fail, "forked")]
    #[case::copy((first(), 60, FENCED), (first(), 70, PRIMARY), Verdict::Unknown, "unknown")]
    #[case::another((Ancestry::first(8), 60, PRIMARY), (first(), 60, STANDBY), Verdict::Fail, "stranger")]
    fn two_servers_pass_only_with_one_history_and_one_writer(
        #[case] ours: (Ancestry, u64, (bool, bool)),
        #[case] theirs: (Ancestry, u64, (bool, bool)),
        #[case] verdict: Verdict,
        #[case] relation: &str,
    ) {
        let of = |(ancestry, reached, (in_recovery, read_only))| standing(ancestry, reached, in_recovery, read_only);
        let (mut source, replica) = (of(ours), of(theirs));
        source.instance.push_str("source");
        let servers = Servers {
            source: &Ok(source),
            replica: &Ok(replica),
            source_name: "east",
            replica_name: "west",
            stopped: false,
        };
        let check = judge(&servers);
        assert_eq!((check.verdict, check.relation.as_str()), (verdict, relation), "{}", check.summary);
    }

    #[rstest]
    #[case::streams(Known::Known(true), Verdict::Pass)]
    #[case::does_not(Known::Known(false), Verdict::Unknown)]
    #[case::hidden(Known::unknown("it may not be seen"), Verdict::Unknown)]
    fn one_timeline_passes_only_with_a_standby_that_streams(#[case] streams: Known<bool>, #[case] verdict: Verdict) {
        for swapped in [false, true] {
            let mut standby = standing(second(), 90, true, false);
            standby.streams = streams.clone();
            let mut sides = [standby, standing(second(), 90, false, false)];
            if swapped {
                sides.reverse();
            }
            let [source, replica] = sides.map(Ok);
            let (source_name, replica_name) = ("east", "west");
            let check =
                judge(&Servers { source: &source, replica: &replica, source_name, replica_name, stopped: false });
            assert_eq!((check.verdict, check.relation.as_str()), (verdict, "same"), "{}", check.summary);
        }
    }

    #[rstest]
    #[case::gone(Error::new(FailureKind::Transient, "store.unreachable", "gone"), false, Verdict::Unknown, false)]
    #[case::stopped(Error::new(FailureKind::Transient, "store.unreachable", "gone"), true, Verdict::Pass, false)]
    #[case::refused(Error::new(FailureKind::Denied, "store.denied", "no"), false, Verdict::Unknown, true)]
    #[case::another_answers(Error::new(FailureKind::Denied, "store.denied", "no"), true, Verdict::Unknown, true)]
    #[case::starting(
        Error::new(FailureKind::Transient, "store.unreachable", "no").detail("starting up (SQLSTATE 57P03)"),
        true,
        Verdict::Unknown,
        true
    )]
    fn a_silent_source_passes_only_when_it_is_known_to_be_stopped(
        #[case] error: Error,
        #[case] stopped: bool,
        #[case] verdict: Verdict,
        #[case] problem: bool,
    ) {
        let replica = Ok(standing(second(), 90, false, false));
        let servers =
            Servers { source: &Err(error), replica: &replica, source_name: "east", replica_name: "west", stopped };
        let check = judge(&servers);
        assert_eq!((check.verdict, check.problem.is_some()), (verdict, problem));
        assert_eq!(check.forked_at.as_deref(), Some("1/0/32"));
    }
}
