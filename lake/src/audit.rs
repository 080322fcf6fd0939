//! Proving from the rows alone that every batch is in the lake once.
//!
//! Each stream's batches are numbered from 1. A number is accounted for by rows that carry it, by
//! a told gap, or by a quarantined payload; one that is not is a hole. A batch whose rows came by
//! two receipts, or whose every row is there more than once, is doubled.
//!
//! Days are read one after the other, so memory is bounded by a day's batches (the sums spill to
//! disk) and by one entry a stream. On a lake that is written to, the newest batches may show as
//! holes until the ones before them have come.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};
use futures::StreamExt;

use crate::{
    maintenance::{CompactionPolicy, MaintenanceError, batch_rows, bounded_session},
    schema::TableKind,
    store::Lake,
    table::LakeTable,
};

/// Faults listed one by one; all are counted.
const FAULTS_LISTED_MAX: usize = 1000;
const TELEMETRY: [TableKind; 3] = [TableKind::Readings, TableKind::Signals, TableKind::Diagnostics];

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Audit {
    /// Streams of all vehicles.
    pub streams: u64,
    /// Batches accounted for.
    pub batches: u64,
    /// Rows of the tables of samples.
    pub rows: u64,
    /// Batches before a stream's first, gone with the days that retention dropped.
    pub expired_batches: u64,
    /// Batches that nothing accounts for.
    pub missing_batches: u64,
    /// Batches that are in a table more than once.
    pub doubled_batches: u64,
    /// The first thousand faults.
    pub faults: Vec<Fault>,
}

/// Something wrong with a stream.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// What.
    pub fault: FaultKind,
    /// Whose stream.
    pub vehicle_id: String,
    /// The stream.
    pub stream_id: String,
    /// The first batch.
    pub from_sequence: u64,
    /// The last one.
    pub to_sequence: u64,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Nothing accounts for these batches.
    Hole,
    /// This batch is there more than once.
    Double,
}

impl Audit {
    /// Whether every batch is in once.
    pub fn is_clean(&self) -> bool {
        self.missing_batches == 0 && self.doubled_batches == 0
    }

    fn note(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_LISTED_MAX {
            self.faults.push(fault);
        }
    }
}

/// What is known of a stream.
#[derive(Debug, Default)]
struct Stream {
    vehicle_id: String,
    accounted: Vec<(u64, u64)>,
}

impl Lake {
    /// Audits every stream of the lake; `policy` bounds memory and disk.
    pub async fn audit(&self, policy: &CompactionPolicy) -> Result<Audit, MaintenanceError> {
        let mut audit = Audit::default();
        let mut streams: BTreeMap<String, Stream> = BTreeMap::new();
        let mut kept_from = Vec::new();
        for kind in self.tables(TELEMETRY).await? {
            let table = self.open_table(kind).await?;
            kept_from.push(table.kept_from().await?);
            for day in table.days()? {
                take_day(&table, &day, policy, &mut audit, &mut streams).await?;
            }
        }
        for (kind, query) in
            [(TableKind::Quarantine, QUARANTINED), (TableKind::Gaps, GAPS_ONLY), (TableKind::Gaps, LOST)]
        {
            if self.has_table(kind).await? {
                let table = self.open_table(kind).await?;
                each_batch(&table, query, policy, |row| streams.account(row)).await?;
            }
        }
        for (stream_id, stream) in streams {
            let is_expired = kept_from.iter().any(|kept| kept.of(&stream.vehicle_id).is_some());
            judge(&stream_id, stream, is_expired, &mut audit);
        }
        Ok(audit)
    }
}

const QUARANTINED: &str =
    "SELECT DISTINCT vehicle_id, stream_id, sequence AS a, sequence AS b, 0 AS c, 1 AS d, 1 AS e
     FROM t WHERE stream_id IS NOT NULL AND sequence IS NOT NULL";
const GAPS_ONLY: &str =
    "SELECT DISTINCT vehicle_id, stream_id, sequence AS a, sequence AS b, 0 AS c, 1 AS d, 1 AS e
     FROM t WHERE NOT batch_has_samples";
const LOST: &str =
    "SELECT DISTINCT vehicle_id, lost_stream_id, from_sequence, to_sequence, 0 AS c, 1 AS d, 1 AS e
     FROM t";

/// A batch, or a range of them, as one of the queries tells it.
struct Row<'a> {
    vehicle_id: &'a str,
    stream_id: &'a str,
    from: u64,
    to: u64,
    rows: u64,
    receipts: i64,
    copies: i64,
}

