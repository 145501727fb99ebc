//! Reports as runs leave them: a large table, a failover, topics and their readers.

pub use super::vitals::{clock, freshness};
use super::*;
use paritas_model::LagState;
use paritas_report::*;
use std::collections::BTreeMap;

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// A table of a million rows with that many differences.
pub fn large(count: usize) -> Report {
    let items: Vec<Difference> = (0..count as i64).map(one).collect();
    let mut check = differing("public.orders", 1_000_000, items);
    if count == 0 {
        check.verdict = Verdict::Pass;
    }
    check.key = vec!["venue".into(), "order_id".into()];
    let mut trading = link("trading", vec![schema("public.orders", Verdict::Pass, Vec::new()), Check::Parity(check)]);
    for name in ["public.accounts", "public.fills", "public.positions"] {
        trading.checks.push(Check::Parity(parity(name, 250_000)));
    }
    report(vec![trading])
}

fn one(number: i64) -> Difference {
    let key = values([("venue", "XNAS".into()), ("order_id", Value::Int(10_000_000 + number))]);
    let amount = format!("{}.{:02}", 1_000 + number % 90_000, number % 100);
    let whole = || {
        let mut all = key.clone();
        all.extend(values([
            ("amount", amount.as_str().into()),
            ("status", "open".into()),
            ("placed_at", "2026-11-20 14:31:07.123456+00".into()),
        ]));
        all
    };
    let (class, source, replica) = match number % 3 {
        0 => (
            Class::Changed,
            values([("amount", amount.as_str().into()), ("status", "open".into())]),
            values([
                ("amount", format!("{}.{:02}", 1_000 + number % 90_000, (number + 1) % 100).as_str().into()),
                ("status", Value::Null),
            ]),
        ),
        1 => (Class::Lost, whole(), Vec::new()),
        _ => (Class::Extra, Vec::new(), whole()),
    };
    Difference { key, ..row(class, number, source, replica) }
}

/// Two minutes of a stream: known, without an upper end, unknown, over the objective.
fn curve() -> LagCurve {
    let point = |number: u32| {
        let low = f64::from(number) * 0.25;
        let (state, seconds) = match number {
            0..12 => (LagState::Behind, Some(LagSeconds { low, high: Some(low + 1.0) })),
            12..16 => (LagState::Stalled, Some(LagSeconds { low, high: None })),
            16..18 => (LagState::Unknown, None),
            _ => (LagState::Behind, Some(LagSeconds { low, high: Some(low + 0.5) })),
        };
        LagPoint {
            at: format!("2026-11-21T03:{:02}:{:02}Z", number / 12, number * 5 % 60),
            state,
            bytes: Some(u64::from(number) << 20),
            records: None,
            versions: None,
            seconds,
            lost: seconds.map(|seconds| seconds.low),
            method: seconds.map(|_| "curve".into()),
            why: seconds.is_none().then(|| "the source did not answer".to_owned()),
        }
    };
    LagCurve { stream: "subscription/fills".into(), points: (0..25).map(point).collect() }
}

pub fn lag() -> Check {
    let stream = |name: &str, state, low: f64, high: Option<f64>| LagStream {
        stream: name.into(),
        state,
        reason: (state == LagState::Stalled).then(|| "replay is paused".to_owned()),
        hint: (state == LagState::Stalled).then(|| "on the replica: SELECT pg_wal_replay_resume()".to_owned()),
        bytes: Some(16 << 20),
        records: None,
        versions: None,
        seconds: Some(LagSeconds { low, high }),
        method: Some("curve".into()),
        source_lineage: Some("7571234567890123456/1".into()),
        source_position: Some("1/0/5000148".into()),
        replica_position: Some("1/0/4000060".into()),
        observed_at: Some("2026-11-21T03:00:01.5Z".into()),
        why: [
            ("records", "a log of bytes has no records that could be counted"),
            ("versions", "not of this kind of store"),
        ]
        .map(|(name, why)| (name.to_owned(), why.to_owned()))
        .into(),
        details: [("slot".to_owned(), "west, active".to_owned())].into(),
    };
    Check::Lag(LagCheck {
        verdict: Verdict::Fail,
        objective: Some(LagObjective { target: None, warning: Some(1.0), critical: 5.0 }),
        streams: vec![
            stream("wal/1", LagState::Stalled, 12.31, None),
            stream("subscription/orders", LagState::Behind, 0.4, Some(0.9)),
            stream("subscription/fills", LagState::Behind, 3.2, Some(6.1)),
        ],
        curves: vec![curve()],
        samples: 14,
        seconds: 1.52,
        notes: Vec::new(),
        problem: None,
    })
}

