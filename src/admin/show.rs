//! What the admin commands print.

use std::collections::BTreeMap;

use ingest::replay::Replayed;
use lake::{
    audit::{Audit, FaultKind},
    maintenance::{Compacted, erase::Erased, status::TableStatus},
};
use serde::Serialize;

use crate::terminal::{aligned, text};

pub(super) fn by_table<T: Serialize + Copy>(all: &[(&'static str, T)]) -> BTreeMap<&'static str, T> {
    all.iter().copied().collect()
}

pub(super) fn status(all: &[TableStatus]) -> anyhow::Result<()> {
    let mut rows = vec![
        [
            "table",
            "version",
            "files",
            "loose",
            "to rewrite",
            "bytes",
            "rows",
            "first day",
            "last day",
            "checkpoint",
        ]
        .map(str::to_owned),
    ];
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for table in all {
        rows.push([
            table.table.to_owned(),
            table.version.to_string(),
            table.files.to_string(),
            table.loose_files.to_string(),
            format!("{} days", table.days_to_rewrite),
            bytes(table.bytes),
            or_dash(table.rows.map(|n| n.to_string())),
            or_dash(table.oldest_day.clone()),
            or_dash(table.newest_day.clone()),
            or_dash(table.checkpoint_version.map(|v| v.to_string())),
        ]);
    }
    text(&aligned(&rows))
}

pub(super) fn audit(audit: &Audit) -> anyhow::Result<()> {
    let mut out = format!(
        "{} streams, {} batches, {} rows\n{} batches missing, {} doubled",
        audit.streams, audit.batches, audit.rows, audit.missing_batches, audit.doubled_batches
    );
    if audit.expired_batches > 0 {
        out.push_str(&format!(", {} gone by retention or erasure", audit.expired_batches));
    }
    out.push('\n');
    for fault in &audit.faults {
        let what = match fault.fault {
            FaultKind::Hole => "missing",
            FaultKind::Double => "doubled",
        };
        out.push_str(&format!(
            "{what}  {}  stream {}  batches {} to {}\n",
            fault.vehicle_id, fault.stream_id, fault.from_sequence, fault.to_sequence
        ));
    }
    text(&out)
}

pub(super) fn compacted(all: &[(&'static str, Compacted)]) -> anyhow::Result<()> {
    let line = |(table, done): &(&str, Compacted)| {
        format!(
            "{table}: {} files of {} became {} of {}\n",
            done.files_removed,
            bytes(done.bytes_removed),
            done.files_added,
            bytes(done.bytes_added)
        )
    };
    text(&all.iter().map(line).collect::<String>())
}

pub(super) fn vacuumed(all: &[(&'static str, u64)]) -> anyhow::Result<()> {
    text(&all.iter().map(|(table, files)| format!("{table}: {files} files deleted\n")).collect::<String>())
}

pub(super) fn erased(all: &[(&'static str, Erased)]) -> anyhow::Result<()> {
    let line = |(table, done): &(&str, Erased)| {
        format!("{table}: {} rows erased from {} files\n", done.rows, done.files)
    };
    text(&all.iter().map(line).collect::<String>())
}

pub(super) fn replayed(done: &Replayed) -> anyhow::Result<()> {
    text(&format!(
        "{} payloads looked at: {} stored ({} samples, {} were there already), {} stay in quarantine\n",
        done.payloads, done.accepted, done.samples_stored, done.samples_duplicate, done.refused
    ))
}

pub(super) fn bytes(n: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| n >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(n) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{n} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_decimal_and_a_unit() {
        assert_eq!([0, 1023, 1536, 5 << 30].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
    }
}
