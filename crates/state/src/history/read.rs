//! Asking for runs, verdicts and recoveries.

use super::entry::{CheckEntry, LinkEntry, RecoveryEntry, RunEntry};
use super::failure::damaged;
use super::roll::first_id;
use super::rows::{check, verdict};
use super::write::tier_word;
use super::{History, failed};
use crate::Result;
use paritas_model::{Tier, Verdict};
use rusqlite::{Row, params};
use std::collections::{BTreeMap, BTreeSet};
use ulid::Ulid;

/// Which runs are meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunFilter<'a> {
    /// Those that looked at this link.
    pub link: Option<&'a str>,
    /// Those that began at this moment or later, in microseconds since 1970.
    pub since: i64,
    /// The newest ones, at most as many; `None` means all.
    pub limit: Option<usize>,
}

/// How often a check of a link had which verdict on one day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdicts {
    /// The link.
    pub link: String,
    /// The kind of check, and what was checked.
    pub check: String,
    /// The dataset, where the check is about one.
    pub dataset: Option<String>,
    /// The day, in days since 1970 in UTC.
    pub day: i64,
    /// The verdict.
    pub verdict: Verdict,
    /// How often.
    pub count: u64,
    /// The newest run among them.
    pub last: Ulid,
}

/// What verdicts are counted by: link, check, dataset, day, verdict.
type Kind = (i64, String, Option<String>, i64, Verdict);

/// A failover that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// The run.
    pub run: Ulid,
    /// When it began.
    pub started: i64,
    /// Its command.
    pub command: String,
    /// The label of a drill; without one it was an incident.
    pub drill: Option<String>,
    /// The link.
    pub link: String,
    /// What it cost.
    pub facts: RecoveryEntry,
}

impl History {
    /// The ids of all runs that are recorded.
    ///
    /// # Errors
    /// Those of [`crate::State::history`].
    pub fn run_ids(&self) -> Result<BTreeSet<Ulid>> {
        let own = |error| failed("read", &self.path, error);
        let mut statement = self.connection.prepare_cached("SELECT id FROM runs").map_err(own)?;
        let mut rows = statement.query([]).map_err(own)?;
        let mut ids = BTreeSet::new();
        while let Some(row) = rows.next().map_err(own)? {
            ids.insert(self.id(row, 0)?);
        }
        Ok(ids)
    }

    /// Runs, the newest first, and how many there are without a limit.
    ///
    /// # Errors
    /// Those of [`crate::State::history`].
    pub fn runs(&self, filter: RunFilter<'_>) -> Result<(Vec<RunEntry>, u64)> {
        let own = |error| failed("read", &self.path, error);
        let transaction = self.connection.unchecked_transaction().map_err(own)?;
        let first = first_id(filter.since);
        let names = self.links()?;
        let link = filter.link.map(|name| names.iter().find(|(_, own)| *own == name).map_or(-1, |(number, _)| *number));
        let of_link = match link {
            Some(_) => "AND EXISTS (SELECT 1 FROM run_links WHERE run = runs.id AND link = ?2)",
            None => "AND ?2 IS NULL",
        };
        let count = format!("SELECT count(*) FROM runs WHERE id >= ?1 {of_link}");
        let total: i64 = self
            .connection
            .prepare_cached(&count)
            .and_then(|mut own| own.query_row(params![first, link], |row| row.get(0)))
            .map_err(own)?;
        let select = format!(
            "SELECT id, command, started, ended, verdict, exit_code, drill, links, sum FROM runs \
             WHERE id >= ?1 {of_link} ORDER BY id DESC LIMIT ?3"
        );
        let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let mut statement = self.connection.prepare_cached(&select).map_err(own)?;
        let mut rows = statement.query(params![first, link, limit]).map_err(own)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(own)? {
            found.push(self.run(row, &names)?);
        }
        drop(transaction);
        Ok((found, total.cast_unsigned()))
    }