pub fn ledger() -> Check {
    let figures = |rows, sum: &str| LedgerFigures {
        rows,
        columns: vec![LedgerColumn { column: "amount".into(), sum: sum.into(), ..LedgerColumn::default() }],
    };
    let side = |total| LedgerSide { groups: Some(1_200), total: Some(total), method: Some("store".into()), why: None };
    let item = |account: i64, source: Option<LedgerFigures>, replica, deviation: &str, difference: &str| LedgerItem {
        group: values([("account", Value::Int(account)), ("currency", "EUR".into())]),
        proof: Proof::Proven,
        deviations: vec![deviation.into()],
        source,
        replica,
        difference: values([("amount", difference.into())]),
    };
    Check::Ledger(Box::new(LedgerCheck {
        name: "balance by account".into(),
        dataset: "public.ledger".into(),
        replica_dataset: None,
        verdict: Verdict::Fail,
        complete: true,
        group_by: vec!["account".into(), "currency".into()],
        rule: LedgerRule { count: true, sum: vec!["amount".into()], ..LedgerRule::default() },
        groups: Some(1_200),
        mismatched: 2,
        unproven: 0,
        source: side(figures(1_000_000, "90071992547409.93")),
        replica: side(figures(999_998, "90071992547408.94")),
        items: vec![
            item(7, Some(figures(2, "10.00")), Some(figures(2, "10.01")), "sum of amount", "0.01"),
            item(9, Some(figures(2, "1.00")), None, "missing", "-1.00"),
        ],
        items_truncated: false,
        rows: Vec::new(),
        difference: values([("amount", "-0.99".into())]),
        against: None,
        positions: Positions::default(),
        fence: None,
        bytes_read: BothSides { source: 48_211, replica: 48_190 },
        seconds: 0.31,
        notes: Vec::new(),
        problem: None,
    }))
}

pub fn topic() -> Check {
    let mut check = parity("orders", 10_000);
    check.verdict = Verdict::Fail;
    check.rows.replica = Some(9_999);
    check.differences.lost = 1;
    let shown = |side: &str, text: &str| ShownRecord {
        side: side.into(),
        offset: 4_711,
        key: "42".into(),
        value: text.into(),
        value_bytes: Some(17),
        headers: vec![("trace".into(), "a1".into())],
        time: Some("2026-11-21T02:59:00Z".into()),
    };
    let finding = |class: &str, shown| LogFinding {
        class: class.into(),
        proof: "proven".into(),
        partition: 0,
        found_in: (class == "wrong_partition").then_some(1),
        source: Some((4_711, 4_711)),
        replica: None,
        records: 1,
        at_least: false,
        times: Some(("2026-11-21T02:59:00Z".into(), "2026-11-21T02:59:00Z".into())),
        parts: Vec::new(),
        shown,
        note: (class == "wrong_partition").then(|| "its key belongs to partition 0".into()),
    };
    check.log = Some(LogCheck {
        partitions: vec![LogWindow {
            partition: 0,
            source: Some((0, 10_000)),
            replica: Some((0, 9_999)),
            records: BothSides { source: 10_000, replica: 9_999 },
            mirrored_to: Some(10_000),
            problem: None,
        }],
        classes: counts(&[("missing", 1), ("duplicate", 2), ("wrong_partition", 1)]),
        findings: vec![
            finding("missing", vec![shown("source", "{\"qty\": 3}")]),
            finding("duplicate", Vec::new()),
            finding("wrong_partition", Vec::new()),
        ],
        findings_truncated: false,
        method: "order".into(),
        timestamps: "compare".into(),
    });
    Check::Parity(check)
}

