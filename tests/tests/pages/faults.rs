//! Counted faults: each planted one is found in its page, and nothing else is.
//!
//! `PARITAS_PAGE_FAULTS` says how many are planted (otherwise 30), `PARITAS_PAGE_SEED` which.

use crate::kinds::KINDS;
use crate::stage::{PAGE, Stage, by_pages, unchecked, write};
use paritas_testbed::postgres::Install;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

const FAULTS: u64 = 30;
/// Faults in one standby at a time: reports name ten pages.
const TOGETHER: usize = 8;

/// A whole number from the environment.
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(otherwise, |text| text.parse().unwrap())
}

/// A dice that falls in the same way for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn bit(&mut self) -> u8 {
        1 << self.below(8)
    }
}

/// A relation with its file before the last changes and after them.
struct Subject {
    /// As reports name it.
    name: String,
    kind: String,
    file: PathBuf,
    old: Vec<u8>,
    new: Vec<u8>,
}

fn word(page: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([page[at], page[at + 1]]))
}

impl Subject {
    fn page(&self, block: usize) -> &[u8] {
        &self.new[block * PAGE..(block + 1) * PAGE]
    }

    fn blocks(&self) -> usize {
        self.new.len() / PAGE
    }

    /// `pd_lower`, `pd_upper`, `pd_special`.
    fn bounds(&self, block: usize) -> (usize, usize, usize) {
        let page = self.page(block);
        (word(page, 12), word(page, 14), word(page, 16))
    }

    /// Whether nothing in the page is used.
    fn is_unused(&self, block: usize) -> bool {
        let (page, (lower, _, special)) = (self.page(block), self.bounds(block));
        match self.kind.as_str() {
            _ if page.iter().all(|byte| *byte == 0) => true,
            "hash" => word(page, special + 12) & 0xF == 0,
            "gin" => word(page, special + 6) & 4 != 0,
            "btree" => word(page, special + 12) & 4 != 0,
            "spgist" => lower <= 24,
            _ => false,
        }
    }

    /// Whether a stale copy of the page is another one in what is compared.
    fn is_stale(&self, block: usize) -> bool {
        let Some(old) = self.old.get(block * PAGE..(block + 1) * PAGE) else { return false };
        let (lower, upper, special) = self.bounds(block);
        let new = self.page(block);
        let used = |page: &[u8]| [page[24.min(lower)..lower].to_vec(), page[upper..special].to_vec()].concat();
        old.iter().any(|byte| *byte != 0) && old[..8] != new[..8] && used(old) != used(new)
    }
}

/// What is done to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flip,
    Stale,
    Zero,
    Swap,
    Truncate,
    Alien,
    /// A bit of the visibility map.
    Claim,
    /// A bit that no log record stands behind.
    Harmless,
}

/// Faults of one batch: what is written where, and which pages must be named.
#[derive(Default)]
struct Batch {
    files: BTreeMap<usize, Vec<u8>>,
    touched: BTreeSet<(usize, usize)>,
    whole: BTreeSet<usize>,
    expected: BTreeSet<String>,
    said: Vec<String>,
}

