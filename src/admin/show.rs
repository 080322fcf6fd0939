//! What the admin commands print.

use std::{collections::BTreeMap, io::Write};

use ingest::replay::Replayed;
use lake::{
    audit::{Audit, FaultKind},
    maintenance::{Compacted, erase::Erased, status::TableStatus},
};
use serde::Serialize;

pub(super) fn text(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // `… | head` is a quiet end.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

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

/// Columns padded to their widest value; all but the first to the right.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, value) in widths.iter_mut().zip(row) {
            *width = (*width).max(value.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        for (i, (value, &width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - value.chars().count());
            out.push_str(&if i == 0 { format!("{value}{padding}") } else { format!("  {padding}{value}") });
        }
        out.push('\n');
    }
    out
}

fn bytes(n: u64) -> String {
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

    #[test]
    fn numbers_are_aligned_to_the_right() {
        let rows = [["a".to_owned(), "10".to_owned()], ["long".to_owned(), "2".to_owned()]];
        assert_eq!(aligned(&rows), "a     10\nlong   2\n");
    }
}