pub fn readers() -> Vec<Check> {
    let partition = GroupPartition {
        stream: "orders/3".into(),
        state: "behind".into(),
        committed: Some(900),
        start: Some(0),
        stable: Some(1_000),
        end: Some(1_000),
        offsets: Some(100),
        seconds: Some(LagSeconds { low: 1.0, high: Some(2.5) }),
        lost_in_seconds: Some(7_200.0),
        reason: None,
    };
    let group = |name: &str, verdict, offsets| GroupLag {
        group: name.into(),
        verdict,
        state: Some("Stable".into()),
        members: Some(3),
        states: counts(&[("behind", 1), ("caught_up", 11)]),
        offsets,
        seconds: offsets.map(|_| LagSeconds { low: 1.0, high: Some(2.5) }),
        worst: vec![partition.clone()],
        why: offsets.is_none().then(|| "partition 4 did not answer".to_owned()),
    };
    let offset = |standing: &str, verdict, lost| PartitionOffsets {
        stream: "orders/3".into(),
        standing: standing.into(),
        verdict,
        source: Some(900),
        replica: Some(950),
        exact: Some(899),
        from: "checkpoint".into(),
        lost,
        redelivered: Some(0),
        why: Some("51 records lie between".into()),
    };
    vec![
        Check::Groups(GroupsCheck {
            verdict: Verdict::Unknown,
            side: "source".into(),
            groups: vec![group("billing", Verdict::Pass, Some(100)), group("risk", Verdict::Unknown, None)],
            seconds: 0.2,
            notes: Vec::new(),
            problem: None,
        }),
        Check::Offsets(OffsetsCheck {
            verdict: Verdict::Fail,
            groups: vec![GroupOffsets {
                group: "billing".into(),
                verdict: Verdict::Fail,
                may_resume: Some(false),
                lost: Some(51),
                redelivered: Some(0),
                partitions: vec![offset("loss", Verdict::Fail, Some(51)), offset("exact", Verdict::Pass, Some(0))],
            }],
            seconds: 0.4,
            notes: Vec::new(),
            problem: None,
        }),
        Check::Health(HealthCheck {
            verdict: Verdict::Warn,
            side: "replica".into(),
            brokers: 3,
            partitions: 2_000,
            items: vec![HealthItem {
                what: "orders/3".into(),
                kind: "under_replicated".into(),
                verdict: Verdict::Warn,
                why: "2 of 3 copies are in sync".into(),
            }],
            kinds: counts(&[("under_replicated", 12)]),
            problem: None,
        }),
        Check::Continuity(ContinuityCheck {
            dataset: "orders".into(),
            side: "replica".into(),
            verdict: Verdict::Fail,
            records: 10_000,
            sequences: 12,
            missing: 3,
            repeated: 0,
            disordered: 0,
            unreadable: 0,
            items: vec![ContinuityItem {
                sequence: "orders/3".into(),
                kind: "gap".into(),
                numbers: Some(("18446744073709551610".into(), "18446744073709551612".into())),
                count: 3,
                offset: Some(17),
            }],
            items_truncated: false,
            seconds: 0.3,
            problem: None,
        }),
    ]
}

fn kept_ledger(name: &str, problem: Option<Problem>) -> KeptLedger {
    KeptLedger {
        name: name.into(),
        dataset: "public.ledger".into(),
        groups: problem.is_none().then_some(1_200),
        by_group: problem.is_none(),
        bytes: 48_000,
        problem,
    }
}

fn against() -> Against {
    Against {
        snapshot: "01K00000000000000000000001".into(),
        taken_at: "2026-11-21T02:00:00Z".into(),
        capacity: Some(9_000),
        relation: "holds".into(),
        why: "everything up to 1/0/5000148 is in the history of pg-west".into(),
        writes: "inserts".into(),
        still: false,
        written_since: 17,
        unsettled: None,
    }
}

/// A ledger for which a snapshot stood in for the source.
pub fn ledger_of_snapshot() -> Check {
    let Check::Ledger(mut check) = ledger() else { panic!("a ledger") };
    check.name = "fees".into();
    check.against = Some(against());
    check.difference = values([("fee", "-7.25".into())]);
    let total = check.source.total.as_mut().unwrap();
    (total.columns[0].nan, total.columns[0].infinite) = (2, 1);
    Check::Ledger(check)
}