impl Batch {
    fn bytes<'a>(&'a mut self, subjects: &[Subject], subject: usize) -> &'a mut Vec<u8> {
        self.files.entry(subject).or_insert_with(|| subjects[subject].new.clone())
    }

    fn is_free(&self, subject: usize, block: usize) -> bool {
        !self.touched.contains(&(subject, block)) && !self.whole.contains(&subject)
    }

    fn expect(&mut self, subjects: &[Subject], subject: usize, block: usize) {
        self.expected.insert(format!("{}, block {block}", subjects[subject].name));
        self.touched.insert((subject, block));
    }

    /// Plants one fault if this relation allows it.
    fn plant(&mut self, subjects: &[Subject], index: usize, kind: Kind, dice: &mut Dice) -> bool {
        let subject = &subjects[index];
        let block = dice.below(subject.blocks());
        let is_map = subject.kind == "vm";
        if !self.is_free(index, block) || (subject.is_unused(block) && !is_map) || is_map != (kind == Kind::Claim) {
            return false;
        }
        let start = block * PAGE;
        match kind {
            Kind::Flip => {
                let Some(at) = compared_byte(subject, block, dice) else { return false };
                let bit = dice.bit();
                self.bytes(subjects, index)[start + at] ^= bit;
                self.said.push(format!("{} block {block}: bit {bit:#04x} of byte {at}", subject.name));
            }
            Kind::Stale if subject.is_stale(block) => {
                self.bytes(subjects, index)[start..start + PAGE].copy_from_slice(&subject.old[start..start + PAGE]);
            }
            Kind::Zero => self.bytes(subjects, index)[start..start + PAGE].fill(0),
            Kind::Alien => {
                let other = subjects.iter().find(|other| other.kind != subject.kind && other.kind != "vm").unwrap();
                let alien = other.new[..PAGE].to_vec();
                self.bytes(subjects, index)[start..start + PAGE].copy_from_slice(&alien);
            }
            Kind::Swap => {
                let other = dice.below(subject.blocks());
                let differ = subject.page(block)[24..] != subject.page(other)[24..];
                if !self.is_free(index, other) || subject.is_unused(other) || !differ {
                    return false;
                }
                let (ours, theirs) = (subject.page(block).to_vec(), subject.page(other).to_vec());
                let bytes = self.bytes(subjects, index);
                bytes[start..start + PAGE].copy_from_slice(&theirs);
                bytes[other * PAGE..(other + 1) * PAGE].copy_from_slice(&ours);
                self.expect(subjects, index, other);
            }
            Kind::Truncate => {
                let last = subject.blocks() - 1;
                if subject.is_unused(last) || self.touched.iter().any(|(touched, _)| *touched == index) {
                    return false;
                }
                self.bytes(subjects, index).truncate(last * PAGE);
                self.whole.insert(index);
                self.said.push(format!("{}: cut before block {last}", subject.name));
                self.expect(subjects, index, last);
                return true;
            }
            Kind::Claim => return self.claim(subjects, index, dice),
            Kind::Harmless => return self.harmless(subjects, index, block, dice),
            Kind::Stale => return false,
        }
        self.said.push(format!("{}, block {block}: {kind:?}", subject.name));
        self.expect(subjects, index, block);
        true
    }

    /// Says of a page of the table that all of its rows are visible, or frozen, which they are not.
    fn claim(&mut self, subjects: &[Subject], index: usize, dice: &mut Dice) -> bool {
        let table = &subjects[0];
        let block = dice.below(table.blocks());
        let at = 24 + block / 4;
        let shift = 2 * (block % 4);
        if subjects[index].new[at] >> shift & 3 != 0 || table.is_unused(block) || !self.touched.insert((index, 0)) {
            return false;
        }
        self.bytes(subjects, index)[at] |= [1, 2, 3][dice.below(3)] << shift;
        self.expect(subjects, index, 0);
        self.said.push(format!("{}: says of block {block} what is not so", subjects[index].name));
        true
    }

    /// Flips a bit that may differ.
    fn harmless(&mut self, subjects: &[Subject], index: usize, block: usize, dice: &mut Dice) -> bool {
        let subject = &subjects[index];
        let (lower, upper, special) = subject.bounds(block);
        let logged = ["gin", "brin"].contains(&subject.kind.as_str()) && lower <= 24;
        let sequence = subject.kind == "sequence";
        let (at, bit) = match dice.below(6) {
            // The last bit of the version: both are within the log.
            0 => (4, 1),
            1 => (8 + dice.below(2), dice.bit()),
            2 if !sequence => (10, [1, 2][dice.below(2)]),
            3 if !sequence => (20 + dice.below(4), dice.bit()),
            4 if upper > lower && !logged => (lower + dice.below(upper - lower), dice.bit()),
            5 if subject.kind == "btree" => (special + 14 + dice.below(2), dice.bit()),
            5 if subject.kind == "hash" => (special + 12, 0x80),
            5 if subject.kind == "gist" => (special + 12, 0x10),
            _ => return false,
        };
        self.bytes(subjects, index)[block * PAGE + at] ^= bit;
        self.touched.insert((index, block));
        self.said.push(format!("{} block {block}: harmless bit {bit:#04x} of byte {at}", subject.name));
        true
    }
}

/// A byte of which every bit is compared, in any region of the page.
fn compared_byte(subject: &Subject, block: usize, dice: &mut Dice) -> Option<usize> {
    let (lower, upper, special) = subject.bounds(block);
    let region = match dice.below(5) {
        // The upper half of the version lies beyond the end of the log.
        0 => 0..4,
        1 => 12..20,
        2 => 24..lower,
        3 => upper..special,
        _ => special..PAGE,
    };
    if region.is_empty() {
        return None;
    }
    let at = region.start + dice.below(region.len());
    is_compared(subject, block, at).then_some(at)
}

/// Whether every bit of a byte is logged, by what the server's own masks say.
fn is_compared(subject: &Subject, block: usize, at: usize) -> bool {
    let (page, (lower, upper, special)) = (subject.page(block), subject.bounds(block));
    let flags = if special + 16 <= PAGE { word(page, special + 12) } else { 0 };
    if (24..lower).contains(&at) {
        return match subject.kind.as_str() {
            // The third byte of a pointer holds a bit that marks dead entries in leaves and buckets.
            "btree" | "gist" => flags & 1 == 0 || (at - 24) % 4 != 2,
            "hash" => flags & 3 == 0 || (at - 24) % 4 != 2,
            // The metapage keeps a cache behind four bytes.
            "spgist" => block != 0 || at < 28,
            _ => true,
        };
    }
    if (upper..special).contains(&at) && subject.kind == "heap" {
        return in_row(page, lower, at);
    }
    match subject.kind.as_str() {
        "btree" | "gist" | "hash" if at >= special => at < special + 12,
        "brin" if at >= special => at >= special + 6,
        "sequence" if at >= upper => at >= special || (at - upper) < 8 || (at - upper) >= 24,
        _ => true,
    }
}

