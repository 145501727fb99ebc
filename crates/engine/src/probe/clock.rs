//! A clock that nobody sets, and that goes on while the machine sleeps and while the probe does not run.

use paritas_probe::{Moment, Stamp};

/// The clock of this machine since it was started.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// What tells this start of the machine from others.
    name: String,
    /// Its place among the clocks of the observation.
    place: u32,
    #[cfg(not(target_os = "linux"))]
    begun: std::time::Instant,
}

impl Clock {
    /// The clock now.
    #[cfg(target_os = "linux")]
    pub(super) fn start() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        // A machine that does not tell its starts apart gets a clock for each run: no distance is better than a wrong one.
        let own = || ulid::Ulid::generate().to_string();
        let name = if boot.trim().is_empty() { own() } else { boot.trim().to_owned() };
        Self { name, place: 0 }
    }

    /// The clock now: elsewhere, moments of two runs have no distance.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn start() -> Self {
        Self { name: ulid::Ulid::generate().to_string(), place: 0, begun: std::time::Instant::now() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn at_place(self, place: u32) -> Self {
        Self { place, ..self }
    }

    /// Now, by both clocks.
    pub(super) fn now(&self) -> Stamp {
        let wall_us = jiff::Timestamp::now().as_microsecond();
        Stamp { at: Moment { clock: self.place, ns: self.ns() }, wall_us }
    }

    #[cfg(target_os = "linux")]
    #[expect(clippy::unused_self, reason = "elsewhere the clock begins with this value")]
    fn ns(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000) + u64::try_from(time.tv_nsec).unwrap_or(0)
    }

    #[cfg(not(target_os = "linux"))]
    fn ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
