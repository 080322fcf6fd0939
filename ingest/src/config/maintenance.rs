//! Configuration of maintenance.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use lake::{
    TableKind, Whose,
    maintenance::{CompactionPolicy, expire::VACUUM_RETENTION_MIN},
    properties::RETIRED_DAYS_MAX,
};
use serde::{Deserialize, Serialize};
use service::{
    config::{ByteSize, DurationText, Faults},
    logs::chain,
};

const DAY: Duration = Duration::from_secs(86_400);

/// The section `[maintenance]` of `configs/ingest.toml`, which explains every key.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaintenanceConfig {
    /// Whether instance 0 does it.
    pub is_enabled: bool,
    /// Time between looks for days to rewrite.
    pub compaction_interval: DurationText,
    /// Size of the files that are made.
    pub file_bytes_target: ByteSize,
    /// Loose files that make a day worth a rewrite while it still gets data.
    pub loose_files_min: usize,
    /// A day without new data for this long is put in order for good.
    pub settle: DurationText,
    /// Memory of a sort.
    pub sort_memory_bytes_max: ByteSize,
    /// Disk of a sort beyond its memory.
    pub spill_bytes_max: ByteSize,
    /// Where that is.
    pub spill_dir: Option<PathBuf>,
    /// Time between vacuums, retentions and clean-ups of the log.
    pub expiry_interval: DurationText,
    /// How long retired files are kept.
    pub vacuum_retention: DurationText,
    /// How long entries of the log are kept.
    pub log_retention: DurationText,
    /// Days kept, by table; a table that is not named is kept for ever.
    pub retention_days: BTreeMap<String, u32>,
    /// Days kept of some vehicles, where that is shorter.
    pub retention_of: Vec<RetentionOfConfig>,
}

/// A section `[[maintenance.retention_of]]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionOfConfig {
    /// Vehicle ids, and beginnings of some with `*` after them.
    pub vehicles: Vec<String>,
    /// Days kept, by table.
    pub days: BTreeMap<String, u32>,
}

/// How long rows of some vehicles are kept.
#[derive(Debug, Clone)]
pub struct RetentionOf {
    /// Whose.
    pub whose: Whose,
    /// Days kept, by table.
    pub days: BTreeMap<TableKind, u32>,
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        let policy = CompactionPolicy::default();
        Self {
            is_enabled: true,
            compaction_interval: DurationText(Duration::from_secs(300)),
            file_bytes_target: ByteSize(policy.file_bytes_target),
            loose_files_min: policy.loose_files_min,
            settle: DurationText(policy.settle),
            sort_memory_bytes_max: ByteSize(policy.sort_memory_bytes_max as u64),
            spill_bytes_max: ByteSize(policy.spill_bytes_max),
            spill_dir: None,
            expiry_interval: DurationText(Duration::from_secs(6 * 3600)),
            vacuum_retention: DurationText(VACUUM_RETENTION_MIN),
            log_retention: DurationText(30 * DAY),
            retention_days: BTreeMap::new(),
            retention_of: Vec::new(),
        }
    }
}

/// Maintenance, checked.
#[derive(Debug, Clone)]
pub struct MaintenanceSettings {
    /// See [`MaintenanceConfig::is_enabled`].
    pub is_enabled: bool,
    /// See [`MaintenanceConfig::compaction_interval`].
    pub compaction_interval: Duration,
    /// How days are rewritten.
    pub policy: CompactionPolicy,
    /// See [`MaintenanceConfig::expiry_interval`].
    pub expiry_interval: Duration,
    /// See [`MaintenanceConfig::vacuum_retention`].
    pub vacuum_retention: Duration,
    /// See [`MaintenanceConfig::log_retention`].
    pub log_retention: Duration,
    /// See [`MaintenanceConfig::retention_days`].
    pub retention_days: BTreeMap<TableKind, u32>,
    /// See [`MaintenanceConfig::retention_of`].
    pub retention_of: Vec<RetentionOf>,
}