    /// How often runs had which verdict.
    ///
    /// # Errors
    /// Those of [`crate::State::history`].
    pub fn run_verdicts(&self, link: Option<&str>, since: i64) -> Result<Vec<(Verdict, u64)>> {
        let own = |error| failed("read", &self.path, error);
        let names = self.links()?;
        let number = link.map(|name| names.iter().find(|(_, own)| *own == name).map_or(-1, |(number, _)| *number));
        let select = "SELECT verdict, count(*) FROM runs WHERE id >= ?1 AND (?2 IS NULL \
                      OR EXISTS (SELECT 1 FROM run_links WHERE run = runs.id AND link = ?2)) GROUP BY verdict";
        let mut statement = self.connection.prepare_cached(select).map_err(own)?;
        let mut rows = statement.query(params![first_id(since), number]).map_err(own)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(own)? {
            let count: i64 = row.get(1).map_err(own)?;
            found.push((self.verdict_of(row, 0)?, count.cast_unsigned()));
        }
        Ok(found)
    }

    /// The names of all links that were looked at.
    ///
    /// # Errors
    /// Those of [`crate::State::history`].
    pub fn link_names(&self) -> Result<Vec<String>> {
        Ok(self.links()?.into_values().collect())
    }

    /// How often which check had which verdict, day by day.
    ///
    /// # Errors
    /// Those of [`crate::State::history`].
    pub fn verdicts(&self, link: Option<&str>, since: i64) -> Result<Vec<Verdicts>> {
        let own = |error| failed("read", &self.path, error);
        let names = self.links()?;
        let select = "SELECT run, link, number, name, dataset, verdict, sum FROM checks WHERE run >= ?";
        let mut statement = self.connection.prepare_cached(select).map_err(own)?;
        let mut rows = statement.query([first_id(since)]).map_err(own)?;
        let mut counted: BTreeMap<Kind, (u64, Ulid)> = BTreeMap::new();
        let number = link.map(|name| names.iter().find(|(_, own)| *own == name).map_or(-1, |(number, _)| *number));
        while let Some(row) = rows.next().map_err(own)? {
            let of: i64 = row.get(1).map_err(own)?;
            if number.is_some_and(|number| number != of) {
                continue;
            }
            check(&self.path, "checks", row, 6)?;
            let run = self.id(row, 0)?;
            let day = i64::try_from(run.timestamp_ms() / 86_400_000).unwrap_or(i64::MAX);
            let key = (of, self.text(row, 3)?, row.get(4).map_err(own)?, day, self.verdict_of(row, 5)?);
            let entry = counted.entry(key).or_insert((0, run));
            entry.0 += 1;
            entry.1 = entry.1.max(run);
        }
        let named = |((link, check, dataset, day, verdict), (count, last))| {
            let link = self.name_of(&names, link)?;
            Ok(Verdicts { link, check, dataset, day, verdict, count, last })
        };
        let mut found = counted.into_iter().map(named).collect::<Result<Vec<_>>>()?;
        found.sort();
        Ok(found)
    }

    /// Failovers that were measured, the newest first.
    ///
    /// # Errors
    /// Those of [`crate::State::history`].
    pub fn recoveries(&self, link: Option<&str>, since: i64) -> Result<Vec<Recovered>> {
        let own = |error| failed("read", &self.path, error);
        let names = self.links()?;
        let select = "SELECT run, link, facts, sum FROM recoveries WHERE run >= ? ORDER BY run DESC, link";
        let mut statement = self.connection.prepare_cached(select).map_err(own)?;
        let mut rows = statement.query([first_id(since)]).map_err(own)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(own)? {
            check(&self.path, "recoveries", row, 3)?;
            let name = self.name_of(&names, row.get(1).map_err(own)?)?;
            if link.is_some_and(|link| link != name) {
                continue;
            }
            let run = self.id(row, 0)?;
            let facts: RecoveryEntry =
                serde_json::from_str(&self.text(row, 2)?).map_err(|error| damaged(&self.path, error))?;
            let (started, command, drill) = self.headline(run)?;
            found.push(Recovered { run, started, command, drill, link: name, facts });
        }
        Ok(found)
    }

    /// The names of all links by their number.
    pub(super) fn links(&self) -> Result<BTreeMap<i64, String>> {
        let own = |error| failed("read", &self.path, error);
        let mut statement = self.connection.prepare_cached("SELECT name, sum, id FROM links").map_err(own)?;
        let mut rows = statement.query([]).map_err(own)?;
        let mut found = BTreeMap::new();
        while let Some(row) = rows.next().map_err(own)? {
            check(&self.path, "links", row, 1)?;
            found.insert(row.get(2).map_err(own)?, self.text(row, 0)?);
        }
        Ok(found)
    }

