//! What a failover achieved by store, link, tier and as a whole: the worst over links, and the sum of what is lost.
//!
//! A bound over several links is known where it is known of each of them: one that nobody knows could be worse.

use crate::recovery::{Bounds, Recovery};
use crate::{Check, LinkReport};
use paritas_model::{StoreKind, Tier, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was achieved, in the sections that people ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Achieved {
    /// Over all links.
    pub whole: AchievedIn,
    /// By tier; links without one are in none.
    pub tiers: Vec<AchievedIn>,
    /// By source, whatever number of links it has.
    pub stores: Vec<AchievedIn>,
    /// By link.
    pub links: Vec<AchievedIn>,
}

/// What was achieved over some links.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AchievedIn {
    /// Name of the tier, store or link; `all` for the whole.
    pub name: String,
    /// How many links that are.
    pub links: u64,
    /// `go` when each of them goes.
    pub decision: String,
    /// What was lost.
    pub rpo: AchievedRpo,
    /// How long it took.
    pub rto: AchievedRto,
}

/// The recovery point over some links.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AchievedRpo {
    /// The worst verdict.
    pub verdict: Verdict,
    /// The worst interval: both bounds are the largest over all links, the upper one `null` if one is not known.
    pub seconds: Bounds,
    /// The link that decides the upper bound.
    pub worst: Option<String>,
    /// How it was found, each way once: `wal`, `interval`, `content`, `snapshot`, `none`.
    pub methods: Vec<String>,
    /// Lost transactions of databases; absent where there is no database.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub transactions: Option<LostCount>,
    /// Lost rows of databases and files with rows; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows: Option<LostCount>,
    /// Lost records of logs; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub records: Option<LostCount>,
    /// Lost files; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub files: Option<LostCount>,
    /// Bytes of log that were left behind; absent where there is no database.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<LostCount>,
    /// Amounts that are lost, each by its own column: amounts of different columns do not add up.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub amounts: Vec<LostSum>,
    /// Why the upper bound is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// A number of lost things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostCount {
    /// Their number; `null` if it is not known exactly.
    pub exact: Option<u64>,
    /// At least so many.
    pub at_least: u64,
}

/// A sum of lost amounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostSum {
    /// The link.
    pub link: String,
    /// `log`: lost rows were read from the log of the old primary; `ledger`: figures of a snapshot were held against it.
    pub from: String,
    /// The dataset.
    pub dataset: String,
    /// The column.
    pub column: String,
    /// What is missing on the new side, a decimal with all its digits; negative where it has too much. `null` if it is
    /// not known.
    pub lost: Option<String>,
    /// Whether that is all: false where some of it may be written since, or more may be lost.
    pub exact: bool,
}

/// The recovery time over some links.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AchievedRto {
    /// The worst verdict; `null` where no link has an objective.
    pub verdict: Option<Verdict>,
    /// The worst interval, as of `rpo`; `null` where nothing is known of any link.
    pub seconds: Option<Bounds>,
    /// The link that decides the upper bound.
    pub worst: Option<String>,
    /// How it was found, each way once.
    pub methods: Vec<String>,
    /// Why the upper bound is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

type Part<'a> = (&'a LinkReport, &'a Recovery);

impl Achieved {
    /// Over links; nothing where none of them was looked at after a failover.
    pub(crate) fn of(links: &[LinkReport]) -> Option<Self> {
        let parts: Vec<Part<'_>> = links.iter().filter_map(|link| Some((link, link.recovery.as_ref()?))).collect();
        if parts.is_empty() {
            return None;
        }
        let by = |name: &dyn Fn(&LinkReport) -> Option<String>| {
            let mut names: Vec<String> = Vec::new();
            for found in parts.iter().filter_map(|(link, _)| name(link)) {
                if !names.contains(&found) {
                    names.push(found);
                }
            }
            let of = |wanted: String| {
                let those: Vec<Part<'_>> =
                    parts.iter().filter(|(link, _)| name(link).as_ref() == Some(&wanted)).copied().collect();
                over(wanted, &those)
            };
            names.into_iter().map(of).collect::<Vec<_>>()
        };
        let mut whole = over("all".to_owned(), &parts);
        if parts.len() < links.len() {
            "no-go".clone_into(&mut whole.decision);
            whole.rpo.verdict = Verdict::combine([whole.rpo.verdict, Verdict::Unknown]);
            whole.rpo.seconds.high = None;
        }
        Some(Self {
            whole,
            tiers: by(&|link| link.tier.map(|tier| tier_name(tier).to_owned())),
            stores: by(&|link| Some(link.source.name.clone())),
            links: parts.iter().map(|part| over(part.0.name.clone(), &[*part])).collect(),
        })
    }
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Hot => "hot",
        Tier::Warm => "warm",
        Tier::Cold => "cold",
    }
}

