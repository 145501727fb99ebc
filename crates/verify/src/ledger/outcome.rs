//! What a reconciliation came to.

use crate::rows::Origin;
use paritas_connect::{Error, FailureKind};
use paritas_ledger::{Deviation, Figures};
use paritas_model::{Difference, Known, Position, Proof, Value, Verdict};

/// What a reconciliation came to. Also after a failure, everything found before is in it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Groups of either side, once both were read to their ends.
    pub groups: Option<u64>,
    /// Groups that are proven to break the rule.
    pub mismatched: u64,
    /// Groups that broke it when they were read, without proof.
    pub unproven: u64,
    /// Groups that broke it at first and arrived.
    pub arrived: u64,
    /// Groups that break the rule, at most as many as asked for, by key.
    pub items: Vec<Item>,
    /// Whether there are more.
    pub items_truncated: bool,
    /// Whether both sides were read to their ends.
    pub complete: bool,
    /// Whether rows that the figures are made of are proven to differ, though no group of them could be.
    pub rows_differ: bool,
    /// Those rows, at most as many as asked for.
    pub rows: Vec<Difference>,
    /// The source.
    pub source: SideOutcome,
    /// The replica.
    pub replica: SideOutcome,
    /// Position that the replica had reached before it was read.
    pub fence: Option<Position>,
    /// Things to know about the result.
    pub notes: Vec<String>,
    /// What kept it from finishing.
    pub problem: Option<(Origin, Error)>,
}

/// What one side came to.
#[derive(Debug, Default)]
pub struct SideOutcome {
    /// Figures of everything, once it was read to its end.
    pub total: Option<Figures>,
    /// Its groups.
    pub groups: Option<u64>,
    /// What was read.
    pub position: Option<Known<Position>>,
    /// Bytes read.
    pub bytes: u64,
    /// Why its rows were read rather than figures made by the store; `None` where the store made them, or
    /// nothing was read.
    pub rows_because: Option<String>,
}

/// A group that breaks the rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its columns with their values; empty where everything is one group.
    pub group: Vec<(String, Value)>,
    /// How sure it is.
    pub proof: Proof,
    /// In what it breaks the rule.
    pub deviations: Vec<Deviation>,
    /// Its figures on the source; `None` where there is no row of it.
    pub source: Option<Figures>,
    /// Its figures on the replica; `None` where there is no row of it.
    pub replica: Option<Figures>,
}

impl Outcome {
    /// The verdict: a proof or unknown.
    pub fn verdict(&self) -> Verdict {
        if self.mismatched > 0 || self.rows_differ {
            return Verdict::Fail;
        }
        match &self.problem {
            // A copy whose bytes cannot be decoded is not a faithful copy, whatever it should hold.
            Some((Origin::Replica, error)) if error.kind() == FailureKind::Damaged => Verdict::Fail,
            Some(_) => Verdict::Unknown,
            None if self.complete && self.unproven == 0 => Verdict::Pass,
            None => Verdict::Unknown,
        }
    }
}