/// Whether a byte belongs to a row, and is neither its command id nor its information bits.
fn in_row(page: &[u8], lower: usize, at: usize) -> bool {
    (24..lower).step_by(4).any(|pointer| {
        let (offset, length) = (word(page, pointer) & 0x7FFF, word(page, pointer + 2) >> 1);
        let within = at.wrapping_sub(offset);
        within < length && !(8..12).contains(&within) && !(20..22).contains(&within)
    })
}

/// The files of all relations on a stopped standby.
fn read(names: &[(String, String, PathBuf)]) -> Vec<Vec<u8>> {
    names.iter().map(|(_, _, file)| std::fs::read(file).unwrap()).collect()
}

/// Names as reports have them, access methods, and files on the standby; the table first.
async fn relations(stage: &Stage) -> Vec<(String, String, PathBuf)> {
    let client = stage.primary.client("postgres").await.unwrap();
    let sql = "WITH t AS (SELECT oid, reltoastrelid FROM pg_class WHERE oid = 'k'::regclass), \
                 heaps AS (SELECT oid FROM t UNION ALL SELECT reltoastrelid FROM t), \
                 every AS (SELECT oid FROM heaps UNION ALL SELECT indexrelid FROM pg_index JOIN heaps ON indrelid = oid \
                   UNION ALL SELECT 'k_id_seq'::regclass) \
               SELECT CASE WHEN n.nspname = 'public' THEN 'public.' ELSE '' END || c.oid::regclass::text, \
                 coalesce(a.amname::text, 'sequence'), pg_relation_filepath(c.oid), c.relname::text FROM every \
                 JOIN pg_class c ON c.oid = every.oid JOIN pg_namespace n ON n.oid = relnamespace \
                 LEFT JOIN pg_am a ON a.oid = relam ORDER BY c.relname <> 'k', 1";
    let rows = client.query(sql, &[]).await.unwrap();
    let mut found = Vec::new();
    for row in rows {
        let (name, kind, file) = (row.get::<_, String>(0), row.get::<_, String>(1), row.get::<_, String>(2));
        let file = stage.standby.data_dir().join(file);
        if row.get::<_, String>(3) == "k" {
            found.push((name.clone(), kind.clone(), file.clone()));
            found.push((
                format!("{name} (visibility map)"),
                "vm".to_owned(),
                PathBuf::from(format!("{}_vm", file.display())),
            ));
        } else {
            found.push((name, kind, file));
        }
    }
    found
}

/// Changes most pages of all relations, and leaves nothing to be written by readers.
async fn change(stage: &Stage) {
    let statements = [
        "UPDATE k SET tag = tag || 'x', list = list || id, spot = point(id % 50, id % 61), \
         big = CASE WHEN big IS NOT NULL THEN repeat('c', 6000) END WHERE id % 3 = 0",
        "DELETE FROM k WHERE id % 10 = 1",
        "VACUUM (FREEZE, INDEX_CLEANUP on) k",
        "VACUUM (FREEZE, INDEX_CLEANUP on) k",
        "INSERT INTO k (tag, list, spot, pad) SELECT md5(n::text), ARRAY[n % 7, n], point(n % 9, n % 8), \
         repeat('y', 60) FROM generate_series(1, 500) n",
        "SELECT gin_clean_pending_list('k_gin'); SELECT brin_summarize_new_values('k_brin')",
        "SELECT count(*) FROM k; SELECT sum(length(big)) FROM k",
        "CHECKPOINT; SELECT count(*) FROM k",
    ];
    for sql in statements {
        stage.run(sql).await;
    }
    // Versions of pages are well below the end of the log.
    stage.run("SELECT pg_switch_wal(); CREATE TABLE away (n int)").await;
}

