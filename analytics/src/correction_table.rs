//! Corrections as the `trip_corrections` table holds them, both ways, and what holds of them.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch};
use lake::TableKind;

use crate::{
    columns::{self, Columns, RowError, days, ints, texts, times, unknown},
    row::{CorrectionKind, CorrectionRow, CorrectionStatus, Purpose},
    trips::{Corrections, Said},
};

/// Rows in the table's schema.
pub(crate) fn to_batch(rows: &[CorrectionRow]) -> Result<RecordBatch, RowError> {
    columns::to_batch(TableKind::TripCorrections, rows, column)
}

/// The rows of batches, in order.
pub(crate) fn from_batches(batches: &[RecordBatch]) -> Result<Vec<CorrectionRow>, RowError> {
    columns::from_batches(TableKind::TripCorrections, batches, row)
}

fn column(name: &str, rows: &[CorrectionRow]) -> ArrayRef {
    match name {
        "correction_id" => texts(rows, |r| Some(&r.correction_id)),
        "revision" => ints(rows, |r| Some(r.revision)),
        "vehicle_id" => texts(rows, |r| Some(r.vehicle_id.as_str())),
        "date" => days(rows, |r| r.from_time),
        "status" => texts(rows, |r| Some(r.status.as_str())),
        "kind" => texts(rows, |r| Some(r.kind.as_str())),
        "from_time" => times(rows, |r| Some(r.from_time)),
        "to_time" => times(rows, |r| Some(r.to_time)),
        "purpose" => texts(rows, |r| r.purpose.map(Purpose::as_str)),
        "made_by" => texts(rows, |r| Some(&r.made_by)),
        "made_at" => times(rows, |r| Some(r.made_at)),
        "recorded_at" => times(rows, |r| Some(r.recorded_at)),
        _ => unknown(rows),
    }
}

fn row(columns: &Columns<'_>, i: usize) -> Result<CorrectionRow, RowError> {
    let (status, kind) = (columns.required_text("status", i)?, columns.required_text("kind", i)?);
    Ok(CorrectionRow {
        correction_id: columns.required_text("correction_id", i)?,
        revision: columns.required_int("revision", i)?,
        vehicle_id: columns.vehicle_id(i)?,
        status: CorrectionStatus::of(&status).ok_or_else(|| columns.unknown("status", &status))?,
        kind: CorrectionKind::of(&kind).ok_or_else(|| columns.unknown("kind", &kind))?,
        from_time: columns.required_time("from_time", i)?,
        to_time: columns.required_time("to_time", i)?,
        purpose: match columns.text("purpose", i)? {
            None => None,
            Some(text) => Some(Purpose::of(&text).ok_or_else(|| columns.unknown("purpose", &text))?),
        },
        made_by: columns.required_text("made_by", i)?,
        made_at: columns.required_time("made_at", i)?,
        recorded_at: columns.required_time("recorded_at", i)?,
    })
}

/// The latest revision of each of a vehicle's corrections, by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfVehicle(BTreeMap<String, CorrectionRow>);

impl OfVehicle {
    /// Takes a row in.
    pub(crate) fn add(&mut self, row: CorrectionRow) {
        match self.0.get(&row.correction_id) {
            Some(known) if known.revision >= row.revision => {}
            _ => {
                self.0.insert(row.correction_id.clone(), row);
            }
        }
    }

    /// What holds, in the order in which it was said.
    pub(crate) fn corrections(&self) -> Corrections {
        let mut active: Vec<&CorrectionRow> =
            self.0.values().filter(|row| row.status == CorrectionStatus::Active).collect();
        active.sort_by(|a, b| (a.made_at, &a.correction_id).cmp(&(b.made_at, &b.correction_id)));
        Corrections::of(active.into_iter().map(|row| match row.kind {
            CorrectionKind::Merge => Said::Merge { from: row.from_time, to: row.to_time },
            CorrectionKind::Split => Said::Split { at: row.from_time },
            CorrectionKind::Mark => Said::Mark { from: row.from_time, to: row.to_time, purpose: row.purpose },
        }))
    }
}