pub fn sequences() -> Check {
    let item = |name: &str, verdict, next: Option<&str>, used: Option<&str>, why: &str| SequenceItem {
        sequence: name.into(),
        column: used.map(|_| "public.orders.order_id".into()),
        verdict,
        next: next.map(Into::into),
        used: used.map(Into::into),
        snapshot: Some("1000033".into()),
        why: why.into(),
        repair: used.map(|_| "SELECT setval('public.orders_id', (SELECT max(order_id) FROM public.orders))".into()),
    };
    Check::Sequences(SequencesCheck {
        verdict: Verdict::Fail,
        sequences: 4,
        snapshot: Some("01K00000000000000000000001".into()),
        items: vec![
            item("public.orders_id", Verdict::Fail, Some("1000001"), Some("1000032"), "it hands out numbers in use"),
            item("public.secret_id", Verdict::Unknown, None, None, "its value may not be read"),
        ],
        items_truncated: true,
        seconds: 0.25,
        problem: None,
    })
}

/// A dataset of which a run verified its share.
pub fn sliced() -> Check {
    let mut check = parity("public.ticks", 500_000);
    check.complete = false;
    check.replica_dataset = Some("archive.ticks".into());
    check.pages = Some(PageCheck {
        compared: 4_096,
        arrived: 12,
        transactions: 250,
        relations: vec!["public.ticks".into()],
        ..PageCheck::default()
    });
    check.slice = Some(Slice { parts: 12, of: 96 });
    let unsettled = Some("the checkpoint that the promotion asked for has not ended yet".to_owned());
    check.against = Some(Against { unsettled, ..against() });
    Check::Parity(check)
}

/// Prepared transactions on both sides, a failure at a time that somebody gave, a lost row with a place.
fn prepare(recovery: &mut Recovery) {
    let (gid, at) = ("settlement-17", "2026-11-21T02:57:40Z");
    recovery.prepared = vec![HeldTransaction {
        xid: 690,
        gid: gid.into(),
        database: "trading".into(),
        owner: "clearing".into(),
        prepared_at: at.into(),
        before_promotion: Some(true),
    }];
    let left = recovery.timelines.last_mut().unwrap();
    left.undecided = vec![UndecidedTransaction {
        xid: 695,
        gid: gid.into(),
        prepared_at: at.into(),
        database: Some("trading".into()),
    }];
    (left.lost[0].prepared, left.lost[0].gid) = (true, Some(gid.into()));
    let row = &mut left.rows.as_mut().unwrap().tables[0].items[0].row;
    (row.place, row.note) = (Some("offset 17 of part 3".into()), Some("updated before".into()));
    recovery.rpo.seconds_if_down = Some(0.9);
    recovery.rto.failed_at = Some("2026-11-21T02:58:00Z".into());
}

/// A drill over stores of three kinds, each with its own losses.
pub fn drill() -> Report {
    let mut trading = failover().links.remove(0);
    prepare(trading.recovery.as_mut().unwrap());
    for check in &mut trading.checks {
        if let Check::Probe(check) = check {
            let write = |sequence, at: &str| ProbeWrite { sequence, sent_at: at.into(), acknowledged_at: at.into() };
            let (other, old) = (write(641, "2026-11-21T02:58:41.2Z"), write(702, "2026-11-21T02:58:53.4Z"));
            check.split_brain = Some(ProbeSplit { other, old, promoted: true });
        }
    }
    trading.checks.extend([sequences(), ledger_of_snapshot()]);
    let recovery = |method: &str, records| {
        let mut recovery = trading.recovery.clone().unwrap();
        recovery.timelines.clear();
        recovery.prepared.clear();
        let lost = format!("{} is proven to be lost, by {method}", if records > 0 { "a record" } else { "a file" });
        recovery.reasons = vec![Reason::new(Verdict::Fail, lost)];
        recovery.rpo = Rpo {
            verdict: Verdict::Fail,
            seconds: Bounds { low: Some(1.5), high: None },
            transactions: None,
            transactions_at_least: 0,
            records: None,
            records_at_least: records,
            bytes: None,
            bytes_at_least: 0,
            method: method.into(),
            why: Some("partition 4 could not be read".into()),
            ..recovery.rpo
        };
        recovery
    };
    let (of_records, of_files) = (recovery("snapshot", 51), recovery("content", 0));
    let mut orders = link("orders", readers());
    (orders.source.kind, orders.source.name, orders.tier) = (StoreKind::Kafka, "log-east".into(), Some(Tier::Hot));
    orders.recovery = Some(of_records);
    let mut archive = link("archive", vec![Check::Files(files())]);
    (archive.source.kind, archive.source.name, archive.tier) = (StoreKind::Files, "s3-east".into(), Some(Tier::Cold));
    archive.recovery = Some(of_files);
    let mut report = report(vec![trading, orders, archive]);
    report.run.command = "failover".into();
    report.run.drill = Some("west, fourth quarter".into());
    report.run.resumed_from = Some("01K00000000000000000000009".into());
    report
}

