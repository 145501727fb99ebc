//! How transactions ended, held against each other through fences.
//!
//! The source is asked first, then the replica once it has replayed everything up to a fence. What
//! has ended on the source by then must have ended in the same way on the replica. What still runs
//! on the source and has ended on the replica is asked again: a commit may reach the replica before
//! the source shows it.

use super::Pair;
use crate::fence::{Fence, fence};
use crate::rows::{Failure, Origin};
use paritas_connect::{Hint, Spot, TransactionEnd, Transactions};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Rounds, at most.
const ROUNDS_MAX: u32 = 10;
const ROUNDS_MIN: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Transactions that are asked for although both sides' pages say the same about them: a million
/// takes about two seconds.
const ASKED_MAX: usize = 1 << 20;
/// Contradictions that are named.
const NAMED_MAX: usize = 10;

/// What comparing ends came to.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Transactions that both sides agree on.
    pub(super) agreed: u64,
    /// Transactions that ended in different ways: sentences, and how many there are.
    pub(super) contradicting: Vec<String>,
    /// How many contradictions there are.
    pub(super) contradictions: u64,
    /// How many times only one side's page says of a transaction what is not so.
    pub(super) wrong: u64,
    /// Places of those, as far as they are known.
    pub(super) wrong_hints: Vec<Spot>,
    /// Transactions that were not asked for, because the pages of both sides say the same about them.
    pub(super) taken_from_pages: u64,
    /// Why some could not be compared.
    pub(super) open: Option<String>,
}

impl Ends {
    fn contradict(&mut self, text: String) {
        self.contradictions += 1;
        if self.contradicting.len() < NAMED_MAX {
            self.contradicting.push(text);
        }
    }

    fn wrong(&mut self, transactions: &Transactions, hint: &Hint) {
        self.wrong += 1;
        self.wrong_hints.extend(transactions.place(hint));
    }
}

/// Compares the ends of all these transactions.
pub(super) async fn compare(pair: &Pair<'_>, transactions: &Transactions) -> Result<Ends, Failure> {
    let mut ends = Ends::default();
    if transactions.overflowed() {
        ends.open = Some("there are more transactions than can be compared at once".to_owned());
    }
    let at_source = |error| (Origin::Source, error);
    let source = pair.request.source;
    // Groups first: their members are transactions like others.
    let members = groups(pair, transactions, &mut ends).await?;
    let recent =
        source.again("read transactions", || pair.source.recent_transaction(&source.cx)).await.map_err(at_source)?;
    let mut numbers = transactions.numbers(false);
    if numbers.len() > ASKED_MAX {
        let undecided = transactions.numbers(true);
        ends.taken_from_pages = (numbers.len() - undecided.len()) as u64;
        numbers = undecided;
    }
    numbers.extend(members.values().flatten());
    numbers.sort_unstable();
    numbers.dedup();
    let full: Vec<u64> = numbers.iter().map(|number| Transactions::full(*number, recent)).collect();
    let ended = rounds(pair, full, transactions, &members, &mut ends).await?;
    groups_said(transactions, &members, &ended, &mut ends);
    Ok(ends)
}

type Members = BTreeMap<u32, Vec<u32>>;

/// The members of groups that change rows; those of both sides must be the same.
async fn groups(pair: &Pair<'_>, transactions: &Transactions, ends: &mut Ends) -> Result<Members, Failure> {
    let asked = transactions.groups();
    if asked.is_empty() {
        return Ok(Members::new());
    }
    let (source, replica) = (pair.request.source, pair.request.replica);
    let ours = source.again("read groups", || pair.source.members(&source.cx, &asked)).await;
    let ours = ours.map_err(|error| (Origin::Source, error))?;
    if let Fence::Missed(why) = fence(source, replica, pair.request.settle).await? {
        ends.open = Some(why);
        return Ok(Members::new());
    }
    let theirs = replica.again("read groups", || pair.replica.members(&replica.cx, &asked)).await;
    let theirs = theirs.map_err(|error| (Origin::Replica, error))?;
    let mut members = Members::new();
    for (group, (ours, theirs)) in asked.iter().zip(ours.into_iter().zip(theirs)) {
        if ours.0 != theirs.0 {
            ends.contradict(format!("group of transactions {group} has other members on the replica"));
        }
        members.insert(*group, ours.1);
    }
    Ok(members)
}