trait Accounts {
    fn account(&mut self, row: &Row<'_>);
}

impl Accounts for BTreeMap<String, Stream> {
    fn account(&mut self, row: &Row<'_>) {
        let stream = self.entry(row.stream_id.to_owned()).or_default();
        if stream.vehicle_id.is_empty() {
            row.vehicle_id.clone_into(&mut stream.vehicle_id);
        }
        stream.accounted.push((row.from, row.to));
    }
}

async fn take_day(
    table: &LakeTable,
    day: &str,
    policy: &CompactionPolicy,
    audit: &mut Audit,
    streams: &mut BTreeMap<String, Stream>,
) -> Result<(), MaintenanceError> {
    let schema = table.kind().schema();
    let all: Vec<String> = schema.fields().iter().map(|f| format!("\"{}\"", f.name())).collect();
    let all = all.join(", ");
    let query = format!(
        "SELECT vehicle_id, stream_id, sequence AS a, sequence AS b, sum(copies) AS c,
                count(DISTINCT received_at) AS d, min(copies) AS e
         FROM (SELECT {all}, count(*) AS copies FROM t WHERE date = DATE '{day}' GROUP BY {all})
         GROUP BY vehicle_id, stream_id, sequence"
    );
    let mut doubles = Vec::new();
    each_batch(table, &query, policy, |row| {
        streams.account(row);
        audit.rows += row.rows;
        if row.receipts > 1 || row.copies > 1 {
            doubles.push(Fault {
                fault: FaultKind::Double,
                vehicle_id: row.vehicle_id.to_owned(),
                stream_id: row.stream_id.to_owned(),
                from_sequence: row.from,
                to_sequence: row.to,
            });
        }
    })
    .await?;
    doubles.sort_by(|a, b| (&a.stream_id, a.from_sequence).cmp(&(&b.stream_id, b.from_sequence)));
    for double in doubles {
        audit.doubled_batches += 1;
        audit.note(double);
    }
    streams.values_mut().for_each(|stream| merge(&mut stream.accounted));
    Ok(())
}

/// Runs one of the queries and hands on its rows.
async fn each_batch(
    table: &LakeTable,
    query: &str,
    policy: &CompactionPolicy,
    mut take: impl FnMut(&Row<'_>),
) -> Result<(), MaintenanceError> {
    let failed = |source| MaintenanceError::Read(table.query_error(source));
    let context = bounded_session(policy, batch_rows(table.kind())).map_err(failed)?;
    context.register_table("t", table.provider().await?).map_err(failed)?;
    let mut stream = context.sql(query).await.map_err(failed)?.execute_stream().await.map_err(failed)?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(failed)?;
        let (vehicles, ids) = (texts(&batch, 0).map_err(failed)?, texts(&batch, 1).map_err(failed)?);
        let number = |i: usize| numbers(&batch, i).map_err(failed);
        let (from, to, rows) = (number(2)?, number(3)?, number(4)?);
        let (receipts, copies) = (number(5)?, number(6)?);
        for i in 0..batch.num_rows() {
            let natural = |column: &Int64Array| u64::try_from(column.value(i)).unwrap_or(0);
            take(&Row {
                vehicle_id: vehicles.value(i),
                stream_id: ids.value(i),
                from: natural(&from),
                to: natural(&to),
                rows: natural(&rows),
                receipts: receipts.value(i),
                copies: copies.value(i),
            });
        }
    }
    Ok(())
}

fn texts(batch: &RecordBatch, place: usize) -> Result<StringArray, datafusion::error::DataFusionError> {
    Ok(StringArray::from(cast(batch.column(place), &DataType::Utf8)?.to_data()))
}

fn numbers(batch: &RecordBatch, place: usize) -> Result<Int64Array, datafusion::error::DataFusionError> {
    let column: ArrayRef = cast(batch.column(place), &DataType::Int64)?;
    Ok(Int64Array::from(column.to_data()))
}

/// Sorts ranges and joins those that touch.
fn merge(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for &(from, to) in ranges.iter() {
        match merged.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    *ranges = merged;
}

/// Finds the holes of a stream.
fn judge(stream_id: &str, mut stream: Stream, is_expired: bool, audit: &mut Audit) {
    merge(&mut stream.accounted);
    audit.streams += 1;
    let mut next = 1;
    for (place, &(from, to)) in stream.accounted.iter().enumerate() {
        if from > next {
            let missing = from - next;
            if place == 0 && is_expired {
                audit.expired_batches += missing;
            } else {
                audit.missing_batches += missing;
                audit.note(Fault {
                    fault: FaultKind::Hole,
                    vehicle_id: stream.vehicle_id.clone(),
                    stream_id: stream_id.to_owned(),
                    from_sequence: next,
                    to_sequence: from - 1,
                });
            }
        }
        audit.batches += to.saturating_sub(from.max(1)).saturating_add(1);
        next = to.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(accounted: &[(u64, u64)], is_expired: bool) -> Audit {
        let mut audit = Audit::default();
        let stream = Stream { vehicle_id: "van-1".to_owned(), accounted: accounted.to_vec() };
        judge("s", stream, is_expired, &mut audit);
        audit
    }

    #[test]
    fn ranges_in_any_order_that_cover_all_are_no_hole() {
        let audit = judged(&[(4, 9), (1, 1), (2, 3), (3, 5)], false);
        assert!(audit.is_clean());
        assert_eq!(audit.batches, 9);
    }

    #[test]
    fn a_hole_is_told_with_its_ends() {
        let audit = judged(&[(1, 2), (6, 6)], false);
        assert_eq!(audit.missing_batches, 3);
        assert_eq!((audit.faults[0].from_sequence, audit.faults[0].to_sequence), (3, 5));
    }

    #[test]
    fn a_missing_beginning_is_a_hole_unless_days_were_dropped() {
        assert_eq!(judged(&[(5, 9)], false).missing_batches, 4);
        let expired = judged(&[(5, 6), (8, 9)], true);
        assert_eq!((expired.expired_batches, expired.missing_batches), (4, 1));
    }
}
