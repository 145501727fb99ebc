//! Checks of clocks and of the age of rows, as runs leave them.

use paritas_model::{Region, Verdict};
use paritas_report::*;

/// Clocks that are a little apart, one of them of a store that is far away.
pub fn clock() -> Check {
    let levels = |critical| Some(LagObjective { target: None, warning: Some(critical / 2.0), critical });
    let side = |low: f64, high: f64, verdict| ClockSide {
        method: Some("clock_timestamp()".into()),
        samples: 8,
        skew: Some(SkewSeconds { low, high }),
        skew_verdict: Some(verdict),
        rtt: Some(0.062),
        rtt_slowest: Some(0.081),
        rtt_verdict: Some(Verdict::Pass),
        ..ClockSide::default()
    };
    let mut replica = side(61.2, 61.3, Verdict::Fail);
    replica.quarantined = true;
    replica.jumped = Some("theirs".into());
    Check::Clock(Box::new(ClockCheck {
        verdict: Verdict::Fail,
        skew_objective: levels(1.0),
        rtt_objective: levels(0.5),
        quarantine: 10.0,
        from: Some(Region("us-east-1".into())),
        source: side(-0.0004, 0.0003, Verdict::Pass),
        replica,
        between: Some(SkewSeconds { low: 61.1997, high: 61.3004 }),
        between_verdict: Some(Verdict::Fail),
        seconds: 0.9,
        problem: None,
    }))
}

/// A dataset that is new on the source, and of which nobody can say it on the replica.
pub fn freshness() -> Check {
    let side = |verdict, why: Option<&str>| FreshnessSide {
        verdict,
        newest: Some("2026-11-21T02:59:58.25Z".into()),
        age: Some(SkewSeconds { low: 1.75, high: 1.76 }),
        quarantined: 3,
        quarantined_at_least: why.is_some(),
        method: "max".into(),
        why: why.map(Into::into),
    };
    Check::Freshness(FreshnessCheck {
        name: "posts are new".into(),
        dataset: "public.posts".into(),
        replica_dataset: Some("archive.posts".into()),
        column: Some("posted_at".into()),
        verdict: Verdict::Unknown,
        objective: LagObjective { target: None, warning: None, critical: 5.0 },
        quarantine: 10.0,
        source: Some(side(Verdict::Warn, None)),
        replica: Some(side(
            Verdict::Unknown,
            Some("the store's clock is more than 10s away, so its times are quarantined"),
        )),
        seconds: 0.02,
        notes: vec!["times of posted_at have no zone and are taken as UTC".into()],
        problem: None,
    })
}
