//! The only place that asks the machine what time it is.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A source of time; tests move theirs by hand.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Microseconds since 1970-01-01 UTC.
    fn now_us(&self) -> i64;
    /// Microseconds on a clock that never goes back, from an arbitrary start.
    fn monotonic_us(&self) -> i64;
    /// Microseconds since the machine was started, its sleep included: unlike `monotonic_us` it
    /// goes on when the process is started again. Where the system does not tell, since the
    /// process was.
    fn boot_us(&self) -> i64 {
        self.monotonic_us()
    }
}

/// A clock as it is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The machine's clocks, shared.
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn shared() -> SharedClock {
        Arc::new(Self { start: Instant::now() })
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    fn now_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => -micros(before.duration()),
        }
    }

    fn monotonic_us(&self) -> i64 {
        micros(self.start.elapsed())
    }

    #[cfg(target_os = "linux")]
    fn boot_us(&self) -> i64 {
        // The clock is there since Linux 2.6.39.
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or_else(
            |_| self.monotonic_us(),
            |since_boot| {
                since_boot.tv_sec().saturating_mul(1_000_000).saturating_add(since_boot.tv_nsec() / 1000)
            },
        )
    }
}

/// A clock that stands still until moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_us: AtomicI64,
    monotonic_us: AtomicI64,
}

impl ManualClock {
    /// Standing at `now_us`, its monotonic side at 0.
    pub fn at(now_us: i64) -> Arc<Self> {
        Arc::new(Self { now_us: AtomicI64::new(now_us), monotonic_us: AtomicI64::new(0) })
    }

    /// Moves both sides on.
    pub fn advance(&self, by: Duration) {
        self.now_us.fetch_add(micros(by), Ordering::SeqCst);
        self.monotonic_us.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as a bad RTC or NTP would.
    pub fn set_wall(&self, now_us: i64) {
        self.now_us.store(now_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.now_us.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> i64 {
        self.monotonic_us.load(Ordering::SeqCst)
    }
}

/// A duration in whole microseconds, saturating.
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