/// The pages that a report calls different.
fn named(check: &serde_json::Value) -> BTreeSet<String> {
    let notes = check["notes"].as_array().unwrap().iter().filter_map(|note| note.as_str());
    let place = |note: &str| {
        let (place, said) = note.split_once(": the replica ")?;
        (place.contains(", block ") && !said.is_empty()).then(|| place.to_owned())
    };
    notes.filter_map(place).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_found_in_its_page_and_nothing_else_is() {
    plant(&Install::find().unwrap(), number("PARITAS_PAGE_FAULTS", FAULTS)).await;
}

/// What is planted in turn: as many of each as the list names it.
const TURNS: &[Kind] = &[
    Kind::Flip,
    Kind::Flip,
    Kind::Stale,
    Kind::Flip,
    Kind::Zero,
    Kind::Flip,
    Kind::Claim,
    Kind::Flip,
    Kind::Swap,
    Kind::Flip,
    Kind::Truncate,
    Kind::Flip,
    Kind::Alien,
];

/// Plants so many faults, and as many harmless flips, a few at a time.
pub async fn plant(install: &Install, faults: u64) {
    let seed = number("PARITAS_PAGE_SEED", 7);
    let mut stage = Stage::with(install, unchecked(), KINDS).await;
    stage.run("VACUUM FREEZE k").await;
    let names = relations(&stage).await;
    stage.stopped().await;
    let old = read(&names);
    stage.started().await;
    change(&stage).await;
    stage.replayed().await;
    by_pages(stage.verify("k", &[]), 0);
    stage.stopped().await;
    let subject = |((name, kind, file), (old, new))| Subject { name, kind, file, old, new };
    let files = old.into_iter().zip(read(&names));
    let subjects: Vec<Subject> = names.into_iter().zip(files).map(subject).collect();
    let (mut dice, mut turn, mut planted, mut harmless) = (Dice::new(seed), 0, 0, 0);
    let mut by_kind: BTreeMap<String, u64> = BTreeMap::new();
    while planted < faults {
        let mut batch = Batch::default();
        let wanted = TOGETHER.min((faults - planted) as usize);
        let mut count = 0;
        while count < wanted && batch.expected.len() < TOGETHER + 1 {
            let (kind, index) = (TURNS[turn % TURNS.len()], (turn / 3 + dice.below(3)) % subjects.len());
            let index = if kind == Kind::Claim { 1 } else { index };
            if batch.plant(&subjects, index, kind, &mut dice) {
                count += 1;
                *by_kind.entry(format!("{kind:?} in {}", subjects[index].kind)).or_default() += 1;
                turn += 1;
            } else if dice.below(20) == 0 {
                turn += 1;
            }
        }
        planted += count as u64;
        for _ in 0..40 {
            let index = dice.below(subjects.len());
            harmless += u64::from(batch.plant(&subjects, index, Kind::Harmless, &mut dice));
        }
        batch.files.iter().for_each(|(index, bytes)| write(&subjects[*index].file, bytes));
        stage.started().await;
        let check = by_pages(stage.verify("k", &[]), 1);
        assert_eq!(named(&check), batch.expected, "seed {seed}: {:#?} {check:#}", batch.said);
        assert_eq!(check["pages"]["unproven"], 0, "{check:#}");
        stage.standby.stop(paritas_testbed::postgres::Mode::Fast).await.unwrap();
        batch.files.keys().for_each(|index| write(&subjects[*index].file, &subjects[*index].new));
    }
    let more = only_harmless(&mut stage, &subjects, &mut dice).await;
    eprintln!("{planted} of {planted} faults found, {harmless} + {more} harmless flips passed; {by_kind:?}");
}

/// Many harmless flips at once: pages pass, rows pass, and each index finds what it finds on the primary.
async fn only_harmless(stage: &mut Stage, subjects: &[Subject], dice: &mut Dice) -> u64 {
    let mut batch = Batch::default();
    let mut count = 0;
    for _ in 0..400 {
        let index = dice.below(subjects.len());
        count += u64::from(batch.plant(subjects, index, Kind::Harmless, dice));
    }
    batch.files.iter().for_each(|(index, bytes)| write(&subjects[*index].file, bytes));
    stage.started().await;
    let check = by_pages(stage.verify("k", &[]), 0);
    assert!(check["complete"] == true && count > 50, "{count} {:#?} {check:#}", batch.said);
    stage.verify("k", &["--method", "rows"]).expect_code(0);
    let queries = [
        "SELECT count(*), sum(id) FROM k WHERE id BETWEEN 100 AND 3000",
        "SELECT count(*), sum(id) FROM k WHERE tag = md5('77') OR tag = md5('78') || 'x'",
        "SELECT count(*), sum(id) FROM k WHERE list @> ARRAY[3]",
        "SELECT count(*), sum(id) FROM k WHERE spot <@ box '((5,5),(40,40))'",
        "SELECT count(*), sum(id) FROM k WHERE tag ^@ 'a'",
    ];
    for sql in queries {
        let mut answers = Vec::new();
        for server in [&stage.primary, &stage.standby] {
            let client = server.client("postgres").await.unwrap();
            client.batch_execute("SET enable_seqscan = off").await.unwrap();
            let row = client.query_one(sql, &[]).await.unwrap();
            answers.push((row.get::<_, i64>(0), row.get::<_, Option<i64>>(1)));
        }
        assert_eq!(answers[0], answers[1], "{sql}");
    }
    count
}