fn reading() -> KeptReading {
    KeptReading {
        rows_read: 12_000,
        rows_kept: 988_000,
        pages_read: 200,
        pages_kept: 16_800,
        ranges_read: 25,
        ranges_kept: 2_100,
        ranges_reread: 3,
        files_read: 0,
        files_kept: 0,
        files_reread: 0,
        bytes: Some(41_000_000),
        segments: None,
        why: None,
        not_kept: Some("cannot write the index (no space left on device)".into()),
    }
}

fn segments() -> SegmentReading {
    let mut reading = SegmentReading {
        records_read: 3_805,
        records_kept: 197_195,
        segments_read: 3,
        segments_kept: 178,
        segments_reread: 1,
        whole: Vec::new(),
    };
    reading.read_whole("orders/3", "nothing was kept of it by a snapshot before");
    reading
}

pub fn snapshot() -> Check {
    let kept = |name: &str, problem: Option<Problem>| KeptDataset {
        dataset: name.into(),
        rows: problem.is_none().then_some(1_000_000),
        capacity: 9_000,
        bytes: 819_200,
        position: Some("1/0/5000148".into()),
        reading: problem.is_none().then(reading),
        problem,
    };
    let problem = unreachable().problem;
    Check::Snapshot(SnapshotCheck {
        verdict: Verdict::Unknown,
        snapshot: Some("01K00000000000000000000001".into()),
        after: Some("01K00000000000000000000000".into()),
        logs: 0,
        partitions: 0,
        records: 0,
        records_read: 0,
        reading: Some(segments()),
        groups: 0,
        bytes: 1_638_400,
        seconds: 3.0,
        kept: Some(KeptDatasets {
            datasets: vec![kept("public.orders", None), kept("public.fills", problem)],
            files: None,
            one_view: true,
            ledgers: vec![kept_ledger("balance by account", None), kept_ledger("positions", unreachable().problem)],
            sequences: Some(4),
        }),
        notes: Vec::new(),
        problem: None,
    })
}

fn server(timeline: u32, position: &str, in_recovery: bool) -> Option<ServerLineage> {
    Some(ServerLineage {
        system_identifier: Some("7571234567890123456".into()),
        timeline: Some(timeline),
        position: Some(position.into()),
        in_recovery,
        read_only: false,
        why: None,
    })
}