fn over(name: String, parts: &[Part<'_>]) -> AchievedIn {
    let go = parts.iter().all(|(_, recovery)| recovery.goes());
    AchievedIn {
        name,
        links: parts.len() as u64,
        decision: if go { "go" } else { "no-go" }.to_owned(),
        rpo: rpo(parts),
        rto: rto(parts),
    }
}

fn rpo(parts: &[Part<'_>]) -> AchievedRpo {
    let (seconds, worst) = worst(parts, |recovery| Some(recovery.rpo.seconds));
    let open = parts.iter().find(|(_, recovery)| recovery.rpo.seconds.high.is_none());
    let of = |kinds: &[StoreKind], count: &dyn Fn(&Part<'_>) -> Option<LostCount>| {
        let those: Vec<LostCount> =
            parts.iter().filter(|(link, _)| kinds.contains(&link.source.kind)).filter_map(count).collect();
        (!those.is_empty()).then(|| LostCount {
            exact: those.iter().map(|one| one.exact).try_fold(0_u64, |sum, one| Some(sum.saturating_add(one?))),
            at_least: those.iter().fold(0, |sum, one| sum.saturating_add(one.at_least)),
        })
    };
    let postgres = [StoreKind::Postgres];
    let with_rows = [StoreKind::Postgres, StoreKind::Parquet, StoreKind::Csv];
    AchievedRpo {
        verdict: Verdict::combine(parts.iter().map(|(_, recovery)| recovery.rpo.verdict)),
        seconds: seconds.unwrap_or_default(),
        worst,
        methods: once(parts.iter().map(|(_, recovery)| recovery.rpo.method.clone())),
        transactions: of(&postgres, &|(_, one)| {
            let rpo = &one.rpo;
            Some(LostCount { exact: rpo.transactions, at_least: rpo.transactions_at_least })
        }),
        rows: of(&with_rows, &|part| Some(rows(part))),
        records: of(&[StoreKind::Kafka], &|(_, one)| {
            Some(LostCount { exact: one.rpo.records, at_least: one.rpo.records_at_least })
        }),
        files: of(&[StoreKind::Files], &|part| files(part)),
        bytes: of(&postgres, &|(_, one)| Some(LostCount { exact: one.rpo.bytes, at_least: one.rpo.bytes_at_least })),
        amounts: parts.iter().flat_map(amounts).collect(),
        why: open.map(|(link, recovery)| because(link, recovery.rpo.why.as_deref())),
    }
}

fn rto(parts: &[Part<'_>]) -> AchievedRto {
    let (seconds, worst) = worst(parts, |recovery| recovery.rto.seconds);
    let high = |recovery: &Recovery| recovery.rto.seconds.and_then(|seconds| seconds.high);
    let open = parts.iter().find(|(_, recovery)| high(recovery).is_none());
    let verdicts: Vec<Verdict> = parts.iter().filter_map(|(_, recovery)| recovery.rto.verdict).collect();
    AchievedRto {
        verdict: (!verdicts.is_empty()).then(|| Verdict::combine(verdicts)),
        seconds,
        worst,
        methods: once(parts.iter().filter_map(|(_, recovery)| recovery.rto.method.clone())),
        why: open.map(|(link, recovery)| because(link, recovery.rto.why.as_deref())),
    }
}

/// The largest of both bounds, and the link that the upper one is of. No upper bound where one is not known.
fn worst(parts: &[Part<'_>], pick: impl Fn(&Recovery) -> Option<Bounds>) -> (Option<Bounds>, Option<String>) {
    let all: Vec<(&str, Option<Bounds>)> =
        parts.iter().map(|(link, recovery)| (link.name.as_str(), pick(recovery))).collect();
    let low = all.iter().filter_map(|(_, bounds)| bounds.as_ref()?.low).reduce(f64::max);
    let highs: Option<Vec<(&str, f64)>> =
        all.iter().map(|(name, bounds)| Some((*name, bounds.as_ref()?.high?))).collect();
    let high = highs.and_then(|highs| highs.into_iter().reduce(|one, other| if other.1 > one.1 { other } else { one }));
    let name = high.map(|(name, _)| name.to_owned());
    let known = low.is_some() || high.is_some() || all.iter().any(|(_, bounds)| bounds.is_some());
    (known.then(|| Bounds { low, high: high.map(|(_, high)| high) }), name)
}

fn because(link: &LinkReport, why: Option<&str>) -> String {
    format!("{}: {}", link.name, why.unwrap_or("its upper bound is not known"))
}

fn once(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    all
}

/// Lost rows: of the log where it was read, else what the comparison with a snapshot proved.
fn rows((link, recovery): &Part<'_>) -> LostCount {
    let read: Vec<_> = recovery.timelines.iter().filter_map(|timeline| timeline.rows.as_ref()).collect();
    let of_log: u64 = (read.iter().flat_map(|rows| &rows.tables))
        .map(|table| table.lost.inserted.saturating_add(table.lost.updated).saturating_add(table.lost.deleted))
        .fold(0, u64::saturating_add);
    let of_snapshot = link.checks.iter().fold(0_u64, |sum, check| match check {
        Check::Parity(check) => sum.saturating_add(check.differences.lost),
        _ => sum,
    });
    let exact = match recovery.rpo.transactions {
        Some(0) => Some(0),
        Some(_) if !read.is_empty() && read.iter().all(|rows| rows.complete) => Some(of_log),
        _ => None,
    };
    LostCount { exact, at_least: exact.unwrap_or(of_log.max(of_snapshot)) }
}

fn files((link, recovery): &Part<'_>) -> Option<LostCount> {
    let lost = link.checks.iter().find_map(|check| match check {
        Check::Files(check) if check.problem.is_none() => Some(check.differences.lost),
        _ => None,
    })?;
    let exact = (recovery.rpo.method == "content").then_some(lost);
    Some(LostCount { exact, at_least: lost })
}

fn amounts((link, recovery): &Part<'_>) -> Vec<LostSum> {
    let mut all = Vec::new();
    let of_log = recovery.timelines.iter().filter_map(|timeline| Some((timeline.exact, timeline.rows.as_ref()?)));
    for (exact, rows) in of_log {
        for table in &rows.tables {
            all.extend(table.amounts.iter().map(|amount| LostSum {
                link: link.name.clone(),
                from: "log".to_owned(),
                dataset: table.dataset.clone(),
                column: amount.column.clone(),
                lost: amount.net.clone(),
                exact: exact && table.complete && amount.net.is_some(),
            }));
        }
    }
    for check in &link.checks {
        let Check::Ledger(check) = check else { continue };
        let still = check.against.as_ref().is_none_or(|against| against.still);
        all.extend(check.difference.iter().map(|(column, more)| LostSum {
            link: link.name.clone(),
            from: "ledger".to_owned(),
            dataset: check.dataset.clone(),
            column: column.clone(),
            lost: Some(negated(&more.to_string())),
            exact: still && check.complete,
        }));
    }
    all
}

/// A decimal text with the other sign.
fn negated(text: &str) -> String {
    match text.strip_prefix('-') {
        Some(rest) => rest.to_owned(),
        None if text.bytes().all(|byte| matches!(byte, b'0' | b'.')) => text.to_owned(),
        None => format!("-{text}"),
    }
}
