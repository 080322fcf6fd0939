//! Rows of `readings`: one an instant of a vehicle, a column a quantity.

use std::{convert::Infallible, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, new_null_array},
    buffer::{BooleanBuffer, Buffer, NullBuffer},
    datatypes::DataType,
    error::ArrowError,
    util::bit_util,
};
use lake::TableKind;
use wire::{
    batch::{Table, Values},
    readings::{COLUMNS, ReadingColumn, ReadingKind, column_of_signal},
    time::Timestamp,
};

use super::{
    groups,
    head::{Head, rows_of},
    per_column::PerColumn,
};
use crate::verify::Verified;

/// A column in the making, of a known number of rows; nothing of it is there before its first value.
#[derive(Default)]
struct Measured {
    values: Vec<f64>,
    /// A bit a row.
    present: Vec<u8>,
}

impl Measured {
    /// Makes room for values.
    fn begin(&mut self, rows: usize) {
        if self.values.is_empty() {
            self.values = vec![0.0; rows];
            self.present = vec![0; rows.div_ceil(8)];
        }
    }

    fn set(&mut self, row: usize, value: f64) {
        if let Some(slot) = self.values.get_mut(row) {
            *slot = value;
            bit_util::set_bit(&mut self.present, row);
        }
    }

    fn finish(self, of: &ReadingColumn, rows: usize) -> Result<ArrayRef, ArrowError> {
        let is_there = (!self.values.is_empty())
            .then(|| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(self.present), 0, rows)));
        Ok(match (of.kind, is_there) {
            (ReadingKind::Number, None) => new_null_array(&DataType::Float64, rows),
            (ReadingKind::Boolean, None) => new_null_array(&DataType::Boolean, rows),
            (ReadingKind::Number, nulls) => Arc::new(Float64Array::try_new(self.values.into(), nulls)?),
            (ReadingKind::Boolean, nulls) => {
                let bits: BooleanBuffer = self.values.iter().map(|&x| x != 0.0).collect();
                Arc::new(BooleanArray::new(bits, nulls))
            }
        })
    }
}

pub(super) fn rows(batches: &[&Verified]) -> Result<RecordBatch, ArrowError> {
    let mut head = Head::default();
    let of_batch = |v: &&Verified| groups(Table::Readings, v).map(|g| g.times_us.len()).sum::<usize>();
    let rows: usize = batches.iter().map(of_batch).sum();
    let mut measured: Vec<Measured> = COLUMNS.iter().map(|_| Measured::default()).collect();
    let mut known = PerColumn::default();
    let (mut order, mut places): (Vec<(Timestamp, usize)>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut start = 0;
    for &verified in batches {
        // The order of the table, within a batch: batches mostly follow each other.
        let times = groups(Table::Readings, verified).flat_map(|g| &g.times_us);
        order.clear();
        order.extend(times.zip(0..).map(|(&t, row)| (verified.batch.base_time.plus_us(t), row)));
        order.sort_unstable();
        places.clear();
        places.resize(order.len(), 0);
        head.begin(verified);
        for (place, &(ts, row)) in order.iter().enumerate() {
            head.push(ts);
            if let Some(slot) = places.get_mut(row) {
                *slot = start + place;
            }
        }
        let mut left = places.as_slice();
        for group in groups(Table::Readings, verified) {
            let (own, others) = left.split_at(group.times_us.len().min(left.len()));
            left = others;
            for column in &group.columns {
                let found = known.of(&verified.catalog, column.column_id, |def| {
                    Ok::<_, Infallible>(column_of_signal(&def.signal))
                });
                let Ok(Some((def, Some(i)))) = found else { continue };
                let (Some(measured), Some(of)) = (measured.get_mut(i), COLUMNS.get(i)) else { continue };
                measured.begin(rows);
                let rows = own.iter().zip(&column.present).filter(|(_, is)| **is).map(|(row, _)| *row);
                match &column.values {
                    Values::Raw(raws) => {
                        rows.zip(raws).for_each(|(row, &raw)| measured.set(row, def.scaled(raw) * of.scale));
                    }
                    Values::Number(numbers) => {
                        let finite = rows.zip(numbers).filter(|(_, x)| x.is_finite());
                        finite.for_each(|(row, x)| measured.set(row, x * of.scale));
                    }
                    // No reading is a text.
                    Values::Text(_) => {}
                }
            }
        }
        start += order.len();
    }
    let middle = measured.into_iter().zip(COLUMNS).map(|(measured, of)| measured.finish(of, rows));
    let middle: Vec<ArrayRef> = middle.collect::<Result<_, _>>()?;
    rows_of(TableKind::Readings, head.around(middle, true)?)
}
