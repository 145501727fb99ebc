//! Many samples of one stream in little room: counts and HdrHistograms.
//!
//! The lag of a sample is an interval, so there is one histogram of lower ends and one of upper ends. The true value of
//! rank `r` lies between the `r`th lower and the `r`th upper end, whichever sample it belongs to.

use super::encoded;
use super::entry::{Sample, Span};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use paritas_model::LagState;

/// Significant decimal digits of a histogram: every figure is exact to a thousandth.
pub const DIGITS: u8 = 3;
/// Larger values are recorded as this one: 36,000 years in microseconds, an exabyte.
const VALUE_MAX: u64 = 1 << 60;
/// All states, in the order of their numbers in the tables.
pub(super) const STATES: [LagState; 5] =
    [LagState::CaughtUp, LagState::Behind, LagState::Stalled, LagState::Broken, LagState::Unknown];

/// The number of a state.
pub(super) fn state_number(state: LagState) -> usize {
    STATES.iter().position(|own| *own == state).unwrap_or(STATES.len() - 1)
}

/// A histogram that takes no room while it is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values(Option<Histogram<u64>>);

impl Values {
    fn add(&mut self, value: u64) {
        if self.0.is_none() {
            // Three digits are always possible.
            self.0 = Histogram::new(DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // It grows by itself up to values far beyond the largest.
            let _ = histogram.record(value.min(VALUE_MAX));
        }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Some(own), Some(other)) => drop(own.add(other)),
            (own @ None, Some(other)) => *own = Some(other.clone()),
            (_, None) => {}
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// How many are larger than a value for certain.
    pub fn count_above(&self, value: u64) -> u64 {
        let Some(histogram) = &self.0 else { return 0 };
        histogram
            .iter_recorded()
            .filter(|step| histogram.lowest_equivalent(step.value_iterated_to()) > value)
            .map(|step| step.count_since_last_iteration())
            .sum()
    }

    /// How many may be larger than a value.
    pub fn count_not_within(&self, value: u64) -> u64 {
        let Some(histogram) = &self.0 else { return 0 };
        let within = |highest: u64| histogram.highest_equivalent(highest) <= value;
        histogram
            .iter_recorded()
            .filter(|step| !within(step.value_iterated_to()))
            .map(|step| step.count_since_last_iteration())
            .sum()
    }

    /// The value of a rank, from 1 on, as the interval of what the histogram cannot tell apart.
    pub fn ranked(&self, rank: u64) -> Option<(u64, u64)> {
        let histogram = self.0.as_ref()?;
        let mut seen = 0;
        for step in histogram.iter_recorded() {
            seen += step.count_since_last_iteration();
            if seen >= rank {
                let value = step.value_iterated_to();
                return Some((histogram.lowest_equivalent(value), histogram.highest_equivalent(value)));
            }
        }
        None
    }

    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(self.0.as_ref()?, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Takes in what a [`Sum`] has added up.
    fn take(&mut self, sum: &Sum) {
        for (index, count) in sum.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            if self.0.is_none() {
                self.0 = Histogram::new(DIGITS).ok();
            }
            if let Some(histogram) = &mut self.0 {
                let _ = histogram.record_n(encoded::value_of(index), *count);
            }
        }
    }

    pub(super) fn decode(bytes: Option<&[u8]>) -> Option<Self> {
        let Some(mut bytes) = bytes else { return Some(Self(None)) };
        let mut histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes).ok()?;
        histogram.auto(true);
        Some(Self(Some(histogram)))
    }
}

/// Many encoded histograms, added up count by count. To make each of them first would take many times as long: most of
/// what a histogram allocates is zero.
#[derive(Debug, Default)]
pub(super) struct Sum(Vec<u64>);

impl Sum {
    /// Adds a histogram as [`Values::encode`] wrote it; nothing when it is none.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Option<()> {
        encoded::counts(bytes, |index, count| {
            if self.0.len() <= index {
                self.0.resize(index + 1, 0);
            }
            if let Some(own) = self.0.get_mut(index) {
                *own = own.saturating_add(count);
            }
        })
    }
}

/// Samples of one stream, added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aggregate {
    /// By state, in the order of the states' numbers.
    pub(super) states: [u64; 5],
    /// Samples with a time but without an upper end.
    pub unbounded: u64,
    /// Samples before which nothing limits the lag: the first one, and those after one without an upper end.
    pub open: u64,
    /// Lower ends of the lag, in microseconds.
    pub low: Values,
    /// Upper ends.
    pub high: Values,
    /// The most that the lag can have been right before a sample: the upper end of the sample before it, and the time since.
    pub before: Values,
    /// What a failover would have lost for certain, in microseconds.
    pub loss: Values,
    /// Bytes.
    pub bytes: Values,
    /// Records.
    pub records: Values,
    /// Versions.
    pub versions: Values,
}