pub fn probe() -> Check {
    let write = |sequence, at: &str| ProbeWrite { sequence, sent_at: at.into(), acknowledged_at: at.into() };
    let attempts = ProbeCounts { attempts: 900, acknowledged: 600, refused: 280, unknown: 20, void: 0 };
    Check::Probe(Box::new(ProbeCheck {
        verdict: Verdict::Fail,
        method: "probe".into(),
        observation: Some("01K00000000000000000000002".into()),
        resumed: false,
        heartbeat: Some("paritas.heartbeat".into()),
        every: 0.2,
        timeout: 2.0,
        begun_at: Some("2026-11-21T02:50:00Z".into()),
        ended: "recovered".into(),
        synchronous_commit: Some("on".into()),
        source: attempts,
        replica: attempts,
        gaps: ProbeGaps { count: 1, restarts: 0, longest: Some(0.9) },
        outages: vec![ProbeOutage {
            kind: "restart".into(),
            seconds: Bounds { low: Some(1.8), high: Some(2.2) },
            from: "2026-11-21T02:51:00Z".into(),
            to: "2026-11-21T02:51:02Z".into(),
        }],
        outages_count: 1,
        failover: Some(ProbeFailover {
            system_identifier: "7571234567890123456".into(),
            old_timeline: 1,
            switchpoint: "0/5000148".into(),
            new_timeline: 2,
            side: "replica".into(),
            last_before: Some(write(600, "2026-11-21T02:58:00Z")),
            first_after: write(641, "2026-11-21T02:58:41.2Z"),
            heartbeats: ProbeLosses { lost: Some(2), lost_at_least: 2, ..ProbeLosses::default() },
        }),
        split_brain: None,
        rto: Rto {
            verdict: Some(Verdict::Fail),
            objective: Some(30.0),
            seconds: Some(Bounds { low: Some(41.0), high: Some(41.4) }),
            method: Some("probe".into()),
            ..Rto::default()
        },
        summary: "nobody took writes for 41 s; two acknowledged heartbeats are lost".into(),
        notes: Vec::new(),
        problem: None,
    }))
}

/// A failover behind which transactions are lost, judged NO-GO.
pub fn failover() -> Report {
    let reason = |verdict, text: &str, hint: Option<&str>| Reason {
        verdict,
        text: text.into(),
        hint: hint.map(Into::into),
        next: hint.map(|_| "paritas failover trading --max-differences 37".into()),
    };
    let step =
        |name: &str, verdict, seconds, text: &str| Step { step: name.into(), verdict, seconds, text: text.into() };
    let lost = |xid: u32| LostTransaction {
        xid,
        lsn: format!("0/50{xid:05X}"),
        committed_at: format!("2026-11-21T02:57:{:02}.{:03}Z", 50 + xid % 10, xid % 1_000),
        database: Some("trading".into()),
        bytes: 1_186,
        subtransactions: Vec::new(),
        prepared: false,
        gid: None,
        touched: vec![TouchedTable {
            dataset: "public.orders".into(),
            changes: RowChanges { inserted: 2, updated: 1, deleted: 0 },
        }],
    };
    let rows = LostTable {
        dataset: "public.orders".into(),
        complete: true,
        key: vec!["order_id".into()],
        log: RowChanges { inserted: 74, updated: 37, deleted: 0 },
        rows: RowChanges { inserted: 74, updated: 37, deleted: 0 },
        lost: RowChanges { inserted: 73, updated: 37, deleted: 0 },
        present: 1,
        amounts: vec![LostAmount {
            column: "amount".into(),
            inserted: Some("48211.50".into()),
            updated: Some("-12.25".into()),
            deleted: Some("0".into()),
            net: Some("48199.25".into()),
            why: None,
        }],
        items: lost_extra_changed()
            .into_iter()
            .take(1)
            .map(|row| LostRow { change: "insert".into(), xid: 700, row })
            .collect(),
        items_truncated: true,
        ..LostTable::default()
    };
    let left = |timeline, switchpoint: &str, end: Option<&str>, count: u64| LeftTimeline {
        timeline,
        switchpoint: switchpoint.into(),
        end: end.map(Into::into),
        read_from: if end.is_some() { "/mnt/old-primary/main (shut down)".into() } else { "nothing".into() },
        exact: end.is_some(),
        doubts: if end.is_some() { Vec::new() } else { vec!["nothing of its log could be read".into()] },
        transactions: count,
        bytes: if count > 0 { 1_020_680 } else { 0 },
        rolled_back: 3,
        last_surviving: Some("2026-11-21T02:57:49.9Z".into()),
        surviving_to_failure: Bounds { low: Some(0.5), high: Some(2.0) },
        surviving_to_last_lost: Some(0.4),
        first_to_last_lost: Some(0.3),
        lost: (0..count as u32).map(|number| lost(700 + number)).collect(),
        lost_truncated: false,
        undecided: Vec::new(),
        rows: (count > 0).then(|| LostRows {
            complete: true,
            values_from: Some("the old primary's files".into()),
            tables: vec![rows.clone()],
            ..LostRows::default()
        }),
    };
    let lineage = Check::Lineage(LineageCheck {
        verdict: Verdict::Fail,
        relation: "promoted".into(),
        forked_at: Some("2/0/5000148".into()),
        source: None,
        replica: server(3, "0/51A0000", false),
        summary: "pg-west left timeline 2 of pg-east at 0/5000148".into(),
        problem: None,
    });
    let mut trading = link("trading", vec![lineage, lag(), probe(), ledger()]);
    trading.recovery = Some(Recovery {
        decision: "no-go".into(),
        planned: false,
        reasons: vec![
            reason(
                Verdict::Fail,
                "exactly 37 committed transactions are lost",
                Some("enter them again: `paritas failover trading --max-differences 37 --json` lists every row"),
            ),
            reason(Verdict::Fail, "writes were possible again after 41 s; the objective is 30 s", None),
            reason(Verdict::Warn, "timeline 1 was left without loss as far as the archive tells", None),
            reason(Verdict::Pass, "one history, and one server that takes writes", None),
        ],
        rpo: Rpo {
            verdict: Verdict::Pass,
            objective: Some(1.0),
            seconds: Bounds { low: Some(0.3), high: Some(0.4) },
            transactions: Some(37),
            transactions_at_least: 37,
            records: None,
            records_at_least: 0,
            bytes: Some(1_020_680),
            bytes_at_least: 1_020_680,
            seconds_if_down: None,
            method: "wal".into(),
            why: None,
        },
        rto: Rto {
            verdict: Some(Verdict::Fail),
            objective: Some(30.0),
            seconds: Some(Bounds { low: Some(41.0), high: Some(41.4) }),
            method: Some("probe".into()),
            failed_at: None,
            observed_at: Some("2026-11-21T02:58:41.2Z".into()),
            observation: Some("01K00000000000000000000002".into()),
            why: None,
        },
        timelines: vec![left(1, "0/3000000", Some("0/3000000"), 0), left(2, "0/5000148", Some("0/50F9440"), 37)],
        prepared: Vec::new(),
        steps: vec![
            step("new_primary", Some(Verdict::Pass), 0.04, "pg-west takes writes on timeline 3"),
            step("loss", Some(Verdict::Fail), 2.75, "37 commits of timeline 2 are lost"),
            step("groups", None, 0.0, "no group of readers belongs to this link"),
        ],
    });
    trading.verdict = Verdict::Fail;
    trading.not_checked = vec![left_out("consumer groups", "no snapshot of link orders holds their offsets")];
    let mut report = report(vec![trading]);
    report.run.command = "failover".into();
    report
}

