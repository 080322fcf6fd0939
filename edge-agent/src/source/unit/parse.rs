//! The texts of `/proc`, as `proc(5)` has them.

/// Processor time in ticks, of all processors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CpuTimes {
    idle: f64,
    total: f64,
}

impl CpuTimes {
    /// The share of time not idle since `before`.
    pub(super) fn busy_percent_since(self, before: Self) -> Option<f64> {
        let (idle, total) = (self.idle - before.idle, self.total - before.total);
        // Idle time may go back by a tick or two on some kernels.
        (total > 0.0).then(|| ((1.0 - idle / total) * 100.0).clamp(0.0, 100.0))
    }
}

/// Bytes since the machine started, over all interfaces but the loopback and CAN.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Traffic {
    pub(super) received_bytes: f64,
    pub(super) sent_bytes: f64,
}

/// `/proc/stat`: `cpu  user nice system idle iowait irq softirq steal guest guest_nice`.
pub(super) fn cpu_times(text: &str) -> Option<CpuTimes> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    // Guest times are part of user and nice already.
    let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
    let (idle, waiting) = (ticks.get(3).copied()?, ticks.get(4).copied().unwrap_or(0.0));
    Some(CpuTimes { idle: idle + waiting, total: ticks.iter().sum() })
}

/// The first number of a text: `/proc/loadavg`, `/proc/uptime`, a temperature in millidegrees.
pub(super) fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `/proc/meminfo`: what is not available to a new program, of all.
pub(super) fn memory_percent(text: &str) -> Option<f64> {
    let (total, available) = (field(text, "MemTotal:")?, field(text, "MemAvailable:")?);
    (total > 0.0).then(|| ((1.0 - available / total) * 100.0).clamp(0.0, 100.0))
}

/// `/proc/self/status`: the agent's own memory.
pub(super) fn resident_mib(text: &str) -> Option<f64> {
    field(text, "VmRSS:").map(|kib| kib / 1024.0)
}

/// The number after a name at the start of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)).and_then(first_number)
}

/// `/proc/net/dev`: `name: bytes packets errs drop fifo frame compressed multicast bytes ...`.
pub(super) fn traffic(text: &str) -> Traffic {
    let mut sum = Traffic::default();
    for line in text.lines() {
        let Some((name, counts)) = line.split_once(':') else { continue };
        let name = name.trim();
        if name == "lo" || name.starts_with("can") || name.starts_with("vcan") {
            continue;
        }
        let counts: Vec<f64> = counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
        sum.received_bytes += counts.first().copied().unwrap_or(0.0);
        sum.sent_bytes += counts.get(8).copied().unwrap_or(0.0);
    }
    sum
}

/// `/proc/net/wireless`: the level of the first interface, `name: status link level noise ...`.
/// Positive levels are a share of an unknown scale, not dBm.
pub(super) fn wireless_dbm(text: &str) -> Option<f64> {
    let (_, values) = text.lines().skip(2).find_map(|line| line.split_once(':'))?;
    let level = values.split_whitespace().nth(2)?.trim_end_matches('.').parse::<f64>().ok()?;
    (-199.0..0.0).contains(&level).then_some(level)
}

/// Whether a thermal zone's type is that of a processor, by the names kernels give.
pub(super) fn is_processor_zone(kind: &str) -> bool {
    let kind = kind.trim().to_ascii_lowercase();
    ["cpu", "soc", "x86_pkg_temp", "coretemp", "package"].iter().any(|name| kind.contains(name))
}