impl MaintenanceConfig {
    /// Checks it; faults go to the collector.
    pub(super) fn check(self, faults: &mut Faults) -> Option<MaintenanceSettings> {
        const FILE_BYTES_MIN: u64 = 1 << 20;
        const SORT_BYTES_MIN: u64 = 16 << 20;
        let mut at_least = |key: &str, given: ByteSize, min: u64| {
            if given.0 < min {
                faults.add(&format!("maintenance.{key}"), format!("must be at least {}", ByteSize(min)));
            }
        };
        at_least("file_bytes_target", self.file_bytes_target, FILE_BYTES_MIN);
        at_least("sort_memory_bytes_max", self.sort_memory_bytes_max, SORT_BYTES_MIN);
        for (key, given) in [
            ("compaction_interval", self.compaction_interval),
            ("settle", self.settle),
            ("expiry_interval", self.expiry_interval),
        ] {
            if given.0 < Duration::from_secs(1) {
                faults.add(&format!("maintenance.{key}"), "must be at least \"1s\"");
            }
        }
        if self.loose_files_min < 2 {
            faults.add("maintenance.loose_files_min", "must be at least 2");
        }
        let kept_max = u32::try_from(RETIRED_DAYS_MAX).map_or(DAY, |days| days * DAY);
        if !(VACUUM_RETENTION_MIN..=kept_max).contains(&self.vacuum_retention.0) {
            faults.add(
                "maintenance.vacuum_retention",
                "must be 7 to 30 days: shorter would take files from running queries, and the log tells of \
                 retired files no longer",
            );
        }
        if self.log_retention.0 < self.vacuum_retention.0 {
            faults.add("maintenance.log_retention", "must not be shorter than vacuum_retention");
        }
        let retention_days = days_by_table("maintenance.retention_days", &self.retention_days, faults);
        let retention_of = self.retention_of.iter().enumerate().filter_map(|(i, of)| {
            let key = format!("maintenance.retention_of[{i}]");
            let days = days_by_table(&format!("{key}.days"), &of.days, faults);
            if days.is_empty() {
                faults.add(&format!("{key}.days"), "names no table");
            }
            match of.vehicles.join(",").parse() {
                Ok(whose) => Some(RetentionOf { whose, days }),
                Err(error) => {
                    faults.add(&format!("{key}.vehicles"), chain(&error).to_string());
                    None
                }
            }
        });
        let retention_of = retention_of.collect();
        Some(MaintenanceSettings {
            is_enabled: self.is_enabled,
            compaction_interval: self.compaction_interval.0,
            policy: CompactionPolicy {
                file_bytes_target: self.file_bytes_target.0,
                loose_files_min: self.loose_files_min,
                settle: self.settle.0,
                sort_memory_bytes_max: super::to_usize(self.sort_memory_bytes_max),
                spill_bytes_max: self.spill_bytes_max.0,
                spill_dir: self.spill_dir,
            },
            expiry_interval: self.expiry_interval.0,
            vacuum_retention: self.vacuum_retention.0,
            log_retention: self.log_retention.0,
            retention_days,
            retention_of,
        })
    }
}

/// Days kept, by the names of tables; faults go to the collector.
fn days_by_table(key: &str, given: &BTreeMap<String, u32>, faults: &mut Faults) -> BTreeMap<TableKind, u32> {
    let mut days_of = BTreeMap::new();
    for (name, &days) in given {
        let key = format!("{key}.{name}");
        match TableKind::ALL.into_iter().find(|kind| kind.name() == name) {
            None => faults.add(&key, "is no table of the lake"),
            Some(_) if days == 0 => {
                faults.add(&key, "must be at least 1; leave the table out to keep it for ever");
            }
            Some(kind) => {
                days_of.insert(kind, days);
            }
        }
    }
    days_of
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(config: MaintenanceConfig) -> String {
        let mut faults = Faults::of("test");
        let settings = config.check(&mut faults);
        faults.finish(settings).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn defaults_are_fine() {
        assert_eq!(faults_of(MaintenanceConfig::default()), "");
    }

    #[test]
    fn every_fault_is_told_with_its_key() {
        let told = faults_of(MaintenanceConfig {
            vacuum_retention: DurationText(DAY),
            loose_files_min: 1,
            file_bytes_target: ByteSize(10),
            retention_days: [("reading".to_owned(), 3), ("signals".to_owned(), 0)].into_iter().collect(),
            retention_of: vec![
                RetentionOfConfig {
                    vehicles: vec!["acme-*".to_owned(), "A*".to_owned()],
                    days: [("trip".to_owned(), 3)].into_iter().collect(),
                },
                RetentionOfConfig { vehicles: Vec::new(), days: BTreeMap::new() },
            ],
            ..MaintenanceConfig::default()
        });
        for key in [
            "vacuum_retention",
            "loose_files_min",
            "file_bytes_target",
            "retention_days.reading",
            "days.signals",
            "retention_of[0].vehicles",
            "retention_of[0].days.trip",
            "retention_of[1].vehicles",
            "retention_of[1].days",
        ] {
            assert!(told.contains(key), "{key}: {told}");
        }
    }
}