/// Asks both sides until they agree, contradict each other, or the time is over, and holds against it
/// what only one side's pages say. How the members of groups ended.
async fn rounds(
    pair: &Pair<'_>,
    mut open: Vec<u64>,
    transactions: &Transactions,
    members: &Members,
    ends: &mut Ends,
) -> Result<HashMap<u32, bool>, Failure> {
    let (source, replica) = (pair.request.source, pair.request.replica);
    let of_groups: HashSet<u32> = members.values().flatten().copied().collect();
    let mut ended = HashMap::new();
    let mut example = String::new();
    let started = Instant::now();
    let mut pause = PAUSE;
    for round in 1..=ROUNDS_MAX {
        if open.is_empty() {
            return Ok(ended);
        }
        let ours = source.again("ask for transactions", || pair.source.ends(&source.cx, &open)).await;
        let ours = ours.map_err(|error| (Origin::Source, error))?;
        if let Fence::Missed(why) = fence(source, replica, pair.request.settle).await? {
            ends.open = Some(why);
            return Ok(ended);
        }
        let theirs = replica.again("ask for transactions", || pair.replica.ends(&replica.cx, &open)).await;
        let theirs = theirs.map_err(|error| (Origin::Replica, error))?;
        let mut left = Vec::new();
        for (number, both) in open.iter().zip(ours.into_iter().zip(theirs)) {
            match agreed(*number, both, transactions, ends) {
                Some(committed) => {
                    if let Some(committed) = committed.filter(|_| of_groups.contains(&(*number as u32))) {
                        ended.insert(*number as u32, committed);
                    }
                }
                None => {
                    if left.is_empty() {
                        let (ours, theirs) = both;
                        example = format!("transaction {number}: {ours:?} on the source, {theirs:?} on the replica");
                    }
                    left.push(*number);
                }
            }
        }
        open = left;
        if round >= ROUNDS_MIN && started.elapsed() >= pair.request.settle {
            break;
        }
        if !open.is_empty() && round < ROUNDS_MAX {
            source.pause(pause).await.map_err(|error| (Origin::Comparison, error))?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    if !open.is_empty() {
        let count = open.len();
        ends.open =
            Some(format!("{count} transactions were not seen to end in the same way on both sides ({example})"));
    }
    Ok(ended)
}

/// What both sides say about a transaction, once that is settled; the inner value is how it ended. What
/// contradicts is noted.
fn agreed(
    number: u64,
    (ours, theirs): (TransactionEnd, TransactionEnd),
    transactions: &Transactions,
    ends: &mut Ends,
) -> Option<Option<bool>> {
    use TransactionEnd::{Aborted, Committed, Running};
    let short = number as u32;
    let (said_committed, said_aborted) = transactions.said(short);
    match (ours, theirs) {
        (Committed | Aborted, _) if ours == theirs => {
            ends.agreed += 1;
            let committed = ours == Committed;
            if (said_committed && !committed) || (said_aborted && committed) {
                ends.wrong(transactions, &Hint { number: short, group: false, committed: !committed });
            }
            Some(Some(committed))
        }
        // Where a page says that it has ended, both must come to say it.
        (Running, Running) if !said_committed && !said_aborted => {
            ends.agreed += 1;
            Some(None)
        }
        (Committed, Aborted) | (Aborted, Committed) => {
            let word = |end| if end == Committed { "committed" } else { "aborted" };
            let (ours, theirs) = (word(ours), word(theirs));
            ends.contradict(format!("transaction {number} {ours} on the source and {theirs} on the replica"));
            Some(None)
        }
        _ => None,
    }
}

/// Holds hints about groups against how their members ended: at most one of them changes the row.
fn groups_said(transactions: &Transactions, members: &Members, ended: &HashMap<u32, bool>, ends: &mut Ends) {
    for hint in transactions.group_hints() {
        let all: Option<Vec<bool>> = members
            .get(&hint.number)
            .and_then(|members| members.iter().map(|member| ended.get(member).copied()).collect());
        if all.is_some_and(|all| all.contains(&true) != hint.committed) {
            ends.wrong(transactions, hint);
        }
    }
}
