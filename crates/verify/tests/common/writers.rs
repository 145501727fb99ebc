//! A source that is written while it is read, and a replica that follows with a lag. Everything that
//! happens is drawn from a seed and happens inside the calls of the comparison, so a schedule can be
//! run again.

use super::{Col, DATASET, at, ints, table};
use paritas_connect::{Call, Fault, FaultyStore, MemoryStore, Rule, Store, When};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A generator of random numbers: SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What is wrong with a row of the replica from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    Changed,
    Lost,
    Extra,
    /// Another value, and the source keeps writing the row, which never reaches the replica.
    Stuck,
}

/// Ids that the source writes.
pub const HOT: i64 = 20;
/// All ids.
pub const IDS: i64 = 60;
/// A value that the source never writes.
const WRONG: i64 = -1;

type Rows = BTreeMap<i64, (i64, u64)>;

#[derive(Debug)]
struct State {
    random: Random,
    log: Vec<(i64, Option<i64>)>,
    applied: usize,
    fence: usize,
    ours: Rows,
    theirs: Rows,
    planted: BTreeMap<i64, Plant>,
    writes_left: u64,
    physical: bool,
    versions: bool,
    fresh: i64,
    written_on_replica: u64,
}

/// Both sides and what happens to them.
#[derive(Debug, Clone)]
pub struct World {
    source: MemoryStore,
    replica: MemoryStore,
    state: Arc<Mutex<State>>,
}

impl World {
    pub fn new(seed: u64, planted: &[(i64, Plant)], writes: u64) -> Self {
        let mut random = Random(seed);
        let physical = random.one_in(2);
        let ours: Rows = (0..IDS).map(|id| (id, (id * 10, 1))).collect();
        let mut theirs = ours.clone();
        for (id, plant) in planted {
            match plant {
                Plant::Changed | Plant::Stuck => drop(theirs.insert(*id, (WRONG, 1))),
                Plant::Lost => drop(theirs.remove(id)),
                Plant::Extra => drop(theirs.insert(*id, (7, 1))),
            }
        }
        let state = State {
            random,
            log: Vec::new(),
            applied: 0,
            fence: 0,
            ours,
            theirs,
            planted: planted.iter().copied().collect(),
            writes_left: writes,
            physical,
            versions: true,
            fresh: 1_000,
            written_on_replica: 1,
        };
        let store = |name| MemoryStore::new(name).with_split_rows(13);
        let world = Self { source: store("east"), replica: store("west"), state: Arc::new(Mutex::new(state)) };
        world.publish(&world.state.lock().unwrap());
        world
    }

    /// Stores that have no versions of rows.
    pub fn without_versions(self) -> Self {
        self.state.lock().unwrap().versions = false;
        self.publish(&self.state.lock().unwrap());
        self
    }

    /// Both stores, in which things happen whenever they are called.
    pub fn stores(&self) -> (Arc<dyn Store>, Arc<dyn Store>) {
        let hook = |act: fn(&Self)| {
            let world = self.clone();
            Fault::First(Arc::new(move || act(&world)))
        };
        let step = |call| Rule::new(call, When::Always, hook(Self::step));
        let ours = vec![
            step(Call::Open),
            step(Call::Read),
            step(Call::Fetch),
            Rule::new(Call::Current, When::Always, hook(Self::take_fence)),
        ];
        let theirs = vec![
            step(Call::Open),
            step(Call::Read),
            step(Call::Fetch),
            Rule::new(Call::WaitFor, When::Always, hook(Self::reach_fence)),
        ];
        let store = |store: &MemoryStore, rules| Arc::new(FaultyStore::new(Arc::new(store.clone()), rules));
        (store(&self.source, ours), store(&self.replica, theirs))
    }

    /// Some writes, some of which arrive.
    fn step(&self) {
        let mut state = self.state.lock().unwrap();
        for _ in 0..state.random.below(5) {
            state.write();
        }
        let behind = (state.log.len() - state.applied) as u64;
        let arriving = state.random.below(behind + 1) as usize;
        let upto = state.applied + arriving;
        state.apply(upto);
        self.publish(&state);
    }

    fn take_fence(&self) {
        self.step();
        let mut state = self.state.lock().unwrap();
        state.fence = state.log.len();
    }

    fn reach_fence(&self) {
        let mut state = self.state.lock().unwrap();
        for _ in 0..state.random.below(4) {
            state.write();
        }
        let fence = state.fence.max(state.applied);
        let more = (state.log.len() - fence) as u64;
        let upto = fence + state.random.below(more + 1) as usize;
        state.apply(upto);
        self.publish(&state);
    }

    fn publish(&self, state: &State) {
        self.source.put(DATASET, rows(&state.ours, state.versions));
        self.source.set_position(at(100 + state.log.len() as u64));
        self.replica.put(DATASET, rows(&state.theirs, state.versions));
        self.replica.set_position(at(100 + state.applied as u64));
    }
}

impl State {
    fn write(&mut self) {
        if self.writes_left == 0 {
            return;
        }
        self.writes_left -= 1;
        let id = self.random.below(HOT.unsigned_abs()).cast_signed();
        match self.planted.get(&id) {
            // Rows with a planted fault are left alone, so that nothing heals them.
            Some(Plant::Changed | Plant::Lost | Plant::Extra) => return,
            Some(Plant::Stuck) => {
                self.fresh += 1;
                return self.log(id, Some(self.fresh));
            }
            None => {}
        }
        let old = self.ours.get(&id).map(|(value, _)| *value);
        match self.random.below(6) {
            0 => self.log(id, None),
            // There and back.
            1 => {
                self.log(id, Some(-2));
                self.log(id, old);
            }
            // Deleted and inserted again, as it was.
            2 => {
                self.log(id, None);
                self.log(id, old);
            }
            // Of two values.
            3 => self.log(id, Some(i64::from(old == Some(0)))),
            _ => {
                self.fresh += 1;
                self.log(id, Some(self.fresh));
            }
        }
    }

    fn log(&mut self, id: i64, value: Option<i64>) {
        self.log.push((id, value));
        let version = 1 + self.log.len() as u64;
        match value {
            Some(value) => drop(self.ours.insert(id, (value, version))),
            None => drop(self.ours.remove(&id)),
        }
    }

    fn apply(&mut self, upto: usize) {
        while self.applied < upto {
            let (id, value) = self.log[self.applied];
            self.applied += 1;
            self.written_on_replica += 1;
            let version = if self.physical { 1 + self.applied as u64 } else { self.written_on_replica };
            match value {
                _ if self.planted.contains_key(&id) => {}
                Some(value) => drop(self.theirs.insert(id, (value, version))),
                None => drop(self.theirs.remove(&id)),
            }
        }
    }
}

fn rows(rows: &Rows, versions: bool) -> paritas_connect::MemoryTable {
    let column = |f: fn(&i64, &(i64, u64)) -> i64| ints(rows.iter().map(|(id, row)| f(id, row)).collect::<Vec<_>>());
    let names = Col::Text(rows.keys().map(|id| Some(format!("a-name-as-key-{id}"))).collect());
    let columns = [
        ("id", column(|id, _| *id)),
        ("grp", column(|id, _| *id % 8)),
        ("name", names),
        ("v", column(|_, row| row.0)),
        ("version", column(|_, row| row.1.cast_signed())),
    ];
    let table = table(&columns, &["id"]);
    if versions { table.with_version_column("version") } else { table }
}