impl Aggregate {
    /// Adds a sample, with the one before it.
    pub fn add(&mut self, sample: &Sample, earlier: Option<&Sample>) {
        if let Some(count) = self.states.get_mut(state_number(sample.state)) {
            *count += 1;
        }
        if sample.is_known() {
            self.low.add(sample.low.unwrap_or(0));
            self.loss.add(sample.loss.unwrap_or(0));
            match sample.high {
                Some(high) => self.high.add(high),
                None => self.unbounded += 1,
            }
        }
        match earlier.and_then(|earlier| reach(earlier, sample.at)) {
            Some(bound) => self.before.add(bound),
            None => self.open += 1,
        }
        for (values, value) in [
            (&mut self.bytes, sample.bytes),
            (&mut self.records, sample.records),
            (&mut self.versions, sample.versions),
        ] {
            if let Some(value) = value {
                values.add(value);
            }
        }
    }

    /// Adds what was added up elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in self.states.iter_mut().zip(other.states) {
            *own += other;
        }
        self.unbounded += other.unbounded;
        self.open += other.open;
        for (own, other) in self.all_mut().into_iter().zip(other.all()) {
            own.merge(other);
        }
    }

    /// Adds histograms that were added up in the order of their columns.
    pub(super) fn take(&mut self, sums: &[Sum; 7]) {
        for (own, sum) in self.all_mut().into_iter().zip(sums) {
            own.take(sum);
        }
    }

    /// All samples.
    pub fn samples(&self) -> u64 {
        self.states.iter().sum()
    }

    /// Samples whose time is known.
    pub fn known(&self) -> u64 {
        self.low.count()
    }

    /// Samples whose time is not known.
    pub fn unknown(&self) -> u64 {
        self.samples().saturating_sub(self.known())
    }

    /// How often a state was seen.
    pub fn seen(&self, state: LagState) -> u64 {
        self.states.get(state_number(state)).copied().unwrap_or(0)
    }

    /// The lag below which a part of the known samples lies, in thousandths: 990 for the 99th percentile, 1,000 for the
    /// largest. `None` without any known sample.
    pub fn lag(&self, thousandths: u64) -> Option<Span> {
        let rank = rank(self.known(), thousandths)?;
        // Those without an upper end are larger than all others.
        Some(Span {
            low: self.low.ranked(rank).map(|(lowest, _)| lowest),
            high: self.high.ranked(rank).map(|(_, highest)| highest),
        })
    }

    /// The same of a number of things: bytes, records, versions. The figure is rounded up.
    pub fn figure(values: &Values, thousandths: u64) -> Option<u64> {
        values.ranked(rank(values.count(), thousandths)?).map(|(_, highest)| highest)
    }

    /// The histograms in the order of their columns.
    pub(super) fn all(&self) -> [&Values; 7] {
        [&self.low, &self.high, &self.before, &self.loss, &self.bytes, &self.records, &self.versions]
    }

    pub(super) fn all_mut(&mut self) -> [&mut Values; 7] {
        let Self { low, high, before, loss, bytes, records, versions, .. } = self;
        [low, high, before, loss, bytes, records, versions]
    }

    /// The numbers beside the histograms.
    pub(super) fn counts(&self) -> Vec<u8> {
        let numbers = self.states.into_iter().chain([self.unbounded, self.open]);
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    /// Adds the numbers beside the histograms.
    pub(super) fn add_counts(&mut self, bytes: &[u8]) -> Option<()> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let own = self.states.iter_mut().chain([&mut self.unbounded, &mut self.open]);
        if !rest.is_empty() || numbers.len() != STATES.len() + 2 {
            return None;
        }
        for (own, number) in own.zip(numbers) {
            *own = own.saturating_add(u64::from_le_bytes(*number));
        }
        Some(())
    }
}

/// The most that the lag can be at a moment after a sample. A replica does not forget: what it showed it shows, so the
/// oldest change that it lacks ages with the clock and no faster.
pub fn reach(sample: &Sample, at: i64) -> Option<u64> {
    let since = u64::try_from(at.checked_sub(sample.at)?).ok()?;
    sample.high.filter(|_| sample.is_known() && sample.state != LagState::Broken)?.checked_add(since)
}

/// The nearest rank, from 1 on; `None` of nothing.
fn rank(count: u64, thousandths: u64) -> Option<u64> {
    if count == 0 {
        return None;
    }
    let rank = (u128::from(count) * u128::from(thousandths.min(1_000))).div_ceil(1_000);
    u64::try_from(rank).ok().map(|rank| rank.max(1))
}
