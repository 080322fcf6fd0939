//! The columns every telemetry table begins with, and the order of its rows.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Date32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder, UInt32Array},
    compute::take,
    error::ArrowError,
};
use wire::time::Timestamp;

use crate::verify::Verified;

/// Rows, each of a batch and a time. What is the same for all rows of a batch is held once.
#[derive(Default)]
pub(super) struct Head<'a> {
    batches: Vec<Source<'a>>,
    rows: Vec<Row>,
}

struct Source<'a> {
    verified: &'a Verified,
    stream_id: String,
    /// The place of its vehicle among those there are.
    vehicle: u32,
}

#[derive(Clone, Copy)]
struct Row {
    batch: u32,
    vehicle: u32,
    ts: Timestamp,
}

impl<'a> Head<'a> {
    /// The rows that follow are of this batch. Batches come by vehicle ([`by_vehicle`]).
    pub(super) fn begin(&mut self, verified: &'a Verified) {
        let vehicle = match self.batches.last() {
            None => 0,
            Some(last) if last.verified.batch.vehicle_id == verified.batch.vehicle_id => last.vehicle,
            Some(last) => {
                debug_assert!(last.verified.batch.vehicle_id < verified.batch.vehicle_id);
                last.vehicle + 1
            }
        };
        self.batches.push(Source { verified, stream_id: verified.batch.stream_id.to_string(), vehicle });
    }

    /// A row of the batch begun last.
    pub(super) fn push(&mut self, ts: Timestamp) {
        let Some(source) = self.batches.last() else { return };
        let batch = u32::try_from(self.batches.len() - 1).unwrap_or(u32::MAX);
        self.rows.push(Row { batch, vehicle: source.vehicle, ts });
    }

    /// A table's columns, sorted by vehicle and time, else as they came: the head, `middle` and, of
    /// tables of samples, the clock.
    pub(super) fn around(
        mut self,
        middle: impl IntoIterator<Item = ArrayRef>,
        has_clock: bool,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let order = self.sort();
        let mut columns = self.columns();
        for column in middle {
            columns.push(match &order {
                None => column,
                Some(order) => take(&column, order, None)?,
            });
        }
        if has_clock {
            let mut clock = StringBuilder::with_capacity(self.rows.len(), 0);
            self.sources().for_each(|(_, source)| clock.append_option(source.verified.batch.clock.word()));
            columns.push(Arc::new(clock.finish()));
        }
        Ok(columns)
    }

    /// Sorts the rows; where each was, unless they were in order, as those of a quiet fleet are.
    fn sort(&mut self) -> Option<UInt32Array> {
        let key = |row: &Row| (row.vehicle, row.ts);
        if self.rows.is_sorted_by_key(key) {
            return None;
        }
        let mut placed: Vec<(u32, Row)> = (0..).zip(self.rows.iter().copied()).collect();
        placed.sort_by_key(|(_, row)| key(row));
        self.rows = placed.iter().map(|(_, row)| *row).collect();
        Some(placed.into_iter().map(|(place, _)| place).collect())
    }

    fn sources(&self) -> impl Iterator<Item = (&Row, &Source<'a>)> {
        self.rows.iter().filter_map(|row| Some((row, self.batches.get(row.batch as usize)?)))
    }

    fn columns(&self) -> Vec<ArrayRef> {
        let count = self.rows.len();
        let text_bytes = |of: fn(&Source<'_>) -> usize| self.sources().map(|(_, s)| of(s)).sum();
        let mut vehicle_id =
            StringBuilder::with_capacity(count, text_bytes(|s| s.verified.batch.vehicle_id.as_str().len()));
        let mut stream_id = StringBuilder::with_capacity(count, text_bytes(|s| s.stream_id.len()));
        let (mut date, mut sequence) =
            (Date32Builder::with_capacity(count), Int64Builder::with_capacity(count));
        let (mut ts, mut received_at) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (row, source) in self.sources() {
            let batch = &source.verified.batch;
            vehicle_id.append_value(batch.vehicle_id.as_str());
            ts.push(row.ts.0);
            date.append_value(row.ts.utc_day());
            received_at.push(source.verified.received_at.0);
            stream_id.append_value(&source.stream_id);
            sequence.append_value(as_i64(batch.sequence));
        }
        vec![
            Arc::new(vehicle_id.finish()),
            timestamps(&ts),
            Arc::new(date.finish()),
            timestamps(&received_at),
            Arc::new(stream_id.finish()),
            Arc::new(sequence.finish()),
        ]
    }
}

/// Batches by vehicle and time: what [`Head`] takes, mostly in the order of the table then.
pub(super) fn by_vehicle<'a>(batches: &[&'a Verified]) -> Vec<&'a Verified> {
    let mut batches = batches.to_vec();
    batches.sort_by(|a, b| {
        let key = |v: &'a Verified| (&v.batch.vehicle_id, v.batch.base_time);
        key(a).cmp(&key(b))
    });
    batches
}

pub(super) fn timestamps(us: &[i64]) -> ArrayRef {
    let mut builder = TimestampMicrosecondBuilder::with_capacity(us.len());
    builder.append_slice(us);
    Arc::new(builder.finish().with_timezone("UTC"))
}

pub(super) fn as_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
