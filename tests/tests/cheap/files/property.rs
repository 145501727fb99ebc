//! Whatever happens to files between snapshots: the digest is that of a full reading.

use super::world::{DAY, Kind, TICK, World, bytes};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::time::{Duration, SystemTime};

/// Files at a time, at most.
const FILES_MAX: usize = 12;

#[derive(Debug, Clone)]
enum Step {
    Add {
        day: u8,
        rows: u8,
        salt: u8,
    },
    Remove(usize),
    /// Written in place, with another content of any size.
    Rewrite(usize, u8, u8),
    /// The same size and the same time of change.
    Disguise(usize, u8),
    /// CSV only.
    Append(usize),
    Touch(usize),
    /// To another name or another partition.
    Move(usize, u8),
    /// Two files change places.
    Swap(usize, usize),
    Settle,
    Snapshot,
    /// Everything has its turn.
    Reread,
    /// What was kept is lost.
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    let file = || 0..FILES_MAX;
    prop_oneof![
        3 => (1..4_u8, 0..40_u8, any::<u8>()).prop_map(|(day, rows, salt)| Step::Add { day, rows, salt }),
        1 => file().prop_map(Step::Remove),
        2 => (file(), 0..40_u8, any::<u8>()).prop_map(|(file, rows, salt)| Step::Rewrite(file, rows, salt)),
        2 => (file(), any::<u8>()).prop_map(|(file, salt)| Step::Disguise(file, salt)),
        1 => file().prop_map(Step::Append),
        1 => file().prop_map(Step::Touch),
        1 => (file(), 1..4_u8).prop_map(|(file, day)| Step::Move(file, day)),
        1 => (file(), file()).prop_map(|(one, other)| Step::Swap(one, other)),
        3 => Just(Step::Settle),
        5 => Just(Step::Snapshot),
        1 => Just(Step::Reread),
        1 => Just(Step::Forget),
    ]
}

/// The files that there are, with the first id and the number of rows of each.
struct Files {
    world: World,
    files: BTreeMap<String, (i64, i64)>,
    made: i64,
}

impl Files {
    fn new(kind: Kind) -> Self {
        let mut files = Self { world: World::new(kind), files: BTreeMap::new(), made: 0 };
        files.add(1, 5, 0);
        files
    }

    fn fresh(&mut self, day: u8) -> String {
        self.made += 1;
        let ending = if self.world.kind == Kind::Csv { "csv" } else { "parquet" };
        format!("day={day}/f{}.{ending}", self.made)
    }

    fn add(&mut self, day: u8, rows: u8, salt: u8) {
        let name = self.fresh(day);
        let (first, rows) = (self.made * 1_000, i64::from(rows));
        self.world.write(&name, first..first + rows, i64::from(salt));
        self.files.insert(name, (first, rows));
    }

    fn chosen(&self, file: usize) -> (String, (i64, i64)) {
        let (name, rows) = self.files.iter().nth(file % self.files.len()).unwrap();
        (name.clone(), *rows)
    }

    fn rename(&self, from: &str, to: &str) {
        let to = self.world.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(self.world.path(from), to).unwrap();
    }

    /// Everything that is no snapshot.
    fn change(&mut self, step: &Step) {
        match *step {
            Step::Add { day, rows, salt } if self.files.len() < FILES_MAX => self.add(day, rows, salt),
            Step::Remove(file) if self.files.len() > 1 => {
                let (name, _) = self.chosen(file);
                fs::remove_file(self.world.path(&name)).unwrap();
                self.files.remove(&name);
            }
            Step::Rewrite(file, rows, salt) => {
                let (name, (first, _)) = self.chosen(file);
                let rows = i64::from(rows);
                self.world.write(&name, first..first + rows, i64::from(salt));
                self.files.insert(name, (first, rows));
            }
            Step::Disguise(file, salt) => {
                let (name, (first, rows)) = self.chosen(file);
                let path = self.world.path(&name);
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                fs::write(&path, bytes(self.world.kind, first..first + rows, i64::from(salt))).unwrap();
                File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            }
            Step::Append(file) if self.world.kind == Kind::Csv => {
                let (name, _) = self.chosen(file);
                let mut file = OpenOptions::new().append(true).open(self.world.path(&name)).unwrap();
                self.made += 1;
                std::io::Write::write_all(&mut file, format!("{},more\n", self.made * 1_000 + 999).as_bytes()).unwrap();
            }
            Step::Touch(file) => {
                let (name, _) = self.chosen(file);
                let file = File::options().write(true).open(self.world.path(&name)).unwrap();
                file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
            }
            Step::Move(file, day) => {
                let (name, rows) = self.chosen(file);
                let to = self.fresh(day);
                self.rename(&name, &to);
                self.files.remove(&name);
                self.files.insert(to, rows);
            }
            Step::Swap(one, other) => {
                let ((one, rows), (other, others)) = (self.chosen(one), self.chosen(other));
                self.rename(&one, "swapped.tmp");
                if one == other {
                    self.rename("swapped.tmp", &one);
                } else {
                    self.rename(&other, &one);
                    self.rename("swapped.tmp", &other);
                    self.files.insert(one, others);
                    self.files.insert(other, rows);
                }
            }
            Step::Settle => std::thread::sleep(2 * TICK),
            Step::Forget => self.world.folder().remove().unwrap(),
            Step::Add { .. } | Step::Remove(_) | Step::Append(_) | Step::Snapshot | Step::Reread => {}
        }
    }
}

/// Takes the steps; how many files were taken over in all.
async fn run(kind: Kind, steps: &[Step]) -> u64 {
    let mut files = Files::new(kind);
    let mut kept = 0;
    for step in steps.iter().chain([&Step::Snapshot, &Step::Settle, &Step::Snapshot, &Step::Snapshot]) {
        files.change(step);
        files.world.within = if matches!(step, Step::Reread) { Duration::ZERO } else { DAY };
        if matches!(step, Step::Snapshot | Step::Reread) {
            kept += files.world.take().await.right().reading.files_kept;
        }
    }
    kept
}

fn check(kind: Kind) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let steps = prop::collection::vec(step(), 1..25);
    proptest::test_runner::TestRunner::new(config)
        .run(&steps, |steps| {
            let kept = runtime.block_on(run(kind, &steps));
            // The last two of the snapshots follow each other, and nothing was written for longer than a tick.
            prop_assert!(kept > 0, "nothing is ever taken over: this test cannot fail");
            Ok(())
        })
        .unwrap();
}

#[test]
fn csv_files_are_digested_as_by_a_full_reading_whatever_happens_to_them() {
    check(Kind::Csv);
}

#[test]
fn parquet_files_are_digested_as_by_a_full_reading_whatever_happens_to_them() {
    check(Kind::Parquet);
}