    fn headline(&self, run: Ulid) -> Result<(i64, String, Option<String>)> {
        let own = |error| failed("read", &self.path, error);
        let select = "SELECT id, command, started, ended, verdict, exit_code, drill, links, sum FROM runs WHERE id = ?";
        let mut statement = self.connection.prepare_cached(select).map_err(own)?;
        let mut rows = statement.query([run.to_string()]).map_err(own)?;
        let Some(row) = rows.next().map_err(own)? else {
            return Err(damaged(&self.path, "A recovery belongs to no run."));
        };
        check(&self.path, "runs", row, 8)?;
        Ok((row.get(2).map_err(own)?, self.text(row, 1)?, row.get(6).map_err(own)?))
    }

    fn run(&self, row: &Row<'_>, names: &BTreeMap<i64, String>) -> Result<RunEntry> {
        let own = |error| failed("read", &self.path, error);
        check(&self.path, "runs", row, 8)?;
        let id = self.id(row, 0)?;
        let links = self.run_links(id, names)?;
        let expected: i64 = row.get(7).map_err(own)?;
        if i64::try_from(links.len()) != Ok(expected) {
            return Err(damaged(&self.path, "A link of a run is missing."));
        }
        Ok(RunEntry {
            id,
            command: self.text(row, 1)?,
            started: row.get(2).map_err(own)?,
            ended: row.get(3).map_err(own)?,
            verdict: self.verdict_of(row, 4)?,
            exit_code: row.get(5).map_err(own)?,
            drill: row.get(6).map_err(own)?,
            links,
        })
    }

    fn run_links(&self, run: Ulid, names: &BTreeMap<i64, String>) -> Result<Vec<LinkEntry>> {
        let own = |error| failed("read", &self.path, error);
        let select = "SELECT run, link, tier, verdict, checks, sum FROM run_links WHERE run = ? ORDER BY link";
        let mut statement = self.connection.prepare_cached(select).map_err(own)?;
        let mut rows = statement.query([run.to_string()]).map_err(own)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(own)? {
            check(&self.path, "run_links", row, 5)?;
            let number: i64 = row.get(1).map_err(own)?;
            let tier: Option<String> = row.get(2).map_err(own)?;
            let checks = self.checks(run, number)?;
            let expected: i64 = row.get(4).map_err(own)?;
            if i64::try_from(checks.len()) != Ok(expected) {
                return Err(damaged(&self.path, "A check of a run is missing."));
            }
            found.push(LinkEntry {
                name: self.name_of(names, number)?,
                tier: [Tier::Hot, Tier::Warm, Tier::Cold]
                    .into_iter()
                    .find(|own| tier.as_deref() == Some(tier_word(*own))),
                verdict: self.verdict_of(row, 3)?,
                checks,
                samples: Vec::new(),
                unseen: None,
                recovery: None,
            });
        }
        Ok(found)
    }

    fn checks(&self, run: Ulid, link: i64) -> Result<Vec<CheckEntry>> {
        let own = |error| failed("read", &self.path, error);
        let select = "SELECT run, link, number, name, dataset, verdict, sum FROM checks \
                      WHERE run = ? AND link = ? ORDER BY number";
        let mut statement = self.connection.prepare_cached(select).map_err(own)?;
        let mut rows = statement.query(params![run.to_string(), link]).map_err(own)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(own)? {
            check(&self.path, "checks", row, 6)?;
            found.push(CheckEntry {
                check: self.text(row, 3)?,
                dataset: row.get(4).map_err(own)?,
                verdict: self.verdict_of(row, 5)?,
            });
        }
        Ok(found)
    }

    fn text(&self, row: &Row<'_>, column: usize) -> Result<String> {
        row.get(column).map_err(|error| failed("read", &self.path, error))
    }

    fn id(&self, row: &Row<'_>, column: usize) -> Result<Ulid> {
        Ulid::from_string(&self.text(row, column)?).map_err(|error| damaged(&self.path, error.to_string()))
    }

    fn verdict_of(&self, row: &Row<'_>, column: usize) -> Result<Verdict> {
        verdict(&self.path, &self.text(row, column)?)
    }

    fn name_of(&self, names: &BTreeMap<i64, String>, number: i64) -> Result<String> {
        names.get(&number).cloned().ok_or_else(|| damaged(&self.path, "A link has no name."))
    }
}
