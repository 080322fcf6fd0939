//! What a load run has seen, and how it is told.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::Fleet;

/// Times are counted by their power of two microseconds.
const BUCKETS: usize = 40;
/// `USER_HZ`, which Linux has fixed at 100 for all programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Counters of all vehicles.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) connected: AtomicU64,
    pub(super) disconnects: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) batches_acked: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) samples: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) rejected: AtomicU64,
    ack_times: [AtomicU64; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            connected: zero(),
            disconnects: zero(),
            batches: zero(),
            batches_acked: zero(),
            resent: zero(),
            samples: zero(),
            bytes: zero(),
            rejected: zero(),
            ack_times: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Counts {
    /// A batch is in the lake, so long after it was first sent.
    pub(super) fn acked(&self, after_us: i64) {
        let us = after_us.max(1).unsigned_abs();
        let bucket = usize::try_from(us.ilog2()).unwrap_or(0).min(BUCKETS - 1);
        if let Some(count) = self.ack_times.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.batches_acked.fetch_add(1, Ordering::Relaxed);
    }

    /// The time within which that share of acks came, at most a third off.
    fn ack_time_s(&self, share: f64) -> Option<f64> {
        let counts: Vec<u64> = self.ack_times.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        let sum: u64 = counts.iter().sum();
        #[allow(clippy::cast_precision_loss, reason = "a count for people")]
        let wanted = share * sum as f64;
        let mut below = 0.0;
        for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            #[allow(clippy::cast_precision_loss, reason = "a count for people")]
            let count = *count as f64;
            if below + count >= wanted {
                let from = 2_f64.powi(i32::try_from(bucket).unwrap_or(0));
                // Within a bucket as if evenly spread.
                return Some((from + from * ((wanted - below) / count).clamp(0.0, 1.0)) / 1e6);
            }
            below += count;
        }
        None
    }
}

/// Counts at one moment.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    vehicles: u32,
    elapsed_s: f64,
    connected: u64,
    disconnects: u64,
    pub(super) batches: u64,
    pub(super) batches_acked: u64,
    resent: u64,
    samples: u64,
    bytes: u64,
    rejected: u64,
    ack_p50_s: Option<f64>,
    ack_p95_s: Option<f64>,
    ack_p99_s: Option<f64>,
    watched: Option<Watched>,
}

/// Another process.
#[derive(Debug, Clone, Copy)]
struct Watched {
    rss_mib: f64,
    rss_max_mib: f64,
    cpu_s: f64,
}

impl Shown {
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn of(fleet: &Fleet, elapsed_us: i64) -> Self {
        let counts = &fleet.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Self {
            vehicles: fleet.arguments.vehicles,
            elapsed_s: elapsed_us as f64 / 1e6,
            connected: read(&counts.connected),
            disconnects: read(&counts.disconnects),
            batches: read(&counts.batches),
            batches_acked: read(&counts.batches_acked),
            resent: read(&counts.resent),
            samples: read(&counts.samples),
            bytes: read(&counts.bytes),
            rejected: read(&counts.rejected),
            ack_p50_s: counts.ack_time_s(0.5),
            ack_p95_s: counts.ack_time_s(0.95),
            ack_p99_s: counts.ack_time_s(0.99),
            watched: fleet.arguments.watch.and_then(watch),
        }
    }

    pub(super) fn line(&self) -> String {
        let watched = self
            .watched
            .map_or(String::new(), |w| format!("  watched {:.0} MiB, {:.1} s of CPU", w.rss_mib, w.cpu_s));
        format!(
            "{:>5.0} s  {} of {} connected  {} batches sent, {} in the lake, {} again  ack p50 {} p99 {}{watched}",
            self.elapsed_s,
            self.connected,
            self.vehicles,
            self.batches,
            self.batches_acked,
            self.resent,
            seconds(self.ack_p50_s),
            seconds(self.ack_p99_s),
        )
    }

    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn table(&self) -> String {
        let mut rows = vec![
            ("vehicles", self.vehicles.to_string()),
            ("connections lost", self.disconnects.to_string()),
            ("batches sent", self.batches.to_string()),
            ("  with a durable ack", self.batches_acked.to_string()),
            ("  sent again", self.resent.to_string()),
            ("  rejected", self.rejected.to_string()),
            ("samples", self.samples.to_string()),
            ("samples a second", format!("{:.0}", self.samples as f64 / self.elapsed_s)),
            ("payload bytes a sample", format!("{:.2}", self.bytes as f64 / self.samples.max(1) as f64)),
            ("to the ack, half of them", seconds(self.ack_p50_s)),
            ("to the ack, 95 %", seconds(self.ack_p95_s)),
            ("to the ack, 99 %", seconds(self.ack_p99_s)),
        ];
        if let Some(watched) = self.watched {
            rows.push(("watched, MiB at most", format!("{:.0}", watched.rss_max_mib)));
            rows.push(("watched, seconds of CPU", format!("{:.1}", watched.cpu_s)));
        }
        let lines = rows.iter().map(|(name, value)| format!("{name:<26} {value:>14}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(super) fn json(&self) -> String {
        json!({
            "vehicles": self.vehicles,
            "elapsed_s": self.elapsed_s,
            "disconnects": self.disconnects,
            "batches": self.batches,
            "batches_acked": self.batches_acked,
            "batches_resent": self.resent,
            "batches_rejected": self.rejected,
            "samples": self.samples,
            "payload_bytes": self.bytes,
            "ack_p50_s": self.ack_p50_s,
            "ack_p95_s": self.ack_p95_s,
            "ack_p99_s": self.ack_p99_s,
            "watched_rss_max_mib": self.watched.map(|w| w.rss_max_mib),
            "watched_cpu_s": self.watched.map(|w| w.cpu_s),
        })
        .to_string()
    }
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |s| format!("{s:.2} s"))
}

/// What a process takes, where it can be seen.
fn watch(pid: u32) -> Option<Watched> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mib = |key: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok()? / 1024.0)
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields after the name in parentheses: utime and stime are the 12th and 13th (proc_pid_stat(5)
    // counts them as 14 and 15).
    let (_, after) = stat.rsplit_once(')')?;
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    Some(Watched {
        rss_mib: mib("VmRSS:")?,
        rss_max_mib: mib("VmHWM:")?,
        cpu_s: ticks.sum::<f64>() / TICKS_PER_SECOND,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_the_ack_are_told_within_a_third() {
        let counts = Counts::default();
        assert_eq!(counts.ack_time_s(0.5), None);
        for ms in 1..=1000 {
            counts.acked(ms * 1000);
        }
        for (share, s) in [(0.5, 0.5), (0.95, 0.95), (0.99, 0.99)] {
            let found = counts.ack_time_s(share).unwrap();
            assert!((found / s - 1.0).abs() < 0.34, "{share}: {found}");
        }
        assert_eq!(counts.batches_acked.load(Ordering::Relaxed), 1000);
    }

    #[test]
    fn this_process_can_be_watched_and_one_that_is_not_there_cannot() {
        let own = watch(std::process::id()).unwrap();
        assert!(own.rss_mib > 1.0 && own.rss_max_mib >= own.rss_mib && own.cpu_s >= 0.0);
        assert!(watch(u32::MAX).is_none());
    }
}