/// Several links of several kinds, with everything that a report can hold somewhere in it.
pub fn everything() -> Report {
    let mut rows = link(
        "trading",
        vec![
            schema(
                "public.orders",
                Verdict::Warn,
                vec![SchemaDifference {
                    what: "default of status".into(),
                    source: Some("'open'".into()),
                    replica: None,
                    comparable: true,
                }],
            ),
            Check::Parity(differing("public.orders", 1_000_000, lost_extra_changed())),
            Check::Parity(unreachable()),
            Check::Parity(parity("public.fills", 250_000)),
            lag(),
            ledger(),
        ],
    );
    rows.checks.push(Check::Coverage(CoverageCheck {
        verdict: Verdict::Fail,
        datasets: 12,
        items: vec![CoverageItem {
            what: "public.audit".into(),
            kind: "not_published".into(),
            verdict: Verdict::Fail,
            why: "no publication of subscription trading has it".into(),
            consequence: "its rows never reach the replica".into(),
        }],
        problem: None,
    }));
    rows.verdict = LinkReport::combined(&rows.checks);
    rows.not_checked = vec![
        left_out("public.sessions", "left out by include and exclude of the link"),
        left_out("public.orders.embedding", "the replica has no such type"),
    ];
    let mut topics = readers();
    topics.insert(0, topic());
    let mut failed = failover().links.remove(0);
    failed.name = "after the failover".into();
    failed.recovery = None;
    let archive = link("archive", vec![Check::Files(files())]);
    let west = link("west", vec![sliced(), sequences(), ledger_of_snapshot(), clock(), freshness()]);
    report(vec![rows, link("orders", topics), archive, link("kept", vec![snapshot()]), failed, west])
}
