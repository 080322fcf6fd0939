//! When the frames of a recorded log are due.
//!
//! [`Pacer`] only computes; whoever pulls the frames waits, so that a stop is obeyed at once.

use std::time::Duration;

use wire::time::Timestamp;

/// How fast a log is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as frames can be read.
    FlatOut,
    /// `1.0` as recorded, `60.0` sixty times as fast.
    Recorded(f64),
}

/// A pace that cannot be kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("speed {0:?} is neither a number above 0, as in 1 or 60, nor \"flat\"")]
pub struct PaceError(pub String);

impl std::str::FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        if matches!(text, "flat" | "flat-out") {
            return Ok(Pace::FlatOut);
        }
        match text.trim_end_matches('x').parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Pace::Recorded(factor)),
            _ => Err(PaceError(text.chars().take(40).collect())),
        }
    }
}

/// Longest quiet time in a log that is waited out, as recorded: a log joined of several drives
/// may have days between two frames.
const QUIET_MAX_US: i64 = 60_000_000;

/// Says how long to wait before each frame.
#[derive(Debug, Clone)]
pub struct Pacer {
    pace: Pace,
    /// The last frame's time, and log microseconds since the first frame, quiet times cut.
    last: Option<(Timestamp, i64)>,
    started_monotonic_us: i64,
}

impl Pacer {
    /// A pacer that starts with its first frame.
    pub fn new(pace: Pace) -> Self {
        Self { pace, last: None, started_monotonic_us: 0 }
    }

    /// How long to wait, at `monotonic_us`, until the frame recorded at `time` is due. A log
    /// whose clock goes back waits for nothing.
    pub fn wait(&mut self, time: Timestamp, monotonic_us: i64) -> Duration {
        let Pace::Recorded(factor) = self.pace else { return Duration::ZERO };
        let log_us = match self.last {
            None => {
                self.started_monotonic_us = monotonic_us;
                0
            }
            Some((last, log_us)) => log_us.saturating_add(time.since_us(last).clamp(0, QUIET_MAX_US)),
        };
        self.last = Some((time, log_us));
        #[allow(clippy::cast_precision_loss, reason = "a waiting time")]
        let due_s = log_us as f64 / factor / 1e6;
        let due = Duration::try_from_secs_f64(due_s).unwrap_or(Duration::MAX);
        let passed = Duration::from_micros(
            u64::try_from(monotonic_us.saturating_sub(self.started_monotonic_us)).unwrap_or(0),
        );
        due.saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_the_recorded_time_divided_by_the_speed() {
        let mut pacer = Pacer::new(Pace::Recorded(10.0));
        assert_eq!(pacer.wait(Timestamp(1_000_000), 500), Duration::ZERO);
        assert_eq!(pacer.wait(Timestamp(2_000_000), 500), Duration::from_millis(100));
        // 60 ms have gone by since the first frame.
        assert_eq!(pacer.wait(Timestamp(2_000_000), 60_500), Duration::from_millis(40));
        assert_eq!(pacer.wait(Timestamp(2_000_000), 10_000_000), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_jumps_back_or_far_ahead_does_not_stall_the_replay() {
        let mut pacer = Pacer::new(Pace::Recorded(1.0));
        pacer.wait(Timestamp(5_000_000), 0);
        assert_eq!(pacer.wait(Timestamp(0), 0), Duration::ZERO);
        assert_eq!(pacer.wait(Timestamp(86_400_000_000), 0), Duration::from_secs(60));
    }

    #[test]
    fn flat_out_never_waits_and_bad_speeds_are_refused() {
        let mut pacer = Pacer::new("flat".parse().unwrap());
        assert_eq!(pacer.wait(Timestamp(i64::MAX), 0), Duration::ZERO);
        assert_eq!("60x".parse(), Ok(Pace::Recorded(60.0)));
        for bad in ["0", "-1", "fast", "nan", ""] {
            assert!(bad.parse::<Pace>().is_err(), "{bad}");
        }
    }
}
